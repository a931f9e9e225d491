package decode

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

var control = regexp.MustCompile(`^(\d+):\[(.*?)\](#.*)?$`)

// commons-csv says of its files what it reads in them. Each of those rows is
// read alike or refused: those of another width, and those with blanks before a
// quote, which commons-csv takes for a part of the value.
func TestCommonsCSV(t *testing.T) {
	dir := temptest.Corpus(t, "corpus/commons-csv/org/apache/commons/csv/CSVFileParser")
	for _, path := range glob(t, dir, "test*.txt") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			head, rest, _ := strings.Cut(string(read(t, path)), "\n")
			settings := strings.Fields(head)
			var want []string
			for line := range strings.Lines(rest) {
				m := control.FindStringSubmatch(strings.TrimSpace(line))
				if m == nil || m[2] == "" {
					continue // what the parser was told, a comment, or a blank line
				}
				want = append(want, m[2])
			}
			if strings.Contains(head, "IgnoreSpaces") {
				return // trimming is the columns' matter
			}
			d := bucketload.CSV{Delimiter: ",", Quote: `"`, Escape: `"`}
			if _, mark, ok := strings.Cut(head, "CommentStart="); ok {
				d.Comment = mark[:1]
			}
			c := open(t, filepath.Join(dir, settings[0]), d)
			for i, want := range want {
				fields, err := c.Next()
				if err == io.EOF {
					t.Fatalf("%d rows, then want %q", i, want)
				}
				if c.Broken() && strings.Contains(want, `"`) && !strings.Contains(head, "CommentStart") {
					return // what follows are comments, which prove nothing
				}
				values := make([]string, len(fields))
				for k, f := range fields {
					values[k] = string(f.Bytes)
				}
				got := strings.Join(values, ", ")
				switch e := bucketload.AsError(err); {
				case err == nil && got != want:
					t.Errorf("row %d: want %q, got %q", i+1, want, got)
				case err != nil && e.Code == bucketload.CodeRagged && strings.Count(want, ",") == 3:
					t.Errorf("row %d: %v", i+1, err)
				case err != nil && e.Code == bucketload.CodeQuote && !strings.Contains(want, `"`):
					t.Errorf("row %d: %v", i+1, err)
				}
			}
			if _, err := c.Next(); err != io.EOF {
				t.Errorf("more than %d rows: %v", len(want), err)
			}
		})
	}
}

// Whatever others have found to upset a reader does not upset this one: it
// comes to an end, has read all of the file or says what not, and says the same
// with any buffer.
func TestStrangeFiles(t *testing.T) {
	const big = 16 << 10 // beyond which a file is read once only
	dialects := []bucketload.CSV{
		{Delimiter: ",", Quote: `"`, Escape: `"`, Header: true},
		{Delimiter: ";", Quote: `'`, Escape: `\`, Comment: "#", Ragged: "pad", NUL: "strip"},
		{Delimiter: "|", SkipHead: 1, SkipFoot: 1, Ragged: "truncate", InvalidUTF8: "replace", Encoding: "windows-1252"},
	}
	for _, set := range []string{"duckdb-csv", "arrow-testing/csv", "csvkit", "frictionless", "openflights", "world-cities"} {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			err := filepath.WalkDir(temptest.Corpus(t, "corpus/"+set), func(path string, entry fs.DirEntry, err error) error {
				if err != nil || entry.IsDir() {
					return err
				}
				data, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				for _, d := range dialects {
					if len(data) <= big {
						invariants(named{t, path}, string(data), d, 100)
						continue
					}
					c, err := NewCSV(bytes.NewReader(data), d)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := c.Header(); err != nil {
						continue
					}
					for err = nil; err == nil || !c.Broken(); {
						_, err = c.Next()
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// named puts a file's name before what fails, and bounds that.
type named struct {
	t    *testing.T
	path string
}

func (n named) Fatalf(format string, args ...any) {
	n.t.Fatalf("%s: %.2000s", n.path, fmt.Sprintf(format, args...))
}
