package temp

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// StationColumns are the names in a GSOD file's header, in order.
var StationColumns = []string{
	"STATION", "DATE", "LATITUDE", "LONGITUDE", "ELEVATION", "NAME",
	"TEMP", "TEMP_ATTRIBUTES", "DEWP", "DEWP_ATTRIBUTES", "SLP", "SLP_ATTRIBUTES", "STP", "STP_ATTRIBUTES",
	"VISIB", "VISIB_ATTRIBUTES", "WDSP", "WDSP_ATTRIBUTES", "MXSPD", "GUST", "MAX", "MAX_ATTRIBUTES",
	"MIN", "MIN_ATTRIBUTES", "PRCP", "PRCP_ATTRIBUTES", "SNDP", "FRSHTT",
}

// StationSentinels are the values that mean "no measurement", by column. The
// 999.9 of one column is a value in another: a pressure in SLP.
// Source: the readme of NOAA NCEI's Global Surface Summary of the Day.
var StationSentinels = map[string]string{
	"TEMP": "9999.9", "DEWP": "9999.9", "SLP": "9999.9", "STP": "999.9", "VISIB": "999.9", "WDSP": "999.9",
	"MXSPD": "999.9", "GUST": "999.9", "MAX": "9999.9", "MIN": "9999.9", "PRCP": "99.99", "SNDP": "999.9",
}

// Truth is what a load of generated stations must come to.
type Truth struct {
	Files int64
	Rows  int64
	// Sum adds up a measurement's values without sentinels, in units of its
	// last decimal: tenths, in PRCP hundredths. Sentinels counts those left out.
	Sum       map[string]int64
	Sentinels map[string]int64
	NoPlace   int64 // rows with empty LATITUDE, LONGITUDE, ELEVATION and NAME
	SLP9999   int64 // rows where SLP is the valid value 999.9
}

// Stations generates n files as the Global Surface Summary of the Day has
// them, named <station>.csv, with at most days rows each from 2022-01-01 on.
// The same n, seed and days give the same bytes everywhere.
//
// The traps of the real data come in the first files, so that n = 7 has them
// all: 0 a name with a comma and a valid SLP of 999.9, 1 a name with a
// backslash, 2 a single row, 3 no newline at the end, 4 a station id with a
// letter (and every 100th file from there), 5 no place and no name, 6 the
// columns in another order.
// Everywhere: quotes and padding, sentinels, leading zeros, attributes of a
// single space.
func Stations(n int, seed uint64, days int) iter.Seq2[string, []byte] {
	return func(yield func(name string, content []byte) bool) {
		for i := range n {
			s := newStation(i, seed)
			if !yield(s.id+".csv", s.file(i, days)) {
				return
			}
		}
	}
}

// StationsTruth adds up what Stations generates.
func StationsTruth(n int, seed uint64, days int) Truth {
	t := Truth{Sum: map[string]int64{}, Sentinels: map[string]int64{}}
	for i := range n {
		s := newStation(i, seed)
		s.truth = &t
		s.file(i, days)
		t.Files++
	}
	return t
}

// Corrupt is a file with one bad value, and where that is.
type Corrupt struct {
	Name    string
	Content []byte
	Line    int64  // 1-based, header included
	Column  string // as in the header
	Value   string // as in the file, without quotes
}

// CorruptStation generates a station's file where TEMP is no number in one
// row, the middle one of at most days rows; days is at least 1.
func CorruptStation(seed uint64, days int) Corrupt {
	s := newStation(corruptStation, seed)
	c := Corrupt{Name: s.id + ".csv", Column: "TEMP", Value: "  2?.1"}
	lines := strings.SplitAfter(string(s.file(corruptStation, days)), "\n")
	at := len(lines) / 2
	fields := strings.Split(lines[at], `","`)
	fields[6] = c.Value
	lines[at] = strings.Join(fields, `","`)
	c.Content, c.Line = []byte(strings.Join(lines, "")), int64(at)+1
	return c
}

// corruptStation is a number without traps, beyond those of Stations.
const corruptStation = 120_001

// places are real names of stations.
var places = []string{
	"JAN MAYEN NOR NAVY, NO", `ZAGREB\MAKSIMIR, HR`, "TECUCI, RO", "RACINE BATTEN AIRPORT, WI US", "UROMIYEH, IR",
	"TERSCHELLING HOORN AWS, NL", "BIELSKO BIALA, PL", "PALESTINE MUNICIPAL AIRPORT, TX US", "UGINO, RS", "MONTIJO, PO",
	"MAPLE PLAINS, CA", "LAKENHEATH RAF, UK", "TOLBO, MG", "MANISA SANAYI AIRPORT, TU", "MCENSK, RS",
}

// station generates one file; it computes in integers, since floating point
// differs between processors.
type station struct {
	rand      *rand.Rand
	truth     *Truth // where not nil, rows are added up here
	id        string
	place     [4]string // latitude, longitude, elevation, name
	mean      int       // temperature in tenths of a degree Fahrenheit
	gusts     bool      // measures GUST and SNDP at all
	pressures bool      // measures SLP and STP at all
}

func newStation(i int, seed uint64) *station {
	r := rand.New(rand.NewPCG(seed, uint64(i)))
	s := &station{rand: r, id: fmt.Sprintf("%06d99999", 10010+i*7), mean: 200 + r.IntN(600), gusts: r.IntN(3) == 0, pressures: r.IntN(3) > 0}
	if i%100 == 4 {
		s.id = fmt.Sprintf("A%05d%05d", 7359+i, 240+i)
	}
	if i != 5 {
		s.place = [4]string{decimal(r.IntN(1800000)-900000, 4, 0), decimal(r.IntN(3600000)-1800000, 4, 0), decimal(r.IntN(30000)-100, 1, 0), places[i%len(places)]}
	}
	return s
}

// file gives the station's file with the traps that file i has.
func (s *station) file(i, days int) []byte {
	order := StationColumns
	if i == 6 {
		order = slices.Clone(StationColumns)
		slices.Reverse(order)
	}
	if i == 2 {
		days = min(days, 1)
	}
	var b strings.Builder
	b.WriteString(`"` + strings.Join(order, `","`) + "\"\n")
	for day := range days {
		if day > 0 && s.rand.IntN(50) == 0 {
			continue // the real stations miss days, too
		}
		row := s.row(day, i == 0 && day == 0)
		for c, column := range order {
			if c > 0 {
				b.WriteByte(',')
			}
			b.WriteString(`"` + row[column] + `"`)
		}
		b.WriteByte('\n')
	}
	content := b.String()
	if i == 3 {
		content = strings.TrimSuffix(content, "\n")
	}
	return []byte(content)
}

// row makes a day's fields by column.
func (s *station) row(day int, validSLP bool) map[string]string {
	r := s.rand
	row := map[string]string{
		"STATION":   s.id,
		"DATE":      time.Date(2022, 1, 1+day, 0, 0, 0, 0, time.UTC).Format(time.DateOnly),
		"LATITUDE":  s.place[0],
		"LONGITUDE": s.place[1],
		"ELEVATION": s.place[2],
		"NAME":      s.place[3],
	}
	yearday := day % 365
	season := min(yearday, 365-yearday) // 0 in winter, 182 in summer
	mean := s.mean + season*2 - 182 + r.IntN(120) - 60

	s.measure(row, "TEMP", mean, 6, r.IntN(500) == 0)
	s.measure(row, "DEWP", mean-30-r.IntN(150), 6, r.IntN(25) == 0)
	slp := 9600 + r.IntN(900)
	if validSLP {
		slp = 9999
	}
	s.measure(row, "SLP", slp, 6, !validSLP && (!s.pressures || r.IntN(20) == 0))
	stp := slp - 10 - r.IntN(400)
	if stp == 9999 { // would be the sentinel
		stp--
	}
	s.measure(row, "STP", stp%10000, 5, !s.pressures || r.IntN(20) == 0) // its thousands are lost
	row["STP"] = strings.ReplaceAll(row["STP"], " ", "0")
	s.measure(row, "VISIB", r.IntN(320), 5, r.IntN(4) == 0)
	s.measure(row, "WDSP", r.IntN(200), 5, r.IntN(20) == 0)
	s.measure(row, "MXSPD", 200+r.IntN(200), 5, r.IntN(20) == 0)
	s.measure(row, "GUST", 400+r.IntN(300), 5, !s.gusts || r.IntN(2) == 0)
	s.measure(row, "MAX", mean+r.IntN(150), 6, r.IntN(300) == 0)
	s.measure(row, "MIN", mean-r.IntN(150), 6, r.IntN(300) == 0)
	s.measure(row, "PRCP", max(0, r.IntN(300)-200), 5, r.IntN(12) == 0)
	s.measure(row, "SNDP", 4+r.IntN(300), 5, !s.gusts || r.IntN(3) > 0)

	for _, c := range []string{"TEMP", "DEWP", "SLP", "STP", "VISIB", "WDSP"} {
		row[c+"_ATTRIBUTES"] = fmt.Sprintf("%2d", 4+r.IntN(21))
		if row[c] == StationSentinels[c] {
			row[c+"_ATTRIBUTES"] = " 0"
		}
	}
	row["MAX_ATTRIBUTES"], row["MIN_ATTRIBUTES"] = pick(r, " *"), pick(r, " *")
	row["PRCP_ATTRIBUTES"] = pick(r, "ABDEFGHI")
	if row["PRCP"] == StationSentinels["PRCP"] {
		row["PRCP_ATTRIBUTES"] = " "
	}
	row["FRSHTT"] = fmt.Sprintf("%06b", r.IntN(64)&r.IntN(64))

	if s.truth != nil {
		s.truth.Rows++
		if s.place[3] == "" {
			s.truth.NoPlace++
		}
		if row["SLP"] == " 999.9" {
			s.truth.SLP9999++
		}
	}
	return row
}

// measure sets a column to a value in units of its last decimal, padded to
// width, or to its sentinel.
func (s *station) measure(row map[string]string, column string, value, width int, missing bool) {
	decimals := 1
	if column == "PRCP" {
		decimals = 2
	}
	row[column] = decimal(value, decimals, width)
	if missing {
		row[column] = StationSentinels[column]
	}
	switch {
	case s.truth == nil:
	case missing:
		s.truth.Sentinels[column]++
	default:
		s.truth.Sum[column] += int64(value)
	}
}

// decimal writes v/10^decimals, padded to width with spaces in front.
func decimal(v, decimals, width int) string {
	sign := ""
	if v < 0 {
		sign, v = "-", -v
	}
	digits := fmt.Sprintf("%0*d", decimals+1, v)
	point := len(digits) - decimals
	return fmt.Sprintf("%*s", width, sign+digits[:point]+"."+digits[point:])
}

func pick(r *rand.Rand, letters string) string {
	i := r.IntN(len(letters))
	return letters[i : i+1]
}
