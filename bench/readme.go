package main

import (
	"bytes"
	"errors"
	"os"
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
on {{.Run.Hardware}}:

| | wall | CPU of the program | CPU of the database | memory |
| --- | --: | --: | --: | --: |
{{range .Rows}}| {{.Name}} | {{tenth .Wall}} s | {{tenth .Client}} s | {{tenth .Server}} s | {{mebi .Memory}} MiB |
{{end}}
`

// figures gives what the README says: of the version on which most was measured,
// what one run has measured.
func figures(r *Results) ([]byte, error) {
	type row struct {
		Name string
		Sample
	}
	var of struct {
		Postgres string
		Run      Run
		Size     Size
		Rows     []row
	}
	for _, postgres := range r.versions() {
		one := r.on(postgres)
		ours, ok := one.find(oneByOne)
		if !ok {
			continue
		}
		var rows []row
		for _, s := range shown {
			if m, ok := one.find(s.Case); ok && m.Run == ours.Run {
				rows = append(rows, row{s.Name, m.median()})
			}
		}
		if len(rows) > len(of.Rows) {
			of.Postgres, of.Run, of.Rows = postgres, r.run(ours.Run), rows
			of.Size = of.Run.Works[ours.Work]
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
