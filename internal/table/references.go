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

// CheckReferences is an error where rows of other tables, or of its own, refer
// to rows that a table lacks which is to become the live one: the foreign key
// would fail. It leaves no lock behind.
func CheckReferences(ctx context.Context, tx pgx.Tx, load *bucketload.Load, in bucketload.TableName) error {
	return aside(ctx, tx, func() error {
		live, err := Inspect(ctx, tx, load.Table)
		if err != nil || live == nil {
			return err
		}
		following, err := followers(ctx, tx, live.OID)
		for _, f := range following {
			if err == nil && f.Check != "" {
				err = f.check(ctx, tx, load, in)
			}
		}
		return err
	})
}

// checkPatience is how long each look at what refers to the table may take while
// all that read or write it wait for the swap.
const checkPatience = 500 * time.Millisecond

// checkAgain is CheckReferences of rows that nobody can change any more. A key that
// takes longer than a moment is left to Validate.
func (s *swap) checkAgain(ctx context.Context, following []follower) error {
	for _, f := range following {
		if f.Check == "" {
			continue
		}
		err := aside(ctx, s.tx, func() error {
			if err := s.exec(ctx, fmt.Sprintf("SET LOCAL statement_timeout = %d", checkPatience.Milliseconds())); err != nil {
				return err
			}
			return f.check(ctx, s.tx, s.load, s.in)
		})
		if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "57014" { // query_canceled
			continue
		}
		if known, ok := errors.AsType[*bucketload.Error](err); ok && s.back {
			e := *known
			e.Op = s.op
			return &e
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// check is an error where rows refer to what the table lacks that comes in.
func (f follower) check(ctx context.Context, q Queryer, load *bucketload.Load, in bucketload.TableName) error {
	var broken bool
	sql := strings.ReplaceAll(f.Check, "{staging}", Quote(in))
	if err := q.QueryRow(ctx, sql).Scan(&broken); err != nil {
		return bucketload.DatabaseError("check", err)
	}
	if !broken {
		return nil
	}
	return &bucketload.Error{Op: "check", Code: bucketload.CodeCheck,
		Message: fmt.Sprintf("%s refers to rows that the new %s lacks", f.What, load.Table),
		Hint:    "load what they refer to, delete them, or drop the foreign key; to see whether there is one: " + sql}
}

// Validate runs a statement that a swap left for later, in a transaction of
// its own: writers go on meanwhile. No lock is waited for longer than patience,
// and a process that is silent for a minute within tx loses those that it has.
func Validate(ctx context.Context, tx pgx.Tx, statement string, patience time.Duration) error {
	if _, err := tx.Exec(ctx, "SET LOCAL idle_in_transaction_session_timeout = '1min'"); err != nil {
		return bucketload.DatabaseError("swap", err)
	}
	if err := WaitAtMost(ctx, tx, patience); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, statement)
	return bucketload.DatabaseError("swap", err)
}

// unjudged gives the constraints of the table that comes in which have yet to judge
// its rows: foreign keys that did, before what they refer to was swapped, and what
// the live table has valid by now.
func (s *swap) unjudged(ctx context.Context, in uint32, live *Live) (oids []uint32, err error) {
	var was uint32 // none
	if live != nil {
		was = live.OID
	}
	judged := []string{}
	for _, step := range Judging(s.steps) {
		judged = append(judged, step.Name)
	}
	rows, err := s.tx.Query(ctx, `SELECT c.oid FROM pg_constraint c WHERE conrelid = $1 AND contype IN ('c', 'f') AND `+constraintNotValid+` AND (
			contype = 'f' AND conname = ANY ($3)
			OR EXISTS (SELECT FROM pg_constraint l WHERE l.conrelid = $2 AND l.contype = c.contype
				AND pg_get_constraintdef(l.oid) || ' NOT VALID' = pg_get_constraintdef(c.oid)))`,
		in, was, judged)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[uint32])
}

// validations gives the statements for Validate of constraints of the new table.
func (s *swap) validations(ctx context.Context, oids []uint32) ([]string, error) {
	rows, err := s.tx.Query(ctx, `SELECT format('ALTER TABLE %s VALIDATE CONSTRAINT %I', $2::text, conname) FROM pg_constraint WHERE oid = ANY ($1) ORDER BY conname`,
		oids, Quote(s.load.Table))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// Referred gives the other tables that foreign keys refer to, among the constraints
// of a load or on the tables.
func Referred(ctx context.Context, q Queryer, constraints []string, of ...bucketload.TableName) ([]bucketload.TableName, error) {
	keys, _ := foreignKeys(constraints)
	to := make([]string, len(keys))
	for i, key := range keys {
		to[i] = foreignKey.FindStringSubmatch(key)[foreignKey.SubexpIndex("to")]
	}
	schemas, tables := split(of)
	rows, err := q.Query(ctx, `SELECT DISTINCT n.nspname, r.relname FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace
		WHERE r.oid IN (
			SELECT confrelid FROM unnest($1::text[], $2::text[]) AS t(s, r) JOIN pg_namespace n ON n.nspname = s JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = r
			JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'f' AND k.confrelid <> c.oid
			UNION SELECT to_regclass(name) FROM unnest($3::text[]) AS name) ORDER BY 1, 2`, schemas, tables, to)
	if err != nil {
		return nil, bucketload.DatabaseError("plan", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t bucketload.TableName, err error) {
		return t, row.Scan(&t.Schema, &t.Name)
	})
	return list, bucketload.DatabaseError("plan", err)
}

// emptiable is an error where deleting all rows of the live table, before the new
// ones come, would change rows of others, or be refused for them. otherwise is
// what to do in place of it.
func emptiable(ctx context.Context, q Queryer, name bucketload.TableName, live *Live, otherwise string) error {
	if err := noCascade(ctx, q, name, live, otherwise); err != nil {
		return err
	}
	return notReferred(ctx, q, name, live, otherwise)
}

// noCascade is an error where deleting rows of the live table would delete or
// change those of others.
func noCascade(ctx context.Context, q Queryer, name bucketload.TableName, live *Live, otherwise string) error {
	var key string
	err := q.QueryRow(ctx, `SELECT quote_ident(conname) || ' of ' || conrelid::regclass FROM pg_constraint
		WHERE confrelid = $1 AND conrelid <> $1 AND contype = 'f' AND confdeltype IN ('c', 'n', 'd') ORDER BY 1 LIMIT 1`, live.OID).Scan(&key)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return bucketload.DatabaseError("plan", err)
	}
	return &bucketload.Error{Op: "prepare", Code: bucketload.CodeDependents,
		Message: fmt.Sprintf("deleting the rows of %s would delete or change others by the foreign key %s", name, key), Hint: otherwise}
}

// notReferred is an error where rows of other tables refer to those of the live one
// by a key that does not wait for the new ones. What cannot be known here is left to
// the server: rows that the role may not read, keys that are not validated, and those
// to a table of which this one is a partition.
func notReferred(ctx context.Context, q Queryer, name bucketload.TableName, live *Live, otherwise string) error {
	rows, err := q.Query(ctx, `
		SELECT n.nspname, k.relname, conname, confdeltype = 'r', format('SELECT EXISTS (SELECT FROM %I.%I WHERE %s)', n.nspname, k.relname,
			(SELECT string_agg(format('%I IS NOT NULL', attname), ' AND ') FROM pg_attribute WHERE attrelid = conrelid AND attnum = ANY (conkey)))
		FROM pg_constraint c JOIN pg_class k ON k.oid = conrelid JOIN pg_namespace n ON n.oid = k.relnamespace
		WHERE confrelid = $1 AND conrelid <> $1 AND contype = 'f' AND convalidated AND conparentid = 0
		AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(conrelid, 'SELECT')
		AND EXISTS (SELECT FROM pg_trigger WHERE tgconstraint = c.oid AND tgrelid = $1 AND tgtype & 8 <> 0 -- of DELETE
			AND tgenabled IN ('O', 'A') AND NOT tgdeferrable)
		ORDER BY 1, 2, 3`, live.OID)
	if err != nil {
		return bucketload.DatabaseError("plan", err)
	}
	type key struct {
		Schema, Child, Name string
		Restrict            bool
		Refers              string // a query for whether rows do
	}
	keys, err := pgx.CollectRows(rows, pgx.RowToStructByPos[key])
	if err != nil {
		return bucketload.DatabaseError("plan", err)
	}
	for _, k := range keys {
		var refers bool
		if err := q.QueryRow(ctx, k.Refers).Scan(&refers); err != nil {
			return bucketload.DatabaseError("plan", err)
		}
		if !refers {
			continue
		}
		child := bucketload.TableName{Schema: k.Schema, Name: k.Child}
		cure := letsWait(child, k.Name) + ", which lets it wait"
		if k.Restrict {
			cure = "make it again as ON DELETE NO ACTION DEFERRABLE, as RESTRICT never waits"
		}
		return &bucketload.Error{Op: "prepare", Code: bucketload.CodeDependents,
			Message: fmt.Sprintf("rows of %s refer to those of %s by the foreign key %s, which does not wait until the new ones are in", child, name, k.Name),
			Hint:    cure + "; or " + otherwise}
	}
	return nil
}

// letsWait is the statement after which a foreign key can be judged by the commit.
func letsWait(child bucketload.TableName, key string) string {
	return "ALTER TABLE " + Quote(child) + " ALTER CONSTRAINT " + quote(key) + " DEFERRABLE"
}

// referring is the foreign key of another table by which the server has refused to
// let rows of the load's table go.
func referring(load *bucketload.Load, err error) (child bucketload.TableName, key string, ok bool) {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || pg.Code != "23503" && pg.Code != "23001" { // foreign_key_violation, restrict_violation
		return child, "", false
	}
	child = bucketload.TableName{Schema: pg.SchemaName, Name: pg.TableName}
	return child, pg.ConstraintName, child != load.Table
}

// changeError is of a statement that changes the rows of a live table, which stays.
func changeError(load *bucketload.Load, run string, err error, sql string) error {
	child, key, ok := referring(load, err)
	err = bucketload.DatabaseError("swap", fmt.Errorf("%w (in: %s)", detailed(err), sql))
	if !ok {
		return err
	}
	e := *bucketload.AsError(err)
	e.Hint = fmt.Sprintf("mend or delete the rows of %s that refer to what would go, then: bucketload redrive %s", child, run)
	if load.Mode != bucketload.ModeUpsert { // which has no rows that come after
		e.Hint = fmt.Sprintf("where the new rows have what those of %s refer to, let the key wait for them, unless it is ON DELETE RESTRICT: %s; or else %s", child, letsWait(child, key), e.Hint)
	}
	return &e
}

// Unmet is the error of a commit that a change of the live table's rows comes to,
// for rows of others whose foreign key has waited for new ones that have not come.
func Unmet(load *bucketload.Load, run string, err error) error {
	if _, known := errors.AsType[*bucketload.Error](err); known {
		return err
	}
	child, _, ok := referring(load, err)
	if !ok {
		return err
	}
	e := *bucketload.AsError(bucketload.DatabaseError("swap", detailed(err)))
	e.Hint = fmt.Sprintf("mend or delete the rows of %s that refer to what the new ones lack, then: bucketload redrive %s", child, run)
	return &e
}
