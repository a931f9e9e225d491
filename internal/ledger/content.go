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
	Before  int64 // that earlier runs have loaded of the same object
	Deleted bool  // by bucketload, once they were in
}

// LoadedFiles gives up to n loaded files of the i-th of a table's runs, as Content
// gives them, behind number after, in order: those of which no later run has
// loaded the object again.
func (l *Ledger) LoadedFiles(ctx context.Context, runs []string, i, after, n int) ([]LoadedFile, error) {
	const loaded = ` FROM bucketload.files o WHERE hashtextextended(o.uri, 0) = hashtextextended(f.uri, 0) AND o.uri = f.uri AND o.state = 'loaded' AND o.run = ANY `
	rows, err := l.pool.Query(ctx, `SELECT no, uri, size, version, rows, rejected + duplicates, (SELECT coalesce(sum(o.rows), 0)::bigint`+loaded+`($4)), deleted_at IS NOT NULL
		FROM bucketload.files f
		WHERE run = $1 AND no > $2 AND state = 'loaded' AND NOT EXISTS (SELECT`+loaded+`($5)) ORDER BY no LIMIT $3`, runs[i], after, n, runs[:i], runs[i+1:])
	if err != nil {
		return nil, bucketload.DatabaseError("ledger", err)
	}
	files, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f LoadedFile, err error) {
		return f, row.Scan(&f.No, &f.URI, &f.Size, &f.Version, &f.Rows, &f.Others, &f.Before, &f.Deleted)
	})
	return files, bucketload.DatabaseError("ledger", err)
}
