package table

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bucketload/bucketload"
)

// WaitAtMost bounds what each statement in the rest of tx waits for a lock.
func WaitAtMost(ctx context.Context, tx pgx.Tx, patience time.Duration) error {
	_, err := tx.Exec(ctx, fmt.Sprintf("SET LOCAL lock_timeout = %d", max(1, patience/time.Millisecond)))
	return bucketload.DatabaseError("swap", err)
}

// lock takes the live table, what follows it and the table that comes in, and
// looks at it once more: something may have come to depend on it while the run was
// copying. A view is taken before the table, as those who read through it do.
func (s *swap) lock(ctx context.Context) (*Live, error) {
	var live *Live
	var locks []string
	if err := aside(ctx, s.tx, func() (err error) {
		if live, err = Inspect(ctx, s.tx, s.load.Table); err != nil || live == nil {
			return err
		}
		following, err := s.followers(ctx, live)
		for _, f := range following {
			if f.Lock != "" {
				locks = append(locks, f.Lock)
			}
		}
		return err
	}); err != nil {
		return nil, err
	}
	var tables []bucketload.TableName
	if live != nil {
		tables = append(tables, s.load.Table)
		if s.away.Aside != "" {
			tables = append(tables, s.away.Backup)
		}
	}
	for _, name := range append(tables, s.in) {
		locks = append(locks, "LOCK TABLE "+Quote(name)+" IN ACCESS EXCLUSIVE MODE")
	}
	if err := s.take(ctx, locks); err != nil || live == nil {
		return nil, err
	}
	live, err := Inspect(ctx, s.tx, s.load.Table)
	if err != nil || live == nil {
		return nil, err
	}
	if err := Refuse(ctx, s.tx, s.load.Table, live); err != nil {
		return nil, s.unfit(err)
	}
	columns, err := Columns(ctx, s.tx, s.in)
	if err != nil {
		return nil, err
	}
	if err := live.Unfit(s.load.Table, columns); err != nil && len(columns) > 0 {
		return nil, s.unfit(err)
	}
	if s.back {
		return live, s.compare(ctx, live)
	}
	now, err := carried(ctx, s.tx, live.OID, s.load, s.run)
	if err != nil {
		return nil, err
	}
	if missing := Missing(s.steps, now); len(missing) > 0 {
		return nil, &bucketload.Error{Op: s.op, Code: bucketload.CodeDependents,
			Message: fmt.Sprintf("%s has changed since its new rows were made ready, which lack the %s", s.load.Table, missing[0].Key),
			Hint:    "load again: bucketload load " + s.load.Key}
	}
	return live, nil
}

// aside does something in tx that leaves neither locks nor settings behind:
// pg_get_viewdef, for one, locks all that a view reads.
func aside(ctx context.Context, tx pgx.Tx, do func() error) error {
	savepoint, err := tx.Begin(ctx)
	if err != nil {
		return err
	}
	if err := do(); err != nil {
		_ = savepoint.Rollback(ctx)
		return err
	}
	return savepoint.Rollback(ctx)
}

// How take tries before it queues.
const (
	quickTries = 30                    // fewer than the 64 subtransactions that a backend shows others in its shared memory
	quickWait  = 5                     // milliseconds for each lock
	quickPause = 10 * time.Millisecond // between two tries, at most
)

// take runs statements that lock, without becoming part of a deadlock. While it
// queues for the first lock, those who come for what is locked later and then for
// the first hold the one already, and where such traffic never pauses there is
// always one that does. So it looks for a moment at which all are free, many
// times, and then queues. All waits behind the first come, together, to half of
// what a waiting backend needs to find a deadlock: one that waits for us while we
// wait for it is let through, and loses nothing.
func (s *swap) take(ctx context.Context, locks []string) error {
	var deadlock int64 // milliseconds
	if err := s.tx.QueryRow(ctx, `SELECT setting::bigint FROM pg_settings WHERE name = 'deadlock_timeout'`).Scan(&deadlock); err != nil {
		return err
	}
	patience := int64(max(1, s.load.LockTimeout/time.Millisecond))
	further := min(patience, max(1, deadlock/2/int64(len(locks))))
	wait := func(milliseconds int64) string { return fmt.Sprintf("SET LOCAL lock_timeout = %d; ", milliseconds) }
	if len(locks) > 1 {
		for range quickTries {
			err := pgx.BeginFunc(ctx, s.tx, func(tx pgx.Tx) error {
				_, err := tx.Exec(ctx, wait(quickWait)+strings.Join(locks, "; ")+"; "+wait(further))
				return err
			})
			if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != "55P03" { // lock_not_available
				return err
			}
			time.Sleep(rand.N(quickPause))
		}
	}
	return s.exec(ctx, wait(patience)+locks[0], wait(further)+strings.Join(locks[1:], "; "))
}

// followers reads what follows the live table with every name in full.
func (s *swap) followers(ctx context.Context, live *Live) (list []follower, err error) {
	var path string
	if err := s.tx.QueryRow(ctx, `SELECT current_setting('search_path')`).Scan(&path); err != nil {
		return nil, err
	}
	if err := s.exec(ctx, "SET LOCAL search_path = ''"); err != nil {
		return nil, err
	}
	if list, err = followers(ctx, s.tx, live.OID); err != nil {
		return nil, err
	}
	_, err = s.tx.Exec(ctx, `SELECT set_config('search_path', $1, true)`, path)
	return list, err
}

// Blockers gives the backends that hold a lock on the tables, or on views and
// tables that follow them through a swap, for people: process id, user,
// application, state, on what, how long the transaction has lasted, and the
// beginning of its last query with when that began.
func Blockers(ctx context.Context, q Queryer, names ...bucketload.TableName) ([]string, error) {
	return holders(ctx, q, false, true, names)
}

// Writers is Blockers for who waits to write: those that only read the tables are
// in nobody's way, and those that write them, or what their foreign keys refer to,
// may have rows that are waited for. Who keeps all writers out comes first.
func Writers(ctx context.Context, q Queryer, names ...bucketload.TableName) ([]string, error) {
	return holders(ctx, q, true, false, names)
}

// users is Blockers for who drops a table: it takes what that one's foreign keys
// refer to, and nothing that follows it.
func users(ctx context.Context, q Queryer, name bucketload.TableName) ([]string, error) {
	return holders(ctx, q, true, true, []bucketload.TableName{name})
}

// split gives the schemas and the names apart.
func split(of []bucketload.TableName) (schemas, names []string) {
	for _, t := range of {
		schemas, names = append(schemas, t.Schema), append(names, t.Name)
	}
	return schemas, names
}

// holders gives those that hold a lock on the tables, and on what they refer to or
// what follows them; readers too, or only others.
func holders(ctx context.Context, q Queryer, referred, readers bool, names []bucketload.TableName) ([]string, error) {
	schemas, tables := split(names)
	rows, err := q.Query(ctx, `
		WITH named AS (
			SELECT c.oid FROM unnest($1::text[], $2::text[]) AS t(s, r) JOIN pg_namespace n ON n.nspname = s JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = r
		), wanted AS (
			SELECT oid FROM named
			UNION SELECT conrelid FROM pg_constraint JOIN named ON confrelid = named.oid WHERE contype = 'f' AND NOT $3
			UNION SELECT confrelid FROM pg_constraint JOIN named ON conrelid = named.oid WHERE contype = 'f' AND $3
			UNION SELECT ev_class FROM pg_depend d JOIN named ON d.refclassid = 'pg_class'::regclass AND d.refobjid = named.oid
				JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid WHERE NOT $3
		), held AS (
			SELECT l.pid, bool_or(l.mode <> 'RowExclusiveLock') AS strong, string_agg(DISTINCT l.relation::regclass::text, ' and ') AS what
			FROM pg_locks l JOIN wanted ON l.relation = wanted.oid
			WHERE l.granted AND l.pid <> pg_backend_pid() AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
			  AND ($4 OR l.mode NOT IN ('AccessShareLock', 'RowShareLock')) GROUP BY l.pid
		)
		SELECT format('pid %s (%s%s, %s, on %s, for %s; since %s: %s)', a.pid, a.usename, ' with ' || nullif(a.application_name, ''), a.state, what,
			date_trunc('second', clock_timestamp() - a.xact_start), to_char(a.query_start, 'HH24:MI:SS'), left(regexp_replace(a.query, '\s+', ' ', 'g'), 80))
		FROM held JOIN pg_stat_activity a USING (pid) ORDER BY NOT $4 AND strong DESC, a.xact_start`, schemas, tables, referred, readers)
	if err != nil {
		return nil, bucketload.DatabaseError("swap", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return list, bucketload.DatabaseError("swap", err)
}
