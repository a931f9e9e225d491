// Package ledger keeps what bucketload knows in schema bucketload of the
// target database: runs, batches, files and backups. It is the only memory,
// and the locks it takes there are what makes every row load exactly once:
//
//   - a run's conductor holds the run (Hold), so that a dead run can be told
//     from a slow one;
//   - a copy transaction holds its batch and shares the run (Lease), so that
//     no two workers load a batch, and none writes once the run has moved on;
//   - Finish and Cleanup move the run on and then wait for every copy (Settle).
package ledger

import (
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
}

// New gives the ledger of the database that pool connects to. It does nothing
// until Migrate.
func New(pool *pgxpool.Pool) *Ledger { return &Ledger{pool: pool} }

// States of a run: the steps of its state machine.
const (
	StatePlan    = "Plan"
	StatePrepare = "Prepare"
	StateCopy    = "Copy"
	StateFinish  = "Finish"
	StateCleanup = "Cleanup"
)

// Begin writes a new run. Where the table has a running run already, it is an
// error naming it, unless that run's process is dead: then it is marked failed
// (its staging stays for a redrive), dead names it, and the new run begins.
func (l *Ledger) Begin(ctx context.Context, id string, load *bucketload.Load) (dead string, err error) {
	definition, err := json.Marshal(load)
	if err != nil {
		return "", err
	}
	for {
		_, err = l.pool.Exec(ctx, `INSERT INTO bucketload.runs (id, table_schema, table_name, mode, load)
			VALUES ($1, $2, $3, $4, $5)`, id, load.Table.Schema, load.Table.Name, load.Mode, definition)
		if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.ConstraintName != "runs_one_active" {
			return dead, bucketload.DatabaseError("ledger", err)
		}
		var other string
		err = l.pool.QueryRow(ctx, `SELECT id FROM bucketload.runs
			WHERE table_schema = $1 AND table_name = $2 AND status = 'running'`, load.Table.Schema, load.Table.Name).Scan(&other)
		if errors.Is(err, pgx.ErrNoRows) {
			continue // it has just ended
		}
		if err != nil {
			return "", bucketload.DatabaseError("ledger", err)
		}
		alive, marked, err := l.markDead(ctx, other)
		if err != nil {
			return "", err
		}
		if alive {
			return "", &bucketload.Error{Op: "load", Code: bucketload.CodeConflict,
				Message: fmt.Sprintf("run %s is loading %s at this moment", other, load.Table),
				Hint:    fmt.Sprintf("wait for it, or look: bucketload status %s", other)}
		}
		if marked {
			dead = other
		}
		if err := l.endCopies(ctx, other); err != nil {
			return "", err
		}
	}
}

// endCopies returns once no copy of an ended run is in flight, and none can
// come: what its backends had not committed is rolled back.
func (l *Ledger) endCopies(ctx context.Context, run string) error {
	if _, err := l.EndCopies(ctx, run); err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error { return Settle(ctx, tx, run) })
}

// Advisory lock keys, of the run's id as $1.
const (
	holdKey = `hashtextextended('bucketload hold ' || $1, 0)` // its conductor's, for as long as it lives
	copyKey = `hashtextextended('bucketload copy ' || $1, 0)` // shared by copies, taken alone by Settle
)

// markDead marks a running run failed if no process holds it. It is neither
// alive nor marked where it has just ended by itself.
func (l *Ledger) markDead(ctx context.Context, run string) (alive, marked bool, err error) {
	cause, err := json.Marshal(died(run))
	if err != nil {
		return false, false, err
	}
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		var free bool
		if err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock(`+holdKey+`)`, run).Scan(&free); err != nil {
			return err
		}
		if !free {
			return tx.QueryRow(ctx, `SELECT status = 'running' FROM bucketload.runs WHERE id = $1`, run).Scan(&alive)
		}
		tag, err := tx.Exec(ctx, `UPDATE bucketload.runs SET status = 'failed', ended_at = clock_timestamp(),
			error = coalesce(error, $2) WHERE id = $1 AND status = 'running'`, run, cause)
		marked = tag.RowsAffected() > 0
		return err
	})
	return alive, marked, bucketload.DatabaseError("ledger", err)
}

// Enter sets the state of a running run. It is CodeFenced where the run has
// been ended by someone else.
func (l *Ledger) Enter(ctx context.Context, run, state string) error {
	tag, err := l.pool.Exec(ctx, `UPDATE bucketload.runs SET state = $2 WHERE id = $1 AND status = 'running'`, run, state)
	if err != nil {
		return bucketload.DatabaseError("ledger", err)
	}
	if tag.RowsAffected() == 0 {
		return fenced(run)
	}
	return nil
}

func fenced(run string) error {
	return &bucketload.Error{Op: "load", Code: bucketload.CodeFenced,
		Message: fmt.Sprintf("run %s is no longer running: someone else ended it", run),
		Hint:    "bucketload status " + run}
}

// readCommitted begins the transactions that wait for a lock to see what its
// holder did: whatever the role's default isolation, a snapshot taken before
// the wait would not show it.
const readCommitted = `SET TRANSACTION ISOLATION LEVEL READ COMMITTED`

// Settle waits, at the beginning of tx, until no copy of the run is in flight,
// and keeps new ones out until tx ends. Enter another state first.
func Settle(ctx context.Context, tx pgx.Tx, run string) error {
	if _, err := tx.Exec(ctx, readCommitted); err != nil {
		return bucketload.DatabaseError("ledger", err)
	}
	_, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(`+copyKey+`)`, run)
	return bucketload.DatabaseError("ledger", err)
}

// EndCopies ends the backends that still copy for a run whose process is dead
// or has given up on them, and says how many. Their transactions roll back.
func (l *Ledger) EndCopies(ctx context.Context, run string) (int, error) {
	var n int
	err := l.pool.QueryRow(ctx, `
		SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM (
			SELECT DISTINCT l.pid FROM pg_locks l, (SELECT `+copyKey+` AS k) key
			WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted AND l.mode = 'ShareLock'
			  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
			  AND (l.classid::bigint << 32) | l.objid::bigint = key.k
			  AND l.pid <> pg_backend_pid()) holders`, run).Scan(&n)
	return n, bucketload.DatabaseError("ledger", err)
}

// Resume makes a run running again, for a redrive by the process that holds
// it: its failed files are planned anew, its loaded ones stay. A run that the
// ledger has as running is dead, as nobody else holds it. It is an error where
// the run succeeded or was a trial, where a newer run has written the table
// since, or another one is running.
func (l *Ledger) Resume(ctx context.Context, run string) error {
	r, err := l.Run(ctx, run)
	if err != nil {
		return err
	}
	refuse := func(message, hint string) error {
		return &bucketload.Error{Op: "redrive", Code: bucketload.CodeConflict, Message: message, Hint: hint}
	}
	if r.Published {
		return refuse(fmt.Sprintf("run %s has %s; there is nothing to go on with", run, r.Status), "load again: bucketload load "+r.Load.Key)
	}
	if r.Load.LimitFiles > 0 {
		return refuse(fmt.Sprintf("run %s was a trial of %d files", run, r.Load.LimitFiles), "load for real: bucketload load "+r.Load.Key)
	}
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, readCommitted); err != nil {
			return err
		}
		// First of all the place of the table's one active run, so that no other
		// can come and go after the look at them. No copy begins before Copy is
		// entered again.
		tag, err := tx.Exec(ctx, `UPDATE bucketload.runs SET status = 'running', state = 'Plan', attempt = 1, ended_at = NULL, error = NULL,
			resumed_at = clock_timestamp() WHERE id = $1 AND published_at IS NULL`, run)
		if err == nil && tag.RowsAffected() == 0 {
			return fenced(run)
		}
		if err != nil {
			return err
		}
		// A newer run that wrote the live table makes this one's staging, and
		// what it knew to be loaded, out of date.
		var newer *string
		if err := tx.QueryRow(ctx, `SELECT max(id) FROM bucketload.runs r
			WHERE table_schema = $1 AND table_name = $2 AND id <> $3
			  AND (staging AND published_at > $4 OR NOT staging AND greatest(started_at, resumed_at) > $4 AND EXISTS (
				SELECT FROM bucketload.files f WHERE f.run = r.id AND f.state = 'loaded'))`,
			r.Load.Table.Schema, r.Load.Table.Name, run, r.StartedAt).Scan(&newer); err != nil {
			return err
		}
		if newer != nil {
			return refuse(fmt.Sprintf("run %s has loaded %s since; run %s is out of date", *newer, r.Load.Table, run), "load again: bucketload load "+r.Load.Key)
		}
		return again(ctx, tx, run, false)
	})
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.ConstraintName == "runs_one_active" {
		return refuse(fmt.Sprintf("another run is loading %s at this moment", r.Load.Table), "bucketload runs")
	}
	return bucketload.DatabaseError("redrive", err)
}

// Again begins a further try of a running run: files whose failure was
// transient are planned anew. CodeFenced where someone else ended the run.
func (l *Ledger) Again(ctx context.Context, run string) error {
	return bucketload.DatabaseError("ledger", pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE bucketload.runs SET attempt = attempt + 1 WHERE id = $1 AND status = 'running'`, run)
		if err == nil && tag.RowsAffected() == 0 {
			return fenced(run)
		}
		if err != nil {
			return err
		}
		return again(ctx, tx, run, true)
	}))
}

func again(ctx context.Context, tx pgx.Tx, run string, transientOnly bool) error {
	_, err := tx.Exec(ctx, `
		WITH anew AS (
			UPDATE bucketload.files SET state = 'planned', transient = false
			WHERE run = $1 AND state = 'failed' AND (transient OR NOT $2) RETURNING batch)
		UPDATE bucketload.batches b SET done = false, failed = b.failed - a.n
		FROM (SELECT batch, count(*) AS n FROM anew GROUP BY batch) a
		WHERE b.run = $1 AND b.no = a.batch`, run, transientOnly)
	return err
}

// End records how the run ended: the status, and for all but a success the
// first cause. A run that has ended already stays as it is.
func (l *Ledger) End(ctx context.Context, run string, status bucketload.Status, cause *bucketload.RunError) error {
	var data []byte
	if cause != nil {
		var err error
		if data, err = json.Marshal(cause); err != nil {
			return err
		}
	}
	_, err := l.pool.Exec(ctx, `UPDATE bucketload.runs SET status = $2, error = $3, ended_at = clock_timestamp()
		WHERE id = $1 AND status = 'running'`, run, status, data)
	return bucketload.DatabaseError("ledger", err)
}

// Publication is what a swap did, recorded in its own transaction.
type Publication struct {
	Status bucketload.Status
	Backup *Backup // nil: there was no live table
}

// Backup is a previous table.
type Backup struct {
	Name  bucketload.TableName
	Names any // JSON: what had to be renamed on its way into the schema
}

// Publish records, in the swap's own transaction, that the run's rows are the
// live table. CodeFenced where the run has been ended by someone else: the
// caller rolls back.
func Publish(ctx context.Context, tx pgx.Tx, run string, table bucketload.TableName, p Publication) error {
	var backup *string
	if p.Backup != nil {
		s := p.Backup.Name.String()
		backup = &s
		names, err := json.Marshal(p.Backup.Names)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO bucketload.backups (backup_schema, backup_name, backup_oid, table_schema, table_name, run, names)
			SELECT n.nspname, c.relname, c.oid, $3, $4, $5, $6
			FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2
			ON CONFLICT (backup_schema, backup_name) DO UPDATE SET backup_oid = excluded.backup_oid, table_schema = excluded.table_schema,
				table_name = excluded.table_name, run = excluded.run, names = excluded.names, made_at = now()`,
			p.Backup.Name.Schema, p.Backup.Name.Name, table.Schema, table.Name, run, names); err != nil {
			return bucketload.DatabaseError("swap", err)
		}
	}
	tag, err := tx.Exec(ctx, `UPDATE bucketload.runs SET status = $2, state = 'Done', backup = $3,
		ended_at = clock_timestamp(), published_at = clock_timestamp()
		WHERE id = $1 AND status = 'running'`, run, p.Status, backup)
	if err != nil {
		return bucketload.DatabaseError("swap", err)
	}
	if tag.RowsAffected() == 0 {
		return fenced(run)
	}
	return nil
}

// BackupOf gives the table that a backup was made of, or false where what has
// that name is no backup that the ledger knows.
func (l *Ledger) BackupOf(ctx context.Context, backup bucketload.TableName) (bucketload.TableName, bool, error) {
	var t bucketload.TableName
	err := l.pool.QueryRow(ctx, `SELECT table_schema, table_name FROM bucketload.backups
		JOIN pg_class c ON c.oid = backup_oid AND c.relname = backup_name
		JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = backup_schema
		WHERE backup_schema = $1 AND backup_name = $2`, backup.Schema, backup.Name).Scan(&t.Schema, &t.Name)
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if errors.Is(err, pgx.ErrNoRows) || ok && pg.Code == "42P01" { // undefined_table: there is no ledger yet
		return t, false, nil
	}
	return t, err == nil, bucketload.DatabaseError("ledger", err)
}
