package pgcopy

// cursor reads a value from left to right. What does not fit makes it bad, and
// bad it stays.
type cursor struct {
	rest []byte
	bad  bool
}

func (r *cursor) done() bool { return len(r.rest) == 0 }

// end is whether all has been read and was good.
func (r *cursor) end() fault {
	if r.bad || !r.done() {
		return syntax
	}
	return fine
}

// skip reads b if it comes next.
func (r *cursor) skip(b byte) bool {
	if len(r.rest) == 0 || r.rest[0] != b {
		return false
	}
	r.rest = r.rest[1:]
	return true
}

func (r *cursor) expect(b byte) {
	if !r.skip(b) {
		r.bad = true
	}
}

// number reads least to most digits.
func (r *cursor) number(least, most int) int {
	n, i := 0, 0
	for i < most && i < len(r.rest) && r.rest[i]-'0' <= 9 {
		n = n*10 + int(r.rest[i]-'0')
		i++
	}
	r.rest = r.rest[i:]
	r.bad = r.bad || i < least
	return n
}

// fraction reads up to most digits of a second's fraction and gives the
// microseconds and how many digits there are, without zeros at the end.
func (r *cursor) fraction(most int) (micros, digits int) {
	unit, i := 100_000, 0
	for ; i < most && i < len(r.rest) && r.rest[i]-'0' <= 9; i++ {
		d := int(r.rest[i] - '0')
		micros += d * unit
		unit /= 10
		if d > 0 {
			digits = i + 1
		}
	}
	r.rest = r.rest[i:]
	r.bad = r.bad || i == 0
	return micros, digits
}

// zone reads Z, UTC or ±hh[[:]mm[[:]ss]] and gives seconds east of UTC.
func (r *cursor) zone() int {
	if r.skip('Z') || r.skip('z') {
		return 0
	}
	if len(r.rest) >= 3 && string(r.rest[:3]) == "UTC" {
		r.rest = r.rest[3:]
		return 0
	}
	sign := r.sign()
	n := r.number(2, 2) * 3600
	for unit := 60; unit > 0 && !r.done(); unit /= 60 {
		r.skip(':')
		part := r.number(2, 2)
		r.bad = r.bad || part > 59
		n += part * unit
	}
	return sign * n
}

// sign reads + or -.
func (r *cursor) sign() int {
	switch {
	case r.skip('+'):
		return 1
	case r.skip('-'):
		return -1
	}
	r.bad = true
	return 1
}

// word reads one of the words, in any case of ASCII letters, and gives its number.
func (r *cursor) word(words ...string) int {
	for i, w := range words {
		if len(r.rest) >= len(w) && equalFold(r.rest[:len(w)], w) {
			r.rest = r.rest[len(w):]
			return i
		}
	}
	r.bad = true
	return 0
}

func equalFold(b []byte, letters string) bool {
	for i := range b {
		if b[i]|0x20 != letters[i]|0x20 {
			return false
		}
	}
	return true
}
