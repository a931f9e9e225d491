package ledger_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
)

func testWritePlan(t *testing.T, d *db) {
	r := d.begin(replace("t"))
	broken := errors.New("the listing broke")
	err := d.WritePlan(t.Context(), r.id, func(l *ledger.Listing) error {
		for i := range 5001 { // more than one chunk
			if err := l.Add(ledger.Planned{Object: bucketload.Object{URI: fmt.Sprint(i)}}); err != nil {
				return err
			}
		}
		return broken
	})
	if !errors.Is(err, broken) || d.value(`SELECT count(*) FROM bucketload.files`) != "0" {
		t.Errorf("error %v, %s files", err, d.value(`SELECT count(*) FROM bucketload.files`))
	}
	uris := make([]string, 10001)
	for i := range uris {
		uris[i] = fmt.Sprintf("s3://b/%05d", i)
	}
	uris[5000] += "!"
	r.plan(3000, uris...)
	r.plan(1, "another") // is not written
	if got := d.value(`SELECT count(*) || ' ' || count(DISTINCT batch) || ' ' || max(no) FROM bucketload.files`); got != "10001 4 10000" {
		t.Errorf("files, batches, last number: %s", got)
	}
	if got := d.value(`SELECT string_agg(no || ':' || bytes, ' ' ORDER BY no) FROM bucketload.batches`); got != "0:36000 1:36000 2:36000 3:12000" {
		t.Errorf("batches %s", got)
	}
	want(t, d.WritePlan(t.Context(), "nobody's", nil), bucketload.CodeUsage, "nobody's")

	for n, most := range map[int]int{1: 1, 7: 7, 100: 100, 20000: 10000} {
		sample, err := d.SampleObjects(t.Context(), r.id, n)
		if err != nil || len(sample) > most || len(sample) < most/2 || sample[0].URI != uris[0] || sample[0].Version != "v1" || sample[0].Size != 12 {
			t.Errorf("a sample of %d has %d, %v", n, len(sample), err)
		}
		for _, o := range sample {
			if strings.HasSuffix(o.URI, "!") {
				t.Error("a skipped file is in the sample")
			}
		}
	}
}

// A run is ended, and gone on with, while its process lists objects, or is frozen
// as it does: what that lists from then on counts for nothing.
func testCancelledPlan(t *testing.T, d *db) {
	a := ledger.Planned{Object: bucketload.Object{URI: "a"}}
	for name, end := range map[string]func(r *conducted) error{
		"cancelled": func(r *conducted) error {
			_, err := d.Cancel(t.Context(), r.id)
			return err
		},
		"gone on with": func(r *conducted) error {
			if err := redrive(d, r.id); err != nil {
				return err
			}
			_, err := d.EndCopies(t.Context(), r.id)
			return err
		},
		"ended": func(r *conducted) error {
			return d.End(t.Context(), ledger.Try{Run: r.id}, bucketload.StatusFailed, nil)
		},
	} {
		r := d.begin(replace(name))
		err := d.WritePlan(t.Context(), r.id, func(l *ledger.Listing) error {
			for range 5001 { // more than one chunk
				if err := l.Add(a); err != nil {
					return err
				}
			}
			d.must(end(r))
			return nil
		})
		if name == "ended" {
			want(t, err, bucketload.CodeFenced, r.id)
		} else if !bucketload.IsTransient(err) {
			t.Errorf("%s: %v", name, err)
		}
		if n := d.value(`SELECT count(*) FROM bucketload.files`); n != "0" {
			t.Errorf("%s: %s files", name, n)
		}
		if name == "ended" {
			want(t, d.WritePlan(t.Context(), r.id, nil), bucketload.CodeFenced, r.id)
		}
	}
}

func testAgain(t *testing.T, d *db) {
	r := d.begin(replace("t"))
	r.plan(3, "a", "slow~", "bad", "c", "bad2", "d", "e")
	r.prepare(true)
	d.must(r.copy(0, "slow~", "bad"))
	d.must(r.copy(1, "bad2"))
	if _, transient, err := d.FirstFailure(t.Context(), r.id); !transient || err != nil {
		t.Errorf("transient %v, %v", transient, err)
	}
	// Only what was transient is open again.
	d.must(again(d, r.id))
	if r.states() != "loaded:1 planned:1 failed:1 loaded:1 failed:1 loaded:1 planned:0" || r.batches() != "false:1 true:1 false:0" {
		t.Errorf("files %s, batches %s", r.states(), r.batches())
	}
	if retried, err := d.Retried(t.Context(), r.id); err != nil || len(retried) != 1 || retried[0].URI != "slow~" {
		t.Errorf("retried %v, %v", retried, err)
	}
	want(t, r.copy(0), bucketload.CodeFenced) // not before Copy is entered again
	d.must(d.Enter(t.Context(), ledger.Try{Run: r.id}, ledger.StateCopy))
	d.must(r.copy(0, "slow~"))
	if lost, err := d.Losses(t.Context(), r.id); lost.Failed != 3 || err != nil {
		t.Errorf("%d failed, %v", lost.Failed, err)
	}
	r.fail()
	want(t, again(d, r.id), bucketload.CodeFenced)

	// A redrive opens all that failed.
	d.hold(r.id)
	d.must(redrive(d, r.id))
	if r.states() != "loaded:1 planned:2 planned:1 loaded:1 planned:1 loaded:1 planned:0" || r.batches() != "false:0 false:0 false:0" {
		t.Errorf("files %s, batches %s", r.states(), r.batches())
	}
	want(t, r.copy(0), bucketload.CodeFenced) // not before Copy is entered again
	files, err := d.Retried(t.Context(), r.id)
	if err != nil || len(files) != 3 {
		t.Errorf("retried %v, %v", files, err)
	}
	files[0].Version, files[0].Size = "v2", 99
	d.must(d.Repin(t.Context(), r.id, files))
	if got := d.value(`SELECT version || ' ' || size FROM bucketload.files WHERE uri = 'slow~'`); got != "v2 99" {
		t.Errorf("pinned to %s", got)
	}
	d.must(d.Enter(t.Context(), ledger.Try{Run: r.id}, ledger.StateCopy))
	for batch := range 3 {
		d.must(r.copy(batch))
	}
	run, err := d.Run(t.Context(), r.id)
	if err != nil || run.Files.Loaded != 7 || run.Files.Failed != 0 || run.Rows.Loaded != 70 || run.Error != nil || run.Status != bucketload.StatusRunning {
		t.Errorf("%+v, %v", run, err)
	}
	if file, _, err := d.FirstFailure(t.Context(), r.id); file != nil || err != nil {
		t.Errorf("%+v, %v", file, err)
	}
}

// Once a build step is done, what has failed stays failed.
func testAgainOnceBuilt(t *testing.T, d *db) {
	r := d.begin(replace("t"))
	r.plan(2, "a", "slow~", "bad")
	r.prepare(true)
	d.must(r.copy(0, "slow~"))
	d.must(r.copy(1, "bad"))
	d.must(d.Enter(t.Context(), ledger.Try{Run: r.id}, ledger.StateBuild))
	d.must(r.tx(func(tx pgx.Tx) error { return ledger.Built(t.Context(), tx, ledger.Try{Run: r.id}, 1, []string{"one"}) }))
	for _, anew := range []func(*db, string) error{again, redrive} {
		d.must(anew(d, r.id))
		if r.states() != "loaded:1 failed:1 failed:1" || r.batches() != "true:1 true:1" {
			t.Errorf("files %s, batches %s", r.states(), r.batches())
		}
	}
}

// A redrive holds the run and takes it up: after a failure, and at once after
// a death.
func testResume(t *testing.T, d *db) {
	resume := func(r *conducted) error {
		r.release = d.hold(r.id)
		err := redrive(d, r.id)
		if err != nil {
			r.release()
		}
		return err
	}
	dead := d.begin(replace("dead"))
	dead.plan(1, "a")
	dead.release()
	d.exec(`UPDATE bucketload.runs SET started_at = started_at - interval '10 days'`)
	d.must(resume(dead))
	if run, err := d.Run(t.Context(), dead.id); err != nil || run.Status != bucketload.StatusRunning || run.State != ledger.StatePlan || run.EndedAt != nil || run.ResumedAt == nil || run.Seconds > 24*3600 {
		t.Errorf("%+v, %v", run, err)
	}
	_, err := d.tryBegin(replace("dead"))
	want(t, err, bucketload.CodeConflict, dead.id)

	done := d.begin(replace("done"))
	done.all(true, "a")
	want(t, resume(done), bucketload.CodeConflict, "succeeded")

	limited := replace("trial")
	limited.LimitFiles = 3
	trial := d.begin(limited)
	d.must(d.End(t.Context(), ledger.Try{Run: trial.id}, bucketload.StatusSucceeded, nil))
	trial.release()
	want(t, resume(trial), bucketload.CodeConflict, "trial of 3 files")
	want(t, redrive(d, "nobody's"), bucketload.CodeUsage)

	// Another run has the table.
	failed := d.begin(replace("t"))
	failed.fail()
	active := d.begin(replace("t"))
	want(t, resume(failed), bucketload.CodeConflict, "another run")
	active.fail()
	d.must(resume(failed)) // it came to nothing
	failed.fail()
	newer := d.begin(replace("t"))
	newer.all(true, "a")
	want(t, resume(failed), bucketload.CodeConflict, newer.id, "out of date")
	if v := d.value(`SELECT status FROM bucketload.runs WHERE id = $1`, failed.id); v != "failed" {
		t.Errorf("a refused redrive leaves it %s", v)
	}

	// What it had loaded is gone: it stays as it was.
	gone := d.begin(replace("gone"))
	gone.plan(1, "a", "b")
	gone.prepare(true)
	d.must(gone.copy(0))
	d.must(gone.copy(1, "b"))
	gone.fail()
	d.must(d.MayResume(t.Context(), gone.id))
	d.exec(`DROP TABLE dataimport.r_` + gone.id)
	want(t, d.MayResume(t.Context(), gone.id), bucketload.CodeConflict, "is gone")
	want(t, resume(gone), bucketload.CodeConflict, "is gone")
	if run, err := d.Run(t.Context(), gone.id); err != nil || run.Status != bucketload.StatusFailed || run.Files.Failed != 1 || run.Attempt != 1 {
		t.Errorf("%+v, %v", run, err)
	}
}

// What a newer append has loaded, a failed run no longer knows.
func testResumeAfterAppend(t *testing.T, d *db) {
	resume := func(r *conducted) error {
		r.release = d.hold(r.id)
		return redrive(d, r.id)
	}
	first := d.begin(appending())
	first.plan(1, "a", "b")
	first.prepare(false)
	first.fail()

	second := d.begin(appending())
	second.plan(1, "a", "b")
	second.prepare(false)
	second.fail() // it loaded nothing
	d.must(resume(first))
	d.must(d.Enter(t.Context(), ledger.Try{Run: first.id}, ledger.StateCopy))
	d.must(first.copy(0))
	first.fail()
	// The older run has loaded a in the meantime: the newer would double it.
	want(t, resume(second), bucketload.CodeConflict, first.id)
	second.release()

	third := d.begin(appending())
	third.plan(1, "b", "c")
	third.prepare(false)
	d.must(third.copy(0))
	third.fail() // b is in
	want(t, resume(first), bucketload.CodeConflict, third.id)
	first.release()
	d.must(resume(third))
}

func testLoaded(t *testing.T, d *db) {
	table := replace("t").Table
	long := "s3://b/" + strings.Repeat("long/", 2000) // beyond an index entry
	check := func(what string, wanted map[string]string) {
		t.Helper()
		var objects []bucketload.Object
		var uris []string
		for uri := range wanted {
			uris = append(uris, uri)
		}
		slices.Sort(uris)
		for _, uri := range uris {
			name, version, ok := strings.Cut(uri, "@")
			if !ok {
				version = "v1"
			}
			objects = append(objects, bucketload.Object{URI: name, Version: version})
		}
		by, err := d.Loaded(t.Context(), table, objects)
		d.must(err)
		for i, uri := range uris {
			got := by[i].Run
			if by[i].Changed {
				got += " changed"
			}
			if got != wanted[uri] {
				t.Errorf("%s: %.20s is loaded by %q, want %q", what, uri, got, wanted[uri])
			}
		}
	}
	check("nothing yet", map[string]string{"a": ""})

	// Appends to a table that was there.
	one := d.begin(appending())
	one.plan(1, "a", "b", long, "!")
	one.prepare(false)
	d.must(one.copy(0))
	d.must(one.copy(1, "b"))
	d.must(one.copy(2))
	one.fail()
	check("a failed append", map[string]string{"a": one.id, "b": "", long: one.id, "!": "", "a@v2": one.id + " changed", "c": ""})

	two := d.begin(appending())
	two.all(false, "b", "a@v2")
	check("two appends", map[string]string{"a": two.id + " changed", "a@v2": two.id, "b": two.id, "a@v3": two.id + " changed", long: one.id})

	// A replace forgets them; one that fails, a trial and another table's do not count.
	three := d.begin(replace("t"))
	three.all(true, "a", "c")
	failed := d.begin(replace("t"))
	failed.plan(1, "d")
	failed.prepare(true)
	d.must(failed.copy(0))
	failed.fail()
	d.begin(replace("u")).all(true, "e")
	check("a replace", map[string]string{"a": three.id, "b": "", "c": three.id, "d": "", "e": "", long: "", "a@v2": three.id + " changed"})

	four := d.begin(appending())
	four.all(false, "b")
	check("an append to it", map[string]string{"a": three.id, "b": four.id, "c": three.id})

	five := d.begin(replace("t"))
	five.all(true, "b")
	check("and replaced", map[string]string{"a": "", "b": five.id, "c": ""})
	if by, err := d.Loaded(t.Context(), table, nil); len(by) > 0 || err != nil {
		t.Errorf("of none: %v, %v", by, err)
	}
}
