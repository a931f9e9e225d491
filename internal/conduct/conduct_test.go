package conduct

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/steps"
	"github.com/bucketload/bucketload/internal/temp"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// loader is set in a copy of this test binary that is to run a load and be
// killed: a JSON array of the DSN and the load.
const loader = "BUCKETLOAD_TEST_LOADER"

func TestMain(m *testing.M) {
	if job := os.Getenv(loader); job != "" {
		runLoader(job)
		return
	}
	os.Exit(temptest.Run(m))
}

func runLoader(job string) {
	var dsn string
	load := new(bucketload.Load)
	if err := json.Unmarshal([]byte(job), &[]any{&dsn, load}); err != nil {
		panic(err)
	}
	pool, err := pgxpool.New(context.Background(), dsn)
	if err != nil {
		panic(err)
	}
	_, err = Load(context.Background(), steps.New(pool, slog.New(slog.DiscardHandler)), load)
	fmt.Println("ended:", err)
}

// house is a database and a bucket.
type house struct {
	*steps.Steps
	t   *testing.T
	dsn string
	s3  *temp.S3
}

func newHouse(t *testing.T, major int) *house {
	t.Helper()
	h := &house{t: t, dsn: temptest.Database(t, major)}
	config, err := pgxpool.ParseConfig(h.dsn)
	h.must(err)
	config.MaxConns = 6
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	h.must(err)
	t.Cleanup(pool.Close)
	h.Steps = steps.New(pool, slog.New(slog.DiscardHandler))
	h.s3, err = temp.StartS3(temp.S3Options{})
	h.must(err)
	t.Cleanup(func() { _ = h.s3.Close() })
	return h
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) exec(sql string) {
	h.t.Helper()
	_, err := h.Pool.Exec(context.Background(), sql)
	h.must(err)
}

func (h *house) value(sql string) (v string) {
	h.t.Helper()
	h.must(h.Pool.QueryRow(context.Background(), "SELECT ("+sql+")::text").Scan(&v))
	return v
}

// load is a definition over n files of 10 rows each, one in a batch.
func (h *house) load(n int) *bucketload.Load {
	h.t.Helper()
	for i := range n {
		h.put(i, 10)
	}
	return &bucketload.Load{Key: "t", Table: bucketload.TableName{Schema: "public", Name: "t"}, From: []string{"s3://bucket/"},
		S3:     bucketload.S3{EndpointURL: h.s3.URL(), PathStyle: true, Anonymous: true, Region: "us-east-1"},
		Format: bucketload.FormatAuto, CSV: bucketload.CSV{Quote: `"`, Escape: `"`, Header: true}, Mode: bucketload.ModeReplace,
		Columns:   []bucketload.Column{{Name: "f", Type: "text"}, {Name: "n", Type: "int"}},
		LowerCase: true, MaxConcurrency: 3, MaxItemsPerBatch: 1, Retries: 1, KeepBackups: 1, LockTimeout: time.Second}
}

func key(i int) string { return fmt.Sprintf("%02d.csv", i) }

func (h *house) put(i, rows int) {
	h.t.Helper()
	var b strings.Builder
	b.WriteString("f,n\n")
	for n := range rows {
		fmt.Fprintf(&b, "%s,%d\n", key(i), n)
	}
	h.must(h.s3.Put("bucket", key(i), []byte(b.String())))
}

// complete sees to it that the table has each row of n files once.
func (h *house) complete(run *bucketload.Run, n int) {
	h.t.Helper()
	if run.Status != bucketload.StatusSucceeded || run.Error != nil || run.Rows.Loaded != int64(10*n) || run.Files.Loaded != int64(n) {
		h.t.Errorf("%+v, error %+v", run, run.Error)
	}
	if got, want := h.value("SELECT count(*) || ' ' || count(DISTINCT (f, n)) FROM t"), fmt.Sprint(10*n, " ", 10*n); got != want {
		h.t.Errorf("rows and distinct ones: %s, want %s", got, want)
	}
	if left := h.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'dataimport'"); left != "0" {
		h.t.Errorf("%s staging tables are left", left)
	}
}

// old is the table that was live before.
func (h *house) old() { h.exec("CREATE TABLE t AS SELECT 'old' AS f, 1 AS n") }

func (h *house) untouched() {
	h.t.Helper()
	if got := h.value("SELECT string_agg(f, ' ') FROM t"); got != "old" {
		h.t.Errorf("the live table has %s", got)
	}
}

// isGet says whether a request reads the object with this number.
func isGet(r *http.Request, i int) bool {
	return temp.Operation(r) == "GetObject" && r.URL.Path == "/bucket/"+key(i)
}

func TestTransientFaults(t *testing.T) {
	t.Parallel()
	for _, major := range temptest.Majors(t) {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, major)
			load := h.load(6)
			var n atomic.Int64
			h.s3.Fault(func(*http.Request) *temp.Fault {
				return map[int64]*temp.Fault{1: {Code: "SlowDown"}, 4: {CutAfter: -1}, 6: {CutAfter: 20}, 8: {Truncate: 15}, 10: {Status: 500}}[n.Add(1)]
			})
			run, err := Load(t.Context(), h.Steps, load)
			h.must(err)
			h.complete(run, 6)
			run, err = Load(t.Context(), h.Steps, load)
			h.must(err)
			h.complete(run, 6)
			if run.Backup == nil || *run.Backup != "databackup.t" {
				t.Errorf("backup %v", run.Backup)
			}
		})
	}
}

// TestRetries: 507 is transient, and not tried again below.
func TestRetries(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 0)
	load := h.load(4)
	var n atomic.Int64
	h.s3.Fault(func(r *http.Request) *temp.Fault {
		if isGet(r, 2) && n.Add(1) == 2 { // the first was for the samples
			return &temp.Fault{Status: http.StatusInsufficientStorage}
		}
		return nil
	})
	run, err := Load(t.Context(), h.Steps, load)
	h.must(err)
	h.complete(run, 4)
	if h.value("SELECT attempt FROM bucketload.runs") != "2" {
		t.Error("it was not a further try of the run")
	}
	if p := &h.Progress; p.LoadedFiles.Load() != 4 || p.FailedFiles.Load() != 0 || p.Rows.Load() != 40 || p.Bytes.Load() != p.PlannedBytes.Load() {
		t.Errorf("progress: %d loaded, %d failed, %d rows, %d of %d bytes", p.LoadedFiles.Load(), p.FailedFiles.Load(), p.Rows.Load(), p.Bytes.Load(), p.PlannedBytes.Load())
	}
	// Without further tries it fails, and a redrive goes on.
	n.Store(0)
	load.Retries = 0
	run, err = Load(t.Context(), h.Steps, load)
	if err == nil || run.Status != bucketload.StatusFailed || !strings.Contains(run.Error.Message, "02.csv") {
		t.Fatalf("%+v %v", run, err)
	}
	run, err = Redrive(t.Context(), h.Steps, *run.ID)
	h.must(err)
	h.complete(run, 4)
	if _, err = Redrive(t.Context(), h.Steps, *run.ID); err == nil || bucketload.AsError(err).Code != bucketload.CodeConflict {
		t.Errorf("a redrive of what has succeeded: %v", err)
	}
}

func TestPermanentFailure(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 0)
	h.old()
	load := h.load(5)
	load.Retries = 3
	h.must(h.s3.Put("bucket", key(2), []byte("f,n\nx,?\n")))
	run, err := Load(t.Context(), h.Steps, load)
	if bucketload.AsError(err).Code != bucketload.CodeTolerance || run.Status != bucketload.StatusFailed || run.Error == nil ||
		run.Error.Op != "copy" || !strings.Contains(run.Error.Message, "02.csv:2") {
		t.Errorf("%+v, %v", run.Error, err)
	}
	if h.value("SELECT attempt FROM bucketload.runs") != "1" {
		t.Error("a permanent failure was tried again")
	}
	h.untouched()
	// Mended, the run goes on with what is not loaded.
	h.put(2, 10)
	run, err = Redrive(t.Context(), h.Steps, *run.ID)
	h.must(err)
	h.complete(run, 5)
	for i := range 5 {
		if n := h.value(fmt.Sprintf("SELECT attempts FROM bucketload.files WHERE uri LIKE '%%%s'", key(i))); (n != "1") != (i == 2) {
			t.Errorf("%s was copied %s times", key(i), n)
		}
	}
}

// TestPlanFailsInEveryTry: each try counts, and the first error is the run's.
func TestPlanFailsInEveryTry(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 0)
	load := h.load(1)
	load.Retries = 2
	var n atomic.Int64
	h.s3.Fault(func(r *http.Request) *temp.Fault {
		if temp.Operation(r) != "ListObjectsV2" {
			return nil
		}
		return &temp.Fault{Status: http.StatusInsufficientStorage, Code: fmt.Sprintf("Fault%d", n.Add(1))}
	})
	run, err := Load(t.Context(), h.Steps, load)
	if err == nil || run.Status != bucketload.StatusFailed || run.Error == nil || run.Error.Op != "plan" || run.Error.Hint == "" || !strings.Contains(run.Error.Message, "Fault1") {
		t.Errorf("%+v %v", run.Error, err)
	}
	if got := h.value("SELECT attempt || ' ' || state FROM bucketload.runs"); got != "3 Cleanup" || n.Load() != 3 {
		t.Errorf("%s after %d listings", got, n.Load())
	}
}

// TestTakenMeanwhile: a process that was cut off, and whose run another one has
// redriven since, fails; the run goes on.
func TestTakenMeanwhile(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 0)
	load := h.load(3)
	load.Retries = 0
	var n atomic.Int64
	h.s3.Fault(func(r *http.Request) *temp.Fault {
		if !isGet(r, 1) || n.Add(1) != 2 {
			return nil
		}
		if _, err := h.Ledger.Resume(context.Background(), h.value("SELECT id FROM bucketload.runs"), ledger.Conductor{}); err != nil {
			t.Error(err)
		}
		return &temp.Fault{Status: http.StatusInsufficientStorage}
	})
	if run, err := Load(t.Context(), h.Steps, load); err == nil {
		t.Errorf("%+v", run)
	}
	if got := h.value("SELECT status || ' ' || attempt FROM bucketload.runs"); got != "running 2" {
		t.Errorf("the other's run is %s", got)
	}
}

// TestOutdatedRedrive: a run that another has overtaken says so, and stays as it is.
func TestOutdatedRedrive(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 0)
	load := h.load(3)
	h.must(h.s3.Put("bucket", key(2), []byte("f,n\nx,?\n")))
	failed, err := Load(t.Context(), h.Steps, load)
	if err == nil {
		t.Fatal(failed)
	}
	h.put(2, 10)
	run, err := Load(t.Context(), h.Steps, load)
	h.must(err)
	_, err = Redrive(t.Context(), h.Steps, *failed.ID)
	if e := bucketload.AsError(err); e == nil || e.Code != bucketload.CodeConflict || !strings.Contains(e.Message, "run "+*run.ID+" has loaded public.t since") {
		t.Errorf("%v", err)
	}
	h.complete(run, 3)
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 0)
	h.old()
	load := h.load(6)
	ctx, cancel := context.WithCancel(t.Context())
	var n atomic.Int64
	h.s3.Fault(func(r *http.Request) *temp.Fault {
		if isGet(r, 3) && n.Add(1) == 2 {
			cancel()
			return &temp.Fault{Delay: time.Minute} // it ends when the client goes
		}
		return nil
	})
	run, err := Load(ctx, h.Steps, load)
	if !errors.Is(err, context.Canceled) || run.Status != bucketload.StatusCancelled || run.Error == nil || !strings.Contains(run.Error.Hint, "redrive "+*run.ID) {
		t.Fatalf("%+v %v", run, err)
	}
	h.untouched()
	run, err = Redrive(t.Context(), h.Steps, *run.ID)
	h.must(err)
	h.complete(run, 6)
	// Cancelled before it begins, it never was.
	if run, err = Load(ctx, h.Steps, load); err == nil || run.Status != bucketload.StatusCancelled || run.ID != nil {
		t.Errorf("%+v %v", run, err)
	}
}

// TestCancelledInAnotherTry: the run is recorded as cancelled in that one too.
func TestCancelledInAnotherTry(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 0)
	load := h.load(3)
	ctx, cancel := context.WithCancel(t.Context())
	var n atomic.Int64
	h.s3.Fault(func(r *http.Request) *temp.Fault {
		if !isGet(r, 2) {
			return nil
		}
		switch n.Add(1) {
		case 2:
			return &temp.Fault{Status: http.StatusInsufficientStorage}
		case 3:
			cancel()
			return &temp.Fault{Delay: time.Minute}
		}
		return nil
	})
	run, err := Load(ctx, h.Steps, load)
	if err == nil || run.Status != bucketload.StatusCancelled {
		t.Errorf("%+v %v", run, err)
	}
	if got := h.value("SELECT status || ' ' || attempt FROM bucketload.runs"); got != "cancelled 2" {
		t.Errorf("the run is %s", got)
	}
}

func TestKilledProcess(t *testing.T) {
	t.Parallel()
	for _, major := range temptest.Majors(t) {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, major)
			h.old()
			load := h.load(6)
			reached := make(chan struct{})
			var n atomic.Int64
			h.s3.Fault(func(r *http.Request) *temp.Fault {
				if isGet(r, 4) && n.Add(1) == 2 {
					close(reached)
					return &temp.Fault{Delay: time.Minute}
				}
				return nil
			})
			cmd := h.start(load)
			select {
			case <-reached:
			case line := <-cmd.ended:
				t.Fatal(line)
			}
			id := h.value("SELECT id FROM bucketload.runs")
			if r, err := Redrive(t.Context(), h.Steps, id); err == nil || bucketload.AsError(err).Code != bucketload.CodeConflict {
				t.Errorf("a redrive of a run that is alive: %+v %v", r, err)
			}
			h.must(cmd.Process.Kill())
			_ = cmd.Wait()
			h.dead(id)
			h.untouched()
			run, err := Redrive(t.Context(), h.Steps, id)
			h.must(err)
			h.complete(run, 6)
			if h.value("SELECT count(*) FROM bucketload.files WHERE attempts <> 1") != "0" {
				t.Error("what was loaded has been loaded again")
			}
		})
	}
}

// TestKilledInEachState kills the process of a load as it enters a state, and
// starts again in both ways: the run goes on there, or another begins anew.
func TestKilledInEachState(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"Plan", "Prepare", "Copy", "Check", "Build", "Analyze", "Swap", "Cleanup"} {
		for _, again := range []string{"redrive", "load"} {
			t.Run(state+"/"+again, func(t *testing.T) {
				t.Parallel()
				h := newHouse(t, 0)
				h.old()
				load := h.load(6)
				load.Indexes = []string{"(n)", "(f, n)"}
				if state == "Cleanup" { // which takes a failure of the first try
					var n atomic.Int64
					h.s3.Fault(func(r *http.Request) *temp.Fault {
						if isGet(r, 2) && n.Add(1) == 2 {
							return &temp.Fault{Status: http.StatusInsufficientStorage}
						}
						return nil
					})
				}
				id := h.killedIn(load, state)
				h.untouched()
				if again == "load" {
					run, err := Load(t.Context(), h.Steps, load)
					h.must(err)
					h.complete(run, 6)
					return
				}
				run, err := Redrive(t.Context(), h.Steps, id)
				h.must(err)
				h.complete(run, 6)
				if *run.ID != id {
					t.Errorf("run %s, not %s", *run.ID, id)
				}
				if got := h.value("SELECT count(DISTINCT execution) || ' ' || min(id) || ' ' || (max(id) = count(*)) FROM bucketload.history"); got != "1 1 true" {
					t.Errorf("executions, first event, without gaps: %s", got)
				}
				if got := h.value("SELECT type FROM bucketload.history ORDER BY id DESC LIMIT 1"); got != "ExecutionSucceeded" {
					t.Errorf("last event %s", got)
				}
				if h.value("SELECT count(*) FROM bucketload.files WHERE attempts > 1 AND uri NOT LIKE '%02.csv'") != "0" {
					t.Error("what was loaded has been loaded again")
				}
				if got := h.value("SELECT count(*) FROM pg_indexes WHERE schemaname = 'public' AND tablename = 't'"); got != "2" {
					t.Errorf("%s indexes", got)
				}
			})
		}
	}
}

// TestKilledWhileGivingUp: a run whose process died when it was about to fail is
// tried again by a redrive, as one that has failed.
func TestKilledWhileGivingUp(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 0)
	load := h.load(3)
	h.must(h.s3.Put("bucket", key(2), []byte("f,n\nx,?\n")))
	id := h.killedAt(load, "status", "failed")
	h.put(2, 10)
	run, err := Redrive(t.Context(), h.Steps, id)
	h.must(err)
	h.complete(run, 3)
}

// TestKilledAndCancelled: a run that was cancelled goes on in an execution of its
// own. Its process may only have been frozen, and writes down the end of its own when it wakes.
func TestKilledAndCancelled(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 0)
	id := h.killedIn(h.load(3), "Check")
	first := h.value("SELECT execution FROM bucketload.runs")
	_, err := h.Ledger.Cancel(t.Context(), id)
	h.must(err)
	run, err := Redrive(t.Context(), h.Steps, id)
	h.must(err)
	h.complete(run, 3)
	if got := h.value("SELECT string_agg((name = '" + first + "') || ' ' || status, ', ' ORDER BY started_at) FROM bucketload.executions"); got != "true ABORTED, false SUCCEEDED" {
		t.Errorf("executions: %s", got)
	}
	if got := h.value("SELECT count(*) FROM bucketload.history WHERE execution = '" + first + "' AND type = 'ExecutionSucceeded'"); got != "0" {
		t.Error("the first execution has come to an end")
	}
}

// killedIn runs a load in a process of its own, and kills that as it has the
// ledger enter a state.
func (h *house) killedIn(load *bucketload.Load, state string) (run string) {
	h.t.Helper()
	return h.killedAt(load, "state", state)
}

// killedAt kills it as it sets a column of the run to a value.
func (h *house) killedAt(load *bucketload.Load, column, value string) (run string) {
	h.t.Helper()
	ctx := h.t.Context()
	h.must(h.Ledger.Migrate(ctx))
	h.exec(`CREATE FUNCTION public.stop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NEW; END'`)
	h.exec(`CREATE TRIGGER stop BEFORE UPDATE OF ` + column + ` ON bucketload.runs FOR EACH ROW WHEN (NEW.` + column + ` = '` + value + `') EXECUTE FUNCTION public.stop()`)
	held, err := h.Pool.Acquire(ctx)
	h.must(err)
	defer held.Release()
	_, err = held.Exec(ctx, "SELECT pg_advisory_lock(4711)")
	h.must(err)
	cmd := h.start(load)
	for h.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())") == "0" {
		select {
		case line := <-cmd.ended:
			h.t.Fatalf("it never came to %s: %s", value, line)
		default:
		}
	}
	run = h.value("SELECT id FROM bucketload.runs")
	h.must(cmd.Process.Kill())
	_ = cmd.Wait()
	_, err = held.Exec(ctx, "SELECT pg_advisory_unlock(4711)")
	h.must(err)
	h.exec("DROP TRIGGER stop ON bucketload.runs")
	h.exec("DROP FUNCTION public.stop()")
	h.dead(run)
	return run
}

// dead returns once the server has noticed that the run's process is.
func (h *house) dead(run string) {
	h.t.Helper()
	for {
		r, err := h.Ledger.Run(h.t.Context(), run)
		h.must(err)
		if !r.Alive {
			return
		}
	}
}

// process is a load in a process of its own.
type process struct {
	*exec.Cmd
	ended chan string // its last word, if it comes to an end
}

func (h *house) start(load *bucketload.Load) process {
	h.t.Helper()
	job, err := json.Marshal([]any{h.dsn, load})
	h.must(err)
	p := process{exec.Command(os.Args[0]), make(chan string, 1)}
	p.Env = append(os.Environ(), loader+"="+string(job))
	out, err := p.StdoutPipe()
	h.must(err)
	h.must(p.Start())
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		p.ended <- line
	}()
	return p
}

func TestTwoLoadsOfOneTable(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 0)
	load := h.load(3)
	first := make(chan string)
	proceed := make(chan struct{})
	var n atomic.Int64
	h.s3.Fault(func(r *http.Request) *temp.Fault {
		if isGet(r, 1) && n.Add(1) == 2 {
			first <- h.value("SELECT id FROM bucketload.runs")
			<-proceed
		}
		return nil
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		run, err := Load(t.Context(), h.Steps, load)
		if err != nil {
			t.Error(err)
			return
		}
		h.complete(run, 3)
	})
	id := <-first
	run, err := Load(t.Context(), h.Steps, load)
	if bucketload.AsError(err).Code != bucketload.CodeConflict || !strings.Contains(err.Error(), id) || run.ID != nil || run.Status != bucketload.StatusFailed {
		t.Errorf("%+v %v", run, err)
	}
	close(proceed)
	wg.Wait()
}

// TestBackendsKilled ends every backend of the run but the one that holds it,
// in the middle of a copy.
func TestBackendsKilled(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 0)
	load := h.load(4)
	var n atomic.Int64
	h.s3.Fault(func(r *http.Request) *temp.Fault {
		if isGet(r, 1) && n.Add(1) == 2 {
			h.exec(`SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity a WHERE datname = current_database() AND pid <> pg_backend_pid()
				AND backend_type = 'client backend' AND query NOT LIKE 'LISTEN%'`)
		}
		return nil
	})
	run, err := Load(t.Context(), h.Steps, load)
	h.must(err)
	h.complete(run, 4)
}

func TestEmptyRedrive(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 0)
	_, err := Redrive(t.Context(), h.Steps, "nope")
	if e := bucketload.AsError(err); e.Code != bucketload.CodeUsage || !strings.Contains(e.Message, "no ledger") {
		t.Error(err)
	}
	h.must(h.Ledger.Migrate(t.Context()))
	_, err = Redrive(t.Context(), h.Steps, "nope")
	if e := bucketload.AsError(err); e.Code != bucketload.CodeUsage || !slices.Contains(strings.Fields(e.Message), `"nope"`) {
		t.Error(err)
	}
}
