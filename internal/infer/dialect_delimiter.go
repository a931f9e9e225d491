package infer

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// delimiter picks the best trial of all, each delimiter with its best quoting.
func (s *sniffer) delimiter(trials []trial) (trial, error) {
	var byDelimiter []trial
	unclear := map[string]error{} // why a delimiter's quoting is not clear
	for len(trials) > 0 {
		delimiter := trials[0].Delimiter
		var some, rest []trial
		for _, t := range trials {
			if t.Delimiter == delimiter {
				some = append(some, t)
			} else {
				rest = append(rest, t)
			}
		}
		best, err := s.quoting(some)
		byDelimiter, trials = append(byDelimiter, best), rest
		unclear[delimiter] = err
	}
	best, err := s.pick(byDelimiter)
	if err != nil {
		return best, err
	}
	return best, unclear[best.Delimiter]
}

// pick takes the trial with the highest score, where no other that reads
// something else comes near.
func (s *sniffer) pick(trials []trial) (trial, error) {
	slices.SortStableFunc(trials, func(a, b trial) int { return cmp.Compare(b.score, a.score) })
	best := trials[0]
	if !s.open.has("delimiter") || best.lines() == 0 {
		return best, nil
	}
	if i := slices.IndexFunc(trials, func(t trial) bool { return t.splitsNames() }); i > 0 && best.hidesOthers() {
		best = trials[i] // as a whole ,5 is a figure too, but not below two names
	}
	for _, t := range trials {
		if contains(&t, &best) && s.isPart(&best, &t) {
			best = t
		}
	}
	var rivals []trial
	for _, t := range trials {
		switch {
		case t.Delimiter == best.Delimiter, t.score < nearScore*best.score, contains(&best, &t), t.Delimiter == "" && t.hidesOthers():
		case contains(&t, &best) && best.fit >= t.fit && best.width() > t.width():
			// The shorter one splits wherever the longer one does, and more.
		case !same(t.CSV, best.CSV, s.files):
			rivals = append(rivals, t)
		case t.unpadded() && !best.unpadded(), t.unpadded() == best.unpadded() && t.order < best.order:
			best = t
		}
	}
	if len(rivals) > 0 {
		all := append([]trial{best}, rivals...)
		slices.SortStableFunc(all, func(a, b trial) int { return cmp.Compare(b.width(), a.width()) })
		if all[0].width() <= clearLead*max(1, all[1].width()) {
			return best, s.unclear(trials)
		}
		return all[0], nil
	}
	if best.isClear(trials) {
		return best, nil
	}
	if t, ok := raggedBest(trials); ok && (best.Delimiter != "" || best.hidesOthers()) {
		return t, nil
	}
	return best, s.unclear(trials)
}

// contains is whether t's delimiter has the other's in it.
func contains(t, other *trial) bool {
	return other.Delimiter != "" && len(t.Delimiter) > len(other.Delimiter) && strings.Contains(t.Delimiter, other.Delimiter)
}

// isPart is whether a delimiter is but a part of a longer one: nearly always so in
// the files, or mostly and the longer one splits the lines alike.
func (s *sniffer) isPart(short, long *trial) bool {
	if short.trims() && short.fit > long.fit+slight {
		return false
	}
	all, parts := 0, 0
	for _, file := range s.files {
		all += bytes.Count(file.text, []byte(short.Delimiter))
		parts += bytes.Count(file.text, []byte(long.Delimiter))
	}
	share := float64(parts*strings.Count(long.Delimiter, short.Delimiter)) / float64(max(1, all))
	return strings.TrimSpace(long.Delimiter) != short.Delimiter &&
		(share >= sameShape || share >= minScore && long.regular() && long.fit >= short.fit)
}

// isClear is whether the trial with the best score explains the files well, and
// hides no other reading that makes sense.
func (t *trial) isClear(trials []trial) bool {
	if t.Delimiter != "" {
		// What it would skip may be a header that another delimiter splits.
		return t.score >= minScore && (t.titles() == 0 || t.typed() > 0 ||
			!slices.ContainsFunc(trials, func(o trial) bool { return o.titles() < t.titles() && o.regular() }))
	}
	return !t.hidesOthers() && !slices.ContainsFunc(trials, func(o trial) bool {
		return o.regular() && (o.names() > 0 || t.typed() == 0)
	})
}

// raggedBest is the best delimiter for files in which most rows are ragged, or
// have quotes out of place. It must be far ahead, and a usual one that is in the
// header, or what the rows have in common must be more than chance.
func raggedBest(trials []trial) (trial, bool) {
	trials = slices.DeleteFunc(slices.Clone(trials), func(t trial) bool { return t.Delimiter == "" })
	if len(trials) == 0 || len(trials) > 1 && trials[0].score < clearLead*trials[1].score {
		return trial{}, false
	}
	t := trials[0]
	return t, usual(t.Delimiter) && t.fit >= minScore && t.titles() == 0 || t.score >= lowScore && t.typed() >= fewTyped
}

// lineEvidence is `"," in 200 of 200 sampled lines, 28 fields each`.
func (t *trial) lineEvidence() string {
	least, most := 0, 0
	for _, table := range t.tables {
		if table.lines == 0 || table.width == 1 {
			continue
		}
		if most = max(most, table.width); least == 0 || table.width < least {
			least = table.width
		}
	}
	fields := fmt.Sprintf("%d fields each", most)
	if least != most {
		fields = fmt.Sprintf("%d to %d fields", least, most)
	}
	return fmt.Sprintf("%s in %s of %s sampled lines, %s", delimiterName(t.Delimiter), thousands(int64(t.fits())), thousands(int64(t.lines())), fields)
}

// unclear names the delimiters that occur and how well they fit.
func (s *sniffer) unclear(trials []trial) error {
	trials = slices.Clone(trials)
	slices.SortFunc(trials, func(a, b trial) int { return cmp.Compare(a.order, b.order) })
	best := slices.MaxFunc(trials, func(a, b trial) int { return cmp.Compare(a.score, b.score) }).score
	var seen, values []string
	for _, t := range trials {
		if t.Delimiter == "" || !strings.Contains(usualDelimiters, t.Delimiter) && t.score < best/clearLead {
			continue
		}
		seen = append(seen, fmt.Sprintf("%s fits %s of %s sampled lines", delimiterName(t.Delimiter), thousands(int64(t.fits())), thousands(int64(t.lines()))))
		values = append(values, t.Delimiter)
	}
	return unclear("delimiter", seen, values, "; for files of one column, one that does not occur in them")
}
