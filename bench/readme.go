package main

import (
	"bytes"
	"errors"
	"os"
	"slices"
)

const readmeFile = "README.md"

// Between these lines of the README stand the figures.
const (
	figuresBegin = "<!-- figures: make bench -->\n"
	figuresEnd   = "<!-- end of figures -->\n"
)

// shown are the cases that the README shows, with their names there.
var shown = []struct{ Case, Name string }{
	{oneByOne, "bucketload, all files, 1 connection"},
	{"bucketload float8 files 2", "bucketload, all files, 2 connections"},
	{"psql float8 one.csv 1", "psql `\\copy`, one file"},
	{"psql float8 halves 2", "psql `\\copy`, two files in 2 sessions"},
	{"duckdb-adbc float8 one.csv 1", "DuckDB with ADBC, one file"},
	{"dlt float8 one.csv 1", "dlt, one file"},
	{"pgloader float8 one.csv 2", "pgloader, one file, 2 workers"},
}

const figuresTable = `
{{.Size.Rows}} rows of real weather data ({{millions .Size.Bytes}} MB of CSV in {{.Size.Files}} files) into typed columns of PostgreSQL {{.Postgres}},
on {{.Run.Hardware}}; {{.Run.Rounds}} round{{if gt .Run.Rounds 1}}s{{end}}. What bucketload does beside the copying (plan, ledger,
` + "`ANALYZE`" + `, swap) is in its figures:

| | wall | CPU of the program | CPU of the database | memory |
| --- | --: | --: | --: | --: |
{{range .Rows}}| {{.Name}} | {{tenth .Wall}} s | {{tenth .Client}} s | {{tenth .Server}} s | {{mebi .Memory}} MiB |
{{end}}{{range .Earlier}}
In an earlier run, on PostgreSQL {{.Postgres}} and another day, against bucketload with as many connections there: {{range $i, $p := .Peers}}{{if $i}}; {{end}}{{$p.Name}} took
{{tenth $p.Wall}} times as long and {{tenth $p.CPU}} times the CPU{{end}}.
{{end}}
`

// named is a case that the README shows.
type named struct {
	Name string
	Sample
}

// times are how often another program takes what bucketload takes in its run.
type times struct {
	Name      string
	Wall, CPU float64
}

type earlier struct {
	Postgres string
	Peers    []times
}

// figures gives what the README says: of the newest version of Postgres on which
// the most files were loaded, what one run has measured, and how programs that
// this lacks compare where they were measured.
func figures(r *Results) ([]byte, error) {
	var of struct {
		Postgres string
		Run      Run
		Size     Size
		Rows     []named
		Earlier  []earlier
	}
	versions := r.versions()
	for _, postgres := range slices.Backward(versions) {
		one := r.on(postgres)
		ours, ok := one.find(oneByOne)
		if _, compared := one.in(ours.Run, shown[2].Case); !ok || !compared {
			continue
		}
		if size := r.run(ours.Run).Works[ours.Work]; size.Files > of.Size.Files {
			of.Postgres, of.Run, of.Size, of.Rows = postgres, r.run(ours.Run), size, nil
			for _, s := range shown {
				if m, ok := one.in(ours.Run, s.Case); ok {
					of.Rows = append(of.Rows, named{s.Name, m.median()})
				}
			}
		}
	}
	said := func(name string) bool {
		return slices.ContainsFunc(of.Rows, func(n named) bool { return n.Name == name }) ||
			slices.ContainsFunc(of.Earlier, func(e earlier) bool {
				return slices.ContainsFunc(e.Peers, func(t times) bool { return t.Name == name })
			})
	}
	for _, postgres := range slices.Backward(versions) {
		one, e := r.on(postgres), earlier{Postgres: postgres}
		for _, s := range shown {
			m, ok := one.find(s.Case)
			ours, compared := one.in(m.Run, "bucketload float8 files "+s.Case[len(s.Case)-1:])
			if ok && compared && !said(s.Name) {
				its, own := m.median(), ours.median()
				e.Peers = append(e.Peers, times{s.Name, its.Wall / own.Wall, total(its) / total(own)})
			}
		}
		if len(e.Peers) > 0 {
			of.Earlier = append(of.Earlier, e)
		}
	}
	return execute(figuresTable, of)
}

// withFigures is the README with the figures in it.
func withFigures(readme []byte, r *Results) ([]byte, error) {
	before, rest, begun := bytes.Cut(readme, []byte(figuresBegin))
	_, after, ended := bytes.Cut(rest, []byte(figuresEnd))
	if !begun || !ended {
		return nil, errors.New(readmeFile + " has no place for the figures")
	}
	block, err := figures(r)
	return bytes.Join([][]byte{before, []byte(figuresBegin), block, []byte(figuresEnd), after}, nil), err
}

// writeReadme writes the figures into the README.
func writeReadme(r *Results) error {
	readme, err := os.ReadFile(readmeFile)
	if err != nil {
		return err
	}
	if readme, err = withFigures(readme, r); err != nil {
		return err
	}
	return os.WriteFile(readmeFile, readme, 0o644)
}
