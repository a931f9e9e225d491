package decode

import (
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
	"pgregory.net/rapid"

	"github.com/bucketload/bucketload"
)

// Of a file in any encoding, Offset and Raw are those of the file, and Text
// makes of them the lines as they were written.
func TestOriginalBytesProperty(t *testing.T) {
	letters := map[string]string{
		"windows-1252": "aé€ ", "shift_jis": "aソ表ア ", "iso-2022-jp": "a日本 ", "gb18030": "a中€ ", "big5": "a中 ", "euc-kr": "a한 ", "ibm037": "aé ",
		"utf-16le": "aé😀\u0a0a\u0d0d ", "utf-16be": "aé😀\u0a0a\u0d0d ", "utf-32le": "aé😀\u0a0a ", "utf-32be": "aé😀\u0d0d ",
	}
	encodings := map[string]encoding.Encoding{
		"utf-16le": unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), "utf-16be": unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM),
		"utf-32le": utf32.UTF32(utf32.LittleEndian, utf32.IgnoreBOM), "utf-32be": utf32.UTF32(utf32.BigEndian, utf32.IgnoreBOM),
	}
	for name, characters := range letters {
		enc := encodings[name]
		if enc == nil {
			enc = registered(name)
		}
		word := rapid.StringOfN(rapid.SampledFrom([]rune(characters)), 1, 40, -1)
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				end := rapid.SampledFrom([]string{"\n", "\r\n", "\r"}).Draw(t, "line end")
				var lines []string
				for range rapid.IntRange(1, 200).Draw(t, "rows") {
					line := word.Draw(t, "a") + "," + word.Draw(t, "b")
					if rapid.IntRange(0, 9).Draw(t, "kind") == 0 {
						line = `"` + word.Draw(t, "c") + end + word.Draw(t, "d") + `",` + line // a bad one, of several lines
					}
					lines = append(lines, line+end)
				}
				data, err := enc.NewEncoder().String(strings.Join(lines, ""))
				if err != nil {
					t.Fatal(err)
				}
				d := headless(func(d *bucketload.CSV) { d.Encoding = name })
				c, err := NewCSV(iotest.HalfReader(strings.NewReader(data)), d)
				if err != nil {
					t.Fatal(err)
				}
				c.width, c.settled = 2, true
				c.buf = make([]byte, 128)
				at := int64(0)
				for i, line := range lines {
					_, err := c.Next()
					raw := c.Raw()
					if c.Broken() || (err != nil) != strings.HasPrefix(line, `"`) {
						t.Fatalf("row %d, %q: %v", i, line, err)
					}
					if c.Offset() != at || data[at:at+int64(len(raw))] != string(raw) || string(Text(raw, c.Encoding())) != line {
						t.Fatalf("row %d, %q, is at %d: got %q at %d", i, line, at, raw, c.Offset())
					}
					at += int64(len(raw))
				}
				if at != int64(len(data)) {
					t.Fatalf("%d bytes are of no row", int64(len(data))-at)
				}
			})
		})
	}
}
