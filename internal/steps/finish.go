package steps

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/table"
)

// Check does the last arithmetic once no copy is in flight, and records what is
// to be built: it gives the names of the build steps, in order.
func (s *Steps) Check(ctx context.Context, try ledger.Try) (build []string, err error) {
	defer func() { err = during("finish", err) }()
	if err := s.enter(ctx, try, ledger.StateCheck); err != nil {
		return nil, err
	}
	if err := s.quiesce(ctx, try.Run); err != nil {
		return nil, err
	}
	r, err := s.Ledger.Run(ctx, try.Run)
	if err != nil {
		return nil, err
	}
	if err := s.checkCopied(ctx, try.Run, r); err != nil {
		return nil, err
	}
	if !swaps(r) {
		return nil, nil
	}
	steps, err := s.buildSteps(ctx, try.Run, r.Load)
	for _, step := range steps {
		build = append(build, step.Key)
	}
	return build, err
}

// swaps says whether a run ends by a swap: a trial ends in staging, and an
// append to a table that is there has none.
func swaps(r *ledger.Run) bool { return r.Staging && r.Load.LimitFiles == 0 }

// buildSteps gives what finishes the run's staging table, found out once.
func (s *Steps) buildSteps(ctx context.Context, run string, load *bucketload.Load) (steps []table.Step, err error) {
	_, known, err := s.Ledger.Build(ctx, run, &steps)
	if err != nil || known {
		return steps, err
	}
	live, err := table.Inspect(ctx, s.Pool, load.Table)
	if err != nil {
		return nil, err
	}
	if steps, err = table.Steps(ctx, s.Pool, load, run, live); err != nil {
		return nil, err
	}
	d, err := s.definition(ctx, run)
	if err != nil {
		return nil, err
	}
	if d.layout.hasOrder() {
		steps = append(steps, table.DropOrder(run))
	}
	if err := s.Ledger.SetBuild(ctx, run, steps); err != nil {
		return nil, err
	}
	_, _, err = s.Ledger.Build(ctx, run, &steps)
	return steps, err
}

// Build runs one build step, counted from 0, in one transaction with its
// record; none that has been run before.
func (s *Steps) Build(ctx context.Context, try ledger.Try, step int) (err error) {
	defer func() { err = during("finish", bucketload.DatabaseError("finish", err)) }()
	if err := s.enter(ctx, try, ledger.StateBuild); err != nil {
		return err
	}
	r, err := s.Ledger.Run(ctx, try.Run)
	if err != nil {
		return err
	}
	return s.patiently(ctx, s.waitToBuild(ctx, r), func() error {
		return pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error { return s.buildOnce(ctx, tx, try, r, step) })
	})
}

// buildOnce runs a build step in tx with its record.
func (s *Steps) buildOnce(ctx context.Context, tx pgx.Tx, try ledger.Try, r *ledger.Run, step int) error {
	// Of two calls at once, one given up and its retry, the second waits.
	if err := ledger.Settle(ctx, tx, try.Run); err != nil {
		return err
	}
	if err := ledger.At(ctx, tx, try, ledger.StateBuild); err != nil {
		return err
	}
	var steps []table.Step
	built, _, err := s.Ledger.Build(ctx, try.Run, &steps)
	if err != nil || step < built {
		return err
	}
	if step != built || step >= len(steps) {
		return &bucketload.Error{Code: bucketload.CodeInternal, Message: fmt.Sprintf("build step %d is not the next: %d of %d are done", step, built, len(steps))}
	}
	if err := s.build(ctx, tx, r, steps[step]); err != nil {
		return err
	}
	if steps[step].Judged, err = table.Judged(ctx, tx, try.Run); err != nil {
		return err
	}
	return ledger.Built(ctx, tx, try, step+1, steps)
}

// waitToBuild is waiting for staging, which somebody may be looking at, and for
// those who write what its foreign keys are to refer to.
func (s *Steps) waitToBuild(ctx context.Context, r *ledger.Run) waiting {
	staging := bucketload.StagingTable(*r.ID)
	return waiting{"finish", staging.String(), "bucketload redrive " + *r.ID, func() ([]string, error) {
		readers, err := table.Blockers(ctx, s.Pool, staging)
		if err != nil || len(readers) > 0 {
			return readers, err
		}
		referred, err := table.Referred(ctx, s.Pool, r.Load.Constraints, r.Load.Table)
		if err != nil {
			return nil, err
		}
		return table.Writers(ctx, s.Pool, referred...)
	}}
}

// Analyze gives the planner statistics of the staging table.
func (s *Steps) Analyze(ctx context.Context, try ledger.Try) (err error) {
	defer func() { err = during("finish", bucketload.DatabaseError("finish", err)) }()
	if err := s.enter(ctx, try, ledger.StateAnalyze); err != nil {
		return err
	}
	r, err := s.Ledger.Run(ctx, try.Run)
	if err != nil || !swaps(r) {
		return err
	}
	return pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
		if err := ledger.Attend(ctx, tx, try.Run); err != nil {
			return err
		}
		return table.Analyze(ctx, tx, try.Run)
	})
}

// Finish takes a run whose copies are done to its end: Check, Build, Analyze
// and Swap. Called again it goes on with the part that it had come to.
func (s *Steps) Finish(ctx context.Context, try ledger.Try) (*ledger.Run, error) {
	r, err := s.Ledger.Run(ctx, try.Run)
	if err != nil {
		return nil, during("finish", err)
	}
	switch r.State {
	default:
		if _, err := s.Check(ctx, try); err != nil {
			return nil, err
		}
		fallthrough
	case ledger.StateBuild:
		var steps []table.Step
		if _, _, err := s.Ledger.Build(ctx, try.Run, &steps); err != nil {
			return nil, during("finish", err)
		}
		for i := range steps {
			if err := s.Build(ctx, try, i); err != nil {
				return nil, err
			}
		}
		fallthrough
	case ledger.StateAnalyze:
		if err := s.Analyze(ctx, try); err != nil {
			return nil, err
		}
	case ledger.StateSwap, stateDone:
	}
	return s.Swap(ctx, try)
}

// settleTimeout is how long copies that are in flight may go on once the run
// has moved on, before their backends are ended.
const settleTimeout = 30 * time.Second

// quiesce returns once no copy of the run is in flight.
func (s *Steps) quiesce(ctx context.Context, run string) error {
	settle := func() error {
		return pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, fmt.Sprintf("SET LOCAL lock_timeout = %d", s.patience.Milliseconds())); err != nil {
				return err
			}
			return ledger.Settle(ctx, tx, run)
		})
	}
	err := settle()
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "55P03" { // lock_not_available
		n, endErr := s.Ledger.EndCopies(ctx, run)
		if endErr != nil {
			return endErr
		}
		s.Log.Warn("ended copies that did not stop by themselves", "run", run, "backends", n)
		err = settle()
	}
	return during("finish", bucketload.DatabaseError("finish", err))
}

// checkCopied judges what was copied: every file has its fate, and the tolerance
// holds. Staging has the rows that the receipts say, as they have committed with
// them: counting them once more would read all of it, and with data checksums
// write all of it to the WAL again once a checkpoint has come between.
func (s *Steps) checkCopied(ctx context.Context, run string, r *ledger.Run) error {
	load := r.Load
	if left := r.Files.Planned - r.Files.Loaded - r.Files.Failed; left > 0 {
		return &bucketload.Error{Op: "finish", Code: bucketload.CodeCheck, Transient: true,
			Message: fmt.Sprintf("%d of %d files have not been copied", left, r.Files.Planned), Hint: "bucketload redrive " + run}
	}
	d, err := s.definition(ctx, run)
	if err != nil {
		return err
	}
	if err := s.tolerated(ctx, run, d); err != nil {
		return err
	}
	if err := s.toleratedRows(ctx, run, r); err != nil {
		return err
	}
	built, _, err := s.Ledger.Build(ctx, run, new([]table.Step))
	if err != nil || built > 0 || !r.Staging {
		return err
	}
	rows := r.Rows.Loaded
	if len(load.BeforeSwapSQL) > 0 || load.LimitFiles > 0 {
		return nil // rows are judged once they are what is swapped in, if they are
	}
	if err := someRows(r, d.layout, rows); err != nil {
		return err
	}
	return s.judge(ctx, run, load, table.JudgeRows(load, rows)) // before the indexes are built for nothing
}
