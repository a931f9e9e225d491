//go:build unix

package temp_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/temp"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// childEnv makes the test binary start a server, say where, and wait: the
// process that the tests of its death kill.
const childEnv = "BUCKETLOAD_TEMP_CHILD"

func TestMain(m *testing.M) {
	if mode := os.Getenv(childEnv); mode != "" {
		p, err := temp.StartPostgres(context.Background(), temp.PostgresOptions{Offline: true, KeepRunning: mode == "keep"})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(p.PID(), p.Dir(), p.DSN())
		if mode == "keep" {
			return
		}
		select {}
	}
	os.Exit(temptest.Run(m))
}

func TestPostgres(t *testing.T) {
	for _, major := range temptest.Majors(t) {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Setenv("PGSSLMODE", "verify-full") // nothing around us may reach it
			t.Setenv("PGDATA", "/nonexistent")
			p, err := temp.StartPostgres(t.Context(), temp.PostgresOptions{Major: major, Offline: true, Settings: []string{"synchronous_commit=on"}})
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(p.Version(), strconv.Itoa(major)+".") {
				t.Errorf("version %s", p.Version())
			}
			var encoding, user string
			if err := query(t, p.DSN(), "SELECT pg_encoding_to_char(encoding), current_user FROM pg_database WHERE datname = current_database()", &encoding, &user); err != nil {
				t.Fatal(err)
			}
			if encoding != "UTF8" || user != "postgres" {
				t.Errorf("encoding %s, user %s", encoding, user)
			}
			wrong, err := url.Parse(p.DSN())
			if err != nil {
				t.Fatal(err)
			}
			wrong.User = url.UserPassword("postgres", "wrong")
			if err := query(t, wrong.String(), "SELECT 1", new(int)); err == nil {
				t.Error("a wrong password was taken")
			}

			const object = "4711"
			if err := query(t, p.DSN(), "SELECT lo_from_bytea("+object+", 'kept')", new(uint32)); err != nil {
				t.Fatal(err)
			}
			old := p.PID()
			if err := p.Crash(t.Context()); err != nil {
				t.Fatal(err)
			}
			var kept string
			if err := query(t, p.DSN(), "SELECT convert_from(lo_get("+object+"), 'UTF8')", &kept); err != nil || kept != "kept" || alive(old) || p.PID() == old {
				t.Errorf("after a crash: %q, %v", kept, err)
			}

			for range 2 {
				if err := p.Stop(); err != nil {
					t.Fatal(err)
				}
			}
			if alive(p.PID()) {
				t.Error("the server is still there")
			}
			if _, err := os.Stat(p.Dir()); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("its data is still there: %v", err)
			}
		})
	}
}

func query(t *testing.T, dsn, sql string, into ...any) error {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.Background()) }()
	return conn.QueryRow(t.Context(), sql).Scan(into...)
}

func alive(pid int) bool {
	return syscall.Kill(pid, 0) == nil
}

func TestPostgresThatIsNowhere(t *testing.T) {
	_, err := temp.StartPostgres(t.Context(), temp.PostgresOptions{Major: 9, Offline: true})
	var e *bucketload.Error
	if !errors.As(err, &e) || !strings.Contains(e.Message, "PostgreSQL 9 ") || !strings.Contains(e.Hint, "install postgresql") {
		t.Fatalf("%v", err)
	}
}

func TestPostgresGivenUp(t *testing.T) {
	temptest.Majors(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := temp.StartPostgres(ctx, temp.PostgresOptions{Offline: true}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// startChildProcess runs this test binary in a mode and reads what it says of
// its server.
func startChildProcess(t *testing.T, mode string) (cmd *exec.Cmd, pid int, dir, dsn string) {
	t.Helper()
	temptest.Majors(t)
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+mode)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if _, err2 := fmt.Sscan(line, &pid, &dir, &dsn); err != nil || err2 != nil {
		t.Fatalf("%q: %v", line, errors.Join(err, err2))
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return cmd, pid, dir, dsn
}

func TestPostgresDiesWithUs(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends a process with its parent")
	}
	cmd, pid, _, dsn := startChildProcess(t, "die")
	if err := query(t, dsn, "SELECT 1", new(int)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	waitGone(t, pid)
}

func TestPostgresKeptRunning(t *testing.T) {
	cmd, pid, dir, dsn := startChildProcess(t, "keep")
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := query(t, dsn, "SELECT 1", new(int)); err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	waitGone(t, pid)
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("the data of a kept server is the user's: %v", err)
	}
}

// waitGone waits for a process which is not our child, or a zombie where
// nobody reaps it.
func waitGone(t *testing.T, pid int) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		select {
		case <-tick.C:
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			if !alive(pid) || err == nil && bytes.Contains(stat, []byte(") Z ")) {
				return
			}
		case <-deadline:
			t.Fatal("the server is still there")
		}
	}
}
