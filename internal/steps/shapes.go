package steps

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/infer"
)

// Shape is a header that files share, held against the table's columns.
type Shape struct {
	infer.Shape
	Missing []string // columns that it does not have
	Unknown []string // headers that are no column's
	Fails   bool     // its files cannot be loaded
}

// judgeShapes holds the shapes against the columns, and notes which files will
// fail, and what to write to load them.
func (r *Resolution) judgeShapes(load *bucketload.Load, shapes []infer.Shape) {
	columns, _ := r.parted(load)
	var failing int64
	var why error
	var example string
	for _, shape := range shapes {
		if r.Format == bucketload.FormatJSON { // what a record does not have is NULL
			r.Shapes = append(r.Shapes, Shape{Shape: shape})
			continue
		}
		var keys []string
		for _, key := range r.Path {
			if !slices.ContainsFunc(shape.Columns, func(h string) bool { return sameColumn(h, key, load.LowerCase) }) {
				keys = append(keys, key)
			}
		}
		p := r.pair(shape.Columns, keys, columns, load)
		judged := Shape{Shape: shape}
		for _, c := range p.missing {
			judged.Missing = append(judged.Missing, columns[c].Name)
		}
		for _, field := range p.unknown {
			judged.Unknown = append(judged.Unknown, shape.Columns[field])
		}
		if err := p.judge(shape.Columns, columns, load); err != nil {
			judged.Fails = true
			failing += shape.Files
			if why == nil {
				why, example = err, shape.Example
			}
		}
		r.Shapes = append(r.Shapes, judged)
	}
	if failing == 0 {
		return
	}
	files := "files"
	if !r.All {
		files = "sampled files"
	}
	r.Notes = append(r.Notes, fmt.Sprintf("%d of %d %s have other columns than the table, and will fail; one is %s: %s",
		failing, r.Sampled, files, example, bucketload.AsError(why).Message))
	if cures := r.cures(load, columns); len(cures) > 0 {
		r.Notes = append(r.Notes, "to load them: "+strings.Join(cures, "; "))
	}
}

// pair is pair as the format's files are read.
func (r *Resolution) pair(header, keys []string, columns []bucketload.Column, load *bucketload.Load) pairing {
	if r.Format != bucketload.FormatParquet {
		return pair(header, keys, columns, load.LowerCase)
	}
	return pairPaths(header, keys, columns, load.LowerCase)
}

// cures gives the lines of configuration with which the shapes that fail could
// be loaded: other names for a column, where a shape has a similar header in
// its place, then policies for what remains.
func (r *Resolution) cures(load *bucketload.Load, columns []bucketload.Column) []string {
	var cures []string
	missing, unknown := false, false
	said := map[string]bool{}
	for _, shape := range r.Shapes {
		if !shape.Fails {
			continue
		}
		renamed := map[string]bool{}
		for _, name := range shape.Missing {
			c := columns[slices.IndexFunc(columns, func(c bucketload.Column) bool { return c.Name == name })]
			header := similar(c, slices.DeleteFunc(slices.Clone(shape.Unknown), func(h string) bool { return renamed[h] }))
			if header == "" {
				missing = true
				continue
			}
			renamed[header] = true
			if line := fmt.Sprintf("columns: {%s: {from: %s}}", name, onOneLine(append(slices.Clone(c.Sources()), header))); !said[line] {
				said[line] = true
				cures = append(cures, line)
			}
		}
		unknown = unknown || len(shape.Unknown) > len(renamed)
	}
	if unknown && load.Unknown != bucketload.PolicyIgnore && load.Unknown != bucketload.PolicyRescue {
		cures = append(cures, "unknown: add, rescue or ignore")
	}
	if missing && load.Missing != bucketload.PolicyNull {
		cures = append(cures, `missing: "null"`)
	}
	return cures
}

// onOneLine writes a list as YAML does on one line.
func onOneLine(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = name
		if strings.ContainsFunc(name, func(c rune) bool {
			return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_'
		}) {
			quoted[i] = fmt.Sprintf("%q", name)
		}
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// similar gives the one header that is spelt like a source of the column:
// differing in case, blanks and marks, in a letter out of four at most, or by
// being cut short. It is empty where there is none, or several.
func similar(c bucketload.Column, headers []string) string {
	found := ""
	for _, h := range headers {
		if slices.ContainsFunc(c.Sources(), func(from string) bool { return alikeNames(from, h) }) {
			if found != "" {
				return ""
			}
			found = h
		}
	}
	return found
}

func alikeNames(a, b string) bool {
	const shortest = 3 // letters that say anything
	a, b = letters(a), letters(b)
	if len(a) > len(b) {
		a, b = b, a
	}
	return len(a) >= shortest && (strings.HasPrefix(b, a) || 4*distance(a, b) <= len(b))
}

// letters is a name without what is spelt differently at every turn.
func letters(name string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c > 127 {
			return c
		}
		return -1
	}, strings.ToLower(name))
}

// distance is how many bytes have to be changed, put in or taken out
// (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
