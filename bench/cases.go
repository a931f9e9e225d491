package main

import (
	"fmt"
	"strings"
)

// loadCase is a load to measure.
type loadCase struct {
	Peer, Work, Form string
	Conns            int
	S3               bool
	Latency          string // of every request to S3, for example 30ms; "": none
	Once             bool   // in the first round only: it is slow
	Plan             bool   // nothing is loaded, only planned
}

// Name is the case's: program, work, form, connections, and what is about S3.
func (c loadCase) Name() string {
	name := fmt.Sprintf("%s %s %s %d", c.Peer, c.Work, c.Form, c.Conns)
	if c.S3 {
		name = strings.TrimSpace(name + " s3 " + c.Latency)
	}
	return name
}

// The works, by name. Those of the weather are named by the type of their numbers.
const (
	workTaxi = "taxi" // a million typed rows
	workBig  = "big"  // the same in one big CSV
	workTiny = "tiny" // the same in many files of two rows
)

// weatherTypes are the works of the weather.
var weatherTypes = []string{"float8", "numeric", "text"}

// cases are in the order of a round.
var cases = func() []loadCase {
	var all []loadCase
	add := func(c loadCase) { all = append(all, c) }
	for _, types := range weatherTypes {
		add(loadCase{Peer: "bucketload", Work: types, Form: formFiles, Conns: 1})
		add(loadCase{Peer: "psql", Work: types, Form: formOne, Conns: 1})
		add(loadCase{Peer: "floor", Work: types, Form: formFiles, Conns: 1})
		add(loadCase{Peer: "server", Work: types, Form: formOne, Conns: 1})
	}
	for _, conns := range []int{2, 4, 8} {
		add(loadCase{Peer: "bucketload", Work: "float8", Form: formFiles, Conns: conns})
	}
	add(loadCase{Peer: "psql", Work: "float8", Form: formHalves, Conns: 2})
	for _, form := range []string{formOne, formGzip, formZstd, formJSON, formParquet} {
		add(loadCase{Peer: "bucketload", Work: "float8", Form: form, Conns: 1})
	}
	for _, form := range []string{formFiles, formOne} {
		add(loadCase{Peer: "bucketload", Work: "float8", Form: form, Conns: 1, S3: true})
	}
	for _, latency := range []string{"", "30ms"} {
		add(loadCase{Peer: "bucketload", Work: "float8", Form: formFiles, Conns: 2, S3: true, Latency: latency})
	}
	for _, peer := range []string{"bucketload", "psql", "floor", "server"} {
		add(loadCase{Peer: peer, Work: workTaxi, Form: formOne, Conns: 1})
	}
	for _, conns := range []int{1, 2} {
		add(loadCase{Peer: "bucketload", Work: workBig, Form: formOne, Conns: conns})
	}
	for _, form := range []string{formFiles, formOne} {
		add(loadCase{Peer: "bucketload", Work: workTiny, Form: form, Conns: 1, Once: true})
	}
	for _, peer := range []string{"pgloader", "duckdb", "duckdb-adbc", "timescaledb-parallel-copy", "dlt", "sling", "ingestr"} {
		c := loadCase{Peer: peer, Work: "float8", Form: formOne, Conns: 1, Once: true}
		if peer == "timescaledb-parallel-copy" || peer == "pgloader" {
			c.Conns = 2 // workers
		}
		add(c)
	}
	return all
}()
