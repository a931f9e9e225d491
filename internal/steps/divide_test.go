package steps

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/temp"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// big is a CSV of n rows, some with lines in quotes that look like rows; row bad
// (from 0) has no number.
func big(n, bad int) string {
	var b strings.Builder
	b.WriteString("f,n,note\n")
	for i := range n {
		number := strconv.Itoa(i)
		if i == bad {
			number = "bad"
		}
		switch i % 5 {
		case 1:
			fmt.Fprintf(&b, "b,%s,\"said \"\"hm\"\",\nf,1,x\nf,2,y\n\"\r\n", number)
		default:
			fmt.Fprintf(&b, "b,%s,plain\n", number)
		}
	}
	return b.String()
}

var bigColumns = []bucketload.Column{{Name: "f", Type: "text"}, {Name: "n", Type: "int"}, {Name: "note", Type: "text"}}

// newDivider is a bench whose loads make parts of 4 KiB.
func newDivider(t testing.TB, major int) *bench {
	b := newBench(t, major)
	b.partBytes = 4 << 10
	return b
}

// strict is a load of such columns in which no file may fail.
func (b *bench) strict(files map[string]string, change ...func(*bucketload.Load)) *bucketload.Load {
	return b.load(files, append([]func(*bucketload.Load){withColumns(bigColumns...),
		func(l *bucketload.Load) { l.Tolerate = bucketload.Tolerance{} }}, change...)...)
}

// sum tells tables of such columns apart.
func (b *bench) sum(table string) string {
	b.t.Helper()
	return b.value(`SELECT count(*) || ' ' || count(DISTINCT n) || ' ' || coalesce(md5(string_agg(md5(t::text), '' ORDER BY t::text)), '') FROM ` + table + ` t`)
}

// wholeSum is what sum gives of the files loaded in one go.
func (b *bench) wholeSum(load *bucketload.Load) string {
	b.t.Helper()
	once, other := *load, *b
	once.Table.Name, other.Steps = "whole_"+b.table, New(b.Pool, b.Log)
	_, err := other.whole(&once)
	b.must(err)
	return b.sum(once.Table.Name)
}

// partsOf is how many parts the run's files have.
func (b *bench) partsOf(run string) int64 {
	b.t.Helper()
	return b.count(`SELECT count(*) FROM bucketload.parts WHERE run = $1`, run)
}

// copyInOrder copies the run's batches, or from the last on, to the first error.
func (b *bench) copyInOrder(run string, reverse bool) error {
	b.t.Helper()
	open, err := b.Ledger.OpenBatches(b.t.Context(), run)
	b.must(err)
	if reverse {
		slices.Reverse(open)
	}
	for _, batch := range open {
		if _, err = b.Copy(b.t.Context(), CopyInput{ledger.Try{Run: run}, batch.No}); err != nil {
			return err
		}
	}
	return nil
}

// A big file is loaded in parts, from disk and from S3, by several at once, and
// everything is as when it is loaded whole.
func TestParts(t *testing.T) {
	t.Parallel()
	for _, major := range temptest.Majors(t) {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			b := newDivider(t, major)
			load := b.strict(map[string]string{"a.csv": "f,n,note\na,1,x\n", "big.csv": big(3000, -1), "c.csv": "f,n,note\nc,1,x\n"})
			want := b.wholeSum(load)
			p, err := b.Preview(t.Context(), load)
			b.must(err)
			if p.Divided != 1 || p.Parts < 10 || p.Batches != int(p.Parts)+2 {
				t.Errorf("%d files in %d parts, %d batches", p.Divided, p.Parts, p.Batches)
			}
			for _, where := range []string{"disk", "S3"} {
				if where == "S3" {
					b.inS3(load)
				}
				run := b.prepared(load)
				open, err := b.Ledger.OpenBatches(t.Context(), run)
				b.must(err)
				var g errgroup.Group
				g.SetLimit(3)
				for _, batch := range slices.Backward(open) {
					g.Go(func() error {
						_, err := b.Copy(t.Context(), CopyInput{ledger.Try{Run: run}, batch.No})
						return err
					})
				}
				b.must(g.Wait())
				r, err := b.Finish(t.Context(), ledger.Try{Run: run})
				b.must(b.end(run, err))
				if r.Files != (bucketload.FileCount{Planned: 3, Loaded: 3}) || r.Rows.Loaded != 3002 || r.Bytes != p.Bytes {
					t.Errorf("%s: %+v", where, r)
				}
				files := b.files(run)
				if f := files["big.csv"]; len(files) != 3 || f.State != bucketload.FileLoaded || f.Rows != 3000 || f.Attempts != 1 || f.Bytes != int64(len(big(3000, -1))) {
					t.Errorf("%s: %+v", where, files)
				}
				if got := b.sum("t"); got != want {
					t.Errorf("%s: %s, want %s", where, got, want)
				}
				if b.Progress.Bytes.Load() != p.Bytes || b.Progress.LoadedFiles.Load() != 3 || b.Progress.Rows.Load() != 3002 {
					t.Errorf("%s: progress %d bytes, %d files, %d rows", where, b.Progress.Bytes.Load(), b.Progress.LoadedFiles.Load(), b.Progress.Rows.Load())
				}
				b.Progress.Reset()
			}
		})
	}
}

// Whatever a file has, its parts make the table that the whole makes.
func TestPartsProperty(t *testing.T) {
	t.Parallel()
	shared := newDivider(t, 0)
	load := shared.strict(nil)
	seen := map[bool]int{}
	rapid.Check(t, func(r *rapid.T) {
		b := shared.part(t)
		b.Steps = New(shared.Pool, shared.Log)
		b.partBytes = rapid.Int64Range(200, 2000).Draw(r, "part")
		end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(r, "end")
		notes := rapid.SampledFrom([]string{"plain", `""`, "", "\"a,\nb,1,c\n\"", "\"\"\"\n\"\"\"", "\"#\r\n\""})
		var file strings.Builder
		file.WriteString(rapid.SampledFrom([]string{"", "\ufeff"}).Draw(r, "mark") + "f,n,note" + end)
		for i := range rapid.IntRange(50, 300).Draw(r, "rows") {
			if rapid.IntRange(0, 20).Draw(r, "comment") == 0 {
				file.WriteString("# so, \"it\" is" + end + end)
			}
			fmt.Fprintf(&file, "b,%d,%s%s", i, notes.Draw(r, "note"), end)
		}
		once := *load
		once.From, once.Table.Name, once.CSV.Comment = []string{b.dir + "/"}, b.table, "#"
		b.put("big.csv", file.String())
		_, err := b.whole(&once)
		b.must(err)
		got := b.sum(b.table)
		if want := b.wholeSum(&once); got != want {
			r.Fatalf("%q in parts of %d: %s, want %s", file.String(), b.partBytes, got, want)
		}
		seen[b.value("SELECT EXISTS (SELECT FROM bucketload.parts p JOIN bucketload.files f ON f.run = p.run AND f.no = p.file WHERE uri LIKE $1 || '%')", "file://"+b.dir) == "true"]++
	})
	if seen[true] == 0 {
		t.Error("no file was divided")
	}
	t.Logf("%d files were divided, %d were not", seen[true], seen[false])
}

// What is wrong in a part is told with the line of the file, wherever the parts
// before it stand; and the first in the file is told.
func TestErrorInPart(t *testing.T) {
	t.Parallel()
	shared := newDivider(t, 0)
	for _, c := range []struct {
		name, file string
		reverse    bool
	}{
		{"a value, the parts before it loaded", big(2000, 1700), false},
		{"a value, none before it loaded", big(2000, 1700), true},
		{"a value in the first part", big(2000, 1), true},
		{"a quote", strings.Replace(big(2000, -1), "b,1500,plain", `b,1500,pl"ain`, 1), true},
		{"a row too short", strings.Replace(big(2000, -1), "b,1500,plain", `b`, 1), false},
		{"two of them", strings.Replace(big(2000, 1700), "b,300,plain", "b", 1), true},
		{"a column that is missing", "f,n\n" + strings.Repeat("b,1\n", 5000), true},
		{"a header twice", "f,n,note,f\n" + strings.Repeat("b,1,x,y\n", 5000), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := shared.part(t)
			load := b.strict(map[string]string{"big.csv": c.file})
			fails := func(b *bench) (string, bucketload.File) {
				run := b.prepared(load)
				err := b.copyInOrder(run, c.reverse)
				wantCode(t, err, bucketload.CodeTolerance)
				_ = b.end(run, err)
				return run, b.files(run)["big.csv"]
			}
			whole := *b
			whole.Steps = New(b.Pool, b.Log)
			_, want := fails(&whole)
			run, got := fails(b)
			if b.partsOf(run) == 0 && !strings.HasPrefix(c.name, "a header") {
				t.Fatalf("it is not divided")
			}
			if outcome(got) != outcome(want) || got.Error.Message != want.Error.Message {
				t.Errorf("%s\n%+v, whole:\n%s\n%+v", outcome(got), got.Error, outcome(want), want.Error)
			}
		})
	}
}

// A run that was broken off goes on with the parts that are not loaded.
func TestPartsGoOn(t *testing.T) {
	t.Parallel()
	b := newDivider(t, 0)
	load := b.strict(map[string]string{"big.csv": big(3000, -1)})
	want := b.wholeSum(load)
	s3 := b.inS3(load)
	run := b.prepared(load)
	all, err := b.Ledger.OpenBatches(t.Context(), run)
	b.must(err)
	var asked atomic.Int64
	var killed atomic.Bool
	s3.Fault(func(r *http.Request) *temp.Fault {
		if r.Method == http.MethodGet && r.Header.Get("Range") != "" && asked.Add(1) == 9 && killed.CompareAndSwap(false, true) {
			b.exec(`SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock'
				AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
		}
		return nil
	})
	if err := b.copyAll(run); !killed.Load() || !bucketload.IsTransient(err) {
		t.Fatalf("killed %v: %v", killed.Load(), err)
	}
	left, err := b.Ledger.OpenBatches(t.Context(), run)
	b.must(err)
	if len(left) == 0 || len(left) >= len(all) || b.files(run)["big.csv"].State != bucketload.FilePlanned {
		t.Errorf("%d of %d parts are left, %+v", len(left), len(all), b.files(run))
	}
	b.must(b.Ledger.End(t.Context(), ledger.Try{Run: run}, bucketload.StatusFailed, nil))
	s3.Fault(nil)
	b.resume(run)
	b.must(b.Ledger.Enter(t.Context(), ledger.Try{Run: run}, ledger.StateCopy))
	b.must(b.copyFree(run))
	r, err := b.Finish(t.Context(), ledger.Try{Run: run})
	b.must(err)
	if got := b.sum("t"); got != want || r.Rows.Loaded != 3000 {
		t.Errorf("%s, want %s", got, want)
	}
	if n := b.value(`SELECT count(*) FROM bucketload.parts WHERE run = $1 AND attempts <> 1`, run); n != "0" {
		t.Errorf("%s parts were loaded twice", n)
	}
}

// A boundary that is none is found out by whichever part comes first, and from
// then on the object is loaded in one go.
func TestLyingBoundary(t *testing.T) {
	t.Parallel()
	shared := newDivider(t, 0)
	for _, c := range []struct {
		name, at string // where it is moved to: in front of this
		reverse  bool
	}{
		{"inside of quotes", "f,1,x", false},
		{"inside of quotes, the part behind it first", "f,1,x", true},
		{"inside of a row", ",plain", false},
		{"inside of a row, the part behind it first", ",plain", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, file := shared.part(t), big(1000, -1)
			load := b.strict(map[string]string{"big.csv": file})
			want := b.wholeSum(load)
			run := b.prepared(load)
			from, err := strconv.Atoi(b.value(`SELECT start FROM bucketload.parts WHERE run = $1 AND no = 3`, run))
			b.must(err)
			to := from + strings.Index(file[from:], c.at)
			b.exec(fmt.Sprintf(`UPDATE bucketload.parts SET stop = %d WHERE run = '%s' AND no = 2; UPDATE bucketload.parts SET start = %d WHERE run = '%s' AND no = 3`, to, run, to, run))
			wantCode(t, b.copyInOrder(run, c.reverse), bucketload.CodeTolerance, "cannot be read in parts")
			e := b.files(run)["big.csv"].Error
			if row := 1 + strings.Count(file[:strings.LastIndex(file[:to], "\nb,")+1], "\n"); e.Code != bucketload.CodeBoundary || e.Line != int64(row) || !strings.Contains(e.Hint, "bucketload load t") {
				t.Errorf("%+v, want line %d", e, row)
			}
			_, err = b.Finish(t.Context(), ledger.Try{Run: run})
			if b.end(run, err) == nil {
				t.Error("the run goes on")
			}

			r, err := b.whole(load)
			b.must(err)
			if got := b.sum(b.table); got != want || b.partsOf(*r.ID) != 0 {
				t.Errorf("%s in %d parts, want %s", got, b.partsOf(*r.ID), want)
			}
		})
	}
}

// Only what can be read in parts is, and only where the loss of the file fails
// the run.
func TestDivided(t *testing.T) {
	t.Parallel()
	shared, rows := newDivider(t, 0), big(1000, -1)
	share := bucketload.Share{Count: 1}
	for _, c := range []struct {
		name, file, content string
		change              func(*bucketload.Load)
		divided             bool
	}{
		{"CSV", "big.csv", rows, nil, true},
		{"named otherwise", "big.txt", rows, func(l *bucketload.Load) { l.From[0] += "big.txt" }, true},
		{"without a header", "big.csv", strings.TrimPrefix(rows, "f,n,note\n"), func(l *bucketload.Load) { l.CSV.Header = false }, true},
		{"Latin-1", "big.csv", strings.ReplaceAll(rows, "plain", "pl\xe4in"), func(l *bucketload.Load) { l.CSV.Encoding = "iso-8859-1" }, true},
		{"a foot", "big.csv", rows + "total\n", func(l *bucketload.Load) { l.CSV.SkipFoot = 1 }, true},
		{"a head", "big.csv", "from \"here\n\n" + rows, func(l *bucketload.Load) { l.CSV.SkipHead = 2 }, true},
		{"the file and the run", "big.csv", rows, func(l *bucketload.Load) { l.Lineage = []string{bucketload.FileColumn, bucketload.RunColumn} }, true},
		{"a trial", "big.csv", rows, func(l *bucketload.Load) { l.LimitFiles = 1 }, true},
		{"an append", "big.csv", rows, func(l *bucketload.Load) { l.Mode = bucketload.ModeAppend }, false},
		{"small", "big.csv", big(100, -1), nil, false},
		{"compressed", "big.csv.gz", zip(big(50000, -1)), nil, false},
		{"JSON", "big.json", strings.Repeat(`{"f": "b", "n": 1, "note": "x"}`+"\n", 1000), nil, false},
		{"UTF-16", "big.csv", "\xff\xfe" + strings.ReplaceAll(strings.Join(strings.Split(rows, ""), "\x00")+"\x00", "\r\x00", ""), nil, false},
		{"CR as the line end", "big.csv", strings.ReplaceAll(rows, "\n", "\r"), nil, false},
		{"one row", "big.csv", "f,n,note\nb,1,\"" + strings.Repeat("x\n", 20000) + "\"\n", nil, false},
		{"files tolerated", "big.csv", rows, func(l *bucketload.Load) { l.Tolerate.Files = share }, false},
		{"rows tolerated", "big.csv", rows, func(l *bucketload.Load) { l.Tolerate.Rows = share }, false},
		{"rows of a file tolerated", "big.csv", rows, func(l *bucketload.Load) { l.Tolerate.RowsPerFile = share }, false},
		{"the line", "big.csv", rows, func(l *bucketload.Load) { l.Lineage = []string{bucketload.LineColumn} }, false},
		{"the first row of a key stays", "big.csv", rows, func(l *bucketload.Load) {
			l.OnDuplicate, l.PrimaryKey = bucketload.KeepFirst, []string{"f", "n"}
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := shared.part(t)
			load := b.strict(map[string]string{c.file: c.content})
			if c.change != nil {
				c.change(load)
			}
			b.exec("CREATE TABLE " + b.table + " (f text, n int, note text)")
			p, err := b.Preview(t.Context(), load)
			b.must(err)
			if (p.Divided > 0) != c.divided {
				t.Errorf("%d files in %d parts", p.Divided, p.Parts)
			}
			run := b.prepared(load)
			b.must(b.copyAll(run))
			if f := b.files(run)[c.file]; f.State != bucketload.FileLoaded || f.Rows == 0 {
				t.Errorf("%+v", f)
			}
			if got := b.partsOf(run); got != p.Parts {
				t.Errorf("%d parts, %d in the preview", got, p.Parts)
			}
		})
	}
}

// A file that fails in a part costs no more than one does, and other files stay.
func TestPartsCountOnce(t *testing.T) {
	t.Parallel()
	file := strings.Replace(big(2000, 1700), "b,300,plain", "b,no,plain", 1)
	b := newDivider(t, 0)
	load := b.strict(map[string]string{"a.csv": "f,n,note\na,1,x\n", "big.csv": file})
	run := b.prepared(load)
	open, err := b.Ledger.OpenBatches(t.Context(), run)
	b.must(err)
	failures := 0
	for _, batch := range open {
		if _, err := b.Copy(t.Context(), CopyInput{ledger.Try{Run: run}, batch.No}); err != nil {
			wantCode(t, err, bucketload.CodeTolerance)
			failures++
		}
	}
	r, err := b.Ledger.Run(t.Context(), run)
	b.must(err)
	if failures != 2 || r.Files.Failed != 1 || r.Files.Loaded != 1 || b.Progress.FailedFiles.Load() != 1 {
		t.Errorf("%d failures, %+v", failures, r.Files)
	}
	rows := b.perFile("dataimport.r_" + run)
	if !maps.Equal(rows, map[string]int64{"a": 1, "b": r.Rows.Loaded - 1}) {
		t.Errorf("rows %v, receipts %d", rows, r.Rows.Loaded)
	}
}

// An object that cannot be read has no line to blame, and nothing of it is read
// to find one.
func TestPartUnread(t *testing.T) {
	t.Parallel()
	b := newDivider(t, 0)
	load := b.strict(map[string]string{"big.csv": big(3000, -1)})
	s3 := b.inS3(load)
	run := b.prepared(load)
	size := b.value(`SELECT max(stop) - 1 FROM bucketload.parts WHERE run = $1`, run)
	var gone, after atomic.Int64
	s3.Fault(func(r *http.Request) *temp.Fault {
		if strings.HasSuffix(r.Header.Get("Range"), "-"+size) {
			gone.Add(1)
			return &temp.Fault{Status: http.StatusForbidden, Code: "AccessDenied"}
		}
		after.Add(1)
		return nil
	})
	wantCode(t, b.copyInOrder(run, true), bucketload.CodeTolerance)
	if f := b.files(run)["big.csv"]; outcome(f) != `failed access_denied line 0 column "" value ""` || gone.Load() == 0 || after.Load() != 0 {
		t.Errorf("%s; %d requests were refused, %d more followed", outcome(f), gone.Load(), after.Load())
	}
}

// What is too big for a call of Copy goes to several of them, where it can.
func TestPartsOfFlow(t *testing.T) {
	t.Parallel()
	dir := newBench(t, 0)
	load := dir.strict(map[string]string{"big.csv": big(1000, -1)})
	f := newFlow(t, Setting{MaxObject: 8 << 10}, load)
	f.partBytes = 4 << 10
	f.running["e"] = true
	planned, err := f.plan("e", flow{Table: "t"})
	f.must(err)
	if planned.Manifests.Small.Batches < 3 || planned.Manifests.Large.Batches != 0 {
		t.Errorf("%+v", planned.Manifests)
	}
	_, err = f.call("Prepare", planned.Try)
	f.must(err)
	f.must(f.copy(planned, planned.Manifests.Small))
	f.must(f.finish(planned))
	if n := f.value("SELECT count(*) FROM t"); n != "1000" {
		t.Errorf("%s rows", n)
	}

	load.Tolerate.Rows.Count = 1
	_, err = f.plan("another", flow{Table: "t"})
	wantCode(t, err, bucketload.CodeTooLong, "one object", "tolerate:")
}
