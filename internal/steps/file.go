package steps

import (
	"bytes"
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

// objects is where files are opened: a store, or one that reads ahead.
type objects interface {
	Open(ctx context.Context, obj bucketload.Object) (io.ReadCloser, error)
	OpenRange(ctx context.Context, obj bucketload.Object, off, n int64) (io.ReadCloser, error)
}

// reader reads the rows of one file of a run.
type reader struct {
	entry  bucketload.Entry
	from   objects
	object io.ReadCloser
	plain  io.ReadCloser
	rows   decoder
	names  []string // of the fields
	head   []byte   // the header as the file has it; nothing where it has none
	index  []int    // number of the field of each column, -1 for none; nil where there is no row
	count  int64    // of rows encoded so far

	arranged *arrangement // where index comes from
	parquet  *decode.Parquet
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

// opener opens files of a run one after the other. A file is to be read no more
// when the next one is opened, which takes its buffers, and what was found out
// of its header if it has the same.
type opener struct {
	*Steps
	def    *definition
	from   objects // where a file is opened that is read from its beginning to its end
	report func(n int)
	takes  func(column int) string // see pgcopy.Encoder.Takes; nil: fields are to be text

	plain decode.Decompressor
	csv   *decode.CSV
	head  []byte   // of the last file
	names []string // of its fields
	fits  *arrangement
}

func (s *Steps) opener(d *definition, from objects, report func(n int)) *opener {
	return &opener{Steps: s, def: d, from: from, report: report}
}

// openFile opens one file of the run by itself.
func (s *Steps) openFile(ctx context.Context, d *definition, from objects, entry bucketload.Entry, report func(n int)) (*reader, error) {
	return s.opener(d, from, report).open(ctx, entry)
}

// open opens a file up to its first row and finds its columns. Its errors are
// the file's, with the URI in them.
func (o *opener) open(ctx context.Context, entry bucketload.Entry) (_ *reader, err error) {
	r := &reader{entry: entry, from: o.from}
	defer func() {
		if err != nil {
			err = r.place(err)
			r.close()
		}
	}()
	var opened error
	switch o.def.layout.Format {
	case bucketload.FormatParquet:
		r.arranged, opened = o.openParquet(ctx, r)
	case bucketload.FormatJSON:
		r.arranged, opened = o.openJSON(ctx, r)
	default:
		if entry.Part != (bucketload.Part{}) {
			r.arranged, opened = o.openPart(ctx, o.def, r, o.report)
		} else {
			r.arranged, opened = o.openCSV(ctx, r)
		}
	}
	if errors.Is(opened, io.EOF) {
		return r, nil // an empty file has no rows, and next says so again
	}
	if opened != nil {
		return nil, opened
	}
	r.index = r.arranged.index
	return r, nil
}

// openPlain begins to read a file that is read from its beginning to its end.
func (o *opener) openPlain(ctx context.Context, r *reader) error {
	object, err := r.from.Open(ctx, r.entry.Object)
	if err != nil {
		return err
	}
	r.object = counting{object, o.report}
	r.plain, _, err = o.plain.Open(r.object, r.entry.URI, o.def.load.Compression)
	return err
}

func (o *opener) openCSV(ctx context.Context, r *reader) (_ *arrangement, err error) {
	if err = o.openPlain(ctx, r); err != nil {
		return nil, err
	}
	dialect := o.def.layout.CSV
	if o.csv != nil {
		o.csv.Reset(r.plain)
	} else if o.csv, err = decode.NewCSV(r.plain, dialect); err != nil {
		return nil, err
	}
	r.rows = o.csv
	if r.names, err = header(o.csv, r.entry.URI, dialect, o.def.load, o.def.layout.Columns); err != nil {
		return nil, err
	}
	if dialect.Header && !bytes.Equal(o.head, o.csv.Raw()) {
		o.head = bytes.Clone(o.csv.Raw())
	}
	r.head = o.head
	return o.arrange(r.names, r.entry)
}

// arrange gives the last file's arrangement again where the fields have the same
// names, and nothing in it is that file's own.
func (o *opener) arrange(names []string, entry bucketload.Entry) (*arrangement, error) {
	if o.fits != nil && slices.Equal(names, o.names) {
		return o.fits, nil
	}
	a, err := o.def.arrange(names, entry)
	o.names, o.fits = names, nil
	if err == nil && a.added == 0 && len(o.def.layout.Path) == 0 {
		o.fits = a
	}
	return a, err
}

// next gives the next row, valid until the one after; io.EOF at the end.
func (r *reader) next() (fields []bucketload.Field, err error) {
	if fields, err = r.rows.Next(); err != nil || r.arranged == nil {
		return fields, err
	}
	var line int64
	if r.arranged.line >= 0 {
		line = r.rows.Line()
	}
	return r.arranged.row(fields, line), nil
}

// header gives the names of a file's fields: those in its header, or where it
// has none those of their positions. columns are those of the table, where they
// are known.
func header(csv *decode.CSV, uri string, dialect bucketload.CSV, load *bucketload.Load, columns []bucketload.Column) ([]string, error) {
	if dialect.Header {
		names, err := csv.Header()
		return names, headless(err, dialect, given(load))
	}
	n, fewer, more := width(uri, load, columns)
	n, err := csv.Measure(n, fewer, more)
	if err != nil {
		return nil, err
	}
	return positions(n, given(load)), nil
}

// headless says of a header line that cannot be read what is to be done where
// the columns are listed: they may be all that is needed.
func headless(err error, dialect bucketload.CSV, given []bucketload.Column) error {
	e, ok := errors.AsType[*bucketload.Error](err)
	if !ok || !slices.Contains([]bucketload.Code{bucketload.CodeQuote, bucketload.CodeTooLong}, e.Code) {
		return err
	}
	because := *e
	because.Message = "the header cannot be read: " + e.Message
	if len(given) > 0 {
		because.Hint = fmt.Sprintf("mend the line; or, if columns: lists the fields in their order, pass over it: csv: {header: false, skip_head: %d}", dialect.SkipHead+1)
	}
	return &because
}

var position = regexp.MustCompile(`^column_([1-9][0-9]{0,3})$`)

// byPosition says whether one of the columns is read from a column_N, and gives
// the greatest N.
func byPosition(columns []bucketload.Column) (greatest int) {
	for _, c := range columns {
		for _, from := range c.From {
			if m := position.FindStringSubmatch(from); m != nil {
				n, _ := strconv.Atoi(m[1]) // of at most four digits
				greatest = max(greatest, n)
			}
		}
	}
	return greatest
}

// width is how many fields a row has in a file without a header, 0 where nothing
// tells, and whether the file may have fewer or more.
func width(uri string, load *bucketload.Load, columns []bucketload.Column) (n int, fewer, more bool) {
	given := given(load)
	if len(given) > 0 {
		columns = given
	}
	if n = byPosition(columns); n > 0 || len(given) == 0 {
		return n, true, true // columns that others stand between, or behind
	}
	ofPath := slices.ContainsFunc(pathKeys(uri), func(k pathKey) bool {
		return slices.ContainsFunc(given, func(c bucketload.Column) bool { return sameColumn(c.Sources()[0], k.name, load.LowerCase) })
	})
	passes := []string{bucketload.PolicyIgnore, bucketload.PolicyAdd, bucketload.PolicyRescue}
	return len(given), ofPath || load.Missing == bucketload.PolicyNull, slices.Contains(passes, load.Unknown)
}

// positions names the n fields of a file without a header: as the columns that
// are given stand, or, where there are none or one of them says from which
// column_N it is read, column_1 to column_n.
func positions(n int, given []bucketload.Column) []string {
	if byPosition(given) > 0 {
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
	if _, ok := r.rows.(*decode.CSV); ok && e.Column != "" {
		switch e.Code {
		case bucketload.CodeUTF8:
			e.Hint = "say which encoding it is, for example csv: {encoding: windows-1252}; or write csv: {invalid_utf8: replace} or strip"
		case bucketload.CodeNUL:
			e.Hint = "write csv: {nul: strip} or replace"
		}
	}
	return &e
}

func (r *reader) close() {
	if r.parquet != nil {
		_ = r.parquet.Close()
	}
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
	r, err := s.openFile(ctx, d, d.store, entry, func(int) {})
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
			if field := r.index[i]; c.Name == e.Column && field >= 0 && field < len(fields) {
				e.Value = bucketload.Excerpt(fields[field].Bytes, maxValue)
			}
		}
	}
	return e
}

// refused makes the error of a file that Postgres refused, and gives the number
// that its context has: of the row in a COPY of rows, of the line in one of CSV.
func refused(entry bucketload.Entry, target bucketload.TableName, pg *pgconn.PgError) (e *bucketload.Error, at int64) {
	e = &bucketload.Error{Code: refusalCode(pg), URI: entry.URI, Column: pg.ColumnName, Message: pg.Message + " (SQLSTATE " + pg.Code + ")",
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
