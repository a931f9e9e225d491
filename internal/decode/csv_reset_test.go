package decode

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bucketload/bucketload"
)

// telling is all that a reader tells of a file.
func telling(c *CSV) string {
	var b strings.Builder
	names, err := c.Header()
	fmt.Fprintf(&b, "%q %v %q\n", names, err, c.Encoding())
	for {
		row, err := c.Next()
		fmt.Fprintf(&b, "%d %d %q ", c.Line(), c.Offset(), c.Raw())
		if err != nil {
			fmt.Fprintln(&b, err, c.Broken())
		} else {
			fmt.Fprintln(&b, show(row))
		}
		if c.Broken() {
			fmt.Fprint(&b, c.Replaced())
			return b.String()
		}
	}
}

// A reader that has read any files reads the next one as a new reader does.
func TestResetProperty(t *testing.T) {
	files := []string{
		"", "\n", "a,b\n", "a,b", "a,b\n1,2\n", "a,b\n1,2", "b,a\n1,2\n", "a,b\r\n1,2\r\n", "a,b\r1,2\r", "\ufeffa,b\n1,2\n",
		"a,b,\n1,2,\n3,4,\n", "a,b,\n1,2,3\n3,4,5\n", "a,b\n1,2,\n", "\"a\",b\n\"1\n\",2\n", "a,b\n1\n1,2,3\n4,5\n", "a,a\n1,2\n", ",\n1,2\n",
		"a,b\n\"1,2\n3,4\n", "a,b\n1\"2,3\n4,5\n", "a,b\n\"x\"\"y\",2\n", "a,b\n\xff,\x00\n", "a\xff,b\n1,2\n", "\xff\xfea\x00,\x00b\x00\n\x001\x00,\x002\x00\n\x00",
		"a,b\n" + strings.Repeat("x", 2*keptBuffer) + ",2\n", "a,b\n" + strings.Repeat("1,2\n", firstBuffer/2),
	}
	rapid.Check(t, func(t *rapid.T) {
		d := headless(func(d *bucketload.CSV) {
			d.Header = rapid.Bool().Draw(t, "header")
			d.SkipHead, d.SkipFoot = rapid.IntRange(0, 1).Draw(t, "head"), rapid.IntRange(0, 1).Draw(t, "foot")
			d.InvalidUTF8 = rapid.SampledFrom([]string{"reject", "replace"}).Draw(t, "invalid_utf8")
			d.Ragged = rapid.SampledFrom([]string{"reject", "pad"}).Draw(t, "ragged")
		})
		var c *CSV
		for i, data := range rapid.SliceOfN(rapid.SampledFrom(files), 2, 6).Draw(t, "files") {
			fresh, err := NewCSV(strings.NewReader(data), d)
			if err != nil {
				t.Fatal(err)
			}
			if c == nil {
				c, _ = NewCSV(strings.NewReader(data), d) // as the one before
			} else {
				c.Reset(strings.NewReader(data))
			}
			if rapid.Bool().Draw(t, "leave") {
				c.Header() // another file follows before this one is read
				continue
			}
			if got, want := telling(c), telling(fresh); got != want {
				t.Fatalf("file %d, %.80q: got\n%.500s\nwant\n%.500s", i, data, got, want)
			}
		}
	})
}

// The second file of a shape is opened with what the first one took: what is
// allocated is not for its bytes or its columns.
func TestResetNoGarbage(t *testing.T) {
	data := string(weather(3))
	c, err := NewCSV(strings.NewReader(data), standard)
	if err != nil {
		t.Fatal(err)
	}
	var plain Decompressor
	open := func() {
		r, _, err := plain.Open(strings.NewReader(data), "a.csv", "auto")
		if err != nil {
			t.Fatal(err)
		}
		c.Reset(r)
		for err == nil {
			_, err = c.Next()
		}
		if err != io.EOF || len(c.names) != 28 {
			t.Fatal(err, c.names)
		}
	}
	open()
	const most = 6 // readers around readers
	if n := testing.AllocsPerRun(100, open); n > most {
		t.Errorf("%v allocations for a file", n)
	}
}
