package steps

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/decode"
	"github.com/bucketload/bucketload/internal/ledger"
)

// ReplayOutput counts what became of a run's rejects.
type ReplayOutput struct {
	Run      string `json:"run"`
	Table    string `json:"table"`
	Replayed int64  `json:"replayed"` // rows that were loaded after all
	Left     int64  `json:"left"`     // rows that failed again
}

// replayAtOnce is how many rejects are read from the ledger at a time, of up to
// maxRaw bytes each.
const replayAtOnce = 100

// Replay loads the rows of an ended run that could not be loaded, as a mended
// definition of its table reads them, into the live table. Rows, marks and
// counts commit in one transaction, so that each is loaded once, however often
// and by how many it is called. A row that fails again stays, with the new
// reason. It is CodeConflict where the live table is not, or no longer, the
// run's.
func (s *Steps) Replay(ctx context.Context, run string, mended *bucketload.Load) (out ReplayOutput, err error) {
	defer func() { err = during("replay", bucketload.DatabaseError("replay", err)) }()
	r, err := s.Ledger.Run(ctx, run)
	if err != nil {
		return out, err
	}
	if err := replayable(r); err != nil {
		return out, err
	}
	d, err := s.definition(ctx, run)
	if err != nil {
		return out, err
	}
	err = pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
		out = ReplayOutput{Run: run, Table: r.Table}
		if err := ledger.Settle(ctx, tx, run); err != nil { // another replay
			return err
		}
		if err := lockCurrent(ctx, tx, r); err != nil {
			return err
		}
		b := &batchCopy{steps: s, def: d.mended(mended), tx: tx, read: new(int64)}
		to, err := b.open(ctx, r.Load.Table)
		if err != nil {
			return err
		}
		files, err := ledger.FilesWithRejects(ctx, tx, run)
		if err != nil {
			return err
		}
		for _, file := range files {
			if err := b.replay(ctx, to, file, &out); err != nil {
				return err
			}
		}
		return ledger.Complete(ctx, tx, run)
	})
	if err != nil {
		return ReplayOutput{}, err
	}
	return out, nil
}

// replayable refuses a run whose rejects cannot go to the live table as they
// are.
func replayable(r *ledger.Run) error {
	refuse := func(why, hint string) error {
		return &bucketload.Error{Op: "replay", Code: bucketload.CodeConflict, Message: fmt.Sprintf("run %s %s", *r.ID, why), Hint: hint}
	}
	again := "load again: bucketload load " + r.Load.Key
	switch {
	case r.Status == bucketload.StatusRunning:
		return refuse("is under way", "wait for it, or look: bucketload status "+*r.ID)
	case r.Load.LimitFiles > 0:
		return refuse(fmt.Sprintf("was a trial of %d files", r.Load.LimitFiles), "load for real: bucketload load "+r.Load.Key)
	case !r.Published:
		return refuse(fmt.Sprintf("has ended as %s, and its rows are not the table's", r.Status), again)
	case r.Load.Mode.Merges():
		return refuse("was of mode "+string(r.Load.Mode)+", and rows that come later would take no row's place", "mend it, and load all again: bucketload load "+r.Load.Key+" --force")
	case len(r.Load.BeforeSwapSQL) > 0:
		return refuse("had before_swap_sql, which rows that come later would miss", again)
	}
	return nil
}

// lockCurrent keeps every other run from replacing the live table until tx
// ends, and refuses where one has.
func lockCurrent(ctx context.Context, tx pgx.Tx, r *ledger.Run) error {
	gone := &bucketload.Error{Op: "replay", Code: bucketload.CodeConflict, Message: fmt.Sprintf("%s is no longer what run %s has loaded", r.Load.Table, *r.ID),
		Hint: "the rejects of the run that has: bucketload runs; or load again: bucketload load " + r.Load.Key}
	if there, err := lockLive(ctx, tx, r.Load.Table); err != nil {
		return err
	} else if !there {
		return gone
	}
	current, err := ledger.Current(ctx, tx, *r.ID, r.Load.Table)
	if err == nil && !current {
		err = gone
	}
	return err
}

// mended is the definition as a load that was changed since has it: what it
// says of the values of the run's columns and of rows. Names, types and what
// comes before the rows stay the run's.
func (d *definition) mended(load *bucketload.Load) *definition {
	m := *d
	layout := *d.layout
	layout.Columns = slices.DeleteFunc(slices.Clone(layout.Columns), func(c bucketload.Column) bool { return isOrder(c.Name) })
	for i := range layout.Columns {
		c := &layout.Columns[i]
		by := slices.IndexFunc(load.Columns, func(o bucketload.Column) bool { return o.Name == c.Name })
		if by < 0 {
			continue
		}
		o := load.Columns[by]
		c.NullIf, c.Trim, c.Format, c.Default, c.TrueIf, c.FalseIf = o.NullIf, o.Trim, o.Format, o.Default, o.TrueIf, o.FalseIf
	}
	csv, now := &layout.CSV, load.CSV
	csv.StrayQuotes, csv.Ragged, csv.InvalidUTF8, csv.NUL = now.StrayQuotes, now.Ragged, now.InvalidUTF8, now.NUL
	for _, k := range []struct {
		name    string
		was, is *string
	}{
		{"delimiter", &csv.Delimiter, &now.Delimiter}, {"quote", &csv.Quote, &now.Quote}, {"escape", &csv.Escape, &now.Escape},
		{"unquoted_blanks", &csv.UnquotedBlanks, &now.UnquotedBlanks}, {"decimal", &csv.Decimal, &now.Decimal}, {"thousands", &csv.Thousands, &now.Thousands},
	} {
		if !slices.Contains(load.CSVOpen, k.name) {
			*k.was = *k.is
		}
	}
	m.layout = &layout
	return &m
}

// replay loads the rejects of a file, and records what became of them.
func (b *batchCopy) replay(ctx context.Context, to *stream, file int, sum *ReplayOutput) error {
	entry, shape, err := ledger.ShapeOf(ctx, b.tx, b.def.run, file)
	if err != nil {
		return err
	}
	rereader, err := b.def.rereader(entry, shape)
	if err != nil {
		return (&reader{entry: entry}).place(err)
	}
	index := rereader.arranged.index
	to.enc.Map(index)
	c := &parcel{out: to}
	for after := int64(0); ; c.clear() {
		rejects, err := ledger.RejectsOf(ctx, b.tx, b.def.run, file, after, replayAtOnce)
		if err != nil || len(rejects) == 0 {
			return err
		}
		after = rejects[len(rejects)-1].No
		var loaded []int64
		var again []ledger.Reject
		fail := func(r ledger.Reject, err error) {
			line := r.Line
			r.FileError = *bucketload.AsError(err).File()
			r.Line = line
			again = append(again, r)
		}
		for _, r := range rejects {
			row, err := rereader.row(&r)
			if err == nil {
				c.encoded, err = to.enc.Append(c.encoded, row)
			}
			if err != nil {
				fail(r, err)
				continue
			}
			c.add(r, row, index)
		}
		refused := map[int64]bool{}
		if _, err := b.send(ctx, c, func(i int, pg *pgconn.PgError) *bucketload.Error {
			r := c.rows[i].reject
			refused[r.No] = true
			fail(r, c.blame(i, entry, pg))
			return nil
		}); err != nil {
			return err
		}
		for _, row := range c.rows {
			if !refused[row.reject.No] {
				loaded = append(loaded, row.reject.No)
			}
		}
		if err := ledger.Replay(ctx, b.tx, b.def.run, file, loaded, again); err != nil {
			return err
		}
		sum.Replayed += int64(len(loaded))
		sum.Left += int64(len(again))
	}
}

// rereader reads the rejects of one file again.
type rereader struct {
	arranged *arrangement
	open     func(raw []byte) (decoder, error) // of one row, in UTF-8
	encoding string                            // of what is kept
}

// rereader finds the columns of a file from what is kept of it.
func (d *definition) rereader(entry bucketload.Entry, shape *ledger.Shape) (_ *rereader, err error) {
	r := &rereader{encoding: shape.Encoding}
	var fields []decode.JSONField
	unknown := d.load.Unknown
	switch d.layout.Format {
	case bucketload.FormatJSON:
		fields, r.arranged, err = d.arrangeJSON(entry)
	case bucketload.FormatParquet: // a row of it is kept as a JSON object, by path
		unknown = bucketload.PolicyIgnore
		var selected []decode.ParquetField
		selected, r.arranged, err = d.arrangeParquet(shape.Header, entry)
		for _, f := range selected {
			fields = append(fields, decode.JSONField{Paths: []string{f.Path}, Raw: f.Type == "json" || f.Type == "jsonb"})
		}
	default:
		r.open = func(raw []byte) (decoder, error) { return d.openRow(shape, raw) }
		r.arranged, err = d.arrange(shape.Header, entry)
		return r, err
	}
	r.open = func(raw []byte) (decoder, error) {
		array := io.MultiReader(strings.NewReader("["), bytes.NewReader(raw), strings.NewReader("]"))
		return decode.NewJSON(array, "$", fields, unknown)
	}
	return r, err
}

// row gives the reject as a row of its file, valid until the next call.
func (r *rereader) row(reject *ledger.Reject) ([]bucketload.Field, error) {
	if reject.Cut() {
		return nil, &bucketload.Error{Code: bucketload.CodeTooLong,
			Message: fmt.Sprintf("of the row's %d bytes only the first %d were kept", reject.Bytes, len(reject.Raw)), Hint: "load its file again"}
	}
	raw := decode.Text(reject.Raw, r.encoding)
	rows, err := r.open(raw)
	if err != nil {
		return nil, err
	}
	row, err := rows.Next()
	if errors.Is(err, io.EOF) || err == nil && len(bytes.TrimSpace(rows.Raw())) < len(bytes.TrimSpace(raw)) {
		return nil, &bucketload.Error{Code: bucketload.CodeRagged, Message: "its bytes are not one row, as the configuration reads them now",
			Hint: "see csv: {delimiter, quote, escape}"}
	}
	if err != nil {
		return nil, err
	}
	return r.arranged.row(row, reject.Line), nil
}

// openRow reads the text of a row behind the header of its file, or, where it
// had none, behind a row of as many fields.
func (d *definition) openRow(shape *ledger.Shape, raw []byte) (decoder, error) {
	dialect := d.layout.CSV
	dialect.Encoding, dialect.Comment, dialect.SkipHead, dialect.SkipFoot = "utf-8", "", 0, 0
	head := decode.Text(shape.Raw, shape.Encoding)
	if !dialect.Header {
		head = filler(dialect, len(shape.Header), raw)
	}
	csv, err := decode.NewCSV(io.MultiReader(bytes.NewReader(head), bytes.NewReader(raw)), dialect)
	if err != nil {
		return nil, err
	}
	if dialect.Header {
		_, err = csv.Header()
	} else {
		_, err = csv.Next()
	}
	return csv, err
}

// filler is a row of n fields.
func filler(dialect bucketload.CSV, n int, raw []byte) []byte {
	letter := byte('a')
	for strings.IndexByte(dialect.Delimiter+dialect.Quote+dialect.Escape, letter) >= 0 {
		letter++
	}
	end := "\n"
	if bytes.HasSuffix(raw, []byte("\r")) {
		end = "\r"
	}
	return []byte(strings.TrimSuffix(strings.Repeat(string(letter)+dialect.Delimiter, n), dialect.Delimiter) + end)
}
