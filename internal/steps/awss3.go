package steps

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/decode"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/source"
	"github.com/bucketload/bucketload/internal/table"
)

// importable refuses, before anything is listed, to let a server read objects
// that cannot. It is nil for any other loader.
func (s *Steps) importable(ctx context.Context, load *bucketload.Load) error {
	if load.Loader != bucketload.LoaderAWSS3 {
		return nil
	}
	there, err := table.Imports(ctx, s.Pool)
	if err != nil || there {
		return err
	}
	return noExtension("plan", nil)
}

func noExtension(op string, err error) error {
	return &bucketload.Error{Op: op, Code: bucketload.CodeUsage, Err: err, Message: "loader: aws_s3, and the database does not have the extension aws_s3",
		Hint: "CREATE EXTENSION aws_s3 CASCADE, which only RDS and Aurora have; elsewhere write loader: stream"}
}

// imports copies the files of the batch by having the server read each of them,
// behind a savepoint of its own. It is run for the loader aws_s3.
func (b *batchCopy) imports(ctx context.Context, target bucketload.TableName, files []bucketload.Entry) ([]ledger.Receipt, error) {
	columns, err := b.columns(ctx, target)
	if err != nil {
		return nil, err
	}
	var forceNull []string
	for _, c := range columns {
		if !c.TakesEmpty() {
			forceNull = append(forceNull, c.Name)
		}
	}
	i := &importer{batchCopy: b, store: b.def.store, target: target, options: table.ImportOptions(b.def.layout.CSV, forceNull)}
	receipts := make([]ledger.Receipt, len(files))
	for n, entry := range files {
		receipts[n].No = entry.No
		if receipts[n].Rows, receipts[n].Err, err = i.file(ctx, entry); err != nil {
			return nil, err
		}
	}
	return receipts, nil
}

// importer has the server read the files of a batch.
type importer struct {
	*batchCopy
	store   *source.Store
	target  bucketload.TableName
	options string
}

// file loads one file. What is wrong with it is failed, and leaves no row; err
// is anything else.
//
// The server is not told which version of the object to read. So S3 is asked
// before and after: what it had all the time is what the server read.
func (i *importer) file(ctx context.Context, entry bucketload.Entry) (rows int64, failed *bucketload.Error, err error) {
	in := table.Import{Table: i.target, Options: i.options}
	before, err := i.store.Head(ctx, entry.Object)
	if err == nil {
		in.Columns, err = i.fields(ctx, entry, before.Encoding)
	}
	if err == nil {
		in.Bucket, in.Key, in.Region, err = i.store.Locate(ctx, entry.URI)
	}
	if err != nil || in.Columns == nil {
		failed, err = i.failure(ctx, entry, err)
		return 0, failed, err
	}
	if _, err = i.tx.Exec(ctx, "SAVEPOINT file"); err != nil {
		return 0, nil, err
	}
	rows, refusal := table.ImportS3(ctx, i.tx, in)
	if refusal == nil || !i.tx.Conn().IsClosed() {
		failed, err = i.failure(ctx, entry, i.unchanged(ctx, before))
	}
	if refusal != nil && failed == nil && err == nil {
		failed, err = i.judge(ctx, entry, refusal)
	}
	switch {
	case err != nil:
		return 0, nil, err
	case failed != nil:
		_, err = i.tx.Exec(ctx, "ROLLBACK TO SAVEPOINT file; RELEASE SAVEPOINT file")
		return 0, failed, err
	}
	i.watch(int(entry.Size))
	_, err = i.tx.Exec(ctx, "RELEASE SAVEPOINT file")
	return rows, nil, err
}

// failure makes what is wrong with the object the file's failure, unless it is
// the context's end.
func (i *importer) failure(ctx context.Context, entry bucketload.Entry, err error) (*bucketload.Error, error) {
	if err == nil || ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return (&reader{entry: entry}).place(err), nil
}

// unchanged is nil where the object is the one that it was. One that was
// written again with the same content may have been another in between.
func (i *importer) unchanged(ctx context.Context, before source.Head) error {
	after, err := i.store.Head(ctx, before.Object)
	if err == nil && !after.Time.Equal(before.Time) {
		err = &bucketload.Error{Code: bucketload.CodeChanged, Message: "the object was written again while the server read it",
			Hint: "run the load again, once nothing writes to its objects any more"}
	}
	return err
}

// judge decides what a refusal of the server costs: the file, where that is
// what the server blames. What is not the file's fault is returned.
func (i *importer) judge(ctx context.Context, entry bucketload.Entry, refusal error) (*bucketload.Error, error) {
	err := bucketload.DatabaseError("copy", refusal)
	pg, ok := errors.AsType[*pgconn.PgError](refusal)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case !ok || bucketload.IsTransient(err):
		return nil, err
	case dataFault(pg.Code):
		failed := i.blameLine(ctx, entry, pg)
		return failed, ctx.Err()
	case pg.Code == "42883" || pg.Code == "3F000": // undefined_function, invalid_schema_name
		return nil, noExtension("copy", refusal)
	}
	e := *bucketload.AsError(err)
	e.URI = entry.URI
	switch {
	case pg.Code == "42501": // insufficient_privilege
		e.Hint = "the role needs USAGE on schemas aws_s3 and aws_commons, EXECUTE on their functions, and INSERT on the table"
	case e.Hint == "":
		e.Hint = "the server reads the object itself: it needs a role with the feature s3Import that may read the bucket, and a way to S3; or write loader: stream"
	}
	return nil, &e
}

// topBytes is how much is read of an object to find its header: more than most
// have, and little beside the object.
const topBytes = 16 << 10

// fields gives the table's columns in the order of the file's fields; nil where
// the file has no row.
func (i *importer) fields(ctx context.Context, entry bucketload.Entry, encoding string) ([]string, error) {
	for n := int64(topBytes); ; n = min(8*n, decode.MaxRow) {
		data, err := readRange(ctx, i.store, entry.Object, 0, n)
		if err != nil {
			return nil, err
		}
		whole := n >= entry.Size || n == decode.MaxRow
		names, enough, err := i.top(data, whole, entry, encoding)
		if enough || whole {
			return names, err
		}
	}
}

// top is fields for an object that begins with data, or is data as a whole. It
// is enough if a row follows the one that names the fields: else that one may
// go on.
func (i *importer) top(data []byte, whole bool, entry bucketload.Entry, encoding string) (names []string, enough bool, err error) {
	r := &reader{entry: entry}
	defer func() {
		if err != nil {
			err = r.place(err)
		}
		r.close()
	}()
	var compression string
	if r.plain, compression, err = decode.DecompressAs(bytes.NewReader(data), entry.URI, i.def.load.Compression); err != nil {
		return nil, true, err
	}
	if err := encoded(compression, encoding); err != nil && len(data) > 0 {
		return nil, true, err
	}
	dialect, plain := i.def.layout.CSV, io.Reader(r.plain)
	if !whole {
		plain = cut{plain}
	}
	csv, err := decode.NewCSV(plain, dialect)
	if err != nil {
		return nil, true, err
	}
	r.rows = csv
	found, err := header(csv, entry.URI, dialect, i.def.load, i.def.layout.Columns)
	if errors.Is(err, io.EOF) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if dialect.Header && r.rows.Line() > 1 || !dialect.Header && r.rows.Offset() > 0 {
		return nil, true, &bucketload.Error{Code: bucketload.CodeHeader, Message: "something empty comes first, a blank line or a byte order mark, and the server would take it for a row",
			Hint: "take it out of the file, or write loader: stream"}
	}
	index, err := match(found, i.def.layout.Columns, i.def.load.LowerCase)
	if err == nil {
		names, err = inOrder(i.def.layout.Columns, index, len(found))
	}
	if err != nil {
		err = r.place(err) // before the next row moves the line
	}
	_, next := r.rows.Next()
	if !dialect.Header && !errors.Is(next, io.EOF) {
		_, next = r.rows.Next() // the first row named the fields
	}
	return names, !errors.Is(next, io.EOF), err
}

// inOrder gives the columns by the number of their field.
func inOrder(columns []bucketload.Column, index []int, fields int) ([]string, error) {
	names := make([]string, fields)
	for c, field := range index {
		if names[field] != "" {
			return nil, &bucketload.Error{Code: bucketload.CodeNoColumn, Column: columns[c].Name,
				Message: fmt.Sprintf("columns %q and %q are read from the same field, which the server cannot do", names[field], columns[c].Name),
				Hint:    "give each a header of its own, or write loader: stream"}
		}
		names[field] = columns[c].Name
	}
	return names, nil
}

// encoded refuses what the server cannot decompress: it goes by the object's
// Content-Encoding alone, and knows gzip only.
func encoded(compression, encoding string) error {
	says := strings.EqualFold(encoding, "gzip")
	switch {
	case compression == "" && !says, compression == "gzip" && says:
		return nil
	case compression == "gzip":
		return &bucketload.Error{Code: bucketload.CodeSource, Message: "it is compressed with gzip, and its Content-Encoding does not say so, by which alone the server goes",
			Hint: "aws s3 cp URI URI --content-encoding gzip --metadata-directive REPLACE; or write loader: stream"}
	case compression == "":
		return &bucketload.Error{Code: bucketload.CodeSource, Message: "its Content-Encoding says gzip, and it is not compressed",
			Hint: "upload it again without --content-encoding, or write loader: stream"}
	}
	return &bucketload.Error{Code: bucketload.CodeSource, Message: "it is compressed with " + compression + ", and the server reads gzip only",
		Hint: "write loader: stream"}
}

// cut makes the end of what was read of an object the end of the object.
type cut struct{ io.Reader }

func (c cut) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if err != nil {
		err = io.EOF
	}
	return n, err
}

// blameLine finds the row of a file that Postgres refused. The server names the
// line on which the row ends and cites the value, and the file is read up to
// there: for the line on which the row begins and the whole value, and where
// its very form is wrong, for what decode says of that. In a file with CRLF the
// server does not count an LF within quotes, so the row may come later; none
// before it has that value, or it would have been refused.
func (i *importer) blameLine(ctx context.Context, entry bucketload.Entry, pg *pgconn.PgError) *bucketload.Error {
	const (
		badFormat, notInCharacterSet = "22P04", "22021"
		cited                        = 80 // bytes; the server cites 100, cut at a character
	)
	e, at := refused(entry, i.target, pg)
	e.Line, e.Hint = at, "mend the file, or the column's type or constraint; loader: stream has null_if and trim"
	if pg.Code == notInCharacterSet {
		e.Code, e.Hint = bucketload.CodeUTF8, "convert the file to UTF-8, for example with iconv"
	}
	if at == 0 {
		return e
	}
	r, err := i.steps.openFile(ctx, i.def, i.store, entry, func(int) {})
	if err != nil {
		return e
	}
	defer r.close()
	column := slices.IndexFunc(i.def.layout.Columns, func(c bucketload.Column) bool { return c.Name == e.Column })
	for {
		row, err := r.next()
		if form, ok := errors.AsType[*bucketload.Error](err); ok && pg.Code == badFormat &&
			slices.Contains([]bucketload.Code{bucketload.CodeRagged, bucketload.CodeQuote, bucketload.CodeTooLong}, form.Code) {
			return r.place(err)
		}
		if err != nil {
			return e
		}
		line := r.rows.Line()
		if line+newlines(row) < at {
			continue
		}
		if column >= 0 {
			value := bucketload.Excerpt(row[r.index[column]].Bytes, 200)
			citation := `"` + value + `"`
			if len(value) > cited {
				citation = citation[:cited]
			}
			if value != "" && !strings.Contains(pg.Where, citation) {
				continue
			}
			e.Value = value
		}
		e.Line = line
		return e
	}
}

// newlines counts the line ends within a row's fields.
func newlines(row []bucketload.Field) (n int64) {
	for _, f := range row {
		n += int64(bytes.Count(f.Bytes, []byte{'\n'}))
	}
	return n
}
