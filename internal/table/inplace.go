package table

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
)

// InPlace says whether the load replaces the rows of the live table and not
// the table.
func InPlace(load *bucketload.Load, live *Live) bool {
	return load.InPlace && load.Mode == bucketload.ModeReplace && live != nil
}

// replaceRows is what May is asked for rows that give way to others.
const replaceRows = "replace the rows of"

// FitsInPlace is an error where the live table cannot take the rows of a table
// of these columns as they are, or where deleting its rows would change others.
func FitsInPlace(ctx context.Context, q Queryer, load *bucketload.Load, live *Live, columns []Column) error {
	if err := fitsColumns(load, live, columns, "replace: in_place", "replace: swap"); err != nil {
		return err
	}
	if err := May(ctx, q, load.Table, live, replaceRows, "SELECT", "INSERT", "DELETE"); err != nil {
		return err
	}
	return emptiable(ctx, q, load.Table, live, "write replace: swap, which the foreign key follows")
}

// fitsColumns is an error where the live table lacks one of the columns, or has
// it with another type. how is what changes rows only, and other what does not.
func fitsColumns(load *bucketload.Load, live *Live, columns []Column, how, other string) error {
	for _, c := range columns {
		was := find(live.Columns, c.Name)
		switch {
		case was == nil:
			return &bucketload.Error{Op: "prepare", Code: bucketload.CodeNewColumn, Column: c.Name,
				Message: fmt.Sprintf("%s has no column %q, and %s changes its rows only", load.Table, c.Name, how),
				Hint:    fmt.Sprintf("add it: %s; or write %s", AddColumnSQL(load.Table, c), other)}
		case was.Type != c.Type:
			return &bucketload.Error{Op: "prepare", Code: bucketload.CodeDependents, Column: c.Name,
				Message: fmt.Sprintf("column %q of %s is %s and would have to be %s, and %s changes its rows only", c.Name, load.Table, was.Type, c.Type, how),
				Hint:    fmt.Sprintf("write type: %s, or %s", was.Type, other)}
		}
	}
	return nil
}

// judges says whether a step finds rows that the table must not have. The
// others are of no use to rows that only pass through.
func (s Step) judges() bool {
	switch {
	case s.Refers && s.Name != "", strings.HasPrefix(s.Key, "statistics"), strings.HasPrefix(s.Definition, "FOREIGN KEY "):
		return false
	case strings.HasPrefix(s.Key, "index"):
		return strings.Contains(s.SQL, "CREATE UNIQUE INDEX ")
	}
	return true
}

// ReplaceRows puts the rows of the run's staging table in the place of those
// of the live one, inside tx and without committing: until the commit readers
// see the old rows. Writers wait for it. Triggers, foreign
// keys and identities work as in any DELETE and INSERT; deferrable constraints
// are judged at the commit. filled are the columns that the load fills: an
// identity that it does not goes on by itself.
//
// It is an error where the live table ends with other rows than staging has: a
// trigger or a rule has left some out. Row level security that would hide rows
// is one too.
func ReplaceRows(ctx context.Context, tx pgx.Tx, load *bucketload.Load, run string, filled []string) error {
	staging, live := Quote(bucketload.StagingTable(run)), Quote(load.Table)
	columns, err := Columns(ctx, tx, bucketload.StagingTable(run))
	if err != nil {
		return err
	}
	list := quoteAll(insertable(columns, filled))
	insert := "INSERT INTO " + live + " (" + list + ") OVERRIDING SYSTEM VALUE SELECT " + list + " FROM " + staging
	if err := lockRows(ctx, tx, load, columns, FitsInPlace); err != nil {
		return err
	}
	for _, sql := range []string{
		"SET LOCAL row_security = off",
		"SET CONSTRAINTS ALL DEFERRED",
		"DELETE FROM " + live,
		insert,
	} {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return changeError(load, run, err, sql)
		}
	}
	want, err := Count(ctx, tx, bucketload.StagingTable(run))
	if err != nil {
		return bucketload.DatabaseError("swap", err)
	}
	if got, err := Count(ctx, tx, load.Table); err != nil || got != want {
		if err != nil {
			return bucketload.DatabaseError("swap", err)
		}
		return &bucketload.Error{Op: "swap", Code: bucketload.CodeCheck,
			Message: fmt.Sprintf("%s would have %d rows in the place of %d: a trigger or a rule changes what is inserted or deleted", load.Table, got, want),
			Hint:    "look at its triggers and rules, or write replace: swap; nothing was changed"}
	}
	return nil
}

// lockRows keeps writers out of the live table to the end of tx, and lets fits say
// whether it is as it must be: it may have changed while the run was copying.
func lockRows(ctx context.Context, tx pgx.Tx, load *bucketload.Load, columns []Column,
	fits func(context.Context, Queryer, *bucketload.Load, *Live, []Column) error) error {
	if err := WaitAtMost(ctx, tx, load.LockTimeout); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "LOCK TABLE "+Quote(load.Table)+" IN EXCLUSIVE MODE"); err != nil {
		return bucketload.DatabaseError("swap", err)
	}
	live, err := Inspect(ctx, tx, load.Table)
	if err != nil || live == nil {
		return err
	}
	if err := fits(ctx, tx, load, live, columns); err != nil {
		e := *bucketload.AsError(err)
		e.Op = "swap"
		return &e
	}
	return nil
}

// insertable gives the columns whose values are taken over from staging: an
// identity that the load does not fill goes on by itself.
func insertable(columns []Column, filled []string) []string {
	var names []string
	for _, c := range columns {
		if !c.Generated && (c.Identity == "" || slices.Contains(filled, c.Name)) {
			names = append(names, c.Name)
		}
	}
	return names
}
