package decode

import (
	"bytes"
	"encoding/json"
	"io"
	"regexp"

	"golang.org/x/text/transform"
)

// WrappedJSON says where the records of a document seem to be that wraps them:
// head, the beginning of a file, is one object with an array of objects in it, or
// in objects in it. Of several such arrays it is the one that takes up most of
// the document. path leads there, n is how many objects head has of it; path is
// empty where there is none, or head is no JSON.
func WrappedJSON(head []byte) (path string, n int) {
	if encoding, mark := inUTF16(head); encoding != "" {
		head = utf8Of(head[mark:], encoding)
	}
	head = bytes.TrimPrefix(head, byteOrderMark)
	w := unwrapper{Decoder: json.NewDecoder(bytes.NewReader(head))}
	w.UseNumber()
	begin, err := w.Token()
	if err != nil || begin != json.Delim('{') {
		return "", 0
	}
	from := w.InputOffset()
	err = w.object()
	size := w.InputOffset() - from
	if err == nil {
		_, err = w.Token() // there is none, or another record follows
	}
	if err != io.EOF && err != io.ErrUnexpectedEOF || w.several && 2*w.size <= size || w.found == nil { //nolint:errorlint // the decoder's own
		return "", 0
	}
	path = "$"
	for _, key := range w.found {
		path += step(key)
	}
	return path, w.n
}

// utf8Of decodes a piece of a file that begins with a character.
func utf8Of(piece []byte, encoding string) []byte {
	t, _ := recoder(encoding)
	text, _, err := transform.Bytes(t, piece)
	if err != nil {
		return nil
	}
	return text
}

// unwrapper looks for the greatest array of objects.
type unwrapper struct {
	*json.Decoder
	keys    []string // that lead to where it is
	found   []string // that lead to the array
	n       int      // objects in it
	size    int64    // of it, in bytes
	several bool
}

// wrappers is how many objects may be around an array of records.
const wrappers = 8

// object goes through the object whose { was read.
func (w *unwrapper) object() error {
	for w.More() {
		key, err := w.Token()
		if err != nil {
			return err
		}
		name, _ := key.(string)
		w.keys = append(w.keys, name)
		value, err := w.Token()
		if err != nil {
			return err
		}
		switch {
		case value == json.Delim('{') && len(w.keys) <= wrappers:
			err = w.object()
		case value == json.Delim('{'):
			err = w.pass(nil)
		case value == json.Delim('['):
			err = w.array()
		}
		if err != nil {
			return err
		}
		w.keys = w.keys[:len(w.keys)-1]
	}
	_, err := w.Token()
	return err
}

// array goes through the array whose [ was read, and keeps it where it is of
// objects and greater than the one that is kept.
func (w *unwrapper) array() error {
	from, n, objects := w.InputOffset(), 0, true
	err := w.pass(func(element json.Token) {
		n++
		objects = objects && element == json.Delim('{')
	})
	if n == 0 || !objects {
		return err
	}
	w.several = w.found != nil
	if size := w.InputOffset() - from; size > w.size {
		w.found, w.n, w.size = append(w.found[:0], w.keys...), n, size
	}
	return err
}

// pass goes to the end of the object or array whose beginning was read. It gives
// the first token of each element, or of each key and value, to each.
func (w *unwrapper) pass(each func(json.Token)) error {
	for depth := 1; depth > 0; {
		token, err := w.Token()
		if err != nil {
			return err
		}
		closes := token == json.Delim('}') || token == json.Delim(']')
		if depth == 1 && !closes && each != nil {
			each(token)
		}
		if closes {
			depth--
		} else if _, opens := token.(json.Delim); opens {
			depth++
		}
	}
	return nil
}

var jsonWord = regexp.MustCompile(`^[\pL_][\pL\pN_]*$`)

// step is the step to a key, as jsonPath reads it.
func step(key string) string {
	if jsonWord.MatchString(key) {
		return "." + key
	}
	return quotedStep(key)
}
