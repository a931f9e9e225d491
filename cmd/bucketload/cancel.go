package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/steps"
)

// letGo is how long cancel waits for the run's process to stop: it is told at
// once, and its copies' statements have been ended.
const letGo = 5 * time.Second

func (a *app) cancelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cancel RUN",
		Short: "Stop a run, wherever its process is",
		Long: `Stops a running run from anywhere that reaches the database. Its process is told
and ends with exit code 1; what its copies had not committed is rolled back, the
live table stays as it is, and what is loaded waits for a redrive.

A run whose process is frozen or cut off is ended all the same: when it wakes it
finds that it comes too late.`,
		Args: needArgs(1, 1, "one run"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, id := cmd.Context(), args[0]
			return a.writing(ctx, func(s *steps.Steps) error {
				was, err := s.Ledger.Cancel(ctx, id)
				if err != nil {
					return err
				}
				if a.json {
					r, err := s.Ledger.Run(ctx, id)
					if err != nil {
						return err
					}
					a.printJSON(r)
				} else {
					fmt.Fprintf(a.out, "run %s of %s is cancelled\n", id, was.Table)
				}
				return a.cancelled(cmd, s, was)
			})
		},
	}
	cmd.Flags().BoolVar(&a.json, "json", false, "print the run as a JSON object")
	return cmd
}

// cancelled says what is left to do once a run is.
func (a *app) cancelled(cmd *cobra.Command, s *steps.Steps, was *ledger.Cancelled) error {
	if was.Conductor == ledger.StepFunctions && was.Execution != nil {
		fmt.Fprintf(a.errs, "its execution ends with its next step, or at once: aws stepfunctions stop-execution --execution-arn %s\n", *was.Execution)
	} else {
		ended, err := s.Ledger.EndHold(cmd.Context(), was, letGo)
		if err != nil {
			return err
		}
		if ended {
			fmt.Fprintln(a.errs, "its process has not stopped, and holds the run no more; whatever it does now comes too late")
		}
	}
	if s.Ledger.MayResume(cmd.Context(), *was.ID) == nil {
		fmt.Fprintf(a.errs, "next: bucketload redrive %s\n", *was.ID)
	}
	return nil
}

func (a *app) gcCommand() *cobra.Command {
	var dry bool
	var olderThan time.Duration
	cmd := &cobra.Command{
		Use:   "gc [RUN...]",
		Short: "Drop what crashed and failed runs have left",
		Long: `Drops the staging tables of ended runs with which nobody can go on, because a
newer run has replaced the table since. Those that can go on are kept and named;
--older-than drops them, too. Of runs that are named only what they have left is
dropped, whether one could go on with them or not: rows that a check has refused,
for example. What a running run uses is never touched.

A run whose process died is marked failed, and what it left in flight is ended.
Where no runs are named, what runs had no time for once their rows were in is
done: foreign keys are validated, and loaded objects deleted where
source_after_load says so.`,
		Example: `  bucketload gc --dry-run
  bucketload gc --older-than 168h
  bucketload gc 1m84vbxj5665`,
		RunE: func(cmd *cobra.Command, runs []string) error {
			if olderThan < 0 || olderThan == 0 && cmd.Flags().Changed("older-than") {
				return usage("--older-than takes a time, more than 0", "bucketload gc --older-than 168h")
			}
			if olderThan > 0 && len(runs) > 0 {
				return usage("--older-than goes by time, and these runs are named", "bucketload gc "+strings.Join(runs, " "))
			}
			ctx := cmd.Context()
			return a.writing(ctx, func(s *steps.Steps) error {
				if len(runs) == 0 {
					dead, err := s.Ledger.Bury(ctx, dry)
					for _, run := range dead {
						fmt.Fprintf(a.errs, "the process of run %s died; to go on with it: bucketload redrive %s\n", run, run)
					}
					if err != nil {
						return err
					}
				}
				left, err := s.Collect(ctx, olderThan, dry, runs...)
				for _, o := range left {
					a.leftover(&o, dry)
				}
				if err == nil && len(left) == 0 && !a.json {
					fmt.Fprintln(a.errs, "there is nothing to drop")
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only say what would be dropped")
	cmd.Flags().DurationVar(&olderThan, "older-than", 0, "also drop what runs have left that ended so long ago and could go on, as 168h")
	cmd.Flags().BoolVar(&a.json, "json", false, "print one JSON object per staging table, one a line")
	return cmd
}

// leftover prints what became of an ended run's staging table.
func (a *app) leftover(o *ledger.Leftover, dry bool) {
	if a.json {
		a.printJSON(o)
		return
	}
	what, then := "kept", ""
	switch {
	case o.Dropped:
		what = "dropped"
	case o.Useless && dry:
		what = "would drop"
	case o.Kept != "":
		then = "; " + o.Kept
	case o.Useless:
		then = "; it is in use again"
	case o.Trial:
		then = "; it was a trial, to drop it: bucketload gc " + o.Run
	default:
		then = "; to go on with it: bucketload redrive " + o.Run
	}
	fmt.Fprintf(a.out, "%s %s (%s), of run %s of %s, which ended as %s%s\n", what, o.Staging, bucketload.Bytes(o.Bytes), o.Run, o.Table, o.Status, then)
}
