package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/steps"
)

// known gives the load of a table by its name: of the configuration, or, where
// that has none, one in which nothing else is said.
func (a *app) known(name string) (*bucketload.Load, error) {
	file, err := a.readFile()
	if err != nil {
		return nil, err
	}
	return file.Known(name)
}

func (a *app) backupsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backups TABLE",
		Short: "List a table and its previous ones that are kept, newest first",
		Args:  needArgs(1, 1, "one table"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			load, err := a.known(args[0])
			if err != nil {
				return err
			}
			return a.reading(ctx, func(s *steps.Steps) error {
				all, err := ledger.SizedGenerations(ctx, s.Pool, load.Table)
				if err != nil {
					return err
				}
				if len(all) == 0 {
					return &bucketload.Error{Op: "backups", Code: bucketload.CodeUsage, Message: fmt.Sprintf("there is no table %s, and no backup of it", load.Table),
						Hint: "is it the right name? bucketload runs"}
				}
				return a.backups(all)
			})
		},
	}
	cmd.Flags().BoolVar(&a.json, "json", false, "print one JSON object per table, one a line")
	return cmd
}

func (a *app) backups(all []ledger.Generation) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	if !a.json {
		fmt.Fprintln(w, "TABLE\tRUN\tLOADED\tREPLACED\tROWS\tSIZE")
	}
	for _, g := range all {
		if a.json {
			a.printJSON(struct {
				Table string `json:"table"`
				Live  bool   `json:"live"`
				ledger.Generation
			}{g.Name.String(), g.Live(), g})
			continue
		}
		run, loaded, replaced, rows := "-", "-", "-", "-"
		if g.Run != nil {
			run = *g.Run
		}
		if g.LoadedAt != nil {
			loaded = local(*g.LoadedAt)
		}
		switch {
		case g.Live():
			replaced = "live"
		case g.ReplacedAt != nil:
			replaced = local(*g.ReplacedAt)
		}
		if g.Rows >= 0 {
			rows = "~" + count(g.Rows)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", g.Name, run, loaded, replaced, rows, bucketload.Bytes(g.Bytes))
	}
	return w.Flush()
}

func (a *app) rollbackCommand() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "rollback TABLE",
		Short: "Make a previous table the live one again",
		Long: `Swaps a table with its newest backup, or with the one that --to names, in one
transaction and with the care of a load's swap: owner, grants, comments, views,
triggers, policies, sequences and foreign keys follow. The table that was live
becomes the newest backup, so that a rollback can be rolled back.

Its indexes and constraints are those that it had; what the other one has beside
them is named.`,
		Example: `  bucketload backups year_2022
  bucketload rollback year_2022 --to 1d9tv2k4m0qz`,
		Args: needArgs(1, 1, "one table"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			load, err := a.known(args[0])
			if err != nil {
				return err
			}
			return a.writing(ctx, func(s *steps.Steps) error {
				did, err := s.Rollback(ctx, load, to)
				if err != nil {
					return err
				}
				if a.json {
					a.printJSON(did)
					return nil
				}
				of := "was there before any run"
				if did.Run != nil {
					of = "run " + *did.Run + " has loaded"
				}
				fmt.Fprintf(a.out, "%s is again what %s\n", did.Table, of)
				if did.Backup != nil {
					fmt.Fprintf(a.errs, "what was live is %s\n", *did.Backup)
				}
				for _, lost := range did.Lost {
					fmt.Fprintf(a.errs, "it has no %s\n", lost)
				}
				return nil
			})
		},
	}
	// It may be given twice: no run, and no backup but one of a hostile name, looks
	// like a target, which has a : or a = in it.
	cmd.Flags().Func("to", "the run whose table comes back, or the name of its backup, as bucketload backups has them; or, as with all commands, the target database", func(said string) error {
		if strings.ContainsAny(said, ":=") {
			a.to = said
		} else {
			to = said
		}
		return nil
	})
	cmd.Flags().BoolVar(&a.json, "json", false, "print what was done as a JSON object")
	return cmd
}
