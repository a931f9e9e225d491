package main

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/config"
	"github.com/bucketload/bucketload/internal/temp"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// A network that loses bytes without a word hangs nothing for ever; a statement
// that takes long is left alone.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	dsn := temptest.Database(t, 0)
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	proxy, err := temp.StartProxy(u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	u.Host = proxy.Addr()
	target, err := config.ParseTarget(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	// A busy machine takes less than these to begin a statement, and to answer.
	const silence, reply = 500 * time.Millisecond, 3 * time.Second
	pool, err := open(t.Context(), target, 1, silence, reply)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	bounded, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	if _, err := pool.Exec(bounded, `SELECT pg_sleep(2)`); err != nil {
		t.Error("a statement at work is ended:", err)
	}

	// hangs does what hangs where the network is, from a moment on, as lose makes it.
	hangs := func(name string, lose func(), do func(*pgx.Conn) error) {
		t.Helper()
		conn, err := pool.Acquire(bounded)
		if err != nil {
			t.Fatal(name, err)
		}
		defer conn.Release()
		lose()
		err = do(conn.Conn())
		proxy.Stall(false)
		if e := bucketload.DatabaseError("x", err); err == nil || bounded.Err() != nil || !bucketload.IsTransient(e) || bucketload.AsError(e).Code != bucketload.CodeConnect {
			t.Errorf("%s: %v", name, e)
		}
	}
	hangs("no reply, and no server to ask", func() { proxy.Stall(true) }, func(conn *pgx.Conn) error {
		_, err := conn.Exec(bounded, `SELECT 1`)
		return err
	})
	hangs("a forgotten connection", proxy.Forget, func(conn *pgx.Conn) error {
		_, err := conn.Exec(bounded, `SELECT 1`)
		return err
	})
	hangs("a COPY that nobody takes", proxy.Forget, func(conn *pgx.Conn) error {
		_, err := conn.PgConn().CopyFrom(bounded, endless{}, `COPY pg_temp.t FROM STDIN`)
		return err
	})
}

// endless is a file without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '\n'
	}
	return len(p), nil
}
