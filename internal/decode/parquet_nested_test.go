package decode

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bucketload/bucketload"
)

type nested struct {
	List   []*int64           `parquet:"list,list,optional"`
	Bare   []string           `parquet:"bare"`
	Deep   []inner            `parquet:"deep"`
	Map    map[string]float64 `parquet:"map,optional"`
	Struct *part              `parquet:"struct,optional"`
}

type part struct {
	A *string   `parquet:"a,optional"`
	B []byte    `parquet:"b"`
	C time.Time `parquet:"c,timestamp(microsecond)"`
	D []item    `parquet:"d,list"`
}

type item struct {
	X int8 `parquet:"x"`
}

type inner struct {
	In []int32 `parquet:"in,list"`
}

func nestedRows() []nested {
	one, s := int64(1), `a "b" \c`
	full := nested{List: []*int64{&one, nil, &one}, Bare: []string{"", "NULL", `x"y\z`, "a,b}"}, Deep: []inner{{[]int32{1, 2}}, {}, {[]int32{3}}}, Map: map[string]float64{"k\n": 0.5},
		Struct: &part{A: &s, B: []byte{0, 255}, C: time.Unix(0, 0), D: []item{{5}, {-6}}}}
	half := nested{List: []*int64{}, Map: map[string]float64{"i": math.Inf(1)}, Struct: &part{C: time.Unix(1, 0)}}
	return []nested{full, {}, half, full}
}

func TestParquetNested(t *testing.T) {
	want := []string{
		`{1,NULL,1} {"","NULL","x\"y\\z","a,b}"} [{"in":[1,2]},{"in":[]},{"in":[3]}] {"k\n":0.5} {"a":"a \"b\" \\c","b":"\\x00ff","c":"1970-01-01 00:00:00+00","d":[{"x":5},{"x":-6}]}`,
		`NULL {} [] NULL NULL`,
		`{} {} [] {"i":"Infinity"} {"a":null,"b":"\\x","c":"1970-01-01 00:00:01+00","d":[]}`,
		`{1,NULL,1} {"","NULL","x\"y\\z","a,b}"} [{"in":[1,2]},{"in":[]},{"in":[3]}] {"k\n":0.5} {"a":"a \"b\" \\c","b":"\\x00ff","c":"1970-01-01 00:00:00+00","d":[{"x":5},{"x":-6}]}`,
	}
	data := parquetFile(t, nestedRows())
	p := openParquet(t, data)
	var types []string
	for _, c := range p.Columns() {
		types = append(types, c.Name+" "+c.Type)
	}
	if want := []string{"list bigint[]", "bare text[]", "deep jsonb", "map jsonb", "struct jsonb"}; !slices.Equal(types, want) {
		t.Errorf("%q", types)
	}
	if got := pqShown(t, p); !slices.Equal(got, want) {
		t.Errorf("\n%s", strings.Join(got, "\n"))
	}

	p = openParquet(t, data)
	if err := p.Select([]ParquetField{{Path: "struct.c"}, {Path: "list", Type: "jsonb"}, {Path: "struct.b", Type: "text"}, {Path: "struct.a"}, {Path: "struct.d"}, {Path: "struct.a"}}); err != nil {
		t.Fatal(err)
	}
	want = []string{
		"1970-01-01 00:00:00+00 [1,null,1] '\x00\xff' 'a \"b\" \\c' " + `[{"x":5},{"x":-6}] 'a "b" \c'`,
		`NULL NULL NULL NULL NULL NULL`,
		`1970-01-01 00:00:01+00 [] '' NULL [] NULL`,
		"1970-01-01 00:00:00+00 [1,null,1] '\x00\xff' 'a \"b\" \\c' " + `[{"x":5},{"x":-6}] 'a "b" \c'`,
	}
	if got := pqShown(t, p); !slices.Equal(got, want) {
		t.Errorf("\n%s", strings.Join(got, "\n"))
	}

	for _, path := range []string{"no", "struct.no", "list.list", "list.element", "struct.d.list.element.x", "map.key_value.key", ""} {
		wantCode(t, openParquet(t, data).Select([]ParquetField{{Path: path}}), bucketload.CodeNoColumn, "no column "+path)
	}
}

// Bytes without a type are text where they go to text, also in lists.
func TestParquetTargets(t *testing.T) {
	data := parquetFile(t, []struct {
		Bytes []byte   `parquet:"bytes"`
		List  [][]byte `parquet:"list,list"`
	}{{[]byte("a"), [][]byte{[]byte("b"), []byte(`"`)}}})
	for target, want := range map[string]string{
		"":       `\x61`,
		"bytea":  `\x61`,
		"text":   `'a'`,
		"citext": `'a'`,
	} {
		p := openParquet(t, data)
		if err := p.Select([]ParquetField{{Path: "bytes", Type: target}}); err != nil {
			t.Fatal(err)
		}
		if got := pqShown(t, p)[0]; got != want {
			t.Errorf("%s: %s", target, got)
		}
	}
	for target, want := range map[string]string{
		"":              `{"\\x62","\\x22"}`,
		"bytea[]":       `{"\\x62","\\x22"}`,
		"BYTEA ARRAY":   `{"\\x62","\\x22"}`,
		"text[]":        `{"b","\""}`,
		"varchar(3)[2]": `{"b","\""}`,
		"text array":    `{"b","\""}`,
		"jsonb":         `["\\x62","\\x22"]`,
		"text":          `["\\x62","\\x22"]`,
	} {
		p := openParquet(t, data)
		if err := p.Select([]ParquetField{{Path: "list", Type: target}}); err != nil {
			t.Fatal(err)
		}
		if got := pqShown(t, p)[0]; got != want {
			t.Errorf("%s: %s", target, got)
		}
	}
}

// Older files have lists in other shapes. Source: parquet-format,
// LogicalTypes.md, "Backward-compatibility rules".
func TestParquetLists(t *testing.T) {
	leaf := func(name string, repetition int64) pqElement {
		return pqElement{name: name, physical: pqInt32, repetition: repetition}
	}
	group := func(name string, repetition int64, kind int16, children int64) pqElement {
		return pqElement{name: name, physical: pqGroup, repetition: repetition, children: children, logical: pqLogical{kind: kind}}
	}
	tests := []struct {
		name     string
		elements []pqElement
		want     string
	}{
		{"three levels", []pqElement{group("l", 1, pqList, 1), group("list", 2, 0, 1), leaf("element", 1)}, "integer[]"},
		{"two levels", []pqElement{group("l", 1, pqList, 1), leaf("element", 2)}, "integer[]"},
		{"a struct of two", []pqElement{group("l", 1, pqList, 1), group("element", 2, 0, 2), leaf("a", 0), leaf("b", 0)}, "jsonb: LIST of STRUCT"},
		{"array", []pqElement{group("l", 1, pqList, 1), group("array", 2, 0, 1), leaf("a", 0)}, "jsonb: LIST of STRUCT"},
		{"tuple", []pqElement{group("l", 1, pqList, 1), group("l_tuple", 2, 0, 1), leaf("a", 0)}, "jsonb: LIST of STRUCT"},
		{"list of lists", []pqElement{group("l", 1, pqList, 1), group("array", 2, pqList, 1), leaf("array", 2)}, "jsonb: LIST of LIST of INT32"},
		{"repeated", []pqElement{leaf("l", 2)}, "integer[]"},
		{"repeated group", []pqElement{group("l", 2, 0, 1), leaf("a", 0)}, "jsonb: LIST of STRUCT"},
		{"map", []pqElement{group("m", 1, pqMap, 1), group("key_value", 2, 0, 2), leaf("key", 0), leaf("value", 1)}, "jsonb: MAP of INT32 to INT32"},
		{"map without values", []pqElement{group("m", 1, pqMap, 1), group("key_value", 2, 0, 1), leaf("key", 0)}, "integer[]"},
		{"a list that is none", []pqElement{group("l", 1, pqList, 2), leaf("a", 0), leaf("b", 0)}, "jsonb: STRUCT"},
		{"nothing", []pqElement{group("g", 1, 0, 0)}, "jsonb: STRUCT"},
	}
	for _, test := range tests {
		root, _, err := schemaTree(append([]pqElement{group("root", 0, 0, 1)}, test.elements...))
		if err != nil {
			t.Fatal(test.name, err)
		}
		s := shapeOf(root.nodes[0])
		got := s.postgres()
		if got == "jsonb" {
			got += ": " + s.evidence()
		}
		if got != test.want {
			t.Errorf("%s: want %s, got %s", test.name, test.want, got)
		}
	}
}

// Errors say what is to be done, also those that no file of the corpus has.
func TestParquetNestedErrors(t *testing.T) {
	group := func(name string, repetition int64, kind int16, children int64) pqElement {
		return pqElement{name: name, physical: pqGroup, repetition: repetition, children: children, logical: pqLogical{kind: kind}}
	}
	leaf := pqElement{name: "key", physical: pqInt32, repetition: pqOptional}
	root, leaves, err := schemaTree([]pqElement{group("root", 0, 0, 1), group("m", pqOptional, pqMap, 1), group("key_value", pqRepeated, 0, 2), leaf, leaf})
	if err != nil {
		t.Fatal(err)
	}
	p := &Parquet{root: root, nodes: leaves}
	if err := p.Select([]ParquetField{{Path: "m"}}); err != nil {
		t.Fatal(err)
	}
	for _, l := range p.leaves {
		l.n, l.defs[0] = 1, 2 // there is an element, without a key
	}
	_, _, err = p.columns[0].field(nil)
	wantCode(t, err, bucketload.CodeValue, "a key of the map is NULL")

	p = &Parquet{root: root, nodes: leaves, budget: pqBudget{used: pqMaxHeld - 2*pqBatchSize + 1}}
	wantCode(t, p.Select([]ParquetField{{Path: "m"}}), bucketload.CodeLimit, "too many columns")
}
