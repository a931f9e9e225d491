// Package bucketload holds the words that every room of the program shares:
// what a user defines (Load), what the plan saw (Object, Batch), what happens
// to it (Run, File) and how it goes wrong (Error). It imports the standard
// library only and does nothing by itself.
package bucketload

import (
	"fmt"
	"strings"
	"time"
)

// Schemas that bucketload uses in the target database.
const (
	StagingSchema = "dataimport" // one table per run, named r_<run>
	BackupSchema  = "databackup" // the previous tables
	LedgerSchema  = "bucketload" // runs, batches, files, backups
)

// TableName is a table as the user wrote it, taken literally: case, spaces and
// quotes are part of the name.
type TableName struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
}

// ParseTableName reads "table" or "schema.table". The first dot splits off the
// schema; the default schema is public. There is no SQL quoting: a name in quotes
// is refused. So is a table in a schema of the program's own or of the server's,
// which is none to load into.
func ParseTableName(s string) (TableName, error) {
	t := TableName{Schema: "public", Name: s}
	if strings.Contains(s, "://") {
		return t, &Error{Op: "config", Code: CodeUsage, Message: "a URL is not a table's name", Hint: "the database goes to --to, files to --from"}
	}
	if schema, name, ok := strings.Cut(s, "."); ok {
		t = TableName{Schema: schema, Name: name}
	}
	for _, part := range []string{s, t.Schema, t.Name} {
		if len(part) > 1 && part[0] == '"' && part[len(part)-1] == '"' {
			return t, &Error{Op: "config", Code: CodeUsage, Message: fmt.Sprintf("table name %q is in quotes, which would be part of it", s),
				Hint: "leave them out: a name is taken as it is, with its blanks and in its case; the first dot ends the schema's"}
		}
	}
	for _, part := range []string{t.Schema, t.Name} {
		switch {
		case strings.TrimSpace(part) == "":
			return t, &Error{Op: "config", Code: CodeUsage, Message: fmt.Sprintf("table name %q has an empty part", s),
				Hint: "write TABLE or SCHEMA.TABLE"}
		case len(part) > 63:
			return t, &Error{Op: "config", Code: CodeUsage, Message: fmt.Sprintf("name %q is longer than the 63 bytes that Postgres keeps", part),
				Hint: "choose a shorter name, for example with --table"}
		case strings.ContainsRune(part, 0):
			return t, &Error{Op: "config", Code: CodeUsage, Message: fmt.Sprintf("table name %q contains a NUL byte", s)}
		}
	}
	switch {
	case t.Schema == StagingSchema || t.Schema == BackupSchema || t.Schema == LedgerSchema:
		return t, &Error{Op: "config", Code: CodeUsage, Message: fmt.Sprintf("table %s is in a schema that bucketload keeps for itself", t),
			Hint: "name the table in a schema of your own; its previous ones: bucketload backups TABLE"}
	case strings.HasPrefix(t.Schema, "pg_") || t.Schema == "information_schema":
		return t, &Error{Op: "config", Code: CodeUsage, Message: fmt.Sprintf("table %s is in a schema that Postgres keeps for itself", t),
			Hint: "name the table in a schema of your own"}
	}
	return t, nil
}

// String gives schema.table without quoting, for people and for the ledger.
func (t TableName) String() string { return t.Schema + "." + t.Name }

// Mode says what becomes of the rows that the live table already has.
type Mode string

// The modes.
const (
	ModeReplace Mode = "replace" // a new table is built beside the live one and swapped in
	ModeAppend  Mode = "append"  // objects not loaded yet are added to the live table
	ModeUpsert  Mode = "upsert"  // so are their rows, in the place of those with the same key
	// Objects not loaded yet are added to the live table, in the place of all rows that have the key of one of theirs.
	ModeReplacePartition Mode = "replace_partition"
	// ModeRollback is no load's: of what a rollback leaves in the ledger.
	ModeRollback Mode = "rollback"
)

// Merges says whether a live table stays, and rows of it give way to others.
func (m Mode) Merges() bool { return m == ModeUpsert || m == ModeReplacePartition }

// Format is the kind of file.
type Format string

// The formats; auto goes by the name, for every file by itself.
const (
	FormatAuto    Format = "auto"
	FormatCSV     Format = "csv"     // and whatever else has delimiters
	FormatJSON    Format = "json"    // one value after the other (NDJSON, concatenated), or one that has the records in it
	FormatParquet Format = "parquet" // Apache Parquet
)

// Who reads the objects: bucketload, which streams their rows to Postgres, or
// the server itself, by the extension aws_s3 of RDS and Aurora.
const (
	LoaderStream = "stream"
	LoaderAWSS3  = "aws_s3"
)

// Policy words for what is not as the table has it.
const (
	PolicyFail     = "fail"     // unknown, missing: the file fails; on_changed: the run
	PolicyIgnore   = "ignore"   // unknown: the header is passed over; on_changed: the object is
	PolicyReload   = "reload"   // on_changed: the object is loaded again
	PolicyAdd      = "add"      // unknown: the table gets the column
	PolicyRescue   = "rescue"   // unknown: its values go to the column RescueColumn
	PolicyNull     = "null"     // missing: the column is NULL, or its default
	PolicyReject   = "reject"   // ragged, nul, invalid_utf8, on_duplicate: the row cannot be loaded
	PolicyPad      = "pad"      // ragged: missing fields are empty; a row with too many cannot be loaded
	PolicyTruncate = "truncate" // ragged: as pad, and surplus fields are dropped
	PolicyReplace  = "replace"  // nul, invalid_utf8: U+FFFD takes their place
	PolicyStrip    = "strip"    // nul, invalid_utf8: they are left out
	PolicyKeep     = "keep"     // stray_quotes: they are ordinary characters; unquoted_blanks: they are part of the field
	PolicyTrim     = "trim"     // unquoted_blanks: they are no part of the field
	KeepFirst      = "keep_first"
	KeepLast       = "keep_last"
)

// Columns of ours.
const (
	RescueColumn = "_rescued" // jsonb: values under headers that are not in the table, by header
	FileColumn   = "_file"    // lineage: the object's URI
	LineColumn   = "_line"    // lineage: the line where the row begins; of Parquet the row's number, from 1
	RunColumn    = "_run"     // lineage: the run
)

// S3 says how to reach the buckets. The zero value is the SDK's default chain.
type S3 struct {
	Region        string `json:"region,omitempty"`
	Profile       string `json:"profile,omitempty"`
	EndpointURL   string `json:"endpoint_url,omitempty"`
	PathStyle     bool   `json:"path_style,omitempty"`
	Anonymous     bool   `json:"anonymous,omitempty"`
	AssumeRole    string `json:"assume_role,omitempty"`
	RequesterPays bool   `json:"requester_pays,omitempty"`
}

// CSV is a dialect. Delimiter and Comment are of any length; Quote and Escape
// are one byte each. An empty Delimiter is found out from samples, an empty
// Quote switches quoting off, an empty Comment means that there are none.
type CSV struct {
	Delimiter      string `json:"delimiter"`
	Quote          string `json:"quote"`
	Escape         string `json:"escape"` // before a quote inside quotes; the quote itself: it is doubled
	Header         bool   `json:"header"`
	Encoding       string `json:"encoding"` // an IANA name; empty is UTF-8
	Comment        string `json:"comment"`
	SkipHead       int    `json:"skip_head"`       // physical lines before the header
	SkipFoot       int    `json:"skip_foot"`       // physical lines at the end
	UnquotedBlanks string `json:"unquoted_blanks"` // around fields and their quotes; empty: they are kept
	StrayQuotes    string `json:"stray_quotes"`    // in fields that do not begin with one; empty: such a row is refused
	Ragged         string `json:"ragged"`
	InvalidUTF8    string `json:"invalid_utf8"`
	NUL            string `json:"nul"`
	Decimal        string `json:"decimal,omitempty"`   // the mark in numbers, one byte; empty is "."
	Thousands      string `json:"thousands,omitempty"` // between groups of three digits; empty: none
}

// JSON says where the records are: "$" for one value after the other or the
// elements of one array, else a path such as $.data.items. Empty is "$" of which
// nobody said that it is meant.
type JSON struct {
	Records string `json:"records"`
}

// Column is one column of the table and where its values come from.
type Column struct {
	Name   string   `json:"name"`
	From   []string `json:"from,omitempty"`    // header names, or paths such as $.a.b in JSON, the first that a file has; default: the column's own name
	Type   string   `json:"type,omitempty"`    // a Postgres type as SQL writes it; empty: inferred
	NullIf []string `json:"null_if,omitempty"` // values that mean NULL, compared after trimming
	Trim   *bool    `json:"trim,omitempty"`    // default: on for types other than text, off for text
	Format []string `json:"format,omitempty"`  // patterns for dates and times, tried in order; default ISO 8601

	Default *string  `json:"default,omitempty"`  // the value of rows that have none
	TrueIf  []string `json:"true_if,omitempty"`  // words for true of a boolean, compared after trimming; with FalseIf in place of Postgres' own
	FalseIf []string `json:"false_if,omitempty"` // and for false
}

// Sources gives the header names that the column may have in a file.
func (c Column) Sources() []string {
	if len(c.From) > 0 {
		return c.From
	}
	return []string{c.Name}
}

// Tolerance is what may be left out. A limit must be exceeded to fail the file
// or the run.
type Tolerance struct {
	Files       Share `json:"files"`         // of the run's
	RowsPerFile Share `json:"rows_per_file"` // rejected rows of a file, or it fails
	Rows        Share `json:"rows"`          // rejected rows of the run, or it fails
}

// Rejects says whether a row that cannot be loaded costs the row and not its file.
func (t Tolerance) Rejects() bool { return t.RowsPerFile != Share{} || t.Rows != Share{} }

// Checks are judged on staging, built and analysed, before the swap. What one
// refuses is never swapped in, unless a person accepts it for that run.
type Checks struct {
	Rows      RowRange         `json:"rows"`
	VsLive    float64          `json:"vs_live,omitempty"`    // rows, at least this percentage of the live table's, where there is one
	NullShare map[string]Share `json:"null_share,omitempty"` // rows that may have NULL in a column
	Unique    [][]string       `json:"unique,omitempty"`     // columns that together are unique; a row with NULL in one has no equal
	SQL       []string         `json:"sql,omitempty"`        // queries that must give no row; {staging} and {table} are the tables
}

// Any says whether there is something to be judged.
func (c Checks) Any() bool {
	return c.Rows != RowRange{} || c.VsLive > 0 || len(c.NullShare)+len(c.Unique)+len(c.SQL) > 0
}

// RowRange bounds a number of rows; a zero Max is no bound.
type RowRange struct {
	Min int64 `json:"min,omitempty"`
	Max int64 `json:"max,omitempty"`
}

// Load is one table's definition with every default filled in: from where,
// which columns, which policy. It holds no secret, so the ledger keeps it.
type Load struct {
	Key         string    `json:"key"`   // its name in the configuration and on the command line
	Table       TableName `json:"table"` // the live table
	From        []string  `json:"from"`  // URIs
	Exclude     []string  `json:"exclude,omitempty"`
	S3          S3        `json:"s3"`
	Format      Format    `json:"format"`
	Compression string    `json:"compression"`
	CSV         CSV       `json:"csv"`
	CSVOpen     []string  `json:"csv_open,omitempty"` // keys of CSV that nobody has set: they have their defaults, and are found out from samples
	JSON        JSON      `json:"json"`
	Loader      string    `json:"loader,omitempty"` // LoaderStream where it is empty
	Mode        Mode      `json:"mode"`
	KeyColumns  []string  `json:"key_columns,omitempty"` // of modes that merge: by which rows give way
	OnChanged   string    `json:"on_changed,omitempty"`  // an object that changed since it was loaded, where the live table stays: PolicyFail where it is empty, PolicyReload, PolicyIgnore
	AllowEmpty  bool      `json:"allow_empty,omitempty"`
	AllText     bool      `json:"all_text,omitempty"`
	LowerCase   bool      `json:"lower_case"`

	Columns         []Column `json:"columns,omitempty"`          // in table order
	ColumnsOverride bool     `json:"columns_override,omitempty"` // Columns change the inferred ones instead of being all there are
	Unknown         string   `json:"unknown"`
	Missing         string   `json:"missing"`
	Lineage         []string `json:"lineage,omitempty"`      // FileColumn, LineColumn, RunColumn
	OnDuplicate     string   `json:"on_duplicate,omitempty"` // PolicyReject where it is empty, KeepFirst, KeepLast

	MaxConcurrency   int           `json:"max_concurrency"`     // batches at once
	MaxItemsPerBatch int           `json:"max_items_per_batch"` // files
	MinBatchBytes    Bytes         `json:"min_batch_bytes"`     // small files are joined up to this even past the count
	Retries          int           `json:"retries"`             // further tries of the run
	Tolerate         Tolerance     `json:"tolerate"`
	PrimaryKey       []string      `json:"primary_key,omitempty"`
	Indexes          []string      `json:"indexes,omitempty"`
	Constraints      []string      `json:"constraints,omitempty"`
	Statistics       []string      `json:"statistics,omitempty"`
	BeforeSwapSQL    []string      `json:"before_swap_sql,omitempty"`
	Checks           Checks        `json:"checks"`
	InPlace          bool          `json:"in_place,omitempty"`       // a replace deletes and inserts in the live table, which stays
	KeepBackups      int           `json:"keep_backups"`             // previous tables; 0: none
	DeleteSources    bool          `json:"delete_sources,omitempty"` // objects, once all their rows are in
	LockTimeout      time.Duration `json:"lock_timeout"`

	NotifySNS string `json:"notify_sns,omitempty"` // ARN of the topic that is told of failed and partial runs

	LimitFiles int  `json:"limit_files,omitempty"` // a trial: this many files into staging, no swap
	Force      bool `json:"force,omitempty"`       // load also what the table has already
}
