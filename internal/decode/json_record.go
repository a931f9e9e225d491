package decode

import (
	"bytes"

	"github.com/bucketload/bucketload"
)

// record reads the record at text.i into the slots. Its error is the record's,
// or err.
func (j *JSON) record() error {
	t := &j.text
	for !j.parse() {
		if t.fault.why != jsonCut || t.last {
			return j.recover(t.fault)
		}
		if err := j.more(); err != nil {
			return j.tooLong(err)
		}
	}
	first := t.data[j.row]
	if j.atTop() {
		if first != '{' && first != '[' && t.flaw.why != nil {
			return j.recover(t.flaw) // it is the line that is no JSON
		}
		j.learnForm()
	}
	j.end = t.i
	switch {
	case t.flaw.why != nil:
		return j.refuse(t.flaw)
	case !j.takes(first):
		return j.shape(first)
	case j.stranger != "":
		return j.unknownKey(j.stranger)
	}
	return nil
}

// takes is whether anything may be read from a record of this kind.
func (j *JSON) takes(first byte) bool {
	switch {
	case first == '{' || j.unknown == bucketload.PolicyRescue:
		return true
	case first == '[':
		return j.root.takesArrays() || isEmpty(j.Raw())
	}
	return j.root.takesPlain()
}

// isEmpty is whether an array has nothing in it, as some write an empty object.
func isEmpty(array []byte) bool {
	return len(bytes.TrimSpace(array[1:len(array)-1])) == 0
}

// atTop is whether nothing surrounds the records.
func (j *JSON) atTop() bool { return len(j.frames) == 0 && len(j.path) == 0 }

// parse reads the record at row, and looks at what follows it.
func (j *JSON) parse() bool {
	t := &j.text
	t.i, t.flaw, t.nul = j.row, jsonFault{}, -1
	j.decoded, j.rescued, j.stranger = j.decoded[:0], j.rescued[:0], ""
	j.serial++
	first := t.data[t.i]
	n := j.root
	if first != '{' && first != '[' {
		if n.plain == nil && j.unknown == jsonGrow {
			j.grow(jsonValueName)
		}
		if n.plain != nil {
			n = n.plain
		}
	}
	if !j.value(n) {
		return false
	}
	if n != j.root {
		for _, s := range j.root.slots {
			j.take(s, j.row)
		}
	} else if first != '{' && first != '[' && j.unknown == bucketload.PolicyRescue {
		j.rescue([]byte(`"`+jsonValueName+`"`), j.row)
	}
	return len(j.frames) > 0 || t.tail(first)
}

// tail is whether, behind a value that began with first and that nothing
// surrounds, its line ends or another record begins.
func (t *jsonText) tail(first byte) bool {
	i := t.i
	for i < len(t.data) && (t.data[i] == ' ' || t.data[i] == '\t' || t.data[i] == '\r') {
		i++
	}
	switch {
	case i == len(t.data):
		return t.last || t.stop(i, jsonCut)
	case t.data[i] == '\n':
		return true
	case first == '{' || first == '[':
		return t.data[i] == '{' || t.data[i] == '[' || t.stop(i, jsonJunk)
	}
	return i > t.i || t.stop(i, jsonJunk)
}

// value reads the value at text.i into the slots of n and of what is inside.
func (j *JSON) value(n *jsonNode) bool {
	t := &j.text
	from, escaped, ok := t.i, false, false
	if n.seen == j.serial {
		j.forget(n)
	}
	n.seen = j.serial
	switch c := t.data[from]; {
	case c == '"':
		ok = t.str()
		escaped = t.escaped
	case c == '{' && (n.keys != nil || n == j.root):
		ok = j.object(n)
	case c == '[' && (n.items != nil || n == j.root):
		ok = j.array(n)
	case c == '{' || c == '[':
		ok = t.skip()
	default:
		ok = t.bare()
	}
	if !ok {
		return false
	}
	for _, s := range n.slots {
		j.put(s, from, escaped)
	}
	return true
}

// take is put for a value that has been passed.
func (j *JSON) take(slot, from int) {
	j.put(slot, from, bytes.IndexByte(j.text.data[from:j.text.i], '\\') >= 0)
}

// put gives a slot the value that ends at text.i.
func (j *JSON) put(slot, from int, escaped bool) {
	t, s := &j.text, &j.slots[slot]
	s.seen = j.serial
	if t.nul >= from {
		t.flawed(t.nul, jsonNUL)
	}
	text := t.data[from:t.i:t.i]
	switch {
	case text[0] == 'n':
		s.value = bucketload.Field{}
	case text[0] != '"' || s.raw:
		s.value = bucketload.Field{Bytes: text, Quoted: text[0] == '"'}
	case !escaped:
		s.value = bucketload.Field{Bytes: text[1 : len(text)-1], Quoted: true}
	case t.flaw.why == nil:
		at := len(j.decoded)
		j.decoded = unquote(j.decoded, text[1:len(text)-1])
		s.value = bucketload.Field{Bytes: j.decoded[at:len(j.decoded):len(j.decoded)], Quoted: true}
	}
}

// forget takes back what n and all inside have of the record: its key is there
// again.
func (j *JSON) forget(n *jsonNode) {
	n.seen = 0
	for _, s := range n.slots {
		j.slots[s].seen = 0
	}
	for _, child := range n.keys {
		j.forget(child)
	}
	for _, child := range n.items {
		if child != nil {
			j.forget(child)
		}
	}
}

// object reads the object at text.i, from which fields may be read.
func (j *JSON) object(n *jsonNode) bool {
	t := &j.text
	t.i++
	for position := 0; ; position++ {
		if !t.space() {
			return false
		}
		if t.data[t.i] == '}' {
			if position > 0 {
				t.flawed(t.i, jsonTrailing)
			}
			t.i++
			return true
		}
		from := t.i
		child, ok := j.match(n, position)
		if !ok {
			return false
		}
		behind := t.i
		if !t.space() {
			return false
		}
		if t.data[t.i] != ':' {
			return t.stop(t.i, jsonNoColon)
		}
		t.i++
		if !t.space() {
			return false
		}
		if ok = j.inside(n, child, from, behind); !ok || !t.space() {
			return false
		}
		switch t.data[t.i] {
		case ',':
			t.i++
		case '}':
			t.i++
			return true
		default:
			return t.stop(t.i, jsonNoMember)
		}
	}
}

// inside reads the value of the key in quotes that is data[from:behind].
func (j *JSON) inside(n, child *jsonNode, from, behind int) bool {
	t := &j.text
	switch {
	case child != nil:
		return j.value(child)
	case n != j.root || j.unknown == bucketload.PolicyIgnore || j.unknown == jsonGrow:
		return t.skip()
	}
	at := t.i
	if !t.skip() {
		return false
	}
	quoted := t.data[from:behind]
	if j.unknown == bucketload.PolicyRescue {
		if t.nul >= from {
			t.flawed(t.nul, jsonNUL)
		}
		j.rescue(quoted, at)
	} else if j.stranger == "" {
		j.stranger = bucketload.Excerpt(quoted[1:len(quoted)-1], maxExcerpt)
	}
	return true
}

// rescue adds the value that ends at text.i to the object of what no field
// takes.
func (j *JSON) rescue(quoted []byte, from int) {
	separator := byte(',')
	if len(j.rescued) == 0 {
		separator = '{'
	}
	j.rescued = append(append(append(j.rescued, separator), quoted...), ':')
	j.rescued = append(j.rescued, j.text.data[from:j.text.i]...)
}

// match passes over the key at text.i and gives its place in n; nil: none.
func (j *JSON) match(n *jsonNode, position int) (*jsonNode, bool) {
	t := &j.text
	from := t.i
	if position < len(n.learned) {
		if l := &n.learned[position]; bytes.HasPrefix(t.data[from:], l.quoted) {
			t.i += len(l.quoted)
			return l.node, true
		}
	}
	if t.data[from] != '"' {
		return nil, t.stop(from, jsonNoKey)
	}
	if !t.str() {
		return nil, false
	}
	key := t.data[from+1 : t.i-1]
	if t.escaped {
		if t.flaw.why != nil {
			return nil, true
		}
		at := len(j.decoded)
		j.decoded = unquote(j.decoded, key)
		key = j.decoded[at:]
	}
	child := n.keys[string(key)]
	if child == nil && n == j.root && j.unknown == jsonGrow && t.flaw.why == nil && len(j.grown) < maxNames {
		child = j.grow(keyPath(string(key)))
	}
	if position <= len(n.learned) && position < jsonLearnKeys && len(key) < jsonLearnLen && !t.escaped && t.flaw.why == nil {
		if position == len(n.learned) {
			n.learned = append(n.learned, jsonLearned{})
		}
		l := &n.learned[position]
		l.quoted, l.node = append(l.quoted[:0], t.data[from:t.i]...), child
	}
	return child, true
}

// array reads the array at text.i, from whose elements fields may be read.
func (j *JSON) array(n *jsonNode) bool {
	t := &j.text
	t.i++
	for position := 0; ; position++ {
		if !t.space() {
			return false
		}
		if t.data[t.i] == ']' {
			if position > 0 {
				t.flawed(t.i, jsonTrailing)
			}
			t.i++
			return true
		}
		if !j.element(n, position) || !t.space() {
			return false
		}
		switch t.data[t.i] {
		case ',':
			t.i++
		case ']':
			t.i++
			return true
		default:
			return t.stop(t.i, jsonNoElement)
		}
	}
}

// element reads the element at text.i of an array.
func (j *JSON) element(n *jsonNode, position int) bool {
	t := &j.text
	from := t.i
	switch {
	case position < len(n.items) && n.items[position] != nil:
		return j.value(n.items[position])
	case n == j.root && j.unknown == jsonGrow && position < jsonItems:
		j.grow(jsonColumnName(position))
		return j.value(n.items[position])
	case !t.skip():
		return false
	case n != j.root:
	case j.unknown == bucketload.PolicyRescue:
		if t.nul >= from {
			t.flawed(t.nul, jsonNUL)
		}
		j.rescue([]byte(`"`+jsonColumnName(position)+`"`), from)
	case j.unknown != bucketload.PolicyIgnore && j.stranger == "":
		j.stranger = jsonColumnName(position)
	}
	return true
}

// gather makes the row of the slots.
func (j *JSON) gather() []bucketload.Field {
	j.fields = j.fields[:0]
	for _, span := range j.spans {
		var value bucketload.Field
		for s := span[0]; s < span[1]; s++ {
			if j.slots[s].seen == j.serial {
				value = j.slots[s].value
				break
			}
		}
		j.fields = append(j.fields, value)
	}
	if j.rescues {
		var value bucketload.Field
		if len(j.rescued) > 0 {
			j.rescued = append(j.rescued, '}')
			value.Bytes = j.rescued
		}
		j.fields = append(j.fields, value)
	}
	return j.fields
}
