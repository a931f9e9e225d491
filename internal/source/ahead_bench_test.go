package source

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/temp"
)

// BenchmarkAhead reads 200 small objects and one big one, one after the other
// and ahead, from a server that answers at once and from one that takes 30 ms.
func BenchmarkAhead(b *testing.B) {
	server, store := startS3(b, bucketload.S3{})
	for i := range 200 {
		must(b, server.Put("b", fmt.Sprintf("small/%03d", i), make([]byte, 75_000)))
	}
	must(b, server.Put("b", "big/0", make([]byte, 64<<20)))
	for _, prefix := range []string{"small", "big"} {
		var objects []bucketload.Object
		var size int64
		for _, o := range list(b, store, []string{"s3://b/" + prefix + "/"}, nil) {
			objects = append(objects, o.Object)
			size += o.Size
		}
		for _, latency := range []time.Duration{0, 30 * time.Millisecond} {
			for _, way := range []string{"serial", "ahead"} {
				b.Run(fmt.Sprintf("%s/%v/%s", prefix, latency, way), func(b *testing.B) {
					server.Fault(temp.Latency(latency))
					b.SetBytes(size)
					for b.Loop() {
						open := store.Open
						if way == "ahead" {
							ahead := store.Ahead(b.Context(), wholes(objects))
							defer func() { must(b, ahead.Close()) }()
							open = ahead.Open
						}
						for _, o := range objects {
							r, err := open(b.Context(), o)
							must(b, err)
							_, err = io.Copy(io.Discard, r)
							must(b, err)
							must(b, r.Close())
						}
					}
				})
			}
		}
	}
}
