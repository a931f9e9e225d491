package infer

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxName is NAMEDATALEN-1: Postgres cuts longer names without a word.
const maxName = 63

// ColumnName makes a column's name of a header: taken literally, without
// surrounding blanks and what an identifier cannot hold (NUL bytes go, invalid
// UTF-8 becomes U+FFFD), in lower case if so wished, cut at a rune to the 63
// bytes that Postgres keeps. It is empty for a blank header; Columns then
// says column_N, N being the 1-based position.
func ColumnName(header string, lower bool) string {
	return cut(fullName(header, lower), maxName)
}

// IsCut says whether the column's name of a header is only the beginning of it.
func IsCut(header string, lower bool) bool { return len(fullName(header, lower)) > maxName }

// fullName is ColumnName before the cut: what tells columns apart.
func fullName(header string, lower bool) string {
	name := strings.ToValidUTF8(strings.ReplaceAll(header, "\x00", ""), string(utf8.RuneError))
	name = strings.TrimSpace(name)
	if lower {
		name = strings.ToLower(name)
	}
	return name
}

func cut(name string, max int) string {
	if len(name) <= max {
		return name
	}
	for !utf8.RuneStart(name[max]) {
		max--
	}
	return name[:max]
}

// names are those that a table's columns have so far.
type names struct {
	taken map[string]bool
	last  map[stem]int // the last number that was added to it
}

// stem is what a number of so many digits is added to.
type stem struct {
	name   string
	digits int
}

// newNames begins with Postgres' system columns, which no column may be named
// after: xmin and xmax are common in data with bounding boxes.
func newNames() names {
	return names{taken: map[string]bool{"tableoid": true, "xmin": true, "cmin": true, "xmax": true, "cmax": true, "ctid": true}, last: map[stem]int{}}
}

// unique takes a name, with _2, _3 ... added where it is taken.
func (n names) unique(name string) string {
	found := name
	for i := 2; n.taken[found]; i++ {
		suffix := "_" + strconv.Itoa(i)
		s := stem{cut(name, maxName-len(suffix)), len(suffix)}
		if last := n.last[s]; last >= i {
			i = last
			continue
		}
		n.last[s] = i
		found = s.name + suffix
	}
	n.taken[found] = true
	return found
}
