package main

import (
	_ "embed"
	"maps"
	"os"
	"slices"
	"strings"
	"text/template"
)

// tally is what all rounds have come to.
type tally struct {
	Rounds, Commands                  int
	Lost, Doubled, Left, Hangs, Other int
	Seed                              uint64

	struck   map[string]int // by the fault's name
	versions []string
	seconds  float64
	bad      int
	noDisk   bool
}

func (t *tally) add(r *round, v verdict) {
	if t.struck == nil {
		t.struck = map[string]int{}
	}
	t.Rounds++
	t.Commands += v.commands
	t.Lost += v.lost
	t.Doubled += v.doubled
	t.Left += v.left
	if v.hang {
		t.Hangs++
	}
	t.Other += len(v.problems)
	if v.bad() {
		t.bad++
	}
	faults := r.faults
	if r.back != nil {
		faults = append(slices.Clone(faults), *r.back)
	}
	for _, f := range faults {
		late := slices.ContainsFunc(r.notes, func(note string) bool { return strings.HasPrefix(note, f.name+" in ") })
		if !late {
			t.struck[f.name]++
		}
	}
}

func (t *tally) faults() (n int) {
	for _, struck := range t.struck {
		n += struck
	}
	return n
}

//go:embed reliability.md.tmpl
var document string

// write writes the result for readers.
func (t *tally) write(file string, seed uint64) error {
	type kind struct {
		Name  string
		Times int
	}
	var kinds []kind
	for _, name := range slices.Sorted(maps.Keys(t.struck)) {
		kinds = append(kinds, kind{name, t.struck[name]})
	}
	t.Seed = seed
	var b strings.Builder
	err := template.Must(template.New("reliability").Parse(document)).Execute(&b, struct {
		*tally
		Kinds    []kind
		Faults   int
		Versions string
		Minutes  int
		NoDisk   bool
	}{t, kinds, t.faults(), strings.Join(t.versions, " and "), int(t.seconds/60 + 0.5), t.noDisk})
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(b.String()), 0o644)
}
