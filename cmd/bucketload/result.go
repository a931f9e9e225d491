package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/steps"
)

// shownFailures is how many failed files a result names; all are in
// `bucketload files`.
const shownFailures = 10

// result prints how a table's run ended: one object on stdout with --json,
// else a line; its failed files and errors on stderr.
func (a *app) result(ctx context.Context, s *steps.Steps, run *bucketload.Run, err error) {
	switch run.Status {
	case bucketload.StatusSucceeded:
		a.worst(exitOK)
	case bucketload.StatusPartial:
		a.worst(exitPartial)
	default:
		a.worst(max(exitOf(err), exitFailed))
	}
	if a.json {
		a.printJSON(run)
	} else {
		fmt.Fprintln(a.out, summary(run))
	}
	if s != nil && run.ID != nil && run.Files.Failed > 0 {
		a.failures(context.WithoutCancel(ctx), s, run)
	}
	if run.ID != nil && run.Rows.Rejected > 0 {
		fmt.Fprintf(a.errs, "rejected: %s; see why: bucketload rejects %s\n", plural(int(run.Rows.Rejected), "row"), *run.ID)
	}
	for _, statement := range run.Unvalidated {
		fmt.Fprintf(a.errs, "not validated: %s; once the rows are mended that refer to none: bucketload gc\n", statement)
	}
	if err == nil || s == nil {
		return
	}
	if run.Error != nil {
		a.report(&bucketload.Error{Op: run.Error.Op, Message: run.Error.Message, Hint: run.Error.Hint})
	} else {
		a.report(err)
	}
	if next, _ := next(context.WithoutCancel(ctx), s, run); next != "" {
		fmt.Fprintf(a.errs, "next: %s\n", next)
	}
}

// resumable says whether going on with a failed run makes sense: it got as far
// as to copy, and it was not the whole that was judged bad.
func resumable(run *bucketload.Run) bool {
	if run.Error != nil && (run.Error.Op == "check" || run.Error.Op == "finish") {
		return false
	}
	return run.Files.Loaded > 0 || run.Files.Failed > 0 || run.Status == bucketload.StatusCancelled
}

// next is the command that a person most likely wants after a run that failed,
// "" where there is none to go on with it. over says why nobody can.
func next(ctx context.Context, s *steps.Steps, run *bucketload.Run) (next string, over *bucketload.Error) {
	if run.ID == nil || run.Status != bucketload.StatusFailed && run.Status != bucketload.StatusCancelled {
		return "", nil
	}
	if err := s.Ledger.MayResume(ctx, *run.ID); err != nil && bucketload.AsError(err).Code == bucketload.CodeConflict {
		return "", bucketload.AsError(err)
	}
	switch {
	case !resumable(run):
		return "", nil
	case run.Files.Failed > 0:
		return fmt.Sprintf("bucketload files %s --status failed, and when they are mended: bucketload redrive %s", *run.ID, *run.ID), nil
	}
	return "bucketload redrive " + *run.ID, nil
}

func (a *app) printJSON(v any) {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own types
	}
	fmt.Fprintf(a.out, "%s\n", data)
}

// summary is a run in one line.
func summary(run *bucketload.Run) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s, %s of %s", run.Table, run.Status, count(run.Files.Loaded), plural(int(run.Files.Planned), "file"))
	if run.Files.Failed > 0 {
		fmt.Fprintf(&b, ", %s failed", count(run.Files.Failed))
	}
	if run.Files.Skipped > 0 {
		fmt.Fprintf(&b, ", %s skipped", count(run.Files.Skipped))
	}
	fmt.Fprintf(&b, ", %s", plural(int(run.Rows.Loaded), "row"))
	if run.Rows.Rejected > 0 {
		fmt.Fprintf(&b, ", %s rejected", count(run.Rows.Rejected))
	}
	fmt.Fprintf(&b, ", %s in %s", bucketload.Bytes(run.Bytes), seconds(run.Seconds))
	if run.Backup != nil {
		fmt.Fprintf(&b, ", backup %s", *run.Backup)
	}
	if run.ID != nil {
		fmt.Fprintf(&b, " (run %s)", *run.ID)
	}
	return b.String()
}

// failures names the files that could not be loaded.
func (a *app) failures(ctx context.Context, s *steps.Steps, run *bucketload.Run) {
	shown := 0
	err := s.Ledger.Files(ctx, *run.ID, bucketload.FileFailed, func(f *bucketload.File) error {
		if shown++; shown > shownFailures || f.Error == nil {
			return errShown
		}
		e := bucketload.Error{URI: f.URI, Line: f.Error.Line, Column: f.Error.Column, Message: f.Error.Message}
		fmt.Fprintf(a.errs, "failed: %s\n", e.Detail())
		return nil
	})
	if err != nil && !errors.Is(err, errShown) {
		a.report(err)
	}
	if shown > shownFailures {
		fmt.Fprintf(a.errs, "        and %s more: bucketload files %s --status failed\n", count(run.Files.Failed-shownFailures), *run.ID)
	}
}

// errShown ends the reading of files: enough of them are named.
var errShown = errors.New("enough files are shown")

// count gives a number with thousands apart: 3,994,699.
func count(n int64) string {
	digits := fmt.Sprint(n)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && d != '-' && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// seconds gives a duration in the unit that a person would choose.
func seconds(s float64) string {
	switch {
	case s < 60:
		return fmt.Sprintf("%.1f s", s)
	case s < 3600:
		return fmt.Sprintf("%d min %02d s", int(s)/60, int(s)%60)
	}
	return fmt.Sprintf("%d h %02d min", int(s)/3600, int(s)/60%60)
}
