package steps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/decode"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/source"
	"github.com/bucketload/bucketload/internal/table"
)

// PlanInput names a run that is to begin, or has begun, with this load.
type PlanInput struct {
	ledger.Try
	Load *bucketload.Load
}

// PlanOutput counts what the run is to load, whether it is loaded already or
// not; Batches are those still to be copied.
type PlanOutput struct {
	Run     string
	Files   int64
	Skipped int64
	Bytes   int64
	Batches []ledger.Batch
}

// Plan begins the run in the ledger and lists its objects into batches. What
// would make the load fail in the end is found here: nothing to load, a table
// that cannot be swapped.
func (s *Steps) Plan(ctx context.Context, in PlanInput) (out PlanOutput, err error) {
	defer func() { err = during("plan", err) }()
	out.Run = in.Run
	if err := s.enter(ctx, in.Try, ledger.StatePlan); err != nil {
		return out, err
	}
	if err := s.importable(ctx, in.Load); err != nil {
		return out, err
	}
	live, err := table.Inspect(ctx, s.Pool, in.Load.Table)
	if err != nil {
		return out, err
	}
	if err := s.swappable(ctx, in.Load, live); err != nil {
		return out, err
	}
	s.deleteSources(ctx, in.Load.Table) // what a run before it had no time for is not to be listed again
	err = s.Ledger.WritePlan(ctx, in.Run, func(w *ledger.Listing) error {
		_, err := s.list(ctx, in.Load, live != nil, s.divider(in.Load), w.Add)
		return err
	})
	if err != nil {
		return out, err
	}
	s.sweep(ctx, in.Run, in.Load, 1)
	r, err := s.Ledger.Run(ctx, in.Run)
	if err != nil {
		return out, err
	}
	built, _, err := s.Ledger.Build(ctx, in.Run, new([]table.Step))
	if err != nil {
		return out, err
	}
	if built > 0 && r.Files.Failed > 0 {
		s.Log.Warn("files that have failed are left out: the table is being finished without them", "run", in.Run, "files", r.Files.Failed, "to load them", "bucketload load "+in.Load.Key)
	}
	open, err := s.Ledger.OpenBatches(ctx, in.Run)
	if err != nil {
		return out, err
	}
	out.Files, out.Skipped, out.Batches = r.Files.Planned, r.Files.Skipped, open
	out.Bytes, err = s.begun(ctx, r)
	return out, err
}

// begun sets the progress to what the ledger has of a run, and gives the bytes
// of its objects.
func (s *Steps) begun(ctx context.Context, r *ledger.Run) (planned int64, err error) {
	planned, settled, err := s.Ledger.Bytes(ctx, *r.ID)
	s.Progress.PlannedFiles.Store(r.Files.Planned)
	s.Progress.PlannedBytes.Store(planned)
	s.Progress.LoadedFiles.Store(r.Files.Loaded)
	s.Progress.FailedFiles.Store(r.Files.Failed)
	s.Progress.Rows.Store(r.Rows.Loaded)
	s.Progress.Bytes.Store(settled)
	return planned, err
}

// swappable refuses a load whose swap could not be done.
func (s *Steps) swappable(ctx context.Context, load *bucketload.Load, live *table.Live) error {
	if load.LimitFiles > 0 || load.Mode != bucketload.ModeReplace && live != nil {
		return nil
	}
	if table.InPlace(load, live) {
		return nil // buildable says whether it fits
	}
	if err := table.MayReplace(ctx, s.Pool, load.Table); err != nil || live == nil {
		return err
	}
	if err := table.Refuse(ctx, s.Pool, load.Table, live); err != nil {
		return err
	}
	_, _, err := s.backup(ctx, s.Pool, load)
	return err
}

// listing is what a listing came to.
type listing struct {
	files, bytes  int64
	skipped       int64
	alreadyLoaded int64
	batches       int
	divided       int64                        // files that are loaded in parts
	parts         int64                        // and these
	endings       map[string]int64             // of the names that were skipped
	formats       map[bucketload.Format]string // that names say, each with an object
	sample        []bucketload.Object          // spread over the files
}

// errEnough ends a listing early: a trial has its files.
var errEnough = errors.New("enough files")

// lookupChunk is how many objects are looked up in the history at once.
const lookupChunk = 1000

// list lists the load's objects and hands them to add in order, each with its
// batch or the reason why it is skipped. history is whether the live table has
// rows that an append must not double, and a merge need not load again; divide makes parts of the big ones.
func (s *Steps) list(ctx context.Context, load *bucketload.Load, history bool, divide *divider, add func(ledger.Planned) error) (listing, error) {
	l := lister{steps: s, load: load, history: history && load.Mode != bucketload.ModeReplace && !load.Force, divide: divide, add: add,
		sample: sampler{limit: sampleFiles}, listing: listing{endings: map[string]int64{}, formats: map[bucketload.Format]string{}}}
	l.batch = batcher{maxItems: load.MaxItemsPerBatch, minBytes: int64(load.MinBatchBytes)}
	err := s.store(load).List(ctx, load.From, load.Exclude, func(o source.Listed) error { return l.take(ctx, o) })
	if err == nil {
		err = l.flush(ctx)
	}
	if err != nil && !errors.Is(err, errEnough) {
		return l.listing, err
	}
	l.listing.batches, l.listing.sample = l.batch.count(), l.sample.objects
	if len(l.listing.formats) > 1 && auto(load) {
		return l.listing, mixed("plan", "are of", l.listing.formats)
	}
	if l.listing.files == 0 && l.listing.alreadyLoaded == 0 && !load.AllowEmpty {
		return l.listing, nothingToLoad(load, l.listing)
	}
	return l.listing, nil
}

// listed lists the load's objects as list does, as often as it is called.
func (s *Steps) listed(load *bucketload.Load, history bool) objectsOf {
	return func(ctx context.Context, yield func(bucketload.Object) error) error {
		_, err := s.list(ctx, load, history, nil, func(p ledger.Planned) error {
			if p.Skipped != nil {
				return nil
			}
			return yield(p.Object)
		})
		return err
	}
}

func nothingToLoad(load *bucketload.Load, l listing) error {
	message, check := "no object matches "+strings.Join(load.From, " "), "the URI (a prefix ends at a /)"
	if len(load.Exclude) > 0 {
		message += ", or exclude leaves out all that do: " + strings.Join(load.Exclude, " ")
		check += " and exclude"
	}
	e := &bucketload.Error{Op: "plan", Code: bucketload.CodeEmpty, Message: message,
		Hint: "check " + check + ", or set allow_empty: true if an empty table is right"}
	if l.skipped > 0 {
		endings := slices.SortedFunc(maps.Keys(l.endings), func(a, b string) int {
			return cmp.Or(cmp.Compare(l.endings[b], l.endings[a]), cmp.Compare(a, b))
		})
		e.Message = fmt.Sprintf("none of the %d objects at %s has a name that %s (they end in %s)",
			l.skipped, strings.Join(load.From, " "), fitting(load), strings.Join(endings[:min(3, len(endings))], ", "))
		e.Hint = "name them with a glob, for example --from '" + strings.TrimRight(load.From[0], "/*") + "/*" + endings[0] + "'"
	}
	return e
}

type lister struct {
	steps   *Steps
	load    *bucketload.Load
	history bool
	divide  *divider
	add     func(ledger.Planned) error
	chunk   []bucketload.Object
	batch   batcher
	sample  sampler
	listing listing
}

// auto says whether the format of the load's files is to be found out.
func auto(load *bucketload.Load) bool {
	return load.Format == bucketload.FormatAuto || load.Format == ""
}

// fitting is what a name does that is taken for the load's format.
func fitting(load *bucketload.Load) string {
	if auto(load) {
		return "says its format"
	}
	return "fits format " + string(load.Format)
}

func (l *lister) take(ctx context.Context, o source.Listed) error {
	format, known := decode.FormatOf(o.URI)
	fits := known && (auto(l.load) || format == l.load.Format)
	if !fits && !o.Chosen {
		ending := path.Ext(o.URI)
		if ending == "" {
			ending = path.Base(o.URI)
		}
		l.listing.skipped++
		if len(l.listing.endings) < 1000 {
			l.listing.endings[ending]++
		}
		return l.add(ledger.Planned{Object: o.Object, Skipped: &bucketload.FileError{Code: bucketload.CodeName,
			Message: "it has no name that " + fitting(l.load), Hint: "to load it, name it: --from '*" + ending + "'"}})
	}
	if _, seen := l.listing.formats[format]; known && !seen {
		l.listing.formats[format] = o.URI
	}
	if !l.history {
		return l.plan(ctx, o.Object)
	}
	if l.chunk = append(l.chunk, o.Object); len(l.chunk) == lookupChunk {
		return l.flush(ctx)
	}
	return nil
}

// flush looks the chunk up in the history and plans what is not loaded.
func (l *lister) flush(ctx context.Context) error {
	if len(l.chunk) == 0 {
		return nil
	}
	loaded, err := l.steps.Ledger.Loaded(ctx, l.load.Table, l.chunk)
	if err != nil {
		return err
	}
	for i, o := range l.chunk {
		switch by := loaded[i]; {
		case by.Run == "":
			if err := l.plan(ctx, o); err != nil {
				return err
			}
		case by.Changed && l.load.OnChanged == bucketload.PolicyReload:
			if err := l.plan(ctx, o); err != nil {
				return err
			}
		case by.Changed && l.load.OnChanged == bucketload.PolicyIgnore:
			l.listing.skipped++
			l.listing.alreadyLoaded++
			if err := l.add(ledger.Planned{Object: o, Skipped: &bucketload.FileError{Code: bucketload.CodeChanged,
				Message: "it has changed since run " + by.Run + " loaded it", Hint: "to load it anew: on_changed: reload, with mode: upsert or replace_partition"}}); err != nil {
				return err
			}
		case by.Changed:
			return changed(l.load, o, by.Run)
		default:
			l.listing.skipped++
			l.listing.alreadyLoaded++
			if err := l.add(ledger.Planned{Object: o, Skipped: &bucketload.FileError{Code: bucketload.CodeLoaded,
				Message: "run " + by.Run + " loaded it"}}); err != nil {
				return err
			}
		}
	}
	l.chunk = l.chunk[:0]
	return nil
}

// changed refuses an object of which the table has another version.
func changed(load *bucketload.Load, o bucketload.Object, by string) error {
	e := &bucketload.Error{Op: "plan", Code: bucketload.CodeChanged, URI: o.URI,
		Message: fmt.Sprintf("it has changed since run %s loaded it into %s", by, load.Table),
		Hint:    "load it again with on_changed: reload, or pass it over with on_changed: ignore"}
	if load.Mode == bucketload.ModeAppend {
		e.Message += "; appending it would double its rows"
		e.Hint = "load the table anew with mode replace, or pass the object over with on_changed: ignore or --exclude"
	}
	return e
}

func (l *lister) plan(ctx context.Context, o bucketload.Object) error {
	if l.load.LimitFiles > 0 && l.listing.files == int64(l.load.LimitFiles) {
		return errEnough
	}
	l.listing.files++
	l.listing.bytes += o.Size
	l.sample.offer(o)
	starts, err := l.divide.divide(ctx, o)
	if err != nil {
		return err
	}
	if len(starts) == 0 {
		return l.add(ledger.Planned{Object: o, Batch: l.batch.place(o.Size)})
	}
	parts := l.batch.inParts(o, starts)
	l.listing.divided++
	l.listing.parts += int64(len(parts))
	return l.add(ledger.Planned{Object: o, Parts: parts})
}

// batcher sorts files into batches in the order of the listing.
type batcher struct {
	maxItems int
	minBytes int64

	no, files int
	bytes     int64
}

const (
	// maxBatchBytes closes a batch that already has files: a failure repeats
	// no more than this, about two seconds of a database core's COPY.
	maxBatchBytes = 256 << 20
	// maxJoined bounds how many tiny files are joined up to min_batch_bytes.
	maxJoined = 1000
)

// place gives the number of the batch that a file of this size goes to.
func (b *batcher) place(size int64) int {
	full := b.files >= b.maxItems && (b.bytes >= b.minBytes || b.files >= maxJoined)
	if full || b.bytes+size > maxBatchBytes {
		b.close()
	}
	b.files++
	b.bytes += size
	return b.no
}

// alone gives the number of a batch that nothing else goes to.
func (b *batcher) alone() int {
	b.close()
	b.no++
	return b.no - 1
}

// close ends the batch, if anything has gone to it.
func (b *batcher) close() {
	if b.files > 0 {
		b.no++
	}
	b.files, b.bytes = 0, 0
}

func (b *batcher) count() int {
	b.close()
	return b.no
}

// sampler keeps at most limit of the objects offered, evenly spread, without
// knowing how many will come: when full, it drops every other one and from
// then on takes half as often.
type sampler struct {
	limit   int
	every   int
	offered int
	objects []bucketload.Object
}

func (s *sampler) offer(o bucketload.Object) {
	s.every = max(1, s.every)
	if s.offered%s.every == 0 {
		if len(s.objects) == s.limit {
			for i := range s.limit / 2 {
				s.objects[i] = s.objects[2*i]
			}
			s.objects = s.objects[:s.limit/2]
			s.every *= 2
		}
		if s.offered%s.every == 0 {
			s.objects = append(s.objects, o)
		}
	}
	s.offered++
}
