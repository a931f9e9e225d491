package decode

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/parquet-go/parquet-go"
	"github.com/pierrec/lz4/v4"
	"pgregory.net/rapid"

	"github.com/bucketload/bucketload"
)

func TestParquetFloats(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.OneOf(rapid.Float64(), rapid.Map(rapid.IntRange(-1e9, 1e9), func(n int) float64 { return float64(n) / 100 }),
			rapid.Map(rapid.IntRange(-1e9, 1e9), func(n int) float64 { return float64(n) * 0.0001 })).Draw(t, "f")
		got := string(appendFloat(nil, f, 64))
		if got != strconv.FormatFloat(f, 'g', -1, 64) && got != strconv.FormatFloat(f, 'f', -1, 64) {
			t.Errorf("%v: %s", f, got)
		}
	})
}

func TestParquetDecimals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, pqMaxDecimal).Draw(t, "b")
		scale := rapid.IntRange(0, 60).Draw(t, "scale")
		n := new(big.Int).SetBytes(b)
		if len(b) > 0 && b[0]&0x80 != 0 {
			n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
		}
		unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)
		want := new(big.Rat).SetFrac(n, unit).FloatString(scale)
		if got, err := appendBigDecimal(nil, b, scale); err != nil || string(got) != want {
			t.Errorf("want %s, got %s, %v", want, got, err)
		}
	})
	_, err := appendBigDecimal(nil, bytes.Repeat([]byte{1}, pqMaxDecimal+1), 0)
	wantCode(t, err, bucketload.CodeValue, "a decimal of 417 bytes")
	if got, err := appendBigDecimal(nil, append(make([]byte, 5000), 7), 0); err != nil || string(got) != "7" {
		t.Errorf("%s, %v", got, err)
	}
}

func TestParquetTimes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(-62135596800, 253402300799).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanos")).UTC()
		if got := string(appendDay(nil, floorDiv(at.Unix(), 86400), nil)); got != at.Format(time.DateOnly) {
			t.Errorf("want %s, got %s", at, got)
		}
		for unit, n := range map[int]int64{3: at.UnixMilli(), 6: at.UnixMicro()} {
			typ := pqType{kind: pqAsTimestamp, digits: unit, utc: true}
			want := at.Truncate(time.Duration(pow10(9 - unit))).Format("2006-01-02 15:04:05.999999999+00")
			if got, _ := typ.append(nil, n, nil); string(got) != want {
				t.Errorf("want %s, got %s", want, got)
			}
		}
		julian := binary.LittleEndian.AppendUint64(nil, uint64(at.Sub(at.Truncate(24*time.Hour))))
		julian = binary.LittleEndian.AppendUint32(julian, uint32(floorDiv(at.Unix(), 86400)+2_440_588))
		typ := pqType{kind: pqAsInt96, digits: 9}
		if got, _ := typ.append(nil, 0, julian); string(got) != at.Format("2006-01-02 15:04:05.999999999") {
			t.Errorf("want %s, got %s", at, got)
		}
	})
}

func TestParquetStrings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		var got string
		if err := json.Unmarshal(appendPqString(nil, []byte(s)), &got); err != nil || got != s {
			t.Errorf("%q, %v", got, err)
		}
	})
}

type anything struct {
	I []*int64 `parquet:"i,list"`
	S *string  `parquet:"s,optional,dict"`
	T string   `parquet:"t,delta"`
	N int32    `parquet:"n,delta"`
	B []bool   `parquet:"b"`
}

// What was written is read, however it was written.
func TestParquetRoundTrip(t *testing.T) {
	text := rapid.OneOf(rapid.SampledFrom([]string{"", "a", "ab", "abc", `"`, `\`, "NULL"}), rapid.StringN(0, 20, -1))
	one := rapid.Custom(func(t *rapid.T) anything {
		return anything{
			I: rapid.SliceOfN(rapid.Ptr(rapid.Int64(), true), 0, 5).Draw(t, "i"),
			S: rapid.Ptr(text, true).Draw(t, "s"), T: text.Draw(t, "t"), N: rapid.Int32().Draw(t, "n"),
			B: rapid.SliceOfN(rapid.Bool(), 0, 20).Draw(t, "b"),
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		rows := rapid.SliceOfN(one, 1, 60).Draw(rt, "rows")
		for range rapid.IntRange(0, 6).Draw(rt, "doublings") { // so that there are runs, and several batches
			rows = append(rows, rows...)
		}
		data := parquetFile(t, rows, parquet.DataPageVersion(rapid.IntRange(1, 2).Draw(rt, "version")),
			parquet.PageBufferSize(rapid.IntRange(50, 5000).Draw(rt, "page")), parquet.MaxRowsPerRowGroup(rapid.Int64Range(5, 5000).Draw(rt, "group")))
		p := openParquet(t, data)
		p.readAhead = rapid.IntRange(1, 100_000).Draw(rt, "ahead")
		for i, r := range rows {
			row, err := p.Next()
			if err != nil {
				rt.Fatalf("row %d: %v", i, err)
			}
			s := "NULL"
			if r.S != nil {
				s = "'" + *r.S + "'"
			}
			ints := make([]string, len(r.I))
			for k, n := range r.I {
				ints[k] = "NULL"
				if n != nil {
					ints[k] = fmt.Sprint(*n)
				}
			}
			bools := strings.Trim(strings.ReplaceAll(fmt.Sprint(r.B), " ", ","), "[]")
			want := []string{"{" + strings.Join(ints, ",") + "}", s, "'" + r.T + "'", fmt.Sprint(r.N), "{" + bools + "}"}
			for k, f := range row {
				if pqShow(f) != want[k] {
					rt.Fatalf("row %d: want %q, got %q", i, want[k], pqShow(f))
				}
			}
		}
	})
}

func TestParquetUnpack(t *testing.T) {
	plain := []byte(strings.Repeat("all codecs take this ", 5000))
	block := make([]byte, lz4.CompressBlockBound(len(plain)))
	n, err := lz4.CompressBlock(plain, block, nil)
	if err != nil {
		t.Fatal(err)
	}
	block = block[:n]
	hadoop := func(parts ...[]byte) (all []byte) {
		for _, part := range parts {
			b := make([]byte, lz4.CompressBlockBound(len(part)))
			n, err := lz4.CompressBlock(part, b, nil)
			if err != nil {
				t.Fatal(err)
			}
			all = binary.BigEndian.AppendUint32(all, uint32(len(part)))
			all = append(binary.BigEndian.AppendUint32(all, uint32(n)), b[:n]...)
		}
		return all
	}
	var frame bytes.Buffer
	w := lz4.NewWriter(&frame)
	w.Write(plain)
	w.Close()
	encode := func(codec interface {
		Encode(dst, src []byte) ([]byte, error)
	}) []byte {
		b, err := codec.Encode(nil, plain)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	members := gzipped(t, string(plain[:100])) + gzipped(t, string(plain[100:]))
	tests := []struct {
		name   string
		codec  int64
		stored []byte
	}{
		{"snappy", pqSnappy, snappy.Encode(nil, plain)},
		{"gzip", pqGzip, []byte(gzipped(t, string(plain)))},
		{"gzip of two members", pqGzip, []byte(members)},
		{"brotli", pqBrotli, encode(&parquet.Brotli)},
		{"zstd", pqZstd, encode(&parquet.Zstd)},
		{"lz4 raw", pqLZ4Raw, block},
		{"lz4 of Hadoop", pqLZ4, hadoop(plain)},
		{"lz4 of Hadoop in blocks", pqLZ4, hadoop(plain[:50_000], plain[50_000:])},
		{"lz4 that is raw", pqLZ4, block},
		{"lz4 in a frame", pqLZ4, frame.Bytes()},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, m := new(pqCodecs), new(pqBudget)
			for range 2 { // the second time with a decoder that has been used
				got, err := c.unpack(m, test.codec, nil, test.stored, len(plain))
				if err != nil || !bytes.Equal(got, plain) {
					t.Fatalf("%d bytes, %v", len(got), err)
				}
			}
			for _, size := range []int{1, len(plain) - 1, len(plain) + 1, pqMaxHeld} {
				m := new(pqBudget)
				if _, err := c.unpack(m, test.codec, nil, test.stored, size); err == nil || m.used > 4*len(plain) {
					t.Errorf("of %d bytes: %d are held, %v", size, m.used, err)
				}
			}
			if _, err := c.unpack(m, test.codec, nil, test.stored[:len(test.stored)/2], len(plain)); err == nil {
				t.Error("half of it is taken for all")
			}
		})
	}
	for codec, name := range map[int64]string{pqLZO: "LZO", 17: "number 17", -1: "number -1"} {
		wantCode(t, readableCodec(codec), bucketload.CodeSource, name)
	}
}

// Errors of the file are one thing, those of reading it another.
func TestParquetErrors(t *testing.T) {
	data := parquetFile(t, flatRows(10))
	magic := func(s string) []byte { return append(slices.Clone(data[:len(data)-4]), s...) }
	length := slices.Clone(data)
	binary.LittleEndian.PutUint32(length[len(length)-8:], uint32(len(data)))
	for name, test := range map[string]struct {
		data []byte
		code bucketload.Code
		text string
	}{
		"empty":     {nil, bucketload.CodeCorrupt, "too short"},
		"CSV":       {[]byte("a,b,c\n1,2,3\n4,5,6\n"), bucketload.CodeCorrupt, "no Parquet file"},
		"encrypted": {magic("PARE"), bucketload.CodeSource, "encrypted"},
		"cut off":   {data[:len(data)-1], bucketload.CodeCorrupt, "cut off"},
		"footer":    {length, bucketload.CodeCorrupt, "longer than the file"},
	} {
		_, err := NewParquet(bytes.NewReader(test.data), int64(len(test.data)))
		t.Run(name, func(t *testing.T) { wantCode(t, err, test.code, test.text) })
	}
	broken := errors.New("connection reset")
	if _, err := NewParquet(errorAt{bytes.NewReader(data), 0, broken}, int64(len(data))); !errors.Is(err, broken) {
		t.Error(err)
	}
	p, err := NewParquet(errorAt{bytes.NewReader(data), 1, broken}, int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := p.Next(); !errors.Is(err, broken) || !p.Broken() {
			t.Error(err)
		}
	}
}

// errorAt breaks after some calls.
type errorAt struct {
	*bytes.Reader
	calls int
	err   error
}

func (e errorAt) ReadAt(b []byte, off int64) (int, error) {
	if e.calls == 0 || off == 4 {
		return iotest.ErrReader(e.err).Read(b)
	}
	return e.Reader.ReadAt(b, off)
}
