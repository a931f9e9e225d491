package pgcopy

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
)

// moment is a date, a time or both, as they are written.
type moment struct {
	year, month, day     int
	hour, minute, second int
	micros               int
	digits               int  // of the fraction of a second, without zeros at the end
	zoned                bool // zone is given
	zone                 int  // seconds east of UTC
	infinite             int  // -1 or 1: before or after everything
}

// time gives the value's moment if the column can hold it exactly.
func (c *column) time(value []byte) (moment, fault) {
	m, f := c.parseTime(value)
	if f != fine {
		return m, f
	}
	if f = m.judge(); f != fine {
		return m, f
	}
	precision := 6
	if c.limit >= 0 {
		precision = c.limit
	}
	switch {
	case m.digits > precision:
		return m, wouldRound
	case m.zoned && !c.kind.isZoned():
		return m, hasZone
	case c.kind == date && m.clock() != 0:
		return m, hasTime
	}
	return m, fine
}

func (c *column) parseTime(value []byte) (m moment, f fault) {
	if rest, before := bytes.CutPrefix(value, []byte("-")); !c.kind.isClock() && len(rest) == len("infinity") && equalFold(rest, "infinity") {
		m = moment{year: 1, month: 1, day: 1, infinite: 1}
		if before {
			m.infinite = -1
		}
		return m, fine
	}
	if len(c.patterns) == 0 {
		return c.parseISO(value)
	}
	for _, p := range c.patterns {
		if m, ok := p.parse(value); ok {
			return m, fine
		}
	}
	return m, syntax
}

// parseISO takes YYYY-MM-DD, hh:mm[:ss[.fraction]] or both with a blank or a T
// between them, and a zone after that. A timestamp may be a date only, as in
// Postgres.
func (c *column) parseISO(value []byte) (moment, fault) {
	m := moment{year: 2000, month: 1, day: 1}
	r := cursor{rest: value}
	if !c.kind.isClock() {
		m.year = r.number(4, 4)
		r.expect('-')
		m.month = r.number(2, 2)
		r.expect('-')
		m.day = r.number(2, 2)
		if c.kind == date || r.done() {
			return m, r.end()
		}
		if !r.skip(' ') && !r.skip('T') && !r.skip('t') {
			return m, syntax
		}
	}
	m.hour = r.number(2, 2)
	r.expect(':')
	m.minute = r.number(2, 2)
	if r.skip(':') {
		m.second = r.number(2, 2)
		if r.skip('.') {
			m.micros, m.digits = r.fraction(math.MaxInt)
		}
	}
	if !r.done() {
		r.skip(' ')
		m.zone, m.zoned = r.zone(), true
	}
	return m, r.end()
}

// judge says whether there is such a day and time. 24:00 is the day's end. A
// leap second (60) is refused: Postgres would make it the next minute.
func (m *moment) judge() fault {
	switch {
	case m.year < 1 || m.month < 1 || m.month > 12 || m.day < 1 || m.day > daysIn(m.year, m.month),
		m.hour > 24 || m.minute > 59 || m.second > 59 || m.clock() > 24*hour,
		m.zone <= -16*3600 || m.zone >= 16*3600:
		return outOfRange
	}
	return fine
}

// Microseconds, which Postgres counts time in.
const (
	second = 1_000_000
	minute = 60 * second
	hour   = 60 * minute
)

// clock is the time of day.
func (m *moment) clock() int64 {
	return int64(m.hour)*hour + int64(m.minute)*minute + int64(m.second)*second + int64(m.micros)
}

// days counts from 2000-01-01, the first day of Postgres, in the Gregorian
// calendar. Years begin in March here, so that leap days come last.
func (m *moment) days() int64 {
	y, month := int64(m.year), int64(m.month)
	if month <= 2 {
		y--
		month += 12
	}
	const untilEpoch = 730_425 // days from 0000-03-01 to 2000-01-01
	return 365*y + y/4 - y/100 + y/400 + (153*(month-3)+2)/5 + int64(m.day) - 1 - untilEpoch
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// appendTime appends the binary form: days for a date, else microseconds,
// and then the zone of a timetz.
func (c *column) appendTime(dst, value []byte) ([]byte, fault) {
	m, f := c.time(value)
	if f != fine {
		return dst, f
	}
	switch {
	case c.kind == date && m.infinite != 0:
		return binary.BigEndian.AppendUint32(dst, uint32(infinite(m.infinite, math.MinInt32, math.MaxInt32))), fine
	case c.kind == date:
		return binary.BigEndian.AppendUint32(dst, uint32(m.days())), fine
	case c.kind == timetz: // its zone counts to the west
		return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(dst, uint64(m.clock())), uint32(-m.zone)), fine
	case c.kind == timeOfDay:
		return binary.BigEndian.AppendUint64(dst, uint64(m.clock())), fine
	case m.infinite != 0:
		return binary.BigEndian.AppendUint64(dst, uint64(infinite(m.infinite, math.MinInt64, math.MaxInt64))), fine
	}
	return binary.BigEndian.AppendUint64(dst, uint64(m.days()*24*hour+m.clock()-int64(m.zone)*second)), fine
}

func infinite(sign int, low, high int64) int64 {
	if sign < 0 {
		return low
	}
	return high
}

// appendISO appends the text form. A type with a zone always has it there:
// without one the value would depend on the session.
func (m *moment) appendISO(dst []byte, k kind) []byte {
	switch {
	case m.infinite < 0:
		return append(dst, "-infinity"...)
	case m.infinite > 0:
		return append(dst, "infinity"...)
	}
	if !k.isClock() {
		dst = appendDigits(dst, m.year, 4)
		dst = appendDigits(append(dst, '-'), m.month, 2)
		dst = appendDigits(append(dst, '-'), m.day, 2)
		if k == date {
			return dst
		}
		dst = append(dst, ' ')
	}
	dst = appendDigits(dst, m.hour, 2)
	dst = appendDigits(append(dst, ':'), m.minute, 2)
	dst = appendDigits(append(dst, ':'), m.second, 2)
	dst = appendDigits(append(dst, '.'), m.micros, 6)
	if !k.isZoned() {
		return dst
	}
	sign, zone := byte('+'), m.zone
	if zone < 0 {
		sign, zone = '-', -zone
	}
	dst = appendDigits(append(dst, sign), zone/3600, 2)
	dst = appendDigits(append(dst, ':'), zone/60%60, 2)
	return appendDigits(append(dst, ':'), zone%60, 2)
}

// appendDigits appends n with zeros in front, width digits in all.
func appendDigits(dst []byte, n, width int) []byte {
	for limit := 10; width > 1; width-- {
		if n < limit {
			for range width - 1 {
				dst = append(dst, '0')
			}
			break
		}
		limit *= 10
	}
	return strconv.AppendInt(dst, int64(n), 10)
}
