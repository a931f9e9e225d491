// Package decode turns the bytes of an object into rows: decompression by
// magic bytes, then CSV. Nothing here makes garbage per row.
package decode

import (
	"path"
	"slices"
	"strings"

	"github.com/bucketload/bucketload"
)

var (
	compressed = []string{".gz", ".gzip", ".zst", ".zstd", ".bz2", ".xz", ".lz4"}
	separated  = []string{".csv", ".tsv", ".tab", ".psv"}
)

// FormatOf tells a file's format by its name, below the extension of a
// compression if it has one; upper and lower case are the same. It is false
// for any other name, such as one that ends in .txt.
func FormatOf(name string) (bucketload.Format, bool) {
	name = strings.ToLower(name)
	if ext := path.Ext(name); slices.Contains(compressed, ext) {
		name = strings.TrimSuffix(name, ext)
	}
	if slices.Contains(separated, path.Ext(name)) {
		return bucketload.FormatCSV, true
	}
	return "", false
}
