package steps

import (
	"strings"
	"testing"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// TestJSON: columns are the keys that records have; the header policies, paths
// and lineage hold as for any other file.
func TestJSON(t *testing.T) {
	t.Parallel()
	majors := temptest.Majors(t)
	for i, c := range []struct {
		name   string
		files  map[string]string
		change func(*bucketload.Load)
		want   string
		rows   string
		failed int64
	}{
		{name: "inferred", files: map[string]string{"a.json": `{"ID": 1, "n": 1.50}` + "\n" + `{"ID": 2, "who": {"name": "Ann"}}`, "b.ndjson": `[{"n": 12345678901234567890.5}, {"ID": 3, "n": null}]`, "empty.json": ""},
			want: "id bigint, n numeric, who jsonb", rows: `1|1.50|NULL 2|NULL|{"name": "Ann"} 3|NULL|NULL NULL|12345678901234567890.5|NULL`},
		{name: "configured, rescued, of the path and with lineage", files: map[string]string{"y=1/a.json": "{\"id\": 1, \"who\": {\"name\": \"Ann\"}, \"x\": [1, {\"a\": null}]}\n\n{\"id\": 2}\n"}, change: func(l *bucketload.Load) {
			l.Columns = []bucketload.Column{{Name: "y"}, {Name: "name", From: []string{"$.who.name"}, Type: "text"}, {Name: "whole", From: []string{"who"}, Type: "jsonb"}, {Name: "id", Type: "int"}}
			l.Unknown, l.Lineage = bucketload.PolicyRescue, []string{bucketload.LineColumn}
		}, want: "y bigint, name text, whole jsonb, id integer, _rescued jsonb, _line bigint", rows: `1|Ann|{"name": "Ann"}|1|{"x": [1, {"a": null}]}|1 1|NULL|NULL|2|NULL|3`},
		{name: "a key of records goes before the path", files: map[string]string{"id=9/a.json": `{"id": 1}`}, want: "id bigint", rows: "1"},
		{name: "an unknown key fails its file", files: map[string]string{"a.json": `{"id": 1}`, "b.json": `{"id": 2, "x": 1}`}, change: withColumns(bucketload.Column{Name: "id"}), want: "id bigint", rows: "1", failed: 1},
		{name: "added", files: map[string]string{"a.json": `{"id": 1}`, "b.json": `{"id": 2, "x": true}`}, change: func(l *bucketload.Load) {
			l.Columns, l.Unknown = []bucketload.Column{{Name: "id", Type: "int"}}, bucketload.PolicyAdd
		}, want: "id integer, x boolean", rows: "1|NULL 2|true"},
		{name: "a file without the path's key", files: map[string]string{"y=1/a.json": `{"id": 1}`, "y=2/b.json": `{"id": 2}`, "c.json": `{"id": 3}`}, want: "id bigint, y bigint", rows: "1|1 2|2", failed: 1},
		{name: "records inside, names that say nothing", files: map[string]string{"part-1": `{"data": {"items": [{"id": 1}, {"id": 2}]}}`}, change: func(l *bucketload.Load) {
			l.From[0] += "part-*"
			l.JSON.Records = "$.data.items"
		}, want: "id bigint", rows: "1 2"},
		{name: "keys in either case", files: map[string]string{"a.json": `{"ID": 1, "Name": "Ann"}` + "\n" + `{"id": 2, "name": null}`, "b.json": `{"Id": 3, "NAME": "Eve"}`},
			want: "id bigint, name text", rows: "1|Ann 2|NULL 3|Eve"},
		{name: "keys in either case, configured", files: map[string]string{"a.json": `{"ID": 1, "Name": "Ann"}` + "\n" + `{"id": 2, "name": "Bob"}`, "b.json": `{"Id": 3, "NAME": "Eve"}`},
			change: withColumns(bucketload.Column{Name: "id", Type: "int"}, bucketload.Column{Name: "who", From: []string{"name"}}), want: "id integer, who text", rows: "1|Ann 2|Bob 3|Eve"},
		{name: "a record with both", files: map[string]string{"a.json": `{"ID": 1, "id": 2}` + "\n" + `{"ID": 3}`, "b.json": `{"id": 4}`},
			want: "id bigint, id_2 bigint", rows: "1|2 3|NULL NULL|4"},
		{name: "a first record that is long", files: map[string]string{"a.json": `{"id": 1, "s": "` + strings.Repeat("x", 2*sampleHead) + `"}` + "\n" + `{"id": 2, "s": "y"}`}, change: func(l *bucketload.Load) {
			l.Unknown = bucketload.PolicyIgnore
			l.Columns, l.ColumnsOverride = []bucketload.Column{{Name: "s", NullIf: []string{strings.Repeat("x", 2*sampleHead)}}}, true
		}, want: "id bigint, s text", rows: "1|NULL 2|y"},
		{name: "records that begin late", files: map[string]string{"a.json": `{"licence": "` + strings.Repeat("long ", sampleHead) + `", "data": {"items": [{"id": 1}, {"id": 2}]}}`}, change: func(l *bucketload.Load) {
			l.JSON.Records = "$.data.items"
		}, want: "id bigint", rows: "1 2"},
		{name: "documents that are meant", files: map[string]string{"a.json": `{"id": 1, "items": [{"n": 1}, {"n": 2}]}`}, change: func(l *bucketload.Load) {
			l.JSON.Records = "$"
		}, want: "id bigint, items jsonb", rows: `1|[{"n": 1}, {"n": 2}]`},
		{name: "columns of documents", files: map[string]string{"a.json": `{"id": 1, "items": [{"n": 1}, {"n": 2}]}`}, change: withColumns(bucketload.Column{Name: "id"}, bucketload.Column{Name: "items", Type: "jsonb"}),
			want: "id bigint, items jsonb", rows: `1|[{"n": 1}, {"n": 2}]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := sharedBench(t, majors[i%len(majors)])
			load := b.load(c.files)
			if c.change != nil {
				c.change(load)
			}
			if len(c.files) > 1 {
				b.inS3(load)
			}
			p, err := b.Preview(t.Context(), load)
			b.must(err)
			if p.Format != bucketload.FormatJSON {
				t.Error(p.Format)
			}
			r, err := b.whole(load)
			b.must(err)
			if got := b.columnsOf(); got != c.want {
				t.Errorf("columns %s, want %s", got, c.want)
			}
			if got := b.rowsOfTable(); got != c.rows {
				t.Errorf("rows %s, want %s", got, c.rows)
			}
			if r.Files.Failed != c.failed {
				t.Errorf("%d files failed, want %d", r.Files.Failed, c.failed)
			}
		})
	}
}

// TestMixedFormats: what names say decides, and what they say must agree.
func TestMixedFormats(t *testing.T) {
	t.Parallel()
	b := sharedBench(t, 0)
	load := b.load(map[string]string{"a.csv": "id\n1\n", "b.jsonl": `{"id": 2}`, "c.txt": "x"})
	_, err := b.whole(load)
	wantCode(t, err, bucketload.CodeUsage, "csv ", "a.csv", "json ", "b.jsonl", "--set format=csv")
	load.Format = bucketload.FormatJSON
	r, err := b.whole(load)
	b.must(err)
	if got := b.rowsOfTable(); got != "2" || r.Files.Skipped != 2 || !strings.Contains(b.files(*r.ID)["a.csv"].Error.Message, "json") {
		t.Errorf("%s, %+v", got, r.Files)
	}
}

// TestWrappedDocuments: what wraps its records is not loaded as if it were one,
// unless someone said so, and what shows no record says why.
func TestWrappedDocuments(t *testing.T) {
	t.Parallel()
	const point = `{"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}, "properties": {"id": 7}}`
	collection := func(n int) string {
		return `{"type": "FeatureCollection", "features": [` + strings.Repeat(point+", ", n-1) + point + `]}`
	}
	long := strings.Repeat("long ", sampleHead)
	refused := []string{"with an array of objects at $.features", "--set 'json.records=$.features'", "--set 'json.records=$'"}
	b := newBench(t, temptest.Majors(t)[0])
	for _, c := range []struct {
		name  string
		files map[string]string
		code  bucketload.Code
		words []string
	}{
		{"one", map[string]string{"a.geojson.json": collection(3)}, bucketload.CodeUsage, refused},
		{"several, one of one feature", map[string]string{"a.json": collection(1), "b.json": collection(2), "c.json": ""}, bucketload.CodeUsage, refused},
		{"longer than a sample", map[string]string{"a.json": collection(5000)}, bucketload.CodeUsage, refused},
		{"begun behind a sample", map[string]string{"a.json": `{"licence": "` + long + `", "features": [` + point + "," + point + `]}`}, bucketload.CodeUsage, refused},
		{"packed", map[string]string{"a.json.zst": zst(collection(5000))}, bucketload.CodeUsage, refused},
		{"nothing ends", map[string]string{"a.json": `{"s": "` + strings.Repeat(long, 20) + `"}`}, bucketload.CodeTooLong, []string{"a.json", "no record ends within the first 4.19 MB", "json.records", "columns:"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := b.part(t)
			load := b.load(c.files)
			_, err := b.Preview(t.Context(), load)
			wantCode(t, err, c.code, c.words...)
			_, err = b.whole(load)
			wantCode(t, err, c.code, c.words...)
		})
	}
	b = b.part(t)
	load := b.load(map[string]string{"a.json": collection(2), "b.json": collection(1)}, func(l *bucketload.Load) { l.JSON.Records = "$.features" })
	r, err := b.whole(load)
	b.must(err)
	if r.Rows.Loaded != 3 {
		t.Errorf("%d rows", r.Rows.Loaded)
	}
}
