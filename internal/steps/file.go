package steps

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/decode"
)

// decoder reads a file's rows, whatever its format.
type decoder interface {
	// Next gives the next row, valid until the call after, or io.EOF. An error
	// is the row's own, and Next goes on behind it, unless Broken.
	Next() ([]bucketload.Field, error)
	// Broken says whether the last error ends the file: what comes after it
	// cannot be told apart, or cannot be read.
	Broken() bool

	// Of the last row, good or bad:
	Line() int64   // the physical line on which it begins, from 1
	Offset() int64 // the byte at which it begins, of the plain file
	Raw() []byte   // its bytes, valid until the next call of Next
}

// reader reads the rows of one file of a run.
type reader struct {
	entry  bucketload.Entry
	object io.ReadCloser
	plain  io.ReadCloser
	rows   decoder
	index  []int              // field number of each column; nil where there is no row
	first  []bucketload.Field // a row that was read to find the columns, and is still to come
	count  int64              // of rows encoded so far
}

// counting reports how much has been read, as it is.
type counting struct {
	io.ReadCloser
	report func(n int)
}

func (c counting) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.report(n)
	return n, err
}

// openFile opens a file of the run up to its first row and finds its columns.
// Its errors are the file's, with the URI in them.
func (s *Steps) openFile(ctx context.Context, d *definition, entry bucketload.Entry, report func(n int)) (_ *reader, err error) {
	r := &reader{entry: entry}
	defer func() {
		if err != nil {
			err = r.place(err)
			r.close()
		}
	}()
	object, err := s.store(d.load).Open(ctx, entry.Object)
	if err != nil {
		return nil, err
	}
	r.object = counting{object, report}
	if r.plain, _, err = decode.Decompress(r.object, entry.URI); err != nil {
		return nil, err
	}
	csv, err := decode.NewCSV(r.plain, d.layout.CSV)
	if err != nil {
		return nil, err
	}
	r.rows = csv
	names, first, err := header(csv, d.layout.CSV.Header, given(d.load))
	if errors.Is(err, io.EOF) {
		return r, nil // an empty file has no rows, and next says so again
	}
	if err != nil {
		return nil, err
	}
	r.first = first
	r.index, err = match(names, d.layout.Columns, d.load.LowerCase)
	return r, err
}

// next gives the next row, valid until the one after; io.EOF at the end.
func (r *reader) next() ([]bucketload.Field, error) {
	if first := r.first; first != nil {
		r.first = nil
		return first, nil
	}
	return r.rows.Next()
}

// header gives the names of a file's fields: those in its header, or where it
// has none those of their positions. In that case the first row has been read,
// too.
func header(csv *decode.CSV, has bool, given []bucketload.Column) (names []string, first []bucketload.Field, err error) {
	if has {
		names, err = csv.Header()
		return names, nil, err
	}
	if first, err = csv.Next(); err != nil {
		return nil, nil, err
	}
	return positions(len(first), given), first, nil
}

var position = regexp.MustCompile(`^column_[1-9][0-9]*$`)

// positions names the n fields of a file without a header: as the columns that
// are given stand, or, where there are none or one of them says from which
// column_N it is read, column_1 to column_n.
func positions(n int, given []bucketload.Column) []string {
	if slices.ContainsFunc(given, func(c bucketload.Column) bool { return slices.ContainsFunc(c.From, position.MatchString) }) {
		given = nil
	}
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("column_%d", i+1)
		if i < len(given) {
			names[i] = given[i].Sources()[0]
		}
	}
	return names
}

// given are the columns that the configuration lists completely.
func given(load *bucketload.Load) []bucketload.Column {
	if load.ColumnsOverride {
		return nil
	}
	return load.Columns
}

// place says where an error stands.
func (r *reader) place(err error) *bucketload.Error {
	e := *bucketload.AsError(err)
	e.URI = r.entry.URI
	if e.Line == 0 && r.rows != nil {
		e.Line = r.rows.Line()
	}
	return &e
}

func (r *reader) close() {
	if r.plain != nil {
		_ = r.plain.Close()
	}
	if r.object != nil {
		_ = r.object.Close()
	}
}

// blame finds the row of a file that Postgres refused: it names the row's
// number in the COPY, and the file is read again up to there.
func (s *Steps) blame(ctx context.Context, d *definition, entry bucketload.Entry, target bucketload.TableName, pg *pgconn.PgError) *bucketload.Error {
	e, row := refused(entry, target, pg)
	if row == 0 {
		return e
	}
	r, err := s.openFile(ctx, d, entry, func(int) {})
	if err != nil {
		return e
	}
	defer r.close()
	for range row {
		fields, err := r.next()
		if err != nil {
			return e
		}
		e.Line = r.rows.Line()
		for i, c := range d.layout.Columns {
			if c.Name == e.Column && r.index[i] < len(fields) {
				e.Value = bucketload.Excerpt(fields[r.index[i]].Bytes, 200)
			}
		}
	}
	return e
}

// refused makes the error of a file that Postgres refused, and gives the number
// that its context has: of the row in a COPY of rows, of the line in one of CSV.
func refused(entry bucketload.Entry, target bucketload.TableName, pg *pgconn.PgError) (e *bucketload.Error, at int64) {
	e = &bucketload.Error{Code: bucketload.CodeValue, URI: entry.URI, Column: pg.ColumnName, Message: pg.Message + " (SQLSTATE " + pg.Code + ")",
		Hint: "mend the file, or the column's type, null_if or constraint"}
	if pg.Detail != "" {
		e.Message += ": " + pg.Detail
	}
	at, column := copyContext(pg.Where, target.Name)
	if e.Column == "" {
		e.Column = column
	}
	return e, at
}

var copyWhere = regexp.MustCompile(`^\D*(\d+)(?:, \S+ (.*?))?(?:: "|$)`)

// copyContext reads row and column out of an error's context, which is made as
// `COPY table, line 3, column name: "value"` with the words in the server's
// language; zero where it is not.
func copyContext(where, table string) (row int64, column string) {
	for line := range strings.Lines(where) {
		_, rest, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "COPY "+table+", ")
		if !ok {
			continue
		}
		if m := copyWhere.FindStringSubmatch(rest); m != nil {
			row, _ = strconv.ParseInt(m[1], 10, 64)
			return row, m[2]
		}
	}
	return 0, ""
}
