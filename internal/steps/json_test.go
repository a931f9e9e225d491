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
