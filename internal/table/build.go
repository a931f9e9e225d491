package table

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bucketload/bucketload"
)

// Step is one statement that finishes a staging table.
type Step struct {
	Key string `json:"key"` // the key of the configuration it comes from, or what of the live table it carries over
	SQL string `json:"sql"`
	// For what is carried over: its definition, to leave it out where the
	// load made the same by itself; its name in staging, and the one it gets.
	Definition string   `json:"definition,omitempty"`
	Name       string   `json:"name,omitempty"`
	Final      string   `json:"final,omitempty"`
	Columns    []string `json:"columns,omitempty"` // that it needs
}

// Steps gives the statements that finish the run's staging table, in order:
// the primary key, indexes, constraints and statistics of the load, then what
// of these the live table has and the load does not name, then the load's SQL.
func Steps(ctx context.Context, q Queryer, load *bucketload.Load, run string, live *Live) ([]Step, error) {
	staging := bucketload.StagingTable(run)
	t := Quote(staging)
	var steps []Step
	add := func(key, sql string) { steps = append(steps, Step{Key: key, SQL: sql}) }
	if len(load.PrimaryKey) > 0 {
		keys := make([]string, len(load.PrimaryKey))
		for i, k := range load.PrimaryKey {
			keys[i] = quote(k)
		}
		add("primary_key", "ALTER TABLE "+t+" ADD PRIMARY KEY ("+strings.Join(keys, ", ")+")")
	}
	for _, definition := range load.Indexes {
		add("indexes", indexDDL(definition, t))
	}
	for _, definition := range load.Constraints {
		add("constraints", "ALTER TABLE "+t+" ADD "+definition)
	}
	for i, definition := range load.Statistics {
		name := Quote(bucketload.TableName{Schema: staging.Schema, Name: fmt.Sprintf("%s_stat%d", staging.Name, i+1)})
		add("statistics", "CREATE STATISTICS "+name+" "+statisticsBody(definition)+" FROM "+t)
	}
	if live != nil {
		carried, err := carriedSteps(ctx, q, live.OID, staging, len(load.PrimaryKey) > 0)
		if err != nil {
			return nil, err
		}
		steps = append(steps, carried...)
	}
	for _, sql := range load.BeforeSwapSQL {
		add("before_swap_sql", strings.NewReplacer("{staging}", t, "{table}", Quote(load.Table)).Replace(sql))
	}
	return steps, nil
}

// Lost gives what the live table has on columns that the new one lacks.
func Lost(steps []Step, columns []Column) []string {
	var lost []string
	for _, s := range steps {
		for _, name := range s.Columns {
			if !slices.ContainsFunc(columns, func(c Column) bool { return c.Name == name }) {
				lost = append(lost, fmt.Sprintf("%s, on column %q", s.Key, name))
			}
		}
	}
	return lost
}

var unique = regexp.MustCompile(`(?i)^\s*unique\s+`)

// indexDDL makes a statement of "(a, b)", "using gin (c)" or "unique (a) where b".
func indexDDL(definition, table string) string {
	if m := unique.FindString(definition); m != "" {
		return "CREATE UNIQUE INDEX ON " + table + " " + definition[len(m):]
	}
	return "CREATE INDEX ON " + table + " " + definition
}

var on = regexp.MustCompile(`(?i)\bon\b`)

// statisticsBody makes "(kinds) on a, b", "a, b" or "(a, b)" what CREATE
// STATISTICS wants between the name and FROM.
func statisticsBody(definition string) string {
	d := strings.TrimSpace(definition)
	if on.MatchString(d) {
		return d
	}
	if inner, ok := strings.CutPrefix(d, "("); ok && strings.HasSuffix(inner, ")") {
		d = strings.TrimSuffix(inner, ")")
	}
	return "ON " + d
}

// carried lists a table's constraints, indexes and statistics objects: what it
// is, its name, its definition without the names of it and of the table, and
// its columns. The names that
// pg_get_*def writes around a definition are known, so their length is too.
const carried = `
	SELECT 'constraint', conname, pg_get_constraintdef(c.oid), ARRAY(
		SELECT attname FROM pg_attribute WHERE attrelid = conrelid AND attnum = ANY (conkey)), ''
	FROM pg_constraint c WHERE conrelid = $1 AND contype IN ('p', 'u', 'x', 'c', 'f')
	UNION ALL
	SELECT 'index', i.relname, substr(pg_get_indexdef(i.oid), length(format('CREATE %sINDEX %I ON %I.%I ',
		CASE WHEN x.indisunique THEN 'UNIQUE ' ELSE '' END, i.relname, n.nspname, t.relname)) + 1), ARRAY(
		SELECT attname FROM pg_attribute WHERE attrelid = x.indrelid AND attnum = ANY (x.indkey)),
		CASE WHEN x.indisunique THEN 'UNIQUE ' ELSE '' END
	FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
	WHERE x.indrelid = $1 AND x.indisvalid AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.oid AND c.conrelid = $1)
	UNION ALL
	SELECT 'statistics', s.stxname, left(substr(pg_get_statisticsobjdef(s.oid), length(format('CREATE STATISTICS %I.%I ', n.nspname, s.stxname)) + 1),
		-length(' FROM ' || s.stxrelid::regclass)), ARRAY(SELECT attname FROM pg_attribute WHERE attrelid = s.stxrelid AND attnum = ANY (s.stxkeys)), ''
	FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE s.stxrelid = $1
	ORDER BY 1, 2`

func carriedSteps(ctx context.Context, q Queryer, oid uint32, staging bucketload.TableName, hasPrimaryKey bool) ([]Step, error) {
	rows, err := q.Query(ctx, carried, oid)
	if err != nil {
		return nil, bucketload.DatabaseError("finish", err)
	}
	defer rows.Close()
	t := Quote(staging)
	var steps []Step
	for rows.Next() {
		var kind, name, definition, unique string
		var columns []string
		if err := rows.Scan(&kind, &name, &definition, &columns, &unique); err != nil {
			return nil, bucketload.DatabaseError("finish", err)
		}
		if hasPrimaryKey && strings.HasPrefix(definition, "PRIMARY KEY ") {
			continue // the load's own takes its place
		}
		s := Step{Key: kind + " " + quote(name) + " of the live table", Definition: unique + definition, Final: name, Columns: columns,
			Name: fmt.Sprintf("%s_c%d", staging.Name, len(steps)+1)}
		switch kind {
		case "constraint":
			s.SQL = "ALTER TABLE " + t + " ADD CONSTRAINT " + quote(s.Name) + " " + definition
		case "index":
			s.SQL = "CREATE " + unique + "INDEX " + quote(s.Name) + " ON " + t + " " + definition
		case "statistics":
			s.SQL = "CREATE STATISTICS " + Quote(bucketload.TableName{Schema: staging.Schema, Name: s.Name}) + " " + definition + " FROM " + t
		}
		steps = append(steps, s)
	}
	return steps, bucketload.DatabaseError("finish", rows.Err())
}

// Build runs one step on the run's staging table, unless it is to carry
// something over that is there by the same definition.
func Build(ctx context.Context, tx pgx.Tx, load *bucketload.Load, run string, step Step) error {
	if step.Definition != "" {
		there, err := has(ctx, tx, bucketload.StagingTable(run), step.Definition)
		if err != nil || there {
			return err
		}
	}
	_, err := tx.Exec(ctx, step.SQL)
	return buildError(err, load, run, step)
}

func has(ctx context.Context, tx pgx.Tx, table bucketload.TableName, definition string) (bool, error) {
	var oid uint32
	if err := tx.QueryRow(ctx, `SELECT $1::text::regclass::oid`, Quote(table)).Scan(&oid); err != nil {
		return false, bucketload.DatabaseError("finish", err)
	}
	var there bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM (`+carried+`) AS c(kind, name, definition, columns, uniq)
		WHERE uniq || definition = $2)`, oid, definition).Scan(&there)
	return there, bucketload.DatabaseError("finish", err)
}

func buildError(err error, load *bucketload.Load, run string, step Step) error {
	if err == nil {
		return nil
	}
	e := *bucketload.AsError(bucketload.DatabaseError("finish", err))
	e.Message = step.Key
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		if pg.Detail != "" {
			e.Err = fmt.Errorf("%w: %s", err, pg.Detail)
		}
		if e.Hint == "" {
			e.Hint = fmt.Sprintf("look at the rows in %s, mend the data or %s of %s, then load again", bucketload.StagingTable(run), step.Key, load.Key)
		}
	}
	return &e
}

// Analyze gathers the planner's statistics of the run's staging table.
func Analyze(ctx context.Context, tx pgx.Tx, run string) error {
	_, err := tx.Exec(ctx, "ANALYZE "+Quote(bucketload.StagingTable(run)))
	return bucketload.DatabaseError("finish", err)
}

// Count counts the table's rows.
func Count(ctx context.Context, q Queryer, name bucketload.TableName) (int64, error) {
	var n int64
	err := q.QueryRow(ctx, "SELECT count(*) FROM "+Quote(name)).Scan(&n)
	return n, bucketload.DatabaseError("finish", err)
}
