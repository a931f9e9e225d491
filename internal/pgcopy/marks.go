package pgcopy

import (
	"fmt"

	"github.com/bucketload/bucketload"
)

// marks are what numbers are written with. No thousands: 0.
type marks struct{ decimal, thousands byte }

// readMarks gives the column's marks; ones that could be mixed up are an error
// of code usage.
func (c *column) readMarks() (marks, error) {
	m := marks{c.Decimal, c.Thousands}
	if m.decimal == 0 {
		m.decimal = '.'
	}
	wrong := ""
	switch {
	case m.decimal == m.thousands:
		wrong = fmt.Sprintf("decimal and thousands are both %q", m.decimal)
	case !isMark(m.decimal) || m.decimal == ' ':
		wrong = fmt.Sprintf("decimal is %q, which is no mark", m.decimal)
	case m.thousands != 0 && !isMark(m.thousands):
		wrong = fmt.Sprintf("thousands is %q, which is no mark", m.thousands)
	default:
		return m, nil
	}
	return m, &bucketload.Error{Code: bucketload.CodeUsage, Column: c.Name, Message: wrong,
		Hint: `write for example csv: {decimal: ",", thousands: "."}`}
}

// isMark says whether b can stand in a number without being a part of it.
func isMark(b byte) bool {
	switch {
	case '0' <= b && b <= '9', 'a' <= b|0x20 && b|0x20 <= 'z', b < ' ', b > '~', b == '+', b == '-':
		return false
	}
	return true
}

// plain gives a number with its marks as Postgres writes it, until the next
// call. It is not ok where the marks are not the column's, or groups of
// thousands are not of three digits; a grouped number that begins with a zero
// has most likely its decimal mark there. Words such as NaN pass.
func (c *column) plain(value []byte) (number []byte, ok bool) {
	defer func() { c.buffers.number = number }()
	number = c.buffers.number[:0]
	i := 0
	if i < len(value) && (value[i] == '+' || value[i] == '-') {
		number = append(number, value[i])
		i++
	}
	first, digits, grouped := i, 0, false // of the group
	for ; i < len(value); i++ {
		b := value[i]
		switch {
		case b-'0' <= 9:
			digits++
			number = append(number, b)
			continue
		case b == c.marks.thousands && b != 0:
			if digits == 0 || digits > 3 || grouped && digits != 3 || value[first] == '0' {
				return nil, false
			}
			digits, grouped = 0, true
			continue
		}
		break
	}
	if grouped && digits != 3 {
		return nil, false
	}
	if i < len(value) && value[i] == c.marks.decimal {
		number = append(number, '.')
		i++
	}
	for _, b := range value[i:] {
		if b == '.' || b == c.marks.thousands && b != 0 || b == c.marks.decimal {
			return nil, false
		}
	}
	number = append(number, value[i:]...)
	return number, true
}
