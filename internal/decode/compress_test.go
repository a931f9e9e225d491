package decode

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/bucketload/bucketload"
)

func gzipped(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func zstandard(t testing.TB, s string, opts ...zstd.EOption) string {
	t.Helper()
	w, err := zstd.NewWriter(nil, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return string(w.EncodeAll([]byte(s), nil))
}

// bzip2 of "a,b\n1,2\n", as Python's bz2.compress makes it, and of nothing.
const (
	bzipped      = "BZh91AY&SY\xbf\x87@\x7f\x00\x00\x03Y\x00\x00\x10\x00\x040\x000\x00 \x000\xc0\x08i\xb2\x88#'\x8b\xb9\"\x9c(H_\xc3\xa0?\x80"
	bzippedEmpty = "BZh9\x17rE8P\x90\x00\x00\x00\x00"
)

func inflate(r io.Reader) (data, compression string, err error) {
	plain, compression, err := Decompress(r, "s3://b/k")
	if err != nil {
		return "", compression, err
	}
	all, err := io.ReadAll(plain)
	return string(all), compression, errors.Join(err, plain.Close())
}

func TestDecompress(t *testing.T) {
	const s = "a,b\n1,2\n"
	long := strings.Repeat(s, 50_000)
	skippable := "\x5a\x2a\x4d\x18\x03\x00\x00\x00abc"
	tests := []struct{ name, data, compression, want string }{
		{"plain", s, "", s},
		{"empty", "", "", ""},
		{"a byte", "a", "", "a"},
		{"plain that begins like bzip2", "BZh9,b\n1,2\n", "", "BZh9,b\n1,2\n"},
		{"gzip", gzipped(t, s), "gzip", s},
		{"gzip of nothing", gzipped(t, ""), "gzip", ""},
		{"gzip, several members", gzipped(t, s) + gzipped(t, "") + gzipped(t, "3,4\n"), "gzip", s + "3,4\n"},
		{"gzip, long", gzipped(t, long), "gzip", long},
		{"zstd", zstandard(t, s), "zstd", s},
		{"zstd, several frames", zstandard(t, s) + skippable + zstandard(t, "3,4\n"), "zstd", s + "3,4\n"},
		{"zstd after a skippable frame", skippable + zstandard(t, s), "zstd", s},
		{"zstd, long", zstandard(t, long), "zstd", long},
		{"bzip2", bzipped, "bzip2", s},
		{"bzip2 of nothing", bzippedEmpty, "bzip2", ""},
		{"bzip2, several streams", bzipped + bzipped, "bzip2", s + s},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for range 2 { // the second time with a decoder that has been used
				for _, r := range []io.Reader{strings.NewReader(test.data), iotest.OneByteReader(strings.NewReader(test.data)), iotest.DataErrReader(strings.NewReader(test.data))} {
					got, compression, err := inflate(r)
					if err != nil || got != test.want || compression != test.compression {
						t.Fatalf("%q, %d bytes, %v", compression, len(got), err)
					}
				}
			}
		})
	}
}

func TestDamage(t *testing.T) {
	long := strings.Repeat("a,b\n1,2\n", 1000)
	for name, data := range map[string]string{"gzip": gzipped(t, long), "zstd": zstandard(t, long), "bzip2": bzipped} {
		t.Run(name, func(t *testing.T) {
			for n := 10; n < len(data); n++ {
				_, _, err := inflate(strings.NewReader(data[:n]))
				e, ok := errors.AsType[*bucketload.Error](err)
				if !ok || e.Code != bucketload.CodeCorrupt || e.Message != "the "+name+" data is cut off" || e.URI != "s3://b/k" || e.Hint == "" {
					t.Fatalf("cut at %d of %d: %v", n, len(data), err)
				}
			}
			flipped := []byte(data)
			flipped[len(data)-2] ^= 0x10 // in the checksum
			_, _, err := inflate(bytes.NewReader(flipped))
			if e, ok := errors.AsType[*bucketload.Error](err); !ok || e.Code != bucketload.CodeCorrupt {
				t.Errorf("flipped: %v", err)
			}
			if name == "bzip2" {
				return // what follows a stream is not looked at
			}
			if _, _, err = inflate(strings.NewReader(data + "garbage, and more of it")); bucketload.AsError(err).Code != bucketload.CodeCorrupt {
				t.Errorf("followed by something: %v", err)
			}
		})
	}
}

// What is wrong with the source is not wrong with the data.
func TestSourceErrors(t *testing.T) {
	broken := errors.New("connection reset")
	for name, data := range map[string]string{"plain": "a,b\n1,2,3,4,5\n", "gzip": gzipped(t, "a"), "zstd": zstandard(t, "a,b\n1,2\n"), "bzip2": bzipped} {
		for n := range len(data) {
			_, _, err := inflate(io.MultiReader(strings.NewReader(data[:n]), iotest.ErrReader(broken)))
			if !errors.Is(err, broken) {
				t.Errorf("%s, broken after %d of %d bytes: %v", name, n, len(data), err)
			}
			if _, ok := errors.AsType[*bucketload.Error](err); ok {
				t.Errorf("%s, broken after %d of %d bytes: %v", name, n, len(data), err)
			}
		}
	}
}

func TestNotRead(t *testing.T) {
	for name, data := range map[string]string{
		"xz":   "\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4F",
		"zip":  "PK\x03\x04\x14\x00\x00\x00",
		"lz4":  "\x04\x22\x4d\x18\x64\x40\xa7",
		"zstd": "\x28\xb5\x2f\xfd\x00\xb0\x01\x00\x00", // a window of 4 GiB
	} {
		_, _, err := inflate(strings.NewReader(data))
		if e, ok := errors.AsType[*bucketload.Error](err); !ok || e.Code != bucketload.CodeSource || !strings.Contains(e.Message, name) || e.Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFormatOf(t *testing.T) {
	for name, fits := range map[string]bool{
		"a.csv": true, "s3://b/k/A.CSV": true, "a.tsv.gz": true, "a.tab": true, "a.psv.zst": true, "a.csv.bz2": true, "a.CSV.GZ": true, "a.b.csv.xz": true,
		"a.txt": false, "a": false, "csv": false, "a.csv.txt": false, "a.gz": false, "a.csv/b": false, "a.csv.gz.gz": false, "": false, "a.json": false,
	} {
		if format, ok := FormatOf(name); ok != fits || fits != (format == bucketload.FormatCSV) {
			t.Errorf("%q: %q, %v", name, format, ok)
		}
	}
}
