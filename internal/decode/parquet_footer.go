package decode

import (
	"strings"
	"unsafe"
)

// What a footer and a page header say. Source: the Apache Parquet project,
// parquet-format, src/main/thrift/parquet.thrift. Numbers in switches are the
// fields' ids there.

// pqPhysical is how values are stored.
type pqPhysical int8

const (
	pqBoolean pqPhysical = iota
	pqInt32
	pqInt64
	pqInt96
	pqFloat
	pqDouble
	pqByteArray
	pqFixed
	pqGroup pqPhysical = -1 // no values of its own
)

// Repetitions.
const (
	pqRequired = iota
	pqOptional
	pqRepeated
)

// Members of the union LogicalType.
const (
	pqString    = 1
	pqMap       = 2
	pqList      = 3
	pqEnum      = 4
	pqDecimal   = 5
	pqDate      = 6
	pqTime      = 7
	pqTimestamp = 8
	pqInteger   = 10
	pqUnknown   = 11
	pqJSON      = 12
	pqBSON      = 13
	pqUUID      = 14
	pqFloat16   = 15
	pqVariant   = 16
	pqGeometry  = 17
	pqGeography = 18
	pqInterval  = 1000 // a ConvertedType only
)

// pqLogical is what values mean.
type pqLogical struct {
	kind             int16 // 0: nothing is said
	scale, precision int64 // decimal
	utc              bool  // time, timestamp: adjusted to UTC
	unit             int   // time, timestamp: digits of a second: 3, 6 or 9
	bits             int64 // integer
	signed           bool
}

// pqElement is a node of the schema, which is written depth first.
type pqElement struct {
	physical   pqPhysical
	length     int64 // pqFixed: bytes
	repetition int64
	name       string
	children   int64
	logical    pqLogical
}

// pqChunk is what a row group has of a column.
type pqChunk struct {
	physical pqPhysical
	codec    int64
	values   int64 // nulls and empty lists count too
	start    int64 // offset of the first page
	size     int64 // bytes, as far as the footer can be believed
	external bool  // in another file
	secret   bool  // encrypted
}

type pqRowGroup struct {
	rows   int64
	chunks []pqChunk // in the order of the schema's leaves
}

type pqFooter struct {
	schema []pqElement
	rows   int64
	groups []pqRowGroup
	writer string
}

// compressedAnyway says whether the writer marked pages of the second version
// as not compressed that are: Arrow for C++ before its version 2 did.
func (m *pqFooter) compressedAnyway() bool {
	return strings.HasPrefix(m.writer, "parquet-cpp version 1.")
}

// pqMaxSchema bounds the elements of a schema, each of which may be a single byte
// of the footer.
const pqMaxSchema = 100_000

// read counts in budget what is held of the footer, with the tree that schemaTree
// makes of the schema.
func (m *pqFooter) read(t *thrift, budget *pqBudget) {
	for f := range t.fields {
		switch f.id {
		case 2:
			for f := range t.list(f) {
				if len(m.schema) == pqMaxSchema {
					t.fail(errPqSchema)
					break
				}
				e := readElement(t, f)
				t.fail(budget.charge(len(e.name) + int(unsafe.Sizeof(pqNode{}))))
				var err error
				m.schema, err = push(budget, m.schema, e)
				t.fail(err)
			}
		case 3:
			m.rows = t.count(f)
		case 4:
			for f := range t.list(f) {
				var err error
				m.groups, err = push(budget, m.groups, readRowGroup(t, f, budget))
				t.fail(err)
			}
		case 6:
			m.writer = t.string(f)
		default:
			t.skip(f)
		}
	}
}

func readElement(t *thrift, f thriftField) pqElement {
	e := pqElement{physical: pqGroup}
	converted := int64(-1)
	var scale, precision int64
	for f := range t.structure(f) {
		switch f.id {
		case 1:
			e.physical = readPhysical(t, f)
		case 2:
			e.length = t.int(f)
		case 3:
			e.repetition = t.int(f)
		case 4:
			e.name = t.string(f)
		case 5:
			e.children = t.int(f)
		case 6:
			converted = t.int(f)
		case 7:
			scale = t.int(f)
		case 8:
			precision = t.int(f)
		case 10:
			e.logical = readLogical(t, f)
		default:
			t.skip(f)
		}
	}
	if e.logical.kind == 0 {
		e.logical = convertedType(converted, scale, precision)
	}
	return e
}

func readPhysical(t *thrift, f thriftField) pqPhysical {
	n := t.int(f)
	if t.err == nil && (n < int64(pqBoolean) || n > int64(pqFixed)) {
		t.fail(pqDamaged("a column has the physical type %d, which does not exist", n))
	}
	return pqPhysical(n)
}

func readLogical(t *thrift, f thriftField) (l pqLogical) {
	for member := range t.structure(f) {
		l.kind = member.id
		switch member.id {
		case pqDecimal:
			for f := range t.structure(member) {
				switch f.id {
				case 1:
					l.scale = t.int(f)
				case 2:
					l.precision = t.int(f)
				default:
					t.skip(f)
				}
			}
		case pqTime, pqTimestamp:
			for f := range t.structure(member) {
				switch f.id {
				case 1:
					l.utc = t.bool(f)
				case 2:
					for unit := range t.structure(f) {
						l.unit = 3 * int(unit.id)
						t.skip(unit)
					}
				default:
					t.skip(f)
				}
			}
		case pqInteger:
			for f := range t.structure(member) {
				switch f.id {
				case 1:
					l.bits = t.int(f)
				case 2:
					l.signed = t.bool(f)
				default:
					t.skip(f)
				}
			}
		default:
			t.skip(member)
		}
	}
	return l
}

// convertedType reads what older files have in place of a logical type. Their
// times are always adjusted to UTC.
func convertedType(n, scale, precision int64) pqLogical {
	switch n {
	case 0:
		return pqLogical{kind: pqString}
	case 1, 2: // MAP, MAP_KEY_VALUE
		return pqLogical{kind: pqMap}
	case 3:
		return pqLogical{kind: pqList}
	case 4:
		return pqLogical{kind: pqEnum}
	case 5:
		return pqLogical{kind: pqDecimal, scale: scale, precision: precision}
	case 6:
		return pqLogical{kind: pqDate}
	case 7, 8: // TIME_MILLIS, TIME_MICROS
		return pqLogical{kind: pqTime, utc: true, unit: 3 * int(n-6)}
	case 9, 10: // TIMESTAMP_MILLIS, TIMESTAMP_MICROS
		return pqLogical{kind: pqTimestamp, utc: true, unit: 3 * int(n-8)}
	case 11, 12, 13, 14: // UINT_8 to UINT_64
		return pqLogical{kind: pqInteger, bits: 8 << (n - 11)}
	case 15, 16, 17, 18: // INT_8 to INT_64
		return pqLogical{kind: pqInteger, bits: 8 << (n - 15), signed: true}
	case 19:
		return pqLogical{kind: pqJSON}
	case 20:
		return pqLogical{kind: pqBSON}
	case 21:
		return pqLogical{kind: pqInterval}
	}
	return pqLogical{}
}

func readRowGroup(t *thrift, f thriftField, budget *pqBudget) (g pqRowGroup) {
	for f := range t.structure(f) {
		switch f.id {
		case 1:
			for f := range t.list(f) {
				var err error
				g.chunks, err = push(budget, g.chunks, readChunk(t, f))
				t.fail(err)
			}
		case 3:
			g.rows = t.count(f)
		default:
			t.skip(f)
		}
	}
	return g
}

func readChunk(t *thrift, f thriftField) (c pqChunk) {
	metadata := false
	for f := range t.structure(f) {
		switch f.id {
		case 1:
			c.external = t.string(f) != ""
		case 3:
			metadata = true
			readColumnMetadata(t, f, &c)
		case 8:
			c.secret = true
			t.skip(f)
		default:
			t.skip(f)
		}
	}
	if !metadata && !c.secret {
		t.fail(pqDamaged("a column chunk has no metadata"))
	}
	return c
}

func readColumnMetadata(t *thrift, f thriftField, c *pqChunk) {
	var data, dictionary int64
	for f := range t.structure(f) {
		switch f.id {
		case 1:
			c.physical = readPhysical(t, f)
		case 4:
			c.codec = t.int(f)
		case 5:
			c.values = t.count(f)
		case 7:
			c.size = t.count(f)
		case 9:
			data = t.count(f)
		case 11:
			dictionary = t.int(f)
		default:
			t.skip(f)
		}
	}
	c.start = data
	if dictionary > 0 && dictionary < data {
		c.start = dictionary
	}
}

// Kinds of pages.
const (
	pqDataPage       = 0
	pqIndexPage      = 1
	pqDictionaryPage = 2
	pqDataPageV2     = 3
)

// Encodings.
const (
	pqPlain           = 0
	pqPlainDictionary = 2
	pqRLE             = 3
	pqBitPacked       = 4
	pqDeltaBinary     = 5
	pqDeltaLength     = 6
	pqDeltaByteArray  = 7
	pqRLEDictionary   = 8
	pqByteStreamSplit = 9
)

// pqPage is a page's header.
type pqPage struct {
	kind          int64
	plain, stored int64 // bytes, uncompressed and as stored
	crc           uint32
	checked       bool // there is a checksum
	described     bool // there is what the kind needs
	values        int64
	encoding      int64

	defEncoding, repEncoding int64 // first version
	defBytes, repBytes       int64 // second version: levels stand first, and are not compressed
	uncompressed             bool
}

func (h *pqPage) read(t *thrift) {
	for f := range t.fields {
		switch f.id {
		case 1:
			h.kind = t.int(f)
		case 2:
			h.plain = t.count(f)
		case 3:
			h.stored = t.count(f)
		case 4:
			h.crc, h.checked = uint32(t.int(f)), true
		case 5, 7, 8:
			h.readKind(t, f)
		default:
			t.skip(f)
		}
	}
}

// readKind reads the header of a data page, a dictionary or a data page of the
// second version.
func (h *pqPage) readKind(t *thrift, of thriftField) {
	h.described = true
	second := of.id == 8
	for f := range t.structure(of) {
		switch {
		case f.id == 1:
			h.values = t.count(f)
		case f.id == 2 && !second, f.id == 4 && second:
			h.encoding = t.int(f)
		case f.id == 3 && of.id == 5:
			h.defEncoding = t.int(f)
		case f.id == 4 && of.id == 5:
			h.repEncoding = t.int(f)
		case f.id == 5 && second:
			h.defBytes = t.count(f)
		case f.id == 6 && second:
			h.repBytes = t.count(f)
		case f.id == 7 && second:
			h.uncompressed = !t.bool(f)
		default:
			t.skip(f)
		}
	}
}
