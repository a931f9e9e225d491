package steps

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
)

// maxParcel is how much of a file's rows is sent at once where the server has
// refused one of them, and so how much is kept to be sent again.
const maxParcel = 1 << 20

// careful loads the feed's next file, of which the server has refused a row, and
// leaves out the rows that it refuses: they go in parcels, each behind a
// savepoint. Where the file has lost too many, nothing of it stays.
func (b *batchCopy) careful(ctx context.Context, f *feed, out *stream) error {
	if _, err := b.tx.Exec(ctx, "SAVEPOINT segment"); err != nil {
		return err
	}
	receipt, err := b.carefully(ctx, out, f.ahead, f.take())
	if err == nil && receipt.Err != nil {
		_, err = b.tx.Exec(ctx, "ROLLBACK TO SAVEPOINT segment")
	}
	if err != nil {
		return err
	}
	f.receipts = append(f.receipts, receipt)
	_, err = b.tx.Exec(ctx, "RELEASE SAVEPOINT segment")
	return err
}

func (b *batchCopy) carefully(ctx context.Context, out *stream, from objects, entry bucketload.Entry) (ledger.Receipt, error) {
	file, err := b.steps.openFile(ctx, b.def, from, entry, b.watch)
	if err != nil {
		return ledger.Receipt{No: entry.No, Err: bucketload.AsError(err)}, ctx.Err()
	}
	defer file.close()
	if file.index != nil {
		out.enc.Map(file.index)
	}
	p := &passage{reader: file, tolerate: b.def.load.Tolerate}
	c := &parcel{out: out}
	for ended := false; !ended; {
		var row []bucketload.Field
		c.encoded, row, err = p.next(out.enc, c.encoded)
		switch {
		case errors.Is(err, io.EOF):
			ended = true
		case err != nil:
			return ledger.Receipt{No: entry.No, Err: bucketload.AsError(err)}, ctx.Err()
		case row != nil:
			c.add(p.reject(), row, file.index)
		}
		if !ended && c.size() < maxParcel && p.waiting < maxWaiting {
			continue
		}
		failed, err := b.send(ctx, c, func(i int, pg *pgconn.PgError) *bucketload.Error {
			p.count--
			return p.lose(c.rows[i].reject, c.blame(i, entry, pg))
		})
		if failed == nil && err == nil {
			err = ledger.AddRejects(ctx, b.tx, b.def.run, p.take())
		}
		if failed != nil || err != nil {
			return ledger.Receipt{No: entry.No, Err: failed}, err
		}
		c.clear()
	}
	if failed := p.exceeded(true); failed != nil { // with the last parcel's
		return ledger.Receipt{No: entry.No, Err: failed}, nil
	}
	return p.receipt(), nil
}

// parcel is encoded rows that are sent together, or a part of them.
type parcel struct {
	out     *stream
	encoded []byte
	rows    []parcelRow
	values  []byte // of the rows' columns, bounded
	raw     int    // bytes that the rows' rejects would take
}

type parcelRow struct {
	end    int           // where it ends in encoded
	reject ledger.Reject // what becomes of it where the server refuses it
	values []int         // where its columns' values end in values
	from   int           // where they begin
}

// maxValue is how much of a value an error cites, in bytes.
const maxValue = 200

// add takes in the row that has been encoded last. index has the number of the
// field of each column, -1 for none.
func (c *parcel) add(reject ledger.Reject, row []bucketload.Field, index []int) {
	r := parcelRow{end: len(c.encoded), reject: reject, from: len(c.values), values: make([]int, len(index))}
	for i, field := range index {
		if field >= 0 && field < len(row) {
			value := row[field].Bytes
			c.values = append(c.values, value[:min(len(value), maxValue+1)]...)
		}
		r.values[i] = len(c.values)
	}
	c.rows = append(c.rows, r)
	c.raw += rejectSize + len(reject.Raw)
}

// size is how much memory the parcel takes.
func (c *parcel) size() int { return len(c.encoded) + len(c.values) + c.raw }

func (c *parcel) clear() {
	c.encoded, c.rows, c.values, c.raw = c.encoded[:0], c.rows[:0], c.values[:0], 0
}

// blame makes the error of row i, which the server has refused.
func (c *parcel) blame(i int, entry bucketload.Entry, pg *pgconn.PgError) *bucketload.Error {
	e, _ := refused(entry, c.out.target, pg)
	row := &c.rows[i]
	e.Line = row.reject.Line
	if column := slices.Index(c.out.columns, e.Column); column >= 0 {
		from := row.from
		if column > 0 {
			from = row.values[column-1]
		}
		e.Value = bucketload.Excerpt(c.values[from:row.values[column]], maxValue)
	}
	return e
}

// send copies the rows of the parcel but for those that the server refuses. It ends
// with the error that refuse gives for one of these, or with one of its own,
// which is none of the rows'.
//
// After a refusal a part is sent that is twice as long as the way to it was, and
// twice as much with every part that is taken: however many rows are refused, a
// row is sent about twice.
func (b *batchCopy) send(ctx context.Context, c *parcel, refuse func(row int, pg *pgconn.PgError) *bucketload.Error) (failed *bucketload.Error, err error) {
	if len(c.rows) == 0 {
		return nil, nil
	}
	if _, err := b.tx.Exec(ctx, "SAVEPOINT part"); err != nil {
		return nil, err
	}
	for from, length := 0, len(c.rows); from < len(c.rows); {
		n, pg, err := b.part(ctx, c, from, min(from+length, len(c.rows)))
		if err != nil {
			return nil, err
		}
		if pg != nil {
			if failed := refuse(from+n, pg); failed != nil {
				return failed, nil
			}
			n++
		}
		from, length = from+n, 2*n
	}
	_, err = b.tx.Exec(ctx, "RELEASE SAVEPOINT part")
	return nil, err
}

// part copies the rows in [from, to) up to the first that the server refuses.
// It gives how many it took and, unless that is all, why it took no more.
func (b *batchCopy) part(ctx context.Context, c *parcel, from, to int) (n int, _ *pgconn.PgError, err error) {
	if from == to {
		return 0, nil, nil
	}
	pg, err := b.try(ctx, c, from, to)
	if err != nil || pg == nil {
		return to - from, nil, err
	}
	at, _ := copyContext(pg.Where, c.out.target.Name)
	if at < 1 || at > int64(to-from) { // none is named: as by a trigger that comes after the rows
		if to-from == 1 {
			return 0, pg, nil
		}
		middle := (from + to) / 2
		if n, pg, err := b.part(ctx, c, from, middle); err != nil || pg != nil {
			return n, pg, err
		}
		n, pg, err := b.part(ctx, c, middle, to)
		return middle - from + n, pg, err
	}
	bad := int(at) - 1
	if n, pg, err := b.part(ctx, c, from, from+bad); err != nil || pg != nil {
		return n, pg, err
	}
	return bad, pg, nil
}

// try copies the rows in [from, to), all or none, from one savepoint to the
// next. It gives why the server refuses them; err is anything else.
func (b *batchCopy) try(ctx context.Context, c *parcel, from, to int) (*pgconn.PgError, error) {
	begin := 0
	if from > 0 {
		begin = c.rows[from-1].end
	}
	enc := c.out.enc
	data := io.MultiReader(bytes.NewReader(enc.AppendHeader(nil)), bytes.NewReader(c.encoded[begin:c.rows[to-1].end]), bytes.NewReader(enc.AppendTrailer(nil)))
	tag, err := b.tx.Conn().PgConn().CopyFrom(ctx, data, c.out.sql)
	if err == nil {
		if tag.RowsAffected() != int64(to-from) {
			return nil, miscounted(int64(to-from), tag.RowsAffected())
		}
		_, err = b.tx.Exec(ctx, "RELEASE SAVEPOINT part; SAVEPOINT part")
		return nil, err
	}
	pg, err := b.refusal(ctx, err)
	if err == nil {
		_, err = b.tx.Exec(ctx, "ROLLBACK TO SAVEPOINT part")
	}
	return pg, err
}

// refusal gives the server's error where it blames the rows that were sent; err
// is anything else that a COPY may fail for.
func (b *batchCopy) refusal(ctx context.Context, failure error) (_ *pgconn.PgError, err error) {
	err = bucketload.DatabaseError("copy", failure)
	pg, ok := errors.AsType[*pgconn.PgError](failure)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case b.tx.Conn().IsClosed(), !ok, bucketload.IsTransient(err), !dataFault(pg.Code):
		return nil, err
	}
	return pg, nil
}

// dataFault says whether an SQLSTATE blames the data: class 22 (data
// exception), 23 (integrity constraint violation), 44 (with check option), 54
// (program limit exceeded, as by a row too big), P0 (raised by a trigger).
func dataFault(state string) bool {
	switch state[:2] {
	case "22", "23", "44", "54", "P0":
		return true
	}
	return false
}

// refusalCode is the code of a row that the server refuses.
func refusalCode(pg *pgconn.PgError) bucketload.Code {
	switch pg.Code {
	case "23502": // not_null_violation
		return bucketload.CodeNull
	case "23505", "23P01": // unique_violation, exclusion_violation
		return bucketload.CodeDuplicate
	}
	return bucketload.CodeValue
}

func miscounted(sent, took int64) error {
	return &bucketload.Error{Op: "copy", Code: bucketload.CodeInternal, Message: fmt.Sprintf("sent %d rows, Postgres took %d", sent, took)}
}
