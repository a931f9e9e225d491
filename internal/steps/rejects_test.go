package steps

import (
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/pgcopy"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// share reads a limit; "" is none.
func share(t testing.TB, s string) (limit bucketload.Share) {
	t.Helper()
	if s != "" {
		if err := limit.UnmarshalText([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	return limit
}

// tolerating lets rows be lost, within limits that are "" for none.
func tolerating(t testing.TB, perFile, run string) func(*bucketload.Load) {
	return func(l *bucketload.Load) {
		l.Tolerate.RowsPerFile, l.Tolerate.Rows = share(t, perFile), share(t, run)
	}
}

// rejects gives the run's rejects in order, each in a line:
// file:line+offset code column "value" "raw".
func (b *bench) rejects(run string) (rejects []string) {
	b.t.Helper()
	b.must(b.Ledger.Rejects(b.t.Context(), run, 100, func(r *ledger.Rejected) error {
		rejects = append(rejects, fmt.Sprintf("%s:%d+%d %s %s %q %q", path.Base(r.URI), r.Line, r.Offset, r.Code, r.Column, r.Value, r.Raw))
		return nil
	}))
	return rejects
}

func TestRowsThatCostThemselves(t *testing.T) {
	const types = `CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE DOMAIN positive AS int CHECK (VALUE > 0);
		CREATE FUNCTION odd() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF NEW.n % 2 = 0 THEN RAISE '% is even', NEW.n; END IF; RETURN NEW; END $$;`
	const numbers = "f,n\nf,1\nf,2\nf,3\nf,4\nf,5\nf,6\nf,7\nf,8\nf,9\n"
	cases := []struct {
		name    string
		live    string // SQL
		append  bool
		file    string
		loaded  string // the column n of file f.csv
		rejects []string
	}{
		{"found here", "", false, "f,n\nf,1\nf,x\nf,3\nf,y\n", "1 3", []string{
			`f.csv:3+8 value n "x" "f,x\n"`, `f.csv:5+16 value n "y" "f,y\n"`}},
		{"the last row without a line end", "", false, "f,n\nf,1\nf,x", "1", []string{`f.csv:3+8 value n "x" "f,x"`}},
		{"every row", "", false, "f,n\nf,x\nf,y\n", "", []string{`f.csv:2+4 value n "x" "f,x\n"`, `f.csv:3+8 value n "y" "f,y\n"`}},
		{"of several lines", "", false, "f,n\n\"f\nf\",1\n\"f\n\",x\r\nf,2\n", "1 2", []string{`f.csv:4+12 value n "x" "\"f\n\",x\r\n"`}},
		{"not null", "CREATE TABLE t (f text, n int NOT NULL, x int)", false, "f,n,x\nf,1,\nf,,\nf,2,\nf,,\n", "1 2", []string{
			`f.csv:3+11 not_null n "" "f,,\n"`, `f.csv:5+20 not_null n "" "f,,\n"`}},
		{"enum", "CREATE TABLE t (f text, n int, m mood)", false, "m,f,n\nsad,f,1\nangry,f,2\nbored,f,3\nglad,f,4\n", "1 4", []string{
			`f.csv:3+14 value m "angry" "angry,f,2\n"`, `f.csv:4+24 value m "bored" "bored,f,3\n"`}},
		{"found here and by the server, binary", "CREATE TABLE t (f text, n int, p positive)", false,
			"f,n,p\nf,x,1\nf,1,1\nf,2,0\nf,y,-1\nf,4,-2\nf,3,\n", "1 3", []string{
				`f.csv:2+6 value n "x" "f,x,1\n"`, `f.csv:5+24 value n "y" "f,y,-1\n"`,
				`f.csv:4+18 value p "0" "f,2,0\n"`, `f.csv:6+31 value p "-2" "f,4,-2\n"`}},
		{"found here and by the server, text", "CREATE TABLE t (f text, n int, p point)", false,
			"p,n,f\n\"(1,2)\",x,f\n\"(1,2)\",1,f\n(1,2,f\n\"1,2,3\",3,f\n,4,f\n", "1 4", []string{
				`f.csv:2+6 value n "x" "\"(1,2)\",x,f\n"`, `f.csv:4+30 value p "(1" "(1,2,f\n"`, `f.csv:5+37 value p "1,2,3" "\"1,2,3\",3,f\n"`}},
		{"check", "CREATE TABLE t (f text, n int, CONSTRAINT small CHECK (n < 3))", true, "f,n\nf,1\nf,3\nf,2\nf,4\n", "1 2", []string{
			`f.csv:3+8 value  "" "f,3\n"`, `f.csv:5+16 value  "" "f,4\n"`}},
		{"unique", "CREATE TABLE t (f text, n int UNIQUE); INSERT INTO t VALUES ('old', 2)", true, "f,n\nf,1\nf,2\nf,3\nf,1\nf,4\n", "1 3 4", []string{
			`f.csv:3+8 duplicate  "" "f,2\n"`, `f.csv:5+16 duplicate  "" "f,1\n"`}},
		{"a trigger before each row", "CREATE TABLE t (f text, n int); CREATE TRIGGER odd BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION odd()", true,
			numbers, "1 3 5 7 9", []string{`f.csv:3+8 value  "" "f,2\n"`, `f.csv:5+16 value  "" "f,4\n"`, `f.csv:7+24 value  "" "f,6\n"`, `f.csv:9+32 value  "" "f,8\n"`}},
		{"a trigger after the rows, which names none", "CREATE TABLE t (f text, n int); CREATE TRIGGER odd AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION odd()", true,
			numbers, "1 3 5 7 9", []string{`f.csv:3+8 value  "" "f,2\n"`, `f.csv:5+16 value  "" "f,4\n"`, `f.csv:7+24 value  "" "f,6\n"`, `f.csv:9+32 value  "" "f,8\n"`}},
		{"a foreign key", "CREATE TABLE others (n int PRIMARY KEY); INSERT INTO others VALUES (1), (5), (9); CREATE TABLE t (f text, n int REFERENCES others)", true,
			"f,n\nf,1\nf,3\nf,5\nf,9\nf,7\n", "1 5 9", []string{`f.csv:3+8 value  "" "f,3\n"`, `f.csv:6+20 value  "" "f,7\n"`}},
	}
	for _, major := range temptest.Majors(t) {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			whole := sharedBench(t, major)
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) {
					b := whole.part(t)
					b.table = "t"
					b.exec("DROP TABLE IF EXISTS t, others; DROP TYPE IF EXISTS mood CASCADE; DROP DOMAIN IF EXISTS positive CASCADE; DROP FUNCTION IF EXISTS odd; " + types + c.live)
					header, _, _ := strings.Cut(c.file, "\n")
					load := b.load(map[string]string{"f.csv": c.file, "z.csv": header + "\n"}, tolerating(t, "100%", "100%"))
					load.AllowEmpty = true
					if c.live == "" {
						load.Columns = columnsFN
					}
					if c.append {
						load.Mode = bucketload.ModeAppend
					}
					r, err := b.whole(load)
					b.must(err)
					if got := b.value("SELECT coalesce(string_agg(n::text, ' ' ORDER BY n), '') FROM t WHERE f <> 'old'"); got != c.loaded {
						t.Errorf("loaded %q, want %q", got, c.loaded)
					}
					if got := b.rejects(*r.ID); !slices.Equal(got, c.rejects) {
						t.Errorf("rejects\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.rejects, "\n"))
					}
					n := int64(len(c.rejects))
					if f := b.files(*r.ID)["f.csv"]; f.State != bucketload.FileLoaded || f.Rejected != n || f.Rows != int64(len(strings.Fields(c.loaded))) {
						t.Errorf("%+v", f)
					}
					if r.Status != bucketload.StatusPartial || r.Rows.Rejected != n {
						t.Errorf("%s, %+v", r.Status, r.Rows)
					}
				})
			}
		})
	}
}

// TestRejectsEqualTruth loads random files with rows that are bad here, at the
// server or not at all: the table has each good row once, the ledger each bad
// one with its place and its bytes, and nothing else.
func TestRejectsEqualTruth(t *testing.T) {
	t.Parallel()
	b := sharedBench(t, 0)
	b.exec("CREATE DOMAIN small AS bigint CHECK (VALUE < 100)")
	rapid.Check(t, func(rt *rapid.T) {
		b.t, b.dir = t, t.TempDir()
		sent := rapid.SampledFrom([]string{"binary", "text"}).Draw(rt, "format")
		columns := []bucketload.Column{{Name: "f", Type: "text"}, {Name: "n", Type: "int"}, {Name: "v", Type: "small"}}
		if sent == "binary" {
			columns = []bucketload.Column{{Name: "f", Type: "text"}, {Name: "n", Type: "int"}, {Name: "v", Type: "bigint"}, {Name: "w", Type: "int"}}
		}
		b.exec("DROP TABLE IF EXISTS live; CREATE TABLE live (f text, n int NOT NULL, v " + columns[2].Type + ", w int, CONSTRAINT c CHECK (v <> 7))")
		b.table = "live"
		load := b.load(nil, withColumns(columns...), tolerating(t, "100%", ""), func(l *bucketload.Load) {
			l.Mode = bucketload.ModeAppend
			l.CSV.Delimiter = ","
			l.MaxItemsPerBatch = rapid.IntRange(1, 5).Draw(rt, "items")
		})
		header := []string{"f,n,v\n", "f,n,v,w\n"}[len(columns)-3]
		truth := map[string]int64{}
		var want []string
		for i := range rapid.IntRange(1, 5).Draw(rt, "files") {
			name, file, good := fmt.Sprintf("f%d", i), header, 0
			faults := []string{"", "", "", "", "", "here", "null", "check"}
			if sent == "text" {
				faults = append(faults, "domain")
			}
			for n := range rapid.IntRange(0, 40).Draw(rt, "rows") {
				fault := rapid.SampledFrom(faults).Draw(rt, "fault")
				number := map[string]string{"here": "x", "null": ""}
				value := map[string]string{"check": "7", "domain": "100"}
				row := name + "," + def(number[fault], fault == "null", "1") + "," + def(value[fault], false, "1") + strings.Repeat(",", len(columns)-3) + "\n"
				if fault == "" {
					good++
				} else {
					want = append(want, fmt.Sprintf("%s.csv:%d+%d %q", name, n+2, len(file), row))
				}
				file += row
			}
			if good > 0 {
				truth[name] = int64(good)
			}
			b.put(name+".csv", file)
		}
		r, err := b.whole(load)
		if err != nil {
			rt.Fatal(err)
		}
		var got []string
		b.must(b.Ledger.Rejects(t.Context(), *r.ID, 1000, func(r *ledger.Rejected) error {
			got = append(got, fmt.Sprintf("%s:%d+%d %q", path.Base(r.URI), r.Line, r.Offset, r.Raw))
			return nil
		}))
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			rt.Errorf("rejects\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if got := b.perFile("live"); !maps.Equal(got, truth) {
			rt.Errorf("rows %v, want %v", got, truth)
		}
		if r.Rows.Rejected != int64(len(want)) {
			rt.Errorf("%d rejected, want %d", r.Rows.Rejected, len(want))
		}
	})
}

func (b *bench) count(sql string, args ...any) int64 {
	b.t.Helper()
	n, err := strconv.ParseInt(b.value(sql, args...), 10, 64)
	b.must(err)
	return n
}

// def is s, or other where s is empty and need not be.
func def(s string, empty bool, other string) string {
	if s == "" && !empty {
		return other
	}
	return s
}

func TestRowLimits(t *testing.T) {
	t.Parallel()
	whole := sharedBench(t, 0)
	// file makes good rows, and bad ones behind them.
	file := func(good, bad int) string {
		return "f,n\n" + strings.Repeat("f,1\n", good) + strings.Repeat("f,x\n", bad)
	}
	// astray is a quote that is never closed, over what may be rows or not.
	astray := "\"f,1\n" + strings.Repeat("f,1\nprose\n", 12)
	cases := []struct {
		name                string
		files, perFile, run string
		content             map[string]string
		want                map[string]string // outcomes
		rejected            int64
		code                bucketload.Code // of the run; "": partial
		message             string
	}{
		{"the limit is reached", "0", "3", "", map[string]string{"a": file(1, 3)}, map[string]string{"a": "loaded 1"}, 3, "", ""},
		{"the limit is exceeded", "1", "3", "", map[string]string{"a": file(1, 4), "b": file(1, 0)},
			map[string]string{"a": `failed value line 3 column "n" value "x"`, "b": "loaded 1"}, 0, "", `"x" is not integer (4 of the first 5 rows cannot be loaded, more than the 3 tolerated)`},
		{"a share is reached", "0", "50%", "", map[string]string{"a": file(2, 2)}, map[string]string{"a": "loaded 2"}, 2, "", ""},
		{"a share is exceeded", "1", "50%", "", map[string]string{"a": file(2, 3), "b": file(1, 0)},
			map[string]string{"a": `failed value line 4 column "n" value "x"`, "b": "loaded 1"}, 0, "", `"x" is not integer (3 of 5 rows cannot be loaded, more than the 50% tolerated)`},
		{"a share is only known at the end", "0", "50%", "", map[string]string{"a": "f,n\nf,x\nf,x\nf,1\nf,1\n"}, map[string]string{"a": "loaded 2"}, 2, "", ""},
		{"a failed file fails the run", "0", "3", "", map[string]string{"a": file(1, 4)}, nil, 0, bucketload.CodeTolerance, "4 of the first 5 rows"},
		{"rows of a failed file do not count", "1", "3", "5", map[string]string{"a": file(1, 4), "b": file(1, 3), "c": file(1, 2)},
			map[string]string{"a": `failed value line 3 column "n" value "x"`, "b": "loaded 1", "c": "loaded 1"}, 5, "", ""},
		{"the run's count is reached", "0", "", "5", map[string]string{"a": file(1, 2), "b": file(1, 3)}, map[string]string{"a": "loaded 1", "b": "loaded 1"}, 5, "", ""},
		{"the run's count is exceeded by several", "0", "", "5", map[string]string{"a": file(1, 3), "b": file(1, 3)}, nil, 6, bucketload.CodeTolerance,
			`a.csv:3: column n: "x" is not integer (6 rows cannot be loaded, more than the 5 tolerated)`},
		{"the run's count is exceeded by one file, whatever files may fail", "100%", "", "5", map[string]string{"a": "f,n\n" + astray, "b": file(1, 6)},
			nil, 0, bucketload.CodeTolerance, `b.csv:3: column n: "x" is not integer (6 of the first 7 rows cannot be loaded, more than the 5 tolerated)`},
		{"the run's count by a file that may lose a share", "100%", "90%", "5", map[string]string{"b": file(1, 6)},
			nil, 0, bucketload.CodeTolerance, `(6 of 7 rows cannot be loaded, more than the 5 tolerated)`},
		{"a file fails for its share and not the run for its rows", "100%", "50%", "5", map[string]string{"a": file(1, 0), "b": file(1, 6)},
			map[string]string{"a": "loaded 1", "b": `failed value line 3 column "n" value "x"`}, 0, "", ""},
		{"the run's share is reached", "0", "", "25%", map[string]string{"a": file(0, 2), "b": file(6, 0)}, map[string]string{"a": "loaded 0", "b": "loaded 6"}, 2, "", ""},
		{"the run's share is exceeded", "0", "", "25%", map[string]string{"a": file(0, 2), "b": file(5, 0)}, nil, 2, bucketload.CodeTolerance,
			`a.csv:2: column n: "x" is not integer (2 of 7 rows cannot be loaded, more than the 25% tolerated)`},
		{"a structural fault fails the file", "1", "90%", "", map[string]string{"a": file(5, 1) + astray, "b": file(1, 0)},
			map[string]string{"a": `failed quote line 8 column "" value ""`, "b": "loaded 1"}, 0, "", ""},
		{"a quote that is never closed in the last row costs the row", "0", "2", "", map[string]string{"a": file(5, 1) + "\"f,1\n", "b": file(1, 0)},
			map[string]string{"a": "loaded 5", "b": "loaded 1"}, 2, "", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := whole.part(t)
			load := b.load(nil, withColumns(columnsFN...), tolerating(t, c.perFile, c.run), func(l *bucketload.Load) {
				l.Tolerate.Files = share(t, c.files)
				l.CSV.Delimiter = ","
			})
			for name, content := range c.content {
				b.put(name+".csv", content)
			}
			run := b.prepared(load)
			err := b.copyAll(run)
			var r *ledger.Run
			if err == nil {
				r, err = b.Finish(t.Context(), ledger.Try{Run: run})
			}
			b.must(b.end(run, nil))
			files := b.files(run)
			for name, want := range c.want {
				if got := outcome(files[name+".csv"]); got != want {
					t.Errorf("%s: %s, want %s", name, got, want)
				}
			}
			if c.code == "" {
				b.must(err)
				if r.Status != bucketload.StatusPartial || r.Rows.Rejected != c.rejected {
					t.Errorf("%s, %+v", r.Status, r.Rows)
				}
				if c.message != "" && files["a.csv"].Error.Message != c.message {
					t.Errorf("%q, want %q", files["a.csv"].Error.Message, c.message)
				}
			} else {
				wantCode(t, err, c.code, c.message)
				b.must(b.Ledger.End(t.Context(), ledger.Try{Run: run}, bucketload.StatusFailed, nil))
			}
			if got := int64(len(b.rejects(run))); got != c.rejected {
				t.Errorf("%d rejects in the ledger, want %d", got, c.rejected)
			}
		})
	}
}

// TestServerLimits: rows that only the server refuses count like any other.
func TestServerLimits(t *testing.T) {
	t.Parallel()
	whole := sharedBench(t, 0)
	whole.exec("CREATE DOMAIN known AS int CHECK (VALUE >= 0)")
	for _, c := range []struct{ perFile, run, want string }{
		{"3", "", "loaded 3"},
		{"2", "", `failed value line 3 column "n" value "x"`},
		{"50%", "", "loaded 3"},
		{"49%", "", `failed value line 3 column "n" value "x"`},
		{"49%", "3", `failed value line 3 column "n" value "x"`},
		{"", "3", "loaded 3"},
		{"", "2", `failed tolerance line 3 column "n" value "x"`},
		{"50%", "2", `failed tolerance line 3 column "n" value "x"`},
	} {
		t.Run(c.perFile+" "+c.run, func(t *testing.T) {
			b := whole.part(t)
			b.exec("CREATE TABLE " + b.table + " (f text, n known)")
			run := b.prepared(b.load(map[string]string{"a.csv": "f,n\na,1\na,x\na,2\na,3\n\na,-1\na,-2\n", "b.csv": "f,n\nb,1\n"}, tolerating(t, c.perFile, c.run)))
			err := b.copyAll(run)
			files := b.files(run)
			if got := outcome(files["a.csv"]); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			if broken := strings.Contains(c.want, "tolerance"); broken {
				wantCode(t, err, bucketload.CodeTolerance, "a.csv")
			} else {
				b.must(err)
			}
			want := map[string]int64{"b": 1}
			if files["a.csv"].State == bucketload.FileLoaded {
				want["a"] = 3
			}
			if got := b.perFile("dataimport.r_" + run); !maps.Equal(got, want) || b.count("SELECT count(*) FROM bucketload.rejects WHERE run = $1", run) != 3*min(1, want["a"]) {
				t.Errorf("rows %v, want %v", got, want)
			}
		})
	}
}

// TestRejectsOfBigFiles has rejects before, within and behind what is held
// back, found here and by the server, among small files in one batch.
func TestRejectsOfBigFiles(t *testing.T) {
	t.Parallel()
	b := sharedBench(t, 0)
	b.exec("CREATE DOMAIN known AS int CHECK (VALUE >= 0); CREATE TABLE t (f text, n known, m int, pad text)")
	const big = fullOf + 300
	spoil := func(file, word string, lines ...int) string {
		rows := strings.SplitAfter(file, "\n")
		for _, line := range lines {
			fields := strings.Split(rows[line-1], ",")
			fields[1] = word
			rows[line-1] = strings.Join(fields, ",")
		}
		return strings.Join(rows, "")
	}
	load := b.load(map[string]string{
		"a.csv": wide("a", 3, 1),
		"b.csv": spoil(wide("b", big, -1), "x", 2, 5, big/2, big, big+1),
		"c.csv": spoil(wide("c", big, -1), "-1", 2, 3, big/2, big+1),
		"d.csv": spoil(spoil(wide("d", big, -1), "-1", 2, 300, big), "x", 3, 301, big+1),
		"e.csv": wide("e", 2, 1),
	}, tolerating(t, "100%", ""))
	run := b.prepared(load)
	b.must(b.copyAll(run))
	if got, want := b.perFile("dataimport.r_"+run), (map[string]int64{"a": 2, "b": big - 5, "c": big - 4, "d": big - 6, "e": 1}); !maps.Equal(got, want) {
		t.Errorf("rows %v, want %v", got, want)
	}
	lines := map[string][]int64{}
	b.must(b.Ledger.Rejects(t.Context(), run, maxRaw, func(r *ledger.Rejected) error {
		name := path.Base(r.URI)
		lines[name] = append(lines[name], r.Line)
		if n := int64(len(r.Raw)); n != r.Bytes || n < 1<<13 {
			t.Errorf("%s:%d has %d bytes, %d are kept", name, r.Line, r.Bytes, n)
		}
		return nil
	}))
	for _, l := range lines {
		slices.Sort(l)
	}
	if got, want := fmt.Sprint(lines), fmt.Sprint(map[string][]int64{"a.csv": {3}, "b.csv": {2, 5, big / 2, big, big + 1}, "c.csv": {2, 3, big / 2, big + 1},
		"d.csv": {2, 3, 300, 301, big, big + 1}, "e.csv": {3}}); got != want {
		t.Errorf("rejects\n%s\nwant\n%s", got, want)
	}
	if b.Progress.Bytes.Load() != b.Progress.PlannedBytes.Load() {
		t.Errorf("progress: %d of %d bytes", b.Progress.Bytes.Load(), b.Progress.PlannedBytes.Load())
	}
	_, err := b.Finish(t.Context(), ledger.Try{Run: run})
	b.must(err)
}

// TestManyRejects: so many rows of one file are rejected that they cannot wait
// for the end of a COPY, and are recorded in between.
func TestManyRejects(t *testing.T) {
	t.Parallel()
	const n = 12_000 // of 2 kB each
	b := newBench(t, 0)
	long := strings.Repeat("x", 2000)
	bad := "f,n\n" + strings.Repeat("f,"+long+"\n", n/2) + "f,1\n" + strings.Repeat("f,y"+long+"\n", n/2) + "f,2\n"
	load := b.load(map[string]string{"a.csv": rows("a", 3), "b.csv": bad, "c.csv": rows("c", 3)}, withColumns(columnsFN...), tolerating(t, "100%", ""),
		func(l *bucketload.Load) { l.CSV.Delimiter = "," })
	run := b.prepared(load)

	// Never more wait than may.
	d, err := b.definition(t.Context(), run)
	b.must(err)
	enc, err := pgcopy.NewEncoder(pgcopy.Binary, []pgcopy.Column{{Name: "f", OID: 25, TypMod: -1, TypeName: "text"}, {Name: "n", OID: 23, TypMod: -1, TypeName: "integer"}})
	b.must(err)
	var read int64
	f := newFeed(t.Context(), &batchCopy{steps: b.Steps, def: d, read: &read}, enc, b.entries(run))
	defer f.stop()
	var rejects, pauses int
	for f.more() {
		for f.begin(); ; f.again() {
			_, err := io.Copy(io.Discard, f)
			b.must(err)
			if f.waiting > maxWaiting+maxRaw {
				t.Errorf("%d bytes of rejects wait", f.waiting)
			}
			rejects += len(f.rejects)
			if !f.paused {
				break
			}
			pauses++
		}
		f.commit()
	}
	if rejects != n || pauses < 5 || len(f.receipts) != 3 {
		t.Errorf("%d rejects with %d pauses", rejects, pauses)
	}

	b.must(b.copyAll(run))
	if got, want := b.perFile("dataimport.r_"+run), (map[string]int64{"a": 3, "c": 3, "f": 2}); !maps.Equal(got, want) {
		t.Errorf("rows %v, want %v", got, want)
	}
	if got, want := b.value("SELECT count(*) || ' ' || min(no) || ' ' || max(no) || ' ' || min(line) || ' ' || max(line) || ' ' || count(DISTINCT byte_offset) FROM bucketload.rejects"),
		fmt.Sprintf("%d 1 %d 2 %d %[1]d", n, n, n+2); got != want {
		t.Errorf("rejects %s, want %s", got, want)
	}
}

// entries gives the run's files.
func (b *bench) entries(run string) (files []bucketload.Entry) {
	b.t.Helper()
	rows, err := b.Pool.Query(b.t.Context(), "SELECT no, uri, size, version FROM bucketload.files WHERE run = $1 ORDER BY no", run)
	b.must(err)
	defer rows.Close()
	for rows.Next() {
		var e bucketload.Entry
		b.must(rows.Scan(&e.No, &e.URI, &e.Size, &e.Version))
		files = append(files, e)
	}
	return files
}

// TestLongReject: of a row that is very long only the beginning is kept.
func TestLongReject(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	row := "f,x" + strings.Repeat("y", 3*maxRaw) + "\n"
	load := b.load(map[string]string{"a.csv": "f,n\n" + row + "f,1\n"}, withColumns(columnsFN...), tolerating(t, "1", ""))
	r, err := b.whole(load)
	b.must(err)
	if got := b.value("SELECT octet_length(raw) || ' ' || bytes || ' ' || cut FROM bucketload.rejects"); got != fmt.Sprintf("%d %d true", maxRaw, len(row)) {
		t.Error(got)
	}
	b.must(b.Ledger.Rejects(t.Context(), *r.ID, maxRaw, func(r *ledger.Rejected) error {
		if !r.Cut() || string(r.Raw) != row[:maxRaw] || !slices.Equal(r.Shape.Header, []string{"f", "n"}) || string(r.Shape.Raw) != "f,n\n" {
			t.Errorf("%d bytes of %d, %+v", len(r.Raw), r.Bytes, r.Shape)
		}
		return nil
	}))
}
