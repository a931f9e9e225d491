package steps

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
)

// appending makes two generations of the table and gives a run that is to append
// to the second.
func (b *bench) appending() (load *bucketload.Load, run string) {
	b.t.Helper()
	for n := 1; n <= 2; n++ {
		_, err := b.whole(b.load(map[string]string{"a.csv": rows("a", n)}, withColumns(columnsFN...)))
		b.must(err)
	}
	load = b.load(map[string]string{"b.csv": rows("b", 3)}, withColumns(columnsFN...), func(l *bucketload.Load) { l.Mode = bucketload.ModeAppend })
	return load, b.prepared(load)
}

// TestRollbackEndsCopies: a copy of a dead run, which has no lock on the table at
// that moment, does not go on in the table that came back.
func TestRollbackEndsCopies(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	load, run := b.appending()
	straggler, err := b.Pool.Begin(t.Context())
	b.must(err)
	defer func() { _ = straggler.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = lease(t.Context(), straggler, ledger.Try{Run: run}, 0)
	b.must(err)
	b.held[run]()
	_, err = b.Rollback(t.Context(), load, "")
	b.must(err)
	if _, err := straggler.Exec(t.Context(), "INSERT INTO t VALUES ('b', 1)"); err == nil {
		t.Error("the copy goes on")
	}
	if got := b.perFile("t"); len(got) != 1 || got["a"] != 1 {
		t.Errorf("rows %v", got)
	}
}

// TestAppendBehindSwap: a copy into the live table that has waited for a swap
// looks only then whether its run is still under way.
func TestAppendBehindSwap(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	_, run := b.appending()
	swap, err := b.Pool.Begin(t.Context())
	b.must(err)
	defer func() { _ = swap.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = swap.Exec(t.Context(), "LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
	b.must(err)
	done := make(chan error, 1)
	go func() {
		_, err := b.Copy(context.WithoutCancel(t.Context()), CopyInput{ledger.Try{Run: run}, 0})
		done <- err
	}()
	for b.value("SELECT count(*) FROM pg_locks WHERE mode = 'RowExclusiveLock' AND relation = 't'::regclass AND NOT granted") == "0" {
		select {
		case err := <-done:
			t.Fatalf("the copy did not wait: %v", err)
		default:
		}
	}
	b.must(b.Ledger.End(t.Context(), ledger.Try{Run: run}, bucketload.StatusFailed, nil))
	b.must(swap.Commit(t.Context()))
	wantCode(t, <-done, bucketload.CodeFenced, run)
	if got := b.perFile("t"); len(got) != 1 || got["a"] != 2 {
		t.Errorf("rows %v", got)
	}
}

// TestAppendToNoTable: a table that somebody drops under an append is missed.
func TestAppendToNoTable(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	_, run := b.appending()
	b.exec("DROP TABLE t")
	wantCode(t, b.copyAll(run), bucketload.CodeConflict, "public.t is not there any more", "bucketload load t")
}

// TestAppendToAnotherTable: once somebody has put another table in the place of
// the one that an append has begun with, no row goes there that the ledger would take for
// the first one's.
func TestAppendToAnotherTable(t *testing.T) {
	t.Parallel()
	whole := newBench(t, 0)
	for name, taken := range map[string]string{
		"dropped": "DROP TABLE {t}; CREATE TABLE {t} (f text, n int)",
		"renamed": "ALTER TABLE {t} RENAME TO {t}_was; CREATE TABLE {t} (f text, n int)",
	} {
		t.Run(name, func(t *testing.T) {
			b := whole.part(t)
			b.exec(b.named("CREATE TABLE {t} (f text, n int)"))
			load := b.load(map[string]string{"a.csv": rows("a", 3), "b.csv": rows("b", 3)}, withColumns(columnsFN...),
				func(l *bucketload.Load) { l.Mode, l.MaxItemsPerBatch, l.MinBatchBytes = bucketload.ModeAppend, 1, 0 })
			run := b.prepared(load)
			_, err := b.Copy(t.Context(), CopyInput{ledger.Try{Run: run}, 0})
			b.must(err)
			b.exec(b.named(taken))
			err = b.copyAll(run)
			wantCode(t, err, bucketload.CodeConflict, b.named("public.{t} is not the table any more"), "bucketload load t")
			b.must(b.Cleanup(t.Context(), ledger.Try{Run: run}))
			_ = b.end(run, err)
			if r, err := b.whole(load); err != nil || r.Files.Loaded != 2 {
				t.Errorf("%+v, %v", r, err)
			}
			if got := fmt.Sprint(b.perFile(b.table)); got != "map[a:3 b:3]" {
				t.Errorf("rows %s", got)
			}
		})
	}
}

// TestAppendWaitsByTheRunsLock: a copy that waits for the live table is found
// by who ends the run, and so is one that has it.
func TestAppendWaitsByTheRunsLock(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	_, run := b.appending()
	leave := b.during("LOCK TABLE t IN SHARE MODE")
	done := make(chan error, 1)
	go func() {
		_, err := b.Copy(context.WithoutCancel(t.Context()), CopyInput{ledger.Try{Run: run}, 0})
		done <- err
	}()
	for b.value("SELECT count(*) FROM pg_locks WHERE relation = 't'::regclass AND NOT granted") == "0" {
		select {
		case err := <-done:
			t.Fatalf("the copy did not wait: %v", err)
		default:
		}
	}
	if n, err := b.Ledger.EndCopies(t.Context(), run); n != 1 || err != nil {
		t.Errorf("ended %d, %v", n, err)
	}
	if err := <-done; err == nil {
		t.Error("the copy went on")
	}
	leave()
}

// TestAppendBesidePartition: an append locks none of the partitions that its
// rows do not go to.
func TestAppendBesidePartition(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	b.lockWait = 20 * time.Millisecond
	b.exec("CREATE TABLE t (f text, n int) PARTITION BY LIST (f); CREATE TABLE t_old PARTITION OF t FOR VALUES IN ('old'); CREATE TABLE t_a PARTITION OF t FOR VALUES IN ('a')")
	run := b.prepared(b.load(map[string]string{"a.csv": rows("a", 3)}, withColumns(columnsFN...), func(l *bucketload.Load) { l.Mode = bucketload.ModeAppend }))
	leave := b.during("CREATE INDEX ON t_old (n)")
	b.must(b.copyAll(run))
	leave()
	if got := fmt.Sprint(b.perFile("t")); got != "map[a:3]" {
		t.Errorf("rows %s", got)
	}
}
