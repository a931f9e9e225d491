package steps

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/decode"
	"github.com/bucketload/bucketload/internal/infer"
)

// records is the path of a load's records in JSON.
func records(load *bucketload.Load) string { return cmp.Or(load.JSON.Records, "$") }

func (o *opener) openJSON(ctx context.Context, r *reader) (*arrangement, error) {
	fields, arranged, err := o.def.arrangeJSON(r.entry)
	if err != nil {
		return nil, err
	}
	for _, f := range fields {
		r.names = append(r.names, f.Paths[0])
	}
	if err := o.openPlain(ctx, r); err != nil {
		return nil, err
	}
	json, err := decode.NewJSON(r.plain, records(o.def.load), fields, o.def.load.Unknown)
	if err != nil {
		return nil, err
	}
	r.rows = json
	return arranged, nil
}

// arrangeJSON gives the fields that a file's records are read into, and the
// arrangement of these. Records have no header: a column is of the path where
// the layout says so, and a key that a record does not have is NULL.
func (d *definition) arrangeJSON(entry bucketload.Entry) ([]decode.JSONField, *arrangement, error) {
	columns, _ := d.layout.parted(d.load)
	keys := d.layout.keysOf(entry.URI, nil, d.load.LowerCase)
	p := pairing{index: slices.Repeat([]int{-1}, len(columns))}
	var fields []decode.JSONField
	var names []string
	var fromPath []int
	for i, c := range columns {
		if d.ofPath(c) {
			fromPath = append(fromPath, i)
			continue
		}
		p.index[i] = len(fields)
		fields = append(fields, decode.JSONField{Paths: c.Sources(), Raw: c.Type == "json" || c.Type == "jsonb"})
		names = append(names, c.Sources()[0])
	}
	if d.load.Unknown == bucketload.PolicyRescue {
		names = append(names, bucketload.RescueColumn) // which the decoder fills
	}
	for _, i := range fromPath {
		at := slices.IndexFunc(keys, func(k pathKey) bool {
			return slices.ContainsFunc(columns[i].Sources(), func(from string) bool { return sameColumn(from, k.name, d.load.LowerCase) })
		})
		if at < 0 && d.load.Missing != bucketload.PolicyNull {
			return nil, nil, &bucketload.Error{Code: bucketload.CodeNoColumn, Column: columns[i].Name,
				Message: fmt.Sprintf("the path has no key %s=", columns[i].Sources()[0]),
				Hint:    `if it may be absent: missing: "null"; else leave the file out with --exclude`}
		}
		if at >= 0 {
			p.index[i] = len(names) + at
		}
	}
	a := d.arrangement(p, names, keys, entry)
	for i, c := range d.layout.Columns {
		if c.Name == bucketload.RescueColumn && d.load.Unknown == bucketload.PolicyRescue {
			a.index[i] = a.added + len(fields)
		}
	}
	return fields, a, nil
}

// ofPath says whether a column is filled from the files' paths.
func (d *definition) ofPath(c bucketload.Column) bool {
	return slices.ContainsFunc(c.Sources(), func(from string) bool {
		return slices.ContainsFunc(d.layout.Path, func(key string) bool { return sameColumn(from, key, d.load.LowerCase) })
	})
}

// parseJSON reads a sample's records.
func (v *surveyor) parseJSON(s sample) found {
	f := found{Sample: infer.Sample{URI: s.object.URI}}
	var rows [][]bucketload.Field
	f.Header, rows, f.err = decode.SampleJSON(records(v.load), sampleRows, s.head, s.middle, s.tail)
	for _, row := range rows {
		f.Rows = append(f.Rows, values(row))
	}
	return f
}
