package steps

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

func parquetOf[T any](t *testing.T, rows []T, options ...parquet.WriterOption) string {
	t.Helper()
	var file bytes.Buffer
	w := parquet.NewGenericWriter[T](&file, options...)
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file.String()
}

type (
	who struct {
		Name string  `parquet:"name"`
		Mail *string `parquet:"mail,optional"`
	}
	person struct {
		ID    int32    `parquet:"id"`
		Score *float64 `parquet:"score,optional"`
		Who   who      `parquet:"who"`
		Tags  []string `parquet:"tags,list"`
	}
	wide64 struct {
		ID    int64    `parquet:"ID"`
		Score *float64 `parquet:"score,optional"`
		Who   who      `parquet:"who"`
		Tags  []string `parquet:"tags,list"`
		Extra string   `parquet:"extra"`
	}
)

// TestParquet: columns and types come from the schema; the header policies,
// paths and lineage hold as for any other file.
func TestParquet(t *testing.T) {
	t.Parallel()
	score, mail := 1.5, "ann@x.org"
	people := parquetOf(t, []person{{1, &score, who{"Ann", &mail}, []string{"a", "b"}}, {2, nil, who{"Bob", nil}, nil}})
	more := parquetOf(t, []wide64{{1 << 40, nil, who{"Eve", nil}, []string{"c"}, "more"}})
	majors := temptest.Majors(t)
	for _, c := range []struct {
		name   string
		files  map[string]string
		change func(*bucketload.Load)
		want   string
		rows   string
		failed int64
	}{
		{name: "inferred", files: map[string]string{"a.parquet": people, "empty.parquet": ""},
			want: "id integer, score double precision, who jsonb, tags text[]", rows: `1|1.5|{"mail": "ann@x.org", "name": "Ann"}|["a","b"] 2|NULL|{"mail": null, "name": "Bob"}|[]`},
		{name: "of two schemas", files: map[string]string{"a.parquet": people, "b.parquet": people, "c.parquet": more}, change: func(l *bucketload.Load) { l.Unknown = bucketload.PolicyRescue },
			want: "id bigint, score double precision, who jsonb, tags text[], _rescued jsonb",
			rows: `1099511627776|NULL|{"mail": null, "name": "Eve"}|["c"]|{"extra": "more"} ` + strings.Repeat(`1|1.5|{"mail": "ann@x.org", "name": "Ann"}|["a","b"]|NULL `, 2) + strings.TrimSpace(strings.Repeat(`2|NULL|{"mail": null, "name": "Bob"}|[]|NULL `, 2))},
		{name: "inside of a struct, lineage and path", files: map[string]string{"year=2022/a.parquet": people}, change: func(l *bucketload.Load) {
			l.Columns = []bucketload.Column{{Name: "year"}, {Name: "mail", From: []string{"who.mail"}}, {Name: "name", From: []string{"none", "who.name"}}, {Name: "id", Type: "bigint"}, {Name: "tags", Type: "jsonb"}}
			l.Unknown, l.Lineage = bucketload.PolicyRescue, []string{bucketload.LineColumn}
		}, want: "year bigint, mail text, name text, id bigint, tags jsonb, _rescued jsonb, _line bigint",
			rows: `2022|NULL|Bob|2|[]|NULL|2 2022|ann@x.org|Ann|1|["a", "b"]|{"score": "1.5"}|1`},
		{name: "damaged", files: map[string]string{"a.parquet": people, "b.parquet": people[:len(people)/2]}, want: "id integer, score double precision, who jsonb, tags text[]",
			rows: `1|1.5|{"mail": "ann@x.org", "name": "Ann"}|["a","b"] 2|NULL|{"mail": null, "name": "Bob"}|[]`, failed: 1},
		{name: "by its first bytes", files: map[string]string{"part-0": people}, change: func(l *bucketload.Load) {
			l.From[0] += "part-*"
			l.Columns = []bucketload.Column{{Name: "id"}}
			l.Unknown = bucketload.PolicyIgnore
		}, want: "id integer", rows: "1 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := sharedBench(t, majors[len(c.name)%len(majors)])
			load := b.load(c.files)
			if c.change != nil {
				c.change(load)
			}
			if len(c.files) > 1 {
				b.inS3(load)
			}
			p, err := b.Preview(t.Context(), load)
			b.must(err)
			if p.Format != bucketload.FormatParquet || !strings.HasPrefix(p.Columns[len(p.Columns)-1].Evidence, "parquet ") && load.Columns == nil && load.Unknown == "" {
				t.Errorf("%s %+v", p.Format, p.Columns)
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

// TestParquetRanges: of an object in S3 only what the table takes is read.
func TestParquetRanges(t *testing.T) {
	t.Parallel()
	type row struct {
		ID  int64  `parquet:"id"`
		Pad string `parquet:"pad,plain"`
	}
	rows := make([]row, 2000)
	for i := range rows {
		rows[i] = row{int64(i), strings.Repeat(fmt.Sprintf("%08d", i*7919), 200)}
	}
	b := sharedBench(t, 0)
	file := parquetOf(t, rows)
	load := b.load(map[string]string{"a.parquet": file}, withColumns(bucketload.Column{Name: "id", Type: "bigint"}), func(l *bucketload.Load) { l.Unknown = bucketload.PolicyIgnore })
	s3 := b.inS3(load)
	_, err := b.whole(load)
	b.must(err)
	if got := b.value("SELECT sum(id) FROM t"); got != "1999000" {
		t.Error(got)
	}
	if read := b.Progress.Bytes.Load(); read > int64(len(file)) {
		t.Errorf("%d bytes of %d", read, len(file))
	}
	if n := s3.Requests()["GetObject"]; n > 8 {
		t.Errorf("%d requests", n)
	}
}
