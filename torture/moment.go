package main

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Faults that wait for a moment which the server tells, and so hit it.

// deadlocked takes rounds whose rows refer to another table.
const deadlocked = "server: deadlock"

// newestIs begins a query for the state of the run that was begun last.
const newestIs = `SELECT 1 FROM (SELECT status FROM bucketload.runs ORDER BY started_at DESC, id DESC LIMIT 1) r WHERE status = `

// await polls until the query gives a row, but not for longer than the command
// lasts.
func (v *victim) await(ctx context.Context, q interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}, sql string, into ...any) error {
	for {
		err := q.QueryRow(ctx, sql).Scan(into...)
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if err := v.pause(ctx, 2*time.Millisecond); err != nil {
			return err
		}
	}
}

// The loader's backend that waits for the one that asks, the table that it holds
// meanwhile, and the state of its run.
const blocked = `SELECT l.relation::regclass::text, r.state
	FROM pg_stat_activity a JOIN pg_locks l USING (pid) JOIN pg_class c ON c.oid = l.relation, bucketload.runs r
	WHERE a.usename = '` + role + `' AND pg_backend_pid() = ANY (pg_blocking_pids(a.pid)) AND r.status = 'running'
	  AND l.granted AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock')
	  AND c.relkind = 'r' AND c.relnamespace IN ('public'::regnamespace, 'dataimport'::regnamespace) AND c.relname <> 'files'
	LIMIT 1`

// deadlock takes what the loader's rows refer to, waits for the loader to wait for
// that, and then wants what the loader holds. The server ends either of the two.
func (v *victim) deadlock(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, v.dsn(v.database, false))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	deadlocks := func() (n int, err error) {
		err = conn.QueryRow(ctx, `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`).Scan(&n)
		return n, err
	}
	before, err := deadlocks()
	if err != nil {
		return err
	}
	patience := "1min" // the loader's backend is the first to look, after the default of a second
	if v.random.IntN(2) == 0 {
		patience = "10ms"
	}
	err = v.inTransaction(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL deadlock_timeout = '`+patience+`'; LOCK TABLE public.files IN ROW EXCLUSIVE MODE; SELECT FROM public.files FOR UPDATE`); err != nil {
			return err
		}
		var held string
		if err := v.await(ctx, tx, blocked, &held, &v.state); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `LOCK TABLE `+held+` IN SHARE ROW EXCLUSIVE MODE`)
		return err
	})
	if pg, ok := errors.AsType[*pgconn.PgError](err); err != nil && (!ok || pg.Code != "40P01") { // deadlock_detected
		return err
	}
	for deadline := time.Now().Add(restartTime); ; time.Sleep(20 * time.Millisecond) { // a backend tells its statistics when it is idle, or ends
		after, err := deadlocks()
		if err != nil || after > before {
			return err
		}
		if time.Now().After(deadline) {
			return errors.New("no deadlock")
		}
	}
}

// cancelStatement cancels what the loader's backends are at, until the server says
// that one has given up a statement.
func (v *victim) cancelStatement(ctx context.Context) error {
	const queryCanceled = "57014"
	before, err := v.refusals(v.database, queryCanceled)
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, v.dsn(v.database, false))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for {
		var pid int
		if err := v.await(ctx, conn, `SELECT pid FROM (SELECT pid `+backends+`AND datname = current_database() AND state = 'active' OFFSET 0) b WHERE pg_cancel_backend(pid)`, &pid); err != nil {
			return err
		}
		late := v.pause(ctx, 20*time.Millisecond)
		if after, err := v.refusals(v.database, queryCanceled); err != nil || after > before {
			return err
		}
		if late != nil {
			return late
		}
	}
}

// straggle freezes the process in the middle of a copy, with its connections as
// they are, ends its run, has other processes go on with that or begin anew, and
// wakes the first one then.
func (v *victim) straggle(ctx context.Context) error {
	const copying = `SELECT pid ` + backends + `AND datname = current_database() AND state = 'active' AND query LIKE 'COPY %' LIMIT 1`
	conn, err := pgx.Connect(ctx, v.dsn(v.database, false))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	v.toS3.Stall(true) // so that it stays there
	defer v.toS3.Stall(false)
	var pid int
	if err := v.await(ctx, conn, copying, &pid); err != nil {
		return err
	}
	if err := v.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return errLate
	}
	v.toS3.Stall(false)
	wake := func() error { return v.cmd.Process.Signal(syscall.SIGCONT) }
	if err := conn.QueryRow(ctx, copying).Scan(&pid); err != nil {
		return errors.Join(err, wake())
	}
	for _, name := range []string{"cancel", "redrive", "load"} {
		if err == nil {
			err = v.beside(ctx, name)
		}
	}
	return errors.Join(err, wake())
}

// The swap waits in its middle, and every end of a run at its commit, for a lock
// that a fault has.
const (
	holding = `CREATE SCHEMA torture; GRANT USAGE ON SCHEMA torture TO ` + role + `;
		CREATE FUNCTION torture.middle() RETURNS event_trigger LANGUAGE plpgsql SET lock_timeout = 0 AS
			$$BEGIN IF to_regclass('public.t') IS NULL THEN PERFORM pg_advisory_xact_lock_shared(4711); END IF; END$$;
		CREATE FUNCTION torture.commit() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS
			$$BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN NULL; END$$;
		CREATE CONSTRAINT TRIGGER hold AFTER UPDATE ON bucketload.runs DEFERRABLE INITIALLY DEFERRED
			FOR EACH ROW WHEN (NEW.status = 'succeeded') EXECUTE FUNCTION torture.commit(); `
	holdingMiddle = `CREATE EVENT TRIGGER hold ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION torture.middle(); `
	letGo         = `DROP SCHEMA IF EXISTS torture CASCADE`
)

// inSwap holds the swap open, in its middle or at its commit, or the merge at its
// commit, and does something then.
func (v *victim) inSwap(ctx context.Context, middle bool, do func(*pgx.Conn) error) (err error) {
	hold := holding
	if middle && v.mode == modeReplace {
		hold += holdingMiddle
	}
	conn, err := pgx.Connect(ctx, v.dsn(v.database, false))
	if err != nil {
		return err
	}
	defer func() {
		v.holds.Add(1)
		_ = conn.Close(context.WithoutCancel(ctx)) // lets go of the lock
		err = errors.Join(err, v.superuser(ctx, letGo))
	}()
	if _, err := conn.Exec(ctx, hold+`SELECT pg_advisory_lock(4711)`); err != nil {
		return err
	}
	var pid int
	if err := v.await(ctx, conn, `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`, &pid); err != nil {
		return err
	}
	v.holds.Add(1)
	v.state = "Swap"
	return do(conn)
}

// afterCommit lets what is held commit, and kills the loader before it hears of it.
func (v *victim) afterCommit(ctx context.Context, conn *pgx.Conn) error {
	v.toDB.Stall(true)
	defer v.toDB.Stall(false)
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_unlock(4711)`); err != nil {
		return err
	}
	var one int
	err := v.await(ctx, conn, newestIs+`'succeeded'`, &one)
	return errors.Join(err, v.cmd.Process.Kill())
}

// superuser runs SQL in the round's database.
func (v *victim) superuser(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, v.dsn(v.database, false))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql)
	return errors.Join(err, conn.Close(ctx))
}
