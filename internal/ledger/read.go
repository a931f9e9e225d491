package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
)

// Run is a run as the ledger knows it.
type Run struct {
	bucketload.Run
	State     string     `json:"state"`
	StartedAt time.Time  `json:"started_at"`
	ResumedAt *time.Time `json:"resumed_at,omitempty"` // when one last went on with it
	EndedAt   *time.Time `json:"ended_at"`

	Replaced   int64 `json:"replaced,omitempty"`   // characters that were replaced or left out, as the configuration says
	Duplicates int64 `json:"duplicates,omitempty"` // rows that on_duplicate left out

	Load      *bucketload.Load `json:"-"`
	Staging   bool             `json:"-"`         // rows go to the run's staging table, not into the live one
	Merges    bool             `json:"-"`         // and from there they are put among those of the live table
	Published bool             `json:"-"`         // its rows are, or have been, the live table
	Alive     bool             `json:"-"`         // somebody conducts it at this moment, as far as the ledger knows
	Conductor string           `json:"-"`         // Process, StepFunctions or Events
	Execution *string          `json:"execution"` // the state machine execution that conducts it, or did last
	Attempt   int              `json:"-"`
}

const runColumns = `
	SELECT r.id, r.table_schema || '.' || r.table_name, r.status, r.mode, r.state, r.started_at, r.resumed_at, r.ended_at, r.backup, r.validate, r.error,
		r.load, r.staging, r.merges, r.published_at IS NOT NULL,
		extract(epoch FROM coalesce(r.ended_at, clock_timestamp()) - coalesce(r.resumed_at, r.started_at))::float8,
		f.planned, f.loaded, f.failed, f.skipped, f.rows, f.rejected, f.replaced, f.duplicates, f.bytes, r.conductor, r.execution, r.attempt,
		CASE r.conductor WHEN 'step_functions' THEN true WHEN 'events' THEN r.seen_at >= clock_timestamp() - interval '` + deadSilence + `'
		ELSE hashtextextended('bucketload hold ' || r.id, 0) IN (SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks
			WHERE locktype = 'advisory' AND objsubid = 1 AND granted
			  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) END
	FROM bucketload.runs r CROSS JOIN LATERAL (
		SELECT count(*) FILTER (WHERE state <> 'skipped') AS planned, count(*) FILTER (WHERE state = 'loaded') AS loaded,
			count(*) FILTER (WHERE state = 'failed') AS failed, count(*) FILTER (WHERE state = 'skipped') AS skipped,
			coalesce(sum(rows), 0)::bigint AS rows, coalesce(sum(rejected), 0)::bigint AS rejected, coalesce(sum(replaced), 0)::bigint AS replaced, coalesce(sum(duplicates), 0)::bigint AS duplicates,
			coalesce(sum(size) FILTER (WHERE state = 'loaded'), 0)::bigint AS bytes
		FROM bucketload.files WHERE run = r.id) f `

func scanRun(row pgx.CollectableRow) (*Run, error) {
	r := &Run{Load: new(bucketload.Load)}
	var cause, load []byte
	err := row.Scan(&r.ID, &r.Table, &r.Status, &r.Mode, &r.State, &r.StartedAt, &r.ResumedAt, &r.EndedAt, &r.Backup, &r.Unvalidated, &cause,
		&load, &r.Staging, &r.Merges, &r.Published, &r.Seconds,
		&r.Files.Planned, &r.Files.Loaded, &r.Files.Failed, &r.Files.Skipped, &r.Rows.Loaded, &r.Rows.Rejected, &r.Replaced, &r.Duplicates, &r.Bytes,
		&r.Conductor, &r.Execution, &r.Attempt, &r.Alive)
	if err != nil {
		return nil, err
	}
	if cause != nil {
		if err := json.Unmarshal(cause, &r.Error); err != nil {
			return nil, err
		}
	}
	if err := json.Unmarshal(load, r.Load); err != nil {
		return nil, err
	}
	return r, nil
}

// died is the error of a run that the ledger has as running and nobody conducts.
func died(run string) *bucketload.RunError {
	return &bucketload.RunError{Op: "load", Message: "its process died", Hint: "bucketload redrive " + run}
}

// Run reads one run. One that is running and that nobody conducts is shown as
// failed.
func (l *Ledger) Run(ctx context.Context, run string) (*Run, error) {
	r, err := l.run(ctx, run)
	if err != nil || r.Alive || r.Status != bucketload.StatusRunning {
		return r, err
	}
	// It may have ended while it was read: after its row, before its lock.
	if r, err = l.run(ctx, run); err == nil && !r.Alive && r.Status == bucketload.StatusRunning {
		r.Status = bucketload.StatusFailed
		if r.Error == nil {
			r.Error = died(run)
		}
	}
	return r, err
}

func (l *Ledger) run(ctx context.Context, run string) (*Run, error) {
	rows, err := l.pool.Query(ctx, runColumns+`WHERE r.id = $1`, run)
	if err != nil {
		return nil, bucketload.DatabaseError("ledger", err)
	}
	r, err := pgx.CollectExactlyOneRow(rows, scanRun)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, unknownRun(run)
	}
	return r, bucketload.DatabaseError("ledger", err)
}

func unknownRun(run string) error {
	return &bucketload.Error{Op: "ledger", Code: bucketload.CodeUsage, Message: fmt.Sprintf("there is no run %q in this database", run),
		Hint: "list them: bucketload runs"}
}

// Runs calls yield for every run, newest first.
func (l *Ledger) Runs(ctx context.Context, yield func(*Run) error) error {
	return each(ctx, l, scanRun, func(r *Run) error {
		if r.Status == bucketload.StatusRunning && !r.Alive {
			var err error
			if r, err = l.Run(ctx, *r.ID); err != nil {
				return err
			}
		}
		return yield(r)
	}, runColumns+`ORDER BY r.started_at DESC, r.id DESC`)
}

// Files calls yield for every file of the run, newest first: the last of the
// listing at the top. state "" is every state.
func (l *Ledger) Files(ctx context.Context, run string, state bucketload.FileState, yield func(*bucketload.File) error) error {
	return each(ctx, l, func(row pgx.CollectableRow) (*bucketload.File, error) {
		var f bucketload.File
		return &f, row.Scan(&f.URI, &f.State, &f.Rows, &f.Rejected, &f.Replaced, &f.Duplicates, &f.Bytes, &f.Attempts, &f.Error)
	}, yield, `SELECT uri, state, rows, rejected, replaced, duplicates, size, attempts, error FROM bucketload.files
		WHERE run = $1 AND ($2 = '' OR state = $2) ORDER BY no DESC`, run, string(state))
}

func each[T any](ctx context.Context, l *Ledger, scan func(pgx.CollectableRow) (T, error), yield func(T) error, sql string, args ...any) error {
	rows, err := l.pool.Query(ctx, sql, args...)
	if err != nil {
		return bucketload.DatabaseError("ledger", err)
	}
	defer rows.Close()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return bucketload.DatabaseError("ledger", err)
		}
		if err := yield(v); err != nil {
			return err
		}
	}
	return bucketload.DatabaseError("ledger", rows.Err())
}
