package table

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bucketload/bucketload"
)

// Renamed is an index, sequence or statistics object whose name was taken in
// the schema that its table moved to.
type Renamed struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	Was  string `json:"was"`
}

// Backup is where a swap or a rollback put the table that was live.
type Backup struct {
	Name  bucketload.TableName
	Names []Renamed
}

// Swapped is what a swap or a rollback did.
type Swapped struct {
	Backup   *Backup  // nil: there was no live table
	Validate []string // statements for Validate, once it is committed
}

// Away is where the table that is live goes.
type Away struct {
	Backup bucketload.TableName
	// Aside is the name, in the backup schema, for the older backup of the same
	// table that stands under Backup; "" where none does.
	Aside string
}

// Swap makes the run's staging table the live one, inside tx and without
// committing: the live table goes away, and what is in its place aside; staging
// takes its place with its owner, grants, comments and names, and what hangs on
// it follows.
//
// No lock is waited for longer than the load's lock timeout, and nothing is held
// while the first one is waited for. For each further one the wait is so short that nobody who waits
// for what is held already is taken for part of a deadlock.
func Swap(ctx context.Context, tx pgx.Tx, load *bucketload.Load, run string, steps []Step, away Away) (*Swapped, error) {
	s := &swap{op: "swap", tx: tx, load: load, run: run, steps: steps, in: bucketload.StagingTable(run), finals: map[string]string{}, away: away}
	did, err := s.do(ctx)
	return did, bucketload.DatabaseError("swap", err)
}

// Rollback makes a backup of the live table, or of one that is gone, the live
// one again, as Swap does it with a staging table. id is the rollback's own. It
// is an error where the backup lacks what hangs on the table. lost are the
// indexes, constraints and statistics that the table has and the backup lacks.
func Rollback(ctx context.Context, tx pgx.Tx, load *bucketload.Load, id string, from Backup, away Away) (did *Swapped, lost []string, err error) {
	s := &swap{op: "rollback", tx: tx, load: load, run: id, in: from.Name, back: true, finals: map[string]string{}, away: away}
	for _, r := range from.Names {
		s.finals[r.Name] = r.Was
	}
	did, err = s.do(ctx)
	return did, s.lost, bucketload.DatabaseError("rollback", err)
}

type swap struct {
	op    string
	tx    pgx.Tx
	load  *bucketload.Load
	run   string // or the rollback's id: names are made of it
	steps []Step
	in    bucketload.TableName // the table that comes in
	from  bucketload.TableName // what it was called at first
	away  Away

	back   bool              // in is a backup, and has been live
	finals map[string]string // the names that its parts get, by those that they have
	lost   []string
}

func (s *swap) do(ctx context.Context) (*Swapped, error) {
	s.from = s.in
	if err := WaitAtMost(ctx, s.tx, s.load.LockTimeout); err != nil {
		return nil, err
	}
	in, err := s.oid(ctx, s.in)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, &bucketload.Error{Op: s.op, Code: bucketload.CodeConflict, Message: fmt.Sprintf("the table %s is gone", s.in),
			Hint: "load again: bucketload load " + s.load.Key}
	}
	if err != nil {
		return nil, err
	}
	live, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	unjudged, err := s.unjudged(ctx, in, live)
	if err != nil {
		return nil, err
	}
	if s.back {
		if err := s.loosen(ctx, in, live != nil); err != nil {
			return nil, err
		}
	}
	did := &Swapped{}
	if live == nil {
		if err := s.moveIn(ctx, in, nil); err != nil {
			return nil, err
		}
		if !s.back {
			if err := s.defaultGrants(ctx, in); err != nil {
				return nil, err
			}
		}
	} else if err := s.exchange(ctx, in, live, did); err != nil {
		return nil, err
	}
	own, err := s.validations(ctx, unjudged)
	did.Validate = append(did.Validate, own...)
	return did, err
}

// exchange puts the live table away and the other one in its place, with all that
// follows.
func (s *swap) exchange(ctx context.Context, in uint32, live *Live, did *Swapped) error {
	following, err := s.takeOff(ctx, live)
	if err != nil {
		return err
	}
	if err := s.nameIdentities(ctx, in, live); err != nil {
		return err
	}
	serials, err := s.releaseSequences(ctx, live.OID)
	if err != nil {
		return err
	}
	if did.Backup, err = s.moveAway(ctx, live); err != nil {
		return err
	}
	if err := s.moveIn(ctx, in, live); err != nil {
		return err
	}
	for _, f := range following {
		if err := s.exec(ctx, f.On); err != nil {
			return s.unfollowed(f, err)
		}
		if f.Validate != "" {
			did.Validate = append(did.Validate, f.Validate)
		}
	}
	if err := s.dress(ctx, in, live); err != nil {
		return err
	}
	return s.exec(ctx, serials...)
}

// unfollowed explains why something cannot follow to a table that lacks the key
// that it needs.
func (s *swap) unfollowed(f follower, err error) error {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || pg.Code != "42830" { // invalid_foreign_key: the table has no such key
		return err
	}
	return &bucketload.Error{Op: s.op, Code: bucketload.CodeDependents, Message: fmt.Sprintf("%s needs a key that %s lacks", f.What, s.from), Err: err,
		Hint: "add the key to it, or drop what needs it before and make it again after"}
}

// unfit makes of what refuses a load what refuses a rollback.
func (s *swap) unfit(err error) error {
	if !s.back {
		return err
	}
	e := *bucketload.AsError(err)
	e.Op, e.Hint = s.op, "drop what is named before the rollback, and make it again after it"
	return &e
}

// compare finds what the live table has and the backup lacks.
func (s *swap) compare(ctx context.Context, live *Live) error {
	oid, err := s.oid(ctx, s.in)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // do says so
	}
	if err != nil {
		return err
	}
	has, err := parts(ctx, s.tx, live.OID)
	if err != nil {
		return err
	}
	had, err := parts(ctx, s.tx, oid)
	for _, p := range has {
		if !slices.ContainsFunc(had, func(o part) bool { return o.Kind == p.Kind && o.Unique+o.Definition == p.Unique+p.Definition }) {
			s.lost = append(s.lost, p.Kind+" "+quote(p.Name)+": "+p.Unique+p.Definition)
		}
	}
	return err
}

// moveAway makes the live table the backup. Its indexes, sequences and
// statistics keep their names where these are free in the backup schema.
func (s *swap) moveAway(ctx context.Context, live *Live) (*Backup, error) {
	backup := s.away.Backup
	if err := s.makeRoom(ctx); err != nil {
		return nil, err
	}
	names, err := s.freeNames(ctx, live.OID, backup)
	if err != nil {
		return nil, err
	}
	// By way of a name of its own, as either schema may have the other name.
	passing := "b_" + s.run
	return &Backup{Name: backup, Names: names}, s.exec(ctx,
		"ALTER TABLE "+Quote(s.load.Table)+" RENAME TO "+quote(passing),
		"ALTER TABLE "+Quote(bucketload.TableName{Schema: s.load.Table.Schema, Name: passing})+" SET SCHEMA "+quote(backup.Schema),
		"ALTER TABLE "+Quote(bucketload.TableName{Schema: backup.Schema, Name: passing})+" RENAME TO "+quote(backup.Name))
}

// makeRoom gives the backup that the new one follows another name. Anything
// else under its name is the user's.
func (s *swap) makeRoom(ctx context.Context) error {
	backup := s.away.Backup
	_, err := s.oid(ctx, backup)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if s.away.Aside == "" {
		hint := "rename or drop it"
		if !s.back {
			hint += ", then: bucketload redrive " + s.run
		}
		return &bucketload.Error{Op: s.op, Code: bucketload.CodeDependents,
			Message: fmt.Sprintf("%s is there and is not a backup of %s that bucketload made", backup, s.load.Table), Hint: hint}
	}
	return s.exec(ctx, "ALTER TABLE "+Quote(backup)+" RENAME TO "+quote(s.away.Aside))
}

// moveIn gives the table that comes in the live table's place and everything on
// it the name that it would have had there from the start.
func (s *swap) moveIn(ctx context.Context, oid uint32, live *Live) error {
	place := s.load.Table
	if !s.back {
		if err := s.exec(ctx, "ALTER TABLE "+Quote(s.in)+" RESET (autovacuum_enabled)"); err != nil {
			return err
		}
	}
	if err := s.exec(ctx,
		"ALTER TABLE "+Quote(s.in)+" SET SCHEMA "+quote(place.Schema),
		"ALTER TABLE "+Quote(bucketload.TableName{Schema: place.Schema, Name: s.in.Name})+" RENAME TO "+quote(place.Name)); err != nil {
		return err
	}
	belongings, err := s.belongings(ctx, oid)
	if err != nil {
		return err
	}
	for _, b := range belongings {
		if b.Kind == "statistics" {
			if err := s.exec(ctx, b.alter()+" SET SCHEMA "+quote(place.Schema)); err != nil {
				return err
			}
			b.Schema = place.Schema
		}
		final, ok := s.final(b.Name)
		if !ok {
			continue
		}
		if final, err = unused(final, func(name string) (bool, error) { return s.taken(ctx, b.Kind, place.Schema, name) }); err != nil {
			return err
		}
		if err := s.exec(ctx, b.alter()+" RENAME TO "+quote(final)); err != nil {
			return err
		}
	}
	if s.back {
		return nil
	}
	return s.renameConstraints(ctx, oid, live)
}

func (s *swap) oid(ctx context.Context, name bucketload.TableName) (oid uint32, err error) {
	err = s.tx.QueryRow(ctx, `SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = $2`, name.Schema, name.Name).Scan(&oid)
	return oid, err
}

func (s *swap) exec(ctx context.Context, statements ...string) error {
	for _, sql := range statements {
		if _, err := s.tx.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%w (in: %s)", detailed(err), sql)
		}
	}
	return nil
}

// execAll runs the statements that a query gives, one a row.
func (s *swap) execAll(ctx context.Context, query string, args ...any) error {
	rows, err := s.tx.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	return s.exec(ctx, statements...)
}
