package infer_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/infer"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// everything is open, as where nobody has set a key of csv.
var everything = []string{"delimiter", "quote", "escape", "header", "encoding", "comment", "skip_head", "skip_foot", "unquoted_blanks", "decimal", "thousands"}

// sniff finds out everything from the first bytes of files.
func sniff(heads ...[]byte) (bucketload.CSV, string, error) {
	return sniffOpen(heads, bucketload.CSV{Quote: `"`, Escape: `"`, Header: true, Encoding: "utf-8"}, everything...)
}

func sniffOpen(heads [][]byte, given bucketload.CSV, open ...string) (bucketload.CSV, string, error) {
	return infer.Dialect(heads, given, open)
}

// parameters are what the Pollock benchmark says of a file.
type parameters struct {
	Delimiter string      `json:"delimiter"`
	Quote     string      `json:"quotechar"`
	Escape    string      `json:"escapechar"`
	Header    json.Number `json:"header_lines"`
	Preamble  json.Number `json:"preamble_lines"`
}

func number(n json.Number) int {
	i, _ := strconv.Atoi(strings.Trim(n.String(), `"`))
	return i
}

// score counts right answers by key.
type score struct {
	files, refused int
	right          map[string]int
}

var scored = []string{"delimiter", "quote", "escape", "header", "skip_head", "all"}

func (s *score) add(t *testing.T, name string, head []byte, want parameters) {
	s.files++
	got, evidence, err := sniff(head)
	if err != nil {
		s.refused++
		t.Logf("%s: refused: %v", name, err)
		return
	}
	// What does not occur in a file has no right or wrong.
	unused := func(mark string) bool { return mark == "" || !bytes.Contains(head, []byte(mark)) }
	escape := func(escape, quote string) string {
		if escape == "" || escape == quote || unused(escape+quote) {
			return ""
		}
		return escape
	}
	lines := number(want.Header)
	right := map[string]bool{
		"delimiter": got.Delimiter == want.Delimiter || unused(got.Delimiter) && unused(want.Delimiter),
		"quote":     got.Quote == want.Quote || unused(got.Quote) && unused(want.Quote),
		"escape":    escape(got.Escape, got.Quote) == escape(want.Escape, want.Quote),
		"header":    got.Header == (lines > 0),
		"skip_head": got.SkipHead == number(want.Preamble)+max(0, lines-1),
	}
	all := true
	var missed []string
	for _, key := range scored[:len(scored)-1] {
		if right[key] {
			s.right[key]++
		} else {
			all = false
			missed = append(missed, key)
		}
	}
	if all {
		s.right["all"]++
		return
	}
	t.Logf("%s: %s: got %q %q %q %v %d, want %q %q %q %s %s: %s", name, strings.Join(missed, ", "),
		got.Delimiter, got.Quote, got.Escape, got.Header, got.SkipHead, want.Delimiter, want.Quote, want.Escape, want.Header, want.Preamble, evidence)
}

// TestPollockDialects holds the verdicts against the benchmark's own, each file
// by itself.
func TestPollockDialects(t *testing.T) {
	for set, floors := range map[string]map[string]float64{
		"pollock-polluted/polluted_files": {"delimiter": 0.98, "quote": 0.98, "escape": 0.98, "header": 0.98, "skip_head": 0.98, "all": 0.97},
		"pollock-survey/survey_sample":    {"delimiter": 0.95, "quote": 0.95, "escape": 0.95, "header": 0.95, "skip_head": 0.9, "all": 0.85},
	} {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			dir := temptest.Corpus(t, "corpus/"+set)
			paths, _ := filepath.Glob(filepath.Join(dir, "parameters", "*_parameters.json"))
			s := score{right: map[string]int{}}
			for _, path := range paths {
				name := strings.TrimSuffix(filepath.Base(path), "_parameters.json")
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				var want parameters
				if err := json.Unmarshal(text, &want); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				head, err := os.ReadFile(filepath.Join(dir, "csv", name))
				if err != nil || len(head) == 0 {
					continue // the benchmark has parameters of more files than it has
				}
				s.add(t, name, head[:min(len(head), 48<<10)], want)
			}
			if s.files == 0 {
				t.Log("this corpus has no parameters")
				return
			}
			for _, key := range scored {
				share := float64(s.right[key]) / float64(s.files)
				t.Logf("%-10s %4d of %d, %.1f %%", key, s.right[key], s.files, 100*share)
				if share < floors[key] {
					t.Errorf("%s is right in %.3f of the files, want %.3f", key, share, floors[key])
				}
			}
			t.Logf("refused    %4d of %d", s.refused, s.files)
		})
	}
}

// TestRealDialects judges sets of files by what they are known to be, each set
// in one call, and each of its files by itself with a floor for how many get the
// same verdict.
func TestRealDialects(t *testing.T) {
	headless := func(d *bucketload.CSV) { d.Header = false }
	tests := []struct {
		set, glob string
		change    func(*bucketload.CSV) // from the ordinary dialect
		alone     float64
	}{
		{"gsod-share", "2022/*.csv", nil, 1},
		{"noaa-lcd-share", "*/*.csv", nil, 1},
		{"covid19-csse-original", "csse_covid_19_daily_reports/*.csv", nil, 1},
		{"covid19-csse-original", "archived_data/*/*.csv", nil, 0.95},
		{"fivethirtyeight", "*/*.csv", nil, 1},
		{"vega-datasets", "*.csv", nil, 0.8},
		{"vega-datasets", "*.tsv", func(d *bucketload.CSV) { d.Delimiter = "\t" }, 1},
		{"world-cities", "*.csv", nil, 1},
		{"sp500-companies", "*.csv", nil, 1},
		{"csv-spectrum", "csvs/*.csv", nil, 0.8},
		{"openflights", "air*.dat", headless, 1},
		{"openflights", "routes.dat", headless, 1},
		{"openflights", "planes.dat", nil, 1}, // text alone, so that nothing speaks against a header
		{"csvkit", "realdata/*/*.csv", nil, 1},
	}
	for _, test := range tests {
		t.Run(test.set+"/"+test.glob, func(t *testing.T) {
			t.Parallel()
			want := dialect(test.change)
			paths, _ := filepath.Glob(filepath.Join(temptest.Corpus(t, "corpus/"+test.set), test.glob))
			var heads [][]byte
			same := 0
			for _, path := range paths {
				head := readHead(t, path)
				heads = append(heads, head)
				got, evidence, err := sniff(head)
				if got == want && err == nil {
					same++
				} else {
					t.Logf("%s: %+v: %s, %v", filepath.Base(path), got, evidence, err)
				}
			}
			if len(heads) == 0 {
				t.Fatal("no files")
			}
			got, evidence, err := sniff(heads[:min(len(heads), 200)]...)
			if err != nil || got != want {
				t.Errorf("got %+v, %v, want %+v", got, err, want)
			}
			t.Log(evidence)
			if share := float64(same) / float64(len(heads)); share < test.alone {
				t.Errorf("%d of %d files alone have this dialect, want %.2f", same, len(heads), test.alone)
			}
		})
	}
}

// TestNastyFiles takes whatever other projects test their readers with: there is
// a verdict with evidence, or an error with a hint.
func TestNastyFiles(t *testing.T) {
	for _, set := range []string{"commons-csv", "csvkit", "frictionless", "duckdb-csv", "pgloader-lisp-tests", "pg_bulkload"} {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			refused, files := 0, 0
			err := filepath.WalkDir(temptest.Corpus(t, "corpus/"+set), func(path string, entry os.DirEntry, err error) error {
				if err != nil || entry.IsDir() || !slices.Contains([]string{".csv", ".tsv", ".dat"}, strings.ToLower(filepath.Ext(path))) {
					return err
				}
				files++
				got, evidence, err := sniff(readHead(t, path))
				var e *bucketload.Error
				switch {
				case errors.As(err, &e) && e.Code == bucketload.CodeUsage && e.Hint != "":
					refused++
					t.Logf("%s: %v", filepath.Base(path), err)
				case err != nil || evidence == "" || got.Delimiter == "":
					t.Errorf("%s: %+v: %s, %v", path, got, evidence, err)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d of %d refused", refused, files)
		})
	}
}

func readHead(t *testing.T, path string) []byte {
	t.Helper()
	head, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return head[:min(len(head), 48<<10)]
}
