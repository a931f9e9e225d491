package infer

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/bucketload/bucketload"
)

const (
	kindRows   = 100 // rows that columns are judged by
	mostBefore = 40  // records that may come before a table
	mostNames  = 6   // lines of a header
	mostFeet   = 5   // records that may come after a table
	// sameShape is the share of a column's values that must have its shape.
	sameShape = 0.9
)

// table is what one dialect makes of one file's first bytes.
type table struct {
	score  float64
	lines  int // records, but for those before the header and after the rows
	fits   int // of them as wide as the table
	good   int // of those without a quote out of place
	steady int // rows of another table, good as well
	width  int
	typed  int // columns of figures, moments and the like

	skip   int // physical lines before the header
	before int // records there that are neither names nor rows
	feet   int // physical lines after the rows
	notes  int // comments
	inside int // of them behind the header

	names  int // typed columns over which the header has words
	values int // typed columns in which the first row has a value like the others

	lone             int                     // escapes that escape nothing
	wrapped, escapes int                     // cells with quotes around them, and with escapes
	apart            int                     // cells with blanks around their quotes that are left out
	padded           int                     // cells with blanks around them, in columns of text or around quotes
	others           int                     // lines of a single column with a usual delimiter in them
	marked           [len(commentMarks)]int  // fitting rows that begin as comments may
	headed           [len(commentMarks)]bool // whether the header does
	figures          marksVote
}

// judge finds the table in a reading. free is whether lines may be skipped
// before and after it; whole whether the text ends where the file does, as far
// as one can tell.
func judge(r *reading, d bucketload.CSV, free, whole bool) table {
	rows := r.rows
	if n := len(rows); n > 1 && rows[n-1].cut && rows[n-1].width != rows[n-2].width {
		rows, whole = rows[:n-1], false
	}
	if len(rows) == 0 {
		return table{}
	}
	t := table{width: rows[0].width}
	start := 0
	if free {
		start = t.begin(r, rows)
	}
	end := len(rows)
	if free && whole && !r.lost {
		end = t.end(r, rows, start)
	}
	shapes := columnShapes(r, rows[:end], start, t.width)
	t.before = start
	if free {
		start += headLines(r, rows[:end], start, shapes, d.Delimiter) - 1
	}
	t.skip = rows[start].line
	t.nameEvidence(r, rows[start:end], shapes)
	t.count(r, rows[start:end], shapes, d)
	t.lone = r.lone
	t.figures = readMarks(r, rows[start:end], shapes)
	for _, line := range r.notes {
		if t.notes++; line > t.skip {
			t.inside++
		} else if free {
			t.skip--
		}
	}
	t.skip = max(t.skip, 0)
	t.grade(d, shapes, hasHoles(r, rows[start:end], shapes), start == 0)
	return t
}

// hasHoles is whether no two columns side by side have names or values: the
// delimiter is there twice, or has a mark of its own around it.
func hasHoles(r *reading, rows []row, columns []column) bool {
	if len(rows) < 2 || len(columns) < 3 || rows[0].width < len(columns) {
		return false
	}
	void := func(i int) bool { return columns[i].empty && shapeOf(r.value(r.of(rows[0])[i])) == blank }
	for i := range columns[1:] {
		if !void(i) && !void(i+1) {
			return false
		}
	}
	return true
}

// begin finds the table's width, that of most records, and passes over what
// comes before its header: titles, which have one cell or few, and whatever
// stands before a record of blanks and is as sparse. A
// record with a stray quote may be a broken header, and stays.
func (t *table) begin(r *reading, rows []row) int {
	t.width = mostCommonWidth(rows)
	start, sparse := 0, true
	for i, row := range rows[:min(len(rows), mostBefore)] {
		filled := filledCells(r, row)
		few := filled <= max(1, t.width/4)
		sparse = sparse && few && !row.odd
		title := row.width == t.width && few && t.width > 2 || row.width != t.width && filled <= t.width/2
		if sparse && filled == 0 || start == i && title && !row.odd {
			start = i + 1
		}
	}
	// What is passed over must be less than what is kept.
	fits := 0
	for _, row := range rows[start:] {
		if r.fits(row, t.width) {
			fits++
		}
	}
	if start > 0 && (fits < 2 || 2*fits <= start || 2*fits < len(rows)-start || start == mostBefore) {
		t.width = rows[0].width
		return 0
	}
	return start
}

// mostCommonWidth is the number of cells that most rows have, of several the
// one that comes first. A quarter of the rows with several cells suffices: the
// others may come before the table.
func mostCommonWidth(rows []row) int {
	counts := map[int]int{}
	several := 0
	for _, row := range rows {
		counts[row.width]++
		if row.width > 1 {
			several++
		}
	}
	if 4*several >= len(rows) {
		delete(counts, 1)
	}
	best := 1
	for _, row := range rows {
		if counts[row.width] > counts[best] {
			best = row.width
		}
	}
	return best
}

// fits is whether a row has so many cells, or a blank one more: some end each
// row with a delimiter, but the header.
func (r *reading) fits(row row, width int) bool {
	return row.width == width || row.width == width+1 && len(bytes.TrimSpace(r.value(r.cells[row.first+width]))) == 0
}

// filledCells is how many cells of a row have more than blanks.
func filledCells(r *reading, row row) (n int) {
	for _, c := range r.of(row) {
		if len(bytes.TrimSpace(r.value(c))) > 0 {
			n++
		}
	}
	return n
}

// end passes over what comes after the rows: short lines of text, behind a blank
// line or where the first column has figures.
func (t *table) end(r *reading, rows []row, start int) int {
	end := len(rows)
	for end > start && rows[end-1].width == 1 && !rows[end-1].odd {
		end--
	}
	if end == len(rows) || len(rows)-end > mostFeet || end-start < 3 || t.width < 3 {
		return len(rows)
	}
	last := rows[end-1]
	foot := r.cells[rows[end].first]
	shapes := columnShapes(r, rows[:end], start, t.width)
	if rows[end].line == last.last+1 && (!shapes[0].typed() || shapeOf(r.value(foot)) != prose) {
		return len(rows)
	}
	t.feet = r.lines - last.last - 1
	return end
}

// column is what the values of a column look like.
type column struct {
	main  shape // that nearly all have; prose where none is
	empty bool  // there are none
}

// columnShapes judges the columns by the later half of the rows: there are no
// names among them.
func columnShapes(r *reading, rows []row, start, width int) []column {
	from := start + (len(rows)-start+1)/2
	columns := make([]column, width)
	counts := make([][shapes]int, width)
	for n := 0; from < len(rows) && n < kindRows; from++ {
		if row := rows[from]; r.fits(row, width) {
			n++
			for i, c := range r.of(row)[:width] {
				counts[i][shapeOf(r.value(c))]++
			}
		}
	}
	for i, count := range counts {
		total, main := 0, prose
		for s := figure; s < shapes; s++ {
			total += count[s]
			if count[s] > count[main] {
				main = s
			}
		}
		if float64(count[main]) < sameShape*float64(total) {
			main = prose
		}
		columns[i] = column{main: main, empty: total == 0}
	}
	return columns
}

func (c column) typed() bool { return !c.empty && c.main != prose }

// isName is whether a value may be a column's name: it has letters in it.
func isName(value []byte) bool {
	return shapeOf(value) == prose && bytes.ContainsFunc(value, func(c rune) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80 })
}

// headLines is how many lines the header has: one, and those that follow with
// words in typed columns and nothing that fits there, or are the same again. One
// such column suffices behind a blank line, and where any title may look like a
// header as its words are fields. A first line with values in typed columns is
// no line of a header with several: it may be a row.
func headLines(r *reading, rows []row, start int, columns []column, delimiter string) int {
	n := 1
	for i, c := range r.of(rows[start]) {
		if i < len(columns) && columns[i].typed() && shapeOf(r.value(c)) == columns[i].main {
			return 1
		}
	}
	for ; n < mostNames && start+n < len(rows)-1; n++ {
		row := rows[start+n]
		if !r.fits(row, len(columns)) {
			break
		}
		enough := 2
		if row.line > rows[start+n-1].last+1 || delimiter == " " {
			enough = 1
		}
		names, values, typed, same := 0, 0, 0, row.width == rows[start].width
		for i, c := range r.of(row)[:len(columns)] {
			same = same && bytes.Equal(r.value(c), r.value(r.cells[rows[start].first+i]))
			if !columns[i].typed() {
				continue
			}
			typed++
			switch value := r.value(c); {
			case shapeOf(value) == columns[i].main:
				values++
			case isName(value):
				names++
			}
		}
		if !same && (values > 0 || names < enough || 2*names < typed) {
			break
		}
	}
	if n > 1 && rowIsNamed(r, rows[start+n-1], columns) {
		return n
	}
	return 1
}

// rowIsNamed is whether a header can be made of the row: there are typed
// columns, and it has words over each.
func rowIsNamed(r *reading, row row, columns []column) bool {
	if !slices.ContainsFunc(columns, column.typed) {
		return false
	}
	for i, c := range r.of(row)[:len(columns)] {
		if columns[i].typed() && !isName(r.value(c)) {
			return false
		}
	}
	return true
}

// nameEvidence compares the first row with what the columns hold.
func (t *table) nameEvidence(r *reading, rows []row, columns []column) {
	if len(rows) < 2 || !r.fits(rows[0], t.width) {
		return
	}
	for i, c := range r.of(rows[0])[:t.width] {
		if !columns[i].typed() {
			continue
		}
		switch value := r.value(c); {
		case shapeOf(value) == columns[i].main, isName(value) && recurs(r, rows, columns, i):
			t.values++
		case isName(value):
			t.names++
		}
	}
	if t.values > 2 && isSeries(r, rows[0], columns) && !isSeries(r, rows[1], columns) {
		t.names, t.values = t.names+t.values, 0
	}
}

// recurs is whether the first row's value in a column is there again, in a row
// that has a value of its kind in a typed column: others may be the header again.
func recurs(r *reading, rows []row, columns []column, column int) bool {
	value := r.value(r.of(rows[0])[column])
	return slices.ContainsFunc(rows[1:], func(row row) bool {
		if !r.fits(row, len(columns)) || !bytes.Equal(r.value(r.of(row)[column]), value) {
			return false
		}
		for i, c := range columns {
			if c.typed() && shapeOf(r.value(r.of(row)[i])) == c.main {
				return true
			}
		}
		return false
	})
}

// isSeries is whether the values in the typed columns count up or down in equal
// steps, as years over columns do.
func isSeries(r *reading, row row, columns []column) bool {
	var last, step, n int
	for i, c := range r.cells[row.first:][:min(row.width, len(columns))] {
		if !columns[i].typed() {
			continue
		}
		v, err := strconv.Atoi(string(bytes.TrimSpace(r.value(c))))
		switch {
		case err != nil:
			return false
		case n == 1:
			step = v - last
		case n > 1 && v-last != step:
			return false
		}
		last = v
		n++
	}
	return n > 2 && step != 0
}

// commentMarks are what comments may begin with.
var commentMarks = [...]string{"#", "//", "--", "%", ";", "!"}

func (t *table) count(r *reading, rows []row, columns []column, d bucketload.CSV) {
	t.lines = len(rows)
	for i, row := range rows {
		if !r.fits(row, t.width) {
			continue
		}
		t.fits++
		if !row.odd {
			t.good++
		}
		for j, mark := range commentMarks {
			switch {
			case !r.begins(row, mark):
			case i > 0:
				t.marked[j]++
			case len(rows) > 1 && !r.begins(rows[1], mark):
				t.headed[j] = true // else it is one of several comments, as wide as the table by chance
			}
		}
	}
	for i, run := 0, 0; i < len(rows); i++ {
		row := rows[i]
		if run++; i+1 < len(rows) && rows[i+1].width == row.width && !row.odd {
			continue
		}
		if run >= steadyRows && row.width != t.width && row.width > 2 {
			t.steady += run
		}
		run = 0
	}
	for _, row := range rows {
		if d.Delimiter == "" && bytes.ContainsAny(plainText(r, row), usualDelimiters) {
			t.others++
		}
		for i, c := range r.of(row) {
			if c.quoted && !c.odd {
				t.wrapped++
			}
			if c.escapes {
				t.escapes++
			}
			if c.apart && !c.odd {
				t.apart++
			}
			if !c.quoted && isPadded(r.value(c)) && (i < len(columns) && columns[i].main == prose || bytes.ContainsAny(r.value(c), `"'`)) {
				t.padded++
			}
		}
	}
}

// Scores, found by trying on real files. Their order is what matters: columns
// that all have their type go before columns of text, the ordinary before the
// unusual, and what is only text between unusual marks is a column of text.
const (
	plainColumn = 0.5  // one column of text
	typedColumn = 0.95 // one column of figures, moments ...
	textWeight  = 0.5  // of a column of text, where a typed one is 1
	typeWeight  = 0.3  // of the columns' types in the score
	wideUnusual = 0.8  // an unusual delimiter with types, which is in the header too, or many columns without an exception
	thinUnusual = 0.6  // with few columns of text, without an exception
	oddUnusual  = 0.4  // with exceptions
	halved      = 0.8  // no two columns side by side have values
	titled      = 0.85 // there is something before the header; the more the less
	oddWeight   = 0.5  // of a row as wide as the table with a quote out of place, where the delimiter is usual
	manyColumns = 4

	// Another table behind the first: so many rows of one width, which are worth
	// less than rows of the first.
	steadyRows, steadyWeight = 10, 0.8
)

// grade gives the score: the share of good rows, weighted by how usual the
// delimiter is and how many columns have a type.
func (t *table) grade(d bucketload.CSV, columns []column, holes, first bool) {
	fit := (float64(t.good) + steadyWeight*float64(t.steady)) / float64(t.lines)
	if usual(d.Delimiter) {
		fit += oddWeight * float64(t.fits-t.good) / float64(t.lines)
	}
	for _, c := range columns {
		if c.typed() {
			t.typed++
		}
	}
	if d.Delimiter == "" {
		t.score = plainColumn * fit
		if t.typed == 1 {
			t.score = typedColumn * fit
		}
		return
	}
	if t.width == 1 {
		return
	}
	types := (float64(t.typed) + textWeight*float64(t.width-t.typed)) / float64(t.width)
	t.score = fit * (1 - typeWeight + typeWeight*types)
	if holes {
		t.score *= halved
	}
	if !first {
		t.score *= titled * (1 - float64(t.before)/float64(t.before+t.lines)/2)
	}
	if usual(d.Delimiter) {
		return
	}
	switch whole := first && t.good == t.lines && t.lines > 1; {
	case first && t.typed > 0, whole && t.width >= manyColumns && !holes && d.Delimiter != " ":
		t.score *= wideUnusual
	case whole:
		t.score *= thinUnusual
	default:
		t.score *= oddUnusual
	}
}

// begins is whether a row begins with a mark, outside quotes.
func (r *reading) begins(row row, mark string) bool {
	first := r.cells[row.first]
	return !first.quoted && bytes.HasPrefix(r.value(first), []byte(mark))
}

// plainText is what a row has outside quotes where it is one cell.
func plainText(r *reading, row row) []byte {
	c := r.cells[row.first]
	if c.quoted && !c.odd {
		return nil
	}
	return r.value(c)
}

func isPadded(value []byte) bool {
	n := len(value)
	return n > 0 && (value[0] == ' ' || value[n-1] == ' ')
}
