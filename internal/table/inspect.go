// Package table holds every statement on the user's tables: what the live one
// is, the run's staging table, the indexes and checks built on it, and the
// swap that makes it the live one.
package table

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

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
	Base      Type   // what a domain is over in the end; else the type itself
	Element   uint32 // OID of an array's elements, which may be a domain; 0: Base is no array
	Elem      Type   // what that is over
	NotNull   bool
	Default   string   // an SQL expression; "" is none
	Identity  string   // "a" always, "d" by default, "" is none
	Generated bool     // Default is what it is generated from
	Virtual   bool     // generated when read, not stored
	Collation string   // quoted; "" is the type's own
	Sequence  string   // the options of an identity's sequence; "" is the usual ones
	Settings  []string // what ALTER COLUMN sets beside: storage, compression, statistics
}

// Filled says whether the database fills the column where a load does not.
func (c Column) Filled() bool { return c.Default != "" || c.Identity != "" || c.Generated }

// Live is the table that readers use, as it stands.
type Live struct {
	OID        uint32
	Bytes      int64 // with indexes and TOAST
	Rows       int64 // as last estimated by ANALYZE; -1 where never
	Columns    []Column
	Dependents []Dependent
	Method     string // the access method; "" is the session's default
	Tablespace string // "" is the database's
}

// Inspect reads the live table; nil where there is none. Something that is not
// an ordinary table under that name is an error.
func Inspect(ctx context.Context, q Queryer, name bucketload.TableName) (*Live, error) {
	live := &Live{}
	var kind string
	err := q.QueryRow(ctx, `
		SELECT c.oid, c.relkind::text, coalesce(pg_total_relation_size(c.oid), 0), c.reltuples::bigint,
			coalesce(nullif(am.amname, current_setting('default_table_access_method')), ''), coalesce(spcname, '')
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_am am ON am.oid = c.relam LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace
		WHERE n.nspname = $1 AND c.relname = $2`, name.Schema, name.Name).Scan(&live.OID, &kind, &live.Bytes, &live.Rows,
		&live.Method, &live.Tablespace)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, schemaExists(ctx, q, name.Schema)
	}
	if err != nil {
		return nil, bucketload.DatabaseError("plan", err)
	}
	if what, ok := map[string]string{"v": "a view", "m": "a materialized view", "f": "a foreign table",
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

// schemaExists is nil where it does: a load makes its table, not the schema.
func schemaExists(ctx context.Context, q Queryer, schema string) error {
	var there bool
	err := q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)`, schema).Scan(&there)
	if err != nil || there {
		return bucketload.DatabaseError("plan", err)
	}
	return &bucketload.Error{Op: "plan", Code: bucketload.CodeUsage, Message: fmt.Sprintf("there is no schema %q", schema),
		Hint: "create it: CREATE SCHEMA " + quote(schema)}
}

// Columns reads a table's columns in their order. The option pg_attver, which
// some servers keep on every column, is theirs and cannot be set: it is left out.
func Columns(ctx context.Context, q Queryer, name bucketload.TableName) ([]Column, error) {
	rows, err := q.Query(ctx, `
		SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.atttypid, a.atttypmod, a.attnotnull,
			coalesce(pg_get_expr(d.adbin, d.adrelid), ''), a.attidentity::text, a.attgenerated <> '', a.attgenerated = 'v',
			CASE WHEN a.attcollation <> t.typcollation THEN quote_ident(cn.nspname) || '.' || quote_ident(co.collname) ELSE '' END,
			coalesce((SELECT format('START WITH %s INCREMENT BY %s MINVALUE %s MAXVALUE %s CACHE %s', seqstart, seqincrement, seqmin, seqmax, seqcache)
					|| CASE WHEN seqcycle THEN ' CYCLE' ELSE '' END
				FROM pg_depend o JOIN pg_sequence s ON s.seqrelid = o.objid
				WHERE o.classid = 'pg_class'::regclass AND o.refclassid = 'pg_class'::regclass AND o.refobjid = a.attrelid
				  AND o.refobjsubid = a.attnum AND o.deptype = 'i'
				  AND ((seqstart, seqincrement, seqmin, seqcache, seqcycle) <> (1, 1, 1, 1, false)
					OR seqmax <> CASE seqtypid WHEN 'int2'::regtype THEN 32767 WHEN 'int4'::regtype THEN 2147483647 ELSE 9223372036854775807 END)), ''),
			array_remove(ARRAY[
				CASE WHEN a.attstorage <> t.typstorage THEN 'SET STORAGE '
					|| CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END END,
				CASE a.attcompression WHEN 'p' THEN 'SET COMPRESSION pglz' WHEN 'l' THEN 'SET COMPRESSION lz4' END,
				CASE WHEN a.attstattarget >= 0 THEN 'SET STATISTICS ' || a.attstattarget END,
				(SELECT 'SET (' || string_agg(format('%s = %L', split_part(v, '=', 1), substr(v, strpos(v, '=') + 1)), ', ') || ')'
					FROM unnest(a.attoptions) v WHERE NOT starts_with(v, 'pg_attver='))], NULL)
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
		return c, row.Scan(&c.Name, &c.Type, &c.OID, &c.TypMod, &c.NotNull, &c.Default, &c.Identity, &c.Generated, &c.Virtual, &c.Collation, &c.Sequence, &c.Settings)
	})
	if err == nil {
		err = types(ctx, q, name, columns)
	}
	return columns, bucketload.DatabaseError("plan", err)
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

// Canonical gives the columns with their types, written as SQL, in the form in
// which Columns reads them: int is integer.
func Canonical(ctx context.Context, q Queryer, columns []Column) ([]Column, error) {
	canonical := slices.Clone(columns)
	for i, c := range columns {
		rows, err := q.Query(ctx, "SELECT NULL::"+c.Type+" WHERE false")
		if err != nil {
			return nil, bucketload.DatabaseError("prepare", err)
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return nil, bucketload.DatabaseError("prepare", err)
		}
		of := rows.FieldDescriptions()[0] // of a domain: of what it is over
		if err := q.QueryRow(ctx, `SELECT format_type(t, CASE WHEN t = $2 THEN $3 ELSE -1 END) FROM to_regtype($1) t`,
			c.Type, of.DataTypeOID, of.TypeModifier).Scan(&canonical[i].Type); err != nil {
			return nil, bucketload.DatabaseError("prepare", err)
		}
	}
	return canonical, nil
}

// Exists says whether a relation has that name.
func Exists(ctx context.Context, q Queryer, name bucketload.TableName) (there bool, err error) {
	err = q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = $2)`, name.Schema, name.Name).Scan(&there)
	return there, bucketload.DatabaseError("plan", err)
}

// MayReplace is nil where the role may swap a table in: it may create in the
// schema, and is, or is a member of, the owner of the live table.
func MayReplace(ctx context.Context, q Queryer, name bucketload.TableName) error {
	var user, owner string
	var create, owns bool
	err := q.QueryRow(ctx, `
		SELECT current_user, has_schema_privilege(n.oid, 'CREATE'), coalesce(pg_get_userbyid(c.relowner), ''),
			c.oid IS NULL OR pg_has_role(c.relowner, 'USAGE')
		FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = $2
		WHERE n.nspname = $1`, name.Schema, name.Name).Scan(&user, &create, &owner, &owns)
	switch {
	case err != nil:
		return bucketload.DatabaseError("plan", err)
	case !create:
		return &bucketload.Error{Op: "plan", Code: bucketload.CodeAccess,
			Message: fmt.Sprintf("role %q may not create a table in schema %q", user, name.Schema),
			Hint:    fmt.Sprintf("GRANT CREATE ON SCHEMA %s TO %s", quote(name.Schema), quote(user))}
	case !owns:
		return &bucketload.Error{Op: "plan", Code: bucketload.CodeAccess,
			Message: fmt.Sprintf("role %q may not replace %s, which %q owns", user, name, owner),
			Hint:    fmt.Sprintf("ALTER TABLE %s OWNER TO %s; or load as a role that is its owner, or a member of that", Quote(name), quote(user))}
	}
	return nil
}

// May is CodeAccess where the role lacks one of these privileges on the table, for
// what it is about to do with it.
func May(ctx context.Context, q Queryer, name bucketload.TableName, live *Live, do string, privileges ...string) error {
	var user string
	var may bool
	if err := q.QueryRow(ctx, `SELECT current_user, bool_and(has_table_privilege($1::oid, p)) FROM unnest($2::text[]) p`, live.OID, privileges).Scan(&user, &may); err != nil {
		return bucketload.DatabaseError("", err)
	}
	if may {
		return nil
	}
	return &bucketload.Error{Code: bucketload.CodeAccess, Message: fmt.Sprintf("role %q may not %s %s", user, do, name),
		Hint: fmt.Sprintf("GRANT %s ON %s TO %s", strings.Join(privileges, ", "), Quote(name), quote(user))}
}
