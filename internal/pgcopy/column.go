package pgcopy

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/bucketload/bucketload"
)

// column is a Column made ready, with what every row needs first. It is small,
// as a row goes through all of them.
type column struct {
	kind   kind
	quick  quick
	trim   bool
	empty  bool // quoted nothing is a value
	direct bool // a value is text, and what the field has but for unquoted nothing
	marked bool // numbers have marks other than a point
	marks  marks
	field  int // of the row; -1: it has none
	limit  int // text: characters; numeric: digits in all; times: digits of a second; bits: how many; -1: none
	scale  int // numeric: digits after the point, where there is a limit

	nullIf    []string
	nullWords []uint64 // the same as words, where the column is quick
	none      []byte   // what stands for no value in the stream; nil: it is refused
	patterns  []pattern
	labels    map[string]bool
	words     *boolWords
	array     *arrayWriter
	buffers   *buffers
	*Column
}

// buffers are kept from value to value.
type buffers struct {
	number  []byte // a marked number with a point
	literal []byte // an array's or its element's
}

func newColumn(format Format, given Column) (column, error) {
	c := column{Column: &given, buffers: &buffers{}, kind: given.kind(), limit: -1, empty: given.TakesEmpty()}
	c.trim = !c.kind.isText()
	if given.Trim != nil {
		c.trim = *given.Trim
	}
	c.nullIf = slices.Clone(given.NullIf)
	if c.trim {
		for i := range c.nullIf {
			c.nullIf[i] = strings.Trim(c.nullIf[i], blanks)
		}
	}
	c.direct = c.kind == text && !c.trim && len(c.nullIf) == 0
	c.modify(given.base().Mod)
	if c.kind == enum {
		c.labels = make(map[string]bool, len(given.base().Labels))
		for _, label := range given.base().Labels {
			c.labels[label] = true
		}
	}
	if c.kind == array {
		elem, err := newColumn(format, Column{Name: given.Name, OID: given.Elem.OID, TypMod: given.Elem.Mod, TypeName: given.Elem.Name, Base: given.Elem, Format: given.Format})
		if err != nil {
			return c, err
		}
		c.array = &arrayWriter{elem: &elem, number: given.Element, item: make([]byte, 0, 64)}
	}
	var err error
	if c.kind != array {
		if c.patterns, err = c.compile(); err != nil {
			return c, err
		}
	}
	if c.words, err = c.readWords(); err != nil {
		return c, err
	}
	if c.marks, err = c.readMarks(); err != nil {
		return c, err
	}
	c.marked = c.kind.isNumber() && c.marks != marks{'.', 0}
	c.hurry()
	c.none, err = c.nothing(format)
	return c, err
}

// modify reads the type's modifier.
func (c *column) modify(mod int32) {
	// The modifiers of character types and numeric begin at 4, the size of a
	// varlena's header. Source: PostgreSQL, varchar.c and numeric.c.
	const header = 4
	switch n := int(mod); {
	case c.kind == name:
		c.limit = 63 // NAMEDATALEN without the NUL. Source: PostgreSQL, pg_config_manual.h
	case c.kind == char:
		c.limit = 1
	case n < 0:
	case c.kind == character:
		c.limit = n - header
	case c.kind == numeric:
		c.limit = (n - header) >> 16 & 0xffff
		c.scale = (n-header)&0x7ff ^ 0x400 - 0x400 // 11 bits with sign
	case c.kind == interval:
		if n&anyPrecision != anyPrecision {
			c.limit = n & anyPrecision
		}
	default:
		c.limit = n
	}
}

// nothing is what stands in the stream for no value: the default, or NULL; nil
// where there must be one.
func (c *column) nothing(format Format) ([]byte, error) {
	switch {
	case c.Default != nil:
		return c.encodeDefault(format)
	case c.NotNull:
		return nil, nil
	case format == Text:
		return []byte(`\N`), nil
	}
	return []byte{0xff, 0xff, 0xff, 0xff}, nil
}

// encodeDefault gives the default as the stream has it; one that the type does
// not take is an error of code usage.
func (c *column) encodeDefault(format Format) ([]byte, error) {
	value := []byte(*c.Default)
	if c.trim || !c.empty {
		value = trim(value)
	}
	stream, f := []byte{}, syntax
	switch {
	case len(value) == 0 && !c.empty:
	case format == Text:
		stream, f = c.encodeText(stream, value)
	default:
		stream, f = c.encodeField(stream, value)
	}
	if f == fine {
		return stream, nil
	}
	e := c.refuse(f, value)
	e.Code, e.Message = bucketload.CodeUsage, fmt.Sprintf("default of column %q: %s", c.Name, e.Message)
	e.Hint = "write it like a value of the file: " + c.set("default: ...")
	return nil, e
}

// blanks pad values; they carry nothing in types other than text.
const blanks = " \t"

// value gives what the column has in the row, and whether that means NULL: in
// text nothing without quotes, in other types nothing but blanks.
func (c *column) value(row []bucketload.Field) (value []byte, null bool) {
	if c.field < 0 {
		return nil, true
	}
	f := &row[c.field]
	value = f.Bytes
	if c.direct {
		return value, len(value) == 0 && !f.Quoted
	}
	if c.trim {
		value = trim(value)
	}
	for _, s := range c.nullIf {
		if string(value) == s {
			return nil, true
		}
	}
	if !c.empty && !c.trim {
		value = trim(value)
	}
	return value, len(value) == 0 && (!c.empty || !f.Quoted)
}

// trim is without the blanks around b.
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// encodeField appends the value's binary form behind its length.
func (c *column) encodeField(dst, value []byte) ([]byte, fault) {
	if c.kind == float8 && !c.marked {
		if f, ok := exact(value); ok {
			const length = "\x00\x00\x00\x08"
			return binary.BigEndian.AppendUint64(append(dst, length...), math.Float64bits(f)), fine
		}
	}
	at := len(dst)
	dst, f := c.encode(append(dst, 0, 0, 0, 0), value)
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	return dst, f
}

// encode appends the value's binary form, without its length.
func (c *column) encode(dst, value []byte) ([]byte, fault) {
	if c.marked {
		var ok bool
		if value, ok = c.plain(value); !ok {
			return dst, syntax
		}
	}
	switch c.kind {
	case text, other:
		return appendChecked(dst, value)
	case character:
		f := checkText(value)
		if f == fine && c.limit >= 0 && len(value) > c.limit && characters(value) > c.limit {
			f = tooLong
		}
		return append(dst, value...), f
	case numeric:
		return c.appendNumeric(dst, value)
	case float8:
		return appendFloat8(dst, value)
	case float4:
		return appendFloat4(dst, value)
	case int2:
		n, f := parseInt(value, 16)
		return binary.BigEndian.AppendUint16(dst, uint16(n)), f
	case int4:
		n, f := parseInt(value, 32)
		return binary.BigEndian.AppendUint32(dst, uint32(n)), f
	case int8:
		n, f := parseInt(value, 64)
		return binary.BigEndian.AppendUint64(dst, uint64(n)), f
	case date, timeOfDay, timetz, timestamp, timestamptz:
		return c.appendTime(dst, value)
	}
	return c.encodeRare(dst, value)
}

// encodeRare is encode for what is seldom the most of a table.
func (c *column) encodeRare(dst, value []byte) ([]byte, fault) {
	switch c.kind {
	case boolean:
		b, f := c.words.parse(value)
		return append(dst, b), f
	case uuid:
		return appendUUID(dst, value)
	case json:
		return append(dst, value...), checkJSON(value)
	case jsonb:
		return append(append(dst, 1), value...), checkJSON(value) // 1 is the version
	case bytea:
		return appendBytea(dst, value)
	case enum:
		f := checkText(value)
		if f == fine && !c.labels[string(value)] {
			f = syntax
		}
		return append(dst, value...), f
	case name, char:
		return c.appendBounded(dst, value)
	case oid:
		n, f := parseInt(value, 64)
		switch {
		case f != fine:
		case len(value) > 1 && value[0] == '0':
			f = syntax // Postgres reads it as octal
		case n < 0 || n>>32 > 0:
			f = outOfRange
		}
		return binary.BigEndian.AppendUint32(dst, uint32(n)), f
	case interval:
		s, f := c.span(value)
		return s.append(dst), f
	case inet, cidr:
		return appendNetwork(dst, value, c.kind == cidr)
	case macaddr:
		return appendMAC(dst, value, 6)
	case macaddr8:
		return appendMAC(dst, value, 8)
	case bit, varbit:
		return c.appendBits(dst, value)
	default: // array
		return c.appendArray(dst, value, Binary)
	}
}

// encodeText appends the value as the text format has it.
func (c *column) encodeText(dst, value []byte) ([]byte, fault) {
	switch {
	case c.kind == text || c.kind == other:
		return appendText(dst, value)
	case c.kind == array:
		var f fault
		c.buffers.literal, f = c.literal(c.buffers.literal[:0], value)
		return appendEscaped(dst, c.buffers.literal), f
	case c.rewritten():
		return c.literal(dst, value)
	}
	value, dst, f := c.judge(dst, value)
	return appendEscaped(dst, value), f
}

// literal appends the value as Postgres reads it.
func (c *column) literal(dst, value []byte) ([]byte, fault) {
	switch {
	case c.kind.isTime():
		m, f := c.time(value)
		return m.appendISO(dst, c.kind), f
	case c.kind == interval:
		s, f := c.span(value)
		return s.appendText(dst), f
	case c.kind == boolean:
		b, f := c.words.parse(value)
		return append(dst, "ft"[b]), f
	case c.kind == array:
		return c.appendArray(dst, value, Text)
	}
	value, dst, f := c.judge(dst, value)
	return append(dst, value...), f
}

// rewritten says whether literal writes a form of its own, in which there is
// nothing to escape. What remains is taken by Postgres as it is.
func (c *column) rewritten() bool {
	return c.kind.isTime() || c.kind == interval || c.kind == boolean
}

// judge tries the value's binary form, behind dst, and gives the value as
// Postgres reads it.
func (c *column) judge(dst, value []byte) (read, unchanged []byte, f fault) {
	at := len(dst)
	dst, f = c.encode(dst, value)
	if c.marked && f == fine {
		value = c.buffers.number
	}
	return value, dst[:at], f
}
