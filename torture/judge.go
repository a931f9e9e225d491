package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
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
		if err == nil {
			err = conn.QueryRow(ctx, `SELECT count(*) FILTER (WHERE file = 'old'), count(*) FROM public.t`).Scan(&old, &total)
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
	var old, others, backup int
	err := r.query(ctx, `SELECT count(*) FILTER (WHERE file = 'old'), count(*) FILTER (WHERE file <> 'old' AND file NOT LIKE 'f__.csv') FROM public.t`, &old, &others)
	if err == nil && r.mode == modeReplace {
		err = r.query(ctx, `SELECT CASE WHEN to_regclass('databackup.t') IS NULL THEN -1 ELSE 0 END`, &backup)
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
	case backup < 0:
		problem("there is no backup")
	}
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
	const each = `SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('dataimport') AND relkind = 'r'),
		(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())),
		(SELECT count(*) FROM pg_prepared_xacts),
		(SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = '` + role + `'),
		(SELECT count(*) FROM bucketload.runs WHERE status = 'running')`
	var tables, locks, prepared, backends, running int
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) { // the server notices in its own time that a client is gone
		if err := r.query(ctx, each, &tables, &locks, &prepared, &backends, &running); err != nil {
			v.problems = append(v.problems, err.Error())
			return
		}
		v.left = tables + locks + prepared + backends + running
		if v.left == 0 || time.Now().After(deadline) {
			break
		}
	}
	if v.left > 0 {
		v.problems = append(v.problems, fmt.Sprintf("left: %d staging tables, %d locks, %d prepared transactions, %d backends, %d running runs", tables, locks, prepared, backends, running))
	}
}
