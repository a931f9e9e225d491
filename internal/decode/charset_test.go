package decode

import (
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
	"pgregory.net/rapid"

	"github.com/bucketload/bucketload"
)

func TestEncodings(t *testing.T) {
	tests := []struct {
		name, encoding, data string
		want                 []string
	}{
		{"UTF-8", "", "a,é\n1,ü\n", []string{"a", "é", "1|ü"}},
		{"UTF-8 with a mark, said to be something else", "windows-1252", "\xef\xbb\xbfa,é\n1,ü\n", []string{"a", "é", "1|ü"}},
		{"UTF-16LE by its mark", "", "\xff\xfea\x00,\x00\xe9\x00\n\x001\x00,\x00\xfc\x00\n\x00", []string{"a", "é", "1|ü"}},
		{"UTF-16BE by its mark", "utf-8", "\xfe\xff\x00a\x00,\x00\xe9\x00\n\x001\x00,\x00\xfc\x00\n", []string{"a", "é", "1|ü"}},
		{"UTF-16, said to be of the other order", "utf-16be", "\xff\xfea\x00,\x00b\x00", []string{"a", "b"}},
		{"UTF-16LE without a mark", "UTF-16LE", "a\x00,\x00b\x00\r\x00\n\x001\x00,\x00=\xd8\x4a\xde", []string{"a", "b", "1|🙊"}},
		{"UTF-16 without a mark", "utf-16", "\x00a\x00,\x00b\x00\n", []string{"a", "b"}},
		{"UTF-32LE by its mark", "", "\xff\xfe\x00\x00a\x00\x00\x00,\x00\x00\x00b\x00\x00\x00", []string{"a", "b"}},
		{"Latin-1", "latin-1", "a,\xe9\n1,\xfc\x80\n", []string{"a", "é", "1|ü\u0080"}},
		{"ISO-8859-1", "ISO_8859-1", "a,\xe9\n", []string{"a", "é"}},
		{"Windows-1252", "windows-1252", "a,\xe9\n1,\x80\n", []string{"a", "é", "1|€"}},
		{"code page", "cp1251", "a,b\n1,\xe6\n", []string{"a", "b", "1|ж"}},
		{"Shift JIS, which has backslashes and bars in characters", "shift_jis", "a,b\n\x83\x5c,\x95\x7c\n", []string{"a", "b", "ソ|" + decoded(t, "shift_jis", "\x95\x7c")}},
		{"GB 18030", "gb18030", "a,b\n\xc4\xe3,1\n", []string{"a", "b", "你|1"}},
		{"nothing", "utf-16", "", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(test.data), iotest.OneByteReader(strings.NewReader(test.data))} {
				d := standard
				d.Encoding = test.encoding
				c, err := NewCSV(r, d)
				if err != nil {
					t.Fatal(err)
				}
				got, err := c.Header()
				if err != nil && err != io.EOF {
					t.Fatal(err)
				}
				if got = append(got, outcomes(c)...); !slices.Equal(got, test.want) {
					t.Errorf("want %q, got %q", test.want, got)
				}
			}
		})
	}
}

// decoded is what x/text makes of bytes.
func decoded(t *testing.T, encoding, data string) string {
	t.Helper()
	e, err := htmlindex.Get(encoding)
	if err != nil {
		t.Fatal(err)
	}
	s, err := e.NewDecoder().String(data)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestBadText(t *testing.T) {
	tests := []struct {
		name                   string
		encoding, invalid, nul string
		data                   string
		want                   []string
		replaced               int64
	}{
		{"left to others", "", "", "", "a\xff,\x00\n", []string{"a\xff|\x00"}, 0},
		{"rejected by others", "", "reject", "reject", "a\xff,\x00\n", []string{"a\xff|\x00"}, 0},
		{"replaced", "", "replace", "replace", "a\xff,\"\x00\"\"\"\nb,c\n", []string{"a\ufffd|\"\ufffd\"\"", "b|c"}, 2},
		{"stripped", "", "strip", "strip", "a\xff\xfeb,\x00\n", []string{"ab|"}, 3},
		{"one of them", "", "replace", "reject", "\xff,\x00\n", []string{"\ufffd|\x00"}, 1},
		{"the other", "", "reject", "strip", "\xff,\x00\n", []string{"\xff|"}, 1},
		{"a character that is cut is one", "", "replace", "", "\xe2\x82,\xf0\x9f\x99x\xed\xa0\x80\n", []string{"\ufffd|\ufffdx\ufffd\ufffd\ufffd"}, 5},
		{"a replacement in the file is none", "", "strip", "", "\ufffd,a\n", []string{"\ufffd|a"}, 0},
		{"not of the encoding", "shift_jis", "", "", "a,b\n\xff,c\nd,e\n", []string{"a|b", "!2 encoding \"\\xff,c\\n\"", "d|e"}, 0},
		{"not of the encoding, replaced", "shift_jis", "replace", "", "\xff,c\n", []string{"\ufffd|c"}, 1},
		{"half a character", "utf-16le", "", "", "a\x00,\x00\x3d\xd8\n\x00b\x00,\x00\x4a\xde\n\x00c\x00,\x00d\x00\n\x00e\x00,\x00f", []string{
			`!1 encoding "a\x00,\x00=\xd8\n\x00"`, `!2 encoding "b\x00,\x00J\xde\n\x00"`, "c|d", `!4 encoding "e\x00,\x00f"`}, 0},
		{"half a character, stripped", "utf-16le", "strip", "", "a\x00,\x00\x3d\xd8\n\x00", []string{"a|"}, 1},
		{"NUL in UTF-16", "utf-16le", "", "replace", "a\x00,\x00\x00\x00\n\x00", []string{"a|\ufffd"}, 1},
		{"in a row that is ragged", "", "replace", "", "a,b\n\xff\n", []string{"a|b", "!2 ragged \"\\xff\\n\""}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, err := NewCSV(strings.NewReader(test.data), headless(func(d *bucketload.CSV) {
				d.Encoding, d.InvalidUTF8, d.NUL = test.encoding, test.invalid, test.nul
			}))
			if err != nil {
				t.Fatal(err)
			}
			sameOutcomes(t, outcomes(c), test.want)
			if c.Replaced() != test.replaced {
				t.Errorf("%d replaced, want %d", c.Replaced(), test.replaced)
			}
		})
	}
}

func TestBadTextInHeader(t *testing.T) {
	tests := []struct {
		encoding, invalid, data string
		want                    []string
		code                    bucketload.Code
		text                    string
	}{
		{"", "replace", "a\xff,b\n", []string{"a\ufffd", "b"}, "", ""},
		{"euc-kr", "", "a\xff,b\n", nil, bucketload.CodeEncoding, "field 1 has bytes that the file's encoding does not have"},
		{"euc-kr", "strip", "a\xff,b\n", []string{"a", "b"}, "", ""},
		{"utf-16", "", "ab", nil, bucketload.CodeEncoding, "byte order"},
	}
	for _, test := range tests {
		d := standard
		d.Encoding, d.InvalidUTF8 = test.encoding, test.invalid
		c, err := NewCSV(strings.NewReader(test.data), d)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Header()
		if test.code != "" {
			wantError(t, err, test.code, 1, test.text)
			if !c.Broken() {
				t.Error("not broken")
			}
		} else if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%q: %q, %v", test.data, got, err)
		}
	}
}

// Text goes through any encoding that has its characters, and bad text comes
// out as x/text has it.
func TestUTF16Property(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		big := rapid.Bool().Draw(t, "big")
		units := rapid.SliceOf(rapid.Uint16()).Draw(t, "units")
		var data []byte
		for _, u := range units {
			if big {
				data = append(data, byte(u>>8), byte(u))
			} else {
				data = append(data, byte(u), byte(u>>8))
			}
		}
		if rapid.Bool().Draw(t, "cut") && len(data) > 0 {
			data = data[:len(data)-1]
		}
		got, err := io.ReadAll(transform.NewReader(iotest.HalfReader(strings.NewReader(string(data))), &fromUTF16{big: big}))
		if err != nil {
			t.Fatal(err)
		}
		want := string(utf16.Decode(units[:len(data)/2]))
		if len(data)%2 > 0 {
			want += string(utf8.RuneError)
		}
		if strings.ReplaceAll(string(got), string([]byte{notText}), string(utf8.RuneError)) != want {
			t.Fatalf("%x: want %q, got %q", data, want, got)
		}
	})
}

// What is replaced is what x/text replaces.
func TestReplaceProperty(t *testing.T) {
	soup := rapid.SliceOf(rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte("\xe0\xed\xf0\xf4\xc2\x80\x9f\xa0\xbfa"))))
	rapid.Check(t, func(t *rapid.T) {
		data := soup.Draw(t, "data")
		c, err := NewCSV(strings.NewReader(""), headless(func(d *bucketload.CSV) { d.InvalidUTF8 = "replace" }))
		if err != nil {
			t.Fatal(err)
		}
		got := c.mendField(data)
		want, err := unicode.UTF8.NewDecoder().Bytes(data)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Fatalf("%x: want %q, got %q", data, want, got)
		}
		c.mended, c.dialect.InvalidUTF8 = nil, "strip"
		if got := c.mendField(data); !utf8.Valid(got) {
			t.Fatalf("%x: %q is not valid", data, got)
		}
	})
}
