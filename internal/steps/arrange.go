package steps

import (
	"slices"
	"strconv"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/table"
)

// arrangement is how a file's rows become rows of the table. What is added to
// the fields of a row stands before them: what the path and the run say, the
// line, and the object of what no column takes.
type arrangement struct {
	index   []int              // number of the field of each column in what row gives; -1: none
	fields  []bucketload.Field // the row: what is added, and from then on the file's fields
	added   int
	line    int // number of the field of the line; -1: none
	rescue  int // and of the rescued values
	unknown []rescued
	number  []byte // buffer of the line
	object  []byte // buffer of the rescued values
}

// rescued is a field that no column takes.
type rescued struct {
	field int
	key   []byte // its header as a key of a JSON object: in quotes, with the colon
}

// arrange finds the columns of a file with this header.
func (d *definition) arrange(header []string, entry bucketload.Entry) (*arrangement, error) {
	columns, _ := d.layout.parted(d.load)
	keys := d.layout.keysOf(entry.URI, header, d.load.LowerCase)
	p := pair(header, keyNames(keys), columns, d.load.LowerCase)
	if err := p.judge(header, columns, d.load); err != nil {
		return nil, err
	}
	return d.arrangement(p, header, keys, entry), nil
}

// arrangement makes the arrangement of a file whose fields have these names,
// where the columns take them, and the keys behind them, as p says.
func (d *definition) arrangement(p pairing, names []string, keys []pathKey, entry bucketload.Entry) *arrangement {
	a := &arrangement{index: make([]int, len(d.layout.Columns)), line: -1, rescue: -1}
	for _, k := range keys {
		a.add(k.value)
	}
	_, own := d.layout.parted(d.load)
	at := map[string]int{}
	for _, c := range own {
		at[c.Name] = a.own(c.Name, d.run, entry)
	}
	if a.rescue >= 0 {
		for _, field := range p.unknown {
			a.unknown = append(a.unknown, rescued{field, append(appendJSON(nil, []byte(names[field])), ':')})
		}
	}
	next := 0 // of the columns in p
	for i, c := range d.layout.Columns {
		field, own := at[c.Name]
		switch {
		case own:
		case p.index[next] < len(names):
			field = p.index[next]
			if field >= 0 {
				field += a.added
			}
			next++
		default:
			field = p.index[next] - len(names)
			next++
		}
		a.index[i] = field
	}
	return a
}

// own adds the field of a column of ours, and gives its number.
func (a *arrangement) own(name, run string, entry bucketload.Entry) int {
	switch name {
	case bucketload.FileColumn:
		return a.add(bucketload.Field{Bytes: []byte(entry.URI), Quoted: true})
	case bucketload.RunColumn:
		return a.add(bucketload.Field{Bytes: []byte(run), Quoted: true})
	case bucketload.LineColumn, table.OrderLine:
		if a.line < 0 {
			a.line = a.add(bucketload.Field{})
		}
		return a.line
	case table.OrderFile:
		return a.add(bucketload.Field{Bytes: strconv.AppendInt(nil, int64(entry.No), 10)})
	}
	a.rescue = a.add(bucketload.Field{})
	return a.rescue
}

func (a *arrangement) add(f bucketload.Field) int {
	a.fields = append(a.fields, f)
	a.added++
	return a.added - 1
}

// row gives a row of the file with what is added, valid until the next call.
func (a *arrangement) row(fields []bucketload.Field, line int64) []bucketload.Field {
	if a.added == 0 {
		return fields
	}
	if a.line >= 0 {
		a.number = strconv.AppendInt(a.number[:0], line, 10)
		a.fields[a.line].Bytes = a.number
	}
	if len(a.unknown) > 0 {
		a.fields[a.rescue].Bytes = a.gather(fields)
	}
	a.fields = append(a.fields[:a.added], fields...)
	return a.fields
}

// gather gives the values that no column takes as a JSON object, by header;
// nothing where there are none.
func (a *arrangement) gather(fields []bucketload.Field) []byte {
	a.object = a.object[:0]
	for _, u := range a.unknown {
		if u.field >= len(fields) || len(fields[u.field].Bytes) == 0 && !fields[u.field].Quoted {
			continue
		}
		separator := byte(',')
		if len(a.object) == 0 {
			separator = '{'
		}
		a.object = append(append(a.object, separator), u.key...)
		a.object = appendJSON(a.object, fields[u.field].Bytes)
	}
	if len(a.object) > 0 {
		a.object = append(a.object, '}')
	}
	return a.object
}

// appendJSON appends text as a JSON string.
func appendJSON(dst, text []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, b := range text {
		switch {
		case b == '"' || b == '\\':
			dst = append(dst, '\\', b)
		case b < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[b>>4], hex[b&15])
		default:
			dst = append(dst, b)
		}
	}
	return append(dst, '"')
}

// ours gives the columns that no file has: bucketload fills them itself.
func ours(load *bucketload.Load) []bucketload.Column {
	var columns []bucketload.Column
	if load.Unknown == bucketload.PolicyRescue {
		columns = append(columns, bucketload.Column{Name: bucketload.RescueColumn, Type: "jsonb"})
	}
	for _, name := range load.Lineage {
		typ := "text"
		if name == bucketload.LineColumn {
			typ = "bigint"
		}
		columns = append(columns, bucketload.Column{Name: name, Type: typ})
	}
	return columns
}

// isOurs says whether a column of that name is one of ours.
func isOurs(load *bucketload.Load, name string) bool {
	return isOrder(name) || slices.ContainsFunc(ours(load), func(c bucketload.Column) bool { return c.Name == name })
}

// parted gives the columns that are filled from files, and ours.
func (l *Layout) parted(load *bucketload.Load) (columns, own []bucketload.Column) {
	for _, c := range l.Columns {
		if isOurs(load, c.Name) {
			own = append(own, c)
		} else {
			columns = append(columns, c)
		}
	}
	return columns, own
}

// keysOf gives the keys in the path of a file that columns are filled from.
func (l *Layout) keysOf(uri string, header []string, lower bool) []pathKey {
	if len(l.Path) == 0 {
		return nil
	}
	keys := slices.DeleteFunc(pathKeys(uri), func(k pathKey) bool { return !slices.Contains(l.Path, k.name) })
	return besides(keys, header, lower)
}
