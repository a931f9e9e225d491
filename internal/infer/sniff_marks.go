package infer

import (
	"bytes"
	"strings"
)

// numberMarks are the marks that numbers may have between their digits.
const numberMarks = ",. '"

const (
	comma = iota
	point
	space
)

// marksVote counts what figures prove about the marks, each by its place in
// numberMarks.
type marksVote struct {
	decimals [len(numberMarks)]int // is the decimal mark
	groups   [len(numberMarks)]int // stands between thousands
	either   [len(numberMarks)]int // may be either
}

func (v *marksVote) add(o marksVote) {
	for i := range numberMarks {
		v.decimals[i] += o.decimals[i]
		v.groups[i] += o.groups[i]
		v.either[i] += o.either[i]
	}
}

// readMarks reads the figures in columns of figures.
func readMarks(r *reading, rows []row, columns []column) (v marksVote) {
	for _, row := range rows[:min(kindRows, len(rows))] {
		if !r.fits(row, len(columns)) {
			continue
		}
		for i, c := range r.of(row)[:len(columns)] {
			if columns[i].main != figure {
				continue
			}
			if w, ok := readFigure(bytes.TrimSpace(r.value(c))); ok {
				markAt(&v.decimals, w.decimal)
				markAt(&v.groups, w.thousands)
				markAt(&v.either, w.either)
			}
		}
	}
	return v
}

func markAt(counts *[len(numberMarks)]int, mark byte) {
	if mark != 0 {
		counts[strings.IndexByte(numberMarks, mark)]++
	}
}

// decimal is the mark that figures prove, "" for the point or where they
// contradict each other. A point that may be either contradicts a comma, unless
// points are proven to stand between thousands.
func (v *marksVote) decimal() string {
	if v.decimals[comma] > 0 && v.decimals[point] == 0 && v.groups[comma] == 0 && (v.either[point] == 0 || v.groups[point] > 0) {
		return ","
	}
	return ""
}

// thousands is the mark that figures prove, "" for none or where they
// contradict each other.
func (v *marksVote) thousands() string {
	found := ""
	for i, n := range v.groups {
		switch {
		case n == 0:
		case found != "" || v.decimals[i] > 0:
			return ""
		default:
			found = numberMarks[i : i+1]
		}
	}
	return found
}
