package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
)

// Curve is what bucketload costs as the work grows.
type Curve struct {
	Name     string  `json:"name"`
	Unit     string  `json:"unit"` // of N
	Postgres string  `json:"postgres"`
	Run      string  `json:"run"`
	Points   []Point `json:"points"` // by N, ascending
}

// Point is the sample of a work of N.
type Point struct {
	N float64 `json:"n"`
	Sample
}

// The curves, by name.
const (
	curveRows  = "rows"
	curveFiles = "files"
)

// curve measures one at the given sizes.
func (b *bench) curve(ctx context.Context, name string, sizes []int64) (Curve, error) {
	measure, unit := b.loadRows, "rows loaded"
	if name == curveFiles {
		measure, unit = b.planFiles, "files listed"
	}
	c := Curve{Name: name, Unit: unit}
	for _, n := range sizes {
		s, err := measure(ctx, n)
		if err != nil {
			return c, fmt.Errorf("%d %s: %w", n, unit, err)
		}
		c.Points = append(c.Points, Point{float64(n), s})
		fmt.Printf("%d %s: %v\n", n, unit, s)
	}
	return c, nil
}

// loadRows loads one CSV of n rows on one connection.
func (b *bench) loadRows(ctx context.Context, n int64) (Sample, error) {
	dir := filepath.Join(b.dir, "curve")
	defer func() { _ = os.RemoveAll(dir) }() // the next one removes it, too
	w, err := taxi(dir, n, 0, 0)
	if err != nil {
		return Sample{}, err
	}
	b.works["curve"] = w
	return b.load(ctx, loadCase{Peer: "bucketload", Work: "curve", Form: formOne, Conns: 1})
}

// planFiles plans a load of n objects that an S3 server lists.
func (b *bench) planFiles(ctx context.Context, n int64) (s Sample, err error) {
	server, url, err := b.startServer(ctx, "list", fmt.Sprint(n))
	if err != nil {
		return s, err
	}
	defer stopServer(server)
	conn, err := b.fresh(ctx)
	if err != nil {
		return s, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only looked
	w := &work{columns: []column{{"id", "integer"}, {"amount", "float8"}}}
	c := loadCase{Peer: "bucketload", Conns: 1, Plan: true}
	limited, cancel := context.WithTimeout(ctx, b.limit)
	defer cancel()
	commands, err := bucketload(limited, loading{bench: b, loadCase: c, work: w, dsn: b.dsn(), from: "s3://bench/listed/", endpoint: url})
	if err != nil {
		return s, err
	}
	return measure(ctx, conn, b.pg.PID(), server.Process.Pid, commands)
}

// fitted is how many of the largest sizes an exponent is fitted to: below them
// what a run costs anyway, whatever its size, hides how the cost grows.
const fitted = 3

// exponent fits y = a·N^k to the largest sizes, by least squares of the
// logarithms, and gives k: 1 is a straight line, 0 is flat.
func (c Curve) exponent(of figure) (k float64, ok bool) {
	points := c.Points[max(0, len(c.Points)-fitted):]
	var x, y, xx, xy float64
	for _, p := range points {
		lx, ly := math.Log(p.N), math.Log(of(p.Sample))
		x, y, xx, xy = x+lx, y+ly, xx+lx*lx, xy+lx*ly
	}
	n := float64(len(points))
	k = (n*xy - x*y) / (n*xx - x*x)
	return k, len(points) == fitted && !math.IsNaN(k) && !math.IsInf(k, 0)
}
