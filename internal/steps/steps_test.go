package steps

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

func TestMain(m *testing.M) {
	_ = flag.Set("rapid.checks", "12") // each is a load
	os.Exit(temptest.Run(m))
}

// bench is a database, a directory of files and the steps between them.
type bench struct {
	*Steps
	t      testing.TB
	dir    string
	schema string            // of the live table
	table  string            // the live one
	held   map[string]func() // runs
	parts  int
}

// newBench has a database of its own.
func newBench(t testing.TB, major int, change ...func(*pgxpool.Config)) *bench {
	t.Helper()
	b := openBench(t, temptest.Database(t, major), "public", change...)
	b.must(b.Ledger.Migrate(t.Context()))
	return b
}

var shared struct {
	sync.Mutex
	dsn     map[int]string // by major version
	schemas int
}

// sharedBench has a schema of its own in a database that tests have together,
// which costs a fraction: for what looks at its own table and its own runs only.
func sharedBench(t testing.TB, major int) *bench {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.dsn == nil {
		shared.dsn = map[int]string{}
	}
	shared.schemas++
	schema := fmt.Sprintf("s%d", shared.schemas)
	first := shared.dsn[major] == ""
	if first {
		shared.dsn[major] = temptest.Shared(t, major)
	}
	b := openBench(t, shared.dsn[major], schema, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["search_path"] = schema })
	if first {
		b.must(b.Ledger.Migrate(t.Context()))
	}
	b.exec("CREATE SCHEMA " + schema)
	return b
}

func openBench(t testing.TB, dsn, schema string, change ...func(*pgxpool.Config)) *bench {
	t.Helper()
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = 4
	for _, f := range change {
		f(config)
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return &bench{Steps: New(pool, slog.New(slog.DiscardHandler)), t: t, dir: t.TempDir(), schema: schema, table: "t", held: map[string]func(){}}
}

// part is the same bench with another directory and another table.
func (b *bench) part(t testing.TB) *bench {
	b.parts++
	p := *b
	p.t, p.dir, p.table, p.held = t, t.TempDir(), fmt.Sprintf("t%d", b.parts), map[string]func(){}
	return &p
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) exec(sql string) {
	b.t.Helper()
	_, err := b.Pool.Exec(context.Background(), sql)
	b.must(err)
}

// value reads one value, as text.
func (b *bench) value(sql string, args ...any) string {
	b.t.Helper()
	var v *string
	b.must(b.Pool.QueryRow(context.Background(), "SELECT ("+sql+")::text", args...).Scan(&v))
	if v == nil {
		return "NULL"
	}
	return *v
}

func (b *bench) put(name, content string) {
	b.t.Helper()
	b.must(os.MkdirAll(filepath.Dir(filepath.Join(b.dir, name)), 0o700))
	b.must(os.WriteFile(filepath.Join(b.dir, name), []byte(content), 0o600))
}

// load is a definition over the directory, in which files may fail.
func (b *bench) load(files map[string]string, change ...func(*bucketload.Load)) *bucketload.Load {
	b.t.Helper()
	for name, content := range files {
		b.put(name, content)
	}
	l := &bucketload.Load{Key: "t", Table: bucketload.TableName{Schema: b.schema, Name: b.table}, From: []string{b.dir + "/"},
		Format: bucketload.FormatAuto, CSV: bucketload.CSV{Quote: `"`, Escape: `"`, Header: true}, Mode: bucketload.ModeReplace,
		LowerCase: true, MaxConcurrency: 2, MaxItemsPerBatch: 25, MinBatchBytes: 8e6, KeepBackups: 1, LockTimeout: time.Second}
	l.Tolerate.Files = bucketload.Share{Percent: 100, IsShare: true}
	for _, f := range change {
		f(l)
	}
	return l
}

// begin begins a run, held by this process to the end of the test.
func (b *bench) begin(load *bucketload.Load) string {
	b.t.Helper()
	run := bucketload.NewRunID(time.Now())
	_, release, err := b.Ledger.Hold(context.Background(), run)
	b.must(err)
	b.held[run] = release
	b.t.Cleanup(release)
	_, err = b.Ledger.Begin(b.t.Context(), run, load, ledger.Conductor{})
	b.must(err)
	return run
}

// prepared begins a run and takes it to its copies.
func (b *bench) prepared(load *bucketload.Load) string {
	b.t.Helper()
	run := b.begin(load)
	_, err := b.Plan(b.t.Context(), PlanInput{Try: ledger.Try{Run: run}, Load: load})
	b.must(err)
	b.must(b.Prepare(b.t.Context(), ledger.Try{Run: run}))
	b.must(b.Ledger.Enter(b.t.Context(), ledger.Try{Run: run}, ledger.StateCopy))
	return run
}

func (b *bench) copyAll(run string) error {
	b.t.Helper()
	open, err := b.Ledger.OpenBatches(b.t.Context(), run)
	b.must(err)
	for _, batch := range open {
		if _, err := b.Copy(b.t.Context(), CopyInput{ledger.Try{Run: run}, batch.No}); err != nil {
			return err
		}
	}
	return nil
}

// whole takes a load through all its steps.
func (b *bench) whole(load *bucketload.Load) (*ledger.Run, error) {
	b.t.Helper()
	ctx, run := b.t.Context(), b.begin(load)
	if _, err := b.Plan(ctx, PlanInput{Try: ledger.Try{Run: run}, Load: load}); err != nil {
		return nil, b.end(run, err)
	}
	if err := b.Prepare(ctx, ledger.Try{Run: run}); err != nil {
		return nil, b.end(run, err)
	}
	if err := b.copyAll(run); err != nil {
		return nil, b.end(run, err)
	}
	r, err := b.Finish(ctx, ledger.Try{Run: run})
	return r, b.end(run, err)
}

// again begins another try of a run, after the one under way.
func (b *bench) again(run string) {
	b.t.Helper()
	r, err := b.Ledger.Run(b.t.Context(), run)
	b.must(err)
	_, err = b.Ledger.Again(b.t.Context(), ledger.Try{Run: run, Attempt: r.Attempt})
	b.must(err)
}

// resume begins a redrive of a run.
func (b *bench) resume(run string) {
	b.t.Helper()
	_, err := b.Redrive(b.t.Context(), run, ledger.Conductor{})
	b.must(err)
}

// end lets go of a run, and ends it if it failed, so that another may begin.
func (b *bench) end(run string, err error) error {
	b.t.Helper()
	if err != nil {
		b.must(b.Ledger.End(context.Background(), ledger.Try{Run: run}, bucketload.StatusFailed, nil))
	}
	b.held[run]()
	return err
}

// files gives what the ledger says of each file, by its base name.
func (b *bench) files(run string) map[string]bucketload.File {
	b.t.Helper()
	files := map[string]bucketload.File{}
	b.must(b.Ledger.Files(b.t.Context(), run, "", func(f *bucketload.File) error {
		files[path.Base(f.URI)] = *f
		return nil
	}))
	return files
}

// outcome is a file's fate in one line: "loaded 3", or its error.
func outcome(f bucketload.File) string {
	if f.Error == nil {
		return fmt.Sprintf("%s %d", f.State, f.Rows)
	}
	return fmt.Sprintf("%s %s line %d column %q value %q", f.State, f.Error.Code, f.Error.Line, f.Error.Column, f.Error.Value)
}

func wantCode(t testing.TB, err error, code bucketload.Code, words ...string) {
	t.Helper()
	e, ok := errors.AsType[*bucketload.Error](err)
	if !ok || e.Code != code {
		t.Fatalf("got %v, want code %s", err, code)
	}
	if e.Op == "" {
		t.Errorf("%v does not say in which step", err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error()+" "+e.Hint, w) {
			t.Errorf("%q, hint %q, does not mention %q", err, e.Hint, w)
		}
	}
}

// named puts the bench's table in the place of {t}.
func (b *bench) named(s string) string { return strings.ReplaceAll(s, "{t}", b.table) }
