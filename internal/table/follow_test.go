package table_test

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/table"
)

// A follower needs the columns that it uses, of the same types; one that names
// columns by their place needs all of them where they were.
func testFollowersFit(t *testing.T, d *db) {
	a, b, c := bucketload.Column{Name: "a", Type: "integer"}, bucketload.Column{Name: "b", Type: "integer"}, bucketload.Column{Name: "c", Type: "text"}
	for _, test := range []struct {
		sql     string
		columns []bucketload.Column
		want    string // why not; "": it follows
	}{
		{"CREATE VIEW v AS SELECT a FROM t", []bucketload.Column{c, b, a}, ""},
		{"CREATE VIEW v AS SELECT a FROM t", []bucketload.Column{a}, ""},
		{"CREATE VIEW v AS SELECT a FROM t", []bucketload.Column{b, c}, `view v needs column "a", which the new table lacks`},
		{"CREATE VIEW v AS SELECT count(a) FROM t", []bucketload.Column{{Name: "a", Type: "bigint"}}, `which would be bigint and not integer`},
		{"CREATE VIEW v AS SELECT x, y FROM t AS q(x, y)", []bucketload.Column{a, b, c}, ""},
		{"CREATE VIEW v AS SELECT x, y FROM t AS q(x, y)", []bucketload.Column{b, a, c}, "view v names columns by their place"},
		{"CREATE POLICY p ON t USING (c <> '')", []bucketload.Column{a, b}, `policy p needs column "c"`},
		{"ALTER TABLE t ADD UNIQUE (b); CREATE TABLE child (b int REFERENCES t (b))", []bucketload.Column{a, c}, `foreign key child_b_fkey of child needs column "b"`},
	} {
		d.run(`BEGIN; CREATE TABLE t (a int, b int, c text); ` + test.sql)
		live, err := table.Inspect(t.Context(), d.Conn, named("t"))
		if err != nil {
			t.Fatal(err)
		}
		var columns []table.Column
		for _, c := range test.columns {
			columns = append(columns, table.Column{Name: c.Name, Type: c.Type})
		}
		err = live.Unfit(named("t"), columns)
		if test.want == "" && err != nil {
			t.Errorf("%s: %v", test.sql, err)
		}
		if test.want != "" {
			refused(t, err, bucketload.CodeDependents, test.want)
		}
		d.run(`ROLLBACK`)
	}
	canonical, err := table.Canonical(t.Context(), d.Conn, []table.Column{{Type: "int"}, {Type: "decimal(8,2)"}, {Type: "varchar(3)[]"}, {Type: "timestamptz(3)"}})
	if err != nil || canonical[0].Type != "integer" || canonical[1].Type != "numeric(8,2)" || canonical[2].Type != "character varying(3)[]" || canonical[3].Type != "timestamp(3) with time zone" {
		t.Errorf("%+v, %v", canonical, err)
	}
}

// A view reads the new rows after the swap, whatever order its columns have.
// Rows that others refer to must be there.
func testReferences(t *testing.T, d *db) {
	d.run(`CREATE TABLE t (a int PRIMARY KEY, b text, parent int REFERENCES t); CREATE VIEW v AS SELECT b, a FROM t; CREATE VIEW vv AS SELECT upper(b) AS b FROM v;
		CREATE TABLE child (a int REFERENCES t); INSERT INTO t VALUES (1, 'old'), (2, 'old'); INSERT INTO child VALUES (2), (NULL)`)
	load := &bucketload.Load{Key: "t", Table: named("t"), Columns: []bucketload.Column{{Name: "parent", Type: "int"}, {Name: "b", Type: "text"}, {Name: "a", Type: "int"}}}
	for _, test := range []struct{ rows, want string }{
		{`INSERT INTO {staging} (a, b) VALUES (1, 'new')`, "foreign key child_a_fkey of child"},
		{`INSERT INTO {staging} (a, b, parent) VALUES (2, 'new', 1)`, "foreign key t_parent_fkey of t"},
		{`INSERT INTO {staging} (a, b, parent) VALUES (2, 'new', 2)`, ""},
	} {
		r := d.newRun(load, test.rows)
		if err := r.prepare(); err != nil {
			t.Fatal(err)
		}
		err := r.tx(func(tx pgx.Tx) error {
			return table.CheckReferences(t.Context(), tx, load, bucketload.StagingTable(r.id))
		})
		if test.want != "" {
			refused(t, err, bucketload.CodeCheck, test.want, "lacks")
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.swap(); err != nil {
			t.Fatal(err)
		}
	}
	if got := d.lines(`SELECT b FROM v UNION ALL SELECT b FROM vv`); !slices.Equal(got, []string{"new", "NEW"}) {
		t.Errorf("the views see %v", got)
	}
	if _, err := d.Exec(t.Context(), `INSERT INTO child VALUES (1)`); state(err) != "23503" {
		t.Errorf("the key takes what the new table lacks: %v", err)
	}
}

// Rows refer to others by what PostgreSQL compares: in the collation of what is
// referred to and, since version 18, for periods.
func testReferencesCompared(t *testing.T, d *db) {
	tests := []struct{ sql, have, lack string }{
		{`CREATE TABLE t (a text COLLATE "C" PRIMARY KEY); CREATE TABLE child (a text COLLATE "POSIX" REFERENCES t); INSERT INTO t VALUES ('x'); INSERT INTO child VALUES ('x')`,
			`('x'), ('y')`, `('y')`},
		{`CREATE COLLATION "of; it" FROM "C"; CREATE TABLE t (b int, a text COLLATE "of; it", PRIMARY KEY (b, a));
			CREATE TABLE child (a text, b int, FOREIGN KEY (b, a) REFERENCES t); INSERT INTO t VALUES (1, 'x'); INSERT INTO child VALUES ('x', 1)`, `(1, 'x')`, `(1, 'X'), (2, 'x')`},
	}
	if d.major >= 18 {
		tests = append(tests, struct{ sql, have, lack string }{`CREATE TABLE t (a int4range, during int4range, PRIMARY KEY (a, during WITHOUT OVERLAPS));
			CREATE TABLE child (a int4range, during int4range, FOREIGN KEY (a, PERIOD during) REFERENCES t (a, PERIOD during));
			INSERT INTO t VALUES ('[1,2)', '[1,9)'); INSERT INTO child VALUES ('[1,2)', '[2,8)')`, `('[1,2)', '[1,5)'), ('[1,2)', '[5,9)')`, ""})
	}
	for _, test := range tests {
		d.empty()
		d.run(test.sql)
		for rows, lacks := range map[string]bool{test.have: false, test.lack: true} {
			if rows == "" {
				continue
			}
			r := d.newRun(&bucketload.Load{Table: named("t")}, `INSERT INTO {staging} VALUES `+rows)
			if err := r.prepare(); err != nil {
				t.Fatal(err)
			}
			err := r.tx(func(tx pgx.Tx) error {
				return table.CheckReferences(t.Context(), tx, r.load, bucketload.StagingTable(r.id))
			})
			if lacks {
				refused(t, err, bucketload.CodeCheck, "_fkey of child refers to rows")
			} else if err == nil {
				_, err = r.swap()
				r.judge()
			}
			if err != nil && !lacks {
				t.Errorf("%s: %v", test.sql, err)
			}
		}
	}
}

// The look that the swap takes has half a second for each key: one that takes longer
// keeps it from no other.
func testReferencesAgain(t *testing.T, d *db) {
	d.run(`CREATE DOMAIN slow AS int;
		CREATE FUNCTION equal(slow, slow) RETURNS bool LANGUAGE plpgsql AS 'BEGIN
			IF current_setting(''statement_timeout'') <> ''0'' THEN PERFORM pg_sleep(60); END IF; RETURN $1::int = $2::int; END';
		CREATE OPERATOR = (LEFTARG = slow, RIGHTARG = slow, FUNCTION = equal);
		CREATE TABLE t (a slow PRIMARY KEY, b int UNIQUE); INSERT INTO t VALUES (1, 1), (2, 2);
		CREATE TABLE child1 (a slow REFERENCES t); CREATE TABLE child2 (b int REFERENCES t (b)); INSERT INTO child1 VALUES (1); INSERT INTO child2 VALUES (1)`)
	r := d.newRun(&bucketload.Load{Table: named("t")}, `INSERT INTO {staging} VALUES (1, 1)`)
	if err := r.prepare(); err != nil {
		t.Fatal(err)
	}
	d.run(`INSERT INTO child2 VALUES (2)`)
	_, err := r.swap()
	refused(t, err, bucketload.CodeCheck, "foreign key child2_b_fkey of public.child2 refers to rows")
	d.run(`DELETE FROM child2 WHERE b = 2`)
	if _, err = r.swap(); err != nil {
		t.Fatal(err)
	}
	r.judge()
}

// While a load is under way somebody has constraints of its table judge the rows, or
// swaps what the keys refer to: none changes the table, and what was judged is.
func testJudgedMeanwhile(t *testing.T, d *db) {
	const key, check = "t_a_fkey FOREIGN KEY (a) REFERENCES dim(a)", "t_a_check CHECK ((a > 0))"
	for name, test := range map[string]struct {
		live, configured, meanwhile string
		swapped                     bool // dim is
		want                        []string
	}{
		"added anew": {live: `CREATE TABLE t (a int REFERENCES dim)`,
			meanwhile: `ALTER TABLE t DROP CONSTRAINT t_a_fkey, ADD CONSTRAINT t_a_fkey FOREIGN KEY (a) REFERENCES dim NOT VALID`, want: []string{key}},
		"validated": {live: `CREATE TABLE t (a int); ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES dim NOT VALID, ADD CHECK (a > 0) NOT VALID`,
			meanwhile: `ALTER TABLE t VALIDATE CONSTRAINT t_a_fkey, VALIDATE CONSTRAINT t_a_check`, want: []string{check, key}},
		"as they are": {live: `CREATE TABLE t (a int); ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES dim NOT VALID, ADD CHECK (a > 0) NOT VALID`,
			want: []string{check + " NOT VALID", key + " NOT VALID"}},
		"carried, swapped":                 {live: `CREATE TABLE t (a int REFERENCES dim)`, swapped: true, want: []string{key}},
		"configured, swapped":              {live: `CREATE TABLE t (a int)`, configured: "foreign key (a) references dim", swapped: true, want: []string{key}},
		"both, swapped":                    {live: `CREATE TABLE t (a int REFERENCES dim)`, configured: "foreign key (a) references dim", swapped: true, want: []string{key}},
		"configured, no table, swapped":    {configured: "foreign key (a) references dim", swapped: true, want: []string{key}},
		"configured as NOT VALID, swapped": {live: `CREATE TABLE t (a int)`, configured: "foreign key (a) references dim not valid", swapped: true, want: []string{key + " NOT VALID"}},
	} {
		d.empty()
		d.run(`CREATE TABLE dim (a int PRIMARY KEY); INSERT INTO dim VALUES (1); ` + test.live)
		load := &bucketload.Load{Table: named("t"), Columns: []bucketload.Column{{Name: "a", Type: "int"}}}
		if test.configured != "" {
			load.Constraints = []string{test.configured}
		}
		r, dim := d.newRun(load, `INSERT INTO {staging} VALUES (1)`), d.newRun(&bucketload.Load{Table: named("dim")}, `INSERT INTO {staging} VALUES (1), (2)`)
		if err := r.prepare(); err != nil {
			t.Fatal(err)
		}
		d.run(test.meanwhile)
		if test.swapped {
			if err := dim.prepare(); err != nil {
				t.Fatal(err)
			}
			if _, err := dim.swap(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := r.swap(); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		r.judge()
		dim.judge()
		d.same(name, d.lines(`SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 't'::regclass AND contype IN ('c', 'f')`), test.want)
	}
}

// What the documentation says of others: a snapshot older than the load sees no
// row of the new table, and rows written to the table during a load are in the
// backup.
func testSwapBesideOthers(t *testing.T, d *db) {
	d.run(`CREATE TABLE t (a int); INSERT INTO t VALUES (1); CREATE VIEW v AS SELECT a FROM t`)
	r := d.newRun(&bucketload.Load{Table: named("t")}, `INSERT INTO {staging} VALUES (2)`)
	old := connect(t, d.dsn)
	tx, err := old.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT 1`); err != nil { // its snapshot, and no lock
		t.Fatal(err)
	}
	if err := r.prepare(); err != nil {
		t.Fatal(err)
	}
	d.run(`INSERT INTO t VALUES (3)`)
	if _, err := r.swap(); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRow(t.Context(), `SELECT count(*) FROM t`).Scan(&n); err != nil || n != 0 {
		t.Errorf("the older snapshot sees %d rows, %v", n, err)
	}
	if got := d.lines(`SELECT a::text FROM databackup.t ORDER BY a`); !slices.Equal(got, []string{"1", "3"}) {
		t.Errorf("backup %v", got)
	}
	if got := d.lines(`SELECT a::text FROM v`); !slices.Equal(got, []string{"2"}) {
		t.Errorf("view %v", got)
	}
}
