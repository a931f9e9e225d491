package steps

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
)

func removeFile(b *bench, name string) error { return os.Remove(filepath.Join(b.dir, name)) }

func TestChecks(t *testing.T) {
	t.Parallel()
	whole := newBench(t, 0)
	good := map[string]string{"a.csv": rows("a", 3), "b.csv": rows("b", 3)}
	twoBad := map[string]string{"a.csv": rows("a", 3), "b.csv": rows("b", 3), "c.csv": "f,n\nc,?\n", "d.csv": "f,n\nd,!\n"}
	for _, c := range []struct {
		name   string
		files  map[string]string
		change func(*bucketload.Load)
		code   bucketload.Code // "": it goes well
		words  []string
	}{
		{"no rows", map[string]string{"a.csv": "f,n\n"}, nil, bucketload.CodeCheck, []string{"allow_empty"}},
		{"no rows, allowed", map[string]string{"a.csv": "f,n\n"}, func(l *bucketload.Load) { l.AllowEmpty = true }, "", nil},
		{"at least", good, func(l *bucketload.Load) { l.Checks.Rows.Min = 6 }, "", nil},
		{"too few", good, func(l *bucketload.Load) { l.Checks.Rows.Min = 7 }, bucketload.CodeCheck, []string{"6 rows are fewer", "rows.min: 7"}},
		{"at most", good, func(l *bucketload.Load) { l.Checks.Rows.Max = 6 }, "", nil},
		{"too many", good, func(l *bucketload.Load) { l.Checks.Rows.Max = 5 }, bucketload.CodeCheck, []string{"rows.max: 5"}},
		{"count reached", twoBad, func(l *bucketload.Load) { l.Tolerate.Files = bucketload.Share{Count: 2} }, "", nil},
		{"count exceeded", twoBad, func(l *bucketload.Load) { l.Tolerate.Files = bucketload.Share{Count: 1} }, bucketload.CodeTolerance,
			[]string{"c.csv:2", "2 of 4 files failed", "the 1 tolerated"}},
		{"percentage reached", twoBad, func(l *bucketload.Load) { l.Tolerate.Files = bucketload.Share{Percent: 50, IsShare: true} }, "", nil},
		{"percentage exceeded", twoBad, func(l *bucketload.Load) { l.Tolerate.Files = bucketload.Share{Percent: 49, IsShare: true} }, bucketload.CodeTolerance,
			[]string{"2 of 4 files failed", "49%"}},
		{"no tolerance", twoBad, func(l *bucketload.Load) { l.Tolerate.Files = bucketload.Share{} }, bucketload.CodeTolerance, []string{"1 more of 4 files failed"}},
		{"duplicate keys", map[string]string{"a.csv": rows("a", 3) + "a,2\n"}, func(l *bucketload.Load) { l.PrimaryKey = []string{"f", "n"} },
			bucketload.CodeDatabase, []string{"primary_key", "(f, n)=(a, 2)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := whole.part(t)
			b.exec("CREATE TABLE " + b.table + " AS SELECT 'old' AS f, 1 AS n")
			load := b.load(c.files, withColumns(columnsFN...))
			if c.change != nil {
				c.change(load)
			}
			r, err := b.whole(load)
			if c.code == "" {
				b.must(err)
				if want := map[bool]bucketload.Status{true: bucketload.StatusPartial, false: bucketload.StatusSucceeded}[r.Files.Failed > 0]; r.Status != want {
					t.Errorf("%s, want %s", r.Status, want)
				}
				return
			}
			wantCode(t, err, c.code, c.words...)
			if got := fmt.Sprint(b.perFile(b.table)); got != "map[old:1]" {
				t.Errorf("the live table has %s", got)
			}
		})
	}
}

// TestBuildGoesOn: what was built before something failed is not built again.
func TestBuildGoesOn(t *testing.T) {
	t.Parallel()
	b := sharedBench(t, 0)
	ctx := t.Context()
	load := b.load(map[string]string{"a.csv": rows("a", 3)}, withColumns(columnsFN...), func(l *bucketload.Load) {
		l.PrimaryKey = []string{"n"}
		l.Indexes = []string{"(f)"}
		l.BeforeSwapSQL = []string{"UPDATE {staging} SET n = n + 10", "SELECT later() FROM {staging}"}
	})
	run := b.prepared(load)
	b.must(b.copyAll(run))
	_, err := b.Finish(ctx, ledger.Try{Run: run})
	wantCode(t, err, bucketload.CodeDatabase, "before_swap_sql", "later()")
	b.must(b.Ledger.End(ctx, ledger.Try{Run: run}, bucketload.StatusFailed, nil))
	b.exec("CREATE FUNCTION later() RETURNS int LANGUAGE sql AS 'SELECT 1'")
	b.resume(run)
	b.must(b.Prepare(ctx, ledger.Try{Run: run}))
	r, err := b.Finish(ctx, ledger.Try{Run: run})
	b.must(err)
	if sum := b.value("SELECT sum(n) FROM t"); sum != "33" || r.Status != bucketload.StatusSucceeded {
		t.Errorf("sum %s, %s", sum, r.Status)
	}
	if n := b.value("SELECT count(*) FROM pg_indexes WHERE tablename = 't' AND schemaname = current_schema"); n != "2" {
		t.Errorf("%s indexes", n)
	}
}

// TestBeforeSwapSQLKeepsToItself: SQL of the load's own neither ends the
// transaction that it is recorded in nor takes its table away.
func TestBeforeSwapSQLKeepsToItself(t *testing.T) {
	t.Parallel()
	whole := newBench(t, 0)
	const ended, gone = "has ended the transaction", "has dropped or renamed {staging}"
	for sql, refused := range map[string]string{
		"COMMIT":           ended,
		"ROLLBACK":         ended,
		"COMMIT AND CHAIN": ended,
		"ROLLBACK; BEGIN":  ended,
		"UPDATE {staging} SET n = n + 10; COMMIT; SELECT 1":                                  ended,
		"DROP TABLE {staging}":                                                               gone,
		"ALTER TABLE {staging} RENAME TO other":                                              gone,
		"UPDATE {staging} SET n = n + 10; SAVEPOINT a; DELETE FROM {staging}; ROLLBACK TO a": "",
	} {
		t.Run(sql, func(t *testing.T) {
			b := whole.part(t)
			b.exec(b.named("CREATE TABLE {t} AS SELECT 'old' AS f, 1 AS n"))
			run := b.prepared(b.load(map[string]string{"a.csv": rows("a", 3)}, withColumns(columnsFN...), func(l *bucketload.Load) { l.BeforeSwapSQL = []string{sql} }))
			b.must(b.copyAll(run))
			_, err := b.Finish(t.Context(), ledger.Try{Run: run})
			if refused == "" {
				b.must(err)
				return
			}
			wantCode(t, err, bucketload.CodeUsage, "before_swap_sql", refused, "load again")
			if got := fmt.Sprint(b.perFile(b.table)); got != "map[old:1]" {
				t.Errorf("the live table has %s", got)
			}
			if n := b.value("SELECT count(*) FROM dataimport.r_" + run); n != "3" {
				t.Errorf("%s rows of staging are left", n)
			}
			if n := b.value("SELECT built FROM bucketload.runs WHERE id = $1", run); n != "0" {
				t.Errorf("%s steps are recorded", n)
			}
		})
	}
}

// TestNothingIsAddedOnceBuilt: rows that came after a build step would miss what
// it has done, so a file that failed before it is left to another run.
func TestNothingIsAddedOnceBuilt(t *testing.T) {
	t.Parallel()
	whole := newBench(t, 0)
	lines := whole.logs()
	for name, tt := range map[string]struct {
		change func(*bucketload.Load)
		sum    string
	}{
		"before_swap_sql": {func(l *bucketload.Load) { l.BeforeSwapSQL = []string{"UPDATE {staging} SET n = n + 10"} }, "33"},
		"order dropped":   {merging(bucketload.ModeUpsert, "n"), "3"},
	} {
		for how, again := range map[string]func(b *bench, run string){
			"redrive": func(b *bench, run string) {
				b.must(b.Ledger.End(t.Context(), ledger.Try{Run: run}, bucketload.StatusFailed, nil))
				b.resume(run)
			},
			"retry": func(b *bench, run string) {
				b.exec("UPDATE bucketload.files SET transient = true WHERE state = 'failed' AND run = '" + run + "'")
				b.again(run)
			},
		} {
			t.Run(name+"/"+how, func(t *testing.T) {
				b := whole.part(t)
				b.exec(b.named("CREATE TABLE {t} (f text, n int PRIMARY KEY); CREATE TABLE {t}_wrong AS SELECT 1"))
				load := b.load(map[string]string{"a.csv": rows("a", 3), "b.csv": "f,n\nb,?\n"}, withColumns(columnsFN...), tt.change,
					func(l *bucketload.Load) { l.Checks.SQL = []string{b.named("SELECT 1 FROM {t}_wrong")} })
				run := b.prepared(load)
				try := ledger.Try{Run: run}
				b.must(b.copyAll(run))
				_, err := b.Finish(t.Context(), try)
				wantCode(t, err, bucketload.CodeCheck)
				b.put("b.csv", rows("b", 3))
				b.exec(b.named("DELETE FROM {t}_wrong"))
				again(b, run)
				_, err = b.Plan(t.Context(), PlanInput{Try: try, Load: load})
				b.must(err)
				b.said(lines, "files that have failed are left out", run, "files=1", "bucketload load t")
				b.must(b.Prepare(t.Context(), try))
				b.must(b.Ledger.Enter(t.Context(), try, ledger.StateCopy))
				b.must(b.copyAll(run))
				r, err := b.Finish(t.Context(), try)
				b.must(err)
				if sum := b.value(b.named("SELECT sum(n) FROM {t}")); sum != tt.sum || r.Status != bucketload.StatusPartial || r.Files.Failed != 1 {
					t.Errorf("sum %s, %s, %+v", sum, r.Status, r.Files)
				}
			})
		}
	}
}

func TestStagingGone(t *testing.T) {
	t.Parallel()
	b := sharedBench(t, 0)
	run := b.prepared(b.load(map[string]string{"a.csv": rows("a", 3)}))
	b.exec("DROP TABLE dataimport.r_" + run)
	b.again(run)
	wantCode(t, b.Prepare(t.Context(), ledger.Try{Run: run}), bucketload.CodeConflict, "is gone", "bucketload load t")
}

// lease joins a run, and takes a batch of it.
func lease(ctx context.Context, tx pgx.Tx, try ledger.Try, batch int) ([]bucketload.Entry, error) {
	if err := ledger.Join(ctx, tx, try.Run); err != nil {
		return nil, err
	}
	return ledger.Lease(ctx, tx, try, batch)
}

// straggle opens a copy of the run by hand: its rows are in, and not committed.
func (b *bench) straggle(run string) pgx.Tx {
	b.t.Helper()
	ctx := b.t.Context()
	tx, err := b.Pool.Begin(ctx)
	b.must(err)
	files, err := lease(ctx, tx, ledger.Try{Run: run}, 0)
	b.must(err)
	_, err = tx.Exec(ctx, "INSERT INTO dataimport.r_"+run+" VALUES ('late', 1)")
	b.must(err)
	_, _, err = ledger.Receive(ctx, tx, run, 0, []ledger.Receipt{{No: files[0].No, Rows: 1}})
	b.must(err)
	return tx
}

// TestStragglerIsWaitedFor: Finish counts what a copy in flight commits.
func TestStragglerIsWaitedFor(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	run := b.prepared(b.load(map[string]string{"a.csv": rows("a", 1)}, withColumns(columnsFN...)))
	tx := b.straggle(run)
	done := make(chan error, 1)
	go func() {
		_, err := b.Finish(context.WithoutCancel(t.Context()), ledger.Try{Run: run})
		done <- err
	}()
	for b.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())") == "0" {
		select {
		case err := <-done:
			t.Fatalf("Finish did not wait: %v", err)
		default:
		}
	}
	b.must(tx.Commit(t.Context()))
	b.must(<-done)
	if got := fmt.Sprint(b.perFile("t")); got != "map[late:1]" {
		t.Errorf("rows %s", got)
	}
	_, err := b.Copy(t.Context(), CopyInput{ledger.Try{Run: run}, 0})
	wantCode(t, err, bucketload.CodeFenced, run)
}

// TestStragglerIsEnded: one that does not stop loses its backend, and can
// commit nothing; the batch is as it was.
func TestStragglerIsEnded(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	b.patience = 50 * time.Millisecond
	run := b.prepared(b.load(map[string]string{"a.csv": rows("a", 1)}, withColumns(columnsFN...)))
	tx := b.straggle(run)
	b.must(b.Cleanup(t.Context(), ledger.Try{Run: run}))
	if err := tx.Commit(t.Context()); err == nil {
		t.Error("the straggler has committed")
	}
	_, err := b.Copy(t.Context(), CopyInput{ledger.Try{Run: run}, 0})
	wantCode(t, err, bucketload.CodeFenced, run)
	b.again(run)
	b.must(b.copyAll(run))
	_, err = b.Finish(t.Context(), ledger.Try{Run: run})
	b.must(err)
	if got := fmt.Sprint(b.perFile("t")); got != "map[a:1]" {
		t.Errorf("rows %s", got)
	}
}

// TestSwapWaitsForReader: a reader keeps its table until it is through.
func TestSwapWaitsForReader(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	b.exec("CREATE TABLE t AS SELECT 'old' AS f, 1 AS n")
	load := b.load(map[string]string{"a.csv": rows("a", 3)}, func(l *bucketload.Load) { l.LockTimeout = time.Minute })
	run := b.prepared(load)
	b.must(b.copyAll(run))
	reader, err := b.Pool.Begin(t.Context())
	b.must(err)
	read := func() (f string) {
		b.must(reader.QueryRow(t.Context(), "SELECT min(f) FROM t").Scan(&f))
		return f
	}
	if f := read(); f != "old" {
		t.Fatal(f)
	}
	done := make(chan error, 1)
	go func() {
		_, err := b.Finish(context.WithoutCancel(t.Context()), ledger.Try{Run: run})
		done <- err
	}()
	for b.value("SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())") == "0" {
		select {
		case err := <-done:
			t.Fatalf("Finish did not wait: %v", err)
		default:
		}
	}
	if f := read(); f != "old" {
		t.Error("the table has changed below a reader")
	}
	b.must(reader.Commit(t.Context()))
	b.must(<-done)
	if got, backup := fmt.Sprint(b.perFile("t")), fmt.Sprint(b.perFile("databackup.t")); got != "map[a:3]" || backup != "map[old:1]" {
		t.Errorf("rows %s, backup %s", got, backup)
	}
}

// TestSweepEndsDeadCopies: what a dead process left behind does not stop the
// next load from dropping its staging.
func TestSweepEndsDeadCopies(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	load := b.load(map[string]string{"a.csv": rows("a", 1)}, withColumns(columnsFN...))
	dead := b.prepared(load)
	tx := b.straggle(dead)
	defer func() { _ = tx.Rollback(t.Context()) }()
	b.held[dead]()
	b.must(b.Ledger.End(t.Context(), ledger.Try{Run: dead}, bucketload.StatusFailed, nil))
	_, err := b.whole(load)
	b.must(err)
	if left := b.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'dataimport'"); left != "0" {
		t.Errorf("%s staging tables are left", left)
	}
}

// TestSweepAgain: what a process that died right behind its swap has left is
// dropped by the call that comes again.
func TestSweepAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	load := b.load(map[string]string{"a.csv": rows("a", 1)}, withColumns(columnsFN...))
	failed := b.prepared(load)
	_ = b.end(failed, errors.New("it failed"))
	r, err := b.whole(load)
	b.must(err)
	b.exec("CREATE TABLE dataimport.r_" + failed + " ()")
	_, err = b.Swap(t.Context(), ledger.Try{Run: *r.ID})
	b.must(err)
	if left := b.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'dataimport'"); left != "0" {
		t.Errorf("%s staging tables are left", left)
	}
}
