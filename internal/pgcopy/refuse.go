package pgcopy

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/bucketload/bucketload"
)

// fault is why a value is refused.
type fault uint8

const (
	fine fault = iota
	syntax
	outOfRange
	wouldRound
	tooLong
	hasZone
	hasTime
	notUTF8
	hasNUL
	ambiguous
)

const maxExcerpt = 200 // bytes of a value in an error

// set is a line of configuration for the column.
func (c *column) set(format string, args ...any) string {
	column := c.Name
	if strings.ContainsFunc(column, func(r rune) bool {
		return r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	}) {
		column = strconv.Quote(column)
	}
	return fmt.Sprintf("columns: {%s: {"+format+"}}", append([]any{column}, args...)...)
}

// typed is what gives the column another type.
func (c *column) typed(name string) string {
	if c.Retype != "" {
		return c.Retype + name
	}
	return c.set("type: %s", name)
}

// wider is a type of numbers that holds what the column's does not; "" where that is
// no number, or the column has none.
func (c *column) wider(value []byte) string {
	whole := int2 <= c.kind && c.kind <= int8
	if !whole && (c.kind != numeric || c.limit < 0) {
		return ""
	}
	if c.marked {
		var ok bool
		if value, ok = c.plain(value); !ok {
			return ""
		}
	}
	if _, f := parseInt(value, 64); f == fine && whole {
		return "bigint"
	}
	if new(decimal).parse(value) {
		return "numeric"
	}
	return ""
}

// refuseNull makes the error of a row that has no value for the column.
func (c *column) refuseNull(row []bucketload.Field) *bucketload.Error {
	e := &bucketload.Error{Code: bucketload.CodeNull, Column: c.Name, Message: "there is no value, and the column must have one (NOT NULL)",
		Hint: "say what it is then: " + c.set("default: ...") + fmt.Sprintf("; or let it have none: ALTER TABLE ... ALTER COLUMN %s DROP NOT NULL", `"`+strings.ReplaceAll(c.Name, `"`, `""`)+`"`)}
	if c.field < 0 {
		e.Message = "the file does not have it, and the column must have a value (NOT NULL)"
		return e
	}
	e.Value = bucketload.Excerpt(row[c.field].Bytes, maxExcerpt)
	if strings.Trim(e.Value, blanks) != "" {
		e.Message = fmt.Sprintf("%q means NULL here (null_if), and the column must have a value (NOT NULL)", e.Value)
	}
	return e
}

// refuse makes the error of a value that has the fault. Its hint names what would
// take the value: lines of configuration, or a statement.
func (c *column) refuse(f fault, value []byte) *bucketload.Error {
	e := &bucketload.Error{Code: bucketload.CodeValue, Column: c.Name, Value: bucketload.Excerpt(value, maxExcerpt)}
	quoted := strconv.Quote(e.Value)
	if len(value) > maxExcerpt {
		quoted = "the value"
	}
	e.Hint = fmt.Sprintf("if %s means no value: %s; or load the column as text: %s", quoted, c.set("null_if: [%s]", quoted), c.typed("text"))
	if wider := c.wider(value); wider != "" {
		e.Hint = fmt.Sprintf("take a type that holds it: %s; or if %s means no value: %s", c.typed(wider), quoted, c.set("null_if: [%s]", quoted))
	}
	switch f {
	case syntax:
		e.Message = fmt.Sprintf("%s is not %s%s", quoted, c.TypeName, c.expected())
		if example := c.example(); example != "" {
			e.Hint = fmt.Sprintf("if it is written otherwise: %s; %s", c.set("%s", example), e.Hint)
		}
	case ambiguous:
		e.Message = fmt.Sprintf("%s may mean two things: a minus at the beginning is that of its first part, or of all", quoted)
		e.Hint = "write a sign before each part; or load the column as text: " + c.typed("text")
	case outOfRange:
		e.Message = fmt.Sprintf("%s is out of range for %s", quoted, c.TypeName)
	case wouldRound:
		e.Message = fmt.Sprintf("%s would be rounded: %s has fewer digits", quoted, c.TypeName)
		wider := "numeric"
		if c.kind != numeric {
			wider = "text"
		}
		e.Hint = "a load changes no value; take a type that holds it: " + c.typed(wider)
	case tooLong:
		e.Message = fmt.Sprintf("the value has %s, %s takes %d", c.length(value), c.TypeName, c.limit)
		if c.kind == array {
			e.Message = fmt.Sprintf("an element is longer than %s takes", c.TypeName)
		}
		e.Hint = "a load cuts nothing off; take a longer type: " + c.typed("text") + "; where only blanks are too much: " + c.set("trim: true")
	case hasZone:
		e.Message = fmt.Sprintf("%s has a time zone, and %s would lose it", quoted, c.TypeName)
		e.Hint = "keep it: " + c.typed("timestamptz")
		if c.kind.isClock() {
			e.Hint = "keep it: " + c.typed("timetz")
		}
	case hasTime:
		e.Message = fmt.Sprintf("%s has a time of day, and %s would lose it", quoted, c.TypeName)
		e.Hint = "keep it: " + c.typed("timestamp")
	case notUTF8:
		e.Code, e.Message = bucketload.CodeUTF8, "the value is not UTF-8"
		e.Hint = "mend the file; or take type bytea, where it is binary"
	case hasNUL:
		e.Code, e.Message = bucketload.CodeNUL, "the value has a NUL byte, which Postgres text cannot hold"
		e.Hint = "mend the file; or take type bytea, where it is binary"
	}
	return e
}

// length is how long the value is, in the unit that the type counts in.
func (c *column) length(value []byte) string {
	if c.kind == character {
		return fmt.Sprintf("%d characters", characters(value))
	}
	return fmt.Sprintf("%d bytes", len(value))
}

// expected says how values must be written here, where that is not plain.
func (c *column) expected() string {
	switch {
	case c.kind.isTime() && len(c.Format) > 0:
		return " as " + strings.Join(c.Format, " or ") + " has it"
	case c.kind.isTime():
		return " as ISO 8601 has it"
	case c.marked && c.marks.thousands == 0:
		return fmt.Sprintf(" with the decimal mark %q", c.marks.decimal)
	case c.marked:
		return fmt.Sprintf(" with the decimal mark %q and groups of three digits between %q", c.marks.decimal, c.marks.thousands)
	case c.kind == boolean && len(c.words.yes)+len(c.words.no) > 0:
		return " as true_if and false_if have it"
	case c.kind == enum:
		return ", which has " + labels(c.base().Labels)
	case c.kind == interval:
		return " with its units, such as 1 day 02:03:04 or P1DT2H3M4S"
	case c.kind == array:
		return " such as {a,b} or [\"a\",\"b\"], whose elements are " + c.Elem.Name + c.array.elem.expected()
	}
	return ""
}

// labels lists the first of an enum's.
func labels(all []string) string {
	const most = 8
	quoted := make([]string, min(len(all), most))
	for i := range quoted {
		quoted[i] = strconv.Quote(all[i])
	}
	switch {
	case len(all) == 0:
		return "no values"
	case len(all) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(quoted, ", "), len(all)-most)
	}
	return strings.Join(quoted, ", ")
}

// example is a setting as people may need it for another way to write values;
// "" where there is none.
func (c *column) example() string {
	switch c.kind {
	case date:
		return `format: ["DD.MM.YYYY"]`
	case timeOfDay, timetz:
		return `format: ["HH12:MI AM"]`
	case timestamp, timestamptz:
		return `format: ["DD.MM.YYYY HH24:MI:SS"]`
	case boolean:
		return `true_if: ["ja"], false_if: ["nein"]`
	}
	return ""
}
