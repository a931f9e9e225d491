package ledger

import (
	"context"
	"fmt"

	"github.com/bucketload/bucketload"
)

// MayResume says whether one can go on with a run that has ended, or whose
// conductor is dead: CodeConflict where it succeeded or was a trial, where a newer
// run has loaded the table since, where that is another table by now, and where
// what the run had loaded is gone.
func (l *Ledger) MayResume(ctx context.Context, run string) error {
	r, err := l.Run(ctx, run)
	if err == nil {
		err = over(r)
	}
	if err == nil {
		err = bucketload.DatabaseError("redrive", overtaken(ctx, l.pool, r))
	}
	return err
}

func refused(message, hint string) error {
	return &bucketload.Error{Op: "redrive", Code: bucketload.CodeConflict, Message: message, Hint: hint}
}

// over refuses a run of which nothing is left to be done.
func over(r *Run) error {
	switch {
	case r.Published:
		return refused(fmt.Sprintf("run %s has ended as %s; there is nothing to go on with", *r.ID, r.Status), "load again: bucketload load "+r.Load.Key)
	case r.Load.LimitFiles > 0:
		return refused(fmt.Sprintf("run %s was a trial of %d files", *r.ID, r.Load.LimitFiles), "load for real: bucketload load "+r.Load.Key)
	}
	return nil
}

// overtaken refuses a run whose rows can no longer become the table's. A newer
// run that wrote the live table makes its staging, and what it knew to be loaded,
// out of date. Rows that it has put into the table itself may be in another one.
func overtaken(ctx context.Context, q Queryer, r *Run) error {
	var newer *string
	var another, gone bool
	err := q.QueryRow(ctx, `SELECT mode <> 'replace' AND NOT coalesce(`+known(liveOID("table_schema", "table_name"))+`, false),
			staging AND columns IS NOT NULL AND `+liveOID("'"+bucketload.StagingSchema+"'", "'r_' || id")+` IS NULL, (
			SELECT max(n.id) FROM bucketload.runs n WHERE n.table_schema = r.table_schema AND n.table_name = r.table_name AND n.id <> r.id
			  AND (n.staging AND n.published_at > r.started_at OR NOT n.staging AND greatest(n.started_at, n.resumed_at) > r.started_at AND EXISTS (
				SELECT FROM bucketload.files f WHERE f.run = n.id AND f.state = 'loaded')))
		FROM bucketload.runs r WHERE id = $1`, r.ID).Scan(&another, &gone, &newer)
	if err != nil {
		return err
	}
	again := "load again: bucketload load " + r.Load.Key
	switch {
	case newer != nil:
		return refused(fmt.Sprintf("run %s has loaded %s since; run %s is out of date", *newer, r.Load.Table, *r.ID), again)
	case another:
		return refused(fmt.Sprintf("%s is another table by now than run %s began with", r.Load.Table, *r.ID), again)
	case gone:
		return refused(fmt.Sprintf("the staging table %s is gone, and with it what run %s had loaded", bucketload.StagingTable(*r.ID), *r.ID), again)
	}
	return nil
}
