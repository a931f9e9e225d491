package pgcopy

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bucketload/bucketload"
)

var (
	intColumn  = Column{Name: "v", OID: 23, TypMod: -1, TypeName: "integer"}
	moodColumn = Column{Name: "v", OID: 99999, TypMod: -1, TypeName: "mood", Base: Type{OID: 99999, Mod: -1, Name: "mood", Category: "E", Labels: []string{"sad", "o k"}}}
)

func TestDefault(t *testing.T) {
	of := func(s string) func(*Column) { return func(c *Column) { c.Default = &s } }
	tests := []struct {
		name   string
		column Column
		field  string
		quoted bool
		want   string
	}{
		{"nothing", with(intColumn, of("7")), "", false, "7"},
		{"blanks", with(intColumn, of("7")), "  ", true, "7"},
		{"a value", with(intColumn, of("7")), "8", false, "8"},
		{"null_if", with(with(intColumn, of("7")), func(c *Column) { c.NullIf = []string{"-"} }), "-", false, "7"},
		{"null_if does not mean the default", with(with(intColumn, of("7")), func(c *Column) { c.NullIf = []string{"7"} }), "", false, "7"},
		{"text", with(textColumn, of("a\tb")), "", false, `a\tb`},
		{"quoted nothing is a text", with(textColumn, of("x")), "", true, ""},
		{"empty text", with(textColumn, of("")), "", false, ""},
		{"blank text", with(textColumn, of(" ")), "", false, " "},
		{"not null", with(with(intColumn, of("7")), func(c *Column) { c.NotNull = true }), "", false, "7"},
		{"date", with(with(dateColumn, of("31.12.1999")), func(c *Column) { c.Format = []string{"DD.MM.YYYY"} }), "", false, "1999-12-31"},
		{"mark", with(with(numericColumn, of("1.000,5")), func(c *Column) { c.Decimal, c.Thousands = ',', '.' }), "", false, "1000.5"},
		{"word", with(with(boolColumn, of("ja")), func(c *Column) { c.TrueIf = []string{"ja"} }), "", false, "t"},
		{"other side's word", with(with(boolColumn, of("false")), func(c *Column) { c.TrueIf = []string{"x"} }), "", false, "f"},
		{"array", with(arrayOf(intColumn, 1007), of("[]")), "", false, "{}"},
		{"enum", with(moodColumn, of("o k")), "", false, "o k"},
		{"not known here", with(Column{Name: "v", OID: 600, TypMod: -1, TypeName: "point"}, of("(0,0)")), "", false, "(0,0)"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			enc, err := NewEncoder(Text, []Column{test.column})
			if err != nil {
				t.Fatal(err)
			}
			row := []bucketload.Field{{Bytes: []byte(test.field), Quoted: test.quoted}}
			got, err := enc.Append(nil, row)
			if err != nil || string(got) != test.want+"\n" {
				t.Errorf("want %q, got %q, %v", test.want, got, err)
			}
			if test.column.kind() == other {
				return
			}
			// In binary it is the same as the value itself.
			if enc, err = NewEncoder(Binary, []Column{test.column, test.column}); err != nil {
				t.Fatal(err)
			}
			if got, err = enc.Append(nil, append(row, row...)); err != nil {
				t.Fatal(err)
			}
			plain := test.column
			plain.Default, plain.NullIf = nil, nil
			value := test.field
			if got, err := encodeOne(Text, plain, value); err != nil || string(got) == "\\N\n" || string(got) != test.want+"\n" {
				value = *test.column.Default
			}
			one, err := encodeOne(Binary, plain, value)
			if err != nil || string(got[2:]) != strings.Repeat(string(one[2:]), 2) {
				t.Errorf("binary %x, want twice %x, %v", got[2:], one[2:], err)
			}
			enc.Map([]int{-1, -1})
			if got, err = enc.Append(nil, nil); err != nil {
				t.Fatal(err)
			}
			one, err = encodeOne(Binary, plain, *test.column.Default)
			if err != nil || string(got[2:]) != strings.Repeat(string(one[2:]), 2) {
				t.Errorf("no field: %x, want twice %x, %v", got[2:], one[2:], err)
			}
		})
	}
}

func TestNotNull(t *testing.T) {
	c := with(intColumn, func(c *Column) { c.Name, c.NotNull, c.NullIf = "Max T", true, []string{"-"} })
	for _, format := range []Format{Binary, Text} {
		enc, err := NewEncoder(format, []Column{c})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := enc.Append(nil, []bucketload.Field{{Bytes: []byte("1")}}); err != nil {
			t.Error(err)
		}
		check := func(want, value string, err error) {
			t.Helper()
			e := bucketload.AsError(err)
			if e == nil || e.Code != bucketload.CodeNull || e.Column != "Max T" || e.Message != want || e.Value != value ||
				!strings.Contains(e.Hint, `columns: {"Max T": {default: ...}}`) || !strings.Contains(e.Hint, `ALTER COLUMN "Max T" DROP NOT NULL`) {
				t.Errorf("%+v", e)
			}
		}
		dst, err := enc.Append([]byte("before"), []bucketload.Field{{Bytes: []byte(" ")}})
		check("there is no value, and the column must have one (NOT NULL)", " ", err)
		if string(dst) != "before" {
			t.Errorf("the row left %q", dst)
		}
		_, err = enc.Append(nil, []bucketload.Field{{Bytes: []byte(" -")}})
		check(`" -" means NULL here (null_if), and the column must have a value (NOT NULL)`, " -", err)
		enc.Map([]int{-1})
		_, err = enc.Append(nil, nil)
		check("the file does not have it, and the column must have a value (NOT NULL)", "", err)
	}
}

func TestWords(t *testing.T) {
	tests := []struct {
		yes, no     []string
		value, want string // want "": refused
	}{
		{[]string{"ja"}, []string{"nein"}, "ja", "t"},
		{[]string{"ja"}, []string{"nein"}, " Nein ", "f"},
		{[]string{"ja"}, []string{"nein"}, "true", ""},
		{[]string{"ja"}, []string{"nein"}, "0", ""},
		{[]string{"ja"}, nil, "JA", "t"},
		{[]string{"ja"}, nil, "true", ""},
		{[]string{"ja"}, nil, "no", "f"},
		{nil, []string{"-"}, "-", "f"},
		{nil, []string{"-"}, "yes", "t"},
		{nil, []string{"-"}, "no", ""},
		{[]string{"da", "y"}, []string{"НЕТ"}, "нет", "f"},
		{[]string{"0"}, []string{"1"}, "1", "f"},
		{[]string{" x "}, nil, "x", "t"},
		{nil, nil, "yes", "t"},
		{nil, nil, "ja", ""},
	}
	for _, test := range tests {
		c := with(boolColumn, func(c *Column) { c.TrueIf, c.FalseIf = test.yes, test.no })
		got, err := encodeOne(Text, c, test.value)
		if test.want == "" {
			if e := bucketload.AsError(err); e == nil || e.Code != bucketload.CodeValue || !strings.Contains(e.Hint, "true_if") {
				t.Errorf("%q with %q, %q: %q, %v", test.value, test.yes, test.no, got, err)
			}
			continue
		}
		if err != nil || string(got) != test.want+"\n" {
			t.Errorf("%q with %q, %q: %q, %v", test.value, test.yes, test.no, got, err)
		}
		if got, err = encodeOne(Binary, c, test.value); err != nil || got[field] == 1 != (test.want == "t") {
			t.Errorf("binary: %q with %q, %q: %x, %v", test.value, test.yes, test.no, got, err)
		}
	}
}

func TestMarks(t *testing.T) {
	tests := []struct {
		decimal, thousands byte
		value, want        string // want "": refused
	}{
		{',', 0, "1,5", "1.5"}, {',', 0, "-1,5e3", "-1.5e3"}, {',', 0, ",5", ".5"}, {',', 0, "5,", "5."}, {',', 0, "12345", "12345"}, {',', 0, "NaN", "NaN"}, {',', 0, "-Infinity", "-Infinity"},
		{',', 0, "1.5", ""}, {',', 0, "1,5,0", ""}, {',', 0, "1.000,5", ""}, {',', 0, ",", ""}, {',', 0, "1 000", ""},
		{',', '.', "1.234.567,89", "1234567.89"}, {',', '.', "1234567,89", "1234567.89"}, {',', '.', "1.234", "1234"}, {',', '.', "-12.345", "-12345"}, {',', '.', "+123.456", "+123456"},
		{',', '.', "1.23", ""}, {',', '.', "1.2345", ""}, {',', '.', "1234.567", ""}, {',', '.', "1.234.56", ""}, {',', '.', ".234", ""}, {',', '.', "1..234", ""}, {',', '.', "1.234.", ""},
		{',', '.', "0.123", ""}, {',', '.', "00.123", ""}, {',', '.', "1,234.567", ""}, {',', '.', "1.234,567.8", ""}, {',', '.', "12.34.567", ""}, {',', '.', "-", ""}, {',', '.', "1.234e5", "1234e5"},
		{0, ',', "1,234.5", "1234.5"}, {0, ',', "1,234,567", "1234567"}, {0, ',', "1,5", ""}, {'.', ',', "12,34,567", ""}, {0, ',', "1.5", "1.5"}, {0, ',', "1.5,000", ""},
		{'.', '\'', "1'234.5", "1234.5"}, {',', ' ', "1 234,5", "1234.5"}, {',', ' ', "1  234", ""}, {0, '_', "1_000", "1000"},
		{0, 0, "1.5", "1.5"}, {0, 0, "1,5", ""},
	}
	for _, test := range tests {
		c := with(numericColumn, func(c *Column) { c.Decimal, c.Thousands = test.decimal, test.thousands })
		got, err := encodeOne(Text, c, test.value)
		if test.want == "" {
			if e := bucketload.AsError(err); e == nil || e.Code != bucketload.CodeValue {
				t.Errorf("%q %q: %q became %q, %v", test.decimal, test.thousands, test.value, got, err)
			}
			if got, err = encodeOne(Binary, c, test.value); err == nil {
				t.Errorf("binary: %q %q: %q became %x", test.decimal, test.thousands, test.value, got)
			}
			continue
		}
		if err != nil || string(got) != test.want+"\n" {
			t.Errorf("%q %q: %q became %q, %v", test.decimal, test.thousands, test.value, got, err)
		}
		want, err := encodeOne(Binary, numericColumn, test.want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err = encodeOne(Binary, c, test.value); err != nil || string(got) != string(want) {
			t.Errorf("binary: %q %q: %q became %x, %v", test.decimal, test.thousands, test.value, got, err)
		}
	}
	marked := func(c Column) Column {
		return with(c, func(c *Column) { c.Decimal, c.Thousands = ',', '.' })
	}
	for _, test := range []struct {
		column      Column
		value, want string
	}{
		{intColumn, "1.234", "1234"}, {intColumn, "1,0", ""}, {floatColumn, "1,5", "1.5"}, {textColumn, "1.234,5", "1.234,5"}, {dateColumn, "2022-01-01", "2022-01-01"},
		{Column{Name: "v", OID: 26, TypMod: -1, TypeName: "oid"}, "1.234", ""}, {arrayOf(numericColumn, 1231), "{1.5}", `{"1.5"}`}, {arrayOf(numericColumn, 1231), `{"1,5"}`, ""},
	} {
		if got, err := encodeOne(Text, marked(test.column), test.value); test.want == "" != (err != nil) || err == nil && string(got) != test.want+"\n" {
			t.Errorf("%s: %q became %q, %v", test.column.TypeName, test.value, got, err)
		}
	}
	_, err := encodeOne(Text, marked(numericColumn), "1.5")
	if e := bucketload.AsError(err); e.Message != `"1.5" is not numeric with the decimal mark ',' and groups of three digits between '.'` {
		t.Error(err)
	}
}

// A number that is written with marks is the number without them.
func TestMarksProperty(t *testing.T) {
	marks := rapid.SampledFrom([][2]byte{{',', '.'}, {'.', ','}, {',', ' '}, {'.', '\''}, {',', 0}})
	rapid.Check(t, func(t *rapid.T) {
		m := marks.Draw(t, "marks")
		c := with(numericColumn, func(c *Column) { c.Decimal, c.Thousands = m[0], m[1] })
		whole := rapid.StringMatching(`[1-9][0-9]{0,20}`).Draw(t, "whole")
		rest := rapid.StringMatching(`([0-9]{1,12}(e-?[0-9])?)?`).Draw(t, "fraction")
		plain, marked := whole, ""
		for i, b := range []byte(whole) {
			if i > 0 && (len(whole)-i)%3 == 0 && m[1] != 0 {
				marked += string(m[1])
			}
			marked += string(b)
		}
		if rest != "" {
			plain, marked = plain+"."+rest, marked+string(m[0])+rest
		}
		got, err := encodeOne(Binary, c, marked)
		want, wantErr := encodeOne(Binary, numericColumn, plain)
		if err != nil || wantErr != nil || string(got) != string(want) {
			t.Fatalf("%q is not %q: %v, %v", marked, plain, err, wantErr)
		}
	})
}

func TestBadSettings(t *testing.T) {
	tests := []struct {
		column  Column
		message string
	}{
		{with(intColumn, func(c *Column) { c.Default = new("x") }), `default of column "v": "x" is not integer`},
		{with(intColumn, func(c *Column) { c.Default = new("") }), `default of column "v": "" is not integer`},
		{with(intColumn, func(c *Column) { c.Default = new("99999999999") }), `out of range`},
		{with(moodColumn, func(c *Column) { c.Default = new("glad") }), `"glad" is not mood, which has "sad", "o k"`},
		{with(boolColumn, func(c *Column) { c.TrueIf, c.FalseIf = []string{"x"}, []string{"X"} }), `"X" means both`},
		{with(boolColumn, func(c *Column) { c.TrueIf = []string{"no"} }), `"no" means both`},
		{with(boolColumn, func(c *Column) { c.FalseIf = []string{" "} }), `nothing is no word`},
		{with(textColumn, func(c *Column) { c.TrueIf = []string{"x"} }), `only a boolean`},
		{with(numericColumn, func(c *Column) { c.Decimal, c.Thousands = ',', ',' }), `both`},
		{with(numericColumn, func(c *Column) { c.Thousands = '.' }), `both`},
		{with(numericColumn, func(c *Column) { c.Decimal = '1' }), `'1', which is no mark`},
		{with(numericColumn, func(c *Column) { c.Decimal = ' ' }), `' ', which is no mark`},
		{with(numericColumn, func(c *Column) { c.Thousands = 'e' }), `'e', which is no mark`},
		{with(numericColumn, func(c *Column) { c.Thousands = '-' }), `'-', which is no mark`},
	}
	for _, test := range tests {
		for _, format := range []Format{Binary, Text} {
			_, err := NewEncoder(format, []Column{test.column})
			if e := bucketload.AsError(err); e == nil || e.Code != bucketload.CodeUsage || !strings.Contains(e.Message, test.message) || e.Hint == "" || e.Column != "v" {
				t.Errorf("want %q, got %v", test.message, err)
			}
		}
	}
}
