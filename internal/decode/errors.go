package decode

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/bucketload/bucketload"
)

const maxExcerpt = 200 // bytes of a value in an error

// fail makes an error at byte i of the row.
func (c *CSV) fail(i int, code bucketload.Code, message, hint string) *bucketload.Error {
	line := c.Line() + c.lineCount(c.buf[c.row:c.row+i])
	return &bucketload.Error{Code: code, Line: line, Message: message, Hint: hint}
}

// broken makes the error of the row, of which the field that begins at byte open
// breaks at byte i.
func (c *CSV) broken(f fault, open, i int) *bucketload.Error {
	e := &bucketload.Error{}
	switch row := c.buf[c.row:c.end]; f {
	case strayQuote:
		if open < i && c.skipBlanks(row[:i], open) == i {
			return c.fail(i, bucketload.CodeQuote, "blanks before a quote: "+c.around(i),
				`take them out, or write csv: {unquoted_blanks: trim}; where quotes are ordinary characters, csv: {stray_quotes: keep}`)
		}
		e = c.fail(i, bucketload.CodeQuote, "a quote inside a field that does not begin with one: "+c.around(i),
			`put the field in quotes and double the one inside; or write csv: {stray_quotes: keep}, or switch quoting off with csv: {quote: ""}`)
	case afterQuote:
		if to := c.skipBlanks(row, i); to > i && c.endsField(row[to:]) {
			return c.fail(i, bucketload.CodeQuote, "blanks behind a closing quote: "+c.around(i),
				"take them out, or write csv: {unquoted_blanks: trim}")
		}
		e = c.fail(i, bucketload.CodeQuote, "something follows a closing quote: "+c.around(i),
			`a quote inside a quoted field must be doubled, or escaped as csv: {escape: "\\"} says; or switch quoting off with csv: {quote: ""}`)
	case unclosed:
		e = c.fail(open, bucketload.CodeQuote, "the quote that opens here is never closed",
			`close it, or switch quoting off with csv: {quote: ""}; if the file is cut off, upload it again`)
	case tooLong:
		e = c.fail(0, bucketload.CodeTooLong, "the row that begins here is longer than "+strconv.Itoa(MaxRow>>20)+" MiB",
			`most often a quote is not closed: look at this line, or switch quoting off with csv: {quote: ""}`)
	case tooMany:
		code, what := bucketload.CodeTooLong, "row"
		if c.dialect.Header && c.names == nil {
			code, what = bucketload.CodeHeader, "header"
		}
		e = c.fail(0, code, fmt.Sprintf("the %s has more than %d fields", what, maxNames),
			"is the delimiter right, and where the rows begin? See csv: {delimiter, skip_head, header}; a file that has so many columns cannot be loaded")
	}
	return e
}

// endsField says whether a field may end where data begins.
func (c *CSV) endsField(data []byte) bool {
	return len(data) == 0 || data[0] == '\n' || data[0] == '\r' || bytes.HasPrefix(data, c.delim)
}

func (c *CSV) ragged(n int) error {
	than := "the header has"
	switch {
	case c.measured:
		than = "and should have"
	case c.names == nil:
		than = "the first row has"
	}
	ends := ""
	if n == c.width { // the last of these is the nothing behind the delimiter
		n, ends = n-1, " (all rows have a delimiter after the last)"
	}
	what := "fields"
	if n == 1 {
		what = "field"
	}
	return c.fail(0, bucketload.CodeRagged, fmt.Sprintf("the row has %d %s, %s %d%s", n, what, than, c.width, ends),
		"mend the row, or write csv: {ragged: pad} or truncate; where all rows are so, see csv: {delimiter, quote, skip_head, skip_foot, comment}")
}

func (c *CSV) loneCR() error {
	return c.fail(0, bucketload.CodeRagged, "the row has a carriage return by itself, which may end a line here or be part of a field",
		"put the field in quotes, or end all lines alike")
}

func (c *CSV) undecoded(i int, value []byte) error {
	field := "field " + strconv.Itoa(i+1)
	if i < len(c.names) {
		field += ", " + strconv.Quote(c.names[i]) + ","
	}
	return c.fail(0, bucketload.CodeEncoding, fmt.Sprintf("%s has bytes that the file's encoding does not have: %s", field, bucketload.Excerpt(value, maxExcerpt)),
		"say which encoding it is with csv: {encoding: ...}; or write csv: {invalid_utf8: replace} or strip")
}

func (c *CSV) orderless() error {
	return &bucketload.Error{Code: bucketload.CodeEncoding, Line: 1, Message: "the file is not UTF-16, or of a byte order that it does not tell",
		Hint: "say which with csv: {encoding: utf-16le} or utf-16be"}
}

// around is what surrounds byte i of the row, up to the end of its line.
func (c *CSV) around(i int) string {
	const reach = 20
	row := c.buf[c.row:c.end]
	to := min(len(row), i+reach)
	if n := bytes.IndexAny(row[i:to], "\r\n"); n >= 0 {
		to = i + n
	}
	return bucketload.Excerpt(row[max(0, i-reach):to], 2*reach)
}
