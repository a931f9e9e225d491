package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload/internal/temp"
)

// fault is something that goes wrong. Ones that last end with the command, or
// before; do may take its time.
type fault struct {
	name string
	in   []string // the states at which it is let loose, in order; none: all
	do   func(context.Context, *victim) error
}

// diskFull takes a small disk, which not every site has.
const diskFull = "server: disk full"

// swapping are the states before the swap, in which there is time to wait for it.
var swapping = []string{"Copy", "Copy", "Copy", "Check", "Build", "Analyze"}

// reading are the states in which objects are read.
var reading = []string{"Plan", "Prepare", "Copy", "Copy", "Copy"}

var faults = []fault{
	{"loader: kill -9", nil, func(_ context.Context, v *victim) error { return v.cmd.Process.Kill() }},
	{"loader: kill -9 in the swap", swapping, func(ctx context.Context, v *victim) error {
		return v.inSwap(ctx, v.random.IntN(2) == 0, func(*pgx.Conn) error { return v.cmd.Process.Kill() })
	}},
	{"loader: kill -9 once the swap is committed", swapping, func(ctx context.Context, v *victim) error {
		return v.inSwap(ctx, false, func(conn *pgx.Conn) error { return v.afterCommit(ctx, conn) })
	}},
	{"loader: SIGINT", nil, func(_ context.Context, v *victim) error { return v.cmd.Process.Signal(os.Interrupt) }},
	{"loader: SIGTERM", nil, func(_ context.Context, v *victim) error { return v.cmd.Process.Signal(syscall.SIGTERM) }},
	{"loader: frozen while another goes on", nil, func(ctx context.Context, v *victim) error { return v.freeze(ctx) }},
	{"loader: frozen in a copy, cancelled, and another goes on", []string{"Copy"}, func(ctx context.Context, v *victim) error { return v.straggle(ctx) }},
	{"loader: cancel", nil, func(ctx context.Context, v *victim) error { return v.beside(ctx, "cancel") }},
	{"loader: redrive of the running run", nil, func(ctx context.Context, v *victim) error { return v.beside(ctx, "redrive") }},
	{"loader: two runs of a table", nil, func(ctx context.Context, v *victim) error { return v.beside(ctx, "load") }},
	{"loader: gc beside it", nil, func(ctx context.Context, v *victim) error { return v.beside(ctx, "gc") }},
	{"server: kill -9 and restart", nil, func(ctx context.Context, v *victim) error { return v.postgres.Crash(ctx) }},
	{"server: kill -9 and restart in the swap", swapping, func(ctx context.Context, v *victim) error {
		return v.inSwap(ctx, v.random.IntN(2) == 0, func(*pgx.Conn) error { return v.postgres.Crash(ctx) })
	}},
	{"server: kill -9 of a backend", nil, func(ctx context.Context, v *victim) error { return v.killBackend(ctx) }},
	{"server: a backend terminated", nil, func(ctx context.Context, v *victim) error {
		return v.terminate(ctx, "ORDER BY random() LIMIT 1")
	}},
	{"server: all backends terminated", nil, func(ctx context.Context, v *victim) error { return v.terminate(ctx, "") }},
	{"server: out of connections", nil, func(ctx context.Context, v *victim) error {
		if err := v.exec(ctx, "ALTER ROLE "+role+" CONNECTION LIMIT 1"); err != nil {
			return err
		}
		return errors.Join(v.terminate(ctx, ""), v.last(ctx), v.exec(ctx, "ALTER ROLE "+role+" CONNECTION LIMIT -1"))
	}},
	{"server: statement_timeout at once", nil, func(ctx context.Context, v *victim) error {
		set := "ALTER ROLE " + role + " SET statement_timeout = "
		return errors.Join(v.exec(ctx, set+"1"), v.terminate(ctx, ""), v.last(ctx), v.exec(ctx, set+"0"))
	}},
	{"server: a statement cancelled", []string{"Copy", "Copy", "Check", "Build", "Swap"}, func(ctx context.Context, v *victim) error { return v.cancelStatement(ctx) }},
	{"server: the live table locked", []string{"Copy", "Build", "Swap"}, func(ctx context.Context, v *victim) error { return v.lock(ctx) }},
	{deadlocked, []string{"Copy"}, func(ctx context.Context, v *victim) error { return v.deadlock(ctx) }},
	{diskFull, nil, func(ctx context.Context, v *victim) error {
		if err := v.disk.fill(); err != nil {
			return err
		}
		return errors.Join(v.last(ctx), v.disk.clear())
	}},
	{"server: its clock jumps ahead", nil, func(ctx context.Context, v *victim) error { return v.jump(ctx, "-") }},
	{"server: its clock jumps back", nil, func(ctx context.Context, v *victim) error { return v.jump(ctx, "+") }},
	{"network to Postgres: cut", nil, func(_ context.Context, v *victim) error { v.toDB.Cut(); return nil }},
	{"network to Postgres: stalled, then cut", nil, func(ctx context.Context, v *victim) error {
		v.toDB.Stall(true)
		defer v.toDB.Stall(false)
		err := v.last(ctx)
		v.toDB.Cut()
		return err
	}},
	{"network to Postgres: stalled for a while", nil, func(ctx context.Context, v *victim) error {
		v.toDB.Stall(true)
		defer v.toDB.Stall(false)
		return v.last(ctx)
	}},
	{"network to Postgres: slow", nil, func(ctx context.Context, v *victim) error {
		v.toDB.Slow(20 << 10)
		defer v.toDB.Slow(0)
		return v.last(ctx)
	}},
	{"network to S3: cut", reading, func(_ context.Context, v *victim) error { v.toS3.Cut(); return nil }},
	{"network to S3: stalled for a while", reading, func(ctx context.Context, v *victim) error {
		v.toS3.Stall(true)
		defer v.toS3.Stall(false)
		return v.last(ctx)
	}},
	{"network to S3: slow", reading, func(ctx context.Context, v *victim) error {
		v.toS3.Slow(50 << 10)
		defer v.toS3.Slow(0)
		return v.last(ctx)
	}},
	{"S3: 500", reading, answering(temp.Fault{Status: http.StatusInternalServerError})},
	{"S3: SlowDown", reading, answering(temp.Fault{Code: "SlowDown"})},
	{"S3: reset in a body", reading, answering(temp.Fault{CutAfter: 100})},
	{"S3: body cut short", reading, answering(temp.Fault{Truncate: 100})},
	{"S3: a length too big", reading, answering(temp.Fault{Excess: 100})},
	{"S3: a length too small", reading, answering(temp.Fault{Excess: -100})},
	{"S3: another range than was asked for", []string{"Copy"}, func(ctx context.Context, v *victim) error { return v.shift(ctx) }},
	{"S3: access denied for a while", reading, answering(temp.Fault{Status: http.StatusForbidden, Code: "AccessDenied"})},
	{"S3: credentials expired for a while", reading, answering(temp.Fault{Status: http.StatusBadRequest, Code: "ExpiredToken"})},
	{"S3: an object changed", []string{"Copy"}, func(_ context.Context, v *victim) error {
		return v.s3.Put(v.database, v.file(), []byte("file,line,v\nchanged,0,x\n"))
	}},
	{"S3: an object gone", []string{"Copy"}, func(_ context.Context, v *victim) error { return v.s3.Delete(v.database, v.file()) }},
}

// victim is a running command of a round.
type victim struct {
	*round
	cmd    *exec.Cmd
	done   chan struct{} // closed once the command has ended
	random *rand.Rand
	state  string // of the run, when the fault was let loose
}

// errLate is that the command has ended before the fault could come.
var errLate = errors.New("too late")

// strike waits for the moment, and does it.
func (v *victim) strike(ctx context.Context, s strike) error {
	v.s3.Fault(temp.Latency(20 * time.Millisecond)) // so that there is a while to hit
	conn, err := pgx.Connect(ctx, v.dsn(v.database, false))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for v.state = inRollback; s.state != ""; {
		if err := v.look(ctx, conn); err == nil && slices.Index(states, v.state) >= slices.Index(states, s.state) {
			break
		}
		if err := v.pause(ctx, 2*time.Millisecond); err != nil {
			return err
		}
	}
	if err := v.pause(ctx, s.after); err != nil {
		return err
	}
	if s.state != "" {
		if err := v.look(ctx, conn); err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if n := len(s.in); n > 0 && slices.Index(states, v.state) > slices.Index(states, s.in[n-1]) {
			return errLate
		}
	}
	return s.do(ctx, v)
}

// look reads the state that the run is in.
func (v *victim) look(ctx context.Context, conn *pgx.Conn) error {
	return conn.QueryRow(ctx, `SELECT state FROM bucketload.runs WHERE status = 'running' ORDER BY started_at DESC LIMIT 1`).Scan(&v.state)
}

// pause waits, but not longer than for the command to end.
func (v *victim) pause(ctx context.Context, d time.Duration) error {
	select {
	case <-v.done:
		return errLate
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// last lets a fault last for a second, but not longer than the command.
func (v *victim) last(ctx context.Context) error {
	if err := v.pause(ctx, time.Second); !errors.Is(err, errLate) {
		return err
	}
	return nil
}

// jump moves what the ledger has recorded by an hour, which is what a jump of the
// server's clock the other way comes to: what it tells by its clock is in there.
func (v *victim) jump(ctx context.Context, sign string) error {
	conn, err := pgx.Connect(ctx, v.dsn(v.database, false))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var set []string
	for _, column := range []string{"planned_at", "started_at", "resumed_at", "ended_at", "published_at", "seen_at"} {
		set = append(set, column+" = "+column+" "+sign+" interval '1 hour'")
	}
	_, err = conn.Exec(ctx, `UPDATE bucketload.runs SET `+strings.Join(set, ", ")+`; UPDATE bucketload.backups SET made_at = made_at `+sign+` interval '1 hour'`)
	return err
}

// file chooses one of the round's.
func (v *victim) file() string { return fmt.Sprintf("f%02d.csv", v.random.IntN(len(v.truth))) }

// answering makes a fault of the next few answers of S3.
func answering(f temp.Fault) func(context.Context, *victim) error {
	return func(ctx context.Context, v *victim) error {
		left := new(atomic.Int64)
		left.Store(int64(1 + v.random.IntN(6)))
		return v.answer(ctx, func(r *http.Request) (_ *temp.Fault, hit bool) {
			if f.Excess != 0 && temp.Operation(r) != "GetObject" || left.Add(-1) < 0 {
				return nil, false
			}
			return &f, true
		})
	}
}

// shift has S3 break bodies off, so that the rest is asked for, and then send
// another part of the object.
func (v *victim) shift(ctx context.Context) error {
	return v.answer(ctx, func(r *http.Request) (_ *temp.Fault, hit bool) {
		switch {
		case temp.Operation(r) != "GetObject":
			return nil, false
		case r.Header.Get("Range") == "":
			return &temp.Fault{CutAfter: 100}, false
		}
		return &temp.Fault{Shift: 1}, true
	})
}

// answer makes faults of S3's answers for as long as the command lasts, and
// returns once one has hit.
func (v *victim) answer(ctx context.Context, with func(*http.Request) (_ *temp.Fault, hit bool)) error {
	hit := make(chan struct{})
	once := sync.OnceFunc(func() { close(hit) })
	v.s3.Fault(func(r *http.Request) *temp.Fault {
		f, hits := with(r)
		if hits {
			once()
		}
		return f
	})
	select {
	case <-hit:
		return nil
	case <-v.done:
		return errLate
	case <-ctx.Done():
		return ctx.Err()
	}
}

// freeze stops the process and breaks its connections, as a laptop's lid does,
// has another go on with its run to the end, and wakes it then.
func (v *victim) freeze(ctx context.Context) error {
	if err := v.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return errLate
	}
	v.toDB.Cut()
	err := v.beside(ctx, "redrive")
	return errors.Join(err, v.cmd.Process.Signal(syscall.SIGCONT))
}

// beside runs another command at the same time.
func (v *victim) beside(ctx context.Context, name string) error {
	args := []string{name}
	switch name {
	case "load":
		args = v.load()
	case "cancel", "redrive":
		conn, err := pgx.Connect(ctx, v.dsn(v.database, false))
		if err != nil {
			return err
		}
		var run string
		err = errors.Join(conn.QueryRow(ctx, `SELECT id FROM bucketload.runs ORDER BY started_at DESC, id DESC LIMIT 1`).Scan(&run), conn.Close(ctx))
		if err != nil {
			return err
		}
		args = append(args, run)
	}
	file, err := os.CreateTemp(v.dir, "beside-"+name+"-*.log")
	if err != nil {
		return err
	}
	err = v.start(ctx, args, file).Run()
	if _, ended := errors.AsType[*exec.ExitError](err); ended {
		said, _ := os.ReadFile(file.Name())
		if !bytes.Contains(said, []byte("hint: ")) {
			v.see("%s beside the run says no hint: %s", name, strings.TrimSpace(string(said)))
		}
		err = nil // it is refused
	}
	return errors.Join(err, file.Close())
}

const backends = `FROM pg_stat_activity WHERE usename = '` + role + `' AND pid <> pg_backend_pid() `

func (v *victim) terminate(ctx context.Context, which string) error {
	return v.exec(ctx, `SELECT pg_terminate_backend(pid) FROM (SELECT pid `+backends+which+`) b`)
}

// killBackend kills a server process, which makes Postgres restart them all.
func (v *victim) killBackend(ctx context.Context) error {
	conn, err := v.control(ctx)
	if err != nil {
		return err
	}
	var pid int
	if err := conn.QueryRow(ctx, `SELECT pid `+backends+`ORDER BY random() LIMIT 1`).Scan(&pid); err != nil {
		return errLate
	}
	return syscall.Kill(pid, syscall.SIGKILL)
}

// lock keeps a lock on the live table for longer than the load waits for it.
func (v *victim) lock(ctx context.Context) error {
	return v.inTransaction(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `LOCK TABLE public.t IN ROW EXCLUSIVE MODE`)
		return errors.Join(err, v.pause(ctx, time.Second))
	})
}

func (v *victim) inTransaction(ctx context.Context, do func(pgx.Tx) error) error {
	conn, err := pgx.Connect(ctx, v.dsn(v.database, false))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return pgx.BeginFunc(ctx, conn, do)
}
