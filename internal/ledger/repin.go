package ledger

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
)

// again plans failed files anew, unless a build step is done: what that has done
// to the rows that are there would miss those that come now. Whatever has failed until then
// is tolerated.
func again(ctx context.Context, tx pgx.Tx, run string, transientOnly bool) error {
	var built int
	err := tx.QueryRow(ctx, `SELECT built FROM bucketload.runs WHERE id = $1`, run).Scan(&built)
	if err != nil || built > 0 {
		return err
	}
	_, err = tx.Exec(ctx, `
		WITH anew AS (
			UPDATE bucketload.files SET state = 'planned', transient = false
			WHERE run = $1 AND state = 'failed' AND (transient OR NOT $2) AND batch IS NOT NULL RETURNING batch)
		UPDATE bucketload.batches b SET done = false, failed = b.failed - a.n
		FROM (SELECT batch, count(*) AS n FROM anew GROUP BY batch) a
		WHERE b.run = $1 AND b.no = a.batch`, run, transientOnly)
	if err == nil {
		err = partsAgain(ctx, tx, run, transientOnly)
	}
	if err == nil {
		_, err = tx.Exec(ctx, `UPDATE bucketload.batches SET error = NULL WHERE run = $1 AND error IS NOT NULL`, run)
	}
	return err
}

// Retried gives the planned files of a run that have failed before, and of which
// nothing can be loaded: not those in parts.
func (l *Ledger) Retried(ctx context.Context, run string) ([]bucketload.Entry, error) {
	rows, err := l.pool.Query(ctx, `SELECT no, uri, size, version FROM bucketload.files
		WHERE run = $1 AND state = 'planned' AND error IS NOT NULL AND batch IS NOT NULL ORDER BY no`, run)
	if err != nil {
		return nil, bucketload.DatabaseError("redrive", err)
	}
	files, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f bucketload.Entry, err error) {
		return f, row.Scan(&f.No, &f.URI, &f.Size, &f.Version)
	})
	return files, bucketload.DatabaseError("redrive", err)
}

// Repin records the size and version that planned files have now.
func (l *Ledger) Repin(ctx context.Context, run string, files []bucketload.Entry) error {
	nos, sizes, versions := make([]int, len(files)), make([]int64, len(files)), make([]string, len(files))
	for i, f := range files {
		nos[i], sizes[i], versions[i] = f.No, f.Size, f.Version
	}
	_, err := l.pool.Exec(ctx, `
		UPDATE bucketload.files f SET size = r.size, version = r.version
		FROM unnest($2::int[], $3::bigint[], $4::text[]) AS r(no, size, version)
		WHERE f.run = $1 AND f.no = r.no AND f.state = 'planned' AND (f.size, f.version) <> (r.size, r.version)`,
		run, nos, sizes, versions)
	return bucketload.DatabaseError("redrive", err)
}
