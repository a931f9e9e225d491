package steps

import (
	"context"
	"fmt"
	"testing"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
)

// further begins a further try of a run, beside a call of the one before, and takes it
// to a state.
func (b *bench) further(run, state string) ledger.Try {
	b.t.Helper()
	b.again(run)
	r, err := b.Ledger.Run(b.t.Context(), run)
	b.must(err)
	try := ledger.Try{Run: run, Attempt: r.Attempt}
	b.must(b.Ledger.Enter(b.t.Context(), try, state))
	return try
}

// TestLateSwap: a call that was waiting for locks while the run went on in a
// further try does nothing, in whatever state that is by now.
func TestLateSwap(t *testing.T) {
	t.Parallel()
	whole := newBench(t, 0, manyConns)
	lines := whole.logs()
	for name, mode := range map[string]func(*bucketload.Load){"replace": func(*bucketload.Load) {}, "upsert": merging(bucketload.ModeUpsert, "n"),
		"partition": merging(bucketload.ModeReplacePartition, "n"), "in place": inPlace} {
		for _, state := range []string{ledger.StateCopy, ledger.StateSwap} {
			t.Run(name+"/"+state, func(t *testing.T) {
				b := whole.part(t)
				b.exec(b.named("CREATE TABLE {t} (f text, n int PRIMARY KEY)"))
				run := b.prepared(b.load(map[string]string{"a.csv": rows("a", 3)}, withColumns(columnsFN...), mode, impatient))
				b.built(run)
				leave := b.during(b.named("LOCK TABLE {t} IN SHARE MODE"))
				late := make(chan error, 1)
				go func() {
					_, err := b.Swap(context.WithoutCancel(t.Context()), ledger.Try{Run: run, Attempt: 1})
					late <- err
				}()
				b.said(lines, "others hold a lock", b.named("{t}"))
				next := b.further(run, state)
				leave()
				wantCode(t, <-late, bucketload.CodeFenced, run)
				if n := b.value(b.named("SELECT count(*) FROM {t}")); n != "0" {
					t.Errorf("%s rows of a try that was given up", n)
				}
				_, err := b.Swap(t.Context(), next)
				b.must(err)
				if got := fmt.Sprint(b.perFile(b.table)); got != "map[a:3]" {
					t.Errorf("rows %s", got)
				}
			})
		}
	}
}

// TestLatePrepare: a call that was waiting while its run ended makes no staging table.
func TestLatePrepare(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0, manyConns)
	load := b.load(map[string]string{"a.csv": rows("a", 3)}, withColumns(columnsFN...))
	run := b.begin(load)
	_, err := b.Plan(t.Context(), PlanInput{Try: ledger.Try{Run: run}, Load: load})
	b.must(err)
	tx, err := b.Pool.Begin(t.Context())
	b.must(err)
	b.must(ledger.Join(t.Context(), tx, run))
	late := make(chan error, 1)
	go func() { late <- b.Prepare(context.WithoutCancel(t.Context()), ledger.Try{Run: run, Attempt: 1}) }()
	for b.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())") == "0" {
		select {
		case err := <-late:
			t.Fatalf("Prepare did not wait: %v", err)
		default:
		}
	}
	b.must(b.Ledger.End(t.Context(), ledger.Try{Run: run}, bucketload.StatusFailed, nil))
	b.must(tx.Rollback(t.Context()))
	wantCode(t, <-late, bucketload.CodeFenced, run)
	if n := b.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'dataimport'"); n != "0" {
		t.Errorf("%s staging tables of a run that has ended", n)
	}
}

// TestLateBuild: a call that was waiting while the run went on in a further try
// builds nothing.
func TestLateBuild(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0, manyConns)
	lines := b.logs()
	run := b.prepared(b.load(map[string]string{"a.csv": rows("a", 3)}, withColumns(columnsFN...), impatient, func(l *bucketload.Load) { l.Indexes = []string{"(n)"} }))
	b.must(b.copyAll(run))
	_, err := b.Check(t.Context(), ledger.Try{Run: run})
	b.must(err)
	leave := b.during("LOCK TABLE dataimport.r_" + run + " IN ROW EXCLUSIVE MODE")
	late := make(chan error, 1)
	go func() { late <- b.Build(context.WithoutCancel(t.Context()), ledger.Try{Run: run, Attempt: 1}, 0) }()
	b.said(lines, "others hold a lock", "on dataimport.r_"+run)
	next := b.further(run, ledger.StateBuild)
	leave()
	wantCode(t, <-late, bucketload.CodeFenced, run)
	if n := b.value("SELECT count(*) FROM pg_indexes WHERE schemaname = 'dataimport'"); n != "0" {
		t.Errorf("%s indexes of a try that was given up", n)
	}
	b.must(b.Build(t.Context(), next, 0))
}
