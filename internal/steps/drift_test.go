package steps

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// dailyReports gives the files of the COVID-19 daily reports by name, and what
// encoding/csv makes of them: rows, and sums by header.
func dailyReports(t *testing.T) (files map[string]string, rows int, sums map[string]float64) {
	dir := temptest.Corpus(t, "corpus/covid19-csse-original")
	files, sums = map[string]string{}, map[string]float64{}
	for _, glob := range []string{"csse_covid_19_daily_reports/*.csv", "archived_data/archived_daily_case_updates/*.csv"} {
		paths, err := filepath.Glob(filepath.Join(dir, glob))
		if err != nil || len(paths) == 0 {
			t.Fatal(glob, err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files[filepath.Base(filepath.Dir(path))+"/"+filepath.Base(path)] = string(data)
			records, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(data), "\ufeff"))).ReadAll()
			if err != nil {
				t.Fatal(path, err)
			}
			rows += len(records) - 1
			for _, record := range records[1:] {
				for i, value := range record {
					if n, err := strconv.ParseFloat(value, 64); err == nil {
						sums[records[0][i]] += n
					}
				}
			}
		}
	}
	return files, rows, sums
}

// TestDriftingReports: files of a year of changes to their header are one
// table. Those with the marks of a merge conflict are rejected.
func TestDriftingReports(t *testing.T) {
	t.Parallel()
	files, rows, sums := dailyReports(t)
	column := func(name, typ string, from ...string) bucketload.Column {
		return bucketload.Column{Name: name, Type: typ, From: from}
	}
	configured := []bucketload.Column{
		column("province", "text", "Province/State", "Province_State"), column("country", "text", "Country/Region", "Country_Region"),
		{Name: "updated", Type: "timestamp", From: []string{"Last Update", "Last_Update"},
			Format: []string{"YYYY-MM-DD HH24:MI:SS", `YYYY-MM-DD"T"HH24:MI:SS`, "MM/DD/YY HH24:MI", "MM/DD/YYYY HH24:MI", "MM/DD/YYYY HH24:MI:SS", "MM/DD/YYYY  HH12AM", "MM/DD/YYYY HH12AM"}},
		column("confirmed", "bigint", "Confirmed"), column("deaths", "bigint", "Deaths"), column("recovered", "bigint", "Recovered"),
		column("lat", "numeric", "Latitude", "Lat"), column("long", "numeric", "Longitude", "Long_"),
	}
	conflict := strings.SplitAfter(files["csse_covid_19_daily_reports/03-01-2020.csv"], "\n")
	body := strings.Join(conflict[1:4], "")
	marked := "<<<<<<< HEAD\n" + body + "=======\n" + body + ">>>>>>> upstream/master\n"
	files["conflict/first.csv"] = "<<<<<<< HEAD\n" + strings.Join(conflict, "") + "=======\n" + body
	files["conflict/inside.csv"] = conflict[0] + body + marked
	sum := func(b *bench, column string) float64 {
		n, err := strconv.ParseFloat(b.value("SELECT sum("+column+") FROM "+b.table), 64)
		b.must(err)
		return n
	}
	check := func(b *bench, load *bucketload.Load, shapes int, columns map[string]string) *Preview {
		p, err := b.Preview(t.Context(), load)
		b.must(err)
		if len(p.Shapes) != shapes {
			t.Errorf("%d shapes, want %d", len(p.Shapes), shapes)
		}
		r, err := b.whole(load)
		b.must(err)
		outcomes := b.files(*r.ID)
		if r.Files.Failed != 2 || outcomes["first.csv"].Error.Code != bucketload.CodeNoColumn || outcomes["inside.csv"].Error.Code != bucketload.CodeRagged || outcomes["inside.csv"].Error.Line != 5 {
			t.Errorf("%d files failed: %+v, %+v", r.Files.Failed, outcomes["first.csv"].Error, outcomes["inside.csv"].Error)
		}
		if r.Rows.Loaded != int64(rows) {
			t.Errorf("%d rows, want %d", r.Rows.Loaded, rows)
		}
		for column, header := range columns {
			if got := sum(b, column); fmt.Sprintf("%.3f", got) != fmt.Sprintf("%.3f", sums[header]) {
				t.Errorf("sum of %s %f, want %f", column, got, sums[header])
			}
		}
		return p
	}
	majors := temptest.Majors(t)
	t.Run("configured, the rest rescued", func(t *testing.T) {
		t.Parallel()
		b := sharedBench(t, majors[0])
		load := b.load(files, withColumns(configured...), func(l *bucketload.Load) {
			l.Unknown, l.Missing, l.Lineage = bucketload.PolicyRescue, bucketload.PolicyNull, []string{bucketload.FileColumn}
		})
		check(b, load, 7, map[string]string{"confirmed": "Confirmed", "deaths": "Deaths", "recovered": "Recovered", "lat": "Latitude", "long": "Longitude",
			"(_rescued->>'Suspected')::numeric": "Suspected", "(_rescued->>'ConfnSusp')::numeric": "ConfnSusp"})
		if got := b.value("SELECT count(*) FILTER (WHERE updated IS NULL) || ' ' || min(updated) || ' ' || max(updated) FROM t"); got != "0 2020-01-21 22:00:00 2020-03-22 23:43:03" {
			t.Error(got)
		}
		if got := b.value("SELECT count(DISTINCT _file) FROM t WHERE _rescued ? 'Notes'"); got != "1" {
			t.Errorf("notes in %s files", got)
		}
	})
	t.Run("inferred, on S3", func(t *testing.T) {
		t.Parallel()
		b := sharedBench(t, majors[len(majors)-1])
		load := b.load(files, func(l *bucketload.Load) {
			l.Unknown, l.Missing, l.CSV.Delimiter = bucketload.PolicyAdd, bucketload.PolicyNull, ","
		})
		b.inS3(load)
		check(b, load, 7, map[string]string{"coalesce(confirmed, 0)": "Confirmed", "suspected": "Suspected", "confnsusp": "ConfnSusp", "longitude": "Longitude"})
		if got := b.columnsOf(); !strings.HasPrefix(got, "province/state text, country/region text, last update text, confirmed bigint, deaths bigint, recovered bigint, latitude numeric, longitude numeric, ") {
			t.Error(got)
		}
	})
}
