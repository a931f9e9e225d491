package pgcopy

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"
)

// The parts of an interval's modifier that say it has none. Source:
// PostgreSQL, src/include/utils/timestamp.h.
const (
	allFields    = 0x7fff // INTERVAL_FULL_RANGE, in the upper 16 bits
	anyPrecision = 0xffff // INTERVAL_FULL_PRECISION
)

// span is an interval: three counts that never become one another, as a month
// has no certain number of days, nor a day of hours.
type span struct {
	months, days int32
	micros       int64
}

// append appends the binary form.
func (s span) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(s.micros))
	dst = binary.BigEndian.AppendUint32(dst, uint32(s.days))
	return binary.BigEndian.AppendUint32(dst, uint32(s.months))
}

// appendText appends months, days and a time, each with its sign, so that it
// means the same under any IntervalStyle.
func (s span) appendText(dst []byte) []byte {
	dst = append(appendSigned(dst, int64(s.months)), " mons "...)
	dst = append(appendSigned(dst, int64(s.days)), " days "...)
	sign, rest := byte('+'), uint64(s.micros)
	if s.micros < 0 {
		sign, rest = '-', -rest
	}
	dst = strconv.AppendUint(append(dst, sign), rest/hour, 10)
	dst = appendDigits(append(dst, ':'), int(rest%hour/minute), 2)
	dst = appendDigits(append(dst, ':'), int(rest%minute/second), 2)
	return appendDigits(append(dst, '.'), int(rest%second), 6)
}

func appendSigned(dst []byte, n int64) []byte {
	if n >= 0 {
		dst = append(dst, '+')
	}
	return strconv.AppendInt(dst, n, 10)
}

// unit is what an interval counts in. A fraction of a unit must come out even
// in the part that it belongs to; of a month there is none.
type unit struct {
	words  string // in order of the letters; m, which may be minutes or months, is none
	iso    byte   // the letter in ISO 8601; 0: none
	months int64
	days   int64
	micros int64 // also of a day and a week, for their fractions
	once   uint16
}

// Units are each named once. A time has hours, minutes and seconds.
const (
	hasMonths = 1 << iota
	hasYears
	hasDays
	hasWeeks
	hasHours
	hasMinutes
	hasSeconds
	hasMillis
	hasMicros
	hasLongYears
	hasClock = hasHours | hasMinutes | hasSeconds | hasMillis | hasMicros
)

// Source: PostgreSQL, the table of units in datetime.c.
var units = []unit{
	{words: " y yr yrs year years ", iso: 'Y', months: 12, once: hasYears},
	{words: " mon mons month months ", iso: 'M', months: 1, once: hasMonths},
	{words: " w week weeks ", iso: 'W', days: 7, micros: 7 * 24 * hour, once: hasWeeks},
	{words: " d day days ", iso: 'D', days: 1, micros: 24 * hour, once: hasDays},
	{words: " h hr hrs hour hours ", iso: 'H', micros: hour, once: hasHours},
	{words: " min mins minute minutes ", iso: 'M', micros: minute, once: hasMinutes},
	{words: " s sec secs second seconds ", iso: 'S', micros: second, once: hasSeconds},
	{words: " ms msec msecs millisecond milliseconds ", micros: 1000, once: hasMillis},
	{words: " us usec usecs microsecond microseconds ", micros: 1, once: hasMicros},
	{words: " decade decades ", months: 120, once: hasLongYears},
	{words: " century centuries ", months: 1200, once: hasLongYears},
}

var (
	monthUnit, yearUnit = &units[1], &units[0]
	dayUnit             = &units[3]
)

// spanReader adds up the parts of an interval.
type spanReader struct {
	cursor
	months, days, micros int64
	seen                 uint16
	parts                int
	leading              bool // the first part has a minus
	signed               bool // a later one has a sign
	fault                fault
}

// span gives the value's interval if the column can hold it exactly.
func (c *column) span(value []byte) (span, fault) {
	r := spanReader{cursor: cursor{rest: value}}
	if r.skip('P') {
		r.iso()
	} else {
		r.verbose()
	}
	s := span{int32(r.months), int32(r.days), r.micros}
	switch {
	case r.fault != fine:
		return s, r.fault
	case r.bad || !r.done() || r.parts == 0:
		return s, syntax
	case r.leading && !r.signed && r.parts > 1:
		// Only its own, or all parts', as IntervalStyle says.
		return s, ambiguous
	case int64(s.months) != r.months || int64(s.days) != r.days,
		s.months == math.MinInt32 && s.days == math.MinInt32 && s.micros == math.MinInt64, // -infinity
		s.months == math.MaxInt32 && s.days == math.MaxInt32 && s.micros == math.MaxInt64:
		return s, outOfRange
	case c.limit >= 0 && r.micros%int64(math.Pow10(6-min(c.limit, 6))) != 0:
		return s, wouldRound
	}
	return s, fine
}

// iso reads what follows the P of 1Y2M3W4DT5H6M7.8S: units in this order, any
// of them left out, each with a sign if it is negative.
func (r *spanReader) iso() {
	next, end := 0, 4 // years to days
	for !r.done() && !r.bad {
		if r.skip('T') {
			r.bad = r.done() || end > 4
			next, end = 4, 7
			continue
		}
		n := r.quantity()
		for next < end && !r.done() && units[next].iso != r.rest[0] {
			next++
		}
		if next == end || r.done() || n.signed && !n.negative {
			r.bad = true
			return
		}
		r.rest = r.rest[1:]
		r.signed = true // each part has its own
		r.add(n, &units[next])
		next++
	}
}

// verbose reads [@] 1 year 2 mons 3 days 04:05:06.7 [ago] and SQL's
// 1-2 3 4:05:06. A number without a unit is days before a time, and nothing
// elsewhere.
func (r *spanReader) verbose() {
	r.spaces()
	if r.skip('@') {
		r.spaces()
	}
	for !r.done() && !r.bad {
		if r.rest[0]|0x20 == 'a' {
			r.word("ago")
			r.months, r.days, r.micros = -r.months, -r.days, -r.micros
			r.bad = r.bad || r.parts == 0 || r.micros == math.MinInt64
			return
		}
		n := r.quantity()
		switch {
		case r.bad:
		case r.skip(':'):
			r.clock(n)
		case r.skip('-'):
			months := r.quantity()
			r.bad = r.bad || months.signed || months.n > 11 || n.digits+months.digits > 0 || r.parts > 0
			months.negative, months.signed = n.negative, n.signed
			r.add(n, yearUnit)
			r.parts-- // the two are one
			r.add(months, monthUnit)
		default:
			r.spaces()
			if u := r.unit(); u != nil {
				r.add(n, u)
			} else {
				r.bad = r.bad || n.digits > 0 || !r.beforeClock()
				r.add(n, dayUnit)
				continue
			}
		}
		r.separate()
	}
}

// separate reads what is between parts.
func (r *spanReader) separate() {
	before := len(r.rest)
	r.skip(',')
	r.spaces()
	r.bad = r.bad || !r.done() && len(r.rest) == before
}

// unit reads a unit's word; nil where there is none.
func (r *spanReader) unit() *unit {
	n := 0
	for n < len(r.rest) && 'a' <= r.rest[n]|0x20 && r.rest[n]|0x20 <= 'z' {
		n++
	}
	if n == 0 {
		return nil
	}
	var padded [14]byte // " microseconds " is the longest
	if n+2 > len(padded) {
		r.bad = true
		return nil
	}
	padded[0], padded[n+1] = ' ', ' '
	for i := range n {
		padded[i+1] = r.rest[i] | 0x20
	}
	r.rest = r.rest[n:]
	for i := range units {
		if strings.Contains(units[i].words, string(padded[:n+2])) {
			return &units[i]
		}
	}
	r.bad = true
	return nil
}

// beforeClock says whether a time follows, as after days without a unit.
func (r *spanReader) beforeClock() bool {
	rest := r.cursor
	if !rest.skip('+') {
		rest.skip('-')
	}
	rest.number(1, 18)
	return rest.skip(':') && !rest.bad
}

// quantity is a number that counts units.
type quantity struct {
	n                int64
	fraction, digits int64 // the fraction is fraction / 10^digits
	signed, negative bool
}

// quantity reads [sign] digits [. digits].
func (r *spanReader) quantity() (q quantity) {
	if q.negative = r.skip('-'); q.negative || r.skip('+') {
		q.signed = true
	}
	const most = 18 // digits that fit in 64 bits
	q.n = int64(r.number(1, most))
	if r.skip('.') {
		micros, digits := r.fraction(math.MaxInt)
		if digits > 6 {
			r.refuse(wouldRound)
		}
		q.fraction, q.digits = int64(micros), int64(digits)
	}
	return q
}

func (r *spanReader) refuse(f fault) {
	if r.fault == fine {
		r.fault = f
	}
}

// add adds n of a unit.
func (r *spanReader) add(q quantity, u *unit) {
	if r.bad {
		return
	}
	once := u.once
	if once == hasSeconds && q.fraction > 0 {
		once |= hasMillis | hasMicros // which a fraction has
	}
	r.bad = r.seen&once != 0
	r.seen |= once
	if r.parts == 0 {
		r.leading = q.negative
	} else {
		r.signed = r.signed || q.signed
	}
	r.parts++
	sign := int64(1)
	if q.negative {
		sign = -1
	}
	switch {
	case u.months > 0:
		r.plus(&r.months, q.n, sign*u.months)
		r.part(&r.months, sign*q.fraction, u.months, u.months > 1)
	case u.days > 0:
		r.plus(&r.days, q.n, sign*u.days)
		var micros int64
		r.part(&micros, q.fraction, u.micros, true)
		r.days += sign * (micros / (24 * hour))
		r.plus(&r.micros, micros%(24*hour), sign)
	default:
		r.plus(&r.micros, q.n, sign*u.micros)
		r.part(&r.micros, sign*q.fraction, u.micros, true)
	}
}

// plus adds n times size.
func (r *spanReader) plus(sum *int64, n, size int64) {
	if n > math.MaxInt64/max(size, -size) {
		r.refuse(outOfRange)
		return
	}
	before := *sum
	*sum += n * size
	if n*size > 0 != (*sum > before) && n*size != 0 {
		r.refuse(outOfRange)
	}
}

// part adds millionths of a unit, if that comes out even.
func (r *spanReader) part(sum *int64, millionths, size int64, even bool) {
	switch {
	case millionths == 0:
	case !even:
		r.bad = true
	case millionths*size%second != 0:
		r.refuse(wouldRound)
	default:
		r.plus(sum, 1, millionths*size/second)
	}
}

// clock reads what follows the hours of a time, up to :mm:ss.f.
func (r *spanReader) clock(hours quantity) {
	minutes := r.number(2, 2)
	seconds, micros := 0, 0
	if r.skip(':') {
		seconds = r.number(2, 2)
		if r.skip('.') {
			var digits int
			if micros, digits = r.fraction(math.MaxInt); digits > 6 {
				r.refuse(wouldRound)
			}
		}
	}
	r.bad = r.bad || hours.digits > 0 || minutes > 59 || seconds > 59 || r.seen&hasClock != 0
	r.add(hours, &units[4])
	r.seen |= hasClock
	sign := int64(1)
	if hours.negative {
		sign = -1
	}
	r.plus(&r.micros, int64(minutes*minute+seconds*second+micros), sign)
}
