package decode

import (
	"bytes"
	"io"
	"slices"

	"golang.org/x/text/transform"

	"github.com/bucketload/bucketload"
)

// JSONField says what a field of a row is: the value at the first of Paths that
// a record has, be it null. A path is
//
//   - a key of the record: station, "air temperature", a.b; where the record
//     has no such key, a.b and a[0] also lead into values, as $.a.b and $.a[0];
//   - a way from the record's beginning: $.a.b, $['odd key'].b, $.a[0];
//   - $, the record itself, whatever it is;
//   - column_1, column_2 ...: the elements of a record that is an array;
//   - value: a record that is neither an object nor an array.
type JSONField struct {
	Paths []string
	Raw   bool // as JSON text, for json and jsonb; else strings are decoded
}

// JSON reads the records of a file of JSON, as RFC 8259 has it: one value after
// the other, on lines of their own or not, or in arrays.
//
//   - A string is a quoted field, everything else an unquoted one as it is
//     written: numbers with all their digits, objects and arrays with their
//     blanks. null and what the record does not have are nothing, unquoted.
//   - Of a key that an object has twice the last value counts, as in jsonb and
//     encoding/json.
//   - All of a record is checked, also what no field takes. NaN, comments,
//     trailing commas, bytes that are not UTF-8, halves of surrogate pairs and
//     nesting beyond 1000 are errors; so is \u0000 in what a field takes.
//   - A byte order mark is passed over. UTF-16, known by its mark or by the
//     zeros in its first character, is read; Raw then is UTF-8.
//
// An error costs its record where there is no doubt about where the next one
// begins: the tokens are whole but for what is in them; or there is a record on
// each line, so that it costs the line. Else it ends the file.
//
// A record is held in memory, up to MaxRow; what surrounds it is not.
type JSON struct {
	r       io.Reader
	each    bool       // the value at the end of path is a record, whatever it is
	path    []jsonStep // to the records
	several bool       // it leads through all elements of an array
	records string     // the path as it was given
	unknown string
	rescues bool // a field for what no field takes

	// buf[row:filled] is what is held. All before it has been used.
	text     jsonText // buf[:filled]
	buf      []byte
	filled   int
	row      int    // where the last record begins, or what surrounds records goes on
	end      int    // where the last record ends
	encoding string // of UTF-16; empty where the file is UTF-8
	base     int64  // the offset of buf[0]
	lines    int64  // line ends before buf[counted]
	counted  int    // never after row

	frames   []jsonFrame
	names    []byte // keys of an object on the path, in quotes
	form     jsonForm
	fixed    bool // each is decided
	fresh    bool // nothing but blanks stands before the record on its line
	skipping bool // the rest of the line is none of a record
	begun    bool
	ended    bool // the file, within a record or what surrounds it

	root     *jsonNode
	slots    []jsonSlot
	fields   []bucketload.Field
	spans    [][2]int // of each field: its slots, the first one counting
	serial   uint64   // of the record
	decoded  []byte   // the strings of the record that had escapes
	rescued  []byte   // the object of what no field takes
	stranger string   // the first key that no field takes
	grown    []string // names of the fields, where they are made as records have them
	kept     []bool   // which of these a good record has
	err      error    // final
}

// jsonSlot is the value of a place in a record.
type jsonSlot struct {
	value bucketload.Field
	raw   bool
	seen  uint64 // the record that it is of
}

// jsonGrow, for unknown, makes a field of a key that no field takes.
const jsonGrow = "grow"

// NewJSON reads the records of r that are at the path records: "$" for those of
// a file as it is, $.data.items for the elements of that array, $.pages[*].items
// for those of several, $.features[*].properties for objects inside of elements.
// A value at its end that is no array is a record itself; null in the place of
// the array is an empty one.
//
// unknown says what becomes of a record with a key that no field takes:
// bucketload.PolicyIgnore passes over it; PolicyRescue adds a field to every
// row, a JSON object of these keys, or nothing; anything else makes it an error
// of the row, of code unknown_column. A bad path is an error of code usage.
func NewJSON(r io.Reader, records string, fields []JSONField, unknown string) (*JSON, error) {
	j := &JSON{r: r, records: records, unknown: unknown, rescues: unknown == bucketload.PolicyRescue, buf: make([]byte, firstBuffer), root: &jsonNode{}}
	if records != "$" {
		var err error
		if j.path, err = jsonPath(records); err != nil {
			return nil, err
		}
		j.each = j.path[len(j.path)-1].index == jsonAll
		j.several = slices.ContainsFunc(j.path, func(s jsonStep) bool { return s.index == jsonAll })
	}
	for _, f := range fields {
		if err := j.add(f); err != nil {
			return nil, err
		}
	}
	if len(j.root.slots) > 0 { // $ takes all
		j.unknown = bucketload.PolicyIgnore
	}
	return j, nil
}

// add makes a field.
func (j *JSON) add(f JSONField) error {
	from := len(j.slots)
	for _, path := range f.Paths {
		all, err := places(path)
		if err != nil {
			return err
		}
		if steps := inside(path); steps != nil {
			all = append(all, steps)
		}
		for _, steps := range all {
			n := j.root.at(steps)
			n.slots = append(n.slots, len(j.slots))
			j.slots = append(j.slots, jsonSlot{raw: f.Raw})
		}
	}
	j.spans = append(j.spans, [2]int{from, len(j.slots)})
	return nil
}

// Next gives the next row, or io.EOF: a field for each of the fields, and the
// rescued one behind them. They are valid until the next call.
func (j *JSON) Next() ([]bucketload.Field, error) {
	if j.err != nil {
		return nil, j.err
	}
	err := j.begin()
	if err == nil {
		err = j.skipLine()
	}
	if err == nil {
		err = j.advance()
	}
	if err != nil {
		j.end = j.row
		j.err = err
		return nil, err
	}
	if err := j.record(); err != nil {
		return nil, err
	}
	return j.gather(), nil
}

// Broken says whether the last error ends the file.
func (j *JSON) Broken() bool { return j.err != nil }

// Line is the physical line, from 1, on which the last record began.
func (j *JSON) Line() int64 {
	j.count(j.row)
	return j.lines + 1
}

// Offset is the byte of the plain file at which the last record began.
func (j *JSON) Offset() int64 { return j.base + j.plain(j.buf[:j.row]) }

// Raw is the last record as the plain file has it; where it cannot be told
// where it ends, the rest of its line.
func (j *JSON) Raw() []byte { return j.buf[j.row:max(j.row, j.end)] }

// lineOf is the physical line of buf[at].
func (j *JSON) lineOf(at int) int64 {
	return j.Line() + int64(bytes.Count(j.buf[j.row:max(j.row, at)], []byte{'\n'}))
}

// count brings lines up to buf[to].
func (j *JSON) count(to int) {
	if to > j.counted {
		j.lines += int64(bytes.Count(j.buf[j.counted:to], []byte{'\n'}))
		j.counted = to
	}
}

// more reads on, and gives up what comes before row. The buffer grows only when
// a record does not fit in it.
func (j *JSON) more() error {
	j.count(j.row)
	j.base += j.plain(j.buf[:j.row])
	j.filled = copy(j.buf, j.buf[j.row:j.filled])
	j.text.i -= j.row
	j.row, j.end, j.counted = 0, 0, 0
	if j.filled > len(j.buf)/2 {
		if len(j.buf) >= MaxRow {
			if j.filled == len(j.buf) {
				j.text.stop(0, jsonTooLong)
				return j.refuse(j.text.fault)
			}
		} else {
			j.buf = append(j.buf, make([]byte, len(j.buf))...)
		}
	}
	for j.filled < len(j.buf) && !j.text.last {
		n, err := j.r.Read(j.buf[j.filled:])
		j.filled += n
		if err != nil && err != io.EOF {
			j.text.data = j.buf[:j.filled]
			return err
		}
		j.text.last = err == io.EOF
	}
	j.text.data = j.buf[:j.filled]
	return nil
}

// begin reads the beginning and what it says of the encoding.
func (j *JSON) begin() error {
	if j.begun {
		return nil
	}
	j.begun, j.fresh = true, true
	if err := j.more(); err != nil {
		return err
	}
	if encoding, mark := inUTF16(j.text.data); encoding != "" {
		t, _ := recoder(encoding)
		j.r = transform.NewReader(io.MultiReader(bytes.NewReader(bytes.Clone(j.text.data[mark:])), j.r), t)
		j.base, j.encoding = int64(mark), encoding
		j.filled, j.text.last = 0, false
		return j.more()
	}
	if bytes.HasPrefix(j.text.data, byteOrderMark) {
		j.text.i = len(byteOrderMark)
	}
	j.row = j.text.i
	return nil
}

// inUTF16 names the encoding of UTF-16 and gives the length of its mark; without
// one the first character tells, which is of ASCII in JSON.
func inUTF16(head []byte) (encoding string, mark int) {
	switch {
	case bytes.HasPrefix(head, []byte("\xff\xfe")):
		return "utf-16le", 2
	case bytes.HasPrefix(head, []byte("\xfe\xff")):
		return "utf-16be", 2
	}
	return order(head), 0
}

// plain is how many bytes of the plain file the text is.
func (j *JSON) plain(text []byte) (n int64) {
	if j.encoding == "" {
		return int64(len(text))
	}
	for _, b := range text {
		switch {
		case b >= 0xf0 && b != notText: // what takes four bytes is a pair
			n += 4
		case b < 0x80 || b >= 0xc0:
			n += 2
		}
	}
	return n
}
