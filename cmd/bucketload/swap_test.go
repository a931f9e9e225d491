package main

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/temp"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// holds let the swap wait, in its middle or at its commit, for a lock that a test
// has. The swap's own lock timeout is not to end that.
var holds = map[string]string{
	"middle": `CREATE FUNCTION hold() RETURNS event_trigger LANGUAGE plpgsql SET lock_timeout = 0 AS
			$$BEGIN IF to_regclass('public.t') IS NULL THEN PERFORM pg_advisory_xact_lock_shared(4711); END IF; END$$;
		CREATE EVENT TRIGGER hold ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION hold()`,
	"commit": `CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS
			$$BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN NULL; END$$;
		CREATE CONSTRAINT TRIGGER hold AFTER UPDATE ON bucketload.runs DEFERRABLE INITIALLY DEFERRED
			FOR EACH ROW WHEN (NEW.status = 'succeeded') EXECUTE FUNCTION hold()`,
}

// Whoever dies in the middle of a swap, at its commit, or before word of that has
// come, leaves the old table or the new one, and nothing else.
func TestKilledInSwap(t *testing.T) {
	data := t.TempDir()
	for i := range 3 {
		if err := os.WriteFile(filepath.Join(data, fmt.Sprintf("%d.csv", i)), fmt.Appendf(nil, "id,v\n%d,new\n%d,new\n", 2*i, 2*i+1), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, major := range temptest.Majors(t) {
		t.Run(fmt.Sprintf("loader/postgres%d", major), func(t *testing.T) {
			for at, replaced := range map[string]bool{"middle": false, "commit": true, "committed": true} { // at its commit the server needs nobody any more
				t.Run(at, func(t *testing.T) {
					t.Parallel()
					killInSwap(t, nil, temptest.Database(t, major), data, at, replaced)
				})
			}
		})
		t.Run(fmt.Sprintf("server/postgres%d", major), func(t *testing.T) {
			t.Parallel()
			server, err := temp.StartPostgres(t.Context(), temp.PostgresOptions{Major: major, Offline: true, Settings: []string{"synchronous_commit=on"}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = server.Stop() })
			for at, replaced := range map[string]bool{"middle": false, "commit": false, "committed": true} {
				t.Run(at, func(t *testing.T) {
					conn, err := pgx.Connect(t.Context(), server.DSN())
					if err != nil {
						t.Fatal(err)
					}
					defer conn.Close(t.Context())
					if _, err := conn.Exec(t.Context(), "CREATE DATABASE "+at); err != nil {
						t.Fatal(err)
					}
					killInSwap(t, server, strings.Replace(server.DSN(), "/postgres?", "/"+at+"?", 1), data, at, replaced)
				})
			}
		})
	}
}

// killInSwap kills the server, or the loader where that is nil. replaced is whether
// the new table is to be there then.
func killInSwap(t *testing.T, server *temp.Postgres, direct, data, at string, replaced bool) {
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	u, err := url.Parse(direct)
	must(err)
	proxy, err := temp.StartProxy(u.Host)
	must(err)
	t.Cleanup(func() { _ = proxy.Close() })
	u.Host = proxy.Addr()

	pool, err := pgxpool.New(ctx, direct)
	must(err)
	must(ledger.New(pool).Migrate(ctx))
	pool.Close()
	holder, err := pgx.Connect(ctx, direct)
	must(err)
	hold := holds["commit"]
	if at == "middle" {
		hold = holds[at]
	}
	_, err = holder.Exec(ctx, `CREATE TABLE public.t (id int, v text); INSERT INTO public.t VALUES (9, 'old'); SELECT pg_advisory_lock(4711); `+hold)
	must(err)

	var said bytes.Buffer
	loader := exec.CommandContext(ctx, os.Args[0], "load", "t", "--from", data, "--to", u.String())
	loader.Args[0] = "bucketload" // as testscript.Main has it
	loader.Stdout, loader.Stderr = &said, &said
	must(loader.Start())
	until(t, holder, `SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`)
	if at == "committed" || server != nil {
		proxy.Stall(true) // the loader hears nothing
	}
	if at == "committed" {
		_, err = holder.Exec(ctx, `SELECT pg_advisory_unlock(4711)`)
		must(err)
		until(t, holder, `SELECT status = 'succeeded' FROM bucketload.runs`)
	}
	if server != nil {
		must(server.Crash(ctx))
	} else {
		must(loader.Process.Kill())
		_ = loader.Wait() // killed
		proxy.Stall(false)
	}
	_ = holder.Close(ctx) // where the server has not died, this lets go of the lock
	conn, err := pgx.Connect(ctx, direct)
	must(err)
	defer conn.Close(ctx)
	if server == nil { // its backend notices in its own time
		until(t, conn, `SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()`)
	}
	_, err = conn.Exec(ctx, `DROP EVENT TRIGGER IF EXISTS hold; DROP FUNCTION hold CASCADE`)
	must(err)
	const state = `SELECT (SELECT string_agg(v || n, ' ' ORDER BY v) FROM (SELECT v, count(DISTINCT id) || '/' || count(*) FROM public.t GROUP BY 1) s(v, n)),
		(SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('databackup')),
		(SELECT count(*) FROM pg_class WHERE relnamespace = 'dataimport'::regnamespace AND relkind = 'r')`
	const before, after = "old1/1|0|1\n", "new6/6|1|0\n"
	want := before
	if replaced {
		want = after
	}
	if got, err := query(conn, state); err != nil || got != want {
		t.Errorf("table, backups and stagings: %q %v, want %q", got, err, want)
	}

	if server != nil {
		proxy.Stall(false)
		if err := loader.Wait(); err != nil {
			t.Errorf("%v\n%s", err, &said)
		}
	} else if !replaced {
		var id string
		must(conn.QueryRow(ctx, `SELECT id FROM bucketload.runs`).Scan(&id))
		if code, out, errs := inProcess(t, "redrive", id, "--to", direct); code != exitOK {
			t.Errorf("redrive: %d %s%s", code, out, errs)
		}
	}
	if got, err := query(conn, state+`, (SELECT v FROM databackup.t), (SELECT string_agg(status, ',') FROM bucketload.runs)`); err != nil || got != "new6/6|1|0|old|succeeded\n" {
		t.Errorf("in the end: %q %v", got, err)
	}
}

// until waits for the query to give true.
func until(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	ticks := time.NewTicker(10 * time.Millisecond)
	defer ticks.Stop()
	for done := false; !done; <-ticks.C {
		if err := conn.QueryRow(t.Context(), sql).Scan(&done); err != nil {
			t.Fatal(err)
		}
	}
}
