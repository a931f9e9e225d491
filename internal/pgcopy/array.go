package pgcopy

import (
	"encoding/binary"
	"math"
)

// maxDims is MAXDIM. Source: PostgreSQL, src/include/utils/array.h.
const maxDims = 6

// arrayWriter appends an array while its elements come. All rows of a dimension
// have the same number of elements, and only the whole array may have none.
type arrayWriter struct {
	elem   *column
	number uint32 // OID of the elements
	item   []byte // buffer of an element as it is read; never nil
	format Format
	dst    []byte
	header int // where the binary form begins

	depth int            // brackets that are open
	dims  int            // how deep the elements lie; 0: there was none yet
	size  [maxDims]int   // of each dimension; -1: its first row has not ended
	count [maxDims]int   // elements so far of the row that is open in each
	lower [maxDims]int32 // bounds
	given int            // dimensions whose bounds the value states; 0: none
	nulls uint32         // 1: an element is NULL
}

// appendArray appends an array that is written as Postgres does or as JSON.
func (c *column) appendArray(dst, value []byte, format Format) ([]byte, fault) {
	w := c.array
	*w = arrayWriter{elem: w.elem, number: w.number, item: w.item, format: format, dst: dst, header: len(dst)}
	for i := range maxDims {
		w.size[i], w.lower[i] = -1, 1
	}
	r := cursor{rest: value}
	var f fault
	if bounded := r; w.bounds(&bounded, value) {
		f = w.literal(&bounded)
	} else if len(value) > 0 && value[0] == '[' {
		f = w.json(value)
	} else {
		f = w.literal(&r)
	}
	if f == fine && (w.depth > 0 || w.given > 0 && w.given != w.dims) {
		f = syntax
	}
	if f == fine {
		w.finish()
	}
	return w.dst, f
}

// bounds reads [1:2][0:3]= before a literal. It is false, and has read nothing,
// where there is no such thing.
func (w *arrayWriter) bounds(r *cursor, value []byte) bool {
	n := 0
	for r.skip('[') {
		low, ok := r.bound()
		if !ok || !r.skip(':') {
			return false
		}
		high, ok := r.bound()
		if !ok || !r.skip(']') || n == maxDims || high < low || high == math.MaxInt32 {
			return false
		}
		w.size[n], w.lower[n] = int(high-low)+1, int32(low)
		n++
	}
	if n == 0 || !r.skip('=') {
		return false
	}
	w.given = n
	if w.format == Text {
		w.dst = append(w.dst, value[:len(value)-len(r.rest)]...)
	}
	return true
}

// bound reads a number of 32 bits.
func (r *cursor) bound() (int64, bool) {
	n := 0
	for n < len(r.rest) && (r.rest[n]-'0' <= 9 || n == 0 && (r.rest[n] == '-' || r.rest[n] == '+')) {
		n++
	}
	bound, f := parseInt(r.rest[:n], 32)
	r.rest = r.rest[n:]
	return bound, f == fine
}

// open begins a row.
func (w *arrayWriter) open() bool {
	if w.depth == maxDims || w.dims > 0 && w.depth >= w.dims {
		return false
	}
	if w.format == Text {
		w.comma()
		w.dst = append(w.dst, '{')
	}
	w.depth++
	return true
}

// close ends a row.
func (w *arrayWriter) close() bool {
	w.depth--
	switch d := w.depth; {
	case d < 0 || w.dims == 0 && d > 0:
		return false
	case w.dims == 0: // the whole array has no elements
	case w.size[d] >= 0 && w.size[d] != w.count[d]:
		return false
	default:
		w.size[d], w.count[d] = w.count[d], 0
		if d > 0 {
			w.count[d-1]++
		}
	}
	if w.format == Text {
		w.dst = append(w.dst, '}')
	}
	return true
}

// element appends one; nil is NULL.
func (w *arrayWriter) element(value []byte) (f fault) {
	if w.depth == 0 || w.dims > 0 && w.depth != w.dims {
		return syntax
	}
	if w.dims == 0 {
		w.dims = w.depth
		if w.format == Binary {
			w.dst = append(w.dst, make([]byte, 12+8*w.dims)...)
		}
	}
	w.count[w.depth-1]++
	switch {
	case w.format == Text:
		w.comma()
		return w.quoted(value)
	case value == nil:
		w.nulls = 1
		w.dst = binary.BigEndian.AppendUint32(w.dst, math.MaxUint32)
	default:
		w.dst, f = w.elem.encodeField(w.dst, value)
	}
	return f
}

// comma comes before all but the first of a row.
func (w *arrayWriter) comma() {
	if w.depth > 0 && w.dst[len(w.dst)-1] != '{' {
		w.dst = append(w.dst, ',')
	}
}

// quoted appends an element of the text form.
func (w *arrayWriter) quoted(value []byte) (f fault) {
	if value == nil {
		w.dst = append(w.dst, "NULL"...)
		return fine
	}
	buf := w.elem.buffers
	buf.literal, f = w.elem.literal(buf.literal[:0], value)
	w.dst = append(w.dst, '"')
	for _, b := range buf.literal {
		if b == '"' || b == '\\' {
			w.dst = append(w.dst, '\\')
		}
		w.dst = append(w.dst, b)
	}
	w.dst = append(w.dst, '"')
	return f
}

// finish fills in the binary form's header: how many dimensions, whether there
// are NULLs, the elements' OID, and each dimension's size and lower bound.
func (w *arrayWriter) finish() {
	if w.format == Text {
		return
	}
	h := binary.BigEndian.AppendUint32(w.dst[:w.header], uint32(w.dims))
	h = binary.BigEndian.AppendUint32(h, w.nulls)
	h = binary.BigEndian.AppendUint32(h, w.number)
	for i := range w.dims {
		h = binary.BigEndian.AppendUint32(h, uint32(w.size[i]))
		h = binary.BigEndian.AppendUint32(h, uint32(w.lower[i]))
	}
	if w.dims == 0 {
		w.dst = h
	}
}

// isSpace is what Postgres passes over in an array. Source: array_isspace.
func isSpace(b byte) bool { return b == ' ' || '\t' <= b && b <= '\r' }

func (r *cursor) spaces() {
	for len(r.rest) > 0 && isSpace(r.rest[0]) {
		r.rest = r.rest[1:]
	}
}

// literal reads {a,"b c",NULL}, with rows in braces of their own where there are
// several dimensions.
func (w *arrayWriter) literal(r *cursor) fault {
	for {
		r.spaces()
		if r.skip('{') {
			if !w.open() {
				return syntax
			}
			r.spaces()
			if !r.skip('}') {
				continue // what is in it
			}
			if !w.close() {
				return syntax
			}
		} else if value, ok := w.token(r); !ok {
			return syntax
		} else if f := w.element(value); f != fine {
			return f
		}
		// Behind a row or an element.
		for r.spaces(); w.depth > 0 && r.skip('}'); r.spaces() {
			if !w.close() {
				return syntax
			}
		}
		if w.depth == 0 {
			return r.end()
		}
		if !r.skip(',') {
			return syntax
		}
	}
}

// token reads one element of a literal; nil is NULL.
func (w *arrayWriter) token(r *cursor) (value []byte, ok bool) {
	w.item = w.item[:0]
	quoted := r.skip('"')
	escaped := false
	end := 0 // behind the last byte that is not a blank
	for len(r.rest) > 0 {
		b := r.rest[0]
		switch {
		case quoted && b == '"':
			r.rest = r.rest[1:]
			return w.item, true
		case b == '\\':
			if r.rest = r.rest[1:]; len(r.rest) == 0 {
				return nil, false
			}
			escaped = true
			w.item = append(w.item, r.rest[0])
			end = len(w.item)
		case !quoted && (b == ',' || b == '}'):
			w.item = w.item[:end]
			if !escaped && len(w.item) == len("null") && equalFold(w.item, "null") {
				return nil, true
			}
			return w.item, end > 0
		case !quoted && (b == '"' || b == '{'):
			return nil, false
		default:
			w.item = append(w.item, b)
			if !isSpace(b) {
				end = len(w.item)
			}
		}
		r.rest = r.rest[1:]
	}
	return nil, false
}
