package steps

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/temp"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// inS3 puts the files of a load into a bucket instead of its directory.
func (b *bench) inS3(load *bucketload.Load) *temp.S3 {
	b.t.Helper()
	s3, err := temp.StartS3(temp.S3Options{})
	b.must(err)
	b.t.Cleanup(func() { _ = s3.Close() })
	b.must(s3.CreateBucket("bucket"))
	b.must(filepath.WalkDir(b.dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		b.must(err)
		key, err := filepath.Rel(b.dir, path)
		b.must(err)
		return s3.Put("bucket", filepath.ToSlash(key), content)
	}))
	load.From = []string{"s3://bucket/"}
	load.S3 = bucketload.S3{EndpointURL: s3.URL(), PathStyle: true, Anonymous: true, Region: "us-east-1"}
	return s3
}

// columnsOf and rowsOfTable give the table as it was made: "a text, b bigint",
// and its rows in order, "1|NULL 2|x".
func (b *bench) columnsOf() string {
	return b.value(`SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0`, b.table)
}

func (b *bench) rowsOfTable() string {
	return b.value(`SELECT coalesce(string_agg(s, ' ' ORDER BY s), '') FROM (SELECT (SELECT string_agg(coalesce(v, 'NULL'), '|' ORDER BY i) FROM json_each_text(row_to_json(r)) WITH ORDINALITY e(k, v, i)) AS s FROM ` + b.table + ` AS r) x`)
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	policies := func(unknown, missing string, columns ...bucketload.Column) func(*bucketload.Load) {
		return func(l *bucketload.Load) {
			l.Unknown, l.Missing, l.Columns, l.CSV.Delimiter = unknown, missing, columns, ","
		}
	}
	const fail, ignore, add, rescue, null = bucketload.PolicyFail, bucketload.PolicyIgnore, bucketload.PolicyAdd, bucketload.PolicyRescue, bucketload.PolicyNull
	id, name := bucketload.Column{Name: "id", Type: "int"}, bucketload.Column{Name: "name", Type: "text"}
	nobody := name
	nobody.Default = new("nobody")
	more := map[string]string{"a.csv": "id,name\n1,Ann\n", "b.csv": "id,name\n2,Bob\n", "c.csv": "city,id,age,name\nRome,3,33,Eve\n,4,,Kim\n"}
	fewer := map[string]string{"a.csv": "id,name\n1,Ann\n", "b.csv": "id,name\n2,Bob\n", "c.csv": "id\n3\n"}
	years := map[string]string{"year=2021/month=01/a.csv": "id\n1\n", "year=2022/month=11/b.csv": "id\n2\n3\n"}
	cases := []struct {
		name   string
		live   string
		files  map[string]string
		change func(*bucketload.Load)
		want   string // columns of the table
		rows   string // of it, ordered
		failed int64  // files
		unseen bool   // which the plan does not know: it goes by headers
		notes  []string
		code   bucketload.Code
		words  []string
	}{
		{name: "unknown: fail", files: more, change: policies(fail, fail), want: "id bigint, name text", rows: "1|Ann 2|Bob", failed: 1,
			notes: []string{`1 of 3 files have other columns than the table, and will fail; one is`, `c.csv: the header has "city", "age"`, "to load them: unknown: add, rescue or ignore"}},
		{name: "unknown: ignore", files: more, change: policies(ignore, fail), want: "id bigint, name text", rows: "1|Ann 2|Bob 3|Eve 4|Kim"},
		{name: "unknown: ignore, configured", files: more, change: policies(ignore, fail, id), want: "id integer", rows: "1 2 3 4"},
		{name: "unknown: add, the others lack it", files: more, change: policies(add, fail), want: "id bigint, name text, city text, age bigint",
			rows: "3|Eve|Rome|33 4|Kim|NULL|NULL", failed: 2, notes: []string{`missing: "null"`}},
		{name: "unknown: add, missing: null", files: more, change: policies(add, null), want: "id bigint, name text, city text, age bigint",
			rows: "1|Ann|NULL|NULL 2|Bob|NULL|NULL 3|Eve|Rome|33 4|Kim|NULL|NULL"},
		{name: "unknown: add to what is configured", files: more, change: policies(add, null, name), want: "name text, id bigint, city text, age bigint",
			rows: "Ann|1|NULL|NULL Bob|2|NULL|NULL Eve|3|Rome|33 Kim|4|NULL|NULL"},
		{name: "unknown: add to a live table", live: "name varchar(9), id int", files: more, change: policies(add, null), want: "name character varying(9), id integer, city text, age bigint",
			rows: "Ann|1|NULL|NULL Bob|2|NULL|NULL Eve|3|Rome|33 Kim|4|NULL|NULL"},
		{name: "unknown: rescue", files: more, change: policies(rescue, fail), want: "id bigint, name text, _rescued jsonb",
			rows: `1|Ann|NULL 2|Bob|NULL 3|Eve|{"age": "33", "city": "Rome"} 4|Kim|NULL`},
		{name: "unknown: rescue, what needs escapes", files: map[string]string{"a.csv": "id,\"he \"\"said\"\"\\\",e\n1,\"a\"\"b\\c\n\td\x01é\",\"\"\n"}, change: policies(rescue, fail, id),
			want: "id integer, _rescued jsonb", rows: `1|{"e": "", "he \"said\"\\": "a\"b\\c\n\td\u0001é"}`},
		{name: "unknown: rescue into a live table", live: "id int, _rescued jsonb, name text", files: more, change: policies(rescue, fail), want: "id integer, _rescued jsonb, name text",
			rows: `1|NULL|Ann 2|NULL|Bob 3|{"age": "33", "city": "Rome"}|Eve 4|NULL|Kim`},
		{name: "missing: fail", files: fewer, change: policies(fail, fail), want: "id bigint, name text", rows: "1|Ann 2|Bob", failed: 1, notes: []string{`the header has no "name"`, `to load them: missing: "null"`}},
		{name: "missing: null", files: fewer, change: policies(fail, null), want: "id bigint, name text", rows: "1|Ann 2|Bob 3|NULL"},
		{name: "missing: null, a default", files: fewer, change: policies(fail, null, id, nobody), want: "id integer, name text", rows: "1|Ann 2|Bob 3|nobody"},
		{name: "missing: null keeps a column of the live table that no file has", live: "id int, name text, age int", files: fewer, change: policies(fail, null),
			want: "id integer, name text, age integer", rows: "1|Ann|NULL 2|Bob|NULL 3|NULL|NULL"},
		{name: "a file with none of the columns fails in any case", files: map[string]string{"a.csv": "id,name\n1,Ann\n", "b.csv": "x,y\n1,2\n"}, change: policies(ignore, null, id, name),
			want: "id integer, name text", rows: "1|Ann", failed: 1},
		{name: "several names of one column", files: map[string]string{"a.csv": "id,Incident_Rate\n1,2.5\n", "b.csv": "id,Incidence_Rate\n2,3\n", "c.csv": "id\n3\n"},
			change: policies(fail, null, id, bucketload.Column{Name: "rate", From: []string{"Incident_Rate", "Incidence_Rate"}}), want: "id integer, rate numeric", rows: "1|2.5 2|3 3|NULL"},
		{name: "a similar name is proposed", files: map[string]string{"a.csv": "id,Incident_Rate\n1,2.5\n", "b.csv": "id,Incidence_Rate\n2,3\n", "c.csv": "id,Incident_Rate\n3,1\n"},
			change: policies(fail, fail), want: "id bigint, incident_rate numeric", rows: "1|2.5 3|1", failed: 1,
			notes: []string{"to load them: columns: {incident_rate: {from: [Incident_Rate, Incidence_Rate]}}"}},
		{name: "keys of the path", files: years, change: policies(fail, fail), want: "id bigint, year bigint, month text", rows: "1|2021|01 2|2022|11 3|2022|11"},
		{name: "keys of the path, configured", files: years, change: policies(fail, fail, bucketload.Column{Name: "y", From: []string{"year"}, Type: "int"}, id), want: "y integer, id integer", rows: "2021|1 2022|2 2022|3"},
		{name: "keys of the path that columns do not name", files: years, change: policies(fail, fail, id), want: "id integer", rows: "1 2 3"},
		{name: "keys of the path, encoded and none", files: map[string]string{"p=a%2Fb%20c/a.csv": "id\n1\n", "p=__HIVE_DEFAULT_PARTITION__/b.csv": "id\n2\n", "p=100%/c.csv": "id\n3\n", "p=/d.csv": "id\n4\n"},
			change: policies(fail, fail), want: "id bigint, p text", rows: "1|a/b c 2|NULL 3|100% 4|"},
		{name: "a header goes before the path", files: map[string]string{"Year=1/a.csv": "id,year\n1,2021\n", "Year=2022/b.csv": "id\n2\n", "Year=3/c.csv": "id,year\n3,2023\n"}, change: policies(fail, fail), want: "id bigint, year bigint",
			rows: "1|2021 2|2022 3|2023"},
		{name: "a file without the key fails", files: map[string]string{"y=1/a.csv": "id\n1\n", "y=2/b.csv": "id\n2\n", "c.csv": "id\n3\n"}, change: policies(fail, fail), want: "id bigint, y bigint", rows: "1|1 2|2", failed: 1, unseen: true},
		{name: "a file without the key, missing: null", files: map[string]string{"y=1/a.csv": "id\n1\n", "b.csv": "id\n2\n", "c.csv": "id\n3\n"}, change: policies(fail, null), want: "id bigint, y bigint", rows: "1|1 2|NULL 3|NULL"},
		{name: "a key that few files have", files: map[string]string{"y=1/a.csv": "id\n1\n", "b.csv": "id\n2\n", "c.csv": "id\n3\n"}, change: policies(fail, fail), want: "id bigint", rows: "1 2 3",
			notes: []string{"1 of 3 files have the key y= in their path"}},
		{name: "lineage", files: map[string]string{"a.csv": "id\n\n1\n\"2\n\"\n3\n", "b.csv": "id\n4\n"}, change: func(l *bucketload.Load) {
			policies(fail, fail, bucketload.Column{Name: "id", Type: "text", Trim: new(true)})(l)
			l.Lineage = []string{bucketload.FileColumn, bucketload.LineColumn, bucketload.RunColumn}
		}, want: "id text, _file text, _line bigint, _run text", rows: "1|DIR/a.csv|3|RUN 2\n|DIR/a.csv|4|RUN 3|DIR/a.csv|6|RUN 4|DIR/b.csv|2|RUN"},
		{name: "all at once", files: map[string]string{"y=1/a.csv": "id,x\n1,one\n", "y=2/b.csv": "x,z,id\ntwo,Z,2\n", "y=3/c.csv": "id\n3\n"}, change: func(l *bucketload.Load) {
			policies(rescue, null, id, bucketload.Column{Name: "y"}, bucketload.Column{Name: "none", Default: new("d")})(l)
			l.Lineage = []string{bucketload.LineColumn}
		}, want: "id integer, y bigint, none text, _rescued jsonb, _line bigint", rows: `1|1|d|{"x": "one"}|2 2|2|d|{"x": "two", "z": "Z"}|2 3|3|d|NULL|2`},
		{name: "no header, lineage and path", files: map[string]string{"y=1/a.csv": "1,x\n2,y\n"}, change: func(l *bucketload.Load) {
			policies(fail, fail)(l)
			l.CSV.Header, l.Lineage = false, []string{bucketload.LineColumn}
		}, want: "column_1 bigint, column_2 text, y bigint, _line bigint", rows: "1|x|1|1 2|y|1|2"},
		{name: "a column of files in the way of lineage", files: map[string]string{"a.csv": "_line,b\n1,2\n"}, change: func(l *bucketload.Load) {
			policies(fail, fail)(l)
			l.Lineage = []string{bucketload.LineColumn}
		}, code: bucketload.CodeUsage, words: []string{"_line", "columns: {source_line: {from: _line}}"}},
		{name: "append of what the table lacks", live: "id int, name text", files: more, change: func(l *bucketload.Load) {
			policies(add, null)(l)
			l.Mode = bucketload.ModeAppend
		}, code: bucketload.CodeNewColumn, words: []string{`ADD COLUMN "city" text`}},
		{name: "append", live: "id int, _file text, name text, _rescued jsonb", files: more, change: func(l *bucketload.Load) {
			policies(rescue, null)(l)
			l.Mode, l.Lineage = bucketload.ModeAppend, []string{bucketload.FileColumn}
		}, want: "id integer, _file text, name text, _rescued jsonb", rows: `1|DIR/a.csv|Ann|NULL 2|DIR/b.csv|Bob|NULL 3|DIR/c.csv|Eve|{"age": "33", "city": "Rome"} 4|DIR/c.csv|Kim|NULL`},
	}
	majors := temptest.Majors(t)
	for i, where := range []string{"directory", "S3"} {
		major := majors[i*(len(majors)-1)]
		t.Run(fmt.Sprintf("%s/postgres%d", where, major), func(t *testing.T) {
			t.Parallel()
			whole := sharedBench(t, major)
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) {
					b := whole.part(t)
					if c.live != "" {
						b.exec("CREATE TABLE " + b.table + " (" + c.live + ")")
					}
					load := b.load(c.files, c.change)
					if where == "S3" {
						b.inS3(load)
					}
					if where == "directory" {
						p, err := b.Preview(t.Context(), load)
						if c.code != "" {
							wantCode(t, err, c.code, c.words...)
						} else {
							b.must(err)
						}
						if failing := failingFiles(p); c.code == "" && failing != c.failed && !c.unseen {
							t.Errorf("the plan says that %d files fail, and %d do", failing, c.failed)
						}
						for _, note := range c.notes {
							if !strings.Contains(strings.Join(p.Notes, "\n"), note) {
								t.Errorf("notes %q, want %q", p.Notes, note)
							}
						}
					}
					r, err := b.whole(load)
					if c.code != "" {
						wantCode(t, err, c.code, c.words...)
						return
					}
					b.must(err)
					if got := b.columnsOf(); got != c.want {
						t.Errorf("columns %s, want %s", got, c.want)
					}
					place := strings.NewReplacer("file://"+b.dir, "DIR", "s3://bucket", "DIR", *r.ID, "RUN")
					if got := place.Replace(b.rowsOfTable()); got != c.rows {
						t.Errorf("rows %s, want %s", got, c.rows)
					}
					if r.Files.Failed != c.failed {
						t.Errorf("%d files failed, want %d", r.Files.Failed, c.failed)
					}
				})
			}
		})
	}
}

// failingFiles counts the files that a plan, if there is one, says will fail.
func failingFiles(p *Preview) (n int64) {
	if p == nil {
		return 0
	}
	for _, shape := range p.Shapes {
		if shape.Fails {
			n += shape.Files
		}
	}
	return n
}

// TestNoGarbagePerRow: what is added to a row costs no memory.
func TestNoGarbagePerRow(t *testing.T) {
	d := &definition{run: "r", load: &bucketload.Load{Unknown: bucketload.PolicyRescue, Lineage: []string{bucketload.FileColumn, bucketload.LineColumn, bucketload.RunColumn}},
		layout: &Layout{Path: []string{"y"}, Columns: []bucketload.Column{{Name: "id"}, {Name: "y"}, {Name: bucketload.RescueColumn}, {Name: bucketload.FileColumn},
			{Name: bucketload.LineColumn}, {Name: bucketload.RunColumn}}}}
	a, err := d.arrange([]string{"x", "id", "z"}, bucketload.Entry{Object: bucketload.Object{URI: "s3://b/y=2/a.csv"}})
	if err != nil {
		t.Fatal(err)
	}
	fields := []bucketload.Field{{Bytes: []byte("a\"b")}, {Bytes: []byte("7")}, {}}
	line := int64(1 << 40)
	var row []bucketload.Field
	if n := testing.AllocsPerRun(100, func() {
		line++
		row = a.row(fields, line)
	}); n != 0 {
		t.Errorf("%v allocations per row", n)
	}
	var got []string
	for _, field := range a.index {
		got = append(got, string(row[field].Bytes))
	}
	want := []string{"7", "2", `{"x":"a\"b"}`, "s3://b/y=2/a.csv", fmt.Sprint(line), "r"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestEveryHeader: where columns are added, every file's header counts, not
// only those of samples, and only the beginning of each file is read for it.
func TestEveryHeader(t *testing.T) {
	t.Parallel()
	b := sharedBench(t, 0)
	files := map[string]string{}
	for i := range sampleFiles + 50 {
		files[fmt.Sprintf("%03d.csv", i)] = "id\n" + strings.Repeat("1\n", 4)
	}
	// An odd number: of every second file, as samples are spread here, it is none.
	files["101.csv"] = "id,late\n1,2022-01-01\n"
	files["103.csv"] = "id," + strings.Repeat("l", surveyHead+10) + "\n1,2022-01-01\n"
	load := b.load(files, func(l *bucketload.Load) { l.Unknown, l.Missing = bucketload.PolicyAdd, bucketload.PolicyNull })
	s3 := b.inS3(load)
	p, err := b.Preview(t.Context(), load)
	b.must(err)
	if p.Sampled != int64(len(files)) || len(p.Shapes) != 3 || p.Shapes[0].Files != int64(len(files)-2) {
		t.Errorf("%d files, shapes %.200v", p.Sampled, p.Shapes)
	}
	if n := s3.Requests()["GetObject"]; n > int64(len(files))+5 {
		t.Errorf("%d requests for %d files", n, len(files))
	}
	_, err = b.whole(load)
	b.must(err)
	want := "id bigint, late date, " + strings.Repeat("l", 63) + " date"
	if got := b.columnsOf(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestFormats: a load has one format, which its files' names say, or their
// beginnings where the names say nothing.
func TestFormats(t *testing.T) {
	for _, c := range []struct {
		head string
		want bucketload.Format
	}{
		{"a,b\n1,2\n", bucketload.FormatCSV}, {"", bucketload.FormatCSV}, {"[a],b\n", bucketload.FormatCSV}, {`{"a"`, bucketload.FormatCSV},
		{`["a","b"]` + "\n", bucketload.FormatCSV}, {"PAR1\x15\x04", bucketload.FormatParquet},
		{`{"a": 1}`, bucketload.FormatJSON}, {" [\n {\"a\\\"b\" :1}]", bucketload.FormatJSON}, {"[[1,2],[3,4]]", bucketload.FormatJSON}, {"\ufeff{\"a\":1}", bucketload.FormatJSON},
	} {
		got, err := formatOfContent([]sample{{head: []byte(c.head)}, {}})
		if err != nil || got != c.want {
			t.Errorf("%q: %s %v, want %s", c.head, got, err, c.want)
		}
	}
	_, err := formatOfContent([]sample{{head: []byte("a,b\n")}, {head: []byte(`{"a":1}`)}})
	wantCode(t, err, bucketload.CodeUsage, "several formats", "format=csv")
}

func TestOlderLayout(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	load := b.load(map[string]string{"y=1/a.csv": "id\n1\n"}, withColumns(bucketload.Column{Name: "id", Type: "int"}))
	run := b.prepared(load)
	// What an earlier version has recorded.
	b.exec(`UPDATE bucketload.runs SET columns = '{"csv": {"delimiter": ",", "quote": "\"", "escape": "\"", "header": true}, "columns": [{"name": "id", "from": ["id"], "type": "int"}]}'`)
	b.must(b.copyAll(run))
	if _, err := b.Finish(context.Background(), ledger.Try{Run: run}); err != nil {
		t.Fatal(err)
	}
	if got := b.rowsOfTable(); got != "1" {
		t.Error(got)
	}
}

// TestCompressionIsAsSaid: a file of another compression than the configuration
// says fails.
func TestCompressionIsAsSaid(t *testing.T) {
	t.Parallel()
	b := sharedBench(t, 0)
	load := b.load(map[string]string{"a.csv.gz": zip("f,n\na,1\n"), "b.csv": "f,n\nb,2\n"}, withColumns(columnsFN...), func(l *bucketload.Load) { l.Compression = "gzip" })
	r, err := b.whole(load)
	b.must(err)
	if got := b.files(*r.ID)["b.csv"]; got.Error == nil || got.Error.Code != bucketload.CodeSource || r.Rows.Loaded != 1 {
		t.Errorf("%+v, %d rows", got, r.Rows.Loaded)
	}
}
