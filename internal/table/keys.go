package table

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bucketload/bucketload"
)

// Columns that a staging table has until it is built, where rows with the same
// key are told apart by their place: the file's number in the run, and the line.
const (
	OrderFile = "_bucketload_file" // int
	OrderLine = "_bucketload_line" // bigint
)

// Key is what a build step makes unique.
type Key struct {
	Step       string   `json:"step"`            // its SQL
	Columns    []string `json:"columns"`         // names or expressions, as SQL
	Where      string   `json:"where,omitempty"` // the rows that it is for, as SQL; empty: all
	NullsEqual bool     `json:"nulls_equal,omitempty"`
}

// Try runs the steps on the run's staging table while that is empty, and takes
// all of it back: what cannot be built is found out before anything is loaded.
// It gives the keys among them, and the steps that make CHECK constraints. SQL
// of the load's own is not run, nor what comes behind a step that another
// table's lock keeps waiting for longer than LockTimeout.
func Try(ctx context.Context, tx pgx.Tx, load *bucketload.Load, run string, steps []Step) (keys []Key, checks []Step, err error) {
	trial, err := tx.Begin(ctx)
	if err != nil {
		return nil, nil, bucketload.DatabaseError("prepare", err)
	}
	defer func() {
		if rollback := trial.Rollback(ctx); err == nil {
			err = bucketload.DatabaseError("prepare", rollback)
		}
	}()
	if _, err := trial.Exec(ctx, fmt.Sprintf("SET LOCAL lock_timeout = %d", max(1, load.LockTimeout/time.Millisecond))); err != nil {
		return nil, nil, bucketload.DatabaseError("prepare", err)
	}
	known, checked := map[uint32]bool{}, 0
	for _, step := range steps {
		if step.Key == "before_swap_sql" {
			continue
		}
		err := Build(ctx, trial, load, run, step)
		if err == nil && step.Key == "constraints" {
			err = notToItself(ctx, trial, load, run)
		}
		if err != nil {
			if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "55P03" { // lock_not_available
				return keys, checks, nil
			}
			e := *bucketload.AsError(err)
			if e.Op = "prepare"; e.Code == bucketload.CodeUsage {
				return nil, nil, &e
			}
			e.Hint = fmt.Sprintf("nothing has been loaded yet; mend %s of %s: the statement is %s", step.Key, load.Key, step.SQL)
			return nil, nil, &e
		}
		had := checked
		if err := trial.QueryRow(ctx, `SELECT count(*) FROM pg_constraint WHERE conrelid = $1::text::regclass AND contype = 'c'`,
			Quote(bucketload.StagingTable(run))).Scan(&checked); err != nil {
			return nil, nil, bucketload.DatabaseError("prepare", err)
		}
		if checked > had {
			checks = append(checks, step)
		}
		rows, err := trial.Query(ctx, `SELECT indexrelid, ARRAY(SELECT pg_get_indexdef(indexrelid, n, true) FROM generate_series(1, indnkeyatts) n),
			coalesce(pg_get_expr(indpred, indrelid), ''), coalesce((to_jsonb(x) ->> 'indnullsnotdistinct')::bool, false)
			FROM pg_index x WHERE indrelid = $1::text::regclass AND indisunique ORDER BY 1`, Quote(bucketload.StagingTable(run)))
		if err != nil {
			return nil, nil, bucketload.DatabaseError("prepare", err)
		}
		key, oid := Key{Step: step.SQL}, uint32(0)
		_, err = pgx.ForEachRow(rows, []any{&oid, &key.Columns, &key.Where, &key.NullsEqual}, func() error {
			if !known[oid] {
				known[oid] = true
				keys = append(keys, key)
				key.Columns = nil
			}
			return nil
		})
		if err != nil {
			return nil, nil, bucketload.DatabaseError("prepare", err)
		}
	}
	return keys, checks, nil
}

// notToItself is an error where staging refers to the live table, which is to be
// the backup.
func notToItself(ctx context.Context, q Queryer, load *bucketload.Load, run string) error {
	var key string
	err := q.QueryRow(ctx, `SELECT pg_get_constraintdef(oid) FROM pg_constraint
		WHERE conrelid = $1::text::regclass AND contype = 'f' AND confrelid = to_regclass($2) LIMIT 1`, Quote(bucketload.StagingTable(run)), Quote(load.Table)).Scan(&key)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	} else if err != nil {
		return bucketload.DatabaseError("prepare", err)
	}
	return &bucketload.Error{Code: bucketload.CodeUsage, Message: fmt.Sprintf("constraints: the rows of %s would refer to the table that they replace: %s", load.Table, key),
		Hint: "take it out of the configuration and add it to the table itself: it follows every swap"}
}

// AddOrder gives the run's staging table, which is empty, the columns of order.
func AddOrder(ctx context.Context, tx pgx.Tx, run string) error {
	_, err := tx.Exec(ctx, "ALTER TABLE "+Quote(bucketload.StagingTable(run))+" ADD "+OrderFile+" int, ADD "+OrderLine+" bigint")
	return bucketload.DatabaseError("prepare", err)
}

// DropOrder is the step that takes the columns of order away.
func DropOrder(run string) Step {
	return Step{Key: "order", SQL: "ALTER TABLE " + Quote(bucketload.StagingTable(run)) + " DROP " + OrderFile + ", DROP " + OrderLine}
}

// DeleteDuplicates gives a statement that deletes from the run's staging table,
// which has the columns of order, all rows but one of those that have the same
// key: the first by their order, or the last. It returns of each the file's
// number (no), the line and the row as jsonb (row).
func DeleteDuplicates(run string, key Key, last bool) string {
	order := "ASC"
	if last {
		order = "DESC"
	}
	conditions := []string{"true"}
	if key.Where != "" {
		conditions = append(conditions, "("+key.Where+")")
	}
	if !key.NullsEqual {
		for _, c := range key.Columns {
			conditions = append(conditions, "("+c+") IS NOT NULL")
		}
	}
	staging := Quote(bucketload.StagingTable(run))
	return `WITH ranked AS (
			SELECT ctid AS at, row_number() OVER (PARTITION BY ` + strings.Join(key.Columns, ", ") + ` ORDER BY ` + OrderFile + " " + order + `, ` + OrderLine + " " + order + `) AS n
			FROM ` + staging + ` WHERE ` + strings.Join(conditions, " AND ") + `)
		DELETE FROM ` + staging + ` s USING ranked WHERE s.ctid = ranked.at AND ranked.n > 1
		RETURNING s.` + OrderFile + ` AS no, s.` + OrderLine + ` AS line, to_jsonb(s) - '` + OrderFile + `' - '` + OrderLine + `' AS row`
}
