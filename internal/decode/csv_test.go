package decode

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/bucketload/bucketload"
)

// row is what a row is compared as: quoted fields have quotes around them.
func show(fields []bucketload.Field) string {
	var b strings.Builder
	for i, f := range fields {
		if i > 0 {
			b.WriteByte('|')
		}
		if f.Quoted {
			b.WriteString(`"` + string(f.Bytes) + `"`)
		} else {
			b.Write(f.Bytes)
		}
	}
	return b.String()
}

// drain gives all rows and the error that ended them, nil for the file's end.
func drain(c *CSV) (rows []string, err error) {
	for {
		fields, err := c.Next()
		if err == io.EOF {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		rows = append(rows, show(fields))
	}
}

func headless(change func(*bucketload.CSV)) bucketload.CSV {
	d := bucketload.CSV{Delimiter: ",", Quote: `"`, Escape: `"`}
	if change != nil {
		change(&d)
	}
	return d
}

func TestRows(t *testing.T) {
	backslash := headless(func(d *bucketload.CSV) { d.Escape = `\` })
	comment := headless(func(d *bucketload.CSV) { d.Comment = "#" })
	bare := headless(func(d *bucketload.CSV) { d.Quote = "" })
	skip := func(head, foot int) bucketload.CSV {
		return headless(func(d *bucketload.CSV) { d.SkipHead, d.SkipFoot = head, foot })
	}
	tests := []struct {
		name    string
		dialect bucketload.CSV
		data    string
		want    []string
	}{
		{"plain", headless(nil), "a,b\nc,d\n", []string{"a|b", "c|d"}},
		{"no final line end", headless(nil), "a,b\nc,d", []string{"a|b", "c|d"}},
		{"CRLF", headless(nil), "a,b\r\n\"c\",\"d\"\r\n", []string{"a|b", `"c"|"d"`}},
		{"CRLF cut off", headless(nil), "a,b\r\nc,\"d\"\r", []string{"a|b", `c|"d"`}},
		{"LF and CRLF mixed", headless(nil), "a\nb\r\nc\n", []string{"a", "b", "c"}},
		{"CR", headless(nil), "a,b\rc,\"d\re\"\r\rf,g", []string{"a|b", "c|\"d\re\"", "f|g"}},
		{"CR after a quoted CR", headless(nil), "\"a\rb\"\"\",c\nd,e\n", []string{"\"a\rb\"\"|c", "d|e"}},
		{"CR in a LF file is a byte", headless(nil), "a,b\nc\rd,e\n", []string{"a|b", "c\rd|e"}},
		{"empty fields", headless(nil), ",\n\"\",\n,", []string{"|", `""|`, "|"}},
		{"blank lines", headless(nil), "\n\r\n\na\n\r\n\nb\n\n", []string{"a", "b"}},
		{"quoted nothing is a row", headless(nil), "a\n\"\"\n", []string{"a", `""`}},
		{"quotes", headless(nil), `"a""b","""",""""""` + "\n", []string{`"a"b"|"""|""""`}},
		{"line ends in quotes stay", headless(nil), "\"a\r\nb\nc\",d\n", []string{"\"a\r\nb\nc\"|d"}},
		{"delimiter in quotes", headless(nil), "\"a,b\",c\n", []string{`"a,b"|c`}},
		{"blanks stay", headless(nil), " a , b \n", []string{" a | b "}},
		{"byte order mark", headless(nil), "\xef\xbb\xbf\"a\",b\n", []string{`"a"|b`}},
		{"any byte", headless(nil), "\x00,\xff\n", []string{"\x00|\xff"}},
		{"escape", backslash, `"a\"b","c\\","d\n"` + "\n", []string{`"a"b"|"c\"|"d\n"`}},
		{"escape outside quotes is a byte", backslash, `a\,b\` + "\n", []string{`a\|b\`}},
		{"comments", comment, "#x,\"\na,b\n#\n# y\nc,#d\n#", []string{"a|b", "c|#d"}},
		{"quoted comment", comment, "\"#a\"\n", []string{`"#a"`}},
		{"no quoting", bare, "\"a\",b\"c\n\",\n", []string{`"a"|b"c`, `"|`}},
		{"other marks", headless(func(d *bucketload.CSV) { d.Delimiter, d.Quote, d.Escape = "\t", "'", "" }), "'a\t''b'\tc\n", []string{`"a	'b"|c`}},
		{"skip head", skip(2, 0), "x \"\ny\na\n", []string{"a"}},
		{"skip head counts blank lines", skip(2, 0), "\ny\na\n", []string{"a"}},
		{"skip more than there is", skip(5, 0), "a\n", nil},
		{"skip foot", skip(0, 2), "a\nb\nx\ny,z\n", []string{"a", "b"}},
		{"skip foot without final line end", skip(0, 2), "a\nb\nx\ny,z", []string{"a", "b"}},
		{"skip foot counts blank lines", skip(0, 2), "a\nx\n\n", []string{"a"}},
		{"skip all", skip(0, 2), "a\nb\n", nil},
		{"skip more feet than there are", skip(0, 3), "a\nb\n", nil},
		{"skip both", skip(1, 1), "h\na\nf\n", []string{"a"}},
		{"empty", headless(nil), "", nil},
		{"byte order mark only", headless(nil), "\xef\xbb\xbf", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{
				"whole":        strings.NewReader(test.data),
				"byte by byte": iotest.OneByteReader(strings.NewReader(test.data)),
				"data and EOF": iotest.DataErrReader(strings.NewReader(test.data)),
			} {
				c, err := NewCSV(r, test.dialect)
				if err != nil {
					t.Fatal(err)
				}
				got, err := drain(c)
				if err != nil || !slices.Equal(got, test.want) {
					t.Errorf("%s: want %q, got %q, %v", name, test.want, got, err)
				}
			}
		})
	}
}

func TestHeader(t *testing.T) {
	tests := []struct {
		data string
		want []string
		code bucketload.Code
		line int64
		text string
	}{
		{"a,\"b\"\n1,2\n", []string{"a", "b"}, "", 0, ""},
		{"\xef\xbb\xbfa,b", []string{"a", "b"}, "", 0, ""},
		{"\n\na,b,a\n", nil, bucketload.CodeHeader, 3, `the header has "a" twice, in fields 1 and 3`},
		{"a,b,\n", nil, bucketload.CodeHeader, 1, "field 3 of the header has no name"},
		{"a,\" \"\n", nil, bucketload.CodeHeader, 1, "field 2 of the header has no name"},
		{"a,b\xff\n", nil, bucketload.CodeUTF8, 1, "field 2 of the header is not UTF-8"},
		{"a,\"b", nil, bucketload.CodeQuote, 1, "never closed"},
		{"\xff\xfea\x00", nil, bucketload.CodeUTF8, 1, "UTF-16"},
	}
	for _, test := range tests {
		c, err := NewCSV(strings.NewReader(test.data), standard)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // it stays the same
			got, err := c.Header()
			if test.code == "" {
				if err != nil || !slices.Equal(got, test.want) {
					t.Errorf("%q: got %q, %v", test.data, got, err)
				}
				continue
			}
			wantError(t, err, test.code, test.line, test.text)
		}
	}
	for _, data := range []string{"", "\n\r\n", "\xef\xbb\xbf"} {
		c, err := NewCSV(strings.NewReader(data), standard)
		if err != nil {
			t.Fatal(err)
		}
		if names, err := c.Header(); err != io.EOF || names != nil {
			t.Errorf("%q: %q, %v", data, names, err)
		}
		if _, err := c.Next(); err != io.EOF {
			t.Errorf("%q: %v", data, err)
		}
	}
}

func wantError(t *testing.T, err error, code bucketload.Code, line int64, text string) {
	t.Helper()
	var e *bucketload.Error
	if !errors.As(err, &e) {
		t.Fatalf("want %s, got %v", text, err)
	}
	if e.Code != code || e.Line != line || !strings.Contains(e.Message, text) || e.Hint == "" {
		t.Errorf("want %s in line %d: %s; got %s in line %d: %s; hint %q", code, line, text, e.Code, e.Line, e.Message, e.Hint)
	}
}

func TestBadRows(t *testing.T) {
	tests := []struct {
		name string
		data string
		good int
		code bucketload.Code
		line int64
		text string
	}{
		{"too few", "a,b\n1,2\n3\n4,5\n", 1, bucketload.CodeRagged, 3, "the row has 1 field, the header has 2"},
		{"too many", "a,b\n\"1\n\",2\n3,4,5\n", 1, bucketload.CodeRagged, 4, "the row has 3 fields, the header has 2"},
		{"stray quote", "a,b\n1,2\"3\n", 0, bucketload.CodeQuote, 2, "inside a field that does not begin with one: 1,2\"3"},
		{"blank before a quote", "a,b\n1, \"2\"\n", 0, bucketload.CodeQuote, 2, "inside a field"},
		{"text after a quote", "a,b\n\"1\n2\"x,3\n", 0, bucketload.CodeQuote, 3, "something follows a closing quote"},
		{"CR after a quote", "a,b\n1,\"2\"\rx\n", 0, bucketload.CodeQuote, 2, "something follows a closing quote"},
		{"unclosed", "a,b\n1,2\n3,\n4,\"5\n6,7\n", 2, bucketload.CodeQuote, 4, "the quote that opens here is never closed"},
		{"unclosed after a line end in the row", "a,b\n\"1\n\",\"2\n", 0, bucketload.CodeQuote, 3, "never closed"},
		{"unclosed with a doubled quote at the end", "a,b\n1,\"2\"\"", 0, bucketload.CodeQuote, 2, "never closed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(test.data), iotest.OneByteReader(strings.NewReader(test.data))} {
				c, err := NewCSV(r, standard)
				if err != nil {
					t.Fatal(err)
				}
				rows, err := drain(c)
				if len(rows) != test.good {
					t.Errorf("%d rows", len(rows))
				}
				wantError(t, err, test.code, test.line, test.text)
				if _, again := c.Next(); again != err {
					t.Errorf("then: %v", again)
				}
			}
		})
	}
	t.Run("the first row counts without a header", func(t *testing.T) {
		c, err := NewCSV(strings.NewReader("1,2\n3\n"), headless(nil))
		if err != nil {
			t.Fatal(err)
		}
		_, err = drain(c)
		wantError(t, err, bucketload.CodeRagged, 2, "the row has 1 field, the first row has 2")
	})
	t.Run("too long", func(t *testing.T) {
		endless := io.MultiReader(strings.NewReader("a,b\n1,2\n3,\"4\n5,"), bytes.NewReader(bytes.Repeat([]byte("6,7\n"), MaxRow/4)))
		c, err := NewCSV(endless, standard)
		if err != nil {
			t.Fatal(err)
		}
		_, err = drain(c)
		wantError(t, err, bucketload.CodeTooLong, 3, "longer than 16 MiB")
	})
	t.Run("the source breaks", func(t *testing.T) {
		broken := errors.New("connection reset")
		c, err := NewCSV(io.MultiReader(strings.NewReader("a\n1\n"), iotest.ErrReader(broken)), standard)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = drain(c); err != broken {
			t.Error(err)
		}
	})
}

func TestPlace(t *testing.T) {
	data := "\xef\xbb\xbfnote\n#c\nh\n\n1\n\"2\n\n\"\n" + strings.Repeat("x\n", 100_000) + "last"
	d := headless(func(d *bucketload.CSV) { d.Header, d.SkipHead, d.Comment = true, 1, "#" })
	c, err := NewCSV(strings.NewReader(data), d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Header(); err != nil || c.Line() != 3 || c.Offset() != 11 {
		t.Errorf("header: line %d, offset %d, %v", c.Line(), c.Offset(), err)
	}
	want := []struct{ line, offset int64 }{{5, 14}, {6, 16}, {9, 22}, {10, 24}}
	row := 0
	for {
		fields, err := c.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if row < len(want) && (c.Line() != want[row].line || c.Offset() != want[row].offset) {
			t.Errorf("row %d: line %d, offset %d", row, c.Line(), c.Offset())
		}
		if string(fields[0].Bytes) == "last" && (c.Line() != 100_009 || data[c.Offset():] != "last") {
			t.Errorf("last: line %d, offset %d", c.Line(), c.Offset())
		}
		row++
	}
	if row != 100_003 {
		t.Errorf("%d rows", row)
	}
}

func TestDialect(t *testing.T) {
	tests := []struct {
		name   string
		change func(*bucketload.CSV)
		text   string // "": fine
	}{
		{"as usual", func(*bucketload.CSV) {}, ""},
		{"no quoting", func(d *bucketload.CSV) { d.Quote = "" }, ""},
		{"escape by backslash", func(d *bucketload.CSV) { d.Escape = `\` }, ""},
		{"encoding", func(d *bucketload.CSV) { d.Encoding = "UTF-8" }, ""},
		{"no delimiter", func(d *bucketload.CSV) { d.Delimiter = "" }, "csv.delimiter is empty"},
		{"two bytes", func(d *bucketload.CSV) { d.Delimiter = "||" }, "only one ASCII character"},
		{"not ASCII", func(d *bucketload.CSV) { d.Quote = "§" }, "only one ASCII character"},
		{"line end", func(d *bucketload.CSV) { d.Delimiter = "\n" }, "csv.delimiter is a line end"},
		{"delimiter and quote", func(d *bucketload.CSV) { d.Quote, d.Escape = ",", "," }, "csv.delimiter and csv.quote are both"},
		{"comment and quote", func(d *bucketload.CSV) { d.Comment = `"` }, "csv.quote and csv.comment are both"},
		{"delimiter and escape", func(d *bucketload.CSV) { d.Escape = "," }, "csv.delimiter and csv.escape are both"},
		{"negative", func(d *bucketload.CSV) { d.SkipFoot = -1 }, "cannot be negative"},
		{"other encoding", func(d *bucketload.CSV) { d.Encoding = "latin1" }, `csv.encoding "latin1" is not read`},
	}
	for _, test := range tests {
		_, err := NewCSV(strings.NewReader(""), headless(test.change))
		if test.text == "" {
			if err != nil {
				t.Errorf("%s: %v", test.name, err)
			}
			continue
		}
		wantError(t, err, bucketload.CodeUsage, 0, test.text)
	}
}

func TestNoGarbage(t *testing.T) {
	data := bytes.Repeat([]byte("1,\"a \"\"quoted\"\" word\",\"\n\",4.5\n"), 20_000)
	c, err := NewCSV(bytes.NewReader(data), headless(nil))
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(10_000, func() {
		if _, err := c.Next(); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations per row", n)
	}
}

// agree compares with encoding/csv, record by record, on which line each began
// and whether it is refused. The buffer is small to have many rows across its end.
func agree(t interface{ Fatalf(string, ...any) }, data string, buffer int) {
	for _, mark := range []string{"\xef\xbb\xbf", "\xff\xfe", "\xfe\xff"} {
		if strings.HasPrefix(data, mark) {
			return // they do not know byte order marks
		}
	}
	c, err := NewCSV(strings.NewReader(data), headless(nil))
	if err != nil {
		t.Fatalf("%v", err)
	}
	c.buf = make([]byte, buffer)
	theirs := csv.NewReader(strings.NewReader(data))
	for {
		want, wantErr := theirs.Read()
		got, err := c.Next()
		if c.eol == '\r' {
			return // they do not know a CR by itself
		}
		if (err == nil) != (wantErr == nil) || (err == io.EOF) != (wantErr == io.EOF) {
			t.Fatalf("%q: want %q, %v; got %q, %v", data, want, wantErr, show(got), err)
		}
		if err != nil {
			return
		}
		line, _ := theirs.FieldPos(0)
		if c.Line() != int64(line) || len(got) != len(want) {
			t.Fatalf("%q: want %q in line %d; got %q in line %d", data, want, line, show(got), c.Line())
		}
		for i, f := range got {
			if strings.ReplaceAll(string(f.Bytes), "\r\n", "\n") != want[i] { // they make LF of CRLF
				t.Fatalf("%q: want %q; got %q", data, want[i], f.Bytes)
			}
		}
	}
}

func TestAgreesWithEncodingCSV(t *testing.T) {
	soup := rapid.StringOf(rapid.RuneFrom([]rune("\"\"\",,,\n\n\r ab\u00e4")))
	tidy := rapid.Map(rapid.SliceOf(rapid.SliceOfN(rapid.StringOf(rapid.RuneFrom([]rune("\",\n\r ab"))), 3, 3)), func(rows [][]string) string {
		var b strings.Builder
		w := csv.NewWriter(&b)
		if err := w.WriteAll(rows); err != nil {
			panic(err)
		}
		return b.String()
	})
	rapid.Check(t, func(t *rapid.T) {
		agree(t, rapid.OneOf(soup, tidy).Draw(t, "data"), rapid.IntRange(1, 16).Draw(t, "buffer"))
	})
}

func FuzzCSV(f *testing.F) {
	for _, s := range []string{"a,b\n1,2\n", "\"a\"\"\",\n", "a\r\n\"b\r\n\"\r\n", "\"", "a\"b", "\"a\" b", ",,\n,,", "\xef\xbb\xbfa", "\r", "a\r\r\n"} {
		f.Add(s, uint8(3))
	}
	f.Fuzz(func(t *testing.T, data string, buffer uint8) { agree(t, data, 1+int(buffer)) })
}

// The foot is found whatever the buffer holds of it.
func TestSkipFootProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOf(rapid.StringMatching(`[a-c]{1,5}`)).Draw(t, "lines")
		end := rapid.SampledFrom([]string{"", "\n"}).Draw(t, "end")
		foot := rapid.IntRange(0, 5).Draw(t, "foot")
		data := strings.Join(lines, "\n")
		if data != "" {
			data += end
		}
		c, err := NewCSV(strings.NewReader(data), headless(func(d *bucketload.CSV) { d.SkipFoot = foot }))
		if err != nil {
			t.Fatal(err)
		}
		c.buf = make([]byte, rapid.IntRange(1, 10).Draw(t, "buffer"))
		got, err := drain(c)
		if want := lines[:max(0, len(lines)-foot)]; err != nil || !slices.Equal(got, want) && len(got)+len(want) > 0 {
			t.Fatalf("%q: got %q, %v", data, got, err)
		}
	})
}
