package table_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/table"
)

// rollback makes the newest backup the live table, and the other way round.
func (d *db) rollback(load *bucketload.Load, names ...table.Renamed) (backup *table.Backup, lost []string, err error) {
	d.Helper()
	if load.LockTimeout == 0 {
		load.LockTimeout = time.Minute
	}
	name := bucketload.TableName{Schema: bucketload.BackupSchema, Name: load.Table.Name}
	r := d.newRun(load, "")
	err = r.tx(func(tx pgx.Tx) error {
		var did *table.Swapped
		if did, lost, err = table.Rollback(d.Context(), tx, load, r.id, table.Backup{Name: name, Names: names}, table.Away{Backup: name}); err == nil {
			backup, r.validate = did.Backup, did.Validate
		}
		return err
	})
	if err == nil {
		r.judge()
	}
	return backup, lost, err
}

// A rollback gives the table its rows and its own indexes back; what hangs on
// it, its grants and its place in its sequences come from the table that was live.
func testRollback(t *testing.T, d *db) {
	reader := d.role("reader")
	d.run(`CREATE TABLE t (id serial PRIMARY KEY, v text); CREATE INDEX by_v ON t (v); INSERT INTO t (v) VALUES ('old'); ALTER TABLE t ADD parent int REFERENCES t;
		CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER early BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION touch();
		CREATE POLICY p ON t USING (true); ALTER TABLE t ENABLE ROW LEVEL SECURITY`)
	load := &bucketload.Load{Table: named("t")}
	put := d.newRun(load, `INSERT INTO {staging} (v) VALUES ('new'), ('new')`).do()
	d.run(`CREATE VIEW since AS SELECT v FROM t; GRANT SELECT ON t TO ` + reader + `; CREATE INDEX late ON t (upper(v)); COMMENT ON TABLE t IS 'of today';
		DROP TRIGGER early ON t; CREATE TRIGGER late AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION touch(); DROP POLICY p ON t; ALTER TABLE t DISABLE ROW LEVEL SECURITY;
		CREATE TABLE child (t int REFERENCES t); INSERT INTO child VALUES (NULL)`)
	today := d.catalog(load.Table)
	backup, lost, err := d.rollback(load, put.Names...)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(lost, []string{"index \"late\": USING btree (upper(v))"}) {
		t.Errorf("lost %v", lost)
	}
	want := slices.DeleteFunc(slices.Clone(today), func(line string) bool {
		return strings.HasPrefix(line, "CREATE INDEX late ") || strings.HasPrefix(line, "index late ")
	})
	d.same("back", d.catalog(load.Table), want)
	if got := d.lines(`SELECT v FROM since`); !slices.Equal(got, []string{"old"}) {
		t.Errorf("the view sees %v", got)
	}
	if got := d.lines(`INSERT INTO t (v) VALUES ('next') RETURNING id::text`); got[0] != "4" {
		t.Errorf("next id %v", got)
	}
	if got := d.lines(`SELECT v FROM ` + table.Quote(backup.Name)); !slices.Equal(got, []string{"new", "new"}) {
		t.Errorf("the backup has %v", got)
	}
	if _, lost, err = d.rollback(load, backup.Names...); err != nil || len(lost) > 0 {
		t.Fatal(lost, err)
	}
	d.same("and back", d.catalog(load.Table), today)

	// A table that somebody dropped comes back as it is.
	d.run(`DROP TABLE t CASCADE`)
	if backup, _, err = d.rollback(load); err != nil || backup != nil {
		t.Errorf("backup %v, %v", backup, err)
	}
	if got := d.lines(`SELECT v FROM t ORDER BY id`); !slices.Equal(got, []string{"old", "next"}) {
		t.Errorf("rows %v", got)
	}
}

func testRollbackRefuses(t *testing.T, d *db) {
	d.run(`CREATE TABLE t (a int)`)
	load := &bucketload.Load{Key: "t", Table: named("t"), Columns: []bucketload.Column{{Name: "a", Type: "int"}, {Name: "b", Type: "int"}}, PrimaryKey: []string{"b"}}
	d.newRun(load, `INSERT INTO {staging} VALUES (1, 1)`).do()
	for _, test := range []struct{ make, drop, want string }{
		{`CREATE VIEW v AS SELECT b FROM t`, `DROP VIEW v`, `view v needs column "b", which the new table lacks`},
		{`CREATE TABLE child (b int REFERENCES t)`, `DROP TABLE child`, `foreign key child_b_fkey of child needs column "b"`},
		{`CREATE MATERIALIZED VIEW m AS SELECT a FROM t`, `DROP MATERIALIZED VIEW m`, "materialized view m"},
		{`CREATE UNIQUE INDEX u ON t (a); CREATE TABLE child (a int REFERENCES t (a))`, `DROP TABLE child; DROP INDEX u`, "foreign key child_a_fkey of public.child needs a key that databackup.t lacks"},
	} {
		d.run(test.make)
		before := d.everything()
		_, _, err := d.rollback(load)
		refused(t, err, bucketload.CodeDependents, test.want)
		d.same(test.want, d.everything(), before)
		d.run(test.drop)
	}
	if _, _, err := d.rollback(load); err != nil {
		t.Error(err)
	}
}
