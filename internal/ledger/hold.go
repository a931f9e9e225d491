package ledger

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
)

// Hold marks this process as the run's conductor until release, which also
// happens when the process dies. A connection that breaks is made anew, as
// when the server restarts. It is an error where another process holds the run.
func (l *Ledger) Hold(ctx context.Context, run string) (release func(), err error) {
	conn, err := l.hold(ctx, run)
	if err != nil {
		return nil, err
	}
	keeping, stop := context.WithCancel(context.WithoutCancel(ctx))
	kept := make(chan *pgx.Conn)
	go func() { kept <- l.keep(keeping, conn, run) }()
	return sync.OnceFunc(func() {
		stop()
		conn := <-kept
		if conn == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		// The server lets go of a closed connection's locks when it gets to it;
		// whoever comes next is not to wait for that.
		_, _ = conn.Exec(ctx, `SELECT pg_advisory_unlock_all()`)
		_ = conn.Close(ctx)
	}), nil
}

// hold takes the run's lock on a connection of its own: the connection is the
// lock, so it leaves the pool and is closed, not used again.
func (l *Ledger) hold(ctx context.Context, run string) (*pgx.Conn, error) {
	conn, err := l.pool.Acquire(ctx)
	if err != nil {
		return nil, bucketload.DatabaseError("ledger", err)
	}
	var got bool
	err = conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(`+holdKey+`)`, run).Scan(&got)
	switch {
	case err != nil:
		conn.Release()
		return nil, bucketload.DatabaseError("ledger", err)
	case !got:
		conn.Release()
		return nil, &bucketload.Error{Op: "load", Code: bucketload.CodeConflict,
			Message: fmt.Sprintf("another process is conducting run %s", run),
			Hint:    fmt.Sprintf("wait for it, or look: bucketload status %s", run)}
	}
	return conn.Hijack(), nil
}

// keep takes the lock again whenever its connection breaks, until ctx ends. It
// gives the connection that has it then, nil where none has: who took the run
// meanwhile has fenced this process off.
func (l *Ledger) keep(ctx context.Context, conn *pgx.Conn, run string) *pgx.Conn {
	const pause = time.Second
	for {
		if conn != nil {
			// Nobody notifies: this returns when the connection breaks or ctx ends.
			_, _ = conn.WaitForNotification(ctx)
			if ctx.Err() != nil {
				return conn
			}
			_ = conn.Close(ctx)
		}
		conn, _ = l.hold(ctx, run)
		if conn != nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}
