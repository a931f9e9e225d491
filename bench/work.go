package main

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload/internal/temp"
)

// target is the table that every case loads, in a database of its own.
const target = "public.bench"

// work is rows to load: their forms, the columns of the table, and what must be
// in it then.
type work struct {
	dir     string // holds the forms
	columns []column
	sumSQL  string // adds up a column of the table, as an integer
	sum     int64
	files   int // of the form formFiles; 0 where that is not made
	rows    int64
	bytes   int64
}

// column is one of the table: as in the files' header, and its type.
type column struct{ source, kind string }

func (c column) name() string { return strings.ToLower(c.source) }

// weather is the table for the rows of d; types is the type of its numbers, or
// text for all columns.
func (d *data) weather(types string) *work {
	w := &work{dir: d.dir, sumSQL: "sum(temp::numeric * 10)::bigint", sum: d.tenths, files: d.files, rows: d.rows, bytes: d.bytes}
	for _, name := range temp.StationColumns {
		kind := "text"
		switch {
		case types == "text":
		case name == "DATE":
			kind = "date"
		case isNumber(name):
			kind = types
		}
		w.columns = append(w.columns, column{name, kind})
	}
	return w
}

// taxiColumns are those of New York's yellow taxis, which most benchmarks of
// typed rows take. Source: the TLC's "Data Dictionary – Yellow Taxi Trip Records".
var taxiColumns = []column{
	{"VendorID", "integer"}, {"tpep_pickup_datetime", "timestamp"}, {"tpep_dropoff_datetime", "timestamp"},
	{"passenger_count", "integer"}, {"trip_distance", "float8"}, {"RatecodeID", "integer"}, {"store_and_fwd_flag", "text"},
	{"PULocationID", "integer"}, {"DOLocationID", "integer"}, {"payment_type", "integer"}, {"fare_amount", "float8"},
	{"extra", "float8"}, {"mta_tax", "float8"}, {"tip_amount", "float8"}, {"tolls_amount", "float8"},
	{"improvement_surcharge", "float8"}, {"total_amount", "float8"}, {"congestion_surcharge", "float8"}, {"airport_fee", "float8"},
}

// taxi generates rows of taxi trips as one.csv below dir, which it makes anew:
// as many as given, or until there are so many bytes. With perFile above 0 the
// same rows are also below files/, so many in each. The same numbers give the
// same bytes.
func taxi(dir string, rows, bytes int64, perFile int) (w *work, err error) {
	w = &work{dir: dir, columns: taxiColumns, sumSQL: "sum((total_amount::numeric * 100)::bigint)::bigint"}
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, formFiles), 0o755); err != nil {
		return nil, err
	}
	f, err := os.Create(filepath.Join(dir, formOne))
	if err != nil {
		return nil, err
	}
	one := bufio.NewWriterSize(f, 1<<20)
	defer func() { err = errors.Join(err, one.Flush(), f.Close()) }()
	names := make([]string, len(taxiColumns))
	for i, c := range taxiColumns {
		names[i] = c.source
	}
	header := []byte(strings.Join(names, ",") + "\n")
	if _, err := one.Write(header); err != nil {
		return nil, err
	}
	w.bytes = int64(len(header))
	random := rand.New(rand.NewPCG(1, 2))
	var row, file []byte
	for (rows == 0 || w.rows < rows) && (bytes == 0 || w.bytes < bytes) {
		var cents int64
		row, cents = appendTrip(row[:0], random)
		w.rows, w.bytes, w.sum = w.rows+1, w.bytes+int64(len(row)), w.sum+cents
		if _, err := one.Write(row); err != nil {
			return nil, err
		}
		if perFile == 0 {
			continue
		}
		if len(file) == 0 {
			file = append(file, header...)
		}
		file = append(file, row...)
		if w.rows%int64(perFile) == 0 || w.rows == rows {
			path := filepath.Join(dir, formFiles, fmt.Sprintf("%07d.csv", w.files))
			if err := os.WriteFile(path, file, 0o644); err != nil {
				return nil, err
			}
			w.files, file = w.files+1, file[:0]
		}
	}
	return w, nil
}

// appendTrip appends a trip as a line, and gives its total_amount in cents.
func appendTrip(dst []byte, r *rand.Rand) (line []byte, cents int64) {
	integer := func(n int64) { dst = append(strconv.AppendInt(dst, n, 10), ',') }
	hundredths := func(n int64) {
		dst = strconv.AppendInt(dst, n/100, 10)
		if n%100 != 0 {
			dst = append(dst, '.', byte('0'+n%100/10))
			if n%10 != 0 {
				dst = append(dst, byte('0'+n%10))
			}
		}
		dst = append(dst, ',')
	}
	clock := func(seconds int64) {
		dst = append(time.Unix(seconds, 0).UTC().AppendFormat(dst, time.DateTime), ',')
	}
	start := int64(1_640_995_200) + r.Int64N(365*24*60*60) // in 2022
	distance := 10 + r.Int64N(2000)                        // hundredths of a mile
	fare := 250 + distance*5/2
	extra, tip, tolls := 50*r.Int64N(6), r.Int64N(fare/3), int64(0)
	if r.IntN(12) == 0 {
		tolls = 655
	}
	cents = fare + extra + 50 + tip + tolls + 30 + 250
	integer(1 + r.Int64N(2))
	clock(start)
	clock(start + 60 + distance*2 + r.Int64N(600))
	integer(1 + r.Int64N(5))
	hundredths(distance)
	integer(1 + r.Int64N(5))
	dst = append(dst, "NNNNNNNY"[r.IntN(8)], ',')
	integer(1 + r.Int64N(265))
	integer(1 + r.Int64N(265))
	integer(1 + r.Int64N(4))
	for _, amount := range []int64{fare, extra, 50, tip, tolls, 30, cents, 250, 0} {
		hundredths(amount)
	}
	dst[len(dst)-1] = '\n'
	return dst, cents
}

// tableSQL makes the table for the programs that do not make it.
func (w *work) tableSQL() string {
	var columns []string
	for _, c := range w.columns {
		columns = append(columns, pgx.Identifier{c.name()}.Sanitize()+" "+c.kind)
	}
	return "CREATE TABLE " + target + " (" + strings.Join(columns, ", ") + ")"
}

// csvOptions reads empty values of other types than text as NULL, though they
// are quoted, as bucketload does.
func (w *work) csvOptions() string {
	var typed []string
	for _, c := range w.columns {
		if c.kind != "text" {
			typed = append(typed, pgx.Identifier{c.name()}.Sanitize())
		}
	}
	if typed == nil {
		return "(FORMAT csv, HEADER)"
	}
	return "(FORMAT csv, HEADER, FORCE_NULL (" + strings.Join(typed, ", ") + "))"
}
