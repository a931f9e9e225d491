package main

import (
	"cmp"
	_ "embed"
	"os"
	"slices"
	"strings"
	"text/template"
	"time"
)

// tally is what all rounds have come to.
type tally struct {
	Rounds, Commands                  int
	Lost, Doubled, Left, Hangs, Other int
	Seed                              uint64

	came     map[string]map[string]int // faults, by name and by the state that they met
	versions []string
	seconds  float64
	waited   time.Duration // of the reader
	bad      int
	noDisk   bool
}

func (t *tally) add(r *round, v verdict) {
	if t.came == nil {
		t.came = map[string]map[string]int{}
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
	t.waited = max(t.waited, r.waited)
	if v.bad() {
		t.bad++
	}
	for _, c := range r.came {
		if t.came[c.fault] == nil {
			t.came[c.fault] = map[string]int{}
		}
		t.came[c.fault][c.state]++
	}
}

func (t *tally) faults() (n int) {
	for _, times := range t.came {
		n += sum(times)
	}
	return n
}

func sum(times map[string]int) (n int) {
	for _, times := range times {
		n += times
	}
	return n
}

//go:embed reliability.md.tmpl
var document string

// write writes the result for readers.
func (t *tally) write(file string, seed uint64) error {
	type kind struct {
		Name  string
		Times []int // in the order of the columns
		Total int
	}
	columns := append(slices.Clone(states), inRollback)
	var kinds []kind
	for _, f := range faults { // also what never came
		k := kind{Name: f.name, Total: sum(t.came[f.name])}
		for _, state := range columns {
			k.Times = append(k.Times, t.came[f.name][state])
		}
		kinds = append(kinds, k)
	}
	slices.SortFunc(kinds, func(a, b kind) int { return cmp.Compare(a.Name, b.Name) })
	t.Seed = seed
	var b strings.Builder
	err := template.Must(template.New("reliability").Parse(document)).Execute(&b, struct {
		*tally
		Columns  []string
		Kinds    []kind
		Faults   int
		Versions string
		Minutes  int
		Waited   string
		NoDisk   bool
	}{t, columns, kinds, t.faults(), strings.Join(t.versions, " and "), int(t.seconds/60 + 0.5), t.waited.Round(100 * time.Millisecond).String(), t.noDisk})
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(b.String()), 0o644)
}
