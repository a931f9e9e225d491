package source

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/temp"
)

// outcome is what reading an object gives: its bytes, and the code of the error.
type outcome struct {
	content string
	code    bucketload.Code
	uri     string
}

func outcomeOf(r io.ReadCloser, err error, most int64) outcome {
	if err != nil {
		return outcome{code: code(err), uri: bucketload.AsError(err).URI}
	}
	content, err := io.ReadAll(io.LimitReader(r, most))
	o := outcome{content: string(content), code: code(err)}
	if err != nil {
		o.uri = bucketload.AsError(err).URI
	}
	_ = r.Close() // only read from
	return o
}

func wholes(objects []bucketload.Object) []Range {
	ranges := make([]Range, len(objects))
	for i, o := range objects {
		ranges[i] = Whole(o)
	}
	return ranges
}

// Whatever the sizes, the faults and the memory are, reading ahead gives what
// reading one after the other gives, and all memory comes back.
func TestAheadGivesWhatOpenGives(t *testing.T) {
	server, store := startS3(t, bucketload.S3{})
	rapid.Check(t, func(t *rapid.T) {
		server.Fault(nil)
		store.span = rapid.Int64Range(1, 40_000).Draw(t, "span")
		store.memory = newPool(rapid.Int64Range(0, 200_000).Draw(t, "memory"))
		objects := make([]bucketload.Object, rapid.IntRange(0, 12).Draw(t, "objects"))
		bucket := fmt.Sprintf("b%d", rand.Uint64())
		fate := map[string]*temp.Fault{}
		for i := range objects {
			size := rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, 100_000)).Draw(t, "size")
			size = min(size, int(store.span)*20)
			content := make([]byte, size)
			noise := rand.NewChaCha8([32]byte{byte(i)})
			_, _ = noise.Read(content)
			key := fmt.Sprint(i)
			if err := server.Put(bucket, key, content); err != nil {
				t.Fatal(err)
			}
			found, err := bucketOf(store, bucket).find(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			objects[i] = *found
			switch rapid.IntRange(0, 9).Draw(t, "fate") {
			case 0:
				err = server.Delete(bucket, key)
			case 1:
				err = server.Put(bucket, key, append(content, 'x'))
			case 2:
				fate[key] = &temp.Fault{Status: 403, Code: "AccessDenied"}
			case 3:
				fate[key] = &temp.Fault{Status: 500}
			case 4:
				fate[key] = &temp.Fault{Code: "SlowDown"}
			case 5:
				fate[key] = &temp.Fault{Delay: time.Millisecond}
			case 6:
				objects[i].Version = ""
			case 7: // breaks until it is given up; every span has its own tries
				if int64(size) <= store.span {
					fate[key] = &temp.Fault{Truncate: 10}
				}
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		var n atomic.Int64
		cuts := rapid.SliceOfN(rapid.Int64Range(-1, 3000), 1, 8).Draw(t, "cuts")
		server.Fault(func(r *http.Request) *temp.Fault {
			var key string
			if _, err := fmt.Sscanf(r.URL.Path, "/"+bucket+"/%s", &key); err == nil && fate[key] != nil {
				return fate[key]
			}
			if i := n.Add(1); i%3 == 0 { // an answer in three is cut, and the next ones are not
				cut := cuts[int(i)%len(cuts)]
				if i%2 == 0 {
					return &temp.Fault{CutAfter: cut}
				}
				return &temp.Fault{Truncate: cut}
			}
			return nil
		})
		most := rapid.SliceOfN(rapid.Int64Range(0, 120_000), len(objects), len(objects)).Draw(t, "read up to")
		again := rapid.SliceOfN(rapid.Bool(), len(objects), len(objects)).Draw(t, "opened again")

		ahead := store.Ahead(t.Context(), wholes(objects))
		for i, o := range objects {
			r, err := ahead.Open(t.Context(), o)
			got := outcomeOf(r, err, most[i])
			r, err = store.Open(t.Context(), o)
			want := outcomeOf(r, err, most[i])
			if got != want {
				t.Fatalf("object %d of %d bytes: %d bytes, %q instead of %d bytes, %q", i, o.Size, len(got.content), got.code, len(want.content), want.code)
			}
			if again[i] {
				r, err = ahead.Open(t.Context(), o)
				if got := outcomeOf(r, err, most[i]); got != want {
					t.Fatalf("object %d opened again: %d bytes, %q", i, len(got.content), got.code)
				}
			}
			if lent := store.memory.lent; lent > store.memory.limit {
				t.Fatalf("%d bytes are lent of %d", lent, store.memory.limit)
			}
		}
		if err := ahead.Close(); err != nil {
			t.Fatal(err)
		}
		if m := store.memory; m.lent != 0 || m.kept != 0 || len(m.free) != 0 {
			t.Fatalf("%d bytes are still lent, %d kept", m.lent, m.kept)
		}
	})
}

func bucketOf(s *Store, name string) bucket {
	api, err := s.client(context.Background())
	if err != nil {
		panic(err)
	}
	return bucket{client: api, name: name}
}

// The requests of one reader are under way together: the server answers none
// before it has seen so many.
func TestAheadAsksForManyAtOnce(t *testing.T) {
	server, store := startS3(t, bucketload.S3{})
	store.span = 1000
	for name, sizes := range map[string][]int{"many small": make([]int, aheadRequests+5), "one big": {1000*aheadRequests + 17}} {
		t.Run(name, func(t *testing.T) {
			server.Fault(nil)
			var objects []bucketload.Object
			var want []byte
			for i, size := range sizes {
				content := bytes.Repeat([]byte{byte(i)}, max(size, 10))
				must(t, server.Put("b", fmt.Sprintf("%s/%03d", name, i), content))
				want = append(want, content...)
			}
			for _, o := range list(t, store, []string{"s3://b/" + name + "/"}, nil) {
				objects = append(objects, o.Object)
			}
			var seen atomic.Int64
			all := make(chan struct{})
			server.Fault(func(r *http.Request) *temp.Fault {
				if seen.Add(1) == aheadRequests {
					close(all)
				}
				select {
				case <-all:
				case <-r.Context().Done():
				}
				return nil
			})
			ahead := store.Ahead(t.Context(), wholes(objects))
			defer func() { must(t, ahead.Close()) }()
			var got []byte
			for _, o := range objects {
				r, err := ahead.Open(t.Context(), o)
				must(t, err)
				content, err := io.ReadAll(r)
				must(t, err)
				must(t, r.Close())
				got = append(got, content...)
			}
			if !bytes.Equal(got, want) {
				t.Error("the bytes are not the objects'")
			}
		})
	}
}

// A reader that is stopped leaves nothing behind: no goroutine (goleak looks
// for those when all tests are through), no memory.
func TestAheadIsCancelled(t *testing.T) {
	server, store := startS3(t, bucketload.S3{})
	store.memory = newPool(1 << 20)
	var objects []bucketload.Object
	for i := range 50 {
		must(t, server.Put("b", fmt.Sprintf("%03d", i), []byte("content")))
	}
	for _, o := range list(t, store, []string{"s3://b"}, nil) {
		objects = append(objects, o.Object)
	}
	asked := make(chan struct{})
	var once sync.Once
	server.Fault(func(r *http.Request) *temp.Fault {
		once.Do(func() { close(asked) })
		<-r.Context().Done() // never answered
		return nil
	})
	for _, how := range []string{"context", "close"} {
		ctx, cancel := context.WithCancel(t.Context())
		ahead := store.Ahead(ctx, wholes(objects))
		<-asked
		if how == "context" {
			cancel()
			_, err := ahead.Open(ctx, objects[0])
			wantError(t, err, bucketload.CodeCancelled, false)
		}
		must(t, ahead.Close())
		cancel()
		if store.memory.lent != 0 {
			t.Errorf("%s: %d bytes are still lent", how, store.memory.lent)
		}
	}
}

// A pool never holds more than its limit, lent and kept together, and lends
// what was given back.
func TestPoolKeepsItsLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPool(rapid.Int64Range(0, 1<<20).Draw(t, "limit"))
		var lent [][]byte
		var sum int64
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			if len(lent) > 0 && rapid.Bool().Draw(t, "give back") {
				i := rapid.IntRange(0, len(lent)-1).Draw(t, "which")
				sum -= int64(cap(lent[i]))
				p.put(lent[i])
				lent = append(lent[:i], lent[i+1:]...)
			} else if n := rapid.Int64Range(0, 1<<18).Draw(t, "size"); true {
				buf, ok := p.get(n)
				if fits := sum+max(minBuffer, 2*n) <= p.limit; fits && !ok {
					t.Fatalf("%d bytes are refused with %d of %d lent", n, sum, p.limit)
				}
				if ok {
					if int64(len(buf)) != n {
						t.Fatalf("%d bytes instead of %d", len(buf), n)
					}
					lent, sum = append(lent, buf), sum+int64(cap(buf))
				}
			}
			if p.lent != sum || p.lent+p.kept > p.limit {
				t.Fatalf("%d lent (%d), %d kept of %d", p.lent, sum, p.kept, p.limit)
			}
		}
	})
}
