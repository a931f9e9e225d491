package steps

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
)

// Cause is what a number of a run's rejects have in common.
type Cause struct {
	Code    bucketload.Code `json:"code"`
	Column  string          `json:"column"`
	Message string          `json:"message"` // the first one's
	Hint    string          `json:"hint"`
	Rows    int64           `json:"rows"`
	Files   int64           `json:"files"`
	Values  []string        `json:"values"` // up to maxValues different ones, in the order of the rows
	Example Example         `json:"example"`
	Cures   []Cure          `json:"cures"` // the likelier first
}

// Example is the first row of a cause.
type Example struct {
	URI   string `json:"uri"`
	Line  int64  `json:"line"`
	Value string `json:"value"`
	Raw   string `json:"raw"` // the beginning of the row
}

// Cure is a line of configuration under which every row of a cause could be
// loaded, as far as that cause goes.
type Cure struct {
	Line string `json:"line"`
	Then string `json:"then"` // CureReplay or CureLoad
}

// What makes a cure work.
const (
	CureReplay = "replay" // of the rejects
	CureLoad   = "load"   // of everything: the table changes, or where rows begin and end
)

const (
	maxValues  = 20   // different values that a cause names
	maxCauses  = 1000 // kinds of rejects that are told apart by their messages
	rawExcerpt = 200  // bytes of a row that an example shows
)

// Causes groups the rows of a run that are still not loaded by their cause,
// those with most rows first.
func (s *Steps) Causes(ctx context.Context, run string) ([]*Cause, error) {
	r, err := s.Ledger.Run(ctx, run)
	if err != nil {
		return nil, err
	}
	var layout Layout
	if _, err := s.Ledger.Columns(ctx, run, &layout); err != nil {
		return nil, err
	}
	c := newCauses(layout.Columns)
	c.merges = r.Load.Mode.Merges()
	if c.kept, err = s.kept(ctx, r.Load); err != nil {
		return nil, err
	}
	err = s.Ledger.Rejects(ctx, run, rawExcerpt+1, func(r *ledger.Rejected) error { c.add(r); return nil })
	return c.list(), err
}

// causes gathers rejects by their cause.
type causes struct {
	columns map[string]bucketload.Column
	kept    *bucketload.TableName // the live table whose columns' types no configuration changes; nil: it does
	merges  bool                  // rows that come later are no replay's
	by      map[causeKey]*gathered
	order   []*gathered
}

// causeKey is what the rejects of a cause have in common.
type causeKey struct {
	code    bucketload.Code
	column  string
	message string // without what is the row's own
}

// gathered is a cause and what may still cure all of its rows.
type gathered struct {
	Cause
	seen       map[string]bool // the values named
	more       bool            // there are others
	file       int             // of the last row
	candidates []*candidate
}

func newCauses(columns []bucketload.Column) *causes {
	c := &causes{columns: map[string]bucketload.Column{}, by: map[causeKey]*gathered{}}
	for _, column := range columns {
		c.columns[column.Name] = column
	}
	return c
}

func (c *causes) add(r *ledger.Rejected) {
	key := causeKey{r.Code, r.Column, common(r.Message, r.Value)}
	if c.by[key] == nil && len(c.by) >= maxCauses {
		key.message = ""
	}
	g := c.by[key]
	if g == nil {
		column, ok := c.columns[r.Column]
		if !ok {
			column.Name = r.Column
		}
		g = &gathered{seen: map[string]bool{}, file: -1, candidates: c.candidates(r.Code, column)}
		g.Code, g.Column, g.Message, g.Hint = r.Code, r.Column, r.Message, r.Hint
		_, row := Texts(r)
		g.Example = Example{r.URI, r.Line, r.Value, bucketload.Excerpt(row, rawExcerpt)}
		c.by[key] = g
		c.order = append(c.order, g)
	}
	g.Rows++
	if r.File != g.file {
		g.file = r.File
		g.Files++
	}
	if !g.seen[r.Value] {
		if g.more = g.more || len(g.Values) == maxValues; !g.more {
			g.seen[r.Value] = true
			g.Values = append(g.Values, r.Value)
		}
	}
	g.candidates = slices.DeleteFunc(g.candidates, func(c *candidate) bool { return !c.takes(r) })
}

func (c *causes) list() []*Cause {
	list := make([]*Cause, len(c.order))
	for i, g := range c.order {
		g.Cures = g.propose()
		list[i] = &g.Cause
	}
	slices.SortStableFunc(list, func(a, b *Cause) int { return cmp.Compare(b.Rows, a.Rows) })
	return list
}

var (
	sqlstate = regexp.MustCompile(`\(SQLSTATE \w{5}\)`)
	// A number by itself is the row's own, one with letters or in parentheses a type's.
	ownNumber = regexp.MustCompile(`(^|\s)[0-9]+(\s|[,;:.]|$)`)
)

// common is a message without what is the row's own: the value, numbers, and
// what the server tells in detail or decode cites.
func common(message, value string) string {
	if at := sqlstate.FindStringIndex(message); at != nil {
		message = message[:at[1]]
	} else if value == "" {
		message, _, _ = strings.Cut(message, ": ")
	}
	if value != "" {
		message = strings.ReplaceAll(message, strconv.Quote(value), "…")
		message = strings.ReplaceAll(message, `"`+value+`"`, "…")
	}
	return ownNumber.ReplaceAllString(message, "${1}N$2")
}
