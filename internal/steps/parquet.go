package steps

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/decode"
	"github.com/bucketload/bucketload/internal/source"
)

// ranged reads an object by ranges. The decoder reads ahead, so that each is
// worth a request.
type ranged struct {
	ctx    context.Context
	store  *source.Store
	object bucketload.Object
	report func(n int)
}

// ReadAt implements io.ReaderAt.
func (r ranged) ReadAt(p []byte, off int64) (int, error) {
	body, err := r.store.OpenRange(r.ctx, r.object, off, int64(len(p)))
	if err != nil {
		return 0, err
	}
	defer body.Close() //nolint:errcheck // only read from
	n, err := io.ReadFull(body, p)
	r.report(n)
	if err == io.ErrUnexpectedEOF { //nolint:errorlint // io.ReadFull's own
		err = io.EOF
	}
	return n, err
}

// openParquet has the decoder read the columns that the table takes, and no
// other.
func (o *opener) openParquet(ctx context.Context, r *reader) (*arrangement, error) {
	if r.entry.Size == 0 {
		r.rows = nothing{}
		return nil, io.EOF
	}
	file, err := decode.NewParquet(ranged{ctx, o.def.store, r.entry.Object, o.report}, r.entry.Size)
	if err != nil {
		return nil, err
	}
	r.rows, r.parquet = file, file
	for _, c := range file.Columns() {
		r.names = append(r.names, c.Name)
	}
	fields, arranged, err := o.def.arrangeParquet(r.names, r.entry)
	if err != nil {
		return nil, err
	}
	if o.takes != nil {
		arranged.binary(fields, o.takes)
	}
	return arranged, file.Select(fields)
}

// arrangeParquet gives the fields that are read of a file with these columns,
// and the arrangement of these.
func (d *definition) arrangeParquet(header []string, entry bucketload.Entry) ([]decode.ParquetField, *arrangement, error) {
	columns, _ := d.layout.parted(d.load)
	keys := d.layout.keysOf(entry.URI, header, d.load.LowerCase)
	all := append(slices.Clip(header), inside(header, columns)...)
	p := pairPaths(header, keyNames(keys), columns, d.load.LowerCase)
	if err := p.judge(all, columns, d.load); err != nil {
		return nil, nil, err
	}
	selected, fields := selection(p, all, columns, d.load)
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Path
	}
	return fields, d.arrangement(selected, names, keys, entry), nil
}

// binary asks for the fields that one column takes in the binary form of its type.
func (a *arrangement) binary(fields []decode.ParquetField, takes func(column int) string) {
	columns := make([]int, len(fields))
	for _, field := range a.index {
		if field >= a.added {
			columns[field-a.added]++
		}
	}
	for i, field := range a.index {
		if field >= a.added && columns[field-a.added] == 1 {
			fields[field-a.added].Binary = takes(i)
		}
	}
}

// inside gives the paths into structs that columns are read from: a.b where
// there is a column a and none a.b.
func inside(names []string, columns []bucketload.Column) []string {
	var paths []string
	for _, c := range columns {
		for _, from := range c.Sources() {
			if !slices.Contains(names, from) && slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(from, name+".") }) {
				paths = append(paths, from)
			}
		}
	}
	return paths
}

// pairPaths is pair for the columns of a schema: behind them stand the paths
// inside of them that columns are read from, and then the keys. A column that
// such a path leads into is not unknown.
func pairPaths(names, keys []string, columns []bucketload.Column, lower bool) pairing {
	paths := inside(names, columns)
	p := pair(append(slices.Clip(names), paths...), keys, columns, lower)
	p.unknown = slices.DeleteFunc(p.unknown, func(field int) bool {
		return field >= len(names) || slices.ContainsFunc(paths, func(path string) bool { return strings.HasPrefix(path, names[field]+".") })
	})
	return p
}

// selection gives what is to be read of a file: a field for each column that
// the file has, as its type wants it, and one for each column of the file that
// is to be rescued; and the pairing with these fields.
func selection(p pairing, names []string, columns []bucketload.Column, load *bucketload.Load) (selected pairing, fields []decode.ParquetField) {
	selected.index = slices.Repeat([]int{-1}, len(columns))
	for i, field := range p.index {
		if field >= 0 && field < len(names) {
			selected.index[i] = len(fields)
			fields = append(fields, decode.ParquetField{Path: names[field], Type: columns[i].Type})
		}
	}
	if load.Unknown == bucketload.PolicyRescue {
		for _, field := range p.unknown {
			selected.unknown = append(selected.unknown, len(fields))
			fields = append(fields, decode.ParquetField{Path: names[field]})
		}
	}
	for i, field := range p.index {
		if field >= len(names) {
			selected.index[i] = len(fields) + field - len(names)
		}
	}
	return selected, fields
}

// nothing is the rows of an empty file.
type nothing struct{}

func (nothing) Next() ([]bucketload.Field, error) { return nil, io.EOF }
func (nothing) Broken() bool                      { return true }
func (nothing) Line() int64                       { return 0 }
func (nothing) Offset() int64                     { return 0 }
func (nothing) Raw() []byte                       { return nil }
