package decode

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
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

// rowsUntil gives all rows and the error that ended them, nil for the file's end.
func rowsUntil(c *CSV) (rows []string, err error) {
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
	keep := headless(func(d *bucketload.CSV) { d.StrayQuotes = "keep" })
	trim := headless(func(d *bucketload.CSV) { d.UnquotedBlanks = "trim" })
	bare := headless(func(d *bucketload.CSV) { d.Quote = "" })
	wide := headless(func(d *bucketload.CSV) { d.Delimiter = "||" })
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
		{"CR that ends lines in a LF file", headless(nil), "a,b\nc,d\re,\"f\"\r\n\"g\",h\ri,j", []string{"a|b", "c|d", `e|"f"`, `"g"|h`, "i|j"}},
		{"LF and CRLF in a CR file", headless(nil), "a,b\rc,d\ne,f\r\ng,h\r", []string{"a|b", "c|d", "e|f", "g|h"}},
		{"lines that end in CR and CRLF", headless(nil), "a,b\r\r\nc,d\r\r\n", []string{"a|b", "c|d"}},
		{"wide delimiter", wide, "a||b|c||\"d||\"\"e\"\n|||f||\n", []string{`a|b|c|"d||"e"`, "||f|"}},
		{"delimiter beyond ASCII", headless(func(d *bucketload.CSV) { d.Delimiter = "§" }), "a§\"b\"§c\xc2\n", []string{"a|\"b\"|c\xc2"}},
		{"comma and blank", headless(func(d *bucketload.CSV) { d.Delimiter = ", " }), "a, \"b\", c,d\n", []string{`a|"b"|c,d`}},
		{"wide comment", headless(func(d *bucketload.CSV) { d.Comment = "//" }), "// x\n/a\nb//\n//", []string{"/a", "b//"}},
		{"NUL escapes", headless(func(d *bucketload.CSV) { d.Escape = "\x00" }), "\"a\x00\"b\",\x00\n", []string{"\"a\"b\"|\x00"}},
		{"NUL quotes", headless(func(d *bucketload.CSV) { d.Quote, d.Escape = "\x00", "\x00" }), "\x00a,\x00,b\n", []string{`"a,"|b`}},
		{"empty fields", headless(nil), ",\n\"\",\n,", []string{"|", `""|`, "|"}},
		{"blank lines", headless(nil), "\n\r\n\na\n\r\n\nb\n\n", []string{"a", "b"}},
		{"quoted nothing is a row", headless(nil), "a\n\"\"\n", []string{"a", `""`}},
		{"quotes", headless(nil), `"a""b","""",""""""` + "\n", []string{`"a"b"|"""|""""`}},
		{"line ends in quotes stay", headless(nil), "\"a\r\nb\nc\",d\n", []string{"\"a\r\nb\nc\"|d"}},
		{"delimiter in quotes", headless(nil), "\"a,b\",c\n", []string{`"a,b"|c`}},
		{"blanks stay", headless(nil), " a , b \n", []string{" a | b "}},
		{"blanks are trimmed", trim, " a b ,\t\"c, d\" , , \" e \"\t\r\n \"\" ,f,\t,g\n", []string{`a b|"c, d"||" e "`, `""|f||g`}},
		{"blanks are trimmed up to the end", trim, "a, \"b\n\" ", []string{"a|\"b\n\""}},
		{"a tab that delimits is no blank", headless(func(d *bucketload.CSV) { d.Delimiter, d.UnquotedBlanks = "\t", "trim" }), " a \t\t \"b\" \tc\t\n", []string{`a||"b"|c|`}},
		{"blanks that delimit are none", headless(func(d *bucketload.CSV) { d.Delimiter, d.UnquotedBlanks = " | ", "trim" }), "a  | \"b\"  |  c | \n", []string{`a|"b"|c|`}},
		{"stray quotes are kept", keep, "5\" pipe, \"a\",\"b\"\"\"\n\"c\",d\",\"\"\n", []string{`5" pipe| "a"|"b""`, `"c"|d"|""`}},
		{"blanks behind a closing quote, where quotes may be astray", keep, "\"a\" ,\" b \"\t\n \"c\",\"d\"\n", []string{`"a"|" b "`, ` "c"|"d"`}},
		{"stray quotes are kept behind blanks that are not", headless(func(d *bucketload.CSV) { d.StrayQuotes, d.UnquotedBlanks = "keep", "trim" }), " 5\" , \"a, \"\"\" \n", []string{`5"|"a, ""`}},
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
				got, err := rowsUntil(c)
				if err != nil || !slices.Equal(got, test.want) {
					t.Errorf("%s: want %q, got %q, %v", name, test.want, got, err)
				}
			}
		})
	}
}

// numbered gives n different names.
func numbered(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	return strings.Join(names, ",")
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
		{"a,b,\n", []string{"a", "b"}, "", 0, ""},
		{"a,b,\n1,2,\n3,4,5\n", []string{"a", "b"}, "", 0, ""},
		{"a,b,\n1,2,3\n4,5\n\n6,7,8\n", []string{"a", "b", "column_3"}, "", 0, ""},
		{"a,b,\"\"\n", []string{"a", "b", "column_3"}, "", 0, ""},
		{"a,b,,\n", []string{"a", "b", "column_3"}, "", 0, ""},
		{",a,b\n", []string{"column_1", "a", "b"}, "", 0, ""},
		{"a,\" \",b\n", []string{"a", "column_2", "b"}, "", 0, ""},
		{"a,,column_2\n", nil, bucketload.CodeHeader, 1, `the header has "column_2" twice, in fields 2 and 3`},
		{",a\n", []string{"column_1", "a"}, "", 0, ""},
		{",\n", nil, bucketload.CodeHeader, 1, "most fields of the header have no name"},
		{"\na,\" \",,\n", nil, bucketload.CodeHeader, 2, "most fields of the header have no name"},
		{"a,b\x00\n", nil, bucketload.CodeNUL, 1, "field 2 of the header has a NUL byte"},
		{"a,b\xff\n", nil, bucketload.CodeUTF8, 1, "field 2 of the header is not UTF-8"},
		{"a,\"b", nil, bucketload.CodeQuote, 1, "never closed"},
		{"\xff\xfea\x00,\x00b\x00", []string{"a", "b"}, "", 0, ""},
		{numbered(maxNames) + "\n", strings.Split(numbered(maxNames), ","), "", 0, ""},
		{numbered(maxNames) + ",\n", strings.Split(numbered(maxNames), ","), "", 0, ""},
		{"\n" + numbered(maxFields+1) + "\n", nil, bucketload.CodeHeader, 2, "the header has more than 10000 fields"},
		{strings.Repeat(",", 1<<20), nil, bucketload.CodeHeader, 1, "the header has more than 10000 fields"},
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
		{"several bytes", func(d *bucketload.CSV) { d.Delimiter, d.Comment = "§|", "//" }, ""},
		{"NUL", func(d *bucketload.CSV) { d.Escape = "\x00" }, ""},
		{"quote of two bytes", func(d *bucketload.CSV) { d.Quote = "''" }, "only one ASCII character"},
		{"not ASCII", func(d *bucketload.CSV) { d.Quote = "§" }, "only one ASCII character"},
		{"line end", func(d *bucketload.CSV) { d.Delimiter = "|\n" }, "csv.delimiter has a line end"},
		{"delimiter and quote", func(d *bucketload.CSV) { d.Quote, d.Escape = ",", "," }, "csv.delimiter and csv.quote are both"},
		{"quote in the delimiter", func(d *bucketload.CSV) { d.Delimiter = `","` }, "has csv.quote"},
		{"comment and quote", func(d *bucketload.CSV) { d.Comment = `"` }, "csv.quote and csv.comment are both"},
		{"comment like a quoted field", func(d *bucketload.CSV) { d.Comment = `"#` }, "begins as a field in csv.quote does"},
		{"comment like an empty field", func(d *bucketload.CSV) { d.Delimiter, d.Comment = "/", "//" }, "begin alike"},
		{"delimiter like a comment", func(d *bucketload.CSV) { d.Delimiter, d.Comment = "##", "#" }, "begin alike"},
		{"delimiter and escape", func(d *bucketload.CSV) { d.Escape = "," }, "csv.delimiter and csv.escape are both"},
		{"negative", func(d *bucketload.CSV) { d.SkipFoot = -1 }, "cannot be negative"},
		{"other encoding", func(d *bucketload.CSV) { d.Encoding = "latin1" }, ""},
		{"no encoding", func(d *bucketload.CSV) { d.Encoding = "klingon" }, `csv.encoding "klingon" is not known`},
		{"no policy", func(d *bucketload.CSV) { d.Ragged = "strip" }, "not one of reject, pad, truncate"},
		{"policies", func(d *bucketload.CSV) { d.Ragged, d.NUL, d.InvalidUTF8 = "pad", "strip", "replace" }, ""},
		{"policies of quotes", func(d *bucketload.CSV) { d.StrayQuotes, d.UnquotedBlanks = "keep", "trim" }, ""},
		{"no policy of blanks", func(d *bucketload.CSV) { d.UnquotedBlanks = "strip" }, "csv.unquoted_blanks is \"strip\", and not one of keep, trim"},
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

// Lines are physical, however they end.
func TestLines(t *testing.T) {
	tests := []struct {
		name, data string
		want       []int64
	}{
		{"CRLF", "a,b\r\n\"c\r\nd\",e\r\n\r\nf,g\r\n", []int64{1, 2, 5}},
		{"CR", "a,b\r\"c\rd\",e\r\rf,g\r\nh,i\n\nj,k", []int64{1, 2, 5, 6, 8}},
		{"CR in a LF file", "a,b\nc\rd,e\nf,g\n", []int64{1, 2, 3}},
		{"LF, and CR in one line", "a,b\nc,d\re,\"f\rg\"\rh,i\nj\rk,l\nm,n\n", []int64{1, 2, 3, 5, 6, 7}},
	}
	for _, test := range tests {
		for _, buffer := range []int{1, 5, firstBuffer} {
			c, err := NewCSV(strings.NewReader(test.data), headless(nil))
			if err != nil {
				t.Fatal(err)
			}
			c.buf = make([]byte, buffer)
			var got []int64
			for _, err = c.Next(); err == nil; _, err = c.Next() {
				got = append(got, c.Line())
			}
			if err != io.EOF || !slices.Equal(got, test.want) {
				t.Errorf("%s: want %d, got %d, %v", test.name, test.want, got, err)
			}
		}
	}
}

func TestNoGarbage(t *testing.T) {
	data := bytes.Repeat([]byte("1,\"a \"\"quoted\"\" word\",\"\n\",4.5\n1,2,3\xff\x00,4\n1\n"), 20_000)
	wide := bytes.ReplaceAll(data, []byte(","), []byte("§"))
	mending := func(d *bucketload.CSV) { d.Ragged, d.InvalidUTF8, d.NUL = "pad", "replace", "strip" }
	for _, test := range []struct {
		name    string
		data    []byte
		dialect bucketload.CSV
	}{
		{"comma", data, headless(mending)},
		{"wide delimiter", wide, headless(func(d *bucketload.CSV) { mending(d); d.Delimiter = "§" })},
	} {
		c, err := NewCSV(bytes.NewReader(test.data), test.dialect)
		if err != nil {
			t.Fatal(err)
		}
		for range 100 { // buffers grow to what looking ahead takes
			c.Next()
		}
		if n := testing.AllocsPerRun(30_000, func() {
			if _, err := c.Next(); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations per row", test.name, n)
		}
	}
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
		got, err := rowsUntil(c)
		if want := lines[:max(0, len(lines)-foot)]; err != nil || !slices.Equal(got, want) && len(got)+len(want) > 0 {
			t.Fatalf("%q: got %q, %v", data, got, err)
		}
	})
}
