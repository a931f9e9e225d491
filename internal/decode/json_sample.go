package decode

import (
	"bytes"
	"errors"
	"io"
	"slices"

	"github.com/bucketload/bucketload"
)

// ErrCut is of a sample that ends before its first record does.
var ErrCut = errors.New("no record ends in what was read of the file")

// SampleJSON reads up to most records from the beginning of a file, and as many
// from each of its other pieces, which begin and end anywhere and count only
// where the file has a record on each line. names are the paths of the columns:
// the top-level keys of all these records in order of their first appearance,
// column_1 ... of arrays, value of what is neither; every row has a field for
// each name, nothing where the record does not have it. head and pieces may end
// in the middle of a record; records with errors are passed over. The error is
// the first one where there is no good record, io.EOF where there is none at
// all, and it is ErrCut, too, where head ends before a record does.
func SampleJSON(records string, most int, head []byte, pieces ...[]byte) (names []string, rows [][]bucketload.Field, err error) {
	j, err := NewJSON(bytes.NewReader(head), records, nil, jsonGrow)
	if err != nil {
		return nil, nil, err
	}
	rows, err = j.sample(rows, most)
	if j.form == jsonLines {
		for _, piece := range pieces {
			if j.encoding != "" {
				piece = utf8Of(piece, j.encoding)
			}
			if _, lines, ok := bytes.Cut(piece, []byte{'\n'}); ok {
				j.restart(bytes.NewReader(lines))
				rows, _ = j.sample(rows, most)
			}
		}
	}
	if len(rows) == 0 {
		if j.ended {
			err = errors.Join(ErrCut, err)
		}
		return nil, nil, err
	}
	for i, name := range j.grown {
		if j.kept[i] {
			names = append(names, name)
		}
	}
	for i, row := range rows {
		row = append(row, make([]bucketload.Field, len(j.grown)-len(row))...)
		good := row[:0]
		for k, field := range row {
			if j.kept[k] {
				good = append(good, field)
			}
		}
		rows[i] = good
	}
	return names, rows, nil
}

// sampledFields bounds how many fields the rows of a sample have: of records with
// few of the keys that others have it takes fewer.
const sampledFields = 1 << 18

// sample adds copies of up to most records to rows. The error is the first.
func (j *JSON) sample(rows [][]bucketload.Field, most int) (_ [][]bucketload.Field, first error) {
	for most > 0 && len(rows)*len(j.grown) < sampledFields {
		fields, err := j.Next()
		if err != nil {
			if first == nil {
				first = err
			}
			if j.Broken() {
				break
			}
			continue
		}
		row := slices.Clone(fields)
		for i := range row {
			row[i].Bytes = bytes.Clone(row[i].Bytes)
		}
		for i, span := range j.spans {
			j.kept[i] = j.kept[i] || slices.ContainsFunc(j.slots[span[0]:span[1]], func(s jsonSlot) bool { return s.seen == j.serial })
		}
		rows = append(rows, row)
		most--
	}
	return rows, first
}

// restart goes on with another piece of the file, from the beginning of a line.
func (j *JSON) restart(r io.Reader) {
	j.r, j.err, j.frames = r, nil, j.frames[:0]
	j.filled, j.row, j.end, j.counted = 0, 0, 0, 0
	j.text = jsonText{}
	j.fresh, j.form, j.skipping = true, jsonLines, false
}

// grow makes a field of a place of which there was none, and gives its node.
func (j *JSON) grow(name string) *jsonNode {
	all, _ := places(name) // of a key, which always has one
	var first *jsonNode
	from := len(j.slots)
	for _, steps := range all {
		n := j.root.at(steps)
		if first == nil {
			first = n
		}
		n.slots = append(n.slots, len(j.slots))
		j.slots = append(j.slots, jsonSlot{})
	}
	j.spans = append(j.spans, [2]int{from, len(j.slots)})
	j.grown, j.kept = append(j.grown, name), append(j.kept, false)
	return first
}
