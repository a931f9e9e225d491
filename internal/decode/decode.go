// Package decode turns the bytes of an object into rows: decompression by
// magic bytes, then CSV, JSON or Parquet. Nothing here makes garbage per row.
package decode

import (
	"path"
	"slices"
	"strings"

	"github.com/bucketload/bucketload"
)

// Extensions of names, as the tools that write such files have them.
var (
	compressed = []string{".gz", ".gzip", ".zst", ".zstd", ".bz2", ".xz", ".lz4", ".sz", ".snappy", ".zlib"}
	formats    = []struct {
		format     bucketload.Format
		extensions []string
	}{
		{bucketload.FormatCSV, []string{".csv", ".tsv", ".tab", ".psv"}},
		{bucketload.FormatJSON, []string{".json", ".ndjson", ".jsonl", ".ldjson", ".geojson", ".geojsonl"}},
		{bucketload.FormatParquet, []string{".parquet", ".parq", ".pq"}},
	}
)

// FormatOf tells a file's format by its name, below the extension of a
// compression if it has one; upper and lower case are the same. It is false
// for any other name, such as one that ends in .txt.
func FormatOf(name string) (bucketload.Format, bool) {
	name = strings.ToLower(name)
	if ext := path.Ext(name); slices.Contains(compressed, ext) {
		name = strings.TrimSuffix(name, ext)
	}
	for _, f := range formats {
		if slices.Contains(f.extensions, path.Ext(name)) {
			return f.format, true
		}
	}
	return "", false
}
