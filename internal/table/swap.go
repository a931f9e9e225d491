package table

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bucketload/bucketload"
)

// Renamed is an index, sequence or statistics object whose name was taken in
// the schema that its table moved to.
type Renamed struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	Was  string `json:"was"`
}

// Backup is where a swap or a rollback put the table that was live.
type Backup struct {
	Name     bucketload.TableName
	Names    []Renamed
	Validate []string // statements for Validate, once the swap is committed
}

// Away is where the table that is live goes.
type Away struct {
	Backup bucketload.TableName
	// Aside is the name, in the backup schema, for the older backup of the same
	// table that stands under Backup; "" where none does.
	Aside string
}

// Swap makes the run's staging table the live one, inside tx and without
// committing: the live table goes away, and what is in its place aside; staging
// takes its place with its owner, grants, comments and names, and what hangs on
// it follows. The result is nil where there was no live table.
//
// No lock is waited for longer than the load's lock timeout, and nothing is held
// while the first one is waited for. For each further one the wait is so short that nobody who waits
// for what is held already is taken for part of a deadlock.
func Swap(ctx context.Context, tx pgx.Tx, load *bucketload.Load, run string, steps []Step, away Away) (*Backup, error) {
	s := &swap{op: "swap", tx: tx, load: load, run: run, steps: steps, in: bucketload.StagingTable(run), finals: map[string]string{}, away: away}
	b, err := s.do(ctx)
	return b, bucketload.DatabaseError("swap", err)
}

// Rollback makes a backup of the live table, or of one that is gone, the live
// one again, as Swap does it with a staging table. id is the rollback's own. It
// is an error where the backup lacks what hangs on the table. lost are the
// indexes, constraints and statistics that the table has and the backup lacks.
func Rollback(ctx context.Context, tx pgx.Tx, load *bucketload.Load, id string, from Backup, away Away) (b *Backup, lost []string, err error) {
	s := &swap{op: "rollback", tx: tx, load: load, run: id, in: from.Name, back: true, finals: map[string]string{}, away: away}
	for _, r := range from.Names {
		s.finals[r.Name] = r.Was
	}
	b, err = s.do(ctx)
	return b, s.lost, bucketload.DatabaseError("rollback", err)
}

type swap struct {
	op    string
	tx    pgx.Tx
	load  *bucketload.Load
	run   string // or the rollback's id: names are made of it
	steps []Step
	in    bucketload.TableName // the table that comes in
	from  bucketload.TableName // what it was called at first
	away  Away

	back   bool              // in is a backup, and has been live
	finals map[string]string // the names that its parts get, by those that they have
	lost   []string
}

func (s *swap) do(ctx context.Context) (*Backup, error) {
	s.from = s.in
	if err := WaitAtMost(ctx, s.tx, s.load.LockTimeout); err != nil {
		return nil, err
	}
	in, err := s.oid(ctx, s.in)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, &bucketload.Error{Op: s.op, Code: bucketload.CodeConflict, Message: fmt.Sprintf("the table %s is gone", s.in),
			Hint: "load again: bucketload load " + s.load.Key}
	}
	if err != nil {
		return nil, err
	}
	live, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	if s.back {
		if err := s.loosen(ctx, in, live != nil); err != nil {
			return nil, err
		}
	}
	if live == nil {
		if err := s.moveIn(ctx, in, nil); err != nil || s.back {
			return nil, err
		}
		return nil, s.defaultGrants(ctx, in)
	}
	following, err := s.takeOff(ctx, live)
	if err != nil {
		return nil, err
	}
	if err := s.nameIdentities(ctx, in, live); err != nil {
		return nil, err
	}
	serials, err := s.releaseSequences(ctx, live.OID)
	if err != nil {
		return nil, err
	}
	backup, err := s.moveAway(ctx, live)
	if err != nil {
		return nil, err
	}
	if err := s.moveIn(ctx, in, live); err != nil {
		return nil, err
	}
	for _, f := range following {
		if err := s.exec(ctx, f.On); err != nil {
			return nil, s.unfollowed(f, err)
		}
		if f.Validate != "" {
			backup.Validate = append(backup.Validate, f.Validate)
		}
	}
	if err := s.dress(ctx, in, live); err != nil {
		return nil, err
	}
	return backup, s.exec(ctx, serials...)
}

// unfollowed explains why something cannot follow to a table that lacks the key
// that it needs.
func (s *swap) unfollowed(f follower, err error) error {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || pg.Code != "42830" { // invalid_foreign_key: the table has no such key
		return err
	}
	return &bucketload.Error{Op: s.op, Code: bucketload.CodeDependents, Message: fmt.Sprintf("%s needs a key that %s lacks", f.What, s.from), Err: err,
		Hint: "add the key to it, or drop what needs it before and make it again after"}
}

// unfit makes of what refuses a load what refuses a rollback.
func (s *swap) unfit(err error) error {
	if !s.back {
		return err
	}
	e := *bucketload.AsError(err)
	e.Op, e.Hint = s.op, "drop what is named before the rollback, and make it again after it"
	return &e
}

// compare finds what the live table has and the backup lacks.
func (s *swap) compare(ctx context.Context, live *Live) error {
	oid, err := s.oid(ctx, s.in)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // do says so
	}
	if err != nil {
		return err
	}
	has, err := parts(ctx, s.tx, live.OID)
	if err != nil {
		return err
	}
	had, err := parts(ctx, s.tx, oid)
	for _, p := range has {
		if !slices.ContainsFunc(had, func(o part) bool { return o.Kind == p.Kind && o.Unique+o.Definition == p.Unique+p.Definition }) {
			s.lost = append(s.lost, p.Kind+" "+quote(p.Name)+": "+p.Unique+p.Definition)
		}
	}
	return err
}

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

// moveAway makes the live table the backup. Its indexes, sequences and
// statistics keep their names where these are free in the backup schema.
func (s *swap) moveAway(ctx context.Context, live *Live) (*Backup, error) {
	backup := s.away.Backup
	if err := s.makeRoom(ctx); err != nil {
		return nil, err
	}
	names, err := s.freeNames(ctx, live.OID, backup)
	if err != nil {
		return nil, err
	}
	// By way of a name of its own, as either schema may have the other name.
	passing := "b_" + s.run
	return &Backup{Name: backup, Names: names}, s.exec(ctx,
		"ALTER TABLE "+Quote(s.load.Table)+" RENAME TO "+quote(passing),
		"ALTER TABLE "+Quote(bucketload.TableName{Schema: s.load.Table.Schema, Name: passing})+" SET SCHEMA "+quote(backup.Schema),
		"ALTER TABLE "+Quote(bucketload.TableName{Schema: backup.Schema, Name: passing})+" RENAME TO "+quote(backup.Name))
}

// makeRoom gives the backup that the new one follows another name. Anything
// else under its name is the user's.
func (s *swap) makeRoom(ctx context.Context) error {
	backup := s.away.Backup
	_, err := s.oid(ctx, backup)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if s.away.Aside == "" {
		hint := "rename or drop it"
		if !s.back {
			hint += ", then: bucketload redrive " + s.run
		}
		return &bucketload.Error{Op: s.op, Code: bucketload.CodeDependents,
			Message: fmt.Sprintf("%s is there and is not a backup of %s that bucketload made", backup, s.load.Table), Hint: hint}
	}
	return s.exec(ctx, "ALTER TABLE "+Quote(backup)+" RENAME TO "+quote(s.away.Aside))
}

// UnusedName gives name, or name with a number behind it where a relation of
// the schema has it.
func UnusedName(ctx context.Context, q Queryer, schema, name string) (string, error) {
	return unused(name, func(name string) (bool, error) {
		return Exists(ctx, q, bucketload.TableName{Schema: schema, Name: name})
	})
}

// belonging is what has a name of its own in the schema of its table.
type belonging struct {
	Kind   string // index, sequence, statistics
	Schema string
	Name   string
}

func (b belonging) alter() string {
	return "ALTER " + strings.ToUpper(b.Kind) + " " + Quote(bucketload.TableName{Schema: b.Schema, Name: b.Name})
}

func (s *swap) belongings(ctx context.Context, oid uint32) ([]belonging, error) {
	rows, err := s.tx.Query(ctx, `
		SELECT 'index', n.nspname, c.relname FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE x.indrelid = $1
		UNION ALL
		SELECT 'sequence', n.nspname, c.relname FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S' JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.deptype IN ('a', 'i')
		UNION ALL
		SELECT 'statistics', n.nspname, e.stxname FROM pg_statistic_ext e JOIN pg_namespace n ON n.oid = e.stxnamespace WHERE e.stxrelid = $1
		ORDER BY 1, 3`, oid)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[belonging])
}

// freeNames renames what belongs to the table and has a name that is taken in
// the schema it is about to move to. Statistics objects do not move with their
// table: they are moved here.
func (s *swap) freeNames(ctx context.Context, oid uint32, backup bucketload.TableName) ([]Renamed, error) {
	belongings, err := s.belongings(ctx, oid)
	if err != nil {
		return nil, err
	}
	renamed := []Renamed{}
	for i, b := range belongings {
		taken, err := s.taken(ctx, b.Kind, backup.Schema, b.Name)
		if err != nil {
			return nil, err
		}
		if taken || b.Kind != "statistics" && b.Name == backup.Name {
			name := fmt.Sprintf("b_%s_%d", s.run, i+1)
			if err := s.exec(ctx, b.alter()+" RENAME TO "+quote(name)); err != nil {
				return nil, err
			}
			renamed = append(renamed, Renamed{Kind: b.Kind, Name: name, Was: b.Name})
			b.Name = name
		}
		if b.Kind == "statistics" {
			if err := s.exec(ctx, b.alter()+" SET SCHEMA "+quote(backup.Schema)); err != nil {
				return nil, err
			}
		}
	}
	return renamed, nil
}

// moveIn gives the table that comes in the live table's place and everything on
// it the name that it would have had there from the start.
func (s *swap) moveIn(ctx context.Context, oid uint32, live *Live) error {
	place := s.load.Table
	if !s.back {
		if err := s.exec(ctx, "ALTER TABLE "+Quote(s.in)+" RESET (autovacuum_enabled)"); err != nil {
			return err
		}
	}
	if err := s.exec(ctx,
		"ALTER TABLE "+Quote(s.in)+" SET SCHEMA "+quote(place.Schema),
		"ALTER TABLE "+Quote(bucketload.TableName{Schema: place.Schema, Name: s.in.Name})+" RENAME TO "+quote(place.Name)); err != nil {
		return err
	}
	belongings, err := s.belongings(ctx, oid)
	if err != nil {
		return err
	}
	for _, b := range belongings {
		if b.Kind == "statistics" {
			if err := s.exec(ctx, b.alter()+" SET SCHEMA "+quote(place.Schema)); err != nil {
				return err
			}
			b.Schema = place.Schema
		}
		final, ok := s.final(b.Name)
		if !ok {
			continue
		}
		if final, err = unused(final, func(name string) (bool, error) { return s.taken(ctx, b.Kind, place.Schema, name) }); err != nil {
			return err
		}
		if err := s.exec(ctx, b.alter()+" RENAME TO "+quote(final)); err != nil {
			return err
		}
	}
	if s.back {
		return nil
	}
	return s.renameConstraints(ctx, oid, live)
}

// renameConstraints names the constraints that have no index to name them. A
// NOT NULL, which has a name since PostgreSQL 18, gets that of the live one.
func (s *swap) renameConstraints(ctx context.Context, oid uint32, live *Live) error {
	var was uint32 // none
	if live != nil {
		was = live.OID
	}
	rows, err := s.tx.Query(ctx, `
		SELECT c.conname, coalesce((SELECT o.conname FROM pg_constraint o
			JOIN pg_attribute oa ON oa.attrelid = o.conrelid AND oa.attnum = ANY (o.conkey)
			JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey) AND a.attname = oa.attname
			WHERE o.conrelid = $2 AND o.contype = 'n' AND c.contype = 'n'), '')
		FROM pg_constraint c WHERE c.conrelid = $1 AND c.contype NOT IN ('p', 'u', 'x') ORDER BY 1`, oid, was)
	if err != nil {
		return err
	}
	type constraint struct{ Name, NotNull string }
	constraints, err := pgx.CollectRows(rows, pgx.RowToStructByPos[constraint])
	if err != nil {
		return err
	}
	for _, c := range constraints {
		final, ok := s.final(c.Name)
		if !ok {
			continue
		}
		if c.NotNull != "" {
			final = c.NotNull
		}
		final, err := unused(final, func(name string) (taken bool, err error) {
			err = s.tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_constraint WHERE conrelid = $1 AND conname = $2)`, oid, name).Scan(&taken)
			return taken, err
		})
		if err != nil {
			return err
		}
		if err := s.exec(ctx, "ALTER TABLE "+Quote(s.load.Table)+" RENAME CONSTRAINT "+quote(c.Name)+" TO "+quote(final)); err != nil {
			return err
		}
	}
	return nil
}

// final gives the name that something on the table has once that is live: of a
// backup, the one that it had; else that of what it carries over, or Postgres'
// own pattern with the table's name in the place of staging's. false where the
// user named it.
func (s *swap) final(name string) (string, bool) {
	if final, ok := s.finals[name]; ok || s.back {
		return final, ok
	}
	for _, step := range s.steps {
		if step.Name == name {
			return step.Final, true
		}
	}
	rest, ok := strings.CutPrefix(name, s.in.Name)
	if !ok {
		return "", false
	}
	return cut(s.load.Table.Name, 63-len(rest)) + rest, true // 63: NAMEDATALEN - 1
}

// cut bounds a name to n bytes, at a rune.
func cut(name string, n int) string {
	if len(name) <= n {
		return name
	}
	for n > 0 && !utf8.RuneStart(name[n]) {
		n--
	}
	return name[:n]
}

// unused gives name, or name with a number behind it where it is taken.
func unused(name string, taken func(string) (bool, error)) (string, error) {
	candidate := name
	for i := 1; ; i++ {
		taken, err := taken(candidate)
		if err != nil || !taken {
			return candidate, err
		}
		number := strconv.Itoa(i)
		candidate = cut(name, 63-len(number)) + number
	}
}

// taken says whether a name is: statistics objects have theirs apart from
// relations.
func (s *swap) taken(ctx context.Context, kind, schema, name string) (taken bool, err error) {
	sql := `SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2)`
	if kind == "statistics" {
		sql = `SELECT EXISTS (SELECT FROM pg_statistic_ext e JOIN pg_namespace n ON n.oid = e.stxnamespace WHERE n.nspname = $1 AND e.stxname = $2)`
	}
	err = s.tx.QueryRow(ctx, sql, schema, name).Scan(&taken)
	return taken, err
}

func (s *swap) oid(ctx context.Context, name bucketload.TableName) (oid uint32, err error) {
	err = s.tx.QueryRow(ctx, `SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = $2`, name.Schema, name.Name).Scan(&oid)
	return oid, err
}

func (s *swap) exec(ctx context.Context, statements ...string) error {
	for _, sql := range statements {
		if _, err := s.tx.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%w (in: %s)", err, sql)
		}
	}
	return nil
}

// execAll runs the statements that a query gives, one a row.
func (s *swap) execAll(ctx context.Context, query string, args ...any) error {
	rows, err := s.tx.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	return s.exec(ctx, statements...)
}
