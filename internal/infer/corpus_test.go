package infer_test

import (
	"bytes"
	"encoding/csv"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/infer"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// survey reads files as the program would: the dialect from the first bytes,
// then every row of up to limit from head, middle and tail.
func survey(t *testing.T, paths []string, given bucketload.CSV, opts infer.Options) (bucketload.CSV, *infer.Survey) {
	t.Helper()
	if len(paths) == 0 {
		t.Fatal("no files")
	}
	var heads, files [][]byte
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, data)
		heads = append(heads, data[:min(len(data), 16<<10)])
	}
	dialect, evidence, err := infer.Dialect(heads, given, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(evidence)
	s := infer.NewSurvey(opts)
	for i, data := range files {
		if err := s.Add(sample(filepath.Base(paths[i]), data, dialect)); err != nil {
			t.Fatal(err)
		}
	}
	return dialect, s
}

// sample reads with encoding/csv, which does not tell quoted fields: a line
// that begins with a quote counts as quoted throughout.
func sample(uri string, data []byte, dialect bucketload.CSV) infer.Sample {
	const rows = 100
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	r := csv.NewReader(bytes.NewReader(data))
	r.Comma, r.LazyQuotes, r.FieldsPerRecord = rune(dialect.Delimiter[0]), true, -1
	quoted := bytes.HasPrefix(data, []byte(`"`))
	s := infer.Sample{URI: uri}
	var all [][]string
	for {
		record, err := r.Read()
		if err == io.EOF {
			break
		}
		if err == nil {
			all = append(all, record)
		}
	}
	if len(all) > 0 && dialect.Header {
		s.Header, all = all[0], all[1:]
	} else if len(all) > 0 {
		for i := range all[0] {
			s.Header = append(s.Header, "f"+string(rune('a'+i)))
		}
	}
	for i := range min(rows, len(all)) {
		var row []infer.Value
		for _, text := range all[i*len(all)/min(rows, len(all))] {
			row = append(row, infer.Value{Text: text, Quoted: quoted})
		}
		s.Rows = append(s.Rows, row)
	}
	return s
}

var withHeader = bucketload.CSV{Quote: `"`, Escape: `"`, Header: true}

func byName(t *testing.T, columns []infer.Column) map[string]infer.Column {
	m := map[string]infer.Column{}
	for _, c := range columns {
		m[c.Name] = c
		t.Logf("%-22s %-11s %v %s %s", c.Name, c.Type, c.Sentinels, c.SentinelType, c.Evidence)
	}
	return m
}

func TestGSOD(t *testing.T) {
	dir := temptest.Corpus(t, "corpus/gsod-share")
	paths, _ := filepath.Glob(filepath.Join(dir, "2022", "*.csv"))
	dialect, s := survey(t, paths, withHeader, infer.Options{LowerCase: true})
	if dialect.Delimiter != "," {
		t.Errorf("delimiter %q", dialect.Delimiter)
	}
	if shapes := s.Shapes(); len(shapes) != 1 || shapes[0].Files != int64(len(paths)) || len(shapes[0].Columns) != 28 {
		t.Errorf("shapes %+v", shapes)
	}
	columns := s.Columns()
	got := byName(t, columns)
	types := map[string]string{
		"station": "text", "name": "text", "frshtt": "text", "max_attributes": "text", "min_attributes": "text", "prcp_attributes": "text",
		"date": "date",
	}
	for _, name := range strings.Fields("latitude longitude elevation temp dewp slp stp visib wdsp mxspd gust max min prcp sndp") {
		types[name] = "numeric"
	}
	for name, want := range types {
		if got[name].Type != want {
			t.Errorf("%s is %s, want %s: %s", name, got[name].Type, want, got[name].Evidence)
		}
	}
	sentinels := map[string]string{
		"slp": "9999.9", "stp": "999.9", "visib": "999.9", "wdsp": "999.9", "mxspd": "999.9", "gust": "999.9",
		"prcp": "99.99", "sndp": "999.9", "dewp": "9999.9", "max": "9999.9", "min": "9999.9",
	}
	for name, want := range sentinels {
		if !slices.Contains(got[name].Sentinels, want) {
			t.Errorf("%s: sentinels %q, want %q", name, got[name].Sentinels, want)
		}
	}
	if first := columns[0]; first.Name != "station" || !slices.Equal(first.From, []string{"STATION"}) {
		t.Errorf("first column %+v", first)
	}
}

func TestRealTypes(t *testing.T) {
	headless := bucketload.CSV{Quote: `"`, Escape: `"`}
	tests := []struct {
		set, glob, delimiter string
		given                bucketload.CSV
		want                 string // name type ...
	}{
		{"vega-datasets", "zipcodes.csv", ",", withHeader, "zip_code text latitude numeric city text"},
		{"vega-datasets", "airports.csv", ",", withHeader, "iata text latitude numeric longitude numeric"},
		{"vega-datasets", "weather.csv", ",", withHeader, "location text date date precipitation numeric wind numeric weather text"},
		{"vega-datasets", "unemployment.tsv", "\t", withHeader, "id bigint rate numeric"},
		{"vega-datasets", "stocks.csv", ",", withHeader, "symbol text date text price numeric"},
		{"world-cities", "world-cities.csv", ",", withHeader, "name text country text geonameid bigint"},
		{"sp500-companies", "constituents.csv", ",", withHeader, "symbol text cik bigint founded text"},
		{"openflights", "airports.dat", ",", headless, "fa bigint fb text fg numeric fi bigint fl text"},
		{"openflights", "routes.dat", ",", headless, "fa text fb text fc text fh bigint"},
		{"covid19-csse-original", "csse_covid_19_daily_reports/*.csv", ",", withHeader, "province/state text confirmed bigint latitude numeric"},
		{"covid19-csse-original", "archived_data/archived_daily_case_updates/*.csv", ",", withHeader, "country/region text deaths bigint"},
		{"noaa-lcd-share", "*/*.csv", ",", withHeader, "station text date timestamp latitude numeric"},
		{"fivethirtyeight/bechdel", "*.csv", ",", withHeader, "year bigint imdb text budget bigint"},
		{"fivethirtyeight/san-andreas", "*.csv", ",", withHeader, ""},
		{"fivethirtyeight/daily-show-guests", "*.csv", ",", withHeader, ""},
		{"fivethirtyeight/state-of-the-polls-2024", "*.csv", ",", withHeader, "pollster_name text start_date text tracking boolean"},
	}
	for _, test := range tests {
		t.Run(test.set+"/"+test.glob, func(t *testing.T) {
			paths, _ := filepath.Glob(filepath.Join(temptest.Corpus(t, "corpus/"+test.set), test.glob))
			dialect, s := survey(t, paths, test.given, infer.Options{LowerCase: true})
			if dialect.Delimiter != test.delimiter {
				t.Errorf("delimiter %q, want %q", dialect.Delimiter, test.delimiter)
			}
			for _, shape := range s.Shapes() {
				t.Logf("%d files: %q", shape.Files, shape.Columns)
			}
			got := byName(t, s.Columns())
			want := strings.Fields(test.want)
			for i := 0; i < len(want); i += 2 {
				if got[want[i]].Type != want[i+1] {
					t.Errorf("%s is %q, want %s: %s", want[i], got[want[i]].Type, want[i+1], got[want[i]].Evidence)
				}
			}
		})
	}
}
