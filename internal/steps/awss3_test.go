package steps

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/source"
	"github.com/bucketload/bucketload/internal/temp"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// serverBench is a bench with objects in S3 and a server that reads them.
type serverBench struct {
	*bench
	s3     *temp.S3
	prefix string
}

const serverRegion = "eu-north-9"

func newServerBench(t testing.TB, major int, returns string) *serverBench {
	t.Helper()
	s3, err := temp.StartS3(temp.S3Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s3.Close() })
	b := &serverBench{bench: newBench(t, major), s3: s3, prefix: "in/"}
	b.must(s3.CreateBucket("data"))
	if returns != "" {
		b.exec(temptest.AWSS3(returns))
	}
	return b
}

// put stores an object; seen is what the server reads of it.
func (b *serverBench) put(name, content, seen string) {
	b.t.Helper()
	b.must(b.s3.Put("data", b.prefix+name, []byte(content)))
	_, err := b.Pool.Exec(b.t.Context(), `INSERT INTO aws_s3.objects VALUES ('data', $1, $2, $3)
		ON CONFLICT (bucket, file_path) DO UPDATE SET body = excluded.body`, b.prefix+name, serverRegion, []byte(seen))
	b.must(err)
}

func (b *serverBench) load(change ...func(*bucketload.Load)) *bucketload.Load {
	b.t.Helper()
	return b.bench.load(nil, append([]func(*bucketload.Load){func(l *bucketload.Load) {
		l.From = []string{"s3://data/" + b.prefix}
		l.S3 = bucketload.S3{EndpointURL: b.s3.URL(), PathStyle: true, Anonymous: true, Region: serverRegion}
		l.CSV.Delimiter = ","
		l.Loader = bucketload.LoaderAWSS3
	}}, change...)...)
}

// rows are those of a table, sorted, each as Postgres writes a row.
func (b *serverBench) rows(table string) string {
	b.t.Helper()
	return b.value(`SELECT array_agg(r::text ORDER BY r::text COLLATE "C") FROM ` + table + " r")
}

func TestTheServerReads(t *testing.T) {
	long := strings.Repeat("é", 200)
	files := map[string]struct{ content, want string }{
		"a_good.csv":      {"f,n\nx,1\nx,2\n", "loaded 2"},
		"b_quotes.csv":    {"f,n\n\"b \"\"q\"\"\",1\n\"b\\\",2\nb\\,3\n\"\"\"\",4\n\\N,5\n", "loaded 5"},
		"c_newlines.csv":  {"f,n\n\"c\n,\r\n\",1\n", "loaded 1"},
		"d_nulls.csv":     {"f,n\n,1\n\"\",2\nd,\nd,\"\"\n", "loaded 4"},
		"e_order.csv":     {"n,f\n7,e\n", "loaded 1"},
		"f_mark.csv":      {"\xef\xbb\xbf\"f\",n\nf,1\n", "loaded 1"},
		"g_crlf.csv":      {"f,n\r\n\"g\r\n\",1\r\n", "loaded 1"},
		"h_no_end.csv":    {"f,n\nh,1", "loaded 1"},
		"i_empty.csv":     {"", "loaded 0"},
		"j_header.csv":    {"f,n", "loaded 0"},
		"k_padded.csv":    {"f,n\n k , 1 \n", "loaded 1"},
		"l_gzip.csv.gz":   {"", "loaded 2"}, // see below
		"m_type.csv":      {"f,n\nm,1\nm,two\n", `failed value line 3 column "n" value "two"`},
		"n_multiline.csv": {"f,n\n\"n\nn\",1\n\"n\n\n\",x\nn,3\n", `failed value line 4 column "n" value "x"`},
		"n_crlf.csv":      {"f,n\r\n\"n\n\n\",3\r\nn,30\r\nn,30-\r\nn,x\r\n", `failed value line 6 column "n" value "30-"`},
		"n_rows.csv":      {"f,n\n\"n\n\",99999999999\n", `failed value line 2 column "n" value "99999999999"`},
		"o_long.csv":      {"f,n\no," + long + "\n", `failed value line 2 column "n" value "` + strings.Repeat("é", 100) + `…"`},
		"p_few.csv":       {"f,n\np,1\np\np,3\n", `failed ragged line 3 column "" value ""`},
		"q_many.csv":      {"f,n\nq,1,2\n", `failed ragged line 2 column "" value ""`},
		"r_unclosed.csv":  {"f,n\nr,1\n\"r,2\nr,3\n", `failed quote line 3 column "" value ""`},
		"s_utf8.csv":      {"f,n\ns,1\ns\xff,1\n", `failed invalid_utf8 line 3 column "" value ""`},
		"t_missing.csv":   {"f\nt\n", `failed missing_column line 1 column "n" value ""`},
		"u_unknown.csv":   {"f,n,z\nu,1,2\n", `failed unknown_column line 1 column "" value "z"`},
		"v_twice.csv":     {"f,n,n\nv,1,2\n", `failed header line 1 column "" value ""`},
		"w_blank.csv":     {"\n\nf,n\nw,1\n", `failed header line 3 column "" value ""`},
		"x_zip.csv.gz":    {zip("f,n\nx,1\n"), `failed source line 0 column "" value ""`},
		"y_zstd.csv.zst":  {zstandard("f,n\ny,1\n"), `failed source line 0 column "" value ""`},
		"z1_gone.csv":     {"f,n\nz,1\n", `failed object_missing line 0 column "" value ""`},
		"z2_changed.csv":  {"f,n\nz,1\n", `failed object_changed line 0 column "" value ""`},
		"z3_during.csv":   {"f,n\nz,1\n", `failed object_changed line 0 column "" value ""`},
		"z4_worse.csv":    {"f,n\nz,1\n", `failed object_changed line 0 column "" value ""`},
		"z5_not.csv":      {"f,n\nz,1\n", `failed source line 0 column "" value ""`},
		"z6_last.csv":     {"f,n\nz,1\nz,2", "loaded 2"},
	}
	want := []string{`(x,1)`, `(x,2)`, `("b ""q""",1)`, `("b\\",2)`, `("b\\",3)`, `("""",4)`, `("\\N",5)`, "(\"c\n,\r\n\",1)", `(,1)`, `("",2)`, `(d,)`, `(d,)`,
		`(e,7)`, `(f,1)`, "(\"g\r\n\",1)", `(h,1)`, `(" k ",1)`, `(l,1)`, `(l,2)`, `(z,1)`, `(z,2)`}
	for i, major := range temptest.Majors(t) {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			b := newServerBench(t, major, []string{"text", "int"}[i%2])
			for name, f := range files {
				b.put(name, f.content, f.content)
			}
			b.put("l_gzip.csv.gz", zip("f,n\nl,1\nl,2\n"), "f,n\nl,1\nl,2\n")
			run := b.prepared(b.load(withColumns(columnsFN...)))
			b.must(b.s3.Delete("data", "in/z1_gone.csv"))
			b.put("z2_changed.csv", "f,n\nz,1\nz,2\n", "f,n\nz,1\nz,2\n")
			b.put("z4_worse.csv", files["z4_worse.csv"].content, "f,n\nz,bad\n") // the server comes upon what is not there yet
			b.s3.Fault(duringImport(b))
			b.must(b.copyAll(run))
			for name, got := range b.files(run) {
				if want := files[name].want; outcome(got) != want {
					t.Errorf("%s: %s, want %s (%+v)", name, outcome(got), want, got.Error)
				}
				if e := got.Error; e != nil && e.Hint == "" {
					t.Errorf("%s: no hint with %s", name, e.Message)
				}
			}
			got := b.rows("dataimport.r_" + run)
			if sorted := b.value(`SELECT array_agg(r ORDER BY r COLLATE "C") FROM unnest($1::text[]) r`, want); got != sorted {
				t.Errorf("rows %s, want %s", got, sorted)
			}
			if b.Progress.Bytes.Load() != b.Progress.PlannedBytes.Load() {
				t.Errorf("progress: %d of %d bytes", b.Progress.Bytes.Load(), b.Progress.PlannedBytes.Load())
			}
		})
	}
}

// duringImport has S3 say gzip of some objects, and puts others while they are
// imported: they are asked for a second time after that.
func duringImport(b *serverBench) func(*http.Request) *temp.Fault {
	var asked [2]atomic.Int64
	return func(r *http.Request) *temp.Fault {
		if temp.Operation(r) != "HeadObject" {
			return nil
		}
		for i, name := range []string{"z3_during.csv", "z4_worse.csv"} {
			if strings.HasSuffix(r.URL.Path, name) && asked[i].Add(1) == 2 {
				if err := b.s3.Put("data", "in/"+name, []byte("f,n\nz,bad\n")); err != nil {
					b.t.Error(err)
				}
			}
		}
		if strings.HasSuffix(r.URL.Path, "l_gzip.csv.gz") || strings.HasSuffix(r.URL.Path, "z5_not.csv") {
			return &temp.Fault{Header: http.Header{"Content-Encoding": {"gzip"}}}
		}
		return nil
	}
}

func zstandard(s string) string {
	var b bytes.Buffer
	w, _ := zstd.NewWriter(&b)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return b.String()
}

// TestWrittenAgain is about an object that has the same content before and
// after the import, and may have had another in between.
func TestWrittenAgain(t *testing.T) {
	t.Parallel()
	b := newServerBench(t, 0, "")
	b.must(b.s3.Put("data", "in/a.csv", []byte("f,n\n")))
	load := b.load()
	i := &importer{store: b.store(load)}
	var listed bucketload.Object
	b.must(i.store.List(t.Context(), load.From, nil, func(o source.Listed) error {
		listed = o.Object
		return nil
	}))
	before, err := i.store.Head(t.Context(), listed)
	b.must(err)
	b.must(i.unchanged(t.Context(), before))
	before.Time = before.Time.Add(-time.Second)
	if err := i.unchanged(t.Context(), before); bucketload.AsError(err) == nil || bucketload.AsError(err).Code != bucketload.CodeChanged {
		t.Errorf("got %v", err)
	}
}

// TestWhatTheServerRefuses: what the server finds wrong with a row that it
// reads itself has the code that it has in the other way.
func TestWhatTheServerRefuses(t *testing.T) {
	t.Parallel()
	b := newServerBench(t, 0, "text")
	b.exec(`CREATE TABLE t (f text NOT NULL, n int UNIQUE, CONSTRAINT small CHECK (n < 100)); INSERT INTO t VALUES ('old', 7)`)
	want := map[string]string{"a.csv": "loaded 1", "b.csv": "failed duplicate", "c.csv": "failed not_null", "d.csv": "failed value"}
	for name, content := range map[string]string{"a.csv": "f,n\na,1\n", "b.csv": "f,n\nb,2\nb,7\n", "c.csv": "f,n\n,3\n", "d.csv": "f,n\nd,100\n"} {
		b.put(name, content, content)
	}
	run := b.prepared(b.load(func(l *bucketload.Load) { l.Mode = bucketload.ModeAppend }))
	b.must(b.copyAll(run))
	for name, f := range b.files(run) {
		if got := outcome(f); !strings.HasPrefix(got, want[name]) {
			t.Errorf("%s: %s, want %s", name, got, want[name])
		}
	}
}

// TestServerReadsHostileNames loads into and from names that would end any
// quoting done by hand, and finds a header that is longer than a first look.
func TestServerReadsHostileNames(t *testing.T) {
	t.Parallel()
	b := newServerBench(t, 0, "text")
	const hostile = `a"b'); DROP TABLE keep; --\ ,é%s$1`
	b.table = hostile
	b.prefix = `in/it's "x"; --%20é+/`
	b.exec(`CREATE TABLE keep (); CREATE TABLE "a""b'); DROP TABLE keep; --\ ,é%s$1" ("n,""'\" int, "` + strings.ReplaceAll(hostile, `"`, `""`) + `" text NOT NULL)`)
	long := strings.Repeat("long ", 20_000)
	b.put("x 'y'.csv", long+";n\nx;1\n\\;'2'\n", long+";n\nx;1\n\\;'2'\n")
	b.put("bad.csv", "n;"+long+"\n1;x\n2;\n", "n;"+long+"\n1;x\n2;\n")
	load := b.load(func(l *bucketload.Load) {
		l.Mode, l.From = bucketload.ModeAppend, []string{"s3://data/"}
		l.CSV.Delimiter, l.CSV.Quote, l.CSV.Escape = ";", "'", `\`
	}, withColumns(bucketload.Column{Name: hostile, From: []string{long}, Type: "text"}, bucketload.Column{Name: `n,"'\`, From: []string{"n"}, Type: "int"}))
	run := b.prepared(load)
	b.must(b.copyAll(run))
	files := b.files(run)
	if got := outcome(files["x 'y'.csv"]); got != "loaded 2" {
		t.Errorf("%s %+v", got, files["x 'y'.csv"].Error)
	}
	if got, want := outcome(files["bad.csv"]), fmt.Sprintf("failed not_null line 3 column %q value \"\"", hostile); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := b.value(`SELECT array_agg(r ORDER BY r) FROM (SELECT "n,""'\" AS r FROM public."a""b'); DROP TABLE keep; --\ ,é%s$1") t`); got != "{1,2}" {
		t.Errorf("rows %s", got)
	}
	b.exec("SELECT FROM keep")
}

func TestServerReadsWithoutHeader(t *testing.T) {
	t.Parallel()
	b := newServerBench(t, 0, "int")
	for name, content := range map[string]string{"a.csv": "x,1\n", "b.csv": "\xef\xbb\xbfx,1\n", "c.csv": "x,1,2\n", "d.csv": "", "e.csv": "x,1"} {
		b.put(name, content, content)
	}
	run := b.prepared(b.load(withColumns(columnsFN...), func(l *bucketload.Load) { l.CSV.Header = false }))
	b.must(b.copyAll(run))
	want := map[string]string{"a.csv": "loaded 1", "b.csv": `failed header line 1 column "" value ""`, "c.csv": `failed ragged line 1 column "" value ""`,
		"d.csv": "loaded 0", "e.csv": "loaded 1"}
	for name, got := range b.files(run) {
		if outcome(got) != want[name] {
			t.Errorf("%s: %s, want %s", name, outcome(got), want[name])
		}
	}
}

// TestWhatStopsTheServer is about what no file is to blame for: nothing of the
// batch is written.
func TestWhatStopsTheServer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change string
		code   bucketload.Code
		words  []string
	}{
		{"no schema", "DROP SCHEMA aws_s3 CASCADE", bucketload.CodeUsage, []string{"CREATE EXTENSION aws_s3 CASCADE", "only RDS and Aurora", "loader: stream"}},
		{"no function", "DROP FUNCTION aws_s3.table_import_from_s3", bucketload.CodeUsage, []string{"CREATE EXTENSION aws_s3 CASCADE"}},
		{"no right to the object", "UPDATE aws_s3.objects SET region = 'mars-1' WHERE file_path = 'in/b.csv'", bucketload.CodeDatabase, []string{"s3Import", "in/b.csv"}},
		{"not a number", "DROP FUNCTION aws_s3.table_import_from_s3; CREATE FUNCTION aws_s3.table_import_from_s3(text, text, text, aws_commons._s3_uri_1) RETURNS text LANGUAGE sql AS 'SELECT ''many rows'''",
			bucketload.CodeInternal, []string{`does not say how many rows it loaded: "many rows"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newServerBench(t, 0, "text")
			b.put("a.csv", "f,n\nx,1\n", "f,n\nx,1\n")
			b.put("b.csv", "f,n\nx,1\n", "f,n\nx,1\n")
			run := b.prepared(b.load(withColumns(columnsFN...)))
			b.exec(tt.change)
			wantCode(t, b.copyAll(run), tt.code, tt.words...)
			if n := b.value("SELECT count(*) FROM dataimport.r_" + run); n != "0" {
				t.Errorf("%s rows", n)
			}
			if got := outcome(b.files(run)["a.csv"]); got != "planned 0" {
				t.Error(got)
			}
		})
	}
	t.Run("planned", func(t *testing.T) {
		b := newServerBench(t, 0, "")
		wantUsage := b.importable(t.Context(), b.load())
		wantCode(t, wantUsage, bucketload.CodeUsage, "CREATE EXTENSION aws_s3 CASCADE")
		b.must(b.importable(t.Context(), b.load(func(l *bucketload.Load) { l.Loader = bucketload.LoaderStream })))
		b.exec(temptest.AWSS3("int"))
		b.must(b.importable(t.Context(), b.load()))
	})
}

// TestServerReadsAsBucketloadDoes loads the same files in both ways.
func TestServerReadsAsBucketloadDoes(t *testing.T) {
	t.Parallel()
	b := newServerBench(t, 0, "text")
	drawn := 0
	rapid.Check(t, func(rt *rapid.T) {
		drawn++
		b.prefix = "drawn" + strconv.Itoa(drawn) + "/"
		d := bucketload.CSV{Header: true,
			Delimiter: rapid.SampledFrom([]string{",", ";", "\t", "|", `\`}).Draw(rt, "delimiter"),
			Quote:     rapid.SampledFrom([]string{`"`, `'`}).Draw(rt, "quote")}
		d.Escape = rapid.SampledFrom([]string{"", d.Quote, `\`}).Draw(rt, "escape")
		if d.Delimiter == `\` {
			d.Escape = d.Quote
		}
		columns := []bucketload.Column{{Name: "a", Type: "text"}, {Name: "b", Type: "varchar"}, {Name: "n", Type: "int"}, {Name: "d", Type: "numeric"}}
		for i := range rapid.IntRange(1, 3).Draw(rt, "files") {
			content := drawFile(rt, d, columns)
			b.put(fmt.Sprint(i, ".csv"), content, content)
		}
		var rows [2]string
		for i, loader := range []string{bucketload.LoaderStream, bucketload.LoaderAWSS3} {
			load := b.load(withColumns(columns...), func(l *bucketload.Load) { l.CSV, l.Loader, l.Tolerate.Files = d, loader, bucketload.Share{} })
			run := b.prepared(load)
			b.must(b.copyAll(run))
			rows[i] = b.rows("dataimport.r_" + run)
			b.must(b.Ledger.End(t.Context(), ledger.Try{Run: run}, bucketload.StatusFailed, nil))
			b.held[run]()
		}
		if rows[0] != rows[1] {
			rt.Fatalf("stream %q, aws_s3 %q", rows[0], rows[1])
		}
	})
}

// drawFile draws a file that both read: quotes only where they belong, and
// line ends that are all the same but in quotes.
func drawFile(t *rapid.T, d bucketload.CSV, columns []bucketload.Column) string {
	order := rapid.Permutation(columns).Draw(t, "order")
	end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "line end")
	escape := d.Escape
	if escape == "" {
		escape = d.Quote
	}
	quoted := func(s string) string {
		s = strings.NewReplacer(d.Quote, escape+d.Quote, escape, escape+escape).Replace(s)
		return d.Quote + s + d.Quote
	}
	var rows []string
	row := func(field func(c bucketload.Column) string) {
		fields := make([]string, len(order))
		for i, c := range order {
			fields[i] = field(c)
		}
		rows = append(rows, strings.Join(fields, d.Delimiter))
	}
	row(func(c bucketload.Column) string { return c.Name })
	for range rapid.IntRange(0, 8).Draw(t, "rows") {
		row(func(c bucketload.Column) string {
			value := rapid.StringOfN(rapid.RuneFrom([]rune("aé \\\"'.N,;\n\r\t|")), 0, 6, -1).Draw(t, "text")
			if c.Type == "int" || c.Type == "numeric" {
				value = rapid.SampledFrom([]string{"", "0", "-12", " 7 ", "2147483647"}).Draw(t, "number")
			}
			if strings.ContainsAny(value, d.Delimiter+d.Quote+"\r\n") || rapid.Bool().Draw(t, "quoted") {
				return quoted(value)
			}
			return value
		})
	}
	content := strings.Join(rows, end)
	if rapid.Bool().Draw(t, "ends") {
		content += end
	}
	return content
}
