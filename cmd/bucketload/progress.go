package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
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
	return every(plainEvery, func() {
		fmt.Fprintf(a.logs, "bucketload: %s: %s\n", table, progressLine(p, time.Now()))
	})
}

// every calls show at each interval until stop.
func every(interval time.Duration, show func()) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				show()
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// bar draws a line with a bar at the bottom of the terminal, the log above it.
func (a *app) bar(table string, p *steps.Progress) (stop func()) {
	b := &bar{terminal: a.errs}
	a.logs = b
	stopDrawing := every(barEvery, func() {
		b.draw(table + " " + blocks(p.Bytes.Load(), p.PlannedBytes.Load()) + " " + progressLine(p, time.Now()))
	})
	return func() {
		stopDrawing()
		b.draw("")
		a.logs = a.errs
	}
}

// bar is the last line of a terminal; what is written to it goes above.
type bar struct {
	mu       sync.Mutex
	terminal *os.File
	line     string
}

const toLineStart, clearLine = "\r", "\x1b[K"

// draw shows the line, cut to the terminal's width.
func (b *bar) draw(line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	width, _, err := term.GetSize(int(b.terminal.Fd()))
	if runes := []rune(line); err == nil && len(runes) >= width {
		line = string(runes[:max(0, width-1)])
	}
	b.line = line
	fmt.Fprint(b.terminal, toLineStart, line, clearLine)
}

func (b *bar) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fmt.Fprint(b.terminal, toLineStart, clearLine)
	n, err := b.terminal.Write(p)
	fmt.Fprint(b.terminal, b.line)
	return n, err
}

// blocks draws how much of a whole is done.
func blocks(done, of int64) string {
	const width = 24
	full := 0
	if of > 0 {
		full = int(min(done, of) * width / of)
	}
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}

// progressLine is where a run stands: state, files, rows, bytes, rates, time
// left, failures. Rates are of what came since the copies began, and left out
// where nothing has.
func progressLine(p *steps.Progress, now time.Time) string {
	state := "begin"
	if s := p.State.Load(); s != nil {
		state = *s
	}
	planned := p.PlannedFiles.Load()
	if planned == 0 {
		return state
	}
	rows, bytes, of := p.Rows.Load(), p.Bytes.Load(), p.PlannedBytes.Load()
	line := fmt.Sprintf("%s %s/%s files, %s rows", state, count(p.LoadedFiles.Load()), count(planned), count(rows))
	from := p.Copying.Load()
	if state != ledger.StateCopy || from == nil {
		return line
	}
	took := max(0.001, now.Sub(from.At).Seconds())
	if rows > from.Rows {
		line += fmt.Sprintf(" (%s/s)", count(int64(float64(rows-from.Rows)/took)))
	}
	line += fmt.Sprintf(", %s of %s", bucketload.Bytes(bytes), bucketload.Bytes(of))
	if bytes > from.Bytes {
		rate := float64(bytes-from.Bytes) / took
		line += fmt.Sprintf(" (%s/s)", bucketload.Bytes(rate))
		if bytes < of {
			line += ", " + seconds(float64(of-bytes)/rate) + " left"
		}
	}
	if failed := p.FailedFiles.Load(); failed > 0 {
		line += ", " + count(failed) + " failed"
	}
	return line
}
