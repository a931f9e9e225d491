package steps

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/table"
)

// Prepare resolves the run's columns and creates its staging table. An append
// to a table that is there goes straight into it. A table that is not there is
// replaced, whatever the mode.
func (s *Steps) Prepare(ctx context.Context, in ledger.Try) (err error) {
	defer func() { err = during("prepare", err) }()
	if err := s.enter(ctx, in, ledger.StatePrepare); err != nil {
		return err
	}
	r, err := s.Ledger.Run(ctx, in.Run)
	if err != nil {
		return err
	}
	prepared, err := s.Ledger.Columns(ctx, in.Run, new(Layout))
	if err != nil {
		return err
	}
	if prepared {
		return s.prepared(ctx, in.Run, r)
	}
	live, err := table.Inspect(ctx, s.Pool, r.Load.Table)
	if err != nil {
		return err
	}
	objects, err := s.Ledger.SampleObjects(ctx, in.Run, sampleFiles)
	if err != nil {
		return err
	}
	staging := r.Load.Mode != bucketload.ModeAppend || live == nil || r.Load.LimitFiles > 0
	merges := table.Merges(r.Load, live) && r.Load.LimitFiles == 0
	if (!staging || merges) && len(objects) == 0 {
		// Nothing new: nothing to find out either.
		return s.record(ctx, in, r.Load, live, &Resolution{}, nil, false)
	}
	every := func(ctx context.Context, yield func(bucketload.Object) error) error {
		return s.Ledger.Objects(ctx, in.Run, yield)
	}
	resolution, err := s.resolve(ctx, r.Load, live, objects, population{each: every, files: r.Files.Planned})
	if err != nil {
		return err
	}
	resolution.requireKey(r.Load)
	for _, note := range resolution.Notes {
		s.Log.Warn(note)
	}
	var steps []table.Step
	if staging {
		if steps, err = s.buildable(ctx, r.Load, in.Run, live, resolution); err != nil {
			return err
		}
	} else if err := s.appendable(ctx, r.Load, live, resolution); err != nil {
		return err
	}
	return s.record(ctx, in, r.Load, live, resolution, steps, staging)
}

// prepared checks that a run which is taken up again still has its table.
func (s *Steps) prepared(ctx context.Context, run string, r *ledger.Run) error {
	if !r.Staging {
		return nil
	}
	there, err := table.Inspect(ctx, s.Pool, bucketload.StagingTable(run))
	if err != nil || there != nil {
		return err
	}
	return &bucketload.Error{Op: "prepare", Code: bucketload.CodeConflict,
		Message: fmt.Sprintf("the staging table %s is gone, and with it what the run had loaded", bucketload.StagingTable(run)),
		Hint:    "load again: bucketload load " + r.Load.Key}
}

// record creates the staging table, on which the build steps must be possible,
// and records the layout, both or nothing.
func (s *Steps) record(ctx context.Context, try ledger.Try, load *bucketload.Load, live *table.Live, r *Resolution, steps []table.Step, staging bool) error {
	run := try.Run
	return bucketload.DatabaseError("prepare", pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
		// Of two calls at once, one given up and its retry, the second waits.
		if err := ledger.Settle(ctx, tx, run); err != nil {
			return err
		}
		if err := ledger.At(ctx, tx, try, ledger.StatePrepare); err != nil {
			return err
		}
		prepared, err := s.Ledger.Columns(ctx, run, new(Layout))
		if err != nil || prepared {
			return err
		}
		if staging {
			if err := table.CreateStaging(ctx, tx, run, r.Table, live); err != nil {
				return err
			}
			var checks []table.Step
			if r.Keys, checks, err = table.Try(ctx, tx, load, run, steps); err != nil {
				return err
			}
			if keeps(load) && len(r.Keys) == 0 {
				return &bucketload.Error{Op: "prepare", Code: bucketload.CodeUsage,
					Message: fmt.Sprintf("on_duplicate: %s means nothing: %s has no key that two rows could have", load.OnDuplicate, load.Table),
					Hint:    "name it, for example primary_key: [COLUMN]; or leave on_duplicate out, or write on_duplicate: reject"}
			}
			if err := table.TryChecks(ctx, tx, load, run, live != nil); err != nil {
				return err
			}
			if !load.Tolerate.Rejects() {
				checks = nil // cheaper once the rows are in
			}
			for _, step := range checks {
				if err := table.Build(ctx, tx, load, run, step); err != nil {
					return err
				}
				r.Checks = append(r.Checks, step.SQL)
			}
			if len(r.Keys) > 0 && ordered(load) {
				if err := table.AddOrder(ctx, tx, run); err != nil {
					return err
				}
				r.Columns = append(r.Columns, bucketload.Column{Name: table.OrderFile, Type: "int"}, bucketload.Column{Name: table.OrderLine, Type: "bigint"})
			}
		}
		if staging && table.Merges(load, live) {
			if err := ledger.SetMerges(ctx, tx, run); err != nil {
				return err
			}
		}
		return s.Ledger.SetColumns(ctx, tx, run, r.Layout, staging)
	}))
}

// buildable gives what finishes the run's staging table, and refuses, before
// anything is loaded, a table on which what the live one has could not be built.
func (s *Steps) buildable(ctx context.Context, load *bucketload.Load, run string, live *table.Live, r *Resolution) ([]table.Step, error) {
	steps, err := table.Steps(ctx, s.Pool, load, run, live)
	if err != nil {
		return nil, err
	}
	if err := hasColumns(load, r); err != nil {
		return nil, err
	}
	columns := r.Table
	if live != nil {
		if columns, err = table.Canonical(ctx, s.Pool, r.Table); err != nil {
			return nil, err
		}
	}
	if table.Merges(load, live) {
		return steps, table.FitsMerge(ctx, s.Pool, load, live, columns)
	}
	if table.InPlace(load, live) {
		return steps, table.FitsInPlace(ctx, s.Pool, load, live, columns)
	}
	if lost := table.Lost(steps, r.Table); len(lost) > 0 {
		return nil, &bucketload.Error{Op: "prepare", Code: bucketload.CodeDependents,
			Message: fmt.Sprintf("the new %s would lose %s", load.Table, lost[0]),
			Hint:    "keep the column under columns:, or drop what hangs on it from the live table"}
	}
	if live != nil && load.LimitFiles == 0 {
		err = live.Unfit(load.Table, columns)
	}
	return steps, err
}

// requireKey makes a row that has no value for a key column one that cannot be
// loaded: there is none whose place it could take.
func (r *Resolution) requireKey(load *bucketload.Load) {
	for i := range r.Table {
		r.Table[i].NotNull = r.Table[i].NotNull || load.Mode.Merges() && slices.Contains(load.KeyColumns, r.Table[i].Name)
	}
}

// hasColumns refuses keys and checks of columns that the table will not have.
func hasColumns(load *bucketload.Load, r *Resolution) error {
	type names struct {
		path  string
		names []string
	}
	all := []names{{"primary_key", load.PrimaryKey}, {"key", load.KeyColumns}, {"checks.null_share", slices.Sorted(maps.Keys(load.Checks.NullShare))}}
	for _, columns := range load.Checks.Unique {
		all = append(all, names{"checks.unique", columns})
	}
	for _, by := range all {
		for _, name := range by.names {
			if !slices.ContainsFunc(r.Table, func(c table.Column) bool { return c.Name == name }) {
				return &bucketload.Error{Op: "prepare", Code: bucketload.CodeUsage, Column: name,
					Message: fmt.Sprintf("%s names column %q, which the table will not have", by.path, name),
					Hint:    "the table's columns: bucketload plan " + load.Key}
			}
		}
	}
	return nil
}

// appendable says whether the role may add rows to the live table, and every column
// that files fill is in it.
func (s *Steps) appendable(ctx context.Context, load *bucketload.Load, live *table.Live, r *Resolution) error {
	if err := table.May(ctx, s.Pool, load.Table, live, "add rows to", "INSERT"); err != nil {
		return err
	}
	for _, c := range r.Columns {
		if liveColumn(live, c.Name) == nil {
			return &bucketload.Error{Op: "prepare", Code: bucketload.CodeNewColumn, Column: c.Name,
				Message: fmt.Sprintf("%s has no column %q to append to", load.Table, c.Name),
				Hint:    fmt.Sprintf("add it: %s; or name another with columns:, or load with mode replace", table.AddColumnSQL(load.Table, table.Column{Name: c.Name, Type: c.Type}))}
		}
	}
	return nil
}
