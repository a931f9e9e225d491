package decode

import (
	"bytes"
	"errors"
	"io"
)

// errTooLong is that a row does not fit in a buffer of MaxRow.
var errTooLong = errors.New("the row is too long")

// maxEmptyReads is how often in a row a reader may give nothing, as in bufio.
const maxEmptyReads = 100

// fill reads on until there are more lines to split, or to the end of the file.
// The buffer grows only when what there is from row on does not fit in it.
func (c *CSV) fill() error {
	if c.eof {
		return nil
	}
	c.discard()
	for had := c.end; c.end == had && !c.eof; {
		if c.filled == len(c.buf) {
			if len(c.buf) >= MaxRow {
				return errTooLong
			}
			c.buf = append(c.buf, make([]byte, len(c.buf))...)
		}
		for empty := 0; c.filled < len(c.buf) && !c.eof; empty++ {
			n, err := c.r.Read(c.buf[c.filled:])
			c.filled += n
			switch {
			case n > 0:
				empty, c.tail = 0, c.buf[c.filled-1]
			case err == nil && empty == maxEmptyReads:
				return io.ErrNoProgress
			}
			if err != nil && err != io.EOF {
				return err
			}
			c.eof = err == io.EOF
		}
		c.hold()
	}
	return nil
}

// discard makes room: what comes before row has been split.
func (c *CSV) discard() {
	c.count(c.row)
	copy(c.buf, c.buf[c.row:c.filled])
	if c.base += int64(c.row); c.plain != nil {
		c.plain.forget(c.base)
	}
	c.pos -= c.row
	c.end -= c.row
	c.filled -= c.row
	c.row, c.counted = 0, 0
}

// hold sets end: before the last SkipFoot lines, or before as many as could
// still be the last.
func (c *CSV) hold() {
	c.end = c.filled
	if c.dialect.SkipFoot == 0 || c.cut || c.filled == c.pos {
		return
	}
	data := c.buf[c.pos:c.filled]
	ends := c.dialect.SkipFoot
	if at, n := c.lastLineEnd(data); !c.eof || at >= 0 && at+n == len(data) {
		ends++
	}
	for range ends {
		at, n := c.lastLineEnd(data)
		if at < 0 {
			c.end = c.pos
			return
		}
		data = data[:at]
		c.end = c.pos + at + n
	}
}

// lastLineEnd gives the place of the last line end in data and its length; a
// place less than 0 where there is none.
func (c *CSV) lastLineEnd(data []byte) (at, n int) {
	at = bytes.LastIndexByte(data, '\n')
	if c.cr {
		at = bytes.LastIndexAny(data, "\r\n")
	}
	if at > 0 && data[at] == '\n' && data[at-1] == '\r' {
		return at - 1, 2
	}
	return at, 1
}

// skipLine passes over a physical line of any length.
func (c *CSV) skipLine() error {
	for {
		if n := c.lineLen(c.buf[c.pos:c.end]); n >= 0 {
			c.pos += n
			return nil
		}
		c.pos = c.end
		if c.end > 0 && c.buf[c.end-1] == '\r' {
			c.pos-- // with LF after it, it is one line end
		}
		c.row = c.pos
		if err := c.fill(); err != nil {
			return err
		}
	}
}

// count brings lines up to buf[to], the beginning of a row.
func (c *CSV) count(to int) {
	if to > c.counted {
		c.lines += c.lineCount(c.buf[c.counted:to])
		c.counted = to
	}
}

// lineCount counts line ends.
func (c *CSV) lineCount(data []byte) int64 {
	n := bytes.Count(data, []byte{'\n'})
	if c.cr {
		n += bytes.Count(data, []byte{'\r'}) - bytes.Count(data, []byte{'\r', '\n'})
	}
	return int64(n)
}
