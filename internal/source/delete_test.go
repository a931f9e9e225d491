package source

import (
	"testing"

	"github.com/bucketload/bucketload"
)

// TestDelete: an object is deleted as long as it is the one that was listed.
func TestDelete(t *testing.T) {
	for name, shelf := range shelves(t) {
		t.Run(name, func(t *testing.T) {
			shelf.put("a.csv", "one")
			shelf.put("b.csv", "two")
			objects := list(t, shelf.store, []string{shelf.root}, nil)
			shelf.put("b.csv", "another")
			must(t, shelf.store.Delete(t.Context(), objects[0].Object))
			wantError(t, shelf.store.Delete(t.Context(), objects[0].Object), bucketload.CodeMissing, false)
			wantError(t, shelf.store.Delete(t.Context(), objects[1].Object), bucketload.CodeChanged, false)
			if left := keys(shelf.root, list(t, shelf.store, []string{shelf.root}, nil)); len(left) != 1 || left[0] != "b.csv" {
				t.Errorf("left %v", left)
			}
		})
	}
}
