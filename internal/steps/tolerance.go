package steps

import (
	"context"
	"fmt"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
)

// tolerated is CodeTolerance once more files have failed, or more rows are
// lost, than the load allows.
func (s *Steps) tolerated(ctx context.Context, run string, d *definition) error {
	lost, err := s.Ledger.Losses(ctx, run)
	if err != nil {
		return err
	}
	limits := d.load.Tolerate
	if lost.Broken || limits.Files.Exceeded(lost.Failed, lost.Planned) {
		return s.filesLost(ctx, run, limits.Files, lost)
	}
	if limits.Rows.Count > 0 && limits.Rows.Exceeded(lost.Rejected, 0) {
		return s.rowsLost(ctx, run, d.load, fmt.Sprintf("%d rows cannot be loaded, more than the %s tolerated", lost.Rejected, limits.Rows))
	}
	return nil
}

// toleratedRows is CodeTolerance where more rows of a run whose files are all
// through are lost than the load allows.
func (s *Steps) toleratedRows(ctx context.Context, run string, r *ledger.Run) error {
	limit, all := r.Load.Tolerate.Rows, r.Rows.Loaded+r.Rows.Rejected
	if limit == (bucketload.Share{}) || !limit.Exceeded(r.Rows.Rejected, all) {
		return nil
	}
	return s.rowsLost(ctx, run, r.Load, fmt.Sprintf("%d of %d rows cannot be loaded, more than the %s tolerated", r.Rows.Rejected, all, limit))
}

// filesLost names the first file that failed.
func (s *Steps) filesLost(ctx context.Context, run string, limit bucketload.Share, lost ledger.Losses) error {
	first, transient, err := s.Ledger.FirstFailure(ctx, run)
	if err != nil || first == nil {
		return err
	}
	e := &bucketload.Error{Op: "copy", Code: bucketload.CodeTolerance, URI: first.URI, Line: first.Error.Line, Column: first.Error.Column,
		Value: first.Error.Value, Message: first.Error.Message, Hint: first.Error.Hint, Transient: transient}
	switch {
	case limit.Exceeded(lost.Failed, lost.Planned) && (limit.Count > 0 || limit.Percent > 0):
		e.Message = fmt.Sprintf("%s (%d of %d files failed, more than the %s tolerated)", e.Message, lost.Failed, lost.Planned, limit)
	case lost.Failed > 1:
		e.Message = fmt.Sprintf("%s (and %d more of %d files failed)", e.Message, lost.Failed-1, lost.Planned)
	}
	return e
}

// rowsLost names the first row that was rejected. It is the run as a whole that
// is judged: going on with it would change nothing.
func (s *Steps) rowsLost(ctx context.Context, run string, load *bucketload.Load, why string) error {
	e := &bucketload.Error{Op: "check", Code: bucketload.CodeTolerance, Message: why,
		Hint: fmt.Sprintf("see what they have in common: bucketload rejects %s; then mend it and load again: bucketload load %s", run, load.Key)}
	first, err := s.Ledger.FirstReject(ctx, run)
	if err != nil || first == nil {
		return err
	}
	e.URI, e.Line, e.Column, e.Value = first.URI, first.Line, first.Column, first.Value
	e.Message = fmt.Sprintf("%s (%s)", first.Message, why)
	return e
}
