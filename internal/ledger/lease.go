package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
)

// ErrBusy is returned by Lease where another worker holds the batch.
var ErrBusy = errors.New("another worker holds the batch")

// at is a condition on the run $1: that it is running, and its try $2 is in the state $3.
const at = `id = $1 AND status = 'running' AND $2 IN (0, attempt) AND state = $3`

// At is CodeFenced where a try of a running run is not in the state. In a transaction
// that waited for a lock of the run it sees whether the run has moved on meanwhile.
func At(ctx context.Context, tx pgx.Tx, try Try, state string) error {
	var is bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM bucketload.runs WHERE `+at+`)`, try.Run, try.Attempt, state).Scan(&is); err != nil {
		return bucketload.DatabaseError("ledger", err)
	}
	if !is {
		return fenced(try.Run)
	}
	return nil
}

// Join makes tx, which begins with it, one of the run's copies. All locks that
// others wait for come after: by this one EndCopies finds who has them.
func Join(ctx context.Context, tx pgx.Tx, run string) error {
	if _, err := tx.Exec(ctx, readCommitted); err != nil {
		return bucketload.DatabaseError("copy", err)
	}
	_, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock_shared(`+copyKey+`)`, run)
	return bucketload.DatabaseError("copy", err)
}

// Lease takes a batch for the length of tx, which has joined the run, and gives
// its files, and parts of files, that are still to be loaded; none where the batch is done. ErrBusy
// where another worker holds it, CodeFenced where the run is not copying (any
// more).
func Lease(ctx context.Context, tx pgx.Tx, try Try, batch int) ([]bucketload.Entry, error) {
	run := try.Run
	// Read after Join: whoever moved the run on did so before waiting for its copies.
	if err := At(ctx, tx, try, StateCopy); err != nil {
		return nil, err
	}
	var done bool
	err := tx.QueryRow(ctx, `SELECT done FROM bucketload.batches WHERE run = $1 AND no = $2 FOR UPDATE SKIP LOCKED`, run, batch).Scan(&done)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, busyOrUnknown(ctx, tx, run, batch)
	case err != nil:
		return nil, bucketload.DatabaseError("copy", err)
	case done:
		return nil, nil
	}
	rows, err := tx.Query(ctx, `SELECT no, uri, size, version, 0, 0::bigint, 0::bigint FROM bucketload.files
		WHERE run = $1 AND batch = $2 AND state = 'planned'
		UNION ALL SELECT f.no, f.uri, f.size, f.version, p.no, p.start, p.stop FROM bucketload.parts p JOIN bucketload.files f ON f.run = p.run AND f.no = p.file
		WHERE p.run = $1 AND p.batch = $2 AND p.state = 'planned' ORDER BY 1, 5`, run, batch)
	if err != nil {
		return nil, bucketload.DatabaseError("copy", err)
	}
	files, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f bucketload.Entry, err error) {
		return f, row.Scan(&f.No, &f.URI, &f.Size, &f.Version, &f.Part.No, &f.Part.Start, &f.Part.End)
	})
	return files, bucketload.DatabaseError("copy", err)
}

func busyOrUnknown(ctx context.Context, tx pgx.Tx, run string, batch int) error {
	var there bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM bucketload.batches WHERE run = $1 AND no = $2)`, run, batch).Scan(&there); err != nil {
		return bucketload.DatabaseError("copy", err)
	}
	if there {
		return ErrBusy
	}
	return &bucketload.Error{Op: "copy", Code: bucketload.CodeInternal, Message: fmt.Sprintf("run %s has no batch %d", run, batch)}
}

// Receipt is what became of one file, or one part: Err is nil where its rows are in.
type Receipt struct {
	No       int
	Part     int // its number; 0: all of the file
	Rows     int64
	Lines    int64  // physical ones, of a part
	Rejected int64  // rows that AddRejects has
	Replaced int64  // characters that were replaced or left out
	Shape    *Shape // where there are rejects
	Err      *bucketload.Error
}

// Receive records a batch's receipts, and that it is done once every file has
// its own, in the transaction that carries the rows, which Lease has begun and
// which ends with this. It gives how many files are loaded by that, or have
// failed: one in parts is loaded with the last of them, and fails with the first.
func Receive(ctx context.Context, tx pgx.Tx, run string, batch int, receipts []Receipt) (loaded, failed int64, err error) {
	loaded, failed, err = receive(ctx, tx, run, batch, receipts)
	return loaded, failed, bucketload.DatabaseError("copy", err)
}

func receive(ctx context.Context, tx pgx.Tx, run string, batch int, receipts []Receipt) (loaded, failed int64, err error) {
	type outcome struct {
		No        int                   `json:"no"`
		Part      int                   `json:"part,omitempty"`
		State     bucketload.FileState  `json:"state"`
		Rows      int64                 `json:"rows"`
		Lines     int64                 `json:"lines,omitempty"`
		Rejected  int64                 `json:"rejected"`
		Replaced  int64                 `json:"replaced"`
		Shape     *Shape                `json:"shape,omitempty"`
		Transient bool                  `json:"transient"`
		Error     *bucketload.FileError `json:"error,omitempty"`
	}
	var bad, rejected, parts int64
	outcomes := make([]outcome, len(receipts))
	for i, r := range receipts {
		if r.Part > 0 {
			parts++
		}
		if r.Err != nil {
			bad++
			if r.Part == 0 {
				failed++
			}
			outcomes[i] = outcome{No: r.No, Part: r.Part, State: bucketload.FileFailed, Transient: r.Err.Transient, Error: r.Err.File()}
			outcomes[i].Error.Value = text(outcomes[i].Error.Value)
			continue
		}
		if r.Part == 0 {
			loaded++
		}
		rejected += r.Rejected
		outcomes[i] = outcome{No: r.No, Part: r.Part, State: bucketload.FileLoaded, Rows: r.Rows, Lines: r.Lines, Rejected: r.Rejected, Replaced: r.Replaced, Shape: r.Shape.clean()}
	}
	data, err := json.Marshal(outcomes)
	if err != nil {
		return 0, 0, err
	}
	if _, err := tx.Exec(ctx, `
		UPDATE bucketload.files f SET state = r.state, rows = r.rows, rejected = r.rejected, replaced = r.replaced, shape = r.shape,
			transient = r.transient, error = r.error, attempts = attempts + 1
		FROM jsonb_to_recordset($3) AS r(no int, state text, rows bigint, rejected bigint, replaced bigint, shape jsonb, transient bool, error jsonb)
		WHERE f.run = $1 AND f.batch = $2 AND f.no = r.no`, run, batch, data); err != nil {
		return 0, 0, err
	}
	if parts > 0 {
		whole, broken, err := receiveParts(ctx, tx, run, batch, data)
		if err != nil {
			return 0, 0, err
		}
		loaded, failed = loaded+whole, failed+broken
	}
	_, err = tx.Exec(ctx, `UPDATE bucketload.batches SET failed = failed + $3, rejected = rejected + $4, error = NULL,
			done = NOT EXISTS (SELECT FROM bucketload.files WHERE run = $1 AND batch = $2 AND state = 'planned')
				AND NOT EXISTS (SELECT FROM bucketload.parts WHERE run = $1 AND batch = $2 AND state = 'planned')
		WHERE run = $1 AND no = $2`, run, batch, bad, rejected)
	return loaded, failed, err
}

// SetBatchFailure records, outside of the transaction that came to nothing, why a batch
// failed as a whole. failure is any JSON.
func (l *Ledger) SetBatchFailure(ctx context.Context, run string, batch int, failure any) error {
	data, err := json.Marshal(failure)
	if err != nil {
		return err
	}
	_, err = l.pool.Exec(ctx, `UPDATE bucketload.batches SET error = $3 WHERE run = $1 AND no = $2 AND NOT done`, run, batch, data)
	return bucketload.DatabaseError("copy", err)
}

// BatchFailure reads into failure what SetBatchFailure recorded for the first batch that is
// still open; false where there is none.
func (l *Ledger) BatchFailure(ctx context.Context, run string, failure any) (bool, error) {
	var data []byte
	err := l.pool.QueryRow(ctx, `SELECT error FROM bucketload.batches WHERE run = $1 AND NOT done AND error IS NOT NULL ORDER BY no LIMIT 1`, run).Scan(&data)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, bucketload.DatabaseError("copy", err)
	}
	return true, json.Unmarshal(data, failure)
}

// Seen records that a step of the run was called just now.
func (l *Ledger) Seen(ctx context.Context, run string) error {
	_, err := l.pool.Exec(ctx, `UPDATE bucketload.runs SET seen_at = clock_timestamp() WHERE id = $1`, run)
	return bucketload.DatabaseError("ledger", err)
}

// FirstFailure gives the failed file with the lowest number, before the others
// one that breaks the run's tolerance by itself; nil where none failed.
// transient is whether any failed file may do better another time.
func (l *Ledger) FirstFailure(ctx context.Context, run string) (file *bucketload.File, transient bool, err error) {
	var f bucketload.File
	err = l.pool.QueryRow(ctx, `SELECT uri, state, error, bool_or(transient) OVER () FROM bucketload.files
		WHERE run = $1 AND state = 'failed' ORDER BY error->>'code' <> $2, no LIMIT 1`, run, bucketload.CodeTolerance).Scan(&f.URI, &f.State, &f.Error, &transient)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, false, nil
	}
	return &f, transient, bucketload.DatabaseError("ledger", err)
}

// Attend has tx, which begins with it, share the run's lock: EndCopies ends it,
// and Settle waits for it. A process that is silent for a minute within tx loses it.
func Attend(ctx context.Context, tx pgx.Tx, run string) error {
	if _, err := tx.Exec(ctx, attended); err != nil {
		return bucketload.DatabaseError("finish", err)
	}
	_, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock_shared(`+copyKey+`)`, run)
	return bucketload.DatabaseError("finish", err)
}
