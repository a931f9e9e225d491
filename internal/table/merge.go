package table

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
)

// Merges says whether the load puts its rows among those of the live table.
func Merges(load *bucketload.Load, live *Live) bool { return load.Mode.Merges() && live != nil }

// primaryKey gives the columns of the primary key that the load makes.
func primaryKey(load *bucketload.Load) []string {
	if load.Mode == bucketload.ModeUpsert {
		return load.KeyColumns
	}
	return load.PrimaryKey
}

// mergeSteps leaves of the steps those that judge or change rows which are to be
// put into the live table: the key that each has once, what its CHECK
// constraints say, and SQL of the load's own. The live table judges the rest.
func mergeSteps(load *bucketload.Load, steps []Step) []Step {
	return slices.DeleteFunc(steps, func(s Step) bool {
		key := s.Key == "primary_key" && load.Mode == bucketload.ModeUpsert
		return !key && s.Key != "before_swap_sql" && !strings.HasPrefix(s.Definition, "CHECK ")
	})
}

// FitsMerge is an error where the rows of a table of these columns cannot be
// put among those of the live one as they are.
func FitsMerge(ctx context.Context, q Queryer, load *bucketload.Load, live *Live, columns []Column) error {
	if err := fitsColumns(load, live, columns, "mode: "+string(load.Mode), "mode: replace"); err != nil {
		return err
	}
	if load.Mode == bucketload.ModeReplacePartition {
		if err := May(ctx, q, load.Table, live, replaceRows, "SELECT", "INSERT", "DELETE"); err != nil {
			return err
		}
		return noCascade(ctx, q, load.Table, live, "take other key columns, or write mode: replace, which the foreign key follows")
	}
	if err := May(ctx, q, load.Table, live, replaceRows, "SELECT", "INSERT", "UPDATE"); err != nil {
		return err
	}
	// What ON CONFLICT infers from columns: unique, at once, and of all rows.
	var unique bool
	if err := q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_index
		WHERE indrelid = $1 AND indisunique AND indisvalid AND indimmediate AND indpred IS NULL AND indexprs IS NULL AND indnkeyatts = cardinality($2::text[])
		AND NOT EXISTS (SELECT FROM unnest((indkey::int2[])[0:indnkeyatts - 1]) k JOIN pg_attribute ON attrelid = indrelid AND attnum = k WHERE attname <> ALL ($2)))`,
		live.OID, load.KeyColumns).Scan(&unique); err != nil {
		return bucketload.DatabaseError("plan", err)
	}
	if !unique {
		return &bucketload.Error{Op: "prepare", Code: bucketload.CodeDependents,
			Message: fmt.Sprintf("mode: upsert finds rows by key: (%s), and %s has no unique index on it", strings.Join(load.KeyColumns, ", "), load.Table),
			Hint:    fmt.Sprintf("CREATE UNIQUE INDEX ON %s (%s)", Quote(load.Table), quoteAll(load.KeyColumns))}
	}
	return nil
}

// MergeSQL gives the statements that put the rows of the run's staging table,
// which has these columns, among those of the live one. filled are the columns
// that the load fills: others of a row that is there already stay as they are.
func MergeSQL(load *bucketload.Load, run string, columns []Column, filled []string) (statements []string) {
	staging, live := Quote(bucketload.StagingTable(run)), Quote(load.Table)
	list := quoteAll(insertable(columns, filled))
	insert := "INSERT INTO " + live + " (" + list + ") OVERRIDING SYSTEM VALUE SELECT " + list + " FROM " + staging
	key := quoteAll(load.KeyColumns)
	if load.Mode == bucketload.ModeReplacePartition {
		return []string{
			"LOCK TABLE " + live + " IN EXCLUSIVE MODE",
			"SET CONSTRAINTS ALL DEFERRED",
			"DELETE FROM " + live + " l USING (SELECT DISTINCT " + key + " FROM " + staging + ") s WHERE " + sameKey(load),
			insert,
		}
	}
	var set []string
	for _, c := range columns {
		if slices.Contains(filled, c.Name) && !c.Generated && !slices.Contains(load.KeyColumns, c.Name) {
			set = append(set, quote(c.Name)+" = excluded."+quote(c.Name))
		}
	}
	if set == nil { // there is nothing beside the key
		set = []string{quote(load.KeyColumns[0]) + " = excluded." + quote(load.KeyColumns[0])}
	}
	return []string{insert + " ON CONFLICT (" + key + ") DO UPDATE SET " + strings.Join(set, ", ")}
}

// sameKey joins the live table (l) and staging (s); neither has NULL in the key
// of a row that is met.
func sameKey(load *bucketload.Load) string {
	var same []string
	for _, c := range load.KeyColumns {
		same = append(same, "l."+quote(c)+" = s."+quote(c))
	}
	return strings.Join(same, " AND ")
}

// Merge puts the rows of the run's staging table among those of the live one,
// inside tx and without committing: until the commit readers see the old rows. An upsert takes the place of rows with the same key; a
// replace_partition deletes all rows that have the key of one that comes.
//
// It is an error where the live table does not take every row: a trigger or a
// rule has left some out. Row level security that would hide rows is one too.
func Merge(ctx context.Context, tx pgx.Tx, load *bucketload.Load, run string, filled []string) error {
	columns, err := Columns(ctx, tx, bucketload.StagingTable(run))
	if err != nil {
		return err
	}
	want, err := Count(ctx, tx, bucketload.StagingTable(run))
	if err != nil {
		return bucketload.DatabaseError("swap", err)
	}
	if err := WaitAtMost(ctx, tx, load.LockTimeout); err != nil {
		return err
	}
	if load.Mode == bucketload.ModeReplacePartition {
		if err := lockRows(ctx, tx, load, columns, FitsMerge); err != nil {
			return err
		}
	}
	var got int64
	for _, sql := range append([]string{"SET LOCAL row_security = off"}, MergeSQL(load, run, columns, filled)...) {
		tag, err := tx.Exec(ctx, sql)
		if err != nil {
			return changeError(load, run, err, sql)
		}
		got = tag.RowsAffected()
	}
	if got == want && load.Mode == bucketload.ModeReplacePartition {
		if err := tx.QueryRow(ctx, "SELECT count(*) FROM "+Quote(load.Table)+" l WHERE EXISTS (SELECT FROM "+
			Quote(bucketload.StagingTable(run))+" s WHERE "+sameKey(load)+")").Scan(&got); err != nil {
			return bucketload.DatabaseError("swap", err)
		}
	}
	if got != want {
		return &bucketload.Error{Op: "swap", Code: bucketload.CodeCheck,
			Message: fmt.Sprintf("%s would have %d of the load's rows in the place of %d: a trigger or a rule changes what is inserted, updated or deleted", load.Table, got, want),
			Hint:    "look at its triggers and rules; nothing was changed"}
	}
	return nil
}
