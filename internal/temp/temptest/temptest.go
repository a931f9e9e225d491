// Package temptest gives tests a fresh database on a real Postgres server. It
// is apart from package temp to keep package testing out of the program.
//
// A package with tests that use it begins with
//
//	func TestMain(m *testing.M) { os.Exit(temptest.Run(m)) }
package temptest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload/internal/temp"
)

// Env names the variable that says on which major versions of Postgres to test:
// "all" that are here, or those which it demands, for example "15,18"; tests
// then fail where one is absent, instead of being skipped.
const Env = "BUCKETLOAD_TEST_POSTGRES"

const all = "all"

var (
	mu      sync.Mutex
	servers = map[int]*temp.Postgres{} // by major version
	created int                        // databases, for their names
)

var installed = sync.OnceValue(func() []int { return temp.Majors(context.Background()) })

// Run runs a package's tests and ends the servers that they used.
func Run(m *testing.M) int {
	code := m.Run()
	mu.Lock()
	defer mu.Unlock()
	for _, p := range servers {
		if err := p.Stop(); err != nil {
			fmt.Fprintf(os.Stderr, "stopping PostgreSQL: %v\n", err)
			code = max(code, 1)
		}
	}
	clear(servers)
	return code
}

// Majors lists the major versions to test with: those that Env says, else the
// newest that is installed or cached; what differs between versions is for make
// check and CI to find. It skips the test if there are none.
func Majors(t testing.TB) []int {
	t.Helper()
	if majors, ok := demanded(t); ok {
		return majors
	}
	majors := installed()
	if len(majors) == 0 {
		t.Skip("PostgreSQL is not here: make test installs it")
	}
	if os.Getenv(Env) != all {
		return []int{slices.Max(majors)}
	}
	return majors
}

// Database makes a database on the process's own server of that major version,
// 0 for the newest, and gives its DSN. It is dropped when the test ends. The
// test is skipped where that version is absent, or fails if Env demands it.
func Database(t testing.TB, major int) string {
	t.Helper()
	p, name, dsn := create(t, major)
	t.Cleanup(func() { execute(t, p, "DROP DATABASE "+name+" WITH (FORCE)") })
	return dsn
}

// Shared is Database for tests that share one: it stays until Run ends the server.
func Shared(t testing.TB, major int) string {
	t.Helper()
	_, _, dsn := create(t, major)
	return dsn
}

func create(t testing.TB, major int) (p *temp.Postgres, name, dsn string) {
	t.Helper()
	mu.Lock()
	defer mu.Unlock()
	if major == 0 {
		major = slices.Max(Majors(t))
	}
	p = server(t, major)
	created++
	name = "test_" + strconv.Itoa(created)
	execute(t, p, "CREATE DATABASE "+name)
	u, err := url.Parse(p.DSN())
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return p, name, u.String()
}

// server starts the version's server at its first use. Nobody locks a test's tables
// but the test: not all locks are waited for long enough for autovacuum to give way.
func server(t testing.TB, major int) *temp.Postgres {
	t.Helper()
	if p := servers[major]; p != nil {
		return p
	}
	if !slices.Contains(installed(), major) {
		absent := fmt.Sprintf("PostgreSQL %d is not here: make test installs it", major)
		if majors, _ := demanded(t); slices.Contains(majors, major) {
			t.Fatal(absent)
		}
		t.Skip(absent)
	}
	p, err := temp.StartPostgres(context.Background(), temp.PostgresOptions{Major: major, Offline: true, Settings: []string{"autovacuum=off"}})
	if err != nil {
		t.Fatal(err)
	}
	servers[major] = p
	return p
}

func demanded(t testing.TB) (majors []int, ok bool) {
	t.Helper()
	value := os.Getenv(Env)
	if value == "" || value == all {
		return nil, false
	}
	for word := range strings.SplitSeq(value, ",") {
		major, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil {
			t.Fatalf("%s=%q is not a list of major versions", Env, value)
		}
		majors = append(majors, major)
	}
	return majors, true
}

func execute(t testing.TB, p *temp.Postgres, sql string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, p.DSN())
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Error(err)
	}
}
