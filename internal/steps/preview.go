package steps

import (
	"context"
	"fmt"
	"slices"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/table"
)

// Preview is what a load would do.
type Preview struct {
	Table           string            `json:"table"`
	Mode            bucketload.Mode   `json:"mode"`
	Objects         int64             `json:"objects"`
	Bytes           int64             `json:"bytes"`
	Skipped         int64             `json:"skipped"`
	AlreadyLoaded   int64             `json:"already_loaded"`
	Batches         int               `json:"batches"`
	Divided         int64             `json:"divided"`     // big files that are loaded in parts
	Parts           int64             `json:"parts"`       // these parts
	Sampled         int64             `json:"sampled"`     // files that Shapes counts
	All             bool              `json:"sampled_all"` // of those that can be read
	Shapes          []PreviewShape    `json:"shapes"`
	Format          bucketload.Format `json:"format"`
	Dialect         bucketload.CSV    `json:"dialect"` // of CSV
	DialectEvidence string            `json:"dialect_evidence"`
	Origin          string            `json:"columns_from"` // configuration, live table or samples
	Columns         []PreviewColumn   `json:"columns"`
	DDL             []string          `json:"ddl"`
	Notes           []string          `json:"notes"`
	Dependents      []table.Dependent `json:"dependents"`
	Locks           []string          `json:"locks"`
	Disk            int64             `json:"disk_needed_bytes"` // live table, staging and the backups, all there until the swap
	Seconds         float64           `json:"estimate_seconds"`
	LiveBytes       int64             `json:"live_bytes"`
	BackupBytes     int64             `json:"backup_bytes"` // of those that are there, of which the swap drops what is more than keep_backups
}

// PreviewShape is a header and how many of the sampled files have it, held
// against the table.
type PreviewShape struct {
	Columns []string `json:"columns"`
	Files   int64    `json:"files"`
	Example string   `json:"example"`
	Missing []string `json:"missing,omitempty"` // columns that it does not have
	Unknown []string `json:"unknown,omitempty"` // headers that are no column's
	Fails   bool     `json:"fails,omitempty"`   // such files cannot be loaded
}

// PreviewColumn is a column of the table. Source is the header it is read
// from, or empty where the database fills it; Others are the headers that it
// may have instead.
type PreviewColumn struct {
	Name     string   `json:"name"`
	Source   string   `json:"source"`
	Others   []string `json:"other_sources,omitempty"`
	Type     string   `json:"type"`
	Evidence string   `json:"evidence"`
	NullIf   []string `json:"null_if,omitempty"`
	Proposed []string `json:"proposed_null_if,omitempty"` // values that look like "no value"
}

// What to expect: bytes of CSV that one connection loads in a second, and how
// much more two or more load, measured on a machine of two cores; and how big
// rows become on disk against their CSV.
const (
	bytesPerSecond = 30e6
	parallelGain   = 1.8
	diskPerByte    = 1.1
)

// Preview finds out what a load would do, and writes nothing. Where the load
// would be refused, the error says so and the preview shows the rest, if there
// is one.
func (s *Steps) Preview(ctx context.Context, load *bucketload.Load) (_ *Preview, err error) {
	defer func() { err = during("plan", err) }()
	live, err := table.Inspect(ctx, s.Pool, load.Table)
	if err != nil {
		return nil, err
	}
	history, err := s.Ledger.Exists(ctx)
	if err != nil {
		return nil, err
	}
	history = history && live != nil
	listing, err := s.list(ctx, load, history, s.divider(load), func(ledger.Planned) error { return nil })
	if err != nil {
		return nil, err
	}
	p := &Preview{Table: load.Table.String(), Mode: load.Mode, Objects: listing.files, Bytes: listing.bytes, Skipped: listing.skipped,
		AlreadyLoaded: listing.alreadyLoaded, Batches: listing.batches, Divided: listing.divided, Parts: listing.parts,
		Shapes: []PreviewShape{}, Columns: []PreviewColumn{}, DDL: []string{}, Notes: []string{}, Dependents: []table.Dependent{}, Locks: []string{}}
	staging := load.Mode != bucketload.ModeAppend || live == nil
	if load.Mode != bucketload.ModeReplace && live != nil && listing.files == 0 {
		return p, nil // nothing new
	}
	r, err := s.resolve(ctx, load, live, listing.sample, countable(s.listed(load, history), listing.files))
	if err != nil {
		return nil, err
	}
	r.requireKey(load)
	p.describe(r)
	if live != nil && load.Mode == bucketload.ModeReplace {
		p.Dependents = append(p.Dependents, live.Dependents...)
		if table.InPlace(load, live) {
			for i := range p.Dependents {
				p.Dependents[i] = table.Dependent{What: p.Dependents[i].What, Fate: "stays as it is"}
			}
		}
	}
	if p.Locks, err = s.locks(ctx, load, live, staging); err != nil {
		return nil, err
	}
	if err := s.ddl(ctx, p, load, live, r, staging); err != nil {
		return p, err
	}
	if err := s.estimate(ctx, p, load, live, r); err != nil {
		return p, err
	}
	if err := s.Ledger.MayMigrate(ctx); err != nil {
		return p, err
	}
	if err := s.importable(ctx, load); err != nil {
		return p, err
	}
	if !staging {
		return p, s.appendable(ctx, load, live, r)
	}
	if err := s.swappable(ctx, load, live); err != nil {
		return p, err
	}
	_, err = s.buildable(ctx, load, "preview", live, r)
	return p, err
}

func (p *Preview) describe(r *Resolution) {
	p.Sampled, p.All, p.Format, p.Dialect, p.DialectEvidence, p.Origin = int64(r.Sampled), r.All, r.Format, r.CSV, r.DialectEvidence, r.Origin
	for _, shape := range r.Shapes {
		p.Shapes = append(p.Shapes, PreviewShape{Columns: shape.Columns, Files: shape.Files, Example: shape.Example,
			Missing: shape.Missing, Unknown: shape.Unknown, Fails: shape.Fails})
	}
	filled := map[string]bucketload.Column{}
	for _, c := range r.Columns {
		filled[c.Name] = c
	}
	for _, t := range r.Table {
		c := filled[t.Name]
		column := PreviewColumn{Name: t.Name, Type: t.Type, Evidence: r.Evidence[t.Name], NullIf: c.NullIf}
		if len(c.From) > 0 {
			column.Source, column.Others = c.From[0], c.From[1:]
		}
		if len(c.NullIf) == 0 {
			column.Proposed = r.Sentinels[t.Name].Sentinels
		}
		p.Columns = append(p.Columns, column)
	}
	p.Notes = append(p.Notes, r.Notes...)
}

func (s *Steps) ddl(ctx context.Context, p *Preview, load *bucketload.Load, live *table.Live, r *Resolution, hasStaging bool) error {
	if !hasStaging {
		return nil
	}
	staging := bucketload.StagingTable("preview")
	p.DDL = append(p.DDL, table.CreateDDL(staging, r.Table))
	steps, err := table.Steps(ctx, s.Pool, load, "preview", live)
	if err != nil {
		return err
	}
	for _, step := range steps {
		sql := step.SQL
		if step.Definition != "" {
			sql += " -- as on the live table, unless the load makes the same"
		}
		p.DDL = append(p.DDL, sql)
	}
	p.DDL = append(p.DDL, "ANALYZE "+table.Quote(staging))
	if table.Merges(load, live) {
		p.DDL = append(p.DDL, table.MergeSQL(load, "preview", r.Table, r.filled())...)
	}
	return nil
}

// locks says what the load locks, and for how long.
func (s *Steps) locks(ctx context.Context, load *bucketload.Load, live *table.Live, staging bool) ([]string, error) {
	lines := []string{}
	var carried []bucketload.TableName // whose foreign keys the new table gets
	if live != nil {
		if lines = rowLocks(load, live, staging); lines == nil {
			carried = append(carried, load.Table)
			var err error
			if lines, err = s.swapLocks(ctx, load, live); err != nil {
				return nil, err
			}
		}
	}
	if !staging || table.Merges(load, live) {
		return lines, nil
	}
	referred, err := table.Referred(ctx, s.Pool, load.Constraints, carried...)
	for _, name := range referred {
		lines = append(lines, fmt.Sprintf("%s: SHARE ROW EXCLUSIVE for a moment before the rows are loaded and after, for the foreign key, waiting at most %s at a time: readers go on, writers wait",
			name, load.LockTimeout))
	}
	return lines, err
}

// swapLocks is locks of the swap.
func (s *Steps) swapLocks(ctx context.Context, load *bucketload.Load, live *table.Live) ([]string, error) {
	lines := []string{
		fmt.Sprintf("%s: none until the swap, then ACCESS EXCLUSIVE for a moment, waiting at most %s at a time", load.Table, load.LockTimeout),
	}
	for _, d := range live.Dependents {
		if d.Lock != "" {
			lines = append(lines, d.Lock+": ACCESS EXCLUSIVE with it")
		}
	}
	var dropped []bucketload.TableName
	if load.KeepBackups == 0 {
		dropped = append(dropped, load.Table)
	}
	if name, replaces, err := s.backup(ctx, s.Pool, load); err == nil && replaces {
		lines = append(lines, fmt.Sprintf("%s: ACCESS EXCLUSIVE with it", name))
		generations, err := ledger.Generations(ctx, s.Pool, load.Table)
		if err != nil {
			return nil, err
		}
		backups := slices.DeleteFunc(generations, ledger.Generation.Live)
		for _, b := range backups[min(len(backups), max(0, load.KeepBackups-1)):] {
			dropped = append(dropped, b.Name)
		}
	}
	referred, err := table.Referred(ctx, s.Pool, nil, dropped...)
	for _, name := range referred {
		lines = append(lines, fmt.Sprintf("%s: ACCESS EXCLUSIVE with it, for a backup that is dropped and refers to it; in use, it keeps the backup", name))
	}
	return lines, err
}

// rowLocks is locks where the table stays; nil where it is swapped.
func rowLocks(load *bucketload.Load, live *table.Live, staging bool) []string {
	switch {
	case load.Mode == bucketload.ModeUpsert:
		return []string{fmt.Sprintf("%s: ROW EXCLUSIVE while rows are merged, waiting at most %s at a time; readers see the old rows until the commit, and writers of the same rows wait", load.Table, load.LockTimeout)}
	case load.Mode == bucketload.ModeReplacePartition:
		return []string{fmt.Sprintf("%s: none until rows are merged, then EXCLUSIVE, waiting at most %s at a time: writers wait until the new rows are in, readers see the old ones", load.Table, load.LockTimeout)}
	case !staging:
		return []string{fmt.Sprintf("%s: ROW EXCLUSIVE while batches are copied; readers and writers go on", load.Table)}
	}
	if table.InPlace(load, live) {
		return []string{fmt.Sprintf("%s: none until its rows are replaced, then EXCLUSIVE, waiting at most %s at a time: writers wait until the new rows are in, readers see the old ones",
			load.Table, load.LockTimeout)}
	}
	return nil
}

// estimate says how long the load may take, and what is on the disk by its end:
// live table, staging and the backups, of which only the swap drops any.
func (s *Steps) estimate(ctx context.Context, p *Preview, load *bucketload.Load, live *table.Live, r *Resolution) error {
	rate := float64(bytesPerSecond)
	if min(load.MaxConcurrency, p.Batches) > 1 {
		rate *= parallelGain
	}
	plain := float64(p.Bytes) * r.Inflation
	p.Seconds = plain / rate
	if live != nil {
		p.LiveBytes = live.Bytes
	}
	p.Disk = p.LiveBytes + int64(plain*diskPerByte)
	if _, replaces, err := s.backup(ctx, s.Pool, load); err != nil || !replaces {
		return nil // swappable says what stands in its place
	}
	generations, err := ledger.SizedGenerations(ctx, s.Pool, load.Table)
	for _, g := range generations {
		if !g.Live() {
			p.BackupBytes += g.Bytes
		}
	}
	p.Disk += p.BackupBytes
	return err
}

// Guess is what the files alone tell.
type Guess struct {
	*Resolution
	Files int64
}

// Guess finds out columns and dialect from the files alone, without a database.
func (s *Steps) Guess(ctx context.Context, load *bucketload.Load) (*Guess, error) {
	listing, err := s.list(ctx, load, false, nil, func(ledger.Planned) error { return nil })
	if err != nil {
		return nil, during("init", err)
	}
	r, err := s.fromFiles(ctx, load, nil, listing.sample, countable(s.listed(load, false), listing.files))
	if err != nil {
		return nil, during("init", err)
	}
	r.Columns, _ = r.parted(load)
	return &Guess{Resolution: r, Files: listing.files}, nil
}
