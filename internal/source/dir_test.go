package source

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bucketload/bucketload"
)

func write(t *testing.T, parts ...string) string {
	t.Helper()
	path := filepath.Join(parts...)
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte("x"), 0o644))
	return path
}

func TestPaths(t *testing.T) {
	home := filepath.Join(t.TempDir(), "work [1] {2} *")
	data := write(t, home, "data", "a.csv")
	write(t, home, "data", "b.csv")
	t.Chdir(home)
	for from, want := range map[string]int{
		"data": 2, "data/": 2, "./data": 2, "data/.": 2, ".": 2, "": -1, "data/*.csv": 1 + 1, "./*/a.csv": 1, "**": 2, "../*/data/a.csv": 1,
		"data/a.csv": 1, data: 1, "file://" + data: 1, "file://" + home + "/data": 2, "data/../data/a.csv": 1,
		"data/a.csv/": -1, "none": -1, "none/*.csv": -1, "data/a.csv/*": -1,
	} {
		n := 0
		err := New(bucketload.S3{}).List(t.Context(), []string{from}, []string{"./none.csv"}, func(l Listed) error {
			n++
			if !strings.HasPrefix(l.URI, "file://"+home+"/data/") {
				t.Errorf("%q: %q", from, l.URI)
			}
			return nil
		})
		if want < 0 && err == nil || want >= 0 && (err != nil || n != want) {
			t.Errorf("%q lists %d, want %d: %v", from, n, want, err)
		}
		if from == "none" {
			wantError(t, err, bucketload.CodeMissing, false)
		}
	}
	got := list(t, New(bucketload.S3{}), []string{"data"}, []string{"./data/a.csv", "../x"})
	if len(got) != 1 {
		t.Errorf("relative exclude: %+v", got)
	}
	got = list(t, New(bucketload.S3{}), []string{"data"}, []string{strings.NewReplacer("*", `\*`, "[", `\[`, "{", `\{`, "}", `\}`).Replace(home) + "/data/a.*"})
	if len(got) != 1 {
		t.Errorf("absolute exclude: %+v", got)
	}
}

func TestHiddenFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), ".cache") // a hidden directory that is named is fine
	for _, name := range []string{"a", ".b", ".git/c", "d/.e", "d/f"} {
		write(t, dir, name)
	}
	for glob, want := range map[string][]string{
		"": {"a", "d/f"}, "**": {"a", "d/f"}, "*": {"a"}, ".*": {".b"}, "**/.*": {".b", "d/.e"}, ".git/": {".git/c"}, ".b": {".b"}, "d/.e": {"d/.e"},
	} {
		if got := keys("file://"+dir+"/", list(t, New(bucketload.S3{}), []string{dir + "/" + glob}, nil)); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", glob, got, want)
		}
	}
}

func TestLinks(t *testing.T) {
	base := t.TempDir()
	outside := write(t, base, "outside", "secret.csv")
	dir := filepath.Join(base, "dir")
	write(t, dir, "real.csv")
	write(t, dir, "sub", "s.csv")
	link := func(name, to string) { must(t, os.Symlink(to, filepath.Join(dir, name))) }
	link("inside.csv", "real.csv")
	link("subdir", "sub")
	link(".hidden.csv", outside)
	must(t, os.Symlink(dir, filepath.Join(base, "alias")))
	store := New(bucketload.S3{})
	for _, from := range []string{dir, filepath.Join(base, "alias")} {
		got := keys("file://"+from+"/", list(t, store, []string{from}, nil))
		if want := []string{"inside.csv", "real.csv", "sub/s.csv"}; !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", from, got, want)
		}
	}
	// Those that lead out, or to nothing, are refused where they are asked for.
	for name, to := range map[string]string{"escape.csv": outside, "climb.csv": "../outside/secret.csv", "up": "..", "broken.csv": "none", "loop": "loop"} {
		link(name, to)
		e := wantError(t, store.List(t.Context(), []string{dir}, nil, func(Listed) error { return nil }), bucketload.CodeAccess, false)
		if e.URI != "file://"+dir+"/"+name {
			t.Errorf("%s: %v", name, e)
		}
		list(t, store, []string{dir}, []string{name})
		list(t, store, []string{dir + "/[!" + name[:1] + "]*"}, nil)
		must(t, os.Remove(filepath.Join(dir, name)))
	}
	// Links that the user names are followed, also beside a listing that leaves them out.
	link("escape.csv", outside)
	from := []string{dir + "/{inside,real}.csv", dir + "/escape.csv", dir + "/subdir"}
	listed := list(t, store, from, nil)
	if got, want := keys("file://"+dir+"/", listed), []string{"inside.csv", "real.csv", "escape.csv", "subdir/s.csv"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, l := range listed {
		r, err := New(bucketload.S3{}, from...).Open(t.Context(), l.Object)
		must(t, err)
		_, err = io.Copy(io.Discard, r)
		must(t, errors.Join(err, r.Close()))
	}
}

// A link that is put into the directory once it is listed leads nowhere, though
// what is behind it looks like what was there.
func TestLinksPutInMeanwhile(t *testing.T) {
	base := t.TempDir()
	now := time.Now()
	for _, dir := range []string{"dir/sub", "outside"} {
		must(t, os.Chtimes(write(t, base, dir, "a.csv"), now, now))
	}
	dir, outside := filepath.Join(base, "dir"), filepath.Join(base, "outside")
	swap := func(name, to string) {
		t.Helper()
		must(t, os.Rename(filepath.Join(dir, name), filepath.Join(dir, "was")))
		must(t, os.Symlink(to, filepath.Join(dir, name)))
	}
	back := func(name string) {
		t.Helper()
		must(t, os.Remove(filepath.Join(dir, name)))
		must(t, os.Rename(filepath.Join(dir, "was"), filepath.Join(dir, name)))
	}
	for _, from := range []string{dir, dir + "/", dir + "/sub/*.csv", dir + "/*/*"} {
		store := New(bucketload.S3{}, from)
		object := list(t, store, []string{from}, nil)[0].Object
		for name, to := range map[string]string{"sub/a.csv": outside + "/a.csv", "sub": outside} {
			if name == "sub" && strings.Contains(from, "/sub") {
				continue // a link that the user names
			}
			swap(name, to)
			_, err := store.Open(t.Context(), object)
			wantError(t, err, bucketload.CodeChanged, false)
			wantError(t, store.Delete(t.Context(), object), bucketload.CodeChanged, false)
			back(name)
		}
		r, err := store.Open(t.Context(), object)
		must(t, err)
		must(t, r.Close())
	}
	object := list(t, New(bucketload.S3{}), []string{outside}, nil)[0].Object
	_, err := New(bucketload.S3{}, dir).Open(t.Context(), object)
	wantError(t, err, bucketload.CodeUsage, false)
	wantError(t, New(bucketload.S3{}, dir).Delete(t.Context(), object), bucketload.CodeUsage, false)
}

func TestAbsolute(t *testing.T) {
	home := t.TempDir()
	write(t, home, "data", "a.csv")
	t.Chdir(home)
	load := &bucketload.Load{From: []string{"data", "data/", "./data/*.csv", "../*/data/a.csv", "/x", "s3://b/", "file:///y"},
		Exclude: []string{"./data/a.csv", "./data", "../*/data/*.csv", "data/a.csv", "a.csv", "/x", "s3://b/"}}
	named := *load
	Absolute(load)
	t.Chdir("/")
	for _, uri := range load.From[:4] {
		if got := list(t, New(bucketload.S3{}), []string{uri}, nil); len(got) != 1 || got[0].URI != "file://"+home+"/data/a.csv" {
			t.Errorf("%s: %+v", uri, got)
		}
	}
	for _, exclude := range load.Exclude[:3] {
		if got := list(t, New(bucketload.S3{}), load.From[:1], []string{exclude}); len(got) != 0 {
			t.Errorf("%s leaves %+v", exclude, got)
		}
	}
	for i, want := range []string{"/data", "/data/", "/data/*.csv"} {
		if load.From[i] != home+want {
			t.Errorf("%s is %s", named.From[i], load.From[i])
		}
	}
	if want := "file://" + home + "/data/a.csv"; load.Exclude[0] != want || load.From[3] != filepath.Dir(home)+"/*/data/a.csv" {
		t.Errorf("got %s and %s", load.Exclude[0], load.From[3])
	}
	if !slices.Equal(load.From[4:], named.From[4:]) || !slices.Equal(load.Exclude[3:], named.Exclude[3:]) {
		t.Errorf("got %q and %q", load.From[4:], load.Exclude[3:])
	}
}

func TestFileThatGrowsOrShrinksMeanwhile(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"grows":     func(path string) error { return os.WriteFile(path, []byte("0123456789+"), 0o644) },
		"shrinks":   func(path string) error { return os.Truncate(path, 5) },
		"rewritten": func(path string) error { return os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0)) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x")
			must(t, os.WriteFile(path, []byte("0123456789"), 0o644))
			store := New(bucketload.S3{})
			r, err := store.Open(t.Context(), list(t, store, []string{path}, nil)[0].Object)
			must(t, err)
			defer func() { _ = r.Close() }()
			_, err = io.ReadFull(r, make([]byte, 4))
			must(t, err)
			must(t, change(path))
			_, err = io.Copy(io.Discard, r)
			wantError(t, err, bucketload.CodeChanged, false)
		})
	}
}

func TestNoFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "locked", "x")
	must(t, os.Chmod(filepath.Join(dir, "locked"), 0))
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(dir, "locked"), 0o755) })
	store := New(bucketload.S3{})
	none := func(Listed) error { return nil }
	if os.Getuid() != 0 { // root may
		wantError(t, store.List(t.Context(), []string{dir}, nil, none), bucketload.CodeAccess, false)
	}
	wantError(t, store.List(t.Context(), []string{os.DevNull}, nil, none), bucketload.CodeMissing, false)
	_, err := store.Open(t.Context(), bucketload.Object{URI: "file://" + dir, Size: 1})
	wantError(t, err, bucketload.CodeChanged, false)

	if runtime.GOOS == "linux" {
		write(t, dir, "sub", "latin\xe9.csv")
		wantError(t, store.List(t.Context(), []string{dir + "/sub"}, nil, none), bucketload.CodeName, false)
		if got := list(t, store, []string{dir + "/sub"}, []string{"latin*"}); len(got) != 0 {
			t.Errorf("%+v", got)
		}
	}
}
