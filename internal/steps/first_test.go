package steps

import (
	"strings"
	"testing"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// TestFirstRows: what stands first in a file and is broken costs what it is, a
// row or the file, and never makes the others look broken.
func TestFirstRows(t *testing.T) {
	t.Parallel()
	id, name := bucketload.Column{Name: "id", Type: "int"}, bucketload.Column{Name: "name", Type: "text"}
	bare := func(columns ...bucketload.Column) func(*bucketload.Load) {
		return func(l *bucketload.Load) { l.CSV.Header, l.CSV.Delimiter, l.Columns = false, ",", columns }
	}
	commas := func(columns ...bucketload.Column) func(*bucketload.Load) {
		return func(l *bucketload.Load) { l.CSV.Delimiter, l.Columns = ",", columns }
	}
	lossy := tolerating(t, "1", "0")
	rows, all := "", ""
	for _, c := range "abcdefghijklmno" {
		rows += "1," + string(c) + "\n"
		all += " 1|" + string(c)
	}
	all = all[1:]
	const header, quote, ragged = bucketload.CodeHeader, bucketload.CodeQuote, bucketload.CodeRagged
	cases := []struct {
		name     string
		data     string
		change   []func(*bucketload.Load)
		columns  string
		rows     string
		rejected int64
		code     bucketload.Code // of the file's error, or of the load's
		words    []string        // in it
	}{
		{name: "too short", data: "1\n" + rows, change: []func(*bucketload.Load){bare(id, name), lossy}, columns: "id integer, name text", rows: all, rejected: 1},
		{name: "too long", data: "1,x,2\n" + rows, change: []func(*bucketload.Load){bare(id, name), lossy}, columns: "id integer, name text", rows: all, rejected: 1},
		{name: "too long, columns by position", data: "1,x,2\n" + rows, columns: "id integer, n text", rows: all, rejected: 1, change: []func(*bucketload.Load){
			bare(bucketload.Column{Name: "id", From: []string{"column_1"}, Type: "int"}, bucketload.Column{Name: "n", From: []string{"column_2"}, Type: "text"}), lossy}},
		{name: "stray quote", data: "a\"b,x\n" + rows, change: []func(*bucketload.Load){bare(id, name), lossy}, columns: "id integer, name text", rows: all, rejected: 1},
		{name: "nothing configured", data: "1,x,2\n" + rows, change: []func(*bucketload.Load){bare(), lossy}, columns: "column_1 bigint, column_2 text", rows: all, rejected: 1},
		{name: "not tolerated", data: "1\n" + rows, change: []func(*bucketload.Load){bare(id, name)}, code: ragged, words: []string{"data.csv:1: the row has 1 field, and should have 2"}},
		{name: "another file", data: "1,x,2\n2,y,3\n", change: []func(*bucketload.Load){bare(id, name), lossy}, code: bucketload.CodeNewColumn, words: []string{"column_3"}},
		{name: "another file, let pass", data: "1,x,2\n2,y,3\n", columns: "id integer, name text", rows: "1|x 2|y", change: []func(*bucketload.Load){
			bare(id, name), func(l *bucketload.Load) { l.Unknown = bucketload.PolicyIgnore }}},
		{name: "narrower, let pass", data: "1\n2\n", columns: "id integer, name text", rows: "1|NULL 2|NULL", change: []func(*bucketload.Load){
			bare(id, name), func(l *bucketload.Load) { l.Missing = bucketload.PolicyNull }}},
		{name: "first row under a header", data: "id,name\na\"b,x\n" + rows, change: []func(*bucketload.Load){commas(id, name), lossy}, columns: "id integer, name text", rows: all, rejected: 1},
		{name: "header with a stray quote", data: "i\"d,name\n" + rows, change: []func(*bucketload.Load){commas(id, name), lossy}, code: quote,
			words: []string{"data.csv:1: the header cannot be read: a quote inside a field", "csv: {header: false, skip_head: 1}"}},
		{name: "and no columns are listed", data: "i\"d,name\n" + rows, change: []func(*bucketload.Load){commas()}, code: quote, words: []string{"the header cannot be read", "double the one inside"}},
		{name: "header too short", data: "id\n" + rows, change: []func(*bucketload.Load){commas(id, name), lossy}, code: bucketload.CodeNoColumn, words: []string{`the header has no "name"`}},
		{name: "a field without a name", data: ",name\n" + rows, change: []func(*bucketload.Load){commas()}, columns: "column_1 bigint, name text", rows: all},
		{name: "named by its position", data: ",name\n" + rows, change: []func(*bucketload.Load){
			commas(bucketload.Column{Name: "id", From: []string{"column_1"}, Type: "int"}, name)}, columns: "id integer, name text", rows: all},
		{name: "passed over", data: "name,,id\nx,1,2\n", change: []func(*bucketload.Load){
			commas(id, name), func(l *bucketload.Load) { l.Unknown = bucketload.PolicyIgnore }}, columns: "id integer, name text", rows: "2|x"},
		{name: "no names", data: "title,,,\n" + rows, change: []func(*bucketload.Load){commas()}, code: header, words: []string{"most fields of the header have no name", "skip_head"}},
	}
	whole := newBench(t, temptest.Majors(t)[0])
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := whole.part(t)
			load := b.load(map[string]string{"data.csv": c.data}, c.change...)
			load.AllowEmpty = c.code != ""
			run, err := b.whole(load)
			if c.code != "" {
				failed := bucketload.AsError(err)
				if run != nil && run.ID != nil {
					if e := b.files(*run.ID)["data.csv"].Error; e != nil {
						failed = &bucketload.Error{Code: e.Code, URI: "data.csv", Line: e.Line, Message: e.Message, Hint: e.Hint}
					}
				}
				for _, word := range c.words {
					if !strings.Contains(failed.Detail()+" "+failed.Hint, word) {
						t.Errorf("%q, hint %q, want %q", failed.Detail(), failed.Hint, word)
					}
				}
				if failed.Code != c.code {
					t.Errorf("code %s, want %s", failed.Code, c.code)
				}
				return
			}
			b.must(err)
			if got := b.columnsOf(); got != c.columns {
				t.Errorf("columns %s, want %s", got, c.columns)
			}
			if got := b.rowsOfTable(); got != c.rows {
				t.Errorf("rows %s, want %s", got, c.rows)
			}
			if run.Rows.Rejected != c.rejected {
				t.Errorf("%d rejected, want %d", run.Rows.Rejected, c.rejected)
			}
		})
	}
}
