package table

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
)

// Finding is what a check has against the rows of a staging table.
type Finding struct {
	Check   string // its name: rows.min, vs_live, null_share.temp, unique (a, b), sql 1
	Message string // what was found and what is wanted
}

// maxSample bounds the row that a finding shows, in bytes.
const maxSample = 200

// JudgeRows holds a number of rows against the load's bounds.
func JudgeRows(load *bucketload.Load, rows int64) []Finding {
	switch bounds := load.Checks.Rows; {
	case rows < bounds.Min:
		return []Finding{{"rows.min", fmt.Sprintf("%d rows are fewer than checks.rows.min: %d", rows, bounds.Min)}}
	case bounds.Max > 0 && rows > bounds.Max:
		return []Finding{{"rows.max", fmt.Sprintf("%d rows are more than checks.rows.max: %d", rows, bounds.Max)}}
	}
	return nil
}

// Judge runs the load's checks on the run's staging table, all on one snapshot
// where tx has one, and gives the rows there are and what was found. What needs a
// live table is passed over where there is none.
func Judge(ctx context.Context, tx pgx.Tx, load *bucketload.Load, run string) (rows int64, found []Finding, err error) {
	staging := bucketload.StagingTable(run)
	live, err := Exists(ctx, tx, load.Table)
	if err != nil {
		return 0, nil, err
	}
	shares := slices.Sorted(maps.Keys(load.Checks.NullShare))
	counts := make([]int64, len(shares))
	into, list := []any{&rows}, "count(*)"
	for i, column := range shares {
		list += ", count(*) - count(" + quote(column) + ")"
		into = append(into, &counts[i])
	}
	if err := tx.QueryRow(ctx, "SELECT "+list+" FROM "+Quote(staging)).Scan(into...); err != nil {
		return 0, nil, bucketload.DatabaseError("check", err)
	}
	found = JudgeRows(load, rows)
	if least := load.Checks.VsLive; least > 0 && live {
		was, err := Count(ctx, tx, load.Table)
		if err != nil {
			return 0, nil, bucketload.DatabaseError("check", err)
		}
		if float64(rows)*100 < least*float64(was) {
			found = append(found, Finding{"vs_live", fmt.Sprintf("%d rows are %s of the %d in %s, less than checks.vs_live: %s", rows, percent(rows, was), was, load.Table, percentage(least))})
		}
	}
	for i, column := range shares {
		if limit := load.Checks.NullShare[column]; limit.Exceeded(counts[i], rows) {
			found = append(found, Finding{"null_share." + column, fmt.Sprintf("%d of %d rows (%s) have no %s, more than checks.null_share.%s: %s",
				counts[i], rows, percent(counts[i], rows), column, column, limit)})
		}
	}
	for _, columns := range load.Checks.Unique {
		f, err := repeated(ctx, tx, staging, columns)
		if err != nil {
			return 0, nil, err
		}
		found = append(found, f...)
	}
	for i, sql := range load.Checks.SQL {
		if !live && strings.Contains(sql, "{table}") {
			continue
		}
		f, err := offending(ctx, tx, load, run, i)
		if err != nil {
			return 0, nil, err
		}
		found = append(found, f...)
	}
	return rows, found, nil
}

// repeated finds the values that these columns together have more than once.
func repeated(ctx context.Context, tx pgx.Tx, staging bucketload.TableName, columns []string) ([]Finding, error) {
	list := quoteAll(columns)
	var n int64
	var sample string
	if err := tx.QueryRow(ctx, "SELECT count(*), coalesce(min(to_jsonb(d)::text), '') FROM (SELECT "+list+" FROM "+Quote(staging)+
		" WHERE num_nulls("+list+") = 0 GROUP BY "+list+" HAVING count(*) > 1) d").Scan(&n, &sample); err != nil || n == 0 {
		return nil, bucketload.DatabaseError("check", err)
	}
	name := "unique (" + strings.Join(columns, ", ") + ")"
	return []Finding{{name, fmt.Sprintf("checks.%s: values in more than one row: %d, such as %s", name, n, bucketload.Excerpt([]byte(sample), maxSample))}}, nil
}

// offending finds the rows of the i-th query of checks.sql.
func offending(ctx context.Context, tx pgx.Tx, load *bucketload.Load, run string, i int) ([]Finding, error) {
	query := subquery(load, run, load.Checks.SQL[i])
	rows, err := tx.Query(ctx, "SELECT to_jsonb(q)::text FROM "+query+" LIMIT 1")
	if err != nil {
		return nil, sqlError(err, i)
	}
	samples, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(samples) == 0 {
		return nil, sqlError(err, i)
	}
	var n int64
	if err := tx.QueryRow(ctx, "SELECT count(*) FROM "+query).Scan(&n); err != nil {
		return nil, sqlError(err, i)
	}
	name := "sql " + strconv.Itoa(i+1)
	return []Finding{{name, fmt.Sprintf("checks.%s: rows where there must be none: %d, such as %s", name, n, bucketload.Excerpt([]byte(samples[0]), maxSample))}}, nil
}

// TryChecks has the server read the queries of checks.sql beside an empty
// staging table: one that makes no sense is found out before anything is loaded.
func TryChecks(ctx context.Context, tx pgx.Tx, load *bucketload.Load, run string, live bool) error {
	if len(load.BeforeSwapSQL) > 0 {
		return nil // which may make what the queries are of
	}
	for i, sql := range load.Checks.SQL {
		if !live && strings.Contains(sql, "{table}") {
			continue
		}
		rows, err := tx.Query(ctx, "EXPLAIN SELECT FROM "+subquery(load, run, sql)) // unlike Exec, of one statement
		if err == nil {
			rows.Close()
			err = rows.Err()
		}
		if err != nil {
			e := *bucketload.AsError(sqlError(err, i))
			e.Op, e.Hint = "prepare", "nothing has been loaded yet; it must be one query, such as SELECT * FROM {staging} WHERE temp > 60"
			return &e
		}
	}
	return nil
}

// subquery puts a query of the configuration where a table may stand, as q.
func subquery(load *bucketload.Load, run, sql string) string {
	return "(\n" + strings.TrimRight(expand(sql, load, run), "; \t\r\n") + "\n) q"
}

// expand puts the run's tables into SQL of the configuration.
func expand(sql string, load *bucketload.Load, run string) string {
	return strings.NewReplacer("{staging}", Quote(bucketload.StagingTable(run)), "{table}", Quote(load.Table)).Replace(sql)
}

func sqlError(err error, i int) error {
	if err == nil {
		return nil
	}
	e := *bucketload.AsError(bucketload.DatabaseError("check", err))
	e.Message = "checks.sql " + strconv.Itoa(i+1)
	return &e
}

func percent(n, of int64) string {
	if of == 0 {
		return "0%"
	}
	return percentage(float64(n*1000/of) / 10)
}

func percentage(p float64) string { return strconv.FormatFloat(p, 'f', -1, 64) + "%" }
