package decode

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bucketload/bucketload"
)

// check refuses a dialect that cannot be read, or in which one mark could be
// taken for another.
func check(d bucketload.CSV) error {
	usage := func(format string, args ...any) error {
		return &bucketload.Error{Code: bucketload.CodeUsage, Message: fmt.Sprintf(format, args...),
			Hint: `write for example csv: {delimiter: ";", quote: '"'}`}
	}
	if d.Delimiter == "" {
		return usage("csv.delimiter is empty")
	}
	marks := []struct{ name, value string }{{"delimiter", d.Delimiter}, {"quote", d.Quote}, {"escape", d.Escape}, {"comment", d.Comment}}
	for i, m := range marks {
		single := m.name == "quote" || m.name == "escape"
		switch {
		case strings.ContainsAny(m.value, "\r\n"):
			return usage("csv.%s has a line end", m.name)
		case single && (len(m.value) > 1 || m.value != "" && m.value[0] >= utf8.RuneSelf):
			return usage("csv.%s is %q, and only one ASCII character is taken", m.name, m.value)
		}
		for _, other := range marks[:i] {
			if m.value != "" && m.value == other.value && m.name != "escape" || m.name == "escape" && m.value == d.Delimiter {
				return usage("csv.%s and csv.%s are both %q", other.name, m.name, m.value)
			}
		}
	}
	switch {
	case d.Quote != "" && strings.Contains(d.Delimiter, d.Quote):
		return usage("csv.delimiter %q has csv.quote %q in it", d.Delimiter, d.Quote)
	case d.Quote != "" && strings.HasPrefix(d.Comment, d.Quote):
		return usage("csv.comment %q begins as a field in csv.quote does", d.Comment)
	case d.Comment != "" && (strings.HasPrefix(d.Comment, d.Delimiter) || strings.HasPrefix(d.Delimiter, d.Comment)):
		return usage("csv.comment %q and csv.delimiter %q begin alike, and a row whose first field is empty would be a comment", d.Comment, d.Delimiter)
	case d.SkipHead < 0 || d.SkipFoot < 0:
		return usage("csv.skip_head and csv.skip_foot count lines, and cannot be negative")
	}
	for _, p := range []struct{ name, value, others string }{
		{"unquoted_blanks", d.UnquotedBlanks, "keep trim"}, {"stray_quotes", d.StrayQuotes, "reject keep"},
		{"ragged", d.Ragged, "reject pad truncate"}, {"invalid_utf8", d.InvalidUTF8, "reject replace strip"}, {"nul", d.NUL, "reject replace strip"},
	} {
		if words := strings.Fields(p.others); p.value != "" && !slices.Contains(words, p.value) {
			return usage("csv.%s is %q, and not one of %s", p.name, p.value, strings.Join(words, ", "))
		}
	}
	if _, ok := recoder(charset(d.Encoding)); !ok {
		return &bucketload.Error{Code: bucketload.CodeUsage, Message: fmt.Sprintf("csv.encoding %q is not known", d.Encoding),
			Hint: "write its IANA name, for example csv: {encoding: windows-1252}; or convert the files to UTF-8, for example with iconv"}
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

// header gives the names in row. A blank one is column_N, N being its position
// from 1, but for the nothing after the last delimiter, which is no field unless
// most of the first rows have something there. Mostly blank ones are no header,
// and a name that is there twice could not say which field it means.
func (c *CSV) header(row []bucketload.Field) ([]string, error) {
	trails := len(row) > 1 && nothing(row[len(row)-1])
	alone := !trails && !c.checks // nothing but its bytes tells the names
	if alone && c.heads != nil && bytes.Equal(c.Raw(), c.headline) {
		return c.heads, nil
	}
	names, blank := make([]string, len(row)), 0
	for i, f := range row {
		names[i] = string(f.Bytes)
		if len(bytes.TrimSpace(f.Bytes)) == 0 {
			names[i] = fmt.Sprintf("column_%d", i+1)
			blank++
		}
	}
	if trails {
		blank--
		if more, err := c.goesOn(len(row)); err != nil {
			return nil, err
		} else if !more {
			names = names[:len(row)-1]
		}
	}
	if 2*blank > len(names) {
		return nil, c.fail(0, bucketload.CodeHeader, "most fields of the header have no name",
			"is this the header? See csv: {skip_head, header, delimiter}; if it is, name them in the file")
	}
	first := make(map[string]int, len(names))
	for i, name := range names {
		twin, twice := first[name]
		first[name] = i
		switch {
		case twice:
			return nil, c.fail(0, bucketload.CodeHeader, fmt.Sprintf("the header has %q twice, in fields %d and %d", name, twin+1, i+1),
				"rename one in the file; or is this not the header? See csv: {skip_head, header}")
		case !utf8.ValidString(name):
			return nil, c.fail(0, bucketload.CodeUTF8, fmt.Sprintf("field %d of the header is not UTF-8: %s", i+1, bucketload.Excerpt([]byte(name), maxExcerpt)),
				"say what it is, for example csv: {encoding: windows-1252}; or write csv: {invalid_utf8: replace}")
		case strings.ContainsRune(name, 0):
			return nil, c.fail(0, bucketload.CodeNUL, fmt.Sprintf("field %d of the header has a NUL byte", i+1),
				"say what the file is, for example csv: {encoding: utf-16le}; or write csv: {nul: strip}")
		}
	}
	if alone {
		c.heads, c.headline = names, append(c.headline[:0], c.Raw()...)
	}
	return names, nil
}

// goesOn is whether most of the first rows have something in the last of the
// header's n fields, which is the nothing after its last delimiter.
func (c *CSV) goesOn(n int) (bool, error) {
	if err := c.look(firstBuffer); err != nil && !errors.Is(err, errTooLong) {
		return false, err
	}
	rows, _ := c.widths(n - 1)
	return rows[n] > 0 && rows[n] > rows[n-1]-1, nil // the header is one of them
}
