package ledger

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
)

// Outdated gives the runs of the table whose staging nobody needs any more now
// that by has the table: those that ended without success before by was
// published, or before now while it is running. A by that has been ended itself
// has no say. The last of them is the one most worth going on with: trials, with
// which nobody can, come first, the others as they were begun or gone on with.
func (l *Ledger) Outdated(ctx context.Context, table bucketload.TableName, by string) ([]string, error) {
	rows, err := l.pool.Query(ctx, `SELECT r.id FROM bucketload.runs r, bucketload.runs k
		WHERE k.id = $3 AND (k.status = 'running' OR k.published_at IS NOT NULL)
		  AND r.table_schema = $1 AND r.table_name = $2 AND r.id <> $3 AND r.status <> 'running' AND r.staging
		  AND coalesce(r.resumed_at, r.started_at) < coalesce(k.published_at, 'infinity')
		  AND to_regclass('dataimport.r_' || r.id) IS NOT NULL
		ORDER BY r.published_at IS NULL, NOT r.load ? 'limit_files', coalesce(r.resumed_at, r.started_at), r.id`, table.Schema, table.Name, by)
	if err != nil {
		return nil, bucketload.DatabaseError("ledger", err)
	}
	runs, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return runs, bucketload.DatabaseError("ledger", err)
}

// Leftover is a staging table of a run that nobody conducts.
type Leftover struct {
	Run     string            `json:"run"`
	Table   string            `json:"table"`   // that the run was to load
	Staging string            `json:"staging"` // schema.table
	Bytes   int64             `json:"bytes"`   // on disk, with its indexes
	Status  bucketload.Status `json:"status"`
	EndedAt *time.Time        `json:"ended_at"`
	Trial   bool              `json:"-"`
	Useless bool              `json:"useless"` // nobody can go on with the run, or somebody has given it up
	Dropped bool              `json:"dropped"`
	Kept    string            `json:"kept,omitempty"` // why it was not dropped
}

// Bury marks every running run that nobody conducts failed, ends what is left of
// it in flight, and gives them; with dry it only gives them. Their staging stays for
// a redrive.
func (l *Ledger) Bury(ctx context.Context, dry bool) (dead []string, err error) {
	rows, err := l.pool.Query(ctx, `SELECT id FROM bucketload.runs WHERE status = 'running'`)
	if err != nil {
		return nil, bucketload.DatabaseError("ledger", err)
	}
	running, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, bucketload.DatabaseError("ledger", err)
	}
	for _, run := range running {
		_, marked, err := l.markDead(ctx, run, dry)
		if err != nil {
			return dead, err
		}
		if !marked {
			continue
		}
		dead = append(dead, run)
		if dry {
			continue
		}
		if err := l.endCopies(ctx, run); err != nil {
			return dead, bucketload.DatabaseError("ledger", err)
		}
	}
	return dead, nil
}

// Leftovers gives the staging tables of ended runs, oldest first, and of those that
// dead names, as if they had failed by now. Where olderThan is not 0, those of runs
// that ended so long ago, by the server's clock, are useless too.
func (l *Ledger) Leftovers(ctx context.Context, olderThan time.Duration, dead ...string) ([]Leftover, error) {
	rows, err := l.pool.Query(ctx, `
		SELECT r.id, r.table_schema || '.' || r.table_name, 'dataimport.' || c.relname, `+size+`, CASE r.status WHEN 'running' THEN 'failed' ELSE r.status END, r.ended_at, r.load ? 'limit_files',
			r.published_at IS NOT NULL OR EXISTS (SELECT FROM bucketload.runs n WHERE n.table_schema = r.table_schema
				AND n.table_name = r.table_name AND n.id <> r.id AND n.published_at > r.started_at)
			OR $1 AND coalesce(clock_timestamp() - r.ended_at > $2, false)
		FROM bucketload.runs r JOIN pg_class c ON c.oid = to_regclass('dataimport.r_' || r.id)
		WHERE r.status <> 'running' OR r.id = ANY ($3) ORDER BY r.started_at, r.id`, olderThan > 0, olderThan, dead)
	if err != nil {
		return nil, bucketload.DatabaseError("ledger", err)
	}
	left, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (o Leftover, err error) {
		return o, row.Scan(&o.Run, &o.Table, &o.Staging, &o.Bytes, &o.Status, &o.EndedAt, &o.Trial, &o.Useless)
	})
	return left, bucketload.DatabaseError("ledger", err)
}

// Discard drops what an ended run has left, by drop: no redrive can make the run
// running meanwhile, so that no copy of it is in flight, nor can come. It does
// nothing, and says so, where the run is running (again) or being ended at this
// moment.
func (l *Ledger) Discard(ctx context.Context, run string, drop func(pgx.Tx) error) (dropped bool, err error) {
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `SELECT true FROM bucketload.runs WHERE id = $1 AND status <> 'running' FOR NO KEY UPDATE SKIP LOCKED`, run).Scan(&dropped)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		// What a dead process left behind holds its lock on the table. This is not
		// waited for in tx, which others would end with the run's copies.
		if err := l.endCopies(ctx, run); err != nil {
			return err
		}
		return drop(tx)
	})
	return dropped && err == nil, bucketload.DatabaseError("cleanup", err)
}
