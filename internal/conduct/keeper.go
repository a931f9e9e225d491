package conduct

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"time"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/asl"
	"github.com/bucketload/bucketload/internal/asl/items"
	"github.com/bucketload/bucketload/internal/ledger"
)

// keeper keeps an execution in the ledger: its history, the counters of its map
// runs, and the documents that on AWS are objects of a bucket. What another
// process needs in order to take the run up is all there.
type keeper struct {
	ledger *ledger.Ledger
	run    string
}

// ledgerBucket is the bucket's name that stands for the run's documents.
const ledgerBucket = "ledger"

// tries is how often something is tried before it is given up: for about a
// minute, in which a server may be restarted.
const tries = 8

// insist does again what failed for a passing reason.
func insist(ctx context.Context, do func() error) error {
	for try := 0; ; try++ {
		err := do()
		if !bucketload.IsTransient(err) || try == tries-1 {
			return err
		}
		if err := pause(ctx, try); err != nil {
			return err
		}
	}
}

// afterwards is insist for what is left to do once an execution is over; after a
// Ctrl-C, at which somebody waits, it is tried once.
func afterwards(ctx context.Context, do func() error) error {
	if ctx.Err() != nil {
		return do()
	}
	return insist(ctx, do)
}

// Record keeps events of an execution.
func (k keeper) Record(ctx context.Context, execution string, events []asl.Event) error {
	kept := make([]ledger.Event, len(events))
	for i, e := range events {
		kept[i] = ledger.Event{Execution: execution, ID: e.ID, Previous: e.Previous, Type: string(e.Type), Time: e.Timestamp}
		if e.Details == (asl.Details{}) {
			continue
		}
		var err error
		if kept[i].Details, err = json.Marshal(e.Details); err != nil {
			return err
		}
	}
	return insist(ctx, func() error { return k.ledger.Record(ctx, k.run, kept) })
}

// history reads an execution's events.
func history(ctx context.Context, l *ledger.Ledger, run, execution string) (events []asl.Event, err error) {
	err = l.History(ctx, run, execution, func(e *ledger.Event) error {
		event := asl.Event{ID: e.ID, Previous: e.Previous, Type: asl.EventType(e.Type), Timestamp: e.Time}
		if e.Details != nil {
			if err := json.Unmarshal(e.Details, &event.Details); err != nil {
				return err
			}
		}
		events = append(events, event)
		return nil
	})
	return events, err
}

// MapRun keeps the counters of a map run.
func (k keeper) MapRun(ctx context.Context, run asl.MapRun) error {
	return insist(ctx, func() error { return k.ledger.SetMapRun(ctx, k.run, run.ExecutionARN, run.ARN, run) })
}

// List yields the documents whose keys begin with prefix.
func (k keeper) List(ctx context.Context, _, prefix string, yield func(items.Object) error) error {
	return k.ledger.Documents(ctx, k.run, prefix, func(key string, size int64, made time.Time) error {
		return yield(items.Object{Key: key, Size: size, LastModified: made})
	})
}

// Get opens a document. It has no versions.
func (k keeper) Get(ctx context.Context, _, key, _ string) (io.ReadCloser, error) {
	var body []byte
	err := insist(ctx, func() (err error) {
		body, err = k.ledger.Document(ctx, k.run, key)
		return err
	})
	if err == nil && body == nil {
		err = &fs.PathError{Op: "open", Path: key, Err: fs.ErrNotExist}
	}
	return io.NopCloser(bytes.NewReader(body)), err
}

// Put writes a document.
func (k keeper) Put(ctx context.Context, _, key string, body []byte) error {
	return insist(ctx, func() error { return k.ledger.PutDocument(ctx, k.run, key, body) })
}
