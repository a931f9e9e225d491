// Package infer finds out from samples what a set of files holds: the dialect,
// the header shapes, and for every column its name, type, the evidence for it
// and the values that look like "no value".
//
// It prefers text wherever a type would lose something or might not take the
// next value: a wrong text is mended later, a wrong number breaks the load or,
// worse, changes a value. Types depend on the set of samples only, not on
// their order; blank values and files without rows have no vote.
package infer

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"

	"github.com/bucketload/bucketload"
)

// Sample is what was read of one file: its header and some rows from head,
// middle and tail. Row values stand under the header of the same index; missing
// and surplus ones are passed over.
type Sample struct {
	URI    string
	Header []string
	Rows   [][]Value
}

// Value is one field as the file has it, unquoted.
type Value struct {
	Text   string
	Quoted bool
}

// Options change names and types of the columns.
type Options struct {
	LowerCase bool   // column names in lower case
	AllText   bool   // no types: every column is text
	Decimal   string // the mark in numbers; empty: a point
	Thousands string // between groups of three digits; empty: none
	JSON      bool   // values are JSON's: strings are Quoted, all else is as written, objects and arrays too; null is nothing
}

// Column is an inferred column. From is always set: the headers as files spell
// them, most common shape first.
type Column struct {
	bucketload.Column
	Evidence     string   // why this type, for people
	Sentinels    []string // values that look like "no value": worth proposing as null_if, never applied
	SentinelType string   // the type that fits once the Sentinels are NULL; empty without Sentinels
}

// Shape is a header that files share, names and order.
type Shape struct {
	Columns []string // headers as written
	Files   int64
	Example string // URI of one such file
}

// Survey takes samples in one after the other and keeps tallies of them only:
// its memory grows with the number of distinct headers, not with rows or files,
// and is bounded. It is not safe for concurrent use.
type Survey struct {
	opts    Options
	shapes  []*Shape // in the order seen
	byPrint map[[sha256.Size]byte]*Shape
	tallies map[string]*tally // by header as written
	clash   map[string]bool   // of JSON: names that two keys of one record have
	held    int               // bytes, about
}

const (
	// maxHeld bounds what a survey holds, in bytes: some hundred thousand names, and
	// a table has 1,600.
	maxHeld = 256 << 20
	// nameSize is what is held of a name beside its text, and fieldSize of each in a
	// header, about.
	nameSize, fieldSize = 2 << 10, 16
)

// errTooVaried is of files of which most headers have other names.
var errTooVaried = &bucketload.Error{Code: bucketload.CodeLimit,
	Message: fmt.Sprintf("the files have too many columns or keys of different names: what tells them apart takes more than %d MiB", maxHeld>>20),
	Hint:    "leave out with --exclude the files that are not the table's; of JSON in which keys are values, say where the records are: json: {records: $.items}"}

// NewSurvey begins an inference.
func NewSurvey(opts Options) *Survey {
	return &Survey{opts: opts, byPrint: map[[sha256.Size]byte]*Shape{}, tallies: map[string]*tally{}, clash: map[string]bool{}}
}

// Add counts a file's header and takes in its rows, if it has any. A file
// without a header (an empty one) counts for nothing. A header that a file has
// twice counts where it stands first. It is an error where headers have so many
// names that no table could have been meant.
func (s *Survey) Add(sample Sample) error {
	if len(sample.Header) == 0 {
		return nil
	}
	if !s.addShape(sample) {
		return errTooVaried
	}
	if s.opts.JSON {
		s.addClashes(sample)
	}
	seen := make(map[string]bool, len(sample.Header))
	for i, header := range sample.Header {
		if seen[header] {
			continue
		}
		seen[header] = true
		t := s.tallies[header]
		for _, row := range sample.Rows {
			if i < len(row) {
				t.add(row[i], sample.URI)
			}
		}
	}
	return nil
}

// addShape counts a header, and has a tally for each name in it. It is false
// where that is too much to hold.
func (s *Survey) addShape(sample Sample) bool {
	var names []byte
	for _, header := range sample.Header {
		names = append(strconv.AppendInt(names, int64(len(header)), 10), ':')
		names = append(names, header...)
	}
	print := sha256.Sum256(names)
	if shape := s.byPrint[print]; shape != nil {
		shape.Files++
		return true
	}
	shape := &Shape{Columns: make([]string, 0, len(sample.Header)), Example: sample.URI, Files: 1}
	for _, header := range sample.Header {
		t := s.tallies[header]
		if t == nil {
			t = newTally(header, s.opts)
			s.tallies[t.header] = t
			s.held += nameSize + len(header)
		}
		shape.Columns = append(shape.Columns, t.header)
		if s.held += fieldSize; s.held > maxHeld {
			return false
		}
	}
	s.byPrint[print] = shape
	s.shapes = append(s.shapes, shape)
	return true
}

// Shapes gives the distinct headers, most frequent first, else as first seen.
func (s *Survey) Shapes() []Shape {
	shapes := make([]Shape, len(s.shapes))
	for i, shape := range s.shapes {
		shapes[i] = *shape
	}
	slices.SortStableFunc(shapes, func(a, b Shape) int { return cmp.Compare(b.Files, a.Files) })
	return shapes
}

// Columns gives the table's columns: those of the most common shape in its
// order, then what other shapes add.
//
// Headers that give the same name ("Lat" and "lat" with LowerCase) and never
// stand in one file, or in JSON in one record, are one column with several
// sources. Where a file has both they are columns of their own, the second named
// lat_2.
func (s *Survey) Columns() []Column {
	var columns []Column
	names := newNames()
	for _, source := range s.sources() {
		name := ColumnName(source.headers[0], s.opts.LowerCase)
		if name == "" {
			name = fmt.Sprintf("column_%d", source.position)
		}
		column := Column{Column: bucketload.Column{Name: names.unique(name), From: source.headers}}
		if s.opts.AllText {
			column.Type, column.Evidence = "text", "text as every column, by all_text"
		} else {
			s.judge(source.headers).fill(&column)
		}
		columns = append(columns, column)
	}
	return columns
}

func (s *Survey) judge(headers []string) *tally {
	if len(headers) == 1 {
		return s.tallies[headers[0]]
	}
	sum := newTally(headers[0], s.opts)
	for _, header := range headers {
		sum.merge(s.tallies[header])
	}
	return sum
}

// source is one column to be: the headers that feed it and the 1-based
// position of the first of them in the file where it was found.
type source struct {
	headers  []string
	position int
}

func (s *Survey) sources() []*source {
	shapes := s.Shapes()
	clash := s.clashes(shapes)
	var sources []*source
	byHeader, byName := map[string]*source{}, map[string]*source{}
	for _, shape := range shapes {
		for i, header := range shape.Columns {
			if byHeader[header] != nil {
				continue
			}
			name := fullName(header, s.opts.LowerCase)
			if same := byName[name]; same != nil && !clash[name] {
				same.headers = append(same.headers, header)
				byHeader[header] = same
				continue
			}
			src := &source{headers: []string{header}, position: i + 1}
			byHeader[header], byName[name] = src, src
			sources = append(sources, src)
		}
	}
	return sources
}

// addClashes notes the names that two keys of a record have. The header of a file
// of JSON is the keys of all its records.
func (s *Survey) addClashes(sample Sample) {
	alike := map[string][]int{}
	for i, key := range sample.Header {
		name := fullName(key, s.opts.LowerCase)
		alike[name] = append(alike[name], i)
	}
	for name, fields := range alike {
		if len(fields) < 2 {
			continue
		}
		for _, row := range sample.Rows {
			n := 0
			for _, i := range fields {
				if i < len(row) && (row[i].Quoted || row[i].Text != "") {
					n++
				}
			}
			s.clash[name] = s.clash[name] || n > 1
		}
	}
}

// clashes gives the names that two different headers of one file have.
func (s *Survey) clashes(shapes []Shape) map[string]bool {
	if s.opts.JSON {
		return s.clash
	}
	clash := map[string]bool{}
	for _, shape := range shapes {
		first := map[string]string{}
		for _, header := range shape.Columns {
			name := fullName(header, s.opts.LowerCase)
			if other, ok := first[name]; ok && other != header {
				clash[name] = true
			}
			first[name] = header
		}
	}
	return clash
}
