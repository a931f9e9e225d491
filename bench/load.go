package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload/internal/temp"
)

// bench is what all loads on a server share.
type bench struct {
	works   map[string]*work
	tools   map[string]*tool
	pg      *temp.Postgres
	dir     string        // holds the program, configurations and recorded streams
	program string        // bucketload
	self    string        // this program
	limit   time.Duration // of one load
}

// build builds bucketload as users have it.
func (b *bench) build(ctx context.Context) (err error) {
	b.program = filepath.Join(b.dir, "bucketload")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", b.program, "./cmd/bucketload").CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w: %s", err, out)
	}
	b.self, err = os.Executable()
	return err
}

// database is that of every load; each makes it anew.
const database = "bench"

// dsn is the server's, with the database of a load.
func (b *bench) dsn() string {
	return strings.Replace(b.pg.DSN(), "/postgres?", "/"+database+"?", 1)
}

// fresh makes the database anew and connects to it.
func (b *bench) fresh(ctx context.Context) (conn *pgx.Conn, err error) {
	admin, err := pgx.Connect(ctx, b.pg.DSN())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, admin.Close(context.WithoutCancel(ctx))) }()
	for _, sql := range []string{"DROP DATABASE IF EXISTS " + database + " WITH (FORCE)", "CREATE DATABASE " + database} {
		if _, err := admin.Exec(ctx, sql); err != nil {
			return nil, err
		}
	}
	return pgx.Connect(ctx, b.dsn())
}

// load measures a case in a database of its own, and checks what is in the
// table then.
func (b *bench) load(ctx context.Context, c loadCase) (s Sample, err error) {
	w, p := b.works[c.Work], peers[c.Peer]
	conn, err := b.fresh(ctx)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if !p.makesTable {
		if _, err := conn.Exec(ctx, w.tableSQL()); err != nil {
			return s, err
		}
	}
	a, store := loading{bench: b, loadCase: c, work: w, dsn: b.dsn(), from: filepath.Join(w.dir, c.Form)}, 0
	if c.S3 {
		server, url, err := b.startServer(ctx, "serve", w.dir, c.Latency)
		if err != nil {
			return s, err
		}
		defer stopServer(server)
		a.endpoint, a.from, store = url, "s3://bench/"+c.Form, server.Process.Pid
		if c.Form == formFiles {
			a.from += "/"
		}
	}
	limited, cancel := context.WithTimeout(ctx, b.limit)
	defer cancel()
	commands, err := p.commands(limited, a)
	if err != nil {
		return s, err
	}
	if _, err := conn.Exec(ctx, "CHECKPOINT"); err != nil {
		return s, err
	}
	s, err = measure(ctx, conn, b.pg.PID(), store, commands)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return s, fmt.Errorf("it took longer than %v", b.limit)
	}
	if err != nil {
		return s, err
	}
	if err := w.check(ctx, conn); err != nil || p.analyzes {
		return s, err
	}
	before := treeTime(b.pg.PID())
	_, err = conn.Exec(ctx, "ANALYZE "+target)
	s.Analyze = treeTime(b.pg.PID()) - before
	return s, err
}

// check compares the table with what is known of the files.
func (w *work) check(ctx context.Context, conn *pgx.Conn) error {
	var rows, sum int64
	if err := conn.QueryRow(ctx, "SELECT count(*), "+w.sumSQL+" FROM "+target).Scan(&rows, &sum); err != nil {
		return err
	}
	if rows != w.rows || sum != w.sum {
		return fmt.Errorf("loaded %d rows with a sum of %d, not %d with %d", rows, sum, w.rows, w.sum)
	}
	return nil
}

func (b *bench) streams(name string) string { return filepath.Join(b.dir, "streams", name) }

// record keeps the COPY streams that this very bucketload sends for a work, for
// the floor to replay. What an earlier run kept goes.
func (b *bench) record(ctx context.Context, c loadCase) (err error) {
	dir, w := b.streams(c.Work), b.works[c.Work]
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return err
	}
	conn, err := b.fresh(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	u, err := url.Parse(b.dsn())
	if err != nil {
		return errors.New("the server's address is no URL")
	}
	r, err := startRecorder(u.Host, stagingSchema, dir)
	if err != nil {
		return err
	}
	u.Host = r.address()
	c.Peer = "bucketload"
	commands, err := peers[c.Peer].commands(ctx, loading{bench: b, loadCase: c, work: w, dsn: u.String(), from: filepath.Join(w.dir, c.Form)})
	if err == nil {
		_, err = measure(ctx, conn, b.pg.PID(), 0, commands)
	}
	if err := errors.Join(err, r.Close()); err != nil {
		return err
	}
	return w.check(ctx, conn)
}

// startServer starts one of this program's S3 servers as a process of its own,
// and gives its URL.
func (b *bench) startServer(ctx context.Context, args ...string) (*exec.Cmd, string, error) {
	cmd := exec.CommandContext(ctx, b.self, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stopServer(cmd)
	}
	return cmd, strings.TrimSpace(url), err
}

func stopServer(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // killed
}

// chosen tells whether one of the words, by commas, is in the name.
func chosen(name, words string) bool {
	return words == "" || slices.ContainsFunc(strings.Split(words, ","), func(w string) bool { return strings.Contains(name, w) })
}
