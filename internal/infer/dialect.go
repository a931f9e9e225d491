package infer

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bucketload/bucketload"
)

// candidates are the delimiters that Dialect knows.
const candidates = ",\t;|"

const (
	// minScore is the share of lines, averaged over the files, that must have as
	// many fields as their header: files may be ragged, but not most of them.
	minScore = 0.5
	// nearScore is how close to the best another candidate is a rival.
	nearScore = 0.9
	// clearLead is how many times the rivals' delimiters a header must have for
	// its candidate to win all the same: 27 commas against one semicolon.
	clearLead = 2
)

// Dialect finds the delimiter from the first bytes of several files, in UTF-8;
// they may end anywhere. A delimiter that is given stays. Quotes, comments and
// skipped lines are as given. It returns given with the delimiter and, for
// people, why. An unclear case is an error of code usage that names the
// candidates; files in which no candidate occurs have one column.
func Dialect(heads [][]byte, given bucketload.CSV) (bucketload.CSV, string, error) {
	if given.Delimiter != "" {
		return given, delimiterName(given.Delimiter) + " as given", nil
	}
	var v vote
	for _, head := range heads {
		v.add(countDelimiters(head, given))
	}
	found := given
	switch best, ok := v.winner(); {
	case v.lines == 0:
		found.Delimiter = ","
		return found, `"," as usual: no lines to judge by`, nil
	case !v.any():
		found.Delimiter = ","
		return found, fmt.Sprintf("one column: no comma, tab, semicolon or bar in %s sampled lines", thousands(v.lines)), nil
	case !ok:
		return given, "", v.unclear()
	default:
		found.Delimiter = best.delimiter
		return found, best.evidence(v.lines), nil
	}
}

// line is how often each candidate occurs in one record, outside quotes.
type line [len(candidates)]int

// countDelimiters scans records for all candidates at once. A quote opens a
// field at a record's start or after any candidate, so that a quoted field
// hides the other candidates whichever is the true one. A last record that is
// cut off does not count unless it is the only one.
func countDelimiters(head []byte, dialect bucketload.CSV) []line {
	rest := skipLines(bytes.TrimPrefix(head, []byte("\ufeff")), dialect.SkipHead)
	var lines []line
	for len(rest) > 0 {
		if dialect.Comment != "" && rest[0] == dialect.Comment[0] {
			rest = skipLines(rest, 1)
			continue
		}
		counts, n, whole := scanRecord(rest, dialect)
		if n > 0 && (whole || len(lines) == 0) {
			lines = append(lines, counts)
		}
		rest = skipLines(rest[n:], 1)
	}
	return lines
}

// scanRecord counts in the first record and gives its length without the line
// end, and whether that was there.
func scanRecord(data []byte, dialect bucketload.CSV) (counts line, n int, whole bool) {
	fieldStart := true
	for n < len(data) {
		c := data[n]
		if fieldStart && dialect.Quote != "" && c == dialect.Quote[0] {
			n += quotedLen(data[n:], dialect)
			fieldStart = false
			continue
		}
		if c == '\n' || c == '\r' {
			return counts, n, true
		}
		i := strings.IndexByte(candidates, c)
		if fieldStart = i >= 0; fieldStart {
			counts[i]++
		}
		n++
	}
	return counts, n, false
}

// quotedLen is the length of the quoted text that data begins with, quotes
// included; all of data where it does not end.
func quotedLen(data []byte, dialect bucketload.CSV) int {
	quote := dialect.Quote[0]
	escape := quote
	if dialect.Escape != "" {
		escape = dialect.Escape[0]
	}
	for i := 1; i < len(data); i++ {
		switch c := data[i]; {
		case c == escape && i+1 < len(data) && (c != quote || data[i+1] == quote):
			i++
		case c == quote:
			return i + 1
		}
	}
	return len(data)
}

// skipLines skips n physical lines: LF, CRLF or CR ends one.
func skipLines(data []byte, n int) []byte {
	for range n {
		i := bytes.IndexAny(data, "\r\n")
		if i < 0 {
			return nil
		}
		if data[i] == '\r' && i+1 < len(data) && data[i+1] == '\n' {
			i++
		}
		data = data[i+1:]
	}
	return data
}

// vote sums up the files. Each has one voice, whatever its length: a strange
// file among many does not decide.
type vote struct {
	files, lines int64
	candidates   [len(candidates)]candidate
}

// candidate is how well one delimiter explains the files.
type candidate struct {
	delimiter            string
	share                float64 // sum over the files of the share of fitting lines
	fits                 int64   // lines with as many fields as their file's first, two at least
	occurs               int64   // lines that have it at all
	width                int64   // sum over the files of the first line's delimiters
	minFields, maxFields int     // of the first lines, where two at least
}

func (v *vote) add(lines []line) {
	if len(lines) == 0 {
		return
	}
	v.files++
	v.lines += int64(len(lines))
	for i := range v.candidates {
		v.candidates[i].delimiter = candidates[i : i+1]
		v.candidates[i].add(lines, i)
	}
}

func (c *candidate) add(lines []line, i int) {
	first := lines[0][i]
	fits := 0
	for _, l := range lines {
		if l[i] > 0 {
			c.occurs++
		}
		if l[i] > 0 && l[i] == first {
			fits++
		}
	}
	if first == 0 {
		return
	}
	c.fits += int64(fits)
	c.share += float64(fits) / float64(len(lines))
	c.width += int64(first)
	c.maxFields = max(c.maxFields, first+1)
	if c.minFields == 0 || first+1 < c.minFields {
		c.minFields = first + 1
	}
}

// any says whether any candidate occurs anywhere.
func (v *vote) any() bool {
	return slices.ContainsFunc(v.candidates[:], func(c candidate) bool { return c.occurs > 0 })
}

// winner is the candidate that fits, if none other fits about as well.
func (v *vote) winner() (candidate, bool) {
	best := slices.MaxFunc(v.candidates[:], func(a, b candidate) int { return cmp.Compare(a.share, b.share) })
	if v.files == 0 || best.share < minScore*float64(v.files) {
		return candidate{}, false
	}
	var rivals []candidate
	for _, c := range v.candidates {
		if c.share >= nearScore*best.share {
			rivals = append(rivals, c)
		}
	}
	slices.SortFunc(rivals, func(a, b candidate) int { return cmp.Compare(b.width, a.width) })
	if len(rivals) > 1 && rivals[0].width <= clearLead*rivals[1].width {
		return candidate{}, false
	}
	return rivals[0], true
}

// evidence is `"," in 200 of 200 sampled lines, 28 fields each`.
func (c candidate) evidence(lines int64) string {
	fields := fmt.Sprintf("%d fields each", c.maxFields)
	if c.minFields != c.maxFields {
		fields = fmt.Sprintf("%d to %d fields", c.minFields, c.maxFields)
	}
	return fmt.Sprintf("%s in %s of %s sampled lines, %s", delimiterName(c.delimiter), thousands(c.fits), thousands(lines), fields)
}

func (v *vote) unclear() error {
	var seen, flags []string
	for _, c := range v.candidates {
		if c.occurs == 0 {
			continue
		}
		seen = append(seen, fmt.Sprintf("%s fits %s of %s sampled lines", delimiterName(c.delimiter), thousands(c.fits), thousands(v.lines)))
		flags = append(flags, fmt.Sprintf("--set 'csv.delimiter=%s'", strconv.Quote(c.delimiter)))
	}
	return &bucketload.Error{Code: bucketload.CodeUsage,
		Message: "the delimiter is not clear: " + strings.Join(seen, "; "),
		Hint:    "say which it is: " + strings.Join(flags, " or ") + "; for files of one column, one that does not occur in them"}
}

func delimiterName(delimiter string) string {
	if delimiter == "\t" {
		return "tab"
	}
	return strconv.Quote(delimiter)
}
