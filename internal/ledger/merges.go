package ledger

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
)

// SetMerges records, beside SetColumns, that the run's rows are to be put among
// those of the live table, which keeps its history.
func SetMerges(ctx context.Context, tx pgx.Tx, run string) error {
	_, err := tx.Exec(ctx, `UPDATE bucketload.runs SET merges = true WHERE id = $1`, run)
	return bucketload.DatabaseError("prepare", err)
}
