package ledger

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
)

// Content gives the runs whose rows the live table has, in the order in which
// they have put them there.
func (l *Ledger) Content(ctx context.Context, table bucketload.TableName) ([]string, error) {
	rows, err := l.pool.Query(ctx, `WITH `+history+`
		SELECT id FROM content JOIN bucketload.runs USING (id) WHERE columns IS NOT NULL ORDER BY started_at, id`, table.Schema, table.Name)
	if err != nil {
		return nil, bucketload.DatabaseError("ledger", err)
	}
	runs, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return runs, bucketload.DatabaseError("ledger", err)
}

// LoadedFile is a file of which rows are in a table.
type LoadedFile struct {
	bucketload.Entry
	Rows    int64 // that were loaded
	Others  int64 // that were rejected, or left out as duplicates
	Deleted bool  // by bucketload, once they were in
}

// LoadedFiles gives up to n loaded files of the run behind number after, in
// order.
func (l *Ledger) LoadedFiles(ctx context.Context, run string, after, n int) ([]LoadedFile, error) {
	rows, err := l.pool.Query(ctx, `SELECT no, uri, size, version, rows, rejected + duplicates, deleted_at IS NOT NULL FROM bucketload.files
		WHERE run = $1 AND no > $2 AND state = 'loaded' ORDER BY no LIMIT $3`, run, after, n)
	if err != nil {
		return nil, bucketload.DatabaseError("ledger", err)
	}
	files, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f LoadedFile, err error) {
		return f, row.Scan(&f.No, &f.URI, &f.Size, &f.Version, &f.Rows, &f.Others, &f.Deleted)
	})
	return files, bucketload.DatabaseError("ledger", err)
}
