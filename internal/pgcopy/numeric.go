package pgcopy

import "encoding/binary"

// What a numeric can hold. Source: PostgreSQL, numeric.c and its documentation.
const (
	maxWhole    = 131072 // digits before the point
	maxFraction = 16383  // and after it
)

// The sign of a numeric's binary form.
const (
	signPlus          = 0x0000
	signMinus         = 0x4000
	signNaN           = 0xC000
	signInfinity      = 0xD000
	signMinusInfinity = 0xF000
)

// appendNumeric appends the exact value: a header of four 16-bit numbers (how
// many digits to base 10000, the power of the first, sign, decimals to show)
// and these digits, aligned to the point.
func (c *column) appendNumeric(dst, value []byte) ([]byte, fault) {
	if m, fraction, negative, ok := short(value); ok && c.limit < 0 && m < 1e16 {
		return appendShort(dst, m, fraction, negative), fine
	}
	var d decimal
	if !d.parse(value) {
		return c.appendSpecial(dst, value)
	}
	decimals := max(0, d.fraction-d.exponent)
	if decimals > maxFraction {
		return dst, outOfRange
	}
	if d.significant == 0 {
		return appendNumericHeader(dst, 0, 0, signPlus, decimals), fine
	}
	// Digit k stands for ten to the power of point-1-k.
	first, point := d.whole+d.fraction-d.significant, d.whole+d.exponent
	last := d.lastDigit()
	switch {
	case c.limit >= 0 && last >= point+c.scale:
		return dst, wouldRound
	case c.limit >= 0 && point-first > c.limit-c.scale, point-first > maxWhole:
		return dst, outOfRange
	}
	low, high := floorDiv4(first-point), floorDiv4(last-point)
	dst = appendNumericHeader(dst, high-low+1, -low-1, sign(d.negative), decimals)
	for k := low*4 + point; k <= high*4+point; k += 4 {
		group := ((d.digit(k)*10+d.digit(k+1))*10+d.digit(k+2))*10 + d.digit(k+3)
		dst = binary.BigEndian.AppendUint16(dst, uint16(group))
	}
	return dst, fine
}

// appendShort is for m / 10^fraction, where m has up to 16 digits: filled up to
// a whole base 10000 digit they fit in 64 bits.
func appendShort(dst []byte, m uint64, fraction int, negative bool) []byte {
	if m == 0 {
		return appendNumericHeader(dst, 0, 0, signPlus, fraction)
	}
	after := (fraction + 3) / 4 // base 10000 digits after the point
	m *= [...]uint64{1, 10, 100, 1000}[after*4-fraction]
	for m%10000 == 0 {
		m /= 10000
		after--
	}
	var digits [5]uint16 // the last one first
	n := 0
	for ; m > 0; n++ {
		digits[n] = uint16(m % 10000)
		m /= 10000
	}
	dst = appendNumericHeader(dst, n, n-after-1, sign(negative), fraction)
	for n > 0 {
		n--
		dst = binary.BigEndian.AppendUint16(dst, digits[n])
	}
	return dst
}

func appendNumericHeader(dst []byte, n, weight, sign, decimals int) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(n)<<48|uint64(uint16(weight))<<32|uint64(sign)<<16|uint64(decimals))
}

// appendSpecial takes NaN, and infinity where no precision is declared.
func (c *column) appendSpecial(dst, value []byte) ([]byte, fault) {
	switch s := parseSpecial(value); {
	case s == finite:
		return dst, syntax
	case s == notANumber:
		return appendNumericHeader(dst, 0, 0, signNaN, 0), fine
	case c.limit >= 0:
		return dst, outOfRange
	case s == infinity:
		return appendNumericHeader(dst, 0, 0, signInfinity, 0), fine
	}
	return appendNumericHeader(dst, 0, 0, signMinusInfinity, 0), fine
}

func sign(negative bool) int {
	if negative {
		return signMinus
	}
	return signPlus
}

// digit is number k of all digits, the point not counted, and zero beyond them.
func (d *decimal) digit(k int) int {
	switch {
	case k < 0 || k >= d.whole+d.fraction:
		return 0
	case k >= d.whole:
		k++
	}
	return int(d.digits[k] - '0')
}

// lastDigit is the number of the last digit that is not zero; there is one.
func (d *decimal) lastDigit() int {
	k := d.whole + d.fraction - 1
	for d.digit(k) == 0 {
		k--
	}
	return k
}

func floorDiv4(n int) int { return n >> 2 }
