package steps

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/bucketload/bucketload/internal/decode"
	"github.com/bucketload/bucketload/internal/pgcopy"
)

// numbers are one of each physical type, and one of each logical one of them.
type numbers struct {
	Double   float64  `parquet:"double"`
	Maybe    *float64 `parquet:"maybe,optional"`
	Float    float32  `parquet:"float"`
	Int32    int32    `parquet:"int32"`
	Int64    int64    `parquet:"int64"`
	Uint32   uint32   `parquet:"uint32"`
	Uint64   uint64   `parquet:"uint64"`
	Yes      bool     `parquet:"yes"`
	Date     int32    `parquet:"date,date"`
	Millis   int64    `parquet:"millis,timestamp(millisecond)"`
	Micros   int64    `parquet:"micros,timestamp(microsecond)"`
	Nanos    int64    `parquet:"nanos,timestamp(nanosecond)"`
	Local    int64    `parquet:"local,timestamp(microsecond:local)"`
	Decimal  int64    `parquet:"decimal,decimal(2:18)"`
	Sentence string   `parquet:"sentence"`
}

// Whether a value goes to the encoder as text or in the binary form that it asks
// for, the stream is the same, and so is what is refused. What is recorded of a row
// is the same, too.
func TestBinaryFieldsAreText(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	odd := []int64{0, 1, -1, math.MaxInt16, math.MaxInt16 + 1, math.MinInt16 - 1, math.MaxInt32, math.MaxInt32 + 1, math.MinInt32 - 1, math.MaxInt64, math.MinInt64,
		-719_162, -719_163, 2_932_896, 2_932_897, 10_957, -62_135_596_800_000, -62_135_596_800_001, 253_402_300_799_999, 253_402_300_800_000,
		-62_135_596_800_000_000, -62_135_596_800_000_001, 253_402_300_799_999_999, 253_402_300_800_000_000, 946_684_800_000_000_000, 946_684_800_000_000_001}
	floats := []float64{0, math.Copysign(0, -1), 1.5, -0.1, math.Pi, math.Inf(1), math.Inf(-1), math.NaN(), math.Float64frombits(0x7ff0000000000001), math.MaxFloat64, math.SmallestNonzeroFloat64}
	var rows []numbers
	for i := range 3000 {
		n := int64(r.Uint64()) >> r.IntN(64)
		f := math.Float64frombits(r.Uint64())
		if i < len(odd) {
			n = odd[i]
		}
		if i < len(floats) {
			f = floats[i]
		}
		row := numbers{Double: f, Float: float32(f), Int32: int32(n), Int64: n, Uint32: uint32(n), Uint64: uint64(n), Yes: n&1 == 0,
			Date: int32(n), Millis: n, Micros: n, Nanos: n, Local: n, Decimal: n % 1e18, Sentence: fmt.Sprint("said ", n)}
		if i%3 > 0 {
			row.Maybe = &f
		}
		rows = append(rows, row)
	}
	file := parquetOf(t, rows, parquet.MaxRowsPerRowGroup(1100), parquet.PageBufferSize(2000))
	open := func(fields []decode.ParquetField) *decode.Parquet {
		p, err := decode.NewParquet(strings.NewReader(file), int64(len(file)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Close() })
		if err := p.Select(fields); err != nil {
			t.Fatal(err)
		}
		return p
	}
	types := map[string]uint32{"float8": 701, "float4": 700, "int2": 21, "int4": 23, "int8": 20, "numeric": 1700, "bool": 16, "date": 1082, "timestamp": 1114, "timestamptz": 1184}
	binary := 0
	for name, oid := range types {
		column := pgcopy.Column{Name: "v", OID: oid, TypMod: -1, TypeName: name}
		for _, path := range parquet.SchemaOf(numbers{}).Columns() {
			enc, err := pgcopy.NewEncoder(pgcopy.Binary, []pgcopy.Column{column})
			if err != nil {
				t.Fatal(err)
			}
			field := decode.ParquetField{Path: path[0], Type: name}
			text := open([]decode.ParquetField{field})
			field.Binary = enc.Takes(0)
			asked := open([]decode.ParquetField{field})
			for i := range rows {
				want, textErr := text.Next()
				got, askedErr := asked.Next()
				if textErr != nil || askedErr != nil {
					t.Fatal(textErr, askedErr)
				}
				if want[0].Binary {
					t.Fatal("nobody has asked for a binary field")
				}
				if got[0].Binary {
					binary++
				}
				wanted, wantErr := enc.Append(nil, want)
				stream, err := enc.Append(nil, got)
				if (wantErr == nil) != (err == nil) || !bytes.Equal(wanted, stream) {
					t.Fatalf("%s into %s, row %d: %q makes %x, %v; binary %x, %v", path[0], name, i, want[0].Bytes, wanted, wantErr, stream, err)
				}
				if !bytes.Equal(text.Raw(), asked.Raw()) {
					t.Fatalf("%s into %s, row %d: %s, not %s", path[0], name, i, asked.Raw(), text.Raw())
				}
			}
			if _, err := asked.Next(); err != io.EOF {
				t.Fatal(err)
			}
		}
	}
	// Eleven pairs of a column and the type that it is of; more where it fits.
	if binary < 11*len(rows)/2 {
		t.Errorf("%d fields were binary", binary)
	}
}
