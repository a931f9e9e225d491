package steps

import (
	"errors"
	"fmt"
	"io"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/decode"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/pgcopy"
)

const (
	// maxRaw is how much is kept of the bytes of a row that cannot be loaded.
	maxRaw = 64 << 10
	// maxWaiting is how much the rejects may take in memory that wait for the
	// end of a COPY; there may be as much again, and a row, of the next file.
	maxWaiting = 4 << 20
	// rejectSize is what a reject takes beside its texts and its bytes.
	rejectSize = 300
)

// passage is a file on its way into the table, with what it has lost.
type passage struct {
	*reader
	tolerate bucketload.Tolerance
	rejected int64             // so far
	first    *bucketload.Error // why, of the first row
	rejects  []ledger.Reject   // that are still to be recorded
	waiting  int               // bytes that these take
}

// next appends the next row to dst and gives it, or neither where it cannot be
// loaded and the file may lose it. io.EOF is the end of a file that has lost no
// more than it may; any other error is why the file fails.
func (p *passage) next(enc *pgcopy.Encoder, dst []byte) ([]byte, []bucketload.Field, error) {
	row, err := p.reader.next()
	if errors.Is(err, io.EOF) {
		if failed := p.exceeded(true); failed != nil {
			err = failed
		}
		return dst, nil, err
	}
	broken := err != nil && p.rows.Broken()
	if err == nil {
		if dst, err = enc.Append(dst, row); err == nil {
			p.count++
			return dst, row, nil
		}
	}
	e := p.place(err)
	if broken || !p.tolerate.Rejects() {
		return dst, nil, e
	}
	if failed := p.lose(p.reject(), e); failed != nil {
		return dst, nil, failed
	}
	return dst, nil, nil
}

// reject gives the last row as what it becomes if it cannot be loaded; why is
// still open.
func (p *passage) reject() ledger.Reject {
	raw := p.rows.Raw()
	r := ledger.Reject{File: p.entry.No, Offset: p.rows.Offset(), Bytes: int64(len(raw)), Raw: append([]byte(nil), raw[:min(len(raw), maxRaw)]...)}
	r.Line = p.rows.Line()
	return r
}

// Texts gives the header of a row that could not be loaded and as much of the
// row as was read, in UTF-8 where they are text.
func Texts(r *ledger.Rejected) (header, row []byte) {
	switch {
	case r.Shape == nil:
		return nil, r.Raw
	case r.Duplicate:
		return decode.Text(r.Shape.Raw, r.Shape.Encoding), r.Raw
	}
	return decode.Text(r.Shape.Raw, r.Shape.Encoding), decode.Text(r.Raw, r.Shape.Encoding)
}

// lose records a row of the file that cannot be loaded, for e. It gives why the
// file fails, if that is one more than it may lose.
func (p *passage) lose(r ledger.Reject, e *bucketload.Error) *bucketload.Error {
	if p.rejected++; p.first == nil {
		p.first = e
	}
	r.No, r.FileError = p.rejected, *e.File()
	p.rejects = append(p.rejects, r)
	p.waiting += rejectSize + len(r.Message) + len(r.Hint) + len(r.Value) + len(r.Raw)
	return p.exceeded(false)
}

// exceeded gives why the file fails for the rows that it has lost, as soon as
// that is certain, or at its end; nil while they are no more than it may lose.
// Its code is tolerance where the file has lost more by itself than the run may,
// which fails, too.
func (p *passage) exceeded(end bool) *bucketload.Error {
	perFile, run, all := p.tolerate.RowsPerFile, p.tolerate.Rows, p.count+p.rejected
	limit, code := perFile, bucketload.Code("")
	switch {
	case perFile.IsShare && !end:
		return nil
	case perFile != bucketload.Share{} && perFile.Exceeded(p.rejected, all):
		code = p.first.Code
	case run.Count > 0 && run.Exceeded(p.rejected, all):
		limit, code = run, bucketload.CodeTolerance
	default:
		return nil
	}
	e := *p.first
	of := ""
	if !end {
		of = "the first "
	}
	e.Code = code
	e.Message = fmt.Sprintf("%s (%d of %s%d rows cannot be loaded, more than the %s tolerated)", e.Text(), p.rejected, of, all, limit)
	e.Err = nil
	return &e
}

// take gives the rejects that are still to be recorded.
func (p *passage) take() []ledger.Reject {
	rejects := p.rejects
	p.rejects, p.waiting = nil, 0
	return rejects
}

// receipt is that of a file whose rows are all in.
func (p *passage) receipt() ledger.Receipt {
	r := ledger.Receipt{No: p.entry.No, Part: p.entry.Part.No, Rows: p.count, Rejected: p.rejected}
	if r.Part > 0 {
		r.Lines = p.rows.Line() - 1
	}
	if counter, ok := p.rows.(interface{ Replaced() int64 }); ok {
		r.Replaced = counter.Replaced()
	}
	if p.rejected > 0 {
		r.Shape = &ledger.Shape{Header: p.names, Raw: p.head}
		if csv, ok := p.rows.(*decode.CSV); ok && csv.Encoding() != "utf-8" {
			r.Shape.Encoding = csv.Encoding()
		}
	}
	return r
}
