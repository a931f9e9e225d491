package steps

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/table"
)

// How often and how long the swap is tried again while somebody holds a lock
// on the live table: about five minutes at the default lock timeout, in which
// readers queue for no longer than one lock timeout at a time.
const (
	swapAttempts = 45
	swapInterval = 500 * time.Millisecond
	swapMaxDelay = 5 * time.Second

	validateAttempts = 5 // of a foreign key, once the swap is done
)

// stateDone is where a published run stands.
const stateDone = "Done"

// Swap makes staging the live table and ends the run, in one transaction; a
// run that does not swap ends where its rows are. It gives the run as it ended,
// also where it has before.
func (s *Steps) Swap(ctx context.Context, try ledger.Try) (_ *ledger.Run, err error) {
	defer func() { err = during("finish", bucketload.DatabaseError("finish", err)) }()
	r, err := s.Ledger.Run(ctx, try.Run)
	if err != nil {
		return nil, err
	}
	if r.Status == bucketload.StatusSucceeded || r.Status == bucketload.StatusPartial {
		return s.tidy(ctx, r) // the reply to an earlier call was lost
	}
	err = s.enter(ctx, try, ledger.StateSwap)
	status := bucketload.StatusSucceeded
	if r.Files.Failed > 0 || r.Rows.Rejected > 0 {
		status = bucketload.StatusPartial
	}
	switch {
	case err != nil:
	case r.Load.LimitFiles > 0:
		err = s.Ledger.End(ctx, try, status, nil)
	case !r.Staging:
		err = pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
			return ledger.Publish(ctx, tx, try, r.Load.Table, ledger.Publication{Status: status})
		})
	default:
		if err = s.check(ctx, r); err == nil {
			err = s.swap(ctx, try, r, status)
		}
	}
	if err != nil {
		// Another call may have been faster, or the reply to the commit was lost.
		if r, lookErr := s.Ledger.Run(ctx, try.Run); lookErr == nil && r.Published {
			return s.tidy(ctx, r)
		}
		return nil, err
	}
	return s.tidy(ctx, r)
}

// tidy does what is left to do once a run has succeeded, as far as that can be
// done now, and gives the run as it ended. A call that comes again does it again: the
// process of the first may have died before it did.
func (s *Steps) tidy(ctx context.Context, r *ledger.Run) (*ledger.Run, error) {
	if load := r.Load; load.LimitFiles == 0 {
		s.validate(ctx, load.Table, load.LockTimeout)
		s.sweep(ctx, *r.ID, load, 0)
		s.deleteSources(ctx, load.Table)
	}
	return s.Ledger.Run(ctx, *r.ID)
}

// swap swaps or merges, as often as others hold a lock on the live table.
func (s *Steps) swap(ctx context.Context, try ledger.Try, r *ledger.Run, status bucketload.Status) error {
	run, load := try.Run, r.Load
	var steps []table.Step
	if _, _, err := s.Ledger.Build(ctx, run, &steps); err != nil {
		return err
	}
	for _, step := range table.Judging(steps) { // what its keys refer to may have been swapped since they were built
		if err := s.patiently(ctx, s.waitToBuild(ctx, r), func() error {
			return s.beforeSwap(ctx, try, func(tx pgx.Tx) error { return table.Build(ctx, tx, load, run, step) })
		}); err != nil {
			return err
		}
	}
	s.validate(ctx, load.Table, load.LockTimeout) // what a swap before it could not
	w := s.wait(ctx, load, "bucketload redrive "+run, bucketload.StagingTable(run))
	if !load.InPlace && !r.Merges {
		if err := s.patiently(ctx, w, func() error {
			return s.beforeSwap(ctx, try, func(tx pgx.Tx) error {
				if err := table.WaitAtMost(ctx, tx, load.LockTimeout); err != nil {
					return err
				}
				return table.CheckReferences(ctx, tx, load, bucketload.StagingTable(run))
			})
		}); err != nil {
			return err
		}
	}
	return s.patiently(ctx, w, func() error { return s.swapOnce(ctx, try, r, status, steps) })
}

// beforeSwap does something in a transaction of its own, as part of the run: EndCopies
// ends it with the run's copies, and a call that comes late does nothing.
func (s *Steps) beforeSwap(ctx context.Context, try ledger.Try, do func(pgx.Tx) error) error {
	// What it waited for is to be seen, whatever the role's default isolation.
	return pgx.BeginTxFunc(ctx, s.Pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		if err := ledger.Attend(ctx, tx, try.Run); err != nil {
			return err
		}
		if err := ledger.At(ctx, tx, try, ledger.StateSwap); err != nil {
			return err
		}
		return do(tx)
	})
}

// waiting is what is said while something waits for locks that others hold.
type waiting struct {
	op       string
	what     string                   // they keep locked, or what it needs
	again    string                   // to type once they are gone
	blockers func() ([]string, error) // who they are
}

// wait is waiting for the load's table, all that follows it through a swap, the
// backups, and the table that comes in.
func (s *Steps) wait(ctx context.Context, load *bucketload.Load, again string, in ...bucketload.TableName) waiting {
	return waiting{"swap", load.Table.String(), again, func() ([]string, error) {
		names := append([]bucketload.TableName{load.Table}, in...)
		generations, err := ledger.Generations(ctx, s.Pool, load.Table)
		if err != nil {
			return nil, err
		}
		for _, g := range generations {
			names = append(names, g.Name)
		}
		return table.Blockers(ctx, s.Pool, names...)
	}}
}

// patiently does something until nobody else holds a lock that it wants.
func (s *Steps) patiently(ctx context.Context, w waiting, do func() error) error {
	delay := swapInterval
	for attempt := 1; ; attempt++ {
		err := do()
		if !locked(err) {
			return err
		}
		blockers, _ := w.blockers()
		if attempt == swapAttempts {
			return w.over(blockers, err)
		}
		s.Log.Warn("others hold a lock that is waited for", "table", w.what, "attempt", attempt, "blocked_by", blockers)
		if err := sleep(ctx, rand.N(delay)+delay/2); err != nil {
			return err
		}
		delay = min(2*delay, swapMaxDelay)
	}
}

// over is the error of one that has waited long enough.
func (w waiting) over(blockers []string, err error) *bucketload.Error {
	return &bucketload.Error{Op: w.op, Code: bucketload.CodeDatabase, Err: err,
		Message: strings.TrimSuffix("others keep "+w.what+" locked: "+strings.Join(blockers, ", "), ": "),
		Hint:    "end them (SELECT pg_terminate_backend(PID)), then: " + w.again}
}

// settle begins a transaction that publishes the run; done says that another call
// has, which it has waited for.
func (s *Steps) settle(ctx context.Context, tx pgx.Tx, try ledger.Try) (done bool, err error) {
	if err := ledger.Settle(ctx, tx, try.Run); err != nil {
		return false, err
	}
	r, err := s.Ledger.Run(ctx, try.Run)
	if err != nil || r.Published {
		return err == nil, err
	}
	return false, ledger.At(ctx, tx, try, ledger.StateSwap)
}

func (s *Steps) swapOnce(ctx context.Context, try ledger.Try, r *ledger.Run, status bucketload.Status, steps []table.Step) error {
	run, load := try.Run, r.Load
	if r.Merges {
		return s.change(ctx, try, load, status, table.Merge)
	}
	if load.InPlace {
		live, err := table.Inspect(ctx, s.Pool, load.Table)
		if err != nil {
			return err
		}
		if table.InPlace(load, live) {
			return s.change(ctx, try, load, status, table.ReplaceRows)
		}
	}
	return pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
		if done, err := s.settle(ctx, tx, try); err != nil || done {
			return err
		}
		if err := ledger.SwapAlone(ctx, tx); err != nil {
			return err
		}
		if err := appeared(ctx, tx, load); err != nil {
			return err
		}
		if err := table.WaitAtMost(ctx, tx, load.LockTimeout); err != nil {
			return err
		}
		away, backups, err := s.away(ctx, tx, load, nil)
		if err != nil {
			return err
		}
		did, err := table.Swap(ctx, tx, load, run, steps, away)
		if err != nil {
			return err
		}
		p, err := s.putAway(ctx, tx, load, did, away, backups)
		if err != nil {
			return err
		}
		p.Status = status
		return ledger.Publish(ctx, tx, try, load.Table, p)
	})
}

// change puts the run's rows into the live table, drops staging, and ends the
// run, in one transaction.
func (s *Steps) change(ctx context.Context, try ledger.Try, load *bucketload.Load, status bucketload.Status,
	rows func(ctx context.Context, tx pgx.Tx, load *bucketload.Load, run string, filled []string) error) error {
	run := try.Run
	d, err := s.definition(ctx, run)
	if err != nil {
		return err
	}
	return table.Unmet(load, run, pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
		if done, err := s.settle(ctx, tx, try); err != nil || done {
			return err
		}
		if err := rows(ctx, tx, load, run, d.layout.filled()); err != nil {
			return err
		}
		kept, err := table.DropStaging(ctx, tx, run)
		if err != nil {
			return err
		}
		if kept != "" {
			s.keeps(run, kept)
		}
		return ledger.Publish(ctx, tx, try, load.Table, ledger.Publication{Status: status})
	}))
}

// validate has the constraints that swaps of the table, or of all tables where it
// is the zero value, have left unjudged judge the rows that are there. A swap stands
// whatever they say: new rows they judge already. What cannot be done now is left
// for the next one.
func (s *Steps) validate(ctx context.Context, name bucketload.TableName, patience time.Duration) {
	left, err := s.Ledger.Unvalidated(ctx, name)
	if err != nil {
		s.Log.Warn("constraints of the new table and foreign keys to it are not validated", "error", err)
	}
	for _, u := range left {
		delay := swapInterval
		for attempt := 1; ; attempt++ {
			err := pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
				if err := table.Validate(ctx, tx, u.Statement, patience); err != nil {
					return err
				}
				return ledger.Validated(ctx, tx, u)
			})
			if gone(err) {
				err = pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error { return ledger.Validated(ctx, tx, u) })
			}
			if err == nil {
				break
			}
			if !locked(err) || attempt == validateAttempts || sleep(ctx, rand.N(delay)+delay/2) != nil {
				detail := ""
				if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
					detail = pg.Detail
				}
				s.Log.Warn("a constraint of the new table, or a foreign key to it, is not validated; new rows it does judge", "to validate it", u.Statement, "error", err, "detail", detail)
				break
			}
			delay = min(2*delay, swapMaxDelay)
		}
	}
}

// gone says whether what a statement names is not there (any more).
func gone(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "42P01" || pg.Code == "42704" || pg.Code == "3F000") // undefined_table, undefined_object, invalid_schema_name
}

// locked says whether others held a lock that a statement wanted.
func locked(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "55P03" || pg.Code == "40P01") // lock_not_available, deadlock_detected
}

// appeared refuses to add by a swap once there is a table to add to.
func appeared(ctx context.Context, tx pgx.Tx, load *bucketload.Load) error {
	if load.Mode == bucketload.ModeReplace {
		return nil
	}
	there, err := table.Exists(ctx, tx, load.Table)
	if err != nil || !there {
		return err
	}
	return &bucketload.Error{Op: "swap", Code: bucketload.CodeConflict,
		Message: fmt.Sprintf("somebody has created %s since the load began, and mode: %s replaces no table", load.Table, load.Mode),
		Hint:    "load again, to add to it: bucketload load " + load.Key}
}

// away says where the table that is live goes, and gives its backups, newest
// first. coming is the one of them that comes back; nil: none.
func (s *Steps) away(ctx context.Context, tx pgx.Tx, load *bucketload.Load, coming *ledger.Generation) (table.Away, []ledger.Generation, error) {
	name, replaces, err := s.backup(ctx, tx, load)
	if err != nil {
		return table.Away{}, nil, err
	}
	away := table.Away{Backup: name}
	backups, err := ledger.Generations(ctx, tx, load.Table)
	if err != nil {
		return away, nil, err
	}
	backups = slices.DeleteFunc(backups, func(g ledger.Generation) bool { return g.Live() || coming != nil && g.Name == coming.Name })
	if i := slices.IndexFunc(backups, func(g ledger.Generation) bool { return g.Name == name }); replaces && i >= 0 {
		aside := "b_"
		if of := backups[i]; of.Run != nil {
			aside += *of.Run
		} else {
			aside += *of.ReplacedBy + "_before"
		}
		away.Aside, err = table.UnusedName(ctx, tx, name.Schema, aside)
	}
	return away, backups, err
}

// putAway records the backups as a swap has left them, and drops those that are
// more than the load keeps.
func (s *Steps) putAway(ctx context.Context, tx pgx.Tx, load *bucketload.Load, did *table.Swapped, away table.Away, backups []ledger.Generation) (p ledger.Publication, err error) {
	p.Validate = did.Validate
	old := did.Backup
	if old == nil {
		return p, nil
	}
	p.Backup = &ledger.Backup{Name: old.Name, Names: old.Names}
	if away.Aside != "" {
		aside := bucketload.TableName{Schema: away.Backup.Schema, Name: away.Aside}
		if err := ledger.MoveBackup(ctx, tx, away.Backup, aside); err != nil {
			return p, err
		}
		for i := range backups {
			if backups[i].Name == away.Backup {
				backups[i].Name = aside
			}
		}
	}
	drop := func(name bucketload.TableName) (bool, error) {
		kept, err := table.DropBackup(ctx, tx, name)
		if kept != "" {
			s.Log.Warn("an older table is kept: "+kept, "table", name.String(), "keep_backups", load.KeepBackups)
		}
		return kept == "" && err == nil, err
	}
	for _, b := range backups[min(len(backups), max(0, load.KeepBackups-1)):] {
		if dropped, err := drop(b.Name); err != nil {
			return p, err
		} else if dropped {
			if err := ledger.ForgetBackup(ctx, tx, b.Name); err != nil {
				return p, err
			}
		}
	}
	if load.KeepBackups == 0 {
		dropped, err := drop(old.Name)
		if dropped {
			p.Backup = nil
		}
		return p, err
	}
	return p, nil
}

// backup chooses the name for the table that is live now: its own in the
// backup schema, or with its schema where another table's backup has that one.
// replaces is whether an older backup of the same table stands there.
func (s *Steps) backup(ctx context.Context, q table.Queryer, load *bucketload.Load) (name bucketload.TableName, replaces bool, err error) {
	candidates := []string{load.Table.Name, load.Table.Schema + "." + load.Table.Name}
	for _, candidate := range candidates {
		name = bucketload.TableName{Schema: bucketload.BackupSchema, Name: candidate}
		there, err := table.Exists(ctx, q, name)
		if err != nil || !there {
			return name, false, err
		}
		of, ok, err := ledger.BackupOf(ctx, q, name)
		if err != nil || (ok && of == load.Table) {
			return name, true, err
		}
		if !ok {
			break // the user's own
		}
	}
	return name, false, &bucketload.Error{Op: "plan", Code: bucketload.CodeDependents,
		Message: fmt.Sprintf("%s, where the backup of %s goes, is there and is not a backup that bucketload made of it", name, load.Table),
		Hint:    fmt.Sprintf("rename or drop it: DROP TABLE %s", table.Quote(name))}
}

// sweep drops the staging tables of the table's earlier failed runs and
// trials, but for the newest of them: one that was published puts them all out
// of date, and of those that failed only the last is worth going on with.
func (s *Steps) sweep(ctx context.Context, run string, load *bucketload.Load, spare int) {
	outdated, err := s.Ledger.Outdated(ctx, load.Table, run)
	for _, old := range outdated[:max(0, len(outdated)-spare)] {
		_, kept, dropErr := s.discard(ctx, old)
		if kept != "" {
			s.keeps(old, kept)
		}
		err = errors.Join(err, dropErr)
	}
	if err != nil {
		s.Log.Warn("staging tables of earlier runs are still there", "error", err)
	}
}

// keeps says why a run's staging table is still there.
func (s *Steps) keeps(run, why string) {
	s.Log.Warn("the staging table of a run is kept: "+why, "table", bucketload.StagingTable(run).String(), "to drop it", "bucketload gc")
}

// sleep waits for d or for ctx.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
