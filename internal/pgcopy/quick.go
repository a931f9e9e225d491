package pgcopy

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

// quick is how most values of a column are encoded in the binary format: without
// a loop over their bytes or a branch that they decide, which processors guess
// wrong so often that it costs more than the rest.
type quick uint8

const (
	slowly quick = iota
	quickText
	quickFloat8
	quickNumeric
	quickInteger
	quickDate
	quickTimestamp
)

// quickRoom is the most that a quick value takes, moves of fixed lengths included:
// a length and, of text, short16 bytes; of a numeric, a header and four digits.
const quickRoom = 4 + 16

// wordSize is how many bytes a word has.
const wordSize = 8

// hurry chooses the quick way of a column that is made ready, if it has one.
func (c *column) hurry() {
	if c.direct {
		c.quick = quickText
	}
	if !c.trim || c.marked || len(c.patterns) > 0 {
		return
	}
	switch c.kind {
	case float8:
		c.quick = quickFloat8
	case numeric:
		if c.limit < 0 {
			c.quick = quickNumeric
		}
	case int2, int4, int8:
		c.quick = quickInteger
	case date:
		c.quick = quickDate
	case timestamp, timestamptz:
		c.quick = quickTimestamp
	}
	for _, s := range c.nullIf {
		if n := len(s); n > wordSize || n == 0 || c.quick >= quickDate {
			c.quick = slowly
			return
		}
		c.nullWords = append(c.nullWords, padded(append(make([]byte, 0, wordSize), s...)))
	}
}

// quickly writes the field with its length, and gives how much that is; 0 for what
// is not as most are, which may be a value all the same, or NULL.
func (c *column) quickly(room *[quickRoom]byte, field []byte) int {
	switch n := len(field); c.quick {
	case quickText:
		if n-1 >= short16 || n == 0 {
			return 0
		}
		binary.BigEndian.PutUint32(room[:], uint32(n))
		first, last := copyShort((*[short16]byte)(room[4:]), field)
		if unusual(first)|unusual(last) == 0 {
			return 4 + n
		}
	case quickFloat8:
		if f := c.figure(field); f.form != unclear && f.digits < 1<<53 {
			bits := math.Float64bits(float64(int64(f.digits)) / pow10[f.fraction])
			binary.BigEndian.PutUint32(room[:], 8)
			binary.BigEndian.PutUint64(room[4:], bits|f.negative<<63)
			return 12
		}
	case quickNumeric:
		if f := c.figure(field); f.form != unclear {
			size, header, digits := f.numeric()
			binary.BigEndian.PutUint32(room[:], uint32(size))
			binary.BigEndian.PutUint64(room[4:], header)
			binary.BigEndian.PutUint64(room[12:], digits)
			return 4 + size
		}
	case quickInteger:
		if f := c.figure(field); f.form == whole && (c.kind != int2 || f.digits <= math.MaxInt16) {
			return c.putInteger(room, (f.digits^-f.negative)+f.negative)
		}
	case quickDate:
		if n == len("2006-01-02") {
			if days, ok := isoDays(field); ok {
				binary.BigEndian.PutUint64(room[:], 4<<32|uint64(uint32(days)))
				return 8
			}
		}
	case quickTimestamp:
		if n == len("2006-01-02 15:04:05") {
			days, ok := isoDays(field)
			clock, good := isoClock(field[11:])
			if ok && good && (field[10] == ' ' || field[10] == 'T') {
				binary.BigEndian.PutUint32(room[:], 8)
				binary.BigEndian.PutUint64(room[4:], uint64(days*24*hour+clock*second))
				return 12
			}
		}
	}
	return 0
}

// putInteger writes an integer that the type holds.
func (c *column) putInteger(room *[quickRoom]byte, n uint64) int {
	size := 4
	switch c.kind {
	case int2:
		size = 2
	case int8:
		size = 8
	}
	binary.BigEndian.PutUint32(room[:], uint32(size))
	binary.BigEndian.PutUint64(room[4:], n<<((64-8*size)&63))
	return 4 + size
}

// figure is a number as most are: blanks, a minus or none, and up to eight digits,
// or eight before a point and eight behind it. With four fields it stays in registers.
type figure struct {
	digits   uint64
	fraction int // of them, behind the point
	negative uint64
	form     form
}

// form says what a figure is.
type form int

const (
	unclear form = iota // no figure
	whole               // without a point
	pointed
)

// padded moves up to wordSize bytes to the end of a word, with blanks before
// them. Words hold bytes in order, the first one lowest. Shifts are of less than
// 64 bits, and said to be, as the compiler has more to do else.
func padded(value []byte) uint64 {
	n := wordSize * len(value)
	return binary.LittleEndian.Uint64(value[:wordSize])<<((64-n)&63) | ' '*ones>>8>>((n-8)&63)
}

// figure reads a field, which is not ok where it means NULL.
func (c *column) figure(field []byte) figure {
	switch n := len(field); {
	case n-1 < wordSize && n > 0 && cap(field) >= wordSize:
		w := padded(field)
		if len(c.nullWords) > 0 && slices.Contains(c.nullWords, w) {
			return figure{}
		}
		return readFigure(w)
	case n > wordSize && n <= 2*wordSize:
		if len(c.nullWords) > 0 && field[0] == ' ' {
			return figure{} // blanks may make a value that long that means NULL
		}
		return longFigure(field)
	}
	return figure{}
}

// longFigure is for more than a word: what stands before the point and behind it
// has one each.
func longFigure(value []byte) figure {
	point, n := bytes.IndexByte(value, '.'), len(value)
	if point < 1 || point > wordSize || n-point-1 > wordSize || n == point+1 || cap(value)-point-1 < wordSize || value[point+1]-'0' > 9 || value[n-1]-'0' > 9 {
		return figure{}
	}
	f, behind := readFigure(padded(value[:point])), readFigure(padded(value[point+1:]))
	if f.form != whole || behind.form != whole {
		return figure{}
	}
	f.fraction, f.form = n-point-1, pointed
	f.digits = f.digits*uint64(pow10[f.fraction]) + behind.digits
	return f
}

// readFigure reads a word that padded has made.
func readFigure(w uint64) (f figure) {
	lead := bits.TrailingZeros64(w^' '*ones) &^ 7 // blanks in front, in bits
	if byte(w>>(lead&63)) == '-' {
		f.negative = 1
	}
	const zero = '0' * ones
	w ^= f.negative * ('-' ^ '0') << (lead & 63)
	w |= zero & (1<<(lead&63) - 1)
	count := wordSize - lead>>3 - int(f.negative)
	f.form = whole
	point := w ^ '.'*ones
	if point = (point - ones) &^ point & highs; point != 0 {
		at := bits.TrailingZeros64(point) & 56
		before := uint64(1)<<at - 1
		w = w&^(before<<8|0xff) | w&before<<8 | '0'
		f.fraction, f.form = 7-at>>3, pointed
		count--
	}
	// Digits stay among themselves where 6 is added to them.
	const high = 0xf0 * ones
	if count <= 0 || (w&high^zero)|((w+6*ones)&high^zero) != 0 {
		return figure{}
	}
	// Neighbours are put together: digits, pairs, and fours in one go.
	w = w&^high*10 + w&^high>>8
	f.digits = ((w&(0xff|0xff<<32))*(100|1_000_000<<32) + (w>>16&(0xff|0xff<<32))*(1|10_000<<32)) >> 32
	return f
}

// numeric gives the length, the header and up to four digits to base 10000, the
// first one highest, of a numeric's binary form.
func (f figure) numeric() (size int, header, digits uint64) {
	if f.digits == 0 {
		return 8, uint64(f.fraction), 0
	}
	after := (f.fraction + 3) >> 2                                            // base 10000 digits behind the point
	aligned := f.digits * [4]uint64{1, 10, 100, 1000}[(after*4-f.fraction)&3] // below 1e16
	high, low := aligned/1e8, aligned%1e8
	digits = high/1e4<<48 | high%1e4<<32 | low/1e4<<16 | low%1e4
	first, last := bits.LeadingZeros64(digits)>>4, bits.TrailingZeros64(digits)>>4
	n, weight := 4-first-last, 3-first-after
	header = uint64(n)<<48 | uint64(uint16(weight))<<32 | f.negative*signMinus<<16 | uint64(f.fraction)
	return 8 + 2*n, header, digits << (16 * first & 63)
}

// isoDays reads YYYY-MM-DD and gives the days since 2000-01-01.
func isoDays(value []byte) (days int64, ok bool) {
	_ = value[9]
	const form = '0' | '0'<<8 | '0'<<16 | '0'<<24 | '-'<<32 | '0'<<40 | '0'<<48 | '-'<<56
	w := binary.LittleEndian.Uint64(value) ^ form // digits become numbers, hyphens nothing
	d := (uint64(value[8]) | uint64(value[9])<<8) ^ ('0' | '0'<<8)
	const most = 9 | 9<<8 | 9<<16 | 9<<24 | 9<<40 | 9<<48
	if (w|(w+(0x7f*ones-most))|d|(d+0x7676))&highs != 0 {
		return 0, false
	}
	m := moment{
		year:  int(w&0xff)*1000 + int(w>>8&0xff)*100 + int(w>>16&0xff)*10 + int(w>>24&0xff),
		month: int(w>>40&0xff)*10 + int(w>>48&0xff),
		day:   int(d&0xff)*10 + int(d>>8),
	}
	return m.days(), m.judge() == fine
}

// isoClock reads hh:mm:ss, up to 23:59:59, and gives the seconds.
func isoClock(value []byte) (seconds int64, ok bool) {
	const form = '0' | '0'<<8 | ':'<<16 | '0'<<24 | '0'<<32 | ':'<<40 | '0'<<48 | '0'<<56
	w := binary.LittleEndian.Uint64(value) ^ form
	const most = 2 | 9<<8 | 5<<24 | 9<<32 | 5<<48 | 9<<56
	if (w|(w+(0x7f*ones-most)))&highs != 0 {
		return 0, false
	}
	h := int64(w&0xff)*10 + int64(w>>8&0xff)
	m := int64(w>>24&0xff)*10 + int64(w>>32&0xff)
	s := int64(w>>48&0xff)*10 + int64(w>>56)
	return (h*60+m)*60 + s, h < 24
}
