package config

import (
	"encoding"
	"fmt"
	"slices"
	"strings"

	"github.com/bucketload/bucketload"
)

// Flags is what the command line says about loads. It applies to every table
// of the call.
type Flags struct {
	From    []string // in place of the table's; relative to the current directory
	Exclude []string
	Set     []string // path=value, as in the file: csv.delimiter=; s3.region=eu-west-1. The last one counts
	Column  []string // name=source:type:null,values; empty parts stay as they are
}

// ScalarFlag is a flag for one key of the file. What a user gives for it goes
// to Flags.Set as Path=value.
type ScalarFlag struct {
	Name  string // max-concurrency
	Path  string // max_concurrency
	Kind  string // text, bool, number, size, limit, duration
	Usage string
}

// ScalarFlags lists the flags of all scalar keys of a table, and of s3. The
// dialect (csv.*), json.* and the checks have none: they are set with --set.
func ScalarFlags() []ScalarFlag {
	var flags []ScalarFlag
	var l bucketload.Load
	for _, k := range tableKeys {
		group, _, _ := strings.Cut(k.path, ".")
		nested := slices.Contains([]string{"csv", "json", "checks"}, group)
		if !nested && kindOf(k.at(&l)) != "" {
			flags = append(flags, flagOf(k, k.path, &l))
		}
	}
	for _, k := range fileKeys {
		if name, ok := strings.CutPrefix(k.path, "s3."); ok {
			flags = append(flags, flagOf(k, name, new(File)))
		}
	}
	return flags
}

func flagOf[T any](k key[T], name string, of *T) ScalarFlag {
	f := ScalarFlag{Name: strings.NewReplacer("_", "-", ".", "-").Replace(name), Path: k.path, Kind: kindOf(k.at(of)), Usage: k.usage}
	if k.words != "" {
		f.Usage += " (" + strings.Join(strings.Fields(k.words), ", ") + ")"
	}
	return f
}

// kindOf says what kind of scalar a key takes; "" for lists and mappings.
func kindOf(at any) string {
	switch at.(type) {
	case *bool, **bool:
		return "bool"
	case *int, *int64, *version:
		return "number"
	case *bucketload.Bytes:
		return "size"
	case *bucketload.Share, *percentage, *count:
		return "limit"
	case *duration:
		return "duration"
	case *string, **string, encoding.TextUnmarshaler:
		return "text"
	}
	return ""
}

// applyFile sets what belongs to the top of the file: s3 and notify.
func (fl Flags) applyFile(f *File) error {
	y := newLayer(fileKeys, f)
	for _, set := range fl.Set {
		path, value, _ := strings.Cut(set, "=")
		if !ofFile(path) {
			continue
		}
		if err := setFlag(y, path, value); err != nil {
			return report("", err)
		}
	}
	return nil
}

func ofFile(path string) bool {
	group, _, _ := strings.Cut(path, ".")
	return group == "s3" || group == "notify"
}

// apply lays the flags over a load, and gives the paths that they set.
func (fl Flags) apply(l *bucketload.Load) ([]string, error) {
	y := newLayer(tableKeys, l)
	inferred := len(l.Columns) == 0
	l.Columns = slices.Clone(l.Columns)
	for _, set := range fl.Set {
		path, value, ok := strings.Cut(set, "=")
		if !ok {
			return nil, usage("write for example --set max_concurrency=8", "--set %s has no =", quote(set))
		}
		var err error
		switch column, isColumn := strings.CutPrefix(path, "columns."); {
		case ofFile(path):
		case isColumn:
			err = setColumn(l, column, value)
		default:
			err = setFlag(y, path, value)
		}
		if err != nil {
			return nil, report("", err)
		}
	}
	for _, c := range fl.Column {
		if err := fl.column(l, c); err != nil {
			return nil, err
		}
	}
	if inferred && len(l.Columns) > 0 && y.done["columns"] == "" && y.done["columns_mode"] == "" {
		l.ColumnsOverride = true // single columns say nothing of the others
	}
	if len(fl.From) > 0 {
		for _, uri := range fl.From {
			if err := isSource(uri); err != nil {
				return nil, usage("--from s3://bucket/prefix/; the database goes to --to", "--from: %s", err)
			}
		}
		l.From = slices.Clone(fl.From)
	}
	if len(fl.Exclude) > 0 {
		l.Exclude = slices.Clone(fl.Exclude)
	}
	return settle(l, y), nil
}

// setFlag gives a key a value from the command line.
func setFlag[T any](y *layer[T], path, value string) error {
	k, known := find(y.keys, path)
	plain := known && kindOf(k.at(y.into)) != ""
	n, err := flagValue(value, plain)
	if err != nil {
		return under(path, nil, err)
	}
	return y.set(path, n, n)
}

// flagValue reads a value of --set. One that is quoted, or in brackets where a
// key takes a list or a mapping, is YAML; anything else is text, so that # and
// , need no care.
func flagValue(value string, plain bool) (*node, error) {
	opens := `"'`
	if !plain {
		opens += "[{"
	}
	if len(value) > 1 && strings.ContainsAny(value[:1], opens) {
		n, err := parseYAML("value", []byte(value))
		if err != nil {
			return nil, &bucketload.Error{Message: quote(value) + " is not YAML", Hint: `write for example '["a", "b"]'`}
		}
		n.forget()
		return n, nil
	}
	if value == "" && !plain {
		return &node{}, nil
	}
	return &node{kind: scalar, text: value}, nil
}

// forget drops the places: they are of no file.
func (n *node) forget() {
	n.line, n.column = 0, 0
	for _, item := range n.items {
		item.forget()
	}
	for _, p := range n.pairs {
		p.key.forget()
		p.value.forget()
	}
}

// setColumn sets one key of one column: name.key. The name may have dots.
func setColumn(l *bucketload.Load, path, value string) error {
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return under("columns."+path, nil, &bucketload.Error{Message: "the key is missing", Hint: "write for example --set columns." + path + ".type=numeric"})
	}
	c, err := columnOf(l, path[:i])
	if err != nil {
		return under("columns."+path[:i], nil, err)
	}
	return under("columns."+c.Name, nil, setFlag(newLayer(columnKeys, c), path[i+1:], value))
}

// column reads --column name=source:type:null,values.
func (fl Flags) column(l *bucketload.Load, text string) error {
	name, rest, ok := strings.Cut(text, "=")
	if !ok {
		return usage("write --column 'name=source:type:null,values', for example 'temp=TEMP:numeric:9999.9'", "--column %s has no =", quote(text))
	}
	c, err := columnOf(l, name)
	if err != nil {
		return usage("", "--column %s: %s", quote(text), err)
	}
	parts := append(strings.SplitN(rest, ":", 3), "", "")
	if source := strings.TrimSpace(parts[0]); source != "" {
		c.From = []string{parts[0]}
	}
	if typ := strings.TrimSpace(parts[1]); typ != "" {
		c.Type = typ
	}
	var nulls []string
	for value := range strings.SplitSeq(parts[2], ",") {
		if value = strings.TrimSpace(value); value != "" {
			nulls = append(nulls, value)
		}
	}
	if nulls != nil {
		c.NullIf = nulls
	}
	return nil
}

// columnOf gives the column of that name, a new one at the end if need be.
func columnOf(l *bucketload.Load, name string) (*bucketload.Column, error) {
	if err := checkName(name); err != nil {
		return nil, fmt.Errorf("%s: %w", quote(name), err)
	}
	i := slices.IndexFunc(l.Columns, func(c bucketload.Column) bool { return c.Name == name })
	if i < 0 {
		i = len(l.Columns)
		l.Columns = append(l.Columns, bucketload.Column{Name: name})
	}
	return &l.Columns[i], nil
}
