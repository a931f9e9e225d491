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
)

const maxExcerpt = 200 // bytes of a value in an error

// refuse makes the error of a value that has the fault. Its hint names the
// lines of configuration that would take the value.
func (c *column) refuse(f fault, value []byte) error {
	e := &bucketload.Error{Code: bucketload.CodeValue, Column: c.Name, Value: bucketload.Excerpt(value, maxExcerpt)}
	quoted := strconv.Quote(e.Value)
	if len(value) > maxExcerpt {
		quoted = "the value"
	}
	column := c.Name
	if strings.ContainsFunc(column, func(r rune) bool {
		return r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	}) {
		column = strconv.Quote(column)
	}
	set := func(format string, args ...any) string {
		return fmt.Sprintf("columns: {%s: {"+format+"}}", append([]any{column}, args...)...)
	}
	e.Hint = fmt.Sprintf("if %s means no value: %s; or load the column as text: %s", quoted, set("null_if: [%s]", quoted), set("type: text"))
	switch f {
	case syntax:
		e.Message = fmt.Sprintf("%s is not %s", quoted, c.TypeName)
		switch c.kind {
		case date, timeOfDay, timestamp, timestamptz:
			e.Message += c.expected()
			e.Hint = fmt.Sprintf("if it is written otherwise: %s; %s", set(`format: [%s]`, c.example()), e.Hint)
		}
	case outOfRange:
		e.Message = fmt.Sprintf("%s is out of range for %s", quoted, c.TypeName)
	case wouldRound:
		e.Message = fmt.Sprintf("%s would be rounded: %s has fewer digits", quoted, c.TypeName)
		wider := "numeric"
		if c.kind != numeric {
			wider = "text"
		}
		e.Hint = "a load changes no value; take a type that holds it: " + set("type: %s", wider)
	case tooLong:
		e.Message = fmt.Sprintf("the value has %d characters, %s takes %d", characters(value), c.TypeName, c.limit)
		e.Hint = "a load cuts nothing off; take a longer type: " + set("type: text") + "; where only blanks are too much: " + set("trim: true")
	case hasZone:
		e.Message = fmt.Sprintf("%s has a time zone, and %s would lose it", quoted, c.TypeName)
		e.Hint = "keep it: " + set("type: timestamptz")
	case hasTime:
		e.Message = fmt.Sprintf("%s has a time of day, and %s would lose it", quoted, c.TypeName)
		e.Hint = "keep it: " + set("type: timestamp")
	case notUTF8:
		e.Code, e.Message = bucketload.CodeUTF8, "the value is not UTF-8"
		e.Hint = "convert the file to UTF-8, for example with iconv"
	case hasNUL:
		e.Code, e.Message = bucketload.CodeNUL, "the value has a NUL byte, which Postgres text cannot hold"
		e.Hint = "take the NUL bytes out of the file, for example with tr -d '\\000', or take type bytea and \\x"
	}
	return e
}

// expected says how dates and times must be written here.
func (c *column) expected() string {
	if len(c.Format) > 0 {
		return " as " + strings.Join(c.Format, " or ") + " has it"
	}
	return " as ISO 8601 has it"
}

// example is a pattern as people may need it.
func (c *column) example() string {
	switch c.kind {
	case date:
		return `"DD.MM.YYYY"`
	case timeOfDay:
		return `"HH12:MI AM"`
	}
	return `"DD.MM.YYYY HH24:MI:SS"`
}
