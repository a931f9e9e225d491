package decode

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/bucketload/bucketload"
)

// A file can be read in parts, each by itself: where they meet is guessed by
// Align, and proved by reading. The first part begins with the file; one that
// is read to its end without an error ends where a row does; so the next one
// begins with a row, and has the same rows as when the file is read whole.

// AlignBytes is how much of a file Align wants to look at.
const AlignBytes = 2 * alignReach

// alignReach is lookAhead for a guess, which reading the parts will prove.
const alignReach = 256 << 10

// Cut says that what c reads ends before the file does: Next gives an error of
// code boundary in place of io.EOF where that is not at the end of a row, or
// where it cannot be told that the whole file would be read alike. It comes
// before Header and Next.
func (c *CSV) Cut() { c.cut = true }

// Part gives a reader of a part of the file that c has the beginning of, of
// which it has read the first row behind the header: r has the bytes of the file
// from byte from on, where a row begins, up to the file's end unless Cut says
// otherwise. Line counts from the part's beginning. It is an error of code
// boundary where the file cannot be read in parts. Many may call it at once.
func (c *CSV) Part(r io.Reader, from int64) (*CSV, error) {
	if c.width == 0 || !c.settled || c.cr || !transparent(c.encoding) {
		return nil, astride(0)
	}
	p := *c
	p.buf, p.fields, p.unescaped, p.mended, p.headline, p.heads = make([]byte, firstBuffer), nil, nil, nil, nil, nil
	p.mark = bufio.NewReaderSize(nil, 16)
	p.pos, p.end, p.filled, p.row, p.counted = 0, 0, 0, 0, 0
	p.base, p.from, p.lines, p.crTo, p.sure, p.replaced = from, from, 0, 0, 0, 0
	p.eof, p.cut, p.lone, p.err, p.tail = false, false, false, nil, 0
	if p.r = r; c.plain != nil {
		p.plain = recoded(r, c.encoding, from, from)
		p.r = p.plain
	}
	return &p, nil
}

// Align looks for where a row begins in sample, the bytes of the file from byte
// from on, whole if they go up to its end. c is as for Part. It gives the first
// place behind a line end that can be nothing else: read as the inside of
// quotes, what follows breaks, or goes on for too long. false where there is none.
// Many may call it at once.
func (c *CSV) Align(sample []byte, from int64, whole bool) (start int64, ok bool, err error) {
	var r io.Reader = bytes.NewReader(sample)
	if !whole {
		r = io.MultiReader(r, goesOn{})
	}
	p, err := c.Part(r, from)
	if err != nil {
		return 0, false, err
	}
	p.reach = alignReach
	var to int
	if p.quote < 0 {
		to, err = p.nextLine(0)
	} else {
		to, err = p.align(0)
	}
	if err != nil && !errors.Is(err, errGoesOn) {
		return 0, false, err
	}
	if to == 0 || p.row+to == p.end {
		return 0, false, nil
	}
	// Of text that was in another encoding the lines are the same, not the bytes.
	n := 0
	for range bytes.Count(p.buf[p.row:p.row+to], []byte{'\n'}) {
		n += bytes.IndexByte(sample[n:], '\n') + 1
	}
	return from + int64(n), true, nil
}

var errGoesOn = errors.New("the file goes on")

// goesOn has nothing, and is not the end.
type goesOn struct{}

func (goesOn) Read([]byte) (int, error) { return 0, errGoesOn }

// partial says whether only a part of the file is read.
func (c *CSV) partial() bool { return c.cut || c.from > 0 }

// ending is io.EOF where what is read ends as a file does, or a part of one
// behind which a row begins.
func (c *CSV) ending() error {
	switch {
	case c.cut && (c.tail != '\n' || c.cr),
		c.from > 0 && c.dialect.SkipFoot > 0 && c.offset() == c.from: // the foot may begin before
		return c.astride()
	}
	return io.EOF
}

// astride makes the error of a file that cannot be read in these parts.
func (c *CSV) astride() error { return astride(c.Line()) }

func astride(line int64) error {
	return &bucketload.Error{Code: bucketload.CodeBoundary, Line: line,
		Message: "the file cannot be read in parts as it was divided: behind the row that begins here, it cannot be told apart from the whole"}
}
