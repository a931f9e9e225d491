package steps

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
)

func inPlace(l *bucketload.Load) { l.InPlace = true }

// TestReplaceInPlace: what a swap refuses to leave behind goes on as it is.
func TestReplaceInPlace(t *testing.T) {
	t.Parallel()
	whole := newBench(t, 0)
	for name, ddl := range map[string]string{
		"nothing":           "CREATE TABLE {t} (f text, n int)",
		"materialized view": "CREATE TABLE {t} (f text, n int); CREATE MATERIALIZED VIEW {t}_m AS SELECT * FROM {t}",
		"row type":          "CREATE TABLE {t} (f text, n int); CREATE FUNCTION {t}_f() RETURNS SETOF {t} LANGUAGE sql AS 'SELECT * FROM {t}'",
		"publication":       "CREATE TABLE {t} (f text, n int PRIMARY KEY); CREATE PUBLICATION {t}_p FOR TABLE {t}",
		"partitions":        "CREATE TABLE {t} (f text, n int) PARTITION BY LIST (f); CREATE TABLE {t}_a PARTITION OF {t} FOR VALUES IN ('a'); CREATE TABLE {t}_o PARTITION OF {t} DEFAULT",
		"inheritance":       "CREATE TABLE {t}_p (f text); CREATE TABLE {t} (n int) INHERITS ({t}_p)",
		"deferrable key":    "CREATE TABLE {t} (f text, n int PRIMARY KEY); CREATE TABLE {t}_c (n int REFERENCES {t} DEFERRABLE); INSERT INTO {t} VALUES ('x', 2); INSERT INTO {t}_c VALUES (2)",
		"key of no rows":    "CREATE TABLE {t} (f text, n int PRIMARY KEY); CREATE TABLE {t}_c (n int REFERENCES {t}); INSERT INTO {t}_c VALUES (NULL)",
		"key switched off":  "CREATE TABLE {t} (f text, n int PRIMARY KEY); CREATE TABLE {t}_c (n int REFERENCES {t}); INSERT INTO {t} VALUES ('x', 2); INSERT INTO {t}_c VALUES (2); ALTER TABLE {t} DISABLE TRIGGER ALL",
		"identity":          "CREATE TABLE {t} (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, f text, n int, twice int GENERATED ALWAYS AS (n * 2) STORED)",
	} {
		t.Run(name, func(t *testing.T) {
			b := whole.part(t)
			b.exec(b.named(ddl))
			b.exec(b.named("INSERT INTO {t} (f, n) VALUES ('old', 7)"))
			oid := b.value("SELECT to_regclass($1)::oid", b.table)
			load := b.load(map[string]string{"a.csv": rows("a", 3)}, withColumns(columnsFN...), inPlace)
			for range 2 {
				r, err := b.whole(load)
				b.must(err)
				if r.Status != bucketload.StatusSucceeded || r.Backup != nil {
					t.Errorf("%s, backup %v", r.Status, r.Backup)
				}
				again, err := b.Swap(t.Context(), ledger.Try{Run: *r.ID}) // the reply was lost
				if err != nil || again.Status != r.Status {
					t.Errorf("again: %v, %v", again, err)
				}
			}
			if got := fmt.Sprint(b.perFile(b.table)); got != "map[a:3]" {
				t.Errorf("rows %s", got)
			}
			if now := b.value("SELECT to_regclass($1)::oid", b.table); now != oid {
				t.Errorf("the table is another: %s, was %s", now, oid)
			}
			if name == "identity" {
				if ids := b.value(b.named("SELECT string_agg(id::text || ' ' || twice, ', ' ORDER BY id) FROM {t}")); ids != "5 0, 6 2, 7 4" && ids != "5 2, 6 4, 7 6" {
					t.Errorf("ids %s", ids)
				}
			}
			if left := b.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'dataimport'"); left != "0" {
				t.Errorf("%s staging tables", left)
			}
		})
	}
}

// TestReplaceInPlaceRefuses: rows that the table would not take as they are,
// and rows of others that would go with them.
func TestReplaceInPlaceRefuses(t *testing.T) {
	t.Parallel()
	whole := newBench(t, 0)
	for _, c := range []struct {
		name, ddl string
		code      bucketload.Code
		words     []string
	}{
		{"type", "CREATE TABLE {t} (f text, n smallint)", bucketload.CodeDependents, []string{`column "n"`, "smallint", "replace: swap"}},
		{"no column", "CREATE TABLE {t} (f text)", bucketload.CodeNewColumn, []string{`no column "n"`, "ADD COLUMN"}},
		{"cascade", "CREATE TABLE {t} (f text, n int PRIMARY KEY); CREATE TABLE {t}_c (n int REFERENCES {t} ON DELETE CASCADE); INSERT INTO {t} VALUES ('old', 7); INSERT INTO {t}_c VALUES (7)",
			bucketload.CodeDependents, []string{"foreign key {t}_c_n_fkey of {t}_c"}},
		{"referred to", "CREATE TABLE {t} (f text, n int PRIMARY KEY); CREATE TABLE {t}_c (n int REFERENCES {t}); INSERT INTO {t} VALUES ('old', 7); INSERT INTO {t}_c VALUES (7)",
			bucketload.CodeDependents, []string{"prepare: rows of public.{t}_c refer to those of public.{t}", `ALTER TABLE "public"."{t}_c" ALTER CONSTRAINT "{t}_c_n_fkey" DEFERRABLE, which`, "replace: swap"}},
		{"restricted", "CREATE TABLE {t} (f text, n int PRIMARY KEY); CREATE TABLE {t}_c (n int REFERENCES {t} ON DELETE RESTRICT DEFERRABLE); INSERT INTO {t} VALUES ('old', 7); INSERT INTO {t}_c VALUES (7)",
			bucketload.CodeDependents, []string{"prepare: rows of public.{t}_c refer", "ON DELETE NO ACTION DEFERRABLE"}},
		{"referred to by a key that is not validated", "CREATE TABLE {t} (f text, n int PRIMARY KEY); CREATE TABLE {t}_c (n int); INSERT INTO {t} VALUES ('old', 7); INSERT INTO {t}_c VALUES (7), (8); ALTER TABLE {t}_c ADD CONSTRAINT k FOREIGN KEY (n) REFERENCES {t} NOT VALID",
			bucketload.CodeDatabase, []string{"swap: ", "(n)=(7)", `ALTER TABLE "public"."{t}_c" ALTER CONSTRAINT "k" DEFERRABLE`, "bucketload redrive "}},
		{"referred to by a key that waits in vain", "CREATE TABLE {t} (f text, n int PRIMARY KEY); CREATE TABLE {t}_c (n int REFERENCES {t} DEFERRABLE); INSERT INTO {t} VALUES ('old', 7); INSERT INTO {t}_c VALUES (7)",
			bucketload.CodeDatabase, []string{"swap: ", "(n)=(7)", "mend or delete the rows of public.{t}_c", "bucketload redrive "}},
		{"trigger", "CREATE TABLE {t} (f text, n int); CREATE FUNCTION {t}_f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF NEW.n = 1 THEN RETURN NULL; END IF; RETURN NEW; END'; CREATE TRIGGER tr BEFORE INSERT ON {t} FOR EACH ROW EXECUTE FUNCTION {t}_f()",
			bucketload.CodeCheck, []string{"would have 2 rows in the place of 3", "nothing was changed"}},
		{"rule", "CREATE TABLE {t} (f text, n int); CREATE RULE r AS ON DELETE TO {t} DO INSTEAD NOTHING", bucketload.CodeCheck, []string{"would have 4 rows in the place of 3"}},
		{"duplicates", "CREATE TABLE {t} (f text PRIMARY KEY, n int)", bucketload.CodeDatabase, []string{"(f)=(a)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := whole.part(t)
			b.exec(b.named(c.ddl))
			b.exec(b.named("INSERT INTO {t} (f) SELECT 'old' WHERE NOT EXISTS (SELECT FROM {t}) AND 'n' <> ALL (SELECT attname FROM pg_attribute WHERE attrelid = '{t}'::regclass AND attnotnull)"))
			before := fmt.Sprint(b.perFile(b.table))
			for i, w := range c.words {
				c.words[i] = b.named(w)
			}
			_, err := b.whole(b.load(map[string]string{"a.csv": rows("a", 3)}, withColumns(columnsFN...), inPlace))
			wantCode(t, err, c.code, c.words...)
			if got := fmt.Sprint(b.perFile(b.table)); got != before {
				t.Errorf("rows %s, were %s", got, before)
			}
		})
	}
}

// TestReplaceInPlaceBesideReaders: a reader does not hold it up, and keeps what
// it has seen, in a transaction of whatever age; a writer does.
func TestReplaceInPlaceBesideReaders(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	b.exec("CREATE TABLE t AS SELECT 'old' AS f, 1 AS n")
	reader, err := b.Pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	b.must(err)
	defer func() { _ = reader.Rollback(context.WithoutCancel(t.Context())) }()
	read := func() (f string) {
		b.must(reader.QueryRow(t.Context(), "SELECT min(f) FROM t").Scan(&f))
		return f
	}
	if f := read(); f != "old" {
		t.Fatal(f)
	}
	_, err = b.whole(b.load(map[string]string{"a.csv": rows("a", 3)}, withColumns(columnsFN...), inPlace))
	b.must(err)
	if f := read(); f != "old" {
		t.Errorf("an older snapshot sees %s", f)
	}
	b.must(reader.Rollback(t.Context()))
	writer, err := b.Pool.Begin(t.Context())
	b.must(err)
	defer func() { _ = writer.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = writer.Exec(t.Context(), "INSERT INTO t VALUES ('theirs', 1)")
	b.must(err)
	run := b.prepared(b.load(nil, withColumns(columnsFN...), inPlace, func(l *bucketload.Load) { l.LockTimeout = time.Minute }))
	b.must(b.copyAll(run))
	done := make(chan error, 1)
	go func() {
		_, err := b.Finish(context.WithoutCancel(t.Context()), ledger.Try{Run: run})
		done <- err
	}()
	for b.value("SELECT count(*) FROM pg_locks WHERE mode = 'ExclusiveLock' AND relation = 't'::regclass AND NOT granted") == "0" {
		select {
		case err := <-done:
			t.Fatalf("Finish did not wait: %v", err)
		default:
		}
	}
	b.must(writer.Commit(t.Context()))
	b.must(<-done)
	if got := fmt.Sprint(b.perFile("t")); got != "map[a:3]" {
		t.Errorf("rows %s", got)
	}
}
