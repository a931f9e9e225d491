package ledger

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bucketload/bucketload"
)

// addParts records the parts of the file with this number, and gives them to
// their batches.
func (l *Listing) addParts(file int, parts []PlannedPart) {
	for i, p := range parts {
		l.grow(p.Batch, p.End-p.Start)
		l.parts = append(l.parts, []any{l.run, file, i + 1, p.Batch, p.Start, p.End})
	}
}

// receiveParts records the receipts in data that are of parts, and gives how
// many files are loaded by that, or have failed.
func receiveParts(ctx context.Context, tx pgx.Tx, run string, batch int, data []byte) (loaded, failed int64, err error) {
	// Of two parts of a file that end at once the second waits here, and so sees
	// below what the first has left.
	rows, err := tx.Query(ctx, `SELECT no, state <> 'failed' FROM bucketload.files WHERE run = $1 AND no IN (
		SELECT file FROM bucketload.parts WHERE run = $1 AND batch = $2) ORDER BY no FOR UPDATE`, run, batch)
	if err != nil {
		return 0, 0, err
	}
	var files, sound []int
	var no int
	var good bool
	if _, err = pgx.ForEachRow(rows, []any{&no, &good}, func() error {
		if files = append(files, no); good {
			sound = append(sound, no)
		}
		return nil
	}); err != nil {
		return 0, 0, err
	}
	if _, err := tx.Exec(ctx, `
		UPDATE bucketload.parts p SET state = r.state, rows = r.rows, lines = coalesce(r.lines, 0), replaced = r.replaced,
			transient = r.transient, error = r.error, attempts = attempts + 1
		FROM jsonb_to_recordset($3) AS r(no int, part int, state text, rows bigint, lines bigint, replaced bigint, transient bool, error jsonb)
		WHERE p.run = $1 AND p.batch = $2 AND p.file = r.no AND p.no = r.part`, run, batch, data); err != nil {
		return 0, 0, err
	}
	whole, broken, err := sumUp(ctx, tx, run, files)
	for _, no := range broken {
		if slices.Contains(sound, no) {
			failed++
		}
	}
	return int64(len(whole)), failed, err
}

// sumUp makes of these files what their parts say, and gives the numbers of
// those that are loaded, and that have failed.
func sumUp(ctx context.Context, tx pgx.Tx, run string, files []int) (loaded, failed []int, err error) {
	if len(files) == 0 {
		return nil, nil, nil
	}
	rows, err := tx.Query(ctx, `
		UPDATE bucketload.files f SET state = p.state, rows = p.rows, replaced = p.replaced, attempts = p.attempts, transient = p.transient, error = p.error
		FROM (
			SELECT file, CASE WHEN bool_or(state = 'failed') THEN 'failed' WHEN bool_and(state = 'loaded') THEN 'loaded' ELSE 'planned' END AS state,
				sum(rows) AS rows, sum(replaced) AS replaced, max(attempts) AS attempts, bool_or(transient) AS transient,
				(array_agg(error ORDER BY state <> 'failed', no) FILTER (WHERE error IS NOT NULL))[1] AS error
			FROM bucketload.parts WHERE run = $1 AND file = ANY ($2) GROUP BY file) p
		WHERE f.run = $1 AND f.no = p.file RETURNING f.no, f.state`, run, files)
	if err != nil {
		return nil, nil, err
	}
	var no int
	var state bucketload.FileState
	_, err = pgx.ForEachRow(rows, []any{&no, &state}, func() error {
		switch state {
		case bucketload.FileLoaded:
			loaded = append(loaded, no)
		case bucketload.FileFailed:
			failed = append(failed, no)
		}
		return nil
	})
	return loaded, failed, err
}

// partsAgain plans parts that failed anew.
func partsAgain(ctx context.Context, tx pgx.Tx, run string, transientOnly bool) error {
	rows, err := tx.Query(ctx, `
		WITH anew AS (
			UPDATE bucketload.parts SET state = 'planned', transient = false
			WHERE run = $1 AND state = 'failed' AND (transient OR NOT $2) RETURNING file, batch),
		open AS (
			UPDATE bucketload.batches b SET done = false, failed = b.failed - a.n
			FROM (SELECT batch, count(*) AS n FROM anew GROUP BY batch) a WHERE b.run = $1 AND b.no = a.batch)
		SELECT DISTINCT file FROM anew`, run, transientOnly)
	if err != nil {
		return err
	}
	files, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return err
	}
	_, _, err = sumUp(ctx, tx, run, files)
	return err
}

// Part is a part of a file as it stands.
type Part struct {
	bucketload.Part
	Loaded bool
	Lines  int64 // physical ones, of a loaded part
}

// PartsBefore gives the parts of a file that are before the one with this
// number, in order.
func (l *Ledger) PartsBefore(ctx context.Context, run string, file, no int) ([]Part, error) {
	rows, err := l.pool.Query(ctx, `SELECT no, start, stop, state = 'loaded', lines FROM bucketload.parts
		WHERE run = $1 AND file = $2 AND no < $3 ORDER BY no`, run, file, no)
	if err != nil {
		return nil, bucketload.DatabaseError("copy", err)
	}
	parts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p Part, err error) {
		return p, row.Scan(&p.No, &p.Start, &p.End, &p.Loaded, &p.Lines)
	})
	return parts, bucketload.DatabaseError("copy", err)
}

// Indivisible says whether an object of this name could not be read in the parts
// that an earlier run had made of it. It is false where there is no ledger yet.
func (l *Ledger) Indivisible(ctx context.Context, uri string) (bool, error) {
	var was bool
	err := l.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM bucketload.parts p JOIN bucketload.files f ON f.run = p.run AND f.no = p.file
		WHERE p.error->>'code' = 'boundary' AND f.uri = $1)`, uri).Scan(&was)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "42P01" { // undefined_table
		return false, nil
	}
	return was, bucketload.DatabaseError("plan", err)
}

// Bytes gives how many bytes of objects a run is to load, and of how many the
// fate is decided.
func (l *Ledger) Bytes(ctx context.Context, run string) (planned, settled int64, err error) {
	err = l.pool.QueryRow(ctx, `SELECT coalesce(sum(size), 0)::bigint, coalesce(sum(size) FILTER (WHERE state <> 'planned' AND batch IS NOT NULL), 0)::bigint
			+ (SELECT coalesce(sum(stop - start), 0)::bigint FROM bucketload.parts WHERE run = $1 AND state <> 'planned')
		FROM bucketload.files WHERE run = $1 AND state <> 'skipped'`, run).Scan(&planned, &settled)
	return planned, settled, bucketload.DatabaseError("ledger", err)
}
