package steps

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/decode"
	"github.com/bucketload/bucketload/internal/infer"
	"github.com/bucketload/bucketload/internal/source"
)

// objectsOf gives the objects that a run is to load to yield, in order.
type objectsOf func(ctx context.Context, yield func(bucketload.Object) error) error

// population is all objects of a load, of which some are looked into.
type population struct {
	each    objectsOf
	files   int64 // how many they are
	counted bool  // by their headers, whatever that says of the table
	shown   bool  // what their values look like is to be told, whatever that says of the table
}

// countedFiles is up to how many files a plan counts by their headers, which
// takes two seconds where a request takes 30 ms.
const countedFiles = 2000

// countable is the population that a plan goes by.
func countable(each objectsOf, files int64) population {
	return population{each: each, files: files, counted: files <= countedFiles, shown: true}
}

const (
	// surveyHead is how much is read of an object at first where only its
	// header matters; more where that does not end there.
	surveyHead = 16 << 10
	// surveyChunk is how many objects' headers are read before they are counted.
	surveyChunk = 512
	// surveyConcurrency is how many objects' headers are read at once.
	surveyConcurrency = 64
)

// surveyor finds out what files have in common, all of one format.
type surveyor struct {
	store    *source.Store
	load     *bucketload.Load
	format   bucketload.Format
	dialect  bucketload.CSV
	rows     int // of CSV, from each place of a sample
	survey   *infer.Survey
	schema   map[string]decode.ParquetColumn // by name: the type that takes the values of all files
	files    int64                           // looked into
	headless *bucketload.Error               // why the first file without a header has none
}

func (s *Steps) surveyor(load *bucketload.Load, format bucketload.Format, dialect bucketload.CSV) *surveyor {
	return &surveyor{store: s.store(load), load: load, format: format, dialect: dialect, rows: sampleRows, schema: map[string]decode.ParquetColumn{},
		survey: infer.NewSurvey(infer.Options{LowerCase: load.LowerCase, AllText: load.AllText,
			Decimal: dialect.Decimal, Thousands: dialect.Thousands, JSON: format == bucketload.FormatJSON})}
}

// found is what was found out of one file.
type found struct {
	infer.Sample
	schema []decode.ParquetColumn
	err    error
}

// add takes in what was found out of files. One that cannot be read is left to
// the copy.
func (v *surveyor) add(files ...found) error {
	for _, f := range files {
		if err := v.addFile(f); err != nil {
			return err
		}
	}
	return nil
}

func (v *surveyor) addFile(f found) error {
	if f.err != nil {
		if v.headless == nil && !errors.Is(f.err, io.EOF) {
			e := *bucketload.AsError(f.err)
			e.Op, e.URI = "prepare", f.URI
			v.headless = &e
		}
		return nil
	}
	v.files++
	for _, c := range f.schema {
		if other, ok := v.schema[c.Name]; ok && other.Type != c.Type {
			c.Evidence = fmt.Sprintf("%s in some files, %s in others", other.Evidence, c.Evidence)
			c.Type = wider(other.Type, c.Type)
		}
		v.schema[c.Name] = c
	}
	return v.survey.Add(f.Sample)
}

// rest takes in every other object of the load, by its header.
func (v *surveyor) rest(ctx context.Context, all objectsOf, done []bucketload.Object) error {
	known := make(map[string]bool, len(done))
	for _, o := range done {
		known[o.URI] = true
	}
	var chunk []bucketload.Object
	flush := func() error {
		results, err := v.look(ctx, chunk)
		chunk = chunk[:0]
		if err != nil {
			return err
		}
		return v.add(results...)
	}
	err := all(ctx, func(o bucketload.Object) error {
		if known[o.URI] {
			return nil
		}
		if chunk = append(chunk, o); len(chunk) == surveyChunk {
			return flush()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}

// look reads the headers of objects, several at once.
func (v *surveyor) look(ctx context.Context, objects []bucketload.Object) ([]found, error) {
	results := make([]found, len(objects))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(surveyConcurrency)
	for i, o := range objects {
		g.Go(func() error {
			if v.format == bucketload.FormatParquet {
				results[i] = v.footer(ctx, o)
			} else {
				results[i], _ = v.head(ctx, o, decode.MaxRow)
			}
			return ctx.Err()
		})
	}
	return results, g.Wait()
}

// head reads an object up to the row behind its header, or its first record, at
// least, but for no more than most bytes. It gives what it read, too.
func (v *surveyor) head(ctx context.Context, o bucketload.Object, most int64) (found, []byte) {
	for n := int64(surveyHead); ; n = min(8*n, most) {
		s := sample{object: o}
		data, err := readRange(ctx, v.store, o, 0, n)
		if err != nil {
			return found{Sample: infer.Sample{URI: o.URI}, err: err}, nil
		}
		inflated := max(n, sampleInflated)
		s.head, _, err = inflate(data, o.URI, v.load.Compression, inflated)
		last := n >= o.Size || n == most
		if err != nil && len(s.head) == 0 && last {
			return found{Sample: infer.Sample{URI: o.URI}, err: err}, nil
		}
		s.whole = n >= o.Size && err == nil && int64(len(s.head)) < inflated
		f := v.parse(s)
		if last && tooShort(s, f) && f.err != nil {
			f.err = tooLate(len(s.head))
		}
		if last || f.err == nil && len(f.Rows) > 0 {
			return f, s.head
		}
	}
}

// tooLate is the error of a file whose first record does not end in its first n
// bytes.
func tooLate(n int) error {
	return &bucketload.Error{Code: bucketload.CodeTooLong,
		Message: fmt.Sprintf("no record ends within the first %s of the file, so that nothing tells its columns", bucketload.Bytes(n)),
		Hint:    "say where the records are, for example --set 'json.records=$.items'; or list the columns under columns:"}
}

// parse reads a sample as the load's files are read.
func (v *surveyor) parse(s sample) found {
	if v.format == bucketload.FormatJSON {
		return v.parseJSON(s)
	}
	out, err := s.parse(v.dialect, v.load, v.rows)
	return found{Sample: out, err: err}
}

// footer reads the schema of a Parquet file; an empty one has none.
func (v *surveyor) footer(ctx context.Context, o bucketload.Object) found {
	f := found{Sample: infer.Sample{URI: o.URI}}
	if o.Size == 0 {
		f.err = io.EOF
		return f
	}
	file, err := decode.NewParquet(ranged{ctx, v.store, o, func(int) {}}, o.Size)
	if err != nil {
		f.err = err
		return f
	}
	defer file.Close() //nolint:errcheck // only read from
	f.schema = file.Columns()
	for _, c := range f.schema {
		f.Header = append(f.Header, c.Name)
	}
	return f
}

// columns gives the columns that the files have.
func (v *surveyor) columns() []infer.Column {
	columns := v.survey.Columns()
	if v.format != bucketload.FormatParquet || v.load.AllText {
		return columns
	}
	for i, c := range columns {
		typ := ""
		for _, from := range c.From {
			said := v.schema[from]
			if typ == "" {
				typ = said.Type
			}
			typ = wider(typ, said.Type)
			columns[i].Evidence = "parquet " + said.Evidence
		}
		columns[i].Type = typ
	}
	return columns
}

// wider is the type that takes the values of both: text where no other does.
func wider(a, b string) string {
	for _, order := range [][]string{{"smallint", "integer", "bigint", "numeric"}, {"real", "double precision"}} {
		if i, j := slices.Index(order, a), slices.Index(order, b); i >= 0 && j >= 0 {
			return order[max(i, j)]
		}
	}
	if a == b {
		return a
	}
	return "text"
}
