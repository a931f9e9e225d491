package steps

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/table"
)

// ordered says whether the rows of a load may have to be told apart by their
// place in the files: of those with the same key one stays.
func ordered(load *bucketload.Load) bool { return keeps(load) || load.Tolerate.Rejects() }

// keeps says whether the load itself says which of the rows with one key stays.
func keeps(load *bucketload.Load) bool {
	return load.OnDuplicate == bucketload.KeepFirst || lastStays(load)
}

// lastStays says whether the last of the rows with one key is the one.
func lastStays(load *bucketload.Load) bool {
	return load.OnDuplicate == bucketload.KeepLast || load.Mode == bucketload.ModeUpsert
}

func isOrder(name string) bool { return name == table.OrderFile || name == table.OrderLine }

// hasOrder says whether the run's staging table has the columns of order until
// it is built.
func (l *Layout) hasOrder() bool {
	return slices.ContainsFunc(l.Columns, func(c bucketload.Column) bool { return isOrder(c.Name) })
}

// build runs a build step, unless that is done. Where it makes a key and rows have the same, one of
// them stays and the others become rejects.
func (s *Steps) build(ctx context.Context, tx pgx.Tx, r *ledger.Run, step table.Step) error {
	d, err := s.definition(ctx, *r.ID)
	if err != nil {
		return err
	}
	if slices.Contains(d.layout.Checks, step.SQL) {
		return nil
	}
	key := slices.IndexFunc(d.layout.Keys, func(k table.Key) bool { return k.Step == step.SQL })
	if key < 0 || !d.layout.hasOrder() {
		return table.Build(ctx, tx, r.Load, *r.ID, step)
	}
	err = pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error { return table.Build(ctx, tx, r.Load, *r.ID, step) })
	if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != "23505" { // unique_violation
		return err
	}
	deletion := table.DeleteDuplicates(*r.ID, d.layout.Keys[key], lastStays(r.Load))
	n, err := ledger.TakeDuplicates(ctx, tx, *r.ID, deletion, step.Key, keeps(r.Load))
	if err != nil {
		return err
	}
	s.Log.Warn("rows with a key that another has were left out", "run", *r.ID, "rows", n, "key", step.Key)
	if err := s.toleratedDuplicates(ctx, tx, r, step, n); err != nil {
		return err
	}
	return table.Build(ctx, tx, r.Load, *r.ID, step)
}

// toleratedDuplicates is CodeTolerance where the rows that were left out for
// their key are more, with those that were rejected before, than a file or the
// run may lose.
func (s *Steps) toleratedDuplicates(ctx context.Context, tx pgx.Tx, r *ledger.Run, step table.Step, n int64) error {
	if keeps(r.Load) {
		return nil
	}
	limits := r.Load.Tolerate
	var lost, all int64
	var worst *bucketload.Error
	refuse := func(uri string, lost, all int64, limit bucketload.Share) *bucketload.Error {
		return &bucketload.Error{Op: "finish", Code: bucketload.CodeTolerance, URI: uri,
			Message: fmt.Sprintf("%s: %d rows have a key that another has; with them %d of %d rows cannot be loaded, more than the %s tolerated", step.Key, n, lost, all, limit),
			Hint:    "keep one of them with on_duplicate: keep_first or keep_last, or tolerate more"}
	}
	err := ledger.RowsByFile(ctx, tx, *r.ID, func(uri string, loaded, rejected int64) error {
		lost, all = lost+rejected, all+loaded+rejected
		if worst == nil && limits.RowsPerFile != (bucketload.Share{}) && limits.RowsPerFile.Exceeded(rejected, loaded+rejected) {
			worst = refuse(uri, rejected, loaded+rejected, limits.RowsPerFile)
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case worst != nil:
		return worst
	case limits.Rows != (bucketload.Share{}) && limits.Rows.Exceeded(lost, all):
		return refuse("", lost, all, limits.Rows)
	}
	return nil
}
