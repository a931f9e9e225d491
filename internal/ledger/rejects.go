package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
)

// Reject is a row that could not be loaded.
type Reject struct {
	File   int   // the file's number in the plan
	No     int64 // of the file's rejects, from 1
	Offset int64 // of the row in the plain file, in bytes
	bucketload.FileError
	Raw   []byte // the row's original bytes, or the first of them
	Bytes int64  // of the whole row
}

// Cut says whether Raw is not all of the row.
func (r *Reject) Cut() bool { return int64(len(r.Raw)) < r.Bytes }

// Shape is what it takes to read a file's rejects again.
type Shape struct {
	Header []string `json:"header"`        // the names of its fields
	Raw    []byte   `json:"raw,omitempty"` // its header as the file has it; nothing where it has none
	// Encoding is that of Raw and of the rejects' Raw; nothing of UTF-8.
	Encoding string `json:"encoding,omitempty"`
}

// clean is the shape as jsonb takes it.
func (s *Shape) clean() *Shape {
	if s == nil {
		return nil
	}
	c := &Shape{Header: make([]string, len(s.Header)), Raw: s.Raw, Encoding: s.Encoding}
	for i, name := range s.Header {
		c.Header[i] = text(name)
	}
	return c
}

// text is s as Postgres' text and jsonb take it.
func text(s string) string { return strings.ReplaceAll(s, "\x00", "\uFFFD") }

// AddRejects records rows that could not be loaded, in the transaction that
// carries the other rows of their files.
func AddRejects(ctx context.Context, tx pgx.Tx, run string, rejects []Reject) error {
	if len(rejects) == 0 {
		return nil
	}
	_, err := tx.CopyFrom(ctx, pgx.Identifier{bucketload.LedgerSchema, "rejects"},
		[]string{"run", "file", "no", "line", "byte_offset", "code", "column_name", "message", "hint", "value", "raw", "bytes"},
		pgx.CopyFromSlice(len(rejects), func(i int) ([]any, error) {
			r := &rejects[i]
			return []any{run, r.File, r.No, r.Line, r.Offset, string(r.Code), text(r.Column), text(r.Message), text(r.Hint), text(r.Value), r.Raw, r.Bytes}, nil
		}))
	return bucketload.DatabaseError("copy", err)
}

// TakeDuplicates runs a deletion of rows whose key another row has, records
// them, and counts them out of their files' rows: as duplicates where the load
// says which row stays, else as rejected. The deletion returns no, line and row;
// key names what is unique.
func TakeDuplicates(ctx context.Context, tx pgx.Tx, run, deletion, key string, kept bool) (n int64, err error) {
	hint := "keep one of the rows with on_duplicate: keep_first or keep_last, or mend the files"
	if kept {
		hint = "on_duplicate says which row stays"
	}
	err = tx.QueryRow(ctx, `WITH gone AS (`+deletion+`),
		sums AS (SELECT no, count(*) AS n FROM gone GROUP BY no),
		counted AS (UPDATE bucketload.files f SET rows = rows - n, rejected = rejected + CASE WHEN $4 THEN 0 ELSE n END, duplicates = duplicates + CASE WHEN $4 THEN n ELSE 0 END
			FROM sums WHERE f.run = $1 AND f.no = sums.no),
		recorded AS (INSERT INTO bucketload.rejects (run, file, no, line, byte_offset, code, column_name, message, hint, value, raw, bytes, duplicate)
			SELECT $1, g.no, coalesce((SELECT max(r.no) FROM bucketload.rejects r WHERE r.run = $1 AND r.file = g.no), 0) + row_number() OVER (PARTITION BY g.no ORDER BY g.line),
				g.line, 0, $2, '', 'another row has the same key: ' || $3, $5, '', convert_to(g.row::text, 'UTF8'), octet_length(convert_to(g.row::text, 'UTF8')), true
			FROM gone g)
		SELECT count(*) FROM gone`, run, string(bucketload.CodeDuplicate), key, kept, hint).Scan(&n)
	return n, bucketload.DatabaseError("finish", err)
}

// RowsByFile calls yield for every loaded file of the run, in order.
func RowsByFile(ctx context.Context, tx pgx.Tx, run string, yield func(uri string, loaded, rejected int64) error) error {
	rows, err := tx.Query(ctx, `SELECT uri, rows, rejected FROM bucketload.files WHERE run = $1 AND state = 'loaded' ORDER BY no`, run)
	if err != nil {
		return bucketload.DatabaseError("ledger", err)
	}
	var uri string
	var loaded, rejected int64
	_, err = pgx.ForEachRow(rows, []any{&uri, &loaded, &rejected}, func() error { return yield(uri, loaded, rejected) })
	return bucketload.DatabaseError("ledger", err)
}

// Rejected is a reject that is read: Raw is as much of it as was asked for.
type Rejected struct {
	Reject
	URI       string
	Shape     *Shape
	Duplicate bool // taken out of the staging table: Raw is the row as Postgres writes it
}

// Rejects calls yield for every row of the run that is still not loaded, in the
// order of the files and of their rows, with up to raw of its bytes each. What
// it gives is valid until the next call; the rejects of a file share its Shape.
func (l *Ledger) Rejects(ctx context.Context, run string, raw int, yield func(*Rejected) error) error {
	var r Rejected
	file := -1
	var shape []byte
	return each(ctx, l, func(row pgx.CollectableRow) (*Rejected, error) {
		r.Raw = nil
		if err := row.Scan(&r.File, &r.No, &r.Offset, &r.Code, &r.Line, &r.Column, &r.Value, &r.Message, &r.Hint, &r.Raw, &r.Bytes, &r.URI, &r.Duplicate, &shape); err != nil {
			return nil, err
		}
		if r.File != file {
			file, r.Shape = r.File, new(Shape)
			if shape != nil {
				return &r, json.Unmarshal(shape, r.Shape)
			}
		}
		return &r, nil
	}, yield, `SELECT r.file, r.no, r.byte_offset, r.code, r.line, r.column_name, r.value, r.message, r.hint,
			substring(r.raw FOR $2), r.bytes, f.uri, r.duplicate, CASE WHEN r.file IS DISTINCT FROM lag(r.file) OVER (ORDER BY r.file, r.no) THEN f.shape END
		FROM bucketload.rejects r JOIN bucketload.files f ON f.run = r.run AND f.no = r.file
		WHERE r.run = $1 AND r.replayed_at IS NULL ORDER BY r.file, r.no`, run, raw)
}

// FirstReject gives the run's first reject in the order of its files; nil where
// it has none.
func (l *Ledger) FirstReject(ctx context.Context, run string) (*Rejected, error) {
	var r Rejected
	err := l.pool.QueryRow(ctx, `SELECT r.file, r.no, r.code, r.line, r.column_name, r.value, r.message, r.hint, f.uri
		FROM bucketload.rejects r JOIN bucketload.files f ON f.run = r.run AND f.no = r.file
		WHERE r.run = $1 AND r.replayed_at IS NULL ORDER BY r.file, r.no LIMIT 1`, run).Scan(
		&r.File, &r.No, &r.Code, &r.Line, &r.Column, &r.Value, &r.Message, &r.Hint, &r.URI)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return &r, bucketload.DatabaseError("ledger", err)
}

// Replayed counts the rejects of the run that were loaded after all.
func (l *Ledger) Replayed(ctx context.Context, run string) (n int64, err error) {
	err = l.pool.QueryRow(ctx, `SELECT count(*) FROM bucketload.rejects WHERE run = $1 AND replayed_at IS NOT NULL`, run).Scan(&n)
	return n, bucketload.DatabaseError("ledger", err)
}

// Losses is what a run has lost so far.
type Losses struct {
	Failed, Planned int64 // files
	Rejected        int64 // rows of the loaded ones
	Broken          bool  // a failed file lost more rows by itself than the run may lose
}

// Losses counts what the run has lost so far.
func (l *Ledger) Losses(ctx context.Context, run string) (n Losses, err error) {
	err = l.pool.QueryRow(ctx, `SELECT f.failed, b.rejected, f.planned,
			b.failed > 0 AND EXISTS (SELECT FROM bucketload.files WHERE run = $1 AND state = 'failed' AND error->>'code' = $2)
		FROM (SELECT coalesce(sum(failed), 0)::bigint AS failed, coalesce(sum(rejected), 0)::bigint AS rejected
			FROM bucketload.batches WHERE run = $1) b,
			(SELECT count(*) AS planned, count(*) FILTER (WHERE state = 'failed') AS failed
			FROM bucketload.files WHERE run = $1 AND state <> 'skipped') f`, run, bucketload.CodeTolerance).Scan(&n.Failed, &n.Rejected, &n.Planned, &n.Broken)
	return n, bucketload.DatabaseError("copy", err)
}

// Current says whether the live table of the run is still its own: the run put
// its rows there, and no other has replaced them since. Whoever has a lock on
// the table in tx can rely on that up to its end.
func Current(ctx context.Context, tx pgx.Tx, run string, table bucketload.TableName) (current bool, err error) {
	err = tx.QueryRow(ctx, `
		WITH `+history+`
		SELECT EXISTS (SELECT FROM bucketload.runs r JOIN content USING (id) WHERE r.id = $3 AND r.published_at IS NOT NULL)`,
		table.Schema, table.Name, run).Scan(&current)
	return current, bucketload.DatabaseError("replay", err)
}

// FilesWithRejects gives the numbers of the run's files that have rejects
// which are still not loaded, in order.
func FilesWithRejects(ctx context.Context, tx pgx.Tx, run string) ([]int, error) {
	rows, err := tx.Query(ctx, `SELECT DISTINCT file FROM bucketload.rejects WHERE run = $1 AND replayed_at IS NULL AND NOT duplicate ORDER BY file`, run)
	if err != nil {
		return nil, bucketload.DatabaseError("replay", err)
	}
	files, err := pgx.CollectRows(rows, pgx.RowTo[int])
	return files, bucketload.DatabaseError("replay", err)
}

// RejectsOf locks and gives up to n rejects of a file that are still not
// loaded, after number after, with all that is kept of them.
func RejectsOf(ctx context.Context, tx pgx.Tx, run string, file int, after int64, n int) ([]Reject, error) {
	rows, err := tx.Query(ctx, `SELECT file, no, byte_offset, code, line, column_name, value, message, hint, raw, bytes
		FROM bucketload.rejects WHERE run = $1 AND file = $2 AND no > $3 AND replayed_at IS NULL AND NOT duplicate ORDER BY no LIMIT $4 FOR UPDATE`, run, file, after, n)
	if err != nil {
		return nil, bucketload.DatabaseError("replay", err)
	}
	rejects, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r Reject, err error) {
		return r, row.Scan(&r.File, &r.No, &r.Offset, &r.Code, &r.Line, &r.Column, &r.Value, &r.Message, &r.Hint, &r.Raw, &r.Bytes)
	})
	return rejects, bucketload.DatabaseError("replay", err)
}

// ShapeOf gives a file of the run, and what it takes to read its rejects again.
func ShapeOf(ctx context.Context, tx pgx.Tx, run string, file int) (bucketload.Entry, *Shape, error) {
	entry, shape := bucketload.Entry{No: file}, new(Shape)
	err := tx.QueryRow(ctx, `SELECT uri, size, version, shape FROM bucketload.files WHERE run = $1 AND no = $2`, run, file).Scan(
		&entry.URI, &entry.Size, &entry.Version, shape)
	return entry, shape, bucketload.DatabaseError("replay", err)
}

// Replay records, in the transaction that carries their rows, that rejects of a
// file were loaded after all, and what others failed for this time.
func Replay(ctx context.Context, tx pgx.Tx, run string, file int, loaded []int64, again []Reject) error {
	if len(loaded) > 0 {
		if _, err := tx.Exec(ctx, `WITH r AS (
				UPDATE bucketload.rejects SET replayed_at = clock_timestamp()
				WHERE run = $1 AND file = $2 AND no = ANY ($3) AND replayed_at IS NULL RETURNING 1)
			UPDATE bucketload.files SET rows = rows + n, rejected = rejected - n
			FROM (SELECT count(*) AS n FROM r) c WHERE run = $1 AND no = $2`, run, file, loaded); err != nil {
			return bucketload.DatabaseError("replay", err)
		}
	}
	batch := &pgx.Batch{}
	for _, r := range again {
		batch.Queue(`UPDATE bucketload.rejects SET code = $4, line = $5, column_name = $6, value = $7, message = $8, hint = $9
			WHERE run = $1 AND file = $2 AND no = $3`, run, file, r.No, string(r.Code), r.Line, text(r.Column), text(r.Value), text(r.Message), text(r.Hint))
	}
	return bucketload.DatabaseError("replay", tx.SendBatch(ctx, batch).Close())
}

// Complete makes a partial run, of which nothing is left out any more, a
// success.
func Complete(ctx context.Context, tx pgx.Tx, run string) error {
	_, err := tx.Exec(ctx, `UPDATE bucketload.runs SET status = 'succeeded' WHERE id = $1 AND status = 'partial' AND NOT EXISTS (
		SELECT FROM bucketload.files WHERE run = $1 AND (state = 'failed' OR rejected > 0))`, run)
	return bucketload.DatabaseError("replay", err)
}
