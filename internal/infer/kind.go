package infer

import (
	"strconv"
	"strings"
	"time"
)

// kind is what one value looks like by itself.
type kind uint8

const (
	boolean kind = iota
	integer
	decimal
	paddedDecimal // 009.2
	date
	timestamp
	timestamptz
	uuid
	nested // an object or array of JSON

	// Only text holds the following as they are written.
	nullWord
	leadingZero  // 00501
	plusSign     // +49301234
	hugeInteger  // beyond int64
	bareExponent // 12E45: as likely a part number
	fineTime     // more than microseconds
	dayMonth     // 1/2/2020: day or month first
	words
	kinds
)

// nouns name a kind's values in evidence.
var nouns = [kinds]string{
	boolean: "booleans", integer: "integers", decimal: "decimals", paddedDecimal: "zero-padded decimals", date: "dates",
	timestamp: "timestamps", timestamptz: "timestamps with zone", uuid: "UUIDs", nested: "objects or arrays", leadingZero: "zero-padded integers",
	plusSign: "numbers with a plus sign", hugeInteger: "integers beyond bigint", bareExponent: "numbers with a bare exponent",
	fineTime: "timestamps finer than microseconds", dayMonth: "dates not in ISO order", words: "words",
}

// kindSet is a set of kinds.
type kindSet uint32

func setOf(ks ...kind) kindSet {
	var s kindSet
	for _, k := range ks {
		s |= 1 << k
	}
	return s
}

func (s kindSet) within(other kindSet) bool { return s&^other == 0 }

// classify judges a trimmed value that is not empty.
func classify(s string) kind {
	if isNullWord(s) {
		return nullWord
	}
	switch c := s[0]; {
	case isDigit(c) || c == '-' || c == '+' || c == '.':
		if k := classifyNumber(s); k != words {
			return k
		}
		if k := classifyTime(s); k != words {
			return k
		}
	case c == 't' || c == 'T' || c == 'f' || c == 'F':
		if strings.EqualFold(s, "true") || strings.EqualFold(s, "false") {
			return boolean
		}
	}
	if isUUID(s) {
		return uuid
	}
	return words
}

// isNullWord knows how programs spell "no value": SQL, COPY, R, pandas, Excel, SAS.
func isNullWord(s string) bool {
	switch strings.ToLower(s) {
	case "null", "nil", "none", "na", "n/a", "#n/a", "nan", "-", "--", `\n`, "?", ".":
		return true
	}
	return false
}

// maxDigits is how long a number may be; Postgres' numeric takes far more.
const maxDigits = 1000

// classifyNumber reads [sign] digits [. digits] [e [sign] digits], with a digit
// on at least one side of the point.
func classifyNumber(s string) kind {
	rest := strings.TrimPrefix(s, "-")
	rest, plus := strings.CutPrefix(rest, "+")
	if plus && s[0] == '-' {
		return words
	}
	whole := digits(rest)
	rest = rest[len(whole):]
	rest, point := strings.CutPrefix(rest, ".")
	fraction := ""
	if point {
		fraction = digits(rest)
		rest = rest[len(fraction):]
	}
	if len(whole)+len(fraction) == 0 || len(s) > maxDigits {
		return words
	}
	padded := len(whole) > 1 && whole[0] == '0'
	switch {
	case rest != "" && (padded || plus):
		return words
	case rest != "":
		return classifyExponent(rest, point)
	case plus:
		return plusSign
	case point && padded:
		return paddedDecimal
	case point:
		return decimal
	case padded:
		return leadingZero
	}
	if _, err := strconv.ParseInt(s, 10, 64); err != nil {
		return hugeInteger
	}
	return integer
}

// classifyExponent tells a float's notation (1e+16, 1.0E10) from what may as
// well be a code (12E45): programs write a sign or a point, or both.
func classifyExponent(s string, point bool) kind {
	if s[0] != 'e' && s[0] != 'E' {
		return words
	}
	exp := s[1:]
	signed := exp != "" && (exp[0] == '+' || exp[0] == '-')
	if signed {
		exp = exp[1:]
	}
	switch {
	case exp == "" || len(exp) > 3 || digits(exp) != exp:
		return words
	case point || signed:
		return decimal
	}
	return bareExponent
}

func classifyTime(s string) kind {
	if len(s) < len("1/1/20") || !isDigit(s[0]) {
		return words
	}
	if len(s) < 10 || s[4] != '-' || s[7] != '-' {
		return classifyDayMonth(s)
	}
	if _, err := time.Parse(time.DateOnly, s[:10]); err != nil || s[:4] == "0000" {
		return words
	}
	if len(s) == 10 {
		return date
	}
	if s[10] != ' ' && s[10] != 'T' {
		return words
	}
	return classifyClock(s[11:])
}

// classifyClock reads hh:mm[:ss[.fraction]][zone], the part after a date.
func classifyClock(s string) kind {
	clock, zone := s, ""
	if i := strings.IndexAny(s, "Z+-"); i >= 0 {
		clock, zone = s[:i], s[i:]
	}
	clock, fraction, point := strings.Cut(clock, ".")
	if len(clock) == len("15:04") && !point {
		clock += ":00"
	}
	if _, err := time.Parse(time.TimeOnly, clock); err != nil || len(clock) != len(time.TimeOnly) {
		return words
	}
	switch {
	case point && fraction == "" || digits(fraction) != fraction || !isZone(zone):
		return words
	case len(fraction) > 6:
		return fineTime
	case zone != "":
		return timestamptz
	}
	return timestamp
}

// isZone takes "", Z, +hh, +hhmm and +hh:mm within Postgres' 15:59.
func isZone(s string) bool {
	if s == "" || s == "Z" {
		return true
	}
	hhmm := strings.Replace(s[1:], ":", "", 1)
	if len(s) == len("+hh:mm") && s[3] != ':' || len(s) != len("+hh:mm") && strings.Contains(s, ":") {
		return false
	}
	if digits(hhmm) != hhmm || len(hhmm) != 2 && len(hhmm) != 4 {
		return false
	}
	return hhmm[:2] <= "15" && (len(hhmm) == 2 || hhmm[2:] <= "59")
}

// classifyDayMonth takes what at least one of the layouts reads.
func classifyDayMonth(s string) kind {
	if strings.ContainsAny(s[:min(5, len(s))], "/.-") && len(s) <= len("31/12/2006 15:04:05") {
		for _, l := range layouts {
			if l.fits(s) {
				return dayMonth
			}
		}
	}
	return words
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case !isDigit(c) && (c < 'a' || c > 'f') && (c < 'A' || c > 'F'):
			return false
		}
	}
	return true
}

// digits gives the digits that s begins with.
func digits(s string) string {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return s[:i]
		}
	}
	return s
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
