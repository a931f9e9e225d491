// Bench measures what loads cost, by bucketload and by others, and writes
// docs/benchmarks.md. It runs on Linux, from the root of the repository.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/bucketload/bucketload/internal/temp"
)

const (
	resultsFile  = "docs/benchmarks/results.json"
	reasonsFile  = "docs/benchmarks/reasons.json"
	documentFile = "docs/benchmarks.md"
)

// options are the command line.
type options struct {
	rounds, files, tiny  int
	trips, big, largest  int64
	majors, only         string
	cache, corpus        string
	quick, render, peers bool
	limit                time.Duration
}

func main() {
	if err := command(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// command runs the bench, or one of the programs that it starts as processes
// of their own so that their CPU can be told apart.
func command(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(args) > 0 {
		switch args[0] {
		case "serve":
			return serve(ctx, args[1:])
		case "list":
			return list(ctx, args[1:])
		case "replay":
			return replay(ctx, args[1:])
		}
	}
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&o.rounds, "rounds", 3, "rounds; the medians count")
	flags.IntVar(&o.files, "files", 1540, "take every so many'th of the year's 12,319 files to have about this many; 0: all")
	flags.Int64Var(&o.trips, "trips", 1_000_000, "rows of the work taxi")
	flags.Int64Var(&o.big, "big", 1<<30, "bytes of the big CSV, for example 4294967296")
	flags.IntVar(&o.tiny, "tiny", 100_000, "files of the work tiny")
	flags.Int64Var(&o.largest, "largest", 10_000_000, "rows at the end of the curve of rows; that of files ends at a tenth")
	flags.StringVar(&o.majors, "postgres", "15,18", "major versions of Postgres, by commas; 0: the newest there is")
	flags.StringVar(&o.only, "only", "", "words, by commas: measure cases and curves whose name has one of them, and keep what the document says of the others")
	flags.BoolVar(&o.peers, "peers", false, "install other programs below the cache, and measure them too")
	flags.DurationVar(&o.limit, "limit", 10*time.Minute, "the most that one load may take")
	flags.StringVar(&o.cache, "cache", filepath.Join(os.TempDir(), "bucketload-bench"), "directory for the files that are loaded, and for other programs")
	flags.StringVar(&o.corpus, "corpus", os.Getenv("BUCKETLOAD_CORPUS"), "directory with gsod-2022.tar.zst")
	flags.BoolVar(&o.quick, "quick", false, "one round of everything, a tenth as big")
	flags.BoolVar(&o.render, "render", false, "measure nothing; write the document from the results that are kept")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if o.quick {
		o.rounds, o.files, o.trips, o.big, o.tiny, o.largest = 1, 154, 100_000, 300<<20, 10_000, 1_000_000
	}
	kept, err := readResults(resultsFile)
	if err != nil && (o.render || !errors.Is(err, fs.ErrNotExist)) {
		return err
	}
	reasons, err := readReasons(reasonsFile)
	if err != nil {
		return err
	}
	if !o.render {
		said := "go run ./bench"
		flags.Visit(func(f *flag.Flag) {
			if f.Name != "cache" && f.Name != "corpus" { // where things lie measures nothing
				said += " -" + f.Name + "=" + f.Value.String()
			}
		})
		if kept, err = run(ctx, o, said, kept); err != nil {
			return err
		}
	}
	for _, v := range judge(kept, reasons) {
		fmt.Println(v)
	}
	return errors.Join(render(kept, reasons, documentFile), writeReadme(kept))
}

// run measures, writes the results after every round, and gives them.
func run(ctx context.Context, o options, said string, kept *Results) (*Results, error) {
	if o.only == "" || kept == nil {
		kept = &Results{}
	}
	about := Run{
		Date: time.Now().UTC().Format("2006-01-02 15:04:05 UTC"), Command: said,
		Hardware: hardware(), CPUs: runtime.NumCPU(), Load: machineLoad(ctx), Rounds: o.rounds, Works: map[string]Size{}, Tools: map[string]string{},
		Settings: []string{"fsync=on", "synchronous_commit=on", "full_page_writes=on", "shared_buffers=1GB", "max_wal_size=8GB"},
	}
	majors, err := o.servers(ctx)
	if err != nil {
		return nil, err
	}
	b := &bench{dir: o.cache, limit: o.limit}
	absent := map[string]string{} // why, by peer
	if err := errors.Join(os.MkdirAll(o.cache, 0o755), b.build(ctx)); err != nil {
		return nil, err
	}
	if err := b.prepare(ctx, o); err != nil {
		return nil, err
	}
	b.install(ctx, o, absent)
	for name, w := range b.works {
		about.Works[name] = Size{w.files, w.rows, w.bytes}
	}
	for name, t := range b.tools {
		about.Tools[name] = t.version
	}
	results := &Results{Runs: []Run{about}}
	joined := kept
	for i, major := range majors {
		m := measuring{bench: b, options: o, results: results, run: about.Date, absent: absent, first: i == 0,
			save: func() error {
				joined = kept.without(results).and(results)
				return joined.write(resultsFile)
			}}
		if err := m.on(ctx, major, about.Settings); err != nil {
			return nil, err
		}
	}
	return joined, nil
}

// servers gives the major versions, each of which has been started once: better
// no run at all than half of one.
func (o options) servers(ctx context.Context) ([]int, error) {
	var majors []int
	for word := range strings.SplitSeq(o.majors, ",") {
		major, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil {
			return nil, fmt.Errorf("-postgres: %q is no major version", word)
		}
		pg, err := temp.StartPostgres(ctx, temp.PostgresOptions{Major: major, Log: os.Stderr})
		if err != nil {
			return nil, err
		}
		if err := pg.Stop(); err != nil {
			return nil, err
		}
		majors = append(majors, major)
	}
	return majors, nil
}

// install installs the peers of the cases that are chosen.
func (b *bench) install(ctx context.Context, o options, absent map[string]string) {
	b.tools = map[string]*tool{}
	for _, c := range cases {
		w, is := ways[c.Peer]
		if !is || !chosen(c.Name(), o.only) {
			continue
		}
		if !o.peers {
			absent[c.Peer] = "not asked for: -peers"
			continue
		}
		fmt.Println("installing", c.Peer)
		t, err := w.install(ctx, filepath.Join(b.dir, "peers", c.Peer))
		if err != nil {
			absent[c.Peer] = firstLine(err)
			continue
		}
		b.tools[c.Peer] = t
	}
}

// prepare makes the works that are chosen.
func (b *bench) prepare(ctx context.Context, o options) error {
	b.works = map[string]*work{}
	wanted := map[string]bool{}
	for _, c := range cases {
		wanted[c.Work] = wanted[c.Work] || chosen(c.Name(), o.only)
	}
	var weather *data
	for _, types := range weatherTypes {
		if !wanted[types] {
			continue
		}
		if weather == nil {
			var err error
			if weather, err = prepareWeather(ctx, o); err != nil {
				return err
			}
		}
		b.works[types] = weather.weather(types)
	}
	for name, size := range map[string]struct {
		rows, bytes int64
		perFile     int
	}{workTaxi: {rows: o.trips}, workBig: {bytes: o.big}, workTiny: {rows: 2 * int64(o.tiny), perFile: 2}} {
		if !wanted[name] {
			continue
		}
		w, err := taxi(filepath.Join(o.cache, name), size.rows, size.bytes, size.perFile)
		if err != nil {
			return err
		}
		b.works[name] = w
	}
	return ctx.Err()
}

// measuring is a run on one version of Postgres.
type measuring struct {
	*bench
	options
	results *Results
	run     string
	absent  map[string]string // peers that cannot run
	first   bool              // of the run's versions
	save    func() error
}

// on measures all that is chosen on a major version.
func (m *measuring) on(ctx context.Context, major int, settings []string) (err error) {
	m.pg, err = temp.StartPostgres(ctx, temp.PostgresOptions{Major: major, Log: os.Stderr, Settings: settings})
	if err != nil {
		return err
	}
	defer func() { _ = m.pg.Stop() }()
	postgres := m.pg.Version()
	out := map[string]bool{} // cases that failed
	give := func(name, reason string) {
		out[name] = true
		m.results.Absent = append(m.results.Absent, Absent{name, postgres, m.run, reason})
		fmt.Printf("%s: %s\n", name, reason)
	}
	for _, c := range cases {
		if m.first && c.Peer == "floor" && chosen(c.Name(), m.only) {
			if err := m.record(ctx, c); err != nil {
				return fmt.Errorf("recording for %s: %w", c.Name(), err)
			}
		}
	}
	for round := range m.rounds {
		for _, c := range cases {
			name := c.Name()
			if !chosen(name, m.only) || out[name] || c.Once && round > 0 {
				continue
			}
			if reason, cannot := m.absent[c.Peer]; cannot {
				give(name, reason)
				continue
			}
			s, err := m.load(ctx, c)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				give(name, firstLine(err))
				continue
			}
			m.results.add(c, postgres, m.run, s)
			fmt.Printf("%s %d %-34s %v\n", postgres, round+1, name, s)
		}
		if err := m.save(); err != nil {
			return err
		}
	}
	for _, name := range []string{curveRows, curveFiles} {
		if !chosen("curve "+name, m.only) {
			continue
		}
		c, err := m.curve(ctx, name, m.sizes(name))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			give(name, firstLine(err))
			continue
		}
		c.Postgres, c.Run = postgres, m.run
		m.results.Curves = append(m.results.Curves, c)
	}
	return m.save()
}

// sizes of a curve, ascending: rows from a hundredth of the largest on, two
// to a decade, files from ten on, one to a decade.
func (o options) sizes(curve string) (all []int64) {
	if curve == curveFiles {
		for n := int64(10); n <= o.largest/10; n *= 10 {
			all = append(all, n)
		}
		return all
	}
	for n := o.largest / 100; n <= o.largest; n *= 10 {
		all = append(all, n)
		if n < o.largest {
			all = append(all, 3*n)
		}
	}
	return all
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
