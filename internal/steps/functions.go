package steps

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/notify"
)

// Function is a step as a state machine calls it: from a small JSON value to a
// small JSON value, safe to call twice. FailureOf names its errors.
type Function func(ctx context.Context, event json.RawMessage) (json.RawMessage, error)

// Setting is what the functions have to be told about where they run.
type Setting struct {
	// Load gives the definition of a table by the name that the machine's
	// input has. It is asked for at the beginning of a run; from then on the
	// ledger has it.
	Load func(ctx context.Context, table string) (*bucketload.Load, error)
	// Bucket holds the lists of batches that the machine's Maps read, and gets
	// what they write; Put writes there, for a run.
	Bucket string
	Put    func(ctx context.Context, run, key string, body []byte) error
	// MaxObject is how many bytes of one object a call of Copy may be asked
	// to load; 0 is any number.
	MaxObject int64
	// Begun says that the conductor begins the runs itself: the machine's input
	// names one. Otherwise Plan begins them.
	Begun bool
}

// Functions gives the steps by the names that the machine has for them.
func (s *Steps) Functions(set Setting) map[string]Function {
	copying := function(func(ctx context.Context, in copyEvent) (any, error) {
		if in.BatchInput != nil {
			return s.copyItems(ctx, &set, in)
		}
		out, err := s.copyFree(ctx, in.CopyInput)
		if err != nil {
			s.recordFailure(ctx, in.CopyInput, err)
		}
		return out, err
	})
	return map[string]Function{
		"Plan": function(func(ctx context.Context, in planEvent) (any, error) { return s.planFlow(ctx, &set, in) }),
		"Prepare": function(func(ctx context.Context, in tableEvent) (any, error) {
			if in.Run == "" {
				return s.prepareTable(ctx, &set, in)
			}
			return in.Try, s.Prepare(ctx, in.Try)
		}),
		"Copy":      copying,
		"CopyLarge": copying,
		"Check": function(func(ctx context.Context, in ledger.Try) (any, error) {
			build, err := s.Check(ctx, in)
			return map[string][]buildItem{"build": buildItems(build)}, err
		}),
		"Build": function(func(ctx context.Context, in buildEvent) (any, error) {
			return in.Step, s.Build(ctx, in.Try, in.Step.No)
		}),
		"Analyze": function(func(ctx context.Context, in ledger.Try) (any, error) { return in, s.Analyze(ctx, in) }),
		"Swap": function(func(ctx context.Context, in tableEvent) (any, error) {
			if in.Run == "" {
				return s.finishTable(ctx, &set, in)
			}
			r, err := s.Swap(ctx, in.Try)
			if err != nil {
				return nil, err
			}
			return s.ended(ctx, r), nil
		}),
		"Cleanup": function(func(ctx context.Context, in cleanupEvent) (any, error) {
			if in.Execution == "" {
				return s.cleanupTable(ctx, &set, in)
			}
			return s.cleanupFlow(ctx, in)
		}),
	}
}

// function makes a Function of a step with its own types.
func function[In any](do func(context.Context, In) (any, error)) Function {
	return func(ctx context.Context, event json.RawMessage) (json.RawMessage, error) {
		var in In
		if err := json.Unmarshal(event, &in); err != nil {
			return nil, &bucketload.Error{Op: "event", Code: bucketload.CodeUsage, Message: "the event is not what this step takes", Err: err,
				Hint: "the state machine and the functions must be of the same version"}
		}
		out, err := do(ctx, in)
		if err != nil {
			return nil, err
		}
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		err = enc.Encode(out)
		return bytes.TrimSpace(b.Bytes()), err
	}
}

// flow is what the machine carries from state to state: references to what is
// in the ledger, and the numbers that its Choices and its Maps look at.
type flow struct {
	Table   string `json:"table"`
	Redrive string `json:"redrive,omitempty"` // the run to go on with
	ledger.Try
	Again   bool `json:"again,omitempty"` // another try is wanted
	Tries   int  `json:"tries"`           // further tries so far
	Retries int  `json:"retries"`         // as many as there may be

	MaxConcurrency int       `json:"max_concurrency,omitempty"`
	Manifests      manifests `json:"manifests"`

	Notify    notification   `json:"notify"`
	Notice    *notify.Notice `json:"notice,omitempty"`
	Error     *Failure       `json:"error,omitempty"` // what the machine has caught
	First     *Failure       `json:"first,omitempty"` // what the first try failed for
	Transient bool           `json:"transient"`
	Wait      int            `json:"wait"` // seconds before another try
	Swap      *swapped       `json:"swap,omitempty"`
}

type manifests struct {
	Bucket  string   `json:"bucket"`
	Results string   `json:"results"`
	Small   manifest `json:"small"`
	Large   manifest `json:"large"`
}

type manifest struct {
	Key     string `json:"key"`
	Batches int    `json:"batches"`
}

type notification struct {
	Topic string `json:"topic"`
}

type swapped struct {
	Run ended `json:"run"`
}

// ended is how a run ended, and what there is to be said about it.
type ended struct {
	bucketload.Run
	Notice notify.Notice `json:"notice"`
}

func (s *Steps) ended(ctx context.Context, r *ledger.Run) ended {
	return ended{r.Run, s.notice(ctx, &r.Run)}
}

// notice says how a run ended, with the first of the files that failed.
func (s *Steps) notice(ctx context.Context, run *bucketload.Run) notify.Notice {
	if run.ID != nil && run.Files.Failed > 0 {
		if first, _, err := s.Ledger.FirstFailure(ctx, *run.ID); err == nil && first != nil {
			return notify.Compose(run, first)
		}
	}
	return notify.Compose(run)
}

type planEvent struct {
	Execution string `json:"execution"`
	Input     flow   `json:"input"`
}

// What one call of Copy can load on Lambda, by estimate: 25 connections that
// share two small cores take 2 MiB of CSV a second each.
const (
	lambdaRate = 2 << 20 // bytes a second
	// smallBytes keeps a batch at about two minutes, so that it fits an EXPRESS
	// child with room for another try; it is what a batch is closed at.
	smallBytes = maxBatchBytes
	// LambdaMaxObject is what a call of Copy can load in the 15 minutes that a
	// function may run, less one to begin and end.
	LambdaMaxObject = 14 * 60 * lambdaRate
)

// planFlow is Plan for a machine: it begins the run, and writes the lists of
// batches for the Maps.
func (s *Steps) planFlow(ctx context.Context, set *Setting, in planEvent) (any, error) {
	f := in.Input
	try, err := s.begin(ctx, set, in.Execution, &f)
	if err != nil {
		return nil, during("plan", err)
	}
	r, err := s.Ledger.Run(ctx, try.Run)
	if err != nil {
		return nil, during("plan", err)
	}
	plan, err := s.Plan(ctx, PlanInput{Try: try, Load: r.Load})
	if err != nil {
		return nil, err
	}
	out := flow{Table: f.Table, Try: try, Tries: f.Tries, Retries: r.Load.Retries, First: f.First,
		MaxConcurrency: max(1, r.Load.MaxConcurrency), Notify: f.Notify,
		Manifests: manifests{Bucket: set.Bucket, Results: "runs/" + try.Run}}
	if f.Again {
		out.Tries++
	}
	if out.Table == "" {
		out.Table = r.Load.Key
	}
	if out.Notify.Topic == "" {
		out.Notify.Topic = r.Load.NotifySNS
	}
	return &out, s.writeManifests(ctx, set, &out, plan.Batches)
}

// writeManifests writes the lists of batches, [{"batch": 0}, …], by their size.
func (s *Steps) writeManifests(ctx context.Context, set *Setting, f *flow, batches []ledger.Batch) error {
	type item struct {
		Batch int `json:"batch"`
	}
	small, large := []item{}, []item{}
	for _, b := range batches {
		switch {
		case set.MaxObject > 0 && b.Bytes > set.MaxObject:
			return &bucketload.Error{Op: "plan", Code: bucketload.CodeTooLong,
				Message: fmt.Sprintf("batch %d is one object of %s, more than the %s that a function can load in its 15 minutes", b.No, bucketload.Bytes(b.Bytes), bucketload.Bytes(set.MaxObject)),
				Hint:    "a CSV is loaded in parts where it is not compressed and tolerate: is not set; else split the object, or load the table with `bucketload load` on a machine"}
		case b.Bytes > smallBytes:
			large = append(large, item{b.No})
		default:
			small = append(small, item{b.No})
		}
	}
	put := func(name string, items []item) (manifest, error) {
		m := manifest{Key: fmt.Sprintf("runs/%s/%d-%s.json", f.Run, f.Attempt, name), Batches: len(items)}
		body, err := json.Marshal(items)
		if err == nil {
			err = set.Put(ctx, f.Run, m.Key, body)
		}
		return m, during("plan", err)
	}
	var err error
	if f.Manifests.Small, err = put("small", small); err == nil {
		f.Manifests.Large, err = put("large", large)
	}
	return err
}

// copyEvent is one of ours, or one of the original system's.
type copyEvent struct {
	CopyInput
	itemsEvent
}

// busyLimit is as long as a function may run that copies a batch.
const busyLimit = 15 * time.Minute

// copyFree is Copy once no other call has the batch: one that was delivered
// twice, or given up and not dead yet. When that is through, so is this.
func (s *Steps) copyFree(ctx context.Context, in CopyInput) (CopyOutput, error) {
	limit := time.Now().Add(busyLimit)
	for {
		out, err := s.Copy(ctx, in)
		if !errors.Is(err, ledger.ErrBusy) || time.Now().After(limit) {
			return out, err
		}
		if err := sleep(ctx, time.Second/8+rand.N(time.Second/8)); err != nil {
			return out, err
		}
	}
}

// recordFailure keeps with the batch why a call of Copy came to nothing, for
// Cleanup to find.
func (s *Steps) recordFailure(ctx context.Context, in CopyInput, err error) {
	if code := bucketload.AsError(err).Code; code == bucketload.CodeTolerance || code == bucketload.CodeFenced || ctx.Err() != nil {
		return
	}
	if err := s.Ledger.SetBatchFailure(ctx, in.Run, in.Batch, FailureOf(err)); err != nil {
		s.Log.Warn("the failure of a batch is not recorded", "run", in.Run, "batch", in.Batch, "error", err)
	}
}

type buildEvent struct {
	ledger.Try
	Step buildItem `json:"step"`
}

// buildItem is a build step by its number, and its name for people.
type buildItem struct {
	No   int    `json:"no"`
	Name string `json:"name"`
}

func buildItems(names []string) []buildItem {
	items := make([]buildItem, len(names))
	for i, name := range names {
		items[i] = buildItem{i, bucketload.Excerpt([]byte(name), 100)}
	}
	return items
}

type cleanupEvent struct {
	Execution string `json:"execution"`
	GiveUp    bool   `json:"give_up"` // no other try follows
	Input     flow   `json:"input"`
	tableEvent
}

// cleanupFlow is Cleanup for a machine: it adds to what the machine carries
// what the choice of another try needs, and the first error.
func (s *Steps) cleanupFlow(ctx context.Context, in cleanupEvent) (any, error) {
	f := in.Input
	caught := Failure{}
	if f.Error != nil {
		caught = *f.Error
	}
	planning := f.Again // for another try, where it failed
	if planning && !in.GiveUp {
		f.Tries++ // Plan has not come to count it
	}
	f.Transient, f.Wait, f.Again, f.Redrive, f.Swap = caught.transient(), min(1<<min(f.Tries, 4), 15), true, "", nil
	if f.Run == "" {
		run, err := s.Ledger.ConductedBy(ctx, in.Execution)
		if err != nil && !undefinedTable(err) {
			return nil, during("cleanup", err)
		}
		f.Run = run
	}
	if f.Run == "" { // it never began
		f.Transient = false
		e := caught.Err()
		n := s.notice(ctx, &bucketload.Run{Table: f.Table, Status: bucketload.StatusFailed, Error: &bucketload.RunError{Op: e.Op, Message: e.Detail(), Hint: e.Hint}})
		f.Notice, f.Error = &n, &Failure{caught.Error, caught.Text()}
		return &f, nil
	}
	r, err := s.Ledger.Run(ctx, f.Run)
	if err != nil {
		return nil, during("cleanup", err)
	}
	if r.Conductor == ledger.StepFunctions && r.Execution != nil && *r.Execution != in.Execution {
		n := s.notice(ctx, &r.Run)
		f.Transient, f.Notice = false, &n // another execution goes on with it
		return &f, nil
	}
	if r.Status == bucketload.StatusSucceeded || r.Status == bucketload.StatusPartial {
		f.Swap = &swapped{s.ended(ctx, r)} // it was done, only word of it was lost
		return &f, nil
	}
	switch {
	case f.Attempt == 0:
		f.Attempt = r.Attempt
	case planning && r.Attempt == f.Attempt+1 && r.Execution != nil && *r.Execution == in.Execution:
		f.Attempt = r.Attempt // Plan had begun that try
	}
	if r.Status == bucketload.StatusRunning {
		if err := s.Cleanup(ctx, f.Try); err != nil {
			return nil, err
		}
	}
	caught, f.Transient = s.cause(ctx, f.Run, caught)
	f.Retries = r.Load.Retries
	if f.First == nil {
		f.First = &Failure{caught.Error, caught.Text()}
	}
	f.Error = f.First
	e := f.First.Err()
	cause := &bucketload.RunError{Op: e.Op, Message: e.Detail(), Hint: e.Hint}
	if r.Status == bucketload.StatusRunning {
		if in.GiveUp {
			err = s.Ledger.End(ctx, f.Try, endStatus(caught.Error), cause)
		} else {
			_, err = s.Ledger.Blame(ctx, f.Try, cause)
		}
		if err != nil {
			return nil, during("cleanup", err)
		}
	}
	if r, err = s.Ledger.Run(ctx, f.Run); err != nil {
		return nil, during("cleanup", err)
	}
	if r.Error == nil {
		r.Error = cause
	}
	n := s.notice(ctx, &r.Run)
	f.Notice = &n
	return &f, nil
}

// endStatus is how a run ends whose execution was given up: somebody stopped
// it, or it failed.
func endStatus(name string) bucketload.Status {
	if name == "ABORTED" {
		return bucketload.StatusCancelled
	}
	return bucketload.StatusFailed
}
