package temp_test

import (
	"archive/tar"
	"bytes"
	"encoding/csv"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"github.com/bucketload/bucketload/internal/temp"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

func TestStationsAreWhatTheTruthSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, days, seed := rapid.IntRange(0, 12).Draw(t, "n"), rapid.IntRange(0, 15).Draw(t, "days"), rapid.Uint64().Draw(t, "seed")
		got := temp.Truth{Sum: map[string]int64{}, Sentinels: map[string]int64{}}
		for name, content := range temp.Stations(n, seed, days) {
			got.Files++
			for _, row := range parse(t, content) {
				got.Rows++
				if row["STATION"]+".csv" != name {
					t.Fatalf("station %s in %s", row["STATION"], name)
				}
				if row["LATITUDE"]+row["LONGITUDE"]+row["ELEVATION"]+row["NAME"] == "" {
					got.NoPlace++
				}
				if row["SLP"] == " 999.9" {
					got.SLP9999++
				}
				for column, sentinel := range temp.StationSentinels {
					if row[column] == sentinel {
						got.Sentinels[column]++
						continue
					}
					v, err := strconv.ParseInt(strings.Replace(strings.TrimLeft(row[column], " "), ".", "", 1), 10, 64)
					if err != nil {
						t.Fatal(err)
					}
					got.Sum[column] += v
				}
			}
		}
		want := temp.StationsTruth(n, seed, days)
		if got.Files != want.Files || got.Rows != want.Rows || got.NoPlace != want.NoPlace || got.SLP9999 != want.SLP9999 ||
			!maps.Equal(got.Sum, want.Sum) || !maps.Equal(got.Sentinels, want.Sentinels) {
			t.Fatalf("got  %+v\nwant %+v", got, want)
		}
	})
}

type fataler interface{ Fatal(...any) }

func parse(t fataler, content []byte) []map[string]string {
	records, err := csv.NewReader(bytes.NewReader(content)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var rows []map[string]string
	for _, record := range records[1:] {
		row := map[string]string{}
		for i, name := range records[0] {
			row[name] = record[i]
		}
		rows = append(rows, row)
	}
	return rows
}

func TestStationsHaveTheTraps(t *testing.T) {
	const n, days = 7, 30
	var names []string
	var contents []string
	for name, content := range temp.Stations(n, 1, days) {
		names, contents = append(names, name), append(contents, string(content))
	}
	header := `"` + strings.Join(temp.StationColumns, `","`) + "\"\n"
	traps := []struct {
		trap string
		ok   bool
	}{
		{"a comma in the name", strings.Contains(contents[0], `"JAN MAYEN NOR NAVY, NO"`)},
		{"999.9 as a valid pressure", strings.Contains(contents[0], `"," 999.9","`)},
		{"a backslash in the name", strings.Contains(contents[1], `"ZAGREB\MAKSIMIR, HR"`)},
		{"one row", strings.Count(contents[2], "\n") == 2},
		{"no newline at the end", strings.HasSuffix(contents[3], `"`)},
		{"a letter in the id", names[4][0] == 'A'},
		{"no place", strings.Contains(contents[5], `","","","","","`)},
		{"another order", strings.HasPrefix(contents[6], `"FRSHTT","SNDP"`)},
		{"leading zeros", names[0][0] == '0'},
		{"padding", strings.Contains(contents[0], `","  `)},
		{"attributes of one space", strings.Contains(contents[0], `"," ","`)},
		{"the header", strings.HasPrefix(contents[0], header)},
		{"distinct names", len(slices.Compact(slices.Sorted(slices.Values(names)))) == n},
	}
	for _, trap := range traps {
		if !trap.ok {
			t.Errorf("missing: %s", trap.trap)
		}
	}
	truth := temp.StationsTruth(60, 1, days)
	for column := range temp.StationSentinels {
		if truth.Sentinels[column] == 0 || truth.Sentinels[column] == truth.Rows {
			t.Errorf("%s: %d of %d rows have the sentinel", column, truth.Sentinels[column], truth.Rows)
		}
	}
}

func TestStationsStayTheSame(t *testing.T) {
	got := temp.StationsTruth(20, 7, 50)
	if got.Rows != 926 || got.Sum["TEMP"] != 391136 {
		t.Errorf("rows %d, sum of TEMP %d: the generator makes other files than before", got.Rows, got.Sum["TEMP"])
	}
}

func TestStationsStopEarly(t *testing.T) {
	for range temp.Stations(5, 1, 1) {
		break
	}
}

func TestCorruptStation(t *testing.T) {
	for days := 1; days < 20; days++ {
		c := temp.CorruptStation(3, days)
		line := strings.Split(string(c.Content), "\n")[c.Line-1]
		if c.Line < 2 || !strings.Contains(line, `"`+c.Value+`"`) || strings.Count(string(c.Content), c.Value) != 1 {
			t.Fatalf("%d days: line %d is %q", days, c.Line, line)
		}
		if rows := parse(t, c.Content); rows[c.Line-2][c.Column] != c.Value {
			t.Fatalf("%d days: row is %v", days, rows[c.Line-2])
		}
	}
}

// TestStationsLookReal compares the columns and their widths with real files.
func TestStationsLookReal(t *testing.T) {
	r, err := os.Open(temptest.Corpus(t, "gsod-2022.tar.zst"))
	if err != nil {
		t.Skip("no gsod-2022.tar.zst in the corpus")
	}
	defer func() { _ = r.Close() }()
	z, err := zstd.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()

	theirs := map[string]map[int]bool{}
	files := tar.NewReader(z)
	for range 12 {
		h, err := files.Next()
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(files); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			addWidths(theirs, parse(t, b.Bytes()))
		}
	}
	ours := map[string]map[int]bool{}
	for _, content := range temp.Stations(20, 1, 50) {
		addWidths(ours, parse(t, content))
	}
	if len(theirs) != len(ours) {
		t.Fatalf("%d columns, real files have %d", len(ours), len(theirs))
	}
	for column := range ours {
		switch column {
		case "STATION", "NAME", "LATITUDE", "LONGITUDE", "ELEVATION": // of any length
			continue
		}
		if !maps.Equal(ours[column], theirs[column]) {
			t.Errorf("%s: widths %v, in real files %v", column, ours[column], theirs[column])
		}
	}
}

func addWidths(widths map[string]map[int]bool, rows []map[string]string) {
	for _, row := range rows {
		for column, value := range row {
			if widths[column] == nil {
				widths[column] = map[int]bool{}
			}
			widths[column][len(value)] = true
		}
	}
}
