package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
)

// Refuse records which of the load's checks have something against the run's
// rows, and gives those of them that nobody has accepted.
func (l *Ledger) Refuse(ctx context.Context, run string, checks []string) (open []string, err error) {
	var accepted []string
	err = l.pool.QueryRow(ctx, `UPDATE bucketload.runs SET refused = $2 WHERE id = $1 RETURNING coalesce(accepted, '{}')`, run, checks).Scan(&accepted)
	return slices.DeleteFunc(slices.Clone(checks), func(c string) bool { return slices.Contains(accepted, c) }), bucketload.DatabaseError("ledger", err)
}

// Accept lets pass what the load's checks have found against the rows of a run
// that ended by it, and gives the names of these checks. It is CodeUsage where
// they found nothing, and changes nothing where MayResume is an error.
func (l *Ledger) Accept(ctx context.Context, run string) (checks []string, err error) {
	r, err := l.Run(ctx, run)
	if err != nil {
		return nil, err
	}
	if !r.Published && r.Status != bucketload.StatusRunning {
		err := pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
			err := tx.QueryRow(ctx, `UPDATE bucketload.runs SET accepted = refused WHERE id = $1 AND refused IS NOT NULL AND published_at IS NULL
				RETURNING accepted`, run).Scan(&checks)
			if err != nil {
				return err
			}
			return overtaken(ctx, tx, r)
		})
		if !errors.Is(err, pgx.ErrNoRows) {
			return checks, bucketload.DatabaseError("ledger", err)
		}
	}
	return nil, &bucketload.Error{Op: "redrive", Code: bucketload.CodeUsage,
		Message: fmt.Sprintf("no check of run %s, which is %s, refuses its rows: there is nothing to accept", run, r.Status),
		Hint:    "bucketload status " + run}
}
