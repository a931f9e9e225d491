package pgcopy

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// field cuts the row's 16-bit count and the field's length off.
const field = 6

// rational reads numeric's binary form.
func rational(b []byte) (*big.Rat, int) {
	at := func(i int) int { return int(binary.BigEndian.Uint16(b[2*i:])) }
	sum, base := new(big.Rat), big.NewRat(10000, 1)
	for i := range at(0) {
		sum.Mul(sum, base)
		sum.Add(sum, new(big.Rat).SetInt64(int64(at(4+i))))
	}
	for shift := int(int16(at(1))) - at(0) + 1; shift != 0; {
		if shift > 0 {
			sum.Mul(sum, base)
			shift--
		} else {
			sum.Quo(sum, base)
			shift++
		}
	}
	if at(2) == signMinus {
		sum.Neg(sum)
	}
	return sum, at(3)
}

func checkNumeric(t interface{ Fatalf(string, ...any) }, s string) {
	got, err := encodeOne(Binary, numericColumn, s)
	var d decimal
	if !d.parse([]byte(s)) || err != nil || d.exponent > 500 || d.exponent < -500 {
		return
	}
	want, ok := new(big.Rat).SetString(s)
	if !ok {
		t.Fatalf("%q was taken", s)
	}
	value, decimals := rational(got[field:])
	if value.Cmp(want) != 0 {
		t.Fatalf("%q became %s", s, value)
	}
	if decimals != max(0, d.fraction-d.exponent) {
		t.Fatalf("%q has %d decimals", s, decimals)
	}
	n := int(binary.BigEndian.Uint16(got[field:]))
	digits := got[field+8:]
	if n > 0 && (string(digits[:2]) == "\x00\x00" || string(digits[2*n-2:]) == "\x00\x00") || len(digits) != 2*n {
		t.Fatalf("%q is not in its shortest form: %x", s, digits)
	}
}

func TestNumericProperty(t *testing.T) {
	number := rapid.StringMatching(`[-+]?([0-9]{1,25}(\.[0-9]{0,25})?|\.[0-9]{1,25})([eE][-+]?[0-9]{1,2})?`)
	padded := rapid.StringMatching(`0{0,9}[0-9]{0,3}0{0,9}\.0{0,9}[0-9]{1,3}0{0,9}`)
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(number, padded).Draw(t, "s")
		if _, err := encodeOne(Binary, numericColumn, s); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		checkNumeric(t, s)
	})
}

func FuzzNumeric(f *testing.F) {
	for _, s := range []string{"0", "-1.5", "1e10", "1e-10", ".5", "5.", "NaN", "1e", "123456789012345678901234567890", "00.0001"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		checkNumeric(t, strings.Trim(s, blanks))
		got, err := encodeOne(Binary, floatColumn, s)
		if err != nil || len(got) != field+8 {
			return
		}
		want, err := strconv.ParseFloat(strings.Trim(s, blanks), 64)
		if err != nil {
			t.Fatalf("%q was taken: %v", s, err)
		}
		if bits := binary.BigEndian.Uint64(got[field:]); bits != math.Float64bits(want) {
			t.Fatalf("%q became %v, not %v", s, math.Float64frombits(bits), want)
		}
	})
}

func TestFloatProperty(t *testing.T) {
	decimal := rapid.StringMatching(`-?[0-9]{1,20}(\.[0-9]{0,20})?(e[-+]?[0-9]{1,2})?`)
	any64 := rapid.Map(rapid.Float64(), func(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) })
	real4 := Column{Name: "v", OID: 700, TypMod: -1, TypeName: "real"}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(decimal, any64).Draw(t, "s")
		got, err := encodeOne(Binary, floatColumn, s)
		if err != nil {
			t.Fatal(err)
		}
		if want, _ := strconv.ParseFloat(s, 64); binary.BigEndian.Uint64(got[field:]) != math.Float64bits(want) {
			t.Fatalf("%q became %x", s, got)
		}
		if want, err := strconv.ParseFloat(s, 32); err == nil && want != 0 {
			if got, err = encodeOne(Binary, real4, s); err != nil || binary.BigEndian.Uint32(got[field:]) != math.Float32bits(float32(want)) {
				t.Fatalf("real: %q became %x, %v", s, got, err)
			}
		}
	})
}

var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// micros counts from 2000 on; a Duration would overflow.
func micros(t time.Time) int64 {
	return (t.Unix()-epoch.Unix())*1e6 + int64(t.Nanosecond())/1000
}

func TestTimeProperty(t *testing.T) {
	first, last := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(first.Unix(), last.Unix()).Draw(t, "seconds"), rapid.Int64Range(0, 999_999).Draw(t, "micros")*1000).UTC()
		got, err := encodeOne(Binary, dateColumn, at.Format(time.DateOnly))
		if want := (at.Unix() - epoch.Unix() + 86400*1_000_000) / 86400; err != nil || int64(int32(binary.BigEndian.Uint32(got[field:]))) != want-1_000_000 {
			t.Fatalf("%s: %x, %v", at, got, err)
		}
		zone := time.FixedZone("", rapid.IntRange(-15*60, 15*60).Draw(t, "zone")*60)
		for _, c := range []struct {
			column Column
			text   string
		}{
			{stampColumn, at.Format("2006-01-02 15:04:05.999999")},
			{zonedColumn, at.Format("2006-01-02T15:04:05.999999Z07:00")},
			{zonedColumn, at.In(zone).Format("2006-01-02 15:04:05.000000-0700")},
		} {
			if y := at.In(zone).Year(); y < 1 || y > 9999 {
				continue
			}
			got, err := encodeOne(Binary, c.column, c.text)
			if err != nil || int64(binary.BigEndian.Uint64(got[field:])) != micros(at) {
				t.Fatalf("%s: %x, %v", c.text, got, err)
			}
		}
	})
}

func FuzzTimestamp(f *testing.F) {
	for _, s := range []string{"2022-01-01", "2022-01-01 12:34", "2022-01-01T12:34:56.123456Z", "2022-02-30 00:00", "2022-01-01 24:00:00+05:30", "infinity"} {
		f.Add(s)
	}
	layouts := []string{"2006-01-02", "2006-01-02T15:04", "2006-01-02T15:04:05.999999999", "2006-01-02T15:04Z07", "2006-01-02T15:04Z07:00", "2006-01-02T15:04Z0700",
		"2006-01-02T15:04:05.999999999Z07", "2006-01-02T15:04:05.999999999Z07:00", "2006-01-02T15:04:05.999999999Z0700"}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := encodeOne(Binary, zonedColumn, s)
		if text, textErr := encodeOne(Text, zonedColumn, s); (err == nil) != (textErr == nil) {
			t.Fatalf("%q: binary %v, text %q %v", s, err, text, textErr)
		}
		if err != nil || len(got) != field+8 {
			return
		}
		trimmed := strings.Trim(s, blanks)
		if len(trimmed) > 10 {
			trimmed = trimmed[:10] + "T" + strings.ReplaceAll(strings.ReplaceAll(strings.ToUpper(trimmed[11:]), "UTC", "Z"), " ", "")
		}
		for _, layout := range layouts {
			if want, err := time.Parse(layout, trimmed); err == nil {
				if n := int64(binary.BigEndian.Uint64(got[field:])); n != micros(want) {
					t.Fatalf("%q became %d, not %d", s, n, micros(want))
				}
				return
			}
		}
	})
}

// Texts of any kind arrive as they are, in both formats.
func TestTextProperty(t *testing.T) {
	conn := connect(t, temptest.Database(t, 0))
	word := rapid.StringOf(rapid.OneOf(rapid.RuneFrom([]rune("\\\t\n\r\b\f\v.Nab,\"'")), rapid.Rune().Filter(func(r rune) bool { return r != 0 && (r < 0xd800 || r > 0xdfff) })))
	rows := make([][]bucketload.Field, 500)
	for i := range rows {
		rows[i] = []bucketload.Field{{Bytes: fmt.Append(nil, i)}, {Bytes: []byte(word.Example(i)), Quoted: true}}
	}
	for _, format := range []Format{Binary, Text} {
		for i, got := range load(t, conn, format, textColumn, rows) {
			if got == nil || *got != string(rows[i][1].Bytes) {
				t.Errorf("format %d: %q became %q", format, rows[i][1].Bytes, deref(got))
			}
		}
	}
}

// BenchmarkEncodeTyped encodes rows as those of the daily weather summaries: no
// two are the same, so that nothing can learn how long their values are.
func BenchmarkEncodeTyped(b *testing.B) {
	const rows = 2000
	r := rand.New(rand.NewPCG(1, 2))
	numbers := map[int]string{2: "70.9333333", 3: "-8.6666667", 4: "%.1f", 6: "%6.1f", 8: "%6.1f", 10: "%6.1f", 12: "%05.1f", 14: "%5.1f",
		16: "%5.1f", 18: "%5.1f", 19: "%5.1f", 20: "%6.1f", 22: "%6.1f", 24: "%5.2f", 26: "%5.1f"}
	most := map[int]float64{10: 1040, 12: 999}
	texts := map[int]string{0: "01001099999", 5: "JAN MAYEN NOR NAVY, NO", 21: " ", 23: " ", 25: "E", 27: "001000"}
	var data []byte
	var ends []int
	for i := range rows * 28 {
		column := i % 28
		switch form, number := numbers[column]; {
		case column == 1:
			data = fmt.Appendf(data, "2022-%02d-%02d", i%12+1, i%28+1)
		case number && strings.Contains(form, "%"):
			data = fmt.Appendf(data, form, r.Float64()*cmp.Or(most[column], 99)-20*float64(i%2))
		case number:
			data = append(data, form...)
		case texts[column] != "":
			data = append(data, texts[column]...)
		default:
			data = fmt.Appendf(data, "%2d", r.IntN(25))
		}
		ends = append(ends, len(data))
	}
	fields := make([]bucketload.Field, len(ends))
	for i, start := 0, 0; i < len(ends); i++ {
		fields[i] = bucketload.Field{Bytes: data[start:ends[i]], Quoted: true}
		start = ends[i]
	}
	for name, number := range map[string]Column{"float8": floatColumn, "numeric": numericColumn, "all": textColumn} {
		for _, nullIf := range []string{"", "999.9"} {
			if name == "all" && nullIf != "" {
				continue
			}
			b.Run(name+nullIf, func(b *testing.B) {
				columns := slices.Repeat([]Column{textColumn}, 28)
				if name != "all" {
					columns[1] = dateColumn
					for i := range numbers {
						columns[i] = number
						if nullIf != "" {
							columns[i].NullIf = []string{nullIf}
						}
					}
				}
				enc, err := NewEncoder(Choose(columns), columns)
				if err != nil {
					b.Fatal(err)
				}
				var buf []byte
				b.SetBytes(int64((len(data) + 3*len(fields)) / rows)) // with quotes and delimiters
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					at := i % rows * 28
					if buf, err = enc.Append(buf[:0], fields[at:at+28]); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// Of signs, digits and a point exactly those are numbers that strconv takes, in
// every length and with the point anywhere, and they are the same numbers.
func TestPlainNumberProperty(t *testing.T) {
	plain := rapid.OneOf(rapid.StringMatching(`[-+]?[0-9]{0,10}\.?[0-9]{0,10}`), rapid.StringMatching(`[-+]?[0-9]{0,3}\.?[0-9]{0,3}[-+.]?[0-9]{0,2}`),
		rapid.Map(rapid.Int64Range(-1<<55, 1<<55), func(n int64) string { return strconv.FormatInt(n, 10) }))
	rapid.Check(t, func(t *rapid.T) {
		s := plain.Draw(t, "s")
		if s == "" {
			return // NULL
		}
		want, invalid := strconv.ParseFloat(s, 64)
		got, err := encodeOne(Binary, floatColumn, s)
		if (err != nil) != (invalid != nil) || err == nil && binary.BigEndian.Uint64(got[field:]) != math.Float64bits(want) {
			t.Fatalf("%q became %x, %v; want %v, %v", s, got, err, want, invalid)
		}
		if _, err = encodeOne(Binary, numericColumn, s); (err != nil) != (invalid != nil) {
			t.Fatalf("numeric: %q: %v, want %v", s, err, invalid)
		}
		checkNumeric(t, s)
	})
}
