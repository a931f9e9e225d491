package decode

import (
	"errors"
	"maps"
	"slices"

	"github.com/bucketload/bucketload"
)

// Measure says how many fields the rows of a file without a header have, before
// any of them is given, and io.EOF where there is none: as many as expected,
// where the first row has so many, or any of the next ones. A first row of
// another width, or that breaks, is then a bad row like any other.
//
// Most of the first rows tell where none of several is as expected, where
// nothing is, which is 0, and where fewer or more are let pass: the file may
// have so many throughout. Where Ragged makes rows as wide as expected it is
// that, and where nothing is expected the first row's.
func (c *CSV) Measure(expected int, fewer, more bool) (int, error) {
	c.begin()
	if c.err != nil {
		return 0, c.err
	}
	c.width, c.measured = expected, true
	row, err := c.next()
	if err != nil && !inContent(err) {
		return 0, err
	}
	first := 0
	if err == nil {
		first = len(row)
	}
	c.pos, c.err = c.row, nil // it is still to be given, or refused
	switch {
	case first > 0 && first == expected:
	case expected == 0 && first > 0 && pads(c.dialect.Ragged):
		c.width = first
	default:
		err := c.look(firstBuffer)
		if err != nil && !errors.Is(err, errTooLong) {
			return 0, c.stop(err)
		}
		c.width = c.usual(expected, first, fewer, more)
	}
	return c.width, nil
}

// inContent is whether an error of next is of what is in the file, and not one of
// reading it, or its end.
func inContent(err error) bool {
	e, ok := errors.AsType[*bucketload.Error](err)
	return ok && slices.Contains([]bucketload.Code{bucketload.CodeQuote, bucketload.CodeTooLong, bucketload.CodeRagged}, e.Code)
}

// usual is the width of the file by its first rows.
func (c *CSV) usual(expected, first int, fewer, more bool) int {
	rows, n := c.widths(expected)
	fills := expected > 0 && pads(c.dialect.Ragged)
	cuts := fills && c.dialect.Ragged == bucketload.PolicyTruncate
	other := expected == 0 || rows[expected] == 0 && n > 1
	best := expected
	if expected == 0 {
		best = max(first, 1)
	}
	for _, width := range slices.Sorted(maps.Keys(rows)) {
		var allowed bool
		switch {
		case width < expected:
			allowed = (fewer || other) && !fills
		case width > expected:
			allowed = (more || other) && !cuts
		}
		if allowed && rows[width] > rows[best] {
			best = width
		}
	}
	return best
}

// widths counts the first rows by their width, the nothing behind the last
// delimiter of as many as are expected aside. Rows that break do not count.
func (c *CSV) widths(expected int) (rows map[int]int, n int) {
	rows = map[int]int{}
	data := c.buf[c.row:c.end]
	for i := 0; i < min(len(data), firstBuffer) && n < settleRows; {
		length, f := c.passed(data[i:]), sound
		over := length != 0
		if !over {
			if length, f = c.split(data[i:]); f != sound {
				length = c.lineLen(data[i:])
			}
		}
		if length <= 0 {
			break
		}
		i += length
		if over || f != sound {
			continue
		}
		width := len(c.fields)
		if width == expected+1 && nothing(c.fields[expected]) {
			width = expected
		}
		rows[width]++
		n++
	}
	return rows, n
}
