// Package pgcopy turns rows into the stream that COPY FROM STDIN takes: binary
// with values encoded here, to spare the server the parsing, or text.
//
// A value is never changed: what a type cannot hold as it is written is an
// error, also where Postgres would round, cut or drop something. Both formats
// take and refuse the same values.
package pgcopy

import (
	"encoding/binary"
	"fmt"

	"github.com/bucketload/bucketload"
)

// Format is a format of COPY.
type Format int

// The formats that an Encoder writes.
const (
	Binary Format = iota
	Text
)

// Column is a column of the table as the database has it, with what the load
// says of its values.
type Column struct {
	Name     string
	OID      uint32 // of the type
	TypMod   int32  // -1: none
	TypeName string // as format_type gives it: numeric(8,2)
	Base     Type   // what a domain is over in the end, else the type itself; the zero value: as the three above say
	Element  uint32 // OID of an array's elements, which may be a domain; 0: it is no array
	Elem     Type   // what that is over in the end
	NotNull  bool   // NULL is refused
	Retype   string // a statement that gives it another type, but for that, where the configuration does not; "" where it does

	NullIf []string // values that mean NULL, compared after trimming
	Trim   *bool    // default: on for types other than text, off for text
	Format []string // patterns for dates and times, tried in order; default ISO 8601

	// Default is the value of rows that have none: no field, or one that means
	// NULL. It is written like a value of the file.
	Default *string
	// TrueIf and FalseIf are words of a boolean, compared after trimming, in any
	// case. A side that has some does not take Postgres' own.
	TrueIf, FalseIf []string
	// Decimal and Thousands are the marks in numbers, but not in arrays of them;
	// 0: '.' and none.
	Decimal, Thousands byte
}

// Choose gives the format that costs least: binary, or text where most columns
// are text (binary is dearer for them) or a type has no encoder here.
func Choose(columns []Column) Format {
	texts := 0
	for _, c := range columns {
		switch k := c.kind(); {
		case k == other:
			return Text
		case k.isText():
			texts++
		}
	}
	if 2*texts > len(columns) {
		return Text
	}
	return Binary
}

// Encoder makes the COPY stream of a table's rows. It is for one goroutine.
type Encoder struct {
	format  Format
	columns []column
	width   int // fields that a row must have
}

// NewEncoder makes an encoder that takes field i for column i; see Map. An
// error of code usage is a pattern that cannot be read, a default that the type
// does not take, words or marks that mean two things, and a type without an
// encoder in a binary stream.
func NewEncoder(format Format, columns []Column) (*Encoder, error) {
	e := &Encoder{format: format, columns: make([]column, len(columns)), width: len(columns)}
	for i, c := range columns {
		var err error
		if e.columns[i], err = newColumn(format, c); err != nil {
			return nil, err
		}
		e.columns[i].field = i
		if format == Binary && e.columns[i].kind == other {
			return nil, &bucketload.Error{Code: bucketload.CodeUsage, Column: c.Name,
				Message: fmt.Sprintf("type %s cannot be sent in binary", c.TypeName), Hint: "use the text format"}
		}
	}
	return e, nil
}

// Map says which field of a row each column takes; -1: none. It is called
// for every file, with one number for each column.
func (e *Encoder) Map(index []int) {
	e.width = 0
	for i := range e.columns {
		e.columns[i].field = index[i]
		e.width = max(e.width, index[i]+1)
	}
}

// Takes gives the type, by its name in pg_type, whose binary form column i takes
// in fields that are Binary; empty where there is none, or where the load says
// something of how its values are written.
func (e *Encoder) Takes(i int) string {
	c := &e.columns[i]
	if e.format == Text || len(c.nullIf) > 0 || len(c.patterns) > 0 || c.limit >= 0 || len(c.words.yes)+len(c.words.no) > 0 {
		return ""
	}
	switch c.kind {
	case float8:
		return "float8"
	case float4:
		return "float4"
	case int2:
		return "int2"
	case int4:
		return "int4"
	case int8:
		return "int8"
	case boolean:
		return "bool"
	case date:
		return "date"
	case timestamp:
		return "timestamp"
	case timestamptz:
		return "timestamptz"
	}
	return ""
}

// AppendHeader appends what a stream begins with.
func (e *Encoder) AppendHeader(dst []byte) []byte {
	if e.format == Text {
		return dst
	}
	// Signature, flags and the length of the header's extension.
	return append(dst, "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
}

// AppendTrailer appends what a stream ends with.
func (e *Encoder) AppendTrailer(dst []byte) []byte {
	if e.format == Text {
		return dst
	}
	return append(dst, 0xff, 0xff)
}

// Append appends a row. A row that cannot be loaded leaves dst as long as it
// was, and is an Error with Code, Column and Value that does not say where.
func (e *Encoder) Append(dst []byte, row []bucketload.Field) ([]byte, error) {
	if len(row) < e.width {
		return dst, &bucketload.Error{Code: bucketload.CodeRagged, Message: fmt.Sprintf("the row has %d fields, and %d are needed", len(row), e.width),
			Hint: "mend the row; where all rows are so, see csv: {delimiter, quote, header}"}
	}
	if e.format == Text {
		return e.appendText(dst, row)
	}
	return e.appendBinary(dst, row)
}

func (e *Encoder) appendBinary(dst []byte, row []bucketload.Field) ([]byte, error) {
	start := len(dst)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(e.columns)))
	for i := range e.columns {
		c := &e.columns[i]
		if c.field >= 0 && row[c.field].Binary {
			value := row[c.field].Bytes
			dst = append(binary.BigEndian.AppendUint32(dst, uint32(len(value))), value...)
			continue
		}
		if at := len(dst); c.quick != slowly && c.field >= 0 && cap(dst)-at >= quickRoom {
			if n := c.quickly((*[quickRoom]byte)(dst[at:at+quickRoom]), row[c.field].Bytes); n > 0 {
				dst = dst[:at+n]
				continue
			}
		}
		value, null := c.value(row)
		if null {
			if c.none == nil {
				return dst[:start], c.refuseNull(row)
			}
			dst = append(dst, c.none...)
			continue
		}
		var f fault
		if dst, f = c.encodeField(dst, value); f != fine {
			return dst[:start], c.refuse(f, value)
		}
	}
	return dst, nil
}

func (e *Encoder) appendText(dst []byte, row []bucketload.Field) ([]byte, error) {
	start := len(dst)
	for i := range e.columns {
		if i > 0 {
			dst = append(dst, '\t')
		}
		c := &e.columns[i]
		var f fault
		if c.direct && c.field >= 0 && len(row[c.field].Bytes) > 0 {
			if dst, f = appendText(dst, row[c.field].Bytes); f != fine {
				return dst[:start], c.refuse(f, row[c.field].Bytes)
			}
			continue
		}
		value, null := c.value(row)
		if null {
			if c.none == nil {
				return dst[:start], c.refuseNull(row)
			}
			dst = append(dst, c.none...)
			continue
		}
		if dst, f = c.encodeText(dst, value); f != fine {
			return dst[:start], c.refuse(f, value)
		}
	}
	return append(dst, '\n'), nil
}
