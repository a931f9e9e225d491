package decode

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/bucketload/bucketload"
)

// jsonStep is one step into a value.
type jsonStep struct {
	key   string // where index is jsonByKey
	index int    // of an array's element, from 0, or one of the following
	end   int    // of the step in its path
}

const (
	jsonByKey = -1 - iota
	jsonAll   // every element of an array: [*]
	jsonPlain // the record, where it is neither an object nor an array
)

// Bounds of a path. Postgres has no more than 1600 columns.
const (
	jsonSteps = 100
	jsonItems = 10_000
)

// isPath is whether a source is a path, and not a key.
func isPath(s string) bool {
	return s == "$" || strings.HasPrefix(s, "$.") || strings.HasPrefix(s, "$[")
}

// jsonPath reads a path: $ and steps .key, ['key'], ["key"], [0] and [*]. A
// quote or backslash within quotes has a backslash before it.
func jsonPath(path string) ([]jsonStep, error) {
	bad := func(at int, why string) ([]jsonStep, error) {
		return nil, &bucketload.Error{Code: bucketload.CodeUsage, Value: path, Message: fmt.Sprintf("the path %q %s at %q", path, why, path[at:]),
			Hint: "write $ and steps such as .key, ['a key'], [0] or, for all elements, [*]"}
	}
	if !isPath(path) {
		return bad(0, "does not begin with $")
	}
	var steps []jsonStep
	for i := 1; i < len(path); {
		if len(steps) == jsonSteps {
			return bad(i, "is too long")
		}
		step, n := jsonStep{index: jsonByKey}, 0
		if path[i] == '.' {
			n = 1
			if end := strings.IndexAny(path[i+1:], ".["); end >= 0 {
				n += end
			} else {
				n = len(path) - i
			}
			if step.key = path[i+1 : i+n]; step.key == "" || step.key == "*" || strings.Contains(step.key, "]") {
				return bad(i, "has no key")
			}
		} else if step, n = jsonBracket(path[i:]); n == 0 {
			return bad(i, "is not understood")
		}
		i += n
		step.end = i
		steps = append(steps, step)
	}
	return steps, nil
}

var (
	jsonIndex   = regexp.MustCompile(`^\[(\*|[0-9]{1,9})\]`)
	jsonQuoted  = regexp.MustCompile(`^\[(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\]`)
	jsonEscapes = regexp.MustCompile(`\\(.)`)
)

// jsonBracket reads the step in brackets that s begins with, and gives its
// length; 0 where it is none.
func jsonBracket(s string) (jsonStep, int) {
	if m := jsonIndex.FindStringSubmatch(s); m != nil {
		index, err := strconv.Atoi(m[1])
		switch {
		case err != nil:
			index = jsonAll
		case index >= jsonItems:
			return jsonStep{}, 0
		}
		return jsonStep{index: index}, len(m[0])
	}
	if m := jsonQuoted.FindStringSubmatch(s); m != nil {
		return jsonStep{key: jsonEscapes.ReplaceAllString(m[1]+m[2], "$1"), index: jsonByKey}, len(m[0])
	}
	return jsonStep{}, 0
}

// keyPath is the path of a key of the record: the key itself where that is none.
func keyPath(key string) string {
	if !isPath(key) {
		return key
	}
	return "$" + quotedStep(key)
}

// quotedStep is the step to a key, whatever it is.
func quotedStep(key string) string {
	return "['" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(key) + "']"
}

var jsonColumn = regexp.MustCompile(`^column_([1-9][0-9]{0,4})$`)

// places are where a field's path may lead; the first that a record has counts.
func places(path string) ([][]jsonStep, error) {
	if isPath(path) {
		steps, err := jsonPath(path)
		for _, step := range steps {
			if err == nil && step.index == jsonAll {
				err = &bucketload.Error{Code: bucketload.CodeUsage, Value: path, Message: fmt.Sprintf("the path %q leads to several values of a record", path),
					Hint: "write [0] for the first one; or take the whole array, as jsonb; or make its elements the records with json: {records: …}"}
			}
		}
		return [][]jsonStep{steps}, err
	}
	all := [][]jsonStep{{{key: path, index: jsonByKey}}}
	if m := jsonColumn.FindStringSubmatch(path); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil && n <= jsonItems {
			all = append(all, []jsonStep{{index: n - 1}})
		}
	}
	if path == jsonValueName {
		all = append(all, []jsonStep{{index: jsonPlain}})
	}
	return all, nil
}

// inside is where a key with a point or a bracket in it leads as a path.
func inside(key string) []jsonStep {
	if isPath(key) || !strings.ContainsAny(key, ".[") {
		return nil
	}
	steps, err := jsonPath("$." + key)
	for _, step := range steps {
		if step.index == jsonAll {
			return nil
		}
	}
	if err != nil {
		return nil
	}
	return steps
}

// Names of what has none in a file.
const jsonValueName = "value" // of a record that is neither an object nor an array

func jsonColumnName(i int) string { return "column_" + strconv.Itoa(i+1) }

// jsonNode is a place in a record that fields are read from, or from inside
// of which they are.
type jsonNode struct {
	slots   []int // that take the value
	keys    map[string]*jsonNode
	items   []*jsonNode
	plain   *jsonNode // of the record: where it is neither an object nor an array
	learned []jsonLearned
	seen    uint64 // the record that last had it
}

// jsonLearned is the key that was last at this position of an object: most
// objects have the same keys in the same order.
type jsonLearned struct {
	quoted []byte
	node   *jsonNode // nil: none takes it
}

// Bounds of what is learned of an object.
const (
	jsonLearnKeys = 2000
	jsonLearnLen  = 200
)

// at gives the place to which the steps lead from n, and makes it where it is
// not there yet.
func (n *jsonNode) at(steps []jsonStep) *jsonNode {
	for _, step := range steps {
		switch step.index {
		case jsonPlain:
			if n.plain == nil {
				n.plain = &jsonNode{}
			}
			n = n.plain
		case jsonByKey:
			if n.keys == nil {
				n.keys = map[string]*jsonNode{}
			}
			if n.keys[step.key] == nil {
				n.keys[step.key] = &jsonNode{}
				n.learned = nil
			}
			n = n.keys[step.key]
		default:
			for len(n.items) <= step.index {
				n.items = append(n.items, nil)
			}
			if n.items[step.index] == nil {
				n.items[step.index] = &jsonNode{}
			}
			n = n.items[step.index]
		}
	}
	return n
}

// takesArrays is whether anything is read from a record that is an array.
func (n *jsonNode) takesArrays() bool { return len(n.items) > 0 || len(n.slots) > 0 }

// takesPlain is whether anything is read from one that is no object either.
func (n *jsonNode) takesPlain() bool { return n.plain != nil || len(n.slots) > 0 }
