package source

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/bucketload/bucketload"
)

const (
	s3Scheme = "s3://"
	fileRoot = "file://" // the root of all files; their keys are absolute paths

	// Characters that make a glob of a URI. A backslash, ']' or '}' alone does not.
	wildcards = "*?[{"
)

// pattern is a URI of the user, read three ways: as the object key, as all
// that is below the literal base, and as a glob relative to base.
type pattern struct {
	text string // as the user wrote it
	root string // "s3://bucket/" or "file://"; a URI is root + key
	key  string
	base string // "" or ends with a slash
	glob string // "" where there are no wildcards: all below base
}

// splitURI splits an object's URI into root and key.
func splitURI(uri string) (root, key string, err error) {
	if p, ok := strings.CutPrefix(uri, fileRoot); ok && strings.HasPrefix(p, "/") {
		return fileRoot, p, nil
	}
	if rest, ok := strings.CutPrefix(uri, s3Scheme); ok {
		bucket, key, _ := strings.Cut(rest, "/")
		if bucket != "" && !strings.ContainsAny(bucket, wildcards+`\`) {
			return s3Scheme + bucket + "/", key, nil
		}
		return "", "", usage(uri, "the URI needs the name of one bucket", "write s3://BUCKET/PREFIX/ or s3://BUCKET/DIR/*.csv")
	}
	return "", "", usage(uri, "this is no URI of an object", "write s3://BUCKET/KEY or file:///DIR/FILE")
}

// parsePattern reads a URI or a path on disk. It does not look at the storage
// and takes a bad glob: it may be an object's name, see valid.
func parsePattern(text string) (pattern, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return parsePath(text, text)
	}
	switch strings.ToLower(scheme) {
	case "s3":
		root, key, err := splitURI(s3Scheme + rest)
		if err != nil {
			return pattern{}, err
		}
		p := pattern{text: text, root: root, key: key}
		p.base, p.glob = splitGlob(key)
		return p, nil
	case "file":
		if !strings.HasPrefix(rest, "/") {
			return pattern{}, usage(text, "the path of a file URI is absolute", "write file:///DIR/ with three slashes, or the plain path")
		}
		return parsePath(text, rest)
	}
	return pattern{}, usage(text, fmt.Sprintf("objects cannot be read from %q", scheme+"://"), "write an s3:// or file:// URI, or a path; a path with :// in it begins with ./")
}

// Paths gives those of the URIs that are read from disk.
func Paths(from []string) (paths []string) {
	for _, uri := range from {
		if p, err := parsePattern(uri); err == nil && p.root == fileRoot {
			paths = append(paths, uri)
		}
	}
	return paths
}

// Absolute makes what a load names by relative paths absolute, so that it names
// the same files wherever a run is gone on with. It stays as it is below a working
// directory whose name would be read as a glob.
func Absolute(load *bucketload.Load) {
	dir, err := os.Getwd()
	if err != nil || strings.ContainsAny(dir, wildcards+`\`) {
		return
	}
	load.From, load.Exclude = slices.Clone(load.From), slices.Clone(load.Exclude)
	for i, uri := range load.From {
		if uri != "" && !strings.Contains(uri, "://") && !filepath.IsAbs(uri) {
			load.From[i] = absolute(dir, uri)
		}
	}
	for i, text := range load.Exclude {
		if relative(text) && !strings.Contains(text, "://") {
			load.Exclude[i] = fileRoot + absolute(dir, text) // as a path it would match whole names only
		}
	}
}

// absolute gives a path from dir on, cleaned as far as it has no wildcards. A slash
// at its end stays, as it says that the path is a directory.
func absolute(dir, name string) string {
	end := len(name)
	if strings.ContainsAny(name, wildcards) {
		end = strings.LastIndexByte(name[:strings.IndexAny(name, wildcards+`\`)], '/') + 1
	}
	joined := filepath.Join(dir, name[:end])
	if end < len(name) || strings.HasSuffix(name, "/") {
		joined = below(joined)
	}
	return joined + name[end:]
}

// relative says whether an exclude is a path from the working directory.
func relative(exclude string) bool {
	return strings.HasPrefix(exclude, "./") || strings.HasPrefix(exclude, "../")
}

// parsePath makes a path absolute; only what the user wrote can be a glob, not
// the working directory.
func parsePath(text, name string) (pattern, error) {
	if name == "" {
		return pattern{}, usage(text, "the URI is empty", "write s3://BUCKET/PREFIX/ or the path of a directory")
	}
	p := pattern{text: text, root: fileRoot}
	base, glob := splitGlob(filepath.ToSlash(name))
	for _, part := range []struct {
		to   *string
		name string
	}{{&p.key, name}, {&p.base, base}} {
		abs, err := filepath.Abs(part.name)
		if err != nil {
			return pattern{}, &bucketload.Error{Code: bucketload.CodeSource, URI: text, Message: "the working directory cannot be found", Err: err}
		}
		*part.to = filepath.ToSlash(abs)
	}
	p.base, p.glob = below(p.base), glob
	if strings.HasSuffix(name, "/") {
		p.key = below(p.key)
	}
	return p, nil
}

// splitGlob splits a key at the last slash before its first wildcard. Without
// wildcards base is the whole key as a prefix, and glob is empty.
func splitGlob(key string) (base, glob string) {
	if !strings.ContainsAny(key, wildcards) {
		if key == "" {
			return "", ""
		}
		return below(key), ""
	}
	literal := key[:strings.IndexAny(key, wildcards+`\`)]
	base = literal[:strings.LastIndexByte(literal, '/')+1]
	glob = key[len(base):]
	if strings.HasSuffix(glob, "/") {
		glob += "**/*"
	}
	return base, glob
}

// below makes a prefix of a directory's name.
func below(dir string) string { return strings.TrimSuffix(dir, "/") + "/" }

// named says whether the URI may name an object.
func (p pattern) named() bool { return p.key != "" && !strings.HasSuffix(p.key, "/") }

func (p pattern) valid() error {
	if doublestar.ValidatePattern(p.glob) {
		return nil
	}
	return badGlob(p.text)
}

// matches says whether the URI, as a prefix or glob, takes in the key.
func (p pattern) matches(key string) bool {
	rest, ok := strings.CutPrefix(key, p.base)
	return ok && (p.glob == "" || doublestar.MatchUnvalidated(p.glob, rest))
}

// mayList says whether the key is among what the URI lists in any of its readings.
func (p pattern) mayList(key string) bool {
	return key == p.key || strings.HasPrefix(key, below(p.key)) || p.matches(key)
}

// prefix is the literal text that all matching keys begin with.
func (p pattern) prefix() string {
	if i := strings.IndexAny(p.glob, wildcards+`\`); i > 0 {
		return p.base + p.glob[:i]
	}
	return p.base
}

// depth is how many slashes a matching key may have after base; -1 is any number.
func (p pattern) depth() int {
	if p.glob == "" || strings.Contains(p.glob, "**") {
		return -1
	}
	return strings.Count(p.glob, "/")
}

// hidden says whether the glob asks for names with a leading dot.
func (p pattern) hidden() bool {
	return strings.HasPrefix(p.glob, ".") || strings.Contains(p.glob, "/.")
}

// chosen says whether the glob's last segment names files by their extension
// (*.txt) or by how they begin (part-*), or spells out their whole names.
func (p pattern) chosen() bool {
	if p.glob == "" {
		return false
	}
	name := path.Base(p.glob)
	end := name[strings.LastIndexAny(name, "*?]")+1:]
	dot := strings.IndexByte(end, '.')
	return end == name || strings.IndexAny(name, `*?[{\`) > 0 || dot >= 0 && dot+1 < len(end)
}

// excluder is a list of excludes.
type excluder struct {
	names []string // globs for base names
	keys  []string // globs for whole keys, without a leading slash
	exact []string // excludes with a slash, as they stand
	uris  []pattern
}

func (e *excluder) add(text string) error {
	switch {
	case text == "":
		return usage("", "an exclude is empty", "write a glob, for example --exclude '*.txt'")
	case strings.Contains(text, "://"), relative(text):
		p, err := parsePattern(text)
		if err != nil {
			return err
		}
		e.uris = append(e.uris, p)
		return p.valid()
	case !doublestar.ValidatePattern(text):
		return badGlob(text)
	case !strings.Contains(text, "/"):
		e.names = append(e.names, text)
		return nil
	}
	e.exact = append(e.exact, text)
	glob, whole := strings.CutPrefix(text, "/")
	if !whole {
		glob = "**/" + glob
	}
	if strings.HasSuffix(glob, "/") {
		glob += "**/*"
	}
	e.keys = append(e.keys, glob)
	return nil
}

func (e *excluder) match(root, key string) bool {
	whole := "/" + strings.TrimPrefix(key, "/")
	name := path.Base(whole)
	for _, glob := range e.names {
		if name == glob || doublestar.MatchUnvalidated(glob, name) {
			return true
		}
	}
	for _, glob := range e.keys {
		if doublestar.MatchUnvalidated(glob, whole[1:]) {
			return true
		}
	}
	for _, end := range e.exact {
		if whole == end || end[0] != '/' && strings.HasSuffix(whole, "/"+end) {
			return true
		}
	}
	for _, p := range e.uris {
		if p.root == root && p.mayList(key) {
			return true
		}
	}
	return false
}

func badGlob(text string) error {
	return usage(text, "the glob has an open bracket or brace, or ends with a backslash", `write \[ for a bracket that is part of the name`)
}

func usage(uri, message, hint string) error {
	return &bucketload.Error{Code: bucketload.CodeUsage, URI: uri, Message: message, Hint: hint}
}
