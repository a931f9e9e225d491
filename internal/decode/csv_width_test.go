package decode

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bucketload/bucketload"
)

// TestMeasure: a file without a header has the width that is expected of it; its
// first row is a row like another.
func TestMeasure(t *testing.T) {
	pad := headless(func(d *bucketload.CSV) { d.Ragged = bucketload.PolicyPad })
	truncate := headless(func(d *bucketload.CSV) { d.Ragged = bucketload.PolicyTruncate })
	for _, test := range []struct {
		name        string
		dialect     bucketload.CSV
		data        string
		expected    int
		fewer, more bool
		want        int
		rows        string // good ones, and the codes of bad ones
	}{
		{name: "as expected", data: "1,2\n3,4\n", expected: 2, want: 2, rows: "1|2 3|4"},
		{name: "first too short", data: "1\n3,4\n5,6\n", expected: 2, want: 2, rows: "ragged 3|4 5|6"},
		{name: "first too long", data: "\n1,2,3\n3,4\n5,6\n", expected: 2, want: 2, rows: "ragged 3|4 5|6"},
		{name: "first with a stray quote", data: "a\"b,2\n" + strings.Repeat("3,4\n", 20), expected: 2, want: 2, rows: "quote" + strings.Repeat(" 3|4", 20)},
		{name: "and nothing expected", data: "a\"b,2\n" + strings.Repeat("3,4\n", 20), want: 2, rows: "quote" + strings.Repeat(" 3|4", 20)},
		{name: "one row", data: "1\n", expected: 2, want: 2, rows: "ragged"},
		{name: "another file", data: "1,2,3\n4,5,6\n7\n", expected: 2, want: 3, rows: "1|2|3 4|5|6 ragged"},
		{name: "narrower throughout", data: "1\n2\n3,4\n", expected: 2, fewer: true, want: 1, rows: "1 2 ragged"},
		{name: "narrower in the first row", data: "1\n2,3\n4,5\n", expected: 2, fewer: true, more: true, want: 2, rows: "ragged 2|3 4|5"},
		{name: "wider throughout", data: "1,2,3\n4,5,6\n7,8\n", expected: 2, more: true, want: 3, rows: "1|2|3 4|5|6 ragged"},
		{name: "wider, but not let pass", data: "1,2,3\n4,5,6\n7,8\n", expected: 2, fewer: true, want: 2, rows: "ragged ragged 7|8"},
		{name: "the most when nothing is expected", data: "1,2,3\n4,5\n7,8\n", want: 2, rows: "ragged 4|5 7|8"},
		{name: "the first when even", data: "1,2,3\n4,5\n", want: 3, rows: "1|2|3 ragged"},
		{name: "filled up", dialect: pad, data: "1\n2\n3,4\n", expected: 2, fewer: true, want: 2, rows: "1| 2| 3|4"},
		{name: "filled up to the first", dialect: pad, data: "1,2\n3\n4\n", want: 2, rows: "1|2 3| 4|"},
		{name: "cut off", dialect: truncate, data: "1,2,3\n4,5,6\n", expected: 2, more: true, want: 2, rows: "1|2 4|5"},
		{name: "a delimiter after the last field", data: "1,2,\n3,4,\n", expected: 2, want: 2, rows: "1|2 3|4"},
		{name: "the first row without it", data: "1\n1,2,\n3,4,\n", expected: 2, more: true, want: 2, rows: "ragged 1|2 3|4"},
		{name: "CR ends lines", data: "1\r3,4\r5,6\r", expected: 2, want: 2, rows: "ragged 3|4 5|6"},
		{name: "never closed", data: "\"1,2\n3,4\n", expected: 2, want: 2, rows: "quote"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.dialect.Delimiter == "" {
				test.dialect = headless(func(*bucketload.CSV) {})
			}
			c, err := NewCSV(strings.NewReader(test.data), test.dialect)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := c.Measure(test.expected, test.fewer, test.more); err != nil || got != test.want {
				t.Errorf("%d, %v, want %d", got, err, test.want)
			}
			var got []string
			for !c.Broken() {
				row, err := c.Next()
				if e := new(bucketload.Error); errors.As(err, &e) {
					got = append(got, string(e.Code))
				} else if err == nil {
					got = append(got, show(row))
				}
			}
			if s := strings.Join(got, " "); s != test.rows {
				t.Errorf("rows %s, want %s", s, test.rows)
			}
		})
	}
	for _, data := range []string{"", "\n\r\n", "\xef\xbb\xbf"} {
		c, err := NewCSV(strings.NewReader(data), headless(func(*bucketload.CSV) {}))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := c.Measure(2, false, false); err != io.EOF {
			t.Errorf("%q: %d, %v", data, n, err)
		}
	}
}

// TestMeasureProperty: whatever the first row is, the others are read as if it
// were not there; without one that is bad, Measure changes nothing.
func TestMeasureProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := aTable(t)
		data, _ := write(t, bucketload.CSV{}, rows, false)
		d := headless(func(*bucketload.CSV) {})
		read := func(data string, measured bool) (all []string, codes []bucketload.Code) {
			c, err := NewCSV(strings.NewReader(data), d)
			if err != nil {
				t.Fatal(err)
			}
			if measured {
				if _, err := c.Measure(len(rows[0]), rapid.Bool().Draw(t, "fewer"), rapid.Bool().Draw(t, "more")); err != nil && err != io.EOF {
					t.Fatal(err)
				}
			}
			for !c.Broken() {
				row, err := c.Next()
				if err == nil {
					all = append(all, fmt.Sprintf("%s at %d", show(row), len(data)-int(c.Offset())))
				} else if e := new(bucketload.Error); errors.As(err, &e) {
					codes = append(codes, e.Code)
				}
			}
			return all, codes
		}
		want, _ := read(data, false)
		if got, codes := read(data, true); !slices.Equal(got, want) || len(codes) > 0 {
			t.Fatalf("%q: %q %v, want %q", data, got, codes, want)
		}
		if len(want) < 2 || strings.Contains(data, "\r") {
			return // in one line nothing tells, and CRs by themselves are told by the first one
		}
		width := len(rows[0]) + rapid.IntRange(1, 3).Draw(t, "surplus")
		first := strings.Repeat("x,", width-1) + "x\n"
		if got, codes := read(first+data, true); !slices.Equal(got, want) || !slices.Equal(codes, []bucketload.Code{bucketload.CodeRagged}) {
			t.Fatalf("%q: %q %v, want %q", first+data, got, codes, want)
		}
	})
}
