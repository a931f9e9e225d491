package ledger

import (
	"context"
	"fmt"
	"slices"

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
// they found nothing.
func (l *Ledger) Accept(ctx context.Context, run string) (checks []string, err error) {
	r, err := l.Run(ctx, run)
	if err != nil {
		return nil, err
	}
	if !r.Published && r.Status != bucketload.StatusRunning {
		tag, err := l.pool.Exec(ctx, `UPDATE bucketload.runs SET accepted = refused WHERE id = $1 AND refused IS NOT NULL AND published_at IS NULL`, run)
		if err != nil {
			return nil, bucketload.DatabaseError("ledger", err)
		}
		if tag.RowsAffected() > 0 {
			err = l.pool.QueryRow(ctx, `SELECT accepted FROM bucketload.runs WHERE id = $1`, run).Scan(&checks)
			return checks, bucketload.DatabaseError("ledger", err)
		}
	}
	return nil, &bucketload.Error{Op: "redrive", Code: bucketload.CodeUsage,
		Message: fmt.Sprintf("no check of run %s, which is %s, refuses its rows: there is nothing to accept", run, r.Status),
		Hint:    "bucketload status " + run}
}
