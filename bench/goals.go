package main

import (
	"fmt"
	"math"
)

// goal is a measure that must not be above a limit.
type goal struct {
	Measure string
	Limit   float64
	Unit    string // "": a ratio
	value   func(*Results) (float64, bool)
}

// verdict is a goal beside what was measured.
type verdict struct {
	goal
	Value    float64
	Measured bool
}

func (v verdict) word() string {
	switch {
	case !v.Measured:
		return "not measured"
	case v.Value <= v.Limit:
		return "met"
	}
	return "missed"
}

func (v verdict) String() string {
	return fmt.Sprintf("%-75s %7s, goal %7s  %s", v.Measure, v.figure(), number(v.Limit)+v.Unit, v.word())
}

func (v verdict) figure() string {
	if !v.Measured {
		return "–"
	}
	return number(v.Value) + v.Unit
}

func number(f float64) string {
	if f >= 10 {
		return fmt.Sprintf("%.0f", f)
	}
	return fmt.Sprintf("%.2f", f)
}

type figure func(Sample) float64

func wall(s Sample) float64   { return s.Wall }
func client(s Sample) float64 { return s.Client }
func server(s Sample) float64 { return s.Server }
func total(s Sample) float64  { return s.Client + s.Server }

// ratio compares a figure of two cases.
func ratio(of figure, this, that string) func(*Results) (float64, bool) {
	return func(r *Results) (float64, bool) {
		a, haveA := r.median(this)
		b, haveB := r.median(that)
		return of(a) / of(b), haveA && haveB && of(b) > 0
	}
}

// Names of cases that goals are about.
const (
	oneByOne = "bucketload float8 files 1"
	oneCSV   = "bucketload float8 one.csv 1"
)

var goals = []goal{
	{"database CPU against psql, float8", 0.65, "", ratio(server, oneByOne, "psql float8 one.csv 1")},
	{"database CPU against psql, numeric", 0.75, "", ratio(server, "bucketload numeric files 1", "psql numeric one.csv 1")},
	{"WAL against psql, float8: difference", 5, " %", walDifference("float8")},
	{"WAL against psql, numeric: difference", 5, " %", walDifference("numeric")},
	{"total CPU against psql, float8", 0.80, "", ratio(total, oneByOne, "psql float8 one.csv 1")},
	{"total CPU against psql, numeric", 0.90, "", ratio(total, "bucketload numeric files 1", "psql numeric one.csv 1")},
	{"wall, 2 connections, from a directory, against the best peer, float8", 0.80, "", againstBest},
	{"database CPU against the replayed stream, float8", 1.10, "", ratio(server, oneByOne, "floor float8 files 1")},
	{"database CPU against the replayed stream, numeric", 1.10, "", ratio(server, "bucketload numeric files 1", "floor numeric files 1")},
	{"client CPU against the database's, float8", 0.50, "", clientShare("float8")},
	{"client CPU against the database's, numeric", 0.50, "", clientShare("numeric")},
	{"total CPU against psql, all text", 1.10, "", ratio(total, "bucketload text files 1", "psql text one.csv 1")},
	{"total CPU, S3 against directory, one big object", 1.15, "", ratio(total, oneCSV+" s3", oneCSV)},
	{"total CPU, S3 against directory, all objects", 1.35, "", ratio(total, oneByOne+" s3", oneByOne)},
	{"wall, S3 with 30 ms for each request against 0 ms, 2 connections", 1.30, "",
		ratio(wall, "bucketload float8 files 2 s3 30ms", "bucketload float8 files 2 s3")},
	{"total CPU, gzip against plain CSV", 1.50, "", ratio(total, "bucketload float8 one.csv.gz 1", oneCSV)},
	{"total CPU, zstd against plain CSV", 1.20, "", ratio(total, "bucketload float8 one.csv.zst 1", oneCSV)},
	{"total CPU, Parquet against CSV", 1.00, "", ratio(total, "bucketload float8 one.parquet 1", oneCSV)},
	{"client CPU, NDJSON against CSV", 3.00, "", ratio(client, "bucketload float8 one.ndjson 1", oneCSV)},
	{"wall, one CSV in parts, 2 connections against 1", 0.80, "", ratio(wall, "bucketload float8 one.csv 2", oneCSV)},
	{"peak memory of bucketload, all cases", 256, " MiB", peak},
	{"100,000 tiny files, planning and ledger, each", 100, " µs", func(*Results) (float64, bool) { return 0, false }},
}

func walDifference(types string) func(*Results) (float64, bool) {
	against := ratio(func(s Sample) float64 { return s.WAL }, "bucketload "+types+" files 1", "psql "+types+" one.csv 1")
	return func(r *Results) (float64, bool) {
		v, ok := against(r)
		return math.Abs(v-1) * 100, ok
	}
}

func clientShare(types string) func(*Results) (float64, bool) {
	return func(r *Results) (float64, bool) {
		s, ok := r.median("bucketload " + types + " files 1")
		return s.Client / s.Server, ok && s.Server > 0
	}
}

// againstBest compares with the fastest load of another program into the same
// types, the floor aside: it is no program that anyone has.
func againstBest(r *Results) (float64, bool) {
	best := math.Inf(1)
	for _, m := range r.Cases {
		if m.Peer != "bucketload" && m.Peer != "floor" && m.Types == "float8" {
			best = min(best, m.median().Wall)
		}
	}
	s, ok := r.median("bucketload float8 files 2")
	return s.Wall / best, ok && !math.IsInf(best, 1)
}

// peak is in MiB, of all rounds.
func peak(r *Results) (most float64, ok bool) {
	for _, m := range r.Cases {
		if m.Peer != "bucketload" {
			continue
		}
		for _, s := range m.Samples {
			most, ok = max(most, s.Memory/(1<<20)), true
		}
	}
	return most, ok
}

// judge says of every goal whether it is met.
func judge(r *Results) []verdict {
	var all []verdict
	for _, g := range goals {
		v := verdict{goal: g}
		v.Value, v.Measured = g.value(r)
		all = append(all, v)
	}
	return all
}
