package pgcopy

import "unicode/utf8"

// json reads ["a",1,null], with arrays in arrays where there are several
// dimensions. The elements of a json array are any JSON values as they stand.
func (w *arrayWriter) json(value []byte) fault {
	if f := checkJSON(value); f != fine {
		return f
	}
	isJSON := w.elem.kind == json || w.elem.kind == jsonb
	r := cursor{rest: value}
	for {
		for len(r.rest) > 0 && (isSpace(r.rest[0]) || r.rest[0] == ',') {
			r.rest = r.rest[1:]
		}
		if r.done() {
			return fine
		}
		switch b := r.rest[0]; {
		case b == ']':
			r.rest = r.rest[1:]
			if !w.close() {
				return syntax
			}
			continue
		case b == '[' && (w.depth == 0 || !isJSON):
			r.rest = r.rest[1:]
			if !w.open() {
				return syntax
			}
			continue
		}
		raw := r.jsonValue()
		switch {
		case string(raw) == "null":
			raw = nil
		case isJSON:
		case raw[0] == '"':
			var ok bool
			if w.item, ok = unquoteJSON(w.item[:0], raw); !ok {
				return syntax
			}
			raw = w.item
		case raw[0] == '{':
			return syntax
		}
		if f := w.element(raw); f != fine {
			return f
		}
	}
}

// jsonValue reads a value of what is known to be JSON.
func (r *cursor) jsonValue() []byte {
	from, depth, quoted, escaped := r.rest, 0, false, false
	for i, b := range from {
		switch {
		case escaped:
			escaped = false
		case quoted:
			escaped, quoted = b == '\\', b != '"'
		case b == '"':
			quoted = true
		case depth == 0 && (b == ',' || b == ']' || isSpace(b)):
			r.rest = from[i:]
			return from[:i]
		case b == '[' || b == '{':
			depth++
		case b == ']' || b == '}':
			depth--
		}
	}
	r.rest = nil
	return from
}

// unquoteJSON appends what a JSON string stands for. It is false for half of a
// surrogate pair, which is no character.
func unquoteJSON(dst, quoted []byte) ([]byte, bool) {
	s := quoted[1 : len(quoted)-1]
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			dst = append(dst, s[i])
			continue
		}
		i++
		switch b := s[i]; b {
		case 'u':
			unit := hex4(s[i+1:])
			i += 4
			if unit >= 0xd800 && unit < 0xe000 {
				if unit >= 0xdc00 || len(s) < i+7 || s[i+1] != '\\' || s[i+2] != 'u' {
					return dst, false
				}
				low := hex4(s[i+3:])
				if low < 0xdc00 || low >= 0xe000 {
					return dst, false
				}
				unit = (unit-0xd800)<<10 + low - 0xdc00 + 0x10000
				i += 6
			}
			dst = utf8.AppendRune(dst, unit)
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		default:
			dst = append(dst, b)
		}
	}
	return dst, true
}

func hex4(b []byte) rune {
	n := 0
	for _, digit := range b[:4] {
		n = n<<4 | int(hexDigit(digit))
	}
	return rune(n)
}
