package infer

import (
	"cmp"
	"regexp"
	"strings"
)

// notation is how numbers are written. The zero value is with a point and
// without groups.
type notation struct{ decimal, thousands string }

// grouped is the whole part of a number in groups of three digits, the mark
// being a comma.
var grouped = regexp.MustCompile(`^[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+$`)

// plain gives a number as it is written with a point and without groups; false
// where the text is no number in this notation.
func (n notation) plain(s string) (string, bool) {
	whole, fraction, point := strings.Cut(s, cmp.Or(n.decimal, "."))
	if n.thousands != "" && strings.Contains(whole, n.thousands) {
		if strings.Contains(whole, ",") && n.thousands != "," || !grouped.MatchString(strings.ReplaceAll(whole, n.thousands, ",")) {
			return s, false
		}
		whole = strings.ReplaceAll(whole, n.thousands, "")
	}
	if strings.ContainsAny(whole+fraction, ".,") || n.thousands != "" && strings.Contains(fraction, n.thousands) {
		return s, false
	}
	if point {
		whole += "." + fraction
	}
	return whole, classifyNumber(whole) != words
}

// classify is classify of what a file with numbers in this notation has.
func (n notation) classify(s string) kind {
	if n == (notation{}) {
		return classify(s)
	}
	if number, ok := n.plain(s); ok {
		return classifyNumber(number)
	}
	switch k := classify(s); k {
	case integer, decimal, paddedDecimal, leadingZero, plusSign, hugeInteger, bareExponent:
		return words
	default:
		return k
	}
}
