package decode

import (
	"bytes"
	"errors"
	"unicode/utf8"

	"github.com/bucketload/bucketload"
)

// settleRows is how many rows are asked whether they have a delimiter after
// the last field.
const settleRows = 64

// nothing says whether a field is one between two delimiters and no more.
func nothing(f bucketload.Field) bool { return !f.Quoted && len(f.Bytes) == 0 }

// fits says whether the row that was split last has the right width.
func (c *CSV) fits() bool {
	n := len(c.fields)
	if c.trailing && nothing(c.fields[n-1]) {
		return n == c.width+1
	}
	return n == c.width
}

// fit gives the row the width that all rows have, or says that it cannot.
func (c *CSV) fit(row []bucketload.Field) ([]bucketload.Field, error) {
	if c.width == 0 {
		c.width = len(row)
	}
	if trails := len(row) == c.width+1 && nothing(row[c.width]); !c.settled && (trails || len(row) == c.width) {
		c.settled = true // a row of another width tells nothing
		if trails {
			if err := c.settle(); err != nil {
				return nil, c.stop(err)
			}
		}
	}
	if c.fits() {
		return c.fields[:c.width], nil
	}
	n := len(c.fields)
	if c.quote >= 0 && c.offset() >= c.sure {
		if lost, err := c.astray(n); lost || err != nil {
			return nil, err
		}
	}
	if policy := c.dialect.Ragged; pads(policy) && (n < c.width || policy == bucketload.PolicyTruncate) {
		for len(c.fields) < c.width {
			c.fields = append(c.fields, bucketload.Field{})
		}
		return c.fields[:c.width], nil
	}
	return nil, c.ragged(n)
}

// settle finds out whether rows have a delimiter after the last field, which
// the row that was split last has: most of the first ones do.
func (c *CSV) settle() error {
	length := c.pos - c.row
	if err := c.look(firstBuffer); err != nil && !errors.Is(err, errTooLong) {
		return err
	}
	if c.cut && c.eof && c.end-c.row < firstBuffer {
		return c.astride() // of the whole file there is more to go by
	}
	with, without := 0, 0
	for i, data := 0, c.buf[c.row:c.end]; i < min(len(data), firstBuffer) && with+without < settleRows; {
		if n := c.passed(data[i:]); n != 0 {
			if n < 0 {
				break
			}
			i += n
			continue
		}
		n, f := c.split(data[i:])
		if f != sound {
			without++ // a row that breaks is no witness for another that is strange
			break
		}
		if n == 0 {
			break
		}
		if len(c.fields) == c.width+1 && nothing(c.fields[c.width]) {
			with++
		} else {
			without++
		}
		i += n
	}
	c.trailing = with > without
	c.again(length)
	return nil
}

// again splits the row at buf[row:] once more, of the length that it had: what
// looks ahead moves the buffer and takes the fields.
func (c *CSV) again(length int) {
	c.pos = c.row + length
	c.split(c.buf[c.row:c.end])
}

// mixed decides what the CRs by themselves are that the line at data has, which
// split found to be n and f: bytes of their fields, or line ends. Where that
// cannot be told, it is an error of the row.
func (c *CSV) mixed(data []byte, n int, f fault) (int, fault, error) {
	if c.width == 0 || n == 0 && f == sound && len(data) < lookAhead {
		return n, f, nil
	}
	whole := n > 0 && c.fits()
	if whole && c.width > 1 && data[0] != '\r' && !bytes.HasSuffix(data[:n], []byte("\r\r\n")) && !bytes.HasSuffix(data[:n], []byte("\r\r")) {
		return n, f, nil
	}
	c.cr = true
	length := c.exact(data)
	c.cr = false
	switch {
	case length < 0:
		return 0, sound, nil
	case length > 0 && !whole:
		c.lineEnds(true, c.offset()+int64(length))
		n, f = c.split(c.buf[c.pos:c.end])
		return n, f, nil
	case n == 0:
		return n, f, nil
	}
	c.pos += n
	return 0, sound, c.loneCR()
}

// exact is the length of the rows of the right width that data begins with, up
// to the first that ends in LF, or as many as lookAhead has; 0 where one is not,
// and less than 0 where data ends before.
func (c *CSV) exact(data []byte) int {
	i := 0
	for i < min(len(data), lookAhead) {
		n := c.blank(data[i:])
		if n == 0 {
			var f fault
			if n, f = c.split(data[i:]); f != sound || n > 0 && !c.fits() {
				return 0
			}
		}
		if n == 0 {
			break
		}
		if i += n; data[i-1] == '\n' {
			return i
		}
	}
	if !c.eof && len(data) < lookAhead {
		return -1
	}
	return i
}

// pads says whether a policy fills up rows.
func pads(policy string) bool {
	return policy == bucketload.PolicyPad || policy == bucketload.PolicyTruncate
}

// mends says whether a policy changes bytes.
func mends(policy string) bool {
	return policy == bucketload.PolicyReplace || policy == bucketload.PolicyStrip
}

// mend replaces or strips what InvalidUTF8 and NUL say in the row that was read
// last. What the file's encoding does not have is an error otherwise.
func (c *CSV) mend(row []bucketload.Field) error {
	raw, nul := c.text(), byte(0)
	invalid := c.plain != nil && bytes.IndexByte(raw, notText) >= 0 || c.plain == nil && mends(c.dialect.InvalidUTF8) && !utf8.Valid(raw)
	nuls := mends(c.dialect.NUL) && bytes.IndexByte(raw, nul) >= 0
	if !invalid && !nuls {
		return nil
	}
	c.mended = c.mended[:0]
	for i, f := range row {
		invalid := invalid && !utf8.Valid(f.Bytes)
		if invalid && !mends(c.dialect.InvalidUTF8) {
			return c.undecoded(i, f.Bytes)
		}
		if invalid || nuls && bytes.IndexByte(f.Bytes, nul) >= 0 {
			row[i].Bytes = c.mendField(f.Bytes)
		}
	}
	return nil
}

// mendField gives the value as the policies have it.
func (c *CSV) mendField(value []byte) []byte {
	from := len(c.mended)
	for i := 0; i < len(value); {
		r, n := utf8.DecodeRune(value[i:])
		policy := ""
		switch {
		case r == utf8.RuneError && n == 1:
			n, policy = illFormed(value[i:]), c.dialect.InvalidUTF8
		case r == 0:
			policy = c.dialect.NUL
		}
		switch policy {
		case bucketload.PolicyReplace:
			c.mended = utf8.AppendRune(c.mended, utf8.RuneError)
			c.replaced++
		case bucketload.PolicyStrip:
			c.replaced++
		default:
			c.mended = append(c.mended, value[i:i+n]...)
		}
		i += n
	}
	return c.mended[from:len(c.mended):len(c.mended)]
}

// illFormed is how many bytes of s, which does not begin with a character,
// stand for one: those that could begin one, or a single byte, as the Unicode
// Standard recommends in section 3.9, "U+FFFD Substitution of Maximal Subparts".
func illFormed(s []byte) int {
	want, low, high := 0, byte(0x80), byte(0xbf)
	switch b := s[0]; {
	case b >= 0xc2 && b <= 0xdf:
		want = 2
	case b >= 0xe0 && b <= 0xef:
		want = 3
		switch b {
		case 0xe0:
			low = 0xa0
		case 0xed:
			high = 0x9f
		}
	case b >= 0xf0 && b <= 0xf4:
		want = 4
		switch b {
		case 0xf0:
			low = 0x90
		case 0xf4:
			high = 0x8f
		}
	}
	n := 1
	for n < min(want, len(s)) && s[n] >= low && s[n] <= high {
		low, high = 0x80, 0xbf
		n++
	}
	return n
}
