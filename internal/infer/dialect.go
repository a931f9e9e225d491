package infer

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bucketload/bucketload"
)

const (
	// minScore is the share of good rows, averaged over the files, that a dialect
	// must have: files may be ragged, but not most of them. A dialect under which
	// fewTyped columns have types, and which is ahead of all others by clearLead,
	// needs lowScore only.
	minScore, lowScore = 0.5, 0.15
	fewTyped           = 2
	// nearScore is how close to the best another dialect is a rival.
	nearScore = 0.9
	// clearLead is how many times the rivals' delimiters a header must have for
	// its candidate to win all the same: 27 commas against one semicolon.
	clearLead = 2
	// slight is a difference in the share of good rows that says nothing.
	slight = 0.02
	// fewWrapped is how many fields in single quotes say that these are quotes.
	fewWrapped = 3
	// fewMarked is how many comments there must be for a row that begins like one.
	fewMarked = 10
	// strayLines is the share of lines that may have a comma or the like in
	// files that are one column for want of any delimiter.
	strayLines = 0.1
)

// keys are the names of keys of csv.
type keys []string

func (k keys) has(key string) bool { return slices.Contains(k, key) }

// sniffable are the keys that can be found out.
var sniffable = []string{"delimiter", "quote", "escape", "header", "encoding", "comment", "skip_head", "skip_foot", "unquoted_blanks", "decimal", "thousands"}

// Dialect finds out the keys of csv that nobody has set, from the first bytes
// of several files; they may end anywhere. open names these keys as the
// configuration spells them; an empty delimiter is open in any case. All others
// are as given. It returns given with the open keys filled in and, for people,
// why.
//
// Every dialect of which there is a trace in the files is tried on them, and
// the one under which they are the most regular wins: rows as wide as their
// header, quotes where they belong, columns of one type. The ordinary goes
// before the unusual where both read the same. Each file has one voice, files
// without rows have none.
//
// A case that is not clear is an error of code usage that names the candidates
// and the flags that settle it. Files in which no candidate occurs have one
// column.
func Dialect(heads [][]byte, given bucketload.CSV, open []string) (bucketload.CSV, string, error) {
	s := sniffer{given: given, open: slices.Clone(open)}
	if given.Delimiter == "" && !s.open.has("delimiter") {
		s.open = append(s.open, "delimiter")
	}
	if !slices.ContainsFunc(sniffable, s.open.has) {
		return given, delimiterName(given.Delimiter) + " as given", nil
	}
	texts, err := s.decode(heads)
	if err != nil {
		return given, "", err
	}
	texts = slices.DeleteFunc(texts, func(text []byte) bool { return len(text) == 0 })
	s.files = pieces(texts, max(sampleLeast, sampleBytes/max(1, len(texts))))
	found, err := s.dialect()
	return found, strings.Join(s.evidence, "; "), err
}

// sniffer is one call of Dialect.
type sniffer struct {
	given    bucketload.CSV
	open     keys
	files    []piece
	evidence []string
}

func (s *sniffer) say(format string, args ...any) {
	s.evidence = append(s.evidence, fmt.Sprintf(format, args...))
}

// free is whether lines may be skipped.
func (s *sniffer) free() bool { return s.open.has("skip_head") }

func (s *sniffer) dialect() (bucketload.CSV, error) {
	best, err := s.delimiter(s.trials())
	if err != nil {
		return s.given, err
	}
	found := s.given
	found.Delimiter, found.Quote, found.Escape, found.Comment, found.UnquotedBlanks = best.Delimiter, best.Quote, best.Escape, best.Comment, best.UnquotedBlanks
	switch n := best.lines(); {
	case n == 0:
		found.Delimiter = cmp.Or(found.Delimiter, ",")
		s.say("%s as usual: no lines to judge by", delimiterName(found.Delimiter))
	case !s.open.has("delimiter"):
		s.say("%s as given", delimiterName(found.Delimiter))
	case best.Delimiter == "":
		found.Delimiter = ","
		s.say("one column: no comma, tab, semicolon or bar in %s sampled lines", thousands(int64(n)))
	default:
		s.say("%s", best.lineEvidence())
	}
	s.sayMarks(&best)
	if err := s.place(&best, &found); err != nil {
		return s.given, err
	}
	s.numbers(&best, &found)
	return found, nil
}

// trials tries all dialects on some files and the better ones on all.
func (s *sniffer) trials() []trial {
	pilot := s.files
	if len(pilot) > pilotFiles {
		pilot = nil
		for i := range pilotFiles {
			pilot = append(pilot, s.files[i*len(s.files)/pilotFiles])
		}
	}
	texts := make([][]byte, len(pilot))
	for i, file := range pilot {
		texts[i] = file.text
	}
	pilot = pieces(texts, pilotBytes)
	var trials []trial
	best := 0.0
	for i, d := range dialects(pilot, s.given, s.open) {
		t := try(d, i, pilot, s.free())
		best = max(best, t.score)
		trials = append(trials, t)
	}
	trials = slices.DeleteFunc(trials, func(t trial) bool {
		ordinary := trials[0].CSV
		ordinary.Delimiter = t.Delimiter
		return t.score < pilotShare*best && !t.regular() && (t.CSV != ordinary || !strings.Contains(usualDelimiters, t.Delimiter))
	})
	for i, t := range trials {
		trials[i] = try(t.CSV, t.order, s.files, s.free())
	}
	return trials
}

// unclear is the error of a key that has several candidates.
func unclear(key string, seen, values []string, otherwise string) error {
	flags := make([]string, len(values))
	for i, value := range values {
		flags[i] = fmt.Sprintf("--set 'csv.%s=%s'", key, strconv.Quote(value))
	}
	return &bucketload.Error{Code: bucketload.CodeUsage,
		Message: fmt.Sprintf("the %s is not clear: %s", strings.ReplaceAll(key, "_", " "), strings.Join(seen, "; ")),
		Hint:    "say which it is: " + strings.Join(flags, " or ") + otherwise}
}

func delimiterName(delimiter string) string {
	switch delimiter {
	case "\t":
		return "tab"
	case " ":
		return "space"
	}
	return strconv.Quote(delimiter)
}
