package conduct

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/steps"
	"github.com/bucketload/bucketload/internal/temp"
)

// cutter ends the backends that are about to get these statements, one after the
// other.
type cutter struct {
	*house
	mu   sync.Mutex
	left []string // words of the statements
}

func (c *cutter) TraceQueryStart(ctx context.Context, conn *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.left) > 0 && strings.Contains(q.SQL, c.left[0]) {
		c.left = c.left[1:]
		if _, err := c.Pool.Exec(context.WithoutCancel(ctx), "SELECT pg_terminate_backend($1, 5000)", conn.PgConn().PID()); err != nil {
			c.t.Error(err)
		}
	}
	return ctx
}

func (c *cutter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// cut gives the steps on connections that are cut at these statements.
func (h *house) cut(statements ...string) (*cutter, *steps.Steps) {
	h.t.Helper()
	c := &cutter{house: h, left: statements}
	config, err := pgxpool.ParseConfig(h.dsn)
	h.must(err)
	config.ConnConfig.Tracer = c
	pool, err := pgxpool.NewWithConfig(h.t.Context(), config)
	h.must(err)
	h.t.Cleanup(pool.Close)
	return c, steps.New(pool, slog.New(slog.DiscardHandler))
}

// all sees to it that there was each of the statements.
func (c *cutter) all() {
	c.t.Helper()
	if len(c.left) > 0 {
		c.t.Errorf("not cut at %q", c.left)
	}
}

// TestCutAroundTheMachine: a connection that is lost before the state machine
// begins, or after its end, costs nothing but time.
func TestCutAroundTheMachine(t *testing.T) {
	t.Parallel()
	const hold, ending = "pg_try_advisory_lock(", "UPDATE bucketload.executions SET status"
	h := newHouse(t, 0)
	load := h.load(3)
	cutter, s := h.cut("has_database_privilege(", hold, "INSERT INTO bucketload.runs (", "SELECT DISTINCT r.id", ending)
	run, err := Load(t.Context(), s, load)
	h.must(err)
	h.complete(run, 3)
	cutter.all()
	if n := h.value("SELECT count(*) FROM bucketload.runs"); n != "1" {
		t.Errorf("%s runs", n)
	}

	h.must(h.s3.Put("bucket", key(1), []byte("f,n\nx,?\n")))
	cutter, s = h.cut(ending, "SET status = $2, error = $3", "CROSS JOIN LATERAL")
	run, err = Load(t.Context(), s, load)
	if bucketload.AsError(err).Code != bucketload.CodeTolerance || run.Status != bucketload.StatusFailed || run.Files.Planned != 3 {
		t.Errorf("%+v, %v", run, err)
	}
	cutter.all()

	h.put(1, 10)
	cutter, s = h.cut("to_regclass('bucketload.migrations')", "has_database_privilege(", "CROSS JOIN LATERAL", hold, "SELECT name, machine, status",
		"SET status = 'running', ended_at = NULL", "count(*) FILTER (WHERE pg_terminate_backend(pid))", ending)
	run, err = Redrive(t.Context(), s, *run.ID)
	h.must(err)
	h.complete(run, 3)
	cutter.all()
}

// TestEndedWhileItLooks: a redrive that looks failed files up anew has the run no
// longer once that is cancelled, or once another has gone on with it.
func TestEndedWhileItLooks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		meanwhile func(h *house, id string) error
		fault     temp.Fault
		code      bucketload.Code
		left      string
	}{
		"cancelled": {func(h *house, id string) error {
			_, err := h.Ledger.Cancel(context.Background(), id)
			return err
		}, temp.Fault{Delay: time.Minute}, bucketload.CodeCancelled, "cancelled 2"},
		"taken": {func(h *house, id string) error {
			if err := h.Ledger.End(context.Background(), ledger.Try{Run: id}, bucketload.StatusFailed, nil); err != nil {
				return err
			}
			_, err := h.Ledger.Resume(context.Background(), id, ledger.Conductor{})
			return err
		}, temp.Fault{Status: http.StatusInsufficientStorage}, bucketload.CodeFenced, "running 3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, 0)
			load := h.load(3)
			h.must(h.s3.Put("bucket", key(1), []byte("f,n\nx,?\n")))
			run, err := Load(t.Context(), h.Steps, load)
			if bucketload.AsError(err).Code != bucketload.CodeTolerance {
				t.Fatalf("%+v, %v", run, err)
			}
			id := *run.ID
			h.put(1, 10)
			var n atomic.Int64
			ended := make(chan struct{})
			h.s3.Fault(func(*http.Request) *temp.Fault {
				if n.Add(1) != 1 {
					return nil
				}
				defer close(ended)
				if err := c.meanwhile(h, id); err != nil {
					t.Error(err)
				}
				return &c.fault
			})
			run, err = Redrive(t.Context(), h.Steps, id)
			<-ended // of which the redrive may hear before it is done
			if err == nil || bucketload.AsError(err).Code != c.code {
				t.Errorf("%+v, %v", run, err)
			}
			if got := h.value("SELECT status || ' ' || attempt FROM bucketload.runs"); got != c.left {
				t.Errorf("the run is %s", got)
			}
			if n.Load() != 1 {
				t.Errorf("%d requests", n.Load())
			}
		})
	}
}

// TestTakenID: a load whose id another process or run has already takes another one.
func TestTakenID(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 0)
	h.must(h.Ledger.Migrate(t.Context()))
	h.exec(`CREATE SEQUENCE public.holds; CREATE SEQUENCE public.begun;
		CREATE FUNCTION public.pg_try_advisory_lock(key bigint) RETURNS bool LANGUAGE sql AS
			'SELECT CASE WHEN nextval(''public.holds'') = 1 THEN false ELSE pg_catalog.pg_try_advisory_lock(key) END';
		CREATE FUNCTION public.begin() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN
			IF nextval(''public.begun'') = 1 THEN RAISE unique_violation USING CONSTRAINT = ''runs_pkey''; END IF; RETURN NEW; END';
		CREATE TRIGGER begin BEFORE INSERT ON bucketload.runs FOR EACH ROW EXECUTE FUNCTION public.begin()`)
	config := h.Pool.Config()
	config.ConnConfig.RuntimeParams["search_path"] = "public, pg_catalog"
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	h.must(err)
	t.Cleanup(pool.Close)
	run, err := Load(t.Context(), steps.New(pool, slog.New(slog.DiscardHandler)), h.load(2))
	h.must(err)
	h.complete(run, 2)
	if got := h.value("SELECT (SELECT last_value FROM public.holds) || ' ' || (SELECT last_value FROM public.begun)"); got != "3 2" {
		t.Errorf("holds and beginnings: %s", got)
	}
}
