package lambda_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/lambda"
	"github.com/bucketload/bucketload/internal/temp"
)

// TestMain serves when Lambda has started it: the test's own program is the
// bootstrap that the tests deploy.
func TestMain(m *testing.M) {
	if lambda.Here() {
		s := lambda.New(os.Stderr)
		s.Serve(func(ctx context.Context, event json.RawMessage) (json.RawMessage, error) {
			return handle(ctx, s, event)
		}, failure)
	}
	os.Exit(m.Run())
}

func handle(ctx context.Context, s *lambda.Server, event json.RawMessage) (json.RawMessage, error) {
	var e struct{ Do string }
	if err := json.Unmarshal(event, &e); err != nil {
		return nil, err
	}
	switch e.Do {
	case "echo":
		s.Log().Info("echoing", "n", 1)
		return event, nil
	case "nothing":
		return nil, nil
	case "name":
		return json.RawMessage(fmt.Sprintf("%q", s.Name())), nil
	case "fail":
		return nil, &bucketload.Error{Op: "copy", Code: bucketload.CodeValue, Message: "x is no number", Hint: "look at line 3"}
	case "panic":
		panic(errors.New("no head"))
	case "wait": // until the time is up, and roll back
		<-ctx.Done()
		return nil, fmt.Errorf("in the middle: %w", ctx.Err())
	case "cancelled":
		<-ctx.Done()
		return nil, &bucketload.Error{Op: "copy", Code: bucketload.CodeCancelled, Message: "reading was stopped"}
	case "late": // an error of its own, at the last moment
		<-ctx.Done()
		return nil, &bucketload.Error{Op: "copy", Code: bucketload.CodeTolerance, Message: "too many"}
	case "ready": // after the last moment
		<-ctx.Done()
		return event, nil
	case "hang":
		select {}
	case "large":
		return json.RawMessage(`"` + strings.Repeat("x", 7<<20) + `"`), nil
	}
	return nil, fmt.Errorf("unknown: %s", e.Do)
}

func failure(err error) (name, message string) {
	e := bucketload.AsError(err)
	return "test." + string(e.Code), e.Error() + "\nhint: " + e.Hint
}

func start(t *testing.T, timeout time.Duration) *temp.Lambda {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	l, err := temp.StartLambda(temp.LambdaFunction{Name: "stack-CopyFunction", Handler: "Copy", Binary: binary, Memory: 256, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(l.Log("stack-CopyFunction"))
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// invoke gives the function's answer, or the type and the message of its error.
func invoke(t *testing.T, l *temp.Lambda, do string) (answer, kind, message string) {
	t.Helper()
	r, err := http.Post(l.URL()+"/2015-03-31/functions/"+url.PathEscape(l.ARN("stack-CopyFunction"))+"/invocations", "application/json",
		strings.NewReader(`{"Do":"`+do+`","html":"<&>"}`))
	if err != nil {
		t.Error(err)
		return
	}
	defer r.Body.Close()
	payload, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Errorf("%s: %d %s, %v", do, r.StatusCode, payload, err)
	}
	if r.Header.Get("X-Amz-Function-Error") == "" {
		return string(payload), "", ""
	}
	var e struct{ ErrorType, ErrorMessage string }
	if err := json.Unmarshal(payload, &e); err != nil {
		t.Errorf("%s: %s: %v", do, payload, err)
	}
	return "", e.ErrorType, e.ErrorMessage
}

func TestServe(t *testing.T) {
	t.Parallel()
	l := start(t, time.Minute)
	tests := []struct {
		do, answer, kind, message string
		starts                    int64 // of the process, when this is answered
	}{
		{"echo", `{"Do":"echo","html":"<&>"}`, "", "", 1},
		{"nothing", "null", "", "", 1},
		{"name", `"Copy"`, "", "", 1},
		{"fail", "", "test.value", "copy: x is no number\nhint: look at line 3", 1},
		{"plain", "", "test.internal", "unknown: plain\nhint: ", 1},
		{"panic", "", "test.internal", "copy: panic: no head\nhint: this is a mistake in bucketload; the function's log has the stack", 1},
		{"echo", `{"Do":"echo","html":"<&>"}`, "", "", 2},
		{"large", "", "Function.ResponseSizeTooLarge", "Response payload size exceeded maximum allowed payload size (6291556 bytes).", 2},
		{"echo", `{"Do":"echo","html":"<&>"}`, "", "", 3},
	}
	for _, test := range tests {
		answer, kind, message := invoke(t, l, test.do)
		if answer != test.answer || kind != test.kind || message != test.message {
			t.Errorf("%s: %.200q, %q, %q", test.do, answer, kind, message)
		}
		if starts := l.Starts()["stack-CopyFunction"]; starts != test.starts {
			t.Errorf("%s: %d processes have been started, want %d", test.do, starts, test.starts)
		}
	}
	logged(t, l, "INFO echoing", "INFO done", "INFO done", "INFO done", "ERROR failed test.value", "ERROR failed test.internal",
		"ERROR panic", "ERROR calling the handler function resulted in a panic", "INFO echoing", "INFO done", "INFO done", "ERROR unexpected error", "INFO echoing", "INFO done")
}

func TestTimeIsUp(t *testing.T) {
	t.Parallel()
	tests := []struct{ do, answer, kind, message string }{
		{"wait", "", lambda.Timedout, "copy: it was not done 0."},
		{"cancelled", "", lambda.Timedout, "copy: it was not done 0."},
		{"late", "", "test.tolerance", "copy: too many\nhint: "},
		{"ready", `{"Do":"ready","html":"<&>"}`, "", ""},
		{"hang", "", lambda.Timedout, "RequestId: "}, // Lambda ends it
	}
	l := start(t, 9*time.Second) // of which they have 0.9 to answer when the time is up
	var all sync.WaitGroup
	for _, test := range tests {
		all.Go(func() {
			answer, kind, message := invoke(t, l, test.do)
			if answer != test.answer || kind != test.kind || !strings.HasPrefix(message, test.message) {
				t.Errorf("%s: %q, %q, %q", test.do, answer, kind, message)
			}
		})
	}
	all.Wait()
	if log := l.Log("stack-CopyFunction"); !strings.Contains(log, `"given up"`) || !strings.Contains(log, "in the middle: context deadline exceeded") {
		t.Errorf("log %s", log)
	}
}

// logged compares the log: level, message and where there is one errorType.
// Every line has the request's id, each request its own.
func logged(t *testing.T, l *temp.Lambda, want ...string) {
	t.Helper()
	var got []string
	requests := map[string]bool{}
	for line := range strings.Lines(l.Log("stack-CopyFunction")) {
		var e struct{ Timestamp, Level, Message, RequestID, Function, ErrorType, Stack, Event string }
		d := json.NewDecoder(bytes.NewReader([]byte(line)))
		if err := d.Decode(&e); err != nil || e.Timestamp == "" || e.RequestID == "" || e.Function != "Copy" {
			t.Errorf("line %s: %v", line, err)
		}
		if e.Message == "panic" && !strings.Contains(e.Stack, "lambda_test.go") {
			t.Errorf("stack %s", e.Stack)
		}
		if e.ErrorType != "" && !strings.Contains(e.Event, `"Do":`) {
			t.Errorf("no event in %s", line)
		}
		requests[e.RequestID] = true
		got = append(got, strings.TrimSpace(e.Level+" "+e.Message+" "+e.ErrorType))
	}
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("log %q", got)
	}
	if n := l.Invocations()["stack-CopyFunction"]; int64(len(requests)) != n {
		t.Errorf("%d requests in the log of %d", len(requests), n)
	}
}
