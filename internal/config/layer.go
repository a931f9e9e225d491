package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bucketload/bucketload"
)

// layer lays values over what is there already: the file's defaults, a table,
// the flags. What it does not mention stays.
type layer[T any] struct {
	keys []key[T]
	into *T
	done map[string]string // by which key a path was set
}

func newLayer[T any](keys []key[T], into *T) *layer[T] {
	return &layer[T]{keys: keys, into: into, done: map[string]string{}}
}

// fault is an error at a place of the file. Every layer adds the path above
// it, the file at last its name.
type fault struct {
	at   *node
	path string
	err  error
}

func (f *fault) Error() string { return f.path + ": " + f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

// under puts a path above that of err.
func under(path string, at *node, err error) error {
	if err == nil {
		return nil
	}
	if f, ok := errors.AsType[*fault](err); ok {
		return &fault{at: f.at, path: path + "." + f.path, err: f.err}
	}
	return &fault{at: at, path: path, err: err}
}

// report turns a fault into what the user sees: name:line:column: path: why.
func report(name string, err error) error {
	f, ok := errors.AsType[*fault](err)
	if !ok {
		return err
	}
	place := ""
	if name != "" && f.at != nil && f.at.line > 0 {
		place = fmt.Sprintf("%s:%d:%d: ", name, f.at.line, f.at.column)
	}
	message, hint := f.err.Error(), ""
	if e, ok := errors.AsType[*bucketload.Error](f.err); ok {
		message, hint = e.Text(), e.Hint
	}
	return usage(hint, "%s%s: %s", place, f.path, message)
}

// apply sets every pair of a mapping; path is the mapping's own.
func (y *layer[T]) apply(path string, n *node) error {
	if n == nil || n.kind == null {
		return nil
	}
	if n.kind != mapping {
		return &fault{at: n, path: path, err: errors.New("must be a mapping (name: value)")}
	}
	for _, p := range n.pairs {
		child := p.key.text
		if path != "" {
			child = path + "." + child
		}
		if err := y.set(child, p.key, p.value); err != nil {
			return err
		}
	}
	return nil
}

// set gives the key or the group at path a value. at is where it is written.
func (y *layer[T]) set(path string, at, n *node) error {
	k, ok := find(y.keys, path)
	if !ok {
		if len(children(y.keys, path)) > 0 {
			return y.apply(path, n)
		}
		return &fault{at: at, path: path, err: y.unknown(path)}
	}
	if k.words != "" && (n.kind == scalar || n.text != "") {
		n = &node{kind: scalar, text: strings.ToLower(n.text), line: n.line, column: n.column} // "null" is a word too
	}
	if err := judge(k, n); err != nil {
		return under(path, n, err)
	}
	if k.splits != nil && n.kind == scalar {
		parts := k.splits(n.text)
		for _, part := range parts {
			of, _ := find(y.keys, part[0])
			if err := y.assign(of, path, at, &node{kind: scalar, text: part[1], line: n.line, column: n.column}); err != nil {
				return err
			}
		}
		if parts != nil {
			return nil
		}
	}
	return y.assign(k, path, at, n)
}

// assign gives k the value n; path is of the key as it is written at.
func (y *layer[T]) assign(k key[T], path string, at, n *node) error {
	sets := k.path
	if k.sets != "" {
		sets = k.sets
	}
	if other, twice := y.done[sets]; twice && other != path {
		return &fault{at: at, path: path, err: &bucketload.Error{Message: other + " says the same thing", Hint: "keep one of them"}}
	}
	y.done[sets] = path
	return under(path, n, assign(k.at(y.into), n, k.min, k.check))
}

// judge holds a value against the words that its key takes, if it takes words.
func judge[T any](k key[T], n *node) error {
	if k.words == "" {
		return nil
	}
	if n.kind == scalar {
		return k.judge(n.text)
	}
	for _, item := range n.items {
		if err := k.judge(item.text); err != nil {
			return err
		}
	}
	return nil
}

func (y *layer[T]) unknown(path string) error {
	parent, name := "", path
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		parent, name = path[:i], path[i+1:]
	}
	known := children(y.keys, parent)
	hint := "known here: " + strings.Join(known, ", ")
	_, isFile := any(y.into).(*File)
	switch near := nearest(name, known); {
	case near != "":
		hint = fmt.Sprintf("did you mean %s?", near)
	case isFile && slices.Contains(children(tableKeys, ""), path):
		hint = fmt.Sprintf("%s belongs to a table: put it under tables: NAME:, or under defaults: for all of them", path)
	case !isFile && slices.Contains(children(fileKeys, ""), path):
		hint = path + " belongs to the top of the file"
	}
	return &bucketload.Error{Message: "unknown key", Hint: hint}
}

// nearest gives the name that is at most a few letters away from word, or "".
func nearest(word string, names []string) string {
	best, least := "", min(3, len(word)/3)+1
	word = strings.ReplaceAll(strings.ToLower(word), "-", "_")
	if len(word) > maxShown {
		return ""
	}
	for _, name := range names {
		if d := distance(word, name); d < least {
			best, least = name, d
		}
	}
	return best
}

// distance counts the letters to insert, delete or change (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// readColumns reads a mapping of columns; its order is the table's.
func readColumns(n *node) ([]bucketload.Column, error) {
	if n.kind == null {
		return nil, nil
	}
	if n.kind != mapping {
		return nil, &bucketload.Error{Message: "must be a mapping", Hint: "write for example columns: {temp: {from: TEMP, type: numeric}}"}
	}
	var columns []bucketload.Column
	for _, p := range n.pairs {
		c := bucketload.Column{Name: p.key.text}
		if err := readColumn(&c, p.value); err != nil {
			return nil, under(c.Name, p.value, err)
		}
		if err := checkName(c.Name); err != nil {
			return nil, &fault{at: p.key, path: quote(c.Name), err: err}
		}
		columns = append(columns, c)
	}
	return columns, nil
}

// readColumn lays a type, or a mapping of columnKeys, over c.
func readColumn(c *bucketload.Column, n *node) error {
	if n.kind == scalar {
		if err := notBlank(n.text); err != nil {
			return err
		}
		c.Type = n.text
		return nil
	}
	if n.kind == list {
		return &bucketload.Error{Message: "must be a type or a mapping", Hint: "write for example temp: {from: TEMP, type: numeric}"}
	}
	return newLayer(columnKeys, c).apply("", n)
}

func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("a column needs a name")
	case len(name) > 63:
		return errors.New("the name is longer than the 63 bytes that Postgres keeps")
	case strings.ContainsRune(name, 0):
		return errors.New("the name has a NUL byte in it")
	}
	return nil
}
