package steps

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/source"
)

// shelf writes files into a directory and gives them in the order of their names.
func shelf(t testing.TB, files ...string) []bucketload.Entry {
	t.Helper()
	dir := t.TempDir()
	for i, content := range files {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%03d.csv", i)), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var entries []bucketload.Entry
	err := source.New(bucketload.S3{}).List(t.Context(), []string{dir + "/"}, nil, func(o source.Listed) error {
		entries = append(entries, bucketload.Entry{No: len(entries), Object: o.Object})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// columned is a definition of a table with so many columns, and the header of its files.
func columned(columns int, lineage ...string) (d *definition, header string) {
	d = &definition{run: "r", load: &bucketload.Load{Lineage: lineage}, layout: &Layout{CSV: bucketload.CSV{Delimiter: ",", Quote: `"`, Escape: `"`, Header: true}}}
	var names []string
	for i := range columns {
		names = append(names, fmt.Sprintf("column %d", i))
		d.layout.Columns = append(d.layout.Columns, bucketload.Column{Name: names[i], Type: "text"})
	}
	d.layout.Columns = append(d.layout.Columns, ours(d.load)...)
	return d, strings.Join(names, ",") + "\n"
}

// TestOpenAgain: an opener finds the columns of each file by its own header,
// whatever it has opened before.
func TestOpenAgain(t *testing.T) {
	for _, lineage := range [][]string{nil, {bucketload.FileColumn}} {
		d, _ := columned(2, lineage...)
		d.load.Unknown, d.load.Missing = bucketload.PolicyIgnore, bucketload.PolicyNull
		entries := shelf(t, "column 0,column 1\na,b\n", "column 0,column 1\nc,d\n", "column 1,column 0\nf,e\n", "", "x,y\n1,2\n",
			"column 1,column 0\nh,g\n", "column 1,column 0,z\nj,i,k\n", "column 0\nl\n", "column 0,column 1\nm,n\n")
		o := (&Steps{}).opener(d, source.New(bucketload.S3{}), func(int) {})
		var got []string
		for _, entry := range entries {
			r, err := o.open(t.Context(), entry)
			if err != nil {
				got = append(got, string(bucketload.AsError(err).Code))
				continue
			}
			row, err := r.next()
			if err == io.EOF {
				got = append(got, "nothing")
			}
			var values []string
			for _, field := range r.index {
				switch {
				case err == nil && field < 0:
					values = append(values, "-")
				case err == nil:
					values = append(values, strings.TrimPrefix(string(row[field].Bytes), entry.URI[:len(entry.URI)-len("000.csv")]))
				}
			}
			if len(values) > 0 {
				got = append(got, strings.Join(values, " "))
			}
			r.close()
		}
		want := []string{"a b", "c d", "e f", "nothing", "missing_column", "g h", "i j", "l -", "m n"}
		for i, name := range []string{"000.csv", "001.csv", "002.csv", "", "", "005.csv", "006.csv", "007.csv", "008.csv"} {
			if len(lineage) > 0 && name != "" {
				want[i] += " " + name
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("lineage %v: got %q, want %q", lineage, got, want)
		}
	}
}

// TestOpenAgainNoGarbage: to open the second file of a shape costs nothing for
// its columns or for buffers.
func TestOpenAgainNoGarbage(t *testing.T) {
	d, header := columned(300)
	entries := shelf(t, header+strings.Repeat(",", 299)+"\n")
	o := (&Steps{}).opener(d, source.New(bucketload.S3{}), func(int) {})
	open := func() {
		r, err := o.open(t.Context(), entries[0])
		if err != nil {
			t.Fatal(err)
		}
		defer r.close()
		for err == nil {
			_, err = r.next()
		}
		if err != io.EOF {
			t.Fatal(err)
		}
	}
	open()
	const most = 25 // the system's file, its name, its version, and readers around readers
	if n := testing.AllocsPerRun(100, open); n > most {
		t.Errorf("%v allocations for a file", n)
	}
}

func BenchmarkOpen(b *testing.B) {
	d, header := columned(28)
	entries := shelf(b, header+strings.Repeat(strings.Repeat("\"  12.5\",", 27)+"1\n", 300))
	o := (&Steps{}).opener(d, source.New(bucketload.S3{}), func(int) {})
	b.ReportAllocs()
	for b.Loop() {
		r, err := o.open(b.Context(), entries[0])
		if err != nil {
			b.Fatal(err)
		}
		r.close()
	}
}
