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

// unusual has a high bit where a word has a NUL or what is not ASCII, or may have.
func unusual(word uint64) uint64 { return ((word - ones) | word) & highs }

// escaped is unusual for the text format: of control characters and the
// backslash, too.
func escaped(word uint64) uint64 {
	return ((word - ' '*ones) | ((word ^ '\\'*ones) - ones) | word) & highs
}

// short16 is the longest value that copyShort takes.
const short16 = 16

// copyShort copies a value of 1 to 16 bytes in moves of fixed lengths, and gives
// two words that have all its bytes, some of them twice, and no others but 'a'.
// Most values are so short that a call to copy them costs more than the copy.
func copyShort(dst *[short16]byte, value []byte) (first, last uint64) {
	switch n := len(value); {
	case n >= 8:
		first, last = binary.LittleEndian.Uint64(value), binary.LittleEndian.Uint64(value[n-8:])
		binary.LittleEndian.PutUint64(dst[:], first)
		binary.LittleEndian.PutUint64(dst[n-8:], last)
	case n >= 4:
		a, b := binary.LittleEndian.Uint32(value), binary.LittleEndian.Uint32(value[n-4:])
		binary.LittleEndian.PutUint32(dst[:], a)
		binary.LittleEndian.PutUint32(dst[n-4:], b)
		first = uint64(a) | uint64(b)<<32
		last = first
	default:
		a, b, c := value[0], value[n/2], value[n-1]
		dst[0], dst[n/2], dst[n-1] = a, b, c
		const rest = 'a' * ones << 24 & (1<<64 - 1)
		first = uint64(a) | uint64(b)<<8 | uint64(c)<<16 | rest
		last = first
	}
	return first, last
}

// appendChecked appends text of the binary format.
func appendChecked(dst, value []byte) ([]byte, fault) {
	if n := len(value); 0 < n && n <= short16 && cap(dst)-len(dst) >= short16 {
		first, last := copyShort((*[short16]byte)(dst[len(dst):len(dst)+short16]), value)
		if unusual(first)|unusual(last) == 0 {
			return dst[:len(dst)+n], fine
		}
	}
	return append(dst, value...), checkText(value)
}

// checkText judges what goes into text: UTF-8 without a NUL.
func checkText(value []byte) fault {
	rest := value
	for ; len(rest) >= 8; rest = rest[8:] {
		word := binary.LittleEndian.Uint64(rest)
		if unusual(word) != 0 {
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
	if n := len(value); 0 < n && n <= short16 && cap(dst)-len(dst) >= short16 {
		first, last := copyShort((*[short16]byte)(dst[len(dst):len(dst)+short16]), value)
		if escaped(first)|escaped(last) == 0 {
			return dst[:len(dst)+n], fine
		}
		return appendEscaped(dst, value), checkText(value)
	}
	rest := value
	for ; len(rest) >= 8; rest = rest[8:] {
		if escaped(binary.LittleEndian.Uint64(rest)) != 0 {
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
