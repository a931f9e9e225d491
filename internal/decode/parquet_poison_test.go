package decode

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/parquet-go/parquet-go"

	"github.com/bucketload/bucketload"
)

// Files of a few bytes that would cost a worker its memory or its time, or give
// other values than they have.

// A few bytes stand for many byte arrays that are all long.
func TestParquetJoinedIsBounded(t *testing.T) {
	type row struct {
		V string `parquet:"v,delta"`
	}
	rows := make([]row, 1000)
	for i := range rows {
		rows[i].V = strings.Repeat("x", 4<<10)
	}
	data := parquetFile(t, rows, parquet.PageBufferSize(8<<20), parquet.Compression(&parquet.Zstd))
	if len(data) > 32<<10 {
		t.Fatalf("a file of %d bytes", len(data))
	}
	p := openParquet(t, data)
	p.budget.used = pqMaxHeld - 1<<20
	_, err := p.Next()
	wantCode(t, err, bucketload.CodeLimit, "512 MiB")
	if n := cap(p.leaves[0].joined); n > 1<<20 {
		t.Errorf("%d bytes are held", n)
	}

	p = openParquet(t, data)
	if got := pqShown(t, p); len(got) != len(rows) || got[999] != "'"+rows[0].V+"'" {
		t.Errorf("%d rows", len(got))
	}
	if n := cap(p.leaves[0].joined); p.budget.used < n || n < 1000*4<<10 {
		t.Errorf("%d bytes are counted of %d", p.budget.used, n)
	}
}

// Where the values of a dictionary stand takes more than the values.
func TestParquetDictionaryIsBounded(t *testing.T) {
	l := newPqLeaf(&pqNode{pqElement: pqElement{physical: pqByteArray}}, 0, &pqBudget{used: pqMaxHeld - 6000}, new(pqCodecs))
	err := l.readDictionary(pqPage{values: 1000, encoding: pqPlain}, make([]byte, 4000))
	wantCode(t, err, bucketload.CodeLimit, "512 MiB")
}

// Decimals have as many digits as the schema says.
func TestParquetFieldsAreBounded(t *testing.T) {
	rows := make([]parquet.Row, 1000)
	for i := range rows {
		rows[i] = parquet.Row{parquet.Int64Value(1)}
	}
	p := openParquet(t, parquetRows(t, parquet.Decimal(0, 18, parquet.Int64Type), rows))
	p.nodes[0].logical.scale = 900
	p.budget.used = pqMaxHeld - 512<<10
	_, err := p.Next()
	wantCode(t, err, bucketload.CodeLimit, "512 MiB")
}

// pqFooterOnly is a file that has nothing but a footer.
func pqFooterOnly(footer []byte) []byte {
	data := append([]byte("PAR1"), footer...)
	return append(binary.LittleEndian.AppendUint32(data, uint32(len(footer))), "PAR1"...)
}

func TestParquetFooterIsBounded(t *testing.T) {
	// Field 2 is a list of 200,000 structs without fields.
	schema := append(binary.AppendUvarint([]byte{0x29, 0xfc}, 200_000), make([]byte, 200_001)...)
	data := pqFooterOnly(schema)
	_, err := NewParquet(bytes.NewReader(data), int64(len(data)))
	wantCode(t, err, bucketload.CodeLimit, "schema")

	// Field 4 is a list of row groups without fields, then of one with column
	// chunks that have metadata without fields.
	groups := append(binary.AppendUvarint([]byte{0x49, 0xfc}, 1000), make([]byte, 1001)...)
	chunks := binary.AppendUvarint([]byte{0x49, 0x1c, 0x19, 0xfc}, 1000)
	chunks = append(append(chunks, bytes.Repeat([]byte{0x3c, 0, 0}, 1000)...), 0, 0)
	for name, footer := range map[string][]byte{"schema": append(slices.Clone(schema[:1]), append([]byte{0xec}, make([]byte, 15)...)...), "groups": groups, "chunks": chunks} {
		f, th, budget := pqFooter{}, thrift{data: footer}, pqBudget{}
		if f.read(&th, &budget); th.err != nil {
			t.Errorf("%s: %v", name, th.err)
		}
		held := cap(f.schema)*int(unsafe.Sizeof(pqElement{})) + len(f.schema)*int(unsafe.Sizeof(pqNode{})) + cap(f.groups)*int(unsafe.Sizeof(pqRowGroup{}))
		for _, g := range f.groups {
			held += cap(g.chunks) * int(unsafe.Sizeof(pqChunk{}))
		}
		if budget.used != held {
			t.Errorf("%s: %d bytes are counted of %d", name, budget.used, held)
		}
		f, th, budget = pqFooter{}, thrift{data: footer}, pqBudget{used: pqMaxHeld - held + 1}
		if f.read(&th, &budget); th.err == nil {
			t.Errorf("%s are not counted", name)
			continue
		}
		wantCode(t, th.err, bucketload.CodeLimit, "512 MiB")
	}
}

// hollow is a file of which nothing is written but its footer's beginning and its
// end.
type hollow struct {
	size, begins int64
	footer       []byte
}

func (h hollow) ReadAt(b []byte, off int64) (int, error) {
	if off == h.begins {
		copy(b, h.footer)
	}
	if off+int64(len(b)) == h.size {
		copy(b[len(b)-8:], append(binary.LittleEndian.AppendUint32(nil, uint32(h.size-h.begins-8)), "PAR1"...))
	}
	return len(b), nil
}

// What is made of a footer counts beside the footer, which is given up once it
// has been read.
func TestParquetFooterIsHeldOnce(t *testing.T) {
	groups := append(binary.AppendUvarint([]byte{0x49, 0xfc}, 1000), make([]byte, 1001)...)
	file := hollow{size: 4 + pqMaxHeld + 8, begins: 4, footer: groups}
	_, err := NewParquet(file, file.size)
	wantCode(t, err, bucketload.CodeLimit, "512 MiB")

	p := openParquet(t, parquetFile(t, flatRows(1), parquet.KeyValueMetadata("filler", strings.Repeat("x", 1<<20))))
	if p.budget.used == 0 || p.budget.used > 64<<10 {
		t.Errorf("%d bytes are held", p.budget.used)
	}
}

// A row is too long by all of its columns together, whatever they are, and costs
// the row.
func TestParquetRowIsBounded(t *testing.T) {
	type row struct {
		A string   `parquet:"a"`
		L []string `parquet:"l"`
		B string   `parquet:"b"`
		Z string   `parquet:"z"`
	}
	var rows []row
	for _, s := range []string{"1", "2", "3"} {
		rows = append(rows, row{s, []string{s, s}, s, s})
	}
	p := openParquet(t, parquetFile(t, rows))
	next := func(want string) {
		t.Helper()
		fields, err := p.Next()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range fields {
			got = append(got, pqShow(f))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("want %s, got %s", want, got)
		}
	}
	next(`'1' {"1","1"} '1' '1'`)
	half := make([]byte, pqMaxRow/2) // never written to: it takes no memory
	for _, i := range []int{0, 2} {
		p.columns[i].ready[p.columns[i].given].Bytes = half
	}
	_, err := p.Next()
	wantCode(t, err, bucketload.CodeTooLong, "longer than 256 MiB")
	if e := bucketload.AsError(err); e.Column != "b" || p.Broken() {
		t.Errorf("%v, broken: %t", err, p.Broken())
	}
	next(`'3' {"3","3"} '3' '3'`)
}

// A string of which every byte is escaped is not written to its end beyond the
// length of a row.
func TestParquetEscapesAreBounded(t *testing.T) {
	const room = 1 << 10
	full := make([]byte, pqMaxRow, pqMaxRow+room)
	quotes := bytes.Repeat([]byte{'"'}, 2*room)
	for name, got := range map[string][]byte{"JSON": appendPqString(full, quotes), "an array": appendElement(full, quotes)} {
		if len(got) > pqMaxRow+8 || !bytes.HasSuffix(got, []byte{'"'}) {
			t.Errorf("%s: %d bytes too many", name, len(got)-pqMaxRow)
		}
	}
	data := parquetFile(t, []struct {
		S struct {
			V string `parquet:"v"`
		} `parquet:"s"`
		L []string `parquet:"l"`
	}{{L: []string{strings.Repeat("x", room)}}}, parquet.DataPageVersion(1))
	p := openParquet(t, data)
	if _, err := p.Next(); err != nil {
		t.Fatal(err)
	}
	p = openParquet(t, data)
	if err := p.Select([]ParquetField{{Path: "l"}, {Path: "l", Type: "jsonb"}}); err != nil {
		t.Fatal(err)
	}
	if err := p.nextGroup(); err != nil {
		t.Fatal(err)
	}
	for _, c := range p.columns {
		if _, row, err := c.field(full[:pqMaxRow-room/2]); !errors.Is(err, errPqRow) || len(row) > pqMaxRow {
			t.Errorf("%d bytes, %v", len(row), err)
		}
	}
}

// pqPageOf is a page of the first version with n entries, whose levels and values
// are body.
func pqPageOf(n, encoding uint64, body []byte) []byte {
	zigzag := func(b []byte, n uint64) []byte { return binary.AppendUvarint(append(b, 0x15), n<<1) } // the next field, an i32
	head := zigzag(zigzag(zigzag(nil, pqDataPage), uint64(len(body))), uint64(len(body)))
	head = zigzag(append(head, 0x2c), n) // field 5, a struct
	head = zigzag(zigzag(zigzag(head, encoding), pqRLE), pqRLE)
	return append(append(head, 0, 0), body...)
}

// pqLevelsOf are levels as they stand in such a page, in runs.
func pqLevelsOf(runs []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(runs))), runs...)
}

// Behind a row that cannot be made the next one is looked for, but not for hours:
// a page of 40 bytes may have two thousand million entries of the same row.
func TestParquetRowOfEndlessEntries(t *testing.T) {
	node := parquet.Group{"d": parquet.Decimal(0, 9, parquet.ByteArrayType), "v": parquet.Repeated(parquet.Leaf(parquet.Int32Type))}
	big := parquet.ByteArrayValue(bytes.Repeat([]byte{1}, pqMaxDecimal+1))
	data := parquetRows(t, node, []parquet.Row{{big.Level(0, 0, 0), parquet.Int32Value(1).Level(0, 1, 1)}})
	p := openParquet(t, data)

	const pages, entries = 4, math.MaxInt32
	repeated := func(n uint64, level byte) []byte { return append(binary.AppendUvarint(nil, n<<1), level) }
	first := append(repeated(1, 0), repeated(entries-1, 1)...)
	start := len(data)
	for i := range pages {
		repeats := repeated(entries, 1)
		if i == 0 {
			repeats = first
		}
		data = append(data, pqPageOf(entries, pqPlain, append(pqLevelsOf(repeats), pqLevelsOf(repeated(entries, 0))...))...)
	}
	chunk := &p.footer.groups[0].chunks[1]
	*chunk = pqChunk{physical: pqInt32, values: pages * entries, start: int64(start), size: int64(len(data) - start)}
	p.r, p.limit = bytes.NewReader(data), int64(len(data))
	if err := p.Select([]ParquetField{{Path: "v.d"}, {Path: "v.v"}}); err != nil {
		t.Fatal(err)
	}
	if err := p.nextGroup(); err != nil {
		t.Fatal(err)
	}
	p.begun, p.budget.entries = 1, pqMaxEntries-100*pqBatch // what comes before them takes a second
	err := p.pass(0, errPqRow)
	wantCode(t, err, bucketload.CodeLimit, "more than 134217728 values")
	if e := bucketload.AsError(err); e.Column != "v.v" || ofRow(err) {
		t.Error(err)
	}
	if l := p.columns[1].leaves[0]; l.left != (pages-1)*entries {
		t.Errorf("%d entries are left", l.left)
	}
	p = openParquet(t, parquetFile(t, nestedRows()))
	for range nestedRows() { // each begins anew
		p.budget.entries = pqMaxEntries
		if _, err := p.Next(); err != nil {
			t.Error(err)
		}
	}
}

// Differences of no bits stand for any number of values.
func TestParquetDeltaClaims(t *testing.T) {
	var header []byte
	for _, n := range []uint64{1 << 31, 1, 1 << 47, 0} {
		header = binary.AppendUvarint(header, n)
	}
	data := append(header, make([]byte, 1<<17)...) // 65,536 blocks of least 0 and width 0
	for _, encoding := range []int64{pqDeltaLength, pqDeltaByteArray, pqDeltaBinary} {
		l := newPqLeaf(&pqNode{pqElement: pqElement{physical: pqByteArray}}, 0, new(pqBudget), new(pqCodecs))
		if encoding == pqDeltaBinary {
			l.physical = pqInt64
		}
		for claimed, why := range map[uint64]string{1000: "no valid beginning", 1001: "more values than its column", 1 << 31: "no sense"} {
			page := pqPageOf(claimed, uint64(encoding), data)
			l.open(pqChunk{values: 1000, size: int64(len(page))}, page)
			_, err := l.more()
			wantCode(t, err, bucketload.CodeCorrupt, why)
		}
	}
}

// A page of booleans without its values does not give those of the page before.
func TestParquetBooleansWithoutValues(t *testing.T) {
	l := newPqLeaf(&pqNode{pqElement: pqElement{physical: pqBoolean}}, 0, new(pqBudget), new(pqCodecs))
	l.encoding = pqRLE
	page := func(values ...byte) error {
		l.values, l.paged = values, 8
		if err := l.begin(); err != nil {
			return err
		}
		return l.fill()
	}
	if err := page(2, 0, 0, 0, 200, 1, 1); err != nil || l.batch.ints[7] != 1 { // a run of 100
		t.Fatal(err, l.batch.ints[:8])
	}
	for _, values := range [][]byte{nil, {2, 0, 0}, {2, 0, 0, 0}} {
		wantCode(t, page(values...), bucketload.CodeCorrupt, "fewer values")
	}
}

// An integer of another width than it is stored in is what is stored.
func TestParquetIntegerWidths(t *testing.T) {
	for _, test := range []struct {
		physical pqPhysical
		bits     int64
		signed   bool
		n        int64
		postgres string
		want     string
	}{
		{pqInt64, 32, false, 1<<32 + 1, "bigint", "4294967297"},
		{pqInt64, 8, false, 1 << 40, "bigint", "1099511627776"},
		{pqInt64, 32, true, 1 << 40, "bigint", "1099511627776"},
		{pqInt32, 64, false, -1, "integer", "-1"},
		{pqInt32, 64, true, -1, "integer", "-1"},
		{pqInt32, 0, true, 70_000, "integer", "70000"},
		{pqInt32, 32, false, -1, "bigint", "4294967295"},
		{pqInt64, 64, false, -1, "numeric(20,0)", "18446744073709551615"},
	} {
		typ := typeOf(pqElement{physical: test.physical, logical: pqLogical{kind: pqInteger, bits: test.bits, signed: test.signed}})
		if got, err := typ.append(nil, test.n, nil); err != nil || string(got) != test.want || typ.postgres != test.postgres {
			t.Errorf("%+v: %s %s, %v", test, typ.postgres, got, err)
		}
		if form := pqBinaryForm(&typ, "int8"); form == pqInt8Form {
			if b, ok := form.append(nil, &typ, test.n); !ok || form.number(&typ, b) != map[bool]int64{true: test.n, false: 1<<32 - 1}[typ.kind == pqAsInt] {
				t.Errorf("%+v: %x", test, b)
			}
		}
	}
}
