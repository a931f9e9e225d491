package decode

import (
	"encoding/binary"
	"math"

	"github.com/bucketload/bucketload"
)

// A flat column has one entry a row, and no value that could be an error of its
// row. Its fields are made a batch at a time: that is where most of a file goes.

// isFlat says whether the column is.
func (c *pqColumn) isFlat(n *pqNode) bool {
	kind := c.shape.scalar.kind
	return c.form == pqScalar && n.to == n.from+1 && n.rep == 0 && kind != pqAsBigDecimal && kind != pqAsBytes
}

// next gives the field of the next row, valid until the batch has been given.
func (c *pqColumn) next() (bucketload.Field, error) {
	if c.given == len(c.ready) {
		if err := c.refill(); err != nil {
			return bucketload.Field{}, err
		}
	}
	f := c.ready[c.given]
	c.given++
	return f, nil
}

// refill makes the fields of the next batch.
func (c *pqColumn) refill() error {
	l := c.leaves[0]
	c.ready, c.given = c.ready[:0], 0
	if ok, err := l.more(); err != nil {
		return err
	} else if !ok {
		return pqDamaged("column %s has fewer rows than its row group", c.path)
	}
	var err error
	if c.ready, err = sized(l.budget, c.ready, pqBatch); err != nil {
		return err
	}
	if c.arena, err = l.budget.resize(c.arena, pqBatch*8); err != nil {
		return err
	}
	c.ready, c.arena = c.ready[:l.n], c.arena[:0]
	held := cap(c.arena)
	t, quoted := &c.shape.scalar, c.shape.scalar.quoted()
	v := l.v
	for i := range c.ready {
		if l.defs != nil && l.defs[i] != l.def {
			c.ready[i] = bucketload.Field{}
			continue
		}
		if quoted {
			c.ready[i] = bucketload.Field{Bytes: l.batch.spans[v].of(l.batch.data), Quoted: true}
			v++
			continue
		}
		var n int64
		var b []byte
		if l.batch.spans != nil {
			b = l.batch.spans[v].of(l.batch.data)
		} else {
			n = l.batch.ints[v]
		}
		at := len(c.arena)
		form := c.binary != pqText
		if form {
			c.arena, form = c.binary.append(c.arena, t, n)
		}
		if !form {
			if c.arena, err = t.append(c.arena[:at], n, b); err != nil {
				return err
			}
		}
		v++
		c.ready[i] = bucketload.Field{Bytes: c.arena[at:len(c.arena):len(c.arena)], Binary: form}
	}
	l.i, l.v, l.rows = l.n, v, l.rows+int64(l.n)
	return l.budget.charge(cap(c.arena) - held)
}

// pqBinary is a binary form that Postgres receives. Source: PostgreSQL, the
// receive functions of these types.
type pqBinary uint8

const (
	pqText pqBinary = iota // none of them
	pqFloat8Form
	pqFloat4Form
	pqInt2Form
	pqInt4Form
	pqInt8Form
	pqBoolForm
	pqDateForm      // days from 2000-01-01
	pqTimestampForm // microseconds from then
)

// pqBinaryForm is the form in which the type takes the values as they are.
func pqBinaryForm(t *pqType, name string) pqBinary {
	switch k := t.kind; {
	case k == pqAsFloat64 && name == "float8":
		return pqFloat8Form
	case k == pqAsFloat32 && name == "float4":
		return pqFloat4Form
	case k == pqAsBool && name == "bool":
		return pqBoolForm
	case k == pqAsDate && name == "date":
		return pqDateForm
	case k == pqAsTimestamp && (name == "timestamptz" || name == "timestamp" && !t.utc):
		return pqTimestampForm
	case k == pqAsInt || k == pqAsUint32:
		return map[string]pqBinary{"int2": pqInt2Form, "int4": pqInt4Form, "int8": pqInt8Form}[name]
	}
	return pqText
}

const (
	// The days from 1970-01-01 to 2000-01-01, and to the first and the last day
	// of the years that are read as text, 1 to 9999.
	pqDaysToPostgres      = 10_957
	pqFirstDay, pqLastDay = -719_162, 2_932_896
	pqMicrosADay          = 86_400_000_000
)

// append appends the form of a value; it does not where the form has no place
// for the value, or text would be refused.
func (f pqBinary) append(dst []byte, t *pqType, n int64) (_ []byte, ok bool) {
	switch f {
	case pqFloat8Form:
		if v := math.Float64frombits(uint64(n)); v != v { // there is one NaN
			n = int64(math.Float64bits(math.NaN()))
		}
		return binary.BigEndian.AppendUint64(dst, uint64(n)), true
	case pqFloat4Form:
		if v := math.Float32frombits(uint32(n)); v != v {
			n = int64(math.Float32bits(float32(math.NaN())))
		}
		return binary.BigEndian.AppendUint32(dst, uint32(n)), true
	case pqBoolForm:
		return append(dst, byte(n)), true
	case pqDateForm:
		return binary.BigEndian.AppendUint32(dst, uint32(n-pqDaysToPostgres)), pqFirstDay <= n && n <= pqLastDay
	case pqTimestampForm:
		micros, ok := t.micros(n)
		return binary.BigEndian.AppendUint64(dst, uint64(micros-pqDaysToPostgres*pqMicrosADay)), ok && pqFirstDay*pqMicrosADay <= micros && micros < (pqLastDay+1)*pqMicrosADay
	}
	if t.kind == pqAsUint32 {
		n = int64(uint32(n))
	}
	switch f {
	case pqInt2Form:
		return binary.BigEndian.AppendUint16(dst, uint16(n)), n == int64(int16(n))
	case pqInt4Form:
		return binary.BigEndian.AppendUint32(dst, uint32(n)), n == int64(int32(n))
	}
	return binary.BigEndian.AppendUint64(dst, uint64(n)), true
}

// micros gives a timestamp in microseconds where it has no more digits.
func (t *pqType) micros(n int64) (micros int64, ok bool) {
	switch t.digits {
	case 3:
		return n * 1000, n > math.MinInt64/1000 && n < math.MaxInt64/1000
	case 9:
		return n / 1000, n%1000 == 0
	}
	return n, true
}

// number gives the value again that append took.
func (f pqBinary) number(t *pqType, b []byte) int64 {
	switch f {
	case pqFloat4Form:
		return int64(binary.BigEndian.Uint32(b))
	case pqInt2Form:
		return int64(int16(binary.BigEndian.Uint16(b)))
	case pqInt4Form:
		return int64(int32(binary.BigEndian.Uint32(b)))
	case pqBoolForm:
		return int64(b[0])
	case pqDateForm:
		return int64(int32(binary.BigEndian.Uint32(b))) + pqDaysToPostgres
	}
	n := int64(binary.BigEndian.Uint64(b))
	if f != pqTimestampForm {
		return n
	}
	n += pqDaysToPostgres * pqMicrosADay
	switch t.digits {
	case 3:
		n /= 1000
	case 9:
		n *= 1000
	}
	return n
}
