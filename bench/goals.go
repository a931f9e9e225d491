package main

import (
	"fmt"
	"math"
	"slices"
)

// goal is a measure that must not be above a limit.
type goal struct {
	Measure string
	Limit   float64
	Unit    string // "": a ratio
	value   func(*Results) (float64, bool)
}

// verdict is a goal beside what was measured on the versions of Postgres.
type verdict struct {
	goal
	Cells  []cell
	Reason string // why it is not met, where it is not and somebody knows
}

// cell is what was measured on one version.
type cell struct {
	Value    float64
	Measured bool
	goal     goal
}

func (c cell) word() string {
	switch {
	case !c.Measured:
		return "not measured"
	case c.Value <= c.goal.Limit:
		return "met"
	}
	return "missed"
}

func (c cell) figure() string {
	if !c.Measured {
		return "–"
	}
	return number(c.Value) + c.goal.Unit
}

func (v verdict) met() bool {
	return !slices.ContainsFunc(v.Cells, func(c cell) bool { return c.word() != "met" })
}

func (v verdict) String() string {
	s := fmt.Sprintf("%-75s goal %7s:", v.Measure, number(v.Limit)+v.Unit)
	for _, c := range v.Cells {
		s += fmt.Sprintf("  %7s %s", c.figure(), c.word())
	}
	return s
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

// besideAnalyze is ratio to a case that leaves ANALYZE to others, with what that costs.
func besideAnalyze(of figure, this, that string) func(*Results) (float64, bool) {
	compare := ratio(func(s Sample) float64 { return of(s) + s.Analyze }, this, that)
	return func(r *Results) (float64, bool) {
		v, ok := compare(r)
		base, _ := r.find(that)
		return v, ok && base.median().Analyze > 0
	}
}

// ratio compares a figure of two cases, which one run must have measured.
func ratio(of figure, this, that string) func(*Results) (float64, bool) {
	return func(r *Results) (float64, bool) {
		a, haveA := r.find(this)
		b, haveB := r.find(that)
		base := of(b.median())
		return of(a.median()) / base, haveA && haveB && a.Run == b.Run && base > 0
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
	{"database CPU against psql and its ANALYZE, float8", 0.65, "", besideAnalyze(server, oneByOne, "psql float8 one.csv 1")},
	{"database CPU against psql and its ANALYZE, numeric", 0.75, "", besideAnalyze(server, "bucketload numeric files 1", "psql numeric one.csv 1")},
	{"total CPU against psql and its ANALYZE, float8", 0.80, "", besideAnalyze(total, oneByOne, "psql float8 one.csv 1")},
	{"total CPU against psql and its ANALYZE, numeric", 0.90, "", besideAnalyze(total, "bucketload numeric files 1", "psql numeric one.csv 1")},
	{"wall, 2 connections, from a directory, against the best peer, float8", 0.80, "", againstBest},
	{"database CPU against the replayed stream, float8", 1.10, "", ratio(server, oneByOne, "floor float8 files 1")},
	{"database CPU against the replayed stream, numeric", 1.10, "", ratio(server, "bucketload numeric files 1", "floor numeric files 1")},
	{"database CPU against the replayed stream and its ANALYZE, float8", 1.10, "", besideAnalyze(server, oneByOne, "floor float8 files 1")},
	{"database CPU against psql, taxi", 0.65, "", ratio(server, "bucketload taxi one.csv 1", "psql taxi one.csv 1")},
	{"total CPU against psql, taxi", 0.80, "", ratio(total, "bucketload taxi one.csv 1", "psql taxi one.csv 1")},
	{"database CPU against the replayed stream, taxi", 1.10, "", ratio(server, "bucketload taxi one.csv 1", "floor taxi one.csv 1")},
	{"client CPU against the database's, float8", 0.50, "", clientShare("float8")},
	{"client CPU against the database's, numeric", 0.50, "", clientShare("numeric")},
	{"total CPU against psql, all text", 1.10, "", ratio(total, "bucketload text files 1", "psql text one.csv 1")},
	{"total CPU against psql and its ANALYZE, all text", 1.10, "", besideAnalyze(total, "bucketload text files 1", "psql text one.csv 1")},
	{"total CPU, S3 against directory, one big object", 1.15, "", ratio(total, oneCSV+" s3", oneCSV)},
	{"total CPU, S3 against directory, all objects", 1.35, "", ratio(total, oneByOne+" s3", oneByOne)},
	{"wall, S3 with 30 ms for each request against 0 ms, 2 connections", 1.30, "",
		ratio(wall, "bucketload float8 files 2 s3 30ms", "bucketload float8 files 2 s3")},
	{"total CPU, gzip against plain CSV", 1.50, "", ratio(total, "bucketload float8 one.csv.gz 1", oneCSV)},
	{"total CPU, zstd against plain CSV", 1.20, "", ratio(total, "bucketload float8 one.csv.zst 1", oneCSV)},
	{"total CPU, Parquet against CSV", 1.00, "", ratio(total, "bucketload float8 one.parquet 1", oneCSV)},
	{"client CPU, NDJSON against CSV", 3.00, "", ratio(client, "bucketload float8 one.ndjson 1", oneCSV)},
	{"wall, one big CSV in parts, 2 connections against 1", 0.80, "", ratio(wall, "bucketload big one.csv 2", "bucketload big one.csv 1")},
	{"peak memory of bucketload, all cases", 256, " MiB", peak},
	{"many tiny files: CPU of planning and of the ledger in the database, each", 100, " µs", perPlannedFile},
	{"many tiny files: CPU beyond that of the same rows in one file, each", 100, " µs", perTinyFile},
	{"wall against rows: exponent", 1.10, "", exponent(curveRows, wall)},
	{"peak memory against rows: exponent", 0.10, "", exponent(curveRows, memory)},
	{"plan's wall against files listed: exponent", 1.10, "", exponent(curveFiles, wall)},
	{"plan's peak memory against files listed: exponent", 0.10, "", exponent(curveFiles, memory)},
}

func memory(s Sample) float64 { return s.Memory }

// exponent is that of a curve of the cost.
func exponent(curve string, of figure) func(*Results) (float64, bool) {
	return func(r *Results) (float64, bool) {
		for _, c := range r.Curves {
			if c.Name == curve {
				return c.exponent(of)
			}
		}
		return 0, false
	}
}

// perPlannedFile is in microseconds: what a plan of the most files costs each of
// them, and what the database has to do for a tiny file beyond that for its rows.
func perPlannedFile(r *Results) (float64, bool) {
	many, haveMany := r.find("bucketload tiny files 1")
	one, haveOne := r.find("bucketload tiny one.csv 1")
	i := slices.IndexFunc(r.Curves, func(c Curve) bool { return c.Name == curveFiles && c.Run == many.Run && len(c.Points) > 0 })
	if !haveMany || !haveOne || i < 0 || many.Run != one.Run {
		return 0, false
	}
	files := float64(r.run(many.Run).Works[workTiny].Files)
	planned := r.Curves[i].Points[len(r.Curves[i].Points)-1]
	return ((server(many.median())-server(one.median()))/files + total(planned.Sample)/planned.N) * 1e6, files > 0
}

// perTinyFile is in microseconds: what planning, the ledger and opening cost a
// file, client and database together.
func perTinyFile(r *Results) (float64, bool) {
	many, haveMany := r.find("bucketload tiny files 1")
	one, haveOne := r.find("bucketload tiny one.csv 1")
	if !haveMany || !haveOne || many.Run != one.Run {
		return 0, false
	}
	files := float64(r.run(many.Run).Works[workTiny].Files)
	return (total(many.median()) - total(one.median())) / files * 1e6, files > 0
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
		m, ok := r.find("bucketload " + types + " files 1")
		s := m.median()
		return s.Client / s.Server, ok && s.Server > 0
	}
}

// againstBest compares with the fastest load of the same rows by another
// program, the floor aside: it is no program that anyone has.
func againstBest(r *Results) (float64, bool) {
	ours, ok := r.find("bucketload float8 files 2")
	best := math.Inf(1)
	for _, m := range r.Cases {
		if m.Peer != "bucketload" && m.Peer != "floor" && m.Work == "float8" && m.Run == ours.Run {
			best = min(best, m.median().Wall)
		}
	}
	return ours.median().Wall / best, ok && !math.IsInf(best, 1)
}

// peak is in MiB, of all rounds and curves.
func peak(r *Results) (most float64, ok bool) {
	see := func(s Sample) { most, ok = max(most, s.Memory/(1<<20)), true }
	for _, m := range r.Cases {
		for _, s := range m.Samples {
			if m.Peer == "bucketload" {
				see(s)
			}
		}
	}
	for _, c := range r.Curves {
		for _, p := range c.Points {
			see(p.Sample)
		}
	}
	return most, ok
}

// judge says of every goal whether it is met. reasons are by measure.
func judge(r *Results, reasons map[string]string) []verdict {
	var all []verdict
	for _, g := range goals {
		v := verdict{goal: g}
		for _, version := range r.versions() {
			c := cell{goal: g}
			c.Value, c.Measured = g.value(r.on(version))
			v.Cells = append(v.Cells, c)
		}
		if !v.met() {
			v.Reason = reasons[g.Measure]
		}
		all = append(all, v)
	}
	return all
}
