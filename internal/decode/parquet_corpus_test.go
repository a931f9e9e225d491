package decode

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// notRead says which good files are not read, and why.
var notRead = map[string]struct {
	code bucketload.Code
	text string
}{
	"datapage_v1-corrupt-checksum.parquet":               {bucketload.CodeCorrupt, "checksum"},        // made to be so
	"rle-dict-uncompressed-corrupt-checksum.parquet":     {bucketload.CodeCorrupt, "checksum"},        // made to be so
	"large_string_map.brotli.parquet":                    {bucketload.CodeLimit, "more than 512 MiB"}, // two keys of 1 GiB, which Postgres does not take either
	"encrypt_columns_plaintext_footer.parquet.encrypted": {bucketload.CodeSource, "is encrypted"},
}

// summary reads a whole file and gives its number of rows and a checksum of
// all rows as JSON.
func summary(data []byte) (string, error) {
	p, err := NewParquet(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return "", err
	}
	defer p.Close()
	sum := crc32.NewIEEE()
	for {
		if _, err := p.Next(); err == io.EOF {
			return fmt.Sprintf("%d %08x", p.Line(), sum.Sum32()), nil
		} else if err != nil {
			return "", err
		}
		sum.Write(p.Raw())
	}
}

func parquetPaths(t *testing.T, dir string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".parquet") || strings.HasSuffix(path, ".parquet.encrypted") {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil || len(paths) == 0 {
		t.Fatal(dir, err)
	}
	return paths
}

// All values of these files were compared with what Apache Arrow for C++ 26
// reads, and parquetFacts holds on to that. They are the same but for two
// timestamps of int96_from_spark, which Arrow's nanoseconds do not hold, and for
// incorrect_map_schema, which Arrow refuses.
func TestParquetGood(t *testing.T) {
	for _, set := range []string{"parquet-testing/data", "duckdb-parquet", "arrow-testing/parquet", "frictionless"} {
		for _, path := range parquetPaths(t, temptest.Corpus(t, "corpus/"+set)) {
			name := filepath.Base(path)
			t.Run(set+"/"+name, func(t *testing.T) {
				got, err := summary(read(t, path))
				switch not, ok := notRead[name]; {
				case ok:
					wantCode(t, err, not.code, not.text)
				case strings.HasSuffix(name, ".encrypted"):
					wantCode(t, err, bucketload.CodeSource, "is encrypted")
				case err != nil:
					t.Error(err)
				case strings.Contains(path, "hive"): // several of a name, of one row
					if !strings.HasPrefix(got, "1 ") {
						t.Error(got)
					}
				default:
					if want := parquetFacts[name]; got != want {
						t.Errorf("%q: %q, // want %q", name, got, want)
					}
				}
			})
		}
	}
}

func TestParquetBad(t *testing.T) {
	for _, path := range parquetPaths(t, temptest.Corpus(t, "corpus/parquet-testing/bad_data")) {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			got, err := summary(read(t, path))
			if name == "ARROW-GH-43605.parquet" {
				// What is bad here is that indexes have no bits, as there is
				// only one value. Arrow reads it by now, and so do we.
				if err != nil || !strings.HasPrefix(got, "21186 ") {
					t.Error(got, err)
				}
				return
			}
			wantCode(t, err, bucketload.CodeCorrupt, "")
			if _, ok := errors.AsType[runtime.Error](err); ok {
				t.Error(err)
			}
		})
	}
}

// Some files have what they hold beside them as CSV.
func TestParquetExpected(t *testing.T) {
	dir := temptest.Corpus(t, "corpus/parquet-testing/data")
	for _, name := range []string{"delta_binary_packed", "delta_byte_array", "delta_encoding_optional_column", "delta_encoding_required_column"} {
		t.Run(name, func(t *testing.T) {
			lines, err := csv.NewReader(bytes.NewReader(read(t, filepath.Join(dir, name+"_expect.csv")))).ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			p := openParquet(t, read(t, filepath.Join(dir, name+".parquet")))
			for _, want := range lines[1:] {
				row, err := p.Next()
				if err != nil {
					t.Fatal(err)
				}
				for i, f := range row {
					if string(f.Bytes) != want[i] {
						t.Fatalf("row %d, column %d: want %s, got %s", p.Line(), i, want[i], f.Bytes)
					}
				}
			}
			if _, err := p.Next(); err != io.EOF {
				t.Error(err)
			}
		})
	}
}

// Columns that hold the same in two encodings.
func TestParquetByteStreamSplit(t *testing.T) {
	p := openParquet(t, read(t, temptest.Corpus(t, "corpus/parquet-testing/data/byte_stream_split_extended.gzip.parquet")))
	for {
		row, err := p.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(row); i += 2 {
			if !bytes.Equal(row[i].Bytes, row[i+1].Bytes) {
				t.Fatalf("row %d: %s", p.Line(), p.Raw())
			}
		}
	}
}

// Of a file some columns of which are encrypted the others are read.
func TestParquetPartlyEncrypted(t *testing.T) {
	p := openParquet(t, read(t, temptest.Corpus(t, "corpus/parquet-testing/data/encrypt_columns_plaintext_footer.parquet.encrypted")))
	if err := p.Select([]ParquetField{{Path: "int32_field"}, {Path: "boolean_field"}}); err != nil {
		t.Fatal(err)
	}
	got := pqShown(t, p)
	if len(got) != 50 || got[0] != "00:00:00 true" || got[49] != "00:00:00.049 false" {
		t.Errorf("%d %q", len(got), got)
	}
}

// Every good file is cut off and spoilt in many ways: each reads, or is an
// error, and none is a panic even of ours.
func TestParquetSpoilt(t *testing.T) {
	seen := make(map[string]bool)
	for _, path := range slices.Concat(parquetPaths(t, temptest.Corpus(t, "corpus/parquet-testing/data")), parquetPaths(t, temptest.Corpus(t, "corpus/parquet-testing/bad_data"))) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > 3000 || seen[string(data)] {
			continue
		}
		seen[string(data)] = true
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			step := max(1, len(data)/40)
			for i := 0; i < len(data); i += step {
				if _, err := summary(data[:i]); bucketload.AsError(err).Code != bucketload.CodeCorrupt {
					t.Errorf("cut off after %d bytes: %v", i, err)
				}
				for _, b := range []byte{0, 0xff, data[i] ^ 1} {
					spoilt := bytes.Clone(data)
					spoilt[i] = b
					judgeParquet(t, spoilt)
				}
			}
		})
	}
}
