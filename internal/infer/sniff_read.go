package infer

import (
	"bytes"
	"hash/maphash"

	"github.com/bucketload/bucketload"
)

// reading is a file's first bytes as one dialect reads them. It takes what the
// reader of whole files would refuse, and marks it as odd.
type reading struct {
	text  []byte
	cells []cell
	rows  []row
	notes []int // lines that are comments
	lines int   // physical ones
	lost  bool  // the text ends within quotes
	lone  int   // escapes other than the quote, in quotes and before something else
}

// cell is text[from:to], without the quotes around it.
type cell struct {
	from, to int32
	quoted   bool
	odd      bool // a quote where none may be
	escapes  bool // there are escapes in it
	apart    bool // there are blanks around its quotes that are left out
}

// row is one record.
type row struct {
	first, width int // its cells
	line, last   int // physical, from 0
	odd          bool
	cut          bool // the text ends in it
}

func (r *reading) of(row row) []cell { return r.cells[row.first:][:row.width] }

func (r *reading) value(c cell) []byte { return r.text[c.from:c.to] }

// runaway is how far an unclosed quote may reach before it is taken for an
// ordinary byte: what remains is lost for judging.
const runaway = 4 << 10

// scanner splits text into records.
type scanner struct {
	reading
	delimiter     []byte
	quote, escape int // -1: none
	comment       []byte
	trims         bool // blanks outside of quotes are no part of a cell
	lenient       bool // with quotes within cells: no delimiter, a usual one or a long one is not there by chance
	stops         [256]bool
	line          int
}

// read splits text in the dialect. An empty delimiter gives one column. A record
// that is cut off within quotes does not count.
func read(text []byte, d bucketload.CSV) reading {
	s := scanner{reading: reading{text: text}, delimiter: []byte(d.Delimiter), comment: []byte(d.Comment),
		quote: firstByte(d.Quote), escape: firstByte(d.Escape), trims: d.UnquotedBlanks == bucketload.PolicyTrim, lenient: d.Delimiter == "" || usual(d.Delimiter) || len(d.Delimiter) > 1}
	if s.escape < 0 {
		s.escape = s.quote
	}
	s.stops['\n'], s.stops['\r'] = true, true
	if len(s.delimiter) > 0 {
		s.stops[s.delimiter[0]] = true
	}
	if s.quote >= 0 {
		s.stops[s.quote] = true
	}
	s.cells = make([]cell, 0, len(text)/8+1)
	for at := 0; at < len(text); {
		switch n := lineEnd(text[at:]); {
		case n > 0:
			at += n
			s.line++
		case len(s.comment) > 0 && bytes.HasPrefix(text[at:], s.comment):
			s.notes = append(s.notes, s.line)
			at = len(text) - len(skipLines(text[at:], 1))
			s.line++
		default:
			at = s.record(at)
		}
	}
	s.lines = s.line
	if n := len(text); n > 0 && text[n-1] != '\n' && text[n-1] != '\r' {
		s.lines++
	}
	return s.reading
}

// record splits the record at text[at:] and gives where the next one begins.
func (s *scanner) record(at int) int {
	r := row{first: len(s.cells), line: s.line}
	for {
		c, next, unclosed := s.cell(at)
		if unclosed {
			s.cells, s.lost = s.cells[:r.first], true
			return len(s.text)
		}
		s.cells = append(s.cells, c)
		r.odd = r.odd || c.odd
		at = next
		if at < len(s.text) && lineEnd(s.text[at:]) == 0 {
			at += len(s.delimiter)
			continue
		}
		r.width = len(s.cells) - r.first
		r.cut, r.last = at == len(s.text), s.line
		s.rows = append(s.rows, r)
		if !r.cut {
			s.line++
			at += lineEnd(s.text[at:])
		}
		return at
	}
}

// cell reads one cell and gives where it ends, at a delimiter, a line end or
// the end of the text. unclosed is whether its quote is not closed in reach.
func (s *scanner) cell(at int) (c cell, end int, unclosed bool) {
	text, start := s.text, at
	if s.trims {
		at = s.behindBlanks(at)
	}
	if at < len(text) && int(text[at]) == s.quote {
		c, end = s.quoted(at)
		if s.trims && end >= 0 {
			closed := end
			end = s.behindBlanks(end)
			c.apart = at > start || end > closed
		}
		switch {
		case end < 0 && len(text)-at <= max(runaway, len(text)/4):
			return c, end, true
		case end >= 0 && s.ends(end):
			return c, end, false
		case end >= 0:
			c.odd = true
			_, end = s.plain(end)
			return c, end, false
		}
	}
	odd, end := s.plain(at)
	if s.trims {
		to := at + len(bytes.TrimRight(text[at:end], " \t"))
		return cell{from: int32(at), to: int32(to), odd: odd}, end, false
	}
	return cell{from: int32(at), to: int32(end), odd: odd || s.quote < 0 && s.looksQuoted(text[at:end])}, end, false
}

// behindBlanks is where the blanks at text[at:] end: what begins a delimiter is none.
func (s *scanner) behindBlanks(at int) int {
	for at < len(s.text) && (s.text[at] == ' ' || s.text[at] == '\t') && !s.ends(at) {
		at++
	}
	return at
}

// looksQuoted is whether a cell of a dialect without quotes seems to have some:
// at its start, but for blanks and other marks, or else at the start of any word.
func (s *scanner) looksQuoted(value []byte) bool {
	for i, c := range value {
		switch {
		case c == '"' && (i == 0 || !isWordByte(value[i-1])):
			return true
		case s.lenient && !mayDelimit(c):
			return false
		}
	}
	return false
}

// plain gives where a cell without quotes ends, and whether there is a quote in it.
func (s *scanner) plain(at int) (odd bool, end int) {
	for ; at < len(s.text); at++ {
		b := s.text[at]
		if !s.stops[b] {
			continue
		}
		if s.ends(at) {
			break
		}
		odd = odd || int(b) == s.quote
	}
	return odd, at
}

// ends is whether a cell ends at text[at].
func (s *scanner) ends(at int) bool {
	return at == len(s.text) || s.text[at] == '\n' || s.text[at] == '\r' ||
		len(s.delimiter) > 0 && bytes.HasPrefix(s.text[at:], s.delimiter)
}

// quoted reads the quoted text at text[at:] and gives where it ends, behind the
// closing quote; -1 where there is none.
func (s *scanner) quoted(at int) (c cell, end int) {
	c = cell{from: int32(at + 1), quoted: true}
	lone := 0
	for i, line := at+1, s.line; i < len(s.text); i++ {
		switch b := int(s.text[i]); {
		case b == s.escape && i+1 < len(s.text) && (int(s.text[i+1]) == s.quote || int(s.text[i+1]) == s.escape):
			c.escapes = true
			i++
		case b == s.escape && b != s.quote:
			lone++
		case b == s.quote:
			c.to, s.line = int32(i), line
			s.lone += lone
			return c, i + 1
		case b == '\n', b == '\r' && (i+1 == len(s.text) || s.text[i+1] != '\n'):
			line++
		}
	}
	return c, -1
}

var seed = maphash.MakeSeed()

// signature is the same for readings that give the same table, but for blanks
// around unquoted values.
func (r *reading) signature(d bucketload.CSV) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, row := range r.rows {
		for _, c := range r.of(row) {
			value := r.value(c)
			switch {
			case c.escapes:
				value = unescape(value, d)
			case !c.quoted:
				value = bytes.Trim(value, " \t")
			}
			_, _ = h.Write(value)
			_ = h.WriteByte(0)
		}
		_ = h.WriteByte('\n')
	}
	return h.Sum64()
}

func unescape(value []byte, d bucketload.CSV) []byte {
	quote, escape := firstByte(d.Quote), firstByte(d.Escape)
	if escape < 0 {
		escape = quote
	}
	out := make([]byte, 0, len(value))
	for i := 0; i < len(value); i++ {
		if int(value[i]) == escape && i+1 < len(value) && (int(value[i+1]) == quote || int(value[i+1]) == escape) {
			i++
		}
		out = append(out, value[i])
	}
	return out
}

// firstByte is the byte that s begins with, or -1.
func firstByte(s string) int {
	if s == "" {
		return -1
	}
	return int(s[0])
}

// lineEnd is the length of the line end that text begins with: LF, CRLF or CR.
func lineEnd(text []byte) int {
	switch {
	case len(text) == 0:
		return 0
	case text[0] == '\n':
		return 1
	case text[0] == '\r' && len(text) > 1 && text[1] == '\n':
		return 2
	case text[0] == '\r':
		return 1
	}
	return 0
}

// skipLines skips n physical lines.
func skipLines(text []byte, n int) []byte {
	for range n {
		i := bytes.IndexAny(text, "\r\n")
		if i < 0 {
			return nil
		}
		text = text[i+lineEnd(text[i:]):]
	}
	return text
}
