package decode

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/deprecated"

	"github.com/bucketload/bucketload"
)

// parquetFile writes values, of any type that the package parquet takes.
func parquetFile[T any](t testing.TB, rows []T, options ...parquet.WriterOption) []byte {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[T](&b, options...)
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// parquetRows writes rows of single columns in the schema {v: node}.
func parquetRows(t testing.TB, node parquet.Node, rows []parquet.Row, options ...parquet.WriterOption) []byte {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[any](&b, append(options, parquet.NewSchema("file", parquet.Group{"v": node}))...)
	if _, err := w.WriteRows(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func openParquet(t testing.TB, data []byte) *Parquet {
	t.Helper()
	p, err := NewParquet(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// pqShow makes a field readable: NULL, the value, or the value in quotes.
func pqShow(f bucketload.Field) string {
	switch {
	case f.Quoted:
		return fmt.Sprintf("'%s'", f.Bytes)
	case len(f.Bytes) == 0:
		return "NULL"
	}
	return string(f.Bytes)
}

// pqShown reads all rows, with blanks between the fields.
func pqShown(t testing.TB, p *Parquet) (rows []string) {
	t.Helper()
	for {
		row, err := p.Next()
		if err == io.EOF {
			return rows
		}
		if err != nil {
			t.Fatalf("row %d: %v", p.Line(), err)
		}
		fields := make([]string, len(row))
		for i, f := range row {
			fields[i] = pqShow(f)
		}
		rows = append(rows, strings.Join(fields, " "))
		if p.Line() != int64(len(rows)) || p.Offset() != 0 || p.Broken() {
			t.Fatalf("row %d: line %d, offset %d, broken %t", len(rows), p.Line(), p.Offset(), p.Broken())
		}
	}
}

func wantCode(t testing.TB, err error, code bucketload.Code, text string) {
	t.Helper()
	e, ok := errors.AsType[*bucketload.Error](err)
	if !ok || e.Code != code || !strings.Contains(e.Text(), text) || e.Hint == "" {
		t.Fatalf("want %s with %q and a hint, got %v", code, text, err)
	}
}

func TestParquetTypes(t *testing.T) {
	fixed := func(b ...byte) parquet.Value { return parquet.FixedLenByteArrayValue(b) }
	i32, i64, str := parquet.Int32Value, parquet.Int64Value, func(s string) parquet.Value { return parquet.ByteArrayValue([]byte(s)) }
	nano := int64(1_700_000_000_123_456_789)
	uuid := fixed(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255)
	tests := []struct {
		node     parquet.Node
		postgres string
		values   []parquet.Value
		want     []string
	}{
		{parquet.Leaf(parquet.BooleanType), "boolean", []parquet.Value{parquet.BooleanValue(true), parquet.BooleanValue(false)}, []string{"true", "false"}},
		{parquet.Int(8), "smallint", []parquet.Value{i32(-128), i32(127)}, []string{"-128", "127"}},
		{parquet.Int(16), "smallint", []parquet.Value{i32(math.MinInt16)}, []string{"-32768"}},
		{parquet.Int(32), "integer", []parquet.Value{i32(math.MinInt32), i32(math.MaxInt32)}, []string{"-2147483648", "2147483647"}},
		{parquet.Int(64), "bigint", []parquet.Value{i64(math.MinInt64), i64(math.MaxInt64)}, []string{"-9223372036854775808", "9223372036854775807"}},
		{parquet.Uint(8), "smallint", []parquet.Value{i32(255)}, []string{"255"}},
		{parquet.Uint(16), "integer", []parquet.Value{i32(65535)}, []string{"65535"}},
		{parquet.Uint(32), "bigint", []parquet.Value{i32(-1)}, []string{"4294967295"}},
		{parquet.Uint(64), "numeric(20,0)", []parquet.Value{i64(-1)}, []string{"18446744073709551615"}},
		{parquet.Leaf(parquet.Int32Type), "integer", []parquet.Value{i32(-7)}, []string{"-7"}},
		{parquet.Leaf(parquet.FloatType), "real", []parquet.Value{parquet.FloatValue(0.1), parquet.FloatValue(float32(math.Inf(-1))), parquet.FloatValue(1e-30)}, []string{"0.1", "-Infinity", "1e-30"}},
		{parquet.Leaf(parquet.DoubleType), "double precision",
			[]parquet.Value{parquet.DoubleValue(0.1), parquet.DoubleValue(math.NaN()), parquet.DoubleValue(math.Copysign(0, -1)), parquet.DoubleValue(math.Inf(1)), parquet.DoubleValue(1.0 / 3), parquet.DoubleValue(-4.35)},
			[]string{"0.1", "NaN", "-0", "Infinity", "0.3333333333333333", "-4.35"}},
		{parquet.Decimal(2, 9, parquet.Int32Type), "numeric(9,2)", []parquet.Value{i32(5), i32(-123456), i32(0), i32(-100)}, []string{"0.05", "-1234.56", "0.00", "-1.00"}},
		{parquet.Decimal(0, 18, parquet.Int64Type), "numeric(18,0)", []parquet.Value{i64(-999_999_999_999_999_999)}, []string{"-999999999999999999"}},
		{parquet.Decimal(3, 20, parquet.FixedLenByteArrayType(9)), "numeric(20,3)",
			[]parquet.Value{fixed(0, 0, 0, 0, 0, 0, 0, 0, 1), fixed(255, 255, 255, 255, 255, 255, 255, 255, 255), fixed(0x80, 0, 0, 0, 0, 0, 0, 0, 0), fixed(0, 255, 255, 255, 255, 255, 255, 255, 255)},
			[]string{"0.001", "-0.001", "-2361183241434822606.848", "18446744073709551.615"}},
		{parquet.Decimal(1, 50, parquet.ByteArrayType), "numeric(50,1)", []parquet.Value{str(""), str("\x7b"), str("\x01" + strings.Repeat("\x00", 20)), str("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe")},
			[]string{"0.0", "12.3", "146150163733090291820368483271628301965593254297.6", "-0.2"}},
		{parquet.Date(), "date", []parquet.Value{i32(0), i32(-1), i32(19782), i32(-719162), i32(-719163), i32(2932897)},
			[]string{"1970-01-01", "1969-12-31", "2024-02-29", "0001-01-01", "0001-12-31 BC", "10000-01-01"}},
		{parquet.Time(parquet.Millisecond), "time", []parquet.Value{i32(0), i32(86_399_999), i32(3_600_500)}, []string{"00:00:00", "23:59:59.999", "01:00:00.5"}},
		{parquet.Time(parquet.Microsecond), "time", []parquet.Value{i64(1), i64(-1)}, []string{"00:00:00.000001", "-1"}},
		{parquet.Time(parquet.Nanosecond), "time", []parquet.Value{i64(1), i64(1000)}, []string{"00:00:00.000000001", "00:00:00.000001"}},
		{parquet.Timestamp(parquet.Millisecond), "timestamptz", []parquet.Value{i64(-1), i64(1_700_000_000_120)}, []string{"1969-12-31 23:59:59.999+00", "2023-11-14 22:13:20.12+00"}},
		{parquet.Timestamp(parquet.Microsecond), "timestamptz", []parquet.Value{i64(math.MinInt64), i64(0)}, []string{"290309-12-21 19:59:05.224192+00 BC", "1970-01-01 00:00:00+00"}},
		{parquet.TimestampAdjusted(parquet.Microsecond, false), "timestamp", []parquet.Value{i64(nano / 1000)}, []string{"2023-11-14 22:13:20.123456"}},
		{parquet.Timestamp(parquet.Nanosecond), "timestamptz", []parquet.Value{i64(nano), i64(nano - 789)}, []string{"2023-11-14 22:13:20.123456789+00", "2023-11-14 22:13:20.123456+00"}},
		{parquet.Leaf(parquet.Int96Type), "timestamp", []parquet.Value{parquet.Int96Value(deprecated.Int96{1, 0, 2_440_588}), parquet.Int96Value(deprecated.Int96{0, 0, 2_440_587})}, []string{"1970-01-01 00:00:00.000000001", "1969-12-31 00:00:00"}},
		{parquet.UUID(), "uuid", []parquet.Value{uuid}, []string{"00010203-0405-0607-0809-0a0b0c0d0eff"}},
		{parquet.Enum(), "text", []parquet.Value{str("RED")}, []string{"'RED'"}},
		{parquet.String(), "text", []parquet.Value{str(""), str("grün"), str("a\x00\xff")}, []string{"''", "'grün'", "'a\x00\xff'"}},
		{parquet.JSON(), "json", []parquet.Value{str(`{"a": 1e400, "a": 2}`)}, []string{`'{"a": 1e400, "a": 2}'`}},
		{parquet.BSON(), "bytea", []parquet.Value{str("\x05")}, []string{`\x05`}},
		{parquet.Leaf(parquet.ByteArrayType), "bytea", []parquet.Value{str(""), str("a\x00\xff")}, []string{`\x`, `\x6100ff`}},
		{parquet.Leaf(parquet.FixedLenByteArrayType(3)), "bytea", []parquet.Value{fixed(1, 2, 3)}, []string{`\x010203`}},
		{parquet.IntervalNode(), "interval", []parquet.Value{fixed(14, 0, 0, 0, 3, 0, 0, 0, 0xe9, 3, 0, 0)}, []string{"14 mons 3 days 00:00:01.001"}},
	}
	for _, test := range tests {
		t.Run(test.node.String(), func(t *testing.T) {
			var rows []parquet.Row
			want := test.want
			for _, v := range test.values {
				rows = append(rows, parquet.Row{v.Level(0, 1, 0)})
			}
			rows, want = append(rows, parquet.Row{parquet.NullValue().Level(0, 0, 0)}), append(slices.Clone(want), "NULL")
			p := openParquet(t, parquetRows(t, parquet.Optional(test.node), rows))
			if c := p.Columns(); len(c) != 1 || c[0].Name != "v" || c[0].Type != test.postgres || c[0].Evidence == "" {
				t.Errorf("%+v", c)
			}
			if got := pqShown(t, p); !slices.Equal(got, want) {
				t.Errorf("want %q, got %q", want, got)
			}
		})
	}
}

// What the package for writing does not have, or writes otherwise.
func TestParquetTypeOf(t *testing.T) {
	tests := []struct {
		element  pqElement
		postgres string
		bytes    string
		want     string
	}{
		{pqElement{physical: pqFixed, length: 2, logical: pqLogical{kind: pqFloat16}}, "real", "\x00\x3c", "1"},
		{pqElement{physical: pqFixed, length: 2, logical: pqLogical{kind: pqFloat16}}, "real", "\x01\x80", "-5.9604645e-08"},
		{pqElement{physical: pqFixed, length: 2, logical: pqLogical{kind: pqFloat16}}, "real", "\xff\x7b", "65504"},
		{pqElement{physical: pqFixed, length: 2, logical: pqLogical{kind: pqFloat16}}, "real", "\x00\xfc", "-Infinity"},
		{pqElement{physical: pqFixed, length: 2, logical: pqLogical{kind: pqFloat16}}, "real", "\x01\x7c", "NaN"},
		{pqElement{physical: pqByteArray, logical: pqLogical{kind: pqGeometry}}, "bytea", "\x01", `\x01`},
		{pqElement{physical: pqByteArray, logical: pqLogical{kind: 99}}, "bytea", "\x01", `\x01`},                // a type of the future
		{pqElement{physical: pqByteArray, logical: pqLogical{kind: pqDate}}, "bytea", "\x01", `\x01`},            // that cannot be
		{pqElement{physical: pqFixed, length: 8, logical: pqLogical{kind: pqUUID}}, "bytea", "\x01", `\x01`},     // nor this
		{pqElement{physical: pqByteArray, logical: pqLogical{kind: pqDecimal, scale: -1}}, "bytea", "", `\x`},    // nor this
		{pqElement{physical: pqByteArray, logical: pqLogical{kind: pqDecimal, scale: 2}}, "numeric", "", "0.00"}, // no precision
		{pqElement{physical: pqByteArray, logical: pqLogical{kind: pqUnknown}}, "text", "\x01", `\x01`},
	}
	for _, test := range tests {
		typ := typeOf(test.element)
		got, err := typ.append(nil, 0, []byte(test.bytes))
		if err != nil || string(got) != test.want || typ.postgres != test.postgres {
			t.Errorf("%+v: %s %s, %v", test.element, typ.postgres, got, err)
		}
	}
	for converted, want := range map[int64]string{0: "text", 4: "text", 6: "date", 7: "time", 8: "time", 9: "timestamptz", 10: "timestamptz", 11: "smallint", 12: "integer",
		13: "bigint", 14: "numeric(20,0)", 15: "smallint", 16: "smallint", 17: "integer", 18: "bigint", 19: "json", 20: "bytea", 21: "interval", 5: "numeric(9,2)", 99: "bytea"} {
		for _, e := range []pqElement{{physical: pqInt32}, {physical: pqInt64}, {physical: pqFixed, length: 12}, {physical: pqByteArray}} {
			e.logical = convertedType(converted, 2, 9)
			if typeOf(e).postgres == want {
				want = ""
			}
		}
		if want != "" {
			t.Errorf("the converted type %d is never %s", converted, want)
		}
	}
}

type flat struct {
	ID    int64   `parquet:"id,delta"`
	Name  *string `parquet:"name,optional,dict"`
	Price float64 `parquet:"price,split"`
	Note  string  `parquet:"note,delta"`
	Blob  []byte  `parquet:"blob,plain"`
	Yes   bool    `parquet:"yes"`
	Small int32   `parquet:"small,dict"`
	Fine  float32 `parquet:"fine,plain"`
}

func flatRows(n int) []flat {
	rows := make([]flat, n)
	for i := range rows {
		rows[i] = flat{ID: int64(i) * 1_000_003 * int64(1-i%3), Price: float64(i) / 8, Note: fmt.Sprintf("note %d of many", i/3), Blob: []byte{byte(i)}, Yes: i%3 == 0, Small: int32(i % 7), Fine: float32(i) / 4}
		if i%5 != 0 {
			name := fmt.Sprint("name", i%11)
			rows[i].Name = &name
		}
	}
	return rows
}

func (f flat) shown() string {
	name := "NULL"
	if f.Name != nil {
		name = "'" + *f.Name + "'"
	}
	return fmt.Sprintf(`%d %s %v '%s' \x%x %t %d %v`, f.ID, name, f.Price, f.Note, f.Blob, f.Yes, f.Small, f.Fine)
}

func TestParquetCodecsAndPages(t *testing.T) {
	rows := flatRows(1500)
	want := make([]string, len(rows))
	for i, r := range rows {
		want[i] = r.shown()
	}
	for _, codec := range []compress.Codec{&parquet.Uncompressed, &parquet.Snappy, &parquet.Gzip, &parquet.Brotli, &parquet.Zstd, &parquet.Lz4Raw} {
		for _, version := range []int{1, 2} {
			for _, page := range []int{300, 1 << 20} {
				for _, group := range []int64{700, 100_000} {
					t.Run(fmt.Sprint(codec, version, page, group), func(t *testing.T) {
						t.Parallel()
						data := parquetFile(t, rows, parquet.Compression(codec), parquet.DataPageVersion(version), parquet.PageBufferSize(page), parquet.MaxRowsPerRowGroup(group))
						p := openParquet(t, data)
						if p.Rows() != int64(len(rows)) {
							t.Error(p.Rows())
						}
						if got := pqShown(t, p); !slices.Equal(got, want) {
							t.Errorf("%d rows; %s", len(got), got[0])
						}
						if _, err := p.Next(); err != io.EOF || !p.Broken() {
							t.Error("after the end:", err)
						}
					})
				}
			}
		}
	}
}

// ranges remembers what is read, and how often.
type ranges struct {
	*bytes.Reader
	calls int
	read  []bool
}

func (r *ranges) ReadAt(b []byte, off int64) (int, error) {
	n, err := r.Reader.ReadAt(b, off)
	r.calls++
	for i := range n {
		r.read[off+int64(i)] = true
	}
	return n, err
}

func TestParquetReadsSelectedColumnsOnly(t *testing.T) {
	data := parquetFile(t, flatRows(20_000), parquet.MaxRowsPerRowGroup(5000), parquet.PageBufferSize(4096))
	r := &ranges{Reader: bytes.NewReader(data), read: make([]bool, len(data))}
	p, err := NewParquet(r, int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if r.calls > 2 {
		t.Errorf("%d calls for the footer", r.calls)
	}
	clear(r.read)
	r.calls = 0
	if err := p.Select([]ParquetField{{Path: "price"}, {Path: "small"}, {Path: "yes"}}); err != nil {
		t.Fatal(err)
	}
	if got := pqShown(t, p); len(got) != 20_000 || got[9] != "1.125 2 true" {
		t.Error(len(got), got[9])
	}
	if want := 2 * len(p.footer.groups); r.calls != want { // yes and small lie side by side
		t.Errorf("%d calls, want %d", r.calls, want)
	}
	wanted := make([]bool, len(data))
	for _, g := range p.footer.groups {
		for _, leaf := range []int{2, 5, 6} {
			for i := range g.chunks[leaf].size {
				wanted[g.chunks[leaf].start+i] = true
			}
		}
	}
	if !slices.Equal(r.read, wanted) {
		t.Error("something else was read than the columns that are selected")
	}
}

// Where the chunks do not fit in the read-ahead they are read bit by bit, with
// as much in memory.
func TestParquetWindows(t *testing.T) {
	data := parquetFile(t, flatRows(20_000), parquet.PageBufferSize(4096))
	r := &ranges{Reader: bytes.NewReader(data), read: make([]bool, len(data))}
	p, err := NewParquet(r, int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	p.readAhead = 8 << 10
	if got := pqShown(t, p); len(got) != 20_000 || got[9] != flatRows(10)[9].shown() {
		t.Error(len(got), got[9])
	}
	if held := p.budget.used - pqBatchesHeld(p); held > 2*(p.readAhead+8*(4096+4096)) {
		t.Errorf("%d bytes are held of a file of %d", held, len(data))
	}
}

// Of a column that is read through its window a page and a dictionary are held,
// and nothing that only led to them.
func TestParquetHoldsPagesOnce(t *testing.T) {
	type wide struct {
		A float64 `parquet:"a,dict"`
		B int64   `parquet:"b,dict"`
		C float64 `parquet:"c"`
		D int64   `parquet:"d"`
	}
	const distinct, page = 128 << 10, 1 << 20 // 1 MiB of both
	rows := make([]wide, distinct)
	for i := range rows {
		n := int64(uint64(i) * 0x9e3779b97f4a7c15 >> 12) // that no codec makes much shorter
		rows[i] = wide{A: float64(n), B: n, C: float64(n), D: n}
	}
	for _, codec := range []compress.Codec{&parquet.Uncompressed, &parquet.Snappy, &parquet.Zstd} {
		p := openParquet(t, parquetFile(t, rows, parquet.Compression(codec), parquet.PageBufferSize(page), parquet.DataPageVersion(1)))
		p.readAhead = 64 << 10
		for i := range rows {
			row, err := p.Next()
			if err != nil {
				t.Fatal(err)
			}
			a, _ := strconv.ParseFloat(string(row[0].Bytes), 64)
			d, _ := strconv.ParseInt(string(row[3].Bytes), 10, 64)
			if a != rows[i].A || d != rows[i].D {
				t.Fatalf("row %d: %s", i, p.Raw())
			}
		}
		most := 2*2*page + 2*page + page // the first two columns, the others, and one for all
		if held := p.budget.used - pqBatchesHeld(p); held > most*9/8+4*p.readAhead {
			t.Errorf("%s: %d bytes are held", codec, held)
		}
	}
}

// pqBatchesHeld is what the batches of all columns take, with the fields made of
// them.
func pqBatchesHeld(p *Parquet) (n int) {
	for _, c := range p.columns {
		n += len(c.leaves)*pqBatchSize + cap(c.ready)*int(unsafe.Sizeof(bucketload.Field{})) + cap(c.arena)
	}
	return n
}

func TestParquetNoGarbage(t *testing.T) {
	for name, data := range map[string][]byte{
		"flat":   parquetFile(t, flatRows(5000), parquet.Compression(&parquet.Zstd)),
		"nested": parquetFile(t, slices.Repeat(nestedRows(), 1200)),
	} {
		p := openParquet(t, data)
		next := func() {
			if _, err := p.Next(); err != nil {
				t.Fatal(err)
			}
		}
		routines := runtime.NumGoroutine()
		for range 1500 { // the first batch makes what the others use
			next()
		}
		if n := testing.AllocsPerRun(2000, next); n != 0 {
			t.Errorf("%s: %v allocations per row", name, n)
		}
		if n := runtime.NumGoroutine(); n > routines { // a panic in one could not be caught
			t.Errorf("%s: %d goroutines more", name, n-routines)
		}
	}
}

func TestParquetRaw(t *testing.T) {
	data := parquetFile(t, nestedRows()[:2])
	p := openParquet(t, data)
	if err := p.Select([]ParquetField{{Path: "list"}, {Path: "bare"}, {Path: "struct.b"}, {Path: "struct.a"}, {Path: "map"}}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`{"list":"{1,NULL,1}","bare":"{\"\",\"NULL\",\"x\\\"y\\\\z\",\"a,b}\"}","struct.b":"\\x00ff","struct.a":"a \"b\" \\c","map":{"k\n":0.5}}`,
		`{"list":null,"bare":"{}","struct.b":null,"struct.a":null,"map":null}`,
	}
	for _, want := range want {
		if _, err := p.Next(); err != nil {
			t.Fatal(err)
		}
		if got := string(p.Raw()); got != want {
			t.Errorf("want %s\ngot  %s", want, got)
		}
	}
	p = openParquet(t, parquetRows(t, parquet.Leaf(parquet.DoubleType), []parquet.Row{{parquet.DoubleValue(math.NaN())}, {parquet.DoubleValue(1e300)}}))
	for _, want := range []string{`{"v":"NaN"}`, `{"v":1e+300}`} {
		if _, err := p.Next(); err != nil || string(p.Raw()) != want {
			t.Errorf("%s, %v", p.Raw(), err)
		}
	}
}

// A row that cannot be made costs the row.
func TestParquetRowErrors(t *testing.T) {
	node := parquet.Group{"a": parquet.Leaf(parquet.Int32Type), "id": parquet.String(), "m": parquet.Map(parquet.String(), parquet.Leaf(parquet.Int32Type)),
		"z": parquet.Decimal(0, 9, parquet.ByteArrayType)}
	big := parquet.ByteArrayValue(bytes.Repeat([]byte{1}, 500))
	var b bytes.Buffer
	w := parquet.NewGenericWriter[any](&b, parquet.NewSchema("file", node), parquet.PageBufferSize(100))
	for i := range 2000 {
		z := parquet.ByteArrayValue([]byte{byte(i % 100)})
		if i%3 == 1 {
			z = big
		}
		row := parquet.Row{parquet.Int32Value(int32(i)).Level(0, 0, 0), parquet.ByteArrayValue(fmt.Appendf(nil, "xxxxxxxxxx%d", i)).Level(0, 0, 1)}
		for k := range i%3 + 1 {
			row = append(row, parquet.ByteArrayValue([]byte{'a' + byte(k)}).Level(min(k, 1), 1, 2))
		}
		for k := range i%3 + 1 {
			row = append(row, parquet.Int32Value(int32(k)).Level(min(k, 1), 1, 3))
		}
		if _, err := w.WriteRows([]parquet.Row{append(row, z.Level(0, 0, 4))}); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	p := openParquet(t, b.Bytes())
	if err := p.Select([]ParquetField{{Path: "id"}, {Path: "z"}, {Path: "a"}, {Path: "m"}}); err != nil {
		t.Fatal(err)
	}
	maps := []string{`{"a":0}`, ``, `{"a":0,"b":1,"c":2}`}
	for i := range 2000 {
		row, err := p.Next()
		if p.Line() != int64(i+1) {
			t.Fatalf("row %d is %d", i, p.Line())
		}
		if i%3 == 1 {
			if want := `{"id":"` + strings.Repeat("x", 10) + fmt.Sprint(i) + `"}`; string(p.Raw()) != want {
				t.Fatalf("row %d: %s", i, p.Raw())
			}
			if e := bucketload.AsError(err); err == nil || e.Code != bucketload.CodeValue || e.Column != "z" || p.Broken() {
				t.Fatalf("row %d: %v", i, err)
			}
			continue
		}
		if err != nil || pqShow(row[1]) != fmt.Sprint(i%100) || pqShow(row[2]) != fmt.Sprint(i) || pqShow(row[3]) != maps[i%3] {
			t.Fatalf("row %d: %s, %v", i, p.Raw(), err)
		}
	}
	if _, err := p.Next(); err != io.EOF {
		t.Error(err)
	}
}
