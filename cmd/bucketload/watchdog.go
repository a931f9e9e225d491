package main

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// silence is how long a connection to Postgres may wait for bytes to move before
// the server is asked, over another one, whether it is at work. It is longer than
// TCP takes to find a dead host (tcpDead): what is left are networks that take
// bytes and lose them, as proxies and NAT do that have forgotten a connection.
const silence = 5 * time.Minute

// tcpDead is after how long TCP gives a peer up that acknowledges nothing.
const tcpDead = time.Minute

// unreached is how often in a row the server must not answer the question before
// silent connections are taken for dead.
const unreached = 3

// watchdog closes connections that wait for what never comes: the server is not
// at work for them, or waits itself. A statement may take as long as it takes.
type watchdog struct {
	silence time.Duration
	reply   time.Duration // how long the server may take to answer the question
	dial    pgconn.DialFunc
	config  func(context.Context) (*pgx.ConnConfig, error) // of the connection that asks

	mu       sync.Mutex
	conns    map[*watched]struct{}
	watching bool
}

// watched is a connection and what it waits for: when the read and the write
// that are under way began, in nanoseconds, 0 for none.
type watched struct {
	net.Conn
	dog              *watchdog
	pid              atomic.Uint32 // of its backend, once it is known
	reading, writing atomic.Int64
}

func (w *watched) Read(p []byte) (int, error) {
	w.reading.Store(time.Now().UnixNano())
	defer w.reading.Store(0)
	return w.Conn.Read(p)
}

func (w *watched) Write(p []byte) (int, error) {
	w.writing.Store(time.Now().UnixNano())
	defer w.writing.Store(0)
	return w.Conn.Write(p)
}

func (w *watched) Close() error {
	w.dog.mu.Lock()
	delete(w.dog.conns, w)
	w.dog.mu.Unlock()
	return w.Conn.Close()
}

// connect is for the pool's connections to be made by.
func (d *watchdog) connect(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := d.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	w := &watched{Conn: c, dog: d}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conns[w] = struct{}{}
	if !d.watching {
		d.watching = true
		go d.watch()
	}
	return w, nil
}

// know tells which backend a connection has.
func (d *watchdog) know(conn *pgconn.PgConn) {
	c := conn.Conn()
	if tls, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = tls.NetConn()
	}
	if w, ok := c.(*watched); ok {
		w.pid.Store(conn.PID())
	}
}

// wait is a connection that has been waiting for too long.
type wait struct {
	*watched
	reading, writing int64 // as they were when it was found
}

// watch looks after the connections for as long as there are any.
func (d *watchdog) watch() {
	ticker := time.NewTicker(d.silence / 4)
	defer ticker.Stop()
	failures := 0
	for range ticker.C {
		waits, any := d.waiting()
		if !any {
			return
		}
		if len(waits) == 0 {
			failures = 0
			continue
		}
		doing, err := d.ask(waits)
		switch _, answers := errors.AsType[*pgconn.PgError](err); {
		case err == nil:
			failures = 0
		case answers: // it is there, and has no connection for us
			failures = 0
			continue
		default:
			if failures++; failures < unreached {
				continue
			}
		}
		for _, w := range waits {
			if w.watched.reading.Load() == w.reading && w.watched.writing.Load() == w.writing && (err != nil || doing[w.pid.Load()].idle(w)) {
				_ = w.Close() // whoever waits gets an error, and tries again
			}
		}
	}
}

// waiting gives the connections that wait for longer than silence. Where there
// are no connections at all, the watch ends with that.
func (d *watchdog) waiting() (waits []wait, any bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.watching = len(d.conns) > 0
	since := time.Now().Add(-d.silence).UnixNano()
	for w := range d.conns {
		reading, writing := w.reading.Load(), w.writing.Load()
		if w.pid.Load() != 0 && (reading != 0 && reading < since || writing != 0 && writing < since) {
			waits = append(waits, wait{w, reading, writing})
		}
	}
	return waits, d.watching
}

// backend is what the server says of one; nil of one that it does not have.
type backend struct{ state, event string }

// idle says whether the backend does nothing for the connection that waits for it.
func (b *backend) idle(w wait) bool {
	switch {
	case b == nil, b.state != "active":
		return true
	case b.event == "ClientRead": // a COPY: it waits for bytes, which we may still be reading elsewhere
		return w.writing != 0
	}
	return b.event == "ClientWrite"
}

// ask asks the server what it does for the connections that wait.
func (d *watchdog) ask(waits []wait) (map[uint32]*backend, error) {
	ctx, cancel := context.WithTimeout(context.Background(), d.reply)
	defer cancel()
	config, err := d.config(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	var pids []uint32
	for _, w := range waits {
		pids = append(pids, w.pid.Load())
	}
	rows, err := conn.Query(ctx, `SELECT pid, coalesce(state, ''), coalesce(wait_event, '') FROM pg_stat_activity WHERE pid = ANY($1::bigint[])`, pids)
	if err != nil {
		return nil, err
	}
	doing := map[uint32]*backend{}
	var pid uint32
	var b backend
	_, err = pgx.ForEachRow(rows, []any{&pid, &b.state, &b.event}, func() error {
		one := b
		doing[pid] = &one
		return nil
	})
	return doing, err
}
