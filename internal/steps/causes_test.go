package steps

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/pgcopy"
)

func TestCures(t *testing.T) {
	column := func(typ string, change ...func(*bucketload.Column)) bucketload.Column {
		c := bucketload.Column{Name: "c", Type: typ}
		for _, f := range change {
			f(&c)
		}
		return c
	}
	ascending := func(n int, prefix string) (values []string) {
		for i := range n {
			values = append(values, prefix+strconv.Itoa(i))
		}
		return values
	}
	cases := []struct {
		name   string
		code   bucketload.Code
		column bucketload.Column
		values []string
		cures  []string
	}{
		{"a mark for no value", bucketload.CodeValue, column("numeric"), []string{"N/A", "N/A", "-"},
			[]string{`columns: {c: {null_if: ["N/A", "-"]}} replay`, `columns: {c: {type: text}} load`}},
		{"beside those that are known", bucketload.CodeValue, column("bigint", func(c *bucketload.Column) { c.NullIf = []string{"9999"} }), []string{"x"},
			[]string{`columns: {c: {null_if: ["9999", "x"]}} replay`, `columns: {c: {type: text}} load`}},
		{"too many different ones", bucketload.CodeValue, column("numeric"), ascending(100, "x"), []string{`columns: {c: {type: text}} load`}},
		{"a bigger type", bucketload.CodeValue, column("integer"), []string{"3000000000", "4000000000"},
			[]string{`columns: {c: {type: bigint}} load`, `columns: {c: {null_if: ["3000000000", "4000000000"]}} replay`}},
		{"a type with a fraction", bucketload.CodeValue, column("int"), append(ascending(50, "1."), "99999999999"), []string{`columns: {c: {type: numeric}} load`}},
		{"one of many does not fit", bucketload.CodeValue, column("integer"), append(ascending(50, "99999999990"), "x"), []string{`columns: {c: {type: text}} load`}},
		{"a decimal comma", bucketload.CodeValue, column("numeric(8,2)"), append(ascending(20, "1,"), "-0,5"),
			[]string{`csv: {decimal: ","} replay`}},
		{"a decimal comma and points between thousands", bucketload.CodeValue, column("numeric(8,2)"), append(ascending(20, "1,"), "1.000,5"), []string{`csv: {decimal: ",", thousands: "."} replay`}},
		{"a sentinel", bucketload.CodeValue, column("int"), []string{"9999.9", "9999.9"}, []string{`columns: {c: {type: numeric}} load`, `columns: {c: {null_if: ["9999.9"]}} replay`}},
		{"a date with the day first", bucketload.CodeValue, column("date"), []string{"31.12.2022", "01.02.2022"},
			[]string{`columns: {c: {format: ["YYYY-MM-DD", "DD.MM.YYYY"]}} replay`}},
		{"a date that tells not which is the day", bucketload.CodeValue, column("date"), []string{"01/02/2022", "03/04/2022"},
			[]string{`columns: {c: {format: ["YYYY-MM-DD", "DD/MM/YYYY"]}} replay`, `columns: {c: {format: ["YYYY-MM-DD", "MM/DD/YYYY"]}} replay`}},
		{"a date that tells", bucketload.CodeValue, column("date"), []string{"01/02/2022", "03/14/2022", "03/14/2022"},
			[]string{`columns: {c: {format: ["YYYY-MM-DD", "MM/DD/YYYY"]}} replay`}},
		{"beside the format that is known", bucketload.CodeValue, column("date", func(c *bucketload.Column) { c.Format = []string{"YYYYMMDD"} }), ascending(9, "2022-01-0")[1:],
			[]string{`columns: {c: {format: ["YYYYMMDD", "YYYY-MM-DD"]}} replay`, `columns: {c: {type: timestamp}} load`}},
		{"a date with a time", bucketload.CodeValue, column("date"), []string{"2022-01-01 12:00:00"}, []string{`columns: {c: {type: timestamp}} load`, `columns: {c: {null_if: ["2022-01-01 12:00:00"]}} replay`}},
		{"a moment", bucketload.CodeValue, column("timestamp without time zone"), ascending(9, "13.01.2022 12:00:0"),
			[]string{`columns: {c: {format: ["YYYY-MM-DD HH24:MI:SS", "DD.MM.YYYY HH24:MI:SS"]}} replay`}},
		{"a zone", bucketload.CodeValue, column("timestamp"), []string{"2022-01-01T12:00:00Z"}, []string{`columns: {c: {type: timestamptz}} load`, `columns: {c: {null_if: ["2022-01-01T12:00:00Z"]}} replay`}},
		{"too long", bucketload.CodeValue, column("character varying(3)"), ascending(30, "long"), []string{`columns: {c: {type: text}} load`}},
		{"a value of which only the beginning is known", bucketload.CodeValue, column("numeric"), []string{bucketload.Excerpt([]byte(strings.Repeat("1", 300)), maxValue)}, []string{`columns: {c: {type: text}} load`}},
		{"an odd name", bucketload.CodeValue, bucketload.Column{Name: `a "b", c`, Type: "int"}, []string{"\x01\""},
			[]string{`columns: {"a \"b\", c": {null_if: ["\x01\""]}} replay`, `columns: {"a \"b\", c": {type: text}} load`}},
		{"text takes everything already", bucketload.CodeValue, column("text"), ascending(30, "x"), nil},
		{"no column", bucketload.CodeValue, bucketload.Column{}, []string{""}, nil},
		{"no value", bucketload.CodeNull, column("int"), []string{""}, nil},
		{"not UTF-8", bucketload.CodeUTF8, column("text"), []string{"x"}, []string{"csv: {invalid_utf8: replace} replay"}},
		{"NUL", bucketload.CodeNUL, column("text"), []string{"x"}, []string{"csv: {nul: strip} replay"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			g := newCauses([]bucketload.Column{c.column})
			for i, v := range c.values {
				r := &ledger.Rejected{URI: "a"}
				r.Line, r.Code, r.Column, r.Value, r.Message = int64(i), c.code, c.column.Name, v, strconv.Quote(v)+" is not right"
				g.add(r)
			}
			causes := g.list()
			if len(causes) != 1 || causes[0].Rows != int64(len(c.values)) || causes[0].Example.Line != 0 {
				t.Fatalf("%+v", causes)
			}
			var got []string
			for _, cure := range causes[0].Cures {
				got = append(got, cure.Line+" "+cure.Then)
			}
			if !slices.Equal(got, c.cures) {
				t.Errorf("\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.cures, "\n"))
			}
		})
	}
}

// TestCuresOfKeptColumns: the columns of a table that stays are changed by nobody but
// its owner, and then take what was rejected.
func TestCuresOfKeptColumns(t *testing.T) {
	t.Parallel()
	whole := newBench(t, 0)
	for name, c := range map[string]struct {
		change func(*bucketload.Load)
		then   string
	}{
		"append":   {func(l *bucketload.Load) { l.Mode = bucketload.ModeAppend }, CureReplay},
		"in place": {inPlace, CureReplay},
		"upsert":   {merging(bucketload.ModeUpsert, "n"), CureLoad},
	} {
		t.Run(name, func(t *testing.T) {
			b := whole.part(t)
			b.exec(b.named("CREATE TABLE {t} (f text, n bigint UNIQUE)"))
			load := b.load(map[string]string{"a.csv": "f,n\na,1\na,2.5\n"}, tolerating(t, "90%", ""), c.change)
			r, err := b.whole(load)
			b.must(err)
			causes, err := b.Causes(t.Context(), *r.ID)
			b.must(err)
			cure := Cure{b.named(`ALTER TABLE "public"."{t}" ALTER COLUMN "n" TYPE numeric`), c.then}
			if len(causes) != 1 || len(causes[0].Cures) == 0 || causes[0].Cures[0] != cure || !strings.HasPrefix(causes[0].Hint, "take a type that holds it: "+cure.Line) {
				t.Fatalf("%+v, want %+v", causes, cure)
			}
			b.exec(cure.Line)
			if cure.Then == CureReplay {
				_, err = b.Replay(t.Context(), *r.ID, b.mended(*r.ID, func(*bucketload.Load) {}))
			} else {
				load.Force = true
				_, err = b.whole(load)
			}
			b.must(err)
			if sum := b.value(b.named("SELECT sum(n) FROM {t}")); sum != "3.5" {
				t.Errorf("sum %s", sum)
			}
		})
	}
}

func TestRaggedCures(t *testing.T) {
	for _, c := range []struct {
		fields []int // of rows that need 5
		cures  []Cure
	}{
		{[]int{3, 4}, []Cure{{"csv: {ragged: pad}", CureReplay}, {"csv: {ragged: truncate}", CureReplay}}},
		{[]int{3, 6}, []Cure{{"csv: {ragged: truncate}", CureReplay}}},
	} {
		g := newCauses(nil)
		for _, n := range c.fields {
			r := &ledger.Rejected{URI: "a"}
			r.Code, r.Message = bucketload.CodeRagged, fmt.Sprintf("the row has %d fields, the header has 5", n)
			g.add(r)
		}
		if causes := g.list(); len(causes) != 1 || !slices.Equal(causes[0].Cures, c.cures) {
			t.Errorf("%v: %+v", c.fields, causes[0])
		}
	}
}

func TestQuoteCures(t *testing.T) {
	for _, c := range []struct {
		message string
		cures   []Cure
	}{
		{`a quote inside a field that does not begin with one: 5" pipe,2`, []Cure{{"csv: {stray_quotes: keep}", CureReplay}}},
		{`a quote inside a field that does not begin with one: 5" pipe,2; 3 lines are given up, up to where a row begins for certain`, []Cure{}},
		{`blanks before a quote: a, "b"`, []Cure{{"csv: {unquoted_blanks: trim}", CureReplay}}},
		{`blanks behind a closing quote: "a" ,b`, []Cure{{"csv: {unquoted_blanks: trim}", CureReplay}}},
		{`something follows a closing quote: "a"b`, []Cure{}},
		{"the quote that opens here is never closed", []Cure{}},
	} {
		g := newCauses(nil)
		r := &ledger.Rejected{URI: "a"}
		r.Code, r.Message = bucketload.CodeQuote, c.message
		g.add(r)
		if causes := g.list(); len(causes) != 1 || !slices.Equal(causes[0].Cures, c.cures) {
			t.Errorf("%s: %+v", c.message, causes[0].Cures)
		}
	}
}

// TestCausesAreTold: what differs only by what is the row's own is one cause;
// what has another reason is another.
func TestCausesAreTold(t *testing.T) {
	same := [][][2]string{ // message, value
		{{`"x" is not integer`, "x"}, {`"y\"" is not integer`, `y"`}},
		{{`the value has 12 characters, character varying(10) takes 10`, "aaaaaaaaaaaa"}, {`the value has 11 characters, character varying(10) takes 10`, "bbbbbbbbbbb"}},
		{{`invalid input value for enum mood: "angry" (SQLSTATE 22P02)`, "angry"}, {`invalid input value for enum mood: "bored" (SQLSTATE 22P02)`, "bored"}},
		{{`new row for relation "t" violates check constraint "small" (SQLSTATE 23514): Failing row contains (a, 1).`, ""},
			{`new row for relation "t" violates check constraint "small" (SQLSTATE 23514): Failing row contains (b, 2).`, ""}},
		{{`new row for relation "t" violates check constraint "other" (SQLSTATE 23514): Failing row contains (b, 2).`, ""}},
		{{`something follows a closing quote: "a"b`, ""}, {`something follows a closing quote: "c"d`, ""}},
		{{`"x" is not numeric(8,2)`, "x"}},
		{{`"x" is not numeric(9,2)`, "x"}},
	}
	g := newCauses(nil)
	for _, messages := range same {
		for _, m := range messages {
			r := &ledger.Rejected{URI: "a"}
			r.Code, r.Message, r.Value = bucketload.CodeValue, m[0], m[1]
			g.add(r)
		}
	}
	if causes := g.list(); len(causes) != len(same) {
		for _, c := range causes {
			t.Errorf("%d %s", c.Rows, c.Message)
		}
	}
}

// TestCausesBounded: however different the messages, there are only so many
// causes, and no row is lost.
func TestCausesBounded(t *testing.T) {
	g := newCauses(nil)
	for i := range 3 * maxCauses {
		r := &ledger.Rejected{}
		r.File, r.Code, r.Message, r.Value = i, bucketload.CodeValue, "odd"+strconv.Itoa(i), "v"+strconv.Itoa(i)
		g.add(r)
	}
	causes := g.list()
	var rows, files int64
	for _, c := range causes {
		rows += c.Rows
		files += c.Files
		if len(c.Values) > maxValues {
			t.Errorf("%d values", len(c.Values))
		}
	}
	if len(causes) != maxCauses+1 || rows != 3*maxCauses || files != rows || causes[0].Rows != 2*maxCauses {
		t.Errorf("%d causes, %d rows, %d files", len(causes), rows, files)
	}
}

// TestCuresCure: under a cure that is to be replayed every value of the cause
// is taken.
func TestCuresCure(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		types := map[string]pgcopy.Column{"numeric": typeNumeric, "bigint": typeBigint, "date": typeDate, "timestamp": typeTimestamp, "timestamptz": typeTimestamptz, "time": typeTime}
		typ := rapid.SampledFrom([]string{"numeric", "bigint", "date", "timestamp", "timestamptz", "time"}).Draw(t, "type")
		values := rapid.SliceOfN(rapid.OneOf(rapid.String(), rapid.StringMatching(`[0-3][0-9][./-][01][0-9][./-]20[0-9]{2}( 1[0-9]:[0-5][0-9])?`),
			rapid.StringMatching(`-?[0-9]{1,3}([.,][0-9]{1,4})?`)), 1, 5).Draw(t, "values")
		g := newCauses([]bucketload.Column{{Name: "c", Type: typ}})
		for _, v := range values {
			r := &ledger.Rejected{}
			r.Code, r.Column, r.Message, r.Value = bucketload.CodeValue, "c", "it is not right", v
			g.add(r)
		}
		for _, cause := range g.list() {
			for _, cure := range cause.Cures {
				if !strings.Contains(cure.Line, "format: ") {
					continue
				}
				_, list, _ := strings.Cut(cure.Line, "format: [")
				list, _, _ = strings.Cut(list, "]")
				c := types[typ]
				for quoted := range strings.SplitSeq(list, ", ") {
					pattern, err := strconv.Unquote(quoted)
					if err != nil {
						continue // a pattern with a comma
					}
					c.Format = append(c.Format, pattern)
				}
				enc, err := pgcopy.NewEncoder(pgcopy.Binary, []pgcopy.Column{c})
				if err != nil {
					t.Fatal(cure.Line, err)
				}
				for _, v := range values {
					if _, err := enc.Append(nil, []bucketload.Field{{Bytes: []byte(v), Quoted: true}}); err != nil && !strings.Contains(list, "Mon DD, ") {
						t.Errorf("%s: %v", cure.Line, err)
					}
				}
			}
		}
	})
}
