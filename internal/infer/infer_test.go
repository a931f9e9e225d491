package infer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/infer"
)

// columnsFrom infers the columns of files.
func columnsFrom(samples []infer.Sample, opts infer.Options) []infer.Column {
	s := infer.NewSurvey(opts)
	for _, sample := range samples {
		if err := s.Add(sample); err != nil {
			panic(err)
		}
	}
	return s.Columns()
}

// column infers one column from values; "q:" before one puts it in quotes.
func column(values ...string) infer.Column {
	s := infer.Sample{URI: "a.csv", Header: []string{"v"}}
	for _, v := range values {
		text, quoted := strings.CutPrefix(v, "q:")
		s.Rows = append(s.Rows, []infer.Value{{Text: text, Quoted: quoted}})
	}
	return columnsFrom([]infer.Sample{s}, infer.Options{})[0]
}

func TestTypes(t *testing.T) {
	tests := []struct {
		values, typ string // values separated by |
		evidence    string // a part of it
	}{
		{"", "text", "no value seen; 1 blank"},
		{" |\t|", "text", "no value seen; 3 blank"},

		{"true|False|TRUE", "boolean", "all 3 values are booleans like true"},
		{"t|f", "text", `text like "t"`},
		{"yes|no", "text", "text like"},
		{"true|1", "text", `"1" (a.csv)`},

		{"1|-2|0|", "bigint", "all 3 values are integers like 1; 1 blank"},
		{"  7| 12", "bigint", "integers like 7"},
		{"9223372036854775807|-9223372036854775808", "bigint", ""},
		{"1|3000000000", "bigint", ""},
		{"9223372036854775808|1", "text", `"9223372036854775808" (a.csv) is beyond bigint; if it is a quantity write type: numeric`},
		{"12345678901234567890", "text", "beyond bigint"},
		{"1|00501", "text", `"00501" (a.csv) has a leading zero`},
		{"-007", "text", "leading zero"},
		{"+49301234", "text", "plus sign"},
		{"1,204", "text", ""},
		{"1 204", "text", ""},
		{"0x1F", "text", ""},
		{"१२", "text", ""},
		{"7|n7", "text", `1 of 2 values are integers like 7, but not "n7" (a.csv)`},

		{"1.5", "numeric", "the only value seen is 1.5"},
		{"1|2.50", "numeric", "all 2 values are integers like 1 or decimals like 2.50"},
		{".5|-.5|5.", "numeric", ""},
		{"145.39199829101562001234567890", "numeric", ""},
		{"1e-05|2.5E10|1e+16", "numeric", ""},
		{"12E45", "text", "may be a code"},
		{"1e+99999", "text", ""},
		{"1.2.3", "text", ""},
		{"1..2|.|-|--", "text", ""},
		{"01.11|10.20", "text", `"01.11" (a.csv) has a leading zero; if that is padding`},
		{"009.2|998.1|999.9|999.9", "numeric", "zero-padded decimals like 009.2"},
		{"+1.5", "text", "plus sign"},

		{"2024-02-29|0001-01-01", "date", "dates like 2024-02-29"},
		{"2023-02-29", "text", "text like"},
		{"2022-13-01", "text", ""},
		{"0000-01-01", "text", ""},
		{"2022-1-1", "text", ""},
		{"20220101", "bigint", ""},
		{"2022-01-01 10:00", "timestamp", ""},
		{"2022-01-01T10:00:00|2022-01-01 10:00:00.123456", "timestamp", ""},
		{"2022-01-01T10:00:00.1234567", "text", "finer than microseconds"},
		{"2022-01-01 24:00:00", "text", ""},
		{"2022-01-01 10:00:60", "text", ""},
		{"2022-01-01T10:00:00.", "text", ""},
		{"2022-01-01T10:00:00Z|2022-01-01 10:00+02|2022-01-01 10:00-0330|2022-01-01 10:00:00.5+05:45", "timestamptz", ""},
		{"2022-01-01T10:00:00+16:00", "text", ""},
		{"2022-01-01T10:00:00+2:00", "text", ""},
		{"2022-01-01T10:00:00+02:0", "text", ""},
		{"2022-01-01T10:00:00 UTC", "text", ""},
		{"2022-01-01|2022-01-01 10:00", "text", `1 of 2 values are dates like 2022-01-01, but not "2022-01-01 10:00" (a.csv)`},
		{"2022-01-01T10:00|2022-01-01T10:00Z", "text", ""},
		{"1/2/2020|3/4/2020", "text", "write type: date, format: [DD/MM/YYYY] or [MM/DD/YYYY]"},
		{"1/2/2020|13/4/2020", "text", "write type: date, format: [DD/MM/YYYY]"},
		{"1/22/20 17:00|1/2/20 9:05", "text", "write type: timestamp, format: [MM/DD/YY HH24:MI]"},
		{"31.12.2020|NA", "text", "write type: date, format: [DD.MM.YYYY]"},
		{"2020/12/31", "text", "format: [YYYY/MM/DD]"},
		{"1/22/2020|1/22/20", "text", "several forms"},

		{"123e4567-e89b-12d3-a456-426614174000|123E4567-E89B-12D3-A456-426614174000", "uuid", ""},
		{"{123e4567-e89b-12d3-a456-426614174000}", "text", ""},

		{"q:72503014732|q:72503014733", "text", "11 digits each, in quotes, like 72503014732: an identifier"},
		{"72503014732|q:72503014733", "bigint", ""},
		{"q:725030|q:7250301", "bigint", ""},
		{"q:72503|q:72504", "bigint", ""},
		{"q:725030|q:-72503", "bigint", ""},

		{"1.5|NA|2", "text", `2 of 3 values are integers like 2 or decimals like 1.5, but not "NA" (a.csv); write type: numeric, null_if: ["NA"]`},
		{`7|\N`, "text", `write type: bigint, null_if: ["\\N"]`},
		{"NULL|n/a", "text", `only "NULL" (a.csv)`},
		{"x|NA", "text", `text like "x"`},
	}
	for _, test := range tests {
		t.Run(test.values, func(t *testing.T) {
			got := column(strings.Split(test.values, "|")...)
			if got.Type != test.typ || !strings.Contains(got.Evidence, test.evidence) {
				t.Errorf("got %s: %s\nwant %s: %s", got.Type, got.Evidence, test.typ, test.evidence)
			}
		})
	}
}

func TestSentinels(t *testing.T) {
	repeat := func(n int, values ...string) []string { return slices.Repeat(values, n) }
	tests := []struct {
		name   string
		values []string
		want   string // sentinels separated by blanks, then the type with them
	}{
		{"far from the others", append(repeat(500, "1010.2", "999.9", "987.0"), "9999.9", "9999.9"), "9999.9 numeric"},
		{"once is no pattern", append(repeat(500, "1010.2"), "9999.9"), " "},
		{"often beside the others", append(repeat(20, "999.8", "950.0", "971.3"), "999.9", "999.9", "999.9", "999.9"), "999.9 numeric"},
		{"seldom beside the others", append(repeat(100, "999.8", "950.0", "971.3"), "999.9", "999.9"), " "},
		{"small decimals", append(repeat(9, "0.01", "1.20"), "99.99", "99.99"), "99.99 numeric"},
		{"negative", append(repeat(9, "21", "-3"), "-9999", "-9999"), "-9999 bigint"},
		{"two nines need a minus", append(repeat(9, "1", "3"), "-99", "99", "-99", "99"), "-99 bigint"},
		{"zero fraction", append(repeat(9, "1.0", "3.0"), "-999.00", "-999.00"), "-999.00 numeric"},
		{"nothing else", repeat(5, "999.9"), "999.9 numeric"},
		{"two of them", append(repeat(9, "1", "3"), "999", "999", "9999", "9999"), "999 9999 bigint"},
		{"with null words", append(repeat(9, "1", "3", "NA", "null"), "-999", "-999"), "-999 NA null bigint"},
		{"null words of booleans", repeat(2, "true", "false", "NA"), "NA boolean"},
		{"none among text", repeat(5, "x", "NA", "999"), " "},
		{"none among dates", repeat(5, "2020-01-01", "9999-12-31"), " "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := column(test.values...)
			if got := strings.Join(c.Sentinels, " ") + " " + c.SentinelType; got != test.want {
				t.Errorf("got %q, want %q: %s", got, test.want, c.Evidence)
			}
			if len(c.NullIf) > 0 {
				t.Errorf("sentinels are proposed, not applied: %q", c.NullIf)
			}
		})
	}
}

func TestColumnName(t *testing.T) {
	long := strings.Repeat("ä", 40)
	tests := []struct {
		header string
		lower  bool
		want   string
	}{
		{"STATION", true, "station"},
		{"STATION", false, "STATION"},
		{"  Last Update\t", true, "last update"},
		{`"; drop table x --`, true, `"; drop table x --`},
		{"a\x00b", false, "ab"},
		{"a\xffb", false, "a\uFFFDb"},
		{"", true, ""},
		{" \u00a0", true, ""},
		{"ÄÖ", true, "äö"},
		{long, false, strings.Repeat("ä", 31)},
		{strings.Repeat("x", 64), false, strings.Repeat("x", 63)},
	}
	for _, test := range tests {
		if got := infer.ColumnName(test.header, test.lower); got != test.want {
			t.Errorf("ColumnName(%q, %t) = %q, want %q", test.header, test.lower, got, test.want)
		}
		if got, want := infer.IsCut(test.header, test.lower), len(test.header) > 63; got != want {
			t.Errorf("IsCut(%q, %t) = %t", test.header, test.lower, got)
		}
	}
}

// columnsOf gives "name<source+source" of what the headers make.
func columnsOf(lower bool, headers ...string) string {
	var samples []infer.Sample
	for _, h := range headers {
		samples = append(samples, infer.Sample{Header: strings.Split(h, ",")})
	}
	var got []string
	for _, c := range columnsFrom(samples, infer.Options{LowerCase: lower}) {
		got = append(got, c.Name+"<"+strings.Join(c.From, "+"))
	}
	return strings.Join(got, " ")
}

func TestColumnsOfShapes(t *testing.T) {
	x63, x70 := strings.Repeat("x", 63), strings.Repeat("x", 70)
	tests := []struct {
		name    string
		lower   bool
		headers []string
		want    string
	}{
		{"the most common shape first", true, []string{"Z,A", "A,B", "A,B"}, "a<A b<B z<Z"},
		{"else the first seen", true, []string{"Z,A", "A,B"}, "z<Z a<A b<B"},
		{"spellings in different files are one column", true, []string{"Lat,Id", "Lat,Id", "id,lat"}, "lat<Lat+lat id<Id+id"},
		{"unless case counts", false, []string{"Lat", "lat"}, "Lat<Lat lat<lat"},
		{"spellings in one file are two", true, []string{"Lat,lat", "lat"}, "lat<Lat lat_2<lat"},
		{"whichever file says so", true, []string{"lat", "lat", "LAT", "Lat,lat"}, "lat<lat lat_2<LAT lat_3<Lat"},
		{"padding is no part of a name", true, []string{"a", " a"}, "a<a+ a"},
		{"a header twice in a file", true, []string{"a,b,a"}, "a<a b<b"},
		{"blank headers are numbered", true, []string{"a,,c"}, "a<a column_2< c<c"},
		{"long names stay apart", true, []string{x70 + "a", x70 + "b"}, x63 + "<" + x70 + "a " + x63[:61] + "_2<" + x70 + "b"},
		{"system columns", true, []string{"XMIN,xmax_2,xmax"}, "xmin_2<XMIN xmax_2<xmax_2 xmax_3<xmax"},
		{"empty files count for nothing", true, []string{"a"}, "a<a"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := columnsOf(test.lower, test.headers...); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestSpellingsVoteTogether(t *testing.T) {
	row := func(s string) [][]infer.Value { return [][]infer.Value{{{Text: s}}} }
	columns := columnsFrom([]infer.Sample{
		{URI: "a.csv", Header: []string{"N"}, Rows: row("1")},
		{URI: "b.csv", Header: []string{"n"}, Rows: row("2.5")},
		{URI: "c.csv", Header: []string{"n"}, Rows: row("")},
	}, infer.Options{LowerCase: true})
	if len(columns) != 1 || columns[0].Type != "numeric" || !slices.Equal(columns[0].From, []string{"n", "N"}) {
		t.Errorf("%+v", columns)
	}
}

func TestShapes(t *testing.T) {
	s := infer.NewSurvey(infer.Options{})
	for _, sample := range []infer.Sample{
		{URI: "1", Header: []string{"a", "b"}}, {URI: "2", Header: []string{"a,b"}},
		{URI: "3", Header: []string{"b", "a"}}, {URI: "4", Header: []string{"b", "a"}}, {URI: "5"},
	} {
		if err := s.Add(sample); err != nil {
			t.Fatal(err)
		}
	}
	got := s.Shapes()
	if len(got) != 3 || got[0].Files != 2 || got[0].Example != "3" || got[1].Example != "1" || got[2].Example != "2" {
		t.Errorf("%+v", got)
	}
}

// Files whose headers are all other ones do not fill the memory.
func TestSurveyIsBounded(t *testing.T) {
	header := func(file, names int) []string {
		all := make([]string, names)
		for i := range all {
			all[i] = fmt.Sprint("key", file, "_", i)
		}
		return all
	}
	for _, test := range []struct {
		what   string
		header func(file int) []string
		enough int // files
	}{
		{"names", func(file int) []string { return header(file, 20_000) }, 6},
		{"long names", func(file int) []string { return []string{strings.Repeat("x", 64<<20) + fmt.Sprint(file)} }, 3},
		{"headers of one name", func(file int) []string { return slices.Repeat([]string{"x"}, 4<<20+file) }, 3},
	} {
		s := infer.NewSurvey(infer.Options{})
		var err error
		for file := -1; file < test.enough && err == nil; file++ { // two like the first
			err = s.Add(infer.Sample{URI: "a.json", Header: test.header(max(0, file))})
		}
		if err != nil {
			t.Fatalf("%s: %v", test.what, err)
		}
		for file := test.enough; file < 2*test.enough && err == nil; file++ {
			err = s.Add(infer.Sample{URI: "a.json", Header: test.header(file)})
		}
		if e := bucketload.AsError(err); err == nil || e.Code != bucketload.CodeLimit || e.Hint == "" {
			t.Errorf("%s: %v", test.what, err)
		}
	}
}

func TestRaggedRows(t *testing.T) {
	columns := columnsFrom([]infer.Sample{{Header: []string{"a", "b"},
		Rows: [][]infer.Value{{{Text: "1"}}, {{Text: "2"}, {Text: "true"}, {Text: "surplus"}}, {}}}}, infer.Options{})
	if columns[0].Type != "bigint" || columns[1].Type != "boolean" {
		t.Errorf("%+v", columns)
	}
}

func TestAllText(t *testing.T) {
	s := infer.Sample{Header: []string{"A"}, Rows: [][]infer.Value{{{Text: "-9999"}}, {{Text: "-9999"}}}}
	c := columnsFrom([]infer.Sample{s}, infer.Options{AllText: true, LowerCase: true})[0]
	if c.Name != "a" || c.Type != "text" || len(c.Sentinels) > 0 || c.Evidence == "" {
		t.Errorf("%+v", c)
	}
}
