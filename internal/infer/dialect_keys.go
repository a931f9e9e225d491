package infer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/bucketload/bucketload"
)

// quoting picks among trials of one delimiter, which come from the ordinary to
// the unusual, those without comments first.
func (s *sniffer) quoting(trials []trial) (trial, error) {
	var best trial
	var err error
	byComment := map[string][]trial{}
	var comments []string
	for _, t := range trials {
		if byComment[t.Comment] == nil {
			comments = append(comments, t.Comment)
		}
		byComment[t.Comment] = append(byComment[t.Comment], t)
	}
	var plain trial
	for i, comment := range comments {
		t, unclear := s.quotes(byComment[comment])
		if i == 0 {
			plain = t
		}
		if i == 0 || commented(&plain, &best, &t) {
			best, err = t, unclear
		}
	}
	return best, err
}

// quotes picks quote and escape: what makes more rows good. Where that says
// nothing, what is used at all, and used without fault.
func (s *sniffer) quotes(trials []trial) (trial, error) {
	best := trials[0]
	var rivals []trial
	for _, t := range trials[1:] {
		gain := t.score - best.score
		if !t.mayQuote(&best) || gain < -slight || gain <= slight && same(t.CSV, best.CSV, s.files) {
			continue
		}
		better, doubtful := gain > slight, false
		switch {
		case better:
			better = t.Quote != "'" || t.odd() == 0 || t.wrapped() >= fewWrapped
		case t.Quote == best.Quote:
			better = t.odd() < best.odd()
			doubtful = t.Escape == `\` && t.odd()+best.odd() == 0 && best.escaped() == 0 && t.escaped() > 0 && t.lone() == 0
		case t.odd() == 0:
			better = best.wrapped() == 0 && (t.Quote == "" || t.wrapped() >= fewWrapped)
			doubtful = t.wrapped() > 0 && t.wrapped() >= best.wrapped()
		}
		if better {
			best, rivals = t, nil
		} else if doubtful {
			rivals = append(rivals, t)
		}
	}
	if len(rivals) == 0 {
		return best, nil
	}
	rival := rivals[0]
	if rival.Quote != best.Quote {
		return best, unclear("quote", []string{
			fmt.Sprintf("%s is around %s", rival.Quote, count(rival.wrapped(), "field")), fmt.Sprintf("%s around %d", best.Quote, best.wrapped()),
		}, []string{best.Quote, rival.Quote}, "")
	}
	return best, unclear("escape", []string{
		fmt.Sprintf("%s is doubled in %s, and no quote is escaped", rival.Escape, count(rival.escaped(), "quoted field")),
	}, []string{best.Escape, rival.Escape}, "")
}

// mayQuote is whether there is reason to read as t does and not as the more
// ordinary other: no quotes at all where quotes are out of place, and not where
// some enclose fields; an escape other than a backslash where it is used often;
// and blanks are left out where many a field has its quotes behind or before
// them, and then next to none is out of place.
func (t *trial) mayQuote(other *trial) bool {
	switch {
	case t.trims() && !other.trims():
		return t.apart() >= fewWrapped && t.apart() >= fewMarked*t.odd()
	case t.Quote == "":
		return other.odd() > 0 && (other.wrapped() == 0 || t.odd() == 0)
	case t.Escape == `\`, t.Escape == t.Quote:
		return true
	}
	return t.escaped() >= fewWrapped
}

// commented is whether the dialect with comments is the better one: there are
// some among the rows, or not as many before the header in every file, and next
// to no row begins as they do, the header in no file. What stands before the
// header only is skipped.
func commented(plain, best, t *trial) bool {
	mark := slices.Index(commentMarks[:], t.Comment)
	rows, all := plain.sum(func(p table) int { return p.marked[mark] }), t.sum(func(p table) int { return p.notes })
	headed := slices.ContainsFunc(plain.tables, func(p table) bool { return p.headed[mark] })
	if headed || fewMarked*rows > all || t.Delimiter == "" || t.fit < best.fit-slight || t.fits() == 0 {
		return false
	}
	notes := map[int]bool{}
	inside := false
	for _, table := range t.tables {
		if table.lines > 0 {
			notes[table.notes] = true
			inside = inside || table.inside > 0
		}
	}
	return inside || len(notes) > 1 || t.fit > best.fit+slight && all > 0
}

// sayMarks gives the evidence for quote, escape and comment where they are open
// and used.
func (s *sniffer) sayMarks(t *trial) {
	if n := t.wrapped(); s.open.has("quote") && n > 0 {
		s.say("quote %s around %s", t.Quote, count(n, "field"))
	} else if s.open.has("quote") && t.Quote == "" {
		s.say(`no quote: " within fields only`)
	}
	if n := t.escaped(); s.open.has("escape") && n > 0 {
		s.say("escape %s in %s of them", t.Escape, thousands(int64(n)))
	}
	if s.open.has("unquoted_blanks") && t.trims() {
		s.say("blanks outside of quotes are trimmed: they are around the quotes of %s", count(t.apart(), "field"))
	}
	if n := t.sum(func(t table) int { return t.notes }); s.open.has("comment") && t.Comment != "" {
		s.say("comments begin with %s, in %s", t.Comment, count(n, "line"))
	}
}

// place finds skip_head, header and skip_foot, by the files' votes.
func (s *sniffer) place(t *trial, found *bucketload.CSV) error {
	var skips, feet []int
	for _, table := range t.tables {
		if table.lines > 0 {
			skips = append(skips, table.skip)
			feet = append(feet, table.feet)
		}
	}
	if len(skips) == 0 {
		return nil
	}
	if s.free() {
		skip, files := mostCommon(skips)
		if 2*files <= len(skips) {
			return s.unclearSkip(skips)
		}
		found.SkipHead = skip
		if skip > 0 {
			s.say("%s before the header%s", count(skip, "line"), ofFiles(files, len(skips)))
		}
	}
	if s.open.has("header") {
		if err := s.header(t, found); err != nil {
			return err
		}
	}
	if foot := slices.Min(feet); s.open.has("skip_foot") && foot > 0 && foot == slices.Max(feet) {
		found.SkipFoot = foot
		s.say("%s after the rows", count(foot, "line"))
	}
	return nil
}

func (s *sniffer) unclearSkip(skips []int) error {
	counts := map[int]int{}
	for _, skip := range skips {
		counts[skip]++
	}
	var seen, flags []string
	for _, skip := range slices.Sorted(slices.Values(skips)) {
		if counts[skip] > 0 {
			seen = append(seen, fmt.Sprintf("%s in %s", count(skip, "line"), count(counts[skip], "file")))
			flags = append(flags, fmt.Sprintf("--set csv.skip_head=%d", skip))
			delete(counts, skip)
		}
	}
	return &bucketload.Error{Code: bucketload.CodeUsage,
		Message: "it is not clear how many lines come before the header: " + strings.Join(seen, "; "),
		Hint:    "say it: " + strings.Join(flags, " or ") + "; files that differ are better loaded by themselves"}
}

// header says no where the first lines of most files are rows like the others,
// and next to none has names.
func (s *sniffer) header(t *trial, found *bucketload.CSV) error {
	var yes, no, names, values, judged int
	for _, table := range t.tables {
		if table.lines > 1 {
			judged++
		}
		switch {
		case table.values > 0 && table.names == 0:
			no++
			values = max(values, table.values)
		case table.names > 0 && table.names >= table.values:
			yes++
			names = max(names, table.names)
		}
	}
	found.Header = true
	switch {
	case 2*no > judged && no > 4*yes:
		found.Header = false
		s.say("no header: %s as in the others", firstLines(no, judged, values))
	case yes > 0 && no > yes/4:
		return &bucketload.Error{Code: bucketload.CodeUsage,
			Message: fmt.Sprintf("it is not clear whether there is a header: %s names over typed columns, %s a row like the others", have(yes), have(no)),
			Hint:    "say it: --set csv.header=true or --set csv.header=false; files without a header are better loaded by themselves"}
	case yes > 0:
		s.say("header: names over values of another kind in %s%s", count(names, "column"), ofFiles(yes, judged))
	default:
		s.say("header as usual: nothing speaks against it")
	}
	return nil
}

func firstLines(files, judged, columns int) string {
	if judged == 1 {
		return "the first line has values of the same kind in " + count(columns, "column")
	}
	return fmt.Sprintf("the first lines of %d of %d files have values of the same kind", files, judged)
}

func have(files int) string {
	if files == 1 {
		return "1 file has"
	}
	return fmt.Sprintf("%d files have", files)
}

// numbers finds the marks in numbers, where figures prove them.
func (s *sniffer) numbers(t *trial, found *bucketload.CSV) {
	var v marksVote
	for _, table := range t.tables {
		v.add(table.figures)
	}
	if mark := v.decimal(); s.open.has("decimal") && mark != "" && mark != found.Thousands {
		found.Decimal = mark
		s.say("decimal comma in %s", count(v.decimals[comma], "number"))
	}
	if mark := v.thousands(); s.open.has("thousands") && mark != "" && mark != cmp.Or(found.Decimal, ".") {
		found.Thousands = mark
		s.say("%q between thousands", mark)
	}
}

func mostCommon(values []int) (value, n int) {
	counts := map[int]int{}
	for _, v := range values {
		if counts[v]++; counts[v] > n || counts[v] == n && v < value {
			value, n = v, counts[v]
		}
	}
	return value, n
}

// ofFiles says in how many files, where it is not all of them.
func ofFiles(files, all int) string {
	if files == all {
		return ""
	}
	return fmt.Sprintf(" in %d of %d files", files, all)
}

func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return thousands(int64(n)) + " " + noun
}
