package ledger

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
)

// inLive is the condition that the live table has the rows of run r: those of a
// table that a rollback has put away are kept by nothing but their objects and a
// backup.
var inLive = `r.generation IS NOT DISTINCT FROM ` + generation("r.table_schema", "r.table_name", ofRun) + ` AND ` + known(ofRun) + ` AND ` + ofRun + ` IS NOT NULL`

// ofRun is the oid of the live table of run r.
var ofRun = liveOID("r.table_schema", "r.table_name")

// Deleting gives the published runs whose rows the live table has and of which
// objects are still to be deleted, of one table or, where it is the zero value,
// of all, oldest first.
func (l *Ledger) Deleting(ctx context.Context, table bucketload.TableName) ([]string, error) {
	rows, err := l.pool.Query(ctx, `SELECT id FROM bucketload.runs r
		WHERE deleting AND ($2 = '' OR table_schema = $1 AND table_name = $2) AND `+inLive+` ORDER BY published_at, id`,
		table.Schema, table.Name)
	if err != nil {
		return nil, bucketload.DatabaseError("ledger", err)
	}
	runs, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return runs, bucketload.DatabaseError("ledger", err)
}

// Deletable gives up to n objects of the run, behind number after, every row of
// which is in the live table, and which are not deleted yet, in order.
func (l *Ledger) Deletable(ctx context.Context, run string, after, n int) ([]bucketload.Entry, error) {
	rows, err := l.pool.Query(ctx, `SELECT no, uri, size, version FROM bucketload.files
		WHERE run = $1 AND no > $2 AND state = 'loaded' AND rejected = 0 AND duplicates = 0 AND deleted_at IS NULL
		  AND EXISTS (SELECT FROM bucketload.runs r WHERE r.id = $1 AND `+inLive+`) ORDER BY no LIMIT $3`, run, after, n)
	if err != nil {
		return nil, bucketload.DatabaseError("ledger", err)
	}
	entries, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e bucketload.Entry, err error) {
		return e, row.Scan(&e.No, &e.URI, &e.Size, &e.Version)
	})
	return entries, bucketload.DatabaseError("ledger", err)
}

// Deleted records that objects of the run are gone.
func (l *Ledger) Deleted(ctx context.Context, run string, files []int) error {
	_, err := l.pool.Exec(ctx, `UPDATE bucketload.files SET deleted_at = clock_timestamp() WHERE run = $1 AND no = ANY ($2)`, run, files)
	return bucketload.DatabaseError("ledger", err)
}

// AllDeleted records that of the run's objects all are deleted that are to be.
func (l *Ledger) AllDeleted(ctx context.Context, run string) error {
	_, err := l.pool.Exec(ctx, `UPDATE bucketload.runs r SET deleting = false WHERE id = $1 AND `+inLive, run)
	return bucketload.DatabaseError("ledger", err)
}
