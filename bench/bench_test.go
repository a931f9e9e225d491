package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5"
	"github.com/parquet-go/parquet-go"

	"github.com/bucketload/bucketload/internal/temp"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// TestDocument holds the committed pages to the committed results.
func TestDocument(t *testing.T) {
	r, err := readResults(filepath.Join("..", resultsFile))
	if err != nil {
		t.Fatal(err)
	}
	reasons, err := readReasons(filepath.Join("..", reasonsFile))
	if err != nil {
		t.Fatal(err)
	}
	want, err := pages(r, reasons, documentFile)
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join("..", readmeFile))
	if err != nil {
		t.Fatal(err)
	}
	if want[readmeFile], err = withFigures(readme, r); err != nil {
		t.Fatal(err)
	}
	for name, content := range want {
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, content) {
			t.Errorf("%s is not what the results give: go run ./bench -render", name)
		}
		if !strings.HasSuffix(name, ".svg") {
			continue
		}
		for d := xml.NewDecoder(bytes.NewReader(content)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}

var (
	oneByOneCase = loadCase{Peer: "bucketload", Work: "float8", Form: formFiles, Conns: 1}
	psqlCase     = loadCase{Peer: "psql", Work: "float8", Form: formOne, Conns: 1}
)

func TestJudge(t *testing.T) {
	r := &Results{Runs: []Run{{Date: "then", Works: map[string]Size{workTiny: {Files: 1000}}}, {Date: "now"}}}
	r.add(oneByOneCase, "18.1", "then", Sample{Server: 6, Client: 3, WAL: 97, Memory: 300 << 20})
	for _, server := range []float64{100, 10, 9} { // median 10
		r.add(psqlCase, "18.1", "then", Sample{Server: server, Client: 1, WAL: 100, Analyze: 2})
	}
	r.add(loadCase{Peer: "floor", Work: "float8", Form: formFiles, Conns: 1}, "18.1", "now", Sample{Server: 5})
	r.add(loadCase{Peer: "bucketload", Work: workTiny, Form: formFiles, Conns: 1}, "18.1", "then", Sample{Server: 1, Client: 0.5})
	r.add(loadCase{Peer: "bucketload", Work: workTiny, Form: formOne, Conns: 1}, "18.1", "then", Sample{Server: 1, Client: 0.2})
	r.add(oneByOneCase, "15.1", "then", Sample{Server: 6, Client: 3.1})
	curve := Curve{Name: curveRows, Postgres: "15.1", Run: "then"}
	for _, n := range []float64{1, 10, 100, 1000} {
		curve.Points = append(curve.Points, Point{n, Sample{Wall: 5 + n*n, Memory: 7 << 20}})
	}
	r.add(psqlCase, "15.1", "then", Sample{Server: 10, Client: 1})
	r.add(loadCase{Peer: "bucketload", Work: workTiny, Form: formFiles, Conns: 1}, "15.1", "then", Sample{Server: 1})
	r.add(loadCase{Peer: "bucketload", Work: workTiny, Form: formOne, Conns: 1}, "15.1", "then", Sample{Server: 1})
	listed := Curve{Name: curveFiles, Postgres: "18.1", Run: "then", Points: []Point{{10, Sample{Client: 9}}, {1000, Sample{Client: 0.05}}}}
	others := listed
	others.Postgres, others.Run = "15.1", "now"
	r.Curves = []Curve{curve, listed, others}
	want := map[string]string{ // on 15.1, then 18.1
		"database CPU against psql, float8":                                        "0.60 met, 0.60 met",
		"database CPU against psql, numeric":                                       "– not measured, – not measured",
		"WAL against psql, float8: difference":                                     "– not measured, 3.00 % met",
		"total CPU against psql, float8":                                           "0.83 missed, 0.82 missed",
		"client CPU against the database's, float8":                                "0.52 missed, 0.50 met",
		"database CPU against psql and its ANALYZE, float8":                        "– not measured, 0.50 met",  // there nobody has measured it
		"many tiny files: CPU of planning and of the ledger in the database, each": "– not measured, 50 µs met", // the curve there is another run's
		"peak memory of bucketload, all cases":                                     "7.00 MiB met, 300 MiB missed",
		"many tiny files: CPU beyond that of the same rows in one file, each":      "0.00 µs met, 300 µs missed",
		"database CPU against the replayed stream, float8":                         "– not measured, – not measured", // another run's
		"wall against rows: exponent":                                              "1.99 missed, – not measured",
		"peak memory against rows: exponent":                                       "0.00 met, – not measured",
	}
	for _, v := range judge(r, map[string]string{"total CPU against psql, float8": "why"}) {
		if w, ok := want[v.Measure]; ok && w != v.Cells[0].figure()+" "+v.Cells[0].word()+", "+v.Cells[1].figure()+" "+v.Cells[1].word() {
			t.Errorf("want %s: %v", w, v)
		}
		if (v.Reason == "why") != (v.Measure == "total CPU against psql, float8") {
			t.Errorf("%s has the reason %q", v.Measure, v.Reason)
		}
		delete(want, v.Measure)
	}
	if len(want) > 0 {
		t.Errorf("no such goals: %v", want)
	}
}

// TestGoalsNameCases: a goal about a case that is never run would be
// "not measured" for ever.
func TestGoalsNameCases(t *testing.T) {
	r := &Results{Runs: []Run{{Works: map[string]Size{workTiny: {Files: 1}}}}}
	seen := map[string]bool{}
	for _, c := range cases {
		if seen[c.Name()] {
			t.Errorf("two cases are %q", c.Name())
		}
		seen[c.Name()] = true
		r.add(c, "18.1", "", Sample{Wall: 1, Client: 1, Server: 1, Analyze: 1, WAL: 1, Memory: 1})
		if _, is := peers[c.Peer]; !is {
			t.Errorf("no program %s", c.Peer)
		}
	}
	points := []Point{{10, Sample{Wall: 1, Memory: 1}}, {100, Sample{Wall: 2, Memory: 1}}, {1000, Sample{Wall: 3, Memory: 1}}}
	r.Curves = []Curve{{Name: curveRows, Postgres: "18.1", Points: points}, {Name: curveFiles, Postgres: "18.1", Points: points}}
	for _, v := range judge(r, nil) {
		if !v.Cells[0].Measured {
			t.Errorf("%s: %s", v.Measure, v.Cells[0].word())
		}
	}
}

// TestResultsOfParts: a later run of parts replaces those, on its version of
// Postgres, and nothing else.
func TestResultsOfParts(t *testing.T) {
	old := &Results{Runs: []Run{{Date: "1"}, {Date: "2"}}}
	old.add(psqlCase, "18.1", "1", Sample{Wall: 1})
	old.add(oneByOneCase, "18.1", "2", Sample{Wall: 2})
	old.Curves = []Curve{{Name: curveRows, Postgres: "18.1", Run: "2"}}
	again := &Results{Runs: []Run{{Date: "3"}}, Absent: []Absent{{Name: psqlCase.Name(), Postgres: "18.1", Run: "3", Reason: "gone"}}}
	again.add(oneByOneCase, "15.1", "3", Sample{Wall: 3})
	again.add(oneByOneCase, "18.1", "3", Sample{Wall: 4})
	r := old.without(again).and(again)
	var got []string
	for _, m := range r.Cases {
		got = append(got, fmt.Sprint(m.Name, " ", m.Postgres, " ", m.Run, " ", m.median().Wall))
	}
	for _, run := range r.Runs {
		got = append(got, run.Date)
	}
	want := []string{oneByOne + " 15.1 3 3", oneByOne + " 18.1 3 4", "2", "3"} // the curve is still the second run's
	if !slices.Equal(got, want) || len(r.Curves) != 1 || len(r.Absent) != 1 {
		t.Errorf("got %v, want %v; %d curves, %d absent", got, want, len(r.Curves), len(r.Absent))
	}
}

// TestTaxi reads generated trips back.
func TestTaxi(t *testing.T) {
	dir := t.TempDir()
	w, err := taxi(filepath.Join(dir, "a"), 101, 0, 2)
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(w.dir, formOne))
	if err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(bytes.NewReader(content)).ReadAll()
	if err != nil || int64(len(records)-1) != w.rows || w.rows != 101 || int64(len(content)) != w.bytes || w.files != 51 {
		t.Fatalf("%d records in %d bytes, %v; told %+v", len(records), len(content), err, w)
	}
	var cents, rows int64
	for _, r := range records[1:] {
		amount, err := strconv.ParseFloat(r[16], 64)
		if err != nil || r[1] >= r[2] {
			t.Errorf("%v: %v", r, err)
		}
		cents += int64(math.Round(amount * 100))
	}
	if cents != w.sum {
		t.Errorf("a sum of %d, told %d", cents, w.sum)
	}
	files, _ := filepath.Glob(filepath.Join(w.dir, formFiles, "*.csv"))
	for _, f := range files {
		part, err := os.ReadFile(f)
		if err != nil || !bytes.HasPrefix(content, part[:bytes.IndexByte(part, '\n')]) {
			t.Fatalf("%s: %s, %v", f, part, err)
		}
		rows += int64(bytes.Count(part, []byte("\n")) - 1)
	}
	if len(files) != w.files || rows != w.rows {
		t.Errorf("%d rows in %d files", rows, len(files))
	}
	if big, err := taxi(filepath.Join(dir, "b"), 0, w.bytes, 0); err != nil || big.rows != w.rows || big.sum != w.sum {
		t.Errorf("as many bytes are %+v, %v; want %+v", big, err, w)
	}
}

// TestLister lists and reads with the client that bucketload has.
func TestLister(t *testing.T) {
	server := httptest.NewServer(lister(2345))
	defer server.Close()
	client := s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: &server.URL, UsePathStyle: true, Credentials: aws.AnonymousCredentials{}})
	bucket, prefix, pages := "bench", "listed/", 0
	var keys []string
	for p := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix}); p.HasMorePages(); pages++ {
		page, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			if *o.Size != int64(len(listedContent)) {
				t.Fatalf("%s has %d bytes", *o.Key, *o.Size)
			}
			keys = append(keys, *o.Key)
		}
	}
	if pages != 3 || len(keys) != 2345 || !slices.IsSorted(keys) || len(slices.Compact(keys)) != 2345 {
		t.Errorf("%d keys on %d pages", len(keys), pages)
	}
	object, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &keys[7]})
	if err != nil {
		t.Fatal(err)
	}
	defer object.Body.Close()
	if content, err := io.ReadAll(object.Body); err != nil || !bytes.Equal(content, listedContent) {
		t.Errorf("%q, %v", content, err)
	}
}

// TestRecorder: what a client copied comes again by replay, on one connection
// or several.
func TestRecorder(t *testing.T) {
	majors := temptest.Majors(t)
	dsn := temptest.Database(t, majors[len(majors)-1])
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "CREATE TABLE public.bench (n int, s text)"); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	r, err := startRecorder(u.Host, "public", dir)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = r.address()
	for range 2 {
		client, err := pgx.Connect(t.Context(), u.String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Exec(t.Context(), "CREATE TEMPORARY TABLE other (n int)"); err != nil {
			t.Fatal(err)
		}
		long := strings.Repeat("x", 200_000)
		for _, stream := range []string{"1\tone\n2\ttwo\n", "", "3\t" + long + "\n"} {
			if _, err := client.PgConn().CopyFrom(t.Context(), strings.NewReader(stream), `COPY "public"."bench" ("n", "s") FROM STDIN`); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := client.CopyFrom(t.Context(), pgx.Identifier{"pg_temp", "other"}, []string{"n"}, pgx.CopyFromRows([][]any{{1}})); err != nil {
			t.Fatal(err)
		}
		if err := client.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	state := func() (s string) {
		if err := conn.QueryRow(t.Context(), "SELECT count(*) || ' ' || sum(n) || ' ' || sum(length(s)) FROM public.bench").Scan(&s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	want := state()
	if _, err := conn.Exec(t.Context(), "TRUNCATE public.bench"); err != nil {
		t.Fatal(err)
	}
	if err := replay(t.Context(), []string{dsn, dir}); err != nil {
		t.Fatal(err)
	}
	if got := state(); got != want || want != "6 12 400012" {
		t.Errorf("replayed %s, recorded %s", got, want)
	}
}

// TestTreeTime burns CPU in a child that has ended and one that runs.
func TestTreeTime(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("the bench is for Linux: ", err)
	}
	const loop = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"
	cmd := exec.Command("sh", "-c", "sh -c '"+loop+"'; echo ended; sh -c '"+loop+"; echo burnt; read x'; exit 0")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said [len("ended\n")]byte
	if _, err := io.ReadFull(out, said[:]); err != nil {
		t.Fatal(err)
	}
	first := treeTime(cmd.Process.Pid)
	if _, err := io.ReadFull(out, said[:]); err != nil {
		t.Fatal(err)
	}
	own, _ := processTime(cmd.Process.Pid)
	if both := treeTime(cmd.Process.Pid); first <= 0 || both <= first || both <= own {
		t.Errorf("%v s when one child has ended, %v s with another that runs; its own and ended ones' %v s", first, both, own)
	}
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if got := treeTime(cmd.Process.Pid); got != 0 {
		t.Errorf("a process that is gone took %v s", got)
	}
}

// TestForms reads the forms of generated stations back.
func TestForms(t *testing.T) {
	source, d := t.TempDir(), &data{dir: t.TempDir()}
	if err := os.Mkdir(filepath.Join(d.dir, formFiles), 0o755); err != nil {
		t.Fatal(err)
	}
	w, err := newForms(d.dir)
	if err != nil {
		t.Fatal(err)
	}
	i := 0
	for name, content := range temp.Stations(6, 1, 20) { // the seventh has another order
		path := filepath.Join(source, name)
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := d.take(path, w, i/3); err != nil {
			t.Fatal(err)
		}
		i++
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	truth := temp.StationsTruth(6, 1, 20)
	if d.rows != truth.Rows || d.tenths != truth.Sum["TEMP"]+99999*truth.Sentinels["TEMP"] {
		t.Errorf("counted %d rows, %d tenths; want %+v", d.rows, d.tenths, truth)
	}
	f, err := os.Open(filepath.Join(d.dir, formOne))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	if err != nil || int64(len(records)-1) != truth.Rows {
		t.Fatalf("%d records, %v", len(records), err)
	}
	j, err := os.Open(filepath.Join(d.dir, formJSON))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	dec := json.NewDecoder(j)
	for _, want := range records[1:] {
		var got map[string]any
		if err := dec.Decode(&got); err != nil {
			t.Fatal(err)
		}
		if got["STATION"] != want[0] || got["NAME"] != want[5] || got["TEMP_ATTRIBUTES"] != want[7] {
			t.Fatalf("got %v, want %v", got, want)
		}
		if _, ok := got["TEMP"].(float64); !ok {
			t.Fatalf("TEMP is %T", got["TEMP"])
		}
	}
	columns, err := parquet.ReadFile[struct {
		NAME *string  `parquet:"NAME,optional"`
		TEMP *float64 `parquet:"TEMP,optional"`
		LAT  *float64 `parquet:"LATITUDE,optional"`
	}](filepath.Join(d.dir, formParquet))
	if err != nil || len(columns) != len(records)-1 {
		t.Fatalf("%d rows of Parquet, %v", len(columns), err)
	}
	for i, want := range records[1:] {
		got := columns[i]
		if *got.NAME != want[5] || fmt.Sprintf("%6.1f", *got.TEMP) != want[6] || (got.LAT == nil) != (want[2] == "") {
			t.Fatalf("row %d: got %v %v %v, want %v", i, *got.NAME, *got.TEMP, got.LAT, want)
		}
	}
}

func TestMain(m *testing.M) { os.Exit(temptest.Run(m)) }
