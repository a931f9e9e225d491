package decode

import (
	"bytes"
	"errors"
	"fmt"
)

const (
	// lookAhead is how many bytes are asked whether a row begins where they do.
	// Quotes that are open for longer, over lines that all read as rows, are
	// taken for never closed.
	lookAhead = 1 << 20
	// lookTries is how many lines after one that breaks are tried.
	lookTries = 64
	// enoughMarks is how many delimiters make it certain that lines are rows, each
	// having as many as a row has. Of lines of text with one comma in the mean,
	// 37 % have just that and 1.5 % four; 12 lines that all have one are one in 160,000.
	enoughMarks = 12
)

// giveUp makes the error of the row at pos, which breaks as f says, and goes to
// where the next one begins. It is final where that cannot be told.
func (c *CSV) giveUp(f fault) error {
	open, at := c.open, c.at
	line, err := c.nextLine(at) // so that all of the line is there to be shown
	if err != nil {
		return c.stop(err)
	}
	from, strict := open, f == unclosed || f == tooLong
	if f == strayQuote || f == tooMany {
		from = at // fields before it have been read to their end
	}
	to, err := c.resume(from, at, strict)
	upTo := "where a row begins for certain"
	if to == 0 && err == nil && f == unclosed && c.endsSoon(open) {
		to, upTo = c.end-c.row, "the end of the file"
	}
	switch {
	case err != nil:
		return c.stop(err)
	case to == 0:
		if c.pos = c.row + line; line == 0 {
			c.pos = c.end
		}
		return c.stop(c.broken(f, open, at))
	case strict || at >= to:
		f = unclosed
	}
	e := c.broken(f, open, at)
	c.pos = c.row + to
	if n := c.lineCount(bytes.TrimRight(c.text(), "\r\n")) + 1; n > 1 {
		e.Message += fmt.Sprintf("; %d lines are given up, up to %s", n, upTo)
	}
	return e
}

// endsSoon says of quotes that open at byte open of the row, and are open still
// at the end of the file, whether the lines behind theirs are no rows however
// they are read, or but a few: no more than it takes elsewhere to be certain.
func (c *CSV) endsSoon(open int) bool {
	if c.width == 0 {
		return false
	}
	data := c.buf[c.row+open : c.end]
	data = data[c.lineLen(data):]
	rows := c.try(data, 0, len(data), false)
	lines := rows.good
	if pads(c.dialect.Ragged) {
		lines += rows.ragged
	}
	if rest := data[rows.to:]; len(rest) > 0 {
		lines += int(c.lineCount(rest)) + 1
	}
	return lines*max(1, c.width-1) < enoughMarks
}

// astray looks whether a row of n fields, which is the wrong width, is none:
// where what follows is the inside of quotes, a quote is lost, or is too many.
// Then the row is given up with what follows it.
func (c *CSV) astray(n int) (bool, error) {
	length := c.pos - c.row
	v, rows, err := c.judge(length)
	if err != nil {
		return true, c.stop(err)
	}
	if v == soon {
		c.pos = c.row + length + rows.to
		return true, c.ragged(n)
	}
	if v != no {
		c.sure = c.offset() + int64(length+rows.to)
		c.again(length)
		return false, nil
	}
	to, err := c.resume(length+rows.to, length+rows.at, false)
	if err != nil {
		return true, c.stop(err)
	}
	if to == 0 {
		c.pos = c.row + length
		return true, c.stop(c.ragged(n))
	}
	c.pos = c.row + to
	return true, c.ragged(n)
}

// resume finds a line after byte from of the row of which there is proof that a
// row begins with it, and gives its place after buf[row]; 0 where there is
// none. What is wrong is between from and at. The error is one of reading.
func (c *CSV) resume(from, at int, strict bool) (int, error) {
	if c.width == 0 {
		return 0, nil
	}
	if strict {
		at = c.end - c.row
	}
	if from < at {
		// The lines between may be inside of the quotes just as well, which should
		// then close at one of them: up to where there are too many rows for that.
		first, err := c.nextLine(from)
		if first == 0 || err != nil {
			return 0, err
		}
		rows := c.try(c.buf[c.row+first:c.end], 0, at-first+1, strict)
		to := first + rows.certain
		switch {
		case strict && (rows.broke || rows.certain == 0):
			return 0, nil
		case strict:
			return to, nil
		case rows.certain > 0:
			switch v, rows, err := c.judge(to); {
			case err != nil || v == yes:
				return to, err
			case v == soon:
				return to + rows.to, nil
			}
		}
		from = at
	}
	return c.align(from)
}

// align finds a line after byte from of the row of which there is proof that a
// row begins with it, and gives its place after buf[row]; 0 where there is none.
func (c *CSV) align(from int) (int, error) {
	for range lookTries {
		to, err := c.nextLine(from)
		if to == 0 || err != nil {
			return 0, err
		}
		v, rows, err := c.judge(to)
		switch {
		case err != nil || v == doubt:
			return 0, err
		case v == yes:
			return to, nil
		case v == soon:
			return to + rows.to, nil
		}
		from = to + rows.to
	}
	return 0, nil
}

// nextLine is where the line after byte from of the row begins; 0 where there
// is no end of that line within MaxRow.
func (c *CSV) nextLine(from int) (int, error) {
	for {
		if n := c.lineLen(c.buf[c.row+from : c.end]); n >= 0 {
			return from + n, nil
		}
		if err := c.fill(); errors.Is(err, errTooLong) {
			return 0, nil
		} else if err != nil {
			return 0, err
		}
	}
}

// look reads on until there are n bytes from buf[row] on, or the end.
func (c *CSV) look(n int) error {
	for c.end-c.row < n && !c.eof {
		if err := c.fill(); err != nil {
			return err
		}
	}
	return nil
}

// verdict is whether a row begins at some line.
type verdict int

const (
	yes     verdict = iota
	no              // it is inside of quotes
	neither         // read as either, the same line breaks
	soon            // it may be either, and a row begins a little later all the same
	doubt           // it may be either
)

// judge says whether a row begins at byte to of the row that broke, at a line's
// beginning. Either one does, or the line is inside of quotes. So both readings
// are tried: where that as quotes breaks first, a row begins. Where both break
// in the same line, it does if that is after enough rows, and where the quotes
// just do not end, too. Where both come to a row that begins at the same place,
// as stray quotes that are kept make possible, they are one from there on. It
// gives the reading as rows, up to that place if the verdict is soon; the error
// is one of reading.
func (c *CSV) judge(to int) (verdict, reading, error) {
	if err := c.look(to + c.reach); errors.Is(err, errTooLong) {
		return doubt, reading{}, nil
	} else if err != nil {
		return doubt, reading{}, err
	}
	data := c.buf[c.row+to : c.end]
	quotes := c.tryInside(data)
	if quotes.from > 0 {
		if rows := c.try(data, 0, quotes.from, false); !rows.broke && rows.to == quotes.from {
			if rows.certain > 0 {
				return yes, rows, nil
			}
			return soon, rows, nil
		}
	}
	limit := c.reach
	if quotes.broke {
		limit = quotes.at + 1
	}
	rows := c.try(data, 0, limit, false)
	certain := rows.certain > 0
	switch {
	case !rows.broke && quotes.broke && quotes.at == len(data) && rows.ragged > 0 && !certain:
		return doubt, rows, nil // quotes that break as the file ends: it may be cut off
	case !rows.broke && (quotes.broke || quotes.open && certain), rows.broke && quotes.broke && quotes.at < rows.to:
		return yes, rows, nil
	case !rows.broke:
		return doubt, rows, nil
	case !quotes.broke || bytes.IndexByte(data[rows.at:max(rows.at, min(quotes.at, len(data)))], '\n') >= 0:
		return no, rows, nil
	case certain:
		return yes, rows, nil
	}
	return neither, rows, nil
}

// reading is how far bytes can be read in some way.
type reading struct {
	to     int  // where the last row ends, and one begins that breaks or is not whole
	broke  bool // there is one that breaks
	at     int  // where
	marks  int  // delimiters of the last rows, all of the right width
	good   int  // rows of the right width
	ragged int  // rows of another

	certain int  // where there are enoughMarks first; 0: nowhere
	open    bool // it is all inside of quotes
	from    int  // where the first row begins behind these; 0: nowhere
}

// try reads data[i:] as rows, up to one that begins at limit or later. With
// exact a row of the wrong width breaks.
func (c *CSV) try(data []byte, i, limit int, exact bool) reading {
	r := reading{to: i}
	for r.to < len(data) && r.to < limit {
		if n := c.passed(data[r.to:]); n != 0 {
			if n < 0 {
				break
			}
			r.to += n
			continue
		}
		n, f := c.split(data[r.to:])
		switch {
		case f != sound:
			r.broke, r.at = true, r.to+c.at
			return r
		case n == 0:
			return r
		case c.fits():
			r.good++
			r.marks += c.width - 1
		case exact:
			r.broke, r.at = true, r.to+n-1
			return r
		default:
			r.ragged++
			r.marks = 0
		}
		r.to += n
		if r.certain == 0 && r.marks >= enoughMarks {
			r.certain = r.to
		}
	}
	return r
}

// tryInside reads data as the inside of quotes that a row before it has opened,
// and what comes after these.
func (c *CSV) tryInside(data []byte) reading {
	head := data[:min(len(data), c.reach)]
	c.unescaped = c.unescaped[:0]
	_, i := c.unescape(head, 0)
	last := c.eof && len(head) == len(data)
	switch {
	case last && i == len(head):
		return reading{open: true, broke: true, at: i}
	case !last && i >= len(head)-1: // one quote more may follow
		return reading{open: true}
	}
	i++
	if c.loose {
		i = c.skipBlanks(data, i)
	}
	exact := !pads(c.dialect.Ragged)
	switch {
	case i == len(data):
		return reading{}
	case bytes.HasPrefix(data[i:], c.delim):
		i += len(c.delim)
		if i == len(data) {
			return reading{}
		}
		n, f := c.split(data[i:])
		switch {
		case f != sound:
			return reading{broke: true, at: i + c.at}
		case n == 0:
			return reading{}
		case exact && len(c.fields) > c.width:
			return reading{broke: true, at: i + n - 1}
		}
		i += n
	default:
		n := c.lineEnd(data, i)
		if n == 0 {
			partial := !c.eof && bytes.HasPrefix(c.delim, data[i:])
			return reading{broke: !partial, at: i}
		}
		if n < 0 {
			return reading{}
		}
		i += n
	}
	r := c.try(data, i, c.reach, exact)
	r.from = i
	return r
}
