package pgcopy

import (
	"bytes"
	"encoding/binary"
	encjson "encoding/json"
	"unicode/utf8"
)

// A word is eight bytes looked at in one go.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// checkText judges what goes into text: UTF-8 without a NUL.
func checkText(value []byte) fault {
	rest := value
	for ; len(rest) >= 8; rest = rest[8:] {
		word := binary.LittleEndian.Uint64(rest)
		if ((word-ones)|word)&highs != 0 { // a NUL, or not ASCII
			return checkUnicode(rest)
		}
	}
	for _, b := range rest {
		if b-1 >= utf8.RuneSelf-1 {
			return checkUnicode(rest)
		}
	}
	return fine
}

// appendText appends text in the text format. Most values are ASCII without
// anything to escape.
func appendText(dst, value []byte) ([]byte, fault) {
	rest := value
	for ; len(rest) >= 8; rest = rest[8:] {
		word := binary.LittleEndian.Uint64(rest)
		backslash := word ^ '\\'*ones
		if ((word-' '*ones)|(backslash-ones)|word)&highs != 0 {
			return appendEscaped(dst, value), checkText(value)
		}
	}
	for _, b := range rest {
		if b < ' ' || b == '\\' || b >= utf8.RuneSelf {
			return appendEscaped(dst, value), checkText(value)
		}
	}
	return append(dst, value...), fine
}

func checkUnicode(value []byte) fault {
	switch {
	case bytes.IndexByte(value, 0) >= 0:
		return hasNUL
	case !utf8.Valid(value):
		return notUTF8
	}
	return fine
}

// characters counts as Postgres does: code points.
func characters(value []byte) int { return utf8.RuneCount(value) }

// appendEscaped appends a value of the text format.
func appendEscaped(dst, value []byte) []byte {
	from := 0
	for i, b := range value {
		var letter byte
		switch b {
		case '\\':
			letter = '\\'
		case '\t':
			letter = 't'
		case '\n':
			letter = 'n'
		case '\r':
			letter = 'r'
		default:
			continue
		}
		dst = append(dst, value[from:i]...)
		dst = append(dst, '\\', letter)
		from = i + 1
	}
	return append(dst, value[from:]...)
}

// appendUUID takes 32 hexadecimal digits, with braces around them or not, and
// a hyphen after any group of four or not, as Postgres does.
func appendUUID(dst, value []byte) ([]byte, fault) {
	if n := len(value); n >= 2 && value[0] == '{' && value[n-1] == '}' {
		value = value[1 : n-1]
	}
	for i := range 16 {
		if len(value) < 2 {
			return dst, syntax
		}
		hi, lo := hexDigit(value[0]), hexDigit(value[1])
		if hi|lo > 15 {
			return dst, syntax
		}
		dst = append(dst, hi<<4|lo)
		value = value[2:]
		if i%2 == 1 && i < 15 && len(value) > 0 && value[0] == '-' {
			value = value[1:]
		}
	}
	if len(value) > 0 {
		return dst, syntax
	}
	return dst, fine
}

// hexDigit is 255 for what is none.
func hexDigit(b byte) byte {
	switch {
	case '0' <= b && b <= '9':
		return b - '0'
	case 'a' <= b|0x20 && b|0x20 <= 'f':
		return b | 0x20 - 'a' + 10
	}
	return 255
}

// checkJSON judges form only; what jsonb does not take besides (a lone
// surrogate, \u0000) is the server's to say.
func checkJSON(value []byte) fault {
	if f := checkText(value); f != fine {
		return f
	}
	if !encjson.Valid(value) {
		return syntax
	}
	return fine
}

// appendBytea takes both of Postgres' forms: \x and hexadecimal digits, or
// text in which a backslash is doubled and any byte may be \ooo in octal.
func appendBytea(dst, value []byte) ([]byte, fault) {
	if digits, ok := bytes.CutPrefix(value, []byte(`\x`)); ok {
		return appendHex(dst, digits)
	}
	if f := checkText(value); f != fine {
		return dst, f
	}
	for i := 0; i < len(value); i++ {
		if value[i] != '\\' {
			dst = append(dst, value[i])
			continue
		}
		rest := value[i+1:]
		switch {
		case len(rest) > 0 && rest[0] == '\\':
			dst = append(dst, '\\')
			i++
		case len(rest) > 2 && octal(rest[0]) < 4 && octal(rest[1]) < 8 && octal(rest[2]) < 8:
			dst = append(dst, octal(rest[0])<<6|octal(rest[1])<<3|octal(rest[2]))
			i += 3
		default:
			return dst, syntax
		}
	}
	return dst, fine
}

func octal(b byte) byte { return b - '0' }

func appendHex(dst, digits []byte) ([]byte, fault) {
	if len(digits)%2 != 0 {
		return dst, syntax
	}
	for i := 0; i < len(digits); i += 2 {
		hi, lo := hexDigit(digits[i]), hexDigit(digits[i+1])
		if hi|lo > 15 {
			return dst, syntax
		}
		dst = append(dst, hi<<4|lo)
	}
	return dst, fine
}

// appendBounded appends what is bounded in bytes: a name, or the byte of a
// "char", whose nothing is a zero.
func (c *column) appendBounded(dst, value []byte) ([]byte, fault) {
	f := checkText(value)
	if f == fine && len(value) > c.limit {
		f = tooLong
	}
	if c.kind == char && len(value) == 0 {
		return append(dst, 0), f
	}
	return append(dst, value...), f
}

// appendBits takes zeros and ones, with a B in front or not, or X and
// hexadecimal digits. A bit(n) has exactly n, a varbit(n) up to n.
func (c *column) appendBits(dst, value []byte) ([]byte, fault) {
	width := 1
	if len(value) > 0 {
		switch value[0] | 0x20 {
		case 'x':
			width = 4
			fallthrough
		case 'b':
			if value = value[1:]; len(value) == 0 {
				return dst, syntax
			}
		}
	}
	n := width * len(value)
	if c.limit >= 0 && (n > c.limit || c.kind == bit && n < c.limit) {
		return dst, outOfRange
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(n))
	full := byte(0)
	for i, b := range value {
		digit := hexDigit(b)
		if digit>>width != 0 {
			return dst, syntax
		}
		full = full<<width | digit
		if i := (i + 1) * width; i%8 == 0 || i == n {
			dst = append(dst, full<<((8-i%8)%8))
			full = 0
		}
	}
	return dst, fine
}
