package decode

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

func glob(t *testing.T, pattern ...string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(pattern...))
	if err != nil || len(paths) == 0 {
		t.Fatal(pattern, err)
	}
	return paths
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func open(t *testing.T, path string, dialect bucketload.CSV) *CSV {
	t.Helper()
	c, err := NewCSV(bytes.NewReader(read(t, path)), dialect)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// values reads all rows without their quotes.
func values(c *CSV) (rows [][]string, err error) {
	for {
		fields, err := c.Next()
		if err == io.EOF {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		row := make([]string, len(fields))
		for i, f := range fields {
			row[i] = string(f.Bytes)
		}
		rows = append(rows, row)
	}
}

func TestSpectrum(t *testing.T) {
	dir := temptest.Corpus(t, "corpus/csv-spectrum")
	for _, path := range glob(t, dir, "csvs", "*.csv") {
		name := strings.TrimSuffix(filepath.Base(path), ".csv")
		t.Run(name, func(t *testing.T) {
			if name == "location_coordinates" {
				_, err := values(open(t, path, standard))
				wantError(t, err, bucketload.CodeQuote, 2, "inside a field that does not begin with one")
				return
			}
			var want []map[string]string
			if err := json.Unmarshal(read(t, filepath.Join(dir, "json", name+".json")), &want); err != nil {
				t.Fatal(err)
			}
			c := open(t, path, standard)
			header, err := c.Header()
			if err != nil {
				t.Fatal(err)
			}
			rows, err := values(c)
			if err != nil || len(rows) != len(want) {
				t.Fatalf("%q, %v", rows, err)
			}
			for i, row := range rows {
				for k, name := range header {
					if row[k] != strings.ReplaceAll(want[i][name], "\r", "") { // the files have lost theirs
						t.Errorf("row %d, %s: want %q, got %q", i+1, name, want[i][name], row[k])
					}
				}
			}
		})
	}
}

// Pollock has 100 ways to spoil a file. Each must be read as it is meant, given
// how it was written, or be refused: never read as something else.
func TestPollock(t *testing.T) {
	dir := temptest.Corpus(t, "corpus/pollock-polluted/polluted_files")
	accepted := 0
	for _, path := range glob(t, dir, "csv", "*.csv") {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			var p struct {
				Delimiter, Quotechar, Escapechar string
				Header                           int `json:"header_lines"`
				Preamble                         int `json:"preamble_lines"`
				Foot                             int `json:"footnote_lines"`
			}
			parameters, err := os.ReadFile(filepath.Join(dir, "parameters", name+"_parameters.json"))
			if err != nil {
				return // one whose parameters are lost
			}
			if err := json.Unmarshal(parameters, &p); err != nil {
				t.Fatal(err)
			}
			dialect := bucketload.CSV{Delimiter: p.Delimiter, Quote: p.Quotechar, Escape: p.Escapechar,
				SkipHead: p.Preamble + max(0, p.Header-1), Header: p.Header > 0, SkipFoot: p.Foot}
			c, err := NewCSV(bytes.NewReader(read(t, path)), dialect)
			if err != nil {
				return // refused
			}
			if _, err := c.Header(); err != nil && err != io.EOF {
				return // refused
			}
			got, err := values(c)
			if err != nil {
				return // refused
			}
			accepted++
			clean := csv.NewReader(bytes.NewReader(read(t, filepath.Join(dir, "clean", name))))
			want, err := clean.ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			if p.Header > 0 && len(want) > 0 {
				want = want[1:]
			}
			if !slices.EqualFunc(got, want, slices.Equal) {
				t.Errorf("%d rows for %d", len(got), len(want))
				for i := range min(len(got), len(want)) {
					if !slices.Equal(got[i], want[i]) {
						t.Fatalf("row %d: want %q, got %q", i, want[i], got[i])
					}
				}
			}
		})
	}
	if accepted == 0 {
		t.Error("none was read")
	}
}
