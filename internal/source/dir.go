package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/bucketload/bucketload"
)

// disk is the place of local files. A key is an absolute path; a version is
// the size in bytes and the modification time in ns since 1970.
type disk struct {
	from []pattern // what the files were listed by; none: anything

	mu    sync.Mutex
	roots map[string]*os.Root // by base, as last listed; they stay open as long as the store is there
}

// root gives the directory with that name as it was last listed.
func (d *disk) root(base string) (*os.Root, error) {
	d.mu.Lock()
	root := d.roots[base]
	d.mu.Unlock()
	if root != nil {
		return root, nil
	}
	return d.openRoot(base)
}

func (d *disk) openRoot(base string) (*os.Root, error) {
	root, err := os.OpenRoot(base)
	if err == nil {
		d.mu.Lock()
		d.roots[base] = root
		d.mu.Unlock()
	}
	return root, err
}

func fileObject(path string, info fs.FileInfo) bucketload.Object {
	return bucketload.Object{URI: fileRoot + path, Size: info.Size(), Time: info.ModTime(),
		Version: fmt.Sprintf("%d-%d", info.Size(), info.ModTime().UnixNano())}
}

// find follows symbolic links wherever they lead: the user named them.
func (*disk) find(_ context.Context, key string) (*bucketload.Object, error) {
	info, err := os.Stat(key)
	if err != nil || !info.Mode().IsRegular() {
		return nil, nil // list says what is wrong with it
	}
	return new(fileObject(key, info)), nil
}

func (*disk) holds(_ context.Context, dir string) (bool, error) {
	info, err := os.Stat(dir)
	return err == nil && info.IsDir(), nil
}

func (d *disk) list(ctx context.Context, p pattern, yield func(string, bucketload.Object, error) error) error {
	root, err := d.openRoot(p.base)
	if err != nil {
		e := explainFile(p.text, err)
		if e.Code == bucketload.CodeMissing {
			e.Err, e.Message, e.Hint = nil, "there is no such file or directory", "check the path; a relative one starts at the working directory"
		}
		return e
	}
	w := walk{ctx: ctx, root: root, base: p.base, hidden: p.hidden(), yield: yield}
	return w.dir(".", "", p.depth())
}

// walk goes through a directory without leaving it.
type walk struct {
	ctx    context.Context
	root   *os.Root
	base   string
	hidden bool // names with a leading dot count, too
	yield  func(string, bucketload.Object, error) error
}

// dir walks one directory; prefix is its name with a slash, "" for the root.
func (w *walk) dir(name, prefix string, depth int) error {
	entries, err := w.entries(name)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if w.ctx.Err() != nil {
			return cancelled(w.ctx, fileRoot+w.base+prefix)
		}
		name := prefix + e.Name()
		switch {
		case !w.hidden && strings.HasPrefix(e.Name(), "."):
		case e.IsDir() && depth != 0:
			err = w.dir(name, name+"/", depth-1)
		case e.Type().IsRegular(), e.Type()&fs.ModeSymlink != 0:
			err = w.file(name, e.Type().IsRegular())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// entries reads a directory in the byte order of the paths below it.
func (w *walk) entries(name string) ([]fs.DirEntry, error) {
	d, err := w.root.Open(name)
	if err != nil {
		return nil, explainFile(fileRoot+w.base+name, err)
	}
	defer func() { _ = d.Close() }()
	entries, err := d.ReadDir(-1)
	if err != nil {
		return nil, explainFile(fileRoot+w.base+name, err)
	}
	path := func(e fs.DirEntry) string {
		if e.IsDir() {
			return e.Name() + "/"
		}
		return e.Name()
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(path(a), path(b)) })
	return entries, nil
}

// file yields a regular file, or what a link leads to if that is one. A link to
// a directory is passed over where that is inside, and its files are listed.
func (w *walk) file(name string, regular bool) error {
	key := w.base + name
	info, err := w.root.Stat(name)
	if err != nil {
		if _, err := w.root.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return nil // removed in the meantime
		}
	}
	switch {
	case err != nil && regular:
		return explainFile(fileRoot+key, err)
	case err != nil:
		return w.yield(key, bucketload.Object{URI: fileRoot + key}, strays(fileRoot+key, err))
	case !info.Mode().IsRegular():
		return nil
	}
	return w.yield(key, fileObject(key, info), nil)
}

// strays is the error of a symbolic link that leads nowhere, or out of the
// directory.
func strays(uri string, err error) error {
	e := &bucketload.Error{Code: bucketload.CodeAccess, URI: uri, Message: "the symbolic link leads to nothing that can be read", Err: explainFile(uri, err).Err,
		Hint: "remove it, or leave it out with --exclude"}
	if escapes(err) {
		e.Message, e.Err = "the symbolic link leads out of the directory that is loaded, or is not relative", nil
		e.Hint = "leave it out with --exclude; to load the file, name it with a --from of its own"
	}
	return e
}

// escapes says whether os.Root has refused a path: it is the only error of a
// path that is not the system's.
func escapes(err error) bool {
	var path *fs.PathError
	_, system := errors.AsType[syscall.Errno](err)
	return errors.As(err, &path) && !system
}

// base gives the directory, with a final slash, that a file was listed below and
// is not to leave; "" where the user named the file, wherever its links lead.
func (d *disk) base(key string) (string, error) {
	base := ""
	for _, p := range d.from {
		if p.named() && key == p.key {
			return "", nil
		}
		for _, dir := range []string{p.base, below(p.key)} {
			if len(dir) > len(base) && strings.HasPrefix(key, dir) {
				base = dir
			}
		}
	}
	if base == "" && len(d.from) > 0 {
		return "", usage(fileRoot+key, "the file is outside of all that is loaded from", "go on in the directory where the load was begun")
	}
	return base, nil
}

// file opens a file without leaving the directory that it was listed in, and
// without waiting for the writer of a pipe.
func (d *disk) file(obj bucketload.Object, key string) (*os.File, error) {
	const flags = os.O_RDONLY | syscall.O_NONBLOCK
	base, err := d.base(key)
	if err != nil {
		return nil, err
	}
	open := os.OpenFile
	if base != "" {
		root, err := d.root(base)
		if err != nil {
			return nil, explainFile(obj.URI, err)
		}
		open, key = root.OpenFile, key[len(base):]
	}
	f, err := open(key, flags, 0)
	switch {
	case err == nil:
		return f, nil
	case escapes(err):
		return nil, changed(obj.URI, ": a symbolic link leads out of the directory", nil)
	}
	return nil, explainFile(obj.URI, err)
}

// open checks the version before and, at the end, after the file was read, so
// that a file that is written to meanwhile is not taken for whole.
func (d *disk) open(ctx context.Context, key string, obj bucketload.Object, off, end int64) (io.ReadCloser, error) {
	f, err := d.file(obj, key)
	if err != nil {
		return nil, err
	}
	r := &file{f: f, ctx: ctx, obj: obj, left: end - off}
	if err = r.check(); err == nil {
		_, err = f.Seek(off, io.SeekStart)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return r, nil
}

// file reads so many bytes of a file on disk.
type file struct {
	f    *os.File
	ctx  context.Context
	obj  bucketload.Object
	left int64
}

// check compares the file with what was listed.
func (f *file) check() error {
	info, err := f.f.Stat()
	if err != nil {
		return explainFile(f.obj.URI, err)
	}
	if !info.Mode().IsRegular() {
		return changed(f.obj.URI, ": it is no regular file", nil)
	}
	if now := fileObject("", info); now.Size != f.obj.Size || f.obj.Version != "" && now.Version != f.obj.Version {
		return changed(f.obj.URI, "", nil)
	}
	return nil
}

func (f *file) Read(p []byte) (int, error) {
	if f.ctx.Err() != nil {
		return 0, cancelled(f.ctx, f.obj.URI)
	}
	if f.left == 0 {
		if err := f.check(); err != nil {
			return 0, err
		}
		return 0, io.EOF
	}
	n, err := f.f.Read(p[:min(int64(len(p)), f.left)])
	f.left -= int64(n)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		return n, changed(f.obj.URI, ": it has become shorter", nil)
	}
	return n, explainFile(f.obj.URI, err)
}

func (f *file) Close() error { return f.f.Close() }

// explainFile makes the user's error of one of the file system.
func explainFile(uri string, err error) *bucketload.Error {
	e := &bucketload.Error{Code: bucketload.CodeSource, URI: uri, Message: "the file cannot be read", Err: err,
		Hint: "check the disk, then run it again"}
	var path *fs.PathError
	if errors.As(err, &path) {
		e.Err = path.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return bucketload.AsError(missing(uri, e.Err))
	case errors.Is(err, fs.ErrPermission):
		e.Code, e.Message = bucketload.CodeAccess, "this user may not read it"
		e.Hint = "allow it to the user that bucketload runs as, for example with chmod or chown"
	case errors.Is(err, syscall.EMFILE):
		e.Hint, e.Transient = "raise the limit of open files (ulimit -n), or lower --max-concurrency", true
	}
	return e
}
