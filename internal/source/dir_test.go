package source

import (
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
	for link, to := range map[string]string{
		"inside.csv": "real.csv", "escape.csv": outside, "climb.csv": "../outside/secret.csv", "broken.csv": "none",
		"up": "..", "subdir": "sub", "loop": "loop",
	} {
		must(t, os.Symlink(to, filepath.Join(dir, link)))
	}
	must(t, os.Symlink(dir, filepath.Join(base, "alias")))
	store := New(bucketload.S3{})
	for _, from := range []string{dir, filepath.Join(base, "alias")} {
		got := keys("file://"+from+"/", list(t, store, []string{from}, nil))
		if want := []string{"inside.csv", "real.csv", "sub/s.csv"}; !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", from, got, want)
		}
	}
	// Links that the user names are followed, also after a listing that left them out.
	got := keys("file://"+dir+"/", list(t, store, []string{dir, dir + "/escape.csv", dir + "/subdir"}, nil))
	if want := []string{"inside.csv", "real.csv", "sub/s.csv", "escape.csv", "subdir/s.csv"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
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
