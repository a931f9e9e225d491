package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
)

//go:embed benchmarks.md.tmpl
var document string

// readReasons gives why goals are not met, by measure, as people wrote it; none
// where there is no such file.
func readReasons(path string) (map[string]string, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var reasons map[string]string
	if err := json.Unmarshal(content, &reasons); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for measure := range reasons {
		if !slices.ContainsFunc(goals, func(g goal) bool { return g.Measure == measure }) {
			return nil, fmt.Errorf("%s: no goal has the measure %q", path, measure)
		}
	}
	return reasons, nil
}

// render writes the document, and beside it the plots that it links to. Plots
// that are no more go.
func render(r *Results, reasons map[string]string, path string) error {
	pages, err := pages(r, reasons, path)
	if err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(plotsDir(path), "*.svg"))
	if err != nil {
		return err
	}
	for _, name := range old {
		if _, kept := pages[name]; !kept {
			if err := os.Remove(name); err != nil {
				return err
			}
		}
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

func plotsDir(document string) string { return filepath.Join(filepath.Dir(document), "benchmarks") }

// version is all that was measured on one version of Postgres.
type version struct {
	*Results
	Postgres string
	Plots    []picture
}

// picture is a plot that the document shows.
type picture struct{ Title, File string }

// pages gives the files' contents by name.
func pages(r *Results, reasons map[string]string, path string) (map[string][]byte, error) {
	all := map[string][]byte{}
	var versions []version
	for _, postgres := range r.versions() {
		v := version{Results: r.on(postgres), Postgres: postgres}
		add := func(name, plot string, value any, title string) error {
			svg, err := execute(plot, value)
			file := name + "-" + postgres + ".svg"
			all[filepath.Join(plotsDir(path), file)] = svg
			v.Plots = append(v.Plots, picture{title, file})
			return err
		}
		for _, work := range append(slices.Clone(weatherTypes), workTaxi, workBig, workTiny) {
			c := chartOf(v.Results, work, postgres)
			if len(c.Bars) == 0 {
				continue
			}
			if err := add(work, barsPlot, c, c.Title); err != nil {
				return nil, err
			}
		}
		for _, curve := range v.Curves {
			c := plotOf(curve)
			if err := add("curve-"+curve.Name, curvePlot, c, c.Title); err != nil {
				return nil, err
			}
		}
		versions = append(versions, v)
	}
	page, err := execute(document, struct {
		*Results
		Verdicts []verdict
		Versions []version
	}{r, judge(r, reasons), versions})
	all[path] = page
	return all, err
}

func execute(text string, value any) ([]byte, error) {
	t, err := template.New("").Funcs(template.FuncMap{
		"mega":     func(f float64) string { return fmt.Sprintf("%.0f", f/1e6) },
		"mebi":     func(f float64) string { return fmt.Sprintf("%.0f", f/(1<<20)) },
		"millions": func(n int64) int64 { return n / 1e6 },
		"fixed":    func(f float64) string { return fmt.Sprintf("%.2f", f) },
		"tenth":    func(f float64) string { return fmt.Sprintf("%.1f", f) },
		"percent":  func(f float64) string { return fmt.Sprintf("%.0f %%", 100*f) },
		"count":    func(f float64) string { return fmt.Sprintf("%.0f", f) },
		"number":   number,
		"median":   Measured.median,
		"word":     cell.word,
		"figure":   cell.figure,
		"others":   (*Results).others,
		"byRun":    (*Results).byRun,
		"join":     strings.Join,
		"sorted":   func(m map[string]string) []string { return slices.Sorted(maps.Values(m)) },
		"add":      func(a, b float64) float64 { return a + b },
		"escape":   func(s string) string { return strings.ReplaceAll(s, "|", `\|`) },
	}).Parse(text)
	if err != nil {
		return nil, err
	}
	if _, err := t.New("style").Parse(stylePlot); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, value)
	return out.Bytes(), err
}
