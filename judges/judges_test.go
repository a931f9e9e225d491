// Package judges loads the files that other projects test themselves with, and
// compares the tables that come out with what those projects expect. It goes
// the way of a user: keys of bucketload.yaml, the state machine, a table.
//
// What the judges find stands in docs/compatibility.md; "go test ./judges
// -update" writes it.
package judges

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/conduct"
	"github.com/bucketload/bucketload/internal/config"
	"github.com/bucketload/bucketload/internal/steps"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

func TestMain(m *testing.M) { os.Exit(temptest.Run(m)) }

var raced bool // the race detector is on

// slow skips a test of hundreds of loads where the race detector would make
// minutes of it: other tests load with it.
func slow(t *testing.T) {
	t.Helper()
	if raced {
		t.Skip("hundreds of loads, judged without the race detector")
	}
}

// court is where files are loaded: a database, and the steps over it.
type court struct {
	pool   *pgxpool.Pool
	steps  *steps.Steps
	tables atomic.Int64
}

// atOnce is how many files are loaded at the same time.
const atOnce = 6

// patience is how long one file may take, beside all that a machine may have to
// do, before it counts as hanging.
const patience = 5 * time.Minute

func newCourt(t *testing.T) *court {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(temptest.Database(t, 0))
	if err != nil {
		t.Fatal(err)
	}
	cfg.MaxConns = 4 * atOnce
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	c := &court{pool: pool, steps: steps.New(pool, slog.New(slog.DiscardHandler))}
	if err := c.steps.Ledger.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// verdict is what came of a load.
type verdict struct {
	run  *bucketload.Run
	err  *bucketload.Error // why the run, or its first file, failed; nil where it is there
	grid                   // the table; nothing where there is none
}

// grid is a table as text.
type grid struct {
	names []string
	rows  [][]*string // in any order; nil is NULL
}

// texts gives the rows with NULL as nothing.
func (g grid) texts() [][]string {
	rows := make([][]string, len(g.rows))
	for i, row := range g.rows {
		rows[i] = make([]string, len(row))
		for j, value := range row {
			if value != nil {
				rows[i][j] = *value
			}
		}
	}
	return rows
}

// load loads files into a table of their own with the given keys of a table,
// lines of YAML, and reads it back. An error that a user could not make sense
// of fails the test, and so does a load that takes too long.
func (c *court) load(t *testing.T, keys string, files ...string) verdict {
	t.Helper()
	return c.ask(t, "", keys, "SELECT * FROM t", files...)
}

var theTable = regexp.MustCompile(`\b(FROM|TABLE) t\b`)

// ask is load with a statement before it, and the grid is what a query gives;
// t is the table in both.
func (c *court) ask(t *testing.T, before, keys, query string, files ...string) verdict {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	name := fmt.Sprintf("t%d", c.tables.Add(1))
	text := "tables:\n  " + name + ":\n    from: " + yaml(files) + "\n    retries: 0\n    " +
		strings.ReplaceAll(strings.TrimSpace(keys), "\n", "\n    ") + "\n"
	f, err := config.Parse("bucketload.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	loads, err := f.Loads(nil, config.Flags{})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if _, err := c.pool.Exec(ctx, theTable.ReplaceAllString(before, "$1 "+name)); err != nil {
		t.Fatal(err)
	}
	run, err := conduct.Load(ctx, c.steps, loads[0])
	v := verdict{run: run}
	switch {
	case ctx.Err() != nil:
		t.Errorf("%s: still loading after %s", files, patience)
	case run == nil:
		t.Errorf("%s: no run: %v", files, err)
	case err != nil:
		v.err = bucketload.AsError(err)
		if v.err.Code == bucketload.CodeInternal || v.err.Message == "" {
			t.Errorf("%s: an error that says nothing to a user: %v", files, err)
		}
		c.blames(t, run, v.err)
	default:
		v.grid = c.query(t, theTable.ReplaceAllString(query, "$1 "+name))
		if _, err := c.pool.Exec(ctx, "DROP TABLE "+name); err != nil {
			t.Error(err)
		}
	}
	return v
}

// blames fails the test where a load failed by something else than its files:
// what a judge says of them must not depend on what else the machine does.
func (c *court) blames(t *testing.T, run *bucketload.Run, err *bucketload.Error) {
	t.Helper()
	codes := []string{string(err.Code)}
	if err.Code == bucketload.CodeTolerance {
		rows, qerr := c.pool.Query(t.Context(), `SELECT DISTINCT error->>'code' FROM bucketload.files WHERE run = $1 AND state = 'failed'`, run.ID)
		if qerr != nil {
			t.Fatal(qerr)
		}
		if codes, qerr = pgx.CollectRows(rows, pgx.RowTo[string]); qerr != nil {
			t.Fatal(qerr)
		}
	}
	for _, code := range codes {
		switch bucketload.Code(code) {
		case bucketload.CodeConflict, bucketload.CodeMissing, bucketload.CodeChanged, bucketload.CodeAccess, bucketload.CodeDatabase, bucketload.CodeConnect,
			bucketload.CodeDependents, bucketload.CodeFenced, bucketload.CodeCancelled:
			t.Errorf("failed by %s, which is not the file's: %v", code, err)
		}
	}
	if err.Transient {
		t.Errorf("may do better another time: %v", err)
	}
}

// query gives values as psql would print them.
func (c *court) query(t *testing.T, sql string) grid {
	t.Helper()
	conn, err := c.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	result := conn.Conn().PgConn().ExecParams(t.Context(), sql, nil, nil, nil, nil)
	var g grid
	for result.NextRow() {
		row := make([]*string, len(result.Values()))
		for i, value := range result.Values() {
			if value != nil {
				text := string(value)
				row[i] = &text
			}
		}
		g.rows = append(g.rows, row)
	}
	for _, f := range result.FieldDescriptions() {
		g.names = append(g.names, f.Name)
	}
	if _, err := result.Close(); err != nil {
		t.Fatal(err)
	}
	return g
}

// each judges every item in a test of its own, a few at a time.
func each[T any](t *testing.T, items []T, name func(T) string, judge func(t *testing.T, i int, item T)) {
	t.Helper()
	var all sync.WaitGroup
	turn := make(chan struct{}, atOnce)
	for i, item := range items {
		turn <- struct{}{}
		all.Go(func() {
			defer func() { <-turn }()
			t.Run(name(item), func(t *testing.T) { judge(t, i, item) })
		})
	}
	all.Wait()
}

// files gives the files below dir whose names match one of the patterns, in order.
func files(t *testing.T, dir string, patterns ...string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if slices.ContainsFunc(patterns, func(p string) bool { ok, _ := filepath.Match(p, d.Name()); return ok }) {
			found = append(found, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatalf("no %s in %s", patterns, dir)
	}
	return found
}

// yaml writes a value for a configuration: JSON is YAML.
func yaml(value any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		panic(err) // texts, and lists of them
	}
	return strings.TrimSpace(b.String())
}

var update = flag.Bool("update", false, "write what comes out into docs/compatibility.md")

const document = "../docs/compatibility.md"

var writing sync.Mutex

// report compares a section of the document with what comes out, or writes it.
func report(t *testing.T, title, text string) {
	t.Helper()
	writing.Lock()
	defer writing.Unlock()
	was, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	section := regexp.MustCompile(`(?ms)^## ` + regexp.QuoteMeta(title) + `\n.*?(\n## |\z)`)
	at := section.FindSubmatchIndex(was)
	if at == nil {
		t.Fatalf("%s has no section %q", document, title)
	}
	now := "## " + title + "\n\n" + strings.TrimSpace(text) + "\n"
	if string(was[at[0]:at[2]]) == now {
		return
	}
	if !*update {
		t.Errorf("%s is not what comes out (go test ./judges -update); this is:\n%s", document, now)
		return
	}
	if err := os.WriteFile(document, slices.Concat(was[:at[0]], []byte(now), was[at[2]:]), 0o600); err != nil {
		t.Fatal(err)
	}
}
