package steps

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/decode"
	"github.com/bucketload/bucketload/internal/infer"
	"github.com/bucketload/bucketload/internal/source"
)

// What is read to find out dialect, header shapes and types.
const (
	sampleFiles       = 200      // objects, spread over the listing
	sampleHead        = 48 << 10 // bytes from the start of each
	sampleInside      = 16 << 10 // bytes from the middle and the end of a bigger one
	sampleRows        = 100      // rows from each of these places
	headerRows        = 1        // where only headers count, from the start
	sampleBlock       = 1 << 20  // bytes from the start of a compressed one whose first block is longer: bzip2's are up to 900 kB
	sampleConcurrency = 64       // objects at once: a store far away answers each request after tens of milliseconds
	sampleInflated    = 8 * sampleHead
	sampleDeep        = 4 << 20 // bytes from the start of one in which nothing ends before
	sampleDeepFiles   = 20      // of which as many are read so far
)

// sample is what was read of one object. whole is whether head is all of it.
type sample struct {
	object       bucketload.Object
	head         []byte // decompressed
	middle, tail []byte // that begin with a character of any encoding, somewhere in a row; empty for compressed objects
	whole        bool
	err          error
}

// investigate looks into objects that are spread over the load's: it settles
// their format and dialect in r, and gives what they have in common. rows is how
// many rows of CSV are taken from each place.
func (s *Steps) investigate(ctx context.Context, load *bucketload.Load, objects []bucketload.Object, r *Resolution, rows int) (*surveyor, error) {
	r.Format = formatOf(load, objects)
	var samples []sample
	if r.Format != bucketload.FormatParquet {
		var err error
		if samples, err = s.readSamples(ctx, load, objects, rows > headerRows || r.Format != bucketload.FormatCSV); err != nil {
			return nil, err
		}
		if r.Format == bucketload.FormatAuto {
			r.Format, err = formatOfContent(samples)
			if err != nil {
				return nil, err
			}
		}
	}
	if load.Loader == bucketload.LoaderAWSS3 && r.Format != bucketload.FormatCSV {
		return nil, &bucketload.Error{Op: "prepare", Code: bucketload.CodeUsage, Message: "loader: aws_s3 reads CSV only, and the files are " + string(r.Format),
			Hint: "write loader: stream"}
	}
	if r.Format == bucketload.FormatParquet {
		v := s.surveyor(load, r.Format, load.CSV)
		results, err := v.look(ctx, objects)
		if err != nil {
			return nil, err
		}
		return v, v.add(results...)
	}
	heads := make([][]byte, len(samples))
	stored, plain := 1, 1
	for i, sample := range samples {
		heads[i] = sample.head
		stored, plain = stored+int(min(sample.object.Size, sampleHead)), plain+len(sample.head)
	}
	r.Inflation = float64(plain) / float64(stored)
	if r.Format == bucketload.FormatCSV {
		var err error
		if r.CSV, r.DialectEvidence, err = infer.Dialect(heads, load.CSV, load.CSVOpen); err != nil {
			return nil, err
		}
	}
	v := s.surveyor(load, r.Format, r.CSV)
	v.rows = rows
	deep := 0
	for i, sample := range samples {
		f := v.parse(sample)
		if tooShort(sample, f) && deep < sampleDeepFiles {
			deep++
			f, heads[i] = v.head(ctx, sample.object, sampleDeep)
		}
		if err := v.add(f); err != nil {
			return nil, err
		}
	}
	if r.Format == bucketload.FormatJSON {
		if err := wrapped(load, heads); err != nil {
			return nil, err
		}
	}
	return v, ctx.Err()
}

// tooShort is whether a sample ends before the first row or record does.
func tooShort(s sample, f found) bool {
	return !s.whole && len(f.Rows) == 0 && (f.err == nil || errors.Is(f.err, decode.ErrCut))
}

// wrapped refuses to load documents as they are of which most wrap their
// records in an array, where nobody said that they are meant so: by naming the
// path of the records, or all columns.
func wrapped(load *bucketload.Load, heads [][]byte) error {
	if load.JSON.Records != "" || len(given(load)) > 0 {
		return nil
	}
	files, all, most := map[string]int{}, 0, 0
	path := ""
	for _, head := range heads {
		if len(bytes.TrimSpace(head)) == 0 {
			continue
		}
		all++
		at, n := decode.WrappedJSON(head)
		if at == "" {
			continue
		}
		if files[at]++; files[at] > files[path] {
			path = at
		}
		most = max(most, n)
	}
	if most < 2 || 2*files[path] <= all {
		return nil
	}
	return &bucketload.Error{Op: "prepare", Code: bucketload.CodeUsage,
		Message: fmt.Sprintf("the files are not rows but documents, with an array of objects at %s", path),
		Hint:    fmt.Sprintf("to load these: --set 'json.records=%s', or json: {records: %q}; to load each document as one row: --set 'json.records=$'", path, path)}
}

// formatOf is the format of a load's files: as configured, or as their names
// say, of which Plan has seen to it that they do not disagree; auto where they
// say nothing.
func formatOf(load *bucketload.Load, objects []bucketload.Object) bucketload.Format {
	if !auto(load) {
		return load.Format
	}
	for _, o := range objects {
		if format, ok := decode.FormatOf(o.URI); ok {
			return format
		}
	}
	return bucketload.FormatAuto
}

// formatOfContent is the format of files whose names say nothing: Parquet and
// JSON show by their first bytes, anything else is CSV. Files that disagree are
// refused.
func formatOfContent(samples []sample) (bucketload.Format, error) {
	first := map[bucketload.Format]string{}
	for _, s := range samples {
		if head := bytes.TrimLeft(bytes.TrimPrefix(s.head, []byte("\ufeff")), " \t\r\n"); len(head) > 0 {
			first[beginsAs(head)] = s.object.URI
		}
	}
	if len(first) > 1 {
		return "", mixed("prepare", "begin as", first)
	}
	for format := range first {
		return format, nil
	}
	return bucketload.FormatCSV, nil
}

func beginsAs(head []byte) bucketload.Format {
	switch {
	case bytes.HasPrefix(head, []byte("PAR1")): // Source: parquet-format, README.md, "File format"
		return bucketload.FormatParquet
	case jsonStart.Match(head):
		return bucketload.FormatJSON
	}
	return bucketload.FormatCSV
}

// jsonStart is how a JSON object with a key, or an array of objects or arrays,
// begins.
var jsonStart = regexp.MustCompile(`^(?:(?:\[\s*)?\{\s*"(?:[^"\\]|\\.)*"\s*:|\[\s*\[)`)

// mixed refuses files of several formats; first has an example of each.
func mixed(op, are string, first map[bucketload.Format]string) error {
	var each []string
	formats := slices.Sorted(maps.Keys(first))
	for _, format := range formats {
		each = append(each, fmt.Sprintf("%s %s", format, first[format]))
	}
	return &bucketload.Error{Op: op, Code: bucketload.CodeUsage, Message: fmt.Sprintf("the files %s several formats, and a load has one: %s", are, strings.Join(each, ", ")),
		Hint: fmt.Sprintf("say which: --set format=%s; or leave the others out with --exclude", formats[0])}
}

// readSamples reads the beginning of each object, and inside its middle and end. An object
// that cannot be read is left to the copy, which reports it as its own failure;
// it is an error here only where no object can be read.
func (s *Steps) readSamples(ctx context.Context, load *bucketload.Load, objects []bucketload.Object, inside bool) ([]sample, error) {
	store := s.store(load)
	samples := make([]sample, len(objects))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(sampleConcurrency)
	for i, o := range objects {
		g.Go(func() error {
			samples[i] = readSample(ctx, store, o, load.Compression, inside)
			return ctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var first error
	good := samples[:0]
	for _, sample := range samples {
		switch {
		case sample.err == nil:
			good = append(good, sample)
		case first == nil:
			first = sample.err
		}
	}
	if len(good) == 0 && first != nil {
		return nil, first
	}
	return good, nil
}

func readSample(ctx context.Context, store *source.Store, o bucketload.Object, compression string, inside bool) sample {
	s := sample{object: o}
	head, err := readRange(ctx, store, o, 0, sampleHead)
	if err != nil {
		s.err = err
		return s
	}
	var found string
	s.head, found, err = inflate(head, o.URI, compression, sampleInflated)
	if found != "" && len(s.head) == 0 && o.Size > sampleHead {
		if head, s.err = readRange(ctx, store, o, 0, sampleBlock); s.err != nil {
			return s
		}
		s.head, _, err = inflate(head, o.URI, compression, sampleInflated)
	}
	// A compressed head may end in the middle of the stream; what comes before counts.
	if err != nil && len(s.head) == 0 {
		s.err = err
		return s
	}
	s.whole = err == nil && o.Size <= sampleHead && len(s.head) < sampleInflated
	if inside && found == "" && o.Size > sampleHead+2*sampleInside {
		if s.middle, s.err = readRange(ctx, store, o, aligned(o.Size/2), sampleInside); s.err != nil {
			return s
		}
		if s.tail, s.err = readRange(ctx, store, o, aligned(o.Size-sampleInside), sampleInside); s.err != nil {
			return s
		}
	}
	return s
}

// aligned is the place at or before off where a character begins, in UTF-16 and
// UTF-32 too, unless it is the second half of a pair.
func aligned(off int64) int64 { return off &^ 3 }

// inflate decompresses the beginning of an object as far as it goes, and to no
// more than most bytes. It has the compression that is configured.
func inflate(head []byte, name, compression string, most int64) (plain []byte, found string, err error) {
	r, found, err := decode.DecompressAs(bytes.NewReader(head), name, compression)
	if err != nil {
		return nil, found, err
	}
	defer r.Close() //nolint:errcheck // reading from memory
	plain, err = io.ReadAll(io.LimitReader(r, most))
	return plain, found, err
}

func readRange(ctx context.Context, store *source.Store, o bucketload.Object, off, n int64) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	r, err := store.OpenRange(ctx, o, off, n)
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // only read from
	return io.ReadAll(r)
}

// parse reads the sample's rows in the dialect, up to most from each place. Rows that do not fit the
// header, as a cut that falls into a quoted field makes them, are passed over;
// the error is that of the header.
func (s sample) parse(dialect bucketload.CSV, load *bucketload.Load, most int) (infer.Sample, error) {
	out := infer.Sample{URI: s.object.URI}
	r, err := decode.NewCSV(bytes.NewReader(s.head), dialect)
	if err != nil {
		return out, err
	}
	if out.Header, err = header(r, s.object.URI, dialect, load, nil); err != nil {
		return out, err
	}
	out.Rows = append(out.Rows, rowsOf(r, len(out.Header), most, !s.whole)...)
	inside := dialect
	inside.Header, inside.SkipHead, inside.SkipFoot, inside.Encoding = false, 1, 0, r.Encoding()
	for _, piece := range [][]byte{s.middle, s.tail} {
		if r, err := decode.NewCSV(bytes.NewReader(piece), inside); err == nil {
			out.Rows = append(out.Rows, rowsOf(r, len(out.Header), most, true)...)
		}
	}
	return out, nil
}

// rowsOf copies rows of n fields, up to most; cut is whether the last
// row may be incomplete.
func rowsOf(r *decode.CSV, n, most int, cut bool) [][]infer.Value {
	var rows [][]infer.Value
	for len(rows) <= most {
		fields, err := r.Next()
		if r.Broken() {
			break
		}
		if err == nil && len(fields) == n {
			rows = append(rows, values(fields))
		}
	}
	if len(rows) > 0 && (cut || len(rows) > most) {
		rows = rows[:len(rows)-1]
	}
	return rows
}

func values(fields []bucketload.Field) []infer.Value {
	row := make([]infer.Value, len(fields))
	for i, f := range fields {
		row[i] = infer.Value{Text: string(f.Bytes), Quoted: f.Quoted}
	}
	return row
}
