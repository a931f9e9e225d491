package decode

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"

	"github.com/bucketload/bucketload"
)

// judgeParquet reads a file whatever it is: it may be an error, but an Error
// that says what is wrong, and not a panic that was caught.
func judgeParquet(t testing.TB, data []byte) {
	t.Helper()
	p, err := NewParquet(bytes.NewReader(data), int64(len(data)))
	for rows := 0; err == nil && rows < 10_000; rows++ {
		var row []bucketload.Field
		row, err = p.Next()
		p.Raw()
		if err == nil && len(row) != len(p.Columns()) {
			t.Errorf("a row has %d fields", len(row))
		}
		if err != nil && !p.Broken() {
			err = nil
		}
	}
	if p != nil {
		if p.budget.used > pqMaxHeld {
			t.Errorf("%d bytes are held", p.budget.used)
		}
		p.Close()
	}
	if err == nil || err == io.EOF {
		return
	}
	e, ok := errors.AsType[*bucketload.Error](err)
	if !ok || e.Message == "" || e.Hint == "" {
		t.Errorf("%v", err)
	}
	if _, ok := errors.AsType[runtime.Error](err); ok {
		t.Errorf("a panic: %v", err)
	}
}

func FuzzParquet(f *testing.F) {
	for _, codec := range []compress.Codec{&parquet.Uncompressed, &parquet.Snappy, &parquet.Gzip, &parquet.Brotli, &parquet.Zstd, &parquet.Lz4Raw} {
		for version := 1; version <= 2; version++ {
			f.Add(parquetFile(f, flatRows(20), parquet.Compression(codec), parquet.DataPageVersion(version), parquet.PageBufferSize(100), parquet.MaxRowsPerRowGroup(12)))
			f.Add(parquetFile(f, nestedRows(), parquet.Compression(codec), parquet.DataPageVersion(version)))
		}
	}
	f.Add([]byte("PAR1\x00\x00\x00\x00PAR1"))
	f.Add([]byte("PAR1\x00\x00\x00\x00PARE"))
	f.Fuzz(func(t *testing.T, data []byte) { judgeParquet(t, data) })
}

// FuzzParquetPage gives bytes to all that a page's values go through, with no
// footer or header that would turn most of them away.
func FuzzParquetPage(f *testing.F) {
	f.Add([]byte{2, 0, 0, 0, 3, 1, 8, 3}, byte(pqPlain), byte(pqInt32), uint16(2))
	f.Add([]byte{128, 1, 4, 5, 2, 2, 0, 0, 0, 0}, byte(pqDeltaBinary), byte(pqInt64), uint16(5))
	f.Add([]byte{128, 1, 4, 1, 2, 128, 1, 4, 1, 6, 'a', 'b', 'c'}, byte(pqDeltaByteArray), byte(pqByteArray), uint16(1))
	f.Fuzz(func(t *testing.T, data []byte, encoding, physical byte, values uint16) {
		n := &pqNode{pqElement: pqElement{name: "v", physical: pqPhysical(physical % 8), length: 3}, def: 2, rep: 1}
		l := newPqLeaf(n, 0, new(pqBudget), new(pqCodecs))
		l.dictionary, l.has = pqValues{ints: make([]int64, 3), spans: make([]pqSpan, 3)}, true
		l.paged, l.encoding = int(values), int64(encoding%10)
		var err error
		l.values, err = l.firstVersion(pqPage{values: int64(values), repEncoding: pqRLE + int64(encoding>>4&1), defEncoding: pqRLE + int64(encoding>>5&1)}, data)
		if err == nil && l.paged > 0 {
			err = l.begin()
		}
		for err == nil && l.paged > 0 {
			err = l.fill()
		}
		if _, ok := errors.AsType[*bucketload.Error](err); err != nil && !ok {
			t.Error(err)
		}
	})
}
