package pgcopy

import (
	"fmt"
	"math"
	"strings"

	"github.com/bucketload/bucketload"
)

// element is one part of a pattern.
type element struct {
	what    what
	literal byte
	most    int // digits; fewer are taken where no other digits follow
}

// what an element stands for.
type what uint8

const (
	literal what = iota
	year
	shortYear
	month
	monthName
	day
	hour24
	hour12
	halfDay
	minutes
	seconds
	fraction
	utc
	zoneHour
	zoneMinute
)

// words of patterns, as Postgres' to_timestamp has them; longer ones come
// before what they begin with. F is a fraction of any length. HH counts to 24
// unless the pattern has AM or PM; Z is the letter, and UTC.
var words = []struct {
	word string
	what what
	most int
}{
	{"YYYY", year, 4}, {"YY", shortYear, 2}, {"MM", month, 2}, {"Mon", monthName, 0}, {"DD", day, 2},
	{"HH24", hour24, 2}, {"HH12", hour12, 2}, {"HH", hour24, 2}, {"AM", halfDay, 0}, {"PM", halfDay, 0},
	{"MI", minutes, 2}, {"SS", seconds, 2}, {"MS", fraction, 3}, {"US", fraction, 6}, {"F", fraction, math.MaxInt},
	{"TZH", zoneHour, 2}, {"TZM", zoneMinute, 2}, {"Z", utc, 0}, {"T", literal, 0},
}

var monthNames = []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}

// pattern is how dates or times are written. Letters that are no word of a
// pattern stand in double quotes; anything else stands for itself. MM, DD and
// hours may have one digit where no digit follows.
type pattern []element

// compile reads the column's patterns; a bad one is an error of code usage.
func (c *column) compile() ([]pattern, error) {
	patterns := make([]pattern, len(c.Format))
	for i, text := range c.Format {
		p, wrong := parsePattern(text)
		if wrong == "" {
			wrong = p.unfit(c.kind)
		}
		if wrong != "" {
			return nil, &bucketload.Error{Code: bucketload.CodeUsage, Column: c.Name,
				Message: fmt.Sprintf("format %q of column %q: %s", text, c.Name, wrong),
				Hint:    `a pattern is made of YYYY, YY, MM, Mon, DD, HH24, HH12, AM, MI, SS, F (fraction), TZH:TZM, Z, and other letters in double quotes; for example "DD.MM.YYYY HH24:MI"`}
		}
		patterns[i] = p
	}
	return patterns, nil
}

// parsePattern gives the pattern, or what is wrong with it.
func parsePattern(text string) (p pattern, wrong string) {
	quoted := false
next:
	for len(text) > 0 {
		b := text[0]
		if b == '"' {
			quoted = !quoted
			text = text[1:]
			continue
		}
		if !quoted {
			for _, w := range words {
				if rest, ok := strings.CutPrefix(text, w.word); ok {
					p = append(p, element{what: w.what, literal: b, most: w.most})
					text = rest
					continue next
				}
			}
			if 'a' <= b|0x20 && b|0x20 <= 'z' {
				return nil, fmt.Sprintf("%q is no word of a pattern", text)
			}
		}
		p = append(p, element{literal: b})
		text = text[1:]
	}
	if quoted {
		return nil, "a quote is not closed"
	}
	if p.has(halfDay) {
		for i := range p {
			if p[i].what == hour24 {
				p[i].what = hour12
			}
		}
	}
	return p, ""
}

func (p pattern) has(any ...what) bool { return p.count(any...) > 0 }

func (p pattern) count(any ...what) int {
	n := 0
	for _, e := range p {
		for _, w := range any {
			if e.what == w {
				n++
			}
		}
	}
	return n
}

// unfit says why the pattern does not make a value of the type.
func (p pattern) unfit(k kind) string {
	aDate := p.has(year, shortYear) && p.has(month, monthName) && p.has(day)
	aTime := p.has(hour24, hour12) && p.has(minutes)
	for _, same := range [][]what{{year, shortYear}, {month, monthName}, {day}, {hour24, hour12}, {halfDay}, {minutes}, {seconds}, {fraction}, {utc, zoneHour}, {zoneMinute}} {
		if p.count(same...) > 1 {
			return "something is in it twice"
		}
	}
	switch {
	case !k.isTime():
		return "only dates and times have a format"
	case k.isClock() && p.has(year, shortYear, month, monthName, day):
		return "a time has no date"
	case k.isClock() && !aTime:
		return "a time needs hours and minutes"
	case !k.isClock() && !aDate:
		return "year, month and day are needed"
	case p.has(minutes, seconds, fraction, halfDay) && !p.has(hour24, hour12), p.has(seconds) && !p.has(minutes),
		p.has(fraction) && !p.has(seconds), p.has(hour12) != p.has(halfDay), p.has(zoneMinute) && !p.has(zoneHour):
		return "it has gaps: hours, AM or PM, minutes, seconds and fraction build on each other"
	}
	return ""
}

// parse is false where the value is not written so.
func (p pattern) parse(value []byte) (moment, bool) {
	m := moment{year: 2000, month: 1, day: 1}
	r := cursor{rest: value}
	afternoon, east := -1, 1
	for i, e := range p {
		switch e.what {
		case literal:
			r.expect(e.literal)
		case year:
			m.year = r.number(4, 4)
		case shortYear:
			m.year = century(r.number(2, 2))
		case month:
			m.month = r.number(p.least(i), 2)
		case monthName:
			m.month = r.word(monthNames...) + 1
		case day:
			m.day = r.number(p.least(i), 2)
		case hour24, hour12:
			m.hour = r.number(p.least(i), 2)
			r.bad = r.bad || e.what == hour12 && (m.hour < 1 || m.hour > 12)
		case halfDay:
			afternoon = r.word("am", "pm")
		case minutes:
			m.minute = r.number(2, 2)
		case seconds:
			m.second = r.number(2, 2)
		case fraction:
			m.micros, m.digits = r.fraction(e.most)
		case utc:
			r.expect('Z')
			m.zoned = true
		case zoneHour:
			m.zoned, east = true, r.sign()
			m.zone = east * r.number(2, 2) * 3600
		case zoneMinute:
			n := r.number(2, 2)
			r.bad = r.bad || n > 59
			m.zone += east * n * 60
		}
	}
	if afternoon >= 0 {
		m.hour = m.hour%12 + 12*afternoon
	}
	return m, r.end() == fine
}

// least is how many digits element i must have: two where digits follow.
func (p pattern) least(i int) int {
	if i+1 == len(p) {
		return 1
	}
	switch next := p[i+1]; next.what {
	case monthName, halfDay, utc, zoneHour:
		return 1
	case literal:
		if next.literal < '0' || next.literal > '9' {
			return 1
		}
	}
	return 2
}

// century completes a year of two digits as to_timestamp does: nearest to 2020.
func century(yy int) int {
	if yy < 70 {
		return 2000 + yy
	}
	return 1900 + yy
}
