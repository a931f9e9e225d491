package infer_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/infer"
)

// everything is open, as where nobody has set a key of csv.
var everything = []string{"delimiter", "quote", "escape", "header", "encoding", "comment", "skip_head", "skip_foot", "decimal", "thousands"}

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
		"pollock-polluted/polluted_files": {"delimiter": 0.99, "quote": 0.99, "escape": 0.98, "header": 0.98, "skip_head": 0.98, "all": 0.97},
		"pollock-survey/survey_sample":    {"delimiter": 0.9, "quote": 0.9, "escape": 0.9, "header": 0.8, "skip_head": 0.8, "all": 0.7},
	} {
		t.Run(set, func(t *testing.T) {
			dir := corpus(t, set)
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
				t.Skip("this corpus has no parameters")
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

// TestRealDialects looks at files of which no one has said what they are.
func TestRealDialects(t *testing.T) {
	for _, set := range []string{"csv-spectrum", "commons-csv", "csvkit", "frictionless", "duckdb-csv", "fivethirtyeight", "openflights", "vega-datasets",
		"world-cities", "sp500-companies", "covid19-csse-original", "gsod-share", "noaa-lcd-share", "pgloader-lisp-tests", "pg_bulkload"} {
		t.Run(set, func(t *testing.T) {
			dir := corpus(t, set)
			seen := map[string][]string{}
			_ = filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
				if err != nil || info.IsDir() || !slices.Contains([]string{".csv", ".tsv", ".dat", ".psv"}, strings.ToLower(filepath.Ext(path))) {
					return nil
				}
				head, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				rel, _ := filepath.Rel(dir, path)
				_, evidence, err := sniff(head[:min(len(head), 48<<10)])
				if err != nil {
					evidence = "refused: " + err.Error()
				}
				seen[evidence] = append(seen[evidence], rel)
				return nil
			})
			for _, evidence := range slices.SortedFunc(func(yield func(string) bool) {
				for e := range seen {
					if !yield(e) {
						return
					}
				}
			}, func(a, b string) int { return cmp.Compare(len(seen[b]), len(seen[a])) }) {
				t.Log(fmt.Sprint(len(seen[evidence]), " ", seen[evidence][0], ": ", evidence))
			}
		})
	}
}
