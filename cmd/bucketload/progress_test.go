package main

import (
	"testing"
	"time"

	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/steps"
)

// TestProgressLine: rates are of what came since the copies began, and there are
// none before anything has.
func TestProgressLine(t *testing.T) {
	t.Parallel()
	var p steps.Progress
	began, state := time.Now(), ledger.StateCopy
	at := func(seconds int, want string) {
		t.Helper()
		if got := progressLine(&p, began.Add(time.Duration(seconds)*time.Second)); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	at(0, "begin")
	p.State.Store(&state)
	p.PlannedFiles.Store(3)
	p.PlannedBytes.Store(4000)
	p.LoadedFiles.Store(1)
	p.Rows.Store(100)
	p.Bytes.Store(1000)
	p.Copying.Store(&steps.Mark{At: began, Rows: 100, Bytes: 1000})
	at(0, "Copy 1/3 files, 100 rows, 1 kB of 4 kB")
	p.Bytes.Add(1000)
	at(5, "Copy 1/3 files, 100 rows, 2 kB of 4 kB (200 B/s), 10.0 s left")
	p.Rows.Add(50)
	p.LoadedFiles.Add(1)
	at(5, "Copy 2/3 files, 150 rows (10/s), 2 kB of 4 kB (200 B/s), 10.0 s left")
}
