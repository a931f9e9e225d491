package decode

import (
	"bytes"

	"github.com/bucketload/bucketload"
)

// fault is how a row breaks.
type fault int

const (
	sound      fault = iota
	strayQuote       // inside of an unquoted field
	afterQuote       // something follows a closing quote
	unclosed         // up to the end of the file
	tooLong          // longer than MaxRow
	tooMany          // more than maxFields
)

// split finds the fields of the row that data begins with, which is not empty,
// and gives its length, line end included; 0 where data ends before the row
// does. Fields are short, so that looking at byte by byte is faster than
// searching.
func (c *CSV) split(data []byte) (int, fault) {
	if c.trims {
		return c.splitTrimmed(data)
	}
	fields, n, i := c.fields[:cap(c.fields)], 0, 0
	quote, stops := c.quote, &c.stops
	c.unescaped, c.lone = c.unescaped[:0], false
	for {
		if n == len(fields) {
			if n >= maxFields {
				c.open, c.at = i, i
				return 0, tooMany
			}
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
			if i+1 < len(data) && int(data[i+1]) == c.simple {
				f.Bytes = data[start:i]
				i += 2
				continue
			}
			if f.Bytes, i = c.closing(data, start, i); i >= len(data) {
				c.open, c.at = start-1, start-1
				if c.eof {
					return 0, unclosed
				}
				return 0, sound
			}
			start--
			i++
		} else {
			for i < len(data) && !stops[data[i]] {
				i++
			}
			if i < len(data) && int(data[i]) == c.single {
				f.Bytes, f.Quoted = data[start:i], false
				i++
				continue
			}
			i = c.unquoted(data, i)
			f.Bytes, f.Quoted = data[start:i], false
		}
		if bytes.HasPrefix(data[i:], c.delim) {
			i += len(c.delim)
			continue
		}
		if c.loose && f.Quoted {
			if i = c.skipBlanks(data, i); bytes.HasPrefix(data[i:], c.delim) {
				i += len(c.delim)
				continue
			}
		}
		if c.fields = fields[:n]; n > maxFields { // the slice grows by more than one
			c.open, c.at = start, start
			return 0, tooMany
		}
		c.open, c.at = start, i
		return c.endRow(data, i, f.Quoted)
	}
}

// splitTrimmed is split where blanks outside of quotes are no part of a field.
func (c *CSV) splitTrimmed(data []byte) (int, fault) {
	c.fields, c.unescaped, c.lone = c.fields[:0], c.unescaped[:0], false
	for i := 0; ; i += len(c.delim) {
		i = c.skipBlanks(data, i)
		c.open, c.at = i, i
		if len(c.fields) == maxFields {
			return 0, tooMany
		}
		var f bucketload.Field
		if i < len(data) && int(data[i]) == c.quote {
			f.Quoted = true
			first := i + 1
			for i = first; i < len(data) && int(data[i]) != c.quote; i++ {
			}
			if f.Bytes, i = c.closing(data, first, i); i >= len(data) {
				if c.eof {
					return 0, unclosed
				}
				return 0, sound
			}
			i = c.skipBlanks(data, i+1)
		} else {
			i = c.unquoted(data, i)
			f.Bytes = bytes.TrimRight(data[c.open:i], " \t")
		}
		c.fields = append(c.fields, f)
		if !bytes.HasPrefix(data[i:], c.delim) {
			c.at = i
			return c.endRow(data, i, f.Quoted)
		}
	}
}

// skipBlanks is where the blanks at data[i:] end: what begins a delimiter is none.
func (c *CSV) skipBlanks(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\t') && !bytes.HasPrefix(data[i:], c.delim) {
		i++
	}
	return i
}

// closing gives the value of the quoted field that begins at start, and where
// its closing quote is; i is where the first quote is.
func (c *CSV) closing(data []byte, start, i int) (value []byte, end int) {
	if c.escape != c.quote || i+1 < len(data) && data[i+1] == data[i] {
		return c.unescape(data, start)
	}
	return data[start:i], i
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

// unquoted is where the unquoted field ends that may do so at data[i].
func (c *CSV) unquoted(data []byte, i int) int {
	for ; i < len(data); i++ {
		switch b := data[i]; {
		case !c.stops[b]:
		case b == '\r':
			if c.lineEnd(data, i) != 0 {
				return i
			}
		case b != c.delim[0] || bytes.HasPrefix(data[i:], c.delim):
			return i
		}
	}
	return i
}

// endRow judges what follows the last field at data[i]: a line end, the end of
// the file, or something that does not belong there.
func (c *CSV) endRow(data []byte, i int, quoted bool) (int, fault) {
	if i == len(data) {
		if c.eof {
			return i, sound
		}
		return 0, sound
	}
	switch n := c.lineEnd(data, i); {
	case n > 0:
		return i + n, sound
	case n < 0:
		return 0, sound
	case !quoted:
		return 0, strayQuote
	case !c.eof && bytes.HasPrefix(c.delim, data[i:]):
		return 0, sound
	}
	return 0, afterQuote
}

// lineEnd is the length of the line end at data[i]; 0 where there is none, and
// -1 where data ends before that can be told.
func (c *CSV) lineEnd(data []byte, i int) int {
	switch {
	case data[i] == '\n':
		return 1
	case data[i] != '\r':
		return 0
	case i+1 < len(data) && data[i+1] == '\n':
		return 2
	case i+1 == len(data) && !c.eof:
		return -1
	case i+1 == len(data) || c.cr:
		return 1
	}
	c.lone = true
	return 0
}

// blank is the length of the line end that data begins with, or 0.
func (c *CSV) blank(data []byte) int {
	if len(data) == 0 || data[0] > '\r' {
		return 0
	}
	return max(0, c.lineEnd(data, 0))
}

// passed is the length of the blank line or the comment that data begins with,
// or 0; less than 0 where data ends before it does.
func (c *CSV) passed(data []byte) int {
	if len(c.comment) == 0 || !bytes.HasPrefix(data, c.comment) {
		return c.blank(data)
	}
	return c.lineLen(data)
}

// lineLen is the length of the physical line that data begins with, line end
// included; -1 where data ends before it does.
func (c *CSV) lineLen(data []byte) int {
	i := bytes.IndexByte(data, '\n')
	if c.cr {
		i = bytes.IndexAny(data, "\r\n")
	}
	switch {
	case i >= 0:
		if n := c.lineEnd(data, i); n > 0 {
			return i + n
		}
	case c.eof:
		return len(data)
	}
	return -1
}

// lineEnds sets from the next row on whether a CR by itself ends a line, and
// up to which offset.
func (c *CSV) lineEnds(cr bool, to int64) {
	c.count(c.pos)
	c.cr, c.crTo = cr, to
	c.hold()
}
