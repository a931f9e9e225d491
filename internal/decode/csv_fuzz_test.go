package decode

import (
	"encoding/csv"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// agree compares with encoding/csv, record by record, on which line each began
// and whether it is refused. The buffer is small to have many rows across its end.
func agree(t interface{ Fatalf(string, ...any) }, data string, buffer int) {
	for _, m := range marks {
		if strings.HasPrefix(data, m.mark) {
			return // they do not know byte order marks
		}
	}
	if strings.Contains(strings.ReplaceAll(data, "\r\n", ""), "\r") {
		return // nor a CR by itself
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
