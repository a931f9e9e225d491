package infer

import (
	"bytes"
	"unicode/utf8"
)

// shape is what kind of value a cell seems to hold: coarser than kind, and it
// knows how people write numbers and moments all over the world.
type shape uint8

const (
	blank  shape = iota
	figure       // 1, -2.5, 1,5, 1.234,56, $74.69, 12%
	moment       // 2020-01-31, 31/1/20 10:30, 10:30:15, 1.2.3.4
	truth        // true, false
	code         // a UUID
	prose        // anything else
	shapes
)

// shapeOf judges one value.
func shapeOf(value []byte) shape {
	value = bytes.TrimSpace(value)
	if len(value) == 0 {
		return blank
	}
	switch c := value[0]; {
	case len(value) > 64:
		return prose
	case c == 't' || c == 'f' || c == 'T' || c == 'F':
		if bytes.EqualFold(value, []byte("true")) || bytes.EqualFold(value, []byte("false")) {
			return truth
		}
	}
	digits, letters := false, 0
	for _, c := range value {
		switch {
		case isDigit(c):
			digits = true
		case c|0x20 >= 'a' && c|0x20 <= 'z':
			letters++
		}
	}
	switch {
	case len(value) <= longest && (isNullWord(string(value)) || !bytes.ContainsFunc(value, func(c rune) bool { return c >= utf8.RuneSelf || !mayDelimit(byte(c)) })):
		return blank
	case len(value) == 36 && isUUID(string(value)):
		return code
	case !digits || letters > 3:
		return prose
	}
	if _, ok := readFigure(value); ok {
		return figure
	}
	if isMoment(value) {
		return moment
	}
	return prose
}

// written is what a figure proves about the marks in numbers.
type written struct {
	decimal   byte // 0: it has none, or it may be a thousands mark as well
	thousands byte // 0: it has none for sure
	either    byte // the mark in 1,234 or 1.234
}

var currencies = [][]byte{[]byte("$"), []byte("€"), []byte("£"), []byte("¥")}

// readFigure reads an optional sign and currency, digits in groups, an optional
// exponent or percent sign.
func readFigure(s []byte) (w written, ok bool) {
	s = trimSign(s)
	for _, currency := range currencies {
		if rest, ok := bytes.CutPrefix(s, currency); ok {
			s = trimSign(bytes.TrimLeft(rest, " "))
		}
		s = bytes.TrimSuffix(s, currency)
	}
	s = bytes.TrimSuffix(bytes.TrimSpace(s), []byte("%"))
	s = bytes.TrimRight(s, " ")
	if i := bytes.IndexAny(s, "eE"); i > 0 {
		exponent := trimSign(s[i+1:])
		if len(exponent) == 0 || len(exponent) > 3 || len(digits(string(exponent))) != len(exponent) {
			return w, false
		}
		s = s[:i]
	}
	var groups [16]int // lengths
	var marks [16]byte // marks[i] follows groups[i]
	n := 0
	for _, c := range s {
		switch {
		case isDigit(c):
			groups[n]++
		case (c == '.' || c == ',' || c == ' ' || c == '\'') && n+1 < len(groups):
			marks[n] = c
			n++
		default:
			return w, false
		}
	}
	return judgeGroups(groups[:n+1], marks[:n], len(s) > 0 && s[0] == '0')
}

func judgeGroups(groups []int, marks []byte, zero bool) (w written, ok bool) {
	n := len(marks)
	if n == 0 {
		return w, groups[0] > 0
	}
	last := marks[n-1]
	fraction := last == '.' || last == ','
	for i := 1; i < n; i++ {
		if groups[i] != 3 || marks[i-1] != marks[0] {
			return w, false
		}
	}
	grouped := groups[0] >= 1 && groups[0] <= 3 && !zero
	switch {
	case n == 1 && fraction && groups[1] == 3 && grouped:
		return written{either: last}, true
	case n == 1 && fraction:
		return written{decimal: last}, groups[0]+groups[1] > 0
	case !grouped:
		return w, false
	case last == marks[0]: // between blanks, these may as well be several numbers
		return written{thousands: last}, groups[n] == 3 && last != ' '
	}
	return written{decimal: last, thousands: marks[0]}, fraction && groups[n] > 0
}

func trimSign(s []byte) []byte {
	if len(s) > 0 && (s[0] == '-' || s[0] == '+') {
		return s[1:]
	}
	return s
}

// isMoment takes a date, a time of day or both, and what else consists of
// groups of digits, such as an IP address or a version.
func isMoment(s []byte) bool {
	day, clock := s, []byte(nil)
	if i := bytes.IndexAny(s, " T"); i > 0 {
		day, clock = s[:i], bytes.TrimLeft(s[i+1:], " ")
	}
	if clock == nil {
		return isClock(day) || isDay(day)
	}
	return isDay(day) && isClock(clock)
}

// isDay takes three groups of digits with one mark between them, or four with
// dots, or a year and a month.
func isDay(s []byte) bool {
	var groups [4]int
	n, mark := 0, byte(0)
	for _, c := range s {
		switch {
		case isDigit(c):
			if groups[n]++; groups[n] > 4 {
				return false
			}
		case (c == '-' || c == '/' || c == '.') && (mark == 0 || c == mark) && n+1 < len(groups) && groups[n] > 0:
			mark = c
			n++
		default:
			return false
		}
	}
	switch {
	case groups[n] == 0:
		return false
	case n == 3:
		return mark == '.'
	case n == 1:
		return mark == '-' && groups[0] == 4 && groups[1] == 2
	}
	return n == 2
}

// isClock takes h:mm, with seconds, a fraction, a zone, am or pm.
func isClock(s []byte) bool {
	end := bytes.IndexAny(s, "Z+- aApP")
	if end < 0 {
		end = len(s)
	}
	if rest := bytes.ToLower(bytes.TrimSpace(s[end:])); !isZone(string(s[end:])) && string(rest) != "am" && string(rest) != "pm" {
		return false
	}
	parts := bytes.Split(s[:end], []byte(":"))
	if len(parts) < 2 || len(parts) > 3 {
		return false
	}
	for i, part := range parts {
		if i == 2 {
			part, _, _ = bytes.Cut(part, []byte("."))
		}
		if len(digits(string(part))) != len(part) || len(part) > 2 || len(part) == 0 || i > 0 && len(part) != 2 {
			return false
		}
	}
	return true
}
