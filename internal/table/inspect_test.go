package table_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/table"
)

func testDependents(t *testing.T, d *db) {
	tests := []struct{ sql, want string }{
		{`CREATE VIEW v AS SELECT NULL::t AS r`, "view v, which has its row type"},
		{`CREATE VIEW v AS SELECT t FROM t`, "column t of v, which has its row type"},
		{`CREATE TEMP VIEW v AS SELECT a FROM t`, "view v, which a session has for itself"},
		{`CREATE VIEW v AS SELECT a FROM t; CREATE RULE r AS ON INSERT TO v DO INSTEAD INSERT INTO t VALUES (1)`, "rule r of v"},
		{`CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TABLE o (a int);
			CREATE CONSTRAINT TRIGGER tr AFTER INSERT ON o FROM t FOR EACH ROW EXECUTE FUNCTION f()`, "trigger tr of o"},
		{`CREATE MATERIALIZED VIEW "M v" AS SELECT a FROM t`, `materialized view "M v"`},
		{`CREATE RULE r AS ON DELETE TO t DO INSTEAD NOTHING`, "rule r"},
		{`CREATE TABLE o (a int); CREATE RULE r AS ON DELETE TO o DO INSTEAD DELETE FROM t`, "rule r of o"},
		{`CREATE TABLE child (a int REFERENCES t) PARTITION BY LIST (a)`, "foreign key child_a_fkey of child, which is partitioned"},
		{`CREATE TABLE o (a int); CREATE POLICY p ON o USING (EXISTS (SELECT FROM t))`, "policy p of o"},
		{`CREATE PUBLICATION p FOR TABLE t`, "publication p"},
		{`CREATE PUBLICATION p FOR ALL TABLES`, "publication p"},
		{`CREATE PUBLICATION p FOR TABLES IN SCHEMA public`, "publication p"},
		{`CREATE TABLE o (a int); CREATE PUBLICATION p FOR TABLE o; CREATE PUBLICATION q FOR TABLES IN SCHEMA dataimport; CREATE PUBLICATION r`, ""},
		{`ALTER TABLE t SET UNLOGGED; CREATE PUBLICATION p FOR ALL TABLES`, ""},
		{`CREATE SUBSCRIPTION s CONNECTION 'dbname=none' PUBLICATION p WITH (connect = false);
			INSERT INTO pg_subscription_rel SELECT oid, 't'::regclass, 'r', NULL FROM pg_subscription WHERE subname = 's'`, "subscription s"},
		{`CREATE TABLE child () INHERITS (t)`, "inheritance: child child"},
		{`CREATE TABLE p (a int PRIMARY KEY, b text); ALTER TABLE t INHERIT p`, "inheritance: parent p"},
		{`CREATE TABLE p (a int NOT NULL, b text) PARTITION BY LIST (a); ALTER TABLE p ATTACH PARTITION t DEFAULT`, "partition of p"},
		{`CREATE FUNCTION f(t) RETURNS int LANGUAGE sql AS 'SELECT 1'`, "function f(t)"},
		{`CREATE FUNCTION f() RETURNS SETOF t LANGUAGE sql AS 'SELECT NULL::t'`, "function f()"},
		{`CREATE FUNCTION f(t[]) RETURNS int LANGUAGE sql AS 'SELECT 1'`, "function f(t[])"},
		{`CREATE FUNCTION f() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM t; END`, "function f()"},
		{`CREATE TABLE o (r t)`, "column r of o, which has its row type"},
		{`CREATE TABLE o (r t[])`, "column r of o, which has its row type"},
		{`CREATE DOMAIN d AS t`, "type d"},
		{`CREATE TABLE o (a int DEFAULT length((NULL::t)::text))`, "default value for column a of table o"},
		{`CREATE TABLE o (a text CHECK (a <> (NULL::t)::text))`, "constraint o_a_check on table o"},
		{`CREATE TABLE o (a text); CREATE INDEX i ON o ((a = (NULL::t)::text)) WHERE a <> (NULL::t)::text`, "index i"},
		{`ALTER EXTENSION plpgsql ADD TABLE t`, "extension plpgsql, which it belongs to"},
		{`CREATE TYPE ty AS (a int, b text); ALTER TABLE t OF ty`, "type ty, which it is made of"},

		// Its own parts, and what may refer to another table's.
		{`CREATE INDEX ON t ((a + 1)) WHERE b <> ''; ALTER TABLE t ADD CHECK (a > 0), ADD UNIQUE (b), ADD g int GENERATED ALWAYS AS (a * 2) STORED, ADD s serial,
			ADD i int GENERATED ALWAYS AS IDENTITY; CREATE STATISTICS st ON a, (b || 'x') FROM t; COMMENT ON TABLE t IS 'x'; GRANT ALL ON t TO PUBLIC;
			CREATE TABLE o (a int PRIMARY KEY); ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES o; CREATE TABLE p (id int DEFAULT nextval('t_s_seq'));
			CREATE VIEW v AS SELECT nextval('t_s_seq')`, ""},

		// What follows.
		{`CREATE VIEW v AS SELECT a FROM t; CREATE VIEW vv AS SELECT * FROM v; CREATE MATERIALIZED VIEW m AS SELECT * FROM vv;
			CREATE FUNCTION f(v) RETURNS int LANGUAGE sql AS 'SELECT 1'`, "+view v"},
		{`CREATE TABLE child (a int REFERENCES t)`, "+foreign key child_a_fkey of child"},
		{`ALTER TABLE t ADD parent int REFERENCES t`, "+foreign key t_parent_fkey of t"},
		{`CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()`, "+trigger tr"},
		{`CREATE POLICY p ON t`, "+policy p"},
		{`ALTER TABLE t ENABLE ROW LEVEL SECURITY`, "+row level security"},
		{`ALTER TABLE t FORCE ROW LEVEL SECURITY`, "+row level security"},
	}
	for _, test := range tests {
		d.run(`BEGIN; CREATE TABLE t (a int PRIMARY KEY, b text);` + test.sql)
		live, err := table.Inspect(t.Context(), d.Conn, named("t"))
		if err != nil {
			t.Fatalf("%s: %v", test.sql, err)
		}
		want, follows := strings.CutPrefix(test.want, "+")
		there := slices.ContainsFunc(live.Dependents, func(d table.Dependent) bool { return d.What == want && d.Refused != follows })
		switch err := table.Refuse(t.Context(), d.Conn, named("t"), live); {
		case want == "" && len(live.Dependents) > 0, want != "" && !there, follows && len(live.Dependents) > 1:
			t.Errorf("%s: %+v, want %q", test.sql, live.Dependents, test.want)
		case want != "" && !follows:
			refused(t, err, bucketload.CodeDependents, "public.t", want)
		case err != nil:
			t.Errorf("%s: %v", test.sql, err)
		}
		d.run(`ROLLBACK`)
	}
}

func testInspect(t *testing.T, d *db) {
	d.run(`CREATE TABLE plain (a int); CREATE VIEW v AS SELECT 1 AS a; CREATE MATERIALIZED VIEW m AS SELECT 1 AS a; CREATE SEQUENCE s; CREATE INDEX i ON plain (a);
		CREATE TYPE c AS (a int); CREATE TABLE p (a int) PARTITION BY LIST (a)`)
	for name, want := range map[string]string{"v": "a view", "m": "a materialized view", "s": "a sequence", "i": "an index", "c": "a composite type"} {
		_, err := table.Inspect(t.Context(), d.Conn, named(name))
		refused(t, err, bucketload.CodeDependents, "public."+name+" is "+want)
	}
	_, err := table.Inspect(t.Context(), d.Conn, named("no where.t"))
	refused(t, err, bucketload.CodeUsage, `no schema "no where"`)
	if live, err := table.Inspect(t.Context(), d.Conn, named("absent")); live != nil || err != nil {
		t.Errorf("absent: %v, %v", live, err)
	}
	live, err := table.Inspect(t.Context(), d.Conn, named("p"))
	if err != nil || len(live.Dependents) == 0 {
		t.Errorf("a partitioned table: %+v, %v", live, err)
	}
	if live, err = table.Inspect(t.Context(), d.Conn, named("plain")); err != nil || live.Rows != -1 || live.OID == 0 || len(live.Columns) != 1 {
		t.Errorf("plain: %+v, %v", live, err)
	}
	d.run(`INSERT INTO plain VALUES (1), (2); ANALYZE plain`)
	if live, err = table.Inspect(t.Context(), d.Conn, named("plain")); err != nil || live.Rows != 2 || live.Bytes == 0 {
		t.Errorf("plain: %+v, %v", live, err)
	}
	// What others do with another table that is published is in nobody's way.
	d.run(`CREATE TABLE o (a int); CREATE PUBLICATION p FOR TABLE o; SET lock_timeout = 1`)
	defer d.run(`DROP PUBLICATION p`)
	other := &db{T: t, Conn: connect(t, d.dsn)}
	other.run(`BEGIN; LOCK TABLE o IN ACCESS EXCLUSIVE MODE`)
	if _, err = table.Inspect(t.Context(), d.Conn, named("plain")); err != nil {
		t.Error(err)
	}
	other.run(`ROLLBACK`)
}

func testCheckTypes(t *testing.T, d *db) {
	for _, typ := range []string{"text", "numeric(8,2)", "timestamp(3) with time zone", "int[]", "double precision", `"char"`} {
		if err := table.CheckTypes(t.Context(), d.Conn, []table.Column{{Name: "c", Type: typ}}); err != nil {
			t.Errorf("%s: %v", typ, err)
		}
	}
	for _, typ := range []string{"strnig", "text; DROP TABLE x", "int NOT NULL", "int DEFAULT 1", "text)", "", "no.such", "'"} {
		refused(t, table.CheckTypes(t.Context(), d.Conn, []table.Column{{Name: "c", Type: typ}}), bucketload.CodeUsage, `"c"`)
	}
}

// What a column's values are made of, through domains and arrays of any depth.
func testTypes(t *testing.T, d *db) {
	d.run(`CREATE TYPE mood AS ENUM ('sad', 'o k', ''); CREATE TYPE nothing AS ENUM (); CREATE TYPE pair AS (a int, b text);
		CREATE DOMAIN short AS varchar(3) CHECK (VALUE <> 'x'); CREATE DOMAIN shorter AS short NOT NULL; CREATE DOMAIN feeling AS mood;
		CREATE DOMAIN scores AS numeric(5,2)[]; CREATE DOMAIN words AS shorter[]; CREATE SCHEMA "o ther"; CREATE TYPE "o ther"."E" AS ENUM ('e');
		CREATE TABLE t (gone int, i int, n numeric(5,2), e mood, e0 nothing, p pair, r int4range, v int2vector, xy point,
			s short, ss shorter, f feeling, ia int[], va varchar(3)[][], ea mood[], sa shorter[], sc scores, w words, o "o ther"."E", fa feeling[]);
		ALTER TABLE t DROP gone`)
	columns, err := table.Columns(t.Context(), d.Conn, named("t"))
	if err != nil {
		t.Fatal(err)
	}
	oid := func(typ string) (oid uint32) {
		if err := d.QueryRow(t.Context(), `SELECT $1::regtype::oid`, typ).Scan(&oid); err != nil {
			t.Fatal(err)
		}
		return oid
	}
	const varchar3, numeric52 = 4 + 3, 4 + (5<<16 | 2)
	mood := []string{"sad", "o k", ""}
	want := map[string]struct {
		base    table.Type
		element string
		elem    table.Type
	}{
		"i":  {base: table.Type{Name: "integer", Mod: -1, Category: "N"}},
		"n":  {base: table.Type{Name: "numeric", Mod: numeric52, Category: "N"}},
		"e":  {base: table.Type{Name: "mood", Mod: -1, Category: "E", Labels: mood}},
		"e0": {base: table.Type{Name: "nothing", Mod: -1, Category: "E", Labels: []string{}}},
		"p":  {base: table.Type{Name: "pair", Mod: -1, Category: "C"}},
		"r":  {base: table.Type{Name: "int4range", Mod: -1, Category: "R"}},
		"v":  {base: table.Type{Name: "int2vector", Mod: -1, Category: "A"}},
		"xy": {base: table.Type{Name: "point", Mod: -1, Category: "G"}},
		"s":  {base: table.Type{Name: "character varying", Mod: varchar3, Category: "S"}},
		"ss": {base: table.Type{Name: "character varying", Mod: varchar3, Category: "S"}},
		"f":  {base: table.Type{Name: "mood", Mod: -1, Category: "E", Labels: mood}},
		"ia": {table.Type{Name: "integer[]", Mod: -1, Category: "A"}, "int", table.Type{Name: "integer", Mod: -1, Category: "N"}},
		"va": {table.Type{Name: "character varying[]", Mod: varchar3, Category: "A"}, "varchar", table.Type{Name: "character varying", Mod: varchar3, Category: "S"}},
		"ea": {table.Type{Name: "mood[]", Mod: -1, Category: "A"}, "mood", table.Type{Name: "mood", Mod: -1, Category: "E", Labels: mood}},
		"sa": {table.Type{Name: "shorter[]", Mod: -1, Category: "A"}, "shorter", table.Type{Name: "character varying", Mod: varchar3, Category: "S"}},
		"sc": {table.Type{Name: "numeric[]", Mod: numeric52, Category: "A"}, "numeric", table.Type{Name: "numeric", Mod: numeric52, Category: "N"}},
		"w":  {table.Type{Name: "shorter[]", Mod: -1, Category: "A"}, "shorter", table.Type{Name: "character varying", Mod: varchar3, Category: "S"}},
		"o":  {base: table.Type{Name: `"o ther"."E"`, Mod: -1, Category: "E", Labels: []string{"e"}}},
		"fa": {table.Type{Name: "feeling[]", Mod: -1, Category: "A"}, "feeling", table.Type{Name: "mood", Mod: -1, Category: "E", Labels: mood}},
	}
	if len(columns) != len(want) {
		t.Errorf("%d columns, want %d", len(columns), len(want))
	}
	for _, c := range columns {
		w := want[c.Name]
		w.base.OID = oid(w.base.Name)
		var element uint32
		if w.element != "" {
			element, w.elem.OID = oid(w.element), oid(w.elem.Name)
		}
		if !reflect.DeepEqual(c.Base, w.base) || c.Element != element || !reflect.DeepEqual(c.Elem, w.elem) {
			t.Errorf("%s:\n%+v of %d %+v, want\n%+v of %d %+v", c.Name, c.Base, c.Element, c.Elem, w.base, element, w.elem)
		}
	}
}

func testSteps(t *testing.T, d *db) {
	d.run(`CREATE TABLE t (a int, b int, c text, d text); CREATE INDEX by_c ON t (lower(c)) WHERE d <> ''; CREATE STATISTICS st ON (a + b), c FROM t;
		ALTER TABLE t ADD CONSTRAINT ck CHECK (a < b)`)
	live, err := table.Inspect(t.Context(), d.Conn, named("t"))
	if err != nil {
		t.Fatal(err)
	}
	load := &bucketload.Load{Table: named("t"), BeforeSwapSQL: []string{"UPDATE {staging} SET a = 1", "SELECT '{table}'"},
		Statistics: []string{"a, b", "(a, b)", "(ndistinct) on a, b", "ON a, c", "(a + 1), (b + 1)", "((a + b))", "\"turned on\", a"}, Indexes: []string{"(a)", "UNIQUE(a)", " unique using btree (b)"}}
	steps, err := table.Steps(t.Context(), d.Conn, load, "x", live)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range steps {
		if s.Definition == "" {
			got = append(got, strings.ReplaceAll(s.SQL, ` "dataimport"."r_x"`, " S"))
		}
	}
	want := []string{`CREATE INDEX ON S (a)`, `CREATE UNIQUE INDEX ON S (a)`, `CREATE UNIQUE INDEX ON S using btree (b)`}
	for i, body := range []string{"ON a, b", "ON a, b", "(ndistinct) on a, b", "ON a, c", "ON (a + 1), (b + 1)", "ON (a + b)", `ON "turned on", a`} {
		want = append(want, `CREATE STATISTICS "dataimport"."r_x_stat`+string(rune('1'+i))+`" `+body+` FROM S`)
	}
	want = append(want, "UPDATE S SET a = 1", `SELECT '"public"."t"'`)
	if !slices.Equal(got, want) {
		t.Errorf("steps\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	lost := table.Lost(steps, []table.Column{{Name: "a"}, {Name: "c"}})
	if want := []string{`constraint "ck" of the live table, on column "b"`, `index "by_c" of the live table, on column "d"`, `statistics "st" of the live table, on column "b"`}; !slices.Equal(lost, want) {
		t.Errorf("lost %q, want %q", lost, want)
	}
}

// What staging's rows do not allow is an error that says where to look.
func testBuildError(t *testing.T, d *db) {
	load := &bucketload.Load{Key: "t", Table: named("t"), PrimaryKey: []string{"a"}, Columns: []bucketload.Column{{Name: "a", Type: "int"}}}
	r := d.newRun(load, `INSERT INTO {staging} VALUES (7), (7)`)
	err := r.prepare()
	refused(t, err, bucketload.CodeDatabase, "primary_key", "(a)=(7)")
	if n, err := table.Count(t.Context(), d.Conn, bucketload.StagingTable(r.id)); n != 2 || err != nil {
		t.Errorf("%d rows, %v: staging keeps what it had", n, err)
	}
	d.run(`SET lock_timeout = '7s'`)
	for range 2 {
		if err := r.tx(func(tx pgx.Tx) error {
			_, err := table.DropStaging(t.Context(), tx, r.id)
			if patience := d.lines(`SELECT current_setting('lock_timeout')`); patience[0] != "7s" {
				t.Errorf("the rest of the transaction waits %s for locks", patience[0])
			}
			return err
		}); err != nil {
			t.Error(err)
		}
	}
	if there, err := table.Exists(t.Context(), d.Conn, bucketload.StagingTable(r.id)); there || err != nil {
		t.Errorf("there %v, %v", there, err)
	}
}
