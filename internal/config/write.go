package config

import (
	"encoding"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/bucketload/bucketload"
)

// Note is what init has to say about a column.
type Note struct {
	Evidence string   // why it has its type
	NullIf   []string // values that look like NULL: written as a comment, for the user to decide
}

// Write gives a bucketload.yaml with one table, all that l says beyond the
// defaults, for Parse to read back. intro becomes the comment at its top, a
// line each; notes are by column name. The target is left to the environment.
func Write(l *bucketload.Load, intro []string, notes map[string]Note) []byte {
	var w writer
	for _, line := range intro {
		w.line(0, "%s", strings.TrimRight("# "+comment(line), " "))
	}
	w.line(0, "version: 1")
	w.line(0, "# to: env:BUCKETLOAD_TO  # the DSN; or postgres://user:${PASSWORD}@host/db, file:PATH, ssm:NAME, secretsmanager:NAME")
	for _, group := range []string{"s3", "notify"} {
		if pair := changed(fileKeys, group, &File{s3: l.S3, notifySNS: l.NotifySNS}, &File{}); pair != "" {
			w.line(0, "%s", pair)
		}
	}
	w.line(0, "tables:")
	w.line(1, "%s:", text(l.Key))
	w.line(2, "table: %s", text(l.Table.String()))
	w.line(2, "from: %s", texted(l.From))
	rest, base := *l, builtin()
	base.Table, base.From = l.Table, l.From
	rest.Columns = nil
	for _, name := range children(tableKeys, "") {
		if pair := changed(tableKeys, name, &rest, &base); pair != "" {
			w.line(2, "%s", pair)
		}
	}
	if len(l.Columns) > 0 {
		w.line(2, "columns:")
	}
	for _, c := range l.Columns {
		w.column(c, notes[c.Name])
	}
	return []byte(w.String())
}

type writer struct{ strings.Builder }

func (w *writer) line(indent int, format string, args ...any) {
	w.WriteString(strings.Repeat("  ", indent))
	fmt.Fprintf(&w.Builder, format, args...)
	w.WriteByte('\n')
}

// changed writes what of and base differ in at path as name: value, a group of
// keys in braces. It is empty where they agree.
func changed[T any](keys []key[T], path string, of, base *T) string {
	name := path[strings.LastIndexByte(path, '.')+1:]
	if k, ok := find(keys, path); ok {
		if k.sets != "" || !said(path, of) && reflect.DeepEqual(k.at(of), k.at(base)) {
			return ""
		}
		return name + ": " + render(k.at(of))
	}
	var inner []string
	for _, child := range children(keys, path) {
		if pair := changed(keys, path+"."+child, of, base); pair != "" {
			inner = append(inner, pair)
		}
	}
	if inner == nil {
		return ""
	}
	return name + ": {" + strings.Join(inner, ", ") + "}"
}

// said says whether the key at path would be found out, were it not written:
// csv keys that are not open have been, or a user has set them.
func said(path string, of any) bool {
	l, ok := of.(*bucketload.Load)
	if !ok || l.Format == bucketload.FormatJSON || l.Format == bucketload.FormatParquet {
		return false
	}
	name, isCSV := strings.CutPrefix(path, "csv.")
	return isCSV && slices.Contains(builtin().CSVOpen, name) && !slices.Contains(l.CSVOpen, name)
}

// render writes what a key's pointer points at.
func render(at any) string {
	switch at := at.(type) {
	case *[]string:
		return texted(*at)
	case *[][]string:
		out := make([]string, len(*at))
		for i, names := range *at {
			out[i] = texted(names)
		}
		return "[" + strings.Join(out, ", ") + "]"
	case *map[string]bucketload.Share:
		var out []string
		for _, name := range slices.Sorted(maps.Keys(*at)) {
			out = append(out, text(name)+": "+text((*at)[name].String()))
		}
		return "{" + strings.Join(out, ", ") + "}"
	case *string:
		return text(*at)
	case *char:
		return text(string(*at))
	case *mark:
		return text(string(*at))
	case *encodingName:
		return text(string(*at))
	case *bucketload.Bytes:
		return strconv.FormatInt(int64(*at), 10)
	case encoding.TextMarshaler:
		out, _ := at.MarshalText() // a Share: never an error
		return text(string(out))
	case fmt.Stringer:
		return text(at.String())
	}
	return fmt.Sprint(reflect.ValueOf(at).Elem())
}

// column writes a column on one line, or over several where a proposal stands
// below it for the user to take the comment sign away.
func (w *writer) column(c bucketload.Column, note Note) {
	var pairs []string
	add := func(name, value string) { pairs = append(pairs, name+": "+value) }
	switch len(c.From) {
	case 0:
	case 1:
		add("from", text(c.From[0]))
	default:
		add("from", texted(c.From))
	}
	if c.Type != "" {
		add("type", text(c.Type))
	}
	if len(c.NullIf) > 0 {
		add("null_if", texted(c.NullIf))
	}
	if c.Trim != nil {
		add("trim", strconv.FormatBool(*c.Trim))
	}
	if len(c.Format) > 0 {
		add("format", texted(c.Format))
	}
	if c.Default != nil {
		add("default", text(*c.Default))
	}
	if len(c.TrueIf) > 0 {
		add("true_if", texted(c.TrueIf))
	}
	if len(c.FalseIf) > 0 {
		add("false_if", texted(c.FalseIf))
	}
	why := ""
	if note.Evidence != "" {
		why = "  # " + comment(note.Evidence)
	}
	if len(note.NullIf) == 0 || len(pairs) == 0 {
		w.line(3, "%s: {%s}%s", text(c.Name), strings.Join(pairs, ", "), why)
		return
	}
	w.line(3, "%s:%s", text(c.Name), why)
	for _, p := range pairs {
		w.line(4, "%s", p)
	}
	w.line(4, "# null_if: %s", texted(note.NullIf))
}

var plain = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

// text writes a scalar: plain where every reader of YAML takes it for text.
func text(s string) string {
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no", "on", "off", "y", "n", "null":
	default:
		if plain.MatchString(s) {
			return s
		}
	}
	return quoted(s)
}

func quoted(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b) // a JSON text is a YAML text
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(err) // texts always encode
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func texted(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = quoted(s)
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// comment keeps what files say on its line.
func comment(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
}
