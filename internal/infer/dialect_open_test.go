package infer_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"

	"github.com/bucketload/bucketload"
)

// dialect is the ordinary one, changed.
func dialect(change func(*bucketload.CSV)) bucketload.CSV {
	d := bucketload.CSV{Delimiter: ",", Quote: `"`, Escape: `"`, Header: true, Encoding: "utf-8"}
	if change != nil {
		change(&d)
	}
	return d
}

// lines repeats a row with another number in it.
func lines(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, 10*i+7)
	}
	return b.String()
}

func TestOpenDialect(t *testing.T) {
	delimiter := func(s string) bucketload.CSV { return dialect(func(d *bucketload.CSV) { d.Delimiter = s }) }
	skip := func(n int) bucketload.CSV { return dialect(func(d *bucketload.CSV) { d.SkipHead = n }) }
	trimmed := dialect(func(d *bucketload.CSV) { d.UnquotedBlanks = "trim" })
	headless := dialect(func(d *bucketload.CSV) { d.Header = false })
	quoted := func(quote, escape string) bucketload.CSV {
		return dialect(func(d *bucketload.CSV) { d.Quote, d.Escape = quote, escape })
	}
	tests := []struct {
		name     string
		heads    [][]byte
		want     bucketload.CSV
		evidence string
	}{
		{"the ordinary", heads("id,name\n1,a\n2,\"b, c\"\n"), dialect(nil), `"," in 3 of 3 sampled lines, 2 fields each; quote " around 1 field; header: names over values of another kind in 1 column`},
		{"nothing", heads("", "\n\n"), dialect(nil), "no lines to judge by"},
		{"a header only", heads("a,b,c\n"), dialect(nil), "header as usual"},
		{"one column", heads("name\nAnn Lee\nBob\n"), dialect(nil), "one column"},
		{"one column of moments", heads("when\n2020-01-31 10:30:00\n2020-02-28 11:30:00\n"), dialect(nil), "one column"},
		{"one column with a rare comma", heads("word\n" + lines(20, "w%d\n") + "so, rare\n"), dialect(nil), "one column"},

		{"colons", heads("id:name:n\n1:a:2\n2:b:3\n"), delimiter(":"), `":" in 3 of 3`},
		{"blanks", heads("x y z\n1 2.5 a\n2 3.5 b\n"), delimiter(" "), "space in 3 of 3"},
		{"carets", heads("id^name\n1^a\n2^b\n"), delimiter("^"), ""},
		{"control characters", heads("id\x01name\n1\x01a, b\n2\x01c, d\n"), delimiter("\x01"), ""},
		{"two bars", heads("id||name\n1||a|b\n2||c\n"), delimiter("||"), `"||" in 3 of 3`},
		{"three characters", heads("id~|~name\n1~|~a\n2~|~b\n"), delimiter("~|~"), ""},
		{"comma and blank before text", heads("id, name, text\n1, \"a\", \"x, y\"\n2, \"b\", \"z\"\n"), delimiter(", "), ""},
		{"comma and blank before figures", heads("x, y\n1, 2\n3, 4\n"), dialect(nil), ""},
		{"bars apart", heads("id | name\n1 | a\n2 | b c\n"), delimiter(" | "), ""},
		{"moments are not split", heads("at,n\n2020-01-01 10:30,1\n2020-01-02 11:30,2\n"), dialect(nil), ""},
		{"names with commas between bars", heads("day|city\n2020-01-01|New York, NY\n2020-01-02|Los Angeles, CA\n"), delimiter("|"), ""},
		{"a figure with nothing before it", heads("station,temp\n,5\n"), dialect(nil), `"," in 2 of 2 sampled lines, 2 fields each`},
		{"a moment between two tabs", heads("station\tat\ttemp\n\t2020-01-31\t\n"), delimiter("\t"), ""},
		{"figures with nothing behind them", heads("temp,station\n5,\n", "temp,station\n25,\n"), dialect(nil), `"," in 4 of 4`},
		{"doubled commas are empty fields", heads("a,,b\n1,,2\n3,,4\n"), dialect(nil), ""},

		{"blanks around some quotes", heads("id,name,n\n1, \"a, b\",1\n2, \"c\",2\n3,\"d, e\" ,3\n4,f,4\n"), trimmed, `blanks outside of quotes are trimmed: they are around the quotes of 3 fields`},
		{"blanks around all quotes, and no other reading", heads("a,b\n" + lines(9, "%d, \"x, y\"\n")), trimmed, "around the quotes of 9 fields"},
		{"blanks around quotes, and behind a few commas more", heads("id,t,u,v\n" + lines(9, "%d, \"x, y\", z,1\n")), trimmed, ""},
		{"blanks around quotes between tabs", heads("id\tt\tu\n" + lines(9, "%d\t \"x\ty\" \tz\n")), dialect(func(d *bucketload.CSV) { d.Delimiter, d.UnquotedBlanks = "\t", "trim" }), ""},
		{"blanks around few quotes", heads("id,t\n" + lines(20, "%d,\"x, y\"\n") + "1, \"x\"\n2, \"y\"\n"), dialect(nil), ""},
		{"blanks within quotes", heads("id,t\n" + lines(9, "%d,\" x \"\n")), dialect(nil), ""},
		{"single quotes", heads("id,t\n1,'a, b'\n2,'c'\n3,'d''e'\n"), quoted("'", "'"), "quote ' around 3 fields"},
		{"apostrophes are no quotes", heads("id,t\n1,'tis\n2,o'clock\n3,the boys'\n"), dialect(nil), ""},
		{"backslashes", heads("id,t\n1,\"a \\\"b\\\", c\"\n2,\"d\"\n"), quoted(`"`, `\`), `escape \ in 1 of them`},
		{"backslashes of paths", heads("id,t\n1,\"C:\\dir\\\"\n2,\"d, e\"\n"), dialect(nil), ""},
		{"inches", heads("id\tt\n1\t5\" pipe\n2\t6\" pipe\n"), dialect(func(d *bucketload.CSV) { d.Delimiter, d.Quote, d.Escape = "\t", "", `"` }), "no quote"},
		{"one stray quote among quoted fields", heads("id,t\n" + lines(20, "%d,\"a, b\"\n") + "3,x\"y\n"), dialect(nil), "22 of 22"},

		{"a title", heads("Report 2020\n\nid,n\n1,2\n3,4\n"), skip(2), "2 lines before the header"},
		{"a title as wide as the table", heads("Report,,,\n,,,\nid,n,a,b\n1,2,3,4\n5,6,7,8\n"), skip(2), ""},
		{"a title of two fields above a blank line", heads("Report, 2020\n\nid,name\n1,a\n2,b\n"), skip(2), ""},
		{"two lines of names", heads("id,when,n\n(no),(date),(kg)\n1,2020-01-01,2\n2,2020-01-02,3\n"), skip(1), ""},
		{"the header again", heads("id,n\nid,n\n1,2\n3,4\n"), skip(1), ""},
		{"a first row of dashes is a row", heads("id,n\n-,-\n1,2\n3,4\n"), dialect(nil), ""},
		{"comments", heads("# one\nid,n\n1,2\n# it's \"two\n3,4\n"), dialect(func(d *bucketload.CSV) { d.Comment = "#" }), "comments begin with #, in 2 lines"},
		{"comments before the header only", heads("# one\n# three\nid,n\n1,2\n3,4\n"), skip(2), ""},
		{"a comment as wide as the table", heads("# one, two\n# three\nid,n\n1,2\n3,4\n"), dialect(func(d *bucketload.CSV) { d.Comment = "#" }), ""},
		{"comments, more or less of them", heads("# one\nid,n\n1,2\n", "# one\n# two\nid,n\n1,2\n"), dialect(func(d *bucketload.CSV) { d.Comment = "#" }), ""},
		{"a header that begins like a comment", heads("#id,n\n1,2\n3,4\n"), dialect(nil), ""},
		{"rows that begin like comments", heads("tag,n\n#a,1\n#b,2\nc,3\n"), dialect(nil), ""},
		{"a total below", heads("id,n,a\n" + lines(5, "%d,2,3\n") + "\nSource: the office\n"), dialect(func(d *bucketload.CSV) { d.SkipFoot = 2 }), "2 lines after the rows"},
		{"a short last row is a row", heads("id,n,a\n" + lines(5, "%d,2,3\n") + "57\n"), dialect(nil), ""},

		{"no header", heads("1,a,2020-01-01\n2,b,2020-01-02\n"), headless, "no header: the first line has values of the same kind in 2 columns"},
		{"no header in most files", heads("1,a\n2,b\n", "3,c\n4,d\n", "5,e\n6,f\n", "", "7,g\n8,h\n", "9,i\n10,j\n", "id,name\n11,k\n"), headless, "5 of 6 files"},
		{"years over figures", heads("country,2019,2020,2021\nA,1,2,4\nB,8,3,1\n"), dialect(nil), "header: names"},
		{"only text", heads("Ann,Paris\nBob,Rome\n"), dialect(nil), "header as usual"},

		{"decimal commas", heads("id;p\n1;2,5\n2;13,75\n"), dialect(func(d *bucketload.CSV) { d.Delimiter, d.Decimal = ";", "," }), "decimal comma in 2 numbers"},
		{"decimal commas and points between thousands", heads("id;p\n1;2,50\n2;1.234,00\n"),
			dialect(func(d *bucketload.CSV) { d.Delimiter, d.Decimal, d.Thousands = ";", ",", "." }), `"." between thousands`},
		{"commas between thousands", heads("id,p\n1,\"1,234.50\"\n2,\"1,234,567\"\n"), dialect(func(d *bucketload.CSV) { d.Thousands = "," }), ""},
		{"a comma that may be either", heads("id;p\n1;1,234\n2;5,678\n"), delimiter(";"), ""},
		{"marks that contradict each other", heads("id;p;q\n1;2,5;3.5\n2;3,5;4.5\n"), delimiter(";"), ""},
		{"a point that may be either, and decimal commas", heads("id;p;q\n1;2,5;48.123\n2;3,5;47.456\n"), delimiter(";"), ""},

		{"all at once", heads("Produced by the export of 2024-05-01\n\nid;name;price\n1;'O''Neil';2,50\n2;'B; Wolf';13,75\n3;'x';0,99\n4;'y';1.234,00\n"),
			dialect(func(d *bucketload.CSV) {
				d.Delimiter, d.Quote, d.Escape, d.SkipHead, d.Decimal, d.Thousands = ";", "'", "'", 2, ",", "."
			}), ""},
		{"a strange file among many", heads("a,b\n1,2\n", "a,b\n3,4\n", "a,b\n5,6\n", strings.Repeat("x;'y'\n", 500)), dialect(nil), ""},
		{"a second table below", heads("id,n,t\n" + lines(20, "%d,2,x\n") + "id,n,t,u\n" + lines(20, "%d,2,x,y\n")), dialect(nil), ""},
		{"a header with a stray quote", heads("\"id,n,\"t\",u\n" + lines(9, "%d,2,\"x\",y\n")), dialect(nil), ""},
		{"a header with a field too few", heads("idn,t,u\n" + lines(9, "%d,2,x,y\n")), dialect(nil), ""},
		{"a delimiter at the end of rows only", heads("a,b\n1,2,\n3,4,\n"), dialect(nil), ""},
		{"cut within quotes", heads("id,t\n1,\"a\"\n2,\"b\n;;;\n;;;"), dialect(nil), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, evidence, err := sniff(test.heads...)
			if err != nil {
				t.Fatalf("refused: %v", err)
			}
			if got != test.want || !strings.Contains(evidence, test.evidence) {
				t.Errorf("got %+v: %s\nwant %+v: %s", got, evidence, test.want, test.evidence)
			}
		})
	}
}

func TestUnclear(t *testing.T) {
	tests := []struct {
		name          string
		heads         [][]byte
		message, hint string
	}{
		{"two delimiters", heads("a,b;c\nx,y;z\n"), "the delimiter is not clear", `--set 'csv.delimiter=","' or --set 'csv.delimiter=";"'`},
		{"figures that begin with a decimal comma", heads("price\n,5\n,75\n"), "the delimiter is not clear", "for files of one column"},
		{"prose with commas", heads("Hello, you\nwhat a day, or is it, then\nwell\nyes, no, maybe\n"), "the delimiter is not clear", "for files of one column"},
		{"blanks around quotes, and quotes within fields", heads("id,t\n" + lines(9, "%d, \"x, y\"\n") + lines(9, "%d,5\" pipe\n")), "the delimiter is not clear", ""},
		{"text between carets", heads("first^last\nAnn^Lee\nBob^Ray\n"), `"^" fits 3 of 3`, `'csv.delimiter="^"'`},
		{"a moment or two columns", heads("day time\n2020-01-31 10:30\n2020-02-28 11:30\n"), "space fits 3 of 3", ""},
		{"one field in single quotes", heads("id,t\n1,'a'\n2,b\n"), "the quote is not clear: ' is around 1 field", `--set 'csv.quote="\""' or --set 'csv.quote="'"'`},
		{"doubled backslashes", heads("id,t\n1,\"C:\\\\dir\"\n2,\"b\"\n"), `the escape is not clear: \ is doubled in 1 quoted field`, `'csv.escape="\\"'`},
		{"headers in half of the files", heads("id,n\n1,2\n", "3,4\n5,6\n"), "whether there is a header: 1 file has names", "--set csv.header=true or --set csv.header=false"},
		{"titles of all lengths", heads("id,n\n1,2\n", "x\nid,n\n1,2\n3,4\n5,6\n", "x\n\nid,n\n1,2\n3,4\n5,6\n"), "how many lines come before the header", "--set csv.skip_head=0"},
		{"Latin-1 and UTF-8", heads("n\ncaf\xe9\n", "n\ncaf\xe9\n", "n\ncaf\xc3\xa9\n"), "the encoding is not clear: utf-8 in 1 file", `--set 'csv.encoding="utf-8"'`},
		{"bytes of no language", heads("n\na\x81\x8d\x8f\x90b\xd7\xf7\n"), "the encoding is not clear", "--set 'csv.encoding="},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, evidence, err := sniff(test.heads...)
			var e *bucketload.Error
			if !errors.As(err, &e) || e.Code != bucketload.CodeUsage {
				t.Fatalf("got %+v: %s, %v", got, evidence, err)
			}
			if !strings.Contains(e.Message, test.message) || !strings.Contains(e.Hint, test.hint) {
				t.Errorf("%s\nhint: %s", e.Message, e.Hint)
			}
		})
	}
}

// Keys that somebody has set stay, and help to find the others.
func TestGivenStays(t *testing.T) {
	given := dialect(func(d *bucketload.CSV) { d.Delimiter, d.Header, d.SkipHead = ";", false, 1 })
	got, evidence, err := sniffOpen(heads("x\na;'b, c'\nd;'e'\nf;'g'\n"), given, "quote", "escape")
	want := given
	want.Quote, want.Escape = "'", "'"
	if err != nil || got != want || !strings.Contains(evidence, `";" as given`) {
		t.Errorf("%+v: %s, %v", got, evidence, err)
	}
}

func TestEncodings(t *testing.T) {
	french := "ville;région\n" + lines(5, "Orléans;Centre où l’été %d\n")
	polish := "miasto,opis\n" + lines(5, "Łódź,żółta gęś nr %d\n")
	russian := "город,область\n" + lines(5, "Москва,Московская область номер %d\n")
	greek := "πόλη,αριθμός\n" + lines(5, "Αθήνα είναι η πρωτεύουσα,%d\n")
	japaneseText := "都市,番号\n" + lines(5, "東京都は日本の首都です,%d\n")
	tests := []struct {
		name     string
		text     string
		encoding encoding.Encoding
		want     string // "": refused
	}{
		{"UTF-8", french, encoding.Nop, "utf-8"},
		{"UTF-8 with a mark", "\ufeff" + french, encoding.Nop, "utf-8"},
		{"UTF-8 with a damaged byte", french + french + "x;\xff\n", encoding.Nop, "utf-8"},
		{"UTF-8, cut within a character", "a,b\n1,\xe2\x82", encoding.Nop, "utf-8"},
		{"UTF-16 with a mark", french, unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM), "utf-16le"},
		{"UTF-16LE", french, unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), "utf-16le"},
		{"UTF-16BE", french, unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM), "utf-16be"},
		{"UTF-32LE with a mark", french, utf32.UTF32(utf32.LittleEndian, utf32.UseBOM), "utf-32le"},
		{"UTF-32BE with a mark", french, utf32.UTF32(utf32.BigEndian, utf32.UseBOM), "utf-32be"},
		{"French", french, charmap.Windows1252, "windows-1252"},
		{"a pound", "item,price\n" + lines(3, "x,£%d\n"), charmap.ISO8859_1, "windows-1252"},
		{"names of all countries", "name,n\nMalmö,1\nSão Paulo,2\nCórdoba,3\nBesançon,4\nTromsø,5\n", charmap.ISO8859_1, "windows-1252"},
		{"Polish", polish, charmap.Windows1250, "windows-1250"},
		{"Russian", russian, charmap.Windows1251, "windows-1251"},
		{"Russian of Unix", russian, charmap.KOI8R, "koi8-r"},
		{"Russian of DOS", russian, charmap.CodePage866, "ibm866"},
		{"Greek", greek, charmap.ISO8859_7, "windows-1253"},
		{"Japanese", japaneseText, japanese.ShiftJIS, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			head, err := test.encoding.NewEncoder().String(test.text)
			if err != nil {
				t.Fatal(err)
			}
			got, evidence, err := sniff([]byte(head))
			if test.want == "" {
				if err == nil {
					t.Errorf("got %s: %s", got.Encoding, evidence)
				}
				t.Log(err)
				return
			}
			if err != nil || got.Encoding != test.want {
				t.Errorf("got %q: %s, %v", got.Encoding, evidence, err)
			}
			if want := string(test.text[strings.IndexAny(test.text, ",;")]); got.Delimiter != want {
				t.Errorf("delimiter %q in %s", got.Delimiter, got.Encoding)
			}
		})
	}
}
