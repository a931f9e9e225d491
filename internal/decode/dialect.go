package decode

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bucketload/bucketload"
)

// check refuses a dialect that cannot be read.
func check(d bucketload.CSV) error {
	usage := func(format string, args ...any) error {
		return &bucketload.Error{Code: bucketload.CodeUsage, Message: fmt.Sprintf(format, args...),
			Hint: `write for example csv: {delimiter: ";", quote: '"'}`}
	}
	escape := d.Escape
	if escape == d.Quote {
		escape = ""
	}
	marks := []struct{ name, value string }{
		{"delimiter", d.Delimiter}, {"quote", d.Quote}, {"escape", escape}, {"comment", d.Comment},
	}
	for i, m := range marks {
		switch {
		case m.value == "" && m.name == "delimiter":
			return usage("csv.delimiter is empty")
		case m.value == "":
			continue
		case len(m.value) > 1 || m.value[0] >= utf8.RuneSelf:
			return usage("csv.%s is %q, and only one ASCII character is taken", m.name, m.value)
		case m.value == "\n" || m.value == "\r":
			return usage("csv.%s is a line end", m.name)
		}
		for _, other := range marks[:i] {
			if m.value == other.value {
				return usage("csv.%s and csv.%s are both %q", other.name, m.name, m.value)
			}
		}
	}
	switch {
	case d.SkipHead < 0 || d.SkipFoot < 0:
		return usage("csv.skip_head and csv.skip_foot count lines, and cannot be negative")
	case !slices.Contains([]string{"", "utf-8", "utf8", "ascii", "us-ascii"}, strings.ToLower(d.Encoding)):
		return &bucketload.Error{Code: bucketload.CodeUsage, Message: fmt.Sprintf("csv.encoding %q is not read", d.Encoding),
			Hint: "convert the files to UTF-8, for example with iconv"}
	}
	return nil
}

// only is the byte that s has, or -1.
func only(s string) int {
	if s == "" {
		return -1
	}
	return int(s[0])
}

// header gives the names in row. An empty name or one that is there twice is an
// error: a column could not say which it means.
func (c *CSV) header(row []bucketload.Field) ([]string, error) {
	names := make([]string, len(row))
	for i, f := range row {
		names[i] = string(f.Bytes)
		switch twin := slices.Index(names[:i], names[i]); {
		case len(bytes.TrimSpace(f.Bytes)) == 0:
			return nil, c.fail(0, bucketload.CodeHeader, fmt.Sprintf("field %d of the header has no name", i+1),
				"give it one in the file; or is this not the header? See csv: {skip_head, header, delimiter}")
		case twin >= 0:
			return nil, c.fail(0, bucketload.CodeHeader, fmt.Sprintf("the header has %q twice, in fields %d and %d", names[i], twin+1, i+1),
				"rename one in the file; or is this not the header? See csv: {skip_head, header}")
		case !utf8.ValidString(names[i]):
			return nil, c.fail(0, bucketload.CodeUTF8, fmt.Sprintf("field %d of the header is not UTF-8: %s", i+1, bucketload.Excerpt(f.Bytes, maxExcerpt)),
				"convert the file to UTF-8, for example with iconv")
		}
	}
	return names, nil
}
