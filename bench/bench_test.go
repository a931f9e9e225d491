package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/bucketload/bucketload/internal/temp"
)

// TestDocument holds the committed pages to the committed results.
func TestDocument(t *testing.T) {
	r, err := readResults(filepath.Join("..", resultsFile))
	if err != nil {
		t.Fatal(err)
	}
	want, err := pages(r, documentFile)
	if err != nil {
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

func TestJudge(t *testing.T) {
	r := &Results{}
	r.add(loadCase{Name: oneByOne, Peer: "bucketload", Types: "float8"}, Sample{Server: 6, Client: 3, WAL: 97, Memory: 300 << 20})
	psql := loadCase{Name: "psql float8 one.csv 1", Peer: "psql", Types: "float8"}
	for _, server := range []float64{100, 10, 9} { // median 10
		r.add(psql, Sample{Server: server, Client: 1, WAL: 100})
	}
	want := map[string]string{
		"database CPU against psql, float8":                "0.60 met",
		"database CPU against psql, numeric":               "– not measured",
		"WAL against psql, float8: difference":             "3.00 % met",
		"total CPU against psql, float8":                   "0.82 missed",
		"client CPU against the database's, float8":        "0.50 met",
		"peak memory of bucketload, all cases":             "300 MiB missed",
		"100,000 tiny files, planning and ledger, each":    "– not measured",
		"database CPU against the replayed stream, float8": "– not measured",
		"wall, one CSV in parts, 2 connections against 1":  "– not measured",
	}
	for _, v := range judge(r) {
		if w, ok := want[v.Measure]; ok && w != v.figure()+" "+v.word() {
			t.Errorf("%s: %s %s, want %s", v.Measure, v.figure(), v.word(), w)
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
	r := &Results{}
	for _, c := range cases {
		r.add(c, Sample{Wall: 1, Client: 1, Server: 1, WAL: 1, Memory: 1})
	}
	for _, v := range judge(r) {
		never := strings.Contains(v.Measure, "tiny")
		if v.Measured == never {
			t.Errorf("%s: %s", v.Measure, v.word())
		}
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
