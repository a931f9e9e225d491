package infer

import (
	"slices"
	"strings"
)

// blanks pad values; they carry nothing in types other than text.
const blanks = " \t"

// tally is what is kept of one header's values: counts and one example per
// kind. Except for the examples it does not depend on the order of the values.
type tally struct {
	header string
	json   bool // Options.JSON
	blank  int64
	values int64 // that are not blank
	kinds  [kinds]example

	nullWords map[string]int64 // by spelling; the known words bound it
	numbers   numbers
	width     int   // digits of every integer; mixed: more than one width, or a sign
	quoted    int64 // integers in quotes
	layouts   []layout
}

// example is a kind's count, its first value and the file that had it.
type example struct {
	n          int64
	value, uri string
}

const mixed = -1

func newTally(header string, opts Options) *tally {
	t := &tally{header: strings.Clone(header), json: opts.JSON, nullWords: map[string]int64{}, numbers: newNumbers(), layouts: layouts}
	t.numbers.written = notation{opts.Decimal, opts.Thousands}
	if opts.Decimal == "." && opts.Thousands == "" {
		t.numbers.written = notation{}
	}
	return t
}

func (t *tally) add(v Value, uri string) {
	s := strings.Trim(v.Text, blanks)
	if s == "" {
		t.blank++
		return
	}
	t.values++
	k := t.numbers.written.classify(s)
	if t.json {
		k = classifyJSON(s, v.Quoted)
	}
	t.count(k, example{n: 1, value: s, uri: uri})
	switch k {
	case integer:
		number, _ := t.numbers.written.plain(s)
		t.widen(integerWidth(number))
		if v.Quoted {
			t.quoted++
		}
		t.numbers.add(s)
	case decimal, paddedDecimal:
		t.numbers.add(s)
	case nullWord:
		t.nullWords[strings.Clone(s)]++
	case dayMonth:
		t.keepLayouts(func(l layout) bool { return l.fits(s) })
	}
}

func (t *tally) merge(other *tally) {
	t.blank += other.blank
	t.values += other.values
	for k, e := range other.kinds {
		t.count(kind(k), e)
	}
	for word, n := range other.nullWords {
		t.nullWords[word] += n
	}
	t.numbers.merge(other.numbers)
	t.widen(other.width)
	t.quoted += other.quoted
	t.keepLayouts(func(l layout) bool { return slices.Contains(other.layouts, l) })
}

// count keeps the first example; the value is bounded and copied, for it may
// be a piece of a large buffer.
func (t *tally) count(k kind, e example) {
	if e.n > 0 && t.kinds[k].n == 0 {
		t.kinds[k].value, t.kinds[k].uri = excerpt(e.value), e.uri
	}
	t.kinds[k].n += e.n
}

func (t *tally) widen(width int) {
	switch {
	case width == 0 || width == t.width:
	case t.width == 0:
		t.width = width
	default:
		t.width = mixed
	}
}

func integerWidth(s string) int {
	if s[0] == '-' {
		return mixed
	}
	return len(s)
}

func (t *tally) keepLayouts(keep func(layout) bool) {
	var kept []layout
	for _, l := range t.layouts {
		if keep(l) {
			kept = append(kept, l)
		}
	}
	t.layouts = kept
}

// seen is the set of kinds that the values have.
func (t *tally) seen() kindSet {
	var s kindSet
	for k, e := range t.kinds {
		if e.n > 0 {
			s |= setOf(kind(k))
		}
	}
	return s
}

// minIdentifier is the least width at which quoted digits, all as long, are
// taken for an identifier: station ids, FIPS and phone numbers, codes of flags.
// They get leading zeros and letters in other files.
const minIdentifier = 6

func (t *tally) isIdentifier() bool {
	return t.width >= minIdentifier && t.quoted == t.kinds[integer].n
}

// typeOf gives the type that takes every value of the kinds in set and loses
// nothing: text where there is no other.
func (t *tally) typeOf(set kindSet) string {
	switch {
	case set == 0:
		return "text"
	case set&setOf(nested) != 0:
		return "jsonb"
	case set == setOf(boolean):
		return "boolean"
	case set == setOf(integer) && !t.isIdentifier():
		return "bigint"
	case set == setOf(integer):
		return "text"
	case set.within(setOf(integer, decimal)):
		return "numeric"
	case set.within(setOf(integer, decimal, paddedDecimal)) && len(t.numbers.sentinels()) > 0:
		// Padding is how a measurement is printed; only in a code (01.11) it is meaning,
		// and a code has no value for "not measured".
		return "numeric"
	case set == setOf(date):
		return "date"
	case set == setOf(timestamp):
		return "timestamp"
	case set == setOf(timestamptz):
		return "timestamptz"
	case set == setOf(uuid):
		return "uuid"
	}
	return "text"
}

// fill writes the verdict to the column.
func (t *tally) fill(c *Column) {
	set := t.seen()
	c.Type = t.typeOf(set)
	without := set &^ setOf(nullWord)
	c.SentinelType = t.typeOf(without)
	if c.SentinelType == "bigint" || c.SentinelType == "numeric" {
		c.Sentinels = t.numbers.sentinels()
	}
	if c.SentinelType != "text" {
		c.Sentinels = append(c.Sentinels, sortedKeys(t.nullWords)...)
	}
	if len(c.Sentinels) == 0 {
		c.SentinelType = ""
	}
	c.Evidence = t.evidence(c)
}
