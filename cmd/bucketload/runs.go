package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/steps"
)

// reading connects for a command that reads the ledger, and does nothing where
// there is none yet.
func (a *app) reading(ctx context.Context, read func(*steps.Steps) error) error {
	return a.withLedger(ctx, "reading takes GRANT USAGE ON SCHEMA bucketload and GRANT SELECT ON ALL TABLES IN SCHEMA bucketload, to the role", read)
}

// writing is reading for a command that changes what loads have made.
func (a *app) writing(ctx context.Context, write func(*steps.Steps) error) error {
	return a.withLedger(ctx, "this changes what loads have made: connect as the role that loads the tables", write)
}

// withLedger connects for what is done with a ledger that is there. rights is the
// hint where the role lacks some.
func (a *app) withLedger(ctx context.Context, rights string, do func(*steps.Steps) error) error {
	s, closePool, err := a.connectLedger(ctx, 1)
	if err != nil {
		return err
	}
	defer closePool()
	there, err := s.Ledger.Exists(ctx)
	if err == nil && !there {
		return &bucketload.Error{Op: "ledger", Code: bucketload.CodeUsage, Message: "this database has no ledger: nothing was loaded into it yet",
			Hint: "is it the right database? see --to"}
	}
	if err == nil {
		err = s.Ledger.Upgrade(ctx)
	}
	if err == nil {
		err = do(s)
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "42501" { // insufficient_privilege
		e := *bucketload.AsError(err)
		e.Hint = rights
		return &e
	}
	return err
}

func (a *app) runsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "runs",
		Short: "List the runs, newest first",
		Args:  needArgs(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.reading(cmd.Context(), func(s *steps.Steps) error {
				if a.json {
					return s.Ledger.Runs(cmd.Context(), func(r *ledger.Run) error { a.printJSON(r); return nil })
				}
				w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "RUN\tTABLE\tMODE\tSTATUS\tSTARTED\tTOOK\tFILES\tFAILED\tROWS\tREJECTED")
				err := s.Ledger.Runs(cmd.Context(), func(r *ledger.Run) error {
					_, err := fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", *r.ID, r.Table, r.Mode, r.Status, local(r.StartedAt),
						seconds(r.Seconds), count(r.Files.Loaded), count(r.Files.Failed), count(r.Rows.Loaded), count(r.Rows.Rejected))
					return err
				})
				if err != nil {
					return err
				}
				return w.Flush()
			})
		},
	}
	cmd.Flags().BoolVar(&a.json, "json", false, "print one JSON object per run, one a line")
	return cmd
}

func (a *app) statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status RUN",
		Short: "Show a run",
		Args:  needArgs(1, 1, "one run"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.reading(cmd.Context(), func(s *steps.Steps) error {
				r, err := s.Ledger.Run(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if a.json {
					a.printJSON(r)
					return nil
				}
				return a.status(cmd.Context(), s, r)
			})
		},
	}
	cmd.Flags().BoolVar(&a.json, "json", false, "print the run as a JSON object")
	return cmd
}

func (a *app) status(ctx context.Context, s *steps.Steps, r *ledger.Run) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	line := func(key, format string, args ...any) { fmt.Fprintf(w, key+"\t"+format+"\n", args...) }
	line("run", "%s", *r.ID)
	line("table", "%s", r.Table)
	line("mode", "%s", r.Mode)
	line("status", "%s", r.Status)
	line("state", "%s", r.State)
	if r.Execution != nil {
		line("execution", "%s", *r.Execution)
	}
	line("started", "%s", local(r.StartedAt))
	if r.ResumedAt != nil {
		line("gone on with", "%s", local(*r.ResumedAt))
	}
	if r.EndedAt != nil {
		line("ended", "%s, after %s", local(*r.EndedAt), seconds(r.Seconds))
	}
	line("files", "%s planned, %s loaded, %s failed, %s skipped", count(r.Files.Planned), count(r.Files.Loaded), count(r.Files.Failed), count(r.Files.Skipped))
	line("rows", "%s loaded, %s rejected", count(r.Rows.Loaded), count(r.Rows.Rejected))
	if r.Duplicates > 0 {
		line("duplicates", "%s left out", plural(int(r.Duplicates), "row"))
	}
	if r.Replaced > 0 {
		line("replaced", "%s characters", count(r.Replaced))
	}
	line("bytes", "%s", bucketload.Bytes(r.Bytes))
	if r.Backup != nil {
		line("backup", "%s", *r.Backup)
	}
	for _, statement := range r.Unvalidated {
		line("not validated", "%s", statement)
	}
	next, over := next(ctx, s, &r.Run)
	if r.Error != nil {
		line("error", "%s: %s", r.Error.Op, r.Error.Message)
		if r.Error.Hint != "" && r.Error.Hint != next {
			line("hint", "%s", r.Error.Hint)
		}
	}
	if over != nil {
		line("redrive", "no more: %s", over.Message)
	}
	switch {
	case next != "":
		line("next", "%s", next)
	case r.Files.Failed > 0:
		line("next", "bucketload files %s --status failed", *r.ID)
	}
	if r.Rows.Rejected > 0 {
		line("rejects", "bucketload rejects %s", *r.ID)
	}
	return w.Flush()
}

func (a *app) filesCommand() *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use:   "files RUN",
		Short: "List a run's files and what became of them",
		Args:  needArgs(1, 1, "one run"),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch bucketload.FileState(state) {
			case "", bucketload.FilePlanned, bucketload.FileLoaded, bucketload.FileFailed, bucketload.FileSkipped:
			default:
				return usage(fmt.Sprintf("--status %q is none of planned, loaded, failed, skipped", state), "bucketload files RUN --status failed")
			}
			return a.reading(cmd.Context(), func(s *steps.Steps) error {
				if _, err := s.Ledger.Run(cmd.Context(), args[0]); err != nil {
					return err
				}
				if a.json {
					return s.Ledger.Files(cmd.Context(), args[0], bucketload.FileState(state), func(f *bucketload.File) error { a.printJSON(f); return nil })
				}
				return a.files(cmd.Context(), s, args[0], bucketload.FileState(state))
			})
		},
	}
	cmd.Flags().StringVar(&state, "status", "", "only these: planned, loaded, failed or skipped")
	cmd.Flags().BoolVar(&a.json, "json", false, "print one JSON object per file, one a line")
	return cmd
}

func (a *app) files(ctx context.Context, s *steps.Steps, run string, state bucketload.FileState) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "STATE\tROWS\tREJECTED\tSIZE\tTRIES\tFILE")
	err := s.Ledger.Files(ctx, run, state, func(f *bucketload.File) error {
		e := bucketload.Error{URI: f.URI}
		if f.Error != nil {
			e.Line, e.Column, e.Message = f.Error.Line, f.Error.Column, f.Error.Message
		}
		text := e.Detail()
		if f.Error == nil {
			text = text[:len(text)-len(": ")]
		}
		if f.Duplicates > 0 {
			text += fmt.Sprintf(" (%s duplicates left out)", count(f.Duplicates))
		}
		if f.Replaced > 0 {
			text += fmt.Sprintf(" (%s characters replaced)", count(f.Replaced))
		}
		_, err := fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", f.State, count(f.Rows), count(f.Rejected), bucketload.Bytes(f.Bytes), f.Attempts, text)
		if err == nil && f.Error != nil && f.Error.Hint != "" && state == bucketload.FileFailed {
			_, err = fmt.Fprintf(w, "\t\t\t\t\t  hint: %s\n", f.Error.Hint)
		}
		return err
	})
	if err != nil {
		return err
	}
	return w.Flush()
}

func (a *app) historyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "history RUN",
		Short: "Show what the state machine of a run did, event by event",
		Long: `Shows the history of the executions that conducted a run, with the names that
Step Functions has for its events. The history of a run on AWS is there.`,
		Args: needArgs(1, 1, "one run"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.reading(cmd.Context(), func(s *steps.Steps) error {
				r, err := s.Ledger.Run(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if r.Conductor == ledger.StepFunctions && r.Execution != nil {
					return &bucketload.Error{Op: "history", Code: bucketload.CodeUsage, Message: fmt.Sprintf("run %s is conducted by Step Functions, which has its history", args[0]),
						Hint: "aws stepfunctions get-execution-history --execution-arn " + *r.Execution}
				}
				return a.history(cmd.Context(), s, args[0])
			})
		},
	}
	cmd.Flags().BoolVar(&a.json, "json", false, "print one JSON object per event, one a line")
	return cmd
}

func (a *app) history(ctx context.Context, s *steps.Steps, run string) error {
	if a.json {
		return s.Ledger.History(ctx, run, "", func(e *ledger.Event) error { a.printJSON(e); return nil })
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	execution := ""
	err := s.Ledger.History(ctx, run, "", func(e *ledger.Event) error {
		if e.Execution != execution {
			execution = e.Execution
			fmt.Fprintf(w, "execution %s\n", execution)
		}
		_, err := fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", e.ID, local(e.Time), e.Type, about(e))
		return err
	})
	if err != nil {
		return err
	}
	return w.Flush()
}

// about is what an event's details say in a line: which state, which of a Map's
// iterations, which error.
func about(e *ledger.Event) string {
	var details struct {
		Name, Error, Cause string
		Index              *int
	}
	_ = json.Unmarshal(e.Details, &details) // where there are any
	words := []string{details.Name}
	if details.Index != nil {
		words = append(words, fmt.Sprintf("#%d", *details.Index))
	}
	if details.Error != "" {
		cause, _, _ := strings.Cut(steps.Failure{Error: details.Error, Cause: details.Cause}.Text(), "\n")
		words = append(words, details.Error+":", bucketload.Excerpt([]byte(cause), 200))
	}
	return strings.TrimSpace(strings.Join(words, " "))
}

func local(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }
