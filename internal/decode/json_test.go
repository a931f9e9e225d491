package decode

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/bucketload/bucketload"
)

// jsonOf makes a reader with a field for each list of paths, split at |; one
// that begins with ! is raw.
func jsonOf(t testing.TB, text, records, unknown string, paths ...string) *JSON {
	t.Helper()
	var fields []JSONField
	for _, p := range paths {
		p, raw := strings.CutPrefix(p, "!")
		fields = append(fields, JSONField{Paths: strings.Split(p, "|"), Raw: raw})
	}
	j, err := NewJSON(strings.NewReader(text), records, fields, unknown)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// shown are the rows as text: strings in quotes, nothing as ∅, errors as their
// line and code with ! where they end the file.
func shown(j *JSON) (rows []string) {
	for {
		fields, err := j.Next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return rows
			}
			e := bucketload.AsError(err)
			if j.Broken() {
				return append(rows, fmt.Sprintf("%d %s!", e.Line, e.Code))
			}
			rows = append(rows, fmt.Sprintf("%d %s", e.Line, e.Code))
			continue
		}
		var row []string
		for _, f := range fields {
			switch {
			case f.Quoted:
				row = append(row, fmt.Sprintf("%q", f.Bytes))
			case len(f.Bytes) == 0:
				row = append(row, "∅")
			default:
				row = append(row, string(f.Bytes))
			}
		}
		rows = append(rows, strings.Join(row, " "))
	}
}

func TestJSON(t *testing.T) {
	for _, test := range []struct {
		name, text, records string
		paths               []string
		want                []string
	}{
		{"lines", "{\"a\":1,\"b\":\"x\"}\n\n{\"b\":null}\r\n{\"a\":\"\"}", "$", []string{"a", "b"}, []string{`1 "x"`, "∅ ∅", `"" ∅`}},
		{"one after the other", `{"a":1}{"a":2} {"a":` + "\n" + `3}`, "$", []string{"a"}, []string{"1", "2", "3"}},
		{"one array", "\n[ {\"a\":1} ,\n{\"a\":2}\n]\n", "$", []string{"a"}, []string{"1", "2"}},
		{"several arrays", `[{"a":1}][][{"a":2}]`, "$", []string{"a"}, []string{"1", "2"}},
		{"one object", "{\n  \"a\": 1\n}\n", "$", []string{"a"}, []string{"1"}},
		{"byte order mark", "\ufeff{\"a\":1}", "$", []string{"a"}, []string{"1"}},
		{"nothing", " \n", "$", []string{"a"}, nil},
		{"numbers as written", `{"a":-0,"b":1.50E+3,"c":123456789012345678901234567890.10}`, "$", []string{"a", "b", "c"}, []string{"-0 1.50E+3 123456789012345678901234567890.10"}},
		{"words", `{"a":true,"b":false}`, "$", []string{"a", "b"}, []string{"true false"}},
		{"nested", `{"a":{"b" : [1, {}]},"c":[ ]}`, "$", []string{"a", "c"}, []string{`{"b" : [1, {}]} [ ]`}},
		{"escapes", `{"a":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é"}`, "$", []string{"a"}, []string{`"\"\\/\b\f\n\r\té😀é"`}},
		{"escapes in keys", `{"\u0061":1,"b\n":2}`, "$", []string{"a", "b\n"}, []string{"1 2"}},
		{"raw", `{"a":"x\n","b":1,"c":null}`, "$", []string{"!a", "!b", "!c"}, []string{`"\"x\\n\"" 1 ∅`}},
		{"a key twice", `{"a":1,"a":null}{"a":{"b":1},"a":{"c":2}}`, "$", []string{"a", "a.b"}, []string{"∅ ∅", `{"c":2} ∅`}},
		{"the first path that is there", `{"y":1}{"x":2,"y":1}{"y":1,"x":null}`, "$", []string{"x|y", "y"}, []string{"1 1", "2 1", "∅ 1"}},
		{"paths", `{"a":{"b":{"c":1},"d":[5,{"e":6}]}}`, "$", []string{"$.a.b.c", "a.b", "$['a'].d[0]", `$["a"]["d"][1].e`, "a.d[1].e", "$.a.x", "$.a.d[7]", "$.a[0]"}, []string{`1 {"c":1} 5 6 6 ∅ ∅ ∅`}},
		{"a key with a point first", `{"a.b":1,"a":{"b":2}}{"a":{"b":2}}`, "$", []string{"a.b", "$.a.b", "a"}, []string{`1 2 {"b":2}`, `2 2 {"b":2}`}},
		{"odd keys", `{"":1,"$":2,"it's":3,"$.a":4,"$id":5}`, "$", []string{"", "$['$']", `$['it\'s']`, "$['$.a']", "$id"}, []string{"1 2 3 4 5"}},
		{"the record", ` {"a": 1} {}`, "$", []string{"!$", "a"}, []string{`{"a": 1} 1`, "{} ∅"}},
		{"array of arrays", `[[1,"x"],[2],[],[null,null]]`, "$", []string{"column_1", "$[1]"}, []string{`1 "x"`, "2 ∅", "∅ ∅", "∅ ∅"}},
		{"lines of arrays", "[1,\"x\"]\n[2,[3]]\n", "$", []string{"column_1", "column_2"}, []string{`1 "x"`, "2 [3]"}},
		{"array of plain values", `[1,"x",null,true]`, "$", []string{"value"}, []string{"1", `"x"`, "∅", "true"}},
		{"lines of plain values", "1\n\"x\"\n2 3", "$", []string{"value", "!$"}, []string{"1 1", `"x" "\"x\""`, "2 2", "3 3"}},
		{"a path", `{"n":[1,{"items":0}],"data":{"x":"]","items":[{"a":1},{"a":2}]},"z":{}}`, "$.data.items", []string{"a"}, []string{"1", "2"}},
		{"a path in several documents", "{\"items\":[{\"a\":1}]}\n{\"items\":null}\n{\"items\":[]}\n{\"items\":[{\"a\":2}]}", "$.items", []string{"a"}, []string{"1", "2"}},
		{"a path through arrays", `[{"p":[{"a":1}]},{"p":[]},{"p":[{"a":2},{"a":3}]}]`, "$[*].p", []string{"a"}, []string{"1", "2", "3"}},
		{"a path to objects", `{"features":[{"properties":{"a":1},"id":7},{"id":8,"properties":{"a":2}}]}`, "$.features[*].properties", []string{"a"}, []string{"1", "2"}},
		{"a path to arrays", `{"rows":[[1,2],[3,4]]}`, "$.rows", []string{"column_2"}, []string{"2", "4"}},
		{"a path to an element", `{"sheets":[{"rows":[{"a":1}]},{"rows":[{"a":2}]}]}`, "$.sheets[1]['rows'][*]", []string{"a"}, []string{"2"}},
		{"a path to an object", `{"data":{"a":1}}`, "$.data", []string{"a"}, []string{"1"}},

		{"a line costs itself", "{\"a\":1}\n{\"a\":\n{\"a\" 3}\nx\n{\"a\":5},\n{\"a\":\"6\n{\"a\":7}\n", "$", []string{"a"},
			[]string{"1", "2 syntax", "3 syntax", "4 syntax", "5 syntax", "6 syntax", "7"}},
		{"the first line costs itself", "{\"a\":\n{\"a\":2}\n{\"a\":3}\n", "$", []string{"a"}, []string{"1 syntax", "2", "3"}},
		{"and also where one follows", "nope nope\n{\"a\":2}", "$", []string{"a"}, []string{"1 syntax", "2"}},
		{"a cut line at the end", "{\"a\":1}\n{\"a\":2", "$", []string{"a"}, []string{"1", "2 syntax"}},
		{"values on several lines", "{\n\"a\":1}\n{\n\"a\" 2}\n{\n\"a\":3}", "$", []string{"a"}, []string{"1", "4 syntax!"}},
		{"in the middle of a line", `{"a":1} {"a" 2} {"a":3}`, "$", []string{"a"}, []string{"1", "1 syntax!"}},
		{"a file of one bad line", `{"a" 1}`, "$", []string{"a"}, []string{"1 syntax!"}},
		{"flaws in an array", `[{"a":NaN},{"a":01},{"a":"\x"},{"a":"` + "\t" + `"},{"a":1,},{"a":[1,]},{"a":"\ud800"},{"a":"` + "\xff" + `"},{"a":True},{"a":1}]`, "$", []string{"a"},
			[]string{"1 syntax", "1 syntax", "1 syntax", "1 syntax", "1 syntax", "1 syntax", "1 syntax", "1 syntax", "1 syntax", "1"}},
		{"a break in an array", `[{"a":1},{"a" 2},{"a":3}]`, "$", []string{"a"}, []string{"1", "1 syntax!"}},
		{"an array that is not closed", "[{\"a\":1},\n", "$", []string{"a"}, []string{"1", "2 syntax!"}},
		{"a comment", "{\"a\":1} // one\n{\"a\":2}\n", "$", []string{"a"}, []string{"1 syntax", "2"}},
		{"NUL in a value", `{"a":"\u0000"} {"a":["\u0000"]} {"a":1,"b":"\u0000"}`, "$", []string{"a", "!$.b"}, []string{"1 nul", "1 nul", "1 nul"}},
		{"NUL in what nothing takes", `{"a":{"\u0000":1,"b":2}}`, "$", []string{"a.b"}, []string{"2"}},
		{"deep", `{"a":1}` + "\n" + `{"a":` + strings.Repeat("[", 1001) + "\n" + `{"a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + "}", "$", []string{"a"},
			[]string{"1", "2 limit", strings.Repeat("[", 1000) + strings.Repeat("]", 1000)}},
		{"another kind of record", "{\"a\":1}\n[1]\n5\nnull\n", "$", []string{"a"}, []string{"1", "2 value", "3 value", "4 value"}},
		{"no path", `{"data":{"rows":[]}}`, "$.data.items", []string{"a"}, []string{"1 header!"}},
		{"a path into something else", `{"data":[1]}`, "$.data.items", []string{"a"}, []string{"1 header!"}},
		{"a path to a key that is there twice", `{"x":[{"a":1}],"x":[{"a":2}]}`, "$.x", []string{"a"}, []string{"1", "1 syntax!"}},
		{"a break around records", `{"x" 1,"items":[]}`, "$.items", []string{"a"}, []string{"1 syntax!"}},
		{"something behind the array", `[{"a":1}]]`, "$", []string{"a"}, []string{"1", "1 syntax!"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := shown(jsonOf(t, test.text, test.records, bucketload.PolicyIgnore, test.paths...))
			if !slices.Equal(got, test.want) {
				t.Errorf("%q:\n got %q\nwant %q", test.text, got, test.want)
			}
		})
	}
}

func TestJSONUnknown(t *testing.T) {
	const text = `{"a":1,"b":{"c":"d"},"e\n":null}` + "\n" + `{"a":2}` + "\n"
	for unknown, want := range map[string][]string{
		bucketload.PolicyIgnore: {"1", "2"},
		bucketload.PolicyRescue: {`1 {"b":{"c":"d"},"e\n":null}`, "2 ∅"},
		bucketload.PolicyFail:   {"1 unknown_column", "2"},
		bucketload.PolicyAdd:    {"1 unknown_column", "2"},
		"":                      {"1 unknown_column", "2"},
	} {
		if got := shown(jsonOf(t, text, "$", unknown, "a")); !slices.Equal(got, want) {
			t.Errorf("%s: %q", unknown, got)
		}
	}
	for _, test := range []struct {
		text, unknown, path string
		want                []string
	}{
		{`{"a":{"x":1,"y":2},"b":1}`, bucketload.PolicyRescue, "a.x", []string{`1 {"b":1}`}}, // a is taken
		{`{"a":1,"b":2}`, bucketload.PolicyRescue, "$", []string{`{"a":1,"b":2} ∅`}},         // $ takes all
		{`{"a":1,"b":2}`, bucketload.PolicyFail, "$", []string{`{"a":1,"b":2}`}},
		{"[1,2,3]\n[4]", bucketload.PolicyRescue, "column_2", []string{`2 {"column_1":1,"column_3":3}`, `∅ {"column_1":4}`}},
		{"[1,2,3]\n[4]", bucketload.PolicyFail, "column_1", []string{"1 unknown_column", "4"}},
		{"5", bucketload.PolicyRescue, "a", []string{`∅ {"value":5}`}},
		{`{"b":"\u0000"}`, bucketload.PolicyRescue, "a", []string{"1 nul"}},
		{`{"b":1,"b" 2}`, bucketload.PolicyFail, "a", []string{"1 syntax!"}},
	} {
		if got := shown(jsonOf(t, test.text, "$", test.unknown, test.path)); !slices.Equal(got, test.want) {
			t.Errorf("%s %s: %q", test.text, test.unknown, got)
		}
	}
}

// Errors say where, and what to do.
func TestJSONErrors(t *testing.T) {
	for _, test := range []struct {
		text, records string
		line          int64
		message, hint string
	}{
		{"{\"a\":1}\n{\"a\":NaN}\n", "$", 2, "at byte 6 of the line: {\"a\":NaN}", "NaN"},
		{"{\"a\":1,\n\"b\" 2}", "$", 2, "a colon is expected behind a key, at byte 5 of the line: \"b\" 2}", "mend"},
		{"{\"a\":'x'}", "$", 1, "a value is expected, at byte 6", "double quotes"},
		{"{'a':1}", "$", 1, "a key in double quotes is expected, at byte 2", "double quotes"},
		{"{\"a\":1}\n{\"a\":1},\n", "$", 2, "something follows the record, at byte 8", "no commas"},
		{"{\"a\":1", "$", 1, "cut off", "upload it again"},
		{"{\"a\":1}\n5", "$", 2, "the record is a number", "from: value"},
		{"{\"a\":1}\n[5]", "$", 2, "the record is an array", "from: column_1"},
		{"{\"a\":1,\"zz\":1}", "$", 1, `has "zz"`, "unknown: ignore, add or rescue"},
		{`{"one":1,"t\"wo":2}`, "$.items", 1, "there is no $.items in the document", `$ has "one", "t\"wo"`},
		{`{"items":{"a":1}}`, "$.items[*]", 1, "$.items is an object, and $.items[*] does not lead into it", "json: {records:"},
		{`{"items":[1]}`, "$.items[3]", 1, "there is no $.items[3] in the document", "has 1 elements"},
	} {
		j := jsonOf(t, test.text, test.records, bucketload.PolicyFail, "a")
		var err error
		for err == nil {
			_, err = j.Next()
		}
		e := bucketload.AsError(err)
		if e.Line != test.line || !strings.Contains(e.Message, test.message) || !strings.Contains(e.Hint, test.hint) {
			t.Errorf("%q: line %d: %s (%s)", test.text, e.Line, e.Message, e.Hint)
		}
	}
	for _, path := range []string{"", "items", "$x", "$.", "$.a.", "$[", "$[x]", "$['a", "$.a]", "$[10000]", "$.*", "$" + strings.Repeat(".a", 101)} {
		if _, err := NewJSON(nil, path, nil, ""); bucketload.AsError(err) == nil || bucketload.AsError(err).Code != bucketload.CodeUsage {
			t.Errorf("records %q: %v", path, err)
		}
	}
	for _, path := range []string{"$.a[*]", "$[*]", "$.", "$[-1]"} {
		if _, err := NewJSON(nil, "$", []JSONField{{Paths: []string{path}}}, ""); bucketload.AsError(err) == nil || bucketload.AsError(err).Code != bucketload.CodeUsage {
			t.Errorf("field %q: %v", path, err)
		}
	}
	broken := errors.New("connection reset")
	j, err := NewJSON(io.MultiReader(strings.NewReader(`{"a":1}`), iotest.ErrReader(broken)), "$", nil, bucketload.PolicyIgnore)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.Next(); !errors.Is(err, broken) || !j.Broken() {
		t.Errorf("an error of reading: %v", err)
	}
}

// Line, Offset and Raw lead back to the record in the file.
func TestJSONPlace(t *testing.T) {
	const text = "\n {\"a\": 1}\n{\"a\" 2}\n\n{\"a\":\"é😀\",\"b\":1}\n[3]\n"
	wide := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(text)) {
		wide = append(wide, byte(u), byte(u>>8))
	}
	type place struct {
		line, offset int64
		raw          string
	}
	for name, test := range map[string]struct {
		data []byte
		want []place
	}{
		"UTF-8":  {[]byte(text), []place{{2, 2, `{"a": 1}`}, {3, 11, `{"a" 2}`}, {5, 20, `{"a":"é😀","b":1}`}, {6, 41, "[3]"}}},
		"UTF-16": {wide, []place{{2, 6, `{"a": 1}`}, {3, 24, `{"a" 2}`}, {5, 42, `{"a":"é😀","b":1}`}, {6, 78, "[3]"}}},
	} {
		j, err := NewJSON(iotest.HalfReader(bytes.NewReader(test.data)), "$", []JSONField{{Paths: []string{"a"}}}, bucketload.PolicyIgnore)
		if err != nil {
			t.Fatal(err)
		}
		var got []place
		for {
			_, err := j.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			got = append(got, place{j.Line(), j.Offset(), string(j.Raw())})
			if j.Broken() {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestJSONUTF16(t *testing.T) {
	for name, text := range map[string]string{
		"big endian":             "\xfe\xff\x00{\x00\"\x00a\x00\"\x00:\x001\x00}",
		"big endian, no mark":    "\x00{\x00\"\x00a\x00\"\x00:\x001\x00}",
		"little endian, no mark": "{\x00\"\x00a\x00\"\x00:\x001\x00}\x00",
	} {
		if got := shown(jsonOf(t, text, "$", bucketload.PolicyFail, "a")); !slices.Equal(got, []string{"1"}) {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := shown(jsonOf(t, "[\x00\"\x00\x00\xd8\"\x00]\x00", "$", bucketload.PolicyFail, "value")); !slices.Equal(got, []string{"1 syntax"}) {
		t.Errorf("half a pair: %q", got)
	}
}

// A record may be MaxRow long. One that is longer costs its line, and what
// surrounds records may be of any length.
func TestJSONTooLong(t *testing.T) {
	long := strings.Repeat("x", MaxRow)
	j := jsonOf(t, "{\"a\":1}\n{\"a\":\""+long+"\"}\n{\"a\":3}\n", "$", bucketload.PolicyFail, "a")
	if got := shown(j); !slices.Equal(got, []string{"1", "2 too_long", "3"}) {
		t.Errorf("%.100q", got)
	}
	if got := shown(jsonOf(t, "[{\"a\":1},{\"a\":\""+long+"\"}]", "$", bucketload.PolicyFail, "a")); !slices.Equal(got, []string{"1", "1 too_long!"}) {
		t.Errorf("%.100q", got)
	}
	if got := shown(jsonOf(t, "{\"a\":1}\n{\"a\":\""+long[:MaxRow-100]+"\"}\n", "$", bucketload.PolicyFail, "$.a")); len(got) != 2 || len(got[1]) < MaxRow-100 {
		t.Errorf("%.100q", got)
	}
	around := `{"x":[` + strings.Repeat(`"0123456789",`, 500_000) + `0],"items":[{"a":1}]}`
	j = jsonOf(t, around, "$.items", bucketload.PolicyFail, "a")
	if got := shown(j); !slices.Equal(got, []string{"1"}) || len(j.buf) > 2*firstBuffer {
		t.Errorf("%q, with a buffer of %d", got, len(j.buf))
	}
}

func TestJSONAllocs(t *testing.T) {
	lines, fields := weatherLines(t, 2000)
	array := []byte("{\"rows\":[" + strings.ReplaceAll(strings.TrimSpace(string(lines)), "\n", ",") + "]}")
	for _, test := range []struct {
		records, unknown string
		data             []byte
		fields           []JSONField
	}{
		{"$", bucketload.PolicyFail, lines, fields},
		{"$", bucketload.PolicyRescue, lines, fields[:10]},
		{"$.rows", bucketload.PolicyIgnore, array, fields[5:]},
		{"$", bucketload.PolicyFail, bytes.Repeat([]byte("{\"a\":{\"b\":[1,\"\\n\\u00e9\"]},\"c\":\"x\\ty\"}\n"), 5000),
			[]JSONField{{Paths: []string{"a.b[1]", "x"}}, {Paths: []string{"$.a"}, Raw: true}, {Paths: []string{"c"}}}},
	} {
		j, err := NewJSON(bytes.NewReader(test.data), test.records, test.fields, test.unknown)
		if err != nil {
			t.Fatal(err)
		}
		next := func() {
			if _, err := j.Next(); err != nil {
				t.Fatal(err)
			}
		}
		next()
		if allocs := testing.AllocsPerRun(1000, next); allocs > 0 {
			t.Errorf("%s, %s: %v allocations per row", test.records, test.unknown, allocs)
		}
	}
}

func TestSampleJSON(t *testing.T) {
	for _, test := range []struct {
		name, records, head string
		pieces              []string
		names               []string
		rows                []string
	}{
		{"union of keys", "$", "{\"b\":1}\n{\"a\":\"x\",\"b\":null}\n", nil, []string{"b", "a"}, []string{"1 ∅", `∅ "x"`}},
		{"cut head", "$", `[{"a":1},{"a":2},{"a":`, nil, []string{"a"}, []string{"1", "2"}},
		{"bad lines", "$", "{\"a\":1}\nx\n{\"a\":3}\n{\"a", nil, []string{"a"}, []string{"1", "3"}},
		{"pieces of lines", "$", "{\"a\":1}\n{\"a\":2}\n", []string{"\":7}\n{\"b\":8}\n{\"c\":", "]}\n{\"a\":9}\n"}, []string{"a", "b"}, []string{"1 ∅", "2 ∅", "∅ 8", "9 ∅"}},
		{"pieces of an array", "$", `[{"a":1},{"a":2},`, []string{"\n{\"b\":8},\n"}, []string{"a"}, []string{"1", "2"}},
		{"arrays", "$", "[[1,2],[3,[4],5]]", nil, []string{"column_1", "column_2", "column_3"}, []string{"1 2 ∅", "3 [4] 5"}},
		{"plain values", "$", "[1,null]", nil, []string{"value"}, []string{"1", "∅"}},
		{"of all kinds", "$", `[{"value":1},[2],3]`, nil, []string{"value", "column_1"}, []string{"1 ∅", "∅ 2", "3 ∅"}},
		{"odd keys", "$", `{"$.x":1,"":2,"a.b":3,"a":{"b":4}}`, nil, []string{"$['$.x']", "", "a.b", "a"}, []string{`1 2 3 {"b":4}`}},
		{"inside", "$.d[*]", `{"d":[{"x":1},{"y":2}]}`, nil, []string{"x", "y"}, []string{"1 ∅", "∅ 2"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var pieces [][]byte
			for _, p := range test.pieces {
				pieces = append(pieces, []byte(p))
			}
			names, rows, err := SampleJSON(test.records, 10, []byte(test.head), pieces...)
			if err != nil || !slices.Equal(names, test.names) {
				t.Fatalf("%q, %v", names, err)
			}
			var got []string
			for _, row := range rows {
				var s []string
				for _, f := range row {
					switch {
					case f.Quoted:
						s = append(s, fmt.Sprintf("%q", f.Bytes))
					case f.Bytes == nil:
						s = append(s, "∅")
					default:
						s = append(s, string(f.Bytes))
					}
				}
				got = append(got, strings.Join(s, " "))
			}
			if !slices.Equal(got, test.rows) {
				t.Errorf("%q", got)
			}
		})
	}
	if _, rows, _ := SampleJSON("$", 2, []byte("{}\n{}\n{}\n")); len(rows) != 2 {
		t.Errorf("%d rows of at most 2", len(rows))
	}
	if _, _, err := SampleJSON("$", 2, nil); !errors.Is(err, io.EOF) {
		t.Errorf("of nothing: %v", err)
	}
	if _, _, err := SampleJSON("$", 2, []byte("a,b\n1,2\n")); bucketload.AsError(err) == nil || bucketload.AsError(err).Code != bucketload.CodeSyntax {
		t.Errorf("of CSV: %v", err)
	}
	if _, _, err := SampleJSON("$.x", 2, []byte("{}")); bucketload.AsError(err) == nil || bucketload.AsError(err).Code != bucketload.CodeHeader {
		t.Errorf("of what has no records: %v", err)
	}
	keys := func(n int) string { return `{"` + strings.ReplaceAll(numbered(n), ",", `":1,"`) + `":1}` }
	if names, rows, err := SampleJSON("$", 2, []byte(keys(maxNames+1)+keys(1))); err != nil || len(names) != maxNames || len(rows) != 2 {
		t.Errorf("of too many keys: %d names, %d rows, %v", len(names), len(rows), err)
	}
	// Records without the keys that the first one has.
	few := strings.Repeat("{}\n", 1000)
	if names, rows, err := SampleJSON("$", 1000, []byte(keys(maxNames)+"\n"+few), []byte(few)); err != nil || len(names) != maxNames || len(rows)*maxNames > sampledFields+maxNames {
		t.Errorf("of sparse records: %d names, %d rows, %v", len(names), len(rows), err)
	}
	if names, rows, err := SampleJSON("$", 100, []byte(keys(1600)+"\n"+few)); err != nil || len(names) != 1600 || len(rows) != 100 {
		t.Errorf("of as many keys as a table has columns: %d names, %d rows, %v", len(names), len(rows), err)
	}
}
