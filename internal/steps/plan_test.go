package steps

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
)

func TestBatcher(t *testing.T) {
	same := func(n int, size int64) []int64 { return slices.Repeat([]int64{size}, n) }
	for _, c := range []struct {
		name     string
		maxItems int
		minBytes int64
		sizes    []int64
		want     []int // files of each batch
	}{
		{"nothing", 25, 8e6, nil, nil},
		{"by count", 2, 0, same(5, 10), []int{2, 2, 1}},
		{"joined past the count", 2, 100, same(25, 10), []int{10, 10, 5}},
		{"the last of the joined may be big", 2, 100, []int64{10, 10, 10, 1000, 10}, []int{4, 1}},
		{"empty files are joined up to a bound", 2, 100, same(2500, 0), []int{1000, 1000, 500}},
		{"more than the bound if so wished", 1500, 100, same(2000, 0), []int{1500, 500}},
		{"one file at a time", 1, 0, same(3, 0), []int{1, 1, 1}},
		{"a huge file goes alone", 25, 8e6, []int64{10, maxBatchBytes + 1, 10}, []int{1, 1, 1}},
		{"up to the bound", 25, 8e6, []int64{maxBatchBytes / 2, maxBatchBytes / 2, 1}, []int{2, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := batcher{maxItems: c.maxItems, minBytes: c.minBytes}
			var got []int
			for _, size := range c.sizes {
				no := b.place(size)
				if no == len(got) {
					got = append(got, 0)
				}
				got[no]++
			}
			if !slices.Equal(got, c.want) || b.count() != len(c.want) {
				t.Errorf("batches %v (count %d), want %v", got, b.count(), c.want)
			}
		})
	}
}

func TestSampler(t *testing.T) {
	for n := range 300 {
		s := sampler{limit: 8}
		for i := range n {
			s.offer(bucketload.Object{Size: int64(i)})
		}
		if len(s.objects) > 8 || len(s.objects) < min(n, 4) {
			t.Fatalf("%d of %d objects", len(s.objects), n)
		}
		for i := range s.objects { // evenly spread from the first on
			if s.objects[i].Size != int64(i*s.every) {
				t.Fatalf("%d objects: sample %d is number %d", n, i, s.objects[i].Size)
			}
		}
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	b := sharedBench(t, 0)
	load := b.load(map[string]string{"a.csv": "f,n\n", "b.CSV.gz": "x", "c.txt": "f,n\n", "README": "", "d.csv": "f,n\n"},
		func(l *bucketload.Load) { l.From = []string{b.dir + "/*.txt", b.dir + "/"} })
	run := b.begin(load)
	first, err := b.Plan(t.Context(), PlanInput{Try: ledger.Try{Run: run}, Load: load})
	b.must(err)
	want := PlanOutput{Run: run, Files: 4, Skipped: 1, Bytes: 13, Batches: []ledger.Batch{{No: 0, Bytes: 13}}}
	if !reflect.DeepEqual(first, want) {
		t.Errorf("%+v, want %+v", first, want)
	}
	files := b.files(run)
	if f := files["README"]; f.State != bucketload.FileSkipped || f.Error.Code != bucketload.CodeName {
		t.Errorf("README: %+v", f)
	}
	if f := files["c.txt"]; f.State != bucketload.FilePlanned {
		t.Errorf("c.txt was named by a glob: %+v", f)
	}
	b.Progress.Reset()
	again, err := b.Plan(t.Context(), PlanInput{Try: ledger.Try{Run: run}, Load: load})
	if err != nil || !reflect.DeepEqual(again, first) || b.Progress.PlannedBytes.Load() != 13 || b.Progress.PlannedFiles.Load() != 4 {
		t.Errorf("once more: %+v, %v", again, err)
	}
}

func TestNothingToLoad(t *testing.T) {
	t.Parallel()
	b := sharedBench(t, 0)
	_, err := b.whole(b.load(nil))
	wantCode(t, err, bucketload.CodeEmpty, b.dir, "allow_empty")
	_, err = b.whole(b.load(map[string]string{"a.txt": "x", "b.txt": "x", "c.md": "x"}))
	wantCode(t, err, bucketload.CodeEmpty, "none of the 3 objects", ".txt, .md", "--from '"+b.dir+"/*.txt'")
	// With allow_empty an empty table replaces the live one.
	b.exec("CREATE TABLE t (a int, b date DEFAULT now()); INSERT INTO t VALUES (1)")
	r, err := b.whole(b.load(nil, func(l *bucketload.Load) { l.AllowEmpty = true }))
	b.must(err)
	if n := b.value("SELECT count(*) FROM t"); r.Status != bucketload.StatusSucceeded || n != "0" {
		t.Errorf("%s, %s rows", r.Status, n)
	}
}

func TestAppendHistory(t *testing.T) {
	t.Parallel()
	b := sharedBench(t, 0)
	load := b.load(map[string]string{"a.csv": rows("a", 2), "b.csv": rows("b", 2)}, func(l *bucketload.Load) { l.Mode = bucketload.ModeAppend })
	step := func(want, perFile string) {
		t.Helper()
		r, err := b.whole(load)
		b.must(err)
		if got := fmt.Sprintf("%d loaded, %d skipped", r.Files.Loaded, r.Files.Skipped); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if got := fmt.Sprint(b.perFile("t")); got != perFile {
			t.Errorf("rows %s, want %s", got, perFile)
		}
	}
	step("2 loaded, 0 skipped", "map[a:2 b:2]")
	step("0 loaded, 2 skipped", "map[a:2 b:2]")
	b.put("c.csv", rows("c", 1))
	step("1 loaded, 2 skipped", "map[a:2 b:2 c:1]")
	b.put("b.csv", rows("b", 3))
	_, err := b.whole(load)
	wantCode(t, err, bucketload.CodeChanged, "b.csv", "--exclude")
	load.Mode = bucketload.ModeReplace
	step("3 loaded, 0 skipped", "map[a:2 b:3 c:1]")
	load.Mode = bucketload.ModeAppend
	step("0 loaded, 3 skipped", "map[a:2 b:3 c:1]")
	b.exec("DROP TABLE t")
	step("3 loaded, 0 skipped", "map[a:2 b:3 c:1]")
	b.exec("CREATE TABLE anew (LIKE t); DROP TABLE t; ALTER TABLE anew RENAME TO t")
	step("3 loaded, 0 skipped", "map[a:2 b:3 c:1]")
	step("0 loaded, 3 skipped", "map[a:2 b:3 c:1]")
	b.exec("VACUUM FULL t")
	step("0 loaded, 3 skipped", "map[a:2 b:3 c:1]")
	// A restore of the database gives other oids to the table and to the ledger.
	b.exec("CREATE TABLE anew AS TABLE t; DROP TABLE t; ALTER TABLE anew RENAME TO t")
	b.exec("UPDATE bucketload.runs SET ledger_oid = (ledger_oid::bigint + 1000000)::oid WHERE table_schema = '" + b.schema + "'")
	step("0 loaded, 3 skipped", "map[a:2 b:3 c:1]")
}

// TestAppendReplacesNothing: an append that found no table must not move away
// one that somebody made meanwhile.
func TestAppendReplacesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	run := b.prepared(b.load(map[string]string{"a.csv": rows("a", 2)}, func(l *bucketload.Load) { l.Mode = bucketload.ModeAppend }))
	b.must(b.copyAll(run))
	b.exec("CREATE TABLE t (f text, n int)")
	_, err := b.Finish(t.Context(), ledger.Try{Run: run})
	wantCode(t, err, bucketload.CodeConflict, "public.t")
}

func TestTrial(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	b.exec("CREATE TABLE t (f text, n int); CREATE MATERIALIZED VIEW v AS SELECT * FROM t")
	files := map[string]string{}
	for i := range 5 {
		files[fmt.Sprintf("%d.csv", i)] = rows("x", 1)
	}
	load := b.load(files, func(l *bucketload.Load) { l.LimitFiles = 2 })
	run := b.prepared(load)
	b.must(b.copyAll(run))
	for range 2 { // the reply to the first may be lost
		r, err := b.Finish(t.Context(), ledger.Try{Run: run})
		b.must(err)
		if r.Status != bucketload.StatusSucceeded || r.Files.Loaded != 2 || r.Backup != nil {
			t.Errorf("%s %+v", r.Status, r.Files)
		}
	}
	if live, staged := b.value("SELECT count(*) FROM t"), b.value("SELECT count(*) FROM dataimport.r_"+run); live != "0" || staged != "2" {
		t.Errorf("%s rows live, %s staged", live, staged)
	}
	// For real it is refused, because of the view, before anything is listed.
	load.LimitFiles = 0
	_, err := b.whole(load)
	wantCode(t, err, bucketload.CodeDependents, "view v")
	// The trial's staging goes with the next load that is published.
	b.exec("DROP MATERIALIZED VIEW v")
	_, err = b.whole(load)
	b.must(err)
	if left := b.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'dataimport'"); left != "0" {
		t.Errorf("%s staging tables are left", left)
	}
}

func TestRepin(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	ctx := t.Context()
	run := b.prepared(b.load(map[string]string{"a.csv": rows("a", 1), "b.csv": "f,n\nb,?\n", "c.csv": "f,n\nc,?\n", "d.csv": rows("d", 1)}, withColumns(columnsFN...)))
	b.must(b.copyAll(run))
	b.put("b.csv", rows("b", 4))
	b.put("a.csv", rows("a", 9)) // is loaded: nobody looks at it again
	b.must(removeFile(b, "c.csv"))
	b.must(b.Ledger.End(ctx, ledger.Try{Run: run}, bucketload.StatusFailed, nil))
	b.resume(run)
	b.must(b.copyAll(run))
	if got := fmt.Sprint(b.perFile("dataimport.r_" + run)); got != "map[a:1 b:4 d:1]" {
		t.Errorf("rows %s", got)
	}
	if f := b.files(run)["c.csv"]; f.Error == nil || f.Error.Code != bucketload.CodeMissing {
		t.Errorf("%+v", f)
	}
}

func TestPreview(t *testing.T) {
	t.Parallel()
	b := sharedBench(t, 0)
	load := b.load(map[string]string{"a.csv": "A;B\n1;2\n", "b.csv": "B;A\n1;2.5\n", "c.csv": "A;B;C\n1;2;x\n"},
		func(l *bucketload.Load) { l.PrimaryKey = []string{"a"} })
	p, err := b.Preview(t.Context(), load)
	b.must(err)
	var columns []string
	for _, c := range p.Columns {
		columns = append(columns, c.Name+" "+c.Source+" "+c.Type)
	}
	if got := strings.Join(columns, ", "); got != "a A numeric, b B bigint" || p.Dialect.Delimiter != ";" || len(p.Shapes) != 3 || p.Objects != 3 || p.Batches != 1 {
		t.Errorf("%s, %+v", got, p)
	}
	b.must(b.Ledger.Files(t.Context(), "", "", func(*bucketload.File) error { return fmt.Errorf("a preview writes nothing") }))
	b.exec("CREATE TABLE t (a int); CREATE MATERIALIZED VIEW v AS SELECT * FROM t")
	p, err = b.Preview(t.Context(), load)
	wantCode(t, err, bucketload.CodeDependents, "view v")
	if p == nil || len(p.Dependents) != 1 || len(p.DDL) == 0 {
		t.Errorf("%+v", p)
	}
}

// TestPreviewForeignKeys: a plan names what keys lock, wherever they are built, and
// its statements are SQL.
func TestPreviewForeignKeys(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	b.exec("CREATE TABLE dim (n int PRIMARY KEY); CREATE TABLE far (f text PRIMARY KEY)")
	for name, c := range map[string]struct {
		live   string
		change func(*bucketload.Load)
		want   string
	}{
		"no table":               {"SELECT 1", func(*bucketload.Load) {}, "public.dim"},
		"no table to merge into": {"SELECT 1", merging(bucketload.ModeUpsert, "n"), "public.dim"},
		"swap":                   {"CREATE TABLE {t} (f text REFERENCES far, n int)", func(*bucketload.Load) {}, "public.dim public.far"},
		"swap, no backup":        {"CREATE TABLE {t} (f text REFERENCES far, n int)", func(l *bucketload.Load) { l.KeepBackups = 0 }, "for DROP public.far public.dim public.far"},
		"in place":               {"CREATE TABLE {t} (f text REFERENCES far, n int)", inPlace, "public.dim"},
		"merge":                  {"CREATE TABLE {t} (f text REFERENCES far, n int PRIMARY KEY)", merging(bucketload.ModeUpsert, "n"), ""},
		"append":                 {"CREATE TABLE {t} (f text REFERENCES far, n int)", func(l *bucketload.Load) { l.Mode = bucketload.ModeAppend }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := b.part(t)
			b.exec(b.named(c.live))
			p, err := b.Preview(t.Context(), b.load(map[string]string{"a.csv": rows("a", 3)}, withColumns(columnsFN...), c.change,
				func(l *bucketload.Load) { l.Constraints = []string{"foreign key (n) references dim", "check (n >= 0)"} }))
			b.must(err)
			var locked []string
			for _, line := range p.Locks {
				name, lock, _ := strings.Cut(line, ": ")
				switch {
				case strings.HasPrefix(lock, "SHARE ROW EXCLUSIVE"):
					locked = append(locked, name)
				case strings.Contains(lock, "a backup that is dropped"):
					locked = append(locked, "for DROP "+name)
				}
			}
			if got := strings.Join(locked, " "); got != c.want {
				t.Errorf("keys lock %q, want %q", got, c.want)
			}
			tx, err := b.Pool.Begin(t.Context())
			b.must(err)
			defer func() { _ = tx.Rollback(t.Context()) }()
			for _, sql := range p.DDL {
				if _, err := tx.Exec(t.Context(), sql); err != nil {
					t.Fatalf("%v\nin: %s", err, sql)
				}
			}
		})
	}
}

// TestFailedRunsDoNotPileUp: of the runs that failed the last keeps its staging.
func TestFailedRunsDoNotPileUp(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	load := b.load(map[string]string{"a.csv": rows("a", 1), "b.csv": "f,n\nb,?\n"}, withColumns(columnsFN...), func(l *bucketload.Load) { l.Tolerate.Files = bucketload.Share{} })
	for range 4 {
		_, err := b.whole(load)
		wantCode(t, err, bucketload.CodeTolerance)
	}
	if n := b.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'dataimport'"); n != "2" { // and the one before it, until another begins
		t.Errorf("%s staging tables", n)
	}
}

// TestTrialsAfterAFailure: looking for what is wrong costs nothing of what the
// failed run has loaded.
func TestTrialsAfterAFailure(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	load := b.load(map[string]string{"a.csv": rows("a", 1), "b.csv": "f,n\nb,?\n"}, withColumns(columnsFN...), func(l *bucketload.Load) { l.Tolerate.Files = bucketload.Share{} })
	_, err := b.whole(load)
	wantCode(t, err, bucketload.CodeTolerance)
	failed := b.value("SELECT id FROM bucketload.runs")
	trial := *load
	trial.LimitFiles = 1
	for range 3 {
		_, err := b.whole(&trial)
		b.must(err)
	}
	if b.value("SELECT to_regclass('dataimport.r_"+failed+"')") == "NULL" {
		t.Error("its staging table is gone")
	}
}

// TestUnrelatedFiles: files that have not one column of the live table do not
// replace it, unless the configuration says so.
func TestUnrelatedFiles(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	load := b.load(map[string]string{"a.csv": "<html>\n<body>Access Denied</body>\n"})
	b.exec("CREATE TABLE t AS SELECT 1 AS id, 'x' AS name")
	_, err := b.whole(load)
	wantCode(t, err, bucketload.CodeConflict, "none of the columns of public.t, only <html>", "columns:")
	load.Columns = []bucketload.Column{{Name: "<html>", Type: "text"}}
	_, err = b.whole(load)
	b.must(err)
}

// TestCountedShapes: a plan counts the headers of all files where they are not
// too many, and says so where they are.
func TestCountedShapes(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	files := map[string]string{}
	for i := range sampleFiles + 50 {
		files[fmt.Sprintf("%04d.csv", i)] = "id,name\n1,x\n"
	}
	files["0101.csv"] = "id,nom\n1,x\n" // of every second file, as samples are spread here, it is none
	files["0103.csv"] = ""
	load := b.load(files)
	p, err := b.Preview(t.Context(), load)
	b.must(err)
	if n := int64(len(files)); !p.All || p.Sampled != n-1 || len(p.Shapes) != 2 || p.Shapes[0].Files != n-2 || !p.Shapes[1].Fails || len(p.Columns) != 2 {
		t.Errorf("%t, %d files, shapes %+v", p.All, p.Sampled, p.Shapes)
	}
	if notes := strings.Join(p.Notes, "\n"); !strings.Contains(notes, "1 of 249 files have other columns than the table, and will fail") {
		t.Errorf("notes %q", notes)
	}
	for i := len(files); i <= countedFiles; i++ {
		b.put(fmt.Sprintf("%04d.csv", i), "id,name\n1,x\n")
	}
	p, err = b.Preview(t.Context(), load)
	b.must(err)
	if p.All || p.Sampled > sampleFiles || p.Objects != countedFiles+1 {
		t.Errorf("%t, %d of %d files", p.All, p.Sampled, p.Objects)
	}
}
