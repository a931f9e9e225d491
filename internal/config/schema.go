package config

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/bucketload/bucketload"
)

// object is a JSON object; encoding/json sorts its keys.
type object = map[string]any

// Schema gives the JSON Schema of bucketload.yaml, for editors.
func Schema() []byte {
	table := schemaOf(tableKeys, "", new(bucketload.Load))
	top := schemaOf(fileKeys, "", new(File))
	properties := top["properties"].(object)
	properties["defaults"] = object{"$ref": "#/$defs/table", "description": properties["defaults"].(object)["description"]}
	properties["tables"].(object)["additionalProperties"] = object{"$ref": "#/$defs/table"}
	table["type"] = []string{"object", "null"}
	top["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	top["title"] = "bucketload.yaml"
	top["$defs"] = object{
		"table":  table,
		"column": object{"anyOf": []object{{"type": []string{"string", "null"}}, schemaOf(columnKeys, "", new(bucketload.Column))}},
		"text":   object{"type": []string{"string", "number", "boolean"}},
		"texts":  object{"anyOf": []object{{"$ref": "#/$defs/text"}, {"type": "null"}, {"type": "array", "items": object{"type": []string{"string", "number", "boolean", "null"}}}}},
	}
	out, err := json.MarshalIndent(top, "", "  ")
	if err != nil {
		panic(err) // it is maps of strings
	}
	return append(out, '\n')
}

// schemaOf describes the mapping at path.
func schemaOf[T any](keys []key[T], path string, of *T) object {
	properties := object{}
	for _, name := range children(keys, path) {
		child := strings.TrimPrefix(path+"."+name, ".")
		if k, ok := find(keys, child); ok {
			properties[name] = k.schema(of)
		} else {
			properties[name] = schemaOf(keys, child, of)
		}
	}
	return object{"type": "object", "additionalProperties": false, "properties": properties}
}

func (k key[T]) schema(of *T) object {
	s := object{}
	switch {
	case k.words != "":
		s["enum"] = enum(strings.Fields(k.words))
		if kindOf(k.at(of)) == "" {
			s = object{"anyOf": []object{s, {"type": "null"}, {"type": "array", "items": s}}}
		}
	case k.splits != nil:
		s["type"], s["minimum"] = []string{"boolean", "integer"}, 1
	default:
		s = schemaType(k.at(of), k.min)
	}
	s["description"] = k.usage
	return s
}

// enum gives the words, and numbers and null among them as such too.
func enum(words []string) []any {
	var values []any
	for _, w := range words {
		if n, err := strconv.Atoi(w); err == nil {
			values = append(values, n)
		}
		if w == "null" {
			values = append(values, nil)
		}
		values = append(values, w)
	}
	return values
}

func schemaType(at any, least int64) object {
	switch at.(type) {
	case **node:
		return object{"type": []string{"object", "null"}}
	case *[]bucketload.Column:
		return object{"type": []string{"object", "null"}, "additionalProperties": object{"$ref": "#/$defs/column"}}
	case *map[string]bucketload.Share:
		return object{"type": []string{"object", "null"}, "additionalProperties": object{"type": []string{"string", "number"}}}
	case *[][]string:
		return object{"type": []string{"array", "null"}, "items": object{"$ref": "#/$defs/texts"}}
	case *[]string, *verbatim:
		return object{"$ref": "#/$defs/texts"}
	case **string:
		return object{"anyOf": []object{{"$ref": "#/$defs/text"}, {"type": "null"}}}
	}
	switch kindOf(at) {
	case "bool":
		return object{"type": "boolean"}
	case "number":
		return object{"type": "integer", "minimum": least}
	case "size", "limit":
		return object{"type": []string{"string", "number"}}
	}
	return object{"$ref": "#/$defs/text"}
}
