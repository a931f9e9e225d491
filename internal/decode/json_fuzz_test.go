package decode

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/bucketload/bucketload"
)

var (
	pairEscape = regexp.MustCompile(`\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}`)
	halfEscape = regexp.MustCompile(`\\u[dD][89a-fA-F]`)
)

// deviates is whether encoding/json may accept what JSON refuses: bytes that
// are not UTF-8, halves of surrogate pairs, \u0000 in what a field takes, and
// nesting from 1000 to 10000.
func deviates(data []byte) bool {
	text := strings.ReplaceAll(string(data), `\\`, " ")
	half := halfEscape.MatchString(pairEscape.ReplaceAllString(text, " "))
	return half || strings.Contains(text, `\u0000`) || !utf8.Valid(data) || bytes.Count(data, []byte("["))+bytes.Count(data, []byte("{")) > jsonDepth
}

// A text is read as one value where encoding/json takes it, with the same
// values, however it arrives and however small the buffer is at first. A file
// of any bytes is read to its end, and rows lead back to their places in it.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{
		`{"a":1,"b":"x","c":null,"d":[true,{}],"a":2}`, `{"a":"\ud83d\ude00\n","b":-1.5e+10,"$.c":"é"}`, `[[1,2],["x"]]`, "[1,\"x\"]\n[2,3]", "{\"a\":1}\n{\"a\"\n{\"a\":3}\n",
		`{"a":NaN}`, `{"a":01,}`, `{"a":[1,],}`, `"\u0000"`, `"\ud800"`, `nul`, "\ufeff{}", "\xff\xfe{\x00}\x00", `{"a":{"a":{"a":[[[]]]}}}`, "{\"a\":\"\x01\"}", `{"a":1}{"b":2}`, `[]`, ``, `1 2 3`, "x\n{}\n{}\n", `{"value":1,"column_1":2}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzValue(t, data)
		fuzzFile(t, data)
	})
}

// fuzzValue reads the text as the one element of an array.
func fuzzValue(t *testing.T, data []byte) {
	element := []byte("[" + string(data) + "\n]")
	fields := []JSONField{{Paths: []string{"$"}, Raw: true}}
	var record map[string]json.RawMessage
	valid := json.Valid(data)
	if valid && json.Unmarshal(data, &record) == nil {
		for key := range record {
			fields = append(fields, JSONField{Paths: []string{"$['" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(key) + "']"}})
		}
	}
	var outcomes []string
	for _, first := range []int{16, 20, firstBuffer} {
		j, err := NewJSON(iotest.HalfReader(bytes.NewReader(element)), "$[*]", fields, bucketload.PolicyFail)
		if err != nil {
			t.Fatal(err)
		}
		j.buf = make([]byte, first)
		row, err := j.Next()
		accepted := err == nil && bytes.Equal(j.Raw(), bytes.Trim(data, " \t\r\n")) // and not "][0"
		if accepted {
			i := 1
			for _, f := range fields[1:] {
				steps, _ := jsonPath(f.Paths[0])
				if !sameJSON(row[i], record[steps[0].key]) {
					t.Fatalf("%q: %s is %q, encoding/json: %q", data, f.Paths[0], row[i].Bytes, record[steps[0].key])
				}
				i++
			}
			if want := j.Raw(); string(want) != "null" && !bytes.Equal(row[0].Bytes, want) {
				t.Fatalf("%q is %q", data, row[0].Bytes)
			}
			_, end := j.Next()
			accepted = errors.Is(end, io.EOF)
		}
		if accepted != valid && (!valid || !deviates(data)) {
			t.Fatalf("%q: encoding/json says %v: %v", data, valid, err)
		}
		outcomes = append(outcomes, fmt.Sprint(accepted, code(err)))
	}
	if outcomes[0] != outcomes[1] || outcomes[0] != outcomes[2] {
		t.Fatalf("%q: by buffer: %q", data, outcomes)
	}
}

func code(err error) bucketload.Code {
	if err == nil {
		return ""
	}
	return bucketload.AsError(err).Code
}

// fuzzFile reads the text as a file.
func fuzzFile(t *testing.T, data []byte) {
	names, rows, err := SampleJSON("$", 50, data, data)
	if (len(rows) == 0) != (names == nil && err != nil) {
		t.Fatalf("%q: %d rows, %q, %v", data, len(rows), names, err)
	}
	var fields []JSONField
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			t.Fatalf("%q: %q is there twice", data, names)
		}
		fields = append(fields, JSONField{Paths: []string{name}})
	}
	j, err := NewJSON(bytes.NewReader(data), "$", fields, bucketload.PolicyRescue)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		row, err := j.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if at := j.Offset(); j.encoding == "" && (at+int64(len(j.Raw())) > int64(len(data)) || !bytes.Equal(data[at:at+int64(len(j.Raw()))], j.Raw()) ||
			j.Line() != int64(bytes.Count(data[:at], []byte("\n"))+1)) {
			t.Fatalf("%q: %q at %d, line %d", data, j.Raw(), at, j.Line())
		}
		switch {
		case err == nil && (len(row) != len(fields)+1 || !json.Valid(j.Raw())):
			t.Fatalf("%q: row %v of %q", data, row, j.Raw())
		case err == nil && row[len(fields)].Bytes != nil && !json.Valid(row[len(fields)].Bytes):
			t.Fatalf("%q: rescued %q", data, row[len(fields)].Bytes)
		case err != nil && (bucketload.AsError(err).Code == bucketload.CodeInternal || bucketload.AsError(err).Line < j.Line()):
			t.Fatalf("%q: %v on line %d", data, err, j.Line())
		case n > len(data):
			t.Fatalf("%q does not end", data)
		}
		if j.Broken() {
			break
		}
	}
}

// anyJSON makes a value and its text with any blanks and escapes.
func anyJSON(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		blank := func() string { return rapid.SampledFrom([]string{"", "", "", " ", "\t"}).Draw(t, "blank") }
		kind := rapid.IntRange(0, 6).Draw(t, "kind")
		if depth == 0 {
			kind %= 5
		}
		switch kind {
		case 0:
			return rapid.SampledFrom([]string{"null", "true", "false"}).Draw(t, "word")
		case 1, 2:
			return rapid.StringMatching(`-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?`).Draw(t, "number")
		case 3, 4:
			return anyString(t)
		}
		var b strings.Builder
		n := rapid.IntRange(0, 4).Draw(t, "n")
		b.WriteByte("[{"[kind-5])
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			if kind == 6 {
				b.WriteString(blank() + anyString(t) + blank() + ":")
			}
			b.WriteString(blank() + anyJSON(depth-1).Draw(t, "value") + blank())
		}
		b.WriteByte("]}"[kind-5])
		return b.String()
	})
}

// anyString is a string that escapes some of its characters.
func anyString(t *rapid.T) string {
	var b strings.Builder
	for _, r := range rapid.SliceOfN(rapid.SampledFrom([]rune("abcdefghij \"\\/\n\té€😀\u2028")), 0, 20).Draw(t, "runes") {
		quoted, err := json.Marshal(string(r))
		if err != nil {
			t.Fatal(err)
		}
		if rapid.IntRange(0, 9).Draw(t, "escape") == 0 {
			if r > 0xffff {
				quoted = fmt.Appendf(nil, `"\u%04x\u%04x"`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
			} else {
				quoted = fmt.Appendf(nil, `"\u%04X"`, r)
			}
		}
		b.Write(quoted[1 : len(quoted)-1])
	}
	return `"` + b.String() + `"`
}

// Records of any values arrive as encoding/json reads them, from lines, from a
// stream and from arrays; bad lines among them cost themselves.
func TestJSONProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := []string{"a", "b", "a b", "é", "x.y"}
		var records []string
		for range rapid.IntRange(2, 12).Draw(t, "records") {
			var members []string
			for _, key := range rapid.SliceOfN(rapid.SampledFrom(keys), 0, 6).Draw(t, "keys") {
				members = append(members, fmt.Sprintf("%q: %s", key, anyJSON(3).Draw(t, "value")))
			}
			records = append(records, "{"+strings.Join(members, ",")+"}")
		}
		var fields []JSONField
		for _, key := range keys {
			fields = append(fields, JSONField{Paths: []string{"$['" + key + "']"}})
		}
		lines := slices.Clone(records)
		bad := rapid.SampledFrom([]string{`{"a":`, `{"a" 1}`, `x`, `{"a":"`, `{"a":1},`, `]`, `{"a":1}}`, `{"a":tru}`}).Draw(t, "bad")
		lines = slices.Insert(lines, rapid.IntRange(1, len(lines)).Draw(t, "at"), bad)
		for text, bad := range map[string]int{
			strings.Join(records, "\n"):                  0,
			strings.Join(records, "\r\n") + "\r\n":       0,
			strings.Join(records, ""):                    0,
			"[" + strings.Join(records, ",\n") + "]":     0,
			"[" + strings.Join(records, " , ") + "]\n[]": 0,
			strings.Join(lines, "\n") + "\n":             1,
			"\n" + strings.Join(lines, "\n\n"):           1,
		} {
			j, err := NewJSON(strings.NewReader(text), "$", fields, bucketload.PolicyFail)
			if err != nil {
				t.Fatal(err)
			}
			j.buf = make([]byte, rapid.SampledFrom([]int{16, 100, firstBuffer}).Draw(t, "buffer"))
			for _, record := range records {
				row, err := j.Next()
				for ; err != nil && bad > 0 && !j.Broken(); bad-- {
					row, err = j.Next()
				}
				if err != nil {
					t.Fatalf("%q: %v", text, err)
				}
				var want map[string]json.RawMessage
				if err := json.Unmarshal([]byte(record), &want); err != nil {
					t.Fatal(err)
				}
				for i, key := range keys {
					if !sameJSON(row[i], want[key]) {
						t.Fatalf("%q: %s is %q, not %q", record, key, row[i].Bytes, want[key])
					}
				}
			}
			_, err = j.Next()
			for ; err != nil && bad > 0 && !j.Broken(); bad-- {
				_, err = j.Next()
			}
			if !errors.Is(err, io.EOF) || bad > 0 {
				t.Fatalf("%q: at its end %v", text, err)
			}
		}
	})
}
