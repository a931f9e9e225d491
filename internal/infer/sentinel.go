package infer

import (
	"strconv"
	"strings"
)

// numbers is the spread of a column's numbers. Runs of nines, which are what
// "not measured" is written as, are counted apart; their length bounds them.
type numbers struct {
	written  notation
	n        int64
	nines    map[string]int64 // as they are written
	ordinary int64            // numbers that are no nines
	min, max float64
}

// maxNines bounds the digits of a sentinel.
const maxNines = 12

func newNumbers() numbers { return numbers{nines: map[string]int64{}} }

func (n *numbers) add(s string) {
	number, _ := n.written.plain(s)
	if isNines(number) {
		n.n++
		n.nines[strings.Clone(s)]++
		return
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return // beyond float64's range: no help in telling the ordinary
	}
	n.merge(numbers{n: 1, ordinary: 1, min: f, max: f})
}

func (n *numbers) merge(other numbers) {
	for s, count := range other.nines {
		n.nines[s] += count
	}
	switch {
	case other.ordinary == 0:
	case n.ordinary == 0:
		n.min, n.max = other.min, other.max
	default:
		n.min, n.max = min(n.min, other.min), max(n.max, other.max)
	}
	n.n += other.n
	n.ordinary += other.ordinary
}

// isNines takes 999, 99.99, -9999, 9999.0: at least three nines, or two after
// a minus sign.
func isNines(s string) bool {
	rest, minus := strings.CutPrefix(s, "-")
	whole, fraction, _ := strings.Cut(rest, ".")
	nines := len(whole)
	if strings.Trim(fraction, "0") != "" {
		nines += len(fraction)
		whole += fraction
	}
	least := 3
	if minus {
		least = 2
	}
	return nines >= least && len(s) <= maxNines && strings.Trim(whole, "9") == ""
}

// A run of nines is a sentinel if it lies beyond all ordinary numbers and
// either far away or often seen. Far is three times the largest magnitude:
// 99.99 inches of rain. Often is one in twenty: 999.9 hPa among pressures up to
// 999.8. One occurrence is never enough.
const (
	sentinelDistance = 3
	sentinelShare    = 0.05
)

// sentinels gives the spellings, sorted.
func (n *numbers) sentinels() []string {
	var found []string
	for _, s := range sortedKeys(n.nines) {
		if n.isSentinel(s) {
			found = append(found, s)
		}
	}
	return found
}

func (n *numbers) isSentinel(s string) bool {
	number, _ := n.written.plain(s)
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || n.nines[s] < 2 {
		return false
	}
	if n.ordinary == 0 {
		return true
	}
	if f >= n.min && f <= n.max {
		return false
	}
	often := float64(n.nines[s]) >= sentinelShare*float64(n.n)
	far := max(f, -f) >= sentinelDistance*max(n.max, -n.min)
	return often || far
}
