package decode

import (
	"bytes"
	"io"
	"strconv"

	"github.com/bucketload/bucketload"
)

// fill reads on until there are more lines to split, or to the end of the file.
// The buffer grows only when one row does not fit in it.
func (c *CSV) fill() error {
	if c.eof {
		return nil
	}
	c.discard()
	for had := c.end; c.end == had && !c.eof; {
		if c.filled == len(c.buf) {
			if len(c.buf) >= MaxRow {
				return c.fail(0, bucketload.CodeTooLong, "the row that begins here is longer than "+strconv.Itoa(MaxRow>>20)+" MiB",
					"most often a quote is not closed: look at this line, or switch quoting off with csv: {quote: \"\"}")
			}
			c.buf = append(c.buf, make([]byte, len(c.buf))...)
		}
		for c.filled < len(c.buf) && !c.eof {
			n, err := c.r.Read(c.buf[c.filled:])
			c.filled += n
			if err != nil && err != io.EOF {
				return err
			}
			c.eof = err == io.EOF
		}
		if c.eol == 0 {
			c.eol = c.lineEnd(c.buf[:c.filled])
			c.stops[c.eol] = true
		}
		c.hold()
	}
	return nil
}

// discard makes room: what comes before pos has been split.
func (c *CSV) discard() {
	c.count(c.pos)
	copy(c.buf, c.buf[c.pos:c.filled])
	c.base += int64(c.pos)
	c.end -= c.pos
	c.filled -= c.pos
	c.pos, c.row, c.counted = 0, 0, 0
}

// hold sets end: before the last SkipFoot lines, or before as many as could
// still be the last.
func (c *CSV) hold() {
	c.end = c.filled
	if c.dialect.SkipFoot == 0 || c.filled == c.pos {
		return
	}
	data := c.buf[c.pos:c.filled]
	ends := c.dialect.SkipFoot
	if !c.eof || data[len(data)-1] == c.eol {
		ends++
	}
	for range ends {
		i := bytes.LastIndexByte(data, c.eol)
		if i < 0 {
			c.end = c.pos
			return
		}
		data = data[:i]
	}
	c.end = c.pos + len(data) + 1
}

// skipLine passes over a physical line of any length.
func (c *CSV) skipLine() error {
	for {
		if i := bytes.IndexByte(c.buf[c.pos:c.end], c.eol); i >= 0 {
			c.pos += i + 1
			return nil
		}
		c.pos = c.end
		if c.eof {
			return nil
		}
		if err := c.fill(); err != nil {
			return err
		}
	}
}

// lineEnd is CR where the first line ends in one by itself, else LF.
func (c *CSV) lineEnd(head []byte) byte {
	head = bytes.TrimPrefix(head, byteOrderMark)
	inside, start := false, true // inside quotes; where a quote would open a field
	for i, b := range head {
		switch {
		case int(b) == c.quote && (inside || start):
			inside, start = !inside, true // a quote after this one is a doubled one
		case inside:
		case b == '\r' && i+1 < len(head) && head[i+1] != '\n':
			return '\r'
		case b == '\n':
			return '\n'
		default:
			start = b == c.delim
		}
	}
	return '\n'
}

// count brings lines up to buf[to].
func (c *CSV) count(to int) {
	if to > c.counted {
		c.lines += int64(bytes.Count(c.buf[c.counted:to], []byte{c.eol}))
		c.counted = to
	}
}
