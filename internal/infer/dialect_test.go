package infer_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/infer"
)

func heads(texts ...string) [][]byte {
	var heads [][]byte
	for _, text := range texts {
		heads = append(heads, []byte(text))
	}
	return heads
}

func TestDialect(t *testing.T) {
	commented, skipping, unquoted, backslash := withHeader, withHeader, withHeader, withHeader
	commented.Comment, skipping.SkipHead, unquoted.Quote, backslash.Escape = "#", 2, "", `\`
	tests := []struct {
		name      string
		given     bucketload.CSV
		heads     [][]byte
		delimiter string
		evidence  string
	}{
		{"comma", withHeader, heads("a,b,c\n1,2,3\n4,5,6\n"), ",", `"," in 3 of 3 sampled lines, 3 fields each`},
		{"tab", withHeader, heads("a\tb\n1,5\t2\n"), "\t", "tab in 2 of 2 sampled lines, 2 fields each"},
		{"semicolon with decimal commas", withHeader, heads("a;b\n1,5;2,5\n3,0;4,5\n"), ";", `";" in 3 of 3`},
		{"bar", withHeader, heads("a|b|c\n1|2|3\n"), "|", ""},
		{"several shapes", withHeader, heads("a,b\n1,2\n", "a,b,c\n1,2,3\n"), ",", "4 of 4 sampled lines, 2 to 3 fields"},
		{"byte order mark", withHeader, heads("\ufeff\"a;x\",b\n1,2\n"), ",", "2 fields each"},
		{"quoted delimiters and line ends", withHeader, heads("a,b\n\"1;\n2;\",\"3\"\"\n;\"\n"), ",", "2 of 2"},
		{"quotes hide the others whichever delimits", withHeader, heads("a,b\n1,\"x;y\"\n2,\"x;y\"\n"), ",", "3 of 3"},
		{"escaped quotes", backslash, heads("a,b\n\"x\\\",;\",2\n"), ",", "2 of 2"},
		{"no quoting", unquoted, heads("a\tb\n5\" pipe\t\"x\n3\ty\n"), "\t", "3 of 3"},
		{"the last line is cut", withHeader, heads("a,b,c\n1,2,3\n4,"), ",", "2 of 2"},
		{"cut within quotes", withHeader, heads("a,b\n1,2\n3,\"x\n;;\n"), ",", "2 of 2"},
		{"a header alone", withHeader, heads("a,b"), ",", "1 of 1"},
		{"CR and CRLF", withHeader, heads("a,b\r1,2\r\n3,4\r"), ",", "3 of 3"},
		{"comments", commented, heads("# x; y; \"z\na,b\n# ;\n1,2\n"), ",", "2 of 2"},
		{"skipped lines", skipping, heads("Report; 2020\n\na,b\n1,2\n"), ",", "2 of 2"},
		{"blank lines", withHeader, heads("a,b\n\n1,2\n\n"), ",", "2 of 2"},
		{"a few ragged lines", withHeader, heads("a,b,c\n1,2,3\n4,5\n6,7,8\n"), ",", "3 of 4"},
		{"one strange long file among many", withHeader,
			heads("a,b\n1,2\n", "c,d\n1,2\n", "a,b\n3,4\n", strings.Repeat("just prose\n", 1000)), ",", ""},
		{"empty files abstain", withHeader, heads("", "a;b\n1;2\n", "\n\n"), ";", "2 of 2"},
		{"a clear lead over a regular mark in the values", withHeader, heads("a,b,c,d;e\n1,2,3,4;5\n"), ",", "4 fields"},
		{"one column", withHeader, heads("name\nAnna\n\"Smith, John\"\n"), ",", "one column: no comma, tab, semicolon or bar in 3 sampled lines"},
		{"nothing at all", withHeader, heads("", "\n"), ",", "no lines to judge by"},
		{"given", bucketload.CSV{Delimiter: ";"}, heads("a,b\n1,2\n"), ";", `";" as given`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, evidence, err := infer.Dialect(test.heads, test.given, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got.Delimiter != test.delimiter || !strings.Contains(evidence, test.evidence) {
				t.Errorf("got %q: %s\nwant %q: %s", got.Delimiter, evidence, test.delimiter, test.evidence)
			}
			got.Delimiter = test.given.Delimiter
			if got != test.given {
				t.Errorf("more than the delimiter changed: %+v", got)
			}
		})
	}
}

func TestUnclearDialect(t *testing.T) {
	tests := []struct {
		name, head, message, hint string
	}{
		{"a tie", "a,b;c\n1,2;3\n", `"," fits 2 of 2 sampled lines; ";" fits 2 of 2`, `--set 'csv.delimiter=","' or --set 'csv.delimiter=";"'`},
		{"prose with commas", "text\nHello, world\nplain\n", `"," fits 0 of 3`, "for files of one column"},
		{"a preamble", "Report, 2020\n\na;b;c\n1;2;3\n4;5;6\n", `"," fits 1 of 4 sampled lines; ";" fits 0 of 4`, `csv.delimiter=";"`},
		{"tabs", "a\nb\tc\n", "tab fits 0 of 2", `'csv.delimiter="\t"'`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := infer.Dialect(heads(test.head), withHeader, nil)
			var e *bucketload.Error
			if !errors.As(err, &e) || e.Code != bucketload.CodeUsage {
				t.Fatalf("got %v", err)
			}
			if !strings.Contains(e.Message, test.message) || !strings.Contains(e.Hint, test.hint) {
				t.Errorf("%s\nhint: %s", e.Message, e.Hint)
			}
		})
	}
}

// FuzzDialect looks for texts on which a verdict has no reason, depends on the
// order of the files, or takes something that was given.
func FuzzDialect(f *testing.F) {
	f.Add([]byte("a,b\n1,2\n"), []byte("\"a\nb\";c\r\n"), `"`, `"`, "#", 1, true)
	f.Add([]byte("\ufeffa\tb\r\r\n"), []byte("\"\\\""), `"`, `\`, "", 0, false)
	f.Add([]byte("T\n\nid;'p'\n1;2,5\n"), []byte("\xff\xfea\x00,\x00b\x00"), `"`, `"`, "", 0, true)
	f.Add([]byte("caf\xe9||x\n# \"\n"), []byte("'a' 'b'\n1 2\n"), `"`, `"`, "", 0, true)
	f.Fuzz(func(t *testing.T, one, two []byte, quote, escape, comment string, skip int, all bool) {
		given := bucketload.CSV{Quote: quote, Escape: escape, Comment: comment, SkipHead: max(0, skip%8)}
		var open []string
		if all {
			open = everything
		}
		got, evidence, err := infer.Dialect([][]byte{one, two}, given, open)
		if err != nil {
			var e *bucketload.Error
			if !errors.As(err, &e) || e.Hint == "" {
				t.Fatalf("an error without a hint: %v", err)
			}
			return
		}
		if got.Delimiter == "" || evidence == "" || got.SkipHead < 0 || got.SkipFoot < 0 {
			t.Fatalf("%+v, evidence %q", got, evidence)
		}
		if kept := (bucketload.CSV{Delimiter: got.Delimiter, Quote: quote, Escape: escape, Comment: comment, SkipHead: given.SkipHead}); !all && got != kept {
			t.Fatalf("more than the delimiter changed: %+v", got)
		}
		again, _, err := infer.Dialect([][]byte{two, one, nil}, given, open)
		if err != nil || again != got {
			t.Fatalf("another order gave %+v, %v, not %+v", again, err, got)
		}
	})
}
