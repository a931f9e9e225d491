package bucketload

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bytes is a size. As text it has an optional unit: kB, MB, GB count in
// thousands, KiB, MiB, GiB in 1024s; upper and lower case are the same.
type Bytes int64

var byteUnits = []struct {
	name string
	size float64
}{
	{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30}, {"tib", 1 << 40},
	{"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}, {"tb", 1e12}, {"b", 1}, {"", 1},
}

// UnmarshalText reads "8MB", "1.5 GiB" or "4096".
func (b *Bytes) UnmarshalText(text []byte) error {
	s := strings.ToLower(strings.TrimSpace(string(text)))
	for _, u := range byteUnits {
		num, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(num), 64)
		if err != nil || n < 0 || n*u.size > math.MaxInt64/2 {
			break
		}
		*b = Bytes(n * u.size)
		return nil
	}
	return fmt.Errorf("%q is not a size; write for example 8MB or 64MiB", text)
}

// MarshalText gives the exact number, for UnmarshalText to read back.
func (b Bytes) MarshalText() ([]byte, error) { return strconv.AppendInt(nil, int64(b), 10), nil }

// String gives three significant digits and a unit, for people.
func (b Bytes) String() string {
	switch {
	case b < 1e3:
		return strconv.FormatInt(int64(b), 10) + " B"
	case b < 1e6:
		return fmt.Sprintf("%.3g kB", float64(b)/1e3)
	case b < 1e9:
		return fmt.Sprintf("%.3g MB", float64(b)/1e6)
	case b < 1e12:
		return fmt.Sprintf("%.3g GB", float64(b)/1e9)
	}
	return fmt.Sprintf("%.3g TB", float64(b)/1e12)
}

// Share is a limit: a count ("5") or a percentage of a whole ("1%").
type Share struct {
	Count   int64
	Percent float64
	IsShare bool // Percent counts, not Count
}

// UnmarshalText reads "5" or "1.5%".
func (s *Share) UnmarshalText(text []byte) error {
	str := strings.TrimSpace(string(text))
	if num, ok := strings.CutSuffix(str, "%"); ok {
		p, err := strconv.ParseFloat(strings.TrimSpace(num), 64)
		if err != nil || !(p >= 0 && p <= 100) {
			return fmt.Errorf("%q is not a percentage from 0%% to 100%%", str)
		}
		*s = Share{Percent: p, IsShare: true}
		return nil
	}
	n, err := strconv.ParseInt(str, 10, 64)
	if err != nil || n < 0 {
		return fmt.Errorf("%q is neither a count nor a percentage; write for example 5 or 1%%", str)
	}
	*s = Share{Count: n}
	return nil
}

// MarshalText is the inverse of UnmarshalText.
func (s Share) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s Share) String() string {
	if s.IsShare {
		return strconv.FormatFloat(s.Percent, 'f', -1, 64) + "%"
	}
	return strconv.FormatInt(s.Count, 10)
}

// Exceeded says whether n out of whole is more than the limit allows. A limit
// that is reached is not exceeded, as in Step Functions.
func (s Share) Exceeded(n, whole int64) bool {
	if n == 0 {
		return false
	}
	if s.IsShare {
		return float64(n)*100 > s.Percent*float64(whole)
	}
	return n > s.Count
}
