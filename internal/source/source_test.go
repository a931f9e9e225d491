package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/temp"
)

func TestMain(m *testing.M) {
	// No credentials of the machine that runs the tests, and no look for any on the network.
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			_ = os.Unsetenv(name)
		}
	}
	_ = os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	_ = os.Setenv("AWS_CONFIG_FILE", os.DevNull)
	_ = os.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	goleak.VerifyTestMain(patient{m}, kept...)
}

// kept are the goroutines of connections that are kept for later requests.
var kept = []goleak.Option{goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop")}

// patient gives goroutines a minute to end: a busy machine may take longer than
// the half second that goleak waits.
type patient struct{ m *testing.M }

func (p patient) Run() int {
	code := p.m.Run()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if code != 0 || goleak.Find(kept...) == nil {
			break
		}
	}
	return code
}

// shelf is somewhere to put objects: the suite runs over S3 and over a directory.
type shelf struct {
	store *Store
	root  string // URI with a final slash
	put   func(key, content string)
}

func shelves(t *testing.T) map[string]shelf {
	server, store := startS3(t, bucketload.S3{})
	dir := t.TempDir()
	return map[string]shelf{
		"s3": {store, "s3://shelf/", func(key, content string) {
			must(t, server.Put("shelf", key, []byte(content)))
		}},
		"dir": {New(bucketload.S3{}), "file://" + dir + "/", func(key, content string) {
			path := filepath.Join(dir, filepath.FromSlash(key))
			must(t, os.MkdirAll(filepath.Dir(path), 0o755))
			must(t, os.WriteFile(path, []byte(content), 0o644))
		}},
	}
}

// startS3 gives a server, and a store that reaches it anonymously and does not
// wait between tries.
func startS3(t testing.TB, opts bucketload.S3) (*temp.S3, *Store) {
	t.Helper()
	server, err := temp.StartS3(temp.S3Options{})
	must(t, err)
	t.Cleanup(func() { _ = server.Close() })
	opts.EndpointURL, opts.PathStyle, opts.Anonymous = server.URL(), true, true
	store := New(opts)
	store.backoff = func(int) time.Duration { return 0 }
	return server, store
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func list(t testing.TB, s *Store, from, exclude []string) []Listed {
	t.Helper()
	var got []Listed
	must(t, s.List(t.Context(), from, exclude, func(l Listed) error {
		got = append(got, l)
		return nil
	}))
	return got
}

func keys(root string, listed []Listed) []string {
	out := []string{}
	for _, l := range listed {
		out = append(out, strings.TrimPrefix(l.URI, root))
	}
	return out
}

func code(err error) bucketload.Code {
	if err == nil {
		return ""
	}
	return bucketload.AsError(err).Code
}

func wantError(t *testing.T, err error, want bucketload.Code, transient bool) *bucketload.Error {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s", want)
	}
	e := bucketload.AsError(err)
	if e.Code != want || e.Transient != transient {
		t.Fatalf("code %s, transient %v; want %s, %v: %v", e.Code, e.Transient, want, transient, err)
	}
	if e.Code != bucketload.CodeCancelled && e.Hint == "" {
		t.Errorf("no hint: %v", err)
	}
	return e
}

var tree = []string{
	"a b/with space.csv",
	"data.csv",
	"notes.txt",
	"year_2021/a.csv",
	"year_2021/b.csv.gz",
	"year_2021/notes.txt",
	"year_2021/sub/c.csv",
	"year_2021/sub/deep/d.csv",
	"year_2021.csv",
	"year_20210/x.csv",
}

func TestListForms(t *testing.T) {
	all := slices.Sorted(slices.Values(tree))
	tests := []struct {
		name    string
		from    []string // below the root
		exclude []string
		want    []string
	}{
		{"all", []string{""}, nil, all},
		{"prefix with slash", []string{"year_2021/sub/"}, nil, []string{"year_2021/sub/c.csv", "year_2021/sub/deep/d.csv"}},
		{"prefix ends at a slash", []string{"year_2021"}, nil,
			[]string{"year_2021/a.csv", "year_2021/b.csv.gz", "year_2021/notes.txt", "year_2021/sub/c.csv", "year_2021/sub/deep/d.csv"}},
		{"one object", []string{"data.csv"}, nil, []string{"data.csv"}},
		{"star stops at slashes", []string{"year_2021/*.csv"}, nil, []string{"year_2021/a.csv"}},
		{"star at the top", []string{"*.csv"}, nil, []string{"data.csv", "year_2021.csv"}},
		{"star within the prefix", []string{"year_2021*/*.csv"}, nil, []string{"year_2021/a.csv", "year_20210/x.csv"}},
		{"any depth", []string{"**/*.csv"}, []string{"*2021*"}, []string{"a b/with space.csv", "data.csv",
			"year_2021/a.csv", "year_2021/sub/c.csv", "year_2021/sub/deep/d.csv", "year_20210/x.csv"}},
		{"any depth below", []string{"year_2021/**/d.csv"}, nil, []string{"year_2021/sub/deep/d.csv"}},
		{"alternatives", []string{"year_2021/{a.csv,notes.txt,none}"}, nil, []string{"year_2021/a.csv", "year_2021/notes.txt"}},
		{"alternatives with slashes", []string{"{year_2021/sub/c,data}.csv"}, nil, []string{"data.csv", "year_2021/sub/c.csv"}},
		{"question mark and class", []string{"year_2021?/[w-y].csv"}, nil, []string{"year_20210/x.csv"}},
		{"glob of directories", []string{"year_2021*/s*/"}, nil, []string{"year_2021/sub/c.csv", "year_2021/sub/deep/d.csv"}},
		{"overlap", []string{"year_2021/a.csv", "year_2021/*.csv", "year_2021/"}, nil,
			[]string{"year_2021/a.csv", "year_2021/b.csv.gz", "year_2021/notes.txt", "year_2021/sub/c.csv", "year_2021/sub/deep/d.csv"}},
		{"order of the URIs", []string{"notes.txt", "data.csv"}, nil, []string{"notes.txt", "data.csv"}},
		{"exclude a base name", []string{""}, []string{"*.txt", "*.csv"}, []string{"year_2021/b.csv.gz"}},
		{"exclude a path", []string{"year_2021"}, []string{"sub/*.csv", "year_2021/n*"}, []string{"year_2021/a.csv", "year_2021/b.csv.gz", "year_2021/sub/deep/d.csv"}},
		{"exclude a directory", []string{"year_2021"}, []string{"sub/"}, []string{"year_2021/a.csv", "year_2021/b.csv.gz", "year_2021/notes.txt"}},
		{"exclude what is named", []string{"data.csv"}, []string{"data.*"}, nil},
		{"exclude a class that matches nothing", []string{"notes.txt"}, []string{"[a-c]*"}, []string{"notes.txt"}},
		{"nothing matches", []string{"*.parquet"}, nil, nil},
		{"no such glob directory", []string{"year_2021/*/*/*/*.csv"}, nil, nil},
	}
	for kind, sh := range shelves(t) {
		for _, key := range tree {
			sh.put(key, key)
		}
		for _, tt := range tests {
			t.Run(kind+"/"+tt.name, func(t *testing.T) {
				var from []string
				for _, f := range tt.from {
					from = append(from, sh.root+f)
				}
				got := keys(sh.root, list(t, sh.store, from, tt.exclude))
				if !slices.Equal(got, append([]string{}, tt.want...)) {
					t.Errorf("got  %q\nwant %q", got, tt.want)
				}
			})
		}
		t.Run(kind+"/exclude by URI", func(t *testing.T) {
			got := keys(sh.root, list(t, sh.store, []string{sh.root}, []string{sh.root + "year_2021", sh.root + "*.csv", sh.root + "a b/"}))
			if want := []string{"notes.txt", "year_20210/x.csv"}; !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestChosen(t *testing.T) {
	tests := map[string]bool{
		"data.txt": true, "*.txt": true, "*.csv.gz": true, "**/*.log": true, "part-[0-9].gz": true, "*.{csv,tsv}": true,
		"**/LATEST": true, "{a,b}": true, "part-*": true, "data.*": true, "x?": true,
		"dir/": false, "*": false, "**": false, "*.csv*": false, "*.d/": false, "*.": false, "?x": false, "[ab]*": false,
	}
	for uri, want := range tests {
		p, err := parsePattern("s3://b/" + uri)
		must(t, err)
		if got := p.chosen(); p.glob != "" && got != want {
			t.Errorf("%s: chosen %v, want %v", uri, got, want)
		}
	}
	for kind, sh := range shelves(t) {
		sh.put("d/x.dat", "x")
		for uri, want := range map[string]bool{"d/x.dat": true, "d/*.dat": true, "d/": false, "d": false, "d/*": false} {
			if got := list(t, sh.store, []string{sh.root + uri}, nil); len(got) != 1 || got[0].Chosen != want {
				t.Errorf("%s %s: %+v, want chosen %v", kind, uri, got, want)
			}
		}
	}
}

// hostile names must be listed, be named by themselves, and be opened.
var hostile = []string{
	"; drop table x;--.csv", `quote"'.csv`, "new\nline.csv", "tab\tand\rreturn.csv", "star*.csv", "what?.csv", "[abc].csv",
	"{a,b}.csv", "open[.csv", "open{.csv", `back\slash.csv`, "100%.csv", "%2F.csv", "a+b c.csv", "ünïcödé 雪.csv", "#frag?q=1&x.csv", "$HOME ~ `id`.csv",
	"-rf.csv", "\x01\x7f.csv",
}

func TestHostileKeys(t *testing.T) {
	for kind, sh := range shelves(t) {
		t.Run(kind, func(t *testing.T) {
			more := []string{}
			if kind == "s3" {
				more = []string{"/leading.csv", "two//slashes.csv", "a/../up.csv", "./here.csv", " ", "dir/*/x", "**", "a://b.csv"}
			}
			all := slices.Sorted(slices.Values(slices.Concat(hostile, more)))
			for _, key := range all {
				sh.put(key, "content of "+key)
			}
			listed := list(t, sh.store, []string{sh.root}, nil)
			if got := keys(sh.root, listed); !slices.Equal(got, all) {
				t.Fatalf("got  %q\nwant %q", got, all)
			}
			for i, key := range all {
				one := list(t, sh.store, []string{sh.root + key}, nil)
				if len(one) != 1 || one[0].Version != listed[i].Version || one[0].URI != listed[i].URI || !one[0].Chosen {
					t.Errorf("%q by itself: %+v", key, one)
				}
				if got := read(t, sh.store, listed[i].Object); got != "content of "+key {
					t.Errorf("%q holds %q", key, got)
				}
				rest := list(t, sh.store, []string{sh.root}, []string{sh.root + strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "{", `\{`, "}", `\}`).Replace(key)})
				if strings.ContainsAny(key, wildcards) && len(rest) != len(all)-1 {
					t.Errorf("%q: the escaped exclude leaves %d of %d", key, len(rest), len(all))
				}
			}
		})
	}
}

func read(t testing.TB, s *Store, obj bucketload.Object) string {
	t.Helper()
	r, err := s.Open(t.Context(), obj)
	must(t, err)
	defer func() { _ = r.Close() }()
	b, err := io.ReadAll(r)
	must(t, err)
	return string(b)
}

func TestMarkersAreNoObjects(t *testing.T) {
	server, store := startS3(t, bucketload.S3{})
	for key, content := range map[string]string{"d/": "", "d/e/": "x", "d_$folder$": "", "d/full_$folder$": "x", "d/a": ""} {
		must(t, server.Put("b", key, []byte(content)))
	}
	want := []string{"d/a", "d/full_$folder$"}
	for _, uri := range []string{"s3://b", "s3://b/", "S3://b", "s3://b/**"} {
		if got := keys("s3://b/", list(t, store, []string{uri}, nil)); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", uri, got, want)
		}
	}
}

func TestUsage(t *testing.T) {
	tests := []struct{ from, exclude string }{
		{"", ""}, {"s3://", ""}, {"s3:///key", ""}, {"s3://b*/x", ""}, {"gs://b/x", ""}, {"http://h/x", ""}, {"file://host/x", ""},
		{"s3://b/[a", ""}, {"s3://b/{a", ""}, {".", "[a"}, {".", "a/{b"}, {".", "gs://b/"}, {".", "s3://b/x[*"}, {".", `x\`},
	}
	server, store := startS3(t, bucketload.S3{})
	must(t, server.CreateBucket("b"))
	for _, tt := range tests {
		var exclude []string
		if tt.exclude != "" {
			exclude = []string{tt.exclude}
		}
		err := store.List(t.Context(), []string{tt.from}, exclude, func(Listed) error { return nil })
		if code(err) != bucketload.CodeUsage {
			t.Errorf("%q exclude %q: %v", tt.from, tt.exclude, err)
		}
	}
	_, err := store.Open(t.Context(), bucketload.Object{URI: "data.csv"})
	wantError(t, err, bucketload.CodeUsage, false)
}

func TestYieldErrorEndsTheListing(t *testing.T) {
	stop := errors.New("stop")
	for kind, sh := range shelves(t) {
		sh.put("a", "")
		sh.put("b", "")
		calls := 0
		err := sh.store.List(t.Context(), []string{sh.root}, nil, func(Listed) error { calls++; return stop })
		if err != stop || calls != 1 {
			t.Errorf("%s: %v after %d", kind, err, calls)
		}
	}
}

func TestOpenAndRanges(t *testing.T) {
	for kind, sh := range shelves(t) {
		t.Run(kind, func(t *testing.T) {
			const content = "0123456789"
			sh.put("x", content)
			sh.put("empty", "")
			if got := read(t, sh.store, list(t, sh.store, []string{sh.root + "empty"}, nil)[0].Object); got != "" {
				t.Errorf("empty holds %q", got)
			}
			obj := list(t, sh.store, []string{sh.root + "x"}, nil)[0].Object
			if obj.Size != int64(len(content)) || obj.Version == "" || time.Since(obj.Time).Abs() > time.Hour {
				t.Errorf("%+v", obj)
			}
			rapid.Check(t, func(rt *rapid.T) {
				off, n := rapid.Int64Range(-2, 13).Draw(rt, "off"), rapid.Int64Range(-1, 13).Draw(rt, "n")
				r, err := sh.store.OpenRange(t.Context(), obj, off, n)
				if err != nil {
					rt.Fatal(err)
				}
				got, err := io.ReadAll(r)
				lo := min(max(off, 0), 10)
				hi := min(lo+max(n, 0), 10)
				if err != nil || string(got) != content[lo:hi] || r.Close() != nil {
					rt.Fatalf("[%d,%d): %q, %v", off, off+n, got, err)
				}
			})
		})
	}
}

func TestPinned(t *testing.T) {
	for kind, sh := range shelves(t) {
		t.Run(kind, func(t *testing.T) {
			sh.put("x", "first")
			obj := list(t, sh.store, []string{sh.root + "x"}, nil)[0].Object
			sh.put("x", "other")
			if kind == "dir" {
				later := obj.Time.Add(time.Second)
				must(t, os.Chtimes(strings.TrimPrefix(obj.URI, fileRoot), later, later))
			}
			_, err := sh.store.Open(t.Context(), obj)
			wantError(t, err, bucketload.CodeChanged, false)
			_, err = sh.store.OpenRange(t.Context(), obj, 1, 2)
			wantError(t, err, bucketload.CodeChanged, false)
			obj.URI += "-gone"
			_, err = sh.store.Open(t.Context(), obj)
			wantError(t, err, bucketload.CodeMissing, false)
		})
	}
}

func TestCancel(t *testing.T) {
	for kind, sh := range shelves(t) {
		t.Run(kind, func(t *testing.T) {
			sh.put("x", strings.Repeat("x", 1<<20))
			obj := list(t, sh.store, []string{sh.root + "x"}, nil)[0].Object
			ctx, cancel := context.WithCancel(t.Context())
			r, err := sh.store.Open(ctx, obj)
			must(t, err)
			defer func() { _ = r.Close() }()
			cancel()
			_, err = io.Copy(io.Discard, r)
			wantError(t, err, bucketload.CodeCancelled, false)
			if !errors.Is(err, context.Canceled) {
				t.Error("the cause is lost")
			}
			err = sh.store.List(ctx, []string{sh.root}, nil, func(Listed) error { return nil })
			wantError(t, err, bucketload.CodeCancelled, false)
		})
	}
}

// Whatever the globs are, no object is listed twice, and as many URIs list
// what each of them does alone.
func TestOverlapsListOnce(t *testing.T) {
	globs := []string{"", "year_2021", "year_2021/", "year_2021/*", "*", "**/*.csv", "data.csv", "**/sub/", "{a b,year_2021}/**", "*.txt", "year_2021/a.csv"}
	for kind, sh := range shelves(t) {
		for _, key := range tree {
			sh.put(key, key)
		}
		alone := map[string][]string{}
		for _, g := range globs {
			alone[g] = keys(sh.root, list(t, sh.store, []string{sh.root + g}, nil))
		}
		t.Run(kind, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				some := rapid.SliceOfN(rapid.SampledFrom(globs), 1, 5).Draw(rt, "globs")
				var from, want []string
				for _, g := range some {
					from = append(from, sh.root+g)
					for _, key := range alone[g] {
						if !slices.Contains(want, key) {
							want = append(want, key)
						}
					}
				}
				if got := keys(sh.root, list(t, sh.store, from, nil)); !slices.Equal(got, append([]string{}, want...)) {
					rt.Fatalf("got  %q\nwant %q", got, want)
				}
			})
		})
	}
}

func FuzzPattern(f *testing.F) {
	for _, s := range []string{"s3://b/a/*.csv", "s3://b", "s3://b/{a,b}/**/[x-z]?.gz", "file:///tmp/**", "dir/*.csv", `s3://b/\*`, "**", "s3://b//x", "./a://b"} {
		f.Add(s, "a/b.csv")
	}
	f.Fuzz(func(t *testing.T, text, key string) {
		p, err := parsePattern(text)
		if err != nil {
			if code(err) != bucketload.CodeUsage {
				t.Fatal(err)
			}
			return
		}
		if !strings.HasPrefix(p.prefix(), p.base) || p.base != "" && !strings.HasSuffix(p.base, "/") {
			t.Fatalf("%+v", p)
		}
		if root, k, err := splitURI(p.root + p.key); p.key != "" && (err != nil || root != p.root || k != p.key) {
			t.Fatalf("%q %q is split into %q %q: %v", p.root, p.key, root, k, err)
		}
		var e excluder
		_ = e.add(text)
		e.match(p.root, key)
		p.chosen()
		if p.valid() != nil {
			return
		}
		for _, key := range []string{key, p.base + key} {
			if !p.matches(key) {
				continue
			}
			// What the pattern matches must be among what is asked for.
			if !strings.HasPrefix(key, p.prefix()) {
				t.Fatalf("%q matches %q, which is not below %q", text, key, p.prefix())
			}
			if d := p.depth(); d >= 0 && strings.Count(key[len(p.base):], "/") > d {
				t.Fatalf("%q matches %q, deeper than %d", text, key, d)
			}
		}
	})
}

func ExampleStore_List() {
	dir, _ := os.MkdirTemp("", "bucket")
	defer func() { _ = os.RemoveAll(dir) }()
	for _, name := range []string{"a.csv", "b.csv", "README.txt"} {
		_ = os.WriteFile(filepath.Join(dir, name), []byte("x\n1\n"), 0o644)
	}
	store := New(bucketload.S3{})
	_ = store.List(context.Background(), []string{dir}, []string{"*.txt"}, func(l Listed) error {
		fmt.Println(filepath.Base(l.URI), l.Size, "bytes")
		return nil
	})
	// Output:
	// a.csv 4 bytes
	// b.csv 4 bytes
}

// A directory may have wildcards in its name, too.
func TestDirectoryNamedLikeAGlob(t *testing.T) {
	for kind, sh := range shelves(t) {
		for _, key := range []string{"[ab] {1} */x", "[ab] {1} */sub/y", "a 1 z/x", "a/x"} {
			sh.put(key, "")
		}
		for from, want := range map[string][]string{
			"[ab] {1} *":  {"[ab] {1} */sub/y", "[ab] {1} */x"},
			"[ab] {1} */": {"[ab] {1} */sub/y", "[ab] {1} */x"},
			"[ab] {1} z/": {"a 1 z/x"},
			"[ab]/x":      {"a/x"},
			`\[ab\]*/x`:   {"[ab] {1} */x"},
		} {
			if got := keys(sh.root, list(t, sh.store, []string{sh.root + from}, nil)); !slices.Equal(got, want) {
				t.Errorf("%s %s: got %q, want %q", kind, from, got, want)
			}
		}
	}
}
