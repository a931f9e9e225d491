package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/temp"
)

func TestListPages(t *testing.T) {
	server, store := startS3(t, bucketload.S3{})
	var want []string
	for i := range 2500 {
		key := fmt.Sprintf("p/%05d", i)
		must(t, server.Put("b", key, []byte("x")))
		want = append(want, key)
	}
	must(t, server.Put("b", "other/x", nil))
	for _, uri := range []string{"s3://b/p/", "s3://b/p/*"} {
		before := server.Requests()["ListObjectsV2"]
		if got := keys("s3://b/", list(t, store, []string{uri}, nil)); !slices.Equal(got, want) {
			t.Errorf("%s: %d keys", uri, len(got))
		}
		pages := int64(3)
		if strings.Contains(uri, "*") {
			pages += 2 // is there an object p/*, or anything below it?
		}
		if n := server.Requests()["ListObjectsV2"] - before; n != pages {
			t.Errorf("%s took %d requests", uri, n)
		}
	}
}

// A glob asks for no more than it must: not for what is deeper, nor for
// what begins otherwise.
func TestListsAsLittleAsPossible(t *testing.T) {
	server, store := startS3(t, bucketload.S3{})
	for i := range 3000 {
		must(t, server.Put("b", fmt.Sprintf("deep/%05d.csv", i), nil))
		must(t, server.Put("b", fmt.Sprintf("year/1_%05d.csv", i), nil))
	}
	must(t, server.Put("b", "top.csv", nil))
	must(t, server.Put("b", "year/2_1.csv", nil))
	for uri, want := range map[string]string{"s3://b/*.csv": "top.csv", "s3://b/year/2_*.csv": "year/2_1.csv"} {
		before := server.Requests()["ListObjectsV2"]
		if got := keys("s3://b/", list(t, store, []string{uri}, nil)); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q", uri, got)
		}
		if n := server.Requests()["ListObjectsV2"] - before; n != 3 {
			t.Errorf("%s took %d requests", uri, n)
		}
	}
}

// big puts 3 MB of noise and gives it with the object.
func big(t *testing.T, server *temp.S3, store *Store) ([]byte, bucketload.Object) {
	content := make([]byte, 3<<20+17)
	noise := rand.NewChaCha8([32]byte{1})
	_, _ = noise.Read(content)
	must(t, server.Put("b", "big", content))
	return content, list(t, store, []string{"s3://b/big"}, nil)[0].Object
}

// onGet applies a fault to the n-th GetObject, from 0.
func onGet(server *temp.S3, fault func(n int64) *temp.Fault) {
	var n atomic.Int64
	server.Fault(func(r *http.Request) *temp.Fault {
		if temp.Operation(r) != "GetObject" {
			return nil
		}
		return fault(n.Add(1) - 1)
	})
}

func TestBrokenConnectionsAreResumed(t *testing.T) {
	server, store := startS3(t, bucketload.S3{})
	content, obj := big(t, server, store)
	for name, fault := range map[string]func(n int64) *temp.Fault{
		"reset":           func(n int64) *temp.Fault { return &temp.Fault{CutAfter: []int64{1, 1 << 20, 100_000, 0}[min(n, 3)]} },
		"truncated":       func(n int64) *temp.Fault { return &temp.Fault{Truncate: []int64{1 << 20, 1, 0}[min(n, 2)]} },
		"before anything": func(n int64) *temp.Fault { return &temp.Fault{CutAfter: []int64{-1, -1, 0}[min(n, 2)]} },
		"busy": func(n int64) *temp.Fault {
			if n < 3 {
				return &temp.Fault{Code: "SlowDown"}
			}
			return nil
		},
		"busy when asked for the rest": func(n int64) *temp.Fault {
			return []*temp.Fault{{CutAfter: 1000}, {Code: "SlowDown"}, {Status: 500}, nil}[min(n, 3)]
		},
		// More often than a body without progress is tried again.
		"every megabyte and a half": func(int64) *temp.Fault { return &temp.Fault{CutAfter: 3 << 19} },
	} {
		t.Run(name, func(t *testing.T) {
			onGet(server, fault)
			if got := read(t, store, obj); got != string(content) {
				t.Errorf("%d bytes, of which not all are right", len(got))
			}
			onGet(server, fault)
			r, err := store.OpenRange(t.Context(), obj, 17, 2<<20)
			must(t, err)
			defer func() { _ = r.Close() }()
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, content[17:17+2<<20]) {
				t.Errorf("range: %d bytes, %v", len(got), err)
			}
		})
	}
}

func TestBrokenListings(t *testing.T) {
	server, store := startS3(t, bucketload.S3{})
	for i := range 1500 {
		must(t, server.Put("b", fmt.Sprint(i), nil))
	}
	for name, fault := range map[string]*temp.Fault{
		"reset": {CutAfter: 3000}, "truncated": {Truncate: 3000}, "no answer": {CutAfter: -1}, "busy": {Code: "SlowDown"},
	} {
		t.Run(name, func(t *testing.T) {
			var n atomic.Int64
			server.Fault(func(*http.Request) *temp.Fault {
				if n.Add(1)%3 == 0 {
					return nil
				}
				return fault
			})
			if got := list(t, store, []string{"s3://b"}, nil); len(got) != 1500 {
				t.Errorf("%d objects", len(got))
			}
			server.Fault(func(*http.Request) *temp.Fault { return fault })
			err := store.List(t.Context(), []string{"s3://b"}, nil, func(Listed) error { return nil })
			if e := bucketload.AsError(err); err == nil || !e.Transient || e.Hint == "" {
				t.Errorf("%s, transient %v: %v", e.Code, e.Transient, err)
			}
		})
	}
}

func TestTriesAreBounded(t *testing.T) {
	server, store := startS3(t, bucketload.S3{})
	_, obj := big(t, server, store)
	var waits []int
	store.api.backoff = func(try int) time.Duration { waits = append(waits, try); return 0 }
	for name, fault := range map[string]temp.Fault{"reset": {CutAfter: 1000}, "truncated": {Truncate: 1000}} {
		t.Run(name, func(t *testing.T) {
			waits = nil
			onGet(server, func(int64) *temp.Fault { return &fault })
			r, err := store.Open(t.Context(), obj)
			must(t, err)
			defer func() { _ = r.Close() }()
			n, err := io.Copy(io.Discard, r)
			wantError(t, err, bucketload.CodeConnect, true)
			if len(waits) != maxTries || n != 1000*(maxTries+1) {
				t.Errorf("%d bytes after waits %v", n, waits)
			}
			if _, again := r.Read(make([]byte, 1)); again != err {
				t.Errorf("the error is not final: %v", again)
			}
		})
	}
}

func TestStalledBody(t *testing.T) {
	server, _ := startS3(t, bucketload.S3{})
	must(t, server.Put("b", "x", []byte("0123456789")))
	gone := make(chan struct{})
	var gets atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if temp.Operation(r) == "GetObject" && gets.Add(1) == 1 {
			w.Header().Set("Content-Length", "10")
			_, _ = w.Write([]byte("0123"))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			close(gone)
			return
		}
		server.ServeHTTP(w, r)
	}))
	defer proxy.Close()
	store := New(bucketload.S3{EndpointURL: proxy.URL, PathStyle: true, Anonymous: true})
	store.stall = 100 * time.Millisecond
	obj := list(t, store, []string{"s3://b/x"}, nil)[0].Object
	if got := read(t, store, obj); got != "0123456789" {
		t.Errorf("got %q", got)
	}
	<-gone
}

// What a store answers that knows neither If-Match nor Range, or that
// something in between has changed, is never taken for the object.
func TestWrongAnswers(t *testing.T) {
	for name, answer := range map[string]struct {
		want  bucketload.Code
		serve func(w http.ResponseWriter, r *http.Request)
	}{
		"another ETag": {bucketload.CodeChanged, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("ETag", `"other"`)
			_, _ = w.Write([]byte("0123456789"))
		}},
		"too long": {bucketload.CodeChanged, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("0123456789+")) }},
		"too long, chunked": {bucketload.CodeChanged, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("01234"))
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write([]byte("56789+"))
		}},
		"too short": {bucketload.CodeChanged, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("0123")) }},
		"too short, chunked, and no ranges": {bucketload.CodeSource, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("0123"))
			_ = http.NewResponseController(w).Flush()
		}},
		"no ranges": {bucketload.CodeSource, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") == "" {
				w.Header().Set("Content-Length", "10")
				_, _ = w.Write([]byte("01234"))
				return
			}
			_, _ = w.Write([]byte("56789"))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(answer.serve))
			defer server.Close()
			store := New(bucketload.S3{EndpointURL: server.URL, PathStyle: true, Anonymous: true})
			store.backoff = func(int) time.Duration { return 0 }
			r, err := store.Open(t.Context(), bucketload.Object{URI: "s3://b/x", Size: 10, Version: "pin"})
			if err == nil {
				defer func() { _ = r.Close() }()
				_, err = io.ReadAll(r)
			}
			wantError(t, err, answer.want, false)
		})
	}
}

// An object with Content-Encoding: gzip is the bytes as stored.
func TestContentEncodingIsLeftAlone(t *testing.T) {
	server, store := startS3(t, bucketload.S3{})
	must(t, server.Put("b", "x.gz", []byte("\x1f\x8b not unpacked")))
	obj := list(t, store, []string{"s3://b/x.gz"}, nil)[0].Object
	server.Fault(func(*http.Request) *temp.Fault { return &temp.Fault{Header: http.Header{"Content-Encoding": {"gzip"}}} })
	if got := read(t, store, obj); got != "\x1f\x8b not unpacked" {
		t.Errorf("got %q", got)
	}
}

func TestErrorsOfS3(t *testing.T) {
	server, store := startS3(t, bucketload.S3{})
	must(t, server.Put("b", "x", []byte("x")))
	obj := list(t, store, []string{"s3://b/x"}, nil)[0].Object
	for _, tt := range []struct {
		status    int
		api       string
		want      bucketload.Code
		transient bool
		hint      string
	}{
		{403, "AccessDenied", bucketload.CodeAccess, false, "--anonymous"},
		{403, "InvalidAccessKeyId", bucketload.CodeAccess, false, "--profile"},
		{403, "InvalidObjectState", bucketload.CodeAccess, false, "restore"},
		{403, "RequestTimeTooSkewed", bucketload.CodeAccess, false, "clock"},
		{400, "ExpiredToken", bucketload.CodeAccess, false, "log in"},
		{404, "NoSuchBucket", bucketload.CodeMissing, false, "name"},
		{404, "NoSuchKey", bucketload.CodeMissing, false, "again"},
		{412, "PreconditionFailed", bucketload.CodeChanged, false, "again"},
		{416, "InvalidRange", bucketload.CodeChanged, false, "again"},
		{503, "SlowDown", bucketload.CodeSource, true, "--max-concurrency"},
		{500, "InternalError", bucketload.CodeSource, true, "later"},
		{429, "TooManyRequests", bucketload.CodeSource, true, "later"},
		{301, "PermanentRedirect", bucketload.CodeSource, false, "--region"},
		{400, "InvalidRequest", bucketload.CodeSource, false, "--endpoint-url"},
	} {
		t.Run(tt.api, func(t *testing.T) {
			server.Fault(func(*http.Request) *temp.Fault { return &temp.Fault{Status: tt.status, Code: tt.api} })
			_, err := store.Open(t.Context(), obj)
			e := wantError(t, err, tt.want, tt.transient)
			if !strings.Contains(e.Hint, tt.hint) || e.URI != obj.URI {
				t.Errorf("%s: hint %q", e.URI, e.Hint)
			}
			err = store.List(t.Context(), []string{"s3://b/"}, nil, func(Listed) error { return nil })
			wantError(t, err, tt.want, tt.transient)
		})
	}
	must(t, server.Close())
	_, err := store.Open(t.Context(), obj)
	wantError(t, err, bucketload.CodeConnect, true)
}

func TestNamedObjectWithoutTheRightToList(t *testing.T) {
	server, store := startS3(t, bucketload.S3{})
	must(t, server.Put("b", "x", []byte("x")))
	want := list(t, store, []string{"s3://b/x"}, nil)[0]
	server.Fault(func(r *http.Request) *temp.Fault {
		if temp.Operation(r) == "ListObjectsV2" {
			return &temp.Fault{Status: 403, Code: "AccessDenied"}
		}
		return nil
	})
	got := list(t, store, []string{"s3://b/x"}, nil)
	if len(got) != 1 || got[0].Version != want.Version || got[0].Size != 1 || !got[0].Chosen {
		t.Errorf("%+v", got)
	}
	err := store.List(t.Context(), []string{"s3://b/y"}, nil, func(Listed) error { return nil })
	wantError(t, err, bucketload.CodeAccess, false)
}

// signed makes a store that signs, with a handler in front of the server that
// sees the requests.
func signed(t *testing.T, opts bucketload.S3, see func(w http.ResponseWriter, r *http.Request) bool) (*temp.S3, *Store) {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "AKID")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hush")
	server, err := temp.StartS3(temp.S3Options{})
	must(t, err)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if see(w, r) {
			server.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() { proxy.Close(); _ = server.Close() })
	opts.EndpointURL, opts.PathStyle = proxy.URL, true
	store := New(opts)
	store.backoff = func(int) time.Duration { return 0 }
	return server, store
}

func TestRegionIsFollowed(t *testing.T) {
	for name, refuse := range map[string]func(w http.ResponseWriter, r *http.Request){
		"redirect": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amz-Bucket-Region", "eu-west-3")
			w.WriteHeader(http.StatusMovedPermanently)
			_, _ = io.WriteString(w, "<Error><Code>PermanentRedirect</Code></Error>")
		},
		"malformed, region from HeadBucket": func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				w.Header().Set("X-Amz-Bucket-Region", "eu-west-3")
			}
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-3</Region></Error>")
		},
	} {
		t.Run(name, func(t *testing.T) {
			var refused atomic.Int64
			server, store := signed(t, bucketload.S3{}, func(w http.ResponseWriter, r *http.Request) bool {
				if strings.Contains(r.Header.Get("Authorization"), "/eu-west-3/s3/") {
					return true
				}
				refused.Add(1)
				refuse(w, r)
				return false
			})
			must(t, server.Put("b", "x", []byte("x")))
			got := list(t, store, []string{"s3://b/"}, nil)
			before := refused.Load()
			if len(got) != 1 || read(t, store, got[0].Object) != "x" || refused.Load() != before {
				t.Errorf("%+v, %d refused", got, refused.Load())
			}
		})
	}
}

func TestRequesterPaysAndRegion(t *testing.T) {
	var seen []string
	server, store := signed(t, bucketload.S3{RequesterPays: true, Region: "ap-south-1"}, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("X-Amz-Request-Payer") != "requester" || !strings.Contains(r.Header.Get("Authorization"), "AKID/") ||
			!strings.Contains(r.Header.Get("Authorization"), "/ap-south-1/s3/") {
			seen = append(seen, fmt.Sprint(r.Method, r.URL, r.Header))
		}
		return true
	})
	must(t, server.Put("b", "x", []byte("x")))
	read(t, store, list(t, store, []string{"s3://b/x"}, nil)[0].Object)
	if len(seen) > 0 {
		t.Errorf("%q", seen)
	}
}

func TestAssumeRole(t *testing.T) {
	var denied atomic.Bool
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		if denied.Load() {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>")
			return
		}
		_, _ = fmt.Fprintf(w, `<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ROLE-%s</AccessKeyId>
			<SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration>
			</Credentials></AssumeRoleResult></AssumeRoleResponse>`, r.Form.Get("RoleSessionName"))
	}))
	defer sts.Close()
	t.Setenv("AWS_ENDPOINT_URL_STS", sts.URL)
	opts := bucketload.S3{AssumeRole: "arn:aws:iam::123456789012:role/reader"}
	var asRole atomic.Bool
	server, store := signed(t, opts, func(_ http.ResponseWriter, r *http.Request) bool {
		asRole.Store(strings.Contains(r.Header.Get("Authorization"), "ROLE-bucketload/"))
		return true
	})
	must(t, server.Put("b", "x", nil))
	if list(t, store, []string{"s3://b/"}, nil); !asRole.Load() {
		t.Error("the role's credentials are not used")
	}
	denied.Store(true)
	_, store = signed(t, opts, func(http.ResponseWriter, *http.Request) bool { return true })
	e := wantError(t, store.List(t.Context(), []string{"s3://b/"}, nil, nil), bucketload.CodeAccess, false)
	if !strings.Contains(e.Message, opts.AssumeRole) {
		t.Error(e)
	}
}

func TestCredentials(t *testing.T) {
	server, _ := startS3(t, bucketload.S3{})
	must(t, server.Put("b", "x", nil))
	at := func(o bucketload.S3) *Store { o.EndpointURL, o.PathStyle = server.URL(), true; return New(o) }
	none := func(Listed) error { return nil }

	err := at(bucketload.S3{}).List(t.Context(), []string{"s3://b/"}, nil, none)
	if e := wantError(t, err, bucketload.CodeAccess, false); !strings.Contains(e.Hint, "--anonymous for a public bucket") {
		t.Error(e.Hint)
	}
	err = at(bucketload.S3{AssumeRole: "arn:aws:iam::1:role/r"}).List(t.Context(), []string{"s3://b/"}, nil, none)
	if e := wantError(t, err, bucketload.CodeAccess, false); !strings.Contains(e.Message, "no AWS credentials") {
		t.Error(e)
	}
	err = at(bucketload.S3{Profile: "nobody"}).List(t.Context(), []string{"s3://b/"}, nil, none)
	wantError(t, err, bucketload.CodeUsage, false)
	err = at(bucketload.S3{Anonymous: true, AssumeRole: "r"}).List(t.Context(), []string{"s3://b/"}, nil, none)
	wantError(t, err, bucketload.CodeUsage, false)
	err = New(bucketload.S3{EndpointURL: "localhost:9000"}).List(t.Context(), []string{"s3://b/"}, nil, none)
	wantError(t, err, bucketload.CodeUsage, false)

	file := filepath.Join(t.TempDir(), "credentials")
	must(t, os.WriteFile(file, []byte("[someone]\naws_access_key_id = A\naws_secret_access_key = hush\n"), 0o600))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	must(t, at(bucketload.S3{Profile: "someone"}).List(t.Context(), []string{"s3://b/"}, nil, none))

	lost := &provider{}
	lost.found.Store(true)
	if err := explainCredentials(&credentialsError{before: true, err: errors.New("no answer")}); !bucketload.IsTransient(err) {
		t.Error("credentials that were there may be there again")
	}
}

func TestBackoffIsFullJitter(t *testing.T) {
	for try := range 100 {
		if d := fullJitter(try); d < 0 || d >= min(200*time.Millisecond<<min(try, 6), 10*time.Second) {
			t.Errorf("try %d waits %v", try, d)
		}
	}
}

func TestNotS3(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html><p>Hello</html>") })
	plain, secure := httptest.NewServer(page), httptest.NewUnstartedServer(page)
	defer plain.Close()
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	for url, want := range map[string]bucketload.Code{plain.URL: bucketload.CodeSource, secure.URL: bucketload.CodeConnect} {
		store := New(bucketload.S3{EndpointURL: url, PathStyle: true, Anonymous: true})
		store.backoff = func(int) time.Duration { return 0 }
		err := store.List(t.Context(), []string{"s3://b/"}, nil, func(Listed) error { return nil })
		t.Log(wantError(t, err, want, false))
	}
}
