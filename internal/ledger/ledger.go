// Package ledger keeps what bucketload knows in schema bucketload of the
// target database: runs, batches, files and backups. It is the only memory,
// and the locks it takes there are what makes every row load exactly once:
//
//   - a run's conductor holds the run (Hold), so that a dead run can be told
//     from a slow one;
//   - a copy transaction shares the run (Join) and holds its batch (Lease), so that
//     no two workers load a batch, and none writes once the run has moved on;
//   - Finish and Cleanup move the run on and then wait for every copy (Settle).
package ledger

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bucketload/bucketload"
)

// Ledger reads and writes schema bucketload.
type Ledger struct {
	pool *pgxpool.Pool

	// Running says whether an execution of Step Functions is still running.
	// Where it is nil, or fails, a run that one conducts is taken for alive.
	Running func(ctx context.Context, execution string) (bool, error)
}

// New gives the ledger of the database that pool connects to. It does nothing
// until Migrate.
func New(pool *pgxpool.Pool) *Ledger { return &Ledger{pool: pool} }

// States of a run: the steps of its state machine.
const (
	StatePlan    = "Plan"
	StatePrepare = "Prepare"
	StateCopy    = "Copy"
	StateCheck   = "Check"
	StateBuild   = "Build"
	StateAnalyze = "Analyze"
	StateSwap    = "Swap"
	StateCleanup = "Cleanup"
)

// states are in the order in which a try of a run goes through them, never back.
var states = []string{StatePlan, StatePrepare, StateCopy, StateCheck, StateBuild, StateAnalyze, StateSwap, StateCleanup}

// Try is one try of a run. Every call of a step names its own, so that one
// that comes late, from a try given up, changes nothing. Attempt counts from 1
// over all redrives; 0 is whichever is under way, for callers that know none.
type Try struct {
	Run     string `json:"run"`
	Attempt int    `json:"attempt"`
}

// Kinds of conductors, and how the ledger knows that one is dead.
const (
	Process       = "process"        // one of ours: it holds the run's lock
	StepFunctions = "step_functions" // an execution on AWS: asked by Ledger.Running
	Events        = "events"         // somebody who names the table only: silent for deadSilence
)

// deadSilence is longer than a Lambda function may run (15 minutes): after it
// nothing can be under way of a run whose conductor only sends events.
const deadSilence = "16 minutes"

// Conductor is who conducts a run; the zero value is this process.
type Conductor struct {
	Kind      string // default Process
	Execution string // the ARN of a StepFunctions execution
}

func (c Conductor) kind() string { return cmp.Or(c.Kind, Process) }

func (c Conductor) execution() *string {
	if c.Execution == "" {
		return nil
	}
	return &c.Execution
}

// ErrTaken is returned by Begin where another run has the id.
var ErrTaken = errors.New("another run has the id")

// Begin writes a new run. Where the table has a running run already, it is an
// error naming it, unless that run's conductor is dead: then it is marked failed
// (its staging stays for a redrive), dead names it, and the new run begins.
// Called twice it begins one run. ErrTaken where another run has the id.
func (l *Ledger) Begin(ctx context.Context, id string, load *bucketload.Load, by Conductor) (dead string, err error) {
	definition, err := json.Marshal(load)
	if err != nil {
		return "", err
	}
	if err := l.adopt(ctx, load.Table); err != nil {
		return "", err
	}
	for {
		_, err = l.pool.Exec(ctx, `WITH run AS (
			INSERT INTO bucketload.runs (id, table_schema, table_name, mode, load, conductor, execution, generation, table_oid, ledger_oid, started_at)
				SELECT $1, $2, $3, $4, $5, $6, $7, `+generation("$2", "$3", "t.oid")+`, t.oid, `+ledgerOID+`, `+later("$2", "$3")+`
				FROM (SELECT `+liveOID("$2", "$3")+` AS oid) t)
			INSERT INTO bucketload.executions (name, run, machine) SELECT $7, $1, '' WHERE $7 IS NOT NULL`, id, load.Table.Schema, load.Table.Name, load.Mode, definition, by.kind(), by.execution())
		if err == nil {
			return dead, bucketload.DatabaseError("ledger", l.endStragglers(ctx, load.Table))
		}
		pg, ok := errors.AsType[*pgconn.PgError](err)
		if !ok || pg.ConstraintName != "runs_one_active" && pg.ConstraintName != "runs_pkey" {
			return dead, bucketload.DatabaseError("ledger", err)
		}
		other, err := l.Active(ctx, load.Table)
		switch {
		case err != nil:
			return dead, err
		case other == id: // the reply to an earlier call was lost, or what follows it failed
			return dead, bucketload.DatabaseError("ledger", l.endStragglers(ctx, load.Table))
		case pg.ConstraintName == "runs_pkey":
			return dead, ErrTaken
		case other == "":
			continue // it has just ended
		}
		alive, marked, err := l.markDead(ctx, other, false)
		if err != nil {
			return dead, err
		}
		if alive {
			return dead, &bucketload.Error{Op: "load", Code: bucketload.CodeConflict,
				Message: fmt.Sprintf("run %s is loading %s at this moment", other, load.Table),
				Hint:    fmt.Sprintf("wait for it, or look: bucketload status %s; or stop it: bucketload cancel %s", other, other)}
		}
		if marked {
			dead = other
		}
	}
}

// endStragglers is endCopies for all runs of a table that came to nothing: who
// marked one of them dead may have died before it did that.
func (l *Ledger) endStragglers(ctx context.Context, table bucketload.TableName) error {
	rows, err := l.pool.Query(ctx, `
		SELECT DISTINCT r.id FROM bucketload.runs r, pg_locks l
		WHERE r.table_schema = $1 AND r.table_name = $2 AND r.status IN ('failed', 'cancelled')
		  AND l.locktype = 'advisory' AND l.objsubid = 1 AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
		  AND (l.classid::bigint << 32) | l.objid::bigint = hashtextextended('bucketload copy ' || r.id, 0)`, table.Schema, table.Name)
	if err != nil {
		return err
	}
	runs, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, run := range runs {
		if err == nil {
			err = l.endCopies(ctx, run)
		}
	}
	return err
}

// Active gives the running run of a table, dead or alive; "" where there is none.
func (l *Ledger) Active(ctx context.Context, table bucketload.TableName) (run string, err error) {
	err = l.pool.QueryRow(ctx, `SELECT id FROM bucketload.runs
		WHERE table_schema = $1 AND table_name = $2 AND status = 'running'`, table.Schema, table.Name).Scan(&run)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	return run, bucketload.DatabaseError("ledger", err)
}

// ConductedBy gives the run that an execution of Step Functions conducts, or
// has conducted; "" where it has begun none.
func (l *Ledger) ConductedBy(ctx context.Context, execution string) (run string, err error) {
	err = l.pool.QueryRow(ctx, `SELECT run FROM bucketload.executions WHERE name = $1`, execution).Scan(&run)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	return run, bucketload.DatabaseError("ledger", err)
}

// endCopies returns once no copy of an ended run is in flight, and none can
// come: what its backends had not committed is rolled back. Another that does
// the same at once may take our backend for one of them, or end one that has
// just come back to the pool: then it is done again.
func (l *Ledger) endCopies(ctx context.Context, run string) error {
	const adminShutdown = "57P01"
	for {
		_, err := l.EndCopies(ctx, run)
		if err == nil {
			err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error { return Settle(ctx, tx, run) })
		}
		if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != adminShutdown {
			return err
		}
	}
}

// Advisory lock keys, of the run's id as $1.
const (
	holdKey = `hashtextextended('bucketload hold ' || $1, 0)` // its conductor's, for as long as it lives
	copyKey = `hashtextextended('bucketload copy ' || $1, 0)` // shared by copies and checks, taken alone by WritePlan and Settle
)

// errDry takes back what a dry run has found out by doing it.
var errDry = errors.New("dry run")

// markDead marks a running run failed if nobody conducts it; with dry it only says
// that it would be. It is neither alive nor marked where it has just ended by itself.
func (l *Ledger) markDead(ctx context.Context, run string, dry bool) (alive, marked bool, err error) {
	cause, err := json.Marshal(died(run))
	if err != nil {
		return false, false, err
	}
	asked, running, err := l.executes(ctx, run)
	if err != nil {
		return false, false, err
	}
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		var free bool
		if err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock(`+holdKey+`)`, run).Scan(&free); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `UPDATE bucketload.runs SET status = 'failed', ended_at = clock_timestamp(), error = coalesce(error, $2)
			WHERE id = $1 AND status = 'running' AND CASE conductor WHEN 'process' THEN $3
				WHEN 'events' THEN seen_at < clock_timestamp() - interval '`+deadSilence+`' ELSE NOT $4 AND execution = $5 END`, run, cause, free, running, asked)
		if err != nil {
			return err
		}
		marked = tag.RowsAffected() > 0
		switch {
		case marked && dry:
			return errDry
		case marked:
			return nil
		}
		return tx.QueryRow(ctx, `SELECT status = 'running' FROM bucketload.runs WHERE id = $1`, run).Scan(&alive)
	})
	if errors.Is(err, errDry) {
		err = nil
	}
	return alive, marked, bucketload.DatabaseError("ledger", err)
}

// Dead marks a running run failed if nobody conducts it, ends what is left of it
// in flight, and says whether somebody conducts it.
func (l *Ledger) Dead(ctx context.Context, run string) (alive bool, err error) {
	alive, marked, err := l.markDead(ctx, run, false)
	if err == nil && marked {
		err = bucketload.DatabaseError("ledger", l.endCopies(ctx, run))
	}
	return alive, err
}

// executes gives the execution of Step Functions that conducts the run, if one
// does, and says whether it is running, or may be.
func (l *Ledger) executes(ctx context.Context, run string) (execution string, running bool, err error) {
	err = l.pool.QueryRow(ctx, `SELECT coalesce(execution, '') FROM bucketload.runs WHERE id = $1 AND conductor = 'step_functions'`, run).Scan(&execution)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", false, nil
	}
	if err != nil || l.Running == nil {
		return execution, true, bucketload.DatabaseError("ledger", err)
	}
	running, err = l.Running(ctx, execution)
	return execution, running || err != nil, nil
}

// Enter moves a try of a running run on to a state. It is CodeFenced where the
// run has been ended, or has come further without the caller.
func (l *Ledger) Enter(ctx context.Context, try Try, state string) error {
	tag, err := l.pool.Exec(ctx, `UPDATE bucketload.runs SET state = $3, seen_at = clock_timestamp()
		WHERE id = $1 AND status = 'running' AND $2 IN (0, attempt) AND array_position($4::text[], state) <= array_position($4, $3)`,
		try.Run, try.Attempt, state, states)
	if err != nil {
		return bucketload.DatabaseError("ledger", err)
	}
	if tag.RowsAffected() == 0 {
		return fenced(try.Run)
	}
	return nil
}

func fenced(run string) error {
	return &bucketload.Error{Op: "load", Code: bucketload.CodeFenced,
		Message: fmt.Sprintf("run %s has ended or moved on: this call of a step comes too late", run),
		Hint:    "bucketload status " + run}
}

// readCommitted begins the transactions that wait for a lock to see what its
// holder did: whatever the role's default isolation, a snapshot taken before
// the wait would not show it.
const readCommitted = `SET TRANSACTION ISOLATION LEVEL READ COMMITTED`

// attended ends a transaction whose process says nothing for a minute, as one
// that is frozen: others wait for what it has locked.
const attended = `SET LOCAL idle_in_transaction_session_timeout = '1min'`

// Settle waits, at the beginning of tx, until no copy of the run is in flight,
// and keeps new ones out until tx ends. Enter another state first. A process that
// is silent for a minute within tx loses it.
func Settle(ctx context.Context, tx pgx.Tx, run string) error {
	if _, err := tx.Exec(ctx, attended); err != nil {
		return bucketload.DatabaseError("ledger", err)
	}
	return bucketload.DatabaseError("ledger", alone(ctx, tx, run))
}

// alone waits, at the beginning of tx, until no transaction shares the run's
// lock, and keeps others out until tx ends.
func alone(ctx context.Context, tx pgx.Tx, run string) error {
	if _, err := tx.Exec(ctx, readCommitted); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(`+copyKey+`)`, run)
	return err
}

// SwapAlone waits until no other swap in this database is under way, and keeps
// others waiting until tx ends: tables of several schemas may have one name,
// and their backups, and what belongs to these, must not.
func SwapAlone(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('bucketload swap', 0))`)
	return bucketload.DatabaseError("ledger", err)
}

// Resume makes a run running again, for a redrive by the conductor that has
// it, and gives its new try: its failed files are planned anew, its loaded ones
// stay. Once a build step is done, nothing is planned anew. A run that the ledger has as running is dead, as the caller has made
// sure. It is an error, and the run stays as it is, where MayResume is one, or
// another run of the table is running.
func (l *Ledger) Resume(ctx context.Context, run string, by Conductor) (Try, error) {
	return l.resume(ctx, run, by, true)
}

// TakeUp is Resume for a conductor that goes on where a dead one stopped: in
// the state that it had, and with nothing planned anew.
func (l *Ledger) TakeUp(ctx context.Context, run string, by Conductor) (Try, error) {
	return l.resume(ctx, run, by, false)
}

func (l *Ledger) resume(ctx context.Context, run string, by Conductor, anew bool) (Try, error) {
	try := Try{Run: run}
	r, err := l.Run(ctx, run)
	if err != nil {
		return try, err
	}
	if err := over(r); err != nil {
		return try, err
	}
	death, err := json.Marshal(died(run))
	if err != nil {
		return try, err
	}
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, readCommitted); err != nil {
			return err
		}
		if has, err := l.has(ctx, tx, run, by); err != nil || has > 0 {
			try.Attempt = has // the reply to an earlier call was lost
			return err
		}
		// First of all the place of the table's one active run, so that no other
		// can come and go after the look at them. No copy begins before Copy is
		// entered again.
		err := tx.QueryRow(ctx, `UPDATE bucketload.runs SET status = 'running', ended_at = NULL,
				state = CASE WHEN $2 THEN 'Plan' ELSE state END, attempt = attempt + 1,
				error = CASE WHEN $2 OR error = $3 THEN NULL ELSE error END,
				conductor = $4, execution = $5, resumed_at = `+later("runs.table_schema", "runs.table_name")+`, seen_at = clock_timestamp()
			WHERE id = $1 AND published_at IS NULL
			RETURNING attempt`, run, anew, death, by.kind(), by.execution()).Scan(&try.Attempt)
		if errors.Is(err, pgx.ErrNoRows) {
			return fenced(run)
		}
		if err != nil {
			return err
		}
		if by.Execution != "" {
			if _, err := tx.Exec(ctx, `INSERT INTO bucketload.executions (name, run, machine) VALUES ($1, $2, '') ON CONFLICT (name) DO NOTHING`, by.Execution, run); err != nil {
				return err
			}
		}
		if err := overtaken(ctx, tx, r); err != nil {
			return err
		}
		if !anew {
			return nil
		}
		return again(ctx, tx, run, false)
	})
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.ConstraintName == "runs_one_active" {
		err = refused(fmt.Sprintf("another run is loading %s at this moment", r.Load.Table), "bucketload runs")
	}
	if err != nil {
		return Try{Run: run}, bucketload.DatabaseError("redrive", err) // it is as it was
	}
	return try, nil
}

// has gives the try that a Step Functions execution has of a running run; 0
// where it has none. It locks the run.
func (l *Ledger) has(ctx context.Context, tx pgx.Tx, run string, by Conductor) (attempt int, err error) {
	err = tx.QueryRow(ctx, `SELECT CASE WHEN status = 'running' AND conductor = 'step_functions' AND execution = $2 THEN attempt ELSE 0 END
		FROM bucketload.runs WHERE id = $1 FOR NO KEY UPDATE`, run, by.execution()).Scan(&attempt)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	return attempt, err
}

// Again gives a further try of a running run, after the one given: files whose
// failure was transient are planned anew, unless a build step is done. Called twice it gives the same.
// CodeFenced where someone else ended the run, or it has come further.
func (l *Ledger) Again(ctx context.Context, try Try) (Try, error) {
	next := Try{Run: try.Run, Attempt: try.Attempt + 1}
	return next, bucketload.DatabaseError("ledger", pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		var attempt int
		err := tx.QueryRow(ctx, `SELECT attempt FROM bucketload.runs WHERE id = $1 AND status = 'running' FOR UPDATE`, try.Run).Scan(&attempt)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return fenced(try.Run)
		case err != nil || attempt == next.Attempt:
			return err
		case attempt != try.Attempt:
			return fenced(try.Run)
		}
		if _, err := tx.Exec(ctx, `UPDATE bucketload.runs SET attempt = $2, state = 'Plan', seen_at = clock_timestamp() WHERE id = $1`, try.Run, next.Attempt); err != nil {
			return err
		}
		return again(ctx, tx, try.Run, true)
	}))
}

// Blame records what a try failed for, while the run may be tried again. The
// first blame stays, and is given.
func (l *Ledger) Blame(ctx context.Context, try Try, cause *bucketload.RunError) (*bucketload.RunError, error) {
	data, err := json.Marshal(cause)
	if err != nil {
		return nil, err
	}
	first := new(bucketload.RunError)
	err = l.pool.QueryRow(ctx, `UPDATE bucketload.runs SET error = coalesce(error, $2), seen_at = clock_timestamp()
		WHERE id = $1 AND status = 'running' AND $3 IN (0, attempt) RETURNING error`, try.Run, data, try.Attempt).Scan(first)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, fenced(try.Run)
	}
	return first, bucketload.DatabaseError("ledger", err)
}

// End records how the run ended: the status, and for all but a success the
// first cause. A run that has ended already, or that a later try has, stays as
// it is.
func (l *Ledger) End(ctx context.Context, try Try, status bucketload.Status, cause *bucketload.RunError) error {
	var data []byte
	if cause != nil {
		var err error
		if data, err = json.Marshal(cause); err != nil {
			return err
		}
	}
	_, err := l.pool.Exec(ctx, `UPDATE bucketload.runs SET status = $2, error = $3, ended_at = clock_timestamp()
		WHERE id = $1 AND status = 'running' AND $4 IN (0, attempt)`, try.Run, status, data, try.Attempt)
	return bucketload.DatabaseError("ledger", err)
}
