// Package conduct drives the steps of a run in this process, in the order that
// is written here and nowhere else:
//
//	Plan -> Prepare -> Map(Copy) -> Finish
//	   \______ on error: Cleanup -> again, or fail
package conduct

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/steps"
)

// How often a batch or a step is tried after a transient failure, and how long
// the first delay is; it doubles, with jitter, up to the last one.
const (
	attempts = 5
	interval = 500 * time.Millisecond
	maxDelay = 15 * time.Second
	noticing = 3 // delays that the server has to notice that a process was killed
)

// Load runs a load from the start. The run it returns tells how it ended, also
// where there is an error.
func Load(ctx context.Context, s *steps.Steps, load *bucketload.Load) (*bucketload.Run, error) {
	started := time.Now()
	none := &bucketload.Run{Table: load.Table.String(), Status: bucketload.StatusFailed, Mode: load.Mode}
	fail := func(err error) (*bucketload.Run, error) {
		none.Seconds = time.Since(started).Seconds()
		if ctx.Err() != nil {
			none.Status = bucketload.StatusCancelled
		}
		none.Error = runError(ctx, err)
		return none, err
	}
	if err := s.Ledger.Migrate(ctx); err != nil {
		return fail(err)
	}
	id := bucketload.NewRunID(started)
	release, err := s.Ledger.Hold(ctx, id)
	if err != nil {
		return fail(err)
	}
	defer release()
	dead, err := s.Ledger.Begin(ctx, id, load)
	if err != nil {
		return fail(err)
	}
	if dead != "" {
		s.Log.Warn("the process of an earlier run of this table died; its rows are kept", "run", dead, "to go on with it", "bucketload redrive "+dead)
	}
	return conduct(ctx, s, id, load)
}

// Redrive goes on with a run that failed, was cancelled or whose process died:
// what is loaded stays loaded.
func Redrive(ctx context.Context, s *steps.Steps, id string) (*bucketload.Run, error) {
	there, err := s.Ledger.Exists(ctx)
	if err != nil {
		return nil, err
	}
	if !there {
		return nil, &bucketload.Error{Op: "redrive", Code: bucketload.CodeUsage,
			Message: fmt.Sprintf("there is no run %q: this database has no ledger", id), Hint: "is it the right database? see --to"}
	}
	if err := s.Ledger.Migrate(ctx); err != nil {
		return nil, err
	}
	run, err := s.Ledger.Run(ctx, id)
	// A process that was killed seems alive until the server notices.
	for try := 0; err == nil && run.Alive && try < noticing; try++ {
		if err = pause(ctx, try); err == nil {
			run, err = s.Ledger.Run(ctx, id)
		}
	}
	if err != nil {
		return nil, err
	}
	release, err := s.Ledger.Hold(ctx, id)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := s.Ledger.Resume(ctx, id); err != nil {
		return nil, err
	}
	if err := takeOver(ctx, s, id); err != nil {
		return end(ctx, s, id, run.Load, err)
	}
	return conduct(ctx, s, id, run.Load)
}

// takeOver ends what is left of the process that conducted the run before, and
// looks up its failed files anew.
func takeOver(ctx context.Context, s *steps.Steps, id string) error {
	n, err := s.Ledger.EndCopies(ctx, id)
	if err != nil {
		return err
	}
	if n > 0 {
		s.Log.Info("ended what was left of the dead process", "backends", n)
	}
	return s.Repin(ctx, steps.RunInput{Run: id})
}

// conduct takes a running run to its end, with the tries that the load allows.
func conduct(ctx context.Context, s *steps.Steps, id string, load *bucketload.Load) (*bucketload.Run, error) {
	var first error // what the run is recorded to have failed for
	for try := 0; ; try++ {
		run, err := once(ctx, s, id, load)
		if err == nil {
			return &run.Run, nil
		}
		if first == nil {
			first = err
		}
		// What is left to do must not be undone by the same Ctrl-C.
		after, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		if cleanupErr := retry(after, s, "cleanup", func() error { return s.Cleanup(after, steps.RunInput{Run: id}) }); cleanupErr != nil {
			s.Log.Warn("cleanup", "run", id, "error", cleanupErr)
		}
		again := ctx.Err() == nil && try < load.Retries && bucketload.IsTransient(err)
		if again {
			s.Log.Warn("trying the run again", "run", id, "after", err)
			if againErr := retry(after, s, "cleanup", func() error { return s.Ledger.Again(after, id) }); againErr != nil {
				again = false
				s.Log.Warn("cannot try again", "run", id, "error", againErr)
			}
		}
		stop()
		if !again || pause(ctx, try) != nil {
			break
		}
	}
	return end(ctx, s, id, load, first)
}

// once goes through the steps.
func once(ctx context.Context, s *steps.Steps, id string, load *bucketload.Load) (*ledger.Run, error) {
	err := retry(ctx, s, "plan", func() error {
		_, err := s.Plan(ctx, steps.PlanInput{Run: id, Load: load})
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := retry(ctx, s, "prepare", func() error { return s.Prepare(ctx, steps.RunInput{Run: id}) }); err != nil {
		return nil, err
	}
	if err := copyAll(ctx, s, id, load); err != nil {
		return nil, err
	}
	var run *ledger.Run
	err = retry(ctx, s, "finish", func() (err error) {
		run, err = s.Finish(ctx, steps.RunInput{Run: id})
		return err
	})
	return run, err
}

// copyAll copies the batches that are not done, max_concurrency at once. When
// the tolerance is exceeded no further batch begins, and those under way end.
func copyAll(ctx context.Context, s *steps.Steps, id string, load *bucketload.Load) error {
	var open []int
	err := retry(ctx, s, "copy", func() (err error) {
		if err = s.Copying(ctx, id); err == nil {
			open, err = s.Ledger.OpenBatches(ctx, id)
		}
		return err
	})
	if err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(max(1, load.MaxConcurrency))
	var stopped atomic.Bool
	for _, batch := range open {
		g.Go(func() error {
			if stopped.Load() || ctx.Err() != nil {
				return nil
			}
			err := retry(ctx, s, "copy", func() error {
				_, err := s.Copy(ctx, steps.CopyInput{Run: id, Batch: batch})
				return err
			})
			if err != nil {
				stopped.Store(true)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// retry calls do again while its failure is transient. A broken tolerance is a
// judgement, not a failure of the call, and an object's failure comes after the
// tries that its source has made: on these the run decides.
func retry(ctx context.Context, s *steps.Steps, what string, do func() error) error {
	for try := 0; ; try++ {
		err := do()
		again := bucketload.IsTransient(err) && bucketload.AsError(err).Code != bucketload.CodeTolerance && bucketload.AsError(err).URI == ""
		if err == nil || !again || ctx.Err() != nil || try == attempts-1 {
			return err
		}
		s.Log.Warn("trying again", "step", what, "try", try+2, "after", err)
		if err := pause(ctx, try); err != nil {
			return err
		}
	}
}

// pause waits before another try: exponential, with jitter.
func pause(ctx context.Context, try int) error {
	delay := min(interval<<try, maxDelay)
	timer := time.NewTimer(delay/2 + rand.N(delay/2))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// end records how a run that did not make it ended.
func end(ctx context.Context, s *steps.Steps, id string, load *bucketload.Load, err error) (*bucketload.Run, error) {
	status := bucketload.StatusFailed
	if ctx.Err() != nil {
		status = bucketload.StatusCancelled
		err = &bucketload.Error{Op: "load", Code: bucketload.CodeCancelled, Message: "cancelled",
			Hint: "go on with it: bucketload redrive " + id, Err: ctx.Err()}
	}
	cause := runError(ctx, err)
	after, stop := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer stop()
	if endErr := s.Ledger.End(after, id, status, cause); endErr != nil {
		s.Log.Warn("the end of the run is not recorded", "run", id, "error", endErr)
	}
	run, readErr := s.Ledger.Run(after, id)
	if readErr != nil {
		return &bucketload.Run{ID: &id, Table: load.Table.String(), Status: status, Mode: load.Mode, Error: cause}, err
	}
	if run.Status == bucketload.StatusSucceeded || run.Status == bucketload.StatusPartial {
		return &run.Run, nil // it was done, only word of it was lost
	}
	return &run.Run, err
}

// runError is an error as a run's result shows it.
func runError(ctx context.Context, err error) *bucketload.RunError {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return &bucketload.RunError{Op: "load", Message: "cancelled", Hint: bucketload.AsError(err).Hint}
	}
	e := bucketload.AsError(err)
	op := e.Op
	if op == "" {
		op = "load"
	}
	return &bucketload.RunError{Op: op, Message: e.Detail(), Hint: e.Hint}
}
