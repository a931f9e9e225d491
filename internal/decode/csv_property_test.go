package decode

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bucketload/bucketload"
)

// aTable draws rows of a width. The fields have what makes reading hard, also
// whole lines of other rows, but none begins with a delimiter or a line end:
// with such fields a quote more or less can make a file that is another one,
// whole again.
func aTable(t *rapid.T) (rows [][]string) {
	width := rapid.IntRange(2, 5).Draw(t, "width")
	word := rapid.OneOf(
		rapid.StringMatching(`[a-z0-9 ]{0,6}`),
		rapid.StringMatching(`[a-z0-9][a-z0-9 ,\n"]{0,12}`),
		rapid.StringMatching(`[a-z]+, [a-z]+\n[a-z]+, [a-z]+`),
	)
	return rapid.SliceOfN(rapid.SliceOfN(word, width, width), 2, 40).Draw(t, "rows")
}

// aPolicy draws what becomes of stray quotes and of blanks outside of quotes.
func aPolicy(t *rapid.T) bucketload.CSV {
	return headless(func(d *bucketload.CSV) {
		d.StrayQuotes = rapid.SampledFrom([]string{"reject", "keep"}).Draw(t, "stray quotes")
		d.UnquotedBlanks = rapid.SampledFrom([]string{"keep", "trim"}).Draw(t, "blanks")
	})
}

// write gives the rows as a file, and of each row what show tells of it. Where
// blanks are trimmed, there are some. With strays not every quote has its field
// quoted.
func write(t *rapid.T, d bucketload.CSV, rows [][]string, strays bool) (data string, shown map[string]bool) {
	margin := rapid.Just("")
	if d.UnquotedBlanks == bucketload.PolicyTrim {
		margin = rapid.SampledFrom([]string{"", "", " ", "\t "})
	}
	always := rapid.Bool().Draw(t, "quote all")
	var b strings.Builder
	shown = map[string]bool{}
	for _, row := range rows {
		fields := make([]bucketload.Field, len(row))
		for i, f := range row {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(margin.Draw(t, "before"))
			special := ",\"\r\n"
			if strays && rapid.Bool().Draw(t, "stray") {
				special = ",\r\n"
			}
			if always || strings.ContainsAny(f, special) || i == 0 && f == "" {
				b.WriteString(`"` + strings.ReplaceAll(f, `"`, `""`) + `"`)
				fields[i] = bucketload.Field{Bytes: []byte(f), Quoted: true}
				if strays {
					b.WriteString(rapid.SampledFrom([]string{"", "", " ", "\t "}).Draw(t, "behind quotes"))
				}
			} else {
				b.WriteString(f)
				fields[i] = bucketload.Field{Bytes: []byte(f)}
				if d.UnquotedBlanks == bucketload.PolicyTrim {
					fields[i].Bytes = bytes.Trim(fields[i].Bytes, " \t")
				}
			}
			b.WriteString(margin.Draw(t, "behind"))
		}
		b.WriteByte('\n')
		shown[show(fields)] = true
	}
	return b.String(), shown
}

// A file with one quote too many or too few: where the reader finds out and goes
// on to the end all the same, it gives no row then that was not there before.
func TestQuotesProperty(t *testing.T) {
	resumed, broken, unseen := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		rows, d := aTable(t), aPolicy(t)
		data, shown := write(t, d, rows, d.StrayQuotes == bucketload.PolicyKeep)
		at := rapid.IntRange(0, len(data)-1).Draw(t, "at")
		if i := strings.IndexByte(data[at:], '"'); i >= 0 && rapid.Bool().Draw(t, "lose") {
			data = data[:at+i] + data[at+i+1:]
		} else {
			data = data[:at] + `"` + data[at:]
		}
		c, err := NewCSV(strings.NewReader(data), d)
		if err != nil {
			t.Fatal(err)
		}
		c.width, c.settled = len(rows[0]), true
		found, wrong := false, ""
		for err == nil || !c.Broken() {
			var row []bucketload.Field
			if row, err = c.Next(); err != nil {
				found = found || err != io.EOF
			} else if found && !shown[show(row)] {
				wrong = show(row)
			}
		}
		switch {
		case err != io.EOF:
			broken++
		case wrong != "":
			t.Fatalf("%q: %q is not a row of %q", data, wrong, rows)
		case found:
			resumed++
		default:
			unseen++
		}
	})
	t.Logf("went on %d times, gave up %d, saw nothing wrong %d", resumed, broken, unseen)
	if resumed == 0 {
		t.Error("never went on")
	}
}

// One dirty line of a common kind costs that line and no other.
func TestDirtyLineProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows, d := aTable(t), aPolicy(t)
		dirts := []string{`"a" b`, `"a"b"`}
		if d.StrayQuotes != bucketload.PolicyKeep {
			dirts = append(dirts, `5" pipe`, `a "b" c`)
			if d.UnquotedBlanks != bucketload.PolicyTrim {
				dirts = append(dirts, ` "a"`, `"a" `)
			}
		}
		bad := rapid.IntRange(0, len(rows)-1).Draw(t, "bad")
		dirt := rapid.SampledFrom(dirts).Draw(t, "dirt")
		before, _ := write(t, d, rows[:bad], false)
		after, _ := write(t, d, rows[bad:], false)
		line := dirt + strings.Repeat(",x", len(rows[0])-1) + "\n"
		c, err := NewCSV(strings.NewReader(before+line+after), d)
		if err != nil {
			t.Fatal(err)
		}
		c.width, c.settled = len(rows[0]), true
		good, lost := 0, 0
		for {
			_, err := c.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				lost++
				if string(c.Raw()) != line {
					t.Fatalf("%q: gave up %q for %q", before+line+after, c.Raw(), line)
				}
				continue
			}
			good++
		}
		if good != len(rows) || lost != 1 {
			t.Fatalf("%q: %d rows, %d lost", before+line+after, good, lost)
		}
	})
}

// invariants reads a file to its end: what is read and what is passed over are
// the file, in order; lines and offsets say where; all of it whatever the
// buffer.
func invariants(t interface{ Fatalf(string, ...any) }, data string, d bucketload.CSV, buffer int) {
	var once []string
	for _, size := range []int{firstBuffer, buffer} {
		c, err := NewCSV(strings.NewReader(data), d)
		if err != nil {
			return
		}
		c.buf = make([]byte, size)
		var all []string
		end := int64(0)
		names, err := c.Header()
		if !d.Header && len(data)%2 == 0 {
			_, err = c.Measure(len(data)%5, len(data)%3 == 0, len(data)%7 == 0)
		}
		all = append(all, fmt.Sprintf("%q %v", names, err))
		if err == nil && names != nil {
			end = c.Offset() + int64(len(c.Raw()))
		}
		for err == nil || !c.Broken() {
			var row []bucketload.Field
			row, err = c.Next()
			all = append(all, fmt.Sprintf("%q %v %d %d %q", show(row), err, c.Line(), c.Offset(), c.Raw()))
			from, to := c.Offset(), c.Offset()+int64(len(c.Raw()))
			switch {
			case from < end || to > int64(len(data)) || data[from:to] != string(c.Raw()):
				t.Fatalf("%q: from %d to %d after %d: %q", data, from, to, end, c.Raw())
			case from == to && err != io.EOF && (err == nil || !c.Broken()):
				t.Fatalf("%q: nothing is read at %d", data, from)
			}
			before, between := string(Text([]byte(data[:from]), c.Encoding())), string(Text([]byte(data[end:from]), c.Encoding()))
			if !d.Header && d.SkipHead == 0 || end > 0 {
				passedOver(t, before, len(before)-len(between), len(before), d)
			}
			if c.crTo == 0 && !c.cr && c.Line() != int64(strings.Count(before, "\n"))+1 && !strings.Contains(before, "\r") {
				t.Fatalf("%q: line %d at %d", data, c.Line(), from)
			}
			if err == nil && names != nil && len(row) != len(names) {
				t.Fatalf("%q: %d fields under %q", data, len(row), names)
			}
			end = to
		}
		if once == nil {
			once = all
		} else if strings.Join(once, "\n") != strings.Join(all, "\n") {
			t.Fatalf("%q, %+v, buffer %d:\nwant %s\ngot  %s", data, d, size, strings.Join(once, "\n"), strings.Join(all, "\n"))
		}
	}
}

// passedOver checks that between two rows there are blank lines and comments
// only, or a byte order mark at the file's beginning.
func passedOver(t interface{ Fatalf(string, ...any) }, data string, from, to int, d bucketload.CSV) {
	between := data[from:to]
	if from == 0 {
		between = strings.TrimPrefix(between, string(byteOrderMark))
	}
	for _, line := range strings.FieldsFunc(between, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if d.Comment == "" || !strings.Contains(between, d.Comment) {
			t.Fatalf("%q: passed over %q at %d", data, line, from)
		}
	}
}

// dialectOf makes a dialect, valid or not, of a few bits.
func dialectOf(bits uint32) bucketload.CSV {
	pick := func(of ...string) string {
		n := uint32(len(of))
		s := of[bits%n]
		bits /= n
		return s
	}
	d := bucketload.CSV{
		Delimiter: pick(",", "||", "§", "\t", ", "), Quote: pick(`"`, "'", "", "\x00"), Escape: pick("", `"`, `\`, "\x00"),
		Comment: pick("", "#", "//"), Ragged: pick("reject", "pad", "truncate"), NUL: pick("", "replace", "strip"),
		InvalidUTF8: pick("", "replace", "strip"), StrayQuotes: pick("", "keep"), UnquotedBlanks: pick("", "trim"), Encoding: pick("", "utf-16le", "shift_jis", "latin1"), Header: pick("", "yes") != "",
	}
	d.SkipHead, d.SkipFoot = int(bits%3), int(bits/3%3)
	return d
}

func TestInvariantsProperty(t *testing.T) {
	soup := rapid.StringOf(rapid.SampledFrom([]rune("\"\"\"'',,,||§\t\n\n\n\r\\#//  ab\x00")))
	rapid.Check(t, func(t *rapid.T) {
		d := dialectOf(rapid.Uint32Range(0, 5*4*4*3*3*3*3*2*2).Draw(t, "dialect"))
		d.Header, d.SkipHead, d.SkipFoot = rapid.Bool().Draw(t, "header"), rapid.IntRange(0, 2).Draw(t, "head"), rapid.IntRange(0, 2).Draw(t, "foot")
		invariants(t, soup.Draw(t, "data"), d, rapid.IntRange(1, 16).Draw(t, "buffer"))
	})
}

func FuzzDialect(f *testing.F) {
	for i, s := range []string{"a,b\n1,2\n", "a||b\n\"1||\",2\"\n3,4\n", "a\rb,c\n", "\xff\xfea\x00\n\x00", "a,b,\n1,2,\n\"x\ny\",z,\n", "#\n\"\\\"\"\n"} {
		f.Add(s, uint32(i*7919), uint8(3))
	}
	f.Fuzz(func(t *testing.T, data string, bits uint32, buffer uint8) {
		invariants(t, data, dialectOf(bits), 1+int(buffer))
	})
}
