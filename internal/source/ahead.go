package source

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/bucketload/bucketload"
)

// How far a reader of many objects is ahead. On a store that takes 30 ms to
// answer, 32 small objects per worker hide that from a worker that takes 1 ms
// for each; a big object comes at the pace of several connections.
const (
	aheadRequests = 32       // at once, for one Ahead
	aheadBytes    = 16 << 20 // asked for and not yet handed on, for one Ahead
	aheadSpan     = 4 << 20  // what is asked for of one object at once
	aheadMemory   = 64 << 20 // held by all stores of the process
)

// memory is what all stores of the process read ahead into.
var memory = newPool(aheadMemory)

// Range is bytes [Off, Off+N) of an object.
type Range struct {
	bucketload.Object
	Off, N int64
}

// Whole is the range of all of an object.
func Whole(o bucketload.Object) Range { return Range{o, 0, o.Size} }

// Ahead opens ranges of objects as Store.Open and Store.OpenRange do, and asks
// for those that come next before they are asked for. Errors show where they do
// without: when the object is opened, or read up to the same byte. It is for one
// goroutine at a time; Close ends it.
type Ahead struct {
	store  *Store
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	ranges  []Range
	head    spot     // what is to be handed on next
	tail    spot     // what is to be asked for next
	waiting []*fetch // asked for and not handed on: from head to tail
	bytes   int64    // of waiting
}

// spot is a place in the ranges: byte at of the object of ranges[i].
type spot struct {
	i  int
	at int64
}

// fetch is bytes [off, end) of an object, read in the background.
type fetch struct {
	obj      bucketload.Object
	off, end int64
	cancel   context.CancelFunc
	done     chan struct{} // closed once the fields below are set
	opened   error         // why it could not be opened
	buf      []byte        // of the pool
	n        int           // bytes of buf that were read
	err      error         // what comes behind them
}

// Ahead prepares to open ranges in this order. One that is opened out of turn
// is opened as Store does, and so is what there is no memory for. Files on disk
// are not read ahead: the system does that. ctx governs what is read ahead.
func (s *Store) Ahead(ctx context.Context, ranges []Range) *Ahead {
	a := &Ahead{store: s}
	a.ctx, a.cancel = context.WithCancel(ctx)
	for _, r := range ranges {
		if strings.HasPrefix(r.URI, s3Scheme) {
			a.ranges = append(a.ranges, r.clamp())
		}
	}
	a.head = a.begin(0)
	a.tail = a.head
	a.fill()
	return a
}

// clamp leaves out what is not of the object.
func (r Range) clamp() Range {
	r.Off = min(max(r.Off, 0), r.Size)
	r.N = min(max(r.N, 0), r.Size-r.Off)
	return r
}

func (r Range) end() int64 { return r.Off + r.N }

// begin is the spot where ranges[i] begins.
func (a *Ahead) begin(i int) spot {
	if i == len(a.ranges) {
		return spot{i: i}
	}
	return spot{i, a.ranges[i].Off}
}

// after is the spot behind what is read at once from p on.
func (a *Ahead) after(p spot) spot {
	r := a.ranges[p.i]
	if end := a.store.spanEnd(r, p.at); end < r.end() {
		return spot{p.i, end}
	}
	return a.begin(p.i + 1)
}

// spanEnd is how far a range is read at once from at on. An object that is not
// pinned is read in one go: its parts might be of different versions.
func (s *Store) spanEnd(r Range, at int64) int64 {
	if r.Version == "" {
		return r.end()
	}
	return min(at+s.span, r.end())
}

// Open is Store.Open.
func (a *Ahead) Open(ctx context.Context, obj bucketload.Object) (io.ReadCloser, error) {
	return a.open(ctx, Whole(obj))
}

// OpenRange is Store.OpenRange.
func (a *Ahead) OpenRange(ctx context.Context, obj bucketload.Object, off, n int64) (io.ReadCloser, error) {
	if r := (Range{obj, off, n}).clamp(); r.N > 0 {
		return a.open(ctx, r)
	}
	return http.NoBody, nil
}

func (a *Ahead) open(ctx context.Context, r Range) (io.ReadCloser, error) {
	i := a.head.i
	if a.head != a.begin(i) {
		i++ // the last one that was opened was not read to its end
	}
	if i == len(a.ranges) || a.ranges[i] != r {
		return a.store.open(ctx, r.Object, r.Off, r.end())
	}
	for a.head.i < i && len(a.waiting) > 0 {
		a.drop(a.pop())
	}
	if a.head.i < i {
		a.head = a.begin(i)
		a.tail = a.head
	}
	o := &stitched{a: a, ctx: ctx, r: r, at: spot{i, r.Off}}
	if err := o.advance(); err != nil {
		return nil, err
	}
	return o, nil
}

// take gives what was asked for at p, if it is next; nil where it was not.
func (a *Ahead) take(p spot) *fetch {
	switch {
	case a.head != p:
		return nil
	case len(a.waiting) > 0:
		return a.pop()
	}
	a.head = a.after(p)
	a.tail = a.head
	return nil
}

func (a *Ahead) pop() *fetch {
	f := a.waiting[0]
	a.waiting = a.waiting[1:]
	a.bytes -= f.end - f.off
	a.head = a.after(a.head)
	return f
}

// drop ends a fetch and gives its memory back.
func (a *Ahead) drop(f *fetch) {
	f.cancel()
	<-f.done
	a.store.memory.put(f.buf)
}

// fill asks for what comes next, as far as that may go.
func (a *Ahead) fill() {
	for a.tail.i < len(a.ranges) && len(a.waiting) < aheadRequests {
		r := a.ranges[a.tail.i]
		end := a.store.spanEnd(r, a.tail.at)
		size := end - a.tail.at
		if a.bytes+size > aheadBytes {
			return
		}
		buf, ok := a.store.memory.get(size)
		if !ok {
			return
		}
		f := &fetch{obj: r.Object, off: a.tail.at, end: end, done: make(chan struct{}), buf: buf}
		var ctx context.Context
		ctx, f.cancel = context.WithCancel(a.ctx)
		a.waiting, a.bytes, a.tail = append(a.waiting, f), a.bytes+size, a.after(a.tail)
		a.work.Go(func() { f.run(ctx, a.store) })
	}
}

// run reads the span to its end, the store's assurance that nothing comes
// behind it included.
func (f *fetch) run(ctx context.Context, s *Store) {
	defer close(f.done)
	defer f.cancel()
	src, err := s.open(ctx, f.obj, f.off, f.end)
	if err != nil {
		f.opened = err
		return
	}
	defer src.Close() //nolint:errcheck // only read from
	var more [1]byte
	for f.err == nil {
		into := f.buf[f.n:]
		if len(into) == 0 {
			into = more[:]
		}
		var n int
		n, f.err = src.Read(into)
		f.n += n
	}
}

// Close ends what is read ahead and gives its memory back. What is still open
// keeps its own until it is closed.
func (a *Ahead) Close() error {
	a.cancel()
	a.work.Wait()
	for len(a.waiting) > 0 {
		a.drop(a.pop())
	}
	a.tail = a.begin(len(a.ranges))
	a.head = a.tail
	return nil
}

// stitched reads one range, span by span.
type stitched struct {
	a   *Ahead
	ctx context.Context
	r   Range
	at  spot // of the next span
	src io.ReadCloser
	err error
}

// advance goes on to the next span.
func (o *stitched) advance() error {
	from, end := o.at, o.a.store.spanEnd(o.r, o.at.at)
	o.at.at = end
	f := o.a.take(from)
	o.a.fill()
	if f == nil {
		var err error
		o.src, err = o.a.store.open(o.ctx, o.r.Object, from.at, end)
		return err
	}
	select {
	case <-f.done:
	case <-o.ctx.Done():
		o.a.drop(f)
		return cancelled(o.ctx, o.r.URI)
	}
	if f.opened != nil {
		o.a.drop(f)
		return f.opened
	}
	o.src = &fetched{fetch: f, ctx: o.ctx, pool: o.a.store.memory}
	return nil
}

func (o *stitched) Read(p []byte) (int, error) {
	if o.err != nil || len(p) == 0 {
		return 0, o.err
	}
	for {
		n, err := o.src.Read(p)
		if n > 0 || err == nil {
			return n, nil // an error comes again
		}
		_ = o.src.Close() // only read from
		o.src = nil
		if !errors.Is(err, io.EOF) || o.at.at == o.r.end() {
			o.err = err
			return 0, err
		}
		if o.err = o.advance(); o.err != nil {
			return 0, o.err
		}
	}
}

func (o *stitched) Close() error {
	o.err = errClosed
	if o.src == nil {
		return nil
	}
	err := o.src.Close()
	o.src = nil
	return err
}

// fetched reads what a fetch has brought.
type fetched struct {
	*fetch
	ctx  context.Context
	pool *pool
	at   int
}

func (r *fetched) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, cancelled(r.ctx, r.obj.URI)
	}
	if r.at == r.n {
		return 0, r.err
	}
	n := copy(p, r.buf[r.at:r.n])
	r.at += n
	return n, nil
}

// Close is called once.
func (r *fetched) Close() error {
	r.pool.put(r.buf)
	r.buf, r.n, r.at, r.err = nil, 0, 0, errClosed
	return nil
}
