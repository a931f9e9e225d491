package steps

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/pgcopy"
	"github.com/bucketload/bucketload/internal/table"
)

// candidate is a change of the configuration that may cure all rows of a cause:
// it is dropped with the first that it does not.
type candidate struct {
	kind  cureKind
	then  string
	takes func(*ledger.Rejected) bool
	line  func(*gathered) string
}

// cureKind is what a candidate changes.
type cureKind int

const (
	cureRow cureKind = iota
	cureFormat
	cureType
	cureMarks
	cureNull
	cureText
)

// propose gives the cures that are worth reading of the candidates that are
// left, the likelier first. That a value means none is said of one that no
// format takes, and text is the last resort.
func (g *gathered) propose() []Cure {
	const most = 2
	cures := []Cure{}
	var had [cureText + 1]bool
	for _, c := range g.candidates {
		switch c.kind {
		case cureType, cureMarks:
			if had[cureType] || had[cureMarks] {
				continue
			}
		case cureNull:
			few := 8 // values that may all mean none
			if had[cureType] {
				few = 2
			}
			if had[cureFormat] || had[cureMarks] || g.more || len(g.Values) > few {
				continue
			}
		case cureText:
			if had[cureFormat] || had[cureMarks] || had[cureType] {
				continue
			}
		}
		if len(cures) < most {
			had[c.kind] = true
			cures = append(cures, Cure{c.line(g), c.then})
		}
	}
	return cures
}

// candidates gives the changes that may cure what has gone wrong with a column,
// or with the whole row, the likelier first.
func (c *causes) candidates(code bucketload.Code, column bucketload.Column) []*candidate {
	every := func(*ledger.Rejected) bool { return true }
	csv := func(line string, takes func(*ledger.Rejected) bool) *candidate {
		return &candidate{cureRow, CureReplay, takes, func(*gathered) string { return line }}
	}
	switch code {
	case bucketload.CodeQuote:
		in := func(words string) func(*ledger.Rejected) bool {
			return func(r *ledger.Rejected) bool {
				return strings.Contains(r.Message, words) && !strings.Contains(r.Message, "lines are given up")
			}
		}
		return []*candidate{
			csv("csv: {unquoted_blanks: trim}", in("blanks before a quote")),
			csv("csv: {unquoted_blanks: trim}", in("blanks behind a closing quote")),
			csv("csv: {stray_quotes: keep}", in("a quote inside a field that does not begin with one")),
		}
	case bucketload.CodeRagged:
		return []*candidate{
			csv("csv: {ragged: pad}", func(r *ledger.Rejected) bool { has, needs, ok := fieldCounts(r.Message); return ok && has < needs }),
			csv("csv: {ragged: truncate}", func(r *ledger.Rejected) bool { _, _, ok := fieldCounts(r.Message); return ok }),
		}
	case bucketload.CodeUTF8, bucketload.CodeEncoding:
		return []*candidate{csv("csv: {invalid_utf8: replace}", every)}
	case bucketload.CodeNUL:
		return []*candidate{csv("csv: {nul: strip}", every)}
	case bucketload.CodeValue:
		if column.Name != "" {
			return c.valueCandidates(column)
		}
	}
	return nil
}

var count = regexp.MustCompile(`\d+`)

// fieldCounts reads how many fields a ragged row has, and how many it needs,
// out of its message.
func fieldCounts(message string) (has, needs int, ok bool) {
	n := count.FindAllString(message, 3)
	if len(n) != 2 {
		return 0, 0, false
	}
	has, err := strconv.Atoi(n[0])
	if err != nil {
		return 0, 0, false
	}
	needs, err = strconv.Atoi(n[1])
	return has, needs, err == nil
}

// Types that values may need instead of the column's. OIDs are from PostgreSQL,
// src/include/catalog/pg_type.dat.
var (
	typeBigint      = pgcopy.Column{OID: 20, TypMod: -1, TypeName: "bigint"}
	typeNumeric     = pgcopy.Column{OID: 1700, TypMod: -1, TypeName: "numeric"}
	typeDate        = pgcopy.Column{OID: 1082, TypMod: -1, TypeName: "date"}
	typeTime        = pgcopy.Column{OID: 1083, TypMod: -1, TypeName: "time"}
	typeTimestamp   = pgcopy.Column{OID: 1114, TypMod: -1, TypeName: "timestamp"}
	typeTimestamptz = pgcopy.Column{OID: 1184, TypMod: -1, TypeName: "timestamptz"}
)

// Patterns of dates and times that people use, beside ISO 8601.
var (
	datePatterns = []string{"DD.MM.YYYY", "DD/MM/YYYY", "MM/DD/YYYY", "DD-MM-YYYY", "MM-DD-YYYY", "YYYY/MM/DD", "YYYY.MM.DD", "YYYYMMDD",
		"DD Mon YYYY", "DD-Mon-YYYY", "Mon DD, YYYY", "DD.MM.YY", "DD/MM/YY", "MM/DD/YY"}
	timePatterns = []string{"HH24:MI:SS", "HH24:MI", "HH12:MI:SS AM", "HH12:MI AM", "HH24MISS"}
)

// family is what is said of the values of a type.
type family struct {
	types    []pgcopy.Column // that hold more
	iso      string          // the pattern that is the default
	patterns []string
	number   bool
}

// familyOf knows a type by its name, as a user or the server writes it.
func familyOf(name string) (of family, as pgcopy.Column) {
	name = strings.ToLower(name)
	base, _, _ := strings.Cut(name, "(")
	zoned := strings.HasSuffix(name, "with time zone")
	switch base = strings.TrimSpace(base); {
	case base == "smallint", base == "int2", base == "integer", base == "int", base == "int4":
		return family{types: []pgcopy.Column{typeBigint, typeNumeric}, number: true}, typeBigint
	case base == "bigint", base == "int8":
		return family{types: []pgcopy.Column{typeNumeric}, number: true}, typeBigint
	case base == "numeric", base == "decimal", base == "real", base == "float4", base == "double precision", base == "float8", base == "float":
		return family{types: []pgcopy.Column{typeNumeric}, number: true}, typeNumeric
	case base == "date":
		return family{types: []pgcopy.Column{typeTimestamp, typeTimestamptz}, iso: "YYYY-MM-DD", patterns: datePatterns}, typeDate
	case base == "time", base == "time without time zone":
		return family{iso: "HH24:MI:SS", patterns: timePatterns}, typeTime
	case base == "timestamptz", strings.HasPrefix(base, "timestamp") && zoned:
		return family{iso: "YYYY-MM-DD HH24:MI:SS", patterns: momentPatterns()}, typeTimestamptz
	case strings.HasPrefix(base, "timestamp"):
		return family{types: []pgcopy.Column{typeTimestamptz}, iso: "YYYY-MM-DD HH24:MI:SS", patterns: momentPatterns()}, typeTimestamp
	}
	return family{}, pgcopy.Column{}
}

func momentPatterns() (patterns []string) {
	for _, date := range datePatterns {
		for _, time := range timePatterns[:4] {
			patterns = append(patterns, date+" "+time)
		}
		patterns = append(patterns, date)
	}
	return patterns
}

// valueCandidates are for values that the column's type does not take: another
// way to write them, a type that holds more, or that they mean nothing. In the
// end text takes everything.
func (c *causes) valueCandidates(column bucketload.Column) []*candidate {
	of, as := familyOf(column.Type)
	var all []*candidate
	encodes := func(kind cureKind, then, line string, c pgcopy.Column) {
		c.Name = column.Name
		if taken, ok := encodable(c); ok {
			all = append(all, &candidate{kind, then, taken, func(*gathered) string { return line }})
		}
	}
	for _, pattern := range append([]string{of.iso}, of.patterns...) {
		if of.iso == "" || slices.Contains(column.Format, pattern) {
			continue
		}
		as.Format = []string{pattern}
		known := column.Format
		if len(known) == 0 {
			known = []string{of.iso}
		}
		encodes(cureFormat, CureReplay, setColumn(column.Name, "format", append(slices.Clone(known), pattern)), as)
	}
	for _, wider := range of.types {
		line, then := c.retype(column, wider.TypeName)
		encodes(cureType, then, line, wider)
	}
	if of.number {
		for _, marks := range [][2]byte{{',', 0}, {',', '.'}, {'.', ','}} {
			c := as
			c.Decimal, c.Thousands = marks[0], marks[1]
			line := fmt.Sprintf("csv: {decimal: %q, thousands: %q}", marks[:1], marks[1:])
			if marks[1] == 0 {
				line = fmt.Sprintf("csv: {decimal: %q}", marks[:1])
			}
			encodes(cureMarks, CureReplay, line, c)
		}
	}
	all = append(all, &candidate{cureNull, CureReplay, func(r *ledger.Rejected) bool { return r.Value != "" && !cutShort(r.Value) }, func(g *gathered) string {
		return setColumn(column.Name, "null_if", append(slices.Clone(column.NullIf), g.Values...))
	}})
	if column.Type != "text" {
		line, then := c.retype(column, "text")
		all = append(all, &candidate{cureText, then, func(*ledger.Rejected) bool { return true }, func(*gathered) string { return line }})
	}
	return all
}

// retype is what gives a column another type, and what makes that work: a table that
// stays takes the rows once it has it.
func (c *causes) retype(column bucketload.Column, name string) (line, then string) {
	switch {
	case c.kept == nil:
		return fmt.Sprintf("columns: {%s: {type: %s}}", yamlWord(column.Name), name), CureLoad
	case c.merges:
		then = CureLoad
	default:
		then = CureReplay
	}
	return table.RetypeSQL(*c.kept, column.Name) + name, then
}

// encodable says of values whether the column takes them; false where it is no
// column that can be.
func encodable(c pgcopy.Column) (func(*ledger.Rejected) bool, bool) {
	enc, err := pgcopy.NewEncoder(pgcopy.Binary, []pgcopy.Column{c})
	if err != nil {
		return nil, false
	}
	var out []byte
	return func(r *ledger.Rejected) bool {
		if r.Value == "" || cutShort(r.Value) {
			return false
		}
		var err error
		out, err = enc.Append(out[:0], []bucketload.Field{{Bytes: []byte(r.Value), Quoted: true}})
		return err == nil
	}, true
}

// cutShort says whether a value is only the beginning of what the file has.
func cutShort(value string) bool { return len(value) > maxValue && strings.HasSuffix(value, "…") }

// setColumn is a line that sets a list of a column.
func setColumn(column, key string, values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = strconv.Quote(v)
	}
	return fmt.Sprintf("columns: {%s: {%s: [%s]}}", yamlWord(column), key, strings.Join(quoted, ", "))
}

var plainWord = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// yamlWord is a key as YAML reads it back.
func yamlWord(s string) string {
	switch strings.ToLower(s) {
	case "true", "false", "null":
		return strconv.Quote(s)
	}
	if !plainWord.MatchString(s) {
		return strconv.Quote(s)
	}
	return s
}
