package steps

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
)

// TestSwapsUnderTraffic: readers and writers that never pause go on through swap
// after swap without an error. Each read sees the rows of one load, all of them,
// through the table, a view, and both. BUCKETLOAD_SWAPS says how many there are.
func TestSwapsUnderTraffic(t *testing.T) {
	t.Parallel()
	swaps := 3
	if said := os.Getenv("BUCKETLOAD_SWAPS"); said != "" {
		var err error
		if swaps, err = strconv.Atoi(said); err != nil {
			t.Fatal(err)
		}
	}
	const size = 100
	b := newBench(t, 0)
	b.exec(`CREATE TABLE t (n int PRIMARY KEY, gen int); CREATE INDEX ON t (gen);
		INSERT INTO t SELECT n, 0 FROM generate_series(1, 100) n;
		CREATE VIEW v AS SELECT n, gen FROM t; CREATE TABLE child (n int REFERENCES t, at timestamptz DEFAULT now());
		CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER touch BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch()`)
	ctx, stop := context.WithCancel(t.Context())
	var traffic sync.WaitGroup
	var statements atomic.Int64
	work := func(what string, do func(context.Context, *pgx.Conn) error) {
		traffic.Go(func() {
			conn, err := pgx.Connect(ctx, b.Pool.Config().ConnConfig.ConnString())
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
			for ctx.Err() == nil {
				if err := do(ctx, conn); err != nil && ctx.Err() == nil {
					t.Errorf("%s: %v", what, err)
					return
				}
				statements.Add(1)
			}
		})
	}
	read := func(from string) {
		work("reading "+from, func(ctx context.Context, conn *pgx.Conn) error {
			var rows, first, last int
			if err := conn.QueryRow(ctx, `SELECT count(*), min(gen), max(gen) FROM `+from).Scan(&rows, &first, &last); err != nil {
				return err
			}
			if rows != size || first != last {
				return fmt.Errorf("%d rows of loads %d to %d", rows, first, last)
			}
			return nil
		})
	}
	read("t")
	read("v")
	read("(SELECT t.gen FROM t JOIN v USING (n)) pair")
	read("(SELECT v.gen FROM v JOIN t USING (n)) pair")
	exec := func(sql string) func(context.Context, *pgx.Conn) error {
		return func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, sql)
			return err
		}
	}
	work("updating", exec(`UPDATE t SET gen = gen WHERE n = 7`))
	work("inserting what refers to it", exec(`INSERT INTO child (n) VALUES (1)`))
	work("reading in transactions", func(ctx context.Context, conn *pgx.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			var before, after int
			if err := tx.QueryRow(ctx, `SELECT max(gen) FROM t`).Scan(&before); err != nil {
				return err
			}
			if err := tx.QueryRow(ctx, `SELECT max(gen) FROM v`).Scan(&after); err != nil {
				return err
			}
			if before != after {
				return fmt.Errorf("one transaction saw loads %d and %d", before, after)
			}
			return nil
		})
	})
	for i := range swaps {
		var rows strings.Builder
		rows.WriteString("n,gen\n")
		for n := range size {
			fmt.Fprintf(&rows, "%d,%d\n", n+1, i+1)
		}
		if _, err := b.whole(b.load(map[string]string{"a.csv": rows.String()}, withColumns(
			bucketload.Column{Name: "n", Type: "int"}, bucketload.Column{Name: "gen", Type: "int"}))); err != nil {
			t.Errorf("load %d: %v", i+1, err)
			break
		}
	}
	stop()
	traffic.Wait()
	t.Logf("%d statements beside %d swaps", statements.Load(), swaps)
	if n := b.count("SELECT max(gen) FROM t"); n != int64(swaps) {
		t.Errorf("the last load is %d", n)
	}
}
