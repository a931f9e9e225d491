package steps

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/infer"
	"github.com/bucketload/bucketload/internal/table"
)

// pairing is which fields of a file the columns take.
type pairing struct {
	index   []int // number of the field of each column; -1: none
	missing []int // numbers of the columns that have none
	unknown []int // numbers of the header's fields that no column takes
}

// pair finds the fields of the columns in a file with this header: by the very
// name, or else of those that no column has by its very name one that gives the
// same column name, without blanks around it and, where names are lower-cased,
// in either case. keys are further names that stand behind the header's; none
// of them is unknown.
func pair(header, keys []string, columns []bucketload.Column, lower bool) pairing {
	names := append(slices.Clip(header), keys...)
	p := pairing{index: make([]int, len(columns))}
	used := make([]bool, len(names))
	for i, c := range columns {
		if p.index[i] = named(names, c); p.index[i] >= 0 {
			used[p.index[i]] = true
		}
	}
	for i, c := range columns {
		if p.index[i] >= 0 {
			continue
		}
		if p.index[i] = alike(names, used, c, lower); p.index[i] < 0 {
			p.missing = append(p.missing, i)
			continue
		}
		used[p.index[i]] = true
	}
	for i := range header {
		if !used[i] {
			p.unknown = append(p.unknown, i)
		}
	}
	return p
}

// judge is why a file with this header cannot be loaded under the load's
// policies. A file that has none of the columns is most likely none of the
// table's, or not read as it is meant.
func (p pairing) judge(header []string, columns []bucketload.Column, load *bucketload.Load) error {
	found := func(field int) bool { return field >= 0 && field < len(header) }
	none := len(columns) > 0 && len(header) > 0 && !slices.ContainsFunc(p.index, found)
	if len(p.missing) > 0 && (none || load.Missing != bucketload.PolicyNull) {
		e := &bucketload.Error{Code: bucketload.CodeNoColumn, Column: columns[p.missing[0]].Name,
			Message: "the header has no " + listed(p.columns(columns)),
			Hint:    "if the file names it otherwise: columns: {name: {from: [ONE, OTHER]}}; if it may be absent: missing: \"null\"; else leave the file out with --exclude"}
		if none {
			e.Message = fmt.Sprintf("the header has none of the table's columns, only %s", listed(quotedNames(header)))
			e.Hint = "check csv: {delimiter, skip_head, header}, or leave the file out with --exclude"
		}
		return e
	}
	if len(p.unknown) > 0 && (load.Unknown == bucketload.PolicyFail || load.Unknown == bucketload.PolicyAdd || load.Unknown == "") {
		return &bucketload.Error{Code: bucketload.CodeNewColumn, Value: bucketload.Excerpt([]byte(header[p.unknown[0]]), maxValue),
			Message: fmt.Sprintf("the header has %s, and the table has no column for it", listed(p.headers(header))),
			Hint:    "add it under columns:; or write unknown: ignore, add or rescue; or leave the file out with --exclude"}
	}
	return nil
}

// columns gives the sources of the columns that are missing, in quotes.
func (p pairing) columns(columns []bucketload.Column) []string {
	names := make([]string, len(p.missing))
	for i, c := range p.missing {
		names[i] = columns[c].Sources()[0]
	}
	return quotedNames(names)
}

// headers gives the headers that are unknown, in quotes.
func (p pairing) headers(header []string) []string {
	names := make([]string, len(p.unknown))
	for i, field := range p.unknown {
		names[i] = header[field]
	}
	return quotedNames(names)
}

func quotedNames(names []string) []string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = fmt.Sprintf("%q", name)
	}
	return quoted
}

// listed is a list for a message, not too long.
func listed(names []string) string {
	const most = 6
	if len(names) <= most+1 {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

func named(header []string, c bucketload.Column) int {
	for _, from := range c.Sources() {
		if i := slices.Index(header, from); i >= 0 {
			return i
		}
	}
	return -1
}

func alike(header []string, used []bool, c bucketload.Column, lower bool) int {
	for _, from := range c.Sources() {
		name := infer.ColumnName(from, lower)
		for i, h := range header {
			if !used[i] && infer.ColumnName(h, lower) == name {
				return i
			}
		}
	}
	return -1
}

// match is pair for a file that must have every column and no other.
func match(header []string, columns []bucketload.Column, lower bool) ([]int, error) {
	p := pair(header, nil, columns, lower)
	return p.index, p.judge(header, columns, &bucketload.Load{})
}

// shownCut is how many names that were cut a note has.
const shownCut = 5

// noteCut says which new columns have only the beginning of their headers as names.
func (r *Resolution) noteCut(load *bucketload.Load, live *table.Live, inferred []infer.Column) {
	var cut []string
	for _, in := range inferred {
		named := slices.ContainsFunc(load.Columns, func(c bucketload.Column) bool { return c.Name == in.Name })
		if infer.IsCut(in.From[0], load.LowerCase) && r.has(in.Name) && !named && liveColumn(live, in.Name) == nil {
			cut = append(cut, fmt.Sprintf("%q of %q", in.Name, bucketload.Excerpt([]byte(in.From[0]), 200)))
		}
	}
	if n := len(cut); n > 0 {
		if n > shownCut {
			cut = append(cut[:shownCut], fmt.Sprintf("and so on, %d in all", n))
		}
		r.Notes = append(r.Notes, "columns are named by the first 63 bytes of their headers, which is what Postgres keeps: "+strings.Join(cut, ", ")+"; name them under columns: to have other names")
	}
}
