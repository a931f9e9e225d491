package judges

import (
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// measure is what the Pollock benchmark says of one loaded file, each from 0 to
// 1: whether it was loaded, and of header, records and cells the two shares of
// what is common and their harmonic mean. Vitagliano et al., Pollock: A Data
// Loading Benchmark, PVLDB 16(8), 2023, section 5.
type measure struct {
	success              float64
	header, record, cell shares
}

type shares struct{ precision, recall, f1 float64 }

// score is a file's or an average's simple score, of 10.
func (m measure) score() float64 {
	return m.success + m.header.sum() + m.record.sum() + m.cell.sum()
}

func (s shares) sum() float64 { return s.precision + s.recall + s.f1 }

func (m measure) plus(o measure, weight float64) measure {
	add := func(a, b shares) shares {
		return shares{a.precision + weight*b.precision, a.recall + weight*b.recall, a.f1 + weight*b.f1}
	}
	return measure{m.success + weight*o.success, add(m.header, o.header), add(m.record, o.record), add(m.cell, o.cell)}
}

// compare measures a loaded table, its header first, against the clean one.
// Headers and records are compared as the benchmark normalizes them, a record
// as its cells one after the other; cells as they are, with those of the header.
func compare(clean, loaded [][]string) measure {
	all := shares{1, 1, 1}
	if len(clean) == 0 {
		return measure{1, all, all, all}
	}
	m := measure{success: 1, header: all}
	if len(clean[0]) > 0 {
		var header []string
		if len(loaded) > 0 {
			header = normalized(loaded[0])
		}
		m.header = common(normalized(clean[0]), header)
	}
	records := func(rows [][]string) (all []string) {
		for _, row := range rows[min(1, len(rows)):] {
			all = append(all, strings.Join(normalized(row), ""))
		}
		return all
	}
	m.record = common(records(clean), records(loaded))
	cells := func(rows [][]string) (all []string) {
		for _, row := range rows {
			all = append(all, row...)
		}
		return all
	}
	m.cell = common(cells(clean), cells(loaded))
	return m
}

// common counts what two bags have in common. All is found where nothing was
// to be found.
func common(clean, loaded []string) shares {
	if len(clean) == 0 {
		return shares{1, 1, 1}
	}
	bag := map[string]int{}
	for _, text := range clean {
		bag[text]++
	}
	both := 0
	for _, text := range loaded {
		if bag[text] > 0 {
			bag[text]--
			both++
		}
	}
	if both == 0 {
		return shares{}
	}
	p, r := float64(both)/float64(len(clean)), float64(both)/float64(len(loaded))
	return shares{p, r, 2 * p * r / (p + r)}
}

func normalized(row []string) []string {
	out := make([]string, len(row))
	for i, cell := range row {
		out[i] = normalize(cell)
	}
	return out
}

var (
	wholeNumber = regexp.MustCompile(`^[+-]?[0-9]+(_[0-9]+)*$`)
	clock       = regexp.MustCompile(`^([01]?[0-9]|2[0-3]):([0-5][0-9])(:[0-5][0-9])?$`)
	price       = regexp.MustCompile(`([$€£])\s*([0-9]+(?:\.[0-9]+)?)`)
)

// normalize gives numbers, words of truth, times and prices the spelling in
// which the benchmark compares them, and everything else in lower case. The
// benchmark also reads dates in any spelling; a load never changes them, so
// that here they are text.
func normalize(cell string) string {
	text := strings.TrimSpace(cell)
	switch cell {
	case "True", "true":
		return "1"
	case "False", "false":
		return "0"
	}
	if wholeNumber.MatchString(text) {
		n, _ := new(big.Int).SetString(strings.ReplaceAll(text, "_", ""), 10)
		return n.String()
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && !strings.ContainsAny(text, "xXpP_") {
		if exp := strconv.FormatFloat(f, 'e', -1, 64); strings.HasSuffix(exp, "e+16") || f >= 1e16 || f <= -1e16 {
			return exp
		}
		s := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.ContainsAny(s, ".NI") {
			s += ".0"
		}
		return s
	}
	if m := clock.FindStringSubmatch(text); m != nil {
		if m[3] == "" {
			m[3] = ":00"
		}
		return strings.Repeat("0", 2-len(m[1])) + m[1] + ":" + m[2] + m[3]
	}
	if m := price.FindStringSubmatch(text); m != nil {
		f, _ := strconv.ParseFloat(m[2], 64) // of digits
		return m[1] + strconv.FormatFloat(f, 'f', -1, 64)
	}
	return strings.ToLower(cell)
}

func TestMeasure(t *testing.T) {
	clean := [][]string{{"Id", "Name"}, {"1", "Ann"}, {"2", "Bob"}, {"3", "Cy"}, {"4", ""}}
	same := shares{1, 1, 1}
	for name, tt := range map[string]struct {
		clean, loaded [][]string
		want          measure
	}{
		"all":               {clean, clean, measure{1, same, same, same}},
		"other spelling":    {clean, [][]string{{"id", "NAME"}, {"01", "ann"}, {"2", "bob"}, {"3", "cy"}, {"4", ""}}, measure{1, same, same, common([]string{"Id", "Name", "1", "Ann", "2", "Bob", "3", "Cy", "4", ""}, []string{"2", "3", "4", "", "a", "b", "c", "d", "e", "f"})}},
		"a row less":        {clean, clean[:4], measure{1, same, shares{.75, 1, 1.5 / 1.75}, shares{.8, 1, 1.6 / 1.8}}},
		"cells shifted":     {clean[:2], [][]string{{"Id", "Name"}, {"1Ann", ""}}, measure{1, same, same, shares{.5, .5, .5}}},
		"twice is not once": {[][]string{{"a"}, {"x"}}, [][]string{{"a"}, {"x"}, {"x"}}, measure{1, same, shares{1, .5, 1 / 1.5}, shares{1, 2. / 3, 4. / 5}}},
		"nothing loaded":    {clean, nil, measure{success: 1}},
		"nothing to load":   {nil, clean, measure{1, same, same, same}},
	} {
		if got := compare(tt.clean, tt.loaded); fmt.Sprintf("%.9f", got) != fmt.Sprintf("%.9f", tt.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, tt.want)
		}
	}
	for cell, want := range map[string]string{
		"": "", " ": " ", "A b": "a b", "007": "7", "+5": "5", "2.50": "2.5", "3.0": "3.0", "1e3": "1000.0", "true": "1", "False": "0",
		"00:00": "00:00:00", "9:05:07": "09:05:07", "$48.00": "$48", "$48.00 each": "$48", "0x1F": "0x1f", "1_000": "1000",
	} {
		if got := normalize(cell); got != want {
			t.Errorf("%q: got %q, want %q", cell, got, want)
		}
	}
}
