package steps

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
)

func merging(mode bucketload.Mode, key ...string) func(*bucketload.Load) {
	return func(l *bucketload.Load) { l.Mode, l.KeyColumns = mode, key }
}

var columnsKV = []bucketload.Column{{Name: "k", Type: "integer"}, {Name: "v", Type: "text"}}

// TestUpsertAgainstModel loads files of random rows, whose keys repeat in a file,
// between files and between loads: of each key the last row stays.
func TestUpsertAgainstModel(t *testing.T) {
	t.Parallel()
	b := sharedBench(t, 0)
	random := rand.New(rand.NewPCG(6, 4))
	want := map[int]string{}
	for round := range 4 {
		files := map[string]string{}
		for file := range 3 {
			var text strings.Builder
			text.WriteString("k,v\n")
			for line := range 20 {
				k, v := random.IntN(40), fmt.Sprintf("%d.%d.%d", round, file, line)
				fmt.Fprintf(&text, "%d,%s\n", k, v)
				want[k] = v
			}
			files[fmt.Sprintf("%d-%d.csv", round, file)] = text.String()
		}
		r, err := b.whole(b.load(files, withColumns(columnsKV...), merging(bucketload.ModeUpsert, "k"), func(l *bucketload.Load) { l.MaxItemsPerBatch, l.MinBatchBytes = 1, 0 }))
		b.must(err)
		if r.Files.Loaded != 3 || r.Files.Skipped != int64(3*round) {
			t.Errorf("%+v", r.Files)
		}
		var lines []string
		for _, k := range slices.Sorted(maps.Keys(want)) {
			lines = append(lines, fmt.Sprintf("%d=%s", k, want[k]))
		}
		if got := b.value("SELECT string_agg(k || '=' || v, ' ' ORDER BY k) FROM t"); got != strings.Join(lines, " ") {
			t.Fatalf("round %d: got  %s\nwant %s", round, got, strings.Join(lines, " "))
		}
	}
	if n := b.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'dataimport' AND tablename IN (SELECT 'r_' || id FROM bucketload.runs WHERE table_schema = '" + b.schema + "')"); n != "0" {
		t.Errorf("%s staging tables are left", n)
	}
	if key := b.value("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 't'::regclass AND contype = 'p'"); key != "PRIMARY KEY (k)" {
		t.Errorf("the table that was made has %s", key)
	}
}

// TestReplacePartition: rows with the key of one that comes give way, all others stay.
func TestReplacePartition(t *testing.T) {
	t.Parallel()
	b := sharedBench(t, 0)
	load := func(files map[string]string) *ledger.Run {
		t.Helper()
		r, err := b.whole(b.load(files, withColumns(columnsKV...), merging(bucketload.ModeReplacePartition, "k")))
		b.must(err)
		return r
	}
	load(map[string]string{"a.csv": "k,v\n1,a\n1,b\n2,c\n3,d\n"})
	load(map[string]string{"b.csv": "k,v\n1,x\n", "c.csv": "k,v\n3,y\n3,z\n4,w\n"})
	if got := b.value("SELECT string_agg(k || v, ' ' ORDER BY k, v) FROM t"); got != "1x 2c 3y 3z 4w" {
		t.Error(got)
	}
	if r := load(nil); r.Files.Skipped != 3 || r.Status != bucketload.StatusSucceeded {
		t.Errorf("nothing new: %+v", r)
	}
}

// TestMergesOnce: a call whose reply was lost, and a redrive, change nothing.
func TestMergesOnce(t *testing.T) {
	t.Parallel()
	b := sharedBench(t, 0)
	b.exec("CREATE TABLE t (k int PRIMARY KEY, v text, writes int DEFAULT 0); INSERT INTO t VALUES (1, 'old'), (2, 'stays')")
	b.exec("CREATE FUNCTION written() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.writes = OLD.writes + 1; RETURN NEW; END'; CREATE TRIGGER w BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION written()")
	run := b.prepared(b.load(map[string]string{"a.csv": "k,v\n1,new\n3,added\n"}, withColumns(columnsKV...), merging(bucketload.ModeUpsert, "k")))
	b.must(b.copyAll(run))
	for range 2 {
		_, err := b.Finish(t.Context(), ledger.Try{Run: run})
		b.must(err)
	}
	if got := b.value("SELECT string_agg(concat_ws(' ', k, v, writes), ', ' ORDER BY k) FROM t"); got != "1 new 1, 2 stays 0, 3 added 0" {
		t.Error(got)
	}
}

func TestMergeRefused(t *testing.T) {
	t.Parallel()
	whole := newBench(t, 0)
	upsert, partition := merging(bucketload.ModeUpsert, "k"), merging(bucketload.ModeReplacePartition, "k")
	for _, c := range []struct {
		name, before string
		change       func(*bucketload.Load)
		file         string
		code         bucketload.Code
		words        []string
	}{
		{"no unique index", "CREATE TABLE {t} (k int, v text)", upsert, "", bucketload.CodeDependents, []string{"no unique index", "CREATE UNIQUE INDEX ON", `("k")`}},
		{"a partial one", "CREATE TABLE {t} (k int, v text); CREATE UNIQUE INDEX ON {t} (k) WHERE k > 0", upsert, "", bucketload.CodeDependents, []string{"no unique index"}},
		{"a wider one", "CREATE TABLE {t} (k int, v text, UNIQUE (k, v))", upsert, "", bucketload.CodeDependents, []string{"no unique index"}},
		{"a deferred one", "CREATE TABLE {t} (k int, v text, UNIQUE (k) DEFERRABLE)", upsert, "", bucketload.CodeDependents, []string{"no unique index"}},
		{"no such key", "", merging(bucketload.ModeUpsert, "id"), "", bucketload.CodeUsage, []string{`key names column "id"`}},
		{"no such column", "CREATE TABLE {t} (k int PRIMARY KEY)", upsert, "", bucketload.CodeNewColumn, []string{`no column "v"`, "ADD COLUMN"}},
		{"another type", "CREATE TABLE {t} (k bigint PRIMARY KEY, v text)", upsert, "", bucketload.CodeDependents, []string{"is bigint and would have to be integer", "mode: replace"}},
		{"no key in a row", "CREATE TABLE {t} (k int UNIQUE, v text)", upsert, "k,v\n,a\n", bucketload.CodeTolerance, []string{`column k`, "a.csv:2"}},
		{"nor in a partition", "CREATE TABLE {t} (k int, v text)", partition, "k,v\n,a\n", bucketload.CodeTolerance, []string{`column k`}},
		{"a trigger leaves rows out", "CREATE TABLE {t} (k int PRIMARY KEY, v text); CREATE OR REPLACE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER no BEFORE INSERT ON {t} FOR EACH ROW EXECUTE FUNCTION no()",
			upsert, "", bucketload.CodeCheck, []string{"0 of the load's rows in the place of 2", "triggers"}},
		{"a trigger keeps rows", "CREATE TABLE {t} (k int, v text); INSERT INTO {t} VALUES (1, 'old'); CREATE OR REPLACE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER no BEFORE DELETE ON {t} FOR EACH ROW EXECUTE FUNCTION no()",
			partition, "", bucketload.CodeCheck, []string{"3 of the load's rows in the place of 2"}},
		{"rows of others", "CREATE TABLE {t} (k int PRIMARY KEY, v text); CREATE TABLE of_{t} (k int REFERENCES {t} ON DELETE CASCADE)", partition, "", bucketload.CodeDependents, []string{"foreign key"}},
		{"a check of the live table", "CREATE TABLE {t} (k int PRIMARY KEY, v text CHECK (v <> 'a'))", upsert, "", bucketload.CodeDatabase, []string{"violated"}},
		{"a check of the load", "CREATE TABLE {t} (k int PRIMARY KEY, v text)", func(l *bucketload.Load) {
			upsert(l)
			l.Checks.SQL = []string{"SELECT k FROM {staging} JOIN {table} USING (k)", "SELECT 1 FROM {staging} WHERE k = 1"}
		}, "", bucketload.CodeCheck, []string{"checks.sql 2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := whole.part(t)
			if c.before != "" {
				b.exec(b.named(c.before))
			}
			file := c.file
			if file == "" {
				file = "k,v\n1,a\n2,b\n"
			}
			state := "SELECT coalesce((SELECT string_agg(x::text, ' ' ORDER BY x::text) FROM " + b.table + " x), '')"
			was := ""
			if c.before != "" {
				was = b.value(strings.TrimPrefix(state, "SELECT "))
			}
			_, err := b.whole(b.load(map[string]string{"a.csv": file}, withColumns(columnsKV...), c.change, func(l *bucketload.Load) { l.Tolerate = bucketload.Tolerance{} }))
			wantCode(t, err, c.code, c.words...)
			if c.before != "" && b.value(strings.TrimPrefix(state, "SELECT ")) != was {
				t.Error("the live table has changed")
			}
		})
	}
}

// TestUpsertLeavesWhatItDoesNotFill: columns without a source keep their values
// in rows that are there, and have their defaults in those that come.
func TestUpsertLeavesWhatItDoesNotFill(t *testing.T) {
	t.Parallel()
	b := sharedBench(t, 15)
	b.exec(`CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, k int UNIQUE, v text, seen text DEFAULT 'new', twice int GENERATED ALWAYS AS (k * 2) STORED);
		INSERT INTO t (k, v, seen) VALUES (1, 'old', 'kept')`)
	load := b.load(map[string]string{"a.csv": "k,v\n1,x\n7,y\n7,z\n"}, merging(bucketload.ModeUpsert, "k"))
	if _, err := b.whole(load); err != nil {
		t.Fatal(err)
	}
	if got := b.value("SELECT string_agg(concat_ws(' ', k, v, seen, twice), ', ' ORDER BY k) FROM t"); got != "1 x kept 2, 7 z new 14" {
		t.Error(got)
	}
	if got := b.value("SELECT count(DISTINCT id) FROM t"); got != "2" {
		t.Errorf("%s ids", got)
	}
}

// TestChanged: what becomes of an object of which the table has another version.
func TestChanged(t *testing.T) {
	t.Parallel()
	b := sharedBench(t, 0)
	with := func(change ...func(*bucketload.Load)) *bucketload.Load {
		return b.load(nil, append([]func(*bucketload.Load){withColumns(columnsKV...), merging(bucketload.ModeUpsert, "k")}, change...)...)
	}
	onChanged := func(policy string) func(*bucketload.Load) {
		return func(l *bucketload.Load) { l.OnChanged = policy }
	}
	state := func() string { return b.value("SELECT string_agg(k || v, ' ' ORDER BY k) FROM t") }
	b.put("a.csv", "k,v\n1,a\n")
	_, err := b.whole(with())
	b.must(err)
	b.put("a.csv", "k,v\n1,changed\n2,b\n")
	_, err = b.whole(with())
	wantCode(t, err, bucketload.CodeChanged, "a.csv", "on_changed: reload")
	r, err := b.whole(with(onChanged(bucketload.PolicyIgnore)))
	b.must(err)
	if file := b.files(*r.ID)["a.csv"]; r.Files.Skipped != 1 || state() != "1a" || file.Error == nil || file.Error.Code != bucketload.CodeChanged {
		t.Errorf("ignored: %+v, %s, %+v", r.Files, state(), file)
	}
	r, err = b.whole(with(onChanged(bucketload.PolicyReload)))
	b.must(err)
	if r.Files.Loaded != 1 || state() != "1changed 2b" {
		t.Errorf("reloaded: %+v, %s", r.Files, state())
	}
	r, err = b.whole(with())
	b.must(err)
	if r.Files.Skipped != 1 {
		t.Errorf("once more: %+v", r.Files)
	}
	b.exec("DELETE FROM t")
	r, err = b.whole(with(func(l *bucketload.Load) { l.Force = true }))
	b.must(err)
	if r.Files.Loaded != 1 || state() != "1changed 2b" {
		t.Errorf("forced: %+v, %s", r.Files, state())
	}
}

// TestReplacePartitionReferredTo: rows of others refer to what is deleted, and a key
// that waits finds them again.
func TestReplacePartitionReferredTo(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	b.exec("CREATE TABLE t (f text, n int PRIMARY KEY); INSERT INTO t VALUES ('old', 1), ('old', 9); CREATE TABLE c (n int REFERENCES t); INSERT INTO c VALUES (1), (9)")
	load := b.load(map[string]string{"a.csv": "f,n\nnew,1\n"}, withColumns(columnsFN...), merging(bucketload.ModeReplacePartition, "n"))
	_, err := b.whole(load)
	wantCode(t, err, bucketload.CodeDatabase, "swap: ", "(n)=(1)", `ALTER TABLE "public"."c" ALTER CONSTRAINT "c_n_fkey" DEFERRABLE`, "bucketload redrive ")
	b.exec(`ALTER TABLE "public"."c" ALTER CONSTRAINT "c_n_fkey" DEFERRABLE`)
	_, err = b.whole(load)
	b.must(err)
	if got := fmt.Sprint(b.perFile("t")); got != "map[new:1 old:1]" {
		t.Errorf("rows %s", got)
	}
}
