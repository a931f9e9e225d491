package table

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
)

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

// UnusedName gives name, or name with a number behind it where a relation of
// the schema has it.
func UnusedName(ctx context.Context, q Queryer, schema, name string) (string, error) {
	return unused(name, func(name string) (bool, error) {
		return Exists(ctx, q, bucketload.TableName{Schema: schema, Name: name})
	})
}
