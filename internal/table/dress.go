package table

import (
	"cmp"
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
)

// loosen makes the backup ready to come in. Where it takes the place of a live
// table, that one's triggers, policies, switches and keys to itself follow to
// it, so its own go. Its name and those of its parts become free in the backup
// schema: what is live gets them there.
func (s *swap) loosen(ctx context.Context, oid uint32, replaces bool) error {
	if replaces {
		if err := s.execAll(ctx, `
			SELECT sql FROM (
				SELECT 1, format('DROP TRIGGER %I ON %s', tgname, $2::text) FROM pg_trigger WHERE tgrelid = $1 AND NOT tgisinternal
				UNION ALL SELECT 2, format('DROP POLICY %I ON %s', polname, $2::text) FROM pg_policy WHERE polrelid = $1
				UNION ALL SELECT 3, format('ALTER TABLE %s DROP CONSTRAINT %I', $2::text, conname) FROM pg_constraint WHERE conrelid = $1 AND confrelid = $1 AND contype = 'f'
				UNION ALL SELECT 4, format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY', $2::text) FROM pg_class
				WHERE oid = $1 AND (relrowsecurity OR relforcerowsecurity)
			) s(step, sql) ORDER BY step, sql`, oid, Quote(s.in)); err != nil {
			return err
		}
	}
	belongings, err := s.belongings(ctx, oid)
	if err != nil {
		return err
	}
	for i, b := range belongings {
		passing := fmt.Sprintf("i_%s_%d", s.run, i+1)
		if err := s.exec(ctx, b.alter()+" RENAME TO "+quote(passing)); err != nil {
			return err
		}
		s.finals[passing] = cmp.Or(s.finals[b.Name], b.Name)
	}
	passing := bucketload.TableName{Schema: s.in.Schema, Name: "i_" + s.run}
	if err := s.exec(ctx, "ALTER TABLE "+Quote(s.in)+" RENAME TO "+quote(passing.Name)); err != nil {
		return err
	}
	s.in = passing
	return nil
}

// takeOff reads what follows the live table, and takes off it what cannot stay
// on the backup.
func (s *swap) takeOff(ctx context.Context, live *Live) ([]follower, error) {
	following, err := s.followers(ctx, live)
	if err != nil {
		return nil, err
	}
	if err := s.checkAgain(ctx, following); err != nil {
		return nil, err
	}
	for _, f := range following {
		if f.Off != "" {
			if err := s.exec(ctx, f.Off); err != nil {
				return nil, err
			}
		}
	}
	return following, nil
}

// defaultGrants gives a new table what ALTER DEFAULT PRIVILEGES gives in its
// schema to the tables that this role makes there.
func (s *swap) defaultGrants(ctx context.Context, oid uint32) error {
	return s.execAll(ctx, `
		SELECT format('GRANT %s ON %s TO %s%s', g.privilege_type, $1::oid::regclass,
			CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END,
			CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
		FROM pg_default_acl d, aclexplode(d.defaclacl) g
		WHERE d.defaclobjtype = 'r' AND d.defaclnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $2)
		  AND pg_get_userbyid(d.defaclrole) = current_user`, oid, s.load.Table.Schema)
}

// dress gives the new table what readers see on the old one beside its
// columns: owner, storage parameters, grants, comments. It stands in its
// schema by now: its owner may have no rights in that of staging.
func (s *swap) dress(ctx context.Context, oid uint32, live *Live) error {
	if err := s.execAll(ctx, `
		WITH t AS (SELECT $1::oid AS new, c.* FROM pg_class c WHERE c.oid = $2)
		SELECT sql FROM (
			SELECT 1, format('ALTER TABLE %s OWNER TO %I', new::regclass, pg_get_userbyid(relowner))
			FROM t WHERE relowner <> (SELECT relowner FROM pg_class WHERE oid = new)
			UNION ALL
			SELECT 2, format('ALTER STATISTICS %I.%I OWNER TO %I', nspname, stxname, pg_get_userbyid(relowner))
			FROM t JOIN pg_statistic_ext e ON e.stxrelid = new JOIN pg_namespace n ON n.oid = e.stxnamespace WHERE stxowner <> relowner
			UNION ALL
			SELECT 3, format('ALTER TABLE %s SET (%s)', new::regclass, string_agg(format('%s%s = %L', prefix,
				split_part(o, '=', 1), substr(o, strpos(o, '=') + 1)), ', '))
			FROM t, LATERAL (SELECT '' AS prefix, unnest(reloptions) AS o UNION ALL
				SELECT 'toast.', unnest(x.reloptions) FROM pg_class x WHERE x.oid = t.reltoastrelid) options GROUP BY new
			UNION ALL
			SELECT 4, format('ALTER TABLE %s REPLICA IDENTITY %s', new::regclass, CASE relreplident WHEN 'f' THEN 'FULL' ELSE 'NOTHING' END)
			FROM t WHERE relreplident IN ('f', 'n')
		) s(step, sql) ORDER BY step, sql`, oid, live.OID); err != nil {
		return err
	}
	// The grants of the new table are read once more, as its new owner changed them.
	return s.execAll(ctx, `
		WITH t AS (SELECT c.*, n.oid AS new, n.relacl AS newacl, n.relowner AS newowner FROM pg_class c, pg_class n WHERE n.oid = $1 AND c.oid = $2),
		s AS (SELECT c.*, n.oid AS new, n.relacl AS newacl, n.relowner AS newowner FROM (`+identities+`) i JOIN pg_class c ON c.oid = i.was JOIN pg_class n ON n.oid = i.is)
		SELECT sql FROM (
			-- an identity goes on where the old one was
			SELECT 0, format('SELECT setval(%L, %s)', new::regclass, was)
			FROM s JOIN pg_sequence ON seqrelid = new, pg_sequence_last_value(s.oid) was, pg_sequence_last_value(new) now
			WHERE was BETWEEN seqmin AND seqmax AND (now IS NULL OR CASE WHEN seqincrement > 0 THEN was > now ELSE was < now END)
			UNION
			SELECT 1, format('REVOKE ALL ON %s FROM %s', new::regclass, CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END)
			FROM t, aclexplode(coalesce(newacl, acldefault('r', newowner))) g WHERE relacl IS DISTINCT FROM newacl
			UNION
			SELECT 2, format('GRANT %s ON %s TO %s%s', g.privilege_type, new::regclass,
				CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END,
				CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
			FROM t, aclexplode(coalesce(relacl, acldefault('r', relowner))) g WHERE relacl IS DISTINCT FROM newacl
			UNION
			SELECT 3, format('GRANT %s (%I) ON %s TO %s%s', g.privilege_type, a.attname, new::regclass,
				CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END,
				CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
			FROM t JOIN pg_attribute a ON a.attrelid = t.oid JOIN pg_attribute na ON na.attrelid = t.new AND na.attname = a.attname,
				aclexplode(a.attacl) g
			UNION
			SELECT 4, format('COMMENT ON TABLE %s IS %L', new::regclass, obj_description(t.oid, 'pg_class'))
			FROM t WHERE obj_description(t.oid, 'pg_class') IS NOT NULL
			UNION
			SELECT 5, format('COMMENT ON COLUMN %s.%I IS %L', new::regclass, a.attname, col_description(t.oid, a.attnum))
			FROM t JOIN pg_attribute a ON a.attrelid = t.oid JOIN pg_attribute na ON na.attrelid = t.new AND na.attname = a.attname
			WHERE a.attnum > 0 AND NOT a.attisdropped AND col_description(t.oid, a.attnum) IS NOT NULL
			UNION -- what its sequence has
			SELECT 6, format('REVOKE ALL ON SEQUENCE %s FROM %s', new::regclass, CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END)
			FROM s, aclexplode(coalesce(newacl, acldefault('s', newowner))) g WHERE relacl IS DISTINCT FROM newacl
			UNION
			SELECT 7, format('GRANT %s ON SEQUENCE %s TO %s%s', g.privilege_type, new::regclass,
				CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END,
				CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
			FROM s, aclexplode(coalesce(relacl, acldefault('s', relowner))) g WHERE relacl IS DISTINCT FROM newacl
			UNION
			SELECT 8, format('COMMENT ON SEQUENCE %s IS %L', new::regclass, obj_description(oid, 'pg_class'))
			FROM s WHERE obj_description(oid, 'pg_class') IS NOT NULL
			UNION -- since PostgreSQL 18 a NOT NULL is a constraint
			SELECT 9, format('COMMENT ON CONSTRAINT %I ON %s IS %L', n.conname, new::regclass, obj_description(c.oid, 'pg_constraint'))
			FROM t JOIN pg_constraint c ON c.conrelid = t.oid AND c.contype = 'n' JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = c.conkey[1]
			JOIN pg_attribute na ON na.attrelid = t.new AND na.attname = a.attname
			JOIN pg_constraint n ON n.conrelid = t.new AND n.contype = 'n' AND n.conkey[1] = na.attnum
			WHERE obj_description(c.oid, 'pg_constraint') IS NOT NULL
		) s(step, sql) ORDER BY step, sql`, oid, live.OID)
}

// identities are the sequences of the identities of table $2 (was) and of those
// that table $1 has in columns of the same names (is).
const identities = `SELECT o.objid AS was, n.objid AS is
	FROM pg_depend o JOIN pg_attribute a ON a.attrelid = o.refobjid AND a.attnum = o.refobjsubid AND a.attidentity <> ''
	JOIN pg_attribute na ON na.attrelid = $1 AND na.attname = a.attname
	JOIN pg_depend n ON n.refobjid = na.attrelid AND n.refobjsubid = na.attnum AND n.classid = o.classid AND n.refclassid = o.classid AND n.deptype = 'i'
	WHERE o.refobjid = $2 AND o.classid = 'pg_class'::regclass AND o.refclassid = o.classid AND o.deptype = 'i'`

// nameIdentities gives the sequences of identities the names of the live table's,
// which are about to become free. Those of a backup have theirs.
func (s *swap) nameIdentities(ctx context.Context, in uint32, live *Live) error {
	if s.back {
		return nil
	}
	rows, err := s.tx.Query(ctx, `SELECT n.relname, o.relname FROM (`+identities+`) i JOIN pg_class o ON o.oid = i.was JOIN pg_class n ON n.oid = i.is`, in, live.OID)
	if err != nil {
		return err
	}
	var name, final string
	_, err = pgx.ForEachRow(rows, []any{&name, &final}, func() error { s.finals[name] = final; return nil })
	return err
}

// releaseSequences takes the sequences of serial columns off the live table,
// so that they stay in its schema, and gives the statements that put them on
// the new one. The old table's defaults still draw from them.
func (s *swap) releaseSequences(ctx context.Context, live uint32) ([]string, error) {
	rows, err := s.tx.Query(ctx, `
		SELECT format('ALTER SEQUENCE %s OWNED BY NONE', s.oid::regclass),
			format('ALTER SEQUENCE %I.%I OWNED BY %I.%I.%I', sn.nspname, s.relname, $2::text, $3::text, a.attname), 
			EXISTS (SELECT FROM pg_attribute na WHERE na.attrelid = to_regclass($4::text) AND na.attname = a.attname)
		FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_namespace sn ON sn.oid = s.relnamespace
		JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
		WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.deptype = 'a'`,
		live, s.load.Table.Schema, s.load.Table.Name, Quote(s.in))
	if err != nil {
		return nil, err
	}
	var release, own []string
	var off, on string
	var kept bool
	if _, err := pgx.ForEachRow(rows, []any{&off, &on, &kept}, func() error {
		if kept {
			release, own = append(release, off), append(own, on)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	return own, s.exec(ctx, release...)
}
