package decode

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// jsonDepth is how deep arrays and objects may be nested in a record: more is
// no data but an attack, and Postgres' own limit is of this order.
const jsonDepth = 1000

// jsonText is JSON as far as it has been read. Its methods pass over tokens and
// values at data[i] and check them; false means that the fault says why they
// cannot go on. They begin and end at tokens, so that after more was read they
// can go on where they were.
//
// A flaw is a fault within a token or between two that leaves no doubt about
// where the next one begins: methods note the first and go on.
type jsonText struct {
	data []byte
	i    int
	last bool // nothing follows data

	fault jsonFault
	flaw  jsonFault

	escaped bool // the last string had escapes
	nul     int  // where the last \u0000 was; -1: nowhere

	open []byte // what skip is in: { or [
	want jsonWant
}

// jsonFault is what is wrong at data[at].
type jsonFault struct {
	at  int
	why *jsonReason // nil: nothing
}

// jsonWant is what skip expects next.
type jsonWant uint8

const (
	jsonValue jsonWant = iota
	jsonFirstValue
	jsonKey
	jsonFirstKey
	jsonColon
	jsonComma
)

func (t *jsonText) stop(at int, why *jsonReason) bool {
	t.fault = jsonFault{at, why}
	return false
}

// flawed notes a flaw.
func (t *jsonText) flawed(at int, why *jsonReason) {
	if t.flaw.why == nil {
		t.flaw = jsonFault{at, why}
	}
}

// space passes over white space up to a byte.
func (t *jsonText) space() bool {
	data, i := t.data, t.i
	for i < len(data) {
		switch data[i] {
		case ' ', '\n', '\r', '\t':
			i++
			continue
		}
		t.i = i
		return true
	}
	t.i = i
	return t.stop(i, jsonCut)
}

// ordinary are the bytes that stand for themselves in a string, but for those
// beyond ASCII.
var ordinary = func() (is [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		is[c] = c != '"' && c != '\\'
	}
	return is
}()

// str passes over the string that data[i] opens.
func (t *jsonText) str() bool {
	data, i := t.data, t.i+1
	t.escaped = false
	for {
		for n := 8; n == 8 && i+8 <= len(data); i += n {
			n = ordinaryBytes(binary.LittleEndian.Uint64(data[i:]))
		}
		for i < len(data) && ordinary[data[i]] {
			i++
		}
		if i >= len(data) {
			return t.stop(i, jsonCut)
		}
		switch c := data[i]; {
		case c == '"':
			t.i = i + 1
			return true
		case c == '\\':
			n := t.escape(i)
			if n == 0 {
				return false
			}
			i += n
		case c >= utf8.RuneSelf:
			if !utf8.FullRune(data[i:]) && !t.last {
				return t.stop(i, jsonCut)
			}
			r, n := utf8.DecodeRune(data[i:])
			if r == utf8.RuneError && n == 1 {
				t.flawed(i, jsonNoUTF8)
			}
			i += n
		case c == '\n' || c == '\r':
			return t.stop(i, jsonLineEnd)
		default:
			t.flawed(i, jsonControl)
			i++
		}
	}
}

// ordinaryBytes is how many of the eight bytes of w, the lowest first, are
// ordinary before one that is not.
func ordinaryBytes(w uint64) int {
	const low, high = 0x0101010101010101, 0x8080808080808080
	quote := w ^ low*'"'
	backslash := w ^ low*'\\'
	// A byte of x is below n where subtracting n borrows into its high bit,
	// that was not set before. Borrows go upwards only: the lowest is right.
	odd := w | (quote-low)&^quote | (backslash-low)&^backslash | (w-low*' ')&^w
	return bits.TrailingZeros64(odd&high) / 8
}

// escape checks the escape at data[i], and gives its length; 0: stop.
func (t *jsonText) escape(i int) int {
	t.escaped = true
	data := t.data
	if i+1 >= len(data) {
		t.stop(i, jsonCut)
		return 0
	}
	switch data[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
	case '\n', '\r':
		t.stop(i+1, jsonLineEnd)
		return 0
	default:
		t.flawed(i, jsonEscape)
		if data[i+1] >= utf8.RuneSelf {
			return 1
		}
		return 2
	}
	const short, pair = len(`\u0000`), len(`\ud800\udc00`)
	r := hex4(data[i:])
	switch {
	case r < 0 && len(data) < i+short && !t.last:
		t.stop(i, jsonCut)
		return 0
	case r < 0:
		t.flawed(i, jsonEscape)
		return 2
	case r == 0:
		t.nul = i
		return short
	case r < 0xd800 || r > 0xdfff:
		return short
	case len(data) < i+pair && !t.last:
		t.stop(i, jsonCut)
		return 0
	}
	if second := hex4(data[i+short:]); r > 0xdbff || second < 0xdc00 || second > 0xdfff {
		t.flawed(i, jsonSurrogate)
		return short
	}
	return pair
}

// hex4 is the number in the \uXXXX that s begins with, or -1.
func hex4(s []byte) rune {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return -1
	}
	var r rune
	for _, c := range s[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// inBare are the bytes of numbers and words, and of what is written in their
// place.
var inBare = func() (is [256]bool) {
	for c := range 128 {
		is[c] = c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '+' || c == '-' || c == '.' || c == '_'
	}
	return is
}()

// bare passes over the number or word at data[i].
func (t *jsonText) bare() bool {
	data, i := t.data, t.i
	for i < len(data) && inBare[data[i]] {
		i++
	}
	switch {
	case i == len(data) && !t.last:
		return t.stop(i, jsonCut)
	case i == t.i:
		return t.stop(i, jsonNoValue)
	}
	if token := data[t.i:i]; !isNumber(token) && !isWord(token) {
		t.flawed(t.i, jsonNoWord)
	}
	t.i = i
	return true
}

func isWord(s []byte) bool {
	return string(s) == "true" || string(s) == "false" || string(s) == "null"
}

// isNumber is whether s is a number as RFC 8259 has it.
func isNumber(s []byte) bool {
	i := 0
	if i < len(s) && s[i] == '-' {
		i++
	}
	whole := i
	if i = afterDigits(s, i); i == whole || s[whole] == '0' && i > whole+1 {
		return false
	}
	if i < len(s) && s[i] == '.' {
		point := i + 1
		if i = afterDigits(s, point); i == point {
			return false
		}
	}
	if i < len(s) && s[i]|0x20 == 'e' {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		exponent := i
		if i = afterDigits(s, i); i == exponent {
			return false
		}
	}
	return i == len(s)
}

func afterDigits(s []byte, i int) int {
	for i < len(s) && s[i]-'0' <= 9 {
		i++
	}
	return i
}

// skip passes over the value at data[i] behind white space.
func (t *jsonText) skip() bool {
	t.open, t.want = t.open[:0], jsonValue
	return t.skipOn()
}

// skipOn goes on with skip after more was read. It does not recurse, however
// deep the value is.
func (t *jsonText) skipOn() bool {
	for {
		if !t.space() {
			return false
		}
		c, inside := t.data[t.i], byte(0)
		if len(t.open) > 0 {
			inside = t.open[len(t.open)-1]
		}
		switch {
		case inside == '{' && c == '}' && t.want != jsonColon && t.want != jsonValue, inside == '[' && c == ']':
			if t.want == jsonKey || t.want == jsonValue {
				t.flawed(t.i, jsonTrailing)
			}
			t.i++
			t.open = t.open[:len(t.open)-1]
		case t.want == jsonComma && c != ',', t.want == jsonColon && c != ':':
			return t.stop(t.i, missing(t.want, inside))
		case t.want == jsonComma:
			t.i++
			t.want = jsonValue
			if inside == '{' {
				t.want = jsonKey
			}
			continue
		case t.want == jsonColon:
			t.i++
			t.want = jsonValue
			continue
		case t.want == jsonKey || t.want == jsonFirstKey:
			if c != '"' {
				return t.stop(t.i, jsonNoKey)
			}
			if !t.str() {
				return false
			}
			t.want = jsonColon
			continue
		case c == '{' || c == '[':
			if len(t.open) == jsonDepth {
				return t.stop(t.i, jsonDeep)
			}
			t.i++
			t.open = append(t.open, c)
			t.want = jsonFirstKey
			if c == '[' {
				t.want = jsonFirstValue
			}
			continue
		case c == '"':
			if !t.str() {
				return false
			}
		default:
			if !t.bare() {
				return false
			}
		}
		if len(t.open) == 0 {
			return true
		}
		t.want = jsonComma
	}
}

// unquote appends what the checked string s, without its quotes, stands for.
func unquote(dst, s []byte) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			dst = append(dst, s[i])
			continue
		}
		i++
		switch s[i] {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r := hex4(s[i-1:])
			i += 4
			if second := hex4(s[i+1:]); r >= 0xd800 && r <= 0xdbff && second >= 0xdc00 && second <= 0xdfff {
				r = 0x10000 + (r-0xd800)<<10 + second - 0xdc00
				i += 6
			}
			dst = utf8.AppendRune(dst, max(r, 0))
		default:
			dst = append(dst, s[i])
		}
	}
	return dst
}
