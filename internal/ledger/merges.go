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

// history are the runs (id) whose rows the table $1.$2 has: the last one that
// replaced it, and those that have added to it since.
const history = `
	base AS (
		SELECT id, published_at FROM bucketload.runs
		WHERE table_schema = $1 AND table_name = $2 AND staging AND NOT merges AND published_at IS NOT NULL
		ORDER BY published_at DESC LIMIT 1
	), content AS (
		SELECT id FROM base
		UNION ALL
		SELECT r.id FROM bucketload.runs r
		WHERE r.table_schema = $1 AND r.table_name = $2 AND (NOT r.staging OR r.merges AND r.published_at IS NOT NULL)
		  AND r.started_at > coalesce((SELECT published_at FROM base), '-infinity')
	)`
