// Torture loads again and again while everything breaks that a seed chooses, goes
// on as the program says, and then counts with SQL of its own what is there. It
// runs real processes: the program, Postgres, and S3's protocol.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/bucketload/bucketload/internal/temp"
)

// options are the command line.
type options struct {
	rounds    int
	seed      uint64
	majors    string
	only, out string
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 25, "rounds")
	flag.Uint64Var(&o.seed, "seed", 1, "the same seed chooses the same faults; round N of seed S is the first of seed S+N-1")
	flag.StringVar(&o.majors, "majors", "", "major versions of Postgres, by commas, in turn; default: all that are here")
	flag.StringVar(&o.only, "only", "", "take this fault only")
	flag.StringVar(&o.out, "out", "", "write the result to this file, as Markdown")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := torture(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(1)
	}
}

func torture(ctx context.Context, o options) error {
	majors, err := versions(ctx, o.majors)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bucketload-torture-")
	if err != nil {
		return err
	}
	program := filepath.Join(dir, "bucketload")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "./cmd/bucketload").CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w: %s", err, out)
	}
	var sites []*site
	defer func() {
		for _, s := range sites {
			s.close()
		}
	}()
	for _, major := range majors {
		s, err := newSite(ctx, major)
		if err != nil {
			return err
		}
		sites = append(sites, s)
	}
	var t tally
	started := time.Now()
	for n := range o.rounds {
		seed := o.seed + uint64(n)
		r, err := newRound(sites[seed%uint64(len(sites))], program, filepath.Join(dir, strconv.FormatUint(seed, 10)), seed, o.only)
		if err != nil {
			return err
		}
		v := r.run(ctx)
		if ctx.Err() != nil {
			break // what the rounds before have come to is said all the same
		}
		t.add(r, v)
		fmt.Printf("seed %d: %s: %s\n", seed, r, v)
		if v.bad() {
			fmt.Printf("  to see it again: go run ./torture -rounds 1 -seed %d -majors %s; its logs: %s\n", seed, strings.Join(words(majors), ","), r.dir)
			continue
		}
		if err := os.RemoveAll(r.dir); err != nil {
			return err
		}
	}
	t.seconds = time.Since(started).Seconds()
	for _, s := range sites {
		t.versions = append(t.versions, s.postgres.Version())
		t.noDisk = t.noDisk || s.disk == nil
	}
	if o.out != "" {
		if err := t.write(o.out, o.seed); err != nil {
			return err
		}
	}
	fmt.Printf("%d rounds, %d faults: %d rows lost, %d doubled, %d leftovers, %d hangs, %d other; a reader waited for up to %s\n", t.Rounds, t.faults(), t.Lost, t.Doubled, t.Left, t.Hangs, t.Other, t.waited.Round(time.Millisecond))
	if t.bad > 0 {
		return fmt.Errorf("%d rounds went wrong", t.bad)
	}
	return os.RemoveAll(dir)
}

func versions(ctx context.Context, list string) (majors []int, err error) {
	if list == "" {
		if majors = temp.Majors(ctx); len(majors) == 0 {
			return nil, errors.New("there is no Postgres here: make setup")
		}
		return majors, nil
	}
	for word := range strings.SplitSeq(list, ",") {
		major, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil {
			return nil, fmt.Errorf("-majors: %w", err)
		}
		majors = append(majors, major)
	}
	slices.Sort(majors)
	return majors, nil
}

func words(numbers []int) []string {
	var words []string
	for _, n := range numbers {
		words = append(words, strconv.Itoa(n))
	}
	return words
}
