package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
)

//go:embed benchmarks.md.tmpl
var document string

//go:embed plot.svg.tmpl
var plot string

// render writes the document, and beside it the plots that it links to. Both
// are made of nothing but the results.
func render(r *Results, path string) error {
	pages, err := pages(r, path)
	if err != nil {
		return err
	}
	for name, content := range pages {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// pages gives the files' contents by name.
func pages(r *Results, path string) (map[string][]byte, error) {
	all := map[string][]byte{}
	types := []string{"float8", "numeric", "text"}
	for _, t := range types {
		svg, err := execute(plot, chartOf(r, t))
		if err != nil {
			return nil, err
		}
		all[filepath.Join(filepath.Dir(path), "benchmarks", t+".svg")] = svg
	}
	page, err := execute(document, struct {
		*Results
		Verdicts []verdict
		Missing  []string
		Plots    []string
	}{r, judge(r), slices.Sorted(maps.Keys(r.Absent)), types})
	all[path] = page
	return all, err
}

func execute(text string, value any) ([]byte, error) {
	t, err := template.New("").Funcs(template.FuncMap{
		"mega":   func(f float64) string { return fmt.Sprintf("%.0f", f/1e6) },
		"mebi":   func(f float64) string { return fmt.Sprintf("%.0f", f/(1<<20)) },
		"fixed":  func(f float64) string { return fmt.Sprintf("%.2f", f) },
		"number": number,
		"median": Measured.median,
		"word":   verdict.word,
		"figure": verdict.figure,
		"join":   strings.Join,
		"add":    func(a, b float64) float64 { return a + b },
	}).Parse(text)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, value)
	return out.Bytes(), err
}

// chart is a plot of CPU seconds: a bar for each case, the database's part
// first. Lengths are in the SVG's units.
type chart struct {
	Title         string
	Width, Height int
	Bars          []bar
}

type bar struct {
	Label                        string
	Y, TextY                     int
	Server, Client, Middle, Edge float64 // lengths, and where the second part and the figure begin
	Seconds                      float64
}

const (
	chartWidth = 860
	labelWidth = 260
	barStep    = 24
)

func chartOf(r *Results, types string) chart {
	c := chart{Title: "CPU seconds of database and client, numbers as " + types, Width: chartWidth}
	longest := 0.0
	for _, m := range r.Cases {
		if m.Types == types {
			longest = max(longest, total(m.median()))
		}
	}
	y := 40
	for _, m := range r.Cases {
		if m.Types != types {
			continue
		}
		s, unit := m.median(), 0.0
		if longest > 0 {
			unit = (chartWidth - labelWidth - 70) / longest
		}
		c.Bars = append(c.Bars, bar{Label: m.Name, Y: y, TextY: y + 13, Server: s.Server * unit, Client: s.Client * unit,
			Middle: labelWidth + s.Server*unit, Edge: labelWidth + total(s)*unit + 6, Seconds: total(s)})
		y += barStep
	}
	c.Height = y + 10
	return c
}
