package decode

import "encoding/binary"

// delta reads numbers as their differences. Source: parquet-format,
// Encodings.md, "Delta Encoding (DELTA_BINARY_PACKED)".
type delta struct {
	data     []byte
	perMini  uint64 // differences in a miniblock
	minis    uint64 // miniblocks in a block
	total    uint64 // numbers left, value among them
	value    int64  // the next number
	least    int64  // of the differences of a block
	widths   []byte // of the block's miniblocks that are still to come
	width    uint   // of the miniblock's
	packed   []byte // the miniblock
	at, left uint64 // its next bit, and its differences left
}

// newDelta reads the differences of a page that has at most so many numbers: no
// more are believed, as a few bytes may stand for any number of them.
func newDelta(data []byte, most int) (delta, error) {
	d := delta{data: data}
	if len(data) == 0 {
		return d, nil // of a page of nulls
	}
	block := d.uvarint()
	d.minis = d.uvarint()
	d.total = d.uvarint()
	d.value = d.varint()
	if d.data == nil || d.minis == 0 || block == 0 || block%d.minis != 0 || block/d.minis%8 != 0 || block > 1<<31 || d.total > uint64(most) {
		return d, pqDamaged("a page of differences has no valid beginning")
	}
	d.perMini = block / d.minis
	return d, nil
}

// uvarint leaves nil where there is no number.
func (d *delta) uvarint() uint64 {
	n, size := binary.Uvarint(d.data)
	if size <= 0 {
		d.data = nil
		return 0
	}
	d.data = d.data[size:]
	return n
}

func (d *delta) varint() int64 {
	n := d.uvarint()
	return int64(n>>1) ^ -int64(n&1)
}

// miniblock begins the next miniblock, in the next block if need be.
func (d *delta) miniblock() error {
	if len(d.widths) == 0 {
		d.least = d.varint()
		if d.data == nil || d.minis > uint64(len(d.data)) {
			return errPqShort
		}
		d.widths, d.data = d.data[:d.minis], d.data[d.minis:]
	}
	d.width, d.widths = uint(d.widths[0]), d.widths[1:]
	if d.width > 64 {
		return pqDamaged("differences of %d bits, at most 64 are possible", d.width)
	}
	// A writer may leave out what comes after the last number.
	size := min(d.perMini*uint64(d.width)/8, uint64(len(d.data)))
	d.packed, d.data = d.data[:size:size], d.data[size:]
	d.at, d.left = 0, d.perMini
	return nil
}

// fill reads as many numbers as dst takes. They wrap around at 64 bits.
func (d *delta) fill(dst []int64) error {
	if uint64(len(dst)) > d.total {
		return errPqShort
	}
	for i := range dst {
		dst[i] = d.value
		d.total--
		if d.total == 0 {
			break
		}
		if d.left == 0 {
			if err := d.miniblock(); err != nil {
				return err
			}
		}
		if d.width > 0 {
			end := d.at + uint64(d.width)
			if (end+7)>>3 > uint64(len(d.packed)) {
				return errPqShort
			}
			d.value += int64(bitsAt(d.packed, d.at, d.width))
			d.at = end
		}
		d.value += d.least
		d.left--
	}
	return nil
}

// bitsAt gives the number of width bits, at most 64, that begins at bit at.
func bitsAt(data []byte, at uint64, width uint) uint64 {
	from, shift := data[at>>3:], at&7
	var n uint64
	if len(from) >= 9 {
		n = binary.LittleEndian.Uint64(from)>>shift | uint64(from[8])<<(64-shift)
	} else {
		for k, b := range from {
			if at := 8*k - int(shift); at >= 0 {
				n |= uint64(b) << at
			} else {
				n |= uint64(b) >> -at
			}
		}
	}
	if width < 64 {
		n &= 1<<width - 1
	}
	return n
}

// deltaBytes reads byte arrays of which the lengths stand first, before these
// how much each has in common with the one before, if that is so. Source:
// parquet-format, Encodings.md, "Delta-length byte array" and "Delta Strings".
type deltaBytes struct {
	prefixes delta
	lengths  delta
	data     []byte
	pos      int
	last     []byte // in what join gave
}

func newDeltaBytes(data []byte, most int, prefixes bool, scratch []int64) (d deltaBytes, err error) {
	if prefixes {
		if d.prefixes, data, err = ahead(data, most, scratch); err != nil {
			return d, err
		}
	}
	d.lengths, d.data, err = ahead(data, most, scratch)
	return d, err
}

// ahead gives a reader of numbers and what comes after them.
func ahead(data []byte, most int, scratch []int64) (d delta, rest []byte, err error) {
	if d, err = newDelta(data, most); err != nil {
		return d, nil, err
	}
	all := d
	for all.total > 0 {
		if err := all.fill(scratch[:min(all.total, uint64(len(scratch)))]); err != nil {
			return d, nil, err
		}
	}
	return d, all.data, nil
}

// take finds as many byte arrays as spans takes in d.data.
func (d *deltaBytes) take(spans []pqSpan, scratch []int64) error {
	lengths := scratch[:len(spans)]
	if err := d.lengths.fill(lengths); err != nil {
		return err
	}
	for i, n := range lengths {
		if n < 0 || n > int64(len(d.data)-d.pos) {
			return pqDamaged("a byte array ends behind its page")
		}
		spans[i] = pqSpan{uint32(d.pos), uint32(n)}
		d.pos += int(n)
	}
	return nil
}

// join puts as many byte arrays as spans takes together in out, which it gave the
// time before, each the beginning of the one before and what take finds. A few
// bytes may stand for any number of them.
func (d *deltaBytes) join(spans []pqSpan, scratch []int64, out []byte, budget *pqBudget) (_ []byte, err error) {
	if err := d.take(spans, scratch); err != nil {
		return out, err
	}
	prefixes := scratch[:len(spans)]
	if err := d.prefixes.fill(prefixes); err != nil {
		return out, err
	}
	out = append(out[:0], d.last...)
	d.last = out
	for i, n := range prefixes {
		if n < 0 || n > int64(len(d.last)) {
			return out, pqDamaged("a byte array begins like the one before it, but for longer")
		}
		suffix := spans[i].of(d.data)
		at := len(out)
		if out, err = budget.resize(out, at+int(n)+len(suffix)); err != nil {
			return out, err
		}
		copy(out[at:], d.last[:n])
		copy(out[at+int(n):], suffix)
		d.last = out[at:]
		spans[i] = pqSpan{uint32(at), uint32(len(out) - at)}
	}
	return out, nil
}

// byteStreams puts the bytes of numbers together that are stored by place: all
// first bytes, all second ones. Source: parquet-format, Encodings.md, "Byte
// Stream Split".
type byteStreams struct {
	data  []byte
	width int
	count int // numbers in data
	next  int
}

func newByteStreams(data []byte, width int) byteStreams {
	return byteStreams{data: data, width: width, count: len(data) / width}
}

// take gives the places of n numbers.
func (s *byteStreams) take(n int) (from int, err error) {
	if n > s.count-s.next {
		return 0, errPqShort
	}
	s.next += n
	return s.next - n, nil
}

func (s *byteStreams) number(i int) (n uint64) {
	for k := range s.width {
		n |= uint64(s.data[k*s.count+i]) << (8 * k)
	}
	return n
}

func (s *byteStreams) append(dst []byte, i int) []byte {
	for k := range s.width {
		dst = append(dst, s.data[k*s.count+i])
	}
	return dst
}
