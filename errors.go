package bucketload

import (
	"errors"
	"strconv"
	"strings"
)

// Code is a stable word for why something failed, for programs to compare.
type Code string

// The codes.
const (
	CodeUsage      Code = "usage"          // wrong flags or configuration: exit 2
	CodeConflict   Code = "conflict"       // another run has the table
	CodeEmpty      Code = "empty_listing"  // nothing to load
	CodeName       Code = "name"           // a file's name does not fit the format
	CodeLoaded     Code = "already_loaded" // a file's rows are in the table already
	CodeMissing    Code = "object_missing" // the object is not there (any more)
	CodeChanged    Code = "object_changed" // the object is not the one the plan saw
	CodeAccess     Code = "access_denied"  // S3 or the file system says no
	CodeSource     Code = "source"         // reading failed otherwise
	CodeCorrupt    Code = "corrupt"        // the compressed data is damaged or cut off
	CodeHeader     Code = "header"         // no header, or a name in it twice
	CodeNoColumn   Code = "missing_column" // a column is not in the header
	CodeNewColumn  Code = "unknown_column" // a header is not in the table
	CodeRagged     Code = "ragged"         // a row with too few or too many fields
	CodeQuote      Code = "quote"          // a stray or unclosed quote
	CodeTooLong    Code = "too_long"       // a row or field beyond the limit
	CodeUTF8       Code = "invalid_utf8"   // bytes that are not UTF-8
	CodeNUL        Code = "nul"            // a NUL byte, which Postgres text cannot hold
	CodeSyntax     Code = "syntax"         // not JSON
	CodeEncoding   Code = "encoding"       // bytes that the file's character encoding does not have
	CodeBoundary   Code = "boundary"       // parts of a file, loaded on their own, do not meet between two rows
	CodeLimit      Code = "limit"          // a file that unpacks to more than it may, or is nested too deep
	CodeValue      Code = "value"          // a value that its type does not take
	CodeNull       Code = "not_null"       // no value for a column that must have one
	CodeDuplicate  Code = "duplicate"      // a key that another row has
	CodeDatabase   Code = "database"       // Postgres refused
	CodeConnect    Code = "connection"     // Postgres or S3 cannot be reached
	CodeTolerance  Code = "tolerance"      // more files failed than tolerated
	CodeCheck      Code = "check"          // a check before the swap failed
	CodeDependents Code = "dependents"     // something on the live table would not survive the swap
	CodeFenced     Code = "fenced"         // the run was ended by someone else
	CodeCancelled  Code = "cancelled"
	CodeInternal   Code = "internal"
)

// Error is what a user sees: which operation, on which file, line, column and
// value, why, and what to do. Only Message is required. Err is the cause for
// errors.Is and errors.As; its text is shown after Message.
type Error struct {
	Op        string // the command or step: config, plan, prepare, copy, finish, swap ...
	Code      Code
	URI       string
	Line      int64 // 1-based, physical, header included; 0: none
	Column    string
	Value     string // as read, bounded
	Message   string
	Hint      string
	Transient bool // trying again may help
	Err       error
}

// Error gives one line: op: uri:line: column x: message: cause.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Op != "" {
		b.WriteString(e.Op)
		b.WriteString(": ")
	}
	b.WriteString(e.Detail())
	return b.String()
}

// Detail is Error without the operation.
func (e *Error) Detail() string {
	var b strings.Builder
	if e.URI != "" {
		b.WriteString(e.URI)
		if e.Line > 0 {
			b.WriteByte(':')
			b.WriteString(strconv.FormatInt(e.Line, 10))
		}
		b.WriteString(": ")
	} else if e.Line > 0 {
		b.WriteString("line ")
		b.WriteString(strconv.FormatInt(e.Line, 10))
		b.WriteString(": ")
	}
	if e.Line > 0 && e.Column != "" {
		b.WriteString("column " + e.Column + ": ")
	}
	b.WriteString(e.Text())
	return oneLine(b.String())
}

// Text is the message and its cause, without the place.
func (e *Error) Text() string {
	switch {
	case e.Err == nil:
		return e.Message
	case e.Message == "":
		return e.Err.Error()
	}
	return e.Message + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// File gives the error as the ledger keeps it with a file.
func (e *Error) File() *FileError {
	return &FileError{Code: e.Code, Line: e.Line, Column: e.Column, Value: e.Value, Message: oneLine(e.Text()), Hint: e.Hint}
}

// AsError finds the Error in err's chain, or makes one with the code internal.
// It is nil only for a nil err.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: CodeInternal, Err: err}
}

// IsTransient says whether trying again may help.
func IsTransient(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Transient
}

// Excerpt bounds a value for a message to max bytes, cut at a rune.
func Excerpt(value []byte, max int) string {
	if len(value) <= max {
		return strings.ToValidUTF8(string(value), "\uFFFD")
	}
	return strings.TrimSuffix(strings.ToValidUTF8(string(value[:max]), "\uFFFD"), "\uFFFD") + "…"
}

// oneLine keeps an error on its line: keys and values may hold anything.
func oneLine(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case r < ' ' || r == 0x7f:
			return '\uFFFD'
		}
		return r
	}, s)
}
