package judges

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// peerCase is a load of another loader, said in our keys: in the files' folder
// expected/OUT is what psql printed of the same query there.
type peerCase struct {
	name, keys, out, query string
	files                  string // a pattern; all .csv of the folder where it is empty
	before                 string // a statement: what the table is before the load
}

const byColumns = "csv: {header: false}\n"

var pgloaderCases = []peerCase{
	{name: "basic", out: "02-data.out", query: "SELECT id, name, age FROM t ORDER BY id"},
	{name: "allcols", keys: byColumns + "columns: {a: int, b: date, c: text}", out: "02-data.out", query: "SELECT a, b FROM t ORDER BY a LIMIT 3"},
	{name: "allcols", keys: byColumns + "columns: {a: int, b: date, c: text}", out: "01-counts.out", query: "SELECT count(*) AS rows FROM t"},
	{name: "blanks-keep", keys: "csv: {header: false, stray_quotes: keep}\ncolumns: {f1: text, f2: text, f3: text}", out: "01-data.out", query: `SELECT f1, f2, f2 IS NULL AS f2_null FROM t ORDER BY f1 COLLATE "C"`},
	{name: "blanks-trim", keys: "csv: {header: false, unquoted_blanks: trim}\ncolumns: {f1: text, f2: text, f3: text}", out: "01-data.out", query: `SELECT f1, f2, f2 IS NULL AS f2_null FROM t ORDER BY f1 COLLATE "C"`},
	{name: "column-order", keys: byColumns + "columns: {c: text, b: date}", out: "02-data.out", query: "SELECT b, c FROM t ORDER BY b LIMIT 3"},
	{name: "column-subset", keys: "csv: {header: false, delimiter: '%'}\ncolumns: {a: {from: column_1, type: int}, b: {from: column_2, type: text}, c: {from: column_3, type: text}, e: {from: column_5, type: text}}\nunknown: ignore", out: "01-counts.out", query: "SELECT count(*) AS rows FROM t"},
	{name: "constant", keys: "csv: {header: false, delimiter: '%'}\ncolumns: {d: {from: column_1, type: int}, b: {from: column_2, type: int}}\nunknown: ignore", out: "02-data.out", query: "SELECT b, d FROM t ORDER BY b"},
	{name: "csv-escape-mode", out: "csv-escape-mode.out", query: "SELECT id, name, description FROM t ORDER BY id"},
	{name: "datestyle-dmy", keys: "csv: {header: false, delimiter: '|', ragged: truncate}\ncolumns: {a: {from: column_1, type: int}, b: {from: column_3, type: date, format: DD/MM/YYYY}}\nunknown: ignore", out: "02-data.out", query: "SELECT a, b FROM t ORDER BY a LIMIT 4"},
	{name: "districts", out: "02-data.out", query: "SELECT usps, aland FROM t ORDER BY usps"},
	{name: "embedded-newline", keys: byColumns + "columns: {id: int, description: text, status: text}", out: "01-rows.out", query: "SELECT * FROM t ORDER BY id"},
	{name: "encoding", keys: "csv: {encoding: iso-8859-1}", out: "02-data.out", query: "SELECT id, name FROM t ORDER BY id"},
	{name: "encoding", out: "02-data.out", query: "SELECT id, name FROM t ORDER BY id"},
	{name: "escape-backslash", keys: byColumns + "columns: {id: text, number: {type: text, null_if: ['\\N']}, data: text}", out: "01-nulls.out", query: "SELECT id, number IS NULL AS num_null FROM t ORDER BY id"},
	{name: "filename-pattern", keys: byColumns + "columns: {id: int, field: text}", out: "01-counts.out", query: "SELECT count(*) AS rows FROM t"},
	{name: "guess-csv", files: "track.csv", keys: "csv: {header: false}", out: "guess-csv.out", query: "SELECT count(*) FROM t"},
	{name: "header-auto", out: "02-data.out", query: "SELECT somefields, rekplcode FROM t ORDER BY somefields"},
	{name: "missing-col", keys: "csv: {header: false, skip_head: 1}\ncolumns: {a: {from: column_3, type: bigint}, b: {from: column_4, type: bigint}, c: {from: column_5, type: text}}\nunknown: ignore", out: "02-data.out", query: "SELECT a, b, c FROM t ORDER BY a LIMIT 3"},
	{name: "multi-null-if", keys: byColumns + "columns: {id: int, label: {type: text, null_if: ['', N/A]}, score: {type: int, null_if: ['0']}}", out: "01-rows.out", query: "SELECT * FROM t ORDER BY id"},
	{name: "not-enclosed", keys: "csv: {header: false, quote: ''}\ncolumns: {nom: text, prenom: text}", out: "02-data.out", query: `SELECT * FROM t ORDER BY nom COLLATE "C", ctid`},
	{name: "null-if", keys: byColumns + "columns: {id: int, number: {type: int, null_if: ['\\N']}, data: text}", out: "01-nulls.out", query: "SELECT id, number IS NULL AS num_null, data FROM t ORDER BY id"},
	{name: "null-if-blanks", keys: byColumns + "columns: {id: int, name: {type: text, trim: true, null_if: ['']}, status: {type: text, null_if: ['']}}", out: "01-rows.out", query: "SELECT * FROM t ORDER BY id"},
	{name: "nulls", keys: byColumns + "columns: {id: int, number: {type: int, null_if: ['\\N']}, data: text}", out: "01-nulls.out", query: "SELECT id, number IS NULL AS number_null, data FROM t ORDER BY id"},
	{name: "overflow", keys: byColumns, out: "01-data.out", query: "SELECT column_1 AS id, column_2 AS f1 FROM t ORDER BY ctid"},
	{name: "parse-date", keys: byColumns + `columns: {"row num": smallint, ts: {type: timestamptz, format: [MM-DD-YYYY HH24-MI-SS.US, MM-DD-YYYY HH24-MI-SS]}, hr: {type: time, format: ["HH24:MI.SS"]}}`, out: "01-counts.out", query: "SELECT count(*) AS rows FROM t"},
	{name: "pipe", keys: "csv: {header: false, skip_head: 2, delimiter: '|', ragged: truncate}\ncolumns: {a: {from: column_1, type: int}, c: {from: column_2, type: text}}\nunknown: ignore", out: "02-data.out", query: "SELECT a, c FROM t ORDER BY a LIMIT 3"},
	{name: "projection", keys: "csv: {header: false, skip_head: 1}\ncolumns: {camelCase: {from: column_6, type: text}, c: {from: column_5, type: text}}\nunknown: ignore", out: "02-cols.out", query: `SELECT * FROM t ORDER BY ctid LIMIT 3`},
	{name: "reformat", keys: byColumns + "columns: {id: int, date: timestamp}", out: "02-data.out", query: "SELECT id, date::date FROM t ORDER BY id"},
	{name: "semicolon", out: "02-data.out", query: "SELECT a, b FROM t ORDER BY a"},
	{name: "skip-header-2", keys: "csv: {header: 2, delimiter: '|'}\ncolumns: {a: {from: id, type: int}, b: {from: date, type: date}}\nunknown: ignore", out: "02-data.out", query: "SELECT a, b FROM t ORDER BY a LIMIT 3"},
	{name: "stdin", out: "stdin.out", query: "SELECT id, name, value FROM t ORDER BY id"},
	{name: "tab", out: "02-data.out", query: "SELECT usps, aland FROM t ORDER BY usps"},
	{name: "temp", keys: byColumns + "columns: {a: int, b: timestamp, nil: numeric, t2: numeric}", out: "02-data.out", query: "SELECT a, nil, t2 AS t FROM t ORDER BY a"},
	{name: "track", keys: byColumns + "columns: {trackid: {from: column_1, type: int}, track: {from: column_2, type: text}, genre: {from: column_5, type: text}}\nunknown: ignore", out: "02-data.out", query: "SELECT trackid, track, genre FROM t ORDER BY trackid LIMIT 3"},
}

// TestPgloader runs pgloader's own regression tests: those whose files are in
// the corpus, and whose loads change no values on the way.
func TestPgloader(t *testing.T) {
	t.Parallel()
	dir := temptest.Corpus(t, "corpus/pgloader-clojure-tests/csv")
	c := newCourt(t)
	passed := make([]bool, len(pgloaderCases))
	each(t, pgloaderCases, func(p peerCase) string { return p.name }, func(t *testing.T, i int, p peerCase) {
		pattern := p.files
		if pattern == "" {
			pattern = "*.csv"
		}
		v := c.ask(t, p.before, p.keys, p.query, files(t, filepath.Join(dir, p.name), pattern)...)
		if v.err != nil {
			t.Errorf("%s: %v", p.name, v.err)
			return
		}
		want := psql(t, filepath.Join(dir, p.name, "expected", p.out))
		passed[i] = slices.ContainsFunc(want, func(g [][]string) bool { return equal(g, v.printed()) })
		if !passed[i] {
			t.Errorf("%s: got %q, want %q", p.name, v.printed(), want)
		}
	})
	passed = append(passed, lispLoads(t, c)...)
	report(t, "pgloader", fmt.Sprintf(`%d of %d of its regression loads give the rows that it expects: its CSV cases whose files are in the
corpus and whose loads compute nothing on the way, each said in our keys (no key at all for most of those
that have a header), and the query's result compared with what psql printed for pgloader.`, count(passed), len(passed)))
}

// lispLoads are those of its older suite, whose expectations are in COPY's format.
func lispLoads(t *testing.T, c *court) (passed []bool) {
	t.Helper()
	dir := temptest.Corpus(t, "corpus/pgloader-lisp-tests")
	for _, p := range []struct{ files, keys, query, out string }{
		{"track.csv", byColumns + "columns: {trackid: int, track: text, album: text, mediatype: text, genre: text, composer: text, milliseconds: bigint, bytes: bigint, unitprice: numeric}", "SELECT * FROM t", "csv-guess.out"},
		{"matching-*.csv", byColumns + "columns: {id: int, field: text}", "SELECT * FROM t ORDER BY id", "csv-filename-pattern.out"},
		{"2013_Gaz_113CDs_national.txt", "format: csv\ncsv: {encoding: iso-8859-1}\nlower_case: false", `SELECT "USPS", "GEOID", "ALAND", "AWATER", trim_scale("ALAND_SQMI"), trim_scale("AWATER_SQMI"), '(' || trim_scale("INTPTLONG") || ',' || trim_scale("INTPTLAT") || ')' FROM t ORDER BY ctid`, "csv-districts.out"},
	} {
		v := c.ask(t, "", p.keys, p.query, files(t, filepath.Join(dir, "data"), p.files)...)
		ok := false
		if v.err != nil {
			t.Errorf("%s: %v", p.files, v.err)
		} else {
			data, err := os.ReadFile(filepath.Join(dir, "regress/expected", p.out))
			if err != nil {
				t.Fatal(err)
			}
			got, want := inOrder(v.copied()), inOrder(string(data))
			if ok = slices.Equal(got, want); !ok {
				t.Errorf("%s: %s", p.files, firstDifference(got, want))
			}
		}
		passed = append(passed, ok)
	}
	return passed
}

const customer = `CREATE TABLE t (c_id int NOT NULL, c_d_id smallint NOT NULL, c_w_id int NOT NULL, c_first varchar(16) NOT NULL,
	c_middle char(2) NOT NULL, c_last varchar(16) NOT NULL, c_street_1 varchar(20) NOT NULL, c_street_2 varchar(20) NOT NULL,
	c_city varchar(20) NOT NULL, c_state char(2) NOT NULL, c_zip char(9) NOT NULL, c_phone char(16) NOT NULL, c_since timestamp NOT NULL,
	c_credit char(2) NOT NULL, c_credit_lim numeric(16,4) NOT NULL, c_discount numeric(16,4) NOT NULL, c_balance numeric(16,4) NOT NULL,
	c_ytd_payment numeric(16,4) NOT NULL, c_payment_cnt float4 NOT NULL, c_delivery_cnt float8 NOT NULL, c_data varchar(500) NOT NULL,
	PRIMARY KEY (c_w_id, c_d_id, c_id))`

const customerNames = "c_id, c_d_id, c_w_id, c_first, c_middle, c_last, c_street_1, c_street_2, c_city, c_state, c_zip, c_phone, c_since, " +
	"c_credit, c_credit_lim, c_discount, c_balance, c_ytd_payment, c_payment_cnt, c_delivery_cnt, c_data"

// asPrinted has values printed as by the sessions of pg_bulkload's tests:
// DateStyle Postgres, extra_float_digits 0.
var asPrinted = strings.NewReplacer("c_since", "to_char(c_since, 'Dy Mon DD HH24:MI:SS YYYY') AS c_since",
	"c_payment_cnt", "c_payment_cnt::numeric AS c_payment_cnt")

// customerColumns are those of customer, with what means NULL in its file.
func customerColumns() string {
	columns := "columns:\n"
	for _, c := range regexp.MustCompile(`(c_[a-z_0-9]+) ([a-z0-9]+(?:\([0-9,]+\))?) NOT NULL`).FindAllStringSubmatch(customer, -1) {
		columns += fmt.Sprintf("  %s: {type: %s, null_if: [%s]}\n", c[1], yaml(c[2]), yaml("nullvalue           "))
	}
	return columns
}

var bulkloadCases = []peerCase{
	{name: "rows that constraints refuse", files: "data5.csv", out: "load_check.out",
		before: "CREATE TABLE t (id int PRIMARY KEY, str text NOT NULL UNIQUE, master int)",
		keys:   byColumns + "columns: {id: int, str: text, master: int}\ntolerate: {rows: 100%}\non_duplicate: keep_first", query: "SELECT * FROM t ORDER BY id"},
	{name: "and a check", files: "data5.csv", out: "load_check.out",
		before: "CREATE TABLE t (id int PRIMARY KEY, str text CHECK (length(str) < 10) NOT NULL UNIQUE, master int)",
		keys:   byColumns + "columns: {id: int, str: text, master: int}\ntolerate: {rows: 100%}\non_duplicate: keep_first", query: "SELECT * FROM t ORDER BY id"},
	{name: "rows in another encoding", files: "data4.csv", out: "load_encoding.out",
		keys: "csv: {header: false, encoding: utf-8}\ncolumns: {id: int, str: text, master: int}\ntolerate: {rows: 100%}", query: "SELECT id, encode(str::bytea, 'hex'), master FROM t ORDER BY id"},
	{name: "types, NULLs and head and foot lines", files: "data1.csv", out: "load_csv.out", before: customer,
		keys: "csv: {header: false, delimiter: '|', skip_head: 2, skip_foot: 1}\ntolerate: {rows: 100%}\n" + customerColumns(), query: "SELECT " + asPrinted.Replace(customerNames) + " FROM t ORDER BY c_id"},
}

// TestPgBulkload loads files of pg_bulkload's regression tests; a run is
// compared with the table that one of its loads, or several in a row, printed.
func TestPgBulkload(t *testing.T) {
	t.Parallel()
	dir := temptest.Corpus(t, "corpus/pg_bulkload")
	c := newCourt(t)
	passed := make([]bool, len(bulkloadCases))
	each(t, bulkloadCases, func(p peerCase) string { return p.name }, func(t *testing.T, i int, p peerCase) {
		v := c.ask(t, p.before, p.keys, p.query, filepath.Join(dir, "data", p.files))
		if v.err != nil {
			t.Fatal(v.err)
		}
		want := psql(t, filepath.Join(dir, "expected", p.out))
		passed[i] = slices.ContainsFunc(want, func(g [][]string) bool { return equal(g, v.printed()) })
		if !passed[i] {
			t.Errorf("got %q", v.printed())
		}
	})
	report(t, "pg_bulkload", fmt.Sprintf(`%d of %d of its regression loads give the rows that it expects: those of CSV that are not about its
binary input, its filter functions or its own limits of errors.`, count(passed), len(passed)))
}

var copyEscapes = strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`)

// copied gives the rows as COPY writes text.
func (g grid) copied() string {
	var b strings.Builder
	for _, row := range g.rows {
		for i, value := range row {
			if i > 0 {
				b.WriteByte('\t')
			}
			if value == nil {
				b.WriteString(`\N`)
			} else {
				b.WriteString(copyEscapes.Replace(*value))
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// inOrder gives the lines of a text in order: its own is that of another table.
func inOrder(text string) []string {
	return slices.Sorted(strings.Lines(text))
}

func firstDifference(got, want []string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("got %q, want %q", got[i], want[i])
		}
	}
	return fmt.Sprintf("got %d rows, want %d", len(got), len(want))
}

// printed gives names and rows as psql prints them, blanks around cells aside.
func (g grid) printed() [][]string {
	rows := slices.Concat([][]string{g.names}, g.texts())
	for _, row := range rows {
		for i, cell := range row {
			parts := strings.Split(cell, "\n")
			for j, part := range parts {
				parts[j] = strings.TrimSpace(part)
			}
			row[i] = strings.Join(parts, "\n")
		}
	}
	return rows
}

// psql reads the tables that psql printed into a file.
func psql(t *testing.T, path string) (tables [][][]string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	printed := strings.Split(string(data), "\n")
	for i, rule := range printed {
		if i == 0 || rule == "" || strings.Trim(rule, "-+") != "" {
			continue
		}
		rows := [][]string{psqlRow(printed[i-1])}
		more := false // the last line's cells go on
		for _, line := range printed[i+1:] {
			if strings.HasPrefix(line, "(") && strings.HasSuffix(line, ")") {
				break
			}
			cells := psqlRow(line)
			goesOn := false
			for j, cell := range cells {
				if trimmed, plus := strings.CutSuffix(cell, "+"); plus {
					goesOn = true
					cells[j] = strings.TrimSpace(trimmed) + "\n"
				}
			}
			if last := rows[len(rows)-1]; more {
				for j, cell := range cells {
					last[j] += cell
				}
			} else {
				rows = append(rows, cells)
			}
			more = goesOn
		}
		tables = append(tables, rows)
	}
	return tables
}

func psqlRow(line string) []string {
	cells := strings.Split(line, "|")
	for i, cell := range cells {
		cells[i] = strings.TrimSpace(cell)
	}
	return cells
}

func equal(a, b [][]string) bool {
	return slices.EqualFunc(a, b, func(x, y []string) bool { return slices.Equal(x, y) })
}
