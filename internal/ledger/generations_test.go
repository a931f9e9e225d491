package ledger_test

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
)

// rollBack records that the table is the generation of a run again; nil: of none.
func (d *db) rollBack(id string, of *string) error {
	return pgx.BeginFunc(d.Context(), d.pool, func(tx pgx.Tx) error {
		load := replace("t")
		load.Mode = bucketload.ModeRollback
		if err := ledger.BeginRollback(d.Context(), tx, id, load); err != nil {
			return err
		}
		return ledger.EndRollback(d.Context(), tx, id, load.Table, of, ledger.Publication{Status: bucketload.StatusSucceeded})
	})
}

// Which runs' rows the live table has, through swaps, appends and rollbacks, and
// whatever the server's clock does.
func testGenerations(t *testing.T, d *db) {
	content := func(want ...*conducted) {
		t.Helper()
		ids := []string{}
		for _, r := range want {
			ids = append(ids, r.id)
		}
		got, err := d.Content(t.Context(), bucketload.TableName{Schema: "public", Name: "t"})
		d.must(err)
		if !slices.Equal(got, ids) {
			t.Errorf("the table has the rows of %v, want %v", got, ids)
		}
	}
	swapped := func() *conducted {
		t.Helper()
		r := d.begin(replace("t"))
		r.all(true, "a")
		return r
	}
	added := func(uri string) *conducted {
		t.Helper()
		r := d.begin(appending())
		r.all(false, uri)
		return r
	}
	before := added("of a table that was there")
	content(before)
	first := swapped()
	content(first)
	more := added("b")
	content(first, more)

	d.exec(`UPDATE bucketload.runs SET started_at = started_at + interval '1 hour', published_at = published_at + interval '1 hour'`) // then it is put back
	second := swapped()
	content(second)
	late := added("b")
	content(second, late)

	d.must(d.rollBack("rolledback00", &first.id))
	content(first, more)
	content(first, more, added("c"))
	d.must(d.rollBack("rolledback01", nil))
	content(before)
	d.must(d.rollBack("rolledback02", &second.id))
	content(second, late)
	content(swapped())

	running := d.begin(replace("t"))
	want(t, d.rollBack("rolledback03", nil), bucketload.CodeConflict, "being loaded")
	running.fail()
	d.must(d.rollBack("rolledback04", nil))
}

// A table that was dropped and made anew has nothing of what runs have put into
// the one before it; one that was restored with the ledger has all of it.
func testRecreated(t *testing.T, d *db) {
	table := bucketload.TableName{Schema: "public", Name: "t"}
	content := func(want ...*conducted) {
		t.Helper()
		ids := []string{}
		for _, r := range want {
			ids = append(ids, r.id)
		}
		got, err := d.Content(t.Context(), table)
		d.must(err)
		if !slices.Equal(got, ids) {
			t.Errorf("the table has the rows of %v, want %v", got, ids)
		}
	}
	added := func(uri string) *conducted {
		t.Helper()
		r := d.begin(appending())
		r.all(false, uri)
		return r
	}
	restored := func() {
		t.Helper()
		d.exec(`UPDATE bucketload.runs SET table_oid = (table_oid::bigint + 1000000)::oid, ledger_oid = (ledger_oid::bigint + 1000000)::oid`)
	}
	d.exec(`CREATE TABLE t ()`)
	before := added("a")
	content(before)
	d.exec(`ALTER TABLE t RENAME TO away`)
	content()
	d.exec(`CREATE TABLE t ()`)
	content()
	byHand := added("a")
	content(byHand)
	d.exec(`DROP TABLE t; ALTER TABLE away RENAME TO t`)
	content(before)

	first := d.begin(replace("t"))
	d.exec(`DROP TABLE t; CREATE TABLE t ()`) // as its swap does
	first.all(true, "a")
	content(first)
	more := added("b")
	content(first, more)
	restored()
	content(first, more)
	d.exec(`VACUUM FULL t`)
	latest := added("c")
	content(first, more, latest)

	failed := d.begin(appending())
	failed.plan(1, "d", "e")
	failed.prepare(false)
	d.must(failed.copy(0))
	failed.fail()
	d.exec(`DROP TABLE t; CREATE TABLE t ()`)
	content()
	_, err := d.Resume(t.Context(), failed.id, ledger.Conductor{})
	want(t, err, bucketload.CodeConflict, "another table")
	second := d.begin(replace("t"))
	second.all(true, "a")
	d.exec(`DROP TABLE t; CREATE TABLE t ()`)
	content()
	all, err := ledger.Generations(t.Context(), d.pool, table)
	d.must(err)
	if len(all) != 1 || all[0].Run != nil {
		t.Errorf("%+v", all)
	}
}

// A size is waited for by those only who ask for it; a table that is dropped
// meanwhile has none.
func testSizes(t *testing.T, d *db) {
	r := d.begin(replace("t"))
	r.fail()
	d.exec(`CREATE TABLE public.t (); CREATE TABLE dataimport.r_` + r.id + ` ()`)
	dropping, err := d.pool.Begin(t.Context())
	d.must(err)
	_, err = dropping.Exec(t.Context(), `DROP TABLE public.t, dataimport.r_`+r.id)
	d.must(err)
	if all, err := ledger.Generations(t.Context(), d.pool, r.load.Table); len(all) != 1 || err != nil {
		t.Errorf("%+v, %v", all, err)
	}
	done := make(chan error, 2)
	go func() {
		_, err := ledger.SizedGenerations(t.Context(), d.pool, r.load.Table)
		done <- err
	}()
	go func() {
		_, err := d.Leftovers(t.Context(), 0)
		done <- err
	}()
	d.waits(2)
	d.must(dropping.Commit(t.Context()))
	d.must(<-done)
	d.must(<-done)
}

func testUnvalidated(t *testing.T, d *db) {
	table := bucketload.TableName{Schema: "public", Name: "t"}
	r := d.begin(replace("t"))
	r.swaps()
	d.must(r.tx(func(tx pgx.Tx) error {
		return ledger.Publish(t.Context(), tx, ledger.Try{Run: r.id}, table, ledger.Publication{Status: bucketload.StatusSucceeded, Validate: []string{"one", "two"}})
	}))
	r.release()
	for left := []string{"one", "two"}; ; left = left[1:] {
		got, err := d.Unvalidated(t.Context(), table)
		d.must(err)
		all, err := d.Unvalidated(t.Context(), bucketload.TableName{})
		d.must(err)
		if !slices.Equal(got, all) || len(got) != len(left) {
			t.Fatalf("%v and %v, want %v", got, all, left)
		}
		if len(left) == 0 {
			break
		}
		if got[0] != (ledger.Unvalidated{Run: r.id, Statement: left[0]}) {
			t.Errorf("%v, want %v", got, left)
		}
		d.must(r.tx(func(tx pgx.Tx) error { return ledger.Validated(t.Context(), tx, got[0]) }))
	}
}
