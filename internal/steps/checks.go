package steps

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/table"
)

// check judges the rows of staging as they are about to be swapped in: the
// load's own SQL may have changed them.
func (s *Steps) check(ctx context.Context, r *ledger.Run) error {
	run, load := *r.ID, r.Load
	if len(load.BeforeSwapSQL) == 0 && !load.Checks.Any() {
		return nil // Check has counted them
	}
	d, err := s.definition(ctx, run)
	if err != nil {
		return err
	}
	var rows int64
	var found []table.Finding
	err = pgx.BeginTxFunc(ctx, s.Pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) (err error) {
		if err := ledger.Attend(ctx, tx, run); err != nil {
			return err
		}
		rows, found, err = table.Judge(ctx, tx, load, run)
		return err
	})
	if err == nil {
		err = someRows(r, d.layout, rows)
	}
	if err != nil {
		return bucketload.DatabaseError("check", err)
	}
	return s.judge(ctx, run, load, found)
}

// judge is CodeCheck where the load's checks have something against the run's
// rows that nobody has accepted. Staging stays for a person to look at.
func (s *Steps) judge(ctx context.Context, run string, load *bucketload.Load, found []table.Finding) error {
	if len(found) == 0 {
		return nil
	}
	var names, messages []string
	for _, f := range found {
		names = append(names, f.Check)
	}
	open, err := s.Ledger.Refuse(ctx, run, names)
	if err != nil {
		return err
	}
	for _, f := range found {
		if slices.Contains(open, f.Check) {
			messages = append(messages, f.Message)
		} else {
			s.Log.Warn("a check is passed over, as somebody has accepted what it found", "run", run, "found", f.Message)
		}
	}
	if len(messages) == 0 {
		return nil
	}
	return failedCheck(strings.Join(messages, "; "), fmt.Sprintf("look at the rows: SELECT * FROM %s LIMIT 10; to accept them as they are: bucketload redrive %s --accept; to drop them: bucketload gc %s; or mend them and load again, which drops these: bucketload load %s",
		table.Quote(bucketload.StagingTable(run)), run, run, load.Key))
}

// someRows refuses to swap in an empty table that nobody has allowed. Files of
// nothing but a header may have none.
func someRows(r *ledger.Run, layout *Layout, rows int64) error {
	if rows > 0 || r.Load.AllowEmpty || r.Merges {
		return nil
	}
	hint := "set allow_empty: true if an empty table is right"
	csv := layout.Format == bucketload.FormatCSV || layout.Format == ""
	if csv && layout.CSV.Header && r.Rows == (bucketload.RowCount{}) && r.Bytes > 0 {
		hint += "; if the files have no header, and their first lines are rows: --set csv.header=false"
	}
	return failedCheck("there is no row, and an empty table is never swapped in", hint)
}

func failedCheck(message, hint string) error {
	return &bucketload.Error{Op: "check", Code: bucketload.CodeCheck, Message: message, Hint: hint}
}
