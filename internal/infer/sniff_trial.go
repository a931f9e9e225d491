package infer

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/bucketload/bucketload"
)

// usualDelimiters need no types to be believed in.
const usualDelimiters = ",\t;|"

// usual is whether a delimiter is one, with blanks around it or not, or two bars
// or colons, or a control character, which is nothing else.
func usual(delimiter string) bool {
	mark := strings.Trim(delimiter, " ")
	return mark == "||" || mark == "::" || len(mark) == 1 && (strings.Contains(usualDelimiters, mark) || mark < " ")
}

const (
	sampleBytes  = 1 << 20  // of all heads together that are judged
	sampleLeast  = 5 << 10  // of each head, where it has as many
	pilotFiles   = 12       // that all dialects are tried on
	pilotBytes   = 16 << 10 // of each of them
	pilotShare   = 0.4      // of the best score to be tried on all files
	oftenEnough  = 0.1      // of lines that must have an unusual delimiter
	mostUnusual  = 6        // unusual delimiters of one character that are tried
	mostCombined = 4        // and of several
	longest      = 4        // bytes of a delimiter
)

// piece is what is judged of a file.
type piece struct {
	text  []byte
	whole bool // all of its head
}

func pieces(texts [][]byte, limit int) []piece {
	var out []piece
	for _, text := range texts {
		e := piece{text, true}
		if len(text) > limit {
			e = piece{text[:limit], false}
			if i := bytes.LastIndexAny(e.text, "\r\n"); i > 0 {
				e.text = e.text[:i+lineEnd(text[i:])]
			}
		}
		out = append(out, e)
	}
	return out
}

// trial is a dialect tried on all files. Each file has one voice.
type trial struct {
	bucketload.CSV
	order  int // from the ordinary to the unusual
	tables []table
	score  float64 // mean over the files that have rows
	fit    float64 // share of good rows, likewise
}

func try(d bucketload.CSV, order int, files []piece, free bool) trial {
	t := trial{CSV: d, order: order}
	n := 0
	for _, file := range files {
		r := read(skipLines(file.text, d.SkipHead), d)
		found := judge(&r, d, free, file.whole)
		if found.lines > 0 {
			n++
			t.score += found.score
			if found.width > 1 || d.Delimiter == "" {
				t.fit += float64(found.good) / float64(found.lines)
			}
		}
		t.tables = append(t.tables, found)
	}
	if n > 0 {
		t.score /= float64(n)
		t.fit /= float64(n)
	}
	return t
}

// sum adds up what one says of each file.
func (t *trial) sum(one func(table) int) (n int) {
	for _, table := range t.tables {
		n += one(table)
	}
	return n
}

func (t *trial) lines() int { return t.sum(func(t table) int { return t.lines }) }
func (t *trial) fits() int {
	return t.sum(func(t table) int {
		if t.width == 1 {
			return 0
		}
		return t.fits
	})
}
func (t *trial) odd() int       { return t.sum(func(t table) int { return t.fits - t.good }) }
func (t *trial) wrapped() int   { return t.sum(func(t table) int { return t.wrapped }) }
func (t *trial) escaped() int   { return t.sum(func(t table) int { return t.escapes }) }
func (t *trial) apart() int     { return t.sum(func(t table) int { return t.apart }) }
func (t *trial) trims() bool    { return t.UnquotedBlanks == bucketload.PolicyTrim }
func (t *trial) lone() int      { return t.sum(func(t table) int { return t.lone }) }
func (t *trial) names() int     { return t.sum(func(t table) int { return t.names }) }
func (t *trial) unpadded() bool { return t.sum(func(t table) int { return t.padded }) == 0 }
func (t *trial) titles() int    { return t.sum(func(t table) int { return t.before }) }
func (t *trial) width() int {
	return t.sum(func(t table) int {
		if t.lines == 0 {
			return 0
		}
		return t.width - 1
	})
}

// typed is how many columns have a type, in the file that has the fewest.
func (t *trial) typed() int {
	least := -1
	for _, table := range t.tables {
		if table.lines > 0 && (least < 0 || table.typed < least) {
			least = table.typed
		}
	}
	return max(0, least)
}

// hidesOthers is whether, taken for one column, the files have many a usual
// delimiter in it.
func (t *trial) hidesOthers() bool {
	return float64(t.sum(func(t table) int { return t.others })) > strayLines*float64(t.lines())
}

// regular is whether a delimiter that is not usual splits nearly all lines
// alike: reason to doubt that they are one column. Words in equal number below a
// title are not, unless they are quoted or have names over them.
func (t *trial) regular() bool {
	named := t.Delimiter != " " || t.titles() == 0 || t.wrapped() > 0 || t.names() > 0
	return t.Delimiter != "" && t.fit >= sameShape && t.lines() > 1 && named
}

// splitsNames is whether a usual delimiter splits nearly all lines alike, the
// first one into names.
func (t *trial) splitsNames() bool {
	return usual(t.Delimiter) && t.regular() && t.titles() == 0 && t.names() > 0
}

// same is whether two dialects give the same tables, but for blanks.
func same(a, b bucketload.CSV, files []piece) bool {
	return signature(a, files) == signature(b, files)
}

func signature(d bucketload.CSV, files []piece) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, file := range files {
		r := read(skipLines(file.text, d.SkipHead), d)
		maphash.WriteComparable(&h, r.signature(d))
	}
	return h.Sum64()
}

// dialects are those worth trying: the given one with each open key in each way
// that occurs in the files, from the ordinary to the unusual.
func dialects(files []piece, given bucketload.CSV, open keys) []bucketload.CSV {
	delimiters := []string{given.Delimiter}
	if open.has("delimiter") {
		delimiters = append(delimitersIn(files), "")
	}
	comments := []string{given.Comment}
	if open.has("comment") {
		comments = append([]string{""}, commentsIn(files)...)
	}
	var all []bucketload.CSV
	for _, comment := range comments {
		for _, quoting := range quotings(files, given, open) {
			for _, delimiter := range delimiters {
				d := given
				d.Delimiter, d.Quote, d.Escape, d.Comment = delimiter, quoting.quote, quoting.escape, comment
				if comment == "" || delimiter == "" || !strings.HasPrefix(comment, delimiter) {
					all = append(all, d)
				}
			}
		}
	}
	if !open.has("unquoted_blanks") {
		return all
	}
	for _, d := range slices.Clone(all) {
		if setsApart(files, d) {
			d.UnquotedBlanks = bucketload.PolicyTrim
			all = append(all, d)
		}
	}
	return all
}

// setsApart is whether there is a blank between a quote and a delimiter, which
// is one that is no part of others.
func setsApart(files []piece, d bucketload.CSV) bool {
	if d.Quote == "" || !slices.Contains([]string{",", "\t", ";"}, d.Delimiter) {
		return false
	}
	before, behind := []byte(d.Delimiter+" "+d.Quote), []byte(d.Quote+" "+d.Delimiter)
	return occurs(files, func(text []byte) bool { return bytes.Contains(text, before) || bytes.Contains(text, behind) })
}

type quoting struct{ quote, escape string }

// quotings are the ways of quoting for which there is a trace in the files.
func quotings(files []piece, given bucketload.CSV, open keys) []quoting {
	quotes := []string{given.Quote}
	if open.has("quote") {
		quotes = []string{`"`}
		if occurs(files, func(text []byte) bool { return bytes.IndexByte(text, '"') >= 0 }) {
			quotes = append(quotes, "")
		}
		if occurs(files, opensSingle) {
			quotes = append(quotes, "'")
		}
	}
	var all []quoting
	for _, quote := range quotes {
		if !open.has("escape") || quote == "" {
			all = append(all, quoting{quote, given.Escape})
			continue
		}
		all = append(all, quoting{quote, quote})
		for _, escape := range escapesIn(files, quote[0]) {
			all = append(all, quoting{quote, escape})
		}
	}
	return all
}

func occurs(files []piece, in func([]byte) bool) bool {
	return slices.ContainsFunc(files, func(f piece) bool { return in(f.text) })
}

// opensSingle is whether a ' stands where a field may begin, and another one
// where it may end.
func opensSingle(text []byte) bool {
	opens, closes := false, false
	for i, c := range text {
		if c != '\'' {
			continue
		}
		opens = opens || i == 0 || !isWordByte(text[i-1])
		closes = closes || i+1 == len(text) || !isWordByte(text[i+1])
	}
	return opens && closes
}

func isWordByte(c byte) bool {
	return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80
}

// escapesIn are the bytes that may escape the quote: a backslash, or the mark
// that stands most often before a quote within a field.
func escapesIn(files []piece, quote byte) []string {
	var before [256]int
	for _, file := range files {
		if bytes.Contains(file.text, []byte(`\\`)) {
			before['\\']++
		}
		for i := 1; i+1 < len(file.text); i++ {
			if file.text[i] != quote {
				continue
			}
			if c := file.text[i-1]; c > ' ' && c < 0x7f && !isWordByte(c) && c != quote && !strings.ContainsRune(`"'`+usualDelimiters, rune(c)) {
				before[c]++
			}
		}
	}
	var escapes []string
	if before['\\'] > 0 {
		escapes = append(escapes, `\`)
	}
	before['\\'] = 0
	best := 0
	for c, n := range before {
		if n > before[best] {
			best = c
		}
	}
	if before[best] > 0 {
		escapes = append(escapes, string(rune(best)))
	}
	return escapes
}

// commentsIn are the marks that lines begin with.
func commentsIn(files []piece) []string {
	var found []string
	for _, mark := range commentMarks {
		if occurs(files, func(text []byte) bool {
			return bytes.HasPrefix(text, []byte(mark)) || bytes.Contains(text, []byte("\n"+mark)) || bytes.Contains(text, []byte("\r"+mark))
		}) {
			found = append(found, mark)
		}
	}
	return found
}

// delimitersIn are the usual ones that occur, then the unusual ones of one
// character and of several that occur in many lines.
func delimitersIn(files []piece) []string {
	var lines int
	var single [128]int
	combined := map[string]int{}
	for _, file := range files {
		for line := range bytes.FieldsFuncSeq(file.text, func(c rune) bool { return c == '\n' || c == '\r' }) {
			lines++
			countMarks(line, &single, combined)
		}
	}
	var usual, unusual, several []string
	for c, n := range single {
		switch mark := string(rune(c)); {
		case n == 0:
		case strings.Contains(usualDelimiters, mark) || c < ' ':
			usual = append(usual, mark)
		case float64(n) >= oftenEnough*float64(lines):
			unusual = append(unusual, mark)
		}
	}
	for mark, n := range combined {
		if float64(n) >= oftenEnough*float64(lines) {
			several = append(several, mark)
		}
	}
	slices.SortFunc(usual, func(a, b string) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a, b))
	})
	slices.SortStableFunc(unusual, func(a, b string) int { return cmp.Compare(single[b[0]], single[a[0]]) })
	slices.SortFunc(several, func(a, b string) int {
		return cmp.Or(cmp.Compare(combined[b], combined[a]), cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	unusual, several = unusual[:min(mostUnusual, len(unusual))], several[:min(mostCombined, len(several))]
	return slices.Concat(usual, unusual, several)
}

// place is how usual a delimiter is, 0 the most.
func place(delimiter string) int {
	if i := strings.Index(usualDelimiters, delimiter); i >= 0 {
		return i
	}
	return len(usualDelimiters)
}

// mayDelimit is whether a byte may be a delimiter or a part of one. Signs,
// points and brackets belong to values, quotes to quoting.
func mayDelimit(c byte) bool {
	return c < 0x7f && !isWordByte(c) && strings.IndexByte("\"'\n\r\x00.-+$%()[]{}<>\\_?`", c) < 0
}

// countMarks counts, once in the line, each mark that may delimit, and each run
// of several marks.
func countMarks(line []byte, single *[128]int, combined map[string]int) {
	var seen [128]bool
	var runs []string
	for i := 0; i < len(line); i++ {
		start := i
		for i < len(line) && mayDelimit(line[i]) {
			seen[line[i]] = true
			i++
		}
		if n := i - start; n > 1 && n <= longest {
			// What is there twice is most often an empty field.
			run := string(line[start:i])
			if mark := strings.Trim(run, " "); mark != "" && (len(mark) == 1 || !strings.ContainsAny(mark, ",;\t")) && !slices.Contains(runs, run) {
				runs = append(runs, run)
				combined[run]++
			}
		}
	}
	for c, ok := range seen {
		if ok {
			single[c]++
		}
	}
}
