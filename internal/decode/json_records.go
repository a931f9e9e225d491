package decode

import (
	"bytes"
	"fmt"
	"io"

	"github.com/bucketload/bucketload"
)

// jsonFrame is an object or array around the records.
type jsonFrame struct {
	open  byte // { or [
	step  int  // the step of the path that leads on from it; beyond them its elements are the records
	n     int  // values in it so far
	found bool // the key of the step
}

// jsonForm is how the values of a file without surroundings lie.
type jsonForm uint8

const (
	jsonUnknown jsonForm = iota
	jsonLines            // a record on each line
	jsonFree             // some on several lines
)

// advance goes to the next record, text.i and row at its first byte, or gives
// io.EOF. Its errors end the file.
func (j *JSON) advance() error {
	t := &j.text
	for {
		c, err := j.peek()
		top := len(j.frames) - 1
		if top < 0 {
			if err != nil {
				return err
			}
			if here, err := j.enter(0, c); here || err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return j.cut(err)
		}
		f := &j.frames[top]
		if c == f.open+2 { // ] is [ and two, } is { and two
			t.i++
			if err := j.leave(f); err != nil {
				return err
			}
			continue
		}
		if f.n++; f.n > 1 {
			if c != ',' {
				return j.broken(jsonFault{t.i, missing(jsonComma, f.open)})
			}
			t.i++
			if c, err = j.peek(); err != nil {
				return j.cut(err)
			}
		}
		if here, err := j.member(f, c); here || err != nil {
			return err
		}
	}
}

// member goes into the member of f that begins with c, where the path leads
// there, or passes over it.
func (j *JSON) member(f *jsonFrame, c byte) (here bool, err error) {
	t := &j.text
	if f.open == '[' {
		switch {
		case c == ']':
			return false, j.broken(jsonFault{t.i, jsonTrailing})
		case f.step == len(j.path):
			return true, nil
		}
		if at := j.path[f.step].index; at != jsonAll && at != f.n-1 {
			return false, j.pass()
		}
		f.found = true
		return j.enter(f.step+1, c)
	}
	if c != '"' {
		return false, j.broken(jsonFault{t.i, jsonNoKey})
	}
	is, err := j.key(f)
	if err != nil {
		return false, err
	}
	if c, err = j.peek(); err != nil {
		return false, j.cut(err)
	}
	if c != ':' {
		return false, j.broken(jsonFault{t.i, jsonNoColon})
	}
	t.i++
	if c, err = j.peek(); err != nil {
		return false, j.cut(err)
	}
	if !is {
		return false, j.pass()
	}
	f.found = true
	return j.enter(f.step+1, c)
}

// enter begins with the value at text.i, which begins with c, to which the
// first steps of the path have led. It may be a record itself.
func (j *JSON) enter(step int, c byte) (here bool, err error) {
	switch {
	case step < len(j.path):
		want := byte('[')
		if j.path[step].index == jsonByKey {
			want = '{'
		}
		if c != want {
			return false, j.strays(step, c)
		}
	case c == 'n' && step > 0 && !j.several:
		return false, j.pass()
	case c != '[' || j.each || step == 0 && j.isRecord():
		return true, nil
	}
	j.frames = append(j.frames, jsonFrame{open: c, step: step})
	j.names = j.names[:0]
	j.text.i++
	return false, nil
}

// leave ends a frame whose end was passed.
func (j *JSON) leave(f *jsonFrame) error {
	if f.step < len(j.path) && !f.found && j.path[f.step].index != jsonAll {
		return j.pathless(f)
	}
	j.frames = j.frames[:len(j.frames)-1]
	if len(j.frames) > 0 {
		return nil
	}
	for !j.text.tail('[') {
		if j.text.fault.why != jsonCut {
			return j.broken(jsonFault{j.text.fault.at, jsonAtDocument})
		}
		if err := j.goOn(); err != nil {
			return err
		}
	}
	return nil
}

// isRecord is whether the array at text.i, the first of the file, is a record
// like those that follow it: it begins with a plain value, and another array
// follows. It is decided for the whole file, by what is held of it.
func (j *JSON) isRecord() bool {
	t := jsonText{data: j.text.data, i: j.text.i + 1, last: j.text.last}
	if j.fixed || !t.space() || t.data[t.i] == ']' {
		return j.each
	}
	j.fixed = true
	if t.data[t.i] != '{' && t.data[t.i] != '[' {
		t.i = j.text.i
		j.each = t.skip() && t.space() && t.data[t.i] == '['
	}
	return j.each
}

// peek goes to the next byte that is not blank; io.EOF: there is none.
func (j *JSON) peek() (byte, error) {
	t := &j.text
	for {
		from := t.i
		ok := t.space()
		if len(j.frames) == 0 {
			j.fresh = j.fresh || bytes.IndexByte(t.data[from:t.i], '\n') >= 0
		}
		j.row = t.i
		switch {
		case ok:
			return t.data[t.i], nil
		case t.last:
			return 0, io.EOF
		}
		if err := j.more(); err != nil {
			return 0, err
		}
	}
}

// goOn reads on in the middle of what surrounds records.
func (j *JSON) goOn() error {
	if j.text.fault.why != jsonCut || j.text.last {
		return j.broken(j.text.fault)
	}
	j.row = j.text.i
	return j.more()
}

// pass goes over the value at text.i, of any length.
func (j *JSON) pass() error {
	t := &j.text
	t.flaw = jsonFault{}
	for ok := t.skip(); !ok; ok = t.skipOn() {
		if t.flaw.why != nil {
			return j.broken(t.flaw)
		}
		if err := j.goOn(); err != nil {
			return err
		}
	}
	if t.flaw.why != nil {
		return j.broken(t.flaw)
	}
	return nil
}

// key goes over the key at text.i, and says whether the path leads there.
func (j *JSON) key(f *jsonFrame) (bool, error) {
	t := &j.text
	t.flaw = jsonFault{}
	for !t.str() {
		if err := j.goOn(); err != nil {
			return false, err
		}
	}
	if t.flaw.why != nil {
		return false, j.broken(t.flaw)
	}
	quoted := t.data[j.row:t.i]
	key := quoted[1 : len(quoted)-1]
	if t.escaped {
		j.decoded = unquote(j.decoded[:0], key)
		key = j.decoded
	}
	is := string(key) == j.path[f.step].key
	const most = 500 // bytes of names that an error lists
	if !f.found && !is && len(j.names) < most {
		j.names = append(append(j.names, bucketload.Excerpt(quoted, maxExcerpt)...), ", "...)
	}
	if is && f.found {
		return false, j.broken(jsonFault{j.row, &jsonReason{bucketload.CodeSyntax, fmt.Sprintf("%s is there twice", j.path[f.step].name(j.records)),
			"of a key that is there twice only the last counts, and the records of the first one are read already; mend the file"}})
	}
	return is, nil
}

// cut is the error of reading that ended within what surrounds records.
func (j *JSON) cut(err error) error {
	if err != io.EOF { //nolint:errorlint // peek's own
		return err
	}
	j.ended = true
	return j.broken(jsonFault{j.filled, &jsonReason{bucketload.CodeSyntax, "the file ends within an array or object that is not closed",
		"if the file is cut off, upload it again"}})
}

// broken makes an error that ends the file.
func (j *JSON) broken(f jsonFault) error {
	j.err = j.refuse(f)
	return j.err
}

// name is the path up to the step.
func (s jsonStep) name(path string) string { return path[:s.end] }

// pathless is the error of an object or array that the path does not lead on from.
func (j *JSON) pathless(f *jsonFrame) error {
	before := "$"
	if f.step > 0 {
		before = j.path[f.step-1].name(j.records)
	}
	hint := "it has no key"
	switch {
	case f.open == '[':
		hint = fmt.Sprintf("it has %d elements", f.n)
	case len(j.names) > 0:
		hint = before + " has " + string(bytes.TrimSuffix(j.names, []byte(", ")))
	}
	return &bucketload.Error{Code: bucketload.CodeHeader, Line: j.lineOf(j.text.i),
		Message: fmt.Sprintf("there is no %s in the document", j.path[f.step].name(j.records)),
		Hint:    hint + "; say where the records are: json: {records: $.items}, or leave the file out with --exclude"}
}

// strays is the error of a value that the path does not lead into.
func (j *JSON) strays(step int, c byte) error {
	before, is := "the document", "a plain value"
	if step > 0 {
		before = j.path[step-1].name(j.records)
	}
	switch c {
	case '{':
		is = "an object"
	case '[':
		is = "an array"
	}
	return &bucketload.Error{Code: bucketload.CodeHeader, Line: j.Line(),
		Message: fmt.Sprintf("%s is %s, and %s does not lead into it", before, is, j.records),
		Hint:    "say where the records are: json: {records: $.items}, or for all elements of an array [*]; or leave the file out with --exclude"}
}
