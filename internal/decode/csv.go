package decode

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/bucketload/bucketload"
)

const (
	firstBuffer = 64 << 10
	keptBuffer  = 1 << 20 // the most that is kept for the next file
	// MaxRow is the longest row in bytes, line end included. A longer one is
	// most often a quote that is never closed.
	MaxRow = 16 << 20
	// maxNames is how many names a file's header may have, and how many keys of
	// records are looked at: several times the columns of a table, for a load may
	// take but some of them.
	maxNames = 10_000
	// maxFields is how many fields a row is split into: one may be the nothing
	// after the last delimiter.
	maxFields = maxNames + 1
)

// CSV reads rows in a dialect, as RFC 4180 has it and encoding/csv reads it,
// with these differences: line ends inside quotes stay as they are; a row may
// be MaxRow long; and there is what the dialect adds.
//
// Text:
//
//   - A byte order mark is proof of UTF-8, UTF-16 or UTF-32, whatever Encoding
//     says. Other encodings are read as UTF-8; bytes that the encoding does
//     not have are an error of CodeEncoding or what InvalidUTF8 says. Invalid UTF-8
//     and NUL bytes in UTF-8 itself are left to who takes the values, unless
//     InvalidUTF8 and NUL say to replace or strip them.
//   - Delimiter is looked for from the left: with "||", a|||b is a and |b.
//   - Where UnquotedBlanks says trim, spaces and tabs around a field, or around
//     its quotes, are no part of it.
//   - A quote in a field that does not begin with one is an error of the row, or,
//     where StrayQuotes says keep, an ordinary byte; spaces and tabs behind a
//     closing quote are then no part of the field.
//   - Escape makes a quote, or itself, an ordinary byte inside quotes; before
//     any other byte it is one itself.
//
// Lines:
//
//   - LF and CRLF end a line, and where the first row of a file ends in a CR by
//     itself, CR does too. In any other file such a CR is a byte of its field
//     if the line with it is a row of the right width, and a line end if all
//     the rows that it makes of the line are. Only one of these can be, but in
//     a file of one column, or where the CR comes first or last in the line:
//     then it is an error of the row.
//   - A line with nothing at all is passed over, also where there is only one
//     column. So is a line that begins with Comment.
//   - SkipHead and SkipFoot count physical lines, blank ones and comments too.
//
// Width:
//
//   - Every row has as many fields as the header; where there is none, as many as
//     Measure says, or else the first row. Ragged says what becomes of the others.
//     Rows are taken without the nothing after their last delimiter where the
//     first rows after the header have such a delimiter; a header, always.
//
// Errors: a row of the wrong width, or with bytes that the encoding does not
// have, costs that row. A stray or unclosed quote costs its physical line, and
// as many after it as it takes for proof that a row begins behind them. Either
// one does, or the place is inside of quotes: the proof is that what follows
// breaks if it is read as the inside of quotes, and reads on as rows; or that
// both readings come to a row that begins at the same place; or that a dozen
// delimiters are in lines that all have as many as a row, before both readings
// break, or for a megabyte. Where the quote that breaks was opened in a line
// before, what is wrong may be in any line between: then the dozen must be there
// as well, and is given up. Quotes that are open up to the end of the file, or
// for longer than a row may be, must have nothing behind them but rows of the
// right width; but what follows up to the end of the file is given up with the
// row where it is less than the dozen, or no rows however it is read. A row of
// the wrong width is held to all this, too, where what follows reads on only as
// the inside of quotes. Without the proof the file is Broken, so that no row is
// given that is none, unless by a file that is wrong twice, or that has a quote
// more or less and is whole all the same.
type CSV struct {
	r       io.Reader
	dialect bucketload.CSV
	delim   []byte
	comment []byte
	quote   int // -1: no quoting
	escape  int
	single  int       // the delimiter where it is one byte, else -1
	simple  int       // the same where quotes are doubled, too, else -1
	trims   bool      // blanks outside of quotes are no part of a field
	loose   bool      // nor are those behind a closing quote
	stops   [256]bool // bytes that an unquoted field may end at
	charset string    // of files without a byte order mark

	// Buffers, kept from file to file.
	mark      *bufio.Reader // looks for the byte order mark
	buf       []byte
	fields    []bucketload.Field
	unescaped []byte // the fields of this row that had escapes
	mended    []byte // and those that had bytes replaced or stripped
	headline  []byte // the last header of UTF-8 that is as it was read
	heads     []string

	passage
}

// passage is how far a file has been read, and what is known of it.
type passage struct {
	// buf[pos:end] is whole lines to be split, buf[end:filled] may be the foot.
	pos, end, filled int
	row              int   // where the last row begins
	base             int64 // the offset of buf[0]
	eof              bool  // there is nothing after filled
	lines            int64 // line ends before buf[counted]
	counted          int   // never after row

	cr    bool  // a CR by itself ends a line
	crTo  int64 // up to this offset only; 0: for good
	known bool  // cr is found out; until then it is true

	lone     bool // the row has a CR by itself that is not its end
	open, at int  // of a row that breaks: where the field begins, and where it breaks

	names    []string
	width    int       // fields of a row; 0: not known yet
	measured bool      // by Measure
	trailing bool      // rows have a delimiter after the last field
	settled  bool      // trailing is found out
	checks   bool      // rows are looked through for bytes to replace, strip or refuse
	encoding string    // as the mark or the dialect says
	plain    *recoding // of a file that is not in UTF-8
	sure     int64     // up to here, what is read as rows is no inside of quotes
	reach    int       // lookAhead, or less
	replaced int64
	begun    bool
	err      error // final

	from int64 // where the part begins that is read by itself; 0: with the file
	cut  bool  // it ends before the file does
	tail byte  // the last one that was read
}

// NewCSV reads from r in the dialect, whose Delimiter is known. An unusable
// dialect is an error of code usage.
func NewCSV(r io.Reader, dialect bucketload.CSV) (*CSV, error) {
	if err := check(dialect); err != nil {
		return nil, err
	}
	c := &CSV{dialect: dialect, delim: []byte(dialect.Delimiter), comment: []byte(dialect.Comment), quote: only(dialect.Quote),
		escape: only(dialect.Escape), charset: charset(dialect.Encoding), trims: dialect.UnquotedBlanks == bucketload.PolicyTrim,
		loose: dialect.UnquotedBlanks == bucketload.PolicyTrim || dialect.StrayQuotes == bucketload.PolicyKeep}
	if c.escape < 0 || c.quote < 0 {
		c.escape = c.quote
	}
	c.single, c.simple = -1, -1
	if len(c.delim) == 1 {
		c.single = int(c.delim[0])
		if c.escape == c.quote {
			c.simple = c.single
		}
	}
	for _, b := range []byte{c.delim[0], '\n', '\r'} {
		c.stops[b] = true
	}
	if c.quote >= 0 && dialect.StrayQuotes != bucketload.PolicyKeep {
		c.stops[c.quote] = true
	}
	c.mark = bufio.NewReaderSize(nil, 16) // greater reads go past its buffer
	c.Reset(r)
	return c, nil
}

// Reset begins another file of the same dialect. It takes the buffers of the
// last one, whose rows are valid no more.
func (c *CSV) Reset(r io.Reader) {
	c.r = r
	if len(c.buf) == 0 || len(c.buf) > keptBuffer {
		c.buf = make([]byte, firstBuffer)
	}
	c.passage = passage{cr: true, reach: lookAhead, checks: mends(c.dialect.InvalidUTF8) || mends(c.dialect.NUL)}
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
// An error is that of a row, and the next call goes on behind it, unless Broken.
func (c *CSV) Next() ([]bucketload.Field, error) {
	c.begin()
	if c.err != nil {
		return nil, c.err
	}
	row, err := c.next()
	if err == nil && (len(row) != c.width || c.trailing || !c.settled) {
		row, err = c.fit(row)
	}
	if err == nil && c.checks {
		err = c.mend(row)
	}
	if err != nil {
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
func (c *CSV) Offset() int64 {
	if c.plain != nil {
		return c.plain.plain(c.offset())
	}
	return c.offset()
}

// offset is Offset in the text, as UTF-8.
func (c *CSV) offset() int64 { return c.base + int64(c.row) }

// Raw is the last row as the plain file has it, line end included, or all that
// was given up with the error; valid until the next call of Next. Where the
// file is Broken it ends with the line that broke.
func (c *CSV) Raw() []byte {
	if c.plain != nil {
		return c.plain.bytes(c.offset(), c.base+int64(c.pos))
	}
	return c.text()
}

// text is Raw in UTF-8.
func (c *CSV) text() []byte { return c.buf[c.row:c.pos] }

// Broken says whether the last error ends the file.
func (c *CSV) Broken() bool { return c.err != nil }

// Encoding is what the file is read as, which is known from its first row or
// header on: what its byte order mark says, or else the dialect.
func (c *CSV) Encoding() string { return c.encoding }

// Replaced is how many invalid sequences and NUL bytes have been replaced or
// stripped so far, in the header and in rows that were given.
func (c *CSV) Replaced() int64 { return c.replaced }

// stop makes err final.
func (c *CSV) stop(err error) error {
	c.err = err
	return err
}

// begin passes over what comes before the first row, and reads the header.
func (c *CSV) begin() {
	if c.begun {
		return
	}
	c.begun = true
	if c.err = c.decode(); c.err != nil {
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
	if err == nil && c.checks {
		err = c.mend(row)
	}
	if err == nil {
		c.names, err = c.header(row)
		c.width = len(c.names)
	}
	c.err = err
}

// next splits the next row, whatever its number of fields.
func (c *CSV) next() ([]bucketload.Field, error) {
	for {
		c.row = c.pos
		if c.crTo != 0 && c.offset() >= c.crTo {
			c.lineEnds(false, 0)
		}
		data := c.buf[c.pos:c.end]
		if len(c.comment) > 0 && bytes.HasPrefix(data, c.comment) {
			if err := c.skipLine(); err != nil {
				return nil, c.stop(err)
			}
			continue
		}
		if n := c.blank(data); n > 0 {
			c.pos += n
			continue
		}
		n, f := 0, sound
		if len(data) > 0 {
			n, f = c.split(data)
		}
		if !c.known && (n > 0 || f != sound) {
			c.known = true
			c.lineEnds(f == sound && data[n-1] == '\r' && n < len(data), 0)
			continue
		}
		if c.lone && len(data) > 0 {
			if c.partial() {
				return nil, c.stop(c.astride())
			}
			var err error
			if n, f, err = c.mixed(data, n, f); err != nil {
				return nil, err
			}
		}
		switch {
		case c.cut && c.eof && (f == unclosed || n > 0 && c.pos+n == c.end && c.tail != '\n'):
			return nil, c.stop(c.astride())
		case f != sound:
			return nil, c.giveUp(f)
		case n > 0:
			c.pos += n
			return c.fields, nil
		case c.eof:
			return nil, c.stop(c.ending())
		}
		switch err := c.fill(); {
		case errors.Is(err, errTooLong):
			return nil, c.giveUp(tooLong)
		case err != nil:
			return nil, c.stop(err)
		}
	}
}
