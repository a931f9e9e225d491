package pgcopy

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/bucketload/bucketload"
)

// boolWords are what a boolean is written with; a side without words of its own
// has Postgres'.
type boolWords struct{ yes, no []string }

// readWords gives the column's words; ones that are of no use are an error of
// code usage.
func (c *column) readWords() (*boolWords, error) {
	w := &boolWords{trimmed(c.TrueIf), trimmed(c.FalseIf)}
	wrong := ""
	if len(w.yes)+len(w.no) > 0 && c.kind != boolean {
		wrong = fmt.Sprintf("column %q is %s, and only a boolean has true_if and false_if", c.Name, c.TypeName)
	}
	for _, word := range w.yes {
		if b, f := (&boolWords{no: w.no}).parse([]byte(word)); f == fine && b == 0 {
			wrong = fmt.Sprintf("column %q: %q means both true and false", c.Name, word)
		}
	}
	for _, word := range w.no {
		if b, f := (&boolWords{yes: w.yes}).parse([]byte(word)); f == fine && b == 1 {
			wrong = fmt.Sprintf("column %q: %q means both true and false", c.Name, word)
		}
	}
	for _, word := range append(w.yes[:len(w.yes):len(w.yes)], w.no...) {
		if word == "" {
			wrong = fmt.Sprintf("column %q: nothing is no word of a boolean", c.Name)
		}
	}
	if wrong == "" {
		return w, nil
	}
	return w, &bucketload.Error{Code: bucketload.CodeUsage, Column: c.Name, Message: wrong,
		Hint: `write for example columns: {paid: {type: boolean, true_if: ["ja"], false_if: ["nein"]}}; what nothing means is a matter of default`}
}

func trimmed(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = strings.Trim(s, blanks)
	}
	return out
}

// parse gives 1 for true and 0 for false. Upper and lower case are the same.
func (w *boolWords) parse(value []byte) (b byte, f fault) {
	for _, word := range w.yes {
		if bytes.EqualFold(value, []byte(word)) {
			return 1, fine
		}
	}
	for _, word := range w.no {
		if bytes.EqualFold(value, []byte(word)) {
			return 0, fine
		}
	}
	b, f = parseBool(value)
	if f == fine && (b == 1 && len(w.yes) > 0 || b == 0 && len(w.no) > 0) {
		f = syntax
	}
	return b, f
}

// parseBool takes the words that Postgres documents, in any case.
func parseBool(value []byte) (byte, fault) {
	var lower [5]byte
	if len(value) > len(lower) {
		return 0, syntax
	}
	for i, b := range value {
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		lower[i] = b
	}
	switch string(lower[:len(value)]) {
	case "t", "true", "y", "yes", "on", "1":
		return 1, fine
	case "f", "false", "n", "no", "off", "0":
		return 0, fine
	}
	return 0, syntax
}
