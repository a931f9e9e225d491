package judges

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// TestOtherSuites loads what CSV the suites of other tools have, without a word
// about it. Nothing may crash or hang, every error must be one for users, and
// what is plain must be what encoding/csv makes of it.
func TestOtherSuites(t *testing.T) {
	t.Parallel()
	slow(t)
	c := newCourt(t)
	text := "No word is said about any of the files but `all_text: true`. A file is plain where one delimiter alone splits\n" +
		"it into rows of one width, by Go's `encoding/csv`, and its first row could be a header or not; then the table must be\n" +
		"exactly these rows. What is refused has an error with a hint; nothing crashes.\n\n" +
		"| suite | files | plain | as encoding/csv has it | others loaded | others refused |\n| --- | --: | --: | --: | --: | --: |\n"
	for _, set := range []struct{ name, dir string }{
		{"DuckDB", "duckdb-csv"}, {"csvkit", "csvkit"}, {"Frictionless", "frictionless"},
	} {
		names := files(t, temptest.Corpus(t, "corpus/"+set.dir), "*.csv", "*.tsv", "*.csv.gz", "*.csv.bz2", "*.csv.zst", "*.csv.xz")
		type outcome struct{ plain, same, loaded bool }
		outcomes := make([]outcome, len(names))
		each(t, names, func(path string) string { return set.dir + "/" + filepath.Base(path) }, func(t *testing.T, i int, path string) {
			v := c.load(t, "format: csv\nallow_empty: true\n"+asText, path)
			rows := plainRows(t, path)
			outcomes[i] = outcome{plain: rows != nil, loaded: v.err == nil}
			switch {
			case v.err != nil && rows != nil:
				t.Errorf("a plain file is refused: %v", v.err)
			case v.err != nil && v.err.Hint == "":
				t.Errorf("an error without a hint: %v", v.err)
			case v.err == nil && rows != nil:
				if outcomes[i].same = v.holds(rows); !outcomes[i].same {
					t.Errorf("got %d rows under %q\n%.500q, encoding/csv has %d\n%.500q", len(v.rows), v.names, v.texts(), len(rows), rows)
				}
			}
		})
		n := func(is func(outcome) bool) (n int) {
			for _, o := range outcomes {
				if is(o) {
					n++
				}
			}
			return n
		}
		text += fmt.Sprintf("| %s | %d | %d | %d | %d | %d |\n", set.name, len(names),
			n(func(o outcome) bool { return o.plain }), n(func(o outcome) bool { return o.same }),
			n(func(o outcome) bool { return !o.plain && o.loaded }), n(func(o outcome) bool { return !o.plain && !o.loaded }))
	}
	report(t, "DuckDB, csvkit, Frictionless", text)
}

// plainRows gives the rows of a file that can be read in one way only; nil for
// any other.
func plainRows(t *testing.T, path string) [][]string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if !utf8.Valid(data) || bytes.ContainsAny(data, "\x00#\\") || bytes.Contains(bytes.ReplaceAll(data, []byte("\r\n"), nil), []byte("\r")) {
		return nil
	}
	var found [][]string
	for _, delimiter := range ",;|\t" {
		r := csv.NewReader(bytes.NewReader(data))
		r.Comma = delimiter
		rows, err := r.ReadAll()
		if err != nil && bytes.ContainsRune(data, delimiter) {
			return nil // it may be meant, and broken
		}
		if err != nil || len(rows) < 3 || len(rows[0]) < 2 || len(rows[0]) > maxColumns {
			continue
		}
		if spaced(rows) {
			return nil // or is the delimiter two bytes?
		}
		if found != nil {
			return nil
		}
		found = rows
	}
	if found == nil {
		return nil
	}
	for i, name := range found[0] {
		if strings.TrimSpace(name) == "" || slices.Contains(found[0][:i], name) || strings.Contains(name, "\n") {
			return nil
		}
	}
	return found
}

// maxColumns is Postgres' limit.
const maxColumns = 1600

// spaced says whether a blank follows every delimiter.
func spaced(rows [][]string) bool {
	for _, row := range rows {
		for _, cell := range row[1:] {
			if !strings.HasPrefix(cell, " ") {
				return false
			}
		}
	}
	return true
}

// holds says whether the table is these rows, the first of which may be its
// header. Names lose the blanks around them.
func (g grid) holds(rows [][]string) bool {
	names := make([]string, len(rows[0]))
	for i, name := range rows[0] {
		names[i] = strings.TrimSpace(name)
	}
	got := sorted(lines(g.texts()))
	return equal(got, sorted(rows)) || equal(got, sorted(rows[1:])) && slices.Equal(g.names, names)
}

func sorted(rows [][]string) [][]string {
	return slices.SortedFunc(slices.Values(rows), slices.Compare[[]string])
}
