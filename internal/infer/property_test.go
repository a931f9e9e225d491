package infer_test

import (
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/bucketload/bucketload/internal/infer"
)

var (
	numericSyntax = regexp.MustCompile(`^-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$`)
	uuidSyntax    = regexp.MustCompile(`(?i)^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	booleanSyntax = regexp.MustCompile(`(?i)^(true|false)$`)
)

// accepts says, by other means than the package's, whether the type takes a
// value and gives back the same.
func accepts(typ, text string) bool {
	s := strings.Trim(text, " \t")
	parses := func(layouts ...string) bool {
		return slices.ContainsFunc(layouts, func(layout string) bool {
			_, err := time.Parse(layout, strings.Replace(s, "T", " ", 1))
			return err == nil
		})
	}
	switch {
	case typ == "text" || s == "":
		return true
	case typ == "boolean":
		return booleanSyntax.MatchString(s)
	case typ == "bigint":
		n, ok := new(big.Int).SetString(s, 10)
		return ok && n.IsInt64() && (n.String() == s || s == "-0")
	case typ == "numeric":
		_, ok := new(big.Rat).SetString(s)
		return ok && numericSyntax.MatchString(s)
	case typ == "date":
		return parses("2006-01-02")
	case typ == "timestamp":
		return parses("2006-01-02 15:04", "2006-01-02 15:04:05")
	case typ == "timestamptz":
		var layouts []string
		for _, clock := range []string{"15:04", "15:04:05"} {
			for _, zone := range []string{"Z07:00", "Z0700", "Z07"} {
				layouts = append(layouts, "2006-01-02 "+clock+zone)
			}
		}
		return parses(layouts...)
	case typ == "uuid":
		return uuidSyntax.MatchString(s)
	}
	return false
}

// value draws what columns hold, close to every border between types.
func value() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"", " ", "NA", `\N`, "true", "FALSE", "0", "-0", "00", "7", "9999", "9999", "999.9", "999.9", "-99", "725030",
			"009.2", "1.5", "-.5", "5.", "1e-05", "12E45", "+1", "9223372036854775807", "9223372036854775808", "1e+999", "1.0e+1000",
			"2020-02-29", "2021-02-29", "2020-01-01 10:00", "2020-01-01T10:00:00.5", "2020-01-01T10:00:00Z", "2020-01-01 10:00-0330",
			"1/2/2020", "13/2/2020", "1/13/20 9:00", "123e4567-e89b-12d3-a456-426614174000", "x", "1,5"}),
		rapid.StringMatching(`-?[0-9]{1,20}`),
		rapid.StringMatching(`-?[0-9]{0,4}\.[0-9]{0,4}([eE][+-]?[0-9]{1,4})?`),
		rapid.StringMatching(`[ \t]{0,2}[0-9]{1,3}[ ]{0,2}`),
		rapid.StringMatching(`20[0-9]{2}-[01][0-9]-[0-3][0-9]([T ][0-2][0-9]:[0-6][0-9](:[0-6][0-9](\.[0-9]{1,7})?)?(Z|[+-][0-2][0-9](:?[0-6][0-9])?)?)?`),
		rapid.StringMatching(`[0-9]{1,2}[/.-][0-9]{1,2}[/.-][0-9]{2,4}`),
	)
}

// samples draws files over few headers, with columns of one kind as well as mixed.
func samples() *rapid.Generator[[]infer.Sample] {
	return rapid.Custom(func(t *rapid.T) []infer.Sample {
		headers := []string{"a", "A", "b", " b", "c"}
		pools := map[string][]string{}
		for _, h := range headers {
			pools[h] = rapid.SliceOfN(value(), 1, 3).Draw(t, "pool")
		}
		var out []infer.Sample
		for range rapid.IntRange(1, 5).Draw(t, "files") {
			s := infer.Sample{URI: "x.csv", Header: rapid.Permutation(headers).Draw(t, "header")}
			s.Header = s.Header[:rapid.IntRange(0, len(headers)).Draw(t, "width")]
			for range rapid.IntRange(0, 8).Draw(t, "rows") {
				var row []infer.Value
				for _, h := range s.Header {
					row = append(row, infer.Value{Text: rapid.SampledFrom(pools[h]).Draw(t, "value"), Quoted: rapid.Bool().Draw(t, "quoted")})
				}
				s.Rows = append(s.Rows, row)
			}
			out = append(out, s)
		}
		return out
	})
}

// types gives each header's type.
func types(columns []infer.Column) map[string]string {
	m := map[string]string{}
	for _, c := range columns {
		for _, from := range c.From {
			m[from] = c.Type
		}
	}
	return m
}

// Every name that is taken has the least number added to it that makes it another.
func TestNumberedNames(t *testing.T) {
	var headers []string
	for _, n := range []int{1, 59, 60, 61, 62, 63} {
		x := strings.Repeat("x", n)
		for _, end := range []string{"", "_2", "_3", "_9", "_10", "_11", "y", "yy", "yyy"} {
			headers = append(headers, x+end, strings.ToUpper(x+end), strings.ToTitle(x)+end)
		}
	}
	slices.Sort(headers)
	headers = append(slices.Compact(headers), "xmin", "XMIN", "xmin_2")
	rapid.Check(t, func(t *rapid.T) {
		header := rapid.Permutation(headers).Draw(t, "header")
		taken := map[string]bool{"xmin": true}
		for i, c := range columnsFrom([]infer.Sample{{Header: header}}, infer.Options{LowerCase: true}) {
			base := infer.ColumnName(header[i], true)
			want := base
			for n := 2; taken[want]; n++ {
				suffix := fmt.Sprint("_", n)
				want = base[:min(len(base), 63-len(suffix))] + suffix
			}
			if taken[want] = true; c.Name != want {
				t.Fatalf("want %s, got %s", want, c.Name)
			}
		}
	})
}

// Names that Postgres would cut to the same are numbered without going through
// all numbers for each, which would take minutes here.
func TestManyNamesAlike(t *testing.T) {
	const n = 50_000
	header := make([]string, n)
	for i := range header {
		header[i] = fmt.Sprint(strings.Repeat("x", 63), i)
	}
	columns := columnsFrom([]infer.Sample{{Header: header}}, infer.Options{AllText: true})
	if last := columns[n-1].Name; last != fmt.Sprint(strings.Repeat("x", 57), "_", n) {
		t.Error(last)
	}
}

func TestTypesTakeEveryValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		files := samples().Draw(t, "samples")
		checkColumns(t, files, columnsFrom(files, infer.Options{LowerCase: true}))
	})
}

type fataler interface{ Fatalf(string, ...any) }

// checkColumns holds what is true of every inference.
func checkColumns(t fataler, files []infer.Sample, columns []infer.Column) {
	byHeader, names := types(columns), map[string]bool{}
	for _, c := range columns {
		if names[c.Name] || c.Name == "" || len(c.Name) > 63 || !utf8.ValidString(c.Name) || c.Evidence == "" {
			t.Fatalf("column %+v", c)
		}
		names[c.Name] = true
		if (c.SentinelType == "") != (len(c.Sentinels) == 0) {
			t.Fatalf("sentinels without a type: %+v", c)
		}
	}
	for _, file := range files {
		for _, row := range file.Rows {
			for i, v := range row[:min(len(row), len(file.Header))] {
				typ, ok := byHeader[file.Header[i]]
				if !ok {
					t.Fatalf("no column for header %q", file.Header[i])
				}
				if slices.Index(file.Header, file.Header[i]) == i && !accepts(typ, v.Text) {
					t.Fatalf("%q in a column of type %s", v.Text, typ)
				}
			}
		}
	}
}

func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		files := samples().Draw(t, "samples")
		want := types(columnsFrom(files, infer.Options{LowerCase: true}))
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		r.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
		for _, f := range files {
			r.Shuffle(len(f.Rows), func(i, j int) { f.Rows[i], f.Rows[j] = f.Rows[j], f.Rows[i] })
		}
		if got := types(columnsFrom(files, infer.Options{LowerCase: true})); !maps.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestBlanksHaveNoVote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		files := samples().Draw(t, "samples")
		want := types(columnsFrom(files, infer.Options{}))
		files = append(files, infer.Sample{URI: "empty.csv"})
		for i := range files {
			header := files[i].Header
			blank := slices.Repeat([]infer.Value{{Text: rapid.SampledFrom([]string{"", "  "}).Draw(t, "blank")}}, len(header))
			files[i].Rows = append(files[i].Rows, blank, nil)
			if rapid.Bool().Draw(t, "header only") {
				files = append(files, infer.Sample{URI: "header.csv", Header: header})
			}
		}
		if got := types(columnsFrom(files, infer.Options{})); !maps.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func FuzzColumns(f *testing.F) {
	f.Add("a,A,\xff\n1,009.2,2020-01-01\n-9999,,1/2/20\n", "A,b\ntrue,NA\n", true)
	f.Add("XMIN,,\n1.,+1,12E45\n", "\x00\n123e4567-e89b-12d3-a456-426614174000\n", false)
	f.Fuzz(func(t *testing.T, one, two string, lower bool) {
		var files []infer.Sample
		for _, text := range []string{one, two} {
			var s infer.Sample
			for i, line := range strings.Split(text, "\n") {
				var row []infer.Value
				for field := range strings.SplitSeq(line, ",") {
					inner, quoted := strings.CutPrefix(field, `"`)
					row = append(row, infer.Value{Text: inner, Quoted: quoted})
				}
				if i > 0 {
					s.Rows = append(s.Rows, row)
					continue
				}
				for _, v := range row {
					s.Header = append(s.Header, v.Text)
				}
			}
			files = append(files, s)
		}
		checkColumns(t, files, columnsFrom(files, infer.Options{LowerCase: lower}))
	})
}
