package steps

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/table"
)

// RolledBack is what a rollback did.
type RolledBack struct {
	ID     string   `json:"rollback"` // its own, as the ledger has it
	Table  string   `json:"table"`
	Run    *string  `json:"run"`    // whose rows the table has now; nil: those of no run
	From   string   `json:"from"`   // the backup that it was
	Backup *string  `json:"backup"` // where the table went that was live; nil where there was none
	Lost   []string `json:"lost"`   // what that one has and the table that is live now lacks
}

// Rollback makes a backup of the load's table the live one again, in one
// transaction: the newest, or the one whose run, or name, is to. Of the load it
// takes table, key and lock timeout. The table that was live becomes the newest
// backup.
func (s *Steps) Rollback(ctx context.Context, load *bucketload.Load, to string) (_ *RolledBack, err error) {
	defer func() { err = during("rollback", bucketload.DatabaseError("rollback", err)) }()
	if active, err := s.Ledger.Active(ctx, load.Table); err != nil {
		return nil, err
	} else if active != "" {
		if _, err := s.Ledger.Dead(ctx, active); err != nil {
			return nil, err
		}
	}
	of := *load
	of.Mode = bucketload.ModeRollback
	did := &RolledBack{ID: bucketload.NewRunID(time.Now()), Table: load.Table.String(), Lost: []string{}}
	err = s.patiently(ctx, s.wait(ctx, load, "bucketload rollback "+load.Key), func() error {
		return pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error { return s.rollback(ctx, tx, &of, to, did) })
	})
	if err != nil && ctx.Err() == nil {
		// The reply to the commit may have been lost.
		if r, lookErr := s.Ledger.Run(ctx, did.ID); lookErr == nil && r.Published {
			err = nil
		}
	}
	if err != nil {
		return nil, err
	}
	s.validate(ctx, load.Table, load.LockTimeout)
	return did, nil
}

func (s *Steps) rollback(ctx context.Context, tx pgx.Tx, load *bucketload.Load, to string, did *RolledBack) error {
	if err := ledger.BeginRollback(ctx, tx, did.ID, load); err != nil {
		return err
	}
	if err := ledger.SwapAlone(ctx, tx); err != nil {
		return err
	}
	if err := table.WaitAtMost(ctx, tx, load.LockTimeout); err != nil {
		return err
	}
	coming, err := s.choose(ctx, tx, load, to)
	if err != nil {
		return err
	}
	from := table.Backup{Name: coming.Name}
	if err := json.Unmarshal(coming.Names, &from.Names); err != nil {
		return err
	}
	if err := table.CheckReferences(ctx, tx, load, coming.Name); err != nil {
		e := *bucketload.AsError(err)
		e.Op = "rollback"
		return &e
	}
	away, backups, err := s.away(ctx, tx, load, coming)
	if err != nil {
		return err
	}
	swapped, lost, err := table.Rollback(ctx, tx, load, did.ID, from, away)
	if err != nil {
		return err
	}
	if err := ledger.ForgetBackup(ctx, tx, coming.Name); err != nil {
		return err
	}
	keep := *load
	keep.KeepBackups = len(backups) + 1 // as many as there were
	p, err := s.putAway(ctx, tx, &keep, swapped, away, backups)
	if err != nil {
		return err
	}
	did.Run, did.From, did.Backup, did.Lost = coming.Run, coming.Name.String(), nil, append(did.Lost[:0], lost...)
	if p.Backup != nil {
		name := p.Backup.Name.String()
		did.Backup = &name
	}
	p.Status = bucketload.StatusSucceeded
	return ledger.EndRollback(ctx, tx, did.ID, load.Table, coming.Run, p)
}

// choose finds the backup to come back.
func (s *Steps) choose(ctx context.Context, tx pgx.Tx, load *bucketload.Load, to string) (*ledger.Generation, error) {
	all, err := ledger.Generations(ctx, tx, load.Table)
	if err != nil {
		return nil, err
	}
	is := func(g ledger.Generation) bool {
		return to == "" && !g.Live() || to != "" && (g.Run != nil && *g.Run == to || g.Name.String() == to)
	}
	i := slices.IndexFunc(all, is)
	switch {
	case i >= 0 && all[i].Live():
		return nil, &bucketload.Error{Op: "rollback", Code: bucketload.CodeUsage, Message: fmt.Sprintf("%s is live already", to), Hint: "bucketload backups " + load.Key}
	case i >= 0:
		return &all[i], nil
	case to != "":
		return nil, &bucketload.Error{Op: "rollback", Code: bucketload.CodeUsage,
			Message: fmt.Sprintf("%s has no backup of run %s", load.Table, to), Hint: "list those that it has: bucketload backups " + load.Key}
	}
	return nil, &bucketload.Error{Op: "rollback", Code: bucketload.CodeUsage,
		Message: fmt.Sprintf("there is no backup of %s", load.Table), Hint: "a swap makes one (keep_backups: 1); appending, merging and replace: in_place make none"}
}
