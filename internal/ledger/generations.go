package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bucketload/bucketload"
)

// A generation of a table is named by the run that made it: by a swap, or by
// replacing all of its rows. Runs that add to it or merge into it are of it. A
// table that no run made is the generation null.

// generation gives a subquery for the generation of the table with that schema,
// name and oid: what the last swap of it has made or, where it is another table
// than any that the ledger knows, null.
func generation(schema, name, oid string) string {
	return `(SELECT CASE WHEN ` + known(oid) + ` THEN generation END FROM bucketload.runs WHERE table_schema = ` + schema + ` AND table_name = ` + name + `
		AND staging AND NOT merges AND published_at IS NOT NULL
		ORDER BY table_oid = ` + oid + ` AND ledger_oid = ` + ledgerOID + ` DESC NULLS LAST, published_at DESC LIMIT 1)`
}

// ledgerOID is recorded beside the oid of a table. A restore of the database
// gives both others: what was recorded before it is believed, until adopt.
const ledgerOID = `'bucketload.runs'::regclass::oid`

// liveOID gives a subquery for the oid of the table of that schema and name.
func liveOID(schema, name string) string {
	return `(SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ` + schema + ` AND c.relname = ` + name + `)`
}

// known gives a condition on a run: that its table may be the one with the oid.
func known(oid string) string {
	return `(table_oid IS NULL OR ledger_oid <> ` + ledgerOID + ` OR table_oid = ` + oid + `)`
}

// SameTable says whether the live table is the one that the run began with, as far
// as the ledger knows; false where there is none.
func SameTable(ctx context.Context, tx pgx.Tx, run string) (same bool, err error) {
	err = tx.QueryRow(ctx, `SELECT coalesce(`+known(liveOID("table_schema", "table_name"))+`, false) FROM bucketload.runs WHERE id = $1`, run).Scan(&same)
	return same, bucketload.DatabaseError("ledger", err)
}

// later gives an expression for the time: later than all that the ledger has of
// runs of the table of that schema and name, even where the server's clock was put
// back since. What came first is told by these times.
func later(schema, name string) string {
	return `(SELECT greatest(clock_timestamp(), max(greatest(o.started_at, o.resumed_at, o.published_at)) + interval '1 microsecond')
		FROM bucketload.runs o WHERE o.table_schema = ` + schema + ` AND o.table_name = ` + name + `)`
}

// history are the runs (id) whose rows the live table $1.$2 has: the one that
// made it, and those that have added to it. A table that somebody has dropped and
// made anew is another one, and has none.
var history = `
	live AS (SELECT t.oid, ` + generation("$1", "$2", "t.oid") + ` AS generation FROM (SELECT ` + liveOID("$1", "$2") + ` AS oid) t), content AS (
		SELECT r.id FROM bucketload.runs r, live l
		WHERE r.table_schema = $1 AND r.table_name = $2 AND r.generation IS NOT DISTINCT FROM l.generation AND ` + known("l.oid") + `
		  AND (r.id = r.generation OR NOT r.staging OR r.merges AND r.published_at IS NOT NULL)
	)`

// adopt records which table the rows of earlier runs are in where that is not
// known: those of the live generation are in the table that is there when first
// it is loaded after a restore, or by this program. Of what was restored, nothing
// brings back the tables of other generations.
func (l *Ledger) adopt(ctx context.Context, table bucketload.TableName) error {
	_, err := l.pool.Exec(ctx, `WITH `+history+`
		UPDATE bucketload.runs r SET ledger_oid = `+ledgerOID+`,
			table_oid = CASE WHEN r.generation IS NOT DISTINCT FROM l.generation THEN l.oid WHEN r.table_oid IS NOT NULL THEN 0 END
		FROM live l WHERE r.table_schema = $1 AND r.table_name = $2 AND l.oid IS NOT NULL
		  AND (r.ledger_oid <> `+ledgerOID+` OR r.table_oid IS NULL AND r.generation IS NOT DISTINCT FROM l.generation)`, table.Schema, table.Name)
	return bucketload.DatabaseError("ledger", err)
}

// Publication is what a swap did, recorded in its own transaction.
type Publication struct {
	Status   bucketload.Status
	Backup   *Backup  // nil: no table was put away
	Validate []string // statements for later, until Validated
}

// Backup is where a swap or a rollback put the table that was live.
type Backup struct {
	Name  bucketload.TableName
	Names any // JSON: what had to be renamed on its way into the schema
}

// Publish records, in the swap's own transaction, that the run's rows are the
// live table. CodeFenced where the run has been ended by someone else, or has
// moved on from the try's Swap: the caller rolls back.
func Publish(ctx context.Context, tx pgx.Tx, try Try, table bucketload.TableName, p Publication) error {
	backup, err := putAway(ctx, tx, try.Run, table, p.Backup)
	if err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, `UPDATE bucketload.runs SET status = $4, state = 'Done', backup = $5, validate = $6, error = NULL,
		generation = CASE WHEN staging AND NOT merges THEN id ELSE generation END,
		table_oid = CASE WHEN staging THEN `+liveOID("table_schema", "table_name")+` ELSE table_oid END,
		ledger_oid = CASE WHEN staging THEN `+ledgerOID+` ELSE ledger_oid END, deleting = load @> '{"delete_sources": true}',
		ended_at = clock_timestamp(), published_at = `+later("runs.table_schema", "runs.table_name")+`
		WHERE `+at, try.Run, try.Attempt, StateSwap, p.Status, backup, p.Validate)
	if err != nil {
		return bucketload.DatabaseError("swap", err)
	}
	if tag.RowsAffected() == 0 {
		return fenced(try.Run)
	}
	return nil
}

// putAway records what became of the table that was live, as long as the ledger
// still knows which one that was. It gives the backup's name.
func putAway(ctx context.Context, tx pgx.Tx, run string, table bucketload.TableName, backup *Backup) (*string, error) {
	if backup == nil {
		return nil, nil
	}
	names, err := json.Marshal(backup.Names)
	if err != nil {
		return nil, err
	}
	_, err = tx.Exec(ctx, `INSERT INTO bucketload.backups (backup_schema, backup_name, backup_oid, table_schema, table_name, run, names, generation)
		SELECT n.nspname, c.relname, c.oid, $3, $4, $5, $6, `+generation("$3", "$4", "c.oid")+`
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2
		ON CONFLICT (backup_schema, backup_name) DO UPDATE SET backup_oid = excluded.backup_oid, table_schema = excluded.table_schema,
			table_name = excluded.table_name, run = excluded.run, names = excluded.names, generation = excluded.generation, made_at = now()`,
		backup.Name.Schema, backup.Name.Name, table.Schema, table.Name, run, names)
	name := backup.Name.String()
	return &name, bucketload.DatabaseError("swap", err)
}

// BackupOf gives the table that a backup was made of, or false where what has
// that name is no backup that the ledger knows.
func BackupOf(ctx context.Context, q Queryer, backup bucketload.TableName) (bucketload.TableName, bool, error) {
	var t bucketload.TableName
	err := q.QueryRow(ctx, `SELECT table_schema, table_name FROM bucketload.backups
		JOIN pg_class c ON c.oid = backup_oid AND c.relname = backup_name
		JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = backup_schema
		WHERE backup_schema = $1 AND backup_name = $2`, backup.Schema, backup.Name).Scan(&t.Schema, &t.Name)
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if errors.Is(err, pgx.ErrNoRows) || ok && pg.Code == "42P01" { // undefined_table: there is no ledger yet
		return t, false, nil
	}
	return t, err == nil, bucketload.DatabaseError("ledger", err)
}

// Generation is the live table, or one of its predecessors that is kept.
type Generation struct {
	Name       bucketload.TableName `json:"-"`
	Run        *string              `json:"run"`         // that made it; nil where none did
	LoadedAt   *time.Time           `json:"loaded_at"`   // when that run did
	ReplacedBy *string              `json:"replaced_by"` // the run, or the rollback, that put it away; nil: it is live
	ReplacedAt *time.Time           `json:"replaced_at"`
	Rows       int64                `json:"rows"`  // as last estimated; -1 where never
	Bytes      int64                `json:"bytes"` // with its indexes, by SizedGenerations
	Names      json.RawMessage      `json:"-"`     // of Backup
}

// Live says whether it is the table that readers use.
func (g Generation) Live() bool { return g.ReplacedBy == nil }

// Queryer is a pool or a transaction.
type Queryer interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Generations gives the table, if there is one, and its backups, newest first,
// without their sizes, and without waiting for those who have locked them.
func Generations(ctx context.Context, q Queryer, table bucketload.TableName) ([]Generation, error) {
	return generations(ctx, q, table, `0::bigint`)
}

// SizedGenerations is Generations with their sizes, for which the server waits
// where somebody has locked a table against readers.
func SizedGenerations(ctx context.Context, q Queryer, table bucketload.TableName) ([]Generation, error) {
	return generations(ctx, q, table, size)
}

// size is an expression for the bytes of table c with its indexes; 0 where it has
// been dropped meanwhile.
const size = `coalesce(pg_total_relation_size(c.oid), 0)`

func generations(ctx context.Context, q Queryer, table bucketload.TableName, size string) ([]Generation, error) {
	rows, err := q.Query(ctx, `
		SELECT g.schema, g.name, g.generation, r.published_at, g.run, g.made_at, c.reltuples::bigint, `+size+`, g.names FROM (
			SELECT $1::text AS schema, $2::text AS name, `+generation("$1", "$2", liveOID("$1", "$2"))+` AS generation, NULL AS run, NULL::timestamptz AS made_at, NULL::jsonb AS names, NULL::oid AS oid
			UNION ALL
			SELECT backup_schema, backup_name, generation, run, made_at, names, backup_oid FROM bucketload.backups WHERE table_schema = $1 AND table_name = $2) g
		JOIN pg_namespace n ON n.nspname = g.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = g.name AND c.oid = coalesce(g.oid, c.oid)
		LEFT JOIN bucketload.runs r ON r.id = g.generation LEFT JOIN bucketload.runs w ON w.id = g.run
		ORDER BY g.run IS NULL DESC, w.published_at DESC`, table.Schema, table.Name)
	if err != nil {
		return nil, bucketload.DatabaseError("ledger", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (g Generation, err error) {
		return g, row.Scan(&g.Name.Schema, &g.Name.Name, &g.Run, &g.LoadedAt, &g.ReplacedBy, &g.ReplacedAt, &g.Rows, &g.Bytes, &g.Names)
	})
	return list, bucketload.DatabaseError("ledger", err)
}

// MoveBackup records, in the transaction that renames it, that a backup has
// another name.
func MoveBackup(ctx context.Context, tx pgx.Tx, from, to bucketload.TableName) error {
	if err := ForgetBackup(ctx, tx, to); err != nil { // one that is gone
		return err
	}
	_, err := tx.Exec(ctx, `UPDATE bucketload.backups SET backup_schema = $3, backup_name = $4 WHERE backup_schema = $1 AND backup_name = $2`,
		from.Schema, from.Name, to.Schema, to.Name)
	return bucketload.DatabaseError("swap", err)
}

// ForgetBackup records, in the transaction that drops it or makes it live, that
// a backup is none any more.
func ForgetBackup(ctx context.Context, tx pgx.Tx, backup bucketload.TableName) error {
	_, err := tx.Exec(ctx, `DELETE FROM bucketload.backups WHERE backup_schema = $1 AND backup_name = $2`, backup.Schema, backup.Name)
	return bucketload.DatabaseError("swap", err)
}

// BeginRollback records in the ledger, first of all in the transaction of a
// rollback, that it takes place: no run of the table can begin meanwhile. An
// error where one is running. A process that is silent for a minute within tx
// loses it.
func BeginRollback(ctx context.Context, tx pgx.Tx, id string, load *bucketload.Load) error {
	if _, err := tx.Exec(ctx, readCommitted+"; "+attended); err != nil {
		return bucketload.DatabaseError("rollback", err)
	}
	definition, err := json.Marshal(load)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO bucketload.runs (id, table_schema, table_name, mode, load, state, started_at)
		VALUES ($1, $2, $3, $4, $5, 'Swap', `+later("$2", "$3")+`)`,
		id, load.Table.Schema, load.Table.Name, bucketload.ModeRollback, definition)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.ConstraintName == "runs_one_active" {
		return &bucketload.Error{Op: "rollback", Code: bucketload.CodeConflict,
			Message: fmt.Sprintf("%s is being loaded at this moment", load.Table), Hint: "wait, or stop the run that does: bucketload runs, then bucketload cancel RUN"}
	}
	return bucketload.DatabaseError("rollback", err)
}

// EndRollback records, in the transaction of a rollback, that the table is the
// generation of its run now; nil: that of none.
func EndRollback(ctx context.Context, tx pgx.Tx, id string, table bucketload.TableName, of *string, p Publication) error {
	backup, err := putAway(ctx, tx, id, table, p.Backup)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE bucketload.runs SET status = $2, state = 'Done', backup = $3, validate = $4, generation = $5,
		table_oid = `+liveOID("table_schema", "table_name")+`, ledger_oid = `+ledgerOID+`, ended_at = clock_timestamp(), published_at = `+later("runs.table_schema", "runs.table_name")+` WHERE id = $1`, id, p.Status, backup, p.Validate, of)
	return bucketload.DatabaseError("rollback", err)
}

// Unvalidated is a statement that a swap of the run left for later.
type Unvalidated struct{ Run, Statement string }

// Unvalidated gives what swaps left for later and nobody has done since, of one
// table or, where it is the zero value, of all, oldest first.
func (l *Ledger) Unvalidated(ctx context.Context, table bucketload.TableName) ([]Unvalidated, error) {
	rows, err := l.pool.Query(ctx, `SELECT id, statement FROM bucketload.runs, unnest(validate) WITH ORDINALITY AS v(statement, i)
		WHERE ($2 = '' OR table_schema = $1 AND table_name = $2) ORDER BY published_at, id, i`, table.Schema, table.Name)
	if err != nil {
		return nil, bucketload.DatabaseError("ledger", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Unvalidated])
	return list, bucketload.DatabaseError("ledger", err)
}

// Validated records, in the transaction that ran it, that a statement is done.
func Validated(ctx context.Context, tx pgx.Tx, u Unvalidated) error {
	_, err := tx.Exec(ctx, `UPDATE bucketload.runs SET validate = nullif(array_remove(validate, $2), '{}') WHERE id = $1`, u.Run, u.Statement)
	return bucketload.DatabaseError("ledger", err)
}
