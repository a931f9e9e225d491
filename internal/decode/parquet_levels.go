package decode

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// hybrid reads runs of small numbers, each run either one number repeated or
// numbers packed bit by bit: levels and indexes of dictionaries. Source:
// parquet-format, Encodings.md, "Run Length Encoding / Bit-Packing Hybrid".
type hybrid struct {
	data   []byte // what comes after the run
	width  uint   // bits of a number, at most 32
	left   uint64 // numbers left of the run
	value  uint32 // of a run of one number
	packed []byte // of the other kind of run; nil in one of one number
	at     uint64 // its next bit
}

func newHybrid(data []byte, width uint) (hybrid, error) {
	if width > 32 {
		return hybrid{}, pqDamaged("numbers of %d bits, where at most 32 are possible", width)
	}
	return hybrid{data: data, width: width}, nil
}

// next begins a run.
func (h *hybrid) next() error {
	head, n := binary.Uvarint(h.data)
	size := uint64(h.width+7) / 8
	if n <= 0 || head > math.MaxUint32 || head&1 == 0 && size > uint64(len(h.data)-n) {
		return errPqShort
	}
	h.data = h.data[n:]
	h.packed, h.value = nil, 0
	if head&1 == 0 || h.width == 0 {
		h.left = head >> 1
		if head&1 == 1 {
			h.left *= 8
		}
		for i, b := range h.data[:size] {
			h.value |= uint32(b) << (8 * i)
		}
		h.data = h.data[size:]
		return nil
	}
	// Groups of eight numbers; the last may be cut off behind those that count.
	size = min(head>>1*uint64(h.width), uint64(len(h.data)))
	h.left, h.at = min(head>>1*8, size*8/uint64(h.width)), 0
	h.packed, h.data = h.data[:size:size], h.data[size:]
	return nil
}

// fillRuns reads as many numbers as dst takes.
func fillRuns[T uint8 | uint32](h *hybrid, dst []T) error {
	for len(dst) > 0 {
		for h.left == 0 {
			if err := h.next(); err != nil {
				return err
			}
		}
		n := int(min(uint64(len(dst)), h.left))
		if h.packed == nil {
			for i := range dst[:n] {
				dst[i] = T(h.value)
			}
		} else {
			unpackBits(dst[:n], h.packed, h.at, h.width)
			h.at += uint64(n) * uint64(h.width)
		}
		h.left -= uint64(n)
		dst = dst[n:]
	}
	return nil
}

// unpackBits reads numbers of width bits, at most 32, the first of which begins at
// bit at.
func unpackBits[T uint8 | uint32](dst []T, data []byte, at uint64, width uint) {
	mask := uint64(1)<<width - 1
	for i := range dst {
		from := data[at>>3:]
		var word uint64
		if len(from) >= 8 {
			word = binary.LittleEndian.Uint64(from)
		} else {
			for k, b := range from {
				word |= uint64(b) << (8 * k)
			}
		}
		dst[i] = T(word >> (at & 7) & mask)
		at += uint64(width)
	}
}

// pqLevels reads levels up to highest, in one of the encodings that they may have.
type pqLevels struct {
	highest uint8
	runs    hybrid
	packed  []byte // the deprecated encoding BIT_PACKED: high bits first
	at      uint64
}

func (l *pqLevels) fill(dst []uint8) error {
	if l.highest == 0 {
		clear(dst)
		return nil
	}
	if l.packed != nil {
		width := uint64(bits.Len8(l.highest))
		if (l.at+uint64(len(dst))*width+7)/8 > uint64(len(l.packed)) {
			return errPqShort
		}
		for i := range dst {
			var v uint8
			for range width {
				v = v<<1 | l.packed[l.at>>3]>>(7-l.at&7)&1
				l.at++
			}
			dst[i] = v
		}
	} else if err := fillRuns(&l.runs, dst); err != nil {
		return err
	}
	for _, v := range dst {
		if v > l.highest {
			return pqDamaged("a level is %d, at most %d is possible", v, l.highest)
		}
	}
	return nil
}

// begin reads the levels of a page of the first version, which stand before
// its values, and gives what comes after them.
func (l *pqLevels) begin(data []byte, encoding, values int64) (rest []byte, err error) {
	if l.highest == 0 {
		return data, nil
	}
	width := uint(bits.Len8(l.highest))
	size := uint64(0)
	switch encoding {
	case pqRLE:
		if len(data) < 4 {
			return nil, pqDamaged("a page ends before its levels")
		}
		size = uint64(binary.LittleEndian.Uint32(data))
		data = data[4:]
	case pqBitPacked:
		size = (uint64(values)*uint64(width) + 7) / 8
	default:
		return nil, pqUnknownEncoding(encoding)
	}
	if size > uint64(len(data)) {
		return nil, pqDamaged("a page ends before its levels do")
	}
	l.set(data[:size])
	if encoding == pqBitPacked {
		l.packed, l.at = data[:size:size], 0
	}
	return data[size:], nil
}

// set takes the levels of a page, in runs.
func (l *pqLevels) set(data []byte) {
	l.packed = nil
	l.runs = hybrid{data: data, width: uint(bits.Len8(l.highest))}
}
