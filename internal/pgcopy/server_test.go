package pgcopy

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

func TestMain(m *testing.M) { os.Exit(temptest.Run(m)) }

// values are for one type: those that we take and load as Postgres casts them,
// those that both refuse, and those that only we refuse, as Postgres would
// change them or guess.
var values = []struct {
	typ                   string
	good, bad, ourRefusal []string
}{
	{typ: "boolean", good: []string{"t", "true", "TRUE", "y", "Yes", "on", "1", " 1 ", "f", "False", "n", "no", "off", "0"},
		bad: []string{"2", "ja", "o", "truely", "-1", "1.0"}, ourRefusal: []string{"tr", "fal"}},
	{typ: "smallint", good: []string{"0", "-0", "+7", "32767", "-32768", "  12\t", "00012"},
		bad: []string{"32768", "-32769", "1.0", "1e2", "", "-", "+", "1 2", "--1", "99999999999999999999999", "x", "１"}},
	{typ: "integer", good: []string{"2147483647", "-2147483648", "0"}, bad: []string{"2147483648", "-2147483649", "1,000"}},
	{typ: "bigint", good: []string{"9223372036854775807", "-9223372036854775808", "-1"},
		bad: []string{"9223372036854775808", "-9223372036854775809", "18446744073709551616", "184467440737095516160"}},
	{typ: "real", good: []string{"1", "0.1", "-0", "3.4028235e38", "1e-45", "1.17549435e-38", "16777217", "NaN", "inf", "-Infinity", "0.30000001192092896"},
		bad: []string{"1e39", "-1e39", "1e-46", "1e", "x", "."}},
	{typ: "double precision", good: []string{"1", "0.1", "-0", "  12.1", "9007199254740993", "1e22", "1e23", "123456789e-22", "1.7976931348623157e308", "5e-324",
		"2.2250738585072011e-308", "1e-22", "1e-23", "NaN", "nan", "Inf", "+Infinity", "-infinity", ".5", "5.", "+1.5", "1E5", "00012.50", "0e999",
		"123456789012345678901234567890", "0.000000000000000000000000000000000000000001", "184467440737095516.17"},
		bad: []string{"1e309", "1e-400", "-1e999999999999", "1e", "e5", ".", "-", "1.2.3", "1_0", "1 e5", "12a", "infin"}},
	{typ: "numeric", good: []string{"0", "-0", "0.00", "1", "10", "10000", "100000000", "0.1", "0.0001", "0.00001", "-123.456", "+5", ".5", "5.", "00012.3400", "  12.1",
		"9999.9", "1e5", "1E-5", "1.5e3", "1.5e-3", "123e-2", "1234567890123456", "12345678901234567", "0.1234567890123456", "0.12345678901234567",
		"123456789012345678901234567890.123456789012345678901234567890", "18446744073709551616", "184467440737095516160", "9223372036854775808",
		"1e131071", "1e-16383", "-9.99e100", "NaN", "nan", "Infinity", "-inf", "0e10", "0e-10", "1000000000000000000000", "1.10", "100.0000", "00000000000000000000000000001",
		"0." + strings.Repeat("0", 40) + "1", strings.Repeat("9", 400) + "." + strings.Repeat("9", 400)},
		bad: []string{"1e131072", "1e-16384", "0e-16384", "x", "", "1e", ".", "1.2.3", "--1", "+-1", "1e5.5", "1 2", "1e999999999999999999999", "2?.1", "12,5", "infx"}},
	{typ: "numeric(5,2)", good: []string{"1", "1.2", "999.99", "-999.99", "1.2000", "0.001e1", "12345e-2", "NaN", "0", "0.00000"},
		bad: []string{"1000", "99999", "1e3", "Infinity", "-inf"}, ourRefusal: []string{"1.234", "0.001", "999.994"}},
	{typ: "numeric(3,0)", good: []string{"999", "1.0", "1e2"}, bad: []string{"1000"}, ourRefusal: []string{"0.5", "1.5"}},
	{typ: "numeric(3,-2)", good: []string{"100", "99900", "0", "1e4"}, bad: []string{"100000"}, ourRefusal: []string{"150", "1"}},
	{typ: "numeric(2,4)", good: []string{"0.0099", "0.001"}, bad: []string{"0.01"}, ourRefusal: []string{"0.00001"}},
	{typ: "text", good: []string{"a", " a ", "", "\\N", `a\b`, "tab\tnew\nline\rret", "äöü€𝄞", `\.`, "00501", "NaN", "\b\f\v"}},
	{typ: "character varying(3)", good: []string{"abc", "äöü", "𝄞𝄞𝄞", " a ", ""}, bad: []string{"abcd", "äöüß", "a   b"}, ourRefusal: []string{"abc "}},
	{typ: "character(3)", good: []string{"abc", "a", "äöü"}, bad: []string{"abcd"}, ourRefusal: []string{"abc "}},
	{typ: "date", good: []string{"2022-01-01", "2000-02-29", "1900-02-28", "0001-01-01", "9999-12-31", "infinity", "-Infinity", " 2022-01-01 ", "1999-12-31", "1600-03-01"},
		bad:        []string{"2022-02-29", "1900-02-29", "2022-13-01", "2022-00-10", "2022-01-32", "0000-01-01", "x"},
		ourRefusal: []string{"01/02/2022", "2022-1-1", "20220101", "2022-01-01 12:00", "January 1, 2022", "today", "2022/01/01"}},
	{typ: "time without time zone", good: []string{"00:00", "23:59:59.999999", "24:00:00", "12:34", "12:34:56", "12:34:56.7", "12:34:56.1234560000"},
		bad: []string{"25:00", "12:60", "12", "12:34:56:78", "24:00:01", "infinity"}, ourRefusal: []string{"12:34:56.1234567", "12:34:60", "1:00", "12:34:56Z", "12:34 PM"}},
	{typ: "timestamp without time zone", good: []string{"2022-01-01", "2022-01-01 12:34", "2022-01-01T12:34:56", "2022-01-01 12:34:56.123456", "0001-01-01 00:00:00",
		"9999-12-31 23:59:59.999999", "1999-12-31 23:59:59.5", "2022-12-31 24:00:00", "infinity", "-infinity", "1970-01-01 00:00:00.000001"},
		bad:        []string{"2022-02-30 00:00", "2022-01-01 24:01", "2022-01-01 12:61", "x", "2022-01-01T", "2022-01-01 12"},
		ourRefusal: []string{"2022-01-01 12:34Z", "2022-01-01 12:34:56+02", "2022-01-01 12:34:56.1234567", "2022-01-01 00:00:60", "Jan 1 2022"}},
	{typ: "timestamp(0) without time zone", good: []string{"2022-01-01 12:34:56", "2022-01-01 12:34:56.000"}, ourRefusal: []string{"2022-01-01 12:34:56.5"}},
	{typ: "timestamp with time zone", good: []string{"2022-01-01 12:34:56Z", "2022-01-01T12:34:56+02", "2022-01-01 12:34:56-0330", "2022-01-01 12:34:56.5+05:45",
		"2022-01-01 12:34:56 +01:00", "2022-01-01 12:34:56 UTC", "2022-01-01 12:34", "2022-07-01", "0001-01-01 00:00:00+15", "9999-12-31 23:59:59-15", "1890-01-01 00:00:00+00:53:28", "infinity", "-infinity"},
		bad:        []string{"2022-01-01 12:34+16", "2022-01-01 12:34+02:60", "2022-02-30 00:00Z", "2022-01-01 12:34 Nowhere/Else"},
		ourRefusal: []string{"2022-01-01 12:34:56.1234567Z", "2022-01-01 12:34 Europe/Berlin", "2022-01-01 12:34 PST"}},
	{typ: "uuid", good: []string{"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "A0EEBC999C0B4EF8BB6D6BB9BD380A11", "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}"},
		bad: []string{"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a112", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "g0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
			"a-0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11-"}},
	{typ: "json", good: []string{`{"a": [1, 2.50, null]}`, `"x"`, "1", `{"a":1,"a":2}`, `"ä"`, `"a\nb"`}, bad: []string{"{", "{a:1}", "nul", "'x'", "\"a\nb\"", "01"}},
	{typ: "jsonb", good: []string{`{"b": 1, "a": [1, 2.50]}`, `"x"`, "1", `"\u00e4"`}, bad: []string{"{", "{a:1}", "1 2"}},
	{typ: "bytea", good: []string{`\x`, `\xdeadBEEF`, `abc`, `a\\b`, `\000\377x`, "ä"}, bad: []string{`\xabc`, `\xzz`, `\8`, `\400`, `a\`}},
	{typ: "interval", good: []string{"1 day", "02:30", "1 year 2 mons 3 days 04:05:06.7", "1 y 2 mon 3w 4d 5h 6min 7s", "3 weeks", "-1 day", "+1 day -2 hours", "-1 day +02:03:04.5", "@ 1 hour 2 mins ago",
		"@ 1 minute", "1 day, 2:03:04", "1.5 days", "0.25 hours", "1.5 weeks", "2.5 years", "1.000001 s", "100:00:00", "-00:00:01", "1-2", "-1-2", "+1-2 -3 +4:05:06", "1-2 3 4:05:06", "3 4:05:06", "5 days 6:07",
		"500 ms", "1 s 500 ms 7 us", "P1Y2M3W4DT5H6M7.8S", "PT36H", "P-1Y3DT-4H", "P1W", "PT0.000001S", "P0.5Y", "P1DT-0.5S", "P10675199DT2H", "1 decade", "2 centuries", "1Day", "0 days",
		"-1 years -2 mons +3 days -04:05:06.000001", "  1 day ", "2147483647 days", "178000000 years"},
		bad:        []string{"1 fortnight", "P", "P1H", "PT1Y", "1 day 2 days", "1 hour 02:03", "1:60", "1:00:61", "1-13", "ago", "day", "1 day x", "1 dayz", "--1 day", "2147483648 days", "178956971 years", "x", "P1D2", "1 day ago 2 days"},
		ourRefusal: []string{"90", "1.5 months", "1 m", "-1 day 02:03", "-1 year 2 mons", "12:34.5", "00:00:60", "0.0000001 s", "P0001-02-03T04:05:06", "1.5", "P0001-02", "PT", "P1", "P1DT", "- 1 day"}},
	{typ: "interval(3)", good: []string{"1.123 s", "1 day 00:00:00.5"}, ourRefusal: []string{"1.1234 s", "00:00:00.0001"}},
	{typ: "interval(0)", good: []string{"1 s", "1 mon"}, ourRefusal: []string{"1.1 s"}},
	{typ: "interval year to month", good: []string{"1-2", "3 years"}},
	{typ: "time with time zone", good: []string{"12:34:56+02", "12:34Z", "00:00:00.5-03:30", "24:00:00+05", "12:34:56", "01:02:03 +15:59:59"},
		bad: []string{"25:00Z", "12:34+16", "x"}, ourRefusal: []string{"12:34 PST", "1:00Z", "12:34:56.1234567Z"}},
	{typ: "inet", good: []string{"10.0.0.1/8", "10.0.0.1", "0.0.0.0/0", "255.255.255.255", "::", "::1", "1::", "2001:db8::ff00:42:8329/64", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4", "1:2:3:4:5:6:1.2.3.4", "FE80::/10", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "10.0.0.1/32", "::1/128"},
		bad:        []string{"256.0.0.1", "10.0.0.1/33", "::1/129", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", ":::", "1::2::3", "1:2:3:4:5:6:7:8::", "g::", "10.0.0.1/", "10.0.0.1/-1", "fe80::1%eth0", "1.2.3.4.5", ":1", "1:", "12345::", "10.0.0.x"},
		ourRefusal: []string{"10.0.0/24", "::1.2.3", "010.0.0.1", "10.0.0.1/08"}},
	{typ: "cidr", good: []string{"10.0.0.0/8", "10.1.2.3/32", "10.1.2.3", "::/0", "2001:db8::/32", "0.0.0.0/0"}, bad: []string{"10.0.0.1/8", "2001:db8::1/32", "x"}, ourRefusal: []string{"10/8", "192.168"}},
	{typ: "macaddr", good: []string{"08:00:2b:01:02:03", "08-00-2B-01-02-03", "0800.2b01.0203", "0800-2b01-0203", "08002b010203"}, bad: []string{"08:00:2b:01:02", "08:00:2b:01:02:0g", "08:00:2b:01:02:03:04", "0800:2b01:0203", "08:00-2b:01:02:03x"},
		ourRefusal: []string{"8:0:2b:1:2:3", "08002b:010203"}},
	{typ: "macaddr8", good: []string{"08:00:2b:01:02:03:04:05", "08-00-2b-01-02-03-04-05", "0800.2b01.0203.0405", "08002b0102030405"}, bad: []string{"08:00:2b:01:02:03:04", "x"}, ourRefusal: []string{"08:00:2b:01:02:03"}},
	{typ: "oid", good: []string{"0", "4294967295", " 26 "}, bad: []string{"4294967296", "x", "1.0"}, ourRefusal: []string{"-1"}},
	{typ: `"char"`, good: []string{"a", " ", "", "~", "\\"}, ourRefusal: []string{"ab", "\\101"}},
	{typ: "name", good: []string{"a", " a b", "", strings.Repeat("x", 63), "äö"}, ourRefusal: []string{strings.Repeat("x", 64), strings.Repeat("ä", 32)}},
	{typ: "bit(3)", good: []string{"101", "B101", "b000"}, bad: []string{"102", "XG"}, ourRefusal: []string{"10", "1010", "XF"}},
	{typ: "bit(12)", good: []string{"101010101010", "XFA0", "xfff"}},
	{typ: "bit varying", good: []string{"1", "10101010", "101010101", "XDEADBEEF", "X1", "B1"}, bad: []string{"12", "x0g", "1 0"}},
	{typ: "bit varying(4)", good: []string{"1", "1010"}, ourRefusal: []string{"10101"}},
	{typ: "mood", good: []string{"sad", "o k", "ütterly"}, bad: []string{"happy", "Sad", "sa", "sad2"}},
	{typ: "feeling", good: []string{"sad", "o k"}, bad: []string{"happy"}},
	{typ: "short", good: []string{"abc", "", " a "}, ourRefusal: []string{"abcd"}},
	{typ: "shorter", good: []string{"abc", "x"}, ourRefusal: []string{"abcd"}},
	{typ: "percent", good: []string{"100.00", "1.5"}, bad: []string{"x", "1000"}},
	{typ: "integer[]", good: []string{"{}", "{1}", "{1,2,NULL}", " { 1 , -2 } ", "{{1,2},{3,4}}", "{{{1}},{{2}}}", "[0:2]={1,2,3}", "[-2:-1][5:5]={{1},{2}}", "{null,Null}", `{"1","2"}`, "{ }", "[1:1]={1}", `{\1}`},
		bad:        []string{"{", "}", "{1", "1", "{1,}", "{,1}", "{1,,2}", "{1}x", "{{1},{2,3}}", "{{1},2}", "{1,{2}}", "{x}", "{99999999999}", `{""}`, `{"1}`, "[0:1]={1}", "[1:0]={}", "[0:2][0:1]={1,2,3}", "{{{{{{{1}}}}}}}", "{1 2}", `{"NULL"}`, "{1;2}", "[0:2]=", "[a:b]={1}", `{1"2"}`, "{{1},NULL}", "[2147483647:2147483647]={1}", "{1}}"},
		ourRefusal: []string{"[2]={1,2}", `{" 1"}`}},
	{typ: "text[]", good: []string{`{a,"b c"," d ",""}`, `{a b, c }`, `{"a\"b","c\\d",e\,f}`, `{NULL,"NULL",nu\ll}`, "{\"{}\",\",\"}", "{ä,€,𝄞}", `{"a` + "\n\t" + `b"}`, `{{a,b},{"",NULL}}`, `{a\ }`},
		bad: []string{"{a,}", `{"a}`, `{"a"b}`, "{}}", `{a\`}},
	{typ: "character varying(3)[]", good: []string{"{abc,NULL}", "{{äöü},{a}}"}, ourRefusal: []string{"{abcd}", `{a,"abc "}`}},
	{typ: "numeric(5,2)[]", good: []string{"{1.5,999.99}", "{NaN}"}, ourRefusal: []string{"{1.234}"}},
	{typ: "numeric[]", good: []string{"{1.50,1e10,-0.001,NULL}"}},
	{typ: "double precision[]", good: []string{"{1.5,NaN,-Infinity}"}, bad: []string{"{1e400}"}},
	{typ: "boolean[]", good: []string{"{t,false,YES,NULL}"}, bad: []string{"{ja}"}},
	{typ: "date[]", good: []string{"{2022-01-01,infinity}"}, bad: []string{"{2022-02-30}"}},
	{typ: "timestamp with time zone[]", good: []string{`{"2022-01-01 12:34:56+02",2022-01-01}`}},
	{typ: "time with time zone[]", good: []string{`{12:34+02}`}},
	{typ: "interval[]", good: []string{`{"1 day","-1 days +02:03:00"}`}},
	{typ: "uuid[]", good: []string{`{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,NULL}`}},
	{typ: "jsonb[]", good: []string{`{"{\"a\": [1, 2]}","null",1,NULL}`}, bad: []string{"{a}"}},
	{typ: "bytea[]", good: []string{`{"\\xdead","a\\\\b"}`}},
	{typ: "inet[]", good: []string{`{10.0.0.1,::1/64}`}},
	{typ: "mood[]", good: []string{`{sad,"o k",NULL}`}, bad: []string{"{happy}", "{Sad}"}},
	{typ: "feeling[]", good: []string{`{sad}`}, bad: []string{"{happy}"}},
	{typ: "percent[]", good: []string{`{1.5,100}`}, bad: []string{"{1000}"}},
	{typ: "scores", good: []string{`{1,2}`, "{}"}, bad: []string{"{x}"}},
	{typ: "bit(3)[]", good: []string{`{101,B000}`}, ourRefusal: []string{"{1}"}},
	// By text.
	{typ: "point", good: []string{"(1,2)", "3, 4"}},
	{typ: "box[]", good: []string{"{(2,2),(1,1);(4,4),(3,3)}"}},
	{typ: "money", good: []string{"12.34", "$1,000.00"}},
	{typ: "int4range", good: []string{"[1,5)", "empty"}},
	{typ: "tsvector", good: []string{"a b", ""}},
	{typ: "xml", good: []string{"<a/>"}},
	{typ: "pair", good: []string{"(1,x)"}},
	{typ: "int2vector", good: []string{"1 2"}},
	{typ: "pg_lsn", good: []string{"1/2"}},
	{typ: "point[]", good: []string{`{"(1,2)"}`}},
}

// userTypes are types that values uses.
const userTypes = `
	CREATE TYPE mood AS ENUM ('sad', 'o k', 'ütterly'); CREATE DOMAIN feeling AS mood; CREATE TYPE pair AS (a int, b text);
	CREATE DOMAIN short AS varchar(3); CREATE DOMAIN shorter AS short CHECK (VALUE <> 'bad');
	CREATE DOMAIN percent AS numeric(5,2); CREATE DOMAIN scores AS int[]`

func TestAgainstPostgres(t *testing.T) {
	for _, major := range temptest.Majors(t) {
		conn := connect(t, temptest.Database(t, major))
		if _, err := conn.Exec(t.Context(), userTypes); err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			if v.typ == "numeric(3,-2)" || v.typ == "numeric(2,4)" {
				if major < 15 {
					continue
				}
			}
			t.Run(fmt.Sprintf("%d/%s", major, v.typ), func(t *testing.T) {
				column := describe(t, conn, v.typ)
				for _, format := range []Format{Binary, Text} {
					if format == Binary && column.kind() == other {
						continue
					}
					compareGood(t, conn, format, column, v.good)
					for _, s := range append(append([]string{}, v.bad...), v.ourRefusal...) {
						if got, err := encodeOne(format, column, s); err == nil && s != "" {
							t.Errorf("format %d: %q was taken as %q", format, s, got)
						}
					}
				}
				for _, s := range v.bad {
					if _, err := conn.Exec(t.Context(), "SELECT '"+strings.ReplaceAll(s, "'", "''")+"'::"+v.typ); err == nil && column.TypMod < 0 {
						t.Errorf("Postgres takes %q", s)
					}
				}
				for _, s := range v.ourRefusal {
					if _, err := conn.Exec(t.Context(), "SELECT '"+s+"'::"+v.typ); err != nil {
						t.Errorf("Postgres refuses %q too: %v", s, err)
					}
				}
			})
		}
	}
}

// compareGood loads the values with COPY and compares with Postgres' own cast.
func compareGood(t *testing.T, conn *pgx.Conn, format Format, column Column, values []string) {
	t.Helper()
	rows := make([][]bucketload.Field, len(values))
	for i, s := range values {
		rows[i] = []bucketload.Field{{Bytes: fmt.Append(nil, i)}, {Bytes: []byte(s), Quoted: true}}
	}
	got := load(t, conn, format, column, rows)
	for i, s := range values {
		var want string
		if err := conn.QueryRow(t.Context(), "SELECT (CAST ($1::text AS "+column.TypeName+"))::text", s).Scan(&want); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if got[i] == nil || *got[i] != want {
			t.Errorf("format %d: %q: want %q, got %v", format, s, want, deref(got[i]))
		}
	}
}

func deref(s *string) string {
	if s == nil {
		return "NULL"
	}
	return *s
}

// load copies rows of a number and a value into a new table and reads the
// values back as text. COPY runs in another time zone than the query.
func load(t testing.TB, conn *pgx.Conn, format Format, column Column, rows [][]bucketload.Field) []*string {
	t.Helper()
	ctx := context.Background()
	exec := func(sql string) {
		t.Helper()
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	exec("DROP TABLE IF EXISTS loaded; CREATE TABLE loaded (n int, v " + column.TypeName + ")")
	column.Name = "v"
	enc, err := NewEncoder(format, []Column{{Name: "n", OID: 23, TypMod: -1, TypeName: "integer"}, column})
	if err != nil {
		t.Fatal(err)
	}
	stream := enc.AppendHeader(nil)
	for _, row := range rows {
		if stream, err = enc.Append(stream, row); err != nil {
			t.Fatalf("%q: %v", row[1].Bytes, err)
		}
	}
	stream = enc.AppendTrailer(stream)
	sql := "COPY loaded FROM STDIN"
	if format == Binary {
		sql += " (FORMAT binary)"
	}
	exec("SET TimeZone = 'Asia/Kolkata'")
	if _, err := conn.PgConn().CopyFrom(ctx, bytes.NewReader(stream), sql); err != nil {
		t.Fatal(err)
	}
	exec("SET TimeZone = 'UTC'")
	result, err := conn.Query(ctx, "SELECT v::text FROM loaded ORDER BY n")
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(result, pgx.RowTo[*string])
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// encodeOne encodes a value, with and without room for the quick ways, which
// must give the same.
func encodeOne(format Format, column Column, value string) ([]byte, error) {
	enc, err := NewEncoder(format, []Column{column})
	if err != nil {
		return nil, err
	}
	row := func(room int) []bucketload.Field {
		return []bucketload.Field{{Bytes: append(make([]byte, 0, len(value)+room), value...), Quoted: true}}
	}
	slow, err := enc.Append(nil, row(0))
	quick, unlike := enc.Append(make([]byte, 0, 64), row(16)) // where the quick ways have room
	if !bytes.Equal(slow, quick) || (err == nil) != (unlike == nil) {
		return quick, fmt.Errorf("%q is %x (%v), and where there is room %x (%v)", value, slow, err, quick, unlike)
	}
	return slow, err
}

// describe asks Postgres for a type's OID and modifier.
func describe(t testing.TB, conn *pgx.Conn, typ string) Column {
	t.Helper()
	c := Column{Name: "v"}
	ctx := context.Background()
	if _, err := conn.Exec(ctx, "DROP TABLE IF EXISTS described; CREATE TABLE described (v "+typ+")"); err != nil {
		t.Fatal(err)
	}
	err := conn.QueryRow(ctx, `SELECT atttypid, atttypmod, format_type(atttypid, atttypmod) FROM pg_attribute
		WHERE attrelid = 'described'::regclass AND attname = 'v'`).Scan(&c.OID, &c.TypMod, &c.TypeName)
	if err != nil {
		t.Fatal(err)
	}
	var is catalogType
	if c.Base, is = below(t, conn, c.OID, c.TypMod); is.array {
		c.Element = is.element
		c.Elem, _ = below(t, conn, c.Element, c.Base.Mod)
	}
	return c
}

type catalogType struct {
	domain, array bool
	under         uint32
	mod           int32
	element       uint32
}

// below looks the type up that is below domains.
func below(t testing.TB, conn *pgx.Conn, oid uint32, mod int32) (Type, catalogType) {
	t.Helper()
	b := Type{OID: oid, Mod: mod}
	var is catalogType
	err := conn.QueryRow(context.Background(), `SELECT format_type(oid, NULL), typcategory::text, typtype = 'd', typinput = 'array_in'::regproc, typbasetype, typtypmod, typelem,
			CASE WHEN typtype = 'e' THEN ARRAY(SELECT enumlabel FROM pg_enum WHERE enumtypid = $1) END::text[]
		FROM pg_type WHERE oid = $1`, oid).Scan(&b.Name, &b.Category, &is.domain, &is.array, &is.under, &is.mod, &is.element, &b.Labels)
	if err != nil {
		t.Fatal(err)
	}
	if is.domain {
		return below(t, conn, is.under, is.mod)
	}
	return b, is
}

func connect(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // tables of one name have columns of several types
	conn, err := pgx.ConnectConfig(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	if _, err := conn.Exec(context.Background(), "SET TimeZone = 'UTC'"); err != nil {
		t.Fatal(err)
	}
	return conn
}
