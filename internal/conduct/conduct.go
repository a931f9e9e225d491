// Package conduct executes the state machine of a run in this process, with
// the steps as its functions. The same machine runs on Step Functions, with
// the steps as Lambda functions; here only what stands around it is written:
// who holds the run, where the history is kept, and how a dead execution is
// taken up again.
package conduct

import (
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/asl"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/notify"
	"github.com/bucketload/bucketload/internal/steps"
)

// Definition is the state machine of a run, with ${…} where a deployment says
// which functions and which topic.
//
//go:embed machine.asl.json
var Definition []byte

var substitution = regexp.MustCompile(`\$\{([A-Za-z]+)\}`)

// machine gives the state machine for this process: a function's name is that
// of its step, and the topic to notify is the load's, "" where it has none.
func machine(topic string) (*asl.Machine, error) {
	return asl.Parse(substitution.ReplaceAllFunc(Definition, func(ref []byte) []byte {
		name := string(substitution.FindSubmatch(ref)[1])
		if name == "Topic" {
			text, _ := json.Marshal(topic)
			return text[1 : len(text)-1]
		}
		return []byte(name[:len(name)-len("Function")])
	}))
}

// version tells an execution of this machine from one of another.
func version() string {
	sum := sha256.Sum256(Definition)
	return hex.EncodeToString(sum[:])
}

// Load runs a load from the start. The run it returns tells how it ended, also
// where there is an error.
func Load(ctx context.Context, s *steps.Steps, load *bucketload.Load) (*bucketload.Run, error) {
	started := time.Now()
	none := &bucketload.Run{Table: load.Table.String(), Status: bucketload.StatusFailed, Mode: load.Mode}
	fail := func(err error) (*bucketload.Run, error) {
		none.Seconds = time.Since(started).Seconds()
		if ctx.Err() != nil {
			none.Status = bucketload.StatusCancelled
		}
		none.Error = runError(ctx, err)
		NotBegun(ctx, s.Log, load, none)
		return none, err
	}
	if err := insist(ctx, func() error { return s.Ledger.Migrate(ctx) }); err != nil {
		return fail(err)
	}
	run, held, release, err := begin(ctx, s, load)
	if err != nil {
		return fail(err)
	}
	defer release()
	s.Log.Info("the run begins", "table", load.Table, "run", run)
	return execute(held, s, ledger.Try{Run: run, Attempt: 1}, load, nil)
}

// begin begins a run of the load, with an id that no other has, and holds it.
func begin(ctx context.Context, s *steps.Steps, load *bucketload.Load) (run string, held context.Context, release func(), err error) {
	for {
		run = bucketload.NewRunID(time.Now())
		held, release, err = hold(ctx, s, run)
		if err != nil && bucketload.AsError(err).Code == bucketload.CodeConflict {
			continue // another process has come to the same id
		}
		if err != nil {
			return "", nil, nil, err
		}
		dead := ""
		err = insist(ctx, func() error {
			found, err := s.Ledger.Begin(ctx, run, load, ledger.Conductor{})
			dead = cmp.Or(found, dead)
			return err
		})
		if dead != "" {
			s.Log.Warn("the process of an earlier run of this table died; its rows are kept", "run", dead, "to go on with it", "bucketload redrive "+dead)
		}
		if err == nil {
			return run, held, release, nil
		}
		release()
		if !errors.Is(err, ledger.ErrTaken) {
			return "", nil, nil, err
		}
	}
}

// hold is Ledger.Hold, insisting.
func hold(ctx context.Context, s *steps.Steps, run string) (held context.Context, release func(), err error) {
	err = insist(ctx, func() (err error) {
		held, release, err = s.Ledger.Hold(ctx, run)
		return err
	})
	return held, release, err
}

// noticing is how often a redrive looks whether a process that seems alive is:
// one that was killed seems so until the server notices.
const noticing = 3

// Redrive goes on with a run that failed, was cancelled or whose process died:
// what is loaded stays loaded. A run whose process died goes on in the state
// that its execution had come to, any other in a new execution, and so one that was
// cancelled: that process may only have been frozen.
func Redrive(ctx context.Context, s *steps.Steps, id string) (*bucketload.Run, error) {
	there := false
	if err := insist(ctx, func() (err error) {
		there, err = s.Ledger.Exists(ctx)
		return err
	}); err != nil {
		return nil, err
	}
	if !there {
		return nil, &bucketload.Error{Op: "redrive", Code: bucketload.CodeUsage,
			Message: fmt.Sprintf("there is no run %q: this database has no ledger", id), Hint: "is it the right database? see --to"}
	}
	if err := insist(ctx, func() error { return s.Ledger.Migrate(ctx) }); err != nil {
		return nil, err
	}
	run, err := read(ctx, s, id)
	for try := 0; err == nil && run.Alive && try < noticing; try++ {
		if err = pause(ctx, try); err == nil {
			run, err = read(ctx, s, id)
		}
	}
	if err != nil {
		return nil, err
	}
	held, release, err := hold(ctx, s, id)
	if err != nil {
		return nil, err
	}
	defer release()
	var checkpoint *resumption
	if err := insist(held, func() (err error) {
		checkpoint, err = unfinished(held, s, id)
		return err
	}); err != nil {
		return nil, err
	}
	var try ledger.Try
	if err := insist(held, func() (err error) {
		try, err = take(held, s, id, try, checkpoint)
		return err
	}); err != nil {
		if try.Attempt == 0 {
			return nil, err // it is as it was
		}
		return end(held, s, try, run.Load, err)
	}
	if checkpoint != nil {
		if err := checkpoint.setAttempt(try.Attempt); err != nil {
			return end(held, s, try, run.Load, err)
		}
	}
	return execute(held, s, try, run.Load, checkpoint)
}

// read is Ledger.Run, insisting.
func read(ctx context.Context, s *steps.Steps, id string) (run *ledger.Run, err error) {
	err = insist(ctx, func() (err error) {
		run, err = s.Ledger.Run(ctx, id)
		return err
	})
	return run, err
}

// take makes a run that of this process, in a new try: in the state where its
// execution stopped, or from the start where that is nil. It gives the try also where
// not all is done that goes with it. That is done by another call, which has the try: the run
// may be somebody else's by then.
func take(ctx context.Context, s *steps.Steps, id string, has ledger.Try, from *resumption) (ledger.Try, error) {
	switch {
	case has.Attempt > 0:
		return has, s.LookAgain(ctx, has)
	case from != nil:
		return s.TakeUp(ctx, id)
	}
	return s.Redrive(ctx, id, ledger.Conductor{})
}

// resumption is an execution whose process died, and where it goes on.
type resumption struct {
	arn string
	*asl.Checkpoint
}

// setAttempt makes what the machine carries that of another try.
func (r *resumption) setAttempt(attempt int) error {
	var data map[string]json.RawMessage
	if err := json.Unmarshal(r.Input, &data); err != nil {
		return err
	}
	data["attempt"] = json.RawMessage(strconv.Itoa(attempt))
	input, err := json.Marshal(data)
	r.Input = input
	return err
}

// failing are the states of a run that is given up: one whose process died
// there has failed, and goes on anew.
var failing = []string{"GiveUp", "Unrecorded", "ShouldNotify", "Notify", "Failed"}

// unfinished finds where the run's last execution stopped; nil where it came to
// an end, where it was one of another version of the machine, or where the
// process died before it entered a state.
func unfinished(ctx context.Context, s *steps.Steps, run string) (*resumption, error) {
	arn, of, err := s.Ledger.Unfinished(ctx, run)
	if err != nil || arn == "" || of != version() {
		return nil, err
	}
	events, err := history(ctx, s.Ledger, run, arn)
	if err != nil {
		return nil, err
	}
	checkpoint, ok := asl.CheckpointOf(events)
	if !ok || slices.Contains(failing, checkpoint.State) {
		return nil, nil
	}
	return &resumption{arn, checkpoint}, nil
}

// execute runs the machine for a try of a run, from its start or from where
// another process stopped, and gives the run as it ended.
func execute(ctx context.Context, s *steps.Steps, try ledger.Try, load *bucketload.Load, from *resumption) (*bucketload.Run, error) {
	m, err := machine(load.NotifySNS)
	if err != nil {
		return end(ctx, s, try, load, err)
	}
	input, err := json.Marshal(struct {
		Table string `json:"table"`
		ledger.Try
	}{load.Key, try})
	if err != nil {
		return end(ctx, s, try, load, err)
	}
	e := asl.Execution{Name: fmt.Sprintf("%s-%d", try.Run, try.Attempt), Machine: "bucketload", Input: input}
	e.ARN = "arn:aws:states:local:000000000000:execution:" + e.Machine + ":" + e.Name
	if from != nil {
		e.ARN, e.Resume = from.arn, from.Checkpoint
		s.Log.Info("going on where the dead process stopped", "run", try.Run, "state", from.State)
	}
	if err := insist(ctx, func() error { return s.Ledger.StartExecution(ctx, try.Run, e.ARN, version()) }); err != nil {
		return end(ctx, s, try, load, err)
	}
	kept := keeper{s.Ledger, try.Run}
	x := &asl.Executor{Services: asl.Services{Invoke: invoker(s, kept, &try), Publish: publisher(s), Objects: kept},
		Journal: kept, Limits: asl.Limits{NoTimeouts: true, History: maxHistory}}
	result, err := x.Run(ctx, m, e)
	after, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer stop()
	run := new(bucketload.Run)
	if err == nil {
		err = outcome(result, run)
	} else if cleanupErr := s.Cleanup(after, try); cleanupErr != nil && !isFenced(cleanupErr) {
		// The machine has no say once it is cancelled; what is left to do is not
		// undone by the same Ctrl-C.
		s.Log.Warn("cleanup", "run", try.Run, "error", cleanupErr)
	}
	if result != nil {
		if endErr := afterwards(ctx, func() error { return s.Ledger.EndExecution(after, e.ARN, string(result.Status)) }); endErr != nil {
			s.Log.Warn("the end of the execution is not recorded", "execution", e.ARN, "error", endErr)
		}
	}
	if err != nil {
		return end(ctx, s, try, load, err)
	}
	return run, nil
}

// maxHistory bounds the events of an execution in the ledger: a Build has a
// dozen for each index, and nobody has a million of them.
const maxHistory = 10_000_000

// outcome reads the run as an execution that succeeded gives it, or gives the
// error that it failed with.
func outcome(r *asl.Result, run *bucketload.Run) error {
	if r.Status == asl.Succeeded {
		return json.Unmarshal(r.Output, run)
	}
	var f steps.Failure
	if r.Error != nil {
		f.Error = *r.Error
	}
	if r.Cause != nil {
		f.Cause = *r.Cause
	}
	return f.Err()
}

func isFenced(err error) bool { return bucketload.AsError(err).Code == bucketload.CodeFenced }

// invoker calls the steps as Lambda would call its functions, and keeps try the
// one that the machine has come to: a Plan may begin another.
func invoker(s *steps.Steps, kept keeper, try *ledger.Try) func(context.Context, string, json.RawMessage) (json.RawMessage, error) {
	functions := s.Functions(steps.Setting{Begun: true, Bucket: ledgerBucket, Put: func(ctx context.Context, _, key string, body []byte) error {
		return kept.Put(ctx, ledgerBucket, key, body)
	}})
	return func(ctx context.Context, name string, payload json.RawMessage) (json.RawMessage, error) {
		f, ok := functions[name]
		if !ok {
			return nil, fmt.Errorf("there is no step %q", name)
		}
		if name == "Plan" {
			var in struct {
				Input struct {
					Again   bool
					Attempt int
				}
			}
			if err := json.Unmarshal(payload, &in); err != nil {
				return nil, err
			}
			if in.Input.Again {
				try.Attempt = in.Input.Attempt + 1
			}
		}
		out, err := f(ctx, payload)
		if err == nil || ctx.Err() != nil {
			return out, err
		}
		failed := steps.FailureOf(err)
		if bucketload.IsTransient(err) {
			s.Log.Warn("a step failed, and may be tried again", "step", name, "error", err)
		}
		cause, err := json.Marshal(map[string]string{"errorMessage": failed.Cause, "errorType": failed.Error})
		if err != nil {
			return nil, err
		}
		return nil, &asl.Error{Name: failed.Error, Cause: string(cause)}
	}
}

// NotBegun tells the load's topic, if it has one, of a run that failed before
// there was a state machine to do so.
func NotBegun(ctx context.Context, log *slog.Logger, load *bucketload.Load, run *bucketload.Run) {
	if load.NotifySNS == "" || ctx.Err() != nil {
		return
	}
	n := notify.Compose(run)
	parameters, err := json.Marshal(map[string]string{"TopicArn": load.NotifySNS, "Subject": n.Subject, "Message": n.Message})
	if err == nil {
		err = insist(ctx, func() error { _, err := notify.Publish(ctx, parameters); return err })
	}
	if err != nil {
		log.Warn("the notification was not sent", "error", err, "hint", bucketload.AsError(err).Hint)
	}
}

// publisher sends notifications. That one was not sent is no failure of the run.
func publisher(s *steps.Steps) func(context.Context, json.RawMessage) (json.RawMessage, error) {
	return func(ctx context.Context, parameters json.RawMessage) (json.RawMessage, error) {
		out, err := notify.Publish(ctx, parameters)
		if err == nil || ctx.Err() != nil {
			return out, err
		}
		s.Log.Warn("the notification was not sent", "error", err, "hint", bucketload.AsError(err).Hint)
		failed := asl.Error{Name: "SNS.InternalErrorException", Cause: err.Error()}
		switch {
		case bucketload.AsError(err).Code == bucketload.CodeAccess:
			failed.Name = "SNS.AuthorizationErrorException"
		case !bucketload.IsTransient(err):
			failed.Name = "SNS.InvalidParameterException"
		}
		return nil, &failed
	}
}

// end gives the run of an execution that came to an error, and sees to it that
// it has ended: a machine that was cancelled, or could not reach the ledger, has
// left that to be done.
func end(ctx context.Context, s *steps.Steps, try ledger.Try, load *bucketload.Load, err error) (*bucketload.Run, error) {
	after, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer stop()
	id, status := try.Run, bucketload.StatusFailed
	if ctx.Err() != nil {
		status = bucketload.StatusCancelled
		err = &bucketload.Error{Op: "load", Code: bucketload.CodeCancelled, Message: "cancelled",
			Hint: "go on with it: bucketload redrive " + id, Err: ctx.Err()}
	}
	if endErr := afterwards(ctx, func() error { return s.Ledger.End(after, try, status, runError(ctx, err)) }); endErr != nil {
		s.Log.Warn("the end of the run is not recorded", "run", id, "error", endErr)
	}
	var run *ledger.Run
	readErr := afterwards(ctx, func() (err error) {
		run, err = s.Ledger.Run(after, id)
		return err
	})
	switch {
	case readErr != nil:
		return &bucketload.Run{ID: &id, Table: load.Table.String(), Status: status, Mode: load.Mode, Error: runError(ctx, err)}, errors.Join(err, readErr)
	case run.Status == bucketload.StatusSucceeded, run.Status == bucketload.StatusPartial:
		return &run.Run, nil // only word of the end was lost
	}
	return &run.Run, err
}

// runError is an error as a run's result shows it.
func runError(ctx context.Context, err error) *bucketload.RunError {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return &bucketload.RunError{Op: "load", Message: "cancelled", Hint: bucketload.AsError(err).Hint}
	}
	e := bucketload.AsError(err)
	op := e.Op
	if op == "" {
		op = "load"
	}
	return &bucketload.RunError{Op: op, Message: e.Detail(), Hint: e.Hint}
}

// The first delay before something is tried again; it doubles, with jitter, up
// to the last.
const (
	interval = 500 * time.Millisecond
	maxDelay = 15 * time.Second
)

// pause waits before another try.
func pause(ctx context.Context, try int) error {
	delay := min(interval<<try, maxDelay)
	timer := time.NewTimer(delay/2 + rand.N(delay/2))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
