package pgcopy

import (
	encjson "encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

var (
	intArray   = arrayOf(intColumn, 1007)
	textArray  = arrayOf(textColumn, 1009)
	jsonbArray = arrayOf(Column{OID: 3802, TypMod: -1, TypeName: "jsonb"}, 3807)
)

// JSON arrays make the same arrays as Postgres' own literals.
func TestJSONArray(t *testing.T) {
	tests := []struct {
		column       Column
		json, equals string // equals "": refused
	}{
		{intArray, `[]`, `{}`}, {intArray, `[1, 2 ,null]`, `{1,2,NULL}`}, {intArray, " [ 1\n]\n ", `{1}`}, {intArray, `[[1,2],[3,4]]`, `{{1,2},{3,4}}`}, {intArray, `["1"]`, `{1}`},
		{intArray, `[1.5]`, ""}, {intArray, `[1e2]`, ""}, {intArray, `[true]`, ""}, {intArray, `[[1],[2,3]]`, ""}, {intArray, `[1,[2]]`, ""}, {intArray, `[[]]`, ""}, {intArray, `[[],[]]`, ""},
		{intArray, `[1`, ""}, {intArray, `[1,]`, ""}, {intArray, `[1]x`, ""}, {intArray, `[[[[[[[1]]]]]]]`, ""}, {intArray, `[[[[[[1]]]]]]`, `{{{{{{1}}}}}}`}, {intArray, `[[1],null]`, ""}, {intArray, `{{},{}}`, ""},
		{intArray, `[""]`, ""}, {intArray, `[{"a":1}]`, ""},
		{textArray, `["a","",null,"null"]`, `{a,"",NULL,"null"}`}, {textArray, `["a\"b\\c,{}\u00e4\n\/"]`, "{\"a\\\"b\\\\c,{}ä\n/\"}"}, {textArray, `["\ud834\udd1e"]`, `{𝄞}`},
		{textArray, `["\ud834"]`, ""}, {textArray, `["\udd1e\ud834"]`, ""}, {textArray, `["\ud834\u0041"]`, ""}, {textArray, `["\u0000"]`, ""}, {textArray, `[1.50,true,-0e1]`, `{1.50,true,-0e1}`}, {textArray, `[{}]`, ""},
		{textArray, `["]","[","\\"]`, `{"]","[","\\"}`},
		{jsonbArray, `[{"a":[1,"]"]},[1,[2]],"x",null,1]`, `{"{\"a\":[1,\"]\"]}","[1,[2]]","\"x\"",NULL,1}`}, {jsonbArray, `["\\",{"a":"}\""}]`, `{"\"\\\\\"","{\"a\":\"}\\\"\"}"}`},
		{arrayOf(boolColumn, 1000), `[true,false,null]`, `{t,f,NULL}`}, {arrayOf(dateColumn, 1182), `["2022-01-01"]`, `{2022-01-01}`},
		{with(arrayOf(dateColumn, 1182), func(c *Column) { c.Format = []string{"DD.MM.YYYY"} }), `["1.2.2022"]`, `{01.02.2022}`},
		{with(arrayOf(dateColumn, 1182), func(c *Column) { c.Format = []string{"DD.MM.YYYY"} }), `["2022-02-01"]`, ""},
	}
	for _, test := range tests {
		for _, format := range []Format{Binary, Text} {
			got, err := encodeOne(format, test.column, test.json)
			if test.equals == "" {
				if e := bucketload.AsError(err); e == nil || e.Hint == "" {
					t.Errorf("format %d: %s: %q", format, test.json, got)
				}
				continue
			}
			want, wantErr := encodeOne(format, test.column, test.equals)
			if err != nil || wantErr != nil || string(got) != string(want) {
				t.Errorf("format %d: %s: %q, want %q, %v, %v", format, test.json, got, want, err, wantErr)
			}
		}
	}
	_, err := encodeOne(Text, intArray, "1,2")
	if e := bucketload.AsError(err); e.Message != `"1,2" is not integer[] such as {a,b} or ["a","b"], whose elements are integer` {
		t.Error(err)
	}
}

// Any texts arrive as they are, in arrays of any shape, from JSON and in both formats.
func TestTextArrayProperty(t *testing.T) {
	conn := connect(t, temptest.Database(t, 0))
	word := rapid.Map(rapid.StringOf(rapid.OneOf(rapid.RuneFrom([]rune("\\\t\n\r\"'{},[] aNUL")), rapid.Rune().Filter(func(r rune) bool { return r != 0 && (r < 0xd800 || r > 0xdfff) }))),
		func(s string) string { return strings.ToValidUTF8(s, "?") })
	row := rapid.SliceOfN(word, 3, 3)
	table := rapid.SliceOfN(row, 1, 3)
	var rows [][]bucketload.Field
	var want []string
	for i := range 200 {
		values := table.Example(i)
		data, err := encjson.Marshal(values)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, []bucketload.Field{{Bytes: fmt.Append(nil, i)}, {Bytes: data, Quoted: true}})
		want = append(want, string(data))
	}
	for _, format := range []Format{Binary, Text} {
		load(t, conn, format, textArray, rows)
		result, err := conn.Query(t.Context(), `SELECT to_json(v)::text FROM loaded ORDER BY n`)
		if err != nil {
			t.Fatal(err)
		}
		got, err := pgx.CollectRows(result, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		for i := range rows {
			var values [][]string
			if err := encjson.Unmarshal([]byte(got[i]), &values); err != nil {
				t.Fatal(err)
			}
			if again, _ := encjson.Marshal(values); string(again) != want[i] {
				t.Errorf("format %d: %s became %s", format, want[i], again)
			}
		}
	}
}

// Whatever comes, both formats take the same, and nothing panics.
func FuzzArray(f *testing.F) {
	for _, s := range []string{`{}`, `{1,2,NULL}`, `{{a,"b\""},{c\,,""}}`, `[0:1][2:3]={{1,2},{3,4}}`, `[]`, `[1,"\u00e4",null]`, `[["a"],["b"]]`, `[{"a":"\\"}]`, `{`, `[1:`, "[1:2]={"} {
		f.Add(s)
	}
	columns := []Column{intArray, textArray, jsonbArray, arrayOf(Column{OID: 1186, TypMod: -1, TypeName: "interval"}, 1187), arrayOf(Column{OID: 869, TypMod: -1, TypeName: "inet"}, 1041)}
	f.Fuzz(func(t *testing.T, s string) {
		for _, c := range columns {
			_, err := encodeOne(Binary, c, s)
			literal, textErr := encodeOne(Text, c, s)
			if (err == nil) != (textErr == nil) {
				t.Fatalf("%s: %q: binary %v, text %v", c.TypeName, s, err, textErr)
			}
			if err != nil || strings.ContainsAny(string(literal), `\`) {
				continue
			}
			// What is written is read again as the same.
			binary, _ := encodeOne(Binary, c, s)
			again, err := encodeOne(Binary, c, strings.TrimSuffix(string(literal), "\n"))
			if err != nil || string(again) != string(binary) {
				t.Fatalf("%s: %q was written %q, which is read as %x, not %x: %v", c.TypeName, s, literal, again, binary, err)
			}
		}
	})
}

// Intervals, networks and bits of any kind: never a panic, and both formats agree.
func FuzzRare(f *testing.F) {
	for _, s := range []string{"1 day 02:03:04.5", "P1Y2M3DT4H5M6.7S", "-1-2 +3 -4:05", "@ 1 hour ago", "::ffff:1.2.3.4/96", "10.0.0.1", "08:00:2b:01:02:03", "XFF", "B101", "1.234.567,89"} {
		f.Add(s)
	}
	var columns []Column
	for _, oid := range []uint32{18, 19, 26, 650, 774, 829, 869, 1186, 1266, 1560, 1562} {
		columns = append(columns, Column{Name: "v", OID: oid, TypMod: -1})
	}
	columns = append(columns, moodColumn, with(numericColumn, func(c *Column) { c.Decimal, c.Thousands = ',', '.' }), with(floatColumn, func(c *Column) { c.Thousands = ' ' }))
	f.Fuzz(func(t *testing.T, s string) {
		for _, c := range columns {
			binary, err := encodeOne(Binary, c, s)
			literal, textErr := encodeOne(Text, c, s)
			if (err == nil) != (textErr == nil) {
				t.Fatalf("%d: %q: binary %v, text %v", c.OID, s, err, textErr)
			}
			if c.OID != 1186 || err != nil || string(literal) == "\\N\n" {
				continue
			}
			again, err := encodeOne(Binary, c, strings.TrimSuffix(string(literal), "\n"))
			if err != nil || string(again) != string(binary) {
				t.Fatalf("%q was written %q, which is read as %x, not %x: %v", s, literal, again, binary, err)
			}
		}
	})
}
