package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/conduct"
	"github.com/bucketload/bucketload/internal/config"
	"github.com/bucketload/bucketload/internal/source"
	"github.com/bucketload/bucketload/internal/steps"
)

func (a *app) loadCommand() *cobra.Command {
	var flags loadFlags
	cmd := &cobra.Command{
		Use:   "load [TABLE...]",
		Short: "Load tables from their files",
		Long: `Loads the tables named, or all that the configuration describes. With --from a
table needs no configuration: columns and types are found out from the files.

Each table is loaded into a staging table first and swapped in at the end; the
previous one is kept in schema databackup.

Exit codes: 0 loaded; 1 failed or cancelled; 2 wrong usage or configuration;
3 loaded within tolerance, but something was left out.

With --json the field run is null where a table failed before it came to a run,
and table is empty where it is not known.`,
		Example: `  bucketload load year_2022 --from 's3://noaa-gsod-pds/2022/*.csv' --anonymous --to postgres://user@host/db
  bucketload load -f nightly.yaml --json
  bucketload load year_2022 --limit-files 10`,
		RunE: func(cmd *cobra.Command, args []string) error {
			loads, file, err := a.loads(cmd, args, &flags)
			if err != nil {
				a.notLoaded(args, file, err)
				return err
			}
			return a.load(cmd.Context(), loads, file)
		},
	}
	flags.register(cmd)
	flags.registerLimit(cmd)
	cmd.Flags().BoolVar(&a.json, "json", false, "print one JSON object per table, one a line")
	return cmd
}

// loadFlags are the flags that say what is loaded.
type loadFlags struct {
	config.Flags
	limitFiles int
	force      bool
}

func (f *loadFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.From, "from", nil, "where the files are: s3://bucket/prefix/, a glob, a directory (repeatable)")
	flags.StringArrayVar(&f.Exclude, "exclude", nil, "files to leave out, a glob (repeatable)")
	flags.StringArrayVar(&f.Column, "column", nil, "a column, as name=source:type:null values (repeatable)")
	flags.Var((*settings)(&f.Set), "set", "any key of the table in the configuration, as path=value (repeatable)")
	for _, s := range config.ScalarFlags() {
		flag := flags.VarPF(&scalar{path: s.Path, kind: s.Kind, set: &f.Set}, s.Name, "", s.Usage)
		if s.Kind == "bool" {
			flag.NoOptDefVal = "true"
		}
	}
}

// registerLimit is for the commands that load or show what a load would do.
func (f *loadFlags) registerLimit(cmd *cobra.Command) {
	cmd.Flags().IntVar(&f.limitFiles, "limit-files", 0, "a trial: load this many files into staging, report, swap nothing")
	cmd.Flags().BoolVar(&f.force, "force", false, "load again what the table has already (with mode append its rows come twice)")
}

// settings are those of --set. Other flags add to them, so that the last one on
// the command line wins; a flag of a library's own would begin anew.
type settings []string

func (s *settings) String() string { return "" }
func (s *settings) Type() string   { return "stringArray" }
func (s *settings) Set(v string) error {
	*s = append(*s, v)
	return nil
}

// scalar is a flag that stands for --set path=value.
type scalar struct {
	path, kind, value string
	set               *[]string
}

func (s *scalar) String() string { return s.value }
func (s *scalar) Type() string   { return s.kind }
func (s *scalar) Set(v string) error {
	s.value = v
	*s.set = append(*s.set, s.path+"="+v)
	return nil
}

// loads finds the loads that the command line asks for.
func (a *app) loads(cmd *cobra.Command, tables []string, flags *loadFlags) ([]*bucketload.Load, *config.File, error) {
	if cmd.Flags().Changed("limit-files") && flags.limitFiles < 1 {
		return nil, nil, usage("--limit-files takes a number of files, 1 or more", "leave it out to load all")
	}
	file, err := a.readFile()
	if err != nil {
		return nil, nil, err
	}
	var loads []*bucketload.Load
	switch {
	case file != nil:
		loads, err = file.Loads(tables, flags.Flags)
	case len(tables) == 0 && len(flags.From) > 0:
		err = usage("--from needs the name of a table to load into", "bucketload load TABLE --from "+flags.From[0])
	case len(flags.From) == 0:
		err = usage("there is no bucketload.yaml here, and no --from",
			"bucketload load TABLE --from s3://bucket/prefix/ --to postgres://user@host/db, or make a configuration: bucketload init URI > bucketload.yaml")
	default:
		for _, table := range tables {
			load, adHocErr := config.AdHoc(table, flags.Flags)
			loads, err = append(loads, load), errors.Join(err, adHocErr)
		}
	}
	for _, load := range loads {
		if load != nil {
			load.LimitFiles, load.Force = flags.limitFiles, flags.force
		}
	}
	return loads, file, err
}

// load runs the loads one after the other.
func (a *app) load(ctx context.Context, loads []*bucketload.Load, file *config.File) error {
	concurrency := 1
	for _, load := range loads {
		concurrency = max(concurrency, load.MaxConcurrency)
	}
	s, closePool, err := a.connect(ctx, file, concurrency)
	if err != nil {
		for _, load := range loads {
			run := notStarted(load, err)
			conduct.NotBegun(ctx, a.log(), load, run)
			if a.json {
				a.result(ctx, nil, run, err)
			}
		}
		return err
	}
	defer closePool()
	for _, load := range loads {
		if ctx.Err() != nil {
			err := &bucketload.Error{Op: "load", Code: bucketload.CodeCancelled, Message: "cancelled before it began", Hint: "bucketload load " + load.Key}
			a.result(ctx, s, notStarted(load, err), err)
			continue
		}
		source.Absolute(load)
		run := a.one(ctx, s, load.Table.String(), func() (*bucketload.Run, error) { return conduct.Load(ctx, s, load) })
		if load.LimitFiles > 0 && run != nil && run.Rows.Loaded > 0 {
			fmt.Fprintf(a.errs, "trial: nothing was swapped; until the next load the rows are in %s\n", bucketload.StagingTable(*run.ID))
		}
	}
	return nil
}

// notLoaded prints the tables that were asked for with --json where the
// configuration does not come to loads.
func (a *app) notLoaded(tables []string, file *config.File, err error) {
	if !a.json {
		return
	}
	if len(tables) == 0 && file != nil {
		tables = file.Tables()
	}
	if len(tables) == 0 {
		tables = []string{""}
	}
	if file == nil {
		file = &config.File{}
	}
	for _, name := range tables {
		run := notStarted(&bucketload.Load{}, err)
		run.Table = name
		if table, ok := file.Table(name); ok {
			run.Table = table.String()
		}
		a.printJSON(run)
	}
}

func notStarted(load *bucketload.Load, err error) *bucketload.Run {
	e := bucketload.AsError(err)
	status := bucketload.StatusFailed
	if e.Code == bucketload.CodeCancelled {
		status = bucketload.StatusCancelled
	}
	table := ""
	if load.Table.Name != "" {
		table = load.Table.String()
	}
	return &bucketload.Run{Table: table, Mode: load.Mode, Status: status,
		Error: &bucketload.RunError{Op: e.Op, Message: redact(e.Detail()), Hint: redact(e.Hint)}}
}

// one runs one table with progress and prints its result, the run; nil where
// it did not come to one.
func (a *app) one(ctx context.Context, s *steps.Steps, table string, do func() (*bucketload.Run, error)) *bucketload.Run {
	s.Progress.Reset()
	stop := a.progress(table, &s.Progress)
	run, err := do()
	stop()
	if run == nil {
		a.report(err)
		a.worst(exitOf(err))
		return nil
	}
	a.result(ctx, s, run, err)
	return run
}

// worst keeps the worst exit code, in the order 2, 1, 3, 0.
func (a *app) worst(code int) {
	rank := map[int]int{exitOK: 0, exitPartial: 1, exitFailed: 2, exitUsage: 3}
	if rank[code] > rank[a.code] {
		a.code = code
	}
}

// connectLedger connects for a command that needs only the database: a
// configuration may give its DSN, but need not be there.
func (a *app) connectLedger(ctx context.Context, concurrency int) (*steps.Steps, func(), error) {
	if a.to != "" && a.file == "" {
		return a.connect(ctx, nil, concurrency)
	}
	file, err := a.readFile()
	if err != nil {
		return nil, nil, err
	}
	return a.connect(ctx, file, concurrency)
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  needArgs(0, 0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(a.out, "bucketload", version())
			return err
		},
	}
}
