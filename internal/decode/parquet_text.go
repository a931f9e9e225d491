package decode

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"math/bits"
	"strconv"

	"github.com/bucketload/bucketload"
)

const (
	// pqMaxDigits is the most digits that a numeric(p,s) can be declared with.
	// Source: PostgreSQL, numeric.h, NUMERIC_MAX_PRECISION.
	pqMaxDigits = 1000
	// pqMaxDecimal is how many bytes so many digits need.
	pqMaxDecimal = 416
)

// append appends a value as Postgres reads it. An error is the value's.
func (t *pqType) append(dst []byte, n int64, b []byte) ([]byte, error) {
	switch t.kind {
	case pqAsBool:
		return strconv.AppendBool(dst, n != 0), nil
	case pqAsInt:
		return strconv.AppendInt(dst, n, 10), nil
	case pqAsUint32:
		return strconv.AppendUint(dst, uint64(uint32(n)), 10), nil
	case pqAsUint64:
		return strconv.AppendUint(dst, uint64(n), 10), nil
	case pqAsFloat32:
		return appendFloat(dst, float64(math.Float32frombits(uint32(n))), 32), nil
	case pqAsFloat64:
		return appendFloat(dst, math.Float64frombits(uint64(n)), 64), nil
	case pqAsFloat16:
		return appendFloat(dst, float16(binary.LittleEndian.Uint16(b)), 32), nil
	case pqAsDecimal:
		return appendDecimal(dst, n, t.scale), nil
	case pqAsBigDecimal:
		return appendBigDecimal(dst, b, t.scale)
	case pqAsDate:
		return appendDay(dst, n, nil), nil
	case pqAsTime:
		return appendTimeOfDay(dst, n, t.digits), nil
	case pqAsTimestamp, pqAsInt96:
		return t.appendTimestamp(dst, n, b), nil
	case pqAsUUID:
		for i, size := range []int{4, 2, 2, 2, 6} {
			if i > 0 {
				dst = append(dst, '-')
			}
			dst, b = hex.AppendEncode(dst, b[:size]), b[size:]
		}
		return dst, nil
	case pqAsInterval:
		return appendInterval(dst, b), nil
	case pqAsBytes:
		if len(dst)+2*len(b) > pqMaxRow {
			return dst, errPqRow
		}
		return hex.AppendEncode(append(dst, '\\', 'x'), b), nil
	}
	return append(dst, b...), nil
}

// appendFloat appends the fewest digits that give the same float again.
func appendFloat(dst []byte, f float64, size int) []byte {
	switch {
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	case size == 64 && f != 0 && math.Abs(f) < 1e11:
		// Most are decimals of few digits, up to 15 of which are always exact.
		for scale, unit := range [...]float64{1, 10, 100, 1000, 10000} {
			if m := math.RoundToEven(f * unit); m/unit == f {
				return appendDecimal(dst, int64(m), scale)
			}
		}
	}
	return strconv.AppendFloat(dst, f, 'g', -1, size)
}

// float16 is a number of one bit of sign, five of exponent and ten of fraction.
func float16(n uint16) float64 {
	fraction, exponent := float64(n&0x3ff), int(n>>10&31)
	var f float64
	switch exponent {
	case 0:
		f = math.Ldexp(fraction, -24)
	case 31:
		f = math.Inf(1)
		if fraction != 0 {
			return math.NaN()
		}
	default:
		f = math.Ldexp(1024+fraction, exponent-25)
	}
	if n>>15 != 0 {
		f = -f
	}
	return f
}

func appendDecimal(dst []byte, n int64, scale int) []byte {
	magnitude := uint64(n)
	if n < 0 {
		dst, magnitude = append(dst, '-'), -magnitude
	}
	var digits [20]byte
	return appendPoint(dst, strconv.AppendUint(digits[:0], magnitude, 10), scale)
}

// appendPoint appends digits with a point before the last scale of them.
func appendPoint(dst, digits []byte, scale int) []byte {
	whole := len(digits) - scale
	if whole <= 0 {
		dst = append(dst, '0')
	} else {
		dst = append(dst, digits[:whole]...)
	}
	if scale == 0 {
		return dst
	}
	dst = append(dst, '.')
	for range -whole {
		dst = append(dst, '0')
	}
	return append(dst, digits[max(0, whole):]...)
}

// appendBigDecimal takes a two's complement number, high bytes first. One of no
// bytes is 0.
func appendBigDecimal(dst, b []byte, scale int) ([]byte, error) {
	var fillUp byte // what stands before the number, endlessly
	if len(b) > 0 && b[0]&0x80 != 0 {
		fillUp = 0xff
	}
	for len(b) > 1 && b[0] == fillUp && (b[1]^fillUp)&0x80 == 0 {
		b = b[1:]
	}
	if len(b) <= 8 {
		n := uint64(0)
		if fillUp != 0 {
			n = math.MaxUint64
		}
		for _, c := range b {
			n = n<<8 | uint64(c)
		}
		return appendDecimal(dst, int64(n), scale), nil
	}
	if len(b) > pqMaxDecimal {
		return dst, &bucketload.Error{Code: bucketload.CodeValue, Message: "a decimal of " + strconv.Itoa(len(b)) + " bytes has more digits than a numeric",
			Hint: "write the file again with fewer digits; or leave the column out: name those that you want in columns"}
	}
	var limbs [pqMaxDecimal / 8]uint64 // low ones first
	n := 0
	for end := len(b); end > 0; end -= 8 {
		for i := range 8 {
			c := fillUp
			if at := end - 1 - i; at >= 0 {
				c = b[at]
			}
			limbs[n] |= uint64(c) << (8 * i)
		}
		n++
	}
	if fillUp != 0 {
		dst = append(dst, '-')
		carry := uint64(1)
		for i := range limbs[:n] {
			limbs[i], carry = bits.Add64(^limbs[i], 0, carry)
		}
	}
	var digits [pqMaxDigits + 19]byte
	first := appendLimbs(digits[:], limbs[:n])
	return appendPoint(dst, digits[first:], scale), nil
}

// appendLimbs writes the number at the end of digits and gives where it begins.
func appendLimbs(digits []byte, limbs []uint64) (first int) {
	const group, width = 1e19, 19 // the most digits that a limb holds
	first, top := len(digits), len(digits)
	for len(limbs) > 0 {
		var rest uint64
		for i := len(limbs) - 1; i >= 0; i-- {
			limbs[i], rest = bits.Div64(rest, limbs[i], group)
		}
		for range min(width, first) {
			first--
			digits[first] = byte('0' + rest%10)
			if rest != 0 {
				top = first
			}
			rest /= 10
		}
		for len(limbs) > 0 && limbs[len(limbs)-1] == 0 {
			limbs = limbs[:len(limbs)-1]
		}
	}
	return top
}

// appendDay appends the date that is days after 1970-01-01, clock and, in years
// that have it, the era. Years begin in March here, so that leap days come last.
func appendDay(dst []byte, days int64, clock []byte) []byte {
	const untilEpoch, era = 719_468, 146_097 // days from 0000-03-01, days of 400 years
	days += untilEpoch
	eras := floorDiv(days, era)
	day := days - eras*era
	year := (day - day/1460 + day/36524 - day/146096) / 365
	day -= 365*year + year/4 - year/100
	month := (5*day + 2) / 153
	day -= (153*month+2)/5 - 1
	year += eras * 400
	if month += 3; month > 12 {
		month, year = month-12, year+1
	}
	bc := year <= 0
	if bc {
		year = 1 - year
	}
	dst = appendPadded(dst, year, 4)
	dst = append(dst, '-', byte('0'+month/10), byte('0'+month%10), '-', byte('0'+day/10), byte('0'+day%10))
	dst = append(dst, clock...)
	if bc {
		dst = append(dst, " BC"...)
	}
	return dst
}

// appendTimeOfDay appends n units of 10^-digits seconds. One before midnight is
// no time of day, and Postgres will say so of the number.
func appendTimeOfDay(dst []byte, n int64, digits int) []byte {
	if n < 0 {
		return strconv.AppendInt(dst, n, 10)
	}
	unit := pow10(digits)
	return appendClock(dst, n/unit, n%unit, digits)
}

// appendClock appends hh:mm:ss and the fraction without zeros at its end.
func appendClock(dst []byte, seconds, fraction int64, digits int) []byte {
	minute, second := seconds/60%60, seconds%60
	dst = appendPadded(dst, seconds/3600, 2)
	dst = append(dst, ':', byte('0'+minute/10), byte('0'+minute%10), ':', byte('0'+second/10), byte('0'+second%10))
	if fraction == 0 {
		return dst
	}
	for fraction%10 == 0 {
		fraction, digits = fraction/10, digits-1
	}
	return appendPadded(append(dst, '.'), fraction, digits)
}

// appendTimestamp appends n units since 1970, or of an INT96 the nanoseconds of
// a day and the day, counted from the first one of the Julian calendar.
func (t *pqType) appendTimestamp(dst []byte, n int64, b []byte) []byte {
	const day, untilEpoch = 86400, 2_440_588
	unit := pow10(t.digits)
	var before int64
	if t.kind == pqAsInt96 {
		n = int64(binary.LittleEndian.Uint64(b))
		before = int64(int32(binary.LittleEndian.Uint32(b[8:]))) - untilEpoch
	}
	seconds := floorDiv(n, unit)
	days := floorDiv(seconds, day)
	var buf [32]byte
	clock := appendClock(append(buf[:0], ' '), seconds-days*day, n-seconds*unit, t.digits)
	if t.utc {
		clock = append(clock, "+00"...)
	}
	return appendDay(dst, before+days, clock)
}

// appendInterval takes months, days and milliseconds without signs.
func appendInterval(dst, b []byte) []byte {
	dst = strconv.AppendUint(dst, uint64(binary.LittleEndian.Uint32(b)), 10)
	dst = strconv.AppendUint(append(dst, " mons "...), uint64(binary.LittleEndian.Uint32(b[4:])), 10)
	return appendTimeOfDay(append(dst, " days "...), int64(binary.LittleEndian.Uint32(b[8:])), 3)
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// pow10 is for 0, 3, 6 and 9.
func pow10(n int) int64 {
	p := int64(1)
	for range n {
		p *= 10
	}
	return p
}

// appendPadded appends n, which is not negative, with zeros up to width digits.
func appendPadded(dst []byte, n int64, width int) []byte {
	for limit := int64(10); width > 1; width-- {
		if n < limit {
			for range width - 1 {
				dst = append(dst, '0')
			}
			break
		}
		limit *= 10
	}
	return strconv.AppendInt(dst, n, 10)
}

// appendJSON appends a value as JSON: numbers and words as they are where JSON
// has them, JSON as it is if it is that, and everything else as a string.
func (t *pqType) appendJSON(dst []byte, n int64, b []byte) ([]byte, error) {
	switch {
	case t.kind == pqAsJSON && json.Valid(b):
		return append(dst, b...), nil
	case t.kind == pqAsJSON, t.kind == pqAsText:
		return appendPqString(dst, b), nil
	case t.kind == pqAsBytes:
		dst = append(dst, `"\`...) // and a second backslash for JSON
		dst, err := t.append(dst, n, b)
		return append(dst, '"'), err
	}
	at := len(dst)
	dst, err := t.append(append(dst, '"'), n, b)
	if t.numeral(dst[at+1:]) {
		return append(dst[:at], dst[at+1:]...), err
	}
	return append(dst, '"'), err
}

// numeral says whether JSON has the value, as append gives it, without quotes:
// NaN and Infinity do not end in a digit.
func (t *pqType) numeral(text []byte) bool {
	return t.kind == pqAsBool || t.kind <= pqAsBigDecimal && len(text) > 0 && text[len(text)-1]-'0' <= 9
}

// appendPqString appends a string of JSON. What is not UTF-8 stays as it is. It
// stops where the row is too long, which escapes make up to six times as long.
func appendPqString(dst, b []byte) []byte {
	dst = append(dst, '"')
	from := 0
	for i, c := range b {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, b[from:i]...)
		if from = i + 1; len(dst) > pqMaxRow {
			return append(dst, '"')
		}
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = hex.AppendEncode(append(dst, `\u00`...), []byte{c})
		}
	}
	return append(append(dst, b[from:]...), '"')
}
