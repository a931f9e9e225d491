package decode

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/bucketload/bucketload"
)

// outcomes reads to the end and tells rows as show does, and errors as
// !line code "what is given up"; one that breaks the file has two marks.
func outcomes(c *CSV) (all []string) {
	for {
		row, err := c.Next()
		switch e := bucketload.AsError(err); {
		case err == io.EOF:
			return all
		case c.Broken():
			return append(all, fmt.Sprintf("!!%d %s %q", e.Line, e.Code, c.Raw()))
		case err != nil:
			all = append(all, fmt.Sprintf("!%d %s %q", e.Line, e.Code, c.Raw()))
		default:
			all = append(all, show(row))
		}
	}
}

// sameOutcomes tells where the first difference is.
func sameOutcomes(t *testing.T, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Fatalf("%d outcomes, then want %.300q", i, want[i])
		case i >= len(want):
			t.Fatalf("%d outcomes are too many: %.300q", i, got[i])
		case got[i] != want[i]:
			t.Fatalf("outcome %d: want %.300q, got %.300q", i, want[i], got[i])
		}
	}
}

// lines repeats a line, each with its number, n times.
func lines(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func TestBadRows(t *testing.T) {
	tests := []struct {
		name string
		data string
		want []string
	}{
		{"too few and too many", "a,b\n1\n2,3\n4,5,6\r\n7,8", []string{`!2 ragged "1\n"`, "2|3", `!4 ragged "4,5,6\r\n"`, "7|8"}},
		{"stray quote", "a,b\n1,2\"3\n4,5\n", []string{`!2 quote "1,2\"3\n"`, "4|5"}},
		{"blank before a quote", "a,b\n1, \"2\"\n3,4\n", []string{`!2 quote "1, \"2\"\n"`, "3|4"}},
		{"blank before a quote and lines inside", "a,b\n1, \"2\nx,y\nz\"\n3,4\n5,\"6\"\n",
			[]string{`!2 quote "1, \"2\nx,y\nz\"\n"`, "3|4", `5|"6"`}},
		{"text after a quote", "a,b\n\"1\"x,2\n\"3\",4\n", []string{`!2 quote "\"1\"x,2\n"`, `"3"|4`}},
		{"text after a quote after lines", "a,b\n\"1\n,2\"x,2\n\"3\",4\n", []string{`!3 quote "\"1\n,2\"x,2\n"`, `"3"|4`}},
		{"text after a quote, the lines of a field before being rows", "a,b,c\n\"1\nx,y,z\n2\",\"3\"x,4\n5,6,7\n",
			[]string{`!4 quote "\"1\nx,y,z\n2\",\"3\"x,4\n"`, "5|6|7"}},
		{"quotes in quotes", "a,b\n\"say \"hi\",\nand, go\",2\n\"3\",4\n", []string{`!2 quote "\"say \"hi\",\nand, go\",2\n"`, `"3"|4`}},
		{"bad line after bad line", "a,b\n1,2\"\n3,4\"\n5,\"6\"\n", []string{`!2 quote "1,2\"\n3,4\"\n"`, `5|"6"`}},
		{"in the last line", "a,b\n1,2\n3,4\"", []string{"1|2", `!3 quote "3,4\""`}},
		{"quote that is lost, and it may be in the next line", "a,b\n\"1\",\"2\n\"3\",\"4\"\n\"5\",\"6\"\n",
			[]string{`!3 quote "\"1\",\"2\n\"3\",\"4\"\n"`, `"5"|"6"`}},
		{"quote that is never closed", "a,b\n0,\"x\n" + lines("%d,y\n", 30), append([]string{fmt.Sprintf("!2 quote %q", "0,\"x\n"+lines("%d,y\n", 12))}, strings.Split(strings.TrimSpace(lines("%d|y\n", 30)), "\n")[12:]...)},
		{"never closed up to a quote far away", "a,b\n0,\"x\n" + lines("%d,y\n", 14) + "1,\"z\"\n2,\"\"\n", []string{
			fmt.Sprintf("!2 quote %q", "0,\"x\n"+lines("%d,y\n", 12)), "12|y", "13|y", `1|"z"`, `2|""`}},
		{"never closed, and rows behind that are too few to be certain", "a,b\n1,2\n3,\"x\n4,5\n", []string{"1|2", `!3 quote "3,\"x\n4,5\n"`}},
		{"never closed, and no rows behind", "a,b\n1,2\n3,\"x\n" + lines("prose %d\n", 20), []string{"1|2", fmt.Sprintf("!3 quote %q", "3,\"x\n"+lines("prose %d\n", 20))}},
		{"never closed, and many lines behind that may be anything", "a,b\n1,2\n3,\"x\n\"\"prose\n" + lines("prose %d\n", 20), []string{"1|2", `!!3 quote "3,\"x\n"`}},
		{"never closed, and not only rows", "a,b\n1,\"x\nprose\n" + lines("%d,y\n", 30), []string{`!!2 quote "1,\"x\n"`}},
		{"never closed in the last line", "a,b\n1,2\n3,\"x", []string{"1|2", `!3 quote "3,\"x"`}},
		{"never closed in the last row, which has lines before", "a,b\n1,2\n\"3\n\",\"x\n", []string{"1|2", `!4 quote "\"3\n\",\"x\n"`}},
		{"never closed in the only row", "a,b\n1,\"x\n", []string{`!2 quote "1,\"x\n"`}},
		{"never closed in the header", "a,\"b\n1,2\n", []string{`!!1 quote "a,\"b\n"`}},
		{"both readings go on for long", "a,b\n1,2\"\n" + strings.Repeat("\"\n3,\",4\n", lookAhead/4), []string{`!!2 quote "1,2\"\n"`}},
		{"quoted lines of a ragged row stay together", "a,b\n1,\"2\n3,4\n\",5\n6,7\n", []string{`!2 ragged "1,\"2\n3,4\n\",5\n"`, "6|7"}},
		{"a quote too many makes a ragged row of lines", "a,b\n1,\"2\n3,\",\n4,5\",6\n7,\"8\"\n", []string{`!2 ragged "1,\"2\n3,\",\n4,5\",6\n"`, `7|"8"`}},
		{"the header breaks", "a,b\"\n1,2\n", []string{`!!1 quote "a,b\"\n"`}},
		{"CR that may end a line of one column", "a\n1\n2\r3\n4\n", []string{"1", `!3 ragged "2\r3\n"`, "4"}},
		{"CR at the end of a line", "a,b\n1,2\r\r\n3,4\n", []string{`!2 ragged "1,2\r\r\n"`, "3|4"}},
		{"CR in a ragged line", "a,b,c\n1\r2,3\n4,5,6\n", []string{`!2 ragged "1\r2,3\n"`, "4|5|6"}},
		{"CR file", "a,b\r1,2\"\r3,\"4\"\r5\r", []string{`!2 quote "1,2\"\r"`, `3|"4"`, `!4 ragged "5\r"`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(test.data), iotest.OneByteReader(strings.NewReader(test.data))} {
				c, err := NewCSV(r, standard)
				if err != nil {
					t.Fatal(err)
				}
				c.buf = make([]byte, 1)
				sameOutcomes(t, outcomes(c), test.want)
			}
		})
	}
}

func TestBadRowMessages(t *testing.T) {
	tests := []struct {
		data string
		code bucketload.Code
		line int64
		text string
	}{
		{"a,b\n\"1\n\",2,3\n", bucketload.CodeRagged, 2, "the row has 3 fields, the header has 2"},
		{"a,b\n1\n", bucketload.CodeRagged, 2, "the row has 1 field, the header has 2"},
		{"a,b,c,,\na,,,,\n,,c,\n,,,,\n", bucketload.CodeRagged, 3, "the row has 3 fields, the header has 4 (all rows have a delimiter after the last)"},
		{"a,b\n1,2\"3\n", bucketload.CodeQuote, 2, "inside a field that does not begin with one: 1,2\"3"},
		{"a,b\n\"1\n2\"x,3\n", bucketload.CodeQuote, 3, "something follows a closing quote: \"1\n2\"x,3"},
		{"a,b\n\"1\n2\"x,3\n4,5\n", bucketload.CodeQuote, 3, "; 2 lines are given up, up to where a row begins for certain"},
		{"a,b\n1,2\n3,\"x\n4,5\n", bucketload.CodeQuote, 3, "never closed; 2 lines are given up, up to the end of the file"},
		{"a,b\n1, \"3\"\n", bucketload.CodeQuote, 2, "blanks before a quote: 1, \"3\""},
		{"a,b\n\"1\"\t,3\n", bucketload.CodeQuote, 2, "blanks behind a closing quote: \"1\"\t,3"},
		{"a,b\n1,\"3\" \n", bucketload.CodeQuote, 2, "blanks behind a closing quote: 1,\"3\" "},
		{"a,b\n\"1\" x,3\n", bucketload.CodeQuote, 2, "something follows a closing quote"},
		{"a,b\n\"1\n" + lines("%d,3\n", 12) + "4,\"5\"\n", bucketload.CodeQuote, 2, "the quote that opens here is never closed"},
		{"a,b\n1,2\n3,4,5,\"6\n", bucketload.CodeQuote, 3, "never closed"},
		{"a\n1\r2\n", bucketload.CodeRagged, 2, "carriage return by itself"},
	}
	for _, test := range tests {
		c, err := NewCSV(strings.NewReader(test.data), standard)
		if err != nil {
			t.Fatal(err)
		}
		_, err = rowsUntil(c)
		wantError(t, err, test.code, test.line, test.text)
	}
	c, err := NewCSV(strings.NewReader("1,2\n3\n"), headless(nil))
	if err != nil {
		t.Fatal(err)
	}
	_, err = rowsUntil(c)
	wantError(t, err, bucketload.CodeRagged, 2, "the row has 1 field, the first row has 2")
}

func TestTooLong(t *testing.T) {
	row := "6," + strings.Repeat("x", 1021) + "\n"
	rows := bytes.Repeat([]byte(row), MaxRow/1024)
	tests := []struct {
		name string
		tail io.Reader
		want []string // without the rows of the tail
	}{
		{"rows follow", bytes.NewReader(rows), []string{"1|2", fmt.Sprintf("!3 quote %q", "3,\"4\n"+strings.Repeat(row, 12))}},
		{"not only rows follow", io.MultiReader(strings.NewReader("prose\n"), bytes.NewReader(rows)), []string{"1|2", `!!3 too_long "3,\"4\n"`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, err := NewCSV(io.MultiReader(strings.NewReader("a,b\n1,2\n3,\"4\n"), test.tail), standard)
			if err != nil {
				t.Fatal(err)
			}
			sameOutcomes(t, slices.DeleteFunc(outcomes(c), func(s string) bool { return s[0] == '6' }), test.want)
		})
	}
	t.Run("no line end", func(t *testing.T) {
		c, err := NewCSV(io.MultiReader(strings.NewReader("a,b\n1,2\n"), bytes.NewReader(make([]byte, MaxRow+1))), standard)
		if err != nil {
			t.Fatal(err)
		}
		_, err = rowsUntil(c)
		wantError(t, err, bucketload.CodeTooLong, 3, "longer than 16 MiB")
	})
}

func TestReadErrors(t *testing.T) {
	broken := errors.New("connection reset")
	for _, data := range []string{"a,b\n1,2\n", "a,b\n1,2\n3,4\"\n", "a,b\n1,2\n\"3\n\",4,5\n"} {
		c, err := NewCSV(io.MultiReader(strings.NewReader(data), iotest.ErrReader(broken)), standard)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = rowsUntil(c); err != broken || !c.Broken() {
			t.Errorf("%q: %v", data, err)
		}
	}
	c, err := NewCSV(iotest.ErrReader(broken), standard)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Header(); err != broken {
		t.Error(err)
	}
	for _, r := range []io.Reader{stuck{}, io.MultiReader(strings.NewReader("a,b\n1,2"), stuck{})} {
		c, err := NewCSV(r, standard)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Header(); !errors.Is(err, io.ErrNoProgress) {
			t.Error(err)
		}
	}
}

// stuck gives nothing for ever.
type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestRagged(t *testing.T) {
	tests := []struct {
		name, policy, data string
		want               []string
	}{
		{"pad", "pad", "a,b,c\n1\n2,\"3\"\n4,5,6\n7,8,9,10\n", []string{"1||", `2|"3"|`, "4|5|6", `!5 ragged "7,8,9,10\n"`}},
		{"truncate", "truncate", "a,b\n1\n2,3\n4,5,6\n7,8,\n", []string{"1|", "2|3", "4|5", "7|8"}},
		{"pad does not hide a quote too many", "pad", "a,b\n1,\"x\n2,\",3\n4,\"5\"\n6,\"7\"\n", []string{`!2 ragged "1,\"x\n2,\",3\n"`, `4|"5"`, `6|"7"`}},
		{"pad a row of several lines", "pad", "a,b,c\n\"1\n2\"\n3,\"4\",5\n", []string{"\"1\n2\"||", `3|"4"|5`}},
		{"pad does not hide a CR", "pad", "a,b,c\n1,2,3\n4\r5\n6\n", []string{"1|2|3", `!3 ragged "4\r5\n"`, "6||"}},
		{"after each row", "reject", "a,b\n1,2,\n3,4,\n5,\n6,7\n8,9,10\n11,,\n12,13,\n", []string{"1|2", "3|4", `!4 ragged "5,\n"`, "6|7", `!6 ragged "8,9,10\n"`, "11|", "12|13"}},
		{"after the header and each row", "reject", "a,b,\n1,2,\n3,4,\n", []string{"1|2", "3|4"}},
		{"after the header only", "reject", "a,b,\n1,2\n3,\n4,5,\n", []string{"1|2", "3|", `!4 ragged "4,5,\n"`}},
		{"after one row", "reject", "a,b\n1,,\n2,\n3,\n", []string{`!2 ragged "1,,\n"`, "2|", "3|"}},
		{"quoted nothing is something", "reject", "a,b\n1,2,\"\"\n3,4,\"\"\n", []string{`!2 ragged "1,2,\"\"\n"`, `!3 ragged "3,4,\"\"\n"`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := standard
			d.Ragged = test.policy
			c, err := NewCSV(strings.NewReader(test.data), d)
			if err != nil {
				t.Fatal(err)
			}
			c.buf = make([]byte, 1)
			sameOutcomes(t, outcomes(c), test.want)
		})
	}
}
