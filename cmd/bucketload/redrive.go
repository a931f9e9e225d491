package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/conduct"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/steps"
)

func (a *app) redriveCommand() *cobra.Command {
	var accept bool
	cmd := &cobra.Command{
		Use:   "redrive RUN",
		Short: "Go on with a failed or cancelled run: only what is not loaded yet",
		Long: `Goes on with a run that failed, was cancelled, or whose process died. What it
loaded stays loaded; failed files are tried again. It needs only the database:
the ledger holds the configuration of the run.

A run whose process died goes on where its state machine stopped. A run on AWS
goes on there: redrive starts an execution of the same state machine, or, where
it may not, prints the command that does. Nobody can go on with a run whose rows
gc has dropped, or whose table a newer run has loaded.

Where a check of the load has refused the rows, --accept lets them pass: the run
goes on to the swap, though any other check that then fails still stops it.`,
		Args: needArgs(1, 1, "one run"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, closePool, err := a.connectLedger(cmd.Context(), 16)
			if err != nil {
				a.notRedriven(nil, err)
				return err
			}
			defer closePool()
			if accept {
				if err := accepted(cmd.Context(), s, args[0]); err != nil {
					a.notRedriven(nil, err)
					return err
				}
			}
			table := "run " + args[0]
			r, err := s.Ledger.Run(cmd.Context(), args[0])
			if err == nil {
				table = r.Table
			}
			if err == nil && r.Conductor == ledger.StepFunctions && r.Execution != nil {
				err := a.redriveOnAWS(cmd.Context(), s, r)
				if err != nil {
					a.notRedriven(&r.Run, err)
				}
				return err
			}
			var refusal error
			run := a.one(cmd.Context(), s, table, func() (run *bucketload.Run, err error) {
				run, err = conduct.Redrive(cmd.Context(), s, args[0])
				refusal = err
				return run, err
			})
			if run == nil {
				if r, err := s.Ledger.Run(context.WithoutCancel(cmd.Context()), args[0]); err == nil {
					run = &r.Run
				}
				a.notRedriven(run, refusal)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&a.json, "json", false, "print the result as a JSON object")
	cmd.Flags().BoolVar(&accept, "accept", false, "let the rows pass that a check of the load has refused")
	return cmd
}

// accepted lets pass what the checks have found against a run's rows.
func accepted(ctx context.Context, s *steps.Steps, run string) error {
	if there, err := s.Ledger.Exists(ctx); err != nil || !there {
		return err // redrive says so
	}
	if err := s.Ledger.Migrate(ctx); err != nil {
		return err
	}
	checks, err := s.Ledger.Accept(ctx, run)
	if err == nil {
		s.Log.Info("accepted what the checks found", "run", run, "checks", strings.Join(checks, ", "))
	}
	return err
}

// notRedriven prints with --json the run as it stands, nil where there is none,
// and why nothing goes on.
func (a *app) notRedriven(run *bucketload.Run, err error) {
	if !a.json {
		return
	}
	refused := notStarted(&bucketload.Load{}, err)
	if run != nil {
		run.Error, refused = refused.Error, run
	}
	a.printJSON(refused)
}

// redriveOnAWS starts an execution that goes on with a run.
func (a *app) redriveOnAWS(ctx context.Context, s *steps.Steps, r *ledger.Run) error {
	if err := s.Ledger.MayResume(ctx, *r.ID); err != nil {
		e := *bucketload.AsError(err)
		if e.Code == bucketload.CodeConflict {
			e.Hint = "load again: " + conduct.StartCommand(*r.Execution, r.Load.Key)
		}
		return &e
	}
	if running, err := conduct.Running(ctx, *r.Execution); err == nil && running {
		return &bucketload.Error{Op: "redrive", Code: bucketload.CodeConflict,
			Message: fmt.Sprintf("run %s is under way on AWS, in execution %s", *r.ID, *r.Execution), Hint: "wait for it, or look: bucketload status " + *r.ID}
	}
	execution, err := conduct.StartRedrive(ctx, *r.Execution, r.Load.Key, *r.ID)
	if err != nil {
		return err
	}
	if a.json {
		r.Status, r.Execution, r.Error, r.EndedAt = bucketload.StatusRunning, &execution, nil, nil
		a.printJSON(r)
		return nil
	}
	fmt.Fprintf(a.out, "run %s goes on in execution %s\n", *r.ID, execution)
	fmt.Fprintf(a.errs, "next: bucketload status %s\n", *r.ID)
	return nil
}
