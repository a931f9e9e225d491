package asl_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bucketload/bucketload/internal/asl"
	"github.com/bucketload/bucketload/internal/asl/expr"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// TestRecordings executes state machines whose executions were recorded on the
// service itself.
func TestRecordings(t *testing.T) {
	var cases []struct {
		Name              string
		Definition, Input json.RawMessage
		Expect            struct {
			Status, Error string
			Output        json.RawMessage
			Events        []asl.EventType
		}
	}
	data, err := os.ReadFile(temptest.Corpus(t, "asl-recordings/cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatal("no cases")
	}
	for i, c := range cases {
		t.Run(fmt.Sprintf("%d/%s", i, c.Name[strings.LastIndex(c.Name, ":")+1:]), func(t *testing.T) {
			t.Parallel()
			m, err := asl.Parse(c.Definition)
			if err != nil {
				t.Fatal(err)
			}
			x := &asl.Executor{Clock: &asl.FakeClock{}}
			r, err := x.Run(context.Background(), m, asl.Execution{Input: c.Input, History: true})
			if err != nil {
				t.Fatal(err)
			}
			if string(r.Status) != c.Expect.Status {
				t.Fatalf("status %s, want %s (%s)", r.Status, c.Expect.Status, text(r.Cause))
			}
			if got := text(r.Error); got != c.Expect.Error {
				t.Errorf("error %q, want %q (%s)", got, c.Expect.Error, text(r.Cause))
			}
			if r.Status == asl.Succeeded {
				same(t, "output", decode(t, r.Output), decode(t, c.Expect.Output))
			}
			got, want := types(r.Events), slices.Clone(c.Expect.Events)
			if slices.Contains(want, "ParallelStateStarted") {
				// Events of branches beside each other interleave.
				slices.Sort(got)
				slices.Sort(want)
			}
			if !slices.Equal(got, want) {
				t.Errorf("events\n%v\nwant\n%v", got, want)
			}
			chained(t, r.Events)
		})
	}
}

// chained checks what holds of every history: ids count up, an event follows
// one before it, and the first state follows none.
func chained(t *testing.T, events []asl.Event) {
	t.Helper()
	for i, e := range events {
		if e.ID != events[0].ID+int64(i) || e.Previous >= e.ID || i > 1 && e.Previous == 0 && e.Type != asl.ExecutionFailed {
			t.Errorf("event %d: %s has id %d and follows %d", i, e.Type, e.ID, e.Previous)
		}
	}
}

var placeholder = regexp.MustCompile(`<[^>]+>`)

// same compares values; text in angle brackets and the words that stand for
// something that varies match any string.
func same(t *testing.T, at string, got, want any) {
	t.Helper()
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || len(g) != len(w) {
			t.Errorf("%s: %v, want %v", at, got, want)
			return
		}
		for k := range w {
			same(t, at+"."+k, g[k], w[k])
		}
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			t.Errorf("%s: %v, want %v", at, got, want)
			return
		}
		for i := range w {
			same(t, fmt.Sprintf("%s[%d]", at, i), g[i], w[i])
		}
	case string:
		g, ok := got.(string)
		if slices.Contains([]string{"timestamp", "start-time", "entered-time", "date", "snf_role_arn"}, w) && ok && g != "" {
			return
		}
		pattern := ""
		for i, literal := range placeholder.Split(w, -1) {
			if i > 0 {
				pattern += ".+"
			}
			pattern += regexp.QuoteMeta(literal)
		}
		if !ok || !regexp.MustCompile("^(?s)"+pattern+"$").MatchString(g) {
			t.Errorf("%s: %v, want %q", at, got, w)
		}
	default:
		if !expr.Equal(got, want) {
			t.Errorf("%s: %v, want %v", at, got, want)
		}
	}
}

func decode(t *testing.T, data []byte) any {
	t.Helper()
	v, err := expr.Decode(data)
	if err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return v
}

func types(events []asl.Event) []asl.EventType {
	list := make([]asl.EventType, len(events))
	for i, e := range events {
		list[i] = e.Type
	}
	return list
}

func text(s *string) string {
	return *cmp.Or(s, new(string))
}
