package decode

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
	"pgregory.net/rapid"

	"github.com/bucketload/bucketload"
)

func gzipped(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	return written(t, &b, gzip.NewWriter(&b), s)
}

func zstandard(t testing.TB, s string, opts ...zstd.EOption) string {
	t.Helper()
	w, err := zstd.NewWriter(nil, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return string(w.EncodeAll([]byte(s), nil))
}

func xzipped(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := xz.WriterConfig{DictCap: 1 << 16}.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	return written(t, &b, w, s)
}

func lz4ed(t testing.TB, s string, opts ...lz4.Option) string {
	t.Helper()
	var b bytes.Buffer
	w := lz4.NewWriter(&b)
	if err := w.Apply(opts...); err != nil {
		t.Fatal(err)
	}
	return written(t, &b, w, s)
}

func snapped(t testing.TB, s string, opts ...s2.WriterOption) string {
	t.Helper()
	var b bytes.Buffer
	if len(opts) == 0 {
		opts = []s2.WriterOption{s2.WriterSnappyCompat()}
	}
	return written(t, &b, s2.NewWriter(&b, opts...), s)
}

func zlibbed(t testing.TB, s string, level int) string {
	t.Helper()
	var b bytes.Buffer
	w, err := zlib.NewWriterLevel(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	return written(t, &b, w, s)
}

func written(t testing.TB, b *bytes.Buffer, w io.WriteCloser, s string) string {
	t.Helper()
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
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
		{"gzip, filled up with zeros", gzipped(t, s) + strings.Repeat("\x00", 600), "gzip", s},
		{"xz", xzipped(t, s), "xz", s},
		{"xz of nothing", xzipped(t, ""), "xz", ""},
		{"xz, several streams", xzipped(t, s) + "\x00\x00\x00\x00" + xzipped(t, "") + xzipped(t, "3,4\n"), "xz", s + "3,4\n"},
		{"xz, long", xzipped(t, long), "xz", long},
		{"lz4", lz4ed(t, s), "lz4", s},
		{"lz4 of nothing", lz4ed(t, ""), "lz4", ""},
		{"lz4, several frames", lz4ed(t, s) + skippable + lz4ed(t, "3,4\n"), "lz4", s + "3,4\n"},
		{"lz4, long", lz4ed(t, long, lz4.BlockSizeOption(lz4.Block64Kb)), "lz4", long},
		{"lz4, old", lz4ed(t, s, lz4.LegacyOption(true)), "lz4", s},
		{"snappy", snapped(t, s), "snappy", s},
		{"snappy of nothing", "\xff\x06\x00\x00sNaPpY", "snappy", ""},
		{"snappy, several streams", snapped(t, s) + snapped(t, "3,4\n"), "snappy", s + "3,4\n"},
		{"snappy, long", snapped(t, long), "snappy", long},
		{"s2", snapped(t, long, s2.WriterBlockSize(4<<20)), "snappy", long},
		{"zlib", zlibbed(t, s, 6), "zlib", s},
		{"zlib of nothing", zlibbed(t, "", 6), "zlib", ""},
		{"zlib, not packed", zlibbed(t, s, 0), "zlib", s},
		{"zlib, long", zlibbed(t, long, 2), "zlib", long},
		{"zlib, filled up with zeros", zlibbed(t, s, 6) + strings.Repeat("\x00", 600), "zlib", s},
		{"x", "x", "", "x"},
		{"text that begins like zlib", "x^2,y\n1,2\n", "", "x^2,y\n1,2\n"},
		{"text of two bytes that begins like zlib", "x^", "", "x^"},
		{"long text that begins like zlib", "x^\n" + long, "", "x^\n" + long},
		{"text with a control character for a delimiter that begins like zlib", "x^\x01y\n" + strings.Repeat("1\x012\x02\n", 20_000), "", "x^\x01y\n" + strings.Repeat("1\x012\x02\n", 20_000)},
		{"other text that begins like zlib", "hC\xe4\xf6\xfc,b\n1,2\n", "", "hC\xe4\xf6\xfc,b\n1,2\n"},
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

// Files that the usual tools have made of one and the same.
func TestToolsOutput(t *testing.T) {
	want := string(read(t, filepath.Join("testdata", "compress", "rows.csv")))
	for _, path := range glob(t, "testdata", "compress", "*.csv.*") {
		word := map[string]string{".gz": "gzip", ".zst": "zstd", ".bz2": "bzip2", ".xz": "xz", ".lz4": "lz4", ".zlib": "zlib"}[filepath.Ext(path)]
		data := read(t, path)
		for _, said := range []string{"auto", word} {
			plain, found, err := DecompressAs(bytes.NewReader(data), path, said)
			if err != nil || found != word {
				t.Errorf("%s as %s: %q, %v", path, said, found, err)
				continue
			}
			if got, err := io.ReadAll(plain); err != nil || string(got) != want || plain.Close() != nil {
				t.Errorf("%s as %s: %d bytes, %v", path, said, len(got), err)
			}
		}
	}
}

// samples are files of every compression, with a checksum of their own but where
// the name says so.
func samples(t testing.TB) map[string]string {
	long := "a,b\n"
	for i := range 300 {
		long += fmt.Sprintf("%d,%d\n", i%10, i*i%37)
	}
	all := map[string]string{"gzip": gzipped(t, long), "zstd": zstandard(t, long), "bzip2": bzipped, "xz": xzipped(t, long), "lz4": lz4ed(t, long, lz4.BlockSizeOption(lz4.Block64Kb)), "snappy": snapped(t, long), "zlib": zlibbed(t, long, 6)}
	for _, name := range []string{"sha256-blocks.csv.xz", "linked.csv.lz4", "level3.csv.zlib", "rows.csv.zst", "rows.csv.gz"} {
		data, err := os.ReadFile(filepath.Join("testdata", "compress", name))
		if err != nil {
			t.Fatal(err)
		}
		all[map[string]string{".gz": "gzip", ".zst": "zstd", ".xz": "xz", ".lz4": "lz4", ".zlib": "zlib"}[filepath.Ext(name)]+" by its tool"] = string(data)
	}
	return all
}

func TestDamage(t *testing.T) {
	for name, data := range samples(t) {
		t.Run(name, func(t *testing.T) {
			word, _, _ := strings.Cut(name, " ")
			cutOff := func(err error, n int) bool {
				e, ok := errors.AsType[*bucketload.Error](err)
				return ok && e.Code == bucketload.CodeCorrupt && e.Message == fmt.Sprintf("the %s data is cut off after %d bytes", word, n) && e.URI == "s3://b/k" && e.Hint != ""
			}
			for n := 1; n < len(data); n++ {
				plain, found, err := DecompressAs(strings.NewReader(data[:n]), "s3://b/k", word)
				if e := bucketload.AsError(err); n < magicLen && e != nil && e.Code == bucketload.CodeSource {
					continue // too little to tell
				}
				if err == nil {
					_, err = io.ReadAll(plain)
				}
				if word == "snappy" && n == 10 && err == nil {
					continue // the beginning, and no block
				}
				if found != word && found != "" || !cutOff(err, n) {
					t.Fatalf("cut at %d of %d: %q, %v", n, len(data), found, err)
				}
				if _, found, err := inflate(strings.NewReader(data[:n])); !cutOff(err, n) && (found != "" || n > 40) {
					t.Fatalf("cut at %d of %d, and nothing said: %q, %v", n, len(data), found, err)
				}
			}
			flipped := []byte(data)
			flipped[len(data)-2] ^= 0x10
			_, _, err := inflate(bytes.NewReader(flipped))
			if e, ok := errors.AsType[*bucketload.Error](err); !ok || e.Code != bucketload.CodeCorrupt {
				t.Errorf("flipped: %v", err)
			}
			_, _, err = inflate(strings.NewReader(data + "garbage, and more of it"))
			if e, ok := errors.AsType[*bucketload.Error](err); !ok || e.Code != bucketload.CodeCorrupt || !strings.Contains(e.Message, " data is ") {
				t.Errorf("followed by something: %v", err)
			}
		})
	}
}

// Whatever is done to a file: it is whole, it is plain, or it is an error.
func TestCorruptionProperty(t *testing.T) {
	all := samples(t)
	names := slices.Sorted(maps.Keys(all))
	whole := map[string]string{}
	for name, data := range all {
		var err error
		if whole[name], _, err = inflate(strings.NewReader(data)); err != nil {
			t.Fatal(name, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(names).Draw(t, "name")
		data := []byte(all[name])
		for range rapid.IntRange(1, 4).Draw(t, "changes") {
			data[rapid.IntRange(0, len(data)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		got, found, err := inflate(bytes.NewReader(data))
		if err != nil {
			if _, ok := errors.AsType[*bucketload.Error](err); !ok {
				t.Fatalf("%s: %v", name, err)
			}
			return
		}
		if name == "snappy" && len(got) < len(whole[name]) {
			return // a block that says that it may be passed over
		}
		if found == "" && got != string(data) || found != "" && got != whole[name] {
			t.Fatalf("%s: %q, %d bytes and no error", name, found, len(got))
		}
	})
}

func FuzzDecompress(f *testing.F) {
	for _, data := range samples(f) {
		f.Add([]byte(data))
	}
	for _, s := range []string{"a,b\n1,2\n", "x^2,y\n", "PK\x03\x04", "\x28\xb5\x2f\xfd\x00\xb0\x01\x00\x00", xzipped(f, "a") + xzipped(f, "b"), lz4ed(f, "a", lz4.LegacyOption(true))} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d := &decompressor{src: &counted{r: bytes.NewReader(data)}, name: "s3://b/k", limits: limits{most: 8 << 20, free: 1 << 20, ratio: 2000}}
		found, err := d.start("auto")
		var plain []byte
		if err == nil {
			var r io.Reader = d
			if found == "" {
				r = d.r
			}
			plain, err = io.ReadAll(r)
		}
		if _, ok := errors.AsType[*bucketload.Error](err); err != nil && !ok {
			t.Fatal(err)
		}
		if found == "" && err == nil && !bytes.Equal(plain, data) {
			t.Fatalf("%q became %q", data, plain)
		}
		_ = d.Close()
	})
}

func TestLimits(t *testing.T) {
	alike := strings.Repeat("1,2,3\n", 1<<17)
	for _, test := range []struct {
		name, data string
		limits     limits
		message    string // "": no error
	}{
		{"honest", gzipped(t, alike), limits{most: 1 << 30, free: 1 << 10, ratio: 2000}, ""},
		{"within what is free", zstandard(t, alike), limits{most: 1 << 30, free: 1 << 20, ratio: 100}, ""},
		{"ratio", zstandard(t, alike), limits{most: 1 << 30, free: 1 << 10, ratio: 1000}, "of zstd data unpack to"},
		{"ratio of gzip", gzipped(t, alike), limits{most: 1 << 30, free: 1 << 10, ratio: 100}, "over 100 to 1"},
		{"size", gzipped(t, alike), limits{most: 1 << 19, free: 1 << 20, ratio: 2000}, "the gzip data unpacks to more than 524 kB"},
	} {
		d := &decompressor{src: &counted{r: strings.NewReader(test.data)}, name: "s3://b/k", limits: test.limits}
		if _, err := d.start("auto"); err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, d)
		if test.message == "" {
			if err != nil || n != int64(len(alike)) {
				t.Errorf("%s: %d bytes, %v", test.name, n, err)
			}
			continue
		}
		e, ok := errors.AsType[*bucketload.Error](err)
		if !ok || e.Code != bucketload.CodeLimit || !strings.Contains(e.Message, test.message) || e.URI != "s3://b/k" || e.Hint == "" || n >= int64(len(alike)) {
			t.Errorf("%s: %d bytes, %v", test.name, n, err)
		}
	}
}

func TestDecompressAs(t *testing.T) {
	const s = "a,b\n1,2\n"
	tests := []struct{ said, data, found, message string }{
		{"", gzipped(t, s), "gzip", ""},
		{"auto", s, "", ""},
		{"none", s, "", ""},
		{"gzip", gzipped(t, s), "gzip", ""},
		{"zlib", zlibbed(t, s, 3), "zlib", ""},
		{"none", "x^2\n", "", ""},
		{"none", gzipped(t, s), "", "the file is compressed with gzip, and compression: none is set"},
		{"gzip", zstandard(t, s), "", "the file is compressed with zstd, and compression: gzip is set"},
		{"gzip", s, "", "the file is not compressed, and compression: gzip is set"},
		{"zlib", s, "", "the file is not compressed, and compression: zlib is set"},
		{"xz", "", "", "the file is not compressed, and compression: xz is set"},
		{"gzip", "PK\x03\x04", "", "the file is compressed with zip, which is not read"},
		{"brotli", s, "", `compression: "brotli" is none that is read`},
	}
	for _, test := range tests {
		plain, found, err := DecompressAs(strings.NewReader(test.data), "s3://b/k", test.said)
		if test.message != "" {
			if e, ok := errors.AsType[*bucketload.Error](err); !ok || e.Message != test.message || e.Hint == "" {
				t.Errorf("%q: %v", test.said, err)
			}
			continue
		}
		if err != nil || found != test.found {
			t.Errorf("%q: %q, %v", test.said, found, err)
			continue
		}
		if got, err := io.ReadAll(plain); err != nil || test.found != "" && string(got) != s || test.found == "" && string(got) != test.data {
			t.Errorf("%q: %q, %v", test.said, got, err)
		}
	}
}

// What is wrong with the source is not wrong with the data.
func TestSourceErrors(t *testing.T) {
	broken := errors.New("connection reset")
	for name, data := range map[string]string{"plain": "a,b\n1,2,3,4,5\n", "gzip": gzipped(t, "a"), "zstd": zstandard(t, "a,b\n1,2\n"), "bzip2": bzipped,
		"xz": xzipped(t, "a,b\n1,2\n"), "lz4": lz4ed(t, "a,b\n1,2\n"), "snappy": snapped(t, "a,b\n1,2\n"), "zlib": zlibbed(t, "a,b\n1,2\n", 6), "like zlib": "x^2\n"} {
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
	// A block's header of a dictionary of 1 GiB, in the place of an ordinary one.
	wide := "\x02\x00\x21\x01\x24\x00\x00\x00"
	wide += string(binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(wide))))
	one := xzipped(t, "a,b\n")
	for name, data := range map[string]string{
		"zip":                   "PK\x03\x04\x14\x00\x00\x00",
		"7z":                    "7z\xbc\xaf\x27\x1c\x00\x04",
		"compress":              "\x1f\x9d\x90a",
		"zstd":                  "\x28\xb5\x2f\xfd\x00\xb0\x01\x00\x00", // a window of 4 GiB
		"xz":                    one[:12] + wide,
		"xz, the second stream": one + "\x00\x00\x00\x00" + one[:12] + wide,
	} {
		_, _, err := inflate(strings.NewReader(data))
		name, _, _ := strings.Cut(name, ",")
		if e, ok := errors.AsType[*bucketload.Error](err); !ok || e.Code != bucketload.CodeSource || !strings.Contains(e.Message, name) || e.Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFormatOf(t *testing.T) {
	for format, names := range map[bucketload.Format][]string{
		bucketload.FormatCSV:     {"a.csv", "s3://b/k/A.CSV", "a.tsv.gz", "a.tab", "a.psv.zst", "a.csv.bz2", "a.CSV.GZ", "a.b.csv.xz", "a.csv.sz", "a.csv.lz4", "a.csv.zlib"},
		bucketload.FormatJSON:    {"a.json", "a.ndjson.gz", "a.JSONL"},
		bucketload.FormatParquet: {"a.parquet", "a.snappy.parquet"},
		"":                       {"a.txt", "a", "csv", "a.csv.txt", "a.gz", "a.csv/b", "a.csv.gz.gz", ""},
	} {
		for _, name := range names {
			if got, ok := FormatOf(name); got != format || ok != (format != "") {
				t.Errorf("%q: %q, %v", name, got, ok)
			}
		}
	}
}
