package steps

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/pgcopy"
	"github.com/bucketload/bucketload/internal/table"
)

// CopyInput names a batch of a run.
type CopyInput struct {
	ledger.Try
	Batch int `json:"batch"`
}

// CopyOutput counts what one call of Copy did; nothing for a batch that was
// done already.
type CopyOutput struct {
	Loaded   int64 `json:"loaded"` // files; one in parts with the last of them
	Failed   int64 `json:"failed"`
	Rows     int64 `json:"rows"`
	Rejected int64 `json:"rejected,omitempty"` // rows
}

// Copy loads one batch: its files' rows, their receipts and the batch's end
// commit in one transaction, or nothing does. A file that cannot be loaded
// costs that file only: it is recorded as failed, and Copy succeeds, unless
// that breaks the run's tolerance (CodeTolerance). So does a row, where the load
// tolerates that: it is recorded with the others' receipts. Any other error
// means that nothing of the batch was written.
func (s *Steps) Copy(ctx context.Context, in CopyInput) (CopyOutput, error) {
	if err := s.enter(ctx, in.Try, ledger.StateCopy); err != nil {
		return CopyOutput{}, during("copy", err)
	}
	d, err := s.definition(ctx, in.Run)
	if err != nil {
		return CopyOutput{}, err
	}
	var out CopyOutput
	var read, size, bad int64
	err = pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
		if err := table.WaitAtMost(ctx, tx, s.lockWait); err != nil {
			return err
		}
		if err := ledger.Join(ctx, tx, in.Run); err != nil {
			return err
		}
		if !d.staging {
			// Before Lease sees that the run is copying: whoever ends the run and then
			// swaps the table waits for this transaction, or is seen by Lease.
			if there, err := lockLive(ctx, tx, d.load.Table); err != nil {
				return err
			} else if !there {
				return takenAway(d.load, "is not there any more")
			}
		}
		files, err := ledger.Lease(ctx, tx, in.Try, in.Batch)
		if err != nil || len(files) == 0 {
			return err
		}
		if !d.staging {
			if same, err := ledger.SameTable(ctx, tx, in.Run); err != nil {
				return err
			} else if !same {
				return takenAway(d.load, "is not the table any more that the run began with")
			}
		}
		b := &batchCopy{steps: s, def: d, tx: tx, read: &read}
		load := b.streams
		if d.load.Loader == bucketload.LoaderAWSS3 {
			load = b.imports
		}
		receipts, err := load(ctx, d.target(in.Run), files)
		if err != nil {
			return err
		}
		for _, f := range files {
			size += f.Bytes()
		}
		for i, r := range receipts {
			switch {
			case r.Err == nil:
				out.Rows += r.Rows
				out.Rejected += r.Rejected
				continue
			case r.Part > 0:
				at := slices.IndexFunc(files, func(f bucketload.Entry) bool { return f.No == r.No && f.Part.No == r.Part })
				if receipts[i].Err, err = s.locate(ctx, d, files[at], r.Err); err != nil {
					return err
				}
			}
			bad++
		}
		out.Loaded, out.Failed, err = ledger.Receive(ctx, tx, in.Run, in.Batch, receipts)
		return err
	})
	if err != nil {
		s.Progress.Bytes.Add(-read)
		pg, ok := errors.AsType[*pgconn.PgError](err)
		switch {
		case ok && pg.Code == "55P03": // lock_not_available
			blockers, _ := table.Writers(ctx, s.Pool, d.target(in.Run))
			e := waiting{op: "copy", what: d.target(in.Run).String(), again: "bucketload redrive " + in.Run}.over(blockers, err)
			e.Transient, err = true, e
		case errors.Is(err, ledger.ErrBusy):
			err = &bucketload.Error{Op: "copy", Code: bucketload.CodeConflict, Transient: true, Err: err,
				Message: fmt.Sprintf("batch %d of run %s", in.Batch, in.Run), Hint: "go on once it has ended: bucketload redrive " + in.Run}
		}
		return CopyOutput{}, during("copy", bucketload.DatabaseError("copy", err))
	}
	s.Progress.Bytes.Add(size - read) // a file may have been read twice, or not to its end
	s.Progress.LoadedFiles.Add(out.Loaded)
	s.Progress.FailedFiles.Add(out.Failed)
	s.Progress.Rows.Add(out.Rows)
	if bad > 0 || out.Rejected > 0 && d.load.Tolerate.Rows.Count > 0 {
		err = during("copy", s.tolerated(ctx, in.Run, d))
	}
	return out, err
}

// lockTimeout is how long the rows of a copy wait for others who have locked the
// table, or have not committed rows with the same keys.
const lockTimeout = time.Minute

// takenAway is an append whose table somebody has taken away. What it has loaded is
// where that is.
func takenAway(load *bucketload.Load, how string) error {
	return &bucketload.Error{Code: bucketload.CodeConflict, Message: load.Table.String() + " " + how, Hint: "load again: bucketload load " + load.Key}
}

// lockLive lets no swap take the live table's place until tx ends, and says
// whether it is there. Its partitions are locked only as rows go there.
func lockLive(ctx context.Context, tx pgx.Tx, name bucketload.TableName) (there bool, err error) {
	_, err = tx.Exec(ctx, "LOCK TABLE ONLY "+table.Quote(name)+" IN ROW EXCLUSIVE MODE")
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && (pg.Code == "42P01" || pg.Code == "3F000") { // undefined_table, invalid_schema_name
		return false, nil
	}
	return err == nil, err
}

// batchCopy copies the files of one batch within its transaction.
type batchCopy struct {
	steps *Steps
	def   *definition
	tx    pgx.Tx
	read  *int64 // bytes of objects
}

// streams copies the files by reading them and sending their rows.
func (b *batchCopy) streams(ctx context.Context, target bucketload.TableName, files []bucketload.Entry) ([]ledger.Receipt, error) {
	out, err := b.open(ctx, target)
	if err != nil {
		return nil, err
	}
	f := newFeed(ctx, b, out.enc, files)
	defer f.stop()
	for f.more() {
		var err error
		if f.apart > 0 && b.def.load.Tolerate.Rejects() {
			err = b.careful(ctx, f, out)
		} else {
			err = b.segment(ctx, f, out)
		}
		if err != nil {
			return nil, err
		}
	}
	return f.receipts, nil
}

// segment copies the feed's next segment, or settles what is wrong with it.
func (b *batchCopy) segment(ctx context.Context, f *feed, out *stream) error {
	if _, err := b.tx.Exec(ctx, "SAVEPOINT segment"); err != nil {
		return err
	}
	var took int64
	for f.begin(); ; f.again() {
		tag, err := b.tx.Conn().PgConn().CopyFrom(ctx, f, out.sql)
		if err != nil {
			if err = b.settle(ctx, f, out.target, err); err == nil {
				_, err = b.tx.Exec(ctx, "ROLLBACK TO SAVEPOINT segment; RELEASE SAVEPOINT segment")
			}
			return err
		}
		took += tag.RowsAffected()
		if err := ledger.AddRejects(ctx, b.tx, b.def.run, f.rejects); err != nil {
			return err
		}
		if f.paused {
			continue
		}
		if took != f.rows() {
			return miscounted(f.rows(), took)
		}
		f.commit()
		_, err = b.tx.Exec(ctx, "RELEASE SAVEPOINT segment")
		return err
	}
}

// settle decides what a failed COPY costs: the file that could not be read,
// the one file that the server refused, or, where several were under way, a
// second try of each by itself; where a row may be lost, a second try that
// finds the rows. What is not a file's fault is returned.
func (b *batchCopy) settle(ctx context.Context, f *feed, target bucketload.TableName, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if b.tx.Conn().IsClosed() { // and somebody may still be in f.Read
		return bucketload.DatabaseError("copy", err)
	}
	culprit, one := f.culprit()
	if f.failed != nil {
		f.drop(culprit, f.failed)
		return nil
	}
	pg, err := b.refusal(ctx, err)
	if err != nil {
		return err
	}
	if !one || b.def.load.Tolerate.Rejects() {
		if !f.split() { // no row was sent
			return bucketload.DatabaseError("copy", pg)
		}
		return nil
	}
	e := b.steps.blame(ctx, b.def, culprit, target, pg)
	e.Code = refusalCode(pg)
	f.drop(culprit, e)
	return ctx.Err()
}

// columns gives the layout's columns as the target has them.
func (b *batchCopy) columns(ctx context.Context, target bucketload.TableName) ([]pgcopy.Column, error) {
	there, err := table.Columns(ctx, b.tx, target)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]table.Column, len(there))
	for _, c := range there {
		byName[c.Name] = c
	}
	columns := make([]pgcopy.Column, len(b.def.layout.Columns))
	for i, c := range b.def.layout.Columns {
		t, ok := byName[c.Name]
		if !ok {
			return nil, &bucketload.Error{Op: "copy", Code: bucketload.CodeNoColumn, Column: c.Name,
				Message: fmt.Sprintf("%s has no column %q any more", target, c.Name), Hint: "load again: bucketload load " + b.def.load.Key}
		}
		columns[i] = pgcopy.Column{Name: c.Name, OID: t.OID, TypMod: t.TypMod, TypeName: t.Type, Base: pgcopy.Type(t.Base), Element: t.Element, Elem: pgcopy.Type(t.Elem),
			NotNull: t.NotNull && b.def.staging, // a trigger of the live table may have a value
			NullIf:  c.NullIf, Trim: c.Trim, Format: c.Format, Default: c.Default, TrueIf: c.TrueIf, FalseIf: c.FalseIf,
			Decimal: mark(b.def.layout.CSV.Decimal), Thousands: mark(b.def.layout.CSV.Thousands)}
		if b.def.kept != nil {
			columns[i].Retype = table.RetypeSQL(*b.def.kept, c.Name)
		}
	}
	return columns, nil
}

// mark is a mark in numbers; 0 where it is not set.
func mark(s string) byte {
	if s == "" {
		return 0
	}
	return s[0]
}

// stream is a COPY into a table: its statement, its columns and their encoder.
type stream struct {
	target  bucketload.TableName
	sql     string
	columns []string
	enc     *pgcopy.Encoder
}

// open makes the COPY for the target's columns.
func (b *batchCopy) open(ctx context.Context, target bucketload.TableName) (*stream, error) {
	columns, err := b.columns(ctx, target)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	format := pgcopy.Choose(columns)
	enc, err := pgcopy.NewEncoder(format, columns)
	if err != nil {
		return nil, err
	}
	return &stream{target: target, sql: table.CopySQL(target, names, format == pgcopy.Binary), columns: names, enc: enc}, nil
}

// watch keeps the progress of bytes while a file is read.
func (b *batchCopy) watch(n int) {
	*b.read += int64(n)
	b.steps.Progress.Bytes.Add(int64(n))
}
