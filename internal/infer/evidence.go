package infer

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/bucketload/bucketload"
)

// maxExcerpt is how many bytes of a value evidence shows.
const maxExcerpt = 40

func excerpt(s string) string { return bucketload.Excerpt([]byte(s), maxExcerpt) }

func (e example) quote() string { return strconv.Quote(e.value) }

// at gives value and file.
func (e example) at() string {
	if e.uri == "" {
		return e.quote()
	}
	return fmt.Sprintf("%s (%s)", e.quote(), e.uri)
}

// evidence says why the column has its type, and what to write for another.
func (t *tally) evidence(c *Column) string {
	switch {
	case t.values == 0:
		return "no value seen" + t.blanks()
	case c.Type != "text":
		return t.agreement() + t.blanks() + t.doubts(c)
	}
	return t.whyText(c) + t.blanks()
}

// agreement is "all 1,204 values are decimals like 29.7".
func (t *tally) agreement() string {
	if t.values == 1 {
		return "the only value seen is " + t.kinds[t.main()].value
	}
	return fmt.Sprintf("all %s values are %s", thousands(t.values), t.likes())
}

// likes is "decimals like 29.7 or integers like 30".
func (t *tally) likes() string {
	var likes []string
	for _, k := range t.byCount() {
		likes = append(likes, nouns[k]+" like "+t.kinds[k].value)
	}
	return strings.Join(likes, " or ")
}

func (t *tally) blanks() string {
	if t.blank == 0 {
		return ""
	}
	return fmt.Sprintf("; %s blank", thousands(t.blank))
}

// doubts is `; 9999.9 (412 times): perhaps "no value", then write null_if: ["9999.9"]`.
func (t *tally) doubts(c *Column) string {
	if len(c.Sentinels) == 0 {
		return ""
	}
	var counted []string
	for _, s := range c.Sentinels {
		counted = append(counted, fmt.Sprintf("%s (%s times)", s, thousands(t.numbers.nines[s])))
	}
	return fmt.Sprintf(`; %s: perhaps "no value", then write null_if: %s`, strings.Join(counted, ", "), list(c.Sentinels))
}

// whyText names the first value that no other type takes, or that it would
// change, and what to write if the type is wanted all the same.
func (t *tally) whyText(c *Column) string {
	valued := t.seen() &^ setOf(nullWord)
	switch {
	case valued == 0:
		return "only " + t.kinds[nullWord].at()
	case c.SentinelType != "":
		return fmt.Sprintf("%s of %s values are %s, but not %s; write type: %s, null_if: %s",
			thousands(t.values-t.kinds[nullWord].n), thousands(t.values), t.likes(),
			t.kinds[nullWord].at(), c.SentinelType, list(c.Sentinels))
	case t.main() == words:
		return "text like " + t.kinds[words].quote()
	case valued == setOf(dayMonth):
		return t.whyNoDate()
	case valued == setOf(integer):
		return fmt.Sprintf("%d digits each, in quotes, like %s: an identifier", t.width, t.kinds[integer].value)
	}
	for _, odd := range oddities {
		if e := t.kinds[odd.kind]; e.n > 0 {
			return e.at() + " " + odd.why
		}
	}
	return t.whyMixed()
}

// oddities are numbers and times that a type would take but not keep.
var oddities = []struct {
	kind kind
	why  string
}{
	{leadingZero, "has a leading zero"},
	{plusSign, "has a plus sign"},
	{hugeInteger, "is beyond bigint; if it is a quantity write type: numeric"},
	{bareExponent, "may be a code; if it is a number write type: numeric"},
	{fineTime, "is finer than microseconds"},
	{paddedDecimal, "has a leading zero; if that is padding write type: numeric"},
}

// whyNoDate says which patterns every date fits: the order of day and month is
// never guessed.
func (t *tally) whyNoDate() string {
	e := t.kinds[dayMonth]
	if len(t.layouts) == 0 {
		return fmt.Sprintf("dates in several forms, like %s; write type: date, format: with every pattern", e.at())
	}
	var formats []string
	for _, l := range t.layouts {
		formats = append(formats, "["+l.pattern+"]")
	}
	return fmt.Sprintf("dates like %s are not in ISO order; write type: %s, format: %s",
		e.at(), t.layouts[0].typ(), strings.Join(formats, " or "))
}

// whyMixed names the two most frequent kinds, the rarer with its file.
func (t *tally) whyMixed() string {
	order := t.byCount()
	main, other := order[0], order[1]
	return fmt.Sprintf("%s of %s values are %s like %s, but not %s",
		thousands(t.kinds[main].n), thousands(t.values), nouns[main], t.kinds[main].value, t.kinds[other].at())
}

// main is the most frequent kind but for null words.
func (t *tally) main() kind { return t.byCount()[0] }

// byCount gives the kinds seen but for null words, most frequent first.
func (t *tally) byCount() []kind {
	var order []kind
	for k := range kinds {
		if t.kinds[k].n > 0 && k != nullWord {
			order = append(order, k)
		}
	}
	slices.SortStableFunc(order, func(a, b kind) int { return cmp.Compare(t.kinds[b].n, t.kinds[a].n) })
	return order
}

// list writes values as a YAML flow sequence.
func list(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = strconv.Quote(v)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// thousands writes 12345 as 12,345.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func sortedKeys(m map[string]int64) []string { return slices.Sorted(maps.Keys(m)) }
