package pgcopy

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/bucketload/bucketload"
)

// Columns of some types, as Postgres describes them.
var (
	textColumn    = Column{Name: "v", OID: 25, TypMod: -1, TypeName: "text"}
	numericColumn = Column{Name: "v", OID: 1700, TypMod: -1, TypeName: "numeric"}
	floatColumn   = Column{Name: "v", OID: 701, TypMod: -1, TypeName: "double precision"}
	dateColumn    = Column{Name: "v", OID: 1082, TypMod: -1, TypeName: "date"}
	timeColumn    = Column{Name: "v", OID: 1083, TypMod: -1, TypeName: "time without time zone"}
	stampColumn   = Column{Name: "v", OID: 1114, TypMod: -1, TypeName: "timestamp without time zone"}
	zonedColumn   = Column{Name: "v", OID: 1184, TypMod: -1, TypeName: "timestamp with time zone"}
	otherColumn   = Column{Name: "v", OID: 3614, TypMod: -1, TypeName: "tsvector"}
)

var boolColumn = Column{Name: "v", OID: 16, TypMod: -1, TypeName: "boolean"}

// arrayOf is an array of a column's type.
func arrayOf(c Column, oid uint32) Column {
	elem := Type{OID: c.OID, Mod: c.TypMod, Name: c.TypeName}
	return Column{Name: "v", OID: oid, TypMod: c.TypMod, TypeName: c.TypeName + "[]", Element: c.OID, Elem: elem, Base: Type{OID: oid, Mod: c.TypMod, Name: c.TypeName + "[]", Category: "A"}}
}

func with(c Column, change func(*Column)) Column {
	change(&c)
	return c
}

func TestNull(t *testing.T) {
	on, off := true, false
	null := func(values ...string) func(*Column) { return func(c *Column) { c.NullIf = values } }
	quoted := func(s string) bucketload.Field { return bucketload.Field{Bytes: []byte(s), Quoted: true} }
	bare := func(s string) bucketload.Field { return bucketload.Field{Bytes: []byte(s)} }
	tests := []struct {
		name   string
		column Column
		field  bucketload.Field
		want   string // in text format
	}{
		{"text: nothing is NULL", textColumn, bare(""), `\N`},
		{"text: quoted nothing is an empty string", textColumn, quoted(""), ""},
		{"text: blanks stay", textColumn, bare("  "), "  "},
		{"text: trimmed blanks are nothing", with(textColumn, func(c *Column) { c.Trim = &on }), bare("  "), `\N`},
		{"text: trimmed and quoted", with(textColumn, func(c *Column) { c.Trim = &on }), quoted(" \t"), ""},
		{"text: trimmed", with(textColumn, func(c *Column) { c.Trim = &on }), quoted("\ta b "), "a b"},
		{"text: the letters NULL are text", textColumn, bare("NULL"), "NULL"},
		{"text: null_if as is", with(textColumn, null(" ")), quoted(" "), `\N`},
		{"text: null_if without trim", with(textColumn, null("x")), quoted(" x"), " x"},
		{"text: null_if empty takes quoted nothing", with(textColumn, null("")), quoted(""), `\N`},
		{"number: nothing is NULL", numericColumn, bare(""), `\N`},
		{"number: quoted nothing is NULL", numericColumn, quoted(""), `\N`},
		{"number: blanks are NULL", numericColumn, quoted(" \t "), `\N`},
		{"number: blanks are NULL without trim", with(numericColumn, func(c *Column) { c.Trim = &off }), quoted("  "), `\N`},
		{"number: blanks around", numericColumn, quoted("  29.0"), "29.0"},
		{"number: null_if after trimming", with(numericColumn, null("9999.9", "-")), quoted(" 9999.9"), `\N`},
		{"number: null_if after trimming much", with(numericColumn, null("9999.9", "-")), quoted("    9999.9"), `\N`},
		{"number: null_if after trimming much, float", with(floatColumn, null("9999.9")), quoted("    9999.9"), `\N`},
		{"number: nothing beside null_if", with(numericColumn, null("9999.9")), bare(""), `\N`},
		{"number: null_if itself is trimmed", with(numericColumn, null(" 9999.9")), quoted("9999.9"), `\N`},
		{"number: second null_if", with(numericColumn, null("9999.9", "-")), bare("-"), `\N`},
		{"number: null_if is text", with(numericColumn, null("9999.9")), bare("9999.90"), "9999.90"},
		{"number: null_if without trim", with(numericColumn, func(c *Column) { c.Trim, c.NullIf = &off, []string{"9.9"} }), bare(" 9.9"), "9.9"},
		{"other: nothing is NULL", otherColumn, bare(" "), `\N`},
		{"other: quoted nothing is the server's to judge", otherColumn, quoted(""), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			enc, err := NewEncoder(Text, []Column{test.column})
			if err != nil {
				t.Fatal(err)
			}
			got, err := enc.Append(nil, []bucketload.Field{test.field})
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != test.want+"\n" {
				t.Errorf("want %q, got %q", test.want, got)
			}
			if test.column.OID == otherColumn.OID {
				return
			}
			if enc, err = NewEncoder(Binary, []Column{test.column}); err != nil {
				t.Fatal(err)
			}
			for _, room := range []int{0, 64} { // with room, the quick ways are tried
				got, err = enc.Append(make([]byte, 0, room), []bucketload.Field{{Bytes: append(make([]byte, 0, room), test.field.Bytes...), Quoted: test.field.Quoted}})
				if err != nil {
					t.Fatal(err)
				}
				if null := int32(binary.BigEndian.Uint32(got[2:])) == -1; null != (test.want == `\N`) {
					t.Errorf("binary, room for %d: %x", room, got)
				}
			}
		})
	}
}

func TestRefuse(t *testing.T) {
	of := func(c Column, name, typ string, mod int32) Column {
		c.Name, c.TypeName, c.TypMod = name, typ, mod
		return c
	}
	varchar := Column{Name: "v", OID: 1043, TypMod: 7, TypeName: "character varying(3)"}
	tests := []struct {
		column        Column
		value         string
		code          bucketload.Code
		message, hint string
	}{
		{of(numericColumn, "temp", "numeric", -1), " 2?.1", bucketload.CodeValue, `"2?.1" is not numeric`,
			`if "2?.1" means no value: columns: {temp: {null_if: ["2?.1"]}}; or load the column as text: columns: {temp: {type: text}}`},
		{of(numericColumn, "Max T", "numeric(5,2)", 4+(5<<16|2)), "1.234", bucketload.CodeValue, `"1.234" would be rounded: numeric(5,2) has fewer digits`,
			`a load changes no value; take a type that holds it: columns: {"Max T": {type: numeric}}`},
		{of(numericColumn, "v", "numeric(5,2)", 4+(5<<16|2)), "1000", bucketload.CodeValue, `"1000" is out of range for numeric(5,2)`, "null_if"},
		{Column{Name: "n", OID: 20, TypMod: -1, TypeName: "bigint"}, "2.5", bucketload.CodeValue, `"2.5" is not bigint`,
			`take a type that holds it: columns: {n: {type: numeric}}; or if "2.5" means no value: columns: {n: {null_if: ["2.5"]}}`},
		{Column{Name: "n", OID: 20, TypMod: -1, TypeName: "bigint", Retype: `ALTER TABLE "t" ALTER COLUMN "n" TYPE `}, "2.5", bucketload.CodeValue, `"2.5" is not bigint`,
			`take a type that holds it: ALTER TABLE "t" ALTER COLUMN "n" TYPE numeric; or if `},
		{Column{Name: "n", OID: 23, TypMod: -1, TypeName: "integer", Decimal: ','}, "2,5", bucketload.CodeValue, `"2,5" is not integer with the decimal mark ','`, "type: numeric"},
		{Column{Name: "n", OID: 23, TypMod: -1, TypeName: "integer"}, "3000000000", bucketload.CodeValue, `"3000000000" is out of range for integer`, "type: bigint"},
		{dateColumn, "31.12.2022", bucketload.CodeValue, `"31.12.2022" is not date as ISO 8601 has it`, `columns: {v: {format: ["DD.MM.YYYY"]}}`},
		{with(dateColumn, func(c *Column) { c.Format = []string{"DD.MM.YYYY", "DD/MM/YYYY"} }), "2022-12-31", bucketload.CodeValue,
			`"2022-12-31" is not date as DD.MM.YYYY or DD/MM/YYYY has it`, "format"},
		{dateColumn, "2022-02-29", bucketload.CodeValue, `"2022-02-29" is out of range for date`, "null_if"},
		{stampColumn, "2022-02-01 00:00Z", bucketload.CodeValue, `"2022-02-01 00:00Z" has a time zone, and timestamp without time zone would lose it`, "type: timestamptz"},
		{timeColumn, "00:00:00.1234567", bucketload.CodeValue, `"00:00:00.1234567" would be rounded: time without time zone has fewer digits`, "type: text"},
		{with(dateColumn, func(c *Column) { c.Format = []string{"YYYY-MM-DD HH24:MI"} }), "2022-01-01 00:01", bucketload.CodeValue,
			`"2022-01-01 00:01" has a time of day, and date would lose it`, "type: timestamp"},
		{varchar, "äöüß", bucketload.CodeValue, "the value has 4 characters, character varying(3) takes 3", "type: text"},
		{textColumn, "a\xffb", bucketload.CodeUTF8, "the value is not UTF-8", "bytea"},
		{textColumn, "long enough \x00 for words", bucketload.CodeNUL, "the value has a NUL byte, which Postgres text cannot hold", "bytea"},
		{otherColumn, "\xc3\x28", bucketload.CodeUTF8, "the value is not UTF-8", "bytea"},
		{varchar, "\xed\xa0\x80", bucketload.CodeUTF8, "the value is not UTF-8", "bytea"},
		{numericColumn, strings.Repeat("x", 500), bucketload.CodeValue, "the value is not numeric", "null_if"},
	}
	for _, test := range tests {
		t.Run(test.message, func(t *testing.T) {
			for _, format := range []Format{Binary, Text} {
				if format == Binary && test.column.kind() == other {
					continue
				}
				enc, err := NewEncoder(format, []Column{{Name: "n", OID: 23, TypMod: -1}, test.column})
				if err != nil {
					t.Fatal(err)
				}
				dst, err := enc.Append([]byte("before"), []bucketload.Field{{Bytes: []byte("1")}, {Bytes: []byte(test.value)}})
				if string(dst) != "before" {
					t.Errorf("the row left %q", dst)
				}
				var e *bucketload.Error
				if !errors.As(err, &e) {
					t.Fatal(err)
				}
				if e.Code != test.code || e.Column != test.column.Name || e.Message != test.message || !strings.Contains(e.Hint, test.hint) {
					t.Errorf("%+v", e)
				}
				if want := strings.TrimSpace(test.value); len(want) < 100 && e.Value != bucketload.Excerpt([]byte(want), 100) || len(e.Value) > 210 {
					t.Errorf("value %q", e.Value)
				}
			}
		})
	}
}

func TestChoose(t *testing.T) {
	columns := func(texts, numbers, others int) []Column {
		var c []Column
		for range texts {
			c = append(c, textColumn)
		}
		for range numbers {
			c = append(c, numericColumn)
		}
		for range others {
			c = append(c, otherColumn)
		}
		return c
	}
	for _, test := range []struct {
		columns []Column
		want    Format
	}{
		{columns(12, 16, 0), Binary}, {columns(28, 0, 0), Text}, {columns(1, 1, 0), Binary}, {columns(2, 1, 0), Text}, {columns(0, 5, 1), Text},
	} {
		if got := Choose(test.columns); got != test.want {
			t.Errorf("%d columns: got %d", len(test.columns), got)
		}
	}
}

func TestMap(t *testing.T) {
	enc, err := NewEncoder(Text, []Column{textColumn, textColumn, textColumn})
	if err != nil {
		t.Fatal(err)
	}
	row := []bucketload.Field{{Bytes: []byte("a")}, {Bytes: []byte("b")}}
	if _, err = enc.Append(nil, row); bucketload.AsError(err) == nil || bucketload.AsError(err).Code != bucketload.CodeRagged {
		t.Errorf("a short row: %v", err)
	}
	enc.Map([]int{1, -1, 0})
	got, err := enc.Append(enc.AppendHeader(nil), row)
	if got = enc.AppendTrailer(got); err != nil || string(got) != "b\t\\N\ta\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestBinaryNeedsEncoders(t *testing.T) {
	_, err := NewEncoder(Binary, []Column{otherColumn})
	if e := bucketload.AsError(err); e == nil || e.Code != bucketload.CodeUsage {
		t.Error(err)
	}
}

func TestNoGarbage(t *testing.T) {
	row := make([]bucketload.Field, 0, 10)
	for _, s := range []string{"ZAGREB\\MAKSIMIR, HR", "  12.1", "  12.1", "1e-30", "123456789012345678901234567890.5", "2022-01-01", "2022-01-01T00:00:00.5+02", "true", "42",
		"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", " 999.9",
		"-1 days +02:03:04.5", "P1DT2H", "2001:db8::1/64", "1.234,5", "JA", `{1,"2",NULL}`, `["a\u00e4",null]`, "sad", ""} {
		row = append(row, bucketload.Field{Bytes: []byte(s), Quoted: true})
	}
	columns := []Column{textColumn, floatColumn, numericColumn, floatColumn, numericColumn, dateColumn, zonedColumn, {OID: 16, TypMod: -1}, {OID: 23, TypMod: -1},
		{OID: 2950, TypMod: -1}, with(numericColumn, func(c *Column) { c.NullIf = []string{"999.9"} }), {OID: 1186, TypMod: -1}, {OID: 1186, TypMod: -1}, {OID: 869, TypMod: -1},
		with(numericColumn, func(c *Column) { c.Decimal, c.Thousands = ',', '.' }), with(boolColumn, func(c *Column) { c.TrueIf = []string{"ja"} }),
		arrayOf(Column{OID: 23, TypMod: -1, TypeName: "integer"}, 1007), arrayOf(textColumn, 1009), {OID: 99999, Base: Type{OID: 99999, Labels: []string{"sad"}}},
		with(numericColumn, func(c *Column) { c.Default = new("0") })}
	for _, format := range []Format{Binary, Text} {
		enc, err := NewEncoder(format, columns)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 0, 1<<10)
		if n := testing.AllocsPerRun(100, func() { buf, err = enc.Append(buf[:0], row) }); n != 0 || err != nil {
			t.Errorf("format %d: %v allocations per row, error %v", format, n, err)
		}
	}
}
