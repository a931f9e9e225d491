// Command bucketload loads many files from S3 or disk into a Postgres table.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/bucketload/bucketload"
)

// Exit codes, as documented in the help.
const (
	exitOK      = 0
	exitFailed  = 1
	exitUsage   = 2
	exitPartial = 3
)

// gcPercent lets the heap, of some MiB that stay as they are, grow to five times
// that before it is collected: of a load's CPU it saves 4 %, for up to 70 MiB.
const gcPercent = 400

const long = `bucketload loads many files (CSV, JSON or Parquet, plain or compressed) from S3
or disk into a Postgres table: in parallel, every row once, into a staging table
that then takes the live table's place in one transaction.

Exit codes:
  0  loaded
  1  failed or cancelled; a table that was to be replaced is untouched
  2  wrong usage or configuration
  3  loaded within tolerance, but something was left out (partial)

The database is given by --to, "to:" in bucketload.yaml, BUCKETLOAD_TO,
DATABASE_URL or libpq's PG* variables, in this order.`

func main() {
	if onLambda() {
		serveLambda() // for ever
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	args := hideSecrets()
	ctx, stop := interruptible()
	a := &app{out: os.Stdout, errs: os.Stderr, logs: os.Stderr}
	code := a.run(ctx, args)
	stop()
	os.Exit(code)
}

// app is what the commands share: where output goes, and the flags of all.
type app struct {
	out  io.Writer // results
	errs *os.File  // errors and progress
	logs io.Writer // the log, above a progress bar if there is one

	to      string
	file    string
	json    bool
	quiet   bool
	verbose bool
	code    int // of a command that ran to its end
}

func (a *app) run(ctx context.Context, args []string) int {
	root := a.command()
	root.SetArgs(args)
	root.SetOut(a.out)
	root.SetErr(a.errs)
	if err := root.ExecuteContext(ctx); err != nil {
		a.report(err)
		return exitOf(err)
	}
	return a.code
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:           "bucketload",
		Short:         "A bucket of files in, one Postgres table out",
		Long:          long,
		SilenceErrors: true,
		SilenceUsage:  true,

		SuggestionsMinimumDistance: 2,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			hint := "bucketload --help"
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				hint = "did you mean: bucketload " + near[0]
			}
			return usage(fmt.Sprintf("there is no command %q", args[0]), hint)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.to, "to", "", "target database: a Postgres URL or keyword=value DSN, env:NAME, file:PATH, ssm:NAME or secretsmanager:NAME")
	flags.StringVarP(&a.file, "file", "f", "", "configuration (default bucketload.yaml where there is one)")
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "log more")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "no progress, and only warnings in the log")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(err.Error(), cmd.CommandPath()+" --help")
	})
	root.AddCommand(a.loadCommand(), a.planCommand(), a.initCommand(), a.runsCommand(), a.statusCommand(), a.filesCommand(), a.rejectsCommand(), a.historyCommand(),
		a.redriveCommand(), a.cancelCommand(), a.backupsCommand(), a.rollbackCommand(), a.verifyCommand(), a.gcCommand(), a.demoCommand(), a.aslCommand(), a.versionCommand())
	return root
}

// usage is an error of the command line, exit code 2.
func usage(message, hint string) error {
	return &bucketload.Error{Op: "usage", Code: bucketload.CodeUsage, Message: message, Hint: hint}
}

// needArgs is cobra.ExactArgs with errors of our own form.
func needArgs(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || most >= 0 && len(args) > most {
			return usage(fmt.Sprintf("%s takes %s, not %d arguments", cmd.CommandPath(), what, len(args)), cmd.CommandPath()+" --help")
		}
		return nil
	}
}

// report prints an error as every error is printed: one line for what, one for
// what to do.
func (a *app) report(err error) {
	e := bucketload.AsError(err)
	fmt.Fprintf(a.errs, "bucketload: %s\n", redact(e.Error()))
	if e.Hint != "" {
		fmt.Fprintf(a.errs, "hint: %s\n", redact(e.Hint))
	}
}

func exitOf(err error) int {
	if err == nil {
		return exitOK
	}
	if e, ok := errors.AsType[*bucketload.Error](err); ok && e.Code == bucketload.CodeUsage {
		return exitUsage
	}
	return exitFailed
}

// log gives the log, to stderr.
func (a *app) log() *slog.Logger {
	level := slog.LevelInfo
	switch {
	case a.verbose:
		level = slog.LevelDebug
	case a.quiet:
		level = slog.LevelWarn
	}
	return slog.New(tint.NewTextHandler(writerFunc(func(p []byte) (int, error) { return a.logs.Write(p) }),
		&tint.Options{Level: level, TimeFormat: time.TimeOnly, NoColor: !isTerminal(a.errs)}))
}

// writerFunc writes to what a.logs is at the moment.
type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// interruptible gives a context that the first Ctrl-C or SIGTERM ends; the
// second ends the process.
func interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		fmt.Fprintln(os.Stderr, "\nbucketload: stopping; once more to stop at once")
		cancel()
		<-signals
		os.Exit(exitFailed)
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel()
	}
}
