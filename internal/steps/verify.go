package steps

import (
	"context"
	"errors"
	"io"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/source"
	"github.com/bucketload/bucketload/internal/table"
)

// Verdict says what became of an object since it was loaded.
type Verdict string

// The verdicts on an object.
const (
	VerdictSame       Verdict = "same"       // it has as many rows as were loaded or left out, and so has the table
	VerdictDiffers    Verdict = "differs"    // one of them has not
	VerdictChanged    Verdict = "changed"    // it is another one by now
	VerdictMissing    Verdict = "missing"    // it is gone
	VerdictDeleted    Verdict = "deleted"    // bucketload deleted it, once its rows were in
	VerdictUnreadable Verdict = "unreadable" // its rows cannot be counted
	VerdictNew        Verdict = "new"        // it is not loaded
)

// VerifiedFile is an object beside what the table has of it.
type VerifiedFile struct {
	URI     string               `json:"file"`
	Verdict Verdict              `json:"verdict"`
	Run     *string              `json:"run"`      // that loaded it last
	Source  *int64               `json:"source"`   // rows that it has; nil: not counted
	Loaded  int64                `json:"loaded"`   // rows, as the ledger has it; where they are judged, with those that earlier runs have loaded of it
	LeftOut int64                `json:"left_out"` // rows that were rejected, or duplicates
	Table   *int64               `json:"table"`    // rows of the table that say they are from it; nil: they do not say
	Error   *bucketload.RunError `json:"error,omitempty"`
}

// Verified is a table beside its objects.
type Verified struct {
	Table   string            `json:"table"`
	Files   map[Verdict]int64 `json:"files"`
	Loaded  int64             `json:"loaded"`   // rows, as the ledger has it
	Rows    int64             `json:"rows"`     // of the table
	ByFile  bool              `json:"by_file"`  // it says from which object each row is: column _file
	Changes string            `json:"changes"`  // why rows may be others than were loaded, so that they are not judged; "" where they may not
	Others  int64             `json:"of_other"` // rows of the table that say they are from no object that was loaded
}

// OK says whether the table has what its objects have. Objects that are not
// loaded yet, and those that bucketload has deleted, are nothing against it.
func (v *Verified) OK() bool {
	for verdict, n := range v.Files {
		if n > 0 && !slices.Contains([]Verdict{VerdictSame, VerdictDeleted, VerdictNew}, verdict) {
			return false
		}
	}
	return v.Changes != "" || v.Loaded == v.Rows && v.Others == 0
}

// Verify reads every object again whose rows the live table has, and counts: rows
// of the object, rows that the ledger says were loaded, and rows of the table. It
// calls yield for every object once, in the order in which they were loaded last,
// then for those that are there and not loaded.
func (s *Steps) Verify(ctx context.Context, load *bucketload.Load, yield func(*VerifiedFile) error) (_ *Verified, err error) {
	defer func() { err = during("verify", bucketload.DatabaseError("verify", err)) }()
	runs, err := s.Ledger.Content(ctx, load.Table)
	if err != nil {
		return nil, err
	}
	live, err := table.Inspect(ctx, s.Pool, load.Table)
	if err != nil {
		return nil, err
	}
	if live == nil || len(runs) == 0 {
		return nil, &bucketload.Error{Op: "verify", Code: bucketload.CodeUsage, Message: "no run has loaded " + load.Table.String(), Hint: "is it the right name? bucketload runs"}
	}
	if err := table.May(ctx, s.Pool, load.Table, live, "read", "SELECT"); err != nil {
		return nil, err
	}
	v := &verifier{Steps: s, out: &Verified{Table: load.Table.String(), Files: map[Verdict]int64{}}, yield: yield}
	if v.out.Rows, err = table.Count(ctx, s.Pool, load.Table); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(live.Columns, func(c table.Column) bool { return c.Name == bucketload.FileColumn }) {
		v.out.ByFile = true
		if v.byFile, err = table.CountByFile(ctx, s.Pool, load.Table, bucketload.FileColumn); err != nil {
			return nil, err
		}
	}
	var last *ledger.Run
	for _, run := range runs {
		if last, err = s.Ledger.Run(ctx, run); err != nil {
			return nil, err
		}
		switch {
		case last.Merges:
			v.out.Changes = "mode " + string(last.Load.Mode) + " replaces rows"
		case len(last.Load.BeforeSwapSQL) > 0:
			v.out.Changes = "before_swap_sql may change rows"
		}
	}
	for i := range runs {
		if err := v.run(ctx, runs, i); err != nil {
			return nil, err
		}
	}
	for _, n := range v.byFile {
		v.out.Others += n
	}
	return v.out, v.waiting(ctx, last.Load)
}

type verifier struct {
	*Steps
	out    *Verified
	byFile map[string]int64 // rows of the table, less those that were met
	yield  func(*VerifiedFile) error
}

// verifyChunk is how many files are read from the ledger at a time.
const verifyChunk = 1000

// run verifies the files of the i-th run that no later one has loaded again.
func (v *verifier) run(ctx context.Context, runs []string, i int) error {
	d, err := v.definition(ctx, runs[i])
	if err != nil {
		return err
	}
	workers := max(1, d.load.MaxConcurrency)
	for after := -1; ; {
		files, err := v.Ledger.LoadedFiles(ctx, runs, i, after, verifyChunk)
		if err != nil || len(files) == 0 {
			return err
		}
		after = files[len(files)-1].No
		seen := make([]*VerifiedFile, len(files))
		group, reading := errgroup.WithContext(ctx)
		for w := range workers {
			share := files[len(files)*w/workers : len(files)*(w+1)/workers]
			group.Go(func() error { return v.count(reading, d, share, seen[len(files)*w/workers:]) })
		}
		if err := group.Wait(); err != nil {
			return err
		}
		for j, f := range seen {
			v.judge(f, files[j].Before)
			v.out.Files[f.Verdict]++
			v.out.Loaded += f.Loaded
			if err := v.yield(f); err != nil {
				return err
			}
		}
	}
}

// count reads files of a run one after the other.
func (v *verifier) count(ctx context.Context, d *definition, files []ledger.LoadedFile, seen []*VerifiedFile) error {
	var ranges []source.Range
	for _, f := range files {
		if !f.Deleted {
			ranges = append(ranges, source.Whole(f.Object))
		}
	}
	ahead := d.store.Ahead(ctx, ranges)
	defer func() { _ = ahead.Close() }()
	o := v.opener(d, ahead, func(n int) { v.Progress.Bytes.Add(int64(n)) })
	for i, f := range files {
		is := &VerifiedFile{URI: f.URI, Run: &d.run, Loaded: f.Rows, LeftOut: f.Others, Verdict: VerdictSame}
		seen[i] = is
		if f.Deleted {
			is.Verdict = VerdictDeleted
			continue
		}
		n, err := o.count(ctx, f.Entry)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			is.Source = &n
			continue
		}
		e := bucketload.AsError(err)
		switch e.Code {
		case bucketload.CodeChanged:
			is.Verdict = VerdictChanged
		case bucketload.CodeMissing:
			is.Verdict = VerdictMissing
		default:
			is.Verdict = VerdictUnreadable
			is.Error = &bucketload.RunError{Op: "verify", Message: e.Detail(), Hint: e.Hint}
		}
	}
	return nil
}

// count gives the number of a file's rows, good and bad.
func (o *opener) count(ctx context.Context, entry bucketload.Entry) (n int64, err error) {
	r, err := o.open(ctx, entry)
	if err != nil {
		return 0, err
	}
	defer r.close()
	for {
		switch _, err := r.next(); {
		case errors.Is(err, io.EOF):
			return n, nil
		case err != nil && r.rows.Broken():
			return n, r.place(err)
		}
		n++
	}
}

// judge compares the counts of an object, of which earlier runs have loaded so many
// rows: they are in the table still, unless runs replace rows.
func (v *verifier) judge(f *VerifiedFile, before int64) {
	if f.Source != nil && *f.Source != f.Loaded+f.LeftOut {
		f.Verdict = VerdictDiffers
	}
	if v.out.Changes == "" {
		f.Loaded += before
	}
	if !v.out.ByFile {
		return
	}
	n := v.byFile[f.URI]
	delete(v.byFile, f.URI)
	f.Table = &n
	if v.out.Changes == "" && n != f.Loaded {
		f.Verdict = VerdictDiffers
	}
}

// waiting yields the objects that a load would add now.
func (v *verifier) waiting(ctx context.Context, of *bucketload.Load) error {
	load := *of
	load.Mode, load.OnChanged, load.AllowEmpty, load.Force, load.LimitFiles = bucketload.ModeAppend, bucketload.PolicyIgnore, true, false, 0
	_, err := v.list(ctx, &load, true, nil, func(p ledger.Planned) error {
		if p.Skipped != nil {
			return nil
		}
		v.out.Files[VerdictNew]++
		return v.yield(&VerifiedFile{URI: p.URI, Verdict: VerdictNew})
	})
	return err
}
