package decode

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf16"

	"pgregory.net/rapid"
)

func TestWrappedJSON(t *testing.T) {
	const feature = `{"type": "Feature", "properties": {"a": [{"b": 1}, {"b": 2}]}}`
	many := strings.Repeat(feature+", ", 20) + feature
	wide := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(`{"é": [{"a": 1}, {"a": 2}]}`)) {
		wide = append(wide, byte(u), byte(u>>8))
	}
	for _, test := range []struct {
		name, head, path string
		n                int
	}{
		{"GeoJSON", `{"type": "FeatureCollection", "bbox": [1, 2], "features": [` + feature + ", " + feature + "]}\n", "$.features", 2},
		{"cut off within", `{"type": "FeatureCollection", "features": [` + many[:len(many)/2], "$.features", 11},
		{"further inside", `{"data": {"page": 1, "items": [{"id": 1}, {"id": 2}]}}`, "$.data.items", 2},
		{"with a mark", "\ufeff" + `{"items": [{"id": 1}]}`, "$.items", 1},
		{"in UTF-16", string(wide), "$.é", 2},
		{"an odd key", `{"it's a\\b": [{"id": 1}, {"id": 2}]}`, `$['it\'s a\\b']`, 2},
		{"the greatest of several", `{"errors": [{"a": 1}], "rows": [{"id": 1}, {"id": 2}, {"id": 3}, {"id": 4}]}`, "$.rows", 4},
		{"records on lines", `{"items": [{"id": 1}, {"id": 2}]}` + "\n" + `{"items": []}`, "", 0},
		{"none of them the most", `{"id": 1, "name": "a long name and more of it", "items": [{"id": 1}], "more": [{"id": 2}]}`, "", 0},
		{"no objects in it", `{"items": [1, 2, 3, {"id": 1}]}`, "", 0},
		{"empty", `{"items": []}`, "", 0},
		{"an array", `[{"items": [{"id": 1}]}]`, "", 0},
		{"damaged", `{"items": [{"id": 1}, {"id" 2}]}`, "", 0},
		{"no JSON", "id,name\n", "", 0},
		{"nothing", "", "", 0},
		{"deep", strings.Repeat(`{"a":`, 5000) + `[{"id": 1}]`, "", 0},
	} {
		if path, n := WrappedJSON([]byte(test.head)); path != test.path || n != test.n {
			t.Errorf("%s: %s %d, want %s %d", test.name, path, n, test.path, test.n)
		}
	}
}

// A long key is not written out for each of what is inside, which would take
// minutes.
func TestWrappedJSONLongKeys(t *testing.T) {
	key := strings.Repeat("k", 4<<20)
	head := `{"` + key + `": {` + strings.Repeat(`"a": [], "b": {}, `, 200_000) + `"c": [{"id": 1}, {"id": 2}]}}`
	if path, n := WrappedJSON([]byte(head)); path != "$."+key+".c" || n != 2 {
		t.Errorf("%d bytes, %d", len(path), n)
	}
}

// TestWrappedJSONProperty: the path that is found is one by which the reader
// gives the records, whatever their keys.
func TestWrappedJSONProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		document := "[" + strings.Repeat(`{"id": 1, "n": "x"}, `, rapid.IntRange(1, 30).Draw(t, "n")) + `{"id": 2}]`
		n := strings.Count(document, "{")
		for range rapid.IntRange(1, 4).Draw(t, "depth") {
			key, err := json.Marshal(rapid.StringN(0, 10, 20).Draw(t, "key"))
			if err != nil {
				t.Fatal(err)
			}
			document = `{"x!": [1], ` + string(key) + `: ` + document + `}`
		}
		path, found := WrappedJSON([]byte(document))
		if path == "" || found != n {
			t.Fatalf("%s: %q %d", document, path, found)
		}
		_, rows, err := SampleJSON(path, n+1, []byte(document))
		if err != nil || len(rows) != n {
			t.Fatalf("%s: %s gives %d records, %v", document, path, len(rows), err)
		}
	})
}

func FuzzWrappedJSON(f *testing.F) {
	f.Add(`{"type": "FeatureCollection", "features": [{"a": 1}, {"a": 2`)
	f.Fuzz(func(t *testing.T, data string) {
		path, n := WrappedJSON([]byte(data))
		if (path == "") != (n == 0) {
			t.Fatalf("%q %d", path, n)
		}
		if path == "" {
			return
		}
		if _, err := jsonPath(path); err != nil {
			t.Fatalf("%q: %v", path, err)
		}
	})
}
