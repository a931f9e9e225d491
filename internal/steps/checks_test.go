package steps

import (
	"fmt"
	"testing"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
)

// TestGates: of a live table of 4 rows and files of 6, in which f is "a" thrice,
// "b" thrice, and n is NULL once.
func TestGates(t *testing.T) {
	t.Parallel()
	whole := newBench(t, 0)
	whole.exec("CREATE SEQUENCE drawn")
	half := bucketload.Share{Percent: 50, IsShare: true}
	for _, c := range []struct {
		name   string
		checks bucketload.Checks
		code   bucketload.Code // "": it goes well
		words  []string
	}{
		{"vs live", bucketload.Checks{VsLive: 150}, "", nil},
		{"too few vs live", bucketload.Checks{VsLive: 150.1}, bucketload.CodeCheck, []string{"6 rows are 150% of the 4 in public.", "less than checks.vs_live: 150.1%"}},
		{"null share", bucketload.Checks{NullShare: map[string]bucketload.Share{"n": {Count: 1}, "f": {}}}, "", nil},
		{"too many nulls", bucketload.Checks{NullShare: map[string]bucketload.Share{"n": {}, "f": half}}, bucketload.CodeCheck,
			[]string{"1 of 6 rows (16.6%) have no n, more than checks.null_share.n: 0"}},
		{"unique", bucketload.Checks{Unique: [][]string{{"f", "n"}, {"n", "f"}}}, "", nil},
		{"not unique", bucketload.Checks{Unique: [][]string{{"f", "n"}, {"f"}}}, bucketload.CodeCheck,
			[]string{`checks.unique (f): values in more than one row: 2, such as {"f": "a"}`}},
		{"sql", bucketload.Checks{SQL: []string{"SELECT * FROM {staging} WHERE n > 3;"}}, "", nil},
		{"sql finds", bucketload.Checks{SQL: []string{"SELECT 1 WHERE false", "SELECT f, n FROM {staging} s WHERE n > 1 -- too much"}}, bucketload.CodeCheck,
			[]string{`checks.sql 2: rows where there must be none: 1, such as {"f": "a", "n": 2}`}},
		{"sql of both tables", bucketload.Checks{SQL: []string{"SELECT f FROM {table} EXCEPT SELECT f FROM {staging}"}}, bucketload.CodeCheck,
			[]string{`checks.sql 1: rows where there must be none: 1`, `{"f": "old"}`}},
		{"all that is wrong", bucketload.Checks{VsLive: 200, Unique: [][]string{{"f"}}}, bucketload.CodeCheck, []string{"checks.vs_live", "; checks.unique (f)"}},
		{"read only", bucketload.Checks{SQL: []string{"SELECT nextval('drawn')"}}, bucketload.CodeDatabase, []string{"read-only transaction"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := whole.part(t)
			b.exec("CREATE TABLE " + b.table + " AS SELECT 'old' AS f, n FROM generate_series(1, 4) n")
			load := b.load(map[string]string{"a.csv": rows("a", 3), "b.csv": rows("b", 2) + "b,\n"}, withColumns(columnsFN...), func(l *bucketload.Load) { l.Checks = c.checks })
			r, err := b.whole(load)
			if c.code == "" {
				b.must(err)
				if r.Rows.Loaded != 6 || r.Backup == nil {
					t.Errorf("%+v", r)
				}
				return
			}
			wantCode(t, err, c.code, c.words...)
			if got := fmt.Sprint(b.perFile(b.table)); got != "map[old:4]" {
				t.Errorf("the live table has %s", got)
			}
		})
	}
}

// TestChecksWithoutALiveTable: what compares has nothing to compare with.
func TestChecksWithoutALiveTable(t *testing.T) {
	t.Parallel()
	b := sharedBench(t, 0)
	load := b.load(map[string]string{"a.csv": rows("a", 3)}, withColumns(columnsFN...), func(l *bucketload.Load) {
		l.Checks = bucketload.Checks{VsLive: 100, SQL: []string{"SELECT f FROM {table}"}}
	})
	if _, err := b.whole(load); err != nil {
		t.Fatal(err)
	}
	_, err := b.whole(load)
	wantCode(t, err, bucketload.CodeCheck, "checks.sql 1: rows where there must be none: 3")
}

// TestChecksThatMakeNoSense are found out before anything is loaded.
func TestChecksThatMakeNoSense(t *testing.T) {
	t.Parallel()
	b := sharedBench(t, 0)
	for _, c := range []struct {
		checks bucketload.Checks
		code   bucketload.Code
		words  []string
	}{
		{bucketload.Checks{Unique: [][]string{{"f", "x"}}}, bucketload.CodeUsage, []string{`checks.unique names column "x"`}},
		{bucketload.Checks{NullShare: map[string]bucketload.Share{"x": {}}}, bucketload.CodeUsage, []string{`checks.null_share names column "x"`}},
		{bucketload.Checks{SQL: []string{"SELECT x FROM {staging}"}}, bucketload.CodeDatabase, []string{"prepare: checks.sql 1", `column "x" does not exist`, "nothing has been loaded yet"}},
		{bucketload.Checks{SQL: []string{"DELETE FROM {staging} RETURNING f"}}, bucketload.CodeDatabase, []string{"syntax error"}},
		{bucketload.Checks{SQL: []string{"SELECT 1) q; DROP TABLE {staging}; SELECT * FROM (SELECT 1"}}, bucketload.CodeDatabase, []string{"checks.sql 1"}},
	} {
		load := b.load(map[string]string{"a.csv": rows("a", 3)}, withColumns(columnsFN...), func(l *bucketload.Load) { l.Checks = c.checks })
		_, err := b.whole(load)
		wantCode(t, err, c.code, c.words...)
	}
}

// TestAccepted: what a person has accepted no longer stops the run; what is
// found beside it does.
func TestAccepted(t *testing.T) {
	t.Parallel()
	b := sharedBench(t, 0)
	ctx := t.Context()
	load := b.load(map[string]string{"a.csv": rows("a", 3)}, withColumns(columnsFN...), func(l *bucketload.Load) {
		l.Checks = bucketload.Checks{Rows: bucketload.RowRange{Min: 10}, Unique: [][]string{{"f"}}}
	})
	run := b.prepared(load)
	_, err := b.Ledger.Accept(ctx, run)
	wantCode(t, err, bucketload.CodeUsage, "there is nothing to accept")
	b.must(b.copyAll(run))
	for _, want := range []string{"rows.min: 10", "unique (f)"} {
		_, err := b.Finish(ctx, ledger.Try{Run: run})
		wantCode(t, err, bucketload.CodeCheck, want, "SELECT * FROM", "bucketload redrive "+run+" --accept")
		b.must(b.Ledger.End(ctx, ledger.Try{Run: run}, bucketload.StatusFailed, nil))
		if n := b.value("SELECT count(*) FROM dataimport.r_" + run); n != "3" {
			t.Errorf("staging has %s rows", n)
		}
		_, err = b.Ledger.Accept(ctx, run)
		b.must(err)
		b.resume(run)
	}
	r, err := b.Finish(ctx, ledger.Try{Run: run})
	b.must(err)
	if n := b.value("SELECT count(*) FROM t"); n != "3" || r.Status != bucketload.StatusSucceeded {
		t.Errorf("%s rows, %s", n, r.Status)
	}
	_, err = b.Ledger.Accept(ctx, run)
	wantCode(t, err, bucketload.CodeUsage, "which is succeeded")
}
