package ledger_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

func TestMain(m *testing.M) { os.Exit(temptest.Run(m)) }

// TestOnPostgres runs every test on every major version that is here, each
// version's tests one after the other in one database with a new ledger.
func TestOnPostgres(t *testing.T) {
	tests := []struct {
		name string
		run  func(*testing.T, *db)
	}{
		{"Migrate", testMigrate},
		{"Upgrade", testUpgrade},
		{"MigrateGivenSchemas", testMigrateGivenSchemas},
		{"OneActiveRun", testOneActiveRun},
		{"BeginRace", testBeginRace},
		{"BeginTwice", testBeginTwice},
		{"HeldKeys", testHeldKeys},
		{"HeldAgain", testHeldAgain},
		{"DeadCopies", testDeadCopies},
		{"Publish", testPublish},
		{"Generations", testGenerations},
		{"Recreated", testRecreated},
		{"Sizes", testSizes},
		{"Deleting", testDeleting},
		{"Unvalidated", testUnvalidated},
		{"Shapes", testShapes},
		{"Outdated", testOutdated},
		{"OutdatedLate", testOutdatedLate},
		{"Discard", testDiscard},
		{"LeftoversByTheServersClock", testLeftoversByTheServersClock},
		{"Cancel", testCancel},
		{"BuildRecord", testBuildRecord},
		{"Lease", testLease},
		{"Receipts", testReceipts},
		{"Parts", testParts},
		{"PartsAtOnce", testPartsAtOnce},
		{"Rejects", testRejects},
		{"Broken", testBroken},
		{"Replay", testReplay},
		{"Settle", testSettle},
		{"EndCopies", testEndCopies},
		{"EndedMeanwhile", testEndedMeanwhile},
		{"WritePlan", testWritePlan},
		{"CancelledPlan", testCancelledPlan},
		{"Again", testAgain},
		{"AgainOnceBuilt", testAgainOnceBuilt},
		{"Resume", testResume},
		{"ResumeAfterAppend", testResumeAfterAppend},
		{"Loaded", testLoaded},
		{"ConductedElsewhere", testConductedElsewhere},
		{"Blame", testBlame},
		{"TakeUp", testTakeUp},
		{"Machine", testMachine},
	}
	for _, major := range temptest.Majors(t) {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			dsn := temptest.Database(t, major)
			for _, test := range tests {
				t.Run(test.name, func(t *testing.T) {
					d := &db{TB: t, dsn: dsn}
					d.pool = d.connect(dsn)
					d.Ledger = ledger.New(d.pool)
					d.exec(`DROP SCHEMA public CASCADE`)
					d.exec(`CREATE SCHEMA public`)
					d.drop()
					d.must(d.Migrate(t.Context()))
					test.run(t, d)
				})
			}
		})
	}
}

// db is a database with a new ledger, and a pool of connections.
type db struct {
	testing.TB
	*ledger.Ledger
	pool *pgxpool.Pool
	dsn  string
	runs int
}

// drop leaves nothing of bucketload, nor of shadowed.
func (d *db) drop() {
	d.Helper()
	d.exec(`DROP SCHEMA IF EXISTS bucketload, dataimport, databackup, shadow CASCADE`)
}

// shadowed gives a ledger over a pool of its own, whose statements find what the SQL
// makes in the schema shadow before what the server has.
func (d *db) shadowed(sql string) *ledger.Ledger {
	d.Helper()
	d.exec(`CREATE SCHEMA shadow; ` + sql)
	c, err := pgxpool.ParseConfig(d.dsn)
	d.must(err)
	c.ConnConfig.RuntimeParams["search_path"] = "shadow, pg_catalog"
	pool, err := pgxpool.NewWithConfig(d.Context(), c)
	d.must(err)
	d.Cleanup(pool.Close)
	return ledger.New(pool)
}

// hold holds a run until the test ends, or release.
func (d *db) hold(run string) (release func()) {
	d.Helper()
	_, release, err := d.Hold(d.Context(), run)
	d.must(err)
	d.Cleanup(release)
	return release
}

// role makes a role, the only one of its kind on the server.
func (d *db) role() string {
	d.Helper()
	role := "user_" + strings.ToLower(rand.Text())
	d.exec(`CREATE ROLE ` + role + ` LOGIN`)
	return role
}

func (d *db) connect(dsn string) *pgxpool.Pool {
	d.Helper()
	pool, err := pgxpool.New(d.Context(), dsn)
	d.must(err)
	d.Cleanup(pool.Close)
	return pool
}

func (d *db) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

func (d *db) exec(sql string) {
	d.Helper()
	_, err := d.pool.Exec(d.Context(), sql)
	d.must(err)
}

// value gives a query's only value as text.
func (d *db) value(sql string, args ...any) string {
	d.Helper()
	var v any
	d.must(d.pool.QueryRow(d.Context(), sql, args...).Scan(&v))
	return fmt.Sprint(v)
}

// waits returns once so many backends wait for a lock.
func (d *db) waits(n int) {
	d.Helper()
	for d.value(`SELECT count(*) FROM pg_locks WHERE NOT granted AND (database IS NULL OR database = (SELECT oid FROM pg_database WHERE datname = current_database()))`) != strconv.Itoa(n) {
		d.must(d.Context().Err())
	}
}

func want(t *testing.T, err error, code bucketload.Code, words ...string) {
	t.Helper()
	var e *bucketload.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("error %v, want code %s", err, code)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
}

// conducted is a run that a test conducts.
type conducted struct {
	*db
	id      string
	load    *bucketload.Load
	release func()
}

// begin holds and begins a run.
func (d *db) begin(load *bucketload.Load) *conducted {
	d.Helper()
	r, err := d.tryBegin(load)
	d.must(err)
	return r
}

func (d *db) tryBegin(load *bucketload.Load) (*conducted, error) {
	d.runs++
	r := &conducted{db: d, id: fmt.Sprintf("run%09d", d.runs), load: load}
	r.release = d.hold(r.id)
	_, err := d.Begin(d.Context(), r.id, load, ledger.Conductor{})
	return r, err
}

func replace(table string) *bucketload.Load {
	return &bucketload.Load{Key: table, Table: bucketload.TableName{Schema: "public", Name: table}, Mode: bucketload.ModeReplace}
}

func appending() *bucketload.Load {
	load := replace("t")
	load.Mode = bucketload.ModeAppend
	return load
}

// plan writes a plan of these files, so many in a batch. A name with a ! is
// skipped; name@version has that version.
func (r *conducted) plan(perBatch int, uris ...string) {
	r.Helper()
	n := 0
	r.must(r.WritePlan(r.Context(), r.id, func(l *ledger.Listing) error {
		for _, uri := range uris {
			uri, version, ok := strings.Cut(uri, "@")
			if !ok {
				version = "v1"
			}
			p := ledger.Planned{Object: bucketload.Object{URI: uri, Size: int64(len(uri)), Version: version}, Batch: n / perBatch}
			if strings.Contains(uri, "!") {
				p.Batch, p.Skipped = 0, &bucketload.FileError{Code: bucketload.CodeName, Message: "its name"}
			} else {
				n++
			}
			if err := l.Add(p); err != nil {
				return err
			}
		}
		return nil
	}))
}

// prepare records columns and makes the staging table; staging is false for rows
// that go into the live table.
func (r *conducted) prepare(staging bool) {
	r.Helper()
	if staging {
		r.exec(`CREATE TABLE dataimport.r_` + r.id + ` ()`)
	}
	r.must(r.tx(func(tx pgx.Tx) error { return r.SetColumns(r.Context(), tx, r.id, []string{"a"}, staging) }))
	r.must(r.Enter(r.Context(), ledger.Try{Run: r.id}, ledger.StateCopy))
}

func (r *conducted) tx(do func(pgx.Tx) error) error { return pgx.BeginFunc(r.Context(), r.pool, do) }

// copy copies a batch: names in fail fail, and with a ~ transiently.
func (r *conducted) copy(batch int, fail ...string) error {
	return r.tx(func(tx pgx.Tx) error {
		files, err := lease(r.Context(), tx, ledger.Try{Run: r.id}, batch)
		if err != nil || len(files) == 0 {
			return err
		}
		var receipts []ledger.Receipt
		for _, f := range files {
			receipt := ledger.Receipt{No: f.No, Rows: 10}
			if slices.Contains(fail, f.URI) {
				receipt.Err = &bucketload.Error{Code: bucketload.CodeValue, URI: f.URI, Line: 3, Column: "a", Value: "x\x00y", Message: "bad",
					Hint: "mend it", Transient: strings.HasSuffix(f.URI, "~")}
			}
			receipts = append(receipts, receipt)
		}
		_, _, err = ledger.Receive(r.Context(), tx, r.id, batch, receipts)
		return err
	})
}

// all goes through a run that loads the files: staging or straight.
func (r *conducted) all(staging bool, uris ...string) {
	r.Helper()
	r.plan(1000, uris...)
	r.prepare(staging)
	r.must(r.copy(0))
	r.publish()
}

func (r *conducted) publish() {
	r.Helper()
	r.swaps()
	r.exec(`DROP TABLE IF EXISTS dataimport.r_` + r.id)
	r.must(r.tx(func(tx pgx.Tx) error {
		return ledger.Publish(r.Context(), tx, ledger.Try{Run: r.id}, r.load.Table, ledger.Publication{Status: bucketload.StatusSucceeded})
	}))
	r.release()
}

// swaps takes a run to its swap.
func (r *conducted) swaps() {
	r.Helper()
	r.must(r.Enter(r.Context(), ledger.Try{Run: r.id}, ledger.StateSwap))
}

// fail ends a run as the conductor does, and lets go of it.
func (r *conducted) fail() {
	r.Helper()
	r.must(r.End(r.Context(), ledger.Try{Run: r.id}, bucketload.StatusFailed, &bucketload.RunError{Op: "copy", Message: "it broke"}))
	r.release()
}

// states lists state:attempts of the files in the order of the plan.
func (r *conducted) states() string {
	r.Helper()
	return r.value(`SELECT string_agg(state || ':' || attempts, ' ' ORDER BY no) FROM bucketload.files WHERE run = $1`, r.id)
}

// batches lists done and failed of the batches.
func (r *conducted) batches() string {
	r.Helper()
	return r.value(`SELECT string_agg(done || ':' || failed, ' ' ORDER BY no) FROM bucketload.batches WHERE run = $1`, r.id)
}

func testMigrate(t *testing.T, d *db) {
	d.drop()
	if there, err := d.Exists(t.Context()); there || err != nil {
		t.Errorf("exists %v, %v", there, err)
	}
	if _, ok, err := ledger.BackupOf(t.Context(), d.pool, bucketload.TableName{Schema: "databackup", Name: "t"}); ok || err != nil {
		t.Errorf("a backup without a ledger: %v, %v", ok, err)
	}
	var g errgroup.Group
	for range 4 {
		g.Go(func() error { return d.Migrate(t.Context()) })
	}
	d.must(g.Wait())
	d.must(d.Migrate(t.Context()))
	files, err := filepath.Glob("migrations/*.sql")
	d.must(err)
	if n := d.value(`SELECT count(*) FROM bucketload.migrations`); n != strconv.Itoa(len(files)) {
		t.Errorf("%s of %d migrations applied", n, len(files))
	}

	// A schema that somebody dropped to free its space comes back.
	d.exec(`DROP SCHEMA databackup`)
	d.must(d.Migrate(t.Context()))
	d.exec(`CREATE TABLE databackup.t ()`)

	// A ledger that is up to date asks for no right to create.
	role := d.role()
	d.exec(`GRANT USAGE ON SCHEMA bucketload TO ` + role)
	d.exec(`GRANT ALL ON ALL TABLES IN SCHEMA bucketload TO ` + role)
	d.must(d.as(role).Migrate(t.Context()))

	d.exec(`INSERT INTO bucketload.migrations (version, name) VALUES (999, 'future')`)
	want(t, d.Migrate(t.Context()), bucketload.CodeUsage, "version 999")
}

// testUpgrade: a ledger of an older program, with a run, comes to this version,
// but not in the way of a copy.
func testUpgrade(t *testing.T, d *db) {
	d.drop()
	d.must(d.Upgrade(t.Context())) // nothing to do where there is none
	if there, err := d.Exists(t.Context()); there || err != nil {
		t.Errorf("exists %v, %v", there, err)
	}
	first, err := os.ReadFile("migrations/0001_ledger.sql")
	d.must(err)
	d.exec(`CREATE TABLE t (); CREATE SCHEMA bucketload; CREATE TABLE bucketload.migrations (version int PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now());
		INSERT INTO bucketload.migrations VALUES (1, '0001_ledger.sql'); ` + string(first) + `;
		INSERT INTO bucketload.runs (id, table_schema, table_name, mode, load, status) VALUES ('r', 'public', 't', 'replace', '{}', 'failed')`)
	copying, err := d.pool.Begin(t.Context())
	d.must(err)
	defer func() { _ = copying.Rollback(context.Background()) }()
	_, err = copying.Exec(t.Context(), `SELECT FROM bucketload.runs`)
	d.must(err)
	want(t, d.Upgrade(t.Context()), bucketload.CodeConflict, "older bucketload is loading")
	d.must(copying.Rollback(t.Context()))
	d.must(d.Upgrade(t.Context()))
	d.begin(appending())
	if n := d.value(`SELECT count(*) FROM bucketload.runs WHERE table_oid = 't'::regclass AND ledger_oid = 'bucketload.runs'::regclass`); n != "2" {
		t.Error("the run's table is not the one that is there")
	}
	if r, err := d.Run(t.Context(), "r"); err != nil || r.Status != bucketload.StatusFailed || r.Conductor != ledger.Process || r.Execution != nil {
		t.Errorf("%+v, %v", r, err)
	}
}

// A role that may not create schemas uses those that it was given.
func testMigrateGivenSchemas(t *testing.T, d *db) {
	d.drop()
	role := d.role()
	l := d.as(role)
	for _, schema := range []string{"bucketload", "dataimport", "databackup"} {
		for _, err := range []error{l.MayMigrate(t.Context()), l.Migrate(t.Context())} {
			want(t, err, bucketload.CodeAccess, role, "may not make schemas", schema)
			if hint := bucketload.AsError(err).Hint; !strings.Contains(hint, "GRANT CREATE ON DATABASE ") || !strings.Contains(hint, `CREATE SCHEMA "`+schema+`" AUTHORIZATION `) {
				t.Errorf("hint %q", hint)
			}
		}
		d.exec(`CREATE SCHEMA ` + schema)
		d.exec(`GRANT ALL ON SCHEMA ` + schema + ` TO ` + role)
	}
	d.must(l.MayMigrate(t.Context()))
	d.must(l.Migrate(t.Context()))
	d.must(l.Migrate(t.Context()))
}

// as gives the ledger to a role, with no search path to help it.
func (d *db) as(role string) *ledger.Ledger {
	d.Helper()
	c, err := pgxpool.ParseConfig(d.dsn)
	d.must(err)
	c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `SET SESSION AUTHORIZATION `+role+`; SET search_path = ''`)
		return err
	}
	pool, err := pgxpool.NewWithConfig(d.Context(), c)
	d.must(err)
	d.Cleanup(pool.Close)
	return ledger.New(pool)
}

func testOneActiveRun(t *testing.T, d *db) {
	first := d.begin(replace("t"))
	d.begin(replace("other")) // does not mind
	_, err := d.tryBegin(replace("t"))
	want(t, err, bucketload.CodeConflict, first.id, "public.t")
	_, _, err = d.Hold(t.Context(), first.id)
	want(t, err, bucketload.CodeConflict, first.id)

	first.publish()
	second := d.begin(replace("t"))

	// Its process dies: the next one says so and begins.
	second.release()
	r, err := d.Run(t.Context(), second.id)
	d.must(err)
	if r.Status != bucketload.StatusFailed || r.Error == nil || !strings.Contains(r.Error.Hint, "redrive "+second.id) || r.Alive {
		t.Errorf("a dead run is shown as %s, %v", r.Status, r.Error)
	}
	d.must(d.Runs(t.Context(), func(r *ledger.Run) error {
		if *r.ID == second.id && r.Status != bucketload.StatusFailed {
			t.Errorf("a dead run is listed as %s", r.Status)
		}
		return nil
	}))
	d.hold("third")
	dead, err := d.Begin(t.Context(), "third", replace("t"), ledger.Conductor{})
	if dead != second.id || err != nil {
		t.Errorf("dead %q, %v; want %s", dead, err, second.id)
	}
	want(t, d.Enter(t.Context(), ledger.Try{Run: second.id}, ledger.StateCheck), bucketload.CodeFenced, second.id)
	if r, err = d.Run(t.Context(), second.id); err != nil || r.Status != bucketload.StatusFailed || r.EndedAt == nil || r.Error.Message != "its process died" {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err = d.Run(t.Context(), "third"); err != nil || r.Status != bucketload.StatusRunning || !r.Alive {
		t.Errorf("%+v, %v", r, err)
	}
	// What is over stays as it ended.
	d.must(d.End(t.Context(), ledger.Try{Run: second.id}, bucketload.StatusCancelled, nil))
	if v := d.value(`SELECT status FROM bucketload.runs WHERE id = $1`, second.id); v != "failed" {
		t.Errorf("ended twice: %s", v)
	}
	_, err = d.Run(t.Context(), "nobody's")
	want(t, err, bucketload.CodeUsage, "nobody's")
}

// Of many that begin at once on a table whose run died, one wins.
func testBeginRace(t *testing.T, d *db) {
	for range 3 {
		d.begin(replace("t")).release()
		var g errgroup.Group
		results := make([]error, 4)
		for i := range results {
			d.runs++
			id := fmt.Sprintf("run%09d", d.runs)
			d.hold(id)
			g.Go(func() error {
				_, results[i] = d.Begin(t.Context(), id, replace("t"), ledger.Conductor{})
				return nil
			})
		}
		d.must(g.Wait())
		won := 0
		for _, err := range results {
			if err == nil {
				won++
			} else {
				want(t, err, bucketload.CodeConflict)
			}
		}
		if n := d.value(`SELECT count(*) FROM bucketload.runs WHERE status = 'running'`); won != 1 || n != "1" {
			t.Errorf("%d have begun, %s run", won, n)
		}
		d.exec(`UPDATE bucketload.runs SET status = 'failed'`)
	}
}

// A run whose beginning is told twice begins once; another's id is not taken.
func testBeginTwice(t *testing.T, d *db) {
	r := d.begin(replace("t"))
	_, err := d.Begin(t.Context(), r.id, replace("t"), ledger.Conductor{})
	d.must(err)
	if _, err = d.Begin(t.Context(), r.id, replace("u"), ledger.Conductor{}); !errors.Is(err, ledger.ErrTaken) {
		t.Errorf("the id of a running run: %v", err)
	}
	r.fail()
	if _, err = d.Begin(t.Context(), r.id, replace("t"), ledger.Conductor{}); !errors.Is(err, ledger.ErrTaken) {
		t.Errorf("the id of a failed run: %v", err)
	}
	if n := d.value(`SELECT count(*) FROM bucketload.runs`); n != "1" {
		t.Errorf("%s runs", n)
	}
}

// Advisory keys are 64 bits in two halves in pg_locks, of either sign.
func testHeldKeys(t *testing.T, d *db) {
	signs := map[string]int{}
	for i := range 12 {
		r := d.begin(replace("t" + strconv.Itoa(i)))
		signs[d.value(`SELECT sign(hashtextextended('bucketload hold ' || $1, 0))::text`, r.id)]++
		if run, err := d.Run(t.Context(), r.id); err != nil || !run.Alive {
			t.Errorf("run %s is held: %+v, %v", r.id, run, err)
		}
	}
	if len(signs) != 2 {
		t.Errorf("signs of the keys %v, want both", signs)
	}
}

// A connection that breaks while its process lives is made anew.
func testHeldAgain(t *testing.T, d *db) {
	r := d.begin(replace("t"))
	const holder = `SELECT coalesce(max(pid), 0) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid()
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`
	was := d.value(holder)
	d.exec(`SELECT pg_terminate_backend(` + was + `)`)
	for deadline := time.Now().Add(time.Minute); ; {
		if now := d.value(holder); now != was && now != "0" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the run is not held any more")
		}
	}
	if run, err := d.Run(t.Context(), r.id); err != nil || !run.Alive || run.Status != bucketload.StatusRunning {
		t.Errorf("%+v, %v", run, err)
	}
	r.release()
	if run, err := d.Run(t.Context(), r.id); err != nil || run.Alive {
		t.Errorf("released, it is %+v, %v", run, err)
	}
}

// A run whose conductor is gone may still have a copy in flight: the next run
// begins when that has been rolled back, and not before.
func testDeadCopies(t *testing.T, d *db) {
	d.exec(`CREATE TABLE public.copied (a int)`)
	for _, marked := range []bool{false, true} {
		dead := d.begin(replace("t"))
		copier := d.connect(d.dsn)
		tx, err := copier.Begin(t.Context())
		d.must(err)
		_, err = tx.Exec(t.Context(), `SELECT pg_advisory_xact_lock_shared(hashtextextended('bucketload copy ' || $1, 0))`, dead.id)
		d.must(err)
		_, err = tx.Exec(t.Context(), `INSERT INTO public.copied VALUES (1)`)
		d.must(err)
		dead.release()
		want := dead.id
		if marked { // by one that died before it ended the copies
			d.exec(`UPDATE bucketload.runs SET status = 'failed' WHERE status = 'running'`)
			want = ""
		}
		next := fmt.Sprint("next", marked)
		d.hold(next)
		if was, err := d.Begin(t.Context(), next, replace("t"), ledger.Conductor{}); was != want || err != nil {
			t.Errorf("began after %q, %v", was, err)
		}
		if err := tx.Commit(t.Context()); err == nil {
			t.Error("the dead run's copy committed beside the next run")
		}
		d.exec(`UPDATE bucketload.runs SET status = 'failed' WHERE status = 'running'`)
	}
	if n := d.value(`SELECT count(*) FROM public.copied`); n != "0" {
		t.Errorf("%s rows of the dead run's copy", n)
	}
}

func testPublish(t *testing.T, d *db) {
	backup := bucketload.TableName{Schema: "databackup", Name: "t"}
	d.exec(`CREATE TABLE databackup.t (a int)`)
	publish := func(r *conducted, attempt int) error {
		return r.tx(func(tx pgx.Tx) error {
			return ledger.Publish(t.Context(), tx, ledger.Try{Run: r.id, Attempt: attempt}, r.load.Table, ledger.Publication{Status: bucketload.StatusPartial,
				Backup: &ledger.Backup{Name: backup, Names: []string{"x"}}})
		})
	}
	first := d.begin(replace("t"))
	want(t, publish(first, 1), bucketload.CodeFenced) // it has not come to its swap
	first.swaps()
	d.must(again(d, first.id))
	want(t, publish(first, 0), bucketload.CodeFenced) // nor has the next try
	first.swaps()
	want(t, publish(first, 1), bucketload.CodeFenced) // this is another try's
	d.must(publish(first, 2))
	first.release()
	want(t, publish(first, 2), bucketload.CodeFenced)
	r, err := d.Run(t.Context(), first.id)
	if err != nil || r.Status != bucketload.StatusPartial || !r.Published || *r.Backup != "databackup.t" || r.State != "Done" || r.EndedAt == nil {
		t.Errorf("%+v, %v", r, err)
	}
	if of, ok, err := ledger.BackupOf(t.Context(), d.pool, backup); of != first.load.Table || !ok || err != nil {
		t.Errorf("backup of %v, %v, %v", of, ok, err)
	}
	d.exec(`DROP TABLE databackup.t`)
	d.exec(`CREATE TABLE databackup.t (theirs int)`)
	if of, ok, err := ledger.BackupOf(t.Context(), d.pool, backup); ok || err != nil {
		t.Errorf("a table of the user's is the backup of %v, %v", of, err)
	}
	// A run that somebody ended publishes nothing.
	second := d.begin(replace("other"))
	second.swaps()
	second.fail()
	want(t, publish(second, 0), bucketload.CodeFenced)
	if n := d.value(`SELECT count(*) FROM bucketload.backups WHERE table_name = 'other'`); n != "0" {
		t.Error("the backup of a fenced run is recorded")
	}
}

func testShapes(t *testing.T, d *db) {
	r := d.begin(replace("t"))
	r.plan(10, "s3://b/a", "s3://b/bad", "s3://b/!", "s3://b/c")
	r.prepare(true)
	d.must(r.copy(0, "s3://b/bad"))
	d.must(d.End(t.Context(), ledger.Try{Run: r.id}, bucketload.StatusFailed, &bucketload.RunError{Op: "copy", Message: "m", Hint: "h"}))
	var lines []string
	d.must(d.Files(t.Context(), r.id, "", func(f *bucketload.File) error {
		data, err := json.Marshal(f)
		lines = append(lines, string(data))
		return err
	}))
	wanted := []string{
		`{"uri":"s3://b/c","state":"loaded","rows":10,"rejected":0,"bytes":8,"attempts":1,"error":null}`,
		`{"uri":"s3://b/!","state":"skipped","rows":0,"rejected":0,"bytes":8,"attempts":0,"error":{"code":"name","line":0,"column":"","value":"","message":"its name","hint":""}}`,
		`{"uri":"s3://b/bad","state":"failed","rows":0,"rejected":0,"bytes":10,"attempts":1,"error":{"code":"value","line":3,"column":"a","value":"x` + "\uFFFD" + `y","message":"bad","hint":"mend it"}}`,
		`{"uri":"s3://b/a","state":"loaded","rows":10,"rejected":0,"bytes":8,"attempts":1,"error":null}`,
	}
	if !slices.Equal(lines, wanted) {
		t.Errorf("files\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(wanted, "\n"))
	}
	var failed int
	d.must(d.Files(t.Context(), r.id, bucketload.FileFailed, func(*bucketload.File) error { failed++; return nil }))
	if failed != 1 {
		t.Errorf("%d failed files", failed)
	}

	run, err := d.Run(t.Context(), r.id)
	d.must(err)
	if run.Seconds <= 0 || run.StartedAt.After(*run.EndedAt) {
		t.Errorf("%v s, from %v to %v", run.Seconds, run.StartedAt, run.EndedAt)
	}
	run.Seconds, run.StartedAt, run.EndedAt = 1.5, time.Unix(0, 0).UTC(), nil
	data, err := json.Marshal(run)
	if want := `{"run":"run000000001","table":"public.t","status":"failed","mode":"replace","files":{"planned":3,"loaded":2,"failed":1,"skipped":1},` +
		`"rows":{"loaded":20,"rejected":0},"bytes":16,"seconds":1.5,"backup":null,"error":{"op":"copy","message":"m","hint":"h"},` +
		`"state":"Copy","started_at":"1970-01-01T00:00:00Z","ended_at":null,"execution":null}`; string(data) != want || err != nil {
		t.Errorf("run\n%s\nwant\n%s", data, want)
	}

	d.begin(replace("u"))
	d.begin(replace("v"))
	var order []string
	d.must(d.Runs(t.Context(), func(r *ledger.Run) error { order = append(order, r.Table); return nil }))
	if !slices.Equal(order, []string{"public.v", "public.u", "public.t"}) {
		t.Errorf("runs %v, want the newest first", order)
	}
	stop := errors.New("enough")
	if err := d.Runs(t.Context(), func(*ledger.Run) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("error %v, want the caller's", err)
	}
	lost, err := d.Losses(t.Context(), r.id)
	if want := (ledger.Losses{Failed: 1, Planned: 3}); lost != want || err != nil {
		t.Errorf("%+v, %v", lost, err)
	}
	first, transient, err := d.FirstFailure(t.Context(), r.id)
	if err != nil || first.URI != "s3://b/bad" || first.Error.Line != 3 || transient {
		t.Errorf("%+v, %v, %v", first, transient, err)
	}
	if first, _, err = d.FirstFailure(t.Context(), "none"); first != nil || err != nil {
		t.Errorf("%+v, %v", first, err)
	}
}

func testOutdated(t *testing.T, d *db) {
	for i := range 3 { // two that failed, the first of them without staging, and one that succeeds
		r := d.begin(replace("t"))
		if i > 0 {
			d.exec(`CREATE TABLE dataimport.r_` + r.id + ` ()`)
		}
		if i < 2 {
			r.fail()
			continue
		}
		if got, err := d.Outdated(t.Context(), r.load.Table, r.id); err != nil || !slices.Equal(got, []string{"run000000002"}) {
			t.Errorf("outdated %v, %v", got, err)
		}
	}
}

func testBuildRecord(t *testing.T, d *db) {
	r := d.begin(replace("t"))
	var steps, columns []string
	if built, ok, err := d.Build(t.Context(), r.id, &steps); built != 0 || ok || err != nil {
		t.Errorf("%d, %v, %v before any", built, ok, err)
	}
	d.must(d.SetBuild(t.Context(), r.id, []string{"one", "two"}))
	record := func(attempt, n int) error {
		return r.tx(func(tx pgx.Tx) error {
			return ledger.Built(t.Context(), tx, ledger.Try{Run: r.id, Attempt: attempt}, n, []string{"one, done", "two"})
		})
	}
	want(t, record(1, 1), bucketload.CodeFenced)
	d.must(again(d, r.id))
	d.must(d.Enter(t.Context(), ledger.Try{Run: r.id}, ledger.StateBuild))
	want(t, record(1, 1), bucketload.CodeFenced)
	d.must(record(2, 1))
	if built, ok, err := d.Build(t.Context(), r.id, &steps); built != 1 || !ok || err != nil || !slices.Equal(steps, []string{"one, done", "two"}) {
		t.Errorf("%d, %v, %v, %v", built, ok, err, steps)
	}
	if ok, err := d.Columns(t.Context(), r.id, &columns); ok || err != nil {
		t.Errorf("%v, %v before any", ok, err)
	}
	for _, c := range []string{"first", "second"} {
		d.must(r.tx(func(tx pgx.Tx) error { return d.SetColumns(t.Context(), tx, r.id, []string{c}, c == "second") }))
	}
	if ok, err := d.Columns(t.Context(), r.id, &columns); !ok || err != nil || !slices.Equal(columns, []string{"first"}) {
		t.Errorf("%v, %v, %v: the first call wins", columns, ok, err)
	}
	_, err := d.Columns(t.Context(), "nobody's", &columns)
	want(t, err, bucketload.CodeUsage)
}

// redrive makes this process the conductor of a run again.
func redrive(d *db, run string) error {
	_, err := d.Resume(d.Context(), run, ledger.Conductor{})
	return err
}

// again begins another try of the run, after whichever is under way.
func again(d *db, run string) error {
	r, err := d.Run(d.Context(), run)
	if err != nil {
		return err
	}
	_, err = d.Again(d.Context(), ledger.Try{Run: run, Attempt: r.Attempt})
	return err
}
