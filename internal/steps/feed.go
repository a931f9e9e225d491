package steps

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/pgcopy"
	"github.com/bucketload/bucketload/internal/source"
)

const (
	// heldBack is how much of a file's encoded rows waits until the file is
	// known to be good. A file that stays below shares a COPY with others and
	// can still be left out of it; a bigger one gets a COPY of its own.
	heldBack = 4 << 20
	// chunk is how much of a bigger file is encoded before it is handed on.
	chunk = 256 << 10
)

// feed is the COPY stream of a batch's files, as an io.Reader. It comes in
// segments: a number of small files, or one file alone. A small file that turns
// out bad leaves no trace in its segment. A segment is one COPY, or several
// where a file has so many rejects that they have to be recorded in between.
type feed struct {
	ctx    context.Context
	cancel context.CancelFunc
	mu     sync.Mutex // a COPY that lost its connection may still be in Read
	batch  *batchCopy
	enc    *pgcopy.Encoder

	files    []bucketload.Entry // still to be opened
	opener   *opener
	ahead    *source.Ahead    // which are asked for before that
	apart    int              // so many of them go alone: the server refused them together
	receipts []ledger.Receipt // of files whose fate is decided

	file *passage // being encoded
	held []byte   // its rows that have not gone out

	// the segment
	alone   bool               // it is one file's
	flowing bool               // file is that one, and its rows go out as they come
	members []ledger.Receipt   // files whose rows are all in
	entries []bucketload.Entry // the same files
	rejects []ledger.Reject    // of the segment, still to be recorded
	waiting int                // bytes that these take
	out     []byte             // encoded; out[sent:] has not been read
	sent    int
	ended   bool              // the trailer is in out
	paused  bool              // and it is not the segment's end
	failed  *bucketload.Error // why the file that flows is bad
}

func newFeed(ctx context.Context, b *batchCopy, enc *pgcopy.Encoder, files []bucketload.Entry) *feed {
	f := &feed{batch: b, enc: enc, files: files}
	f.ctx, f.cancel = context.WithCancel(ctx)
	var ranges []source.Range
	if b.def.layout.Format != bucketload.FormatParquet { // which is read here and there
		ranges = make([]source.Range, len(files))
		for i, e := range files {
			ranges[i] = source.Whole(e.Object)
			if e.Part != (bucketload.Part{}) {
				ranges[i] = source.Range{Object: e.Object, Off: e.Part.Start, N: e.Part.End - e.Part.Start}
			}
		}
	}
	f.ahead = b.def.store.Ahead(f.ctx, ranges)
	f.opener = b.steps.opener(b.def, f.ahead, b.watch)
	f.opener.takes = enc.Takes
	return f
}

// stop ends the feed for good. No Read is under way when it returns.
func (f *feed) stop() {
	f.cancel()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closeFile()
	_ = f.ahead.Close() // only read from
}

// more says whether there is another segment.
func (f *feed) more() bool { return len(f.files) > 0 || f.file != nil }

// begin starts the next segment.
func (f *feed) begin() {
	f.members, f.entries, f.alone, f.flowing, f.failed = f.members[:0], f.entries[:0], false, false, nil
	f.again()
}

// again begins the segment's next COPY.
func (f *feed) again() {
	f.rejects, f.waiting = nil, 0
	f.out, f.sent, f.ended, f.paused = f.enc.AppendHeader(f.out[:0]), 0, false, false
}

// Read implements io.Reader. It fills p, as each Read is a message to the server.
// io.EOF is the COPY's end; any other error spoils the segment: it is the
// context's, or failed.
func (f *feed) Read(p []byte) (n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for n < len(p) {
		if f.sent < len(f.out) {
			m := copy(p[n:], f.out[f.sent:])
			f.sent += m
			n += m
			continue
		}
		if f.ended {
			return n, io.EOF
		}
		f.out, f.sent = f.out[:0], 0
		if err := f.step(); err != nil {
			return n, err
		}
	}
	return n, nil
}

// step opens the next file, encodes on in the open one, or ends the COPY.
// out is empty before; it may be after.
func (f *feed) step() error {
	if err := f.ctx.Err(); err != nil {
		return err
	}
	if f.file == nil {
		if len(f.files) == 0 || len(f.members) > 0 && (f.alone || f.apart > 0 || f.waiting >= maxWaiting) {
			f.end()
			return nil
		}
		f.open()
		return nil
	}
	limit := heldBack
	if f.flowing {
		limit = chunk
	}
	full, err := f.encode(limit)
	switch {
	case err != nil && f.flowing:
		f.failed = err
		return err
	case err != nil:
		f.reject(f.file.entry, err)
		f.closeFile()
	case !full:
		f.members = append(f.members, f.file.receipt())
		f.entries = append(f.entries, f.file.entry)
		f.release()
		f.closeFile()
	case len(f.members) > 0:
		f.end() // what is held opens the next segment
	default:
		f.alone, f.flowing = true, true
		f.release()
		if f.waiting >= maxWaiting {
			f.end()
			f.paused = true
		}
	}
	return nil
}

// open opens the next file. Its own faults are its own; a fault that the
// context or the database has is found by the next step.
func (f *feed) open() {
	f.alone = f.apart > 0
	entry := f.files[0]
	f.files = f.files[1:]
	f.apart = max(0, f.apart-1)
	file, err := f.opener.open(f.ctx, entry)
	if err != nil {
		if f.ctx.Err() == nil {
			f.reject(entry, bucketload.AsError(err))
		}
		return
	}
	if file.index != nil {
		f.enc.Map(file.index)
	}
	f.file = &passage{reader: file, tolerate: f.batch.def.load.Tolerate}
}

// encode appends rows to held until the file ends, limit bytes are there, or as
// many rejects as may wait.
func (f *feed) encode(limit int) (full bool, failed *bucketload.Error) {
	for len(f.held) < limit && f.file.waiting < maxWaiting {
		var err error
		f.held, _, err = f.file.next(f.enc, f.held)
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, bucketload.AsError(err)
		}
	}
	return true, nil
}

// release hands held on to out, which is empty, and the file's rejects to the
// segment's.
func (f *feed) release() {
	f.out, f.held = f.held, f.out[:0]
	f.waiting += f.file.waiting
	f.rejects = append(f.rejects, f.file.take()...)
}

func (f *feed) end() {
	f.out = f.enc.AppendTrailer(f.out)
	f.ended = true
}

// rows counts the rows that went into the segment.
func (f *feed) rows() int64 {
	var n int64
	for _, m := range f.members {
		n += m.Rows
	}
	return n
}

// commit takes over the receipts of a segment that Postgres accepted.
func (f *feed) commit() { f.receipts = append(f.receipts, f.members...) }

// reject records a file as failed.
func (f *feed) reject(entry bucketload.Entry, err *bucketload.Error) {
	f.receipts = append(f.receipts, ledger.Receipt{No: entry.No, Part: entry.Part.No, Err: err})
}

// culprit gives the file that a spoilt segment is to blame on; false where
// there are several.
func (f *feed) culprit() (bucketload.Entry, bool) {
	switch {
	case f.flowing && f.file != nil:
		return f.file.entry, true
	case len(f.entries) == 1:
		return f.entries[0], true
	}
	return bucketload.Entry{}, false
}

// drop leaves the culprit out, for err.
func (f *feed) drop(culprit bucketload.Entry, err *bucketload.Error) {
	f.reject(culprit, err)
	if f.flowing {
		f.closeFile()
	}
}

// split puts the segment's files back, each to go alone; false where none was
// under way. A file that goes alone has been read before, and is not to be a
// third time: where rows may be lost, the one that was being read goes alone, too.
func (f *feed) split() bool {
	again := append([]bucketload.Entry(nil), f.entries...)
	f.apart += len(again)
	if f.file != nil {
		again = append(again, f.file.entry)
		if f.flowing || f.file.tolerate.Rejects() {
			f.apart++
		}
		f.closeFile()
	}
	f.files = append(again, f.files...)
	return len(again) > 0
}

// take gives the next of the files that go alone, for somebody else to load.
func (f *feed) take() bucketload.Entry {
	entry := f.files[0]
	f.files = f.files[1:]
	f.apart--
	return entry
}

func (f *feed) closeFile() {
	f.held = f.held[:0]
	if f.file != nil {
		f.file.close()
		f.file = nil
	}
}
