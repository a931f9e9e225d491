package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Results are what was measured: all that the document is made from, but for
// the reasons. Later runs of parts replace those parts.
type Results struct {
	Runs   []Run      `json:"runs"`
	Cases  []Measured `json:"cases"`
	Absent []Absent   `json:"absent"`
	Curves []Curve    `json:"curves"`
}

// Run is a run of the bench, known by its date.
type Run struct {
	Date     string            `json:"date"`
	Command  string            `json:"command"`
	Hardware string            `json:"hardware"`
	CPUs     int               `json:"cpus"`
	Load     string            `json:"load"` // of the machine, before the run
	Settings []string          `json:"settings"`
	Rounds   int               `json:"rounds"`
	Works    map[string]Size   `json:"works"`
	Tools    map[string]string `json:"tools"` // versions
}

// Size is how much a work is.
type Size struct {
	Files int   `json:"files"` // of the form that has many
	Rows  int64 `json:"rows"`
	Bytes int64 `json:"bytes"` // as CSV
}

// Measured is a case on a version of Postgres, with a sample for each round.
type Measured struct {
	Name     string   `json:"name"`
	Peer     string   `json:"peer"`
	Work     string   `json:"work"`
	Postgres string   `json:"postgres"`
	Run      string   `json:"run"`
	Samples  []Sample `json:"samples"`
}

// Absent is a case that could not be measured.
type Absent struct {
	Name     string `json:"name"`
	Postgres string `json:"postgres"`
	Run      string `json:"run"`
	Reason   string `json:"reason"`
}

func (r *Results) add(c loadCase, postgres, run string, s Sample) {
	i := slices.IndexFunc(r.Cases, func(m Measured) bool { return m.Name == c.Name() && m.Postgres == postgres })
	if i < 0 {
		i = len(r.Cases)
		r.Cases = append(r.Cases, Measured{Name: c.Name(), Peer: c.Peer, Work: c.Work, Postgres: postgres, Run: run})
	}
	r.Cases[i].Samples = append(r.Cases[i].Samples, s)
}

// without gives these results without what is also in the others, and without
// runs of which nothing is left.
func (r *Results) without(others *Results) *Results {
	type key struct{ name, postgres string }
	again := map[key]bool{}
	for _, m := range others.Cases {
		again[key{m.Name, m.Postgres}] = true
	}
	for _, a := range others.Absent {
		again[key{a.Name, a.Postgres}] = true
	}
	for _, c := range others.Curves {
		again[key{c.Name, c.Postgres}] = true
	}
	left, runs := &Results{}, map[string]bool{}
	for _, m := range r.Cases {
		if !again[key{m.Name, m.Postgres}] {
			left.Cases, runs[m.Run] = append(left.Cases, m), true
		}
	}
	for _, a := range r.Absent {
		if !again[key{a.Name, a.Postgres}] {
			left.Absent, runs[a.Run] = append(left.Absent, a), true
		}
	}
	for _, c := range r.Curves {
		if !again[key{c.Name, c.Postgres}] {
			left.Curves, runs[c.Run] = append(left.Curves, c), true
		}
	}
	for _, run := range r.Runs {
		if runs[run.Date] {
			left.Runs = append(left.Runs, run)
		}
	}
	return left
}

// and joins results; the cases come in the order of a round.
func (r *Results) and(more *Results) *Results {
	all := &Results{Runs: slices.Concat(r.Runs, more.Runs), Cases: slices.Concat(r.Cases, more.Cases),
		Absent: slices.Concat(r.Absent, more.Absent), Curves: slices.Concat(r.Curves, more.Curves)}
	place := map[string]int{}
	for i, c := range cases {
		place[c.Name()] = i
	}
	slices.SortStableFunc(all.Cases, func(a, b Measured) int { return cmp.Compare(place[a.Name], place[b.Name]) })
	return all
}

// on gives what was measured on a version of Postgres.
func (r *Results) on(postgres string) *Results {
	one := &Results{Runs: r.Runs}
	for _, m := range r.Cases {
		if m.Postgres == postgres {
			one.Cases = append(one.Cases, m)
		}
	}
	for _, a := range r.Absent {
		if a.Postgres == postgres {
			one.Absent = append(one.Absent, a)
		}
	}
	for _, c := range r.Curves {
		if c.Postgres == postgres {
			one.Curves = append(one.Curves, c)
		}
	}
	return one
}

// versions lists those of Postgres, ascending.
func (r *Results) versions() []string {
	var all []string
	for _, m := range r.Cases {
		all = append(all, m.Postgres)
	}
	for _, c := range r.Curves {
		all = append(all, c.Postgres)
	}
	slices.Sort(all) // majors have two digits
	return slices.Compact(all)
}

// others is the share of the processors' time that programs other than the
// bench's took while it measured, 0 to 1.
func (r *Results) others() float64 {
	cpus := map[string]float64{}
	for _, run := range r.Runs {
		cpus[run.Date] = float64(run.CPUs)
	}
	var took, had float64
	for _, m := range r.Cases {
		for _, s := range m.Samples {
			took, had = took+s.Others, had+s.Wall*cpus[m.Run]
		}
	}
	if had == 0 {
		return 0
	}
	return took / had
}

// find gives a case, of results of one version of Postgres.
func (r *Results) find(name string) (Measured, bool) {
	i := slices.IndexFunc(r.Cases, func(m Measured) bool { return m.Name == name })
	if i < 0 {
		return Measured{}, false
	}
	return r.Cases[i], true
}

// in is find of what that run has measured.
func (r *Results) in(run, name string) (Measured, bool) {
	m, ok := r.find(name)
	return m, ok && m.Run == run
}

// byRun gives the cases by the runs that have measured them, the first first.
func (r *Results) byRun() (groups []Results) {
	for _, run := range r.Runs {
		var cases []Measured
		for _, m := range r.Cases {
			if m.Run == run.Date {
				cases = append(cases, m)
			}
		}
		if len(cases) > 0 {
			groups = append(groups, Results{Runs: []Run{run}, Cases: cases})
		}
	}
	return groups
}

// run gives a run by its date.
func (r *Results) run(date string) Run {
	i := slices.IndexFunc(r.Runs, func(run Run) bool { return run.Date == date })
	return r.Runs[i]
}

// median gives the medians of a case's samples, figure by figure.
func (m Measured) median() Sample {
	of := func(figure func(Sample) float64) float64 {
		var all []float64
		for _, s := range m.Samples {
			all = append(all, figure(s))
		}
		slices.Sort(all)
		n := len(all)
		if n == 0 {
			return 0
		}
		return (all[(n-1)/2] + all[n/2]) / 2
	}
	return Sample{
		Wall:    of(func(s Sample) float64 { return s.Wall }),
		Client:  of(func(s Sample) float64 { return s.Client }),
		Server:  of(func(s Sample) float64 { return s.Server }),
		Analyze: of(func(s Sample) float64 { return s.Analyze }),
		S3:      of(func(s Sample) float64 { return s.S3 }),
		WAL:     of(func(s Sample) float64 { return s.WAL }),
		Memory:  of(func(s Sample) float64 { return s.Memory }),
		Others:  of(func(s Sample) float64 { return s.Others }),
	}
}

func (r *Results) write(path string) error {
	content, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(content, '\n'), 0o644)
}

func readResults(path string) (*Results, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var r Results
	if err := json.Unmarshal(content, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &r, nil
}

// hardware says what the machine is: processors, memory, kernel, Go.
func hardware() string {
	value := func(file, key string) string {
		content, _ := os.ReadFile(file)
		_, rest, _ := strings.Cut(string(content), key)
		line, _, _ := strings.Cut(rest, "\n")
		return strings.Trim(line, " \t:")
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%d × %s, %s of memory, Linux %s, %s", runtime.NumCPU(), value("/proc/cpuinfo", "model name"),
		value("/proc/meminfo", "MemTotal:"), strings.TrimSpace(string(kernel)), runtime.Version())
}
