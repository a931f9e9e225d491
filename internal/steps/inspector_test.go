package steps

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
)

// inspect looks at a table in a transaction that stays open until the test ends
// or the result is called.
func (b *bench) inspect(table string) (leave func()) {
	b.t.Helper()
	return b.during("SELECT FROM " + table)
}

// during begins a transaction with a statement. It stays open until the test ends
// or the result is called, which takes it back.
func (b *bench) during(sql string) (leave func()) {
	b.t.Helper()
	tx, err := b.Pool.Begin(b.t.Context())
	b.must(err)
	leave = func() { _ = tx.Rollback(context.Background()) }
	b.t.Cleanup(leave)
	_, err = tx.Exec(b.t.Context(), sql)
	b.must(err)
	return leave
}

// built takes a prepared run to its swap.
func (b *bench) built(run string) {
	b.t.Helper()
	ctx, try := b.t.Context(), ledger.Try{Run: run}
	b.must(b.copyAll(run))
	steps, err := b.Check(ctx, try)
	b.must(err)
	for i := range steps {
		b.must(b.Build(ctx, try, i))
	}
	b.must(b.Analyze(ctx, try))
}

// TestInspectedStagingIsKept: somebody who looks at what a run has left holds up
// neither the next load nor gc.
func TestInspectedStagingIsKept(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	load := b.load(map[string]string{"a.csv": rows("a", 3)}, withColumns(columnsFN...))
	left := b.prepared(load)
	b.held[left]()
	b.must(b.Ledger.End(t.Context(), ledger.Try{Run: left}, bucketload.StatusFailed, nil))
	leave := b.inspect("dataimport.r_" + left)
	_, err := b.whole(load)
	b.must(err)
	collected := func() ledger.Leftover {
		t.Helper()
		all, err := b.Collect(t.Context(), 0, false)
		b.must(err)
		if len(all) != 1 || all[0].Run != left {
			t.Fatalf("%+v", all)
		}
		return all[0]
	}
	if o := collected(); o.Dropped || !o.Useless || !strings.Contains(o.Kept, "somebody is using it, or what it refers to: pid ") || !strings.Contains(o.Kept, "SELECT FROM dataimport.r_"+left) {
		t.Errorf("%+v", o)
	}
	b.exec("CREATE VIEW look AS SELECT f FROM dataimport.r_" + left)
	leave()
	if o := collected(); o.Dropped || !strings.Contains(o.Kept, "view look depends on table") {
		t.Errorf("%+v", o)
	}
	b.exec("DROP VIEW look")
	if o := collected(); !o.Dropped || o.Kept != "" {
		t.Errorf("%+v", o)
	}
}

// TestInspectedStagingIsMerged: rows that somebody looks at are merged, and
// replace those of the table in place; staging goes with a later load.
func TestInspectedStagingIsMerged(t *testing.T) {
	t.Parallel()
	whole := newBench(t, 0)
	for name, mode := range map[string]func(*bucketload.Load){"upsert": merging(bucketload.ModeUpsert, "n"), "in place": inPlace} {
		t.Run(name, func(t *testing.T) {
			b := whole.part(t)
			b.exec(b.named("CREATE TABLE {t} (f text, n int PRIMARY KEY)"))
			run := b.prepared(b.load(map[string]string{"a.csv": rows("a", 3)}, withColumns(columnsFN...), mode))
			b.built(run)
			leave := b.inspect("dataimport.r_" + run)
			_, err := b.Swap(t.Context(), ledger.Try{Run: run})
			b.must(b.end(run, err))
			if got := fmt.Sprint(b.perFile(b.table)); got != "map[a:3]" {
				t.Errorf("rows %s", got)
			}
			leave()
			_, err = b.whole(b.load(map[string]string{"b.csv": "f,n\nb,7\n"}, withColumns(columnsFN...), mode))
			b.must(err)
			if n := b.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'dataimport'"); n != "0" {
				t.Errorf("%s staging tables", n)
			}
		})
	}
}
