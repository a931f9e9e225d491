package pgcopy

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// TestAppendTextProperty: text of any length, behind anything and with any room behind
// it, comes out as it is, or escaped, and is judged as it should be.
func TestAppendTextProperty(t *testing.T) {
	special := rapid.SampledFrom([]byte("\x00\t\n\r\\\x01\x1f ~\x7f\x80\xff\xc3\xa9"))
	byteOf := rapid.OneOf(rapid.ByteRange('a', 'z'), rapid.ByteRange('a', 'z'), rapid.ByteRange('0', '9'), rapid.Byte(), special)
	value := rapid.OneOf(
		rapid.SliceOfN(rapid.ByteRange(' ', 'Z'), 0, 40),
		rapid.SliceOfN(byteOf, 0, 40),
		rapid.Map(rapid.StringN(0, 20, 40), func(s string) []byte { return []byte(s) }),
	)
	escapes := strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`)
	rapid.Check(t, func(t *rapid.T) {
		value, before := value.Draw(t, "value"), rapid.IntRange(0, 3).Draw(t, "before")
		room := rapid.IntRange(0, 50).Draw(t, "room")
		buffer := func() []byte { return append(make([]byte, 0, before+room), "123"[:before]...) }
		want := fine
		switch {
		case bytes.IndexByte(value, 0) >= 0:
			want = hasNUL
		case !utf8.Valid(value):
			want = notUTF8
		}
		if got, f := appendText(buffer(), value); f != want || f == fine && string(got) != "123"[:before]+escapes.Replace(string(value)) {
			t.Fatalf("text: %q became %q, %v", value, got, f)
		}
		if got, f := appendChecked(buffer(), value); f != want || f == fine && string(got) != "123"[:before]+string(value) {
			t.Fatalf("binary: %q became %q, %v", value, got, f)
		}
	})
}
