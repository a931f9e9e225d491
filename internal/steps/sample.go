package steps

import (
	"bytes"
	"context"
	"io"

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
	sampleBlock       = 1 << 20  // bytes from the start of a compressed one whose first block is longer: bzip2's are up to 900 kB
	sampleConcurrency = 16       // objects at once
	sampleInflated    = 8 * sampleHead
)

// sample is what was read of one object. whole is whether head is all of it.
type sample struct {
	object       bucketload.Object
	head         []byte // decompressed
	middle, tail []byte // from the first line end on; empty for compressed objects
	whole        bool
	err          error
}

// readSamples reads the beginning, middle and end of each object. An object
// that cannot be read is left to the copy, which reports it as its own failure;
// it is an error here only where no object can be read.
func (s *Steps) readSamples(ctx context.Context, load *bucketload.Load, objects []bucketload.Object) ([]sample, error) {
	store := s.store(load)
	samples := make([]sample, len(objects))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(sampleConcurrency)
	for i, o := range objects {
		g.Go(func() error {
			samples[i] = readSample(ctx, store, o)
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

func readSample(ctx context.Context, store *source.Store, o bucketload.Object) sample {
	s := sample{object: o}
	head, err := readRange(ctx, store, o, 0, sampleHead)
	if err != nil {
		s.err = err
		return s
	}
	var compression string
	s.head, compression, err = inflate(head, o.URI)
	if compression != "" && len(s.head) == 0 && o.Size > sampleHead {
		if head, s.err = readRange(ctx, store, o, 0, sampleBlock); s.err != nil {
			return s
		}
		s.head, _, err = inflate(head, o.URI)
	}
	// A compressed head may end in the middle of the stream; what comes before counts.
	if err != nil && len(s.head) == 0 {
		s.err = err
		return s
	}
	s.whole = err == nil && o.Size <= sampleHead && len(s.head) < sampleInflated
	if compression == "" && o.Size > sampleHead+2*sampleInside {
		if s.middle, s.err = readRange(ctx, store, o, o.Size/2, sampleInside); s.err != nil {
			return s
		}
		if s.tail, s.err = readRange(ctx, store, o, o.Size-sampleInside, sampleInside); s.err != nil {
			return s
		}
	}
	return s
}

// inflate decompresses the beginning of an object as far as it goes.
func inflate(head []byte, name string) (plain []byte, compression string, err error) {
	r, compression, err := decode.Decompress(bytes.NewReader(head), name)
	if err != nil {
		return nil, compression, err
	}
	defer r.Close() //nolint:errcheck // reading from memory
	plain, err = io.ReadAll(io.LimitReader(r, sampleInflated))
	return plain, compression, err
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

// parse reads the sample's rows in the dialect. Rows that do not fit the
// header, as a cut that falls into a quoted field makes them, are passed over;
// the error is that of the header.
func (s sample) parse(dialect bucketload.CSV, given []bucketload.Column) (infer.Sample, error) {
	out := infer.Sample{URI: s.object.URI}
	r, err := decode.NewCSV(bytes.NewReader(s.head), dialect)
	if err != nil {
		return out, err
	}
	names, first, err := header(r, dialect.Header, given)
	if err != nil {
		return out, err
	}
	out.Header = names
	if first != nil {
		out.Rows = append(out.Rows, values(first))
	}
	out.Rows = append(out.Rows, rowsOf(r, len(out.Header), !s.whole)...)
	inside := dialect
	inside.Header, inside.SkipHead, inside.SkipFoot = false, 0, 0
	for _, cut := range [][]byte{s.middle, s.tail} {
		_, rest, ok := bytes.Cut(cut, []byte{'\n'})
		if !ok {
			continue
		}
		if r, err := decode.NewCSV(bytes.NewReader(rest), inside); err == nil {
			out.Rows = append(out.Rows, rowsOf(r, len(out.Header), true)...)
		}
	}
	return out, nil
}

// rowsOf copies rows of n fields, up to sampleRows; cut is whether the last
// row may be incomplete.
func rowsOf(r *decode.CSV, n int, cut bool) [][]infer.Value {
	var rows [][]infer.Value
	for len(rows) <= sampleRows {
		fields, err := r.Next()
		if err != nil {
			break
		}
		if len(fields) != n {
			continue
		}
		rows = append(rows, values(fields))
	}
	if len(rows) > 0 && (cut || len(rows) > sampleRows) {
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
