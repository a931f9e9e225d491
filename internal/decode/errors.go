package decode

import (
	"bytes"
	"fmt"

	"github.com/bucketload/bucketload"
)

const maxExcerpt = 200 // bytes of a value in an error

// fail makes an error at byte i of the row.
func (c *CSV) fail(i int, code bucketload.Code, message, hint string) error {
	line := c.Line() + int64(bytes.Count(c.buf[c.row:c.row+i], []byte{c.eol}))
	return &bucketload.Error{Code: code, Line: line, Message: message, Hint: hint}
}

func (c *CSV) ragged(n int) error {
	than := "the header"
	if c.names == nil {
		than = "the first row"
	}
	what := "fields"
	if n == 1 {
		what = "field"
	}
	return c.fail(0, bucketload.CodeRagged, fmt.Sprintf("the row has %d %s, %s has %d", n, what, than, c.width),
		"mend the row; where all rows are so, see csv: {delimiter, quote, skip_head, skip_foot, comment}")
}

func (c *CSV) unclosed(i int) error {
	return c.fail(i, bucketload.CodeQuote, "the quote that opens here is never closed",
		`close it, or switch quoting off with csv: {quote: ""}; if the file is cut off, upload it again`)
}

func (c *CSV) strayQuote(i int) error {
	return c.fail(i, bucketload.CodeQuote, fmt.Sprintf("a quote inside a field that does not begin with one: %s", c.around(i)),
		`put the field in quotes and double the one inside; or switch quoting off with csv: {quote: ""}`)
}

func (c *CSV) afterQuote(i int) error {
	return c.fail(i, bucketload.CodeQuote, fmt.Sprintf("something follows a closing quote: %s", c.around(i)),
		`a quote inside a quoted field must be doubled, or escaped as csv: {escape: "\\"} says; or switch quoting off with csv: {quote: ""}`)
}

// around is what surrounds byte i of the row.
func (c *CSV) around(i int) string {
	const reach = 20
	row := c.buf[c.row:c.end]
	return bucketload.Excerpt(row[max(0, i-reach):min(len(row), i+reach)], 2*reach)
}
