package table

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
)

// Type is a type below its domains, as the catalog has it. The zero value is
// no type.
type Type struct {
	OID      uint32
	Mod      int32    // -1: none
	Name     string   // as format_type gives it, without the modifier
	Category string   // a letter of pg_type.typcategory: N numeric, S string, E enum ...
	Labels   []string // of an enum, in its order; nil for any other type
}

// types looks below the domains and into the arrays of a table's columns.
func types(ctx context.Context, q Queryer, name bucketload.TableName, columns []Column) error {
	rows, err := q.Query(ctx, `
		WITH RECURSIVE walk AS ( -- from a column's type down to what a domain is over, then to an array's elements and below theirs
			SELECT a.attname, a.atttypid AS oid, a.atttypmod AS mod, 0::oid AS element
			FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped
			UNION ALL
			SELECT w.attname, CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END,
				CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE w.mod END,
				CASE WHEN t.typtype = 'd' THEN w.element ELSE t.typelem END
			FROM walk w JOIN pg_type t ON t.oid = w.oid
			WHERE t.typtype = 'd' OR w.element = 0 AND t.typinput = 'array_in'::regproc)
		SELECT w.attname, w.element, t.oid, w.mod, format_type(t.oid, NULL), t.typcategory::text,
			CASE WHEN t.typtype = 'e' THEN ARRAY(SELECT enumlabel FROM pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder) END::text[]
		FROM walk w JOIN pg_type t ON t.oid = w.oid
		WHERE t.typtype <> 'd'`, name.Schema, name.Name)
	if err != nil {
		return err
	}
	var column string
	var element uint32
	var found Type
	_, err = pgx.ForEachRow(rows, []any{&column, &element, &found.OID, &found.Mod, &found.Name, &found.Category, &found.Labels}, func() error {
		i := slices.IndexFunc(columns, func(c Column) bool { return c.Name == column })
		switch {
		case i < 0: // added since they were read
		case element == 0:
			columns[i].Base = found
		default:
			columns[i].Element, columns[i].Elem = element, found
		}
		found.Labels = nil
		return nil
	})
	return err
}
