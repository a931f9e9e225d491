package steps

import (
	"context"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/decode"
)

// reader reads the rows of one file of a run.
type reader struct {
	entry  bucketload.Entry
	object io.ReadCloser
	plain  io.ReadCloser
	csv    *decode.CSV
	index  []int // field number of each column
	rows   int64 // encoded so far
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
	if r.csv, err = decode.NewCSV(r.plain, d.layout.CSV); err != nil {
		return nil, err
	}
	names, err := header(r.csv, d.layout.CSV, d.load.Columns)
	if err == io.EOF {
		return r, nil // an empty file has no rows, and next says so again
	}
	if err != nil {
		return nil, err
	}
	r.index, err = match(names, d.layout.Columns, d.load.LowerCase)
	return r, err
}

// next gives the next row, valid until the one after; io.EOF at the end.
func (r *reader) next() ([]bucketload.Field, error) { return r.csv.Next() }

// place says where an error stands.
func (r *reader) place(err error) *bucketload.Error {
	e := *bucketload.AsError(err)
	e.URI = r.entry.URI
	if e.Line == 0 && r.csv != nil {
		e.Line = r.csv.Line()
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
	e := &bucketload.Error{Code: bucketload.CodeValue, URI: entry.URI, Column: pg.ColumnName, Message: pg.Message + " (SQLSTATE " + pg.Code + ")",
		Hint: "mend the file, or the column's type, null_if or constraint"}
	row, column := copyContext(pg.Where, target.Name)
	if e.Column == "" {
		e.Column = column
	}
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
		e.Line = r.csv.Line()
		for i, c := range d.layout.Columns {
			if c.Name == e.Column && r.index[i] < len(fields) {
				e.Value = bucketload.Excerpt(fields[r.index[i]].Bytes, 200)
			}
		}
	}
	return e
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
