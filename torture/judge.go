package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// read looks at the live table all the while, as its readers do: of a table that
// is replaced it must see all of the old rows or all of the new ones.
func (r *round) read(ctx context.Context) {
	var conn *pgx.Conn
	defer func() {
		if conn != nil {
			_ = conn.Close(context.WithoutCancel(ctx))
		}
	}()
	for ctx.Err() == nil {
		var old, total int
		var err error
		if conn == nil {
			conn, err = pgx.Connect(ctx, r.dsn(r.database, false))
		}
		asked, holds := time.Now(), r.holds.Load()
		if err == nil {
			err = conn.QueryRow(ctx, `SELECT count(*) FILTER (WHERE file = 'old'), count(*) FROM public.t`).Scan(&old, &total)
		}
		if err == nil && r.holds.Load() == holds {
			r.waited = max(r.waited, time.Since(asked))
		}
		switch {
		case err != nil && conn != nil && conn.IsClosed():
			conn = nil
		case err == nil && !r.whole(old, total):
			r.see("a reader saw %d rows, %d of them old", total, old)
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// whole says whether a reader may see so many rows, so many of them old: the
// table is as it was or as it is to be, but where batches are appended.
func (r *round) whole(old, total int) bool {
	switch {
	case r.replaces():
		return old == oldRows && total == oldRows || old == 0 && total == r.lines()
	case r.merges():
		return old == oldRows && (total == oldRows+r.stale || total == oldRows+r.lines())
	}
	return old == oldRows
}

func (r *round) see(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.mixed) < 3 {
		r.mixed = append(r.mixed, fmt.Sprintf(format, args...))
	}
}

// count counts what is there, by SQL that knows nothing of the program's own
// records, once a run has succeeded.
func (r *round) count(ctx context.Context, v *verdict) {
	problem := func(format string, args ...any) { v.problems = append(v.problems, fmt.Sprintf(format, args...)) }
	for name, lines := range r.truth {
		var rows, distinct, strange int
		if err := r.query(ctx, fmt.Sprintf(`SELECT count(*), count(DISTINCT line) FILTER (WHERE line BETWEEN 1 AND %d), count(*) FILTER (WHERE v <> lpad(line::text, 32, '0'))
			FROM public.t WHERE file = '%s'`, lines, name), &rows, &distinct, &strange); err != nil {
			problem("%v", err)
			return
		}
		v.lost += lines - distinct
		v.doubled += max(0, rows-distinct)
		if strange > 0 {
			problem("%d rows of %s are not as they were", strange, name)
		}
	}
	var old, others int
	err := r.query(ctx, `SELECT count(*) FILTER (WHERE file = 'old'), count(*) FILTER (WHERE file <> 'old' AND file NOT LIKE 'f__.csv') FROM public.t`, &old, &others)
	if err == nil && r.mode == modeReplace {
		err = r.countBackups(ctx, problem)
	}
	switch {
	case err != nil:
		problem("%v", err)
	case others > 0:
		problem("%d rows are of no file", others)
	case !r.replaces() && old != oldRows:
		v.lost += max(0, oldRows-old)
		v.doubled += max(0, old-oldRows)
	case r.replaces() && old != 0:
		problem("%d rows of the old table are in the new one", old)
	}
}

// countBackups counts what the backups have: one of them the table of before, the
// others what a load has made of the files.
func (r *round) countBackups(ctx context.Context, problem func(string, ...any)) error {
	var names []string
	if err := r.query(ctx, `SELECT coalesce(array_agg(relname::text), '{}') FROM pg_class WHERE relnamespace = to_regnamespace('databackup') AND relkind = 'r'`, &names); err != nil {
		return err
	}
	olds := 0
	for _, name := range names {
		var files map[string][2]int // rows, and distinct lines of them
		if err := r.query(ctx, `SELECT coalesce(jsonb_object_agg(file, jsonb_build_array(rows, lines)), '{}') FROM (
			SELECT coalesce(file, '') AS file, count(*) AS rows, count(DISTINCT line) AS lines FROM databackup.`+pgx.Identifier{name}.Sanitize()+` GROUP BY 1) f`, &files); err != nil {
			return err
		}
		want := map[string][2]int{}
		if _, old := files["old"]; old {
			olds++
			want["old"] = [2]int{oldRows, oldRows}
		} else {
			for file, lines := range r.truth {
				want[file] = [2]int{lines, lines}
			}
		}
		if !maps.Equal(files, want) {
			problem("the backup %s has %v", name, files)
		}
	}
	if olds != 1 {
		problem("%d of %d backups are of the old table", olds, len(names))
	}
	return nil
}

// leftovers looks for what should be gone, once gc has had its turn.
func (r *round) leftovers(ctx context.Context, v *verdict) {
	file, err := os.Create(filepath.Join(r.dir, "gc.log"))
	if err == nil {
		err = r.start(ctx, []string{"gc"}, file).Run()
		_ = file.Close()
	}
	if err != nil {
		v.problems = append(v.problems, fmt.Sprintf("gc: %v", err))
	}
	var left []string
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) { // the server notices in its own time that a client is gone
		if err := r.query(ctx, remains, &left); err != nil {
			v.problems = append(v.problems, err.Error())
			return
		}
		v.left = len(left)
		if v.left == 0 || time.Now().After(deadline) {
			break
		}
	}
	if v.left > 0 {
		v.problems = append(v.problems, "left: "+strings.Join(left, ", "))
	}
}

// remains names what should be gone: whatever is in the schema of staging, what has
// a name elsewhere that it has only until it is live or a backup, backups that the
// program does not know and sequences, of which a round has none; locks, backends,
// prepared transactions and running runs.
const remains = `SELECT coalesce(array_agg(what), '{}') FROM (
		SELECT pg_describe_object(classid, objid, 0) FROM pg_depend
		WHERE refclassid = 'pg_namespace'::regclass AND refobjid = to_regnamespace('dataimport')
	UNION ALL
		SELECT kind || ' ' || nspname || '.' || name FROM pg_namespace n JOIN (
				SELECT relnamespace, relname, 'relation' FROM pg_class
				UNION ALL SELECT stxnamespace, stxname, 'statistics' FROM pg_statistic_ext
				UNION ALL SELECT connamespace, conname, 'constraint' FROM pg_constraint
			) o(namespace, name, kind) ON n.oid = namespace
		WHERE nspname = 'public' AND name ~ '^[bcir]_[0-9a-z]{12}(_|$)' OR nspname = 'databackup' AND name ~ '^[cir]_[0-9a-z]{12}(_|$)'
	UNION ALL
		SELECT 'table databackup.' || relname FROM pg_class c WHERE relnamespace = to_regnamespace('databackup') AND relkind = 'r'
		AND NOT EXISTS (SELECT FROM bucketload.backups WHERE backup_schema = 'databackup' AND backup_name = relname AND backup_oid = c.oid)
	UNION ALL
		SELECT 'sequence ' || oid::regclass FROM pg_class WHERE relkind = 'S' AND relnamespace IN ('public'::regnamespace, to_regnamespace('databackup'))
	UNION ALL
		SELECT 'lock ' || objid FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
	UNION ALL
		SELECT 'prepared transaction ' || gid FROM pg_prepared_xacts
	UNION ALL
		SELECT 'backend ' || pid || ': ' || query FROM pg_stat_activity WHERE datname = current_database() AND usename = '` + role + `'
	UNION ALL
		SELECT 'running run ' || id FROM bucketload.runs WHERE status = 'running'
	) r(what)`
