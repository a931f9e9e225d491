package ledger

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
)

// objectsAtOnce is how many objects are read at a time, so that nobody holds a
// connection while yield works.
const objectsAtOnce = 10000

// Objects calls yield for every object that the run is to load, in order.
func (l *Ledger) Objects(ctx context.Context, run string, yield func(bucketload.Object) error) error {
	for after := -1; ; {
		rows, err := l.pool.Query(ctx, `SELECT no, uri, size, version FROM bucketload.files
			WHERE run = $1 AND no > $2 AND state <> 'skipped' ORDER BY no LIMIT $3`, run, after, objectsAtOnce)
		if err != nil {
			return bucketload.DatabaseError("prepare", err)
		}
		entries, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e bucketload.Entry, err error) {
			return e, row.Scan(&e.No, &e.URI, &e.Size, &e.Version)
		})
		if err != nil {
			return bucketload.DatabaseError("prepare", err)
		}
		for _, e := range entries {
			if err := yield(e.Object); err != nil {
				return err
			}
			after = e.No
		}
		if len(entries) < objectsAtOnce {
			return nil
		}
	}
}
