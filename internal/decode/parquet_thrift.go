package decode

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Types of the compact protocol. Source: the Apache Thrift project,
// doc/specs/thrift-compact-protocol.md.
const (
	thriftTrue   = 1
	thriftFalse  = 2
	thriftByte   = 3
	thriftI16    = 4
	thriftI32    = 5
	thriftI64    = 6
	thriftDouble = 7
	thriftBinary = 8
	thriftList   = 9
	thriftSet    = 10
	thriftMap    = 11
	thriftStruct = 12
	thriftUUID   = 13
)

// thriftDepth bounds how deep things that are passed over may be nested. What
// is read is bounded by its form.
const thriftDepth = 32

// errThriftShort says that the data ends inside of a value.
var errThriftShort = errors.New("the metadata is cut off")

// thrift reads values of Thrift's compact protocol, which Parquet's footers and
// page headers are written in. Nothing is allocated by a length that the data
// claims. The first error stays, and everything after it reads as nothing.
type thrift struct {
	data []byte
	pos  int
	err  error
}

// thriftField is a field of a struct, or an element of a list, that is to be
// read next.
type thriftField struct {
	id   int16
	kind byte
}

// fail takes the first error; nil is none.
func (t *thrift) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

func (t *thrift) byte() byte {
	if t.err != nil || t.pos >= len(t.data) {
		t.fail(errThriftShort)
		return 0
	}
	t.pos++
	return t.data[t.pos-1]
}

func (t *thrift) uvarint() uint64 {
	if t.err != nil {
		return 0
	}
	n, size := binary.Uvarint(t.data[t.pos:])
	switch {
	case size == 0:
		t.fail(errThriftShort)
		return 0
	case size < 0:
		t.fail(errors.New("the metadata has a number of more than 64 bits"))
		return 0
	}
	t.pos += size
	return n
}

func (t *thrift) varint() int64 {
	n := t.uvarint()
	return int64(n>>1) ^ -int64(n&1)
}

// take gives the next n bytes.
func (t *thrift) take(n uint64) []byte {
	if t.err != nil || n > uint64(len(t.data)-t.pos) {
		t.fail(errThriftShort)
		return nil
	}
	t.pos += int(n)
	return t.data[t.pos-int(n) : t.pos]
}

// fields gives the fields of a struct. Each must be read or skipped.
func (t *thrift) fields(yield func(thriftField) bool) {
	var f thriftField
	for t.err == nil {
		head := t.byte()
		if head == 0 {
			return
		}
		if delta := head >> 4; delta != 0 {
			f.id += int16(delta)
		} else {
			f.id = int16(t.varint())
		}
		f.kind = head & 15
		if t.err != nil || !yield(f) {
			return
		}
	}
}

// structure gives the fields of the struct that f is.
func (t *thrift) structure(f thriftField) func(func(thriftField) bool) {
	t.want(f, f.kind == thriftStruct)
	return t.fields
}

// list gives the elements of the list that f is. Each must be read or skipped.
func (t *thrift) list(f thriftField) func(func(thriftField) bool) {
	t.want(f, f.kind == thriftList || f.kind == thriftSet)
	return func(yield func(thriftField) bool) {
		n, kind := t.listHead()
		for ; n > 0 && t.err == nil; n-- {
			if !yield(thriftField{kind: kind}) {
				return
			}
		}
	}
}

func (t *thrift) listHead() (n uint64, kind byte) {
	head := t.byte()
	if n = uint64(head >> 4); n == 15 {
		n = t.uvarint()
	}
	return n, head & 15
}

func (t *thrift) want(f thriftField, ok bool) {
	if !ok {
		t.fail(fmt.Errorf("the metadata has something else (type %d) in field %d", f.kind, f.id))
	}
}

func (t *thrift) int(f thriftField) int64 {
	switch f.kind {
	case thriftByte:
		return int64(int8(t.byte()))
	case thriftI16, thriftI32, thriftI64:
		return t.varint()
	}
	t.want(f, false)
	return 0
}

// count is an integer that cannot be negative.
func (t *thrift) count(f thriftField) int64 {
	n := t.int(f)
	if n < 0 {
		t.fail(fmt.Errorf("the metadata has the count %d in field %d", n, f.id))
		return 0
	}
	return n
}

func (t *thrift) bool(f thriftField) bool {
	t.want(f, f.kind == thriftTrue || f.kind == thriftFalse)
	return f.kind == thriftTrue
}

func (t *thrift) string(f thriftField) string {
	t.want(f, f.kind == thriftBinary)
	return string(t.take(t.uvarint()))
}

// skip passes over a field, or with element over that of a list.
func (t *thrift) skip(f thriftField) { t.skipAt(f.kind, false, 0) }

func (t *thrift) skipAt(kind byte, element bool, depth int) {
	if depth > thriftDepth {
		t.fail(errors.New("the metadata is nested too deep"))
	}
	if t.err != nil {
		return
	}
	switch kind {
	case thriftTrue, thriftFalse: // a field's value is its type, an element's a byte
		if element {
			t.byte()
		}
	case thriftByte:
		t.byte()
	case thriftI16, thriftI32, thriftI64:
		t.uvarint()
	case thriftDouble:
		t.take(8)
	case thriftUUID:
		t.take(16)
	case thriftBinary:
		t.take(t.uvarint())
	case thriftList, thriftSet:
		for n, kind := t.listHead(); n > 0 && t.err == nil; n-- {
			t.skipAt(kind, true, depth+1)
		}
	case thriftMap:
		n := t.uvarint()
		if n == 0 {
			return
		}
		for kinds := t.byte(); n > 0 && t.err == nil; n-- {
			t.skipAt(kinds>>4, true, depth+1)
			t.skipAt(kinds&15, true, depth+1)
		}
	case thriftStruct:
		for f := range t.fields {
			t.skipAt(f.kind, false, depth+1)
		}
	default:
		t.fail(fmt.Errorf("the metadata has a value of the unknown type %d", kind))
	}
}
