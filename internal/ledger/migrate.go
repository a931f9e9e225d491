package ledger

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bucketload/bucketload"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrateLock is the advisory lock that two processes starting at once queue
// for; the ASCII bytes of "bucktldg".
const migrateLock = 0x6275636b746c6467

// Exists says whether the database has a ledger that this program can read.
func (l *Ledger) Exists(ctx context.Context) (bool, error) {
	var there bool
	err := l.pool.QueryRow(ctx, `SELECT to_regclass('bucketload.migrations') IS NOT NULL`).Scan(&there)
	return there, bucketload.DatabaseError("ledger", err)
}

// Upgrade is Migrate for a ledger that an older program made; any other is left
// as it is, so that a role may read it which may not create anything.
func (l *Ledger) Upgrade(ctx context.Context) error {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	version, err := l.version(ctx)
	if err != nil || version == 0 || version >= len(files) {
		return bucketload.DatabaseError("ledger", err)
	}
	return l.Migrate(ctx)
}

// schemas are those that a load needs beside the table's own.
var schemas = []string{bucketload.LedgerSchema, bucketload.StagingSchema, bucketload.BackupSchema}

// Migrate brings the ledger to this program's version, creating it and the
// schemas for staging and backups where they are missing. A database that is
// up to date is only read.
func (l *Ledger) Migrate(ctx context.Context) error {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	version, err := l.version(ctx)
	if err != nil {
		return bucketload.DatabaseError("ledger", err)
	}
	missing, err := l.missing(ctx)
	if err != nil {
		return err
	}
	if version == len(files) && len(missing) == 0 {
		return nil
	}
	if version > len(files) {
		return &bucketload.Error{Op: "ledger", Code: bucketload.CodeUsage,
			Message: fmt.Sprintf("schema %s is at version %d, newer than the %d this program knows", bucketload.LedgerSchema, version, len(files)),
			Hint:    "use the newer bucketload that made it"}
	}
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrateLock)); err != nil {
			return err
		}
		for _, schema := range schemas {
			if err := ensureSchema(ctx, tx, schema); err != nil {
				return err
			}
		}
		if version == len(files) {
			return nil
		}
		if _, err := tx.Exec(ctx, `CREATE TABLE IF NOT EXISTS bucketload.migrations (
			version int PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, `SELECT coalesce(max(version), 0) FROM bucketload.migrations`).Scan(&version); err != nil {
			return err
		}
		// Every copy of a load under way would queue behind a migration that waits
		// for one of them.
		if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '`+migratePatience+`'`); err != nil {
			return err
		}
		for i := version; i < len(files); i++ {
			sql, err := migrations.ReadFile(files[i])
			if err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, string(sql)); err != nil {
				return fmt.Errorf("%s: %w", files[i], err)
			}
			if _, err := tx.Exec(ctx, `INSERT INTO bucketload.migrations (version, name) VALUES ($1, $2)`, i+1, files[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "55P03" { // lock_not_available
		return &bucketload.Error{Op: "ledger", Code: bucketload.CodeConflict, Err: err,
			Message: fmt.Sprintf("schema %s cannot be brought to version %d while an older bucketload is loading", bucketload.LedgerSchema, len(files)),
			Hint:    "wait for it, or look: SELECT * FROM bucketload.runs WHERE status = 'running'"}
	}
	return bucketload.DatabaseError("ledger", err)
}

// MayMigrate is nil where the schemas are there, or Migrate may make them.
func (l *Ledger) MayMigrate(ctx context.Context) error {
	_, err := l.missing(ctx)
	return err
}

// missing gives the schemas that are not there; it is CodeAccess where the role may
// not make them.
func (l *Ledger) missing(ctx context.Context) (missing []string, err error) {
	var user, database string
	var may bool
	if err := l.pool.QueryRow(ctx, `SELECT current_user, current_database(), has_database_privilege(current_database(), 'CREATE'),
		ARRAY(SELECT s FROM unnest($1::text[]) s WHERE s NOT IN (SELECT nspname FROM pg_namespace))`, schemas).Scan(&user, &database, &may, &missing); err != nil {
		return nil, bucketload.DatabaseError("ledger", err)
	}
	if may || len(missing) == 0 {
		return missing, nil
	}
	role := pgx.Identifier{user}.Sanitize()
	hint := fmt.Sprintf("GRANT CREATE ON DATABASE %s TO %s; or make them for it:", pgx.Identifier{database}.Sanitize(), role)
	for _, schema := range missing {
		hint += " CREATE SCHEMA " + pgx.Identifier{schema}.Sanitize() + " AUTHORIZATION " + role + ";"
	}
	return nil, &bucketload.Error{Op: "ledger", Code: bucketload.CodeAccess,
		Message: fmt.Sprintf("role %q may not make schemas in database %q, which lacks %s", user, database, strings.Join(missing, ", ")),
		Hint:    strings.TrimSuffix(hint, ";")}
}

// migratePatience is how long a migration waits for a lock.
const migratePatience = "3s"

// ensureSchema asks before it creates: CREATE SCHEMA IF NOT EXISTS needs the
// right to create even where the schema is there. It asks the catalog itself:
// to_regnamespace may answer from a cache that the wait for the lock made stale.
func ensureSchema(ctx context.Context, tx pgx.Tx, schema string) error {
	var there bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)`, schema).Scan(&there); err != nil || there {
		return err
	}
	_, err := tx.Exec(ctx, `CREATE SCHEMA `+pgx.Identifier{schema}.Sanitize())
	return err
}

func (l *Ledger) version(ctx context.Context) (int, error) {
	there, err := l.Exists(ctx)
	if err != nil || !there {
		return 0, err
	}
	var v int
	err = l.pool.QueryRow(ctx, `SELECT coalesce(max(version), 0) FROM bucketload.migrations`).Scan(&v)
	return v, err
}
