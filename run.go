package bucketload

import (
	"crypto/rand"
	"time"
)

// Object is one file as the plan saw it. Version pins its content: the ETag in
// S3 (the version id where the bucket has versions), size and modification
// time on disk.
type Object struct {
	URI     string    `json:"uri"`
	Size    int64     `json:"size"`
	Version string    `json:"version"`
	Time    time.Time `json:"-"` // last modification, for people
}

// Part is bytes [Start, End) of an object, which are loaded by themselves. The
// zero value is no part: the object is loaded whole.
type Part struct {
	No         int // of the object's parts, from 1
	Start, End int64
}

// Entry is a file of a run, or a part of one: its number in the plan and the object.
type Entry struct {
	No int `json:"no"`
	Object
	Part Part `json:"part,omitzero"`
}

// Bytes is how much is to be loaded.
func (e Entry) Bytes() int64 {
	if e.Part == (Part{}) {
		return e.Size
	}
	return e.Part.End - e.Part.Start
}

// FileState is where a file of a run stands.
type FileState string

// The states of a file.
const (
	FilePlanned FileState = "planned"
	FileLoaded  FileState = "loaded"
	FileFailed  FileState = "failed"
	FileSkipped FileState = "skipped" // its name does not fit the format, or its rows are in the table already
)

// File is what the ledger knows of one file of a run.
type File struct {
	URI        string     `json:"uri"`
	State      FileState  `json:"state"`
	Rows       int64      `json:"rows"`
	Rejected   int64      `json:"rejected"`
	Replaced   int64      `json:"replaced,omitempty"`   // characters
	Duplicates int64      `json:"duplicates,omitempty"` // rows that on_duplicate left out, no part of Rows or Rejected
	Bytes      int64      `json:"bytes"`
	Attempts   int        `json:"attempts"`
	Error      *FileError `json:"error"`
}

// FileError says why a file failed or was skipped. Line is 1-based and
// physical, header included, 0 where no line is to blame; Column is the
// table's name for it.
type FileError struct {
	Code    Code   `json:"code"`
	Line    int64  `json:"line"`
	Column  string `json:"column"`
	Value   string `json:"value"`
	Message string `json:"message"`
	Hint    string `json:"hint"`
}

// Status is how a run stands or ended.
type Status string

// The statuses of a run.
const (
	StatusRunning   Status = "running"
	StatusSucceeded Status = "succeeded"
	StatusPartial   Status = "partial" // within tolerance, but something was left out
	StatusFailed    Status = "failed"
	StatusCancelled Status = "cancelled"
)

// Run is one execution of a load, as its result is printed. Run is nil where
// it failed before the ledger knew of it.
type Run struct {
	ID          *string   `json:"run"`
	Table       string    `json:"table"`
	Status      Status    `json:"status"`
	Mode        Mode      `json:"mode"`
	Files       FileCount `json:"files"`
	Rows        RowCount  `json:"rows"`
	Bytes       int64     `json:"bytes"`   // of the objects loaded, as stored
	Seconds     float64   `json:"seconds"` // since it began or, where one has gone on with it, since that
	Backup      *string   `json:"backup"`
	Unvalidated []string  `json:"unvalidated,omitempty"` // statements that validate foreign keys, whose swap had to leave rows unjudged
	Error       *RunError `json:"error"`
}

// FileCount counts files by state. Planned is all that were to be loaded, so
// Planned = Loaded + Failed once a run has gone through; Skipped is apart.
type FileCount struct {
	Planned int64 `json:"planned"`
	Loaded  int64 `json:"loaded"`
	Failed  int64 `json:"failed"`
	Skipped int64 `json:"skipped"`
}

// RowCount counts rows.
type RowCount struct {
	Loaded   int64 `json:"loaded"`
	Rejected int64 `json:"rejected"`
}

// RunError is a run's first cause, as it is printed.
type RunError struct {
	Op      string `json:"op"`
	Message string `json:"message"`
	Hint    string `json:"hint"`
}

// idAlphabet is Crockford's base 32 in lower case: it sorts, and needs no quoting.
const idAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// NewRunID makes a run's id: 12 characters, the first 9 of them the time in
// milliseconds (good until the year 3084), the rest random.
func NewRunID(now time.Time) string {
	var id [12]byte
	ms := uint64(now.UnixMilli())
	for i := 8; i >= 0; i-- {
		id[i] = idAlphabet[ms&31]
		ms >>= 5
	}
	rand.Read(id[9:])
	for i := 9; i < len(id); i++ {
		id[i] = idAlphabet[id[i]&31]
	}
	return string(id[:])
}

// StagingTable is the run's own table.
func StagingTable(run string) TableName {
	return TableName{Schema: StagingSchema, Name: "r_" + run}
}

// Field is one field of a row: a view that is valid until the next row is
// read. Quoted tells "" from nothing. The bytes are text, or, where Binary, what
// COPY's binary format has of a value of the column's type: only who asks a
// decoder for such fields gets them.
type Field struct {
	Bytes  []byte
	Quoted bool
	Binary bool
}
