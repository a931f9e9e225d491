package decode

import (
	"errors"
	"hash/crc32"

	"github.com/bucketload/bucketload"
)

// page reads up to the next page of data and makes it ready.
func (l *pqLeaf) page() error {
	for {
		h, err := l.window.header()
		if err != nil {
			return err
		}
		take := l.window.take
		if h.kind != pqDataPageV2 && l.codec != pqUncompressed { // nothing of it is used as it is stored
			take = l.window.once
		}
		stored, err := take(h.stored)
		if err != nil {
			return err
		}
		if h.checked && crc32.ChecksumIEEE(stored) != h.crc {
			return pqDamaged("the checksum of a page is wrong")
		}
		if !h.described && h.kind != pqIndexPage {
			return pqDamaged("a page does not say what is in it")
		}
		switch h.kind {
		case pqIndexPage:
			continue
		case pqDictionaryPage:
			if err := l.readDictionary(h, stored); err != nil {
				return err
			}
			continue
		case pqDataPage, pqDataPageV2:
		default:
			return pqDamaged("a page is of kind %d, which does not exist", h.kind)
		}
		if h.values > l.left {
			return pqDamaged("a page has more values than its column")
		}
		if h.values == 0 {
			continue
		}
		l.left -= h.values
		l.paged = int(h.values)
		l.encoding = h.encoding
		if h.kind == pqDataPageV2 {
			l.values, err = l.secondVersion(h, stored)
		} else {
			l.values, err = l.firstVersion(h, stored)
		}
		if err != nil {
			return err
		}
		return l.begin()
	}
}

// plainly decompresses the bytes of a page into dst.
func (l *pqLeaf) plainly(dst, stored []byte, size int64) ([]byte, error) {
	if size > pqMaxHeld {
		return dst, pqTooLarge("a page")
	}
	dst, err := l.codecs.unpack(l.budget, l.codec, dst, stored, int(size))
	if err != nil {
		if _, ok := errors.AsType[*bucketload.Error](err); !ok {
			err = pqDamaged("a page cannot be decompressed: %w", err)
		}
	}
	return dst, err
}

func (l *pqLeaf) firstVersion(h pqPage, stored []byte) (values []byte, err error) {
	values = stored
	if l.codec != pqUncompressed {
		if l.plain, err = l.plainly(l.plain, stored, h.plain); err != nil {
			return nil, err
		}
		values = l.plain
	}
	if values, err = l.repeats.begin(values, h.repEncoding, h.values); err != nil {
		return nil, err
	}
	return l.defines.begin(values, h.defEncoding, h.values)
}

// secondVersion reads a page whose levels stand before what is compressed.
func (l *pqLeaf) secondVersion(h pqPage, stored []byte) (values []byte, err error) {
	if h.repBytes+h.defBytes > h.stored || h.repBytes+h.defBytes > h.plain {
		return nil, pqDamaged("a page ends before its levels do")
	}
	levels, values := stored[:h.repBytes+h.defBytes], stored[h.repBytes+h.defBytes:]
	l.repeats.set(levels[:h.repBytes])
	l.defines.set(levels[h.repBytes:])
	size := h.plain - h.repBytes - h.defBytes
	if l.codec == pqUncompressed || h.uncompressed && !l.always || len(values) == 0 {
		return values, nil
	}
	l.plain, err = l.plainly(l.plain, values, size)
	return l.plain, err
}

func (l *pqLeaf) readDictionary(h pqPage, stored []byte) error {
	if l.has {
		return pqDamaged("a column has two dictionaries")
	}
	if h.encoding != pqPlain && h.encoding != pqPlainDictionary {
		return pqUnknownEncoding(h.encoding)
	}
	// Numbers are taken out of it; of byte arrays the page is kept.
	data := stored
	keep := &l.plain
	if l.wide() {
		keep = &l.dictionary.data
	}
	var err error
	if l.codec != pqUncompressed {
		*keep, err = l.plainly(*keep, stored, h.plain)
		data = *keep
	} else if l.wide() {
		if *keep, err = l.budget.resize(*keep, len(stored)); err == nil {
			copy(*keep, stored) // the window moves on
			data = *keep
		}
	}
	if err != nil {
		return err
	}
	size := 4 // a byte array has its length before it
	if l.physical != pqByteArray {
		size = l.size()
	}
	if l.physical == pqBoolean || h.values > int64(len(data)/size) {
		return pqDamaged("a dictionary has fewer values than it says")
	}
	n := int(h.values)
	d := &l.dictionary
	if l.wide() {
		d.spans, err = sized(l.budget, d.spans, n)
	} else {
		d.ints, err = sized(l.budget, d.ints, n)
	}
	if err != nil {
		return err
	}
	_, err = l.readPlain(d, data, n)
	l.has = true
	return err
}

// begin makes the values of the page ready, whatever their encoding.
func (l *pqLeaf) begin() (err error) {
	l.bit = 0
	bad := func(allowed bool) error {
		if !allowed {
			return pqDamaged("encoding %d does not go with the type of the column", l.encoding)
		}
		return nil
	}
	whole := l.physical == pqInt32 || l.physical == pqInt64
	switch l.encoding {
	case pqPlain:
		return nil
	case pqPlainDictionary, pqRLEDictionary:
		if len(l.values) == 0 {
			l.indexes = hybrid{} // of a page of nulls
			return nil
		}
		if !l.has {
			return pqDamaged("a page refers to a dictionary that is not there")
		}
		l.indexes, err = newHybrid(l.values[1:], uint(l.values[0]))
		return err
	case pqRLE:
		if err = bad(l.physical == pqBoolean); err == nil {
			l.indexes, err = newHybrid(l.values[min(4, len(l.values)):], 1) // nothing in a page of nulls
		}
		return err
	case pqDeltaBinary:
		if err = bad(whole); err == nil {
			l.deltas, err = newDelta(l.values, l.paged)
		}
		return err
	case pqDeltaLength, pqDeltaByteArray:
		if err = bad(l.physical == pqByteArray || l.physical == pqFixed && l.encoding == pqDeltaByteArray); err == nil {
			l.arrays, err = newDeltaBytes(l.values, l.paged, l.encoding == pqDeltaByteArray, l.batch.ints)
		}
		return err
	case pqByteStreamSplit:
		if err = bad(whole || l.physical == pqFloat || l.physical == pqDouble || l.physical == pqFixed); err == nil {
			l.places = newByteStreams(l.values, l.size())
		}
		return err
	}
	return pqUnknownEncoding(l.encoding)
}
