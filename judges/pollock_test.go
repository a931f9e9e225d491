package judges

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// pollution is what the benchmark says of a polluted file.
type pollution struct {
	Delimiter     string   `json:"delimiter"`
	Quote         string   `json:"quotechar"`
	Escape        string   `json:"escapechar"`
	Encoding      string   `json:"encoding"`
	HeaderLines   int      `json:"header_lines"`
	PreambleLines int      `json:"preamble_lines"`
	FootnoteLines int      `json:"footnote_lines"`
	Columns       []string `json:"column_names"`
}

// dirty are the keys for files of which nobody knows what is in them: no value
// is interpreted, short rows are filled up, and what cannot be loaded is
// rejected, row by row.
const dirty = `format: csv
all_text: true
lower_case: false
allow_empty: true
tolerate: {rows: 100%}
`

// given are the keys that say all that the benchmark says, as its scripts for
// other programs do: the names of the columns take the place of the header,
// and a mark that is not said is the usual one.
func (p pollution) given() string {
	or := func(mark, usual string) string {
		if mark == "" {
			return usual
		}
		return mark
	}
	keys := dirty + fmt.Sprintf("csv: {ragged: pad, stray_quotes: keep, delimiter: %s, quote: %s, escape: %s, encoding: %s, header: false, skip_head: %d, skip_foot: %d}\n",
		yaml(or(p.Delimiter, ",")), yaml(or(p.Quote, `"`)), yaml(or(p.Escape, `"`)), yaml(p.Encoding), p.PreambleLines+p.HeaderLines, p.FootnoteLines)
	if len(p.Columns) == 0 {
		return keys
	}
	keys += "columns:\n"
	for _, name := range p.Columns {
		keys += "  " + yaml(name) + ": text\n"
	}
	return keys
}

// sniffed are the keys that leave all of that to be found out.
const sniffed = dirty + "csv: {ragged: pad, stray_quotes: keep}\n"

// pollockPeers are the scores of other programs by the benchmark's own results:
// over all of its polluted files as it publishes them, and over those of them
// that are in the corpus, averaged from results/NAME/polluted_files/NAME_results.csv
// where that is published.
// Source: github.com/HPI-Information-Systems/Pollock, results/.
var pollockPeers = []struct {
	name        string
	corpus, all float64
}{
	{"DuckDB 1.2, parameters given", 0, 9.961516},
	{"pandas 1.4.3, parameters given", 9.791961, 9.895015},
	{"Python 3.10.5 csv, parameters given", 9.612081, 9.721134},
	{"PostgreSQL 15.0, parameters given", 0.466569, 0.136057},
	{"CleverCSV 0.7.4, sniffed", 9.140777, 9.193083},
	{"DuckDB 1.2, sniffed", 0, 9.075270},
}

// pollockWhole are our own scores over all of the benchmark's files, as a run by
// hand gave them, which takes minutes: BUCKETLOAD_POLLOCK=.../polluted_files go test ./judges -run Pollock -v
// logs them.
var pollockWhole = struct{ given, sniffed, weightedGiven, weightedSniffed float64 }{9.954, 9.901, 9.590, 9.523}

// Floors of the scores, below which a change makes loading worse.
const floorGiven, floorSniffed = 9.5, 9.0

func TestPollock(t *testing.T) {
	dir := temptest.Corpus(t, "corpus/pollock-polluted/polluted_files")
	if own := os.Getenv("BUCKETLOAD_POLLOCK"); own != "" {
		dir = own
	}
	t.Parallel()
	slow(t)
	c := newCourt(t)
	names := slices.DeleteFunc(files(t, filepath.Join(dir, "csv"), "*.csv"), func(path string) bool {
		_, err := os.Stat(filepath.Join(dir, "clean", filepath.Base(path)))
		return err != nil // the corpus has no two files with the same content, and so lacks some
	})
	given, sniff := make([]measure, len(names)), make([]measure, len(names))
	each(t, names, filepath.Base, func(t *testing.T, i int, path string) {
		name := filepath.Base(path)
		clean := readPlain(t, filepath.Join(dir, "clean", name))
		given[i] = c.pollute(t, clean, path, pollutionOf(t, dir, name).given(), "given")
		sniff[i] = c.pollute(t, clean, path, sniffed, "sniffed")
	})
	g, s := mean(names, given, nil), mean(names, sniff, nil)
	t.Logf("given %.6f, sniffed %.6f", g.score(), s.score())
	if g.score() < floorGiven || s.score() < floorSniffed {
		t.Errorf("given %.4f, and the floor is %.4f; sniffed %.4f, and the floor is %.4f", g.score(), floorGiven, s.score(), floorSniffed)
	}
	if os.Getenv("BUCKETLOAD_POLLOCK") != "" {
		weighted(t, names, given, sniff)
		return
	}
	report(t, "Pollock", pollockTable(names, given, sniff))
}

// pollute loads a polluted file and measures what came of it.
func (c *court) pollute(t *testing.T, clean [][]string, path, keys, how string) measure {
	v := c.load(t, keys, path)
	if v.err != nil {
		t.Logf("%s %s: %s", how, filepath.Base(path), v.err.Detail())
		return measure{}
	}
	m := compare(clean, append([][]string{v.names}, lines(v.texts())...))
	if m.score() < 10 {
		t.Logf("%s %s: %.3f %+v, %d rows, %d rejected", how, filepath.Base(path), m.score(), m, v.run.Rows.Loaded, v.run.Rows.Rejected)
	}
	return m
}

// lines gives cells with LF for every line end, as those of the clean form are.
func lines(rows [][]string) [][]string {
	for _, row := range rows {
		for i, cell := range row {
			row[i] = strings.ReplaceAll(strings.ReplaceAll(cell, "\r\n", "\n"), "\r", "\n")
		}
	}
	return rows
}

func pollutionOf(t *testing.T, dir, name string) pollution {
	t.Helper()
	var p pollution
	data, err := os.ReadFile(filepath.Join(dir, "parameters", name+"_parameters.json"))
	if err == nil {
		err = json.Unmarshal(data, &p)
	}
	if err != nil {
		t.Error(err)
	}
	return p
}

// mean is the average over the files whose names begin with one of the
// prefixes, all of them where there is none.
func mean(names []string, of []measure, prefixes []string) measure {
	var sum measure
	n := 0.
	for i, m := range of {
		base := filepath.Base(names[i])
		if prefixes == nil || slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(base, p) }) {
			sum = sum.plus(m, 1)
			n++
		}
	}
	return measure{}.plus(sum, 1/n)
}

// weighted logs the weighted score: each file counts by how often its kind of
// pollution was found in files of open data.
func weighted(t *testing.T, names []string, given, sniff []measure) {
	data, err := os.ReadFile(filepath.Join(os.Getenv("BUCKETLOAD_POLLOCK"), "../pollock_weights.json"))
	if err != nil {
		t.Fatal(err)
	}
	var weights map[string]float64
	if err := json.Unmarshal(data, &weights); err != nil {
		t.Fatal(err)
	}
	var g, s measure
	sum := 0.
	for i, path := range names {
		w, ok := weights[filepath.Base(path)]
		if !ok {
			w = -1 // as the benchmark has it
		}
		g, s, sum = g.plus(given[i], w), s.plus(sniff[i], w), sum+w
	}
	t.Logf("weighted: given %.6f, sniffed %.6f", g.score()/sum, s.score()/sum)
}

func pollockTable(names []string, given, sniff []measure) string {
	var b strings.Builder
	fmt.Fprintf(&b, `%d of the benchmark's 2,290 polluted files. Each is loaded into a table of its own, twice: with the
parameters that the benchmark gives for it, and with everything found out. The score is the benchmark's
(the sum of ten averages; 10 is a table that is the clean file). Both ways have one configuration for all files:
`+"`all_text: true`, `csv: {ragged: pad, stray_quotes: keep}`, `tolerate: {rows: 100%%}`, `allow_empty: true`.\n\n", len(names))
	b.WriteString("| | score | files loaded | header F1 | record F1 | cell F1 |\n| --- | --: | --: | --: | --: | --: |\n")
	for _, way := range []struct {
		name string
		of   []measure
	}{{"parameters given", given}, {"sniffed", sniff}} {
		m := mean(names, way.of, nil)
		fmt.Fprintf(&b, "| %s | **%.3f** | %.0f | %.4f | %.4f | %.4f |\n", way.name, m.score(), m.success*float64(len(names)), m.header.f1, m.record.f1, m.cell.f1)
	}
	b.WriteString("\nBy kind of pollution:\n\n| kind | files | given | sniffed |\n| --- | --: | --: | --: |\n")
	for _, kind := range []struct {
		name     string
		prefixes []string
	}{
		{"the file: preamble, header rows, several tables, no payload", []string{"source", "file_double", "file_header", "file_multitable", "file_no", "file_one", "file_preamble"}},
		{"the dialect of the file: delimiter, quote, escape, line end", []string{"file_field", "file_quotation", "file_escape", "file_record"}},
		{"a row with a delimiter less", []string{"row_less"}},
		{"a row with a delimiter more", []string{"row_more"}},
		{"a row with a stray quote", []string{"row_extra"}},
		{"a row with another delimiter", []string{"row_field"}},
	} {
		n := 0
		for _, path := range names {
			if slices.ContainsFunc(kind.prefixes, func(p string) bool { return strings.HasPrefix(filepath.Base(path), p) }) {
				n++
			}
		}
		fmt.Fprintf(&b, "| %s | %d | %.3f | %.3f |\n", kind.name, n, mean(names, given, kind.prefixes).score(), mean(names, sniff, kind.prefixes).score())
	}
	b.WriteString("\nOther programs, by the results that the benchmark publishes (Vitagliano et al., PVLDB 16(8), 2023, and its repository):\n\n" +
		"| program | these files | all 2,290 |\n| --- | --: | --: |\n")
	fmt.Fprintf(&b, "| **bucketload, parameters given** | %.3f | %.3f |\n| **bucketload, sniffed** | %.3f | %.3f |\n",
		mean(names, given, nil).score(), pollockWhole.given, mean(names, sniff, nil).score(), pollockWhole.sniffed)
	for _, p := range pollockPeers {
		these := "–"
		if p.corpus > 0 {
			these = fmt.Sprintf("%.3f", p.corpus)
		}
		fmt.Fprintf(&b, "| %s | %s | %.3f |\n", p.name, these, p.all)
	}
	fmt.Fprintf(&b, "\nOur scores over all of them are of a run by hand, as it takes minutes. Weighted by\nhow often a kind of pollution is found in open data, it gave %.3f with the parameters and %.3f sniffed.\n",
		pollockWhole.weightedGiven, pollockWhole.weightedSniffed)
	return b.String()
}
