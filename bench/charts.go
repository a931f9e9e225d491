package main

import (
	_ "embed"
	"fmt"
	"math"
	"strings"
)

//go:embed bars.svg.tmpl
var barsPlot string

//go:embed curve.svg.tmpl
var curvePlot string

//go:embed style.svg.tmpl
var stylePlot string

// chart is a plot of CPU seconds: a bar for each case, the database's part
// first. Lengths are in the SVG's units.
type chart struct {
	Title         string
	Width, Height int
	Bars          []bar
}

type bar struct {
	Label                        string
	Y, TextY                     int
	Server, Client, Middle, Edge float64 // lengths, and where the second part and the figure begin
	Seconds                      float64
	Cut                          bool // it is longer than it is drawn
}

const (
	chartWidth = 860
	labelWidth = 260
	barStep    = 24
	cutBeyond  = 2 // times the longest bar of bucketload's
)

// chartOf plots the cases of a work on one version of Postgres.
func chartOf(r *Results, work, postgres string) chart {
	all := r.Cases
	r = &Results{} // what the newest run has of the work: bars of two do not compare
	for _, m := range all {
		if m.Work == work && len(r.Cases) > 0 && m.Run > r.Cases[0].Run {
			r.Cases = nil
		}
		if m.Work == work && (len(r.Cases) == 0 || m.Run == r.Cases[0].Run) {
			r.Cases = append(r.Cases, m)
		}
	}
	c := chart{Title: "CPU seconds of database and client: " + work + ", PostgreSQL " + postgres, Width: chartWidth}
	ours, longest := 0.0, 0.0
	for _, m := range r.Cases {
		longest = max(longest, total(m.median()))
		if m.Peer == "bucketload" {
			ours = max(ours, total(m.median()))
		}
	}
	if ours > 0 {
		longest = min(longest, cutBeyond*ours)
	}
	y := 40
	for _, m := range r.Cases {
		s, unit := m.median(), 0.0
		if longest > 0 {
			unit = (chartWidth - labelWidth - 70) / longest
		}
		server := min(s.Server, longest)
		client := min(s.Client, longest-server)
		c.Bars = append(c.Bars, bar{Label: m.Name, Y: y, TextY: y + 13, Server: server * unit, Client: client * unit,
			Middle: labelWidth + server*unit, Edge: labelWidth + (server+client)*unit + 6, Seconds: total(s), Cut: total(s) > longest})
		y += barStep
	}
	c.Height = y + 10
	return c
}

// curveChart is a plot of a curve, both axes logarithmic and of the same
// length for a decade, so that a straight line of exponent 1 has 45 degrees.
type curveChart struct {
	Title         string
	Width, Height int
	Grid          []gridLine
	Lines         []curveLine
}

type gridLine struct {
	X1, Y1, X2, Y2, TextX, TextY float64
	Anchor, Label                string
}

type curveLine struct {
	Label, Class, Points string
	Dots                 []dot
	LegendX, LegendTextX float64
}

type dot struct{ X, Y float64 }

const (
	decade     = 70.0 // length
	plotLeft   = 60.0
	plotTop    = 56.0
	plotBottom = 36.0
)

func plotOf(c Curve) curveChart {
	lines := []struct {
		label, class string
		of           figure
	}{
		{"wall, s", "a", wall},
		{"peak memory, MiB", "b", func(s Sample) float64 { return s.Memory / (1 << 20) }},
	}
	left, right, low, high := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1) // decades
	for _, p := range c.Points {
		left, right = min(left, math.Floor(math.Log10(p.N))), max(right, math.Ceil(math.Log10(p.N)))
		for _, l := range lines {
			v := math.Log10(max(l.of(p.Sample), 1e-3)) // a log has no zero
			low, high = min(low, math.Floor(v)), max(high, math.Ceil(v))
		}
	}
	x := func(log float64) float64 { return plotLeft + (log-left)*decade }
	y := func(log float64) float64 { return plotTop + (high-log)*decade }
	chart := curveChart{Title: "Cost against " + c.Unit + ", PostgreSQL " + c.Postgres,
		Width: int(max(480, x(right)+plotLeft)), Height: int(y(low) + plotBottom)}
	for d := left; d <= right; d++ {
		chart.Grid = append(chart.Grid, gridLine{x(d), y(low), x(d), y(high), x(d), y(low) + 18, "middle", fmt.Sprintf("%.0f", math.Pow(10, d))})
	}
	for d := low; d <= high; d++ {
		chart.Grid = append(chart.Grid, gridLine{x(left), y(d), x(right), y(d), plotLeft - 8, y(d) + 4, "end", fmt.Sprintf("%g", math.Pow(10, d))})
	}
	for i, l := range lines {
		line := curveLine{Label: l.label, Class: l.class, LegendX: 8 + 210*float64(i)}
		line.LegendTextX = line.LegendX + 17
		if k, ok := c.exponent(l.of); ok {
			line.Label += fmt.Sprintf(" (exponent %.2f)", k)
		}
		var points []string
		for _, p := range c.Points {
			at := dot{x(math.Log10(p.N)), y(math.Log10(max(l.of(p.Sample), 1e-3)))}
			line.Dots = append(line.Dots, at)
			points = append(points, fmt.Sprintf("%.1f,%.1f", at.X, at.Y))
		}
		line.Points = strings.Join(points, " ")
		chart.Lines = append(chart.Lines, line)
	}
	return chart
}
