package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/config"
	"github.com/bucketload/bucketload/internal/steps"
)

// shownValues is how many values of a cause are named; all that are kept are
// in its JSON.
const shownValues = 8

func (a *app) rejectsCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "rejects RUN",
		Short: "Show why rows of a run could not be loaded, and what would cure it",
		Long: `Groups the rows that a run could not load by their cause, with an example and,
where one fits, the line of configuration under which all of them can be loaded.

A run rejects rows where the table's configuration tolerates it:
  tolerate: {rows_per_file: 1%, rows: 1000}
Otherwise the first bad row fails its file.`,
		Example: `  bucketload rejects 0dq1v2w3x4y5
  bucketload rejects export 0dq1v2w3x4y5 --out rejects.csv
  bucketload rejects replay 0dq1v2w3x4y5 -f bucketload.yaml`,
		Args: needArgs(1, 1, "one run"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 0 {
				return usage("--limit takes a number of causes, 0 for all", cmd.CommandPath()+" RUN --limit 5")
			}
			return a.reading(cmd.Context(), func(s *steps.Steps) error { return a.rejects(cmd.Context(), s, args[0], limit) })
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 0, "only so many causes, those with most rows first")
	cmd.Flags().BoolVar(&a.json, "json", false, "print one JSON object per cause, one a line")
	cmd.AddCommand(a.rejectsExportCommand(), a.rejectsReplayCommand())
	return cmd
}

func (a *app) rejects(ctx context.Context, s *steps.Steps, run string, limit int) error {
	r, err := s.Ledger.Run(ctx, run)
	if err != nil {
		return err
	}
	causes, err := s.Causes(ctx, run)
	if err != nil {
		return err
	}
	all := len(causes)
	if limit > 0 {
		causes = causes[:min(limit, all)]
	}
	if a.json {
		for _, c := range causes {
			a.printJSON(c)
		}
		return nil
	}
	replayed, err := s.Ledger.Replayed(ctx, run)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%s: %s of %s rows rejected", r.Table, count(r.Rows.Rejected), count(r.Rows.Loaded+r.Rows.Rejected))
	if replayed > 0 {
		fmt.Fprintf(a.out, ", %s more were loaded by a replay", count(replayed))
	}
	fmt.Fprintf(a.out, " (run %s)\n", run)
	replay := false
	for _, c := range causes {
		a.cause(c)
		replay = replay || len(c.Cures) > 0 && c.Cures[0].Then == steps.CureReplay
	}
	if all > len(causes) {
		fmt.Fprintf(a.out, "\nand %s more causes\n", count(int64(all-len(causes))))
	}
	if replay && r.Published {
		fmt.Fprintf(a.errs, "next: mend the configuration, then: bucketload rejects replay %s\n", run)
	}
	return nil
}

// cause prints what a number of rejects have in common.
func (a *app) cause(c *steps.Cause) {
	fmt.Fprintf(a.out, "\n%s in %s: %s\n", plural(int(c.Rows), "row"), plural(int(c.Files), "file"), (&bucketload.Error{Line: 1, Column: c.Column, Message: c.Message}).Detail()[len("line 1: "):])
	e := bucketload.Error{URI: c.Example.URI, Line: c.Example.Line, Message: strings.TrimRight(c.Example.Raw, "\r\n")}
	fmt.Fprintf(a.out, "  for example  %s\n", e.Detail())
	if len(c.Values) > 1 {
		values := make([]string, min(len(c.Values), shownValues))
		for i := range values {
			values[i] = fmt.Sprintf("%q", c.Values[i])
		}
		if len(c.Values) > shownValues {
			values = append(values, "…")
		}
		fmt.Fprintf(a.out, "  values       %s\n", strings.Join(values, ", "))
	}
	for i, cure := range c.Cures {
		word := "cure"
		if i > 0 {
			word = "or"
		}
		then := ""
		if cure.Then == steps.CureLoad {
			then = "  (and load again)"
		}
		fmt.Fprintf(a.out, "  %-11s  %s%s\n", word, cure.Line, then)
	}
	if len(c.Cures) == 0 && c.Hint != "" {
		fmt.Fprintf(a.out, "  %-11s  %s\n", "hint", c.Hint)
	}
}

func (a *app) rejectsReplayCommand() *cobra.Command {
	var flags config.Flags
	cmd := &cobra.Command{
		Use:   "replay RUN",
		Short: "Load the rejected rows of a run, once the configuration is mended",
		Long: `Reads the rejected rows of a run again, as the configuration has it now, and
adds those to the live table that can be loaded; each once, however often it is
called. The rest stays, with its new reason.

What counts is what the table's configuration says of values and of rows: null_if,
trim, format, default, true_if and false_if of columns, and csv: ragged, nul,
invalid_utf8, quote, escape, stray_quotes, unquoted_blanks, decimal and
thousands. Another type of a column takes a load. A table that no configuration
describes is read as the run did, but for --column and --set.

Exit codes: 0 all were loaded; 1 failed; 2 wrong usage or configuration; 3 some
failed again.`,
		Args: needArgs(1, 1, "one run"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, closePool, err := a.connectLedger(cmd.Context(), 1)
			if err != nil {
				return err
			}
			defer closePool()
			if err := s.Ledger.Upgrade(cmd.Context()); err != nil {
				return err
			}
			return a.replay(cmd.Context(), s, args[0], flags)
		},
	}
	cmd.Flags().StringArrayVar(&flags.Column, "column", nil, "a column, as name=source:type:null values (repeatable)")
	cmd.Flags().StringArrayVar(&flags.Set, "set", nil, "any key of the table in the configuration, as path=value (repeatable)")
	cmd.Flags().BoolVar(&a.json, "json", false, "print the result as a JSON object")
	return cmd
}

func (a *app) replay(ctx context.Context, s *steps.Steps, run string, flags config.Flags) error {
	r, err := s.Ledger.Run(ctx, run)
	if err != nil {
		return err
	}
	load, err := a.mended(r.Load, flags)
	if err != nil {
		return err
	}
	out, err := s.Replay(ctx, run, load)
	if err != nil {
		return err
	}
	if out.Left > 0 {
		a.worst(exitPartial)
	}
	if a.json {
		a.printJSON(out)
		return nil
	}
	fmt.Fprintf(a.out, "%s: %s rejected rows loaded, %s failed again (run %s)\n", out.Table, count(out.Replayed), count(out.Left), run)
	if out.Left > 0 {
		fmt.Fprintf(a.errs, "next: bucketload rejects %s\n", run)
	}
	return nil
}

// mended gives a run's load as the configuration has it now; where that does
// not describe it, as it was, but for the flags.
func (a *app) mended(was *bucketload.Load, flags config.Flags) (*bucketload.Load, error) {
	file, err := a.readFile()
	if err != nil {
		return nil, err
	}
	if file == nil || !slices.Contains(file.Tables(), was.Key) {
		return config.Amend(was, flags)
	}
	loads, err := file.Loads([]string{was.Key}, flags)
	if err != nil {
		return nil, err
	}
	return loads[0], nil
}
