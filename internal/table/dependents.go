package table

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
)

// Dependent is something that hangs on the live table and is no part of it
// that a staging table could have: a view, a trigger, a foreign key of another
// table.
type Dependent struct {
	What    string   `json:"what"`              // for people: view v
	Fate    string   `json:"fate"`              // what a swap does to it
	Refused bool     `json:"refused"`           // a swap would lose or break it, so there is none while it is there
	Columns []string `json:"columns,omitempty"` // of the live table; the new one must have them, of the same types
	Lock    string   `json:"-"`                 // what the swap locks beside the live table: view v, public.child
}

// stays is the fate of what a swap cannot take along.
const stays = "would stay on the old table or be lost"

// Refuse makes the error for a table that cannot be swapped; nil where all
// that hangs on it can follow.
func Refuse(ctx context.Context, q Queryer, name bucketload.TableName, live *Live) error {
	var refused []string
	for _, d := range live.Dependents {
		if d.Refused {
			refused = append(refused, d.What)
		}
	}
	if len(refused) == 0 {
		return nil
	}
	hint := "replace the rows and keep the table: --replace in_place; or drop them before the load and make them again after it"
	err := emptiable(ctx, q, name, live, "drop what would be left behind before the load and make it again after it")
	if in, ok := errors.AsType[*bucketload.Error](err); ok && in.Code == bucketload.CodeDependents {
		hint = "--replace in_place keeps the table, but " + in.Message + ": " + in.Hint
	} else if err != nil {
		return err
	}
	return &bucketload.Error{Op: "swap", Code: bucketload.CodeDependents,
		Message: fmt.Sprintf("%s cannot be swapped, these would stay on the old table or be lost: %s", name, strings.Join(refused, "; ")), Hint: hint}
}

// Unfit is an error where the new table's columns are not what the live one's
// followers need: gone, or of another type. Views may name columns by their
// place (FROM t AS x(a, b)), which is why their order counts there.
func (l *Live) Unfit(name bucketload.TableName, columns []Column) error {
	for _, d := range l.Dependents {
		for _, needed := range d.Columns {
			was, is := find(l.Columns, needed), find(columns, needed)
			problem := ""
			switch {
			case is == nil:
				problem = "which the new table lacks"
			case was.Type != is.Type:
				problem = fmt.Sprintf("which would be %s and not %s", is.Type, was.Type)
			case was.Collation != is.Collation:
				problem = "whose collation would change"
			}
			if problem != "" {
				return &bucketload.Error{Op: "prepare", Code: bucketload.CodeDependents, Column: needed,
					Message: fmt.Sprintf("%s cannot be swapped: %s needs column %q, %s", name, d.What, needed, problem),
					Hint:    "keep the column and its type under columns:, or drop what needs it before the load and make it again after it"}
			}
		}
		if strings.Contains(d.Fate, byPlace) && !inOrder(l.Columns, columns) {
			return &bucketload.Error{Op: "prepare", Code: bucketload.CodeDependents,
				Message: fmt.Sprintf("%s cannot be swapped: %s names columns by their place, and the new table has them in another order", name, d.What),
				Hint:    "give columns: in the live table's order, or drop the view before the load and make it again after it"}
		}
	}
	return nil
}

func find(columns []Column, name string) *Column {
	if i := slices.IndexFunc(columns, func(c Column) bool { return c.Name == name }); i >= 0 {
		return &columns[i]
	}
	return nil
}

// inOrder says whether columns begin with those of live.
func inOrder(live, columns []Column) bool {
	return len(live) <= len(columns) && slices.EqualFunc(live, columns[:len(live)], func(a, b Column) bool { return a.Name == b.Name })
}

// byPlace marks the fate of views that name columns by their place.
const byPlace = "by place"

// referrers is what refers to the table $1 or to its row type.
const referrers = `ref AS (
	SELECT d.classid, d.objid, d.objsubid, d.deptype FROM pg_class c JOIN pg_type t ON t.oid = c.reltype, pg_depend d
	WHERE c.oid = $1 AND (d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid
		OR d.refclassid = 'pg_type'::regclass AND d.refobjid IN (t.oid, t.typarray)))`

// dependents lists what hangs on the table: first what a swap refuses to leave
// behind, then what follows it.
func dependents(ctx context.Context, q Queryer, oid uint32) ([]Dependent, error) {
	following, err := followers(ctx, q, oid)
	if err != nil {
		return nil, err
	}
	rows, err := q.Query(ctx, `
		WITH `+referrers+`
		SELECT CASE v.relkind WHEN 'm' THEN 'materialized view ' ELSE 'rule ' || quote_ident(r.rulename) || ' of ' END || v.oid::regclass
		FROM ref JOIN pg_rewrite r ON r.oid = ref.objid JOIN pg_class v ON v.oid = r.ev_class
		WHERE ref.classid = 'pg_rewrite'::regclass AND v.oid <> $1 AND NOT (v.relkind = 'v' AND r.rulename = '_RETURN')
		UNION
		SELECT 'view ' || v.oid::regclass || CASE WHEN v.relpersistence = 't' THEN ', which a session has for itself'
			ELSE format(', which role %I may not replace', current_user) END
		FROM ref JOIN pg_rewrite r ON r.oid = ref.objid AND r.rulename = '_RETURN' JOIN pg_class v ON v.oid = r.ev_class AND v.relkind = 'v'
		WHERE ref.classid = 'pg_rewrite'::regclass AND (v.relpersistence = 't'
			OR NOT pg_has_role(v.relowner, 'USAGE') OR NOT has_schema_privilege(v.relnamespace, 'CREATE'))
		UNION
		SELECT 'rule ' || quote_ident(rulename) FROM pg_rewrite WHERE ev_class = $1
		UNION
		SELECT 'foreign key ' || quote_ident(conname) || ' of ' || conrelid::regclass || CASE WHEN c.relkind = 'p' OR conparentid <> 0
			THEN ', which is partitioned' ELSE format(', which role %I does not own', current_user) END
		FROM pg_constraint JOIN pg_class c ON c.oid = conrelid
		WHERE confrelid = $1 AND contype = 'f' AND (c.relkind = 'p' OR conparentid <> 0 OR NOT pg_has_role(c.relowner, 'USAGE'))
		UNION
		SELECT 'trigger ' || quote_ident(tgname) || ' of ' || tgrelid::regclass FROM pg_trigger
		WHERE tgconstrrelid = $1 AND tgrelid <> $1 AND NOT tgisinternal
		UNION
		SELECT 'policy ' || quote_ident(polname) || ' of ' || polrelid::regclass
		FROM ref JOIN pg_policy p ON p.oid = ref.objid WHERE ref.classid = 'pg_policy'::regclass AND polrelid <> $1
		UNION
		SELECT 'publication ' || quote_ident(pubname) FROM pg_publication p -- pg_publication_tables locks all that is published
		WHERE EXISTS (SELECT FROM pg_class c WHERE (c.oid = $1 OR c.oid IN (SELECT pg_partition_ancestors($1))) AND c.relpersistence = 'p' AND (puballtables
			OR EXISTS (SELECT FROM pg_publication_rel WHERE prpubid = p.oid AND prrelid = c.oid)
			OR EXISTS (SELECT FROM pg_publication_namespace WHERE pnpubid = p.oid AND pnnspid = c.relnamespace)))
		UNION
		SELECT 'subscription ' || quote_ident(s.subname) FROM pg_subscription_rel r JOIN pg_subscription s ON s.oid = r.srsubid
		WHERE r.srrelid = $1
		UNION
		SELECT 'inheritance: child ' || inhrelid::regclass FROM pg_inherits WHERE inhparent = $1
		UNION
		SELECT CASE WHEN c.relispartition THEN 'partition of ' ELSE 'inheritance: parent ' END || i.inhparent::regclass
		FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhrelid = $1
		UNION
		SELECT 'its partitions' FROM pg_class WHERE oid = $1 AND relkind = 'p'
		UNION
		SELECT 'function ' || objid::regprocedure FROM ref WHERE classid = 'pg_proc'::regclass
		UNION
		SELECT 'column ' || quote_ident(a.attname) || ' of ' || a.attrelid::regclass || ', which has its row type'
		FROM pg_attribute a JOIN pg_type t ON t.typrelid = $1 AND a.atttypid IN (t.oid, t.typarray)
		WHERE a.attrelid <> $1 AND a.attnum > 0 AND NOT a.attisdropped
		UNION
		SELECT 'view ' || v.oid::regclass || ', which has its row type'
		FROM pg_class c JOIN pg_type t ON t.oid = c.reltype JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass AND d.refobjid IN (t.oid, t.typarray)
		JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class AND v.relkind = 'v'
		WHERE c.oid = $1
		UNION
		SELECT 'extension ' || quote_ident(e.extname) || ', which it belongs to' FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
		WHERE d.classid = 'pg_class'::regclass AND d.objid = $1 AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
		UNION
		SELECT 'type ' || reloftype::regtype || ', which it is made of' FROM pg_class WHERE oid = $1 AND reloftype <> 0
		UNION
		SELECT 'security label of ' || provider FROM pg_seclabel WHERE classoid = 'pg_class'::regclass AND objoid = $1
		UNION -- and whatever else there is; not the table's own parts
		SELECT pg_describe_object(classid, objid, objsubid) FROM ref WHERE deptype = 'n' AND CASE classid
			WHEN 'pg_attrdef'::regclass THEN NOT EXISTS (SELECT FROM pg_attrdef WHERE oid = objid AND adrelid = $1)
			WHEN 'pg_constraint'::regclass THEN NOT EXISTS (SELECT FROM pg_constraint WHERE oid = objid AND (conrelid = $1 OR contype = 'f'))
			WHEN 'pg_class'::regclass THEN EXISTS (SELECT FROM pg_index WHERE indexrelid = objid AND indrelid <> $1)
			ELSE classid <> ALL (ARRAY['pg_rewrite', 'pg_trigger', 'pg_policy', 'pg_proc', 'pg_statistic_ext', 'pg_publication_rel']::regclass[]::oid[]) END
		ORDER BY 1`, oid)
	if err != nil {
		return nil, bucketload.DatabaseError("plan", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d Dependent, err error) {
		d.Fate, d.Refused = stays, true
		return d, row.Scan(&d.What)
	})
	for _, f := range following {
		list = append(list, Dependent{What: f.What, Fate: f.Fate, Columns: f.Columns, Lock: f.Locked})
	}
	return list, bucketload.DatabaseError("plan", err)
}

// follower is a dependent that a swap takes along, and the statements that do
// so. They name everything with its schema where they are read with an empty
// search_path. "" is no statement.
type follower struct {
	What, Fate string
	Columns    []string
	Locked     string // what Lock locks, for people
	Lock       string // takes what the other two need, before the live table's own lock
	Off        string // takes it off the live table, which still has its name
	On         string // puts it on the new table, which has the name by then
	Validate   string // in a transaction of its own after the swap
	Check      string // true, with {staging} for its table's quoted name, where the new rows break what Validate will look at
}

// followers lists what follows the table: views, foreign keys that refer to
// it, triggers, policies, the switches of row level security.
func followers(ctx context.Context, q Queryer, oid uint32) ([]follower, error) {
	rows, err := q.Query(ctx, `
		WITH `+referrers+`, needs AS ( -- the table's columns by what needs them
			SELECT d.classid, d.objid, array_agg(DISTINCT a.attname::text ORDER BY a.attname::text) AS columns
			FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
			WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.refobjsubid > 0 GROUP BY 1, 2
		), foreign_key AS (
			SELECT c.*, format('%I.%I', n.nspname, k.relname) AS child, c.conrelid = c.confrelid AS own,
				c.convalidated AND n.nspname <> $2 AS judge, -- the run of a staging table does that itself
				pg_get_constraintdef(c.oid) AS def,
				(SELECT string_agg(format('c.%I IS NOT NULL', a.attname), ' AND ') FROM pg_attribute a WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)) AS filled,
				(SELECT string_agg(format('p.%I = c.%I', pa.attname, ca.attname) || CASE WHEN pa.attcollation <> ca.attcollation -- as PostgreSQL compares
						THEN format(' COLLATE %I.%I', (SELECT nspname FROM pg_namespace WHERE oid = co.collnamespace), co.collname) ELSE '' END, ' AND ') FROM unnest(c.conkey, c.confkey) AS key(child, parent)
					JOIN pg_attribute ca ON ca.attrelid = c.conrelid AND ca.attnum = key.child
					JOIN pg_attribute pa ON pa.attrelid = c.confrelid AND pa.attnum = key.parent
					LEFT JOIN pg_collation co ON co.oid = pa.attcollation) AS matched,
				coalesce((to_jsonb(c) ->> 'conperiod')::bool, false) AS period -- since PostgreSQL 18: several rows together may have what one refers to
			FROM pg_constraint c JOIN pg_class k ON k.oid = c.conrelid JOIN pg_namespace n ON n.oid = k.relnamespace
			WHERE c.confrelid = $1 AND c.contype = 'f' AND k.relkind = 'r' AND c.conparentid = 0
		)
		SELECT what, fate, coalesce(columns, '{}'), CASE WHEN lock = '' THEN '' WHEN step = 1 THEN what ELSE child END, lock, off, "on", validate, "check" FROM (
			SELECT DISTINCT 1 AS step, 'view ' || v.oid::regclass AS what,
				'follows the new table, replaced in the swap' || CASE WHEN r.ev_action::text ~ ':alias \{ALIAS :aliasname \S+ :colnames \(|:joinmergedcols [1-9]'
					THEN '; it names columns `+byPlace+`' ELSE '' END AS fate,
				columns, format('ALTER VIEW %I.%I OWNER TO %I', n.nspname, v.relname, pg_get_userbyid(v.relowner)) AS lock, '' AS off,
				format('CREATE OR REPLACE VIEW %I.%I%s AS %s', n.nspname, v.relname,
					(SELECT ' WITH (' || string_agg(format('%s = %L', split_part(o, '=', 1), substr(o, strpos(o, '=') + 1)), ', ') || ')' FROM unnest(v.reloptions) o),
					pg_get_viewdef(v.oid)) AS on, '' AS validate, '' AS check, '' AS child
			FROM ref JOIN pg_rewrite r ON r.oid = ref.objid AND r.rulename = '_RETURN' JOIN pg_class v ON v.oid = r.ev_class AND v.relkind = 'v' AND v.relpersistence <> 't'
			JOIN pg_namespace n ON n.oid = v.relnamespace LEFT JOIN needs ON needs.classid = ref.classid AND needs.objid = ref.objid
			WHERE ref.classid = 'pg_rewrite'::regclass
			UNION ALL
			SELECT 2, 'foreign key ' || quote_ident(conname) || ' of ' || conrelid::regclass,
				'refers to the new table, added in the swap' || CASE WHEN judge THEN ' and validated after it' ELSE '' END,
				ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = $1 AND (attnum = ANY (confkey) OR own AND attnum = ANY (conkey))),
				CASE WHEN own THEN '' ELSE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', child) END,
				CASE WHEN own THEN '' ELSE format('ALTER TABLE %s DROP CONSTRAINT %I', child, conname) END,
				format('ALTER TABLE %s ADD CONSTRAINT %I %s%s', child, conname, def, CASE WHEN def ~ ' NOT (VALID|ENFORCED)$' THEN '' ELSE ' NOT VALID' END)
					|| format('; COMMENT ON CONSTRAINT %I ON %s IS %L', conname, child, obj_description(oid, 'pg_constraint')),
				CASE WHEN judge THEN format('ALTER TABLE %s VALIDATE CONSTRAINT %I', child, conname) ELSE '' END,
				CASE WHEN judge AND NOT period THEN format('SELECT EXISTS (SELECT FROM %s c WHERE %s AND NOT EXISTS (SELECT FROM {staging} p WHERE %s))',
					CASE WHEN own THEN '{staging}' ELSE child END, filled, matched) ELSE '' END, conrelid::regclass::text
			FROM foreign_key
			UNION ALL
			SELECT 3, 'trigger ' || quote_ident(tgname), 'is made again on the new table in the swap', columns, '', '',
				pg_get_triggerdef(t.oid)
				|| CASE tgenabled WHEN 'O' THEN '' ELSE format('; ALTER TABLE %I.%I %s TRIGGER %I', n.nspname, c.relname,
					CASE tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END, tgname) END
				|| format('; COMMENT ON TRIGGER %I ON %I.%I IS %L', tgname, n.nspname, c.relname, obj_description(t.oid, 'pg_trigger')), '', '', ''
			FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
			LEFT JOIN needs ON needs.classid = 'pg_trigger'::regclass AND needs.objid = t.oid
			WHERE tgrelid = $1 AND NOT tgisinternal
			UNION ALL
			SELECT 4, 'policy ' || quote_ident(polname), 'is made again on the new table in the swap', columns, '', '',
				format('CREATE POLICY %I ON %I.%I AS %s FOR %s TO %s%s%s', polname, n.nspname, c.relname,
					CASE WHEN polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
					CASE polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
					(SELECT string_agg(CASE role WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(role)) END, ', ') FROM unnest(polroles) role),
					' USING (' || pg_get_expr(polqual, polrelid) || ')', ' WITH CHECK (' || pg_get_expr(polwithcheck, polrelid) || ')')
				|| format('; COMMENT ON POLICY %I ON %I.%I IS %L', polname, n.nspname, c.relname, obj_description(p.oid, 'pg_policy')), '', '', ''
			FROM pg_policy p JOIN pg_class c ON c.oid = polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
			LEFT JOIN needs ON needs.classid = 'pg_policy'::regclass AND needs.objid = p.oid
			WHERE polrelid = $1
			UNION ALL
			SELECT 5, 'row level security', 'is switched as it was', NULL, '', '', format('ALTER TABLE %I.%I %s ROW LEVEL SECURITY, %s FORCE ROW LEVEL SECURITY',
				n.nspname, c.relname, CASE WHEN relrowsecurity THEN 'ENABLE' ELSE 'DISABLE' END, CASE WHEN relforcerowsecurity THEN '' ELSE 'NO' END), '', '', ''
			FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1 AND (relrowsecurity OR relforcerowsecurity)
		) s ORDER BY step, what`, oid, bucketload.StagingSchema)
	if err != nil {
		return nil, bucketload.DatabaseError("plan", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[follower])
	return list, bucketload.DatabaseError("plan", err)
}
