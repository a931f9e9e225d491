package pgcopy

import (
	"encoding/binary"
	"math"
	"strconv"
)

// parseInt takes a sign and digits, nothing else.
func parseInt(value []byte, bits uint) (int64, fault) {
	digits := value
	negative := false
	if len(digits) > 0 && (digits[0] == '-' || digits[0] == '+') {
		negative = digits[0] == '-'
		digits = digits[1:]
	}
	if len(digits) == 0 {
		return 0, syntax
	}
	limit := uint64(1) << (bits - 1)
	if !negative {
		limit--
	}
	var n uint64
	beyond := false
	for _, b := range digits {
		d := uint64(b - '0')
		if d > 9 {
			return 0, syntax
		}
		beyond = beyond || n > (limit-d)/10
		n = n*10 + d
	}
	if beyond {
		return 0, outOfRange
	}
	if negative {
		return -int64(n), fine
	}
	return int64(n), fine
}

// decimal is a number as it is written: digits with a point somewhere, and an
// exponent.
type decimal struct {
	digits      []byte // with the point in it, without the sign
	whole       int    // digits before the point
	fraction    int    // and after it
	significant int    // without the zeros in front
	exponent    int
	negative    bool
}

// maxExponent bounds exponents: far beyond any type, far from overflow.
const maxExponent = 1_000_000

// short reads what most numbers are: [sign] digits [. digits], up to 18 digits.
// It is not ok for anything else, which may be a number all the same.
func short(value []byte) (mantissa uint64, fraction int, negative, ok bool) {
	if len(value) > 0 && (value[0] == '-' || value[0] == '+') {
		negative = value[0] == '-'
		value = value[1:]
	}
	i := 0
	for ; i < len(value) && value[i]-'0' <= 9; i++ {
		mantissa = mantissa*10 + uint64(value[i]-'0')
	}
	point := i
	if i < len(value) && value[i] == '.' {
		for i++; i < len(value) && value[i]-'0' <= 9; i++ {
			mantissa = mantissa*10 + uint64(value[i]-'0')
		}
		fraction = i - point - 1
	}
	return mantissa, fraction, negative, i == len(value) && i <= 18 && point+fraction > 0
}

// parse takes [sign] digits [. digits] [e [sign] digits], with a digit before
// or after the point.
func (d *decimal) parse(value []byte) bool {
	i := 0
	*d = decimal{}
	if len(value) > 0 && (value[0] == '-' || value[0] == '+') {
		d.negative = value[0] == '-'
		i++
	}
	start := i
	for i < len(value) && value[i]-'0' <= 9 {
		i++
	}
	d.whole = i - start
	if i < len(value) && value[i] == '.' {
		i++
		point := i
		for i < len(value) && value[i]-'0' <= 9 {
			i++
		}
		d.fraction = i - point
	}
	d.digits = value[start:i]
	d.significant = d.whole + d.fraction
	if d.significant == 0 {
		return false
	}
	for _, b := range d.digits {
		if b == '0' {
			d.significant--
		} else if b != '.' {
			break
		}
	}
	if i == len(value) {
		return true
	}
	var ok bool
	d.exponent, ok = parseExponent(value[i:])
	return ok
}

// parseExponent stops counting at maxExponent.
func parseExponent(value []byte) (exponent int, ok bool) {
	if value[0]|0x20 != 'e' {
		return 0, false
	}
	digits, negative := value[1:], false
	if len(digits) > 0 && (digits[0] == '-' || digits[0] == '+') {
		negative = digits[0] == '-'
		digits = digits[1:]
	}
	for _, b := range digits {
		if b-'0' > 9 {
			return 0, false
		}
		exponent = min(exponent*10+int(b-'0'), maxExponent)
	}
	if negative {
		exponent = -exponent
	}
	return exponent, len(digits) > 0
}

// special is a number that is not finite.
type special uint8

const (
	finite special = iota
	notANumber
	infinity
	minusInfinity
)

// parseSpecial takes NaN and [sign] inf or infinity, in any case.
func parseSpecial(value []byte) special {
	var lower [9]byte
	if len(value) < 3 || len(value) > len(lower) {
		return finite
	}
	for i, b := range value {
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		lower[i] = b
	}
	switch string(lower[:len(value)]) {
	case "nan":
		return notANumber
	case "inf", "infinity", "+inf", "+infinity":
		return infinity
	case "-inf", "-infinity":
		return minusInfinity
	}
	return finite
}

// float is the number that s stands for.
func (s special) float() float64 {
	switch s {
	case notANumber:
		return math.NaN()
	case minusInfinity:
		return math.Inf(-1)
	}
	return math.Inf(1)
}

// pow10 are powers of ten; a float64 holds them exactly up to 1e22.
var pow10 = [18]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17}

// exact is the float64 that a number of up to 2^53 and 17 decimals is nearest to:
// it holds both parts exactly, so that one operation rounds once. It is not ok
// for anything else.
func exact(value []byte) (f float64, ok bool) {
	m, fraction, negative, ok := short(value)
	if !ok || m >= 1<<53 {
		return 0, false
	}
	f = float64(m) / pow10[fraction]
	if negative {
		f = -f
	}
	return f, true
}

func appendFloat8(dst, value []byte) ([]byte, fault) {
	f, why := parseFloat(value, 64)
	return binary.BigEndian.AppendUint64(dst, math.Float64bits(f)), why
}

func appendFloat4(dst, value []byte) ([]byte, fault) {
	f, why := parseFloat(value, 32)
	return binary.BigEndian.AppendUint32(dst, math.Float32bits(float32(f))), why
}

// parseFloat gives the nearest float of 32 or 64 bits. What would become zero
// or infinite is out of range.
func parseFloat(value []byte, bits int) (float64, fault) {
	if f, ok := exact(value); ok && bits == 64 {
		return f, fine
	}
	var d decimal
	if !d.parse(value) {
		if s := parseSpecial(value); s != finite {
			return s.float(), fine
		}
		return 0, syntax
	}
	f, err := strconv.ParseFloat(string(value), bits)
	if err != nil || f == 0 && d.significant > 0 {
		return 0, outOfRange
	}
	return f, fine
}
