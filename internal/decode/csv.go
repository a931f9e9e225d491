package decode

import (
	"bytes"
	"io"

	"github.com/bucketload/bucketload"
)

const (
	firstBuffer = 64 << 10
	// MaxRow is the longest row in bytes, line end included. A longer one is
	// most often a quote that is never closed.
	MaxRow = 16 << 20
)

// CSV reads rows in a dialect, as RFC 4180 has it and encoding/csv reads it,
// with these differences: line ends inside quotes stay as they are; a row may
// be MaxRow long; a byte order mark is passed over; and there are Escape,
// SkipHead and SkipFoot.
//
//   - LF and CRLF end a line. Where the first line of a file ends in a CR by
//     itself, CR does, and LF is an ordinary byte.
//   - A line with nothing at all is passed over, also where there is only one
//     column. So is a line that begins with Comment.
//   - Escape makes a quote, or itself, an ordinary byte inside quotes; before
//     any other byte it is one itself.
//   - SkipHead and SkipFoot count physical lines, blank ones and comments too.
//   - Every row has as many fields as the header, or as the first row where
//     there is none.
//
// An error is final: what follows a stray quote cannot be told apart.
type CSV struct {
	r       io.Reader
	dialect bucketload.CSV
	delim   byte
	eol     byte // '\n' or '\r'; 0: not known yet
	quote   int  // -1: no quoting
	escape  int
	escapes bool      // by another byte than the quote
	comment int       // -1: no comments
	stops   [256]bool // bytes that an unquoted field ends at

	// buf[pos:end] is whole lines to be split, buf[end:filled] may be the foot.
	buf              []byte
	pos, end, filled int
	row              int   // where the last row begins
	base             int64 // the offset of buf[0]
	eof              bool  // there is nothing after filled
	lines            int64 // line ends before buf[counted]
	counted          int   // never after row

	fields    []bucketload.Field
	unescaped []byte // the fields of this row that had escapes
	names     []string
	width     int // fields of a row; 0: not known yet
	begun     bool
	err       error // final
}

// NewCSV reads from r in the dialect, whose Delimiter is known. An unusable
// dialect is an error of code usage.
func NewCSV(r io.Reader, dialect bucketload.CSV) (*CSV, error) {
	if err := check(dialect); err != nil {
		return nil, err
	}
	c := &CSV{r: r, dialect: dialect, delim: dialect.Delimiter[0], quote: only(dialect.Quote), escape: only(dialect.Escape),
		comment: only(dialect.Comment), buf: make([]byte, firstBuffer)}
	if c.escape < 0 || c.quote < 0 {
		c.escape = c.quote
	}
	c.escapes = c.escape != c.quote
	c.stops[c.delim] = true
	if c.quote >= 0 {
		c.stops[c.quote] = true
	}
	return c, nil
}

// Header gives the names in the first row; nil where the dialect says that
// there is no header. io.EOF means that the file has no row at all.
func (c *CSV) Header() ([]string, error) {
	c.begin()
	if c.names == nil && c.err != nil {
		return nil, c.err
	}
	return c.names, nil
}

// Next gives the next row, or io.EOF. The fields are valid until the next call.
func (c *CSV) Next() ([]bucketload.Field, error) {
	c.begin()
	if c.err != nil {
		return nil, c.err
	}
	row, err := c.next()
	if err == nil && len(row) != c.width {
		if c.width == 0 {
			c.width = len(row)
		} else {
			err = c.ragged(len(row))
		}
	}
	if err != nil {
		c.err = err
		return nil, err
	}
	return row, nil
}

// Line is the physical line, from 1, on which the last row began.
func (c *CSV) Line() int64 {
	c.count(c.row)
	return c.lines + 1
}

// Offset is the byte of the plain file at which the last row began.
func (c *CSV) Offset() int64 { return c.base + int64(c.row) }

// Raw is the last row as the plain file has it, line end included.
func (c *CSV) Raw() []byte { return c.buf[c.row:c.pos] }

// Broken says whether the last error ends the file.
func (c *CSV) Broken() bool { return c.err != nil }

// begin passes over what comes before the first row, and reads the header.
func (c *CSV) begin() {
	if c.begun {
		return
	}
	c.begun = true
	if c.err = c.fill(); c.err != nil {
		return
	}
	if c.err = c.mark(); c.err != nil {
		return
	}
	for range c.dialect.SkipHead {
		if c.err = c.skipLine(); c.err != nil {
			return
		}
	}
	if !c.dialect.Header {
		return
	}
	row, err := c.next()
	if err == nil {
		c.width = len(row)
		c.names, err = c.header(row)
	}
	c.err = err
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// mark passes over a byte order mark.
func (c *CSV) mark() error {
	data := c.buf[:c.filled]
	switch {
	case bytes.HasPrefix(data, byteOrderMark):
		c.pos = len(byteOrderMark)
		c.row, c.end = c.pos, max(c.end, c.pos)
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		return c.fail(0, bucketload.CodeUTF8, "the file is UTF-16", "convert it: iconv -f UTF-16 -t UTF-8")
	}
	return nil
}

// next splits the next row, whatever its number of fields.
func (c *CSV) next() ([]bucketload.Field, error) {
	for {
		data := c.buf[c.pos:c.end]
		c.row = c.pos
		if len(data) > 0 && int(data[0]) == c.comment {
			if err := c.skipLine(); err != nil {
				return nil, err
			}
			continue
		}
		if n := c.blank(data); n > 0 {
			c.pos += n
			continue
		}
		n, err := c.split(data)
		switch {
		case err != nil:
			return nil, err
		case n > 0:
			c.pos += n
			return c.fields, nil
		case c.eof:
			return nil, io.EOF
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

// blank is the length of the line end that data begins with, or 0.
func (c *CSV) blank(data []byte) int {
	switch {
	case len(data) == 0 || data[0] > '\r':
		return 0
	case data[0] == c.eol:
		return 1
	case data[0] == '\r' && len(data) > 1 && data[1] == c.eol:
		return 2
	case data[0] == '\r' && len(data) == 1 && c.eof:
		return 1
	}
	return 0
}

// split finds the fields of the row that data begins with and gives its length,
// line end included; 0 where data ends before the row does. Fields are short,
// so that looking at byte by byte is faster than searching.
func (c *CSV) split(data []byte) (int, error) {
	fields, n, i := c.fields[:cap(c.fields)], 0, 0
	delim, quote, stops := c.delim, c.quote, &c.stops
	c.unescaped = c.unescaped[:0]
	for {
		if n == len(fields) {
			fields = append(fields, bucketload.Field{})
			fields = fields[:cap(fields)]
		}
		f := &fields[n]
		n++
		start := i
		if i < len(data) && int(data[i]) == quote {
			start++
			for i = start; i < len(data) && int(data[i]) != quote; i++ {
			}
			f.Quoted = true
			if i+1 < len(data) && data[i+1] == delim && !c.escapes {
				f.Bytes = data[start:i]
				i += 2
				continue
			}
			if f.Bytes, i = c.closing(data, start, i); i >= len(data) {
				if c.eof {
					return 0, c.unclosed(start - 1)
				}
				return 0, nil
			}
			i++
		} else {
			for i < len(data) && !stops[data[i]] {
				i++
			}
			f.Bytes, f.Quoted = data[start:i], false
		}
		if i < len(data) && data[i] == delim {
			i++
			continue
		}
		c.fields = fields[:n]
		return c.endRow(data, i, f)
	}
}

// closing gives the value of the quoted field that begins at start, and where
// its closing quote is; i is where the first quote is.
func (c *CSV) closing(data []byte, start, i int) (value []byte, end int) {
	if c.escapes || i+1 < len(data) && data[i+1] == data[i] {
		return c.unescape(data, start)
	}
	return data[start:i], i
}

// endRow judges what follows the last field at data[i]: a line end, the end of
// the file, or something that does not belong there.
func (c *CSV) endRow(data []byte, i int, last *bucketload.Field) (int, error) {
	switch {
	case i == len(data) && !c.eof:
		return 0, nil
	case i == len(data), data[i] == c.eol:
		if n := len(last.Bytes); !last.Quoted && n > 0 && last.Bytes[n-1] == '\r' {
			last.Bytes = last.Bytes[:n-1]
		}
		return min(i+1, len(data)), nil
	case last.Quoted && data[i] == '\r' && i+1 < len(data) && data[i+1] == c.eol:
		return i + 2, nil
	case last.Quoted && data[i] == '\r' && i+1 == len(data):
		if c.eof {
			return i + 1, nil
		}
		return 0, nil
	case last.Quoted:
		return 0, c.afterQuote(i)
	}
	return 0, c.strayQuote(i)
}

// unescape reads the rest of a quoted field that may have escapes in it, from
// data[i] on. It gives the value and where the closing quote is, len(data) if
// it is not there.
func (c *CSV) unescape(data []byte, i int) (value []byte, end int) {
	from := len(c.unescaped)
	for ; i < len(data); i++ {
		b := int(data[i])
		if b == c.escape && i+1 < len(data) {
			if next := int(data[i+1]); next == c.quote || next == c.escape {
				i++
				c.unescaped = append(c.unescaped, data[i])
				continue
			}
		}
		if b == c.quote {
			break
		}
		c.unescaped = append(c.unescaped, data[i])
	}
	return c.unescaped[from:len(c.unescaped):len(c.unescaped)], i
}
