package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bucketload/bucketload"
)

// Hold marks this process as the run's conductor until release, which also
// happens when the process dies. A connection that breaks is made anew, as
// when the server restarts. It is an error where another process holds the run.
// The context that it gives ends with ctx, and when somebody cancels the run.
func (l *Ledger) Hold(ctx context.Context, run string) (held context.Context, release func(), err error) {
	conn, err := l.hold(ctx, run)
	if err != nil {
		return nil, nil, err
	}
	held, cancel := context.WithCancel(ctx)
	keeping, stop := context.WithCancel(context.WithoutCancel(ctx))
	kept := make(chan *pgx.Conn)
	go func() { kept <- l.keep(keeping, conn, run, cancel) }()
	return held, sync.OnceFunc(func() {
		stop()
		cancel()
		conn := <-kept
		if conn == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), letGo)
		defer cancel()
		// The server lets go of a closed connection's locks when it gets to it;
		// whoever comes next is not to wait for that.
		_, _ = conn.Exec(ctx, `SELECT pg_advisory_unlock_all()`)
		_ = conn.Close(ctx)
	}), nil
}

// cancelChannel is where Cancel says which run is to stop.
const cancelChannel = "bucketload_cancel"

// hold takes the run's lock on a connection of its own: the connection is the
// lock, so it leaves the pool and is closed, not used again. It listens for Cancel.
func (l *Ledger) hold(ctx context.Context, run string) (*pgx.Conn, error) {
	conn, err := l.pool.Acquire(ctx)
	if err != nil {
		return nil, bucketload.DatabaseError("ledger", err)
	}
	// Given up halfway, the server would keep the lock until it noticed: once asked
	// for, it is waited for, and let go of by who gets it.
	whole, stop := late(ctx)
	defer stop()
	var got bool
	err = conn.QueryRow(whole, `SELECT pg_try_advisory_lock(`+holdKey+`)`, run).Scan(&got)
	if err == nil && !got {
		conn.Release()
		return nil, &bucketload.Error{Op: "load", Code: bucketload.CodeConflict,
			Message: fmt.Sprintf("another process is conducting run %s", run),
			Hint:    fmt.Sprintf("wait for it, or look: bucketload status %s", run)}
	}
	own := conn.Hijack() // whatever comes now, a lock must not go back into the pool
	if err == nil {
		_, err = own.Exec(whole, `LISTEN `+cancelChannel)
	}
	if err != nil {
		_ = own.Close(context.WithoutCancel(ctx))
		return nil, bucketload.DatabaseError("ledger", err)
	}
	return own, nil
}

// letGo is how long letting go of a run may take where the server says nothing.
const letGo = 5 * time.Second

// late gives a context that ends letGo after ctx does.
func late(ctx context.Context) (context.Context, context.CancelFunc) {
	late, stop := context.WithCancel(context.WithoutCancel(ctx))
	unwatch := context.AfterFunc(ctx, func() { time.AfterFunc(letGo, stop) })
	return late, func() { unwatch(); stop() }
}

// heartbeat is how long the lock's connection may be silent before it is asked
// for a sign of life, and how long that may take: one that is cut without a
// word does not seem to hold the run for ever.
const heartbeat = 30 * time.Second

// keep takes the lock again whenever its connection breaks, until ctx ends, and
// calls cancelled once the run is. It gives the connection that has the lock
// then, nil where none has: who took the run meanwhile has fenced this process off.
func (l *Ledger) keep(ctx context.Context, conn *pgx.Conn, run string, cancelled func()) *pgx.Conn {
	const pause = time.Second
	for {
		if conn != nil {
			l.listen(ctx, conn, run, cancelled)
			if ctx.Err() != nil {
				return conn
			}
			_ = conn.Close(ctx)
		}
		conn, _ = l.hold(ctx, run)
		if conn != nil {
			// What was said meanwhile was not heard.
			if r, err := l.run(ctx, run); err == nil && r.Status == bucketload.StatusCancelled {
				cancelled()
			}
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// listen returns when the connection breaks or ctx ends.
func (l *Ledger) listen(ctx context.Context, conn *pgx.Conn, run string, cancelled func()) {
	for ctx.Err() == nil {
		wait, stop := context.WithTimeout(ctx, heartbeat)
		said, err := conn.WaitForNotification(wait)
		silent := wait.Err() != nil && ctx.Err() == nil
		stop()
		if err == nil && said.Payload == run {
			cancelled()
		}
		if silent {
			whole, end := late(ctx)
			ask, stop := context.WithTimeout(whole, heartbeat)
			err = conn.Ping(ask)
			stop()
			end()
		}
		if err != nil {
			return
		}
	}
}

// EndCopies ends the backends that still list, copy, build, judge or swap for a
// run whose process is dead or has given up on them, and says how many. Their
// transactions roll back.
func (l *Ledger) EndCopies(ctx context.Context, run string) (int, error) {
	var n int
	err := l.pool.QueryRow(ctx, `SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM (`+holders(copyKey)+`) h`, run).Scan(&n)
	return n, bucketload.DatabaseError("ledger", err)
}

// holders gives a query for the process ids of the backends that have the lock of
// that key, of a run's id as $1.
func holders(key string) string {
	return `SELECT DISTINCT l.pid FROM pg_locks l, (SELECT ` + key + ` AS k) key
		WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
		  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
		  AND (l.classid::bigint << 32) | l.objid::bigint = key.k
		  AND l.pid <> pg_backend_pid()`
}

// Cancelled is a run as it was when it was cancelled, and the backend by which a
// process held it then.
type Cancelled struct {
	Run
	pid   *int32
	since *time.Time // that backend's start: others may get its number
}

// Cancel ends a running run, whoever conducts it: its conductor is told, the
// calls of its steps come too late from now on, and what its copies had not
// committed is rolled back. No redrive goes on in its execution, which the conductor
// may still write to. Its staging stays for a redrive. An error where it has ended
// already.
func (l *Ledger) Cancel(ctx context.Context, run string) (*Cancelled, error) {
	r, err := l.run(ctx, run)
	if err != nil {
		return nil, err
	}
	cause, err := json.Marshal(&bucketload.RunError{Op: "load", Message: "cancelled", Hint: "go on with it: bucketload redrive " + run})
	if err != nil {
		return nil, err
	}
	was := &Cancelled{Run: *r}
	var cancelled bool
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		// From the end of tx on, whoever holds the run may be one that goes on with it.
		err := tx.QueryRow(ctx, `SELECT a.pid, a.backend_start FROM pg_stat_activity a JOIN (`+holders(holdKey)+`) h USING (pid)`, run).Scan(&was.pid, &was.since)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		tag, err := tx.Exec(ctx, `UPDATE bucketload.runs SET status = 'cancelled', error = $2, ended_at = clock_timestamp()
			WHERE id = $1 AND status = 'running'`, run, cause)
		if cancelled = err == nil && tag.RowsAffected() > 0; !cancelled {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE bucketload.executions SET status = 'ABORTED', ended_at = clock_timestamp() WHERE run = $1 AND status = 'RUNNING'`, run); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `SELECT pg_notify($1, $2)`, cancelChannel, run)
		return err
	})
	if err != nil {
		return nil, bucketload.DatabaseError("cancel", err)
	}
	if !cancelled {
		if r, err = l.run(ctx, run); err != nil {
			return nil, err
		}
		return nil, &bucketload.Error{Op: "cancel", Code: bucketload.CodeConflict, Message: fmt.Sprintf("run %s has ended as %s", run, r.Status), Hint: "bucketload status " + run}
	}
	return was, bucketload.DatabaseError("cancel", l.endCopies(ctx, run))
}

// EndHold waits, for up to patience, until the process that held a cancelled run
// lets go of it, and then ends the connection by which it does: it is frozen, or
// cut off, and finds that it comes too late when it wakes. It says whether it had
// to. Who has taken the run since keeps it.
func (l *Ledger) EndHold(ctx context.Context, was *Cancelled, patience time.Duration) (ended bool, err error) {
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, fmt.Sprintf("SET LOCAL lock_timeout = %d", patience.Milliseconds())); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(`+holdKey+`)`, was.ID)
		return err
	})
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "55P03" { // lock_not_available
		err = l.pool.QueryRow(ctx, `SELECT coalesce(bool_or(pg_terminate_backend(pid)), false) FROM pg_stat_activity
			WHERE pid = $1 AND backend_start IS NOT DISTINCT FROM $2`, was.pid, was.since).Scan(&ended)
	}
	return ended, bucketload.DatabaseError("ledger", err)
}
