package steps

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bucketload/bucketload"
)

const (
	deleteAtOnce  = 16   // objects
	deleteChunk   = 1000 // objects, and then the ledger is told
	deleteReserve = 30 * time.Second
)

// deleteSources deletes what published runs of the table, or of all tables where
// it is the zero value, have loaded and are to delete. The rows are committed by
// then, so nothing here fails a run: what cannot be deleted is left for the next
// call. It stops before ctx has its deadline.
func (s *Steps) deleteSources(ctx context.Context, name bucketload.TableName) {
	if deadline, ok := ctx.Deadline(); ok {
		var stop context.CancelFunc
		ctx, stop = context.WithDeadline(ctx, deadline.Add(-deleteReserve))
		defer stop()
	}
	runs, err := s.Ledger.Deleting(ctx, name)
	for _, run := range runs {
		if ctx.Err() == nil {
			err = errors.Join(err, s.deleteSourcesOf(ctx, run))
		}
	}
	if err != nil {
		e := bucketload.AsError(err)
		s.Log.Warn("loaded objects are still there; the next load, or bucketload gc, goes on deleting them", "error", err, "hint", e.Hint)
	}
}

// deleteSourcesOf deletes the objects of one run of which every row is in the
// table. One that has changed since stays: nobody has loaded it.
func (s *Steps) deleteSourcesOf(ctx context.Context, run string) error {
	r, err := s.Ledger.Run(ctx, run)
	if err != nil {
		return err
	}
	store := s.store(r.Load)
	var stay atomic.Int64
	for after := -1; ; {
		entries, err := s.Ledger.Deletable(ctx, run, after, deleteChunk)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			break
		}
		after = entries[len(entries)-1].No
		var mu sync.Mutex
		var gone []int
		group, working := errgroup.WithContext(ctx)
		group.SetLimit(deleteAtOnce)
		for _, entry := range entries {
			group.Go(func() error {
				if err := store.Delete(working, entry.Object); err != nil {
					switch bucketload.AsError(err).Code {
					case bucketload.CodeChanged:
						stay.Add(1)
						return nil
					case bucketload.CodeMissing:
					default:
						return err
					}
				}
				mu.Lock()
				defer mu.Unlock()
				gone = append(gone, entry.No)
				return nil
			})
		}
		failed := group.Wait()
		if err := s.Ledger.Deleted(context.WithoutCancel(ctx), run, gone); err != nil {
			return err
		}
		if failed != nil {
			return failed
		}
	}
	if n := stay.Load(); n > 0 {
		s.Log.Warn("objects have changed since they were loaded, and stay", "objects", n, "run", run)
	}
	return s.Ledger.AllDeleted(ctx, run)
}
