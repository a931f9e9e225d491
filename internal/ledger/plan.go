package ledger

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
)

// Planned is one object of the listing and what becomes of it.
type Planned struct {
	bucketload.Object
	Batch   int                   // counted from 0
	Parts   []PlannedPart         // where it is loaded in parts, each in a batch; Batch means nothing then
	Skipped *bucketload.FileError // set: it is not loaded, for this reason
}

// PlannedPart is bytes [Start, End) of an object, from where the one before ends.
type PlannedPart struct {
	Batch      int
	Start, End int64
}

// Listing takes the objects of a run as the plan sees them, in order.
type Listing struct {
	ctx     context.Context
	tx      pgx.Tx
	run     string
	rows    [][]any
	parts   [][]any
	no      int
	batches []int64 // bytes of each
}

// listingChunk bounds the rows kept in memory between two COPYs.
const listingChunk = 5000

// WritePlan records the run's listing in one transaction: fill adds the
// objects. A plan that is complete already is left as it is, and fill not
// called. CodeFenced where the run has ended, also meanwhile. Of two calls at once
// the second waits; EndCopies ends either.
func (l *Ledger) WritePlan(ctx context.Context, run string, fill func(*Listing) error) error {
	return bucketload.DatabaseError("plan", pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		// Not the run's row, which is to be had by those who end it.
		if err := alone(ctx, tx, run); err != nil {
			return err
		}
		var running, planned bool
		err := tx.QueryRow(ctx, `SELECT status = 'running', planned_at IS NOT NULL FROM bucketload.runs WHERE id = $1`, run).Scan(&running, &planned)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return unknownRun(run)
		case err == nil && !running:
			return fenced(run)
		case err != nil || planned:
			return err
		}
		listing := &Listing{ctx: ctx, tx: tx, run: run}
		if err := fill(listing); err != nil {
			return err
		}
		if err := listing.flush(); err != nil {
			return err
		}
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{"bucketload", "batches"}, []string{"run", "no", "bytes"},
			pgx.CopyFromSlice(len(listing.batches), func(i int) ([]any, error) {
				return []any{run, i, listing.batches[i]}, nil
			})); err != nil {
			return err
		}
		// A trial shows the few files it takes; the planner needs statistics
		// before the batches join hundreds of thousands of rows.
		if listing.no > listingChunk {
			if _, err := tx.Exec(ctx, `ANALYZE bucketload.files`); err != nil {
				return err
			}
		}
		tag, err := tx.Exec(ctx, `UPDATE bucketload.runs SET planned_at = clock_timestamp() WHERE id = $1 AND status = 'running'`, run)
		if err == nil && tag.RowsAffected() == 0 {
			err = fenced(run)
		}
		return err
	}))
}

// Add records the next object.
func (l *Listing) Add(p Planned) error {
	state, batch := bucketload.FilePlanned, any(nil)
	var reason []byte
	switch {
	case p.Skipped != nil:
		state = bucketload.FileSkipped
		var err error
		if reason, err = json.Marshal(p.Skipped); err != nil {
			return err
		}
	case len(p.Parts) > 0:
		l.addParts(l.no, p.Parts)
	default:
		batch = p.Batch
		l.grow(p.Batch, p.Size)
	}
	l.rows = append(l.rows, []any{l.run, l.no, batch, p.URI, p.Size, p.Version, string(state), reason})
	l.no++
	if len(l.rows)+len(l.parts) >= listingChunk {
		return l.flush()
	}
	return nil
}

// grow gives a batch so many bytes more.
func (l *Listing) grow(batch int, bytes int64) {
	if batch == len(l.batches) {
		l.batches = append(l.batches, 0)
	}
	l.batches[batch] += bytes
}

func (l *Listing) flush() error {
	_, err := l.tx.CopyFrom(l.ctx, pgx.Identifier{"bucketload", "files"},
		[]string{"run", "no", "batch", "uri", "size", "version", "state", "error"}, pgx.CopyFromRows(l.rows))
	l.rows = l.rows[:0]
	if err != nil || len(l.parts) == 0 {
		return err
	}
	_, err = l.tx.CopyFrom(l.ctx, pgx.Identifier{"bucketload", "parts"}, []string{"run", "file", "no", "batch", "start", "stop"}, pgx.CopyFromRows(l.parts))
	l.parts = l.parts[:0]
	return err
}

// Loaded says of each object whether its rows are in the table, as far as
// bucketload put them there: the run that loaded it, or "" where none did, and
// whether it is another version of it that was loaded.
func (l *Ledger) Loaded(ctx context.Context, table bucketload.TableName, objects []bucketload.Object) ([]LoadedBy, error) {
	uris := make([]string, len(objects))
	for i, o := range objects {
		uris[i] = o.URI
	}
	rows, err := l.pool.Query(ctx, `
		WITH `+history+`
		SELECT o.i, f.run, f.version
		FROM unnest($3::text[]) WITH ORDINALITY AS o(uri, i)
		JOIN bucketload.files f ON hashtextextended(f.uri, 0) = hashtextextended(o.uri, 0) AND f.uri = o.uri AND f.state = 'loaded'
		JOIN content c ON c.id = f.run
		ORDER BY f.run`, table.Schema, table.Name, uris)
	if err != nil {
		return nil, bucketload.DatabaseError("plan", err)
	}
	by := make([]LoadedBy, len(objects))
	var i int
	var run, version string
	_, err = pgx.ForEachRow(rows, []any{&i, &run, &version}, func() error {
		by[i-1] = LoadedBy{Run: run, Changed: objects[i-1].Version != version} // the last one says what the table has
		return nil
	})
	return by, bucketload.DatabaseError("plan", err)
}

// LoadedBy is who loaded an object; Changed if what it loaded was another
// version of it.
type LoadedBy struct {
	Run     string
	Changed bool
}

// SampleObjects gives up to n planned objects, spread over the listing.
func (l *Ledger) SampleObjects(ctx context.Context, run string, n int) ([]bucketload.Object, error) {
	rows, err := l.pool.Query(ctx, `
		SELECT uri, size, version FROM (
			SELECT uri, size, version, row_number() OVER (ORDER BY no) - 1 AS i, count(*) OVER () AS total
			FROM bucketload.files WHERE run = $1 AND state <> 'skipped') f
		WHERE i % greatest(1, (total + $2 - 1) / $2) = 0 ORDER BY i`, run, n)
	if err != nil {
		return nil, bucketload.DatabaseError("prepare", err)
	}
	objects, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (o bucketload.Object, err error) {
		return o, row.Scan(&o.URI, &o.Size, &o.Version)
	})
	return objects, bucketload.DatabaseError("prepare", err)
}

// SetColumns records what Prepare resolved, once: the first call wins.
// columns is any JSON; staging is false where rows go straight into the live
// table.
func (l *Ledger) SetColumns(ctx context.Context, tx pgx.Tx, run string, columns any, staging bool) error {
	data, err := json.Marshal(columns)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE bucketload.runs SET columns = $2, staging = $3 WHERE id = $1 AND columns IS NULL`, run, data, staging)
	return bucketload.DatabaseError("prepare", err)
}

// Columns reads what SetColumns recorded into columns; false before that.
func (l *Ledger) Columns(ctx context.Context, run string, columns any) (bool, error) {
	var data []byte
	err := l.pool.QueryRow(ctx, `SELECT columns FROM bucketload.runs WHERE id = $1`, run).Scan(&data)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, unknownRun(run)
	}
	if err != nil || data == nil {
		return false, bucketload.DatabaseError("ledger", err)
	}
	return true, json.Unmarshal(data, columns)
}

// Batch is a batch by its number, with the bytes of its objects.
type Batch struct {
	No    int
	Bytes int64
}

// OpenBatches gives the batches that are not done, in order.
func (l *Ledger) OpenBatches(ctx context.Context, run string) ([]Batch, error) {
	rows, err := l.pool.Query(ctx, `SELECT no, bytes FROM bucketload.batches WHERE run = $1 AND NOT done ORDER BY no`, run)
	if err != nil {
		return nil, bucketload.DatabaseError("copy", err)
	}
	batches, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Batch])
	return batches, bucketload.DatabaseError("copy", err)
}

// BatchesOf gives the open batches that these objects are in, in order; URIs
// that the plan does not have are passed over.
func (l *Ledger) BatchesOf(ctx context.Context, run string, uris []string) ([]int, error) {
	rows, err := l.pool.Query(ctx, `SELECT DISTINCT b.no FROM bucketload.files f
		LEFT JOIN bucketload.parts p ON p.run = f.run AND p.file = f.no
		JOIN bucketload.batches b ON b.run = f.run AND b.no = coalesce(f.batch, p.batch)
		WHERE f.run = $1 AND f.uri = ANY ($2) AND NOT b.done ORDER BY 1`, run, uris)
	if err != nil {
		return nil, bucketload.DatabaseError("copy", err)
	}
	batches, err := pgx.CollectRows(rows, pgx.RowTo[int])
	return batches, bucketload.DatabaseError("copy", err)
}

// Build reads the run's build steps into steps and says how many are done;
// false where none are recorded.
func (l *Ledger) Build(ctx context.Context, run string, steps any) (built int, ok bool, err error) {
	var data []byte
	err = l.pool.QueryRow(ctx, `SELECT build, built FROM bucketload.runs WHERE id = $1`, run).Scan(&data, &built)
	if err != nil || data == nil {
		return 0, false, bucketload.DatabaseError("finish", err)
	}
	return built, true, json.Unmarshal(data, steps)
}

// SetBuild records the run's build steps, any JSON, once: the first call wins.
func (l *Ledger) SetBuild(ctx context.Context, run string, steps any) error {
	data, err := json.Marshal(steps)
	if err != nil {
		return err
	}
	_, err = l.pool.Exec(ctx, `UPDATE bucketload.runs SET build = $2 WHERE id = $1 AND build IS NULL`, run, data)
	return bucketload.DatabaseError("finish", err)
}

// Built records, in the transaction of a build step, that n of them are done, and
// the steps as they are by now. CodeFenced where the run has ended, or moved on from the try's Build.
func Built(ctx context.Context, tx pgx.Tx, try Try, n int, steps any) error {
	data, err := json.Marshal(steps)
	if err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, `UPDATE bucketload.runs SET built = $4, build = $5 WHERE `+at, try.Run, try.Attempt, StateBuild, n, data)
	if err == nil && tag.RowsAffected() == 0 {
		return fenced(try.Run)
	}
	return bucketload.DatabaseError("finish", err)
}
