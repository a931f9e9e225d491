package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Results are what a run measured: all that the document is made from.
type Results struct {
	Date     string            `json:"date"`
	Command  string            `json:"command"`
	Note     string            `json:"note"`
	Postgres string            `json:"postgres"`
	Settings []string          `json:"settings"`
	Hardware string            `json:"hardware"`
	Rounds   int               `json:"rounds"`
	Files    int               `json:"files"`
	Rows     int64             `json:"rows"`
	Bytes    int64             `json:"bytes"`
	Cases    []Measured        `json:"cases"`
	Absent   map[string]string `json:"absent"` // why, by case
}

// Measured is a case with a sample for each round.
type Measured struct {
	Name    string   `json:"name"`
	Peer    string   `json:"peer"`
	Types   string   `json:"types"`
	Form    string   `json:"form"`
	Conns   int      `json:"connections"`
	Samples []Sample `json:"samples"`
}

func (r *Results) add(c loadCase, s Sample) {
	i := slices.IndexFunc(r.Cases, func(m Measured) bool { return m.Name == c.Name })
	if i < 0 {
		i = len(r.Cases)
		r.Cases = append(r.Cases, Measured{Name: c.Name, Peer: c.Peer, Types: c.Types, Form: c.Form, Conns: c.Conns})
	}
	r.Cases[i].Samples = append(r.Cases[i].Samples, s)
}

// median gives the medians of a case's samples, figure by figure.
func (r *Results) median(name string) (Sample, bool) {
	for _, m := range r.Cases {
		if m.Name == name {
			return m.median(), true
		}
	}
	return Sample{}, false
}

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
		Wall:   of(func(s Sample) float64 { return s.Wall }),
		Client: of(func(s Sample) float64 { return s.Client }),
		Server: of(func(s Sample) float64 { return s.Server }),
		S3:     of(func(s Sample) float64 { return s.S3 }),
		WAL:    of(func(s Sample) float64 { return s.WAL }),
		Memory: of(func(s Sample) float64 { return s.Memory }),
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
