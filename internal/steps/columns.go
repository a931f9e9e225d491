package steps

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/infer"
	"github.com/bucketload/bucketload/internal/table"
)

// Layout is how a run's files become rows of its table. The ledger keeps it.
type Layout struct {
	Format  bucketload.Format   `json:"format,omitempty"` // CSV where it is empty
	CSV     bucketload.CSV      `json:"csv"`              // the dialect, with nothing left to be found out
	Columns []bucketload.Column `json:"columns"`          // that are filled by the load: Type is set, and From unless bucketload fills them itself
	Path    []string            `json:"path,omitempty"`   // keys of the objects' paths that columns are filled from

	Keys   []table.Key `json:"keys,omitempty"`   // what the table's unique indexes will be on
	Checks []string    `json:"checks,omitempty"` // build steps that are done from the start, so that a row which breaks one is found by itself
}

// filled gives the names of the columns that the load fills.
func (l *Layout) filled() []string {
	var names []string
	for _, c := range l.Columns {
		names = append(names, c.Name)
	}
	return names
}

// Resolution is a layout with the table it fills and the evidence for both.
type Resolution struct {
	Layout
	Table           []table.Column // of the new table, in order
	Origin          string         // configuration, live table or samples
	DialectEvidence string
	Shapes          []Shape
	Sampled         int               // files
	All             bool              // and they are all that there are
	Inflation       float64           // bytes that a byte of the objects becomes when decompressed
	Evidence        map[string]string // by column name
	Sentinels       map[string]infer.Column
	Notes           []string // what a person should know before loading
}

// resolve finds out columns and dialect from the configuration, the live table
// and the objects, in this order. It looks into the objects given, which are
// spread over all, and into all of them only where the load needs it, or they
// are to be counted.
func (s *Steps) resolve(ctx context.Context, load *bucketload.Load, live *table.Live, objects []bucketload.Object, all population) (*Resolution, error) {
	r, err := s.fromFiles(ctx, load, live, objects, all)
	if err != nil {
		return nil, err
	}
	if err := r.related(load, live); err != nil {
		return nil, err
	}
	return r, table.CheckTypes(ctx, s.Pool, r.Table)
}

// related refuses to replace a table by what has not one column of it, unless
// the configuration says so: the files are most likely not the table's, or not
// read as they are meant.
func (r *Resolution) related(load *bucketload.Load, live *table.Live) error {
	if r.Origin != "samples" || load.Mode != bucketload.ModeReplace || live == nil || len(live.Columns) == 0 || len(r.Table) == 0 {
		return nil
	}
	names := make([]string, len(r.Table))
	for i, c := range r.Table {
		if liveColumn(live, c.Name) != nil {
			return nil
		}
		names[i] = c.Name
	}
	return &bucketload.Error{Op: "prepare", Code: bucketload.CodeConflict,
		Message: fmt.Sprintf("the files have none of the columns of %s, only %s", load.Table, bucketload.Excerpt([]byte(strings.Join(names, ", ")), 200)),
		Hint:    "check the files and csv.delimiter; if the table is to be another one from now on, name its columns: under columns:"}
}

// fromFiles is resolve without asking the database about types.
func (s *Steps) fromFiles(ctx context.Context, load *bucketload.Load, live *table.Live, objects []bucketload.Object, all population) (*Resolution, error) {
	r := &Resolution{Layout: Layout{CSV: load.CSV}, Inflation: 1, Evidence: map[string]string{}, Sentinels: map[string]infer.Column{}}
	rows := sampleRows
	if !all.shown && typed(load) {
		rows = headerRows
	}
	v, err := s.investigate(ctx, load, objects, r, rows)
	if err != nil {
		return nil, err
	}
	if load.Unknown == bucketload.PolicyAdd {
		if err := v.rest(ctx, all.each, objects); err != nil {
			return nil, err
		}
	}
	paths, err := surveyPaths(ctx, load, objects, all.each)
	if err != nil {
		return nil, err
	}
	shapes, inferred := v.survey.Shapes(), v.columns()
	r.Sampled, r.All = int(v.files), load.Unknown == bucketload.PolicyAdd || int64(len(objects)) >= all.files
	keys, rare := paths.columns(inferred, load)
	for _, name := range rare {
		r.Notes = append(r.Notes, fmt.Sprintf("%d of %d files have the key %s= in their path, and no column for it is made; name it under columns: to have one", paths.with[name], paths.files, name))
	}
	if err := r.choose(load, live, shapes, inferred, keys); err != nil {
		return nil, err
	}
	if len(r.Table) == 0 && v.headless != nil {
		return nil, v.headless
	}
	if len(r.Table) == 0 {
		return nil, &bucketload.Error{Op: "prepare", Code: bucketload.CodeHeader, Message: "no file has anything in it to take columns from",
			Hint: "name all of them with their types: --set 'columns={id: bigint, name: text}', or columns: in the configuration"}
	}
	columns, _ := r.parted(load)
	r.Path = paths.used(columns, r.Format, inferred, load)
	if all.counted && !r.All && r.Format != bucketload.FormatJSON { // whose records have no header
		every := s.surveyor(load, r.Format, r.CSV)
		every.rows = headerRows
		if err := every.rest(ctx, all.each, nil); err != nil {
			return nil, err
		}
		shapes, r.Sampled, r.All = every.survey.Shapes(), int(every.files), true
	}
	r.judgeShapes(load, shapes)
	return r, nil
}

// typed says whether no value in a CSV can change the table: its columns have
// their types.
func typed(load *bucketload.Load) bool {
	untyped := func(c bucketload.Column) bool { return c.Type == "" }
	return load.Unknown != bucketload.PolicyAdd && (load.AllText || len(given(load)) > 0 && !slices.ContainsFunc(load.Columns, untyped))
}

// choose sets Columns and Table. keys are the columns that paths make.
func (r *Resolution) choose(load *bucketload.Load, live *table.Live, shapes []infer.Shape, inferred, keys []infer.Column) error {
	both := slices.Concat(inferred, keys)
	for _, c := range both {
		if len(c.Sentinels) > 0 {
			r.Sentinels[c.Name] = c
		}
	}
	switch {
	case len(load.Columns) > 0 && !load.ColumnsOverride:
		r.Origin = "configuration"
		r.fromConfiguration(load, live, both)
	case live != nil && !load.AllText && fits(live, both, load):
		r.Origin = "live table"
		r.fromLive(load, live, both)
	default:
		r.Origin = "samples"
		wanted := inferred
		if r.Format != bucketload.FormatJSON { // whose records need not have all keys
			wanted = mostCommon(load, shapes, inferred)
		}
		r.fromSamples(load, slices.Concat(wanted, keys))
	}
	if load.Unknown == bucketload.PolicyAdd {
		r.addUnknown(load, shapes, inferred)
	}
	r.noteCut(load, live, both)
	if len(r.Table) > 0 {
		if err := r.addOurs(load); err != nil {
			return err
		}
	}
	if r.Origin != "live table" && live != nil && load.Mode == bucketload.ModeReplace {
		r.carry(live)
	}
	return nil
}

// addUnknown adds the columns that files have and the table would not.
func (r *Resolution) addUnknown(load *bucketload.Load, shapes []infer.Shape, inferred []infer.Column) {
	columns, _ := r.parted(load)
	unknown := map[string]bool{}
	for _, shape := range shapes {
		p := r.pair(shape.Columns, nil, columns, load)
		if len(p.missing) == len(columns) {
			continue // most likely none of the table's files
		}
		for _, field := range p.unknown {
			unknown[shape.Columns[field]] = true
		}
	}
	for _, in := range inferred {
		if slices.ContainsFunc(in.From, func(h string) bool { return unknown[h] }) && !r.has(in.Name) {
			r.add(in.Column, in.Evidence)
		}
	}
}

// has says whether the table has a column of that name.
func (r *Resolution) has(name string) bool {
	return slices.ContainsFunc(r.Table, func(c table.Column) bool { return c.Name == name })
}

// addOurs adds the columns that bucketload fills itself.
func (r *Resolution) addOurs(load *bucketload.Load) error {
	for _, c := range ours(load) {
		evidence, what := "by lineage", "lineage: has"
		if c.Name == bucketload.RescueColumn {
			evidence, what = "by unknown: rescue", "unknown: rescue makes"
		}
		at := slices.IndexFunc(r.Columns, func(o bucketload.Column) bool { return o.Name == c.Name })
		if at >= 0 && len(r.Columns[at].From) > 0 {
			return &bucketload.Error{Op: "prepare", Code: bucketload.CodeUsage, Column: c.Name,
				Message: fmt.Sprintf("%s a column %s, and there is one that is read from files", what, c.Name),
				Hint:    fmt.Sprintf("name that one otherwise: columns: {source%s: {from: %s}}", c.Name, r.Columns[at].From[0])}
		}
		if at < 0 {
			r.add(c, "")
		}
		r.Evidence[c.Name] = "filled by bucketload, " + evidence
	}
	return nil
}

// carry gives the new table what the live one has on columns of the same name,
// but for generation: those columns are filled from files.
func (r *Resolution) carry(live *table.Live) {
	r.Table = table.Carry(r.Table, live)
	for i, c := range r.Table {
		if c.Generated {
			r.Table[i].Generated, r.Table[i].Default = false, ""
			r.Notes = append(r.Notes, fmt.Sprintf("column %q of the live table is generated, and will be read from files", c.Name))
		}
	}
	for _, c := range live.Columns {
		if !slices.ContainsFunc(r.Table, func(n table.Column) bool { return n.Name == c.Name }) {
			r.Notes = append(r.Notes, fmt.Sprintf("column %q of the live table will be gone: %s", c.Name, r.absent()))
		}
	}
}

// mostCommon gives the inferred columns that most of the files have, and where
// columns are added those of any file that has one of these. What becomes of
// other files is for the policies to say: they do not change the table.
func mostCommon(load *bucketload.Load, shapes []infer.Shape, inferred []infer.Column) []infer.Column {
	set := func(headers []string) []string {
		names := make([]string, len(headers))
		for i, h := range headers {
			names[i] = infer.ColumnName(h, load.LowerCase)
			if by := slices.IndexFunc(load.Columns, func(c bucketload.Column) bool { return slices.Contains(c.From, h) }); by >= 0 {
				names[i] = load.Columns[by].Name
			}
		}
		slices.Sort(names)
		return names
	}
	var most []string
	files := map[string]int64{} // by the set of columns, in any order
	for _, shape := range shapes {
		names := set(shape.Columns)
		key := fmt.Sprintf("%q", names)
		if files[key] += shape.Files; files[key] > files[fmt.Sprintf("%q", most)] {
			most = names
		}
	}
	wanted := slices.Clone(most)
	for _, shape := range shapes {
		names := set(shape.Columns)
		if load.Unknown == bucketload.PolicyAdd && slices.ContainsFunc(names, func(name string) bool { return slices.Contains(most, name) }) {
			wanted = append(wanted, names...)
		}
	}
	return slices.DeleteFunc(slices.Clone(inferred), func(c infer.Column) bool {
		return !slices.ContainsFunc(set(c.From), func(name string) bool { return slices.Contains(wanted, name) })
	})
}

// fromSamples takes the inferred columns as the configuration changes them.
// Several of them become one where it names them as sources of one.
func (r *Resolution) fromSamples(load *bucketload.Load, inferred []infer.Column) {
	done := map[int]int{} // an override's number: its column's
	named := spellingsOf(inferred)
	for _, in := range inferred {
		c, by := override(in.Column, load)
		if at, again := done[by]; again && by >= 0 {
			if first := &r.Columns[at]; load.Columns[by].Type == "" && first.Type != in.Type {
				first.Type, r.Table[at].Type = "text", "text"
				r.Evidence[first.Name] = "its sources have different types"
			}
			continue
		}
		done[by] = len(r.Columns)
		c.From = r.spelt(c, load, named)
		r.add(c, in.Evidence)
	}
	for i, c := range load.Columns {
		if _, ok := done[i]; !ok {
			r.Notes = append(r.Notes, fmt.Sprintf("columns: names %q, and no sampled file has it", c.Name))
		}
	}
}

func (r *Resolution) absent() string {
	if r.Origin == "configuration" {
		return "columns: does not name it"
	}
	return "no header names it"
}

// add appends a column that files fill.
func (r *Resolution) add(c bucketload.Column, evidence string) {
	r.Columns = append(r.Columns, c)
	r.Table = append(r.Table, table.Column{Name: c.Name, Type: c.Type})
	r.Evidence[c.Name] = evidence
}

func (r *Resolution) fromConfiguration(load *bucketload.Load, live *table.Live, inferred []infer.Column) {
	named := spellingsOf(inferred)
	for _, c := range load.Columns {
		evidence := "as configured"
		if load.AllText {
			c.Type, evidence = "text", "all_text"
		}
		if i := indexOf(inferred, c, load.LowerCase); c.Type == "" && i >= 0 {
			c.Type, evidence = inferred[i].Type, inferred[i].Evidence
		}
		if l := liveColumn(live, c.Name); l != nil && c.Type == "" {
			c.Type, evidence = l.Type, "as in the live table"
		}
		if c.Type == "" {
			c.Type, evidence = "text", "no sampled file has it"
		}
		c.From = r.spelt(c, load, named)
		r.add(c, evidence)
	}
}

// spelt gives the sources of a column. Keys of JSON are looked up as they are
// written, so where names are in lower case those count, too, that samples have
// in another case, unless they are another column's.
func (r *Resolution) spelt(c bucketload.Column, load *bucketload.Load, named spellings) []string {
	from := slices.Clone(c.Sources())
	if r.Format != bucketload.FormatJSON || !load.LowerCase {
		return from
	}
	for _, source := range c.Sources() {
		alike := named[infer.ColumnName(source, true)]
		if alike.several {
			continue // records have both
		}
		for _, key := range alike.keys {
			named := slices.ContainsFunc(load.Columns, func(o bucketload.Column) bool { return slices.Contains(o.Sources(), key) })
			if !named && !slices.Contains(from, key) {
				from = append(from, key)
			}
		}
	}
	return from
}

// spellings are the keys of inferred columns by the name that they have in
// common, and whether they are those of several columns.
type spellings map[string]struct {
	keys    []string
	column  int
	several bool
}

func spellingsOf(inferred []infer.Column) spellings {
	s := spellings{}
	for i, in := range inferred {
		for _, key := range in.From {
			name := infer.ColumnName(key, true)
			alike := s[name]
			alike.several = alike.several || alike.keys != nil && alike.column != i
			alike.keys, alike.column = append(alike.keys, key), i
			s[name] = alike
		}
	}
	return s
}

// fits says whether the files have what the live table needs, a header of its
// own for every column that the database does not fill by itself, and the
// configuration names no other column. Files without a header fit any table.
func fits(live *table.Live, inferred []infer.Column, load *bucketload.Load) bool {
	if slices.ContainsFunc(load.Columns, func(o bucketload.Column) bool { return liveColumn(live, o.Name) == nil }) {
		return false
	}
	taken, found := map[int]bool{}, len(inferred) == 0
	for _, l := range live.Columns {
		c, by := override(bucketload.Column{Name: l.Name}, load)
		i := indexOf(inferred, c, load.LowerCase)
		absent := i < 0 && load.Missing != bucketload.PolicyNull && !isOurs(load, l.Name)
		if len(inferred) > 0 && !l.Filled() && (absent || i >= 0 && by < 0 && taken[i]) {
			return false
		}
		taken[i] = i >= 0
		found = found || i >= 0
	}
	return found && len(live.Columns) > 0
}

func (r *Resolution) fromLive(load *bucketload.Load, live *table.Live, inferred []infer.Column) {
	named := spellingsOf(inferred)
	for _, l := range live.Columns {
		c, _ := override(bucketload.Column{Name: l.Name}, load)
		i := indexOf(inferred, c, load.LowerCase)
		if c.Type != "" {
			l.Type = c.Type
		}
		r.Table = append(r.Table, l)
		if isOurs(load, l.Name) && i < 0 {
			r.Columns = append(r.Columns, bucketload.Column{Name: l.Name, Type: l.Type})
			continue
		}
		if i < 0 && l.Filled() || l.Generated {
			r.Evidence[l.Name] = "filled by the database, as in the live table"
			continue
		}
		if c.From == nil {
			c.From = c.Sources()
			if i >= 0 {
				c.From = inferred[i].From
			}
		}
		c.From = r.spelt(c, load, named)
		c.Type = l.Type
		r.Columns = append(r.Columns, c)
		r.Evidence[l.Name] = "as in the live table"
	}
}

// override gives the column as the configuration changes it, and the number of
// the configured column that does; -1 where none does.
func override(c bucketload.Column, load *bucketload.Load) (bucketload.Column, int) {
	by := slices.IndexFunc(load.Columns, func(o bucketload.Column) bool {
		return slices.ContainsFunc(o.From, func(from string) bool {
			return slices.ContainsFunc(c.From, func(header string) bool {
				return infer.ColumnName(header, load.LowerCase) == infer.ColumnName(from, load.LowerCase)
			})
		})
	})
	if by < 0 {
		by = slices.IndexFunc(load.Columns, func(o bucketload.Column) bool { return o.Name == c.Name && (len(o.From) == 0 || len(c.From) == 0) })
	}
	if by < 0 {
		return c, by
	}
	o := load.Columns[by]
	o.From = slices.Clone(o.From)
	if len(o.From) == 0 {
		o.From = c.From
	}
	if o.Type == "" || load.AllText {
		o.Type = c.Type
	}
	return o, by
}

// indexOf finds the inferred column that a column takes its values from.
func indexOf(inferred []infer.Column, c bucketload.Column, lower bool) int {
	for _, from := range c.Sources() {
		if i := slices.IndexFunc(inferred, func(in infer.Column) bool { return slices.Contains(in.From, from) }); i >= 0 {
			return i
		}
		name := infer.ColumnName(from, lower)
		if i := slices.IndexFunc(inferred, func(in infer.Column) bool { return in.Name == name }); i >= 0 {
			return i
		}
	}
	return -1
}

func liveColumn(live *table.Live, name string) *table.Column {
	if live == nil {
		return nil
	}
	for i := range live.Columns {
		if live.Columns[i].Name == name {
			return &live.Columns[i]
		}
	}
	return nil
}
