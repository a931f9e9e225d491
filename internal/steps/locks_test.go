package steps

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

func manyConns(c *pgxpool.Config) { c.MaxConns = 10 }

func impatient(l *bucketload.Load) { l.LockTimeout = 20 * time.Millisecond }

// logs makes the bench log to the channel that it gives.
func (b *bench) logs() <-chan string {
	lines := make(chan string, 1000)
	b.Log = slog.New(slog.NewTextHandler(lineWriter(lines), nil))
	return lines
}

type lineWriter chan string

func (w lineWriter) Write(p []byte) (int, error) {
	w <- string(bytes.TrimSpace(p))
	return len(p), nil
}

// said waits for a line of the log with all of these words.
func (b *bench) said(lines <-chan string, words ...string) {
	b.t.Helper()
	var heard []string
	enough := time.After(time.Minute)
	for {
		select {
		case line := <-lines:
			heard = append(heard, line)
			missing := false
			for _, w := range words {
				missing = missing || !strings.Contains(line, w)
			}
			if !missing {
				return
			}
		case <-enough:
			b.t.Fatalf("nobody says %q, but\n%s", words, strings.Join(heard, "\n"))
		}
	}
}

// swapping calls Swap beside the test.
func (b *bench) swapping(run string) <-chan error {
	done := make(chan error, 1)
	go func() {
		r, err := b.Swap(context.WithoutCancel(b.t.Context()), ledger.Try{Run: run})
		if err == nil && r.Status != bucketload.StatusSucceeded {
			err = fmt.Errorf("it ended as %s", r.Status)
		}
		done <- err
	}()
	return done
}

// TestFirstSwapBesideInspector: a swap that waits for somebody who looks at its
// staging table does not keep those of other tables waiting.
func TestFirstSwapBesideInspector(t *testing.T) {
	t.Parallel()
	whole := newBench(t, 0, manyConns)
	lines := whole.logs()
	b, other := whole.part(t), whole.part(t)
	run := b.prepared(b.load(map[string]string{"a.csv": rows("a", 3)}, withColumns(columnsFN...), impatient))
	b.built(run)
	leave := b.inspect("dataimport.r_" + run)
	done := b.swapping(run)
	b.said(lines, "others hold a lock", "on dataimport.r_"+run)
	_, err := other.whole(other.load(map[string]string{"a.csv": rows("a", 1)}, withColumns(columnsFN...), impatient))
	b.must(err)
	leave()
	b.must(<-done)
}

// TestBlockersAreNamed: also those that hold what is locked with the table.
func TestBlockersAreNamed(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0, manyConns)
	lines := b.logs()
	b.exec("CREATE TABLE t (n int PRIMARY KEY); CREATE TABLE child (n int REFERENCES t); CREATE VIEW v AS SELECT n FROM t")
	load := b.load(map[string]string{"a.csv": "n\n1\n"}, withColumns(bucketload.Column{Name: "n", Type: "int"}), impatient)
	for _, held := range [][3]string{{"child", "on child", "SHARE"}, {"v", "on t and v", "SHARE"}, {"databackup.t", "on databackup.t", "SHARE"},
		{"t", "on t", "EXCLUSIVE"}, {"databackup.t", "on databackup.t", "EXCLUSIVE"}} {
		run := b.prepared(load)
		b.built(run)
		leave := b.during("LOCK TABLE ONLY " + held[0] + " IN ACCESS " + held[2] + " MODE")
		done := b.swapping(run)
		b.said(lines, "others hold a lock", "pid ", held[1], "LOCK TABLE ONLY "+held[0]+" IN ACCESS "+held[2])
		leave()
		b.must(b.end(run, <-done))
	}
	leave := b.during("LOCK TABLE t, child IN ACCESS EXCLUSIVE MODE")
	done := make(chan error, 1)
	go func() {
		_, err := b.Rollback(context.WithoutCancel(t.Context()), load, "")
		done <- err
	}()
	b.said(lines, "others hold a lock", "pid ", "on child and t", "LOCK TABLE t, child")
	leave()
	b.must(<-done)
}

// TestEndedWherever: whoever has given up on a run's process ends it in whatever
// it may have frozen: EndCopies finds it also as it analyzes, as it judges, and as it
// looks at what the rows refer to and at what refers to them.
func TestEndedWherever(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0, manyConns)
	dim := b.part(t)
	b.exec(dim.named("CREATE TABLE {t} (f text, n int PRIMARY KEY); CREATE TABLE t (f text, n int PRIMARY KEY); CREATE TABLE child (n int REFERENCES t)"))
	refer := func() {
		t.Helper()
		_, err := dim.whole(dim.load(map[string]string{"a.csv": rows("a", 3)}, withColumns(columnsFN...)))
		b.must(err)
	}
	refer()
	run := b.prepared(b.load(map[string]string{"a.csv": rows("a", 3)}, withColumns(columnsFN...), func(l *bucketload.Load) {
		l.LockTimeout = time.Minute
		l.Constraints = []string{dim.named("foreign key (n) references {t}")}
		l.Checks.SQL = []string{"SELECT FROM {staging} WHERE current_setting('idle_in_transaction_session_timeout') <> '1min'"}
	}))
	b.built(run)
	refer() // by which the key is to judge again
	analyzing := func(run string) <-chan error {
		done := make(chan error, 1)
		go func() { done <- b.Analyze(context.WithoutCancel(t.Context()), ledger.Try{Run: run}) }()
		return done
	}
	for _, at := range []struct {
		locked string
		step   func(run string) <-chan error
	}{{"dataimport.r_" + run, analyzing}, {"dataimport.r_" + run, b.swapping}, {dim.table, b.swapping}, {"child", b.swapping}} {
		leave := b.during("LOCK TABLE " + at.locked + " IN ACCESS EXCLUSIVE MODE")
		done := at.step(run)
		for b.value("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = $1::text::regclass", at.locked) == "0" {
			select {
			case err := <-done:
				t.Fatalf("%s: %v", at.locked, err)
			default:
			}
		}
		if n, err := b.Ledger.EndCopies(t.Context(), run); n != 1 || err != nil {
			t.Errorf("%s: ended %d, %v", at.locked, n, err)
		}
		leave()
		if err := <-done; !bucketload.IsTransient(err) {
			t.Errorf("%s: %v", at.locked, err)
		}
	}
	b.must(<-b.swapping(run))
}

// TestAppendBehindLock: a batch that others keep from its rows fails, and says who.
func TestAppendBehindLock(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	b.lockWait = 20 * time.Millisecond
	b.exec("CREATE TABLE t (f text, n int UNIQUE)")
	run := b.prepared(b.load(map[string]string{"a.csv": rows("a", 3)}, withColumns(columnsFN...), func(l *bucketload.Load) { l.Mode = bucketload.ModeAppend }))
	for _, held := range []string{"LOCK TABLE t IN SHARE MODE", "INSERT INTO t VALUES ('theirs', 1)"} {
		leave := b.during(held)
		err := b.copyAll(run)
		wantCode(t, err, bucketload.CodeDatabase, "others keep "+b.schema+".t locked: pid ", held, "on t", "pg_terminate_backend", "bucketload redrive "+run)
		if !bucketload.IsTransient(err) {
			t.Error("it is for ever")
		}
		leave()
	}
	reading := b.inspect("t") // is in nobody's way
	b.must(b.copyAll(run))
	reading()
	if got := fmt.Sprint(b.perFile("t")); got != "map[a:3]" {
		t.Errorf("rows %s", got)
	}
}

// TestForeignKeyBesideWriters: writers of a table that the live one refers to, or
// is to refer to, go on while the new rows are judged, and a load waits for them
// only to add the key.
func TestForeignKeyBesideWriters(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		key, final string
		change     func(*bucketload.Load)
	}{
		"carried":       {" REFERENCES dim", "t_n_fkey", func(*bucketload.Load) {}},
		"configuration": {"", "t_n_fkey", func(l *bucketload.Load) { l.Constraints = []string{"foreign key (n) references dim"} }},
		"named": {"", "key of n", func(l *bucketload.Load) {
			l.Constraints = []string{"check (n >= 0)", `CONSTRAINT "key of n" FOREIGN KEY (n) REFERENCES public . dim (n) ON DELETE CASCADE NOT DEFERRABLE`}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, 0, manyConns)
			lines := b.logs()
			b.exec("CREATE TABLE dim (n int PRIMARY KEY); INSERT INTO dim VALUES (0), (1), (2); CREATE TABLE t (f text, n int" + tt.key + ")")
			load := b.load(map[string]string{"a.csv": rows("a", 3)}, withColumns(columnsFN...), impatient, tt.change)
			run := b.prepared(load)
			b.must(b.copyAll(run))
			try := ledger.Try{Run: run}
			steps, err := b.Check(t.Context(), try)
			b.must(err)
			if len(steps) < 2 {
				t.Fatalf("steps %q", steps)
			}
			leave := b.during("INSERT INTO dim VALUES (7)")
			done := make(chan error, 1)
			go func() { done <- b.Build(context.WithoutCancel(t.Context()), try, 0) }()
			b.said(lines, "others hold a lock", "on dim", "INSERT INTO dim")
			leave()
			b.must(<-done)
			leave = b.during("INSERT INTO dim VALUES (8)")
			b.must(b.Build(t.Context(), try, 1))
			leave()
			for i := range steps[2:] {
				b.must(b.Build(t.Context(), try, 2+i))
			}
			b.must(b.Analyze(t.Context(), try))
			b.must(<-b.swapping(run))
			if key := b.value("SELECT conname || convalidated FROM pg_constraint WHERE conrelid = 't'::regclass AND confrelid = 'dim'::regclass"); key != tt.final+"true" {
				t.Errorf("the key is %s", key)
			}
			b.must(b.end(run, nil))
			_, err = b.whole(b.load(map[string]string{"a.csv": rows("a", 4)}, withColumns(columnsFN...), tt.change))
			wantCode(t, err, bucketload.CodeDatabase, "(n)=(3) is not present")
			in := func(l *bucketload.Load) { l.InPlace = true }
			_, err = b.whole(b.load(map[string]string{"a.csv": rows("a", 5)}, withColumns(columnsFN...), tt.change, in))
			wantCode(t, err, bucketload.CodeDatabase, "(n)=(", "is not present")
		})
	}
}

// TestForeignKeysTried: a table that others write keeps nothing from what is found
// out before rows are loaded, and the writers of another one do not wait with it.
func TestForeignKeysTried(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0, manyConns)
	b.exec(`CREATE TABLE dim (n int PRIMARY KEY); CREATE TABLE other (n int PRIMARY KEY); INSERT INTO dim VALUES (1); INSERT INTO other VALUES (1);
		CREATE TABLE t (f text, n int)`)
	load := b.load(map[string]string{"a.csv": "f,n\na,1\na,1\n"}, withColumns(columnsFN...), impatient, func(l *bucketload.Load) {
		l.Constraints = []string{"foreign key (n) references other", "foreign key (n) references dim", "unique (n)"}
		l.OnDuplicate = bucketload.KeepFirst
	})
	leave := b.during("INSERT INTO dim VALUES (7)")
	run := b.prepared(load)
	leave()
	b.must(b.copyAll(run))
	_, err := b.Finish(t.Context(), ledger.Try{Run: run})
	b.must(b.end(run, err))
	if got := fmt.Sprint(b.perFile("t")); got != "map[a:1]" {
		t.Errorf("rows %s", got)
	}
	load.LockTimeout = time.Minute
	leave = b.during("INSERT INTO dim VALUES (7)")
	run = b.begin(load)
	_, err = b.Plan(t.Context(), PlanInput{Try: ledger.Try{Run: run}, Load: load})
	b.must(err)
	done := make(chan error, 1)
	go func() { done <- b.Prepare(context.WithoutCancel(t.Context()), ledger.Try{Run: run}) }()
	for b.value("SELECT count(*) FROM pg_locks WHERE relation = 'dim'::regclass AND NOT granted") == "0" {
		select {
		case err := <-done:
			t.Fatalf("Prepare did not wait: %v", err)
		default:
		}
	}
	if n := b.value("SELECT count(*) FROM pg_locks WHERE relation = 'other'::regclass AND mode = 'ShareRowExclusiveLock'"); n != "0" {
		t.Error("the writers of the one table wait with those of the other")
	}
	leave()
	b.must(<-done)
}

// TestForeignKeyToPartitions: PostgreSQL makes a key for each partition beside the
// one that is declared, and judges by that one only.
func TestForeignKeyToPartitions(t *testing.T) {
	t.Parallel()
	for _, major := range temptest.Majors(t) {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			b := newBench(t, major)
			b.exec(`CREATE TABLE dim (n int PRIMARY KEY) PARTITION BY RANGE (n); CREATE TABLE dim1 PARTITION OF dim FOR VALUES FROM (0) TO (2);
				CREATE TABLE dim2 PARTITION OF dim FOR VALUES FROM (2) TO (9); INSERT INTO dim SELECT generate_series(0, 3); CREATE TABLE t (f text, n int)`)
			for range 2 { // the configuration's, and then the live table's too
				_, err := b.whole(b.load(map[string]string{"a.csv": rows("a", 3)}, withColumns(columnsFN...), func(l *bucketload.Load) {
					l.Constraints = []string{"foreign key (n) references dim"}
				}))
				b.must(err)
			}
			_, err := b.whole(b.load(map[string]string{"a.csv": rows("a", 3)}, withColumns(columnsFN...)))
			b.must(err)
			if got := b.value(`SELECT count(*) || ' ' || bool_and(convalidated) FROM pg_constraint WHERE conrelid = 't'::regclass AND contype = 'f' AND conparentid = 0`); got != "1 true" {
				t.Errorf("keys, and whether they have judged: %s", got)
			}
		})
	}
}

// TestForeignKeyToItself: a key of the configuration would refer to the backup. That
// is seen also where somebody's lock has kept it from being tried before.
func TestForeignKeyToItself(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0, manyConns)
	b.exec("CREATE TABLE t (f text, n int PRIMARY KEY)")
	load := b.load(map[string]string{"a.csv": rows("a", 3)}, withColumns(columnsFN...), impatient, func(l *bucketload.Load) {
		l.PrimaryKey, l.Constraints = []string{"n"}, []string{"foreign key (n) references t"}
	})
	want := []string{"would refer to the table that they replace: FOREIGN KEY (n) REFERENCES t(n)", "add it to the table itself"}
	_, err := b.whole(load)
	wantCode(t, err, bucketload.CodeUsage, want...)
	if n := b.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'dataimport'"); n != "0" {
		t.Error("rows were loaded")
	}
	leave := b.during("INSERT INTO t VALUES ('theirs', 7)")
	run := b.prepared(load)
	leave()
	b.must(b.copyAll(run))
	_, err = b.Finish(t.Context(), ledger.Try{Run: run})
	wantCode(t, b.end(run, err), bucketload.CodeUsage, want...)
}

// TestReferredSwappedMeanwhile: the rows of a run that is not swapped yet do not keep
// the table that they refer to from being loaded, and are judged by its new rows,
// whatever the keys came from and beside what the load wants NOT VALID.
func TestReferredSwappedMeanwhile(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(l *bucketload.Load, key string){
		"swap":     func(*bucketload.Load, string) {},
		"in place": func(l *bucketload.Load, _ string) { inPlace(l) },
		"beside": func(l *bucketload.Load, _ string) {
			l.Constraints = append(l.Constraints, "check (f <> 'not valid')", "foreign key (n) references few not valid")
		},
		"more than a key": func(l *bucketload.Load, key string) { l.Constraints = []string{key + ", add check (n >= 0)"} },
		"before_swap_sql": func(l *bucketload.Load, key string) {
			l.Constraints, l.BeforeSwapSQL = nil, []string{"ALTER TABLE {staging} ADD " + key}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, 0)
			dim := b.part(t)
			b.exec(dim.named("CREATE TABLE {t} (f text, n int PRIMARY KEY); CREATE TABLE few (n int PRIMARY KEY); CREATE TABLE t (f text, n int)"))
			load := func(rowsOf int) {
				t.Helper()
				_, err := dim.whole(dim.load(map[string]string{"a.csv": rows("a", rowsOf)}, withColumns(columnsFN...)))
				b.must(err)
			}
			load(3)
			run := b.prepared(b.load(map[string]string{"a.csv": rows("a", 3)}, withColumns(columnsFN...), func(l *bucketload.Load) {
				key := dim.named("foreign key (n) references {t}")
				l.Constraints = []string{key}
				change(l, key)
			}))
			b.built(run)
			load(2)
			_, err := b.Swap(t.Context(), ledger.Try{Run: run})
			wantCode(t, err, bucketload.CodeDatabase, "(n)=(2) is not present")
			load(3)
			b.must(<-b.swapping(run))
			if n := b.value("SELECT count(*) FROM bucketload.runs WHERE validate IS NOT NULL"); n != "0" {
				t.Errorf("%s runs have something left to validate", n)
			}
			if got := b.value("SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND convalidated = (confrelid = 'few'::regclass)"); got != "0" {
				t.Errorf("%s foreign keys have judged the rows and should not, or the other way round", got)
			}
		})
	}
}

// TestForeignKeysLeftNotValid: what the configuration wants so, beside keys that are
// to judge the rows.
func TestForeignKeysLeftNotValid(t *testing.T) {
	t.Parallel()
	whole := newBench(t, 0)
	whole.exec("CREATE TABLE dim (n int PRIMARY KEY); INSERT INTO dim VALUES (0), (1), (2); CREATE TABLE few (n int PRIMARY KEY)")
	for name, change := range map[string]func(*bucketload.Load){
		"constraints": func(l *bucketload.Load) {
			l.Constraints = append(l.Constraints, "foreign key (n) references few Not\nValid")
		},
		"before_swap_sql": func(l *bucketload.Load) {
			l.BeforeSwapSQL = []string{"ALTER TABLE {staging} ADD FOREIGN KEY (n) REFERENCES few NOT VALID"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := whole.part(t)
			r, err := b.whole(b.load(map[string]string{"a.csv": rows("a", 3)}, withColumns(columnsFN...), func(l *bucketload.Load) {
				l.Constraints = []string{"foreign key (n) references dim"}
			}, change))
			b.must(err)
			if got := b.value("SELECT string_agg(confrelid::regclass || ' ' || convalidated, ', ' ORDER BY 1) FROM pg_constraint WHERE contype = 'f' AND conrelid = $1::text::regclass", b.table); got != "dim true, few false" {
				t.Error(got)
			}
			if left := b.value("SELECT validate FROM bucketload.runs WHERE id = $1", *r.ID); left != "NULL" {
				t.Errorf("left to validate: %s", left)
			}
		})
	}
}

// TestAttended: all that holds locks which others wait for ends where its process
// is silent for a minute.
func TestAttended(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	b.exec(`CREATE TABLE seen (mode text, idle text);
		CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN
			INSERT INTO seen VALUES (concat_ws('' '', TG_ARGV[0], NEW.mode), current_setting(''idle_in_transaction_session_timeout'')); RETURN NEW; END';
		CREATE TRIGGER see BEFORE UPDATE ON bucketload.runs FOR EACH ROW WHEN (NEW.published_at IS NOT NULL AND OLD.published_at IS NULL) EXECUTE FUNCTION see();
		CREATE TRIGGER see_validated BEFORE UPDATE ON bucketload.runs FOR EACH ROW WHEN (NEW.validate IS NULL AND OLD.validate IS NOT NULL) EXECUTE FUNCTION see('validated');
		CREATE TABLE t (f text, n int PRIMARY KEY); CREATE TABLE child (n int REFERENCES t)`)
	load := b.load(map[string]string{"a.csv": rows("a", 3)}, withColumns(columnsFN...), func(l *bucketload.Load) { l.PrimaryKey = []string{"n"} })
	for _, change := range []func(*bucketload.Load){func(*bucketload.Load) {}, inPlace} {
		change(load)
		for range 2 {
			_, err := b.whole(load)
			b.must(err)
		}
	}
	_, err := b.Rollback(t.Context(), load, "")
	b.must(err)
	_, err = b.whole(b.load(map[string]string{"b.csv": rows("b", 3)}, withColumns(columnsFN...), merging(bucketload.ModeUpsert, "n")))
	b.must(err)
	if got := b.value("SELECT string_agg(mode || ' ' || idle || ' ' || n, ', ' ORDER BY mode) FROM (SELECT mode, idle, count(*) AS n FROM seen GROUP BY 1, 2) s"); got != "replace 1min 4, rollback 1min 1, upsert 1min 1, validated replace 1min 2, validated rollback 1min 1" {
		t.Error(got)
	}
}

// TestCascadeSinceThePlan: a key that would delete rows of others is seen though
// it has come, or the table has, while the run was copying.
func TestCascadeSinceThePlan(t *testing.T) {
	t.Parallel()
	whole := newBench(t, 0)
	const child = "; CREATE TABLE {t}_c (n int REFERENCES {t} ON DELETE CASCADE); INSERT INTO {t} VALUES ('old', 1); INSERT INTO {t}_c VALUES (1)"
	const live = "CREATE TABLE {t} (f text, n int PRIMARY KEY)"
	for name, c := range map[string]struct {
		mode          func(*bucketload.Load)
		before, since string
	}{
		"in place":            {inPlace, live, "SELECT 1" + child},
		"in place, no table":  {inPlace, "SELECT 1", live + child},
		"partition":           {merging(bucketload.ModeReplacePartition, "n"), live, "SELECT 1" + child},
		"in place, new types": {inPlace, live, "ALTER TABLE {t} ALTER n TYPE bigint"},
	} {
		t.Run(name, func(t *testing.T) {
			b := whole.part(t)
			b.exec(b.named(c.before))
			run := b.prepared(b.load(map[string]string{"a.csv": rows("a", 3)}, withColumns(columnsFN...), c.mode))
			b.must(b.copyAll(run))
			b.exec(b.named(c.since))
			_, err := b.Finish(t.Context(), ledger.Try{Run: run})
			wantCode(t, b.end(run, err), bucketload.CodeDependents)
			if strings.HasSuffix(c.since, child) {
				if n := b.value(b.named("SELECT count(*) FROM {t}_c")); n != "1" {
					t.Errorf("%s rows of the other table", n)
				}
			}
		})
	}
}

// TestReferenceSinceTheCheck: a row that refers to one that the new table lacks
// stops the swap though it has come just before.
func TestReferenceSinceTheCheck(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0, manyConns)
	lines := b.logs()
	b.exec("CREATE TABLE t (f text, n int PRIMARY KEY); CREATE TABLE child (n int REFERENCES t); INSERT INTO t VALUES ('old', 7)")
	run := b.prepared(b.load(map[string]string{"a.csv": rows("a", 3)}, withColumns(columnsFN...), impatient))
	b.built(run)
	leave := b.inspect("t")
	done := b.swapping(run)
	b.said(lines, "others hold a lock", "on t")
	b.exec("INSERT INTO child VALUES (7)")
	leave()
	wantCode(t, <-done, bucketload.CodeCheck, "child_n_fkey of", "child refers to rows that the new")
}

// TestSwapTwiceAtOnce: the second of two calls waits for the first, and gives
// what that has done.
func TestSwapTwiceAtOnce(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]func(*bucketload.Load){"replace": func(*bucketload.Load) {}, "upsert": merging(bucketload.ModeUpsert, "n"),
		"partition": merging(bucketload.ModeReplacePartition, "n"), "in place": inPlace} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 0, manyConns)
			b.exec("CREATE TABLE t (f text, n int PRIMARY KEY)")
			run := b.prepared(b.load(map[string]string{"a.csv": rows("a", 3)}, withColumns(columnsFN...), mode, func(l *bucketload.Load) { l.LockTimeout = time.Minute }))
			b.built(run)
			leave := b.during("LOCK TABLE t IN SHARE MODE")
			first, second := b.swapping(run), b.swapping(run)
			for b.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())") == "0" {
				select {
				case err := <-first:
					t.Fatal(err)
				case err := <-second:
					t.Fatal(err)
				default:
				}
			}
			leave()
			b.must(<-first)
			b.must(<-second)
			if got := fmt.Sprint(b.perFile("t")); got != "map[a:3]" {
				t.Errorf("rows %s", got)
			}
		})
	}
}
