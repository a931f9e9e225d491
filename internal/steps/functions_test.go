package steps

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
)

// flowBench calls the functions as the machine does on AWS.
type flowBench struct {
	*bench
	functions map[string]Function
	documents map[string]string // guarded by mu
	mu        sync.Mutex
	running   map[string]bool // executions
}

func newFlow(t *testing.T, setting Setting, load *bucketload.Load) *flowBench {
	t.Helper()
	f := &flowBench{documents: map[string]string{}, running: map[string]bool{}}
	setting.Bucket = "logs"
	setting.Put = func(_ context.Context, _, key string, body []byte) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.documents[key] = string(body)
		return nil
	}
	setting.Load = func(_ context.Context, table string) (*bucketload.Load, error) {
		if table != "t" {
			return nil, &bucketload.Error{Code: bucketload.CodeUsage, Message: "no table " + table}
		}
		return load, nil
	}
	f.bench = newBench(t, 0)
	f.functions = f.Functions(setting)
	f.Ledger.Running = func(_ context.Context, execution string) (bool, error) { return f.running[execution], nil }
	return f
}

func (f *flowBench) call(name string, event any) (out flow, err error) {
	f.t.Helper()
	in, err := json.Marshal(event)
	f.must(err)
	data, err := f.functions[name](f.t.Context(), in)
	if err != nil {
		return out, err
	}
	if name == "Plan" || name == "Cleanup" {
		f.must(json.Unmarshal(data, &out))
	}
	return out, nil
}

func (f *flowBench) plan(execution string, input flow) (flow, error) {
	f.t.Helper()
	return f.call("Plan", planEvent{Execution: execution, Input: input})
}

// copy calls Copy for every batch of the manifest.
func (f *flowBench) copy(flow flow, m manifest) (err error) {
	f.t.Helper()
	var items []struct{ Batch int }
	f.must(json.Unmarshal([]byte(f.documents[m.Key]), &items))
	if len(items) != m.Batches {
		f.t.Errorf("%d batches in %s, %d are said", len(items), m.Key, m.Batches)
	}
	for _, item := range items {
		if _, copyErr := f.call("Copy", CopyInput{flow.Try, item.Batch}); err == nil {
			err = copyErr
		}
	}
	return err
}

func (f *flowBench) finish(flow flow) error {
	f.t.Helper()
	data, err := f.functions["Check"](f.t.Context(), json.RawMessage(fmt.Sprintf(`{"run":%q,"attempt":%d}`, flow.Run, flow.Attempt)))
	if err != nil {
		return err
	}
	var checked struct{ Build []buildItem }
	f.must(json.Unmarshal(data, &checked))
	for _, item := range checked.Build {
		for range 2 {
			if _, err := f.call("Build", buildEvent{flow.Try, item}); err != nil {
				return err
			}
		}
	}
	for _, name := range []string{"Analyze", "Analyze", "Swap", "Swap"} {
		if _, err := f.call(name, flow.Try); err != nil {
			return err
		}
	}
	return nil
}

func TestFlow(t *testing.T) {
	t.Parallel()
	dir := newBench(t, 0)
	load := dir.load(map[string]string{"a.csv": rows("a", 2), "b.csv": rows("b", 3)}, withColumns(columnsFN...), func(l *bucketload.Load) {
		l.Table.Name, l.MaxItemsPerBatch, l.MinBatchBytes, l.Retries, l.Indexes, l.NotifySNS = "t", 1, 0, 1, []string{"(f)", "(n)"}, "arn:topic"
		l.Tolerate = bucketload.Tolerance{}
	})
	f := newFlow(t, Setting{}, load)
	_, err := f.plan("x", flow{})
	wantCode(t, err, bucketload.CodeUsage, `{"table": "year_2022"}`)
	f.running["x"] = true
	first, err := f.plan("x", flow{Table: "t"})
	f.must(err)
	again, err := f.plan("x", flow{Table: "t"}) // the reply was lost
	f.must(err)
	if first.Run != again.Run || first.Attempt != 1 || first.Retries != 1 || first.Notify.Topic != "arn:topic" || first.Manifests.Bucket != "logs" {
		t.Errorf("%+v, %+v", first, again)
	}
	f.running["y"] = true
	_, err = f.plan("y", flow{Table: "t"})
	wantCode(t, err, bucketload.CodeConflict, first.Run)

	// A first try that fails for a passing reason, and another.
	f.must(drop(f.call("Prepare", first.Try)))
	f.put("b.csv", rows("b", 3)) // in another directory: changes nothing
	first.Error = &Failure{"Sandbox.Timedout", `{"errorMessage":"Task timed out after 240.00 seconds"}`}
	cleaned, err := f.call("Cleanup", cleanupEvent{Execution: "x", Input: first})
	f.must(err)
	if !cleaned.Transient || !cleaned.Again || cleaned.Tries != 0 || cleaned.Wait < 1 || cleaned.First.Cause != "Task timed out after 240.00 seconds" || cleaned.Notice.Subject == "" {
		t.Errorf("%+v", cleaned)
	}
	wantCode(t, drop(f.call("Copy", CopyInput{first.Try, 0})), bucketload.CodeFenced, first.Run)
	for range 2 {
		if again, err = f.plan("x", cleaned); err != nil || again.Run != first.Run || again.Attempt != 2 || again.Tries != 1 || *again.First != *cleaned.First {
			t.Errorf("%+v %v", again, err)
		}
	}
	wantCode(t, drop(f.call("Prepare", first.Try)), bucketload.CodeFenced, first.Run) // a call of the try before
	f.must(drop(f.call("Prepare", again.Try)))
	f.must(drop(f.call("Prepare", again.Try)))
	f.must(f.copy(again, again.Manifests.Small))
	f.must(f.finish(again))
	if got := fmt.Sprint(f.perFile("t")); got != "map[a:2 b:3]" {
		t.Errorf("rows %s", got)
	}
	// Where only word of the success was lost, Cleanup says that it was one.
	again.Error = &Failure{"Lambda.Unknown", ""}
	if cleaned, err = f.call("Cleanup", cleanupEvent{Execution: "x", Input: again}); err != nil || cleaned.Swap == nil || cleaned.Swap.Run.Status != bucketload.StatusSucceeded {
		t.Errorf("%+v %v", cleaned, err)
	}
	if r, err := f.Ledger.Run(t.Context(), first.Run); err != nil || r.Error != nil || r.Conductor != ledger.StepFunctions || *r.Execution != "x" {
		t.Errorf("%+v %v", r, err)
	}
}

func TestFlowFails(t *testing.T) {
	t.Parallel()
	dir := newBench(t, 0)
	load := dir.load(map[string]string{"a.csv": rows("a", 2), "b.csv": "f,n\nb,?\n"}, withColumns(columnsFN...), func(l *bucketload.Load) {
		l.Table.Name, l.MaxItemsPerBatch, l.MinBatchBytes, l.Retries, l.Tolerate = "t", 1, 0, 2, bucketload.Tolerance{}
	})
	f := newFlow(t, Setting{}, load)
	f.running["x"] = true
	flow1, err := f.plan("x", flow{Table: "t"})
	f.must(err)
	f.must(drop(f.call("Prepare", flow1.Try)))
	wantCode(t, f.copy(flow1, flow1.Manifests.Small), bucketload.CodeTolerance, "b.csv:2")
	// The Map says no more than that children failed; Cleanup knows which.
	flow1.Error = &Failure{"States.ExceedToleratedFailureThreshold", "the specified tolerated failure threshold was exceeded"}
	cleaned, err := f.call("Cleanup", cleanupEvent{Execution: "x", Input: flow1})
	f.must(err)
	if cleaned.Transient || cleaned.Error.Error != nameTolerance {
		t.Errorf("%+v %+v", cleaned, cleaned.Error)
	}
	for range 2 {
		cleaned, err = f.call("Cleanup", cleanupEvent{Execution: "x", GiveUp: true, Input: cleaned})
		f.must(err)
	}
	r, err := f.Ledger.Run(t.Context(), flow1.Run)
	if err != nil || r.Status != bucketload.StatusFailed || r.Error == nil || r.Error.Op != "copy" || cleaned.Notice == nil {
		t.Errorf("%+v %v", r, err)
	}
	delete(f.running, "x")

	// Mended, another execution goes on with the run.
	dir.put("b.csv", rows("b", 3))
	_, err = f.plan("z", flow{Table: "other", Redrive: flow1.Run})
	wantCode(t, err, bucketload.CodeUsage, "is of table t")
	f.running["z"] = true
	for range 2 {
		flow2, err := f.plan("z", flow{Table: "t", Redrive: flow1.Run})
		f.must(err)
		if flow2.Run != flow1.Run || flow2.Attempt != 2 || flow2.Manifests.Small.Batches != 1 {
			t.Errorf("%+v", flow2)
		}
		flow1 = flow2
	}
	// Somebody stops that one, and the service says so.
	delete(f.running, "z")
	aborted := cleanupEvent{Execution: "z", GiveUp: true}
	aborted.Input.Error = &Failure{"ABORTED", "stopped by hand"}
	f.must(drop(f.call("Cleanup", aborted)))
	if r, err = f.Ledger.Run(t.Context(), flow1.Run); err != nil || r.Status != bucketload.StatusCancelled {
		t.Errorf("%+v %v", r, err)
	}
	aborted.Execution = "nobody's"
	f.must(drop(f.call("Cleanup", aborted)))

	flow3, err := f.plan("last", flow{Table: "t", Redrive: flow1.Run})
	f.must(err)
	f.must(drop(f.call("Prepare", flow3.Try)))
	f.must(f.copy(flow3, flow3.Manifests.Small))
	f.must(f.finish(flow3))
	if got := fmt.Sprint(f.perFile("t")); got != "map[a:2 b:3]" {
		t.Errorf("rows %s", got)
	}
}

// TestManifests: a batch goes where its size lets it.
func TestManifests(t *testing.T) {
	t.Parallel()
	f := newFlow(t, Setting{}, nil)
	put := func(set *Setting, sizes ...int64) (*flow, error) {
		batches := make([]ledger.Batch, len(sizes))
		for i, size := range sizes {
			batches[i] = ledger.Batch{No: i, Bytes: size}
		}
		set.Put = func(_ context.Context, _, key string, body []byte) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.documents[key] = string(body)
			return nil
		}
		out := &flow{Try: ledger.Try{Run: "r", Attempt: 1}}
		return out, f.writeManifests(t.Context(), set, out, batches)
	}
	out, err := put(&Setting{}, 1, smallBytes, smallBytes+1, 2, 1<<40)
	f.must(err)
	if out.Manifests.Small.Batches != 3 || out.Manifests.Large.Batches != 2 {
		t.Errorf("%+v", out.Manifests)
	}
	if got := slices.Sorted(maps.Values(f.documents)); !slices.Equal(got, []string{`[{"batch":0},{"batch":1},{"batch":3}]`, `[{"batch":2},{"batch":4}]`}) {
		t.Errorf("%q", got)
	}
	_, err = put(&Setting{MaxObject: LambdaMaxObject}, LambdaMaxObject, LambdaMaxObject+1)
	wantCode(t, err, bucketload.CodeTooLong, "15 minutes", "bucketload load")
}

func drop(_ flow, err error) error { return err }

// TestCallsAtOnce delivers every call of a run twice, at the same time: both
// succeed, and the rows are there once.
func TestCallsAtOnce(t *testing.T) {
	t.Parallel()
	dir := newBench(t, 0)
	load := dir.load(map[string]string{"a.csv": rows("a", 2), "b.csv": rows("b", 3), "c.csv": rows("c", 1)}, withColumns(columnsFN...), func(l *bucketload.Load) {
		l.Table.Name, l.MaxItemsPerBatch, l.MinBatchBytes, l.Indexes = "t", 1, 0, []string{"(f)", "(n)"}
	})
	f := newFlow(t, Setting{}, load)
	twice := func(name, event string) {
		t.Helper()
		var g errgroup.Group
		for range 2 {
			g.Go(func() error {
				_, err := f.functions[name](t.Context(), json.RawMessage(event))
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	twice("Plan", `{"execution":"x","input":{"table":"t"}}`)
	plan, err := f.plan("x", flow{Table: "t"})
	f.must(err)
	try := fmt.Sprintf(`{"run":%q,"attempt":%d`, plan.Run, plan.Attempt)
	twice("Prepare", try+"}")
	for batch := range 3 {
		twice("Copy", fmt.Sprintf(`%s,"batch":%d}`, try, batch))
	}
	twice("Check", try+"}")
	for step := range 2 {
		twice("Build", fmt.Sprintf(`%s,"step":{"no":%d}}`, try, step))
	}
	twice("Analyze", try+"}")
	f.must(drop(f.call("Swap", plan.Try)))
	if got := fmt.Sprint(f.perFile("t")); got != "map[a:2 b:3 c:1]" {
		t.Errorf("rows %s", got)
	}
}

// TestTakenOver: what is left of an execution that another has followed changes
// nothing, whatever it calls.
func TestTakenOver(t *testing.T) {
	t.Parallel()
	dir := newBench(t, 0)
	load := dir.load(map[string]string{"a.csv": rows("a", 2), "b.csv": "f,n\nb,?\n"}, withColumns(columnsFN...), func(l *bucketload.Load) {
		l.Table.Name, l.MaxItemsPerBatch, l.MinBatchBytes, l.Tolerate = "t", 1, 0, bucketload.Tolerance{}
	})
	f := newFlow(t, Setting{}, load)
	first, err := f.plan("x", flow{Table: "t"})
	f.must(err)
	f.must(drop(f.call("Prepare", first.Try)))
	wantCode(t, f.copy(first, first.Manifests.Small), bucketload.CodeTolerance)
	// Nobody has cleaned up; the service says that the execution is over.
	dir.put("b.csv", rows("b", 3))
	second, err := f.plan("y", flow{Table: "t", Redrive: first.Run})
	f.must(err)
	again, err := f.plan("y", flow{Table: "t", Redrive: first.Run})
	if err != nil || again.Try != second.Try {
		t.Errorf("%+v, %+v, %v", again.Try, second.Try, err)
	}
	f.must(drop(f.call("Prepare", second.Try)))

	_, err = f.plan("x", flow{Table: "t"})
	wantCode(t, err, bucketload.CodeFenced, first.Run)
	for name, event := range map[string]any{"Prepare": first.Try, "Copy": CopyInput{first.Try, 0}, "Check": first.Try, "Analyze": first.Try, "Swap": first.Try} {
		wantCode(t, drop(f.call(name, event)), bucketload.CodeFenced, first.Run)
	}
	first.Error = &Failure{"States.Timeout", ""}
	for _, giveUp := range []bool{false, true} {
		out, err := f.call("Cleanup", cleanupEvent{Execution: "x", GiveUp: giveUp, Input: first})
		if err != nil || out.Transient || out.Notice == nil {
			t.Errorf("%+v %v", out, err)
		}
	}
	aborted := cleanupEvent{Execution: "x", GiveUp: true}
	aborted.Input.Error = &Failure{"ABORTED", ""}
	f.must(drop(f.call("Cleanup", aborted)))

	f.must(f.copy(second, second.Manifests.Small))
	f.must(f.finish(second))
	if got := fmt.Sprint(f.perFile("t")); got != "map[a:2 b:3]" {
		t.Errorf("rows %s", got)
	}
	// An input may not name a run by itself.
	third, err := f.plan("z", flow{Table: "t", Try: ledger.Try{Run: first.Run, Attempt: 2}})
	if err != nil || third.Run == first.Run {
		t.Errorf("%+v %v", third, err)
	}
}

// TestRedriveOfWhatIsUnderWay is refused, whoever conducts it and whoever asks.
func TestRedriveOfWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	dir := newBench(t, 0)
	load := dir.load(map[string]string{"a.csv": rows("a", 2)}, withColumns(columnsFN...), func(l *bucketload.Load) { l.Table.Name = "t" })
	f := newFlow(t, Setting{}, load)
	f.running["x"] = true
	for _, by := range []ledger.Conductor{{Kind: ledger.StepFunctions, Execution: "x"}, {Kind: ledger.Events}, {}} {
		run := bucketload.NewRunID(time.Now())
		_, release, err := f.Ledger.Hold(t.Context(), run)
		f.must(err)
		_, err = f.Ledger.Begin(t.Context(), run, load, by)
		f.must(err)
		if by.Kind != "" { // by a process, whose own it would be
			_, err = f.Redrive(t.Context(), run, ledger.Conductor{})
			wantCode(t, err, bucketload.CodeConflict, run+" is under way")
		}
		_, err = f.plan("y", flow{Table: "t", Redrive: run})
		wantCode(t, err, bucketload.CodeConflict, run+" is under way")
		f.must(f.Ledger.End(t.Context(), ledger.Try{Run: run}, bucketload.StatusFailed, nil))
		release()
	}
}

// TestBuildHangs: a function that builds was ended, and the server has not
// noticed. What comes next does not wait for that.
func TestBuildHangs(t *testing.T) {
	t.Parallel()
	dir := newBench(t, 0)
	load := dir.load(map[string]string{"a.csv": rows("a", 2)}, withColumns(columnsFN...), func(l *bucketload.Load) { l.Table.Name, l.Retries = "t", 1 })
	f := newFlow(t, Setting{}, load)
	f.patience = 50 * time.Millisecond
	one, err := f.plan("x", flow{Table: "t"})
	f.must(err)
	f.must(drop(f.call("Prepare", one.Try)))
	building, err := f.Pool.Begin(t.Context())
	f.must(err)
	defer func() { _ = building.Rollback(context.Background()) }()
	f.must(ledger.Settle(t.Context(), building, one.Run))
	one.Error = &Failure{Error: "Sandbox.Timedout"}
	_, err = f.call("Cleanup", cleanupEvent{Execution: "x", Input: one})
	f.must(err)
}

// TestLateRedrive: a Plan of a redrive that comes late ends no copy of the run
// that its own execution goes on with.
func TestLateRedrive(t *testing.T) {
	t.Parallel()
	dir := newBench(t, 0)
	load := dir.load(map[string]string{"a.csv": rows("a", 2)}, withColumns(columnsFN...), func(l *bucketload.Load) { l.Table.Name = "t" })
	f := newFlow(t, Setting{}, load)
	one, err := f.plan("x", flow{Table: "t"})
	f.must(err)
	two, err := f.plan("y", flow{Table: "t", Redrive: one.Run})
	f.must(err)
	f.must(drop(f.call("Prepare", two.Try)))
	f.must(f.Ledger.Enter(t.Context(), two.Try, ledger.StateCopy))
	copying, err := f.Pool.Begin(t.Context())
	f.must(err)
	defer func() { _ = copying.Rollback(context.Background()) }()
	_, err = lease(t.Context(), copying, two.Try, 0)
	f.must(err)
	_, err = f.plan("y", flow{Table: "t", Redrive: one.Run})
	wantCode(t, err, bucketload.CodeFenced, one.Run)
	f.must(copying.Commit(t.Context()))
}
