package decode

import (
	"errors"
	"io"
	"math"
)

// pqWindow is the part of the file that a chunk's pages are read through.
type pqWindow struct {
	r      io.ReaderAt
	budget *pqBudget
	spare  *[]byte // what the windows of all leaves read long pages into
	ahead  int64   // how much is read at once
	limit  int64   // where the file's data ends
	buf    []byte  // begins at off
	own    []byte  // what buf is in, unless others read through it too
	off    int64
	pos    int
	end    int64 // of the chunk, as far as the footer can be believed
}

// open begins a chunk. What has been read of it is in have.
func (w *pqWindow) open(c pqChunk, have []byte) {
	w.buf, w.off, w.pos, w.end = have, c.start, 0, c.start+c.size
}

// peek gives n bytes or more, fewer only where the data ends.
func (w *pqWindow) peek(n int64) ([]byte, error) {
	have := w.buf[w.pos:]
	if int64(len(have)) >= n {
		return have, nil
	}
	start := w.off + int64(w.pos)
	want := max(n, min(w.ahead, w.end-start))
	want = min(want, w.limit-start)
	if want <= int64(len(have)) {
		return have, nil
	}
	if want > pqMaxHeld {
		return nil, pqTooLarge("a page")
	}
	if err := w.read(&w.own, int(want)); err != nil {
		return nil, err
	}
	w.buf, w.off, w.pos = w.own, start, 0
	return w.buf, nil
}

// read fills dst with n bytes, the first of them those that there are.
func (w *pqWindow) read(dst *[]byte, n int) error {
	have, start := w.buf[w.pos:], w.off+int64(w.pos)
	grown, err := w.budget.resize((*dst)[:0], n)
	if err != nil {
		return err
	}
	had := copy(grown, have) // which may be in grown itself
	*dst = grown
	if n, err := w.r.ReadAt(grown[had:], start+int64(had)); n < len(grown)-had {
		if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = pqDamaged("the file is cut off")
		}
		return err
	}
	return nil
}

// take gives the next n bytes.
func (w *pqWindow) take(n int64) ([]byte, error) {
	have, err := w.peek(n)
	if err != nil {
		return nil, err
	}
	if int64(len(have)) < n {
		return nil, pqDamaged("a page ends behind the data")
	}
	w.pos += int(n)
	return have[:n:n], nil
}

// once gives the next n bytes, which are valid until the next call for any leaf.
func (w *pqWindow) once(n int64) ([]byte, error) {
	start := w.off + int64(w.pos)
	if n <= max(w.ahead, int64(len(w.buf)-w.pos)) || n > w.limit-start || n > pqMaxHeld {
		return w.take(n)
	}
	if err := w.read(w.spare, int(n)); err != nil {
		return nil, err
	}
	w.buf, w.off, w.pos = nil, start+n, 0
	return *w.spare, nil
}

// header reads the header of the next page, which is of no known length: there
// may be the least and the greatest value in it.
func (w *pqWindow) header() (h pqPage, err error) {
	const longest = 16 << 20
	for n := 1; ; {
		have, err := w.peek(int64(n))
		if err != nil {
			return h, err
		}
		t := thrift{data: have}
		h = pqPage{}
		h.read(&t)
		switch {
		case t.err == nil && max(h.stored, h.plain, h.values) <= math.MaxInt32:
			w.pos += t.pos
			return h, nil
		case t.err == nil:
			return h, pqDamaged("a page has a header that makes no sense")
		case !errors.Is(t.err, errThriftShort) || len(have) < n || n > longest:
			return h, pqMetadata(t.err)
		}
		n = 2*len(have) + 64
	}
}
