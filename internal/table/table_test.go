package table_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/table"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

func TestMain(m *testing.M) { os.Exit(temptest.Run(m)) }

// TestOnPostgres runs every test on every major version that is here, each
// version's tests one after the other in one database that is emptied between.
func TestOnPostgres(t *testing.T) {
	tests := []struct {
		name string
		run  func(*testing.T, *db)
	}{
		{"Dependents", testDependents},
		{"Inspect", testInspect},
		{"CheckTypes", testCheckTypes},
		{"Types", testTypes},
		{"Steps", testSteps},
		{"BuildError", testBuildError},
		{"SwapKeepsEverything", testSwapKeepsEverything},
		{"Rollback", testRollback},
		{"RollbackRefuses", testRollbackRefuses},
		{"SwapIdentity", testSwapIdentity},
		{"SwapReplicaIdentity", testSwapReplicaIdentity},
		{"FollowersFit", testFollowersFit},
		{"References", testReferences},
		{"ReferencesCompared", testReferencesCompared},
		{"ReferencesAgain", testReferencesAgain},
		{"JudgedMeanwhile", testJudgedMeanwhile},
		{"SwapBesideOthers", testSwapBesideOthers},
		{"FirstSwap", testFirstSwap},
		{"ChangedDefinitions", testChangedDefinitions},
		{"SwapNames", testSwapNames},
		{"SwapRefuses", testSwapRefuses},
		{"RolledBackSwap", testRolledBackSwap},
		{"SwapDoesNotWait", testSwapDoesNotWait},
		{"SwapKeepsBackup", testSwapKeepsBackup},
		{"SwapHoldsNothing", testSwapHoldsNothing},
		{"SwapAsMember", testSwapAsMember},
	}
	for _, major := range temptest.Majors(t) {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			dsn := temptest.Database(t, major)
			for _, test := range tests {
				t.Run(test.name, func(t *testing.T) {
					d := &db{T: t, Conn: connect(t, dsn), major: major, dsn: dsn}
					d.empty()
					test.run(t, d)
				})
			}
		})
	}
}

// db is a superuser's connection to an empty database.
type db struct {
	*testing.T
	*pgx.Conn
	major int
	dsn   string
}

// empty leaves the schemas that the ledger makes, and public.
func (d *db) empty() {
	d.Helper()
	d.run(`DO $$ DECLARE s text; BEGIN
		FOR s IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
			EXECUTE format('DROP SCHEMA %I CASCADE', s);
		END LOOP;
		END $$; CREATE SCHEMA public; CREATE SCHEMA dataimport; CREATE SCHEMA databackup`)
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func (d *db) run(sql string) {
	d.Helper()
	if _, err := d.Exec(d.Context(), sql); err != nil {
		d.Fatalf("%v\nin: %s", err, sql)
	}
}

// lines gives the first column of a query as text.
func (d *db) lines(sql string, args ...any) []string {
	d.Helper()
	rows, err := d.Query(d.Context(), sql, args...)
	if err != nil {
		d.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		d.Fatalf("%v\nin: %s", err, sql)
	}
	return list
}

// ids tell apart what outlives a test: runs' connections, and roles.
var ids atomic.Int64

// role makes a role of this test's own.
func (d *db) role(name string) string {
	d.Helper()
	role := fmt.Sprintf("%s_%d", name, ids.Add(1))
	d.run(`CREATE ROLE ` + role + ` LOGIN`)
	return role
}

func (d *db) as(role string) *db {
	d.Helper()
	conn := connect(d.T, d.dsn)
	other := &db{T: d.T, Conn: conn, major: d.major, dsn: d.dsn}
	other.run(`SET SESSION AUTHORIZATION ` + role)
	return other
}

// run is one run of a load, as the steps of package steps do it.
type run struct {
	*db
	load     *bucketload.Load
	id       string
	rows     string // SQL that fills staging; {staging} stands for it
	steps    []table.Step
	replaces bool // what stands under backup is an older one, and is dropped
	backup   bucketload.TableName
	kept     string   // why it is not
	validate []string // what the swap left for later
}

func (d *db) newRun(load *bucketload.Load, rows string) *run {
	if load.LockTimeout == 0 {
		load.LockTimeout = time.Minute
	}
	return &run{db: d, load: load, id: fmt.Sprintf("%012d", ids.Add(1)), rows: rows, replaces: true,
		backup: bucketload.TableName{Schema: bucketload.BackupSchema, Name: load.Table.Name}}
}

// prepare makes the staging table ready for the swap.
func (r *run) prepare() error {
	r.Helper()
	ctx := r.Context()
	live, err := table.Inspect(ctx, r.Conn, r.load.Table)
	if err != nil {
		return err
	}
	var wanted []table.Column
	for _, c := range r.load.Columns {
		wanted = append(wanted, table.Column{Name: c.Name, Type: c.Type})
	}
	if live != nil {
		if err := table.Refuse(ctx, r.Conn, r.load.Table, live); err != nil {
			return err
		}
		if wanted == nil {
			for _, c := range live.Columns {
				wanted = append(wanted, table.Column{Name: c.Name, Type: c.Type})
			}
		}
	}
	if err := r.tx(func(tx pgx.Tx) error { return table.CreateStaging(ctx, tx, r.id, table.Carry(wanted, live), live) }); err != nil {
		return err
	}
	if r.rows != "" {
		r.run(strings.ReplaceAll(r.rows, "{staging}", table.Quote(bucketload.StagingTable(r.id))))
	}
	if r.steps, err = table.Steps(ctx, r.Conn, r.load, r.id, live); err != nil {
		return err
	}
	for i, step := range r.steps {
		if err := r.tx(func(tx pgx.Tx) (err error) {
			if err := table.Build(ctx, tx, r.load, r.id, step); err != nil {
				return err
			}
			r.steps[i].Judged, err = table.Judged(ctx, tx, r.id)
			return err
		}); err != nil {
			return err
		}
	}
	return r.tx(func(tx pgx.Tx) error { return table.Analyze(ctx, tx, r.id) })
}

func (r *run) tx(do func(pgx.Tx) error) error { return pgx.BeginFunc(r.Context(), r.Conn, do) }

func (r *run) swap() (backup *table.Backup, err error) {
	err = r.tx(func(tx pgx.Tx) error {
		away := r.away()
		did, err := table.Swap(r.Context(), tx, r.load, r.id, r.steps, away)
		if err != nil {
			return err
		}
		if backup, r.validate = did.Backup, did.Validate; away.Aside == "" {
			return nil
		}
		r.kept, err = table.DropBackup(r.Context(), tx, bucketload.TableName{Schema: bucketload.BackupSchema, Name: away.Aside})
		return err
	})
	return backup, err
}

// away is where the live table goes.
func (r *run) away() table.Away {
	there, err := table.Exists(r.Context(), r.Conn, r.backup)
	if err != nil {
		r.Fatal(err)
	}
	away := table.Away{Backup: r.backup}
	if there && r.replaces {
		away.Aside = "b_before_" + r.id
	}
	return away
}

// do prepares and swaps.
func (r *run) do() *table.Backup {
	r.Helper()
	if err := r.prepare(); err != nil {
		r.Fatal(err)
	}
	backup, err := r.swap()
	if err != nil {
		r.Fatal(err)
	}
	r.judge()
	return backup
}

// judge does what the swap left for later.
func (r *run) judge() {
	r.Helper()
	for _, statement := range r.validate {
		if err := r.tx(func(tx pgx.Tx) error { return table.Validate(r.Context(), tx, statement, time.Minute) }); err != nil {
			r.Fatal(err)
		}
	}
}

// catalog is what Postgres knows of a table, a line each, without oids and in
// an order of its own.
func (d *db) catalog(name bucketload.TableName) []string {
	d.Helper()
	lists := []string{
		`SELECT format('column %s %s %s %s %s', attnum, attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid))
			|| format(' identity %s generated %s collation %s storage %s %s statistics %s %s', attidentity, attgenerated, attcollation::regcollation,
				attstorage, attcompression, coalesce(attstattarget, -1), ARRAY(SELECT o FROM unnest(attoptions) o WHERE NOT starts_with(o, 'pg_attver='))) || coalesce(' comment ' || col_description(attrelid, attnum), '')
			FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attrelid = $1 AND attnum > 0`,
		`SELECT 'constraint ' || conname || ' ' || pg_get_constraintdef(oid) || coalesce(' comment ' || obj_description(oid, 'pg_constraint'), '')
			FROM pg_constraint WHERE conrelid = $1`,
		`SELECT pg_get_indexdef(indexrelid) || format(' clustered %s replica %s', indisclustered, indisreplident) || coalesce(' comment ' || obj_description(indexrelid, 'pg_class'), '')
			FROM pg_index WHERE indrelid = $1`,
		`SELECT pg_get_statisticsobjdef(oid) || ' owner ' || stxowner::regrole || coalesce(' comment ' || obj_description(oid, 'pg_statistic_ext'), '')
			FROM pg_statistic_ext WHERE stxrelid = $1`,
		`SELECT format('owner %s replica %s security %s %s method %s space %s comment %s', relowner::regrole, relreplident, relrowsecurity, relforcerowsecurity, relam, reltablespace,
			obj_description(oid, 'pg_class')) FROM pg_class WHERE oid = $1`,
		`SELECT format('index %s space %s', c.oid::regclass, reltablespace) FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = $1`,
		`SELECT format('index %s column %s target %s', attrelid::regclass, attnum, attstattarget) FROM pg_index JOIN pg_attribute ON attrelid = indexrelid WHERE indrelid = $1`,
		`SELECT format('%s target %s', stxname, stxstattarget) FROM pg_statistic_ext WHERE stxrelid = $1`,
		`SELECT format('trigger %s %s comment %s', pg_get_triggerdef(oid), tgenabled, obj_description(oid, 'pg_trigger')) FROM pg_trigger WHERE tgrelid = $1 AND NOT tgisinternal`,
		`SELECT format('policy %s %s %s %s using %s check %s comment %s', polname, polcmd, polpermissive, polroles::regrole[], pg_get_expr(polqual, polrelid),
			pg_get_expr(polwithcheck, polrelid), obj_description(oid, 'pg_policy')) FROM pg_policy WHERE polrelid = $1`,
		`SELECT format('referred to by %s of %s: %s valid %s comment %s', conname, conrelid::regclass, pg_get_constraintdef(oid), convalidated, obj_description(oid, 'pg_constraint'))
			FROM pg_constraint WHERE confrelid = $1`,
		// Views that read it, and those that read these: they keep their oid.
		`WITH RECURSIVE v(oid) AS (
			SELECT ev_class FROM pg_depend JOIN pg_rewrite r ON r.oid = objid WHERE classid = 'pg_rewrite'::regclass AND refobjid = $1 AND ev_class <> $1
			UNION SELECT ev_class FROM v JOIN pg_depend ON refobjid = v.oid JOIN pg_rewrite r ON r.oid = objid WHERE classid = 'pg_rewrite'::regclass)
			SELECT format('view %s %s %s options %s owner %s acl %s comment %s: %s', c.oid, c.oid::regclass, relkind, reloptions, relowner::regrole, relacl, obj_description(c.oid, 'pg_class'),
				pg_get_viewdef(c.oid)) || array(SELECT row(attname, format_type(atttypid, atttypmod), attacl, col_description(attrelid, attnum)) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0)::text
				|| array(SELECT pg_get_triggerdef(t.oid) FROM pg_trigger t WHERE tgrelid = c.oid)::text || array(SELECT pg_get_ruledef(r.oid) FROM pg_rewrite r WHERE ev_class = c.oid)::text
			FROM v JOIN pg_class c USING (oid)`,
		`SELECT 'option ' || o FROM pg_class, unnest(reloptions) o WHERE oid = $1`,
		`SELECT 'toast option ' || o FROM pg_class c JOIN pg_class t ON t.oid = c.reltoastrelid, unnest(t.reloptions) o WHERE c.oid = $1`,
		`SELECT format('grant %s to %s %s', privilege_type, grantee::regrole, is_grantable) FROM pg_class, aclexplode(coalesce(relacl, acldefault('r', relowner))) WHERE oid = $1`,
		`SELECT format('grant %s (%s) to %s %s', privilege_type, attname, grantee::regrole, is_grantable) FROM pg_attribute, aclexplode(attacl) WHERE attrelid = $1`,
		`SELECT format('sequence %s of %s %s owner %s', s.oid::regclass, refobjsubid, deptype, relowner::regrole) || row(seqtypid::regtype, seqstart, seqincrement, seqmin, seqmax, seqcache, seqcycle)
				|| format(' comment %s ', obj_description(s.oid, 'pg_class')) || array(SELECT format('grant %s to %s %s', privilege_type, grantee::regrole, is_grantable)
				FROM aclexplode(coalesce(relacl, acldefault('s', relowner))) ORDER BY 1)::text
			FROM pg_depend JOIN pg_class s ON s.oid = objid AND relkind = 'S' JOIN pg_sequence ON seqrelid = s.oid
			WHERE classid = 'pg_class'::regclass AND refclassid = classid AND refobjid = $1`,
	}
	var oid uint32
	if err := d.QueryRow(d.Context(), `SELECT $1::text::regclass::oid`, table.Quote(name)).Scan(&oid); err != nil {
		d.Fatal(err)
	}
	var all []string
	for _, sql := range lists {
		all = append(all, d.lines(sql, oid)...)
	}
	slices.Sort(all)
	return all
}

func (d *db) same(what string, got, want []string) {
	d.Helper()
	for _, line := range got {
		if !slices.Contains(want, line) {
			d.Errorf("%s: new:  %s", what, line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			d.Errorf("%s: lost: %s", what, line)
		}
	}
	if len(got) != len(want) {
		d.Errorf("%s: %d lines, want %d", what, len(got), len(want))
	}
}

// everything lists every relation and statistics object outside the catalog.
func (d *db) everything() []string {
	d.Helper()
	return d.lines(`SELECT format('%s %I.%I %s', c.oid, nspname, relname, relkind) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
			WHERE nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
		UNION ALL SELECT format('%s %I.%I', e.oid, nspname, stxname) FROM pg_statistic_ext e JOIN pg_namespace n ON n.oid = stxnamespace ORDER BY 1`)
}

// refused checks an error's code and that it names what is in the way.
func refused(t *testing.T, err error, code bucketload.Code, words ...string) {
	t.Helper()
	var e *bucketload.Error
	if !errors.As(err, &e) {
		t.Errorf("error %v, want code %s", err, code)
		return
	}
	if e.Code != code || e.Hint == "" {
		t.Errorf("code %q, hint %q, want code %s and a hint: %v", e.Code, e.Hint, code, err)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not name %q", err, word)
		}
	}
}

func state(err error) string {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code
	}
	return ""
}

func named(s string) bucketload.TableName {
	name, err := bucketload.ParseTableName(s)
	if err != nil {
		panic(err)
	}
	return name
}
