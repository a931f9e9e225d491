package pgcopy

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// written are ways to write values of a type, more or less well. What Postgres
// writes itself and still is refused here matches refused.
var written = []struct{ typ, pattern, refused string }{
	{"boolean", `(?i)t|true|yes|on|off|no|f|0|1|tr`, ""},
	{"smallint", `[-+]?[0-9]{1,6}`, ""},
	{"integer", `[-+]?[0-9]{1,11}`, ""},
	{"bigint", `[-+]?[0-9]{1,20}`, ""},
	{"oid", `[0-9]{1,11}`, ""},
	{"real", `[-+]?[0-9]{1,8}(\.[0-9]{0,9})?([eE][-+]?[0-9]{1,2})?|nan|-inf`, ""},
	{"double precision", `[-+]?[0-9]{0,18}(\.[0-9]{0,18})?([eE][-+]?[0-9]{1,3})?|NaN|Infinity`, ""},
	{"numeric", `[-+]?[0-9]{0,30}(\.[0-9]{0,30})?([eE][-+]?[0-9]{1,2})?|NaN|-Infinity`, ""},
	{"numeric(7,3)", `[-+]?[0-9]{1,5}(\.[0-9]{0,4}0{0,3})?`, ""},
	{"text", `[a-zäß€𝄞\\\t\n\r"', ]{0,12}`, ""},
	{"character varying(4)", `[a-zä€𝄞 ]{0,6}`, ""},
	{"character(3)", `[a-zä€𝄞]{0,4}`, ""},
	{`"char"`, `[a-z \\]{0,2}`, ""},
	{"name", `[a-zäß]{0,70}`, ""},
	{"date", `[0-9]{4}-[01]?[0-9]-[0-3]?[0-9]|infinity`, ` BC$|^\d{5}`},
	{"time without time zone", `[0-2][0-9]:[0-6][0-9](:[0-6][0-9](\.[0-9]{1,7})?)?`, ""},
	{"time(2) with time zone", `[0-2][0-9]:[0-5][0-9](:[0-5][0-9](\.[0-9]{1,3})?)?([-+][01][0-9](:?[0-5][0-9])?|Z)`, ""},
	{"timestamp without time zone", `[0-9]{4}-[01][0-9]-[0-3][0-9]([ T][0-2][0-9]:[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?)?|-infinity`, ` BC$|^\d{5}`},
	{"timestamp with time zone", `[0-9]{4}-[01][0-9]-[0-3][0-9][ T][0-2][0-9]:[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?([-+][01][0-9](:?[0-5][0-9])?|Z)`, ` BC$|^\d{5}`},
	{"interval", `([-+]?[0-9]{1,4}(\.[0-9]{1,3})? ?(y|years?|mons?|months|w|weeks?|d|days|h|hours|min|s|secs?|ms|us),? ?){1,4}([-+]?[0-9]{1,3}:[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?)?( ago)?`, ""},
	{"interval", `P(-?[0-9]{1,3}Y)?(-?[0-9]{1,3}M)?(-?[0-9]{1,3}W)?(-?[0-9]{1,4}(\.[0-9]{1,3})?D)?(T(-?[0-9]{1,3}H)?(-?[0-9]{1,3}M)?(-?[0-9]{1,3}(\.[0-9]{1,6})?S)?)?`, ""},
	{"interval", `([-+]?[0-9]{1,2}-[0-9]{1,2} )?([-+]?[0-9]{1,3} )?[-+]?[0-9]{1,3}:[0-5]?[0-9](:[0-5][0-9](\.[0-9]{1,6})?)?`, ""},
	{"interval(2)", `[0-9]{1,2}(\.[0-9]{1,3})? (s|min|days)`, ""},
	{"uuid", `\{?[0-9a-fA-F]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\}?`, ""},
	{"json", `\{"a": ?(1|"x"|null|\[1, ?2\]|true|-0\.5e3)\}|"[a-zä\\n]*"|[0-9.e-]{1,5}`, ""},
	{"jsonb", `\{"a": ?(1|"x"|null|\[1, ?2\]|true|-0\.5e3), ?"b": ?\{\}\}|"[a-zä\\n]*"|[0-9.e-]{1,5}`, ""},
	{"bytea", `\\x([0-9a-fA-F]{2}){0,6}|([a-zä]|\\\\|\\[0-3][0-7][0-7]){0,6}`, ""},
	{"inet", `[0-2]?[0-9]{1,2}(\.[0-2]?[0-9]{1,2}){3}(/[0-9]{1,2})?`, ""},
	{"inet", `([0-9a-f]{0,4}:){2,7}([0-9a-f]{0,4}|[0-9]{1,2}(\.[0-9]{1,2}){3})(/[0-9]{1,3})?`, ""},
	{"cidr", `([0-9a-f]{1,4}:){1,4}:(/[0-9]{1,3})?|[0-9]{1,2}(\.[0-9]{1,2})?(\.0){2,3}(/(8|16|24|32))?`, ""},
	{"macaddr", `[0-9a-f]{2}(:[0-9a-f]{2}){5}|[0-9a-fA-F]{2}(-[0-9a-f]{2}){5}|[0-9a-f]{4}(\.[0-9a-f]{4}){2}|[0-9a-f]{12}`, ""},
	{"macaddr8", `[0-9a-f]{2}(:[0-9a-f]{2}){7}|[0-9a-fA-F]{2}(-[0-9a-f]{2}){7}|[0-9a-f]{4}(\.[0-9a-f]{4}){3}|[0-9a-f]{16}`, ""},
	{"bit(5)", `B?[01]{4,6}|X[0-9a-f]{1,2}`, ""},
	{"bit varying(9)", `[bB]?[01]{0,10}|x[0-9A-F]{1,3}`, ""},
	{"mood", `sad|o k|ütterly|Sad|happy`, ""},
	{"shorter", `[a-z]{0,4}`, ""},
	{"integer[]", `\{([0-9]{1,3}|NULL| [0-9] |"[0-9]")(,([0-9]{1,3}|null)){0,3}\}|(\[-?[0-9]:[0-9]\]=)?\{[0-9](,[0-9]){0,3}\}`, ""},
	{"integer[]", `\{\{[0-9](,[0-9]){0,2}\}(,\{[0-9](,[0-9]){0,2}\}){0,2}\}|\{\{\{[0-9]\}\},\{\{NULL\}\}\}`, ""},
	{"text[]", `\{([a-zä ]{0,4}|"[a-zä ,{}]{0,4}(\\\\|\\")?"|\\[,{}\\"a])(, ?([a-z]{1,4}|NULL|"null"|"")){0,3}\}`, ""},
	{"numeric(5,2)[]", `\{[0-9]{1,3}(\.[0-9]{1,2}0?)?(,[0-9]{1,4}){0,2}\}`, ""},
	{"bytea[]", `\{"\\\\x([0-9a-f]{2}){0,3}"(,"(a|\\\\\\\\|\\\\[0-3][0-7][0-7])")?\}`, ""},
	{"interval[]", `\{([0-9]{1,2} (days|hours)|"[0-9]:[0-9]{2}")(,P[0-9]D)?\}`, ""},
	{"timestamp with time zone[]", `\{"[0-9]{4}-0[1-9]-[0-2][0-9] [01][0-9]:[0-5][0-9][-+]0[0-9]"(,NULL)?\}`, ` BC"|"\d{5}`},
	{"jsonb[]", `\{"(\{\\"a\\": ?[0-9]\}|[0-9]|null)"(,[0-9])?\}`, ""},
	{"mood[]", `\{(sad|"o k"|NULL)(,(sad|ütterly)){0,2}\}`, ""},
	{"scores", `\{[0-9](,[0-9]){0,3}\}`, ""},
	{"percent[]", `\{[0-9]{1,3}\.[0-9]{0,2}(,[0-9]{1,4}){0,2}\}`, ""},
	{"point", `\([0-9]{1,2},[0-9]\)|[0-9],[0-9]`, ""},
	{"int4range", `[\[(][0-9]?,[0-9]{1,2}[\])]|empty`, ""},
	{"money", `-?\$?[0-9]{1,5}(\.[0-9]{1,3})?`, ""},
	{"tsvector", `[a-z ]{0,8}|'a b':1A`, ""},
}

// TestOracle has Postgres' own parsing judge ours: what is taken here has the
// value that Postgres gives it, and what Postgres writes and reads is taken.
func TestOracle(t *testing.T) {
	seed := rand.Int()
	for _, major := range temptest.Majors(t) {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			conn := connect(t, temptest.Database(t, major))
			if _, err := conn.Exec(t.Context(), userTypes+`;
				CREATE FUNCTION parsed(value text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE result text; BEGIN
					EXECUTE format('INSERT INTO described VALUES (%L) RETURNING v::text', value) INTO result;
					RETURN result;
				EXCEPTION WHEN others THEN RETURN NULL; END $$`); err != nil {
				t.Fatal(err)
			}
			for i, w := range written {
				t.Run(fmt.Sprintf("%d %s", i, w.typ), func(t *testing.T) {
					oracle(t, conn, w.typ, w.pattern, w.refused, seed+100*i)
				})
			}
		})
	}
}

func oracle(t *testing.T, conn *pgx.Conn, typ, pattern, refused string, seed int) {
	column := describe(t, conn, typ)
	gen := rapid.StringMatching(pattern)
	random := rand.New(rand.NewPCG(uint64(seed), 0))
	values := make([]string, 60)
	for k := range values {
		values[k] = strings.Trim(gen.Example(seed+k), " ")
		if random.IntN(4) == 0 {
			values[k] = strings.Trim(spoilt(random, values[k]), " ")
		}
	}
	canonical := judge(t, conn, column, values)
	known := regexp.MustCompile(refused)
	// Postgres refuses some of what it writes: 23:23:00-16, of 23:23X16.
	for _, s := range judge(t, conn, column, canonical) {
		if _, err := encodeOne(Text, column, s); err != nil && s != "" && (refused == "" || !known.MatchString(s)) {
			t.Errorf("%q, as Postgres writes it, is refused: %v", s, err)
		}
	}
}

// spoilt is s with a byte more, less, or another one.
func spoilt(random *rand.Rand, s string) string {
	const letters = "0123456789 -+.:/,;eExXTZ{}[]()\"'\\=NaB"
	letter := string(letters[random.IntN(len(letters))])
	runes := []rune(s)
	if len(runes) == 0 {
		return letter
	}
	i := random.IntN(len(runes))
	switch before, after := string(runes[:i]), string(runes[i+1:]); random.IntN(3) {
	case 0:
		return before + after
	case 1:
		return before + letter + after
	default:
		return before + letter + string(runes[i:])
	}
}

// judge loads those of the values that are taken, in the formats there are, and
// compares with what Postgres makes of them. It gives what Postgres writes for
// those that it takes.
func judge(t *testing.T, conn *pgx.Conn, column Column, values []string) (canonical []string) {
	t.Helper()
	result, err := conn.Query(t.Context(), `SELECT parsed(v) FROM unnest($1::text[]) WITH ORDINALITY AS u (v, i) ORDER BY i`, values)
	if err != nil {
		t.Fatal(err)
	}
	want, err := pgx.CollectRows(result, pgx.RowTo[*string])
	if err != nil {
		t.Fatal(err)
	}
	for i := range values {
		if want[i] != nil && (!column.TakesEmpty() || *want[i] != "") {
			canonical = append(canonical, *want[i])
		}
	}
	for _, format := range []Format{Binary, Text} {
		if column.kind() == other && format == Binary {
			continue
		}
		var rows [][]bucketload.Field
		var taken []int
		for i, s := range values {
			if _, err := encodeOne(format, column, s); err != nil || s == "" && !column.TakesEmpty() {
				continue
			}
			if want[i] == nil {
				if column.kind() != other {
					t.Errorf("format %d: %q is taken, and Postgres refuses it", format, s)
				}
				continue
			}
			taken = append(taken, i)
			rows = append(rows, []bucketload.Field{{Bytes: fmt.Append(nil, len(rows))}, {Bytes: []byte(s), Quoted: true}})
		}
		for n, got := range load(t, conn, format, column, rows) {
			if i := taken[n]; got == nil || *got != *want[i] {
				t.Errorf("format %d: %q became %q, Postgres makes it %q", format, values[i], deref(got), *want[i])
			}
		}
	}
	return canonical
}
