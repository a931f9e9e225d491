package config

import (
	"encoding"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bucketload/bucketload"
)

// Types that give a field of Load another spelling than its own type has.
type (
	version     int
	tableName   bucketload.TableName
	percentage  bucketload.Share // a number, 5 is 5%
	count       bucketload.Share // a whole number
	columnsMode bool             // complete or override
	replaceHow  bool             // swap or in_place
	sourceAfter bool             // keep or delete
	duration    time.Duration
	ratio       float64  // a percentage, over 100 too
	verbatim    []string // a list in which null is text too
	char        string   // one byte or none
	mark        string   // a few bytes, none of them a line end
)

func (v *version) UnmarshalText(text []byte) error {
	if string(text) != "1" {
		return &bucketload.Error{Message: fmt.Sprintf("version %s is not known", quote(string(text))), Hint: "write version: 1, or use a newer bucketload"}
	}
	*v = 1
	return nil
}

func (t *tableName) UnmarshalText(text []byte) error {
	parsed, err := bucketload.ParseTableName(string(text))
	*t = tableName(parsed)
	return err
}

func (p *percentage) UnmarshalText(text []byte) error {
	return (*bucketload.Share)(p).UnmarshalText([]byte(strings.TrimSuffix(strings.TrimSpace(string(text)), "%") + "%"))
}

func (c *count) UnmarshalText(text []byte) error {
	if strings.Contains(string(text), "%") {
		return fmt.Errorf("%s is not a count", quote(string(text)))
	}
	return (*bucketload.Share)(c).UnmarshalText(text)
}

func (m *columnsMode) UnmarshalText(text []byte) error {
	*m = string(text) == "override"
	return nil
}

func (m columnsMode) String() string {
	if m {
		return "override"
	}
	return "complete"
}

func (r *replaceHow) UnmarshalText(text []byte) error {
	*r = string(text) == "in_place"
	return nil
}

func (r replaceHow) String() string {
	if r {
		return "in_place"
	}
	return "swap"
}

func (s *sourceAfter) UnmarshalText(text []byte) error {
	*s = string(text) == "delete"
	return nil
}

func (s sourceAfter) String() string {
	if s {
		return "delete"
	}
	return "keep"
}

func (d *duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v <= 0 {
		return fmt.Errorf("%s is not a duration; write for example 2s or 500ms", quote(string(text)))
	}
	*d = duration(v)
	return nil
}

func (r *ratio) UnmarshalText(text []byte) error {
	v, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(string(text)), "%")), 64)
	if err != nil || !(v >= 0 && v <= 1e6) {
		return fmt.Errorf("%s is not a percentage; write for example 90%%", quote(string(text)))
	}
	*r = ratio(v)
	return nil
}

func (r ratio) String() string { return strconv.FormatFloat(float64(r), 'f', -1, 64) + "%" }

func (d duration) String() string { return time.Duration(d).String() }

func (c *char) UnmarshalText(text []byte) error {
	s := string(text)
	if s == `\t` { // what a shell or a plain YAML text makes of a tab
		s = "\t"
	}
	switch {
	case len(s) > 1:
		return &bucketload.Error{Message: quote(s) + " is more than one byte", Hint: `write one ASCII character; a tab is \t`}
	case s == "\n" || s == "\r" || s == "\x00" || s >= "\x80":
		return fmt.Errorf("%q cannot be told from the text around it", s)
	}
	*c = char(s)
	return nil
}

func (m *mark) UnmarshalText(text []byte) error {
	s := strings.ReplaceAll(string(text), `\t`, "\t")
	if s == "tab" {
		s = "\t"
	}
	switch {
	case len(s) > maxMark:
		return fmt.Errorf("%s is longer than %d bytes", quote(s), maxMark)
	case strings.ContainsAny(s, "\n\r\x00") || !utf8.ValidString(s):
		return fmt.Errorf("%q cannot be told from the text around it", s)
	}
	*m = mark(s)
	return nil
}

// maxMark bounds a delimiter, in bytes; it is far above what files have.
const maxMark = 64

// headerLine splits the number of the line that is the header.
func headerLine(text string) [][2]string {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return nil
	}
	return [][2]string{{"csv.header", "true"}, {"csv.skip_head", strconv.Itoa(n - 1)}}
}

// assign reads n into what to points at.
func assign(to any, n *node, least int64, check func(string) error) error {
	switch to := to.(type) {
	case **node:
		if n.kind != mapping && n.kind != null {
			return errors.New("must be a mapping (name: value)")
		}
		*to = n
		return nil
	case *[]bucketload.Column:
		columns, err := readColumns(n)
		*to = columns
		return err
	case *[]string:
		texts, err := texts(n, check)
		*to = texts
		return err
	case *[][]string:
		lists, err := lists(n)
		*to = lists
		return err
	case *map[string]bucketload.Share:
		shares, err := shares(n)
		*to = shares
		return err
	case *verbatim:
		if n.kind == null && n.text != "" {
			*to = verbatim{n.text}
			return nil
		}
		texts, err := texts(n, check)
		*to = texts
		return err
	}
	if to, ok := to.(**string); ok && n.kind == null {
		*to = nil
		return nil
	}
	if n.kind != scalar {
		return &bucketload.Error{Message: "must be one value", Hint: `quote a text; "" is an empty one`}
	}
	switch to := to.(type) {
	case *string:
		if check != nil {
			if err := check(n.text); err != nil {
				return err
			}
		}
		*to = n.text
	case **string:
		*to = &n.text
	case *bool:
		return boolean(to, n.text)
	case **bool:
		*to = new(bool)
		return boolean(*to, n.text)
	case *int:
		v, err := number(n.text, least, 1<<31-1)
		*to = int(v)
		return err
	case *int64:
		v, err := number(n.text, least, 1<<62)
		*to = v
		return err
	case encoding.TextUnmarshaler:
		return to.UnmarshalText([]byte(n.text))
	default:
		panic(fmt.Sprintf("config: no way to read a %T", to))
	}
	return nil
}

// texts reads a list, or one value as a list of one. An empty list is nil.
func texts(n *node, check func(string) error) ([]string, error) {
	items := n.items
	switch n.kind {
	case null:
		return nil, nil
	case scalar:
		items = []*node{n}
	case mapping:
		return nil, errors.New("must be a list")
	}
	var out []string
	for _, item := range items {
		if item.kind == list || item.kind == mapping || item.kind == null && item.text == "" {
			return nil, &bucketload.Error{Message: "must be a list of texts", Hint: "quote what has commas, brackets or colons in it"}
		}
		if check != nil {
			if err := check(item.text); err != nil {
				return nil, err
			}
		}
		out = append(out, item.text)
	}
	return out, nil
}

// lists reads a list of lists of names; a name by itself is a list of one.
func lists(n *node) ([][]string, error) {
	hint := "write for example [[station_id, date], [id]]"
	switch n.kind {
	case null:
		return nil, nil
	case scalar, mapping:
		return nil, &bucketload.Error{Message: "must be a list of lists", Hint: hint}
	}
	var out [][]string
	for _, item := range n.items {
		names, err := texts(item, notBlank)
		if err != nil {
			return nil, err
		}
		if len(names) == 0 {
			return nil, &bucketload.Error{Message: "has an empty list in it", Hint: hint}
		}
		out = append(out, names)
	}
	return out, nil
}

// shares reads a mapping of names to limits.
func shares(n *node) (map[string]bucketload.Share, error) {
	switch n.kind {
	case null:
		return nil, nil
	case scalar, list:
		return nil, &bucketload.Error{Message: "must be a mapping", Hint: "write for example {temp: 5%}"}
	}
	out := make(map[string]bucketload.Share, len(n.pairs))
	for _, p := range n.pairs {
		var s bucketload.Share
		err := checkName(p.key.text)
		if err == nil {
			err = assign(&s, p.value, 0, nil)
		}
		if err != nil {
			return nil, under(p.key.text, p.value, err)
		}
		out[p.key.text] = s
	}
	return out, nil
}

func boolean(to *bool, text string) error {
	switch text {
	case "true", "True", "TRUE":
		*to = true
	case "false", "False", "FALSE":
		*to = false
	default:
		return fmt.Errorf("%s is neither true nor false", quote(text))
	}
	return nil
}

func number(text string, least, most int64) (int64, error) {
	v, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("%s is not a whole number", quote(text))
	case v < least:
		return 0, fmt.Errorf("must be %d or more", least)
	case v > most:
		return 0, fmt.Errorf("must be %d or less", most)
	}
	return v, nil
}

func notBlank(text string) error {
	if strings.TrimSpace(text) == "" {
		return errors.New("must not be empty")
	}
	return nil
}

// isSource refuses what no file is read from, a database's URL above all: it
// would stand in the ledger with its password.
func isSource(text string) error {
	if scheme, _, ok := strings.Cut(text, "://"); ok && scheme != "s3" && scheme != "file" && !strings.ContainsAny(scheme, "/.") {
		return errors.New("files come from s3:// or file:// or a path; a path with :// in it begins with ./")
	}
	return notBlank(text)
}

// isPath wants a path into JSON; what reads it knows more.
func isPath(text string) error {
	if !strings.HasPrefix(text, "$") {
		return &bucketload.Error{Message: quote(text) + " is not a path", Hint: "write for example $.data.items; $ by itself is the file"}
	}
	return nil
}

// noSecret refuses a URL with a user in it: the ledger keeps what it checks.
func noSecret(text string) error {
	if _, rest, ok := strings.Cut(text, "://"); ok && strings.Contains(rest, "@") {
		return errors.New("must not have a user or password in it; credentials come from --profile or the environment")
	}
	return nil
}

// topic is an SNS topic's ARN. One with an id behind the name is a subscription's.
// Source: SNS API reference, CreateTopic.
var topic = regexp.MustCompile(`^arn:[a-z0-9-]+:sns:[a-z0-9-]+:\d{12}:(?:[A-Za-z0-9_-]{1,256}|[A-Za-z0-9_-]{1,251}\.fifo)$`)

func isTopic(text string) error {
	if text == "" || topic.MatchString(text) {
		return nil
	}
	return &bucketload.Error{Message: quote(text) + " is not the ARN of an SNS topic",
		Hint: "write for example arn:aws:sns:us-east-1:123456789012:my-topic; `aws sns list-topics` shows yours"}
}

// maxShown bounds what a message shows of a value, in bytes.
const maxShown = 60

func quote(text string) string {
	return strconv.Quote(bucketload.Excerpt([]byte(text), maxShown))
}

// usage makes the error of this package: what the user wrote is wrong.
func usage(hint, format string, args ...any) *bucketload.Error {
	return &bucketload.Error{Op: "config", Code: bucketload.CodeUsage, Message: fmt.Sprintf(format, args...), Hint: hint}
}
