package decode

import "fmt"

// pqKind is how a value is written.
type pqKind uint8

// Up to pqAsBigDecimal they are numbers and words.
const (
	pqAsBool pqKind = iota
	pqAsInt         // 64 bits with sign, also of 32
	pqAsUint32
	pqAsUint64
	pqAsFloat32
	pqAsFloat64
	pqAsFloat16 // two bytes, the low one first
	pqAsDecimal // an integer
	pqAsBigDecimal
	pqAsDate // days
	pqAsTime
	pqAsTimestamp
	pqAsInt96
	pqAsUUID
	pqAsInterval
	pqAsText
	pqAsJSON
	pqAsBytes
)

// pqType is the type of a leaf's values.
type pqType struct {
	kind     pqKind
	scale    int  // decimal: digits after the point
	digits   int  // time, timestamp: digits of a second in the unit
	utc      bool // timestamp: it is a point in time
	unnamed  bool // bytes of which the file does not say what they are
	postgres string
	evidence string
}

// typeOf finds the type of a leaf. A logical type that is not known, or that
// the physical type cannot have, does not count.
func typeOf(e pqElement) pqType {
	l := e.logical
	integer := e.physical == pqInt32 || e.physical == pqInt64
	bytes := e.physical == pqByteArray || e.physical == pqFixed
	switch {
	case l.kind == pqDecimal && (integer || bytes):
		return decimalType(e)
	case l.kind == pqInteger && (e.physical == pqInt32 && (l.bits == 8 || l.bits == 16 || l.bits == 32) || e.physical == pqInt64 && l.bits == 64):
		return integerType(l)
	case l.kind == pqDate && e.physical == pqInt32:
		return pqType{kind: pqAsDate, postgres: "date", evidence: "DATE"}
	case l.kind == pqTime && integer && l.unit > 0:
		// Writers set the flag for UTC as they like, and a time of day without
		// a day is in no zone.
		return pqType{kind: pqAsTime, digits: l.unit, postgres: "time", evidence: "TIME(" + unitName(l) + ")"}
	case l.kind == pqTimestamp && e.physical == pqInt64 && l.unit > 0:
		t := pqType{kind: pqAsTimestamp, digits: l.unit, utc: l.utc, postgres: "timestamp", evidence: "TIMESTAMP(" + unitName(l) + ")"}
		if l.utc {
			t.postgres = "timestamptz"
		}
		return t
	case l.kind == pqUUID && e.physical == pqFixed && e.length == 16:
		return pqType{kind: pqAsUUID, postgres: "uuid", evidence: "UUID"}
	case l.kind == pqFloat16 && e.physical == pqFixed && e.length == 2:
		return pqType{kind: pqAsFloat16, postgres: "real", evidence: "FLOAT16"}
	case l.kind == pqInterval && e.physical == pqFixed && e.length == 12:
		return pqType{kind: pqAsInterval, postgres: "interval", evidence: "INTERVAL"}
	case l.kind == pqString && bytes:
		return pqType{kind: pqAsText, postgres: "text", evidence: "STRING"}
	case l.kind == pqEnum && bytes:
		return pqType{kind: pqAsText, postgres: "text", evidence: "ENUM"}
	case l.kind == pqJSON && bytes:
		// json keeps the text as it is; jsonb does not.
		return pqType{kind: pqAsJSON, postgres: "json", evidence: "JSON"}
	}
	return physicalType(e)
}

func decimalType(e pqElement) pqType {
	l := e.logical
	t := pqType{kind: pqAsDecimal, evidence: fmt.Sprintf("DECIMAL(%d,%d)", l.precision, l.scale), postgres: "numeric"}
	if e.physical == pqByteArray || e.physical == pqFixed {
		t.kind = pqAsBigDecimal
	}
	if l.scale < 0 || l.scale > pqMaxDigits {
		return physicalType(e)
	}
	t.scale = int(l.scale)
	if l.precision >= 1 && l.precision <= pqMaxDigits && l.scale <= l.precision {
		t.postgres = fmt.Sprintf("numeric(%d,%d)", l.precision, l.scale)
	}
	return t
}

func integerType(l pqLogical) pqType {
	t := pqType{kind: pqAsInt, postgres: "bigint", evidence: fmt.Sprintf("INT(%d)", l.bits)}
	if !l.signed {
		t.evidence = "U" + t.evidence
	}
	switch {
	case l.bits <= 8, l.bits == 16 && l.signed:
		t.postgres = "smallint"
	case l.bits == 16, l.bits == 32 && l.signed:
		t.postgres = "integer"
	case l.bits == 32:
		t.kind = pqAsUint32
	case !l.signed:
		t.kind, t.postgres = pqAsUint64, "numeric(20,0)"
	}
	return t
}

// physicalType is for leaves of which nothing more is known.
func physicalType(e pqElement) pqType {
	var t pqType
	switch e.physical {
	case pqBoolean:
		t = pqType{kind: pqAsBool, postgres: "boolean", evidence: "BOOLEAN"}
	case pqInt32:
		t = pqType{kind: pqAsInt, postgres: "integer", evidence: "INT32"}
	case pqInt64:
		t = pqType{kind: pqAsInt, postgres: "bigint", evidence: "INT64"}
	case pqInt96:
		// Spark has written points in time, Hive and Impala local time: the
		// file does not say, and nothing is added to what it says.
		t = pqType{kind: pqAsInt96, digits: 9, postgres: "timestamp", evidence: "INT96"}
	case pqFloat:
		t = pqType{kind: pqAsFloat32, postgres: "real", evidence: "FLOAT"}
	case pqDouble:
		t = pqType{kind: pqAsFloat64, postgres: "double precision", evidence: "DOUBLE"}
	case pqByteArray:
		t = pqType{kind: pqAsBytes, postgres: "bytea", evidence: "BYTE_ARRAY"}
	default:
		t = pqType{kind: pqAsBytes, postgres: "bytea", evidence: fmt.Sprintf("FIXED_LEN_BYTE_ARRAY(%d)", e.length)}
	}
	t.unnamed = t.kind == pqAsBytes
	switch e.logical.kind {
	case pqUnknown: // has nulls only
		t.postgres, t.evidence = "text", "NULL"
	case pqBSON:
		t.evidence, t.unnamed = "BSON", false
	case pqGeometry:
		t.evidence, t.unnamed = "GEOMETRY (WKB)", false
	case pqGeography:
		t.evidence, t.unnamed = "GEOGRAPHY (WKB)", false
	}
	return t
}

func unitName(l pqLogical) string {
	name := map[int]string{3: "MILLIS", 6: "MICROS", 9: "NANOS"}[l.unit]
	if l.utc {
		name += ", UTC"
	}
	return name
}

// quoted says whether values are strings, and not numbers or words.
func (t *pqType) quoted() bool { return t.kind == pqAsText || t.kind == pqAsJSON }
