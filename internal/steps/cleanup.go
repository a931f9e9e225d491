package steps

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/table"
)

// Cleanup leaves a run that failed in a state from which it can go on: no copy
// is in flight, and its staging keeps what is loaded.
func (s *Steps) Cleanup(ctx context.Context, try ledger.Try) (err error) {
	defer func() { err = during("cleanup", err) }()
	if err := s.enter(ctx, try, ledger.StateCleanup); err != nil {
		return err
	}
	return s.quiesce(ctx, try.Run)
}

// cause finds what a try has really failed for: a Map says only that too many
// of its children failed.
func (s *Steps) cause(ctx context.Context, run string, f Failure) (Failure, bool) {
	if f.Error != "States.ExceedToleratedFailureThreshold" && f.Error != nameTolerance {
		return f, f.transient()
	}
	if d, err := s.definition(ctx, run); err == nil {
		if broken := s.tolerated(ctx, run, d); broken != nil && bucketload.AsError(broken).Code == bucketload.CodeTolerance {
			return FailureOf(broken), bucketload.IsTransient(broken)
		}
	}
	var of Failure
	if found, err := s.Ledger.BatchFailure(ctx, run, &of); err == nil && found {
		f = of
	}
	return f, f.transient()
}

// collectPatience is how long Collect waits for a lock.
const collectPatience = 2 * time.Second

// Collect drops the staging tables of runs with which nobody can go on, and,
// where olderThan is not 0, of all that ended so long ago by the server's clock;
// with dry it only says which, of runs too whose process died and whom nobody has
// marked failed. It gives all that ended runs have left. What is in
// use is never touched. What a crash has left of published runs is done: foreign
// keys are validated, and objects deleted.
//
// Where runs are given, it drops what these have left, and gives that, and
// nothing else is done; it is CodeConflict where one of them is running.
func (s *Steps) Collect(ctx context.Context, olderThan time.Duration, dry bool, runs ...string) ([]ledger.Leftover, error) {
	var dead []string // that Dead or Bury would mark
	if dry {
		var err error
		if dead, err = s.Ledger.Bury(ctx, dry); err != nil {
			return nil, during("gc", err)
		}
	}
	for _, run := range runs {
		r, err := s.Ledger.Run(ctx, run)
		if err != nil {
			return nil, err
		}
		running := r.Status == bucketload.StatusRunning && !slices.Contains(dead, run)
		if !dry {
			if running, err = s.Ledger.Dead(ctx, run); err != nil {
				return nil, during("gc", err)
			}
		}
		if running {
			return nil, &bucketload.Error{Op: "gc", Code: bucketload.CodeConflict, Message: fmt.Sprintf("run %s is running", run),
				Hint: "stop it before: bucketload cancel " + run}
		}
	}
	if !dry && len(runs) == 0 {
		s.validate(ctx, bucketload.TableName{}, collectPatience)
		s.deleteSources(ctx, bucketload.TableName{})
	}
	left, err := s.Ledger.Leftovers(ctx, olderThan, dead...)
	if err != nil {
		return nil, during("gc", err)
	}
	if len(runs) > 0 {
		left = slices.DeleteFunc(left, func(o ledger.Leftover) bool { return !slices.Contains(runs, o.Run) })
	}
	for i := range left {
		o := &left[i]
		o.Useless = o.Useless || len(runs) > 0
		if !o.Useless || dry {
			continue
		}
		if o.Dropped, o.Kept, err = s.discard(ctx, o.Run); err != nil {
			return left, during("gc", err)
		}
	}
	return left, nil
}

// discard drops an ended run's staging table. kept says why that stays, where
// the run is not running again.
func (s *Steps) discard(ctx context.Context, run string) (dropped bool, kept string, err error) {
	dropped, err = s.Ledger.Discard(ctx, run, func(tx pgx.Tx) (err error) {
		kept, err = table.DropStaging(ctx, tx, run)
		return err
	})
	return dropped && kept == "", kept, err
}
