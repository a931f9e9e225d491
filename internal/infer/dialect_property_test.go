package infer_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/bucketload/bucketload"
)

// grid is a table: the first row has the names.
type grid [][]string

// drawGrid makes a table of a few columns, each with values of one kind.
func drawGrid(r *rand.Rand) grid {
	words := strings.Fields("north South river lake Dr. O'Neil it's café Bär x-ray e.g. 5\" #1 a/b 50% (new) Smith; Jones, said: \"so\" | end :: C:\\tmp")
	text := func(n int) string {
		var s []string
		for range 1 + r.IntN(n) {
			s = append(s, words[r.IntN(len(words))])
		}
		return strings.Join(s, " ")
	}
	kinds := []func() string{
		func() string { return fmt.Sprint(r.IntN(100000) - 1000) },
		func() string { return fmt.Sprintf("%.2f", r.NormFloat64()*100) },
		func() string { return fmt.Sprintf("20%02d-%02d-%02d", r.IntN(30), 1+r.IntN(12), 1+r.IntN(28)) },
		func() string { return fmt.Sprintf("%02d:%02d", r.IntN(24), r.IntN(60)) },
		func() string { return words[r.IntN(3)] },
		func() string { return text(2) },
		func() string { return text(6) },
		func() string { return []string{"", "x", "yes"}[r.IntN(3)] },
		func() string { return text(2) + "\n" + text(2) },
	}
	names := strings.Fields("id name date price city note amount when kind unit")
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	var columns []func() string
	for range 2 + r.IntN(6) {
		columns = append(columns, kinds[r.IntN(len(kinds))])
	}
	g := grid{names[:len(columns)]}
	for range 1 + r.IntN(30) {
		var row []string
		for _, column := range columns {
			row = append(row, column())
		}
		g = append(g, row)
	}
	return g
}

// drawDialect picks any that can be found out. Where blanks delimit, a title is
// a row like the others.
func drawDialect(r *rand.Rand) bucketload.CSV {
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	d := bucketload.CSV{Header: true, Encoding: "utf-8"}
	d.Delimiter = pick(",", ",", ",", "\t", ";", "|", ":", " ", "^", "~", "||", "::", ", ", " | ", "\x01", "~|~")
	d.Quote = pick(`"`, `"`, `"`, "'")
	d.Escape = pick(d.Quote, d.Quote, `\`)
	if d.Delimiter != " " {
		d.SkipHead = max(0, r.IntN(6)-3)
	}
	if strings.Contains(",\t;", d.Delimiter) && d.Quote == `"` && r.IntN(4) == 0 {
		d.UnquotedBlanks = bucketload.PolicyTrim
	}
	return d
}

// write gives the table in the dialect. Fields are quoted where they must be, or
// all of text, or all; where blanks are trimmed there are some around many quotes.
func (g grid) write(d bucketload.CSV, r *rand.Rand) string {
	var b strings.Builder
	for i := range d.SkipHead {
		b.WriteString([]string{"Report of the year 2020\n", "\n", "Source: the office\n"}[i])
	}
	style := r.IntN(3)
	margin := func() string { return "" }
	if d.UnquotedBlanks == bucketload.PolicyTrim {
		margin = func() string { return []string{"", " ", "  "}[r.IntN(3)] }
	}
	end := []string{"\n", "\r\n"}[r.IntN(2)]
	for _, row := range g {
		blank := strings.Join(row, "") == ""
		for i, value := range row {
			if i > 0 {
				b.WriteString(d.Delimiter)
			}
			must := strings.Contains(value, d.Delimiter) || strings.ContainsAny(value, d.Quote+"\r\n") || strings.Trim(value, `"'`) != value || strings.TrimSpace(value) != value ||
				d.Delimiter != "" && strings.ContainsAny(value, d.Delimiter) || blank || value == "" && strings.TrimSpace(d.Delimiter) == ""
			if !must && (style == 0 || style == 1 && strings.Trim(value, "0123456789.-") == "") {
				b.WriteString(value)
				continue
			}
			if d.Escape != d.Quote {
				value = strings.ReplaceAll(value, d.Escape, d.Escape+d.Escape)
			}
			b.WriteString(margin() + d.Quote + strings.ReplaceAll(value, d.Quote, d.Escape+d.Quote) + d.Quote + margin())
		}
		b.WriteString(end)
	}
	return b.String()
}

// parse reads a text in a dialect, as strictly as can be.
func parse(text string, d bucketload.CSV) (grid, error) {
	skipBlanks := func() {
		for d.UnquotedBlanks == bucketload.PolicyTrim && text != "" && strings.Contains(" \t", text[:1]) && !strings.HasPrefix(text, d.Delimiter) {
			text = text[1:]
		}
	}
	for range d.SkipHead {
		_, text, _ = strings.Cut(text, "\n")
	}
	var g grid
	var row []string
	for text != "" {
		if len(row) == 0 && d.Comment != "" && strings.HasPrefix(text, d.Comment) {
			_, text, _ = strings.Cut(text, "\n")
			continue
		}
		var value strings.Builder
		skipBlanks()
		if d.Quote != "" && strings.HasPrefix(text, d.Quote) {
			for text = text[1:]; !strings.HasPrefix(text, d.Quote) || d.Escape == d.Quote && strings.HasPrefix(text, d.Quote+d.Quote); {
				if text == "" {
					return nil, fmt.Errorf("a quote is not closed")
				}
				if strings.HasPrefix(text, d.Escape+d.Quote) || strings.HasPrefix(text, d.Escape+d.Escape) {
					text = text[1:]
				}
				value.WriteByte(text[0])
				text = text[1:]
			}
			text = text[1:]
			skipBlanks()
		} else {
			n := len(text)
			for _, stop := range []string{d.Delimiter, "\n", "\r\n"} {
				if i := strings.Index(text, stop); i >= 0 {
					n = min(n, i)
				}
			}
			if d.Quote != "" && strings.Contains(text[:n], d.Quote) {
				return nil, fmt.Errorf("a stray quote in %q", text[:n])
			}
			value.WriteString(text[:n]) // equal passes over blanks behind it
			text = text[n:]
		}
		row = append(row, value.String())
		if rest, ok := strings.CutPrefix(text, d.Delimiter); ok && text != "" {
			if text = rest; text == "" {
				row = append(row, "")
			}
			continue
		}
		rest, ok := strings.CutPrefix(strings.TrimPrefix(text, "\r"), "\n")
		if !ok && text != "" {
			return nil, fmt.Errorf("%q after a quote", text[:1])
		}
		if text = rest; len(row) > 1 || row[0] != "" {
			g = append(g, row)
		}
		row = nil
	}
	return g, nil
}

// equal compares but for blanks around values, which a delimiter with blanks
// takes away.
func equal(a, b grid) bool {
	return slices.EqualFunc(a, b, func(x, y []string) bool {
		return slices.EqualFunc(x, y, func(s, t string) bool { return strings.TrimSpace(s) == strings.TrimSpace(t) })
	})
}

// TestDialectIsFound writes random tables in random dialects: a verdict gives
// the table back, or is one that a load refuses, and few are not found at all.
func TestDialectIsFound(t *testing.T) {
	const tables = 2000
	refused, usual, broken := 0, 0, 0
	for seed := range uint64(tables) {
		r := rand.New(rand.NewPCG(seed, 1))
		g, d := drawGrid(r), drawDialect(r)
		text := g.write(d, r)
		got, evidence, err := sniff([]byte(text))
		if err != nil {
			refused++
			if len(d.Delimiter) == 1 && strings.Contains(",\t;|", d.Delimiter) && d.Quote == `"` {
				usual++
				t.Logf("seed %d, %q %q %q %d: %v", seed, d.Delimiter, d.Quote, d.Escape, d.SkipHead, err)
			}
			continue
		}
		read, err := parse(text, got)
		if err != nil {
			broken++
			continue
		}
		if !got.Header || !equal(read, g) {
			t.Errorf("seed %d: wrote %q %q %q %d, got %q %q %q %q %d header %v: %s\n%.400s", seed, d.Delimiter, d.Quote, d.Escape, d.SkipHead,
				got.Delimiter, got.Quote, got.Escape, got.Comment, got.SkipHead, got.Header, evidence, text)
		}
	}
	t.Logf("%d refused, %d of them with a usual delimiter and quote, %d found but not to be read, of %d", refused, usual, broken, tables)
	if refused+broken > tables/10 || usual > tables/100 {
		t.Errorf("%d of %d refused, %d of them with a usual delimiter and quote", refused, tables, usual)
	}
}
