package main

import (
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
	out("objects      %s, %s, in %s batches", count(p.Objects), bucketload.Bytes(p.Bytes), count(int64(p.Batches)))
	if p.Skipped > 0 {
		out("skipped      %s", count(p.Skipped))
	}
	if p.AlreadyLoaded > 0 {
		out("loaded       %s already", count(p.AlreadyLoaded))
	}
	if p.Sampled == 0 {
		return
	}
	for _, shape := range p.Shapes {
		out("header       %s of %s sampled files: %s", count(shape.Files), count(p.Sampled), strings.Join(shape.Columns, ", "))
	}
	out("dialect      delimiter %q, quote %q, escape %q: %s", p.Dialect.Delimiter, p.Dialect.Quote, p.Dialect.Escape, p.DialectEvidence)
	out("time         about %s", seconds(p.Seconds))
	out("disk         about %s: staging %s, live table %s, older backup %s", bucketload.Bytes(p.Disk),
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
	section("dependents, because of which load refuses:", p.Dependents)
}
