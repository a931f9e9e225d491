package ledger_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
)

// reject makes the n-th reject of a file.
func reject(file int, n int64) ledger.Reject {
	return ledger.Reject{File: file, No: n, Offset: 10 * n, Raw: []byte("a\x00\xff\n"), Bytes: 4 + n%2, FileError: bucketload.FileError{
		Code: bucketload.CodeValue, Line: n + 1, Column: "c\x00", Value: "v\x00", Message: "m\x00", Hint: "h\x00"}}
}

// rejected goes through a batch of which every file has so many rejects.
func (r *conducted) rejected(batch int, n int64) {
	r.Helper()
	r.must(r.tx(func(tx pgx.Tx) error {
		files, err := lease(r.Context(), tx, ledger.Try{Run: r.id}, batch)
		if err != nil {
			return err
		}
		var receipts []ledger.Receipt
		for _, f := range files {
			var rejects []ledger.Reject
			for i := range n {
				rejects = append(rejects, reject(f.No, i+1))
			}
			if err := ledger.AddRejects(r.Context(), tx, r.id, rejects); err != nil {
				return err
			}
			receipts = append(receipts, ledger.Receipt{No: f.No, Rows: 10, Rejected: n, Replaced: 3, Shape: &ledger.Shape{Header: []string{"a\x00", f.URI}, Raw: []byte("\xff\n")}})
		}
		_, _, err = ledger.Receive(r.Context(), tx, r.id, batch, receipts)
		return err
	}))
}

// read gives the run's rejects, each as uri:no.
func (r *conducted) read() (rejects []string) {
	r.Helper()
	r.must(r.Rejects(r.Context(), r.id, 2, func(x *ledger.Rejected) error {
		rejects = append(rejects, fmt.Sprintf("%s:%d", x.URI, x.No))
		e := bucketload.FileError{Code: bucketload.CodeValue, Line: x.No + 1, Column: "c\uFFFD", Value: "v\uFFFD", Message: "m\uFFFD", Hint: "h\uFFFD"}
		if x.FileError != e || string(x.Raw) != "a\x00" || x.Bytes != 4+x.No%2 || x.Offset != 10*x.No ||
			!slices.Equal(x.Shape.Header, []string{"a\uFFFD", x.URI}) || string(x.Shape.Raw) != "\xff\n" {
			r.Errorf("%+v %+v", x, x.Shape)
		}
		return nil
	}))
	return rejects
}

func testRejects(t *testing.T, d *db) {
	r := d.begin(replace("t"))
	r.plan(2, "a", "b", "c")
	r.prepare(true)
	if first, err := d.FirstReject(t.Context(), r.id); first != nil || err != nil {
		t.Errorf("%+v, %v", first, err)
	}
	r.rejected(0, 2)
	d.must(r.copy(1, "c"))
	if got := r.read(); !slices.Equal(got, []string{"a:1", "a:2", "b:1", "b:2"}) {
		t.Errorf("%v", got)
	}
	if first, err := d.FirstReject(t.Context(), r.id); err != nil || first.URI != "a" || first.Line != 2 {
		t.Errorf("%+v, %v", first, err)
	}
	if lost, err := d.Losses(t.Context(), r.id); err != nil || lost != (ledger.Losses{Failed: 1, Planned: 3, Rejected: 4}) {
		t.Errorf("%+v, %v", lost, err)
	}
	stop := errors.New("enough")
	if err := d.Rejects(t.Context(), r.id, 0, func(*ledger.Rejected) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("error %v, want the caller's", err)
	}
	run, err := d.Run(t.Context(), r.id)
	if err != nil || run.Rows != (bucketload.RowCount{Loaded: 20, Rejected: 4}) || run.Replaced != 6 {
		t.Errorf("%+v, %v", run, err)
	}
	d.must(d.Files(t.Context(), r.id, bucketload.FileLoaded, func(f *bucketload.File) error {
		if f.Rows != 10 || f.Rejected != 2 || f.Replaced != 3 {
			t.Errorf("%+v", f)
		}
		return nil
	}))
}

// testBroken: a file that loses more rows by itself than the run may is the
// first to be blamed, until it is tried again.
func testBroken(t *testing.T, d *db) {
	r := d.begin(replace("t"))
	r.plan(2, "a", "b")
	r.prepare(true)
	d.must(r.tx(func(tx pgx.Tx) error {
		if _, err := lease(t.Context(), tx, ledger.Try{Run: r.id}, 0); err != nil {
			return err
		}
		_, _, err := ledger.Receive(t.Context(), tx, r.id, 0, []ledger.Receipt{{No: 0, Err: &bucketload.Error{Code: bucketload.CodeValue}},
			{No: 1, Err: &bucketload.Error{Code: bucketload.CodeTolerance, Transient: true}}})
		return err
	}))
	lost, err := d.Losses(t.Context(), r.id)
	first, _, firstErr := d.FirstFailure(t.Context(), r.id)
	if err != nil || firstErr != nil || !lost.Broken || lost.Failed != 2 || first.URI != "b" {
		t.Errorf("%+v, %+v, %v, %v", lost, first, err, firstErr)
	}
	d.must(again(d, r.id))
	if lost, err := d.Losses(t.Context(), r.id); err != nil || lost.Broken || lost.Failed != 1 {
		t.Errorf("%+v, %v", lost, err)
	}
}

func testReplay(t *testing.T, d *db) {
	r := d.begin(replace("t"))
	r.plan(2, "a", "b")
	r.prepare(true)
	r.rejected(0, 3)
	status := func() string {
		return d.value(`SELECT r.status || string_agg(' ' || f.rows || '+' || f.rejected, '' ORDER BY f.no) FROM bucketload.runs r JOIN bucketload.files f ON f.run = r.id
			WHERE r.id = $1 GROUP BY r.status`, r.id)
	}
	replay := func(file int, loaded []int64, again ...ledger.Reject) {
		t.Helper()
		d.must(r.tx(func(tx pgx.Tx) error {
			if err := ledger.Replay(t.Context(), tx, r.id, file, loaded, again); err != nil {
				return err
			}
			return ledger.Complete(t.Context(), tx, r.id)
		}))
	}
	current := func() (current bool) {
		t.Helper()
		d.must(r.tx(func(tx pgx.Tx) (err error) {
			current, err = ledger.Current(t.Context(), tx, r.id, r.load.Table)
			return err
		}))
		return current
	}
	if current() {
		t.Error("the table is the run's before it is published")
	}
	r.publish()
	d.exec(`UPDATE bucketload.runs SET status = 'partial' WHERE id = '` + r.id + `'`)
	if !current() {
		t.Error("the table is not the run's")
	}
	d.must(r.tx(func(tx pgx.Tx) error {
		files, err := ledger.FilesWithRejects(t.Context(), tx, r.id)
		if err != nil || !slices.Equal(files, []int{0, 1}) {
			t.Errorf("%v, %v", files, err)
		}
		rejects, err := ledger.RejectsOf(t.Context(), tx, r.id, 1, 1, 1)
		if err != nil || len(rejects) != 1 || rejects[0].No != 2 || string(rejects[0].Raw) != "a\x00\xff\n" || rejects[0].Cut() {
			t.Errorf("%+v, %v", rejects, err)
		}
		entry, shape, err := ledger.ShapeOf(t.Context(), tx, r.id, 1)
		if err != nil || entry.No != 1 || entry.URI != "b" || len(shape.Header) != 2 {
			t.Errorf("%+v, %+v, %v", entry, shape, err)
		}
		return nil
	}))
	other := reject(0, 2)
	other.Message, other.Code = "another reason", bucketload.CodeNull
	replay(0, []int64{1, 3}, other)
	replay(0, []int64{1, 3}) // once more
	if got := status(); got != "partial 12+1 10+3" {
		t.Error(got)
	}
	if first, err := d.FirstReject(t.Context(), r.id); err != nil || first.No != 2 || first.Message != "another reason" || first.Code != bucketload.CodeNull {
		t.Errorf("%+v, %v", first, err)
	}
	replay(0, []int64{2})
	replay(1, []int64{1, 2, 3})
	if got := status(); got != "succeeded 13+0 13+0" {
		t.Error(got)
	}
	if n, err := d.Replayed(t.Context(), r.id); n != 6 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if got := r.read(); len(got) > 0 {
		t.Errorf("%v", got)
	}

	// What is appended leaves the table the run's, what replaces it does not.
	d.begin(replace("t")).all(false, "c")
	if !current() {
		t.Error("the table is not the run's behind an append")
	}
	d.begin(replace("t")).all(true, "d")
	if current() {
		t.Error("the table is the run's behind a replace")
	}
}
