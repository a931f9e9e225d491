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
	{typ: "interval", good: []string{"1 day", "02:30"}},
	{typ: "inet", good: []string{"10.0.0.1/8"}},
}

func TestAgainstPostgres(t *testing.T) {
	for _, major := range temptest.Majors(t) {
		conn := connect(t, temptest.Database(t, major))
		for _, v := range values {
			if v.typ == "numeric(3,-2)" || v.typ == "numeric(2,4)" {
				if major < 15 {
					continue
				}
			}
			t.Run(fmt.Sprintf("%d/%s", major, v.typ), func(t *testing.T) {
				column := describe(t, conn, v.typ)
				for _, format := range []Format{Binary, Text} {
					if format == Binary && kindOf(column) == other {
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

func encodeOne(format Format, column Column, value string) ([]byte, error) {
	enc, err := NewEncoder(format, []Column{column})
	if err != nil {
		return nil, err
	}
	return enc.Append(nil, []bucketload.Field{{Bytes: []byte(value), Quoted: true}})
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
	return c
}

func connect(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	if _, err := conn.Exec(context.Background(), "SET TimeZone = 'UTC'"); err != nil {
		t.Fatal(err)
	}
	return conn
}
