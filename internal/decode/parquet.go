package decode

import (
	"cmp"
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"github.com/bucketload/bucketload"
)

// ParquetColumn is a column at the top of a file's schema.
type ParquetColumn struct {
	Name     string
	Type     string // the Postgres type that holds every value exactly, as SQL writes it
	Evidence string // what the file says of it: INT64, TIMESTAMP(MICROS, UTC)
}

// ParquetField says what a field of a row is.
type ParquetField struct {
	Path string // a column's name, or that of something inside of structs: a.b.c
	Type string // the Postgres type that it goes to; empty: that of the file's own Columns
	// Binary is the type, by its name in pg_type, whose binary form is taken as
	// well as text; empty: none is.
	Binary string
}

// Parquet reads the rows of an Apache Parquet file.
//
//   - Text, JSON and bytes that are taken as text are quoted fields, everything
//     else are unquoted ones; nothing unquoted is NULL.
//   - Numbers are exact: decimals as they are, floats with the digits that give
//     the same float again. A time in nanoseconds has all of them, which
//     Postgres' types do not take where they are more than microseconds.
//   - A timestamp that is adjusted to UTC has +00 behind it. An INT96 has no
//     zone, as the file does not say whether it is UTC.
//   - Lists of scalars are array literals; other lists, maps and structs are
//     JSON, with bytes as \x and hexadecimal digits, and floats that JSON does
//     not have as strings. A map whose keys are not scalars is a list of objects
//     with key and value.
//
// Pages are read as they are needed, those of selected columns only, and
// decoded in batches; what is held of a file is bounded by its pages.
type Parquet struct {
	r      io.ReaderAt
	limit  int64 // where the footer begins
	footer pqFooter
	root   *pqNode
	nodes  []*pqNode // the leaves
	budget pqBudget
	codecs *pqCodecs
	ahead  []byte // the chunks of a small row group
	spare  []byte // a page, as it is stored

	columns []*pqColumn
	leaves  []*pqLeaf // of the columns
	group   int       // the next row group
	begun   int64     // rows of this one
	left    int64     // and those still to come
	line    int64
	arena   []byte
	fields  []bucketload.Field
	raw     []byte
	err     error // final

	readAhead int // what all columns together read at once, in bytes
}

const (
	// pqTail is how much of the end of a file is read at first: most footers
	// are shorter.
	pqTail = 64 << 10
	// pqMagic ends a file, and pqSecret one whose footer is encrypted.
	pqMagic, pqSecret = "PAR1", "PARE"
	// pqReadAhead is what all columns together read at once.
	pqReadAhead = 64 << 20
)

// NewParquet reads the footer of a file of size bytes. One that is damaged is
// an error of code corrupt; an error of r is passed on.
func NewParquet(r io.ReaderAt, size int64) (_ *Parquet, err error) {
	defer pqRecover(&err)
	p := &Parquet{r: r, readAhead: pqReadAhead}
	tail, err := p.tail(size)
	if err != nil {
		return nil, err
	}
	if err := p.budget.charge(len(tail)); err != nil {
		return nil, err
	}
	defer p.budget.release(len(tail))
	t := thrift{data: tail}
	p.footer.read(&t, &p.budget)
	if t.err != nil {
		return nil, pqMetadata(t.err)
	}
	if p.root, p.nodes, err = schemaTree(p.footer.schema); err != nil {
		return nil, err
	}
	if len(p.nodes) == 0 {
		return nil, &bucketload.Error{Code: bucketload.CodeHeader, Message: "the Parquet file has no columns", Hint: "leave it out with --exclude"}
	}
	rows := int64(0)
	for _, g := range p.footer.groups {
		if len(g.chunks) != len(p.nodes) {
			return nil, pqDamaged("a row group has %d columns, and the schema %d", len(g.chunks), len(p.nodes))
		}
		rows += g.rows
	}
	if rows < p.footer.rows { // some writers say 0
		return nil, pqDamaged("the row groups have %d rows, and the file says %d", rows, p.footer.rows)
	}
	return p, nil
}

// tail gives the footer.
func (p *Parquet) tail(size int64) ([]byte, error) {
	const end = 8 // length and magic
	if size < 4+end {
		return nil, pqDamaged("a file of %d bytes is too short for it", size)
	}
	tail := make([]byte, min(size, pqTail))
	if err := p.readAt(tail, size-int64(len(tail))); err != nil {
		return nil, err
	}
	length, magic := int64(binary.LittleEndian.Uint32(tail[len(tail)-end:])), string(tail[len(tail)-4:])
	switch {
	case magic == pqSecret:
		return nil, pqEncrypted("the Parquet file is encrypted")
	case magic != pqMagic:
		return nil, pqDamaged("the file does not end in %s: it is cut off, or no Parquet file", pqMagic)
	case length > size-end-4:
		return nil, pqDamaged("the footer is longer than the file")
	case length > pqMaxHeld:
		return nil, pqTooLarge("a footer")
	}
	p.limit = size - end - length
	if over := length + end - int64(len(tail)); over > 0 {
		tail = make([]byte, length+end)
		if err := p.readAt(tail, p.limit); err != nil {
			return nil, err
		}
	}
	return tail[int64(len(tail))-end-length : len(tail)-end], nil
}

func (p *Parquet) readAt(b []byte, offset int64) error {
	n, err := p.r.ReadAt(b, offset)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return pqDamaged("the file is cut off")
	}
	return err
}

// Columns gives the columns at the top of the schema, in the file's order.
func (p *Parquet) Columns() []ParquetColumn {
	columns := make([]ParquetColumn, len(p.root.nodes))
	for i, n := range p.root.nodes {
		s := shapeOf(n)
		columns[i] = ParquetColumn{Name: n.name, Type: s.postgres(), Evidence: s.evidence()}
	}
	return columns
}

// Rows is how many rows the file has.
func (p *Parquet) Rows() int64 { return p.footer.rows }

// Select says which fields rows have, in which order. It is called once,
// before the first Next; without it rows have all columns. What is not
// selected is not read. A path that is not there, or leads into a list or a
// map, is an error of code missing_column.
//
// The type matters in two cases. Bytes of which the file does not say what they
// are go as \x and hexadecimal digits to bytea, and as they are to any other
// type. Lists go as array literals to array types, and as JSON to any other.
func (p *Parquet) Select(fields []ParquetField) error {
	p.columns, p.leaves = make([]*pqColumn, len(fields)), nil
	for i, f := range fields {
		n := findNode(p.root.nodes, f.Path)
		if n == nil {
			return &bucketload.Error{Code: bucketload.CodeNoColumn, Column: f.Path, Message: "the Parquet file has no column " + f.Path,
				Hint: "name a column, or a.b for a part of a struct; what is in a list or a map comes with it"}
		}
		if err := p.column(i, f.Path, n, f.Type); err != nil {
			return err
		}
		p.columns[i].binary = pqBinaryForm(&p.columns[i].shape.scalar, f.Binary)
	}
	return nil
}

// column makes field i from what the node stands for.
func (p *Parquet) column(i int, path string, n *pqNode, target string) error {
	if p.codecs == nil {
		p.codecs = pqCodecPool.Get().(*pqCodecs)
	}
	c := newPqColumn(path, n, target)
	for k := n.from; k < n.to; k++ {
		if p.budget.charge(pqBatchSize) != nil {
			return errPqLeaves
		}
		l := newPqLeaf(p.nodes[k], k, &p.budget, p.codecs)
		l.always = p.footer.compressedAnyway()
		l.window = pqWindow{r: p.r, budget: &p.budget, spare: &p.spare, limit: p.limit}
		c.leaves = append(c.leaves, l)
	}
	p.columns[i] = c
	p.leaves = append(p.leaves, c.leaves...)
	return nil
}

// Next gives the next row, or io.EOF. The fields are valid until the next call.
// An error is the row's own, and Next goes on behind it, unless Broken.
func (p *Parquet) Next() (row []bucketload.Field, err error) {
	if p.err != nil {
		return nil, p.err
	}
	defer p.end(&err)
	defer pqRecover(&err)
	if p.columns == nil {
		p.columns = make([]*pqColumn, len(p.root.nodes))
		for i, n := range p.root.nodes {
			if err := p.column(i, n.name, n, ""); err != nil {
				return nil, err
			}
		}
	}
	for p.left == 0 {
		if err := p.nextGroup(); err != nil {
			return nil, err
		}
	}
	p.left--
	p.begun++
	p.line++
	p.budget.entries = 0
	p.arena, p.fields = p.arena[:0], p.fields[:0]
	size := 0
	for i, c := range p.columns {
		var f bucketload.Field
		switch {
		case c.given < len(c.ready): // as next has it
			f = c.ready[c.given]
			c.given++
		case c.flat:
			f, err = c.next()
		default:
			f, p.arena, err = c.field(p.arena)
		}
		if size += len(f.Bytes); size > pqMaxRow && err == nil {
			err = errPqRow
		}
		if err != nil {
			return nil, p.pass(i, c.place(err))
		}
		p.fields = append(p.fields, f)
	}
	return p.fields, nil
}

// end keeps an error that ends the file.
func (p *Parquet) end(err *error) {
	if *err != nil && !ofRow(*err) {
		p.err = *err
	}
}

// ofRow says whether an error is a row's own.
func ofRow(err error) bool {
	e, ok := errors.AsType[*bucketload.Error](err)
	return ok && (e.Code == bucketload.CodeValue || e.Code == bucketload.CodeTooLong)
}

// pass goes on behind a row that has an error of its own, in column number at. A
// flat column has been read where it has one.
func (p *Parquet) pass(at int, err error) error {
	if !ofRow(err) {
		return err
	}
	for i, c := range p.columns {
		if c.flat {
			if i <= at {
				continue
			}
			if _, err := c.next(); err != nil {
				return c.place(err)
			}
			continue
		}
		for _, l := range c.leaves {
			if err := l.passRow(p.begun); err != nil {
				return c.place(err)
			}
		}
	}
	return err
}

// nextGroup begins the next row group; io.EOF where there is none.
func (p *Parquet) nextGroup() error {
	for _, c := range p.columns {
		for _, l := range c.leaves {
			if p.group > 0 && (!l.done() || c.given < len(c.ready)) {
				return c.place(pqDamaged("column %s has more rows than its row group", c.path))
			}
		}
	}
	if p.group == len(p.footer.groups) {
		return io.EOF
	}
	g := &p.footer.groups[p.group]
	p.group++
	p.left, p.begun = g.rows, 0
	for _, c := range p.columns {
		for _, l := range c.leaves {
			if err := l.check(g); err != nil {
				return c.place(err)
			}
		}
	}
	return p.openGroup(g)
}

// openGroup begins the chunks of a row group. Where those of all leaves are
// small they are read at once, and what lies side by side with one call.
func (p *Parquet) openGroup(g *pqRowGroup) error {
	slices.SortFunc(p.leaves, func(a, b *pqLeaf) int { return cmp.Compare(g.chunks[a.number].start, g.chunks[b.number].start) })
	total := int64(0)
	for _, l := range p.leaves {
		total += g.chunks[l.number].size
	}
	if total > int64(p.readAhead) {
		for _, l := range p.leaves {
			l.window.ahead = max(int64(p.readAhead/len(p.leaves)), 4<<10)
			l.open(g.chunks[l.number], nil)
		}
		return nil
	}
	var err error
	if p.ahead, err = p.budget.resize(p.ahead[:0], int(total)); err != nil {
		return err
	}
	for i, at := 0, 0; i < len(p.leaves); {
		first := g.chunks[p.leaves[i].number]
		end := first.start
		run := i // those from here to i lie side by side
		for i < len(p.leaves) && g.chunks[p.leaves[i].number].start == end {
			end += g.chunks[p.leaves[i].number].size
			i++
		}
		have := p.ahead[at : at+int(end-first.start)]
		at += len(have)
		if err := p.readAt(have, first.start); err != nil {
			return err
		}
		for _, l := range p.leaves[run:i] {
			c := g.chunks[l.number]
			from := c.start - first.start
			l.open(c, have[from:from+c.size])
		}
	}
	return nil
}

// Line is the number of the last row in the file, from 1.
func (p *Parquet) Line() int64 { return p.line }

// Offset is 0: there is no byte at which a row begins.
func (p *Parquet) Offset() int64 { return 0 }

// Raw is the last row as a JSON object, by path, with exact values. Of a row
// with an error it has what comes before the error.
func (p *Parquet) Raw() []byte {
	p.raw = append(p.raw[:0], '{')
	for i, f := range p.fields {
		if i > 0 {
			p.raw = append(p.raw, ',')
		}
		p.raw = append(appendPqString(p.raw, []byte(p.columns[i].path)), ':')
		p.raw = p.columns[i].appendRaw(p.raw, f)
	}
	p.raw = append(p.raw, '}')
	return p.raw
}

// Broken says whether the last error ends the file.
func (p *Parquet) Broken() bool { return p.err != nil }

// Close gives memory back; Next must not follow. It does not close the file.
func (p *Parquet) Close() error {
	if p.codecs != nil {
		p.codecs.src.Reset(nil)
		pqCodecPool.Put(p.codecs)
	}
	p.codecs, p.columns, p.leaves, p.ahead, p.spare, p.err = nil, nil, nil, nil, nil, io.ErrClosedPipe
	return nil
}
