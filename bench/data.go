package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"

	"github.com/bucketload/bucketload/internal/temp"
)

// data are the files to load and what is in them, as encoding/csv reads it.
type data struct {
	dir    string // holds all forms
	files  int
	rows   int64
	tenths int64 // sum of TEMP, sentinels included
	bytes  int64 // of the files
}

// The forms of the same rows, by where they lie in data.dir.
const (
	formFiles   = "files"      // as they are: one for each station
	formOne     = "one.csv"    // joined
	formHalf    = "half%d.csv" // joined, in two; header in both
	formHalves  = "halves"     // both of these
	formGzip    = "one.csv.gz"
	formZstd    = "one.csv.zst"
	formJSON    = "one.ndjson"
	formParquet = "one.parquet"
)

// prepareWeather makes all forms below the cache, where they stay for the next run.
func prepareWeather(ctx context.Context, o options) (*data, error) {
	year := filepath.Join(o.cache, "year")
	if _, err := os.Stat(year); errors.Is(err, os.ErrNotExist) {
		if err := unpack(filepath.Join(o.corpus, "gsod-2022.tar.zst"), year); err != nil {
			return nil, fmt.Errorf("%w (name the directory of the real data with -corpus)", err)
		}
	}
	paths, err := filepath.Glob(filepath.Join(year, "*.csv"))
	if err != nil {
		return nil, err
	}
	step := 1
	if o.files > 0 {
		step = max(1, len(paths)/o.files)
	}
	d := &data{dir: filepath.Join(o.cache, fmt.Sprintf("every-%d", step))}
	if err := os.MkdirAll(filepath.Join(d.dir, formFiles), 0o755); err != nil {
		return nil, err
	}
	w, err := newForms(d.dir)
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(paths) && ctx.Err() == nil; i += step {
		if err := d.take(paths[i], w, 2*i/len(paths)); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", paths[i], err), w.Close())
		}
	}
	return d, errors.Join(w.Close(), ctx.Err())
}

// take adds a file to all forms, and its rows to the half with that number.
func (d *data) take(path string, w *forms, half int) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	link := filepath.Join(d.dir, formFiles, filepath.Base(path))
	if err := os.Link(path, link); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	header, body, _ := bytes.Cut(content, []byte("\n"))
	if len(body) > 0 && body[len(body)-1] != '\n' {
		body = append(body, '\n')
	}
	records, err := csv.NewReader(bytes.NewReader(content)).ReadAll()
	if err != nil {
		return err
	}
	if want := temp.StationColumns; strings.Join(records[0], ",") != strings.Join(want, ",") {
		return fmt.Errorf("its columns are %v, not %v", records[0], want)
	}
	for _, r := range records[1:] {
		tenths, err := strconv.ParseInt(strings.Replace(strings.TrimSpace(r[6]), ".", "", 1), 10, 64)
		if err != nil {
			return err
		}
		d.tenths += tenths
	}
	d.files, d.rows, d.bytes = d.files+1, d.rows+int64(len(records)-1), d.bytes+int64(len(content))
	return w.write(append(header, '\n'), body, records[1:], half)
}

// forms writes the joined forms.
type forms struct {
	csv     [5]io.Writer // whole, gzip, zstd, half 0, half 1
	headed  [5]bool
	json    io.Writer
	parquet *parquet.GenericWriter[any]
	closers []io.Closer // in the order of closing
}

func newForms(dir string) (*forms, error) {
	w := &forms{}
	create := func(name string) (io.Writer, error) {
		f, err := os.Create(filepath.Join(dir, name))
		if err == nil {
			w.closers = append(w.closers, f)
		}
		return f, err
	}
	for i, name := range []string{formOne, formGzip, formZstd, fmt.Sprintf(formHalf, 0), fmt.Sprintf(formHalf, 1)} {
		f, err := create(name)
		if err != nil {
			return nil, errors.Join(err, w.Close())
		}
		switch name {
		case formGzip:
			z := gzip.NewWriter(f)
			f, w.closers = z, append([]io.Closer{z}, w.closers...)
		case formZstd:
			z, err := zstd.NewWriter(f)
			if err != nil {
				return nil, errors.Join(err, w.Close())
			}
			f, w.closers = z, append([]io.Closer{z}, w.closers...)
		}
		w.csv[i] = f
	}
	var err error
	if w.json, err = create(formJSON); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	f, err := create(formParquet)
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	w.parquet = parquet.NewGenericWriter[any](f, parquetSchema, parquet.Compression(&parquet.Snappy), parquet.MaxRowsPerRowGroup(1<<18))
	w.closers = append([]io.Closer{w.parquet}, w.closers...)
	return w, nil
}

func (w *forms) Close() error {
	var all error
	for _, c := range w.closers {
		all = errors.Join(all, c.Close())
	}
	return all
}

func (w *forms) write(header, body []byte, records [][]string, half int) error {
	for _, i := range []int{0, 1, 2, 3 + half} {
		if !w.headed[i] {
			w.headed[i] = true
			if _, err := w.csv[i].Write(header); err != nil {
				return err
			}
		}
		if _, err := w.csv[i].Write(body); err != nil {
			return err
		}
	}
	var lines []byte
	for _, r := range records {
		lines = appendJSON(lines, r)
	}
	if _, err := w.json.Write(lines); err != nil {
		return err
	}
	rows := make([]parquet.Row, 0, len(records))
	for _, r := range records {
		row, err := parquetRow(r)
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	_, err := w.parquet.WriteRows(rows)
	return err
}

// parquetSchema has numbers as doubles, and all columns optional.
var parquetSchema = func() *parquet.Schema {
	group := parquet.Group{}
	for _, name := range temp.StationColumns {
		node := parquet.String()
		switch {
		case name == "DATE":
			node = parquet.Date()
		case isNumber(name):
			node = parquet.Leaf(parquet.DoubleType)
		}
		group[name] = parquet.Optional(node)
	}
	return parquet.NewSchema("weather", group)
}()

// parquetRow is a row in the schema's order of columns; a missing number is null.
func parquetRow(record []string) (parquet.Row, error) {
	row := make(parquet.Row, len(record))
	for i, name := range temp.StationColumns {
		leaf, _ := parquetSchema.Lookup(name)
		var value parquet.Value // null
		level := 1
		switch number := strings.TrimSpace(record[i]); {
		case name == "DATE":
			day, err := time.Parse(time.DateOnly, record[i])
			if err != nil {
				return nil, err
			}
			value = parquet.Int32Value(int32(day.Unix() / (24 * 60 * 60)))
		case !isNumber(name):
			value = parquet.ByteArrayValue([]byte(record[i]))
		case number == "":
			level = 0
		default:
			f, err := strconv.ParseFloat(number, 64)
			if err != nil {
				return nil, err
			}
			value = parquet.DoubleValue(f)
		}
		row[leaf.ColumnIndex] = value.Level(0, level, leaf.ColumnIndex)
	}
	return row, nil
}

// appendJSON appends a row as a line: numbers where the text is one, null where
// a number is missing.
func appendJSON(dst []byte, record []string) []byte {
	for i, value := range record {
		dst = append(dst, "{,"[min(i, 1)])
		dst = append(strconv.AppendQuote(dst, temp.StationColumns[i]), ':')
		number := strings.TrimSpace(value)
		switch {
		case !isNumber(temp.StationColumns[i]):
			quoted, _ := json.Marshal(value) // a string has no error
			dst = append(dst, quoted...)
		case number == "":
			dst = append(dst, "null"...)
		case json.Valid([]byte(number)):
			dst = append(dst, number...)
		default:
			dst = strconv.AppendQuote(dst, number)
		}
	}
	return append(dst, "}\n"...)
}

// isNumber tells the columns that are numbers, dates and texts aside.
func isNumber(column string) bool {
	switch column {
	case "STATION", "DATE", "NAME", "FRSHTT":
		return false
	}
	return !strings.HasSuffix(column, "_ATTRIBUTES")
}

// unpack writes the files of a .tar.zst into a directory, without their own.
// It appears when it is whole.
func unpack(archive, dir string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	z, err := zstd.NewReader(f)
	if err != nil {
		return err
	}
	defer z.Close()
	part := dir + ".part"
	if err := os.MkdirAll(part, 0o755); err != nil {
		return err
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return os.Rename(part, dir)
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(part, filepath.Base(h.Name)), content, 0o644); err != nil {
			return err
		}
	}
}
