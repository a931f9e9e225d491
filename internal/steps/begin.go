package steps

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
)

// begin gives the run that a Plan is for: the one that the conductor has begun
// or wants another try of, the one that its execution conducts already (the
// reply to an earlier call was lost), one to go on with, or a new one.
func (s *Steps) begin(ctx context.Context, set *Setting, execution string, in *flow) (ledger.Try, error) {
	switch {
	case in.Again:
		return s.Ledger.Again(ctx, in.Try)
	case set.Begun:
		return in.Try, nil
	case in.Table == "":
		return ledger.Try{}, &bucketload.Error{Code: bucketload.CodeUsage, Message: "the input names no table", Hint: `give {"table": "year_2022"}`}
	}
	if err := s.Ledger.Migrate(ctx); err != nil {
		return ledger.Try{}, err
	}
	if try, err := s.begunBy(ctx, execution, in); err != nil || try.Run != "" {
		return try, err
	}
	by := ledger.Conductor{Kind: ledger.StepFunctions, Execution: execution}
	if in.Redrive != "" {
		return s.redriveFor(ctx, set, in, by)
	}
	load, err := set.Load(ctx, in.Table)
	if err != nil {
		return ledger.Try{}, err
	}
	try, err := s.beginNew(ctx, load, by)
	if err != nil {
		// Another call of the same Plan may have been faster.
		if had, hadErr := s.begunBy(ctx, execution, in); hadErr == nil && had.Run != "" {
			return had, nil
		}
	}
	return try, err
}

// begunBy gives the run that an execution has begun or taken to go on with;
// none where it has not. Where another has taken that since, the call comes too
// late.
func (s *Steps) begunBy(ctx context.Context, execution string, in *flow) (ledger.Try, error) {
	run, err := s.Ledger.ConductedBy(ctx, execution)
	if err != nil || run == "" {
		return ledger.Try{}, err
	}
	r, err := s.Ledger.Run(ctx, run)
	if err != nil {
		return ledger.Try{}, err
	}
	if r.Execution == nil || *r.Execution != execution {
		return ledger.Try{}, &bucketload.Error{Code: bucketload.CodeFenced, Message: fmt.Sprintf("run %s has another conductor by now: this call comes too late", run),
			Hint: "bucketload status " + run}
	}
	if in.Redrive != "" && r.Status == bucketload.StatusRunning && r.State == ledger.StatePlan { // the earlier call may have failed half-way
		err = s.LookAgain(ctx, ledger.Try{Run: run, Attempt: r.Attempt})
	}
	return ledger.Try{Run: run, Attempt: r.Attempt}, err
}

// beginNew begins a run of the load, with an id that no other has.
func (s *Steps) beginNew(ctx context.Context, load *bucketload.Load, by ledger.Conductor) (ledger.Try, error) {
	for {
		try := ledger.Try{Run: bucketload.NewRunID(time.Now()), Attempt: 1}
		dead, err := s.Ledger.Begin(ctx, try.Run, load, by)
		if dead != "" {
			s.Log.Warn("the conductor of an earlier run of this table died; its rows are kept", "run", dead, "to go on with it", "bucketload redrive "+dead)
		}
		if !errors.Is(err, ledger.ErrTaken) {
			return try, err
		}
	}
}

// redriveFor goes on with the run that a machine's input names.
func (s *Steps) redriveFor(ctx context.Context, set *Setting, in *flow, by ledger.Conductor) (ledger.Try, error) {
	r, err := s.Ledger.Run(ctx, in.Redrive)
	if err != nil {
		return ledger.Try{}, err
	}
	load, err := set.Load(ctx, in.Table)
	// A table that the configuration no longer has is known to the ledger.
	if known, ok := errors.AsType[*bucketload.Error](err); err != nil && (!ok || known.Code != bucketload.CodeUsage) {
		return ledger.Try{}, err
	}
	if in.Table != r.Load.Key && in.Table != r.Table && (load == nil || load.Table != r.Load.Table) {
		return ledger.Try{}, &bucketload.Error{Code: bucketload.CodeUsage, Message: fmt.Sprintf("run %s is of table %s, not of %s", in.Redrive, r.Load.Key, in.Table),
			Hint: fmt.Sprintf(`give {"table": %q, "redrive": %q}`, r.Load.Key, in.Redrive)}
	}
	return s.Redrive(ctx, in.Redrive, by)
}

// Redrive makes a run that ended without success, or whose conductor died, the
// run of another conductor, in a new try, and looks again. A process holds the run.
// Where only the look fails it gives the try with the error: called once more it would
// take the run from whoever has it by then, so that LookAgain is what comes next.
func (s *Steps) Redrive(ctx context.Context, run string, by ledger.Conductor) (ledger.Try, error) {
	r, err := s.Ledger.Run(ctx, run)
	if err != nil {
		return ledger.Try{}, err
	}
	held := by.Kind == "" && r.Conductor == ledger.Process // from a dead process to the one that holds it now
	own := by.Execution != "" && r.Execution != nil && *r.Execution == by.Execution
	if !held && !own && !r.Published {
		// Begin would mark a dead run failed; a redrive has to find out too.
		if alive, err := s.Ledger.Dead(ctx, run); err != nil {
			return ledger.Try{}, err
		} else if alive {
			return ledger.Try{}, &bucketload.Error{Op: "redrive", Code: bucketload.CodeConflict, Message: fmt.Sprintf("run %s is under way", run),
				Hint: "wait for it, or look: bucketload status " + run}
		}
	}
	try, err := s.Ledger.Resume(ctx, run, by)
	if err != nil {
		return try, err
	}
	return try, s.LookAgain(ctx, try)
}

// TakeUp makes a run whose conductor died the run of this process, which goes
// on in the state that it had come to, and looks again, as Redrive does.
func (s *Steps) TakeUp(ctx context.Context, run string) (ledger.Try, error) {
	try, err := s.Ledger.TakeUp(ctx, run, ledger.Conductor{})
	if err != nil {
		return try, err
	}
	return try, s.LookAgain(ctx, try)
}

// LookAgain ends what is left of a run's dead conductor and, where the try has yet
// to plan, looks its failed files up anew. CodeFenced where the run has ended since
// or is in another try.
func (s *Steps) LookAgain(ctx context.Context, try ledger.Try) error {
	r, err := s.Ledger.Run(ctx, try.Run)
	if err != nil {
		return err
	}
	if err := s.Ledger.Enter(ctx, try, r.State); err != nil {
		return err
	}
	if err := s.endCopies(ctx, try.Run); err != nil {
		return err
	}
	if r.State == ledger.StatePlan {
		return s.repin(ctx, try.Run)
	}
	if r, err = s.Ledger.Run(ctx, try.Run); err == nil {
		_, err = s.begun(ctx, r)
	}
	return err
}

// endCopies ends what is left of a dead conductor.
func (s *Steps) endCopies(ctx context.Context, run string) error {
	n, err := s.Ledger.EndCopies(ctx, run)
	if n > 0 {
		s.Log.Info("ended what was left of the dead process", "backends", n)
	}
	return err
}
