package decode

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/bucketload/bucketload"
)

// jsonReason is why text is not JSON.
type jsonReason struct {
	code    bucketload.Code
	message string
	hint    string
}

const jsonMend = "mend the record, or the program that writes it"

func syntax(message string) *jsonReason {
	return &jsonReason{bucketload.CodeSyntax, message, jsonMend}
}

// jsonCut: data ends within the value. It is a fault only where nothing more
// comes.
var jsonCut = &jsonReason{bucketload.CodeSyntax, "the record is cut off", "if the file is cut off, upload it again; else " + jsonMend}

// Faults. They may as well mean that something is missing or too much before.
var (
	jsonNoValue    = &jsonReason{bucketload.CodeSyntax, "a value is expected", "JSON has no comments, and strings are in double quotes; " + jsonMend}
	jsonNoKey      = &jsonReason{bucketload.CodeSyntax, "a key in double quotes is expected", "JSON has no comments, and keys are in double quotes; " + jsonMend}
	jsonNoColon    = syntax("a colon is expected behind a key")
	jsonNoMember   = syntax("a comma or } is expected")
	jsonNoElement  = syntax("a comma or ] is expected")
	jsonLineEnd    = &jsonReason{bucketload.CodeSyntax, "a line end in a string", `close the string, or write the line end as \n`}
	jsonJunk       = &jsonReason{bucketload.CodeSyntax, "something follows the record", "between records there are line ends, and no commas unless all are in one array"}
	jsonAtDocument = &jsonReason{bucketload.CodeSyntax, "something follows the end of the array", "an array of records is closed by one ]"}
	jsonDeep       = &jsonReason{bucketload.CodeLimit, "nested deeper than " + strconv.Itoa(jsonDepth), "leave the record out, or flatten it"}
	jsonTooLong    = &jsonReason{bucketload.CodeTooLong, "the record that begins here is longer than " + strconv.Itoa(MaxRow>>20) + " MiB",
		"where the records lie in an array further inside, say where: json: {records: $.items}"}
)

// Flaws.
var (
	jsonNoUTF8    = &jsonReason{bucketload.CodeSyntax, "bytes that are no text", "JSON is UTF-8, or UTF-16 with a mark: convert the file, for example with iconv"}
	jsonControl   = &jsonReason{bucketload.CodeSyntax, "a control character in a string", `write it as \t or \u0009`}
	jsonEscape    = &jsonReason{bucketload.CodeSyntax, "an escape that JSON does not have", `it has \" \\ \/ \b \f \n \r \t and \u with four hexadecimal digits`}
	jsonSurrogate = &jsonReason{bucketload.CodeSyntax, "half a surrogate pair, which is no character", jsonMend}
	jsonNoWord    = &jsonReason{bucketload.CodeSyntax, "neither a number, true, false nor null", "numbers have no leading zeros, NaN and Infinity are none; " + jsonMend}
	jsonTrailing  = syntax("a comma behind the last value")
	jsonNUL       = &jsonReason{bucketload.CodeNUL, `\u0000, which Postgres cannot hold`, "leave it out in the file"}
)

// missing is the fault of something else in the place of what is wanted.
func missing(want jsonWant, inside byte) *jsonReason {
	switch {
	case want == jsonColon:
		return jsonNoColon
	case inside == '{':
		return jsonNoMember
	}
	return jsonNoElement
}

// refuse makes an error of a fault.
func (j *JSON) refuse(f jsonFault) *bucketload.Error {
	j.ended = j.ended || f.why == jsonCut
	at := min(max(f.at, 0), j.filled)
	begin := bytes.LastIndexByte(j.buf[:at], '\n') + 1
	message := f.why.message
	if f.why != jsonCut && f.why != jsonTooLong {
		message = fmt.Sprintf("%s, at %s", f.why.message, j.around(at))
		if begin > 0 || j.base == 0 {
			message = fmt.Sprintf("%s, at byte %d of the line: %s", f.why.message, at-begin+1, j.around(at))
		}
	}
	return &bucketload.Error{Code: f.why.code, Line: j.lineOf(at), Message: message, Hint: f.why.hint}
}

// around is what surrounds buf[at], on its line.
func (j *JSON) around(at int) string {
	const before, behind = 20, 30
	text := j.buf[max(0, at-before):min(j.filled, at+behind)]
	at = min(at, before)
	if i := bytes.LastIndexByte(text[:at], '\n'); i >= 0 {
		text = text[i+1:]
		at -= i + 1
	}
	if i := bytes.IndexByte(text[at:], '\n'); i >= 0 {
		text = text[:at+i]
	}
	return bucketload.Excerpt(text, before+behind)
}

// shape refuses a record that is of another kind than the columns are read from.
func (j *JSON) shape(first byte) *bucketload.Error {
	is, path := "a number, a string or a word", "value"
	switch first {
	case '{':
		is = "an object"
	case '[':
		is, path = "an array", "column_1"
	}
	return &bucketload.Error{Code: bucketload.CodeValue, Line: j.Line(), Value: bucketload.Excerpt(j.Raw(), maxExcerpt),
		Message: fmt.Sprintf("the record is %s, and no column is read from one", is),
		Hint:    fmt.Sprintf("if it is meant: columns: {name: {from: %s}}; if the records lie further inside: json: {records: $.items}", path)}
}

// unknownKey refuses a record with a key that no column takes.
func (j *JSON) unknownKey(key string) *bucketload.Error {
	return &bucketload.Error{Code: bucketload.CodeNewColumn, Line: j.Line(), Value: bucketload.Excerpt([]byte(key), maxExcerpt),
		Message: fmt.Sprintf("the record has %q, and the table has no column for it", bucketload.Excerpt([]byte(key), maxExcerpt)),
		Hint:    "add it under columns:; or write unknown: ignore, add or rescue"}
}
