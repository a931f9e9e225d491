package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/steps"
)

func (a *app) planCommand() *cobra.Command {
	var flags loadFlags
	cmd := &cobra.Command{
		Use:   "plan [TABLE...]",
		Short: "Show what load would do, and write nothing",
		Long: `Lists and samples the files and looks at the database, and shows what load
would do: objects, header shapes, dialect, columns and types with the evidence
for each, the statements, batches, what is loaded already, what hangs on the
live table, locks, time and disk. It writes nothing.`,
		Example: `  bucketload plan year_2022 --from s3://noaa-gsod-pds/2022/ --anonymous`,
		RunE: func(cmd *cobra.Command, args []string) error {
			loads, file, err := a.loads(cmd, args, &flags)
			if err != nil {
				return err
			}
			s, closePool, err := a.connect(cmd.Context(), file, 1)
			if err != nil {
				return err
			}
			defer closePool()
			for i, load := range loads {
				a.plan(cmd.Context(), s, load, i)
			}
			return nil
		},
	}
	flags.register(cmd)
	flags.registerLimit(cmd)
	cmd.Flags().BoolVar(&a.json, "json", false, "print one JSON object per table, one a line")
	return cmd
}

func (a *app) plan(ctx context.Context, s *steps.Steps, load *bucketload.Load, i int) {
	p, err := s.Preview(ctx, load)
	if err != nil {
		a.report(err)
		a.worst(exitOf(err))
		if p == nil {
			return
		}
	}
	if a.json {
		a.printJSON(p)
		return
	}
	if i > 0 {
		fmt.Fprintln(a.out)
	}
	a.printPlan(load, p)
}

func (a *app) printPlan(load *bucketload.Load, p *steps.Preview) {
	out := func(format string, args ...any) { fmt.Fprintf(a.out, format+"\n", args...) }
	out("%s from %s (%s)", p.Table, strings.Join(load.From, " "), load.Mode)
	out("")
	out("objects      %s, %s, in %s", count(p.Objects), bucketload.Bytes(p.Bytes), plural(p.Batches, "batch"))
	if p.Divided > 0 {
		out("in parts     %s in %s", plural(int(p.Divided), "file"), plural(int(p.Parts), "part"))
	}
	if p.Skipped > 0 {
		out("skipped      %s", count(p.Skipped))
	}
	if p.AlreadyLoaded > 0 {
		out("loaded       %s already", count(p.AlreadyLoaded))
	}
	if p.Sampled == 0 {
		return
	}
	printShapes(out, p)
	if p.Format == bucketload.FormatCSV {
		encoding := cmp.Or(p.Dialect.Encoding, "utf-8")
		out("format       csv, %s: delimiter %q, quote %q, escape %q: %s", encoding, p.Dialect.Delimiter, p.Dialect.Quote, p.Dialect.Escape, p.DialectEvidence)
	} else {
		out("format       %s", p.Format)
	}
	out("time         about %s", seconds(p.Seconds))
	out("disk         about %s: staging %s, live table %s, backups %s", bucketload.Bytes(p.Disk),
		bucketload.Bytes(p.Disk-p.LiveBytes-p.BackupBytes), bucketload.Bytes(p.LiveBytes), bucketload.Bytes(p.BackupBytes))
	out("")
	out("columns, from the %s:", p.Origin)
	width := 0
	for _, c := range p.Columns {
		width = max(width, len(c.Name))
	}
	for _, c := range p.Columns {
		out("  %-*s  %s: %s", width, c.Name, c.Type, c.Evidence)
	}
	for _, note := range p.Notes {
		out("note: %s", note)
	}
	section := func(title string, lines []string) {
		if len(lines) == 0 {
			return
		}
		out("")
		out("%s", title)
		for _, l := range lines {
			out("  %s", strings.ReplaceAll(l, "\n", "\n  "))
		}
	}
	section("statements:", p.DDL)
	section("locks:", p.Locks)
	var refused, following []string
	for _, d := range p.Dependents {
		if d.Refused {
			refused = append(refused, d.What)
		} else {
			following = append(following, d.What+" "+d.Fate)
		}
	}
	section("dependents, because of which load refuses:", refused)
	section("dependents:", following)
}

// shownShapes is how many shapes plan prints: records of JSON may have as many
// as there are files.
const shownShapes = 20

// printShapes shows the headers that the files have, and how each stands to
// the table.
func printShapes(out func(format string, args ...any), p *steps.Preview) {
	files := plural(int(p.Sampled), "file")
	if !p.All {
		files = fmt.Sprintf("%s of %s files sampled", count(p.Sampled), count(p.Objects))
	}
	out("shapes       %s, %s", files, plural(len(p.Shapes), "shape"))
	for i, shape := range p.Shapes {
		if i == shownShapes {
			out("  and %s; --json has them", plural(len(p.Shapes)-i, "shape"))
			break
		}
		line := fmt.Sprintf("  %s: %s", plural(int(shape.Files), "file"), strings.Join(shape.Columns, ", "))
		if len(shape.Missing) > 0 {
			line += "; without " + strings.Join(shape.Missing, ", ")
		}
		if len(shape.Unknown) > 0 {
			line += "; with unknown " + strings.Join(shape.Unknown, ", ")
		}
		if shape.Fails {
			line += "; will fail"
		}
		if len(p.Shapes) > 1 {
			line += "; such as " + shape.Example
		}
		out("%s", line)
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if strings.HasSuffix(noun, "ch") {
		noun += "e"
	}
	return count(int64(n)) + " " + noun + "s"
}
