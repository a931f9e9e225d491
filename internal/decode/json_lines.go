package decode

import (
	"bytes"

	"github.com/bucketload/bucketload"
)

// learnForm takes note of how the record that was read lies in the file.
func (j *JSON) learnForm() {
	t := &j.text
	j.fixed, j.each = true, true
	switch {
	case j.form == jsonFree:
	case bytes.IndexByte(t.data[j.row:t.i], '\n') >= 0:
		j.form = jsonFree
	case j.form == jsonUnknown && j.fresh:
		if rest := bytes.TrimLeft(t.data[t.i:], " \t\r"); len(rest) > 0 && rest[0] == '\n' {
			j.form = jsonLines
		}
	}
	j.fresh = false
}

// recover makes the error of a record that cannot be read. It costs the line
// where the records lie on lines; else it ends the file.
func (j *JSON) recover(f jsonFault) error {
	if !j.atTop() || !j.fresh || j.form == jsonFree {
		return j.breaks(f)
	}
	row := j.row
	end, err := j.lineEnd()
	f.at += j.row - row
	switch {
	case err != nil && j.form == jsonUnknown && bucketload.AsError(err).Code == bucketload.CodeTooLong:
		return j.breaks(f)
	case err != nil:
		return j.tooLong(err)
	}
	if j.form == jsonUnknown && !recordsFollow(j.text.data[end:], j.text.last) {
		return j.breaks(f)
	}
	j.form = jsonLines
	// What is wrong with the line by itself, which the next ones do not belong to.
	t := &j.text
	data, last := t.data, t.last
	t.data, t.last = data[:end], true
	if j.parse() {
		f = t.flaw
	} else {
		f = t.fault
	}
	t.data, t.last = data, last
	e := j.refuse(f)
	t.i, j.end = end, end
	return e
}

// breaks makes an error of the record that ends the file.
func (j *JSON) breaks(f jsonFault) error {
	j.end = j.filled
	if i := bytes.IndexByte(j.text.data[min(f.at, j.filled):], '\n'); i >= 0 {
		j.end = f.at + i
	}
	return j.broken(f)
}

// lineEnd is the end of the line on which the record begins.
func (j *JSON) lineEnd() (int, error) {
	for {
		if i := bytes.IndexByte(j.text.data[j.row:], '\n'); i >= 0 {
			return j.row + i, nil
		}
		if j.text.last {
			return j.filled, nil
		}
		if err := j.more(); err != nil {
			return 0, err
		}
	}
}

// recordsFollow is whether the next two lines are each an object or array by
// itself, as they cannot be within one: no comma stands between them. One is
// enough where there is no other.
func recordsFollow(data []byte, last bool) bool {
	for n := range 2 {
		data = bytes.TrimLeft(data, " \t\r\n")
		if len(data) == 0 && last {
			return n > 0
		}
		line, rest, ended := bytes.Cut(data, []byte{'\n'})
		t := jsonText{data: line, last: true}
		if !ended && !last || len(line) == 0 || line[0] != '{' && line[0] != '[' || !t.skip() || len(bytes.TrimRight(line[t.i:], " \t\r")) > 0 {
			return false
		}
		data = rest
	}
	return true
}

// tooLong makes the error of a record beyond MaxRow, of whose line the rest is
// passed over where records lie on lines. err is any other error of reading.
func (j *JSON) tooLong(err error) error {
	e := bucketload.AsError(err)
	j.end = j.filled
	if e.Code != bucketload.CodeTooLong || !j.atTop() || !j.fresh || j.form != jsonLines {
		j.err = err
		return err
	}
	j.text.i = j.filled
	if i := bytes.IndexByte(j.text.data[j.row:], '\n'); i >= 0 {
		j.text.i = j.row + i
	} else {
		j.skipping = true
	}
	return err
}

// skipLine passes over the rest of a line that was too long.
func (j *JSON) skipLine() error {
	for j.skipping {
		t := &j.text
		if i := bytes.IndexByte(t.data[t.i:], '\n'); i >= 0 {
			t.i += i
			j.skipping = false
			continue
		}
		t.i, j.row = j.filled, j.filled
		if t.last {
			return nil
		}
		if err := j.more(); err != nil {
			return err
		}
	}
	return nil
}
