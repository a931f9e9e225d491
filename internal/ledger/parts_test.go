package ledger_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
)

// inParts plans "a", "big" in three parts of ten bytes and "z", each in a batch
// of its own, and prepares the run.
func (r *conducted) inParts() {
	r.Helper()
	r.must(r.WritePlan(r.Context(), r.id, func(l *ledger.Listing) error {
		for _, p := range []ledger.Planned{
			{Object: bucketload.Object{URI: "a", Size: 1, Version: "v1"}},
			{Object: bucketload.Object{URI: "big", Size: 30, Version: "v1"}, Parts: []ledger.PlannedPart{{1, 0, 10}, {2, 10, 20}, {3, 20, 30}}},
			{Object: bucketload.Object{URI: "z", Size: 2, Version: "v1"}, Batch: 4},
		} {
			if err := l.Add(p); err != nil {
				return err
			}
		}
		return nil
	}))
	r.prepare(true)
}

// part copies a batch of one part, with this error, and gives what Receive says.
func (r *conducted) part(batch int, failed *bucketload.Error) (says string) {
	r.Helper()
	r.must(r.tx(func(tx pgx.Tx) error {
		files, err := lease(r.Context(), tx, ledger.Try{Run: r.id}, batch)
		if err != nil {
			return err
		}
		if len(files) == 0 {
			says = "done"
			return nil
		}
		if len(files) != 1 || files[0].URI != "big" || files[0].Size != 30 || files[0].Part != (bucketload.Part{No: batch, Start: int64(batch)*10 - 10, End: int64(batch) * 10}) {
			r.Errorf("batch %d has %+v", batch, files)
		}
		loaded, bad, err := ledger.Receive(r.Context(), tx, r.id, batch, []ledger.Receipt{
			{No: files[0].No, Part: files[0].Part.No, Rows: 10, Lines: 11, Replaced: 1, Err: failed}})
		says = fmt.Sprintf("%d loaded, %d failed", loaded, bad)
		return err
	}))
	return says
}

// A file in parts is loaded with the last of them, fails with the first that
// does, and a further try takes what is not loaded.
func testParts(t *testing.T, d *db) {
	r := d.begin(replace("t"))
	r.inParts()
	says := func(batch int, failed *bucketload.Error, want string) {
		t.Helper()
		if got := r.part(batch, failed); got != want {
			t.Errorf("batch %d: %s, want %s", batch, got, want)
		}
	}
	bytes := func(want ...int64) {
		t.Helper()
		planned, settled, err := d.Bytes(t.Context(), r.id)
		if err != nil || !slices.Equal([]int64{planned, settled}, want) {
			t.Errorf("%d bytes planned, %d settled, %v, want %d", planned, settled, err, want)
		}
	}
	d.must(r.copy(0))
	slow := &bucketload.Error{Code: bucketload.CodeSource, Message: "slow", Transient: true}
	bad := &bucketload.Error{Code: bucketload.CodeValue, Message: "bad", Line: 3}
	bytes(33, 1)
	says(3, bad, "0 loaded, 1 failed")
	says(2, slow, "0 loaded, 0 failed") // it has failed already
	says(1, nil, "0 loaded, 0 failed")
	says(1, nil, "done")
	bytes(33, 31)
	if r.states() != "loaded:1 failed:1 planned:0" || r.batches() != "true:0 true:0 true:1 true:1 false:0" {
		t.Errorf("files %s, batches %s", r.states(), r.batches())
	}
	if lost, err := d.Losses(t.Context(), r.id); err != nil || lost.Failed != 1 || lost.Planned != 3 {
		t.Errorf("%+v, %v", lost, err)
	}
	if f, transient, err := d.FirstFailure(t.Context(), r.id); err != nil || f.URI != "big" || f.Error.Message != "slow" || !transient {
		t.Errorf("%+v, %v, %v", f, transient, err)
	}
	if batches, err := d.BatchesOf(t.Context(), r.id, []string{"big", "z"}); err != nil || !slices.Equal(batches, []int{4}) {
		t.Errorf("open batches %v, %v", batches, err)
	}

	// A further try takes the part that may do better; the file has failed still.
	d.must(again(d, r.id))
	d.must(d.Enter(t.Context(), ledger.Try{Run: r.id}, ledger.StateCopy))
	if r.states() != "loaded:1 failed:1 planned:0" || r.batches() != "true:0 true:0 false:0 true:1 false:0" {
		t.Errorf("files %s, batches %s", r.states(), r.batches())
	}
	says(2, nil, "0 loaded, 0 failed")
	says(3, nil, "done")

	// A redrive takes the others, and looks for no other version: rows are in.
	r.fail()
	d.hold(r.id)
	d.must(redrive(d, r.id))
	if retried, err := d.Retried(t.Context(), r.id); err != nil || len(retried) > 0 {
		t.Errorf("to be pinned anew: %v, %v", retried, err)
	}
	d.must(d.Enter(t.Context(), ledger.Try{Run: r.id}, ledger.StateCopy))
	if batches, err := d.BatchesOf(t.Context(), r.id, []string{"big", "z"}); err != nil || !slices.Equal(batches, []int{3, 4}) {
		t.Errorf("open batches %v, %v", batches, err)
	}
	before, err := d.PartsBefore(t.Context(), r.id, 1, 3)
	if want := []ledger.Part{{Part: bucketload.Part{No: 1, End: 10}, Loaded: true, Lines: 11}, {Part: bucketload.Part{No: 2, Start: 10, End: 20}, Loaded: true, Lines: 11}}; err != nil || !slices.Equal(before, want) {
		t.Errorf("before part 3: %+v, %v", before, err)
	}
	says(3, nil, "1 loaded, 0 failed")
	d.must(r.copy(4))
	bytes(33, 33)
	if r.states() != "loaded:1 loaded:2 loaded:1" || d.value(`SELECT rows || ' ' || replaced || ' ' || (error IS NULL) FROM bucketload.files WHERE uri = 'big'`) != "30 3 true" {
		t.Errorf("files %s", r.states())
	}
	if open, err := d.OpenBatches(t.Context(), r.id); err != nil || len(open) > 0 {
		t.Errorf("open %v, %v", open, err)
	}
	r.publish()
	by, err := d.Loaded(t.Context(), r.load.Table, []bucketload.Object{{URI: "big", Version: "v1"}})
	if err != nil || by[0].Run != r.id {
		t.Errorf("loaded by %v, %v", by, err)
	}
}

// Two parts that end at once: the second sees the first. And what could not be
// read in parts is known from then on.
func testPartsAtOnce(t *testing.T, d *db) {
	r := d.begin(replace("t"))
	r.inParts()
	r.part(1, nil)
	first, err := d.pool.Begin(t.Context())
	d.must(err)
	files, err := lease(t.Context(), first, ledger.Try{Run: r.id}, 2)
	d.must(err)
	_, _, err = ledger.Receive(t.Context(), first, r.id, 2, []ledger.Receipt{{No: files[0].No, Part: 2, Rows: 10}})
	d.must(err)
	second := make(chan string)
	go func() { second <- r.part(3, nil) }()
	d.waits(1)
	d.must(first.Commit(t.Context()))
	if got := <-second; got != "1 loaded, 0 failed" || r.states() != "planned:0 loaded:1 planned:0" {
		t.Errorf("%s; files %s", got, r.states())
	}
	r.fail()

	r = d.begin(replace("t"))
	r.inParts()
	known := func(want bool) {
		t.Helper()
		if was, err := d.Indivisible(t.Context(), "big"); was != want || err != nil {
			t.Errorf("indivisible %v, %v", was, err)
		}
	}
	known(false)
	r.part(2, &bucketload.Error{Code: bucketload.CodeBoundary, Message: "astride"})
	known(true)
	r.fail()
	known(true)
	d.drop()
	known(false)
}
