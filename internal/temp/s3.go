package temp

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/bucketload/bucketload"
)

// S3Options configures a temporary S3 server; the zero value is fine.
type S3Options struct {
	Addr string // default 127.0.0.1:0, a free port
}

// S3 is an S3 server in this process, for path-style requests, without any
// check of credentials. Buckets live in memory (gofakes3), or are a directory
// on disk, read only.
//
// Listing (ListObjectsV2), reading from directories and If-Match are this
// package's own: gofakes3 ignores If-Match and encoding-type, and shows a
// common prefix again on every page that it reaches into.
type S3 struct {
	memory *s3mem.Backend
	fake   http.Handler
	server http.Server
	url    string

	mu       sync.Mutex
	dirs     map[string]*dirBucket
	requests map[string]int64
	fault    func(*http.Request) *Fault
}

// StartS3 starts a server, which runs until Close.
func StartS3(o S3Options) (*S3, error) {
	l, err := net.Listen("tcp", cmp.Or(o.Addr, "127.0.0.1:0"))
	if err != nil {
		return nil, &bucketload.Error{Op: "s3", Code: bucketload.CodeConnect, Message: "the temporary S3 server has no port to listen on", Err: err}
	}
	s := &S3{
		memory:   s3mem.New(),
		url:      "http://" + l.Addr().String(),
		dirs:     map[string]*dirBucket{},
		requests: map[string]int64{},
	}
	s.fake = gofakes3.New(s.memory, gofakes3.WithTimeSkewLimit(0)).Server()
	s.server = http.Server{Handler: s, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = s.server.Serve(l) }() // it ends with ErrServerClosed
	return s, nil
}

// URL is the endpoint, to be used with path-style addressing.
func (s *S3) URL() string { return s.url }

// Close ends the server and all its connections at once.
func (s *S3) Close() error {
	err := s.server.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.dirs {
		err = errors.Join(err, d.root.Close())
	}
	return err
}

// CreateBucket makes an empty bucket in memory; it may exist already.
func (s *S3) CreateBucket(bucket string) error {
	if err := s.memory.CreateBucket(bucket); err != nil && !gofakes3.IsAlreadyExists(err) {
		return err
	}
	return nil
}

// Put stores an object in a bucket in memory, which is made where missing.
func (s *S3) Put(bucket, key string, content []byte) error {
	if err := s.CreateBucket(bucket); err != nil {
		return err
	}
	meta := map[string]string{"Last-Modified": time.Now().UTC().Format(http.TimeFormat)}
	_, err := s.memory.PutObject(bucket, key, meta, bytes.NewReader(content), int64(len(content)), nil)
	return err
}

// Delete removes an object from a bucket in memory.
func (s *S3) Delete(bucket, key string) error {
	_, err := s.memory.DeleteObject(bucket, key)
	return err
}

// EnableVersioning gives a bucket in memory versions from now on.
func (s *S3) EnableVersioning(bucket string) error {
	if err := s.CreateBucket(bucket); err != nil {
		return err
	}
	var v gofakes3.VersioningConfiguration
	v.SetEnabled(true)
	return s.memory.SetVersioningConfiguration(bucket, v)
}

// ServeDir shows the regular files below dir as a read-only bucket; keys are
// their paths with slashes. A listing sees the directory as it is when its
// first page is asked for.
//
// An ETag is made from the file's name, size and modification time, so it is
// stable and changes with the file without reading it; unlike the ETags of
// buckets in memory it is not the content's MD5, as with S3's multipart uploads.
func (s *S3) ServeDir(bucket, dir string) error {
	d, err := openDir(dir)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.dirs[bucket]; old != nil {
		err = old.root.Close()
	}
	s.dirs[bucket] = d
	return err
}

// Fault installs a function that is asked about every request, from the
// requests' own goroutines; nil for no faults. See Operation.
func (s *S3) Fault(f func(*http.Request) *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Requests counts the requests so far by operation, including faulty ones.
func (s *S3) Requests() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.requests)
}

// ServeHTTP implements http.Handler.
func (s *S3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	bucket, key := splitPath(r)
	op := Operation(r)

	s.mu.Lock()
	s.requests[op]++
	fault, dir := s.fault, s.dirs[bucket]
	s.mu.Unlock()

	if fault != nil {
		if f := fault(r); f != nil {
			if w = f.apply(w, r); w == nil {
				return
			}
			if l, ok := w.(*liar); ok {
				defer l.end()
			}
		}
	}
	switch {
	case op == "ListObjectsV2":
		s.list(w, r, bucket, dir)
	case dir != nil:
		dir.serve(w, r, op, key)
	case op == "GetObject" && r.Header.Get("If-Match") != "", op == "HeadObject" && r.Header.Get("If-Match") != "":
		m := &ifMatch{ResponseWriter: w, r: r}
		s.fake.ServeHTTP(m, r)
		m.start()
	default:
		s.fake.ServeHTTP(w, r)
	}
}

// splitPath gives the bucket and the key of a path-style request.
func splitPath(r *http.Request) (bucket, key string) {
	bucket, key, _ = strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return bucket, key
}

// Operation names a request as the S3 API does: ListObjectsV2, GetObject,
// HeadObject, PutObject, DeleteObject, DeleteObjects, HeadBucket and so on.
// Requests beyond those have the name of their method.
func Operation(r *http.Request) string {
	bucket, key := splitPath(r)
	q := r.URL.Query()
	switch {
	case bucket == "" && r.Method == http.MethodGet:
		return "ListBuckets"
	case key != "" && !q.Has("uploads") && !q.Has("uploadId"):
		if name, ok := objectOperations[r.Method]; ok {
			return name
		}
	case key != "":
		return r.Method
	case r.Method == http.MethodGet && q.Get("list-type") == "2":
		return "ListObjectsV2"
	case r.Method == http.MethodGet && q.Has("versions"):
		return "ListObjectVersions"
	case r.Method == http.MethodGet && q.Has("versioning"):
		return "GetBucketVersioning"
	case r.Method == http.MethodGet && q.Has("location"):
		return "GetBucketLocation"
	case r.Method == http.MethodGet:
		return "ListObjects"
	case r.Method == http.MethodHead:
		return "HeadBucket"
	case r.Method == http.MethodPut && len(q) == 0:
		return "CreateBucket"
	case r.Method == http.MethodPost && q.Has("delete"):
		return "DeleteObjects"
	}
	return r.Method
}

var objectOperations = map[string]string{
	http.MethodGet:    "GetObject",
	http.MethodHead:   "HeadObject",
	http.MethodPut:    "PutObject",
	http.MethodDelete: "DeleteObject",
}

// ifMatch answers 412 where the object that is about to be served is not the
// one asked for. Judging the response, not the bucket beforehand, leaves no
// moment for the object to change in.
type ifMatch struct {
	http.ResponseWriter
	r       *http.Request
	started bool
	failed  bool
}

func (m *ifMatch) WriteHeader(status int) {
	if m.started {
		return
	}
	m.started = true
	if status < 300 && !matches(m.r.Header.Get("If-Match"), m.Header().Get("ETag")) {
		m.failed = true
		writeError(m.ResponseWriter, m.r, http.StatusPreconditionFailed, "PreconditionFailed")
		return
	}
	m.ResponseWriter.WriteHeader(status)
}

func (m *ifMatch) Write(b []byte) (int, error) {
	m.start()
	if m.failed {
		return len(b), nil
	}
	return m.ResponseWriter.Write(b)
}

// start sends the header of an answer that has no body, too.
func (m *ifMatch) start() { m.WriteHeader(http.StatusOK) }

// matches compares an If-Match header with an ETag; S3 takes it unquoted, too.
func matches(header, etag string) bool {
	return header == "*" || strings.Trim(header, `"`) == strings.Trim(etag, `"`)
}

// writeError answers with S3's error document.
func writeError(w http.ResponseWriter, r *http.Request, status int, code string) {
	h := w.Header()
	for _, name := range []string{"Content-Length", "Content-Range", "Accept-Ranges", "ETag", "Last-Modified"} {
		h.Del(name)
	}
	h.Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	body, _ := xml.Marshal(struct {
		XMLName  xml.Name `xml:"Error"`
		Code     string
		Message  string
		Resource string
	}{Code: code, Message: http.StatusText(status), Resource: r.URL.Path})
	_, _ = fmt.Fprintf(w, "%s%s", xml.Header, body) // the client may have gone
}
