package main

import (
	"fmt"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/steps"
)

const (
	plainEvery = 5 * time.Second        // between two lines where there is no terminal
	barEvery   = 120 * time.Millisecond // between two pictures of the bar
)

// progress shows how a run goes on stderr until stop: as a bar on a terminal,
// else as a line every few seconds.
func (a *app) progress(table string, p *steps.Progress) (stop func()) {
	switch {
	case a.quiet:
		return func() {}
	case isTerminal(a.errs):
		return a.bar(table, p)
	}
	return every(plainEvery, func(since time.Duration) {
		fmt.Fprintf(a.logs, "bucketload: %s: %s\n", table, progressLine(p, since))
	})
}

// every calls show at each interval until stop, with the time since the start.
func every(interval time.Duration, show func(since time.Duration)) (stop func()) {
	started, done, ended := time.Now(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				show(time.Since(started))
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// bar draws a bar of bytes, with the log above it.
func (a *app) bar(table string, p *steps.Progress) (stop func()) {
	started := time.Now()
	pool := mpb.New(mpb.WithOutput(a.errs), mpb.WithWidth(28), mpb.WithRefreshRate(barEvery), mpb.WithAutoRefresh())
	bar := pool.New(1, mpb.BarStyle().Lbound("").Filler("█").Tip("█").Padding("░").Rbound(""),
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(table+" ")),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return " " + progressLine(p, time.Since(started)) })))
	a.logs = pool
	stopTicking := every(barEvery, func(time.Duration) {
		bar.SetTotal(max(1, p.PlannedBytes.Load())+1, false) // never complete by itself
		bar.SetCurrent(p.Bytes.Load())
	})
	return func() {
		stopTicking()
		bar.Abort(true)
		pool.Wait()
		a.logs = a.errs
	}
}

// progressLine is where a run stands: state, files, rows, bytes, rates, time
// left, failures.
func progressLine(p *steps.Progress, since time.Duration) string {
	state := "begin"
	if s := p.State.Load(); s != nil {
		state = *s
	}
	planned := p.PlannedFiles.Load()
	if planned == 0 {
		return state
	}
	bytes, of := p.Bytes.Load(), p.PlannedBytes.Load()
	rate := float64(bytes) / since.Seconds()
	line := fmt.Sprintf("%s %s/%s files, %s rows (%s/s), %s of %s (%s/s)", state,
		count(p.LoadedFiles.Load()), count(planned), count(p.Rows.Load()), count(int64(float64(p.Rows.Load())/since.Seconds())),
		bucketload.Bytes(bytes), bucketload.Bytes(of), bucketload.Bytes(rate))
	if rate > 0 && bytes < of {
		line += ", " + seconds(float64(of-bytes)/rate) + " left"
	}
	if failed := p.FailedFiles.Load(); failed > 0 {
		line += ", " + count(failed) + " failed"
	}
	return line
}
