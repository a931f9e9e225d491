package decode

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// told is what is read of a file without an error.
type told struct {
	rows     []string // with the line of each
	lines    int64
	replaced int64
}

// tell reads on to the end of c, whose first line is after lines others.
func (w *told) tell(c *CSV) error {
	for {
		row, err := c.Next()
		if err == io.EOF {
			w.lines += c.Line() - 1
			w.replaced += c.Replaced()
			return nil
		}
		if err != nil {
			return err
		}
		w.rows = append(w.rows, fmt.Sprintf("%d %s", w.lines+c.Line(), show(row)))
	}
}

func tellWhole(data string, d bucketload.CSV) (w told, err error) {
	c, err := NewCSV(strings.NewReader(data), d)
	if err != nil {
		return w, err
	}
	if _, err := c.Header(); err != nil {
		return w, err
	}
	return w, w.tell(c)
}

// headOf reads what parts have to know of a file.
func headOf(data string, d bucketload.CSV) (*CSV, error) {
	c, err := NewCSV(strings.NewReader(data), d)
	if err == nil {
		_, err = c.Header()
	}
	if err == nil {
		_, err = c.Next()
	}
	return c, err
}

// tellParts reads a file in the parts that begin at these bytes.
func tellParts(data string, d bucketload.CSV, starts []int) (w told, err error) {
	head, err := headOf(data, d)
	if err != nil {
		return w, err
	}
	for i := 0; i <= len(starts); i++ {
		from, to := 0, len(data)
		if i > 0 {
			from = starts[i-1]
		}
		if i < len(starts) {
			to = starts[i]
		}
		c, err := NewCSV(strings.NewReader(data[from:to]), d)
		if from > 0 {
			c, err = head.Part(strings.NewReader(data[from:to]), int64(from))
		}
		if err != nil {
			return w, err
		}
		if to < len(data) {
			c.Cut()
		}
		if _, err := c.Header(); err != nil {
			return w, err
		}
		if err := w.tell(c); err != nil {
			return w, err
		}
	}
	return w, nil
}

// united holds that parts which are all read without an error are the whole,
// wherever they begin.
func united(t interface{ Fatalf(string, ...any) }, data string, d bucketload.CSV, starts []int) bool {
	parts, err := tellParts(data, d, starts)
	if err != nil {
		return false
	}
	whole, err := tellWhole(data, d)
	if err != nil || !slices.Equal(whole.rows, parts.rows) || whole.lines != parts.lines || whole.replaced != parts.replaced {
		t.Fatalf("%q in parts from %v:\n%v\nwhole: %v\n%v", data, starts, parts, err, whole)
	}
	return true
}

// aDialect draws one of the ways in which files are written.
func aDialect(t *rapid.T) bucketload.CSV {
	pick := func(name string, of ...string) string { return rapid.SampledFrom(of).Draw(t, name) }
	d := bucketload.CSV{Delimiter: pick("delimiter", ",", ",", "||"), Quote: pick("quote", `"`, `"`, ""), Header: rapid.Bool().Draw(t, "header"),
		Comment: pick("comment", "", "#"), Encoding: pick("encoding", "", "", "iso-8859-1", "windows-1251"),
		Ragged: pick("ragged", "reject", "pad"), NUL: pick("nul", "reject", "strip")}
	if d.Quote != "" {
		d.Escape = pick("escape", `"`, `\`)
	}
	d.SkipHead, d.SkipFoot = rapid.IntRange(0, 2).Draw(t, "head"), rapid.IntRange(0, 2).Draw(t, "foot")
	return d
}

// file draws a file in the dialect, most often a right one.
func file(t *rapid.T, d bucketload.CSV) string {
	width := rapid.IntRange(1, 4).Draw(t, "width")
	words := []string{"", "a", "bc", "12.5", "\xe4", "x\ny", "x\r\ny", "q\nr,s\nt,u\n", "#", "\x00"}
	if d.Quote == "" {
		words = []string{"", "a", "bc", `"`, "12.5"}
	}
	word := rapid.SampledFrom(words)
	end := rapid.SampledFrom([]string{"\n", "\n", "\r\n"}).Draw(t, "end")
	trailing := rapid.Bool().Draw(t, "trailing")
	var b strings.Builder
	line := func(field func(int) string) {
		for i := range width {
			if i > 0 {
				b.WriteString(d.Delimiter)
			}
			b.WriteString(field(i))
		}
		if trailing {
			b.WriteString(d.Delimiter)
		}
		b.WriteString(end)
	}
	for range d.SkipHead {
		b.WriteString("preamble \"\n")
	}
	line(func(i int) string { return string(rune('a' + i)) })
	for range rapid.IntRange(1, 30).Draw(t, "rows") {
		switch rapid.IntRange(0, 20).Draw(t, "kind") {
		case 0:
			b.WriteString(d.Comment + end)
		case 1:
			b.WriteString("a" + end)
		default:
			line(func(int) string {
				w := word.Draw(t, "word")
				if d.Quote != "" && (strings.ContainsAny(w, "\r\n#") || rapid.Bool().Draw(t, "quoted")) {
					w = `"` + w + rapid.SampledFrom([]string{"", d.Escape + `"`, d.Delimiter}).Draw(t, "more") + `"`
				}
				return w
			})
		}
	}
	for range d.SkipFoot {
		b.WriteString("total \"" + end)
	}
	return b.String()
}

// Parts that all read to their end are the whole file, whatever it has and
// wherever they begin.
func TestPartsAreTheWhole(t *testing.T) {
	proved, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		d := aDialect(t)
		data := file(t, d)
		if rapid.IntRange(0, 9).Draw(t, "dirty") == 0 {
			at := rapid.IntRange(0, len(data)-1).Draw(t, "at")
			data = data[:at] + rapid.SampledFrom([]string{`"`, "\r", "\n", ",", `\`}).Draw(t, "dirt") + data[at:]
		}
		var starts []int
		for range rapid.IntRange(1, 3).Draw(t, "parts") {
			at := rapid.IntRange(1, len(data)-1).Draw(t, "start")
			if i := strings.IndexByte(data[at:], '\n'); i >= 0 && rapid.IntRange(0, 9).Draw(t, "anywhere") > 0 {
				at += i + 1
			}
			if at < len(data) {
				starts = append(starts, at)
			}
		}
		slices.Sort(starts)
		starts = slices.Compact(starts)
		if united(t, data, d, starts) {
			proved++
		} else {
			refused++
		}
	})
	t.Logf("%d files were read in parts, %d were not", proved, refused)
	if proved == 0 || refused == 0 {
		t.Error("not both happened")
	}
}

// Where a file is right and Align finds a place, a row begins there.
func TestAlignFindsRows(t *testing.T) {
	found, none := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		d := aDialect(t)
		d.Ragged, d.SkipFoot = "reject", 0
		data := file(t, d)
		head, err := headOf(data, d)
		if _, bad := tellWhole(data, d); bad != nil || err != nil {
			return
		}
		at := rapid.IntRange(1, len(data)-1).Draw(t, "at")
		start, ok, err := head.Align([]byte(data[at:]), int64(at), true)
		if err != nil && bucketload.AsError(err).Code != bucketload.CodeBoundary {
			t.Fatalf("%q from %d: %v", data, at, err)
		}
		if !ok || err != nil {
			none++
			return
		}
		found++
		if start <= int64(at) || start >= int64(len(data)) || data[start-1] != '\n' {
			t.Fatalf("%q from %d: %d", data, at, start)
		}
		united(t, data, d, []int{int(start)})
	})
	t.Logf("%d places found, %d not", found, none)
	if found == 0 || none == 0 {
		t.Error("not both happened")
	}
}

func TestAlign(t *testing.T) {
	d := bucketload.CSV{Delimiter: ",", Quote: `"`, Escape: `"`, Header: true}
	with := func(change func(*bucketload.CSV)) bucketload.CSV {
		d := d
		change(&d)
		return d
	}
	rows := strings.Repeat("1,2,3\n", 20)
	inside := "\"x\n" + strings.Repeat("4,5,6\n", 20) + "y\",2,3\n"
	long := strings.Repeat("1,2,3\n", AlignBytes/6+1)
	for _, c := range []struct {
		name    string
		d       bucketload.CSV
		file    string
		at      string // the guess is where this begins
		want    string // what begins at the place that is found; "": none is
		goesOn  bool   // the sample is not up to the end of the file
		refused bool   // the file is read in no parts at all
	}{
		{name: "the line after", d: d, file: "a,b,c\n1,2,3\n7,8,9\n" + rows, at: "8,9", want: "1,2,3"},
		{name: "not inside of quotes", d: d, file: "a,b,c\n1,2,3\n" + inside + "7,8,9\n" + rows, at: "5,6", want: "7,8,9"},
		{name: "without quotes in reach, up to the end", d: d, file: "a,b,c\n1,2,3\n7,8,9\n" + long, at: "8,9", want: "1,2,3"},
		{name: "without quotes in reach, and the file goes on", d: d, file: "a,b,c\n1,2,3\n7,8,9\n" + long, at: "8,9", want: "1,2,3", goesOn: true},
		{name: "one column without quotes tells nothing", d: d, file: "a\n1\n7\n" + strings.Repeat("1\n", AlignBytes/2), at: "7", goesOn: true},
		{name: "but where quotes are off", d: with(func(d *bucketload.CSV) { d.Quote, d.Escape = "", "" }), file: "a\n1\n7\n8\n", at: "7", want: "8"},
		{name: "a longer row than is looked at", d: d, file: "a,b,c\n1,2,3\n7,8," + strings.Repeat("9", AlignBytes+1), at: "7", goesOn: true},
		{name: "of characters of one byte", d: with(func(d *bucketload.CSV) { d.Encoding = "windows-1252" }), file: "a,b,c\n1,2,3\n7,\xe4\xe4,9\n1,\xe4,3\n" + rows, at: "7", want: "1,\xe4,3\n"},
		{name: "comments", d: with(func(d *bucketload.CSV) { d.Comment = "#" }), file: "a,b,c\n1,2,3\n7,8,9\n#x\n4,\"5\",6\n" + rows, at: "7", want: "#x\n"},
		{name: "CR as the line end", d: d, file: "a,b,c\r1,2,3\r" + rows, at: "1,2", refused: true},
		{name: "UTF-16 by its mark", d: d, file: "\xff\xfea\x00\n\x001\x00\n\x007\x00\n\x00", at: "7", refused: true},
		{name: "bytes of ASCII in other characters", d: with(func(d *bucketload.CSV) { d.Encoding = "shift-jis" }), file: "a,b,c\n1,2,3\n" + rows, at: "1,2", refused: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			head, err := headOf(c.file, c.d)
			if err != nil {
				t.Fatal(err)
			}
			at := strings.Index(c.file, c.at)
			sample := c.file[at:min(len(c.file), at+AlignBytes)]
			start, ok, err := head.Align([]byte(sample), int64(at), !c.goesOn)
			if refused := err != nil && bucketload.AsError(err).Code == bucketload.CodeBoundary; refused != c.refused || err != nil && !refused {
				t.Fatal(err)
			}
			switch {
			case ok != (c.want != ""):
				t.Errorf("found %v at %d", ok, start)
			case ok && !strings.HasPrefix(c.file[start:], c.want):
				t.Errorf("%q, want %q", c.file[start:][:10], c.want)
			}
		})
	}
}

// What does not end with a row, or may be read in another way than the whole,
// is refused with the line.
func TestPartsThatCannotBe(t *testing.T) {
	d := bucketload.CSV{Delimiter: ",", Quote: `"`, Escape: `"`, Header: true}
	for _, c := range []struct {
		name, file string // the parts meet at |
		foot       int
		line       int64
	}{
		{"in quotes", "a,b\n1,2\n3,\"4\n|5,6\n\"\n", 0, 3},
		{"in a row", "a,b\n1,2\n3,|4\n", 0, 3},
		{"CR by itself", "a,b\n1,2\n3,4\r4\n|5,6\n", 0, 3},
		{"CR by itself in the last part", "a,b\n1,2\n|3,4\r4\n", 0, 1},
		{"CR as the line end", "a,b\r1,2\r|3,4\r", 0, 2},
		{"too little to tell what the last delimiter means", "a,b\n1,2,\n|3,4,\n5,6,\n", 0, 2},
		{"the foot may begin in the part before", "a,b\n1,2\n|foot\nfoot\n", 2, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := d
			d.SkipFoot = c.foot
			data, start := strings.ReplaceAll(c.file, "|", ""), strings.IndexByte(c.file, '|')
			_, err := tellParts(data, d, []int{start})
			var e *bucketload.Error
			if !errors.As(err, &e) || e.Code != bucketload.CodeBoundary || e.Line != c.line {
				t.Errorf("%v", err)
			}
		})
	}
}

func FuzzParts(f *testing.F) {
	f.Add("a,b\n1,2\n3,\"4\n5\"\n6,7\n", 8, 17, uint8(0))
	f.Add("a,b\n1,2,\n#\n\"\\\"\n\",4,\n\x00,\xe4\n", 9, 11, uint8(0xff))
	f.Add("\xef\xbb\xbfa\r\n1\r\n2\r\n", 9, 12, uint8(3))
	f.Fuzz(func(t *testing.T, data string, first, second int, ways uint8) {
		way := func(bit uint8, yes, no string) string {
			if ways&(1<<bit) != 0 {
				return yes
			}
			return no
		}
		d := bucketload.CSV{Delimiter: way(0, ",", "||"), Quote: `"`, Escape: way(1, `"`, `\`), Header: ways&4 != 0, Comment: way(3, "#", ""),
			Ragged: way(4, "pad", "reject"), NUL: way(5, "strip", "reject"), Encoding: way(6, "latin1", ""), SkipFoot: int(ways >> 7)}
		starts := slices.DeleteFunc([]int{first, second}, func(at int) bool { return at <= 0 || at >= len(data) })
		slices.Sort(starts)
		united(t, data, d, slices.Compact(starts))
		if head, err := headOf(data, d); err == nil && len(starts) > 0 {
			if start, ok, err := head.Align([]byte(data[starts[0]:]), int64(starts[0]), true); err == nil && ok {
				if start <= int64(starts[0]) || start >= int64(len(data)) || data[start-1] != '\n' {
					t.Fatalf("%q from %d: a row is said to begin at %d", data, starts[0], start)
				}
			}
		}
	})
}

// Real files: where Align finds a place a row does begin, and the parts are the
// whole; in most of them it finds one everywhere.
func TestPartsOfRealFiles(t *testing.T) {
	d := bucketload.CSV{Delimiter: ",", Quote: `"`, Escape: `"`, Header: true}
	files, tries, found := 0, 0, 0
	for _, set := range []string{"covid19-csse-original", "csvkit", "duckdb-csv", "fivethirtyeight", "frictionless", "noaa-lcd-share", "openflights", "vega-datasets", "world-cities"} {
		err := filepath.WalkDir(temptest.Corpus(t, "corpus/"+set), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(path) != ".csv" {
				return err
			}
			content, err := os.ReadFile(path)
			if err != nil || len(content) < 4<<10 {
				return err
			}
			data := string(content[:min(len(content), 512<<10)])
			data = data[:strings.LastIndexByte(data, '\n')+1]
			head, err := headOf(data, d)
			if err != nil {
				return nil
			}
			if _, err := tellWhole(data, d); err != nil {
				return nil
			}
			files++
			var starts []int
			const parts = 6
			for i := 1; i < parts; i++ {
				tries++
				at := len(data) / parts * i
				start, ok, err := head.Align([]byte(data[at:]), int64(at), true)
				if err == nil && ok {
					found++
					starts = append(starts, int(start))
				}
			}
			starts = slices.Compact(starts)
			if len(starts) > 0 && !united(named{t, path}, data, d, starts) {
				_, err := tellParts(data, d, starts)
				t.Errorf("%s: no row begins at one of %v: %v", path, starts, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d files, %d places of %d", files, found, tries)
	if found < tries*3/4 {
		t.Errorf("of %d places in %d files only %d were found", tries, files, found)
	}
}
