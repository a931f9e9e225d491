package source

import (
	"math/bits"
	"sync"
)

// minBuffer is the size of the smallest buffer: what a file takes on most disks.
const minBuffer = 4 << 10

// pool lends buffers whose sizes are powers of two. All that are lent and kept
// never take more than its limit; nothing is kept once nothing is lent.
type pool struct {
	limit int64

	mu   sync.Mutex
	lent int64            // bytes
	kept int64            // bytes
	free map[int][][]byte // by size
}

func newPool(limit int64) *pool { return &pool{limit: limit, free: map[int][][]byte{}} }

// get lends a buffer of n bytes, n >= 0; false where there is no memory for it.
// It does not wait, so nobody waits for somebody who waits.
func (p *pool) get(n int64) ([]byte, bool) {
	size := int64(minBuffer)
	if n > size {
		size = 1 << bits.Len64(uint64(n-1))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lent+size > p.limit {
		return nil, false
	}
	p.lent += size
	if free := p.free[int(size)]; len(free) > 0 {
		buf := free[len(free)-1]
		p.free[int(size)] = free[:len(free)-1]
		p.kept -= size
		return buf[:n], true
	}
	if p.lent+p.kept > p.limit {
		p.forget()
	}
	return make([]byte, n, size), true
}

// put takes a buffer of get back.
func (p *pool) put(buf []byte) {
	size := int64(cap(buf))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lent -= size
	p.kept += size
	p.free[int(size)] = append(p.free[int(size)], buf)
	if p.lent == 0 {
		p.forget()
	}
}

func (p *pool) forget() {
	clear(p.free)
	p.kept = 0
}
