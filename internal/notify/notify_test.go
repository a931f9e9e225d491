package notify

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/bucketload/bucketload"
)

func TestCompose(t *testing.T) {
	id := "0dq1v2w3x4y5"
	broken := &bucketload.File{URI: "s3://b/year_2022/1.csv", State: bucketload.FileFailed,
		Error: &bucketload.FileError{Line: 7, Column: "temp", Message: `"x" is not a number`, Hint: "null_if: [x]"}}
	tests := []struct {
		name    string
		run     bucketload.Run
		failed  []*bucketload.File
		subject string
		message string
	}{
		{"failed", bucketload.Run{ID: &id, Table: "public.year_2022", Status: bucketload.StatusFailed,
			Files: bucketload.FileCount{Planned: 100, Loaded: 90, Failed: 10, Skipped: 2}, Rows: bucketload.RowCount{Loaded: 12345, Rejected: 3},
			Error: &bucketload.RunError{Op: "copy", Message: "10 of 100 files failed, 1% are tolerated", Hint: "tolerate: {files: 10%}"}},
			[]*bucketload.File{broken},
			"bucketload: public.year_2022 failed", `table   public.year_2022
run     0dq1v2w3x4y5
status  failed
files   100 planned, 90 loaded, 10 failed, 2 skipped
rows    12345 loaded, 3 rejected
error   copy: 10 of 100 files failed, 1% are tolerated
hint    tolerate: {files: 10%}
file    s3://b/year_2022/1.csv:7: column temp: "x" is not a number
hint    null_if: [x]

To look further:
  bucketload status 0dq1v2w3x4y5
  bucketload files 0dq1v2w3x4y5 --status failed
  bucketload rejects 0dq1v2w3x4y5
When what is wrong is mended, to go on with it:
  bucketload redrive 0dq1v2w3x4y5
`},
		{"partial: its rows are in, so there is nothing to go on with", bucketload.Run{ID: &id, Table: "public.year_2022", Status: bucketload.StatusPartial,
			Files: bucketload.FileCount{Planned: 100, Loaded: 99, Failed: 1}, Rows: bucketload.RowCount{Loaded: 9}}, nil,
			"bucketload: public.year_2022 partial, files left out: 1", `table   public.year_2022
run     0dq1v2w3x4y5
status  partial
files   100 planned, 99 loaded, 1 failed, 0 skipped
rows    9 loaded, 0 rejected

To look further:
  bucketload status 0dq1v2w3x4y5
  bucketload files 0dq1v2w3x4y5 --status failed
`},
		{"partial: rows were rejected", bucketload.Run{ID: &id, Table: "public.year_2022", Status: bucketload.StatusPartial,
			Files: bucketload.FileCount{Planned: 100, Loaded: 100}, Rows: bucketload.RowCount{Loaded: 990, Rejected: 10}}, nil,
			"bucketload: public.year_2022 partial, rows left out: 10", `table   public.year_2022
run     0dq1v2w3x4y5
status  partial
files   100 planned, 100 loaded, 0 failed, 0 skipped
rows    990 loaded, 10 rejected

To look further:
  bucketload status 0dq1v2w3x4y5
  bucketload rejects 0dq1v2w3x4y5
`},
		{"before the ledger knew of it", bucketload.Run{Table: "public.t", Status: bucketload.StatusFailed,
			Error: &bucketload.RunError{Op: "plan", Message: "there is no such bucket"}}, nil,
			"bucketload: public.t failed", `table   public.t
status  failed
files   0 planned, 0 loaded, 0 failed, 0 skipped
rows    0 loaded, 0 rejected
error   plan: there is no such bucket
`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Compose(&tt.run, tt.failed...)
			if got.Subject != tt.subject || got.Message != tt.message {
				t.Errorf("%s\n%s", got.Subject, got.Message)
			}
		})
	}
	long := Compose(&bucketload.Run{Table: strings.Repeat("s", 63) + "." + strings.Repeat("t", 60) + "end", Status: bucketload.StatusFailed})
	if len(long.Subject) != maxSubject || !strings.HasPrefix(long.Subject, "bucketload: sss") || !strings.HasSuffix(long.Subject, "tend failed") {
		t.Errorf("%q", long.Subject)
	}
}

// SNS takes every notice, whatever the table's name and the error are.
func TestEveryNoticeFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := "r"
		run := &bucketload.Run{ID: &id, Table: rapid.String().Draw(t, "table"),
			Status: rapid.SampledFrom([]bucketload.Status{bucketload.StatusFailed, bucketload.StatusPartial, bucketload.StatusCancelled}).Draw(t, "status"),
			Files:  bucketload.FileCount{Failed: rapid.Int64Min(0).Draw(t, "failed")}, Rows: bucketload.RowCount{Rejected: rapid.Int64Min(0).Draw(t, "rejected")},
			Error: &bucketload.RunError{Op: "copy", Message: strings.Repeat(rapid.String().Draw(t, "error"), rapid.IntRange(0, 50_000).Draw(t, "times")),
				Hint: rapid.String().Draw(t, "hint")}}
		n := Compose(run)
		if len(n.Subject) > 99 || strings.ContainsFunc(n.Subject, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("subject %q", n.Subject)
		}
		if len(n.Message) > 100<<10 || !utf8.ValidString(n.Message) {
			t.Fatalf("message of %d bytes", len(n.Message))
		}
	})
}
