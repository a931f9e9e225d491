package ledger_test

import (
	"slices"
	"testing"

	"github.com/bucketload/bucketload"
)

// Objects go whose every row the live table has: none of which rows were left
// out, and none whose rows a rollback has put away.
func testDeleting(t *testing.T, d *db) {
	table := bucketload.TableName{Schema: "public", Name: "t"}
	deleting := func(want ...*conducted) {
		t.Helper()
		ids := []string{}
		for _, r := range want {
			ids = append(ids, r.id)
		}
		got, err := d.Deleting(t.Context(), table)
		d.must(err)
		all, err := d.Deleting(t.Context(), bucketload.TableName{})
		d.must(err)
		if !slices.Equal(got, ids) || !slices.Equal(all, ids) {
			t.Errorf("objects of %v and %v are to be deleted, want %v", got, all, ids)
		}
	}
	deletable := func(r *conducted, want ...string) {
		t.Helper()
		entries, err := d.Deletable(t.Context(), r.id, -1, 10)
		d.must(err)
		got := []string{}
		for _, e := range entries {
			got = append(got, e.URI)
		}
		if !slices.Equal(got, want) {
			t.Errorf("of run %s %q are to be deleted, want %q", r.id, got, want)
		}
	}
	load := func(load *bucketload.Load, staging bool, uris ...string) *conducted {
		t.Helper()
		load.DeleteSources = true
		r := d.begin(load)
		r.all(staging, uris...)
		return r
	}
	d.exec(`CREATE TABLE t ()`)
	first := load(replace("t"), true, "a", "b", "c", "d")
	d.exec(`UPDATE bucketload.files SET rejected = 1 WHERE uri = 'b'; UPDATE bucketload.files SET duplicates = 1 WHERE uri = 'c'`)
	deleting(first)
	deletable(first, "a", "d")
	second := load(replace("t"), true, "e")
	added := load(appending(), false, "f")
	deleting(second, added)
	deletable(added, "f")

	d.must(d.rollBack("rolledback00", &first.id))
	deleting(first)
	deletable(second)
	deletable(added)
	d.must(d.AllDeleted(t.Context(), second.id)) // by one that was at it

	d.must(d.rollBack("rolledback01", &second.id))
	deleting(second, added)
	deletable(second, "e")
	d.must(d.AllDeleted(t.Context(), second.id))
	deleting(added)
	deletable(added, "f")

	d.exec(`DROP TABLE t`)
	deleting()
	deletable(added)
	d.exec(`CREATE TABLE t ()`)
	deleting()
	deletable(added)
}
