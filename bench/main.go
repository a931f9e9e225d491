// Bench measures what loads cost, by bucketload and by others, and writes
// docs/benchmarks.md. It runs on Linux, from the root of the repository.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/bucketload/bucketload/internal/temp"
)

const (
	resultsFile  = "docs/benchmarks/results.json"
	documentFile = "docs/benchmarks.md"
)

// options are the command line.
type options struct {
	rounds, files, major int
	only, cache, corpus  string
	note                 string
	quick, render        bool
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
		case "replay":
			return replay(ctx, args[1:])
		}
	}
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&o.rounds, "rounds", 3, "rounds; the medians count")
	flags.IntVar(&o.files, "files", 0, "take every so many'th of the year's files to have about this many; 0: all")
	flags.IntVar(&o.major, "major", 0, "major version of Postgres; 0: the newest there is")
	flags.StringVar(&o.only, "only", "", "words, by commas: measure cases whose name has one of them")
	flags.StringVar(&o.cache, "cache", filepath.Join(os.TempDir(), "bucketload-bench"), "directory for the files that are loaded")
	flags.StringVar(&o.corpus, "corpus", os.Getenv("BUCKETLOAD_CORPUS"), "directory with gsod-2022.tar.zst")
	flags.StringVar(&o.note, "note", "", "what a reader must know of this run, for the document")
	flags.BoolVar(&o.quick, "quick", false, "one round of a tenth of the files")
	flags.BoolVar(&o.render, "render", false, "measure nothing; write the document from the results that are kept")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if o.quick {
		o.rounds, o.files = 1, 1232
	}
	if !o.render {
		results, err := run(ctx, o, args)
		if err != nil {
			return err
		}
		if err := results.write(resultsFile); err != nil {
			return err
		}
	}
	results, err := readResults(resultsFile)
	if err != nil {
		return err
	}
	for _, g := range judge(results) {
		fmt.Println(g)
	}
	return render(results, documentFile)
}

// run measures all cases, round after round.
func run(ctx context.Context, o options, args []string) (*Results, error) {
	data, err := prepare(ctx, o)
	if err != nil {
		return nil, err
	}
	settings := []string{"fsync=on", "synchronous_commit=on", "full_page_writes=on", "shared_buffers=1GB", "max_wal_size=8GB"}
	pg, err := temp.StartPostgres(ctx, temp.PostgresOptions{Major: o.major, Log: os.Stderr, Settings: settings})
	if err != nil {
		return nil, err
	}
	defer func() { _ = pg.Stop() }()
	b := &bench{data: data, pg: pg, dir: o.cache}
	if err := b.build(ctx); err != nil {
		return nil, err
	}
	r := &Results{
		Date: time.Now().UTC().Format("2006-01-02 15:04 UTC"), Command: strings.Join(append([]string{"go run ./bench"}, args...), " "),
		Postgres: pg.Version(), Settings: settings, Hardware: hardware(), Rounds: o.rounds,
		Files: data.files, Rows: data.rows, Bytes: data.bytes, Note: o.note, Absent: map[string]string{},
	}
	for round := range o.rounds {
		for _, c := range cases {
			if !c.chosen(o.only) || r.Absent[c.Name] != "" {
				continue
			}
			s, err := b.load(ctx, c)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				r.Absent[c.Name] = firstLine(err)
				fmt.Printf("%s: %v\n", c.Name, err)
				continue
			}
			r.add(c, s)
			fmt.Printf("%d %-34s wall %6.2f  client %6.2f  server %6.2f  s3 %5.2f  WAL %5.0f MB  memory %4.0f MiB\n",
				round+1, c.Name, s.Wall, s.Client, s.Server, s.S3, s.WAL/1e6, s.Memory/(1<<20))
		}
	}
	return r, nil
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
