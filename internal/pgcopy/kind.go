package pgcopy

import (
	"slices"
	"strings"
)

// Type is a type below its domains, as the catalog has it. The zero value is
// no type.
type Type struct {
	OID      uint32
	Mod      int32    // -1: none
	Name     string   // as format_type gives it, without the modifier
	Category string   // a letter of pg_type.typcategory; empty: not known
	Labels   []string // of an enum; nil for any other type
}

// kind is a type with an encoder of its own.
type kind uint8

const (
	other     kind = iota // no encoder: the server judges the text
	text                  // without limit
	character             // varchar, char(n)
	char                  // "char", a byte
	name                  // the names of the catalog
	enum
	boolean
	int2
	int4
	int8
	oid
	float4
	float8
	numeric
	date
	timeOfDay
	timetz
	timestamp
	timestamptz
	interval
	uuid
	json
	jsonb
	bytea
	inet
	cidr
	macaddr
	macaddr8
	bit
	varbit
	array
)

// kinds are the types that have an OID of their own. Source: PostgreSQL,
// src/include/catalog/pg_type.dat.
var kinds = map[uint32]kind{
	16: boolean, 17: bytea, 18: char, 19: name, 20: int8, 21: int2, 23: int4, 25: text, 26: oid, 114: json, 650: cidr, 700: float4, 701: float8,
	774: macaddr8, 829: macaddr, 869: inet, 1042: character, 1043: character, 1082: date, 1083: timeOfDay, 1114: timestamp, 1184: timestamptz,
	1186: interval, 1266: timetz, 1560: bit, 1562: varbit, 1700: numeric, 2950: uuid, 3802: jsonb,
}

func (t Type) kind() kind {
	if t.OID == 1186 && t.Mod >= 0 && t.Mod>>16&allFields != allFields {
		return other // interval year to month and the like: the server reads numbers by the fields there are
	}
	if k, ok := kinds[t.OID]; ok {
		return k
	}
	switch {
	case t.Labels != nil:
		return enum
	case t.Name == "citext" || strings.HasSuffix(t.Name, ".citext"):
		return text // an extension's type, with the same binary form
	}
	return other
}

// isText says whether every character counts, blanks and none at all too.
func (k kind) isText() bool { return k == text || k == character || k == char || k == name }

func (k kind) isNumber() bool { return int2 <= k && k <= numeric && k != oid }

func (k kind) isTime() bool { return date <= k && k <= timestamptz }

// isClock is a time of day without a date.
func (k kind) isClock() bool { return k == timeOfDay || k == timetz }

// isZoned says whether a time has its zone.
func (k kind) isZoned() bool { return k == timetz || k == timestamptz }

// base is the type of the column's values.
func (c Column) base() Type {
	if c.Base.OID != 0 {
		return c.Base
	}
	return Type{OID: c.OID, Mod: c.TypMod, Name: c.TypeName}
}

func (c Column) kind() kind {
	if c.Element != 0 {
		if c.Elem.kind() == other {
			return other // its delimiter need not be a comma
		}
		return array
	}
	return c.base().kind()
}

// TakesEmpty says whether quoted nothing is a value of the column. It is in
// text, in an enum that has it, and in types that are not known here and may
// have it, such as tsvector or one of an extension; in any other it is NULL.
func (c Column) TakesEmpty() bool {
	switch k := c.kind(); k {
	case other:
		// Arrays, dates, shapes, networks, numbers, ranges, intervals.
		return !strings.ContainsAny(c.base().Category, "ADGINRT")
	case enum:
		return slices.Contains(c.base().Labels, "")
	default:
		return k.isText()
	}
}
