package steps

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/infer"
)

func TestMatch(t *testing.T) {
	column := func(name string, from ...string) bucketload.Column { return bucketload.Column{Name: name, From: from} }
	for _, c := range []struct {
		name    string
		header  string
		columns []bucketload.Column
		lower   bool
		want    []int
		code    bucketload.Code
		column  string
		value   string
	}{
		{name: "by name", header: "b,a", columns: []bucketload.Column{column("a"), column("b")}, want: []int{1, 0}},
		{name: "by source", header: "X,Y", columns: []bucketload.Column{column("a", "Y"), column("b", "X")}, want: []int{1, 0}},
		{name: "the first source that the file has", header: "TMP,Z", columns: []bucketload.Column{column("a", "TEMP", "TMP"), column("z", "Z")}, want: []int{0, 1}},
		{name: "two sources in one file", header: "TMP,TEMP", columns: []bucketload.Column{column("a", "TEMP", "TMP")}, code: bucketload.CodeNewColumn, value: "TMP"},
		{name: "two columns of one source", header: "X", columns: []bucketload.Column{column("a", "X"), column("b", "X")}, want: []int{0, 0}},
		{name: "in another case", header: "TEMP", columns: []bucketload.Column{column("temp", "Temp")}, lower: true, want: []int{0}},
		{name: "case counts", header: "TEMP", columns: []bucketload.Column{column("temp")}, code: bucketload.CodeNoColumn, column: "temp"},
		{name: "blanks around", header: " temp ", columns: []bucketload.Column{column("temp")}, want: []int{0}},
		{name: "the very name first", header: "Temp,temp", columns: []bucketload.Column{column("a", "temp"), column("b", "Temp")}, lower: true, want: []int{1, 0}},
		{name: "no field twice", header: "LAT", columns: []bucketload.Column{column("lat", "Lat"), column("lat_2", "lat")}, lower: true, code: bucketload.CodeNoColumn, column: "lat_2"},
		{name: "a field that another has by its name", header: "LAT", columns: []bucketload.Column{column("lat", "lat"), column("b", "LAT")}, lower: true, code: bucketload.CodeNoColumn, column: "lat"},
		{name: "unknown", header: `a,"quo""te`, columns: []bucketload.Column{column("a")}, code: bucketload.CodeNewColumn, value: `"quo""te`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := match(strings.Split(c.header, ","), c.columns, c.lower)
			if c.code == "" {
				if err != nil || !slices.Equal(got, c.want) {
					t.Errorf("%v %v, want %v", got, err, c.want)
				}
				return
			}
			if e := bucketload.AsError(err); e == nil || e.Code != c.code || e.Column != c.column || e.Value != c.value {
				t.Errorf("%v %+v, want %s %q %q", got, e, c.code, c.column, c.value)
			}
		})
	}
}

// Keys in other cases are found for as many columns as JSON may have, not by
// comparing each with each, which would take minutes here; those that records
// have both of stay apart.
func TestSpellings(t *testing.T) {
	const n = 50_000
	inferred := []infer.Column{{Column: bucketload.Column{Name: "id", From: []string{"ID"}}}, {Column: bucketload.Column{Name: "id_2", From: []string{"id", "Id"}}}}
	want := [][]string{{"ID"}, {"id", "Id"}}
	for i := range n {
		from := []string{fmt.Sprint("Key", i), fmt.Sprint("KEY", i)}
		inferred = append(inferred, infer.Column{Column: bucketload.Column{Name: fmt.Sprint("key", i), From: from}})
		want = append(want, from)
	}
	r := &Resolution{Layout: Layout{Format: bucketload.FormatJSON}, Evidence: map[string]string{}}
	r.fromSamples(&bucketload.Load{LowerCase: true, Columns: []bucketload.Column{{Name: "key7", From: []string{"key7"}}}}, inferred)
	for i, c := range r.Columns {
		if i == 9 { // the one that the configuration names
			want[i] = append([]string{"key7"}, want[i]...)
		}
		if !slices.Equal(c.From, want[i]) {
			t.Fatalf("%s: %q, want %q", c.Name, c.From, want[i])
		}
	}
}

// TestColumns is about where columns come from: the whole table as it is made.
func TestColumns(t *testing.T) {
	t.Parallel()
	whole := sharedBench(t, 0)
	two := map[string]string{"a.csv": "STATION,Temp\n007,1.5\n", "b.csv": "Temp,STATION\n20,A1\n"}
	long := strings.Repeat("long", 20)
	override := func(columns ...bucketload.Column) func(*bucketload.Load) {
		return func(l *bucketload.Load) { l.Columns, l.ColumnsOverride = columns, true }
	}
	for _, c := range []struct {
		name   string
		live   string
		files  map[string]string
		change func(*bucketload.Load)
		want   string // columns of the new table
		rows   string // of it, ordered
		notes  string
		quiet  bool // there is no note
		code   bucketload.Code
		failed int64
	}{
		{name: "inferred", files: two, want: "station text, temp numeric", rows: "007|1.5 A1|20"},
		{name: "inferred, names as they are", files: two, change: func(l *bucketload.Load) { l.LowerCase = false }, want: "STATION text, Temp numeric", rows: "007|1.5 A1|20"},
		{name: "all text", files: two, change: func(l *bucketload.Load) { l.AllText = true }, want: "station text, temp text", rows: "007|1.5 A1|20"},
		{name: "complete", files: two, change: withColumns(bucketload.Column{Name: "t", From: []string{"Temp"}, Type: "float8"}, bucketload.Column{Name: "s", From: []string{"STATION"}}),
			want: "t double precision, s text", rows: "1.5|007 20|A1"},
		{name: "complete, of which files have more", files: two, change: withColumns(bucketload.Column{Name: "t", From: []string{"Temp"}}), want: "t numeric", rows: "", failed: 2,
			code: bucketload.CodeCheck},
		{name: "complete, all text", files: two, change: func(l *bucketload.Load) {
			l.AllText, l.Columns = true, []bucketload.Column{{Name: "temp", Type: "float8"}, {Name: "station"}}
		}, want: "temp text, station text", rows: "1.5|007 20|A1"},
		{name: "override", files: two, change: override(bucketload.Column{Name: "t", From: []string{"temp"}, Type: "float4", NullIf: []string{"20.0", "20"}}),
			want: "station text, t real", rows: "007|1.5 A1|NULL"},
		{name: "override by name", files: two, change: override(bucketload.Column{Name: "temp", Type: "float4"}), want: "station text, temp real", rows: "007|1.5 A1|20"},
		{name: "override, all text", files: two, change: func(l *bucketload.Load) {
			override(bucketload.Column{Name: "t", From: []string{"Temp"}, Type: "float4"})(l)
			l.AllText = true
		}, want: "station text, t text", rows: "007|1.5 A1|20"},
		{name: "override of what no file has", files: two, change: override(bucketload.Column{Name: "other"}), want: "station text, temp numeric", rows: "007|1.5 A1|20",
			notes: `names "other"`},
		{name: "override of several sources", files: map[string]string{"a.csv": "k,TEMP\n1,1.5\n", "b.csv": "k,TMP\n2,hot\n"},
			change: override(bucketload.Column{Name: "t", From: []string{"TEMP", "TMP"}}), want: "k bigint, t text", rows: "1|1.5 2|hot"},
		{name: "live table", live: "temp float8 NOT NULL, station varchar(4)", files: two, want: "temp double precision, station character varying(4)", rows: "1.5|007 20|A1"},
		{name: "live table, all text", live: "temp float8 NOT NULL, station varchar(4)", files: two, change: func(l *bucketload.Load) { l.AllText = true },
			want: "station text, temp text", rows: "007|1.5 A1|20"},
		{name: "live table, overridden", live: "temp float8, station varchar(4)", files: two, change: override(bucketload.Column{Name: "temp", Type: "numeric(4,1)"}),
			want: "temp numeric(4,1), station character varying(4)", rows: "1.5|007 20.0|A1"},
		{name: "live table, a column renamed", live: "temp float8, station varchar(4)", files: two, change: override(bucketload.Column{Name: "t", From: []string{"Temp"}}),
			want: "station text, t numeric", rows: "007|1.5 A1|20", notes: `column "temp" of the live table will be gone`},
		{name: "live table does not fit", live: "temp float8, other int", files: two, want: "station text, temp numeric", rows: "007|1.5 A1|20", notes: `column "other" of the live table will be gone`},
		{name: "live table with columns that fill themselves", live: "id int GENERATED ALWAYS AS IDENTITY, temp float8, station text, at date DEFAULT '2022-01-01', twice float8 GENERATED ALWAYS AS (temp * 2) STORED",
			files: two, want: "id integer, temp double precision, station text, at date, twice double precision", rows: "1|1.5|007|2022-01-01|3 2|20|A1|2022-01-01|40"},
		{name: "live table, a default that a file has", live: "temp float8, station text DEFAULT 'none'", files: two, want: "temp double precision, station text", rows: "1.5|007 20|A1"},
		{name: "live table, one header for two columns", live: `temp float8, "Temp" float8, station text`, files: map[string]string{"a.csv": "STATION,TEMP\n7,1\n"},
			want: "station bigint, temp bigint", rows: "7|1", notes: `column "Temp" of the live table will be gone`},
		{name: "a generated column is configured", live: "temp float8, twice float8 GENERATED ALWAYS AS (temp * 2) STORED", files: map[string]string{"a.csv": "temp,twice\n1,5\n"},
			change: withColumns(bucketload.Column{Name: "temp"}, bucketload.Column{Name: "twice"}), want: "temp bigint, twice bigint", rows: "1|5", notes: `"twice" of the live table is generated`},
		{name: "no header, given", files: map[string]string{"a.csv": "1,x\n2,y\n"}, change: func(l *bucketload.Load) {
			l.CSV.Header, l.Columns = false, []bucketload.Column{{Name: "n"}, {Name: "s", From: []string{"SOURCE"}}}
		}, want: "n bigint, s text", rows: "1|x 2|y"},
		{name: "no header, none given", files: map[string]string{"a.csv": "1,x\n2,y\n"}, change: func(l *bucketload.Load) { l.CSV.Header = false },
			want: "column_1 bigint, column_2 text", rows: "1|x 2|y"},
		{name: "no header, by number", files: map[string]string{"a.csv": "1,x\n2,y\n"}, change: func(l *bucketload.Load) {
			l.CSV.Header, l.Columns = false, []bucketload.Column{{Name: "s", From: []string{"column_2"}}, {Name: "n", From: []string{"column_1"}}}
		}, want: "s text, n bigint", rows: "x|1 y|2"},
		{name: "no header, override", files: map[string]string{"a.csv": "1,x\n2,y\n"}, change: func(l *bucketload.Load) {
			override(bucketload.Column{Name: "s", From: []string{"column_2"}})(l)
			l.CSV.Header = false
		}, want: "column_1 bigint, s text", rows: "1|x 2|y"},
		{name: "no header, too many", files: map[string]string{"a.csv": "1,x\n", "b.csv": "2,y,z\n", "c.csv": "3\n"}, change: func(l *bucketload.Load) {
			l.CSV.Header, l.CSV.Delimiter, l.Columns = false, ",", []bucketload.Column{{Name: "n"}, {Name: "s"}}
		}, want: "n bigint, s text", rows: "1|x", failed: 2},
		{name: "a long header", files: map[string]string{"a.csv": "n," + long + "\n1,2\n"}, want: "n bigint, " + long[:63] + " bigint", rows: "1|2",
			notes: fmt.Sprintf("which is what Postgres keeps: %q of %q; name them", long[:63], long)},
		{name: "a long header, renamed", files: map[string]string{"a.csv": "n," + long + "\n1,2\n"}, change: override(bucketload.Column{Name: "short", From: []string{long}}),
			want: "n bigint, short bigint", rows: "1|2", quiet: true},
		{name: "a long header, known", live: "n int, " + long[:63] + " int", files: map[string]string{"a.csv": "n," + long + "\n1,2\n"},
			want: "n integer, " + long[:63] + " integer", rows: "1|2", quiet: true},
		{name: "compressed", files: map[string]string{"a.csv.gz": zip(two["a.csv"]), "b.csv.zst": zst(two["b.csv"])}, want: "station text, temp numeric", rows: "007|1.5 A1|20"},
		{name: "a cut-off file has no say in its last row", files: map[string]string{"a.csv": "d\n2022-01-01\n", "b.csv.gz": cutDates()}, want: "d date", rows: "2022-01-01", failed: 1},
		{name: "no column at all", files: map[string]string{"a.csv": ""}, code: bucketload.CodeHeader},
		{name: "a type that is none", files: two, change: override(bucketload.Column{Name: "temp", Type: "flaot"}), code: bucketload.CodeUsage},
		{name: "a key that is none", files: two, change: func(l *bucketload.Load) { l.PrimaryKey = []string{"id"} }, code: bucketload.CodeUsage},
		{name: "append what the table does not have", live: "temp float8, other int", files: two, change: func(l *bucketload.Load) { l.Mode = bucketload.ModeAppend },
			code: bucketload.CodeNewColumn},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := whole.part(t)
			if c.live != "" {
				b.exec("CREATE TABLE " + b.table + " (" + c.live + ")")
			}
			load := b.load(c.files)
			if c.change != nil {
				c.change(load)
			}
			p, previewErr := b.Preview(t.Context(), load)
			r, err := b.whole(load)
			if c.code != "" {
				wantCode(t, err, c.code)
				if c.failed == 0 {
					wantCode(t, previewErr, c.code)
				}
				return
			}
			b.must(err)
			if notes := strings.Join(p.Notes, "\n"); !strings.Contains(notes, c.notes) || c.quiet && notes != "" {
				t.Errorf("notes %q, want %q", notes, c.notes)
			}
			if got := b.value(`SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0`, b.table); got != c.want {
				t.Errorf("columns %s, want %s", got, c.want)
			}
			if got := b.value(`SELECT coalesce(string_agg(s, ' ' ORDER BY s), '') FROM (SELECT (SELECT string_agg(coalesce(v, 'NULL'), '|' ORDER BY i) FROM json_each_text(row_to_json(r)) WITH ORDINALITY e(k, v, i)) AS s FROM ` + b.table + ` AS r) x`); got != c.rows {
				t.Errorf("rows %s, want %s", got, c.rows)
			}
			if r.Files.Failed != c.failed {
				t.Errorf("%d files failed, want %d", r.Files.Failed, c.failed)
			}
		})
	}
}

func zst(s string) string {
	w, _ := zstd.NewWriter(nil)
	return string(w.EncodeAll([]byte(s), nil))
}

// cutDates is a gzip file that breaks off in the middle of a date.
func cutDates() string {
	var plain strings.Builder
	plain.WriteString("d\n")
	for i := range 300 {
		fmt.Fprintf(&plain, "2022-%02d-%02d\n", i%12+1, rand.N(28)+1)
	}
	whole := zip(plain.String())
	for n := len(whole) / 2; ; n++ {
		if head, _, _ := inflate([]byte(whole[:n]), "", "auto", sampleInflated); len(head) > 0 && head[len(head)-1] != '\n' {
			return whole[:n]
		}
	}
}

func TestDialectIsFoundOut(t *testing.T) {
	t.Parallel()
	whole := sharedBench(t, 0)
	for _, delimiter := range []string{",", "\t", ";", "|"} {
		b := whole.part(t)
		header := strings.Join([]string{"a", "b", "c"}, delimiter)
		row := strings.Join([]string{"1", `"x,y;z|` + "\t" + `"`, "2"}, delimiter)
		r, err := b.whole(b.load(map[string]string{"a.csv": header + "\n" + row + "\n", "b.csv": header + "\n" + row + "\n" + row}))
		b.must(err)
		if got := b.value("SELECT sum(a + c) FROM " + b.table + " WHERE b = E'x,y;z|\\t'"); got != "9" || r.Rows.Loaded != 3 {
			t.Errorf("delimiter %q: %s", delimiter, got)
		}
	}
	b := whole.part(t)
	_, err := b.whole(b.load(map[string]string{"a.csv": "a;b,c\n1;2,3\n"}))
	wantCode(t, err, bucketload.CodeUsage, "delimiter")
}

// TestSampleOfBlocks: a compressed file whose first block is longer than the
// head that is read of other files is sampled, too.
func TestSampleOfBlocks(t *testing.T) {
	t.Parallel()
	var plain strings.Builder
	plain.WriteString("n,pad\n")
	for r := rand.New(rand.NewPCG(1, 2)); plain.Len() < 1<<20; {
		fmt.Fprintf(&plain, "%d,", r.IntN(1000))
		for range 80 {
			plain.WriteByte(byte('A' + r.IntN(58)))
		}
		plain.WriteByte('\n')
	}
	packed := zst(plain.String())
	if head, _, err := inflate([]byte(packed[:sampleHead]), "", "auto", sampleInflated); len(head) > 0 || err == nil {
		t.Fatalf("the first block is within the head: %d bytes, %v", len(head), err)
	}
	b := sharedBench(t, 0)
	g, err := b.Guess(t.Context(), b.load(map[string]string{"a.csv.zst": packed}))
	b.must(err)
	if len(g.Columns) != 2 || g.Columns[0].Type != "bigint" {
		t.Errorf("%+v", g.Columns)
	}
}
