package table

import (
	"context"
	"errors"
	"fmt"
	"strings"

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
// of the load's own is not run, nor a step that another table's lock keeps waiting
// for longer than the load's lock timeout. Foreign keys are taken back one by one:
// the writers of one table do not wait for the lock of the next.
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
	known, checked := map[uint32]bool{}, 0
	for _, step := range steps {
		if step.Key == "before_swap_sql" {
			continue
		}
		attempt, err := trial.Begin(ctx)
		if err != nil {
			return nil, nil, bucketload.DatabaseError("prepare", err)
		}
		err = Build(ctx, attempt, load, run, step)
		if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "55P03" { // lock_not_available
			if err := attempt.Rollback(ctx); err != nil {
				return nil, nil, bucketload.DatabaseError("prepare", err)
			}
			continue
		}
		if err != nil {
			e := *bucketload.AsError(err)
			if e.Op = "prepare"; e.Code == bucketload.CodeUsage {
				return nil, nil, &e
			}
			e.Hint = fmt.Sprintf("nothing has been loaded yet; mend %s of %s: the statement is %s", step.Key, load.Key, step.SQL)
			return nil, nil, &e
		}
		var constraints, refers int
		if err := attempt.QueryRow(ctx, `SELECT count(*) FILTER (WHERE contype = 'c'), count(*) FILTER (WHERE contype = 'f')
			FROM pg_constraint WHERE conrelid = $1::text::regclass`, Quote(bucketload.StagingTable(run))).Scan(&constraints, &refers); err != nil {
			return nil, nil, bucketload.DatabaseError("prepare", err)
		}
		if constraints > checked {
			checks = append(checks, step)
		}
		made, err := keysOf(ctx, attempt, run, step, known)
		if err != nil {
			return nil, nil, bucketload.DatabaseError("prepare", err)
		}
		keys = append(keys, made...)
		if refers > 0 {
			err = attempt.Rollback(ctx)
		} else {
			checked, err = constraints, attempt.Commit(ctx)
		}
		if err != nil {
			return nil, nil, bucketload.DatabaseError("prepare", err)
		}
	}
	return keys, checks, nil
}

// keysOf gives the keys that a step has made, and adds their indexes to known.
func keysOf(ctx context.Context, q Queryer, run string, step Step, known map[uint32]bool) (keys []Key, err error) {
	rows, err := q.Query(ctx, `SELECT indexrelid, ARRAY(SELECT pg_get_indexdef(indexrelid, n, true) FROM generate_series(1, indnkeyatts) n),
		coalesce(pg_get_expr(indpred, indrelid), ''), coalesce((to_jsonb(x) ->> 'indnullsnotdistinct')::bool, false)
		FROM pg_index x WHERE indrelid = $1::text::regclass AND indisunique ORDER BY 1`, Quote(bucketload.StagingTable(run)))
	if err != nil {
		return nil, err
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
	return keys, err
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
		return bucketload.DatabaseError("finish", err)
	}
	return &bucketload.Error{Op: "finish", Code: bucketload.CodeUsage, Message: fmt.Sprintf("constraints: the rows of %s would refer to the table that they replace: %s", load.Table, strings.TrimSuffix(key, " NOT VALID")),
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
