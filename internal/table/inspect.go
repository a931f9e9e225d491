// Package table holds every statement on the user's tables: what the live one
// is, the run's staging table, the indexes and checks built on it, and the
// swap that makes it the live one.
package table

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bucketload/bucketload"
)

// Queryer is a pool, a connection or a transaction.
type Queryer interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// Column is a column of a table in the database.
type Column struct {
	Name      string
	Type      string // as SQL writes it, with its modifier: numeric(8,2)
	OID       uint32
	TypMod    int32
	NotNull   bool
	Default   string // an SQL expression; "" is none
	Identity  string // "a" always, "d" by default, "" is none
	Generated bool   // Default is what it is generated from
	Collation string // quoted; "" is the type's own
}

// Filled says whether the database fills the column where a load does not.
func (c Column) Filled() bool { return c.Default != "" || c.Identity != "" || c.Generated }

// Live is the table that readers use, as it stands.
type Live struct {
	OID     uint32
	Bytes   int64 // with indexes and TOAST
	Rows    int64 // as last estimated by ANALYZE; -1 where never
	Columns []Column
	// Dependents are what a swap would lose or break, one line each. A swap is
	// refused while there are any.
	Dependents []string
}

// Inspect reads the live table; nil where there is none. Something that is not
// an ordinary table under that name is an error.
func Inspect(ctx context.Context, q Queryer, name bucketload.TableName) (*Live, error) {
	live := &Live{}
	var kind string
	err := q.QueryRow(ctx, `
		SELECT c.oid, c.relkind::text, pg_total_relation_size(c.oid), c.reltuples::bigint
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = $2`, name.Schema, name.Name).Scan(&live.OID, &kind, &live.Bytes, &live.Rows)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, bucketload.DatabaseError("plan", err)
	}
	if what, ok := map[string]string{"v": "a view", "m": "a materialized view", "p": "a partitioned table", "f": "a foreign table",
		"S": "a sequence", "i": "an index", "I": "an index", "c": "a composite type"}[kind]; ok {
		return nil, &bucketload.Error{Op: "plan", Code: bucketload.CodeDependents,
			Message: fmt.Sprintf("%s is %s, and only an ordinary table can be loaded", name, what),
			Hint:    "choose another name with --table, or rename what is there"}
	}
	if live.Columns, err = Columns(ctx, q, name); err != nil {
		return nil, err
	}
	live.Dependents, err = dependents(ctx, q, live.OID)
	return live, err
}

// Columns reads a table's columns in their order.
func Columns(ctx context.Context, q Queryer, name bucketload.TableName) ([]Column, error) {
	rows, err := q.Query(ctx, `
		SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.atttypid, a.atttypmod, a.attnotnull,
			coalesce(pg_get_expr(d.adbin, d.adrelid), ''), a.attidentity::text, a.attgenerated <> '',
			CASE WHEN a.attcollation <> t.typcollation THEN quote_ident(cn.nspname) || '.' || quote_ident(co.collname) ELSE '' END
		FROM pg_attribute a
		JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_type t ON t.oid = a.atttypid
		LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		LEFT JOIN pg_collation co ON co.oid = a.attcollation LEFT JOIN pg_namespace cn ON cn.oid = co.collnamespace
		WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped
		ORDER BY a.attnum`, name.Schema, name.Name)
	if err != nil {
		return nil, bucketload.DatabaseError("plan", err)
	}
	columns, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c Column, err error) {
		return c, row.Scan(&c.Name, &c.Type, &c.OID, &c.TypMod, &c.NotNull, &c.Default, &c.Identity, &c.Generated, &c.Collation)
	})
	return columns, bucketload.DatabaseError("plan", err)
}

// dependents lists what hangs on the table and would stay on the old one, or
// be lost, if another took its place.
func dependents(ctx context.Context, q Queryer, oid uint32) ([]string, error) {
	rows, err := q.Query(ctx, `
		SELECT CASE v.relkind WHEN 'm' THEN 'materialized view ' ELSE 'view ' END || v.oid::regclass
		FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class
		WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND v.oid <> $1
		UNION
		SELECT 'rule ' || quote_ident(rulename) FROM pg_rewrite WHERE ev_class = $1
		UNION
		SELECT 'foreign key ' || quote_ident(conname) || ' of ' || conrelid::regclass FROM pg_constraint
		WHERE confrelid = $1 AND contype = 'f'
		UNION
		SELECT 'trigger ' || quote_ident(tgname) FROM pg_trigger WHERE tgrelid = $1 AND NOT tgisinternal
		UNION
		SELECT 'policy ' || quote_ident(polname) FROM pg_policy WHERE polrelid = $1
		UNION
		SELECT 'row level security' FROM pg_class WHERE oid = $1 AND (relrowsecurity OR relforcerowsecurity)
		UNION
		SELECT 'publication ' || quote_ident(p.pubname) FROM pg_publication_rel pr JOIN pg_publication p ON p.oid = pr.prpubid
		WHERE pr.prrelid = $1
		UNION
		SELECT 'inheritance: child ' || inhrelid::regclass FROM pg_inherits WHERE inhparent = $1
		UNION
		SELECT CASE WHEN c.relispartition THEN 'partition of ' ELSE 'inheritance: parent ' END || i.inhparent::regclass
		FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhrelid = $1
		UNION
		SELECT 'function ' || d.objid::regprocedure FROM pg_depend d
		JOIN pg_type t ON t.typrelid = $1 AND d.refobjid IN (t.oid, t.typarray)
		WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_type'::regclass
		UNION
		SELECT 'column ' || quote_ident(a.attname) || ' of ' || a.attrelid::regclass || ', which has its row type'
		FROM pg_attribute a JOIN pg_type t ON t.typrelid = $1 AND a.atttypid IN (t.oid, t.typarray)
		WHERE a.attrelid <> $1 AND a.attnum > 0 AND NOT a.attisdropped
		ORDER BY 1`, oid)
	if err != nil {
		return nil, bucketload.DatabaseError("plan", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return list, bucketload.DatabaseError("plan", err)
}

// CheckTypes says which of the types, written as SQL, the database does not know.
func CheckTypes(ctx context.Context, q Queryer, columns []Column) error {
	for _, c := range columns {
		var oid *uint32
		if err := q.QueryRow(ctx, `SELECT to_regtype($1)::oid`, c.Type).Scan(&oid); err != nil {
			if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code[:2] != "42" {
				return bucketload.DatabaseError("prepare", err)
			}
		}
		if oid == nil {
			return &bucketload.Error{Op: "prepare", Code: bucketload.CodeUsage, Column: c.Name,
				Message: fmt.Sprintf("column %q: the database has no type %q", c.Name, c.Type),
				Hint:    "write a Postgres type, for example text, bigint, numeric, date or timestamptz"}
		}
	}
	return nil
}

// Exists says whether a relation has that name.
func Exists(ctx context.Context, q Queryer, name bucketload.TableName) (there bool, err error) {
	err = q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = $2)`, name.Schema, name.Name).Scan(&there)
	return there, bucketload.DatabaseError("plan", err)
}

// Blockers gives the backends that hold a lock on the table, for people:
// process id, user, state and how long the transaction has lasted.
func Blockers(ctx context.Context, q Queryer, name bucketload.TableName) ([]string, error) {
	rows, err := q.Query(ctx, `
		SELECT DISTINCT format('pid %s (%s, %s, for %s)', a.pid, a.usename, a.state, date_trunc('second', now() - a.xact_start))
		FROM pg_locks l JOIN pg_stat_activity a USING (pid)
		WHERE l.relation = (SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2)
		  AND l.granted AND a.pid <> pg_backend_pid()`, name.Schema, name.Name)
	if err != nil {
		return nil, bucketload.DatabaseError("swap", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return list, bucketload.DatabaseError("swap", err)
}
