package decode

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/bucketload/bucketload"
)

// pqMaxRow bounds what a row may be as text, in bytes. Postgres takes fields of
// up to 1 GB.
const pqMaxRow = 256 << 20

// pqMaxEntries bounds what is decoded for one row: in a list, what takes least of
// its text is a digit and a comma.
const pqMaxEntries = pqMaxRow / 2

// errPqRow is of a row that is longer than pqMaxRow.
var errPqRow = &bucketload.Error{Code: bucketload.CodeTooLong, Message: fmt.Sprintf("the row is longer than %d MiB", pqMaxRow>>20),
	Hint: "leave the longest column out: name those that you want in columns"}

// pqColumn makes a field of a row from the leaves of a shape.
type pqColumn struct {
	path   string
	shape  *pqShape
	leaves []*pqLeaf // those of the shape
	form   pqForm    // pqScalar; pqArray: an array literal; else JSON

	// Where it is flat, its fields of the batch, of which so many have been given.
	flat   bool
	binary pqBinary
	ready  []bucketload.Field
	given  int
	arena  []byte // what of them is in no page
}

func newPqColumn(path string, n *pqNode, target string) *pqColumn {
	c := &pqColumn{path: path, shape: selectedShape(n)}
	element, toArray := elementType(target)
	switch {
	case c.shape.form == pqScalar:
		asText(&c.shape.scalar, target)
	case c.shape.array() && (toArray || target == ""):
		c.form = pqArray
		asText(&c.shape.parts[0].scalar, element)
	default:
		c.form = pqStruct
	}
	c.flat = c.isFlat(n)
	return c
}

// elementType tells an array type by SQL's ways to write one: integer[],
// integer[3], integer array.
func elementType(target string) (element string, array bool) {
	if i := strings.IndexByte(target, '['); i >= 0 {
		return strings.TrimSpace(target[:i]), true
	}
	if i := len(target) - len(" array"); i > 0 && strings.EqualFold(target[i:], " array") {
		return strings.TrimSpace(target[:i]), true
	}
	return "", false
}

// asText takes bytes as they are if they are to go to another type than bytea.
func asText(t *pqType, target string) {
	if t.unnamed && target != "" && !strings.EqualFold(target, "bytea") {
		t.kind = pqAsText
	}
}

// place says of which column an error is.
func (c *pqColumn) place(err error) error {
	e, ok := errors.AsType[*bucketload.Error](err)
	if !ok || e.Column != "" {
		return err
	}
	placed := *e
	placed.Column = c.path
	return &placed
}

// appendRaw appends a field of the column as JSON.
func (c *pqColumn) appendRaw(dst []byte, f bucketload.Field) []byte {
	t := &c.shape.scalar
	if f.Binary {
		dst, _ = t.appendJSON(dst, c.binary.number(t, f.Bytes), nil) // no number has an error
		return dst
	}
	switch {
	case f.Bytes == nil && !f.Quoted:
		return append(dst, "null"...)
	case c.form == pqStruct, c.form == pqScalar && (t.kind == pqAsJSON && json.Valid(f.Bytes) || t.numeral(f.Bytes)):
		return append(dst, f.Bytes...)
	}
	return appendPqString(dst, f.Bytes)
}

// field reads the column's part of the next row. It appends to arena what is
// not in a page already.
func (c *pqColumn) field(arena []byte) (bucketload.Field, []byte, error) {
	at := len(arena)
	if len(c.leaves) == 0 {
		return bucketload.Field{}, arena, nil
	}
	l := c.leaves[0]
	if ok, err := l.more(); err != nil {
		return bucketload.Field{}, arena, err
	} else if !ok {
		return bucketload.Field{}, arena, pqDamaged("column %s has fewer rows than its row group", c.path)
	}
	if l.null(c.shape) {
		return bucketload.Field{}, arena, c.passNull(c.shape, 0)
	}
	var err error
	switch c.form {
	case pqScalar:
		n, b, short := l.take(0)
		if short != nil {
			return bucketload.Field{}, arena, short
		}
		arena, err = c.shape.scalar.append(arena, n, b)
	case pqArray:
		arena, err = c.literal(arena)
	default:
		arena, err = c.json(arena, c.shape, 0)
	}
	return bucketload.Field{Bytes: arena[at:len(arena):len(arena)]}, arena, err
}

// null says whether the entry that is next says that the shape is NULL.
func (l *pqLeaf) null(s *pqShape) bool { return s.null > 0 && l.defs[l.i] < s.null }

// take gives the value of the next entry, which there is, and goes on. The
// entry's repetition level must be rep.
func (l *pqLeaf) take(rep uint8) (n int64, b []byte, err error) {
	if err := l.pass(rep); err != nil {
		return 0, nil, err
	}
	if l.defs != nil && l.defs[l.i-1] != l.def {
		return 0, nil, pqDamaged("column %s is NULL where it cannot be", l.name)
	}
	v := l.v
	l.v++
	if l.batch.spans != nil {
		return 0, l.batch.spans[v].of(l.batch.data), nil
	}
	return l.batch.ints[v], nil, nil
}

// pass goes on behind an entry.
func (l *pqLeaf) pass(rep uint8) error {
	if l.reps != nil && l.reps[l.i] != rep {
		return pqDamaged("column %s has the repetition level %d, and not %d", l.name, l.reps[l.i], rep)
	}
	if rep == 0 {
		l.rows++
	}
	l.i++
	return nil
}

// at gives leaf i of the file.
func (c *pqColumn) at(i int) *pqLeaf { return c.leaves[i-c.shape.from] }

// first makes the next entry of the shape's first leaf ready. There is none
// where the row ends before all of its columns.
func (c *pqColumn) first(s *pqShape) (*pqLeaf, error) {
	l := c.at(s.from)
	ok, err := l.more()
	if err == nil && !ok {
		err = pqDamaged("column %s has fewer rows than its row group", c.path)
	}
	return l, err
}

// passNull goes on behind an entry without a value in all leaves of a shape,
// which must agree how much of it there is.
func (c *pqColumn) passNull(s *pqShape, rep uint8) error {
	def := c.at(s.from).defs[c.at(s.from).i]
	for i := s.from; i < s.to; i++ {
		l := c.at(i)
		if ok, err := l.more(); err != nil {
			return err
		} else if !ok || l.defs[l.i] != def {
			return pqDamaged("the parts of column %s do not go together", c.path)
		}
		if err := l.pass(rep); err != nil {
			return err
		}
	}
	return nil
}

// json appends the shape's next value.
func (c *pqColumn) json(dst []byte, s *pqShape, rep uint8) ([]byte, error) {
	if s.from == s.to {
		return append(dst, "null"...), nil
	}
	if len(dst) > pqMaxRow {
		return dst, errPqRow
	}
	l, err := c.first(s)
	if err != nil {
		return dst, err
	}
	if l.null(s) {
		return append(dst, "null"...), c.passNull(s, rep)
	}
	switch s.form {
	case pqScalar:
		n, b, err := l.take(rep)
		if err == nil && len(dst)+len(b) > pqMaxRow {
			err = errPqRow
		}
		if err != nil {
			return dst, err
		}
		return s.scalar.appendJSON(dst, n, b)
	case pqStruct:
		dst = append(dst, '{')
		for i, part := range s.parts {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendPqString(dst, []byte(part.name)), ':')
			if dst, err = c.json(dst, part, rep); err != nil {
				return dst, err
			}
		}
		return append(dst, '}'), nil
	case pqObject:
		return c.object(dst, s, rep)
	}
	dst = append(dst, '[')
	dst, err = c.each(dst, s, rep, func(dst []byte, rep uint8) ([]byte, error) { return c.json(dst, s.parts[0], rep) })
	return append(dst, ']'), err
}

// each appends the elements of a list or a map with commas between them.
func (c *pqColumn) each(dst []byte, s *pqShape, rep uint8, one func(dst []byte, rep uint8) ([]byte, error)) ([]byte, error) {
	l := c.at(s.from)
	if l.defs[l.i] < s.item {
		return dst, c.passNull(s, rep)
	}
	for {
		var err error
		if dst, err = one(dst, rep); err != nil {
			return dst, err
		}
		if ok, err := l.more(); err != nil || !ok || l.reps[l.i] != s.rep {
			return dst, err
		}
		rep = s.rep
		dst = append(dst, ',')
	}
}

// object appends a map: an object if its keys are scalars, else a list of
// objects with key and value.
func (c *pqColumn) object(dst []byte, s *pqShape, rep uint8) ([]byte, error) {
	key, value := s.parts[0], s.parts[1]
	scalar := key.form == pqScalar
	dst = append(dst, "[{"[btoi(scalar)])
	dst, err := c.each(dst, s, rep, func(dst []byte, rep uint8) ([]byte, error) {
		if !scalar {
			dst = append(dst, `{"key":`...)
		}
		at := len(dst)
		dst, err := c.json(dst, key, rep)
		if err != nil {
			return dst, err
		}
		switch {
		case !scalar:
			dst = append(dst, `,"value"`...)
		case dst[at] == 'n': // null: neither a number nor true or false begins so
			return dst, &bucketload.Error{Code: bucketload.CodeValue, Column: c.path, Message: "a key of the map is NULL",
				Hint: "write the file again without it; or leave the column out: name those that you want in columns"}
		case dst[at] != '"':
			dst = append(dst, 0, '"')
			copy(dst[at+1:], dst[at:len(dst)-2])
			dst[at], dst[len(dst)-1] = '"', '"'
		}
		if dst, err = c.json(append(dst, ':'), value, rep); err == nil && !scalar {
			dst = append(dst, '}')
		}
		return dst, err
	})
	return append(dst, "]}"[btoi(scalar)]), err
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// literal appends a list as an array literal of Postgres. Source: PostgreSQL's
// manual, "Array Input and Output Syntax".
func (c *pqColumn) literal(dst []byte) ([]byte, error) {
	element := c.shape.parts[0]
	l := c.leaves[0]
	dst = append(dst, '{')
	dst, err := c.each(dst, c.shape, 0, func(dst []byte, rep uint8) ([]byte, error) {
		if len(dst) > pqMaxRow {
			return dst, errPqRow
		}
		if l.null(element) {
			return append(dst, "NULL"...), l.pass(rep)
		}
		n, b, err := l.take(rep)
		if err == nil && len(dst)+len(b) > pqMaxRow {
			err = errPqRow
		}
		if err != nil {
			return dst, err
		}
		switch t := &element.scalar; {
		case t.kind <= pqAsBigDecimal:
			return t.append(dst, n, b)
		case t.quoted():
			return appendElement(dst, b), nil
		case t.kind == pqAsBytes:
			dst, err = t.append(append(dst, '"', '\\'), n, b)
		default:
			dst, err = t.append(append(dst, '"'), n, b)
		}
		return append(dst, '"'), err
	})
	return append(dst, '}'), err
}

// appendElement appends a string in quotes. It stops where the row is too long.
func appendElement(dst, b []byte) []byte {
	dst = append(dst, '"')
	for _, c := range b {
		if c == '"' || c == '\\' {
			if len(dst) > pqMaxRow {
				break
			}
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}
