package decode

import (
	"bytes"
	"encoding/binary"
	"math"
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
	for name, test := range map[string]struct {
		footer []byte
		size   uintptr
	}{"groups": {groups, 1000 * unsafe.Sizeof(pqRowGroup{})}, "chunks": {chunks, 1000 * unsafe.Sizeof(pqChunk{})}} {
		budget := pqBudget{used: pqMaxHeld - int(test.size) + 1}
		f, th := pqFooter{}, thrift{data: test.footer}
		f.read(&th, &budget)
		if th.err == nil {
			t.Errorf("%s are not counted", name)
			continue
		}
		wantCode(t, th.err, bucketload.CodeLimit, "512 MiB")
		f, th, budget = pqFooter{}, thrift{data: test.footer}, pqBudget{}
		if f.read(&th, &budget); th.err != nil {
			t.Errorf("%s: %v", name, th.err)
		}
	}
}

// pqPageOf is a page of the first version with n entries, whose levels are these
// runs, and no values.
func pqPageOf(n uint64, repeats, defines []byte) []byte {
	var levels []byte
	for _, runs := range [][]byte{repeats, defines} {
		levels = append(binary.LittleEndian.AppendUint32(levels, uint32(len(runs))), runs...)
	}
	zigzag := func(b []byte, n uint64) []byte { return binary.AppendUvarint(append(b, 0x15), n<<1) } // the next field, an i32
	head := zigzag(zigzag(zigzag(nil, pqDataPage), uint64(len(levels))), uint64(len(levels)))
	head = zigzag(append(head, 0x2c), n) // field 5, a struct
	head = zigzag(zigzag(zigzag(head, pqPlain), pqRLE), pqRLE)
	return append(append(head, 0, 0), levels...)
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
		data = append(data, pqPageOf(entries, repeats, repeated(entries, 0))...)
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
		l.encoding, l.values, l.paged = encoding, data, 1000
		wantCode(t, l.begin(), bucketload.CodeCorrupt, "no valid beginning")
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
