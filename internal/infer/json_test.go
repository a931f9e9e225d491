package infer_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/bucketload/bucketload/internal/infer"
)

// Strings of JSON are in quotes, and null is nothing.
func TestJSONTypes(t *testing.T) {
	for _, test := range []struct{ values, typ, evidence string }{
		{"1|-2|", "bigint", "all 2 values are integers like 1; 1 blank"},
		{"1|2.50", "numeric", "decimals like 2.50"},
		{"1|9223372036854775808", "numeric", "decimals like 9223372036854775808"},
		{"1E5|12E45", "numeric", "decimals like 1E5"},
		{"1e99999", "text", ""},
		{"true|false|", "boolean", "booleans like true"},
		{"q:1|q:2", "text", `text like "1"`},
		{"q:123456|q:123457", "text", `text like "123456"`},
		{"q:1.5", "text", `text like "1.5"`},
		{"q:true", "text", `text like "true"`},
		{"1|q:1", "text", ""},
		{"1|true", "text", "1 of 2 values are"},
		{"1|q:x", "text", ""},
		{"q:2024-01-31|q:2024-02-01", "date", "dates like 2024-01-31"},
		{"q:2024-01-31T10:00:00|q:2024-01-31 11:00", "timestamp", ""},
		{"q:2024-01-31T10:00:00Z", "timestamptz", ""},
		{"q:6f9619ff-8b86-d011-b42d-00c04fc964ff", "uuid", ""},
		{"q:31/01/2024", "text", "not in ISO order"},
		{"q:2024-01-31|q:", "date", "1 blank"},
		{"q:2024-01-31|q:NA", "text", `write type: date, null_if: ["NA"]`},
		{"q:|", "text", "no value seen"},
		{`{"a":1}|[]|`, "jsonb", `all 2 values are objects or arrays like {"a":1}`},
		{`{"a":1}|q:x|5`, "jsonb", ""},
		{`q:{"a":1}`, "text", `text like`},
		{"9.5|3.2|999.9|999.9", "numeric", "null_if"},
	} {
		s := infer.Sample{URI: "a.json", Header: []string{"v"}}
		for v := range strings.SplitSeq(test.values, "|") {
			text, quoted := strings.CutPrefix(v, "q:")
			s.Rows = append(s.Rows, []infer.Value{{Text: text, Quoted: quoted}})
		}
		c := columnsFrom([]infer.Sample{s}, infer.Options{JSON: true})[0]
		if c.Type != test.typ || !strings.Contains(c.Evidence, test.evidence) {
			t.Errorf("%s: %s, %s", test.values, c.Type, c.Evidence)
		}
	}
}

// Keys that differ in case only are one column, unless a record has both.
func TestJSONSpellings(t *testing.T) {
	id := func(texts ...string) (row []infer.Value) {
		for _, text := range texts {
			row = append(row, infer.Value{Text: text})
		}
		return row
	}
	for _, test := range []struct {
		rows [][]infer.Value
		want string
	}{
		{[][]infer.Value{id("1", "", ""), id("", "2", ""), id("", "", "3.5")}, "id numeric ID,id,Id"},
		{[][]infer.Value{id("1", "", ""), id("", "2", "3.5")}, "id bigint ID; id_2 bigint id; id_3 numeric Id"},
	} {
		var got []string
		for _, c := range columnsFrom([]infer.Sample{{URI: "a.json", Header: []string{"ID", "id", "Id"}, Rows: test.rows}}, infer.Options{JSON: true, LowerCase: true}) {
			got = append(got, c.Name+" "+c.Type+" "+strings.Join(c.From, ","))
		}
		if strings.Join(got, "; ") != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

// Files with other keys are one table.
func TestJSONColumns(t *testing.T) {
	columns := columnsFrom([]infer.Sample{
		{URI: "a.json", Header: []string{"Id", "tags"}, Rows: [][]infer.Value{{{Text: "1"}, {Text: "[1]"}}}},
		{URI: "b.json", Header: []string{"id", "at"}, Rows: [][]infer.Value{{{Text: "2.5"}, {Text: "2024-01-31", Quoted: true}}}},
	}, infer.Options{JSON: true, LowerCase: true})
	var got []string
	for _, c := range columns {
		got = append(got, c.Name+" "+c.Type+" "+strings.Join(c.From, ","))
	}
	if want := []string{"id numeric Id,id", "tags jsonb tags", "at date at"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
