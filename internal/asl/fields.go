package asl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/bucketload/bucketload/internal/asl/expr"
)

// object is a JSON object of the definition while it is parsed: it hands out
// its fields by type, notes what is wrong with them, and in the end knows which
// fields nobody asked for.
type object struct {
	p      *parser
	state  string // the state it belongs to
	path   string // within the state, empty or ending in "."
	where  string // in the whole definition, as keys names it
	fields map[string]any
	asked  []string // names of fields that may be here
}

// problem notes a problem with the object itself or one of its fields.
func (o *object) problem(field, message, hint string) {
	o.p.problems = append(o.p.problems, Problem{
		State: o.state, Path: strings.TrimSuffix(o.path+field, "."), Message: message, Hint: hint,
	})
}

// syntax notes what is wrong with a path or an expression.
func (o *object) syntax(field string, err error, hint string) {
	var syntax *expr.SyntaxError
	if errors.As(err, &syntax) && syntax.Hint != "" {
		hint = syntax.Hint
	}
	o.problem(field, err.Error(), hint)
}

func (o *object) get(field string) (any, bool) {
	o.asked = append(o.asked, field)
	v, ok := o.fields[field]
	return v, ok
}

func (o *object) has(field string) bool {
	_, ok := o.fields[field]
	return ok
}

func (o *object) text(field string) string {
	v, ok := o.get(field)
	if !ok {
		return ""
	}
	s, ok := v.(string)
	if !ok {
		o.problem(field, "must be a string, not "+kindOf(v), "")
	}
	return s
}

// words is a string that is not empty where it is there.
func (o *object) words(field string) string {
	s := o.text(field)
	if v, ok := o.fields[field].(string); ok && v == "" {
		o.problem(field, "is empty", "leave it out, or say what it is")
	}
	return s
}

// oneOf is a string that must be one of a few; empty where it is not there.
func (o *object) oneOf(field string, values ...string) string {
	v, ok := o.get(field)
	if !ok {
		return ""
	}
	s, isText := v.(string)
	if !isText || !slices.Contains(values, s) {
		o.problem(field, "must be "+strings.Join(values, " or ")+", not "+brief(v), didYouMean(s, values))
		return ""
	}
	return s
}

// number checks the type and the range of a number.
func (o *object) number(field string, v any, low, high float64, whole bool) float64 {
	n, ok := v.(json.Number)
	f, err := n.Float64()
	switch {
	case !ok || err != nil:
		o.problem(field, "must be a number, not "+brief(v), "")
	case whole && f != math.Trunc(f):
		o.problem(field, "must be a whole number, not "+n.String(), "")
	case f < low || f > high:
		o.problem(field, fmt.Sprintf("must be between %s and %s, not %s", plain(low), plain(high), n), "")
	default:
		return f
	}
	return 0
}

// limit is a number under field or its reference path under field+"Path".
func (o *object) limit(field string, low, high float64, whole bool) limit {
	l := limit{field: field + "Path", path: o.reference(field + "Path")}
	l.given = l.path != nil
	if v, ok := o.get(field); ok {
		l.given = true
		if o.has(field + "Path") {
			o.problem(field, "cannot be together with "+field+"Path", "keep one of them")
		}
		l.value = o.number(field, v, low, high, whole)
	}
	return l
}

// expression is a path that may go to the input or the context object; nil
// where it is not there.
func (o *object) expression(field string) *expr.Path { return o.parsed(field, expr.ParsePath) }

// reference is such a path that points at one value only.
func (o *object) reference(field string) *expr.Path { return o.parsed(field, expr.ParseReference) }

func (o *object) parsed(field string, parse func(string) (expr.Path, error)) *expr.Path {
	v, ok := o.get(field)
	if !ok {
		return nil
	}
	s, ok := v.(string)
	if !ok {
		o.problem(field, "must be a path, not "+brief(v), `a path is a string like "$.count"`)
		return nil
	}
	path, err := parse(s)
	if err != nil {
		o.syntax(field, err, `a path begins with "$", or with "$$" for the context object`)
		return nil
	}
	return &path
}

// filter is an InputPath, OutputPath or ItemsPath.
func (o *object) filter(field string) filter { return o.filterBy(field, expr.ParsePath) }

// resultPath is a ResultPath.
func (o *object) resultPath() filter {
	const field = "ResultPath"
	f := o.filterBy(field, expr.ParseReference)
	if f.set && f.path.IsContext() {
		o.problem(field, "must not write to the context object", `begin it with "$."`)
	}
	return f
}

func (o *object) filterBy(field string, parse func(string) (expr.Path, error)) filter {
	v, ok := o.get(field)
	switch v := v.(type) {
	case nil:
		if ok {
			return filter{}
		}
		return filter{set: true}
	case string:
		path, err := parse(v)
		if err != nil {
			o.syntax(field, err, `a path begins with "$"; null discards`)
		}
		return filter{path: path, set: true}
	default:
		o.problem(field, "must be a path or null, not "+brief(v), "")
		return filter{}
	}
}

// template is a payload template; nil where it is not there.
func (o *object) template(field string) *expr.Template {
	v, ok := o.get(field)
	if !ok {
		return nil
	}
	t, err := expr.ParseTemplate(v)
	if err != nil {
		o.syntax(field, err, `a field whose name ends in ".$" holds a path or a call like States.Format('{}', $.x)`)
		return nil
	}
	return t
}

// object is a field that is an object; nil where it is not there.
func (o *object) object(field string) *object {
	v, ok := o.get(field)
	if !ok {
		return nil
	}
	return o.child(field, v)
}

// list is a field that is an array of objects with at least one.
func (o *object) list(field string) []*object {
	v, _ := o.get(field)
	values, ok := v.([]any)
	if !ok {
		o.problem(field, "must be a list with at least one object, not "+brief(v), "")
	} else if len(values) == 0 {
		o.problem(field, "is an empty list", "")
	}
	var list []*object
	for i, v := range values {
		if child := o.child(fmt.Sprintf("%s[%d]", field, i), v); child != nil {
			list = append(list, child)
		}
	}
	return list
}

func (o *object) child(field string, v any) *object {
	fields, ok := v.(map[string]any)
	if !ok {
		o.problem(field, "must be an object, not "+kindOf(v), "")
		return nil
	}
	return &object{p: o.p, state: o.state, path: o.path + field + ".", where: o.where + field + ".", fields: fields}
}

// texts is a field that is an array of strings with at least one.
func (o *object) texts(field string) []string {
	v, _ := o.get(field)
	values, _ := v.([]any)
	var list []string
	for _, v := range values {
		if s, ok := v.(string); ok {
			list = append(list, s)
		}
	}
	if len(list) == 0 || len(list) < len(values) {
		o.problem(field, "must be a list with at least one string and nothing else", "")
	}
	return list
}

// finish takes the fields that all objects have, and reports those that nobody
// asked for. What is what the object is, e.g. "a Pass state".
func (o *object) finish(what string) {
	o.text("Comment")
	o.queryLanguage()
	for _, field := range o.p.keys[o.where] {
		if slices.Contains(o.asked, field) {
			continue
		}
		switch field {
		case "Assign":
			o.problem(field, "variables are not supported", "pass values on with ResultPath, and read them with paths")
		case "Arguments", "Output", "Items", "Condition":
			o.problem(field, "belongs to JSONata, which is not supported", "write it with JSONPath: Parameters, ResultSelector, ItemsPath, Variable and an operator")
		default:
			hint := didYouMean(field, o.asked)
			if hint == "" {
				may := slices.Clone(o.asked)
				slices.Sort(may)
				hint = what + " may have " + strings.Join(slices.Compact(may), ", ")
			}
			o.problem(field, "there is no such field in "+what, hint)
		}
	}
}

func (o *object) queryLanguage() {
	if o.oneOf("QueryLanguage", "JSONPath", "JSONata") == "JSONata" {
		o.problem("QueryLanguage", "JSONata is not supported", `write the state machine with "QueryLanguage": "JSONPath", the default`)
	}
}

// keysOf gives the names of every object's fields in the order of the text,
// under the object's place: path elements, each followed by a dot, array
// elements in brackets.
func keysOf(definition []byte) (keys map[string][]string, twice []string) {
	keys = map[string][]string{}
	dec := json.NewDecoder(bytes.NewReader(definition))
	var walk func(where string)
	walk = func(where string) {
		token, err := dec.Token()
		if err != nil {
			return
		}
		switch token {
		case json.Delim('{'):
			for dec.More() {
				key, err := dec.Token()
				if err != nil {
					return
				}
				name, _ := key.(string)
				inner := where + name + "."
				if slices.Contains(keys[where], name) {
					twice = append(twice, where+name)
					inner += "\x00" // not where the one before is
				} else {
					keys[where] = append(keys[where], name)
				}
				walk(inner)
			}
			_, _ = dec.Token()
		case json.Delim('['):
			for i := 0; dec.More(); i++ {
				walk(strings.TrimSuffix(where, ".") + "[" + strconv.Itoa(i) + "].")
			}
			_, _ = dec.Token()
		}
	}
	walk("")
	return keys, twice
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case json.Number:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "a list"
	}
	return "an object"
}

// brief shows a scalar, and says what anything else is.
func brief(v any) string {
	switch v := v.(type) {
	case string:
		if len(v) > 80 {
			return "a long string"
		}
		return strconv.Quote(v)
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return kindOf(v)
}

func plain(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// didYouMean is a hint with the name that is nearest, if one is near: most of the
// letters are the same. Of very many names, or a very long one, it does not look at
// all.
func didYouMean(name string, names []string) string {
	best, least := "", min(len(name)/3+2, (len(name)+1)/2)
	if len(name) > longestName {
		return ""
	}
	for _, n := range names[:min(len(names), 100)] {
		if len(n) > longestName {
			continue
		}
		if d := distance(strings.ToLower(name), strings.ToLower(n)); d < least {
			best, least = n, d
		}
	}
	if best == "" || name == "" {
		return ""
	}
	return "did you mean " + best + "?"
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0]++
		for j := range len(b) {
			cost := before
			if a[i] != b[j] {
				cost++
			}
			before = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
