// Package steps holds the steps of a run: Plan, Prepare, Copy, Finish and
// Cleanup. Each is a function from a small value to a small value, joins the
// rooms, keeps what it learns in the ledger and is safe to call twice. Who
// calls them, where and in which order is the conductor's business.
package steps

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/source"
	"github.com/bucketload/bucketload/internal/table"
)

// Steps are the steps over one target database.
type Steps struct {
	Pool     *pgxpool.Pool
	Ledger   *ledger.Ledger
	Log      *slog.Logger
	Progress Progress

	patience  time.Duration // settleTimeout, but in tests
	lockWait  time.Duration // lockTimeout, but in tests
	partBytes int64         // partBytes, but in tests

	mu     sync.Mutex
	stores map[storeKey]*source.Store
	runs   map[string]*definition
}

// New gives the steps over the database that pool connects to.
func New(pool *pgxpool.Pool, log *slog.Logger) *Steps {
	return &Steps{Pool: pool, Ledger: ledger.New(pool), Log: log, patience: settleTimeout, lockWait: lockTimeout, partBytes: partBytes,
		stores: map[storeKey]*source.Store{}, runs: map[string]*definition{}}
}

// Progress is how far the run is that this process conducts, to be read at any
// time. Files and Rows count what is committed; Bytes what has been read, and
// once a batch is committed its files' sizes.
type Progress struct {
	State        atomic.Pointer[string]
	PlannedFiles atomic.Int64
	PlannedBytes atomic.Int64
	LoadedFiles  atomic.Int64
	FailedFiles  atomic.Int64
	Rows         atomic.Int64
	Bytes        atomic.Int64 // of the objects, as stored
	Copying      atomic.Pointer[Mark]
}

// Mark is where a run stood when its copies began, or began again.
type Mark struct {
	At          time.Time
	Rows, Bytes int64
}

// storeKey is what a store is made for: loads from S3 share one, and its
// connections.
type storeKey struct {
	s3    bucketload.S3
	paths string // on disk
}

// store gives the store for a load's S3 settings and paths, made once. It reads
// all paths to find it, so batches and files take that of their definition.
func (s *Steps) store(load *bucketload.Load) *source.Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	paths := source.Paths(load.From)
	key := storeKey{load.S3, strings.Join(paths, "\n")}
	store, ok := s.stores[key]
	if !ok {
		store = source.New(load.S3, paths...)
		s.stores[key] = store
	}
	return store
}

// definition is what the ledger says about a prepared run, and no longer
// changes.
type definition struct {
	run     string
	load    *bucketload.Load
	layout  *Layout
	staging bool
	kept    *bucketload.TableName // by kept
	store   *source.Store         // of the load
}

// target is the table that the run's copies write to.
func (d *definition) target(run string) bucketload.TableName {
	if d.staging {
		return bucketload.StagingTable(run)
	}
	return d.load.Table
}

// definition reads a prepared run, once per process.
func (s *Steps) definition(ctx context.Context, run string) (*definition, error) {
	s.mu.Lock()
	d, ok := s.runs[run]
	s.mu.Unlock()
	if ok {
		return d, nil
	}
	r, err := s.Ledger.Run(ctx, run)
	if err != nil {
		return nil, err
	}
	d = &definition{run: run, load: r.Load, layout: new(Layout), staging: r.Staging, store: s.store(r.Load)}
	if d.kept, err = s.kept(ctx, r.Load); err != nil {
		return nil, err
	}
	prepared, err := s.Ledger.Columns(ctx, run, d.layout)
	if err != nil {
		return nil, err
	}
	if !prepared {
		return nil, &bucketload.Error{Op: "copy", Code: bucketload.CodeInternal, Message: "run " + run + " is not prepared"}
	}
	s.mu.Lock()
	s.runs[run] = d
	s.mu.Unlock()
	return d, nil
}

// kept is the live table where the load leaves its columns as they are; nil where
// the configuration says their types.
func (s *Steps) kept(ctx context.Context, load *bucketload.Load) (*bucketload.TableName, error) {
	if load.Mode == bucketload.ModeReplace && !load.InPlace {
		return nil, nil
	}
	there, err := table.Exists(ctx, s.Pool, load.Table)
	if err != nil || !there {
		return nil, err
	}
	return &load.Table, nil
}

// during names the step in an error that has no Op.
func during(op string, err error) error {
	known, ok := errors.AsType[*bucketload.Error](err)
	if !ok {
		return err
	}
	e := *known
	if e.Op == "" {
		e.Op = op
	}
	return &e
}

// enter moves a try of a run on to a state.
func (s *Steps) enter(ctx context.Context, try ledger.Try, state string) error {
	p := &s.Progress
	if was := p.State.Swap(&state); state == ledger.StateCopy && (was == nil || *was != state) {
		p.Copying.Store(&Mark{At: time.Now(), Rows: p.Rows.Load(), Bytes: p.Bytes.Load()})
	}
	return s.Ledger.Enter(ctx, try, state)
}

// Reset begins anew, for the next run.
func (p *Progress) Reset() {
	p.State.Store(nil)
	p.Copying.Store(nil)
	for _, n := range []*atomic.Int64{&p.PlannedFiles, &p.PlannedBytes, &p.LoadedFiles, &p.FailedFiles, &p.Rows, &p.Bytes} {
		n.Store(0)
	}
}
