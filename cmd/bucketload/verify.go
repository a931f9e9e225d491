package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/bucketload/bucketload/internal/steps"
)

func (a *app) verifyCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "verify TABLE",
		Short: "Read a table's objects again and count: what they have against what the table has",
		Long: `Reads every object again whose rows the table has, and compares the number of its
rows with what was loaded or left out; and the number of the table's rows, by
object where the table has the column _file (lineage: [_file]). Nothing is
changed. Objects that have changed since their last load or are gone are named,
and those that are not loaded yet.

Exit codes: 0 nothing is amiss; 1 something is, or it could not be found out.`,
		Example: `  bucketload verify year_2022
  bucketload verify year_2022 --all --json`,
		Args: needArgs(1, 1, "one table"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			load, err := a.known(args[0])
			if err != nil {
				return err
			}
			return a.reading(ctx, func(s *steps.Steps) error {
				w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
				header := false
				v, err := s.Verify(ctx, load, func(f *steps.VerifiedFile) error {
					if !all && f.Verdict == steps.VerdictSame {
						return nil
					}
					if a.json {
						a.printJSON(f)
						return nil
					}
					if !header {
						fmt.Fprintln(w, "VERDICT\tSOURCE\tLOADED\tLEFT OUT\tTABLE\tFILE")
						header = true
					}
					name := f.URI
					if f.Error != nil {
						name = f.Error.Message
					}
					_, err := fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", f.Verdict, counted(f.Source), count(f.Loaded), count(f.LeftOut), counted(f.Table), name)
					return err
				})
				if err != nil {
					return err
				}
				if err := w.Flush(); err != nil {
					return err
				}
				a.verified(v)
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "list every object, and not only those that something is to be said of")
	cmd.Flags().BoolVar(&a.json, "json", false, "print one JSON object per object, one a line, and one for the table at the end")
	return cmd
}

// verified prints the verdict on a table.
func (a *app) verified(v *steps.Verified) {
	if !v.OK() {
		a.worst(exitFailed)
	}
	if a.json {
		a.printJSON(v)
		return
	}
	var files int64
	for verdict, n := range v.Files {
		if verdict != steps.VerdictNew {
			files += n
		}
	}
	verdict := "as loaded"
	if !v.OK() {
		verdict = "not as loaded"
	}
	fmt.Fprintf(a.out, "%s: %s: %s of %s the same, %s loaded, %s in the table\n", v.Table, verdict, count(v.Files[steps.VerdictSame]), plural(int(files), "object"), plural(int(v.Loaded), "row"), count(v.Rows))
	if v.Others > 0 {
		fmt.Fprintf(a.errs, "of no object that was loaded, as the column _file says: %s\n", plural(int(v.Others), "row"))
	}
	if v.Changes != "" {
		fmt.Fprintf(a.errs, "the table's rows are not judged: %s\n", v.Changes)
	}
	if n := v.Files[steps.VerdictNew]; n > 0 {
		fmt.Fprintf(a.errs, "%s not loaded yet\n", plural(int(n), "object"))
	}
}

// counted is a number that may not be known.
func counted(n *int64) string {
	if n == nil {
		return "-"
	}
	return count(*n)
}
