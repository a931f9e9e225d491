package steps

import (
	"fmt"
	"testing"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/temp"
)

// What is read ahead of the copy fails where it would without: an object that
// is gone or was changed costs itself, and its neighbours come whole.
func TestFaultsOfObjectsReadAhead(t *testing.T) {
	b := newBench(t, 0)
	server, err := temp.StartS3(temp.S3Options{})
	b.must(err)
	t.Cleanup(func() { _ = server.Close() })
	const files = 60
	for i := range files {
		b.must(server.Put("b", fmt.Sprintf("%02d.csv", i), fmt.Appendf(nil, "n\n%d\n", i)))
	}
	load := b.load(nil, func(l *bucketload.Load) {
		l.From = []string{"s3://b/"}
		l.S3 = bucketload.S3{EndpointURL: server.URL(), PathStyle: true, Anonymous: true}
	})
	run := b.prepared(load)
	b.must(server.Delete("b", "07.csv"))
	b.must(server.Put("b", "08.csv", []byte("n\n99999\n")))
	b.must(server.Put("b", "40.csv", []byte("n\n1\n")))
	b.must(b.copyAll(run))

	want := "s3://b/07.csv object_missing, s3://b/08.csv object_changed, s3://b/40.csv object_changed"
	if got := b.value("SELECT string_agg(uri || ' ' || (error->>'code'), ', ' ORDER BY uri) FROM bucketload.files WHERE state = 'failed'"); got != want {
		t.Errorf("failed: %s\nwanted: %s", got, want)
	}
	sum := files*(files-1)/2 - 7 - 8 - 40
	if got := b.value("SELECT count(*) || ' ' || sum(n) FROM " + bucketload.StagingTable(run).String()); got != fmt.Sprintf("%d %d", files-3, sum) {
		t.Errorf("%s of rows and sum, instead of %d %d", got, files-3, sum)
	}
}
