// Package source lists and opens the objects of a load, from S3 and from disk.
//
// # URIs
//
// A URI names an object, a directory or a glob:
//
//	s3://bucket                everything in the bucket
//	s3://bucket/a/             everything below a/
//	s3://bucket/a              the object a, or where there is none, a/
//	s3://bucket/a/*.csv        a glob
//	file:///dir/, /dir, dir    the same on disk
//
// Keys and paths stand in URIs as they are, without percent-encoding, so that
// every key can be named and is shown as it is. A prefix ends at a slash:
// "a" never takes in "ab". In globs, * and ? stop at slashes, ** between
// slashes is any depth, [a-z] is a class, {x,y} are alternatives and \ takes
// the next character literally. A glob that ends with a slash takes in
// everything below what it matches. Where there is an object or directory with
// the very text of a URI as its name, wildcards and all, the URI names that one.
//
// # Excludes
//
// An exclude without a slash matches base names at any depth. One with a
// slash matches the last segments of a key: "tmp/*.csv" leaves out a/tmp/x.csv.
// One with a leading slash matches the whole key or path, one that is a URI or
// begins with ./ or ../ leaves out what it would list. One that ends with a
// slash leaves out everything below.
//
// # What is never listed
//
// Directory markers (keys that end with a slash, empty ones that end with
// _$folder$). On disk: what is not a regular file; names with a leading dot,
// unless the glob spells the dot out; symbolic links to directories inside of
// the directory. A symbolic link that leads out of it, or to nothing, is an error.
package source

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/bucketload/bucketload"
)

// Store lists and opens objects by URI. It is safe for concurrent use.
type Store struct {
	opts    bucketload.S3
	backoff func(try int) time.Duration // how long to wait before try+1, from 0
	stall   time.Duration               // a connection that is silent for so long is broken
	memory  *pool                       // what is read ahead
	span    int64                       // aheadSpan, but in tests
	disk    disk

	mu  sync.Mutex
	api *client // nil until S3 is first used
}

// New makes a store. It reads no configuration and opens no connection before
// an s3 URI is used. Where from has paths, files are opened and deleted only as
// one of them lists them: whatever was put into a directory since, no link leads
// out of it.
func New(opts bucketload.S3, from ...string) *Store {
	s := &Store{opts: opts, backoff: fullJitter, stall: time.Minute, memory: memory, span: aheadSpan, disk: disk{roots: map[string]*os.Root{}}}
	for _, path := range Paths(from) {
		p, _ := parsePattern(path)
		s.disk.from = append(s.disk.from, p)
	}
	return s
}

// fullJitter is exponential backoff with full jitter: a random time up to
// 200 ms, 400 ms ... 10 s.
func fullJitter(try int) time.Duration {
	return rand.N(min(200*time.Millisecond<<min(try, 6), 10*time.Second))
}

// Listed is an object and how it was asked for.
type Listed struct {
	bucketload.Object
	// Chosen: the user named it, its extension (*.txt, *.csv.gz) or how it begins (part-*), so it is
	// to be loaded whatever its name says of its format.
	Chosen bool
}

// place is a kind of storage.
type place interface {
	// find gives the object with exactly this key, nil where there is none.
	find(ctx context.Context, key string) (*bucketload.Object, error)
	// holds says whether there is anything below a directory, whose name ends
	// with a slash.
	holds(ctx context.Context, dir string) (bool, error)
	// list yields objects in byte order of their keys: all that p matches and
	// possibly more, with an error those that cannot be listed if they are
	// wanted. A yield's error ends it and is returned.
	list(ctx context.Context, p pattern, yield func(key string, obj bucketload.Object, err error) error) error
	// open reads bytes [off, end) of the object, 0 <= off <= end <= obj.Size,
	// and fails if the object is not the version that obj has.
	open(ctx context.Context, key string, obj bucketload.Object, off, end int64) (io.ReadCloser, error)
}

// place gives where a URI's root leads.
func (s *Store) place(ctx context.Context, root string) (place, error) {
	if root == fileRoot {
		return &s.disk, nil
	}
	api, err := s.client(ctx)
	if err != nil {
		return nil, err
	}
	return bucket{client: api, name: strings.TrimSuffix(strings.TrimPrefix(root, s3Scheme), "/")}, nil
}

// List yields the objects that the URIs in from name and exclude does not, one
// URI after the other, each URI's in byte order, no object twice. It uses
// memory only for objects that several URIs name. An error of yield ends it
// and is returned as it is. A URI without objects is no error, except that a
// directory on disk must exist.
func (s *Store) List(ctx context.Context, from, exclude []string, yield func(Listed) error) error {
	patterns := make([]pattern, len(from))
	for i, uri := range from {
		var err error
		if patterns[i], err = parsePattern(uri); err != nil {
			return err
		}
	}
	var excludes excluder
	for _, glob := range exclude {
		if err := excludes.add(glob); err != nil {
			return err
		}
	}
	l := lister{yield: yield, excludes: excludes, seen: map[string]bool{}}
	for i, p := range patterns {
		l.later = patterns[i+1:]
		place, err := s.place(ctx, p.root)
		if err != nil {
			return err
		}
		if err := l.list(ctx, place, p); err != nil {
			return err
		}
	}
	return nil
}

// lister filters what places list.
type lister struct {
	yield    func(Listed) error
	excludes excluder
	later    []pattern       // still to be listed
	seen     map[string]bool // yielded, and matched by a later pattern
}

func (l *lister) list(ctx context.Context, from place, p pattern) error {
	if p.named() {
		obj, err := from.find(ctx, p.key)
		if err != nil {
			return err
		}
		if obj != nil {
			return l.take(p.root, p.key, Listed{*obj, true}, nil)
		}
	}
	if p.glob != "" {
		dir, err := from.holds(ctx, below(p.key))
		if err != nil {
			return err
		}
		if dir {
			p.base, p.glob = below(p.key), ""
		}
	}
	if err := p.valid(); err != nil {
		return err
	}
	return from.list(ctx, p, func(key string, obj bucketload.Object, err error) error {
		if !p.matches(key) {
			return nil
		}
		return l.take(p.root, key, Listed{obj, p.chosen()}, err)
	})
}

func (l *lister) take(root, key string, obj Listed, err error) error {
	switch {
	case marker(key, obj.Size), l.seen[obj.URI], l.excludes.match(root, key):
		return nil
	case err != nil:
		return err
	case !utf8.ValidString(key) || strings.ContainsRune(key, 0):
		return &bucketload.Error{Code: bucketload.CodeName, URI: fmt.Sprintf("%+q", obj.URI),
			Message: "the name is not UTF-8 text, so it cannot be recorded",
			Hint:    "rename the file, or leave it out with --exclude"}
	}
	for _, p := range l.later {
		if p.root == root && p.mayList(key) {
			l.seen[obj.URI] = true
			break
		}
	}
	return l.yield(obj)
}

// marker says whether the key stands for a directory: as the S3 console and
// most tools make them, or as Hadoop's older S3 file systems did.
func marker(key string, size int64) bool {
	return strings.HasSuffix(key, "/") || size == 0 && strings.HasSuffix(key, "_$folder$")
}

// Open reads an object whole. Its reader gives exactly obj.Size bytes of the
// version that obj pins and then io.EOF, or an error: a broken connection is
// taken up again where it broke. ctx governs the reader, too.
func (s *Store) Open(ctx context.Context, obj bucketload.Object) (io.ReadCloser, error) {
	return s.open(ctx, obj, 0, obj.Size)
}

// OpenRange is Open for n bytes from off, less where the object ends earlier.
func (s *Store) OpenRange(ctx context.Context, obj bucketload.Object, off, n int64) (io.ReadCloser, error) {
	off = min(max(off, 0), obj.Size)
	end := off + min(max(n, 0), obj.Size-off)
	if off == end {
		return http.NoBody, nil
	}
	return s.open(ctx, obj, off, end)
}

func (s *Store) open(ctx context.Context, obj bucketload.Object, off, end int64) (io.ReadCloser, error) {
	root, key, err := splitURI(obj.URI)
	if err != nil {
		return nil, err
	}
	place, err := s.place(ctx, root)
	if err != nil {
		return nil, err
	}
	return place.open(ctx, key, obj, off, end)
}

// changed is the error of an object that is not the one that was planned.
func changed(uri, how string, cause error) error {
	return &bucketload.Error{Code: bucketload.CodeChanged, URI: uri, Message: "the object has changed since it was listed" + how,
		Hint: "run the load again, once nothing writes to its objects any more", Err: cause}
}

func missing(uri string, cause error) error {
	return &bucketload.Error{Code: bucketload.CodeMissing, URI: uri, Message: "the object is not there any more",
		Hint: "run the load again: it lists the objects anew", Err: cause}
}

func cancelled(ctx context.Context, uri string) error {
	return &bucketload.Error{Code: bucketload.CodeCancelled, URI: uri, Message: "reading was stopped", Err: context.Cause(ctx)}
}
