package source

import (
	"net/http"
	"testing"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/temp"
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

// An object stays where the store finds that it is another by then, or says that
// it cannot find that out.
func TestDeleteOnCondition(t *testing.T) {
	for status, want := range map[int]bucketload.Code{http.StatusPreconditionFailed: bucketload.CodeChanged, http.StatusNotImplemented: bucketload.CodeSource} {
		server, store := startS3(t, bucketload.S3{})
		must(t, server.Put("b", "a.csv", []byte("one")))
		object := list(t, store, []string{"s3://b/"}, nil)[0].Object
		server.Fault(func(r *http.Request) *temp.Fault {
			if temp.Operation(r) != "DeleteObject" || r.Header.Get("If-Match") != `"`+object.Version+`"` {
				return nil
			}
			return &temp.Fault{Status: status}
		})
		wantError(t, store.Delete(t.Context(), object), want, false)
		if left := list(t, store, []string{"s3://b/"}, nil); len(left) != 1 {
			t.Errorf("status %d: left %v", status, left)
		}
	}
}
