package decode

import "encoding/binary"

// pqBatch is how many levels and values of a leaf are decoded at once.
const pqBatch = 1024

// pqBatchSize is what a batch of a leaf takes, in bytes: ints, spans, numbers, and
// levels of both kinds.
const pqBatchSize = pqBatch * (8 + 8 + 4 + 1 + 1)

// pqSpan is where a byte array stands.
type pqSpan struct{ from, size uint32 }

func (s pqSpan) of(data []byte) []byte { return data[s.from : s.from+s.size : s.from+s.size] }

// pqValues are values that are not NULL. Booleans and integers are numbers,
// floats their bits; everything else are byte arrays.
type pqValues struct {
	ints  []int64
	spans []pqSpan
	data  []byte // what spans are in
}

// pqLeaf reads the values of one leaf, row group by row group.
type pqLeaf struct {
	*pqNode
	number int // among the leaves of the file
	window pqWindow
	budget *pqBudget
	codecs *pqCodecs
	codec  int64
	always bool  // compressed, also where a page says that it is not
	left   int64 // entries of the chunk behind the page

	// The page.
	plain    []byte // decompressed
	paged    int    // entries behind the batch
	encoding int64
	values   []byte // PLAIN: what is left of them
	bit      uint64 // PLAIN booleans: the next one in values
	repeats  pqLevels
	defines  pqLevels
	indexes  hybrid
	deltas   delta
	arrays   deltaBytes
	places   byteStreams

	dictionary pqValues
	has        bool // there is a dictionary in this chunk

	// The batch: entry i of n has a value, number v of its values, if its
	// definition level is the highest.
	n, i, v    int
	reps, defs []uint8 // nil where there is one level only
	batch      pqValues
	joined     []byte
	numbers    []uint32
	rows       int64 // begun in this row group
}

func newPqLeaf(n *pqNode, number int, budget *pqBudget, codecs *pqCodecs) *pqLeaf {
	l := &pqLeaf{pqNode: n, number: number, budget: budget, codecs: codecs, numbers: make([]uint32, pqBatch)}
	l.batch.ints = make([]int64, pqBatch) // lengths of byte arrays, too
	if l.wide() {
		l.batch.spans = make([]pqSpan, pqBatch)
	}
	if n.rep > 0 {
		l.reps = make([]uint8, pqBatch)
	}
	if n.def > 0 {
		l.defs = make([]uint8, pqBatch)
	}
	l.repeats.highest, l.defines.highest = n.rep, n.def
	return l
}

// wide says whether values are byte arrays.
func (l *pqLeaf) wide() bool {
	return l.physical == pqByteArray || l.physical == pqFixed || l.physical == pqInt96
}

// size is that of a stored value in bytes, where all have the same.
func (l *pqLeaf) size() int {
	switch l.physical {
	case pqInt32, pqFloat:
		return 4
	case pqInt64, pqDouble:
		return 8
	case pqInt96:
		return 12
	}
	return int(l.length)
}

// check judges what the footer says of the chunk in a row group.
func (l *pqLeaf) check(g *pqRowGroup) error {
	c := &g.chunks[l.number]
	switch {
	case c.secret:
		return pqEncrypted("column " + l.name + " is encrypted")
	case c.external:
		return pqUnread("the values of column %s are in another file", l.name)
	case c.physical != l.physical:
		return pqDamaged("a row group has column %s in another type than the schema", l.name)
	case l.rep == 0 && c.values != g.rows, c.values < g.rows:
		return pqDamaged("a row group of %d rows has %d values of column %s", g.rows, c.values, l.name)
	case c.start >= l.window.limit && c.values > 0:
		return pqDamaged("column %s begins behind the data", l.name)
	}
	c.size = max(0, min(c.size, l.window.limit-c.start))
	return readableCodec(c.codec)
}

// open begins a chunk, of which have has been read.
func (l *pqLeaf) open(c pqChunk, have []byte) {
	l.window.open(c, have)
	l.codec, l.left = c.codec, c.values
	l.paged, l.n, l.i, l.v, l.rows, l.has = 0, 0, 0, 0, 0, false
}

// passRow goes on to the row behind the one with the number.
func (l *pqLeaf) passRow(number int64) error {
	for {
		if l.reps == nil && l.rows == number { // its value may still be wanted
			return nil
		}
		if ok, err := l.more(); err != nil || !ok {
			return err
		}
		rep := uint8(0)
		if l.reps != nil {
			rep = l.reps[l.i]
		}
		if rep == 0 && l.rows == number {
			return nil
		}
		if l.defs == nil || l.defs[l.i] == l.def {
			l.v++
		}
		if err := l.pass(rep); err != nil {
			return err
		}
	}
}

// done says whether the chunk has been read to its end.
func (l *pqLeaf) done() bool { return l.i == l.n && l.paged == 0 && l.left == 0 }

// more makes entry i ready. It is false at the end of the chunk.
func (l *pqLeaf) more() (bool, error) {
	if l.i < l.n {
		return true, nil
	}
	for l.paged == 0 {
		if l.left == 0 {
			l.n, l.i = 0, 0
			return false, nil
		}
		if err := l.page(); err != nil {
			return false, err
		}
	}
	return true, l.fill()
}

// fill decodes the next batch of the page.
func (l *pqLeaf) fill() error {
	l.n, l.i, l.v = min(l.paged, pqBatch), 0, 0
	l.paged -= l.n
	if err := l.budget.decode(l.n); err != nil {
		return err
	}
	values := l.n
	if l.reps != nil {
		if err := l.repeats.fill(l.reps[:l.n]); err != nil {
			return err
		}
	}
	if l.defs != nil {
		if err := l.defines.fill(l.defs[:l.n]); err != nil {
			return err
		}
		values = 0
		for _, d := range l.defs[:l.n] {
			if d == l.def {
				values++
			}
		}
	}
	if values == 0 {
		return nil
	}
	return l.decode(values)
}

// decode makes the next n values of the page the batch.
func (l *pqLeaf) decode(n int) (err error) {
	b := &l.batch
	ints := b.ints[:n]
	switch l.encoding {
	case pqPlain:
		b.data = l.values
		l.values, err = l.readPlain(b, l.values, n)
		return err
	case pqRLE:
		if err = fillRuns(&l.indexes, l.numbers[:n]); err == nil {
			for i, v := range l.numbers[:n] {
				ints[i] = int64(v)
			}
		}
		return err
	case pqDeltaBinary:
		err = l.deltas.fill(ints)
		if l.physical == pqInt32 {
			for i, v := range ints {
				ints[i] = int64(int32(v))
			}
		}
		return err
	case pqDeltaLength:
		b.data = l.arrays.data
		return l.arrays.take(b.spans[:n], b.ints)
	case pqDeltaByteArray:
		l.joined, err = l.arrays.join(b.spans[:n], b.ints, l.joined, l.budget)
		b.data = l.joined
		if err == nil && l.physical == pqFixed {
			for _, s := range b.spans[:n] {
				if int64(s.size) != l.length {
					return pqDamaged("a value has %d bytes, and must have %d", s.size, l.length)
				}
			}
		}
		return err
	case pqByteStreamSplit:
		return l.readPlaces(n)
	}
	return l.lookUp(n)
}

// lookUp reads values by their numbers in the dictionary.
func (l *pqLeaf) lookUp(n int) error {
	numbers := l.numbers[:n]
	if err := fillRuns(&l.indexes, numbers); err != nil {
		return err
	}
	d, b := &l.dictionary, &l.batch
	count := max(len(d.ints), len(d.spans))
	for _, k := range numbers {
		if int(k) >= count {
			return pqDamaged("a page refers to value %d of a dictionary that has %d", k, count)
		}
	}
	if l.wide() {
		b.data = d.data
		for i, k := range numbers {
			b.spans[i] = d.spans[k]
		}
		return nil
	}
	for i, k := range numbers {
		b.ints[i] = d.ints[k]
	}
	return nil
}

func (l *pqLeaf) readPlaces(n int) error {
	from, err := l.places.take(n)
	if err != nil {
		return err
	}
	if l.physical != pqFixed {
		for i := range n {
			l.batch.ints[i] = int64(l.places.number(from + i))
			if l.physical == pqInt32 {
				l.batch.ints[i] = int64(int32(l.batch.ints[i]))
			}
		}
		return nil
	}
	if l.joined, err = l.budget.resize(l.joined[:0], n*int(l.length)); err != nil {
		return err
	}
	l.joined = l.joined[:0]
	for i := range n {
		l.batch.spans[i] = pqSpan{uint32(len(l.joined)), uint32(l.length)}
		l.joined = l.places.append(l.joined, from+i)
	}
	l.batch.data = l.joined
	return nil
}

// readPlain reads n values that stand one after the other, and gives what comes
// after them. Spans count from where data begins.
func (l *pqLeaf) readPlain(to *pqValues, data []byte, n int) (rest []byte, err error) {
	switch l.physical {
	case pqBoolean:
		if l.bit+uint64(n) > uint64(len(data))*8 {
			return nil, errPqShort
		}
		for i := range n {
			to.ints[i] = int64(data[l.bit>>3] >> (l.bit & 7) & 1)
			l.bit++
		}
		return data, nil
	case pqByteArray:
		at := 0
		for i := range n {
			if len(data)-at < 4 {
				return nil, errPqShort
			}
			size := binary.LittleEndian.Uint32(data[at:])
			at += 4
			if uint64(size) > uint64(len(data)-at) {
				return nil, pqDamaged("a byte array ends behind its page")
			}
			to.spans[i] = pqSpan{uint32(at), size}
			at += int(size)
		}
		return data[at:], nil
	}
	size := l.size()
	if n > len(data)/size {
		return nil, errPqShort
	}
	switch l.physical {
	case pqInt32:
		for i := range n {
			to.ints[i] = int64(int32(binary.LittleEndian.Uint32(data[4*i:])))
		}
	case pqFloat:
		for i := range n {
			to.ints[i] = int64(binary.LittleEndian.Uint32(data[4*i:]))
		}
	case pqInt64, pqDouble:
		for i := range n {
			to.ints[i] = int64(binary.LittleEndian.Uint64(data[8*i:]))
		}
	default:
		for i := range n {
			to.spans[i] = pqSpan{uint32(i * size), uint32(size)}
		}
	}
	return data[n*size:], nil
}
