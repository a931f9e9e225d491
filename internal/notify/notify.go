// Package notify tells people how a run ended: it composes what there is to be
// said, and publishes to SNS as Step Functions does.
package notify

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/bucketload/bucketload"
)

// Notice is what is sent to people, as a mail has it.
type Notice struct {
	Subject string `json:"subject"` // printable ASCII, at most maxSubject characters
	Message string `json:"message"` // plain text of several lines
}

const (
	// maxSubject is in characters. SNS takes less than 100, without line breaks
	// and control characters; mail wants ASCII.
	// Source: SNS API reference, Publish.
	maxSubject = 99
	// maxText bounds an error and a hint, in bytes: with room to spare, a message
	// stays under the 256 KiB of SNS and of a state's payload.
	maxText = 8 << 10
)

// Compose says how a run ended that failed or left something out. failed are
// files of it that could not be loaded; the first is enough to go by.
func Compose(run *bucketload.Run, failed ...*bucketload.File) Notice {
	var b strings.Builder
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(&b, "%-8s%s\n", name, bucketload.Excerpt([]byte(text), maxText))
		}
	}
	line("table", run.Table)
	if run.ID != nil {
		line("run", *run.ID)
	}
	line("status", string(run.Status))
	line("files", fmt.Sprintf("%d planned, %d loaded, %d failed, %d skipped", run.Files.Planned, run.Files.Loaded, run.Files.Failed, run.Files.Skipped))
	line("rows", fmt.Sprintf("%d loaded, %d rejected", run.Rows.Loaded, run.Rows.Rejected))
	if run.Error != nil {
		line("error", strings.TrimPrefix(run.Error.Op+": "+run.Error.Message, ": "))
		line("hint", run.Error.Hint)
	}
	for _, f := range failed {
		e := bucketload.Error{URI: f.URI, Message: string(f.State)}
		if f.Error != nil {
			e.Line, e.Column, e.Message = f.Error.Line, f.Error.Column, f.Error.Message
		}
		line("file", e.Detail())
		if f.Error != nil {
			line("hint", f.Error.Hint)
		}
	}
	if run.ID != nil {
		b.WriteString("\n" + further(run))
	}
	return Notice{Subject: subject(run), Message: b.String()}
}

// further are the commands to look closer with, and to go on where that is
// possible: with a run whose rows did not become the table.
func further(run *bucketload.Run) string {
	text := "To look further:\n  bucketload status " + *run.ID + "\n"
	if run.Files.Failed > 0 {
		text += "  bucketload files " + *run.ID + " --status failed\n"
	}
	if run.Rows.Rejected > 0 {
		text += "  bucketload rejects " + *run.ID + "\n"
	}
	if run.Status == bucketload.StatusFailed || run.Status == bucketload.StatusCancelled {
		text += "When what is wrong is mended, to go on with it:\n  bucketload redrive " + *run.ID + "\n"
	}
	return text
}

// subject names table and status. A name too long is cut in the middle, as the
// table's own part comes after its schema's.
func subject(run *bucketload.Run) string {
	const before = "bucketload: "
	after := " " + string(run.Status)
	if run.Status == bucketload.StatusPartial && run.Files.Failed > 0 {
		after += ", files left out: " + strconv.FormatInt(run.Files.Failed, 10)
	}
	if run.Status == bucketload.StatusPartial && run.Rows.Rejected > 0 {
		after += ", rows left out: " + strconv.FormatInt(run.Rows.Rejected, 10)
	}
	table := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, run.Table)
	if room := maxSubject - len(before) - len(after); len(table) > room {
		const cut = "..."
		half := (room - len(cut)) / 2
		table = table[:room-len(cut)-half] + cut + table[len(table)-half:]
	}
	return before + table + after
}
