package main

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// A seed chooses the same, however often; another one does not.
func TestSeed(t *testing.T) {
	choices := func(seed uint64) []any {
		r, err := newRound(&site{}, "", "", seed, "")
		if err != nil {
			t.Fatal(err)
		}
		all := []any{r.truth, r.mode, r.slow}
		for _, f := range r.faults {
			all = append(all, f.name, f.state, f.after, f.pick)
		}
		return all
	}
	if !reflect.DeepEqual(choices(7), choices(7)) {
		t.Error("one seed, two choices")
	}
	if reflect.DeepEqual(choices(7), choices(8)) {
		t.Error("two seeds, one choice")
	}
	if _, err := newRound(&site{}, "", "", 1, "nothing"); err == nil {
		t.Error("a fault that is not there")
	}
}

// The count finds what is wrong.
func TestCount(t *testing.T) {
	s, err := newSite(t.Context(), slices.Max(temptest.Majors(t)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	r := &round{site: s, dir: t.TempDir(), mode: modeReplace, truth: map[string]int{"f00.csv": 3, "f01.csv": 2}}
	if err := r.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.clear)
	const loaded = `TRUNCATE public.t; INSERT INTO public.t SELECT f, n, lpad(n::text, 32, '0') FROM (VALUES ('f00.csv', 3), ('f01.csv', 2)) v(f, m), generate_series(1, m) n`
	for _, tt := range []struct {
		sql      string
		lost     int
		doubled  int
		problems int
	}{
		{`CREATE SCHEMA databackup; CREATE TABLE databackup.t AS SELECT 'old' AS file, n AS line FROM generate_series(1, 500) n`, 0, 0, 0},
		{`DELETE FROM public.t WHERE file = 'f00.csv' AND line = 2`, 1, 0, 0},
		{`DELETE FROM public.t WHERE file = 'f01.csv'`, 2, 0, 0},
		{`INSERT INTO public.t SELECT * FROM public.t WHERE file = 'f01.csv'`, 0, 2, 0},
		{`UPDATE public.t SET line = 1 WHERE file = 'f01.csv'`, 1, 1, 1},
		{`UPDATE public.t SET v = 'x' WHERE file = 'f01.csv'`, 0, 0, 1},
		{`INSERT INTO public.t VALUES ('old', 1, 'x')`, 0, 0, 1},
		{`INSERT INTO public.t VALUES ('whose', 1, 'x')`, 0, 0, 1},
		{`CREATE TABLE databackup.b AS SELECT file, line FROM public.t`, 0, 0, 0},
		{`DELETE FROM databackup.b WHERE file = 'f01.csv'`, 0, 0, 1},
		{`DROP TABLE databackup.b; UPDATE databackup.t SET line = 1 WHERE line = 2`, 0, 0, 1},
		{`DROP TABLE databackup.t`, 0, 0, 1},
	} {
		if _, err := r.direct.Exec(t.Context(), loaded+"; "+tt.sql); err != nil {
			t.Fatal(err)
		}
		var v verdict
		r.count(t.Context(), &v)
		if v.lost != tt.lost || v.doubled != tt.doubled || len(v.problems) != tt.problems {
			t.Errorf("%s: %s", tt.sql, v)
		}
	}
}

// What is left is found.
func TestRemains(t *testing.T) {
	s, err := newSite(t.Context(), slices.Max(temptest.Majors(t)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	r := &round{site: s, dir: t.TempDir(), mode: modeReplace, truth: map[string]int{"f00.csv": 3}}
	if err := r.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.clear)
	if _, err := r.direct.Exec(t.Context(), `CREATE SCHEMA dataimport; CREATE SCHEMA databackup; CREATE SCHEMA bucketload;
		CREATE TABLE bucketload.runs (id text, status text); CREATE TABLE bucketload.backups (backup_schema text, backup_name text, backup_oid oid)`); err != nil {
		t.Fatal(err)
	}
	for sql, want := range map[string]string{
		`SELECT`: "",
		`CREATE TABLE dataimport.r_0123456789ab ()`:                             "table dataimport.r_0123456789ab",
		`CREATE SEQUENCE dataimport.s`:                                          "sequence dataimport.s",
		`CREATE TABLE public.b_0123456789ab ()`:                                 "relation public.b_0123456789ab",
		`CREATE INDEX c_0123456789ab_x ON public.t (line)`:                      "relation public.c_0123456789ab_x",
		`CREATE STATISTICS public.c_0123456789ab_y ON file, line FROM public.t`: "statistics public.c_0123456789ab_y",
		`ALTER TABLE public.t ADD CONSTRAINT c_0123456789ab_z CHECK (line > 0)`: "constraint public.c_0123456789ab_z",
		`CREATE TABLE databackup.b_0123456789ab ()`:                             "table databackup.b_0123456789ab",
		`CREATE SEQUENCE public.s`:                                              "sequence s",
		`INSERT INTO bucketload.runs VALUES ('x', 'running')`:                   "running run x",
	} {
		tx, err := r.direct.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var left []string
		if _, err := tx.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
		if err := tx.QueryRow(t.Context(), remains).Scan(&left); err != nil || strings.Join(left, ", ") != want {
			t.Errorf("%s: %v, %v", sql, left, err)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
