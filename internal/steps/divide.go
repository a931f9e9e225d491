package steps

import (
	"context"
	"errors"
	"io"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/decode"
	"github.com/bucketload/bucketload/internal/infer"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/source"
)

// A big CSV is loaded in parts, by several workers. Where one part ends and the
// next begins is a guess, which the copy of each part proves: from the file's
// beginning on, a part that is read to its end begins where a row does, and has
// to end where one does. All parts must be loaded before a run goes on, so all
// is proved then, in whatever order they were. One that does not hold fails the
// run, and from then on that object is loaded whole.

const (
	// partBytes is about the size of a part: two seconds of a database core's
	// COPY, which makes what a part costs by itself, some milliseconds, too
	// little to matter, and what is left for one worker at the end, too.
	partBytes = 64 << 20
	// partHead is how much of a file's beginning is read with each part but the
	// first; there the header must end, and the row behind it.
	partHead = 256 << 10
	// alignTries is how many places are looked at for the beginning of a part.
	alignTries = 3
	// alignConcurrency is how many are looked at, at once.
	alignConcurrency = 8
)

// divider finds the parts of objects; nil divides none.
type divider struct {
	ledger *ledger.Ledger
	store  *source.Store
	load   *bucketload.Load
	bytes  int64 // of a part, about
}

// divider gives what divides the load's objects, or nil where they have to be
// loaded whole: where the server reads them, where rows are counted by file or
// told apart by their line, where the run goes on without a file that fails, of
// which no row may stay, and where rows may go straight to the table that is read.
func (s *Steps) divider(load *bucketload.Load) *divider {
	switch {
	case load.Loader == bucketload.LoaderAWSS3,
		load.Tolerate != bucketload.Tolerance{},
		slices.Contains(load.Lineage, bucketload.LineColumn), keeps(load),
		load.Mode == bucketload.ModeAppend,
		load.Compression != "" && load.Compression != "auto" && load.Compression != "none":
		return nil
	}
	return &divider{ledger: s.Ledger, store: s.store(load), load: load, bytes: s.partBytes}
}

// divide gives where the parts of an object begin, but the first; nothing where
// it is to be loaded whole. What is wrong with the object is left to the copy.
func (d *divider) divide(ctx context.Context, o bucketload.Object) ([]int64, error) {
	if d == nil || o.Size < 2*d.bytes {
		return nil, nil
	}
	if was, err := d.ledger.Indivisible(ctx, o.URI); err != nil || was {
		return nil, err
	}
	starts, err := d.find(ctx, o)
	if err != nil {
		return nil, ctx.Err()
	}
	return starts, nil
}

func (d *divider) find(ctx context.Context, o bucketload.Object) ([]int64, error) {
	dialect, err := d.dialect(ctx, o)
	if err != nil {
		return nil, err
	}
	head, _, err := openHead(ctx, d.store, o, dialect, d.load, nil)
	if err != nil {
		return nil, err
	}
	// A row is looked for near each multiple of a part's size.
	n := o.Size / d.bytes
	starts := make([]int64, n-1)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(alignConcurrency)
	for i := range starts {
		g.Go(func() (err error) {
			starts[i], err = d.place(ctx, o, head, o.Size/n*int64(i+1), o.Size/n)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(starts, func(start int64) bool { return start == 0 }), nil
}

// place gives where a row begins behind byte at and before the next n; 0 where
// there is none for certain.
func (d *divider) place(ctx context.Context, o bucketload.Object, head *decode.CSV, at, n int64) (int64, error) {
	for i := range int64(alignTries) {
		from := at + i*n/alignTries
		sample, err := readRange(ctx, d.store, o, from, decode.AlignBytes)
		if err != nil {
			return 0, err
		}
		start, ok, err := head.Align(sample, from, from+int64(len(sample)) == o.Size)
		if err != nil {
			return 0, err
		}
		if ok && start < at+n {
			return start, nil
		}
	}
	return 0, nil
}

var errWhole = errors.New("the object is loaded whole")

// dialect finds out how an object is read, from its beginning, as Prepare finds
// it out for all of them; errWhole where it is no plain CSV.
func (d *divider) dialect(ctx context.Context, o bucketload.Object) (bucketload.CSV, error) {
	head, err := readRange(ctx, d.store, o, 0, sampleHead)
	if err != nil {
		return bucketload.CSV{}, err
	}
	_, compression, _ := inflate(head, o.URI, d.load.Compression, 1)
	format := formatOf(d.load, []bucketload.Object{o})
	if format == bucketload.FormatAuto {
		format = beginsAs(head)
	}
	if compression != "" || format != bucketload.FormatCSV {
		return bucketload.CSV{}, errWhole
	}
	csv, _, err := infer.Dialect([][]byte{head}, d.load.CSV, d.load.CSVOpen)
	return csv, err
}

// openHead reads what parts have to know of a file of CSV: it gives the reader
// behind the first row, whose Part reads them, and the names of the fields.
// columns are those of the table, where they are known.
func openHead(ctx context.Context, store *source.Store, o bucketload.Object, dialect bucketload.CSV, load *bucketload.Load, columns []bucketload.Column) (*decode.CSV, []string, error) {
	r, err := store.OpenRange(ctx, o, 0, partHead)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close() //nolint:errcheck // only read from
	csv, err := decode.NewCSV(r, dialect)
	if err != nil {
		return nil, nil, err
	}
	if o.Size > partHead {
		csv.Cut()
	}
	names, err := header(csv, o.URI, dialect, load, columns)
	if err == nil {
		_, err = csv.Next()
	}
	return csv, names, err
}

// inParts gives the parts that begin at these bytes of an object, each in a
// batch of its own.
func (b *batcher) inParts(o bucketload.Object, starts []int64) []ledger.PlannedPart {
	parts := make([]ledger.PlannedPart, 0, len(starts)+1)
	from := int64(0)
	for _, to := range append(starts, o.Size) {
		parts = append(parts, ledger.PlannedPart{Batch: b.alone(), Start: from, End: to})
		from = to
	}
	return parts
}

// openPart opens a part of a file of CSV.
func (s *Steps) openPart(ctx context.Context, d *definition, r *reader, report func(n int)) (*arrangement, error) {
	part := r.entry.Part
	object, err := r.from.OpenRange(ctx, r.entry.Object, part.Start, part.End-part.Start)
	if err != nil {
		return nil, err
	}
	r.object = counting{object, report}
	var csv *decode.CSV
	if part.Start == 0 {
		csv, err = decode.NewCSV(r.object, d.layout.CSV)
	} else {
		var head *decode.CSV
		if head, r.names, err = openHead(ctx, d.store, r.entry.Object, d.layout.CSV, d.load, d.layout.Columns); err == nil {
			csv, err = head.Part(r.object, part.Start)
		}
	}
	if err != nil {
		return nil, unplaced(err)
	}
	if part.End < r.entry.Size {
		csv.Cut()
	}
	r.rows = csv
	if part.Start == 0 {
		if r.names, err = header(csv, r.entry.URI, d.layout.CSV, d.load, d.layout.Columns); err != nil {
			return nil, err
		}
	}
	return d.arrange(r.names, r.entry)
}

// unplaced is an error without its line: the part before has it, too, and says so.
func unplaced(err error) error {
	e := *bucketload.AsError(err)
	e.Line = 0
	return &e
}

// locate makes of the error of a part, whose line counts from the part's
// beginning, that of the file. The parts before that are loaded have told how
// many lines they have; the others are read. Where one of these has an error
// itself, it is the file's: so what a part complains of that does not begin with
// a row is never believed. An error of reading has no line.
func (s *Steps) locate(ctx context.Context, d *definition, entry bucketload.Entry, e *bucketload.Error) (*bucketload.Error, error) {
	located, lines := *e, int64(0)
	if unread(e) {
		located.Line = 0
		return &located, nil
	}
	before, err := s.Ledger.PartsBefore(ctx, d.run, entry.No, entry.Part.No)
	if err != nil {
		return nil, err
	}
	for _, part := range before {
		n := part.Lines
		if !part.Loaded {
			entry.Part = part.Part
			var failed *bucketload.Error
			if n, failed = s.readPart(ctx, d, entry); failed != nil {
				located = *failed
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if failed != nil {
				break
			}
		}
		lines += n
	}
	if located.Line > 0 {
		located.Line += lines
	}
	if located.Code == bucketload.CodeBoundary {
		located.Hint = "load again, and the file is loaded in one go: bucketload load " + d.load.Key
	}
	return &located, nil
}

// unread says whether an error is one of reading an object, and not of what it has.
func unread(e *bucketload.Error) bool {
	switch e.Code {
	case bucketload.CodeSource, bucketload.CodeConnect, bucketload.CodeAccess, bucketload.CodeMissing, bucketload.CodeChanged, bucketload.CodeCancelled:
		return true
	}
	return e.Transient
}

// readPart reads a part to its end for how many lines it has.
func (s *Steps) readPart(ctx context.Context, d *definition, entry bucketload.Entry) (lines int64, failed *bucketload.Error) {
	r, err := s.openFile(ctx, d, d.store, entry, func(int) {})
	if err != nil {
		return 0, bucketload.AsError(err)
	}
	defer r.close()
	for {
		if _, err := r.next(); errors.Is(err, io.EOF) {
			return r.rows.Line() - 1, nil
		} else if err != nil {
			return 0, r.place(err)
		}
	}
}
