package config

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bucketload/bucketload"
)

// usageOf fails the test unless err is a usage error on one line.
func usageOf(t *testing.T, err error) *bucketload.Error {
	t.Helper()
	var e *bucketload.Error
	if !errors.As(err, &e) || e.Code != bucketload.CodeUsage || e.Op != "config" {
		t.Fatalf("got %#v, want a usage error", err)
	}
	if strings.ContainsAny(e.Error()+e.Hint, "\n\r") {
		t.Fatalf("more than one line: %q, hint %q", e.Error(), e.Hint)
	}
	return e
}

func mustParse(t *testing.T, text string) *File {
	t.Helper()
	f, err := Parse("bucketload.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func mustLoad(t *testing.T, text string, flags Flags, names ...string) *bucketload.Load {
	t.Helper()
	loads, err := mustParse(t, text).Loads(names, flags)
	if err != nil {
		t.Fatal(err)
	}
	return loads[0]
}

func on() *bool { v := true; return &v }

func TestTheWholeFile(t *testing.T) {
	f, err := Read("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	loads, err := f.Loads(nil, Flags{})
	if err != nil {
		t.Fatal(err)
	}
	want := builtin()
	want.Key = "year_2022"
	want.Table = bucketload.TableName{Schema: "public", Name: "year_2022"}
	want.From = []string{"s3://noaa-gsod-pds/2022/*.csv"}
	want.S3 = bucketload.S3{Region: "us-east-1", Anonymous: true}
	want.Format = bucketload.FormatCSV
	want.CSV.Delimiter = ","
	want.JSON.Records = "$"
	want.CSVOpen = []string{"decimal", "thousands"}
	want.Columns = []bucketload.Column{
		{Name: "station_id", From: []string{"STATION"}, Type: "text"},
		{Name: "date", From: []string{"DATE"}, Type: "date", Format: []string{"YYYY-MM-DD"}},
		{Name: "temp", From: []string{"TEMP", "TMP"}, Type: "numeric", NullIf: []string{"9999.9"}, Trim: on()},
	}
	want.Tolerate.Files = bucketload.Share{Percent: 1, IsShare: true}
	want.Indexes = []string{"(station_id, date)"}
	want.Checks = bucketload.Checks{Rows: bucketload.RowRange{Min: 1}, VsLive: 90, NullShare: map[string]bucketload.Share{"temp": {Percent: 5, IsShare: true}, "date": {}},
		Unique: [][]string{{"station_id", "date"}, {"name"}}, SQL: []string{"SELECT * FROM {staging} WHERE temp > 60"}}
	if len(loads) != 1 || !reflect.DeepEqual(*loads[0], want) {
		t.Errorf("got  %+v\nwant %+v", loads[0], want)
	}
}

func TestBuiltinDefaultsAreTheDesigns(t *testing.T) {
	got, err := AdHoc("year_2022", Flags{From: []string{"s3://noaa-gsod-pds/2022/*.csv"}})
	if err != nil {
		t.Fatal(err)
	}
	want := &bucketload.Load{
		Key: "year_2022", Table: bucketload.TableName{Schema: "public", Name: "year_2022"}, From: []string{"s3://noaa-gsod-pds/2022/*.csv"},
		Format: "auto", Compression: "auto",
		CSV:     bucketload.CSV{Quote: `"`, Escape: `"`, Header: true, Encoding: "utf-8", UnquotedBlanks: "keep", StrayQuotes: "reject", Ragged: "reject", InvalidUTF8: "reject", NUL: "reject"},
		CSVOpen: []string{"delimiter", "quote", "escape", "header", "encoding", "comment", "skip_head", "skip_foot", "unquoted_blanks", "decimal", "thousands"},
		Loader:  "stream", Mode: "replace", OnChanged: "fail", LowerCase: true, Unknown: "fail", Missing: "fail", OnDuplicate: "reject",
		MaxConcurrency: 4, MaxItemsPerBatch: 25, MinBatchBytes: 8_000_000, Retries: 1, KeepBackups: 1, LockTimeout: 2 * time.Second,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestLayers(t *testing.T) {
	const topicA, topicB = "arn:aws:sns:us-east-1:123456789012:a", "arn:aws:sns:us-east-1:123456789012:b.fifo"
	const text = `
notify: {sns: ` + topicA + `}
defaults:
  max_concurrency: 8
  csv: {delimiter: ";", comment: "#"}
  exclude: [a, b]
  tolerate: {files: 5}
tables:
  t:
    from: s3://b/t/
    csv: {comment: "%"}
    exclude: [c]
    retries: 3
  u: {from: s3://b/u/, tolerated_failure_percentage: 2.5}
`
	f := mustParse(t, text)
	loads, err := f.Loads(nil, Flags{Set: []string{"retries=7", "notify.sns=" + topicB, "csv.quote='", `indexes=["(a)", "(b, c)"]`, "s3.region=eu-west-1"}, Exclude: []string{"z"}})
	if err != nil {
		t.Fatal(err)
	}
	l, u := loads[0], loads[1]
	want := bucketload.CSV{Delimiter: ";", Quote: "'", Escape: `"`, Header: true, Encoding: "utf-8", Comment: "%",
		UnquotedBlanks: "keep", StrayQuotes: "reject", Ragged: "reject", InvalidUTF8: "reject", NUL: "reject"}
	if l.CSV != want {
		t.Errorf("mappings merge by key: got %+v, want %+v", l.CSV, want)
	}
	if l.MaxConcurrency != 8 || l.Retries != 7 || u.Retries != 7 || l.Tolerate.Files.Count != 5 || l.S3.Region != "eu-west-1" || l.NotifySNS != topicB {
		t.Errorf("got %+v", l)
	}
	if u.Tolerate.Files != (bucketload.Share{Percent: 2.5, IsShare: true}) {
		t.Errorf("the table's other word does not override the default: %v", u.Tolerate.Files)
	}
	if !slices.Equal(l.Exclude, []string{"z"}) || !slices.Equal(l.Indexes, []string{"(a)", "(b, c)"}) {
		t.Errorf("lists are replaced: got %q %q", l.Exclude, l.Indexes)
	}
	again, err := f.Loads([]string{"t"}, Flags{})
	if err != nil || again[0].Retries != 3 || again[0].S3.Region != "" || again[0].NotifySNS != topicA || !slices.Equal(again[0].Exclude, []string{"c"}) {
		t.Errorf("flags of one call stayed in the file: %+v, %v", again[0], err)
	}
}

func TestTextStaysAsWritten(t *testing.T) {
	l := mustLoad(t, `
tables:
  t:
    from: x/
    columns:
      no: {from: NO, null_if: [9999.9, 999.90, 007, no, null, ~, true, 0x1F, 1_000, "", ' a', -0, .inf, 2022-01-01]}
      1.50: numeric
      007: {null_if: 99.990}
      null: {null_if: null}
      "<<": text
      bare:
      ünï "q":
        from: [1.0, On]
`, Flags{})
	want := []bucketload.Column{
		{Name: "no", From: []string{"NO"}, NullIf: []string{"9999.9", "999.90", "007", "no", "null", "~", "true", "0x1F", "1_000", "", " a", "-0", ".inf", "2022-01-01"}},
		{Name: "1.50", Type: "numeric"},
		{Name: "007", NullIf: []string{"99.990"}},
		{Name: "null", NullIf: []string{"null"}},
		{Name: "<<", Type: "text"},
		{Name: "bare"},
		{Name: `ünï "q"`, From: []string{"1.0", "On"}},
	}
	if !reflect.DeepEqual(l.Columns, want) {
		t.Errorf("got  %+v\nwant %+v", l.Columns, want)
	}
}

func TestAnchorsAndMerges(t *testing.T) {
	l := mustLoad(t, `
defaults: &d
  csv: &csv {delimiter: ";"}
tables:
  t:
    <<: *d
    from: &from [s3://b/a/, s3://b/c/]
    exclude: *from
    csv: {<<: [*csv, {delimiter: x, comment: "%"}], quote: ""}
`, Flags{})
	if l.CSV.Delimiter != ";" || l.CSV.Quote != "" || l.CSV.Comment != "%" || !slices.Equal(l.Exclude, l.From) || len(l.From) != 2 {
		t.Errorf("got %+v", l)
	}
}

func TestWhatIsWrong(t *testing.T) {
	const table = "tables:\n  x:\n    from: s3://b/\n    "
	deep := strings.Repeat("[", 100_000)
	tests := []struct{ text, message, hint string }{
		{table + "loader: aws", `4:13: tables.x.loader: "aws" is not known here`, "write loader: stream or aws_s3"},
		{table + "mode: upsrt", `4:11: tables.x.mode: "upsrt" is not known here`, "write mode: replace or append"},
		{table + "replace: inplace", `4:14: tables.x.replace: "inplace" is not known here`, "write replace: swap or in_place"},
		{table + "missing: nil", `4:14: tables.x.missing: "nil" is not known here`, "write missing: fail or null"},
		{table + "format: xml", `4:13: tables.x.format: "xml" is not known here`, "auto or csv or json or parquet"},
		{table + "compression: rar", `"rar" is not known here`, "bzip2 or lz4 or xz or snappy or zlib"},
		{table + "csv: {encoding: utf8x}", `4:21: tables.x.csv.encoding: "utf8x" is not a character encoding that is known here`, "did you mean utf-8?"},
		{table + "csv: {encoding: windows1254x}", "is not a character encoding", "did you mean windows-1254?"},
		{table + "csv: {encoding: klingon}", "is not a character encoding", "windows-1252"},
		{table + "csv: {stray_quotes: trim}", `"trim" is not known here`, "write stray_quotes: reject or keep"},
		{table + "csv: {ragged: fill}", `"fill" is not known here`, "write ragged: reject or pad or truncate"},
		{table + "csv: {invalid_utf8: keep}", `"keep" is not known here`, "reject or replace or strip"},
		{table + "csv: {nul: keep}", `"keep" is not known here`, "reject or replace or strip"},
		{table + "csv: {decimal: ',,'}", "more than one byte", ""},
		{table + "csv: {header: 0}", `"0" is neither true nor false`, ""},
		{table + "csv: {header: 3, skip_head: 2}", "4:22: tables.x.csv.skip_head: csv.header says the same thing", "keep one of them"},
		{table + "csv: {skip_head: 2, header: 3}", "4:25: tables.x.csv.header: csv.skip_head says the same thing", ""},
		{table + "json: {records: data.items}", `4:21: tables.x.json.records: "data.items" is not a path`, "$.data.items"},
		{table + "lineage: [_file, _row]", `4:14: tables.x.lineage: "_row" is not known here`, "write lineage: _file or _line or _run"},
		{table + "lineage: {_file: a}", "must be a list", ""},
		{table + "tolerate: {rows: many}", "neither a count nor a percentage", ""},
		{table + "columns: {a: {default: [1]}}", "tables.x.columns.a.default: must be one value", ""},
		{table + "on_changed: forget", `"forget" is not known here`, "write on_changed: fail or reload or ignore"},
		{table + "checks: {vs_live: most}", `tables.x.checks.vs_live: "most" is not a percentage`, ""},
		{table + "checks: {null_share: 5%}", "tables.x.checks.null_share: must be a mapping", "{temp: 5%}"},
		{table + "checks: {null_share: {temp: few}}", `tables.x.checks.null_share.temp: "few" is neither a count nor a percentage`, ""},
		{table + "checks: {unique: [[]]}", "tables.x.checks.unique: has an empty list in it", "[[station_id, date], [id]]"},
		{table + "checks: {unique: id}", "tables.x.checks.unique: must be a list of lists", ""},
		{table + "checks: {sql: ' '}", "tables.x.checks.sql: must not be empty", ""},
		{"notify: {sns: arn:x}", `1:15: notify.sns: "arn:x" is not the ARN of an SNS topic`, "aws sns list-topics"},
		{"notify: {sns: arn:aws:sns:us-east-1:123456789012:t:6b0e71bd-7e97-4d97-80ce-4a0994e55286}", "is not the ARN of an SNS topic", ""},
		{"notify: {sns: arn:aws:sqs:us-east-1:123456789012:t}", "is not the ARN of an SNS topic", ""},

		{table + "max_concurency: 4", "4:5: tables.x.max_concurency: unknown key", "did you mean max_concurrency?"},
		{table + "max-concurrency: 4", "unknown key", "did you mean max_concurrency?"},
		{table + "csv: {delimeter: ;}", "4:11: tables.x.csv.delimeter: unknown key", "did you mean delimiter?"},
		{table + "checks: {rows: {most: 1}}", "tables.x.checks.rows.most: unknown key", "known here: min, max"},
		{table + "columns: {temp: {nul_if: [1]}}", "4:22: tables.x.columns.temp.nul_if: unknown key", "did you mean null_if?"},
		{table + "s3: {}", "tables.x.s3: unknown key", "top of the file"},
		{"max_concurrency: 4", "1:1: max_concurrency: unknown key", "under tables: NAME:"},
		{"tabels: {}", "1:1: tabels: unknown key", "did you mean tables?"},
		{"defaults: {retrys: 1}", "1:12: defaults.retrys: unknown key", "did you mean retries?"},

		{table + "max_concurrency: four", `4:22: tables.x.max_concurrency: "four" is not a whole number`, ""},
		{table + "max_concurrency: 0", "must be 1 or more", ""},
		{table + "max_items_per_batch: 99999999999999999999", "must be 2147483647 or less", ""},
		{table + "max_concurrency: [4]", "must be one value", ""},
		{table + "max_concurrency:", "4:22: tables.x.max_concurrency: must be one value", ""},
		{table + "retries: -1", "must be 0 or more", ""},
		{table + "min_batch_bytes: 8 apples", `"8 apples" is not a size`, ""},
		{table + "lock_timeout: 2", `"2" is not a duration; write for example 2s`, ""},
		{table + "all_text: yes", `"yes" is neither true nor false`, ""},
		{table + "tolerate: {files: 101%}", "is not a percentage", ""},
		{table + "tolerated_failure_percentage: 5\n    tolerated_failure_count: 5", "5:5: tables.x.tolerated_failure_count: tolerated_failure_percentage says the same thing", "keep one of them"},
		{table + "tolerate: {files: 5}\n    tolerated_failure_count: 5", "tolerate.files says the same thing", ""},
		{table + "tolerated_failure_count: 5%", `"5%" is not a count`, ""},
		{table + "csv: {delimiter: '" + strings.Repeat("=", 65) + "'}", "is longer than 64 bytes", ""},
		{table + `csv: {delimiter: "\n"}`, `"\n" cannot be told from the text around it`, ""},
		{table + "csv: {quote: §}", "more than one byte", ""},
		{table + "csv: 5", "must be a mapping", ""},
		{table + "from: ''", "4:5: ", ""}, // twice
		{table + "exclude: [[a]]", "must be a list of texts", ""},
		{table + "exclude: {a: b}", "must be a list", ""},
		{table + "exclude: [' ']", "must not be empty", ""},
		{table + "table: a.", "4:12: tables.x.table: table name \"a.\" has an empty part", "write TABLE or SCHEMA.TABLE"},
		{table + "table: databackup.w", "4:12: tables.x.table: table databackup.w is in a schema that bucketload keeps for itself", "bucketload backups TABLE"},
		{table + "table: pg_catalog.w", "4:12: tables.x.table: table pg_catalog.w is in a schema that Postgres keeps for itself", "a schema of your own"},
		{table + `table: '"My Table"'`, `4:12: tables.x.table: table name "\"My Table\"" is in quotes`, "leave them out"},
		{table + "columns: [a, b]", "tables.x.columns: must be a mapping", ""},
		{table + "columns: {a: [b]}", "tables.x.columns.a: must be a type or a mapping", ""},
		{table + "columns: {'': text}", "a column needs a name", ""},
		{table + "columns: {" + strings.Repeat("a", 64) + ": text}", "longer than the 63 bytes", ""},
		{table + "columns: {a: text, 'a': date}", `already defined`, ""},
		{table + "columns: {1: text, '1': date}", `already defined`, ""},
		{table + "columns:\n      &k a: text\n      *k : date", `"a" is there twice`, ""},
		{"tables: {'a.': {from: x}}", "has an empty part", ""},
		{"tables: {databackup.w: {from: x}}", "in a schema that bucketload keeps for itself", ""},
		{"tables: {'': {from: x}}", "a table needs a name", ""},
		{"tables: {' ': {from: x}}", "has an empty part", ""},
		{"tables: {x: [y]}", "1:10: tables.x: must be a mapping", ""},
		{"tables: [x]", "tables: must be a mapping", ""},
		{"version: 2", `1:10: version: version "2" is not known`, ""},

		{"- a", "1:1: the file must be a mapping", ""},
		{"a: 1\n---\nb: 2", "more than one document", ""},
		{"version: 1\nversion: 1", `2:1: mapping key "version" already defined`, ""},
		{"version: [1", "sequence end token", ""},
		{"tables:\n\tx: {from: y}", "2:1: a line begins with a tab, which YAML does not take", "indent with blanks"},
		{"tables:\n  x:\n  \tfrom: y", "3:3: a line begins with a tab", "indent with blanks"},
		{"a: *nope", "1:4: alias *nope has no anchor", ""},
		{"a: &x [*x]", "alias *x has no anchor", ""},
		{"a: !!binary QQ==", "YAML tags are not used here", ""},
		{"<<: 5", "<< takes mappings", ""},
		{"? [a]\n: b", "found an invalid key", ""},
		{"version: \xff", "is not UTF-8", ""},
		{deep, "nested more than 64 deep", ""},
		{strings.Repeat("- ", 100_000), "nested more than 64 deep", ""},
		{strings.Repeat(" ", maxFileBytes+1), "larger than 4 MiB", ""},
		{bomb(), "too large with its aliases written out", ""},
	}
	for _, tt := range tests {
		_, err := Parse("bucketload.yaml", []byte(tt.text))
		e := usageOf(t, err)
		if !strings.HasPrefix(e.Message, "bucketload.yaml") || !strings.Contains(e.Message, tt.message) || !strings.Contains(e.Hint, tt.hint) {
			t.Errorf("%.200s\ngot  %s; hint: %s\nwant %s; hint: %s", tt.text, e.Message, e.Hint, tt.message, tt.hint)
		}
	}
}

// bomb is a billion laughs.
func bomb() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := range 9 {
		b.WriteString(strings.NewReplacer("M", string(rune('1'+i)), "N", string(rune('0'+i))).
			Replace("aM: &aM [*aN, *aN, *aN, *aN, *aN, *aN, *aN, *aN, *aN, *aN]\n"))
	}
	return b.String()
}

func TestNamesOnTheCommandLine(t *testing.T) {
	const text = `
source: s3://bucket/root
tables:
  year_2022: {table: gsod.years}
  a: {table: shared, mode: append, from: s3://b/a/}
  b: {table: shared, mode: append, from: s3://b/b/}
`
	f := mustParse(t, text)
	tests := []struct {
		name, key, table, from, wrong string
	}{
		{"year_2022", "year_2022", "gsod.years", "s3://bucket/root/year_2022/", ""},
		{"gsod.years", "year_2022", "gsod.years", "s3://bucket/root/year_2022/", ""},
		{"year_2023", "year_2023", "public.year_2023", "s3://bucket/root/year_2023/", ""},
		{"gsod.year_2023", "gsod.year_2023", "gsod.year_2023", "s3://bucket/root/year_2023/", ""},
		{`My "T"; drop table x`, `My "T"; drop table x`, `public.My "T"; drop table x`, `s3://bucket/root/My "T"; drop table x/`, ""},
		{"shared", "", "", "", "a and b both load public.shared"},
		{"a*", "", "", "", "has wildcards in it"},
		{`gsod."quoted`, `gsod."quoted`, `gsod."quoted`, `s3://bucket/root/"quoted/`, ""},
		{"x.", "", "", "", "has an empty part"},
		{" ", "", "", "", "has an empty part"},
		{"x. ", "", "", "", "has an empty part"},
		{`"Quoted"`, "", "", "", "is in quotes"},
		{`public."Quoted Name"`, "", "", "", "is in quotes"},
		{`"my.table"`, "", "", "", "is in quotes"},
		{"bucketload.runs", "", "", "", "that bucketload keeps for itself"},
		{"dataimport.x", "", "", "", "that bucketload keeps for itself"},
		{"databackup.w", "", "", "", "that bucketload keeps for itself"},
		{"pg_catalog.foo", "", "", "", "that Postgres keeps for itself"},
		{"pg_temp.foo", "", "", "", "that Postgres keeps for itself"},
		{"information_schema.foo", "", "", "", "that Postgres keeps for itself"},
		{"Databackup.w", "Databackup.w", "Databackup.w", "s3://bucket/root/w/", ""},
	}
	for _, tt := range tests {
		loads, err := f.Loads([]string{tt.name}, Flags{})
		if tt.wrong != "" {
			if e := usageOf(t, err); !strings.Contains(e.Message, tt.wrong) {
				t.Errorf("%s: got %q, want %q", tt.name, e.Message, tt.wrong)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		l := loads[0]
		if l.Key != tt.key || l.Table.String() != tt.table || !slices.Equal(l.From, []string{tt.from}) {
			t.Errorf("%s: got %s, %s, %s", tt.name, l.Key, l.Table, l.From)
		}
	}
	if names := f.Tables(); !slices.Equal(names, []string{"year_2022", "a", "b"}) {
		t.Errorf("tables: %q", names)
	}
	if _, err := f.Loads([]string{"a"}, Flags{Set: []string{"table=databackup.w"}}); !strings.Contains(usageOf(t, err).Message, "that bucketload keeps for itself") {
		t.Error(err)
	}
	if _, err := f.Known("databackup.w"); !strings.Contains(usageOf(t, err).Message, "that bucketload keeps for itself") {
		t.Error(err)
	}
	loads, err := f.Loads([]string{"a", "a", "b"}, Flags{})
	if err != nil || len(loads) != 2 {
		t.Errorf("got %d loads, %v", len(loads), err)
	}
	_, err = f.Loads([]string{"a", "b"}, Flags{Set: []string{"mode=replace"}})
	if e := usageOf(t, err); !strings.Contains(e.Message, "a and b would replace the same table public.shared") {
		t.Error(e)
	}
}

func TestNowhereToLoadFrom(t *testing.T) {
	f := mustParse(t, "tables:\n  year_2022: {from: s3://b/}\n  bare:\n")
	tests := []struct {
		f             *File
		name          string
		message, hint string
	}{
		{f, "yaer_2022", "table yaer_2022: there is no such table in bucketload.yaml, only year_2022, bare", "did you mean year_2022?"},
		{f, "bare", "bucketload.yaml:3:3: table bare: it is not said where to load it from", "--from URI"},
		{mustParse(t, ""), "x", "table x: it is not said where to load it from", "--from URI"},
	}
	for _, tt := range tests {
		_, err := tt.f.Loads([]string{tt.name}, Flags{})
		if e := usageOf(t, err); e.Message != tt.message || !strings.Contains(e.Hint, tt.hint) {
			t.Errorf("got %q; %q", e.Message, e.Hint)
		}
	}
	loads, err := f.Loads([]string{"new"}, Flags{From: []string{"data/"}})
	if err != nil || loads[0].From[0] != "data/" || loads[0].Table.Name != "new" {
		t.Errorf("got %+v, %v", loads, err)
	}
	_, err = mustParse(t, "").Loads(nil, Flags{})
	_ = usageOf(t, err)
}

func TestTheLoadAsAWhole(t *testing.T) {
	const same, numbers = "table x: two of csv.delimiter, quote, escape and comment are the same", "is both csv.decimal and csv.thousands"
	for _, tt := range []struct{ text, want, hint string }{
		{`csv: {delimiter: '"'}`, "2:3: " + same, "only quote and escape"},
		{`csv: {comment: '"'}`, same, ""},
		{`csv: {comment: '"#'}`, same, ""},
		{`csv: {delimiter: '","'}`, same, ""},
		{`csv: {delimiter: '","', quote: "", escape: ""}`, "", ""},
		{`csv: {delimiter: ",", escape: ","}`, same, ""},
		{`csv: {delimiter: "#", comment: "#"}`, same, ""},
		{`csv: {delimiter: "#", comment: "##"}`, "", ""},
		{`csv: {decimal: ",", thousands: ","}`, `"," ` + numbers, `csv: {decimal: ",", thousands: "."}`},
		{`csv: {thousands: "."}`, `"." ` + numbers, ""},
		{`csv: {decimal: ",", thousands: "."}`, "", ""},
		{`csv: {decimal: "0"}`, "a character that numbers have anyway", ""},
		{`csv: {thousands: "-"}`, "a character that numbers have anyway", ""},
		{`csv: {delimiter: ",", decimal: ","}`, "", ""}, // "1,5" in quotes
		{`csv: {delimiter: ",", decimal: ",", quote: ""}`, `"," is between fields and in numbers, and nothing is quoted`, "csv.quote"},
		{`csv: {delimiter: " ", thousands: " ", quote: ""}`, `" " is between fields`, ""},

		{"mode: append\n    on_duplicate: keep_first", "table x: on_duplicate: keep_first means nothing with mode: append", "tolerate: {rows: 1%}; or write mode: replace"},
		{"mode: append\n    on_duplicate: keep_last", "on_duplicate: keep_last means nothing", ""},
		{"mode: append\n    on_duplicate: reject", "", ""},
		{"mode: replace\n    on_duplicate: keep_last", "", ""},

		{"format: json\n    csv: {delimiter: ;}", "csv.delimiter means nothing with format: json", "or write format: csv"},
		{"format: parquet\n    csv: {ragged: pad}", "csv.ragged means nothing with format: parquet", ""},
		{"format: json\n    csv: {header: 3}", "csv.skip_head means nothing with format: json", ""},
		{"format: json\n    csv: {quote: '\"', header: true}", "", ""},
		{"format: csv\n    json: {records: $.a}", "json.records means nothing with format: csv", "or write format: json"},
		{"format: csv\n    json: {records: $}", "", ""},
		{"format: auto\n    json: {records: $.a}\n    csv: {delimiter: ;}", "", ""},

		{"columns: {_file: text}\n    lineage: [_run, _file]", "both columns and lineage have _file", "from: _file"},
		{"lineage: [_run, _run]", "lineage has _run twice", ""},
		{"columns: {_rescued: text}\n    unknown: rescue", "unknown: rescue fills the column _rescued itself", ""},
		{"columns: {_rescued: text}\n    unknown: ignore", "", ""},
		{"columns: {a: {type: int, default: 0, null_if: [0]}}", `columns.a: the default "0" is in null_if`, "leave one of them out"},
		{"columns: {a: {true_if: [ja, x], false_if: [nein, x]}}", `columns.a: "x" is in true_if and in false_if`, ""},
		{"columns: {a: {type: int, true_if: [ja]}}", "true_if and false_if mean nothing with type int", "type: boolean"},
		{"columns: {a: {type: BOOL, true_if: ja}}", "", ""},

		{"mode: append\n    checks: {rows: {min: 1}}", "checks mean nothing with mode: append", "mode: replace"},
		{"mode: upsert", "mode: upsert needs key", "key: [station_id, date]"},
		{"mode: replace_partition", "mode: replace_partition needs key", ""},
		{"mode: upsert\n    key: [id]\n    on_changed: reload", "", ""},
		{"key: id", "key means nothing with mode: replace", "primary_key"},
		{"mode: append\n    replace: in_place", "replace: in_place means nothing with mode: append", "or write mode: replace"},
		{"mode: upsert\n    key: id\n    replace: in_place", "replace: in_place means nothing with mode: upsert", ""},
		{"mode: append\n    replace: swap", "", ""},
		{"mode: append\n    on_changed: reload", "on_changed: reload would double rows with mode: append", "upsert or replace_partition"},
		{"mode: upsert\n    key: id\n    checks: {vs_live: 90%}", "checks.vs_live means nothing with mode: upsert", ""},
		{"mode: upsert\n    key: id\n    primary_key: id", "primary_key means nothing with mode: upsert", ""},
		{"mode: upsert\n    key: id\n    on_duplicate: keep_first", "on_duplicate: keep_first means nothing", "the last one stays"},
		{"mode: upsert\n    key: id\n    on_duplicate: keep_last", "", ""},
		{"mode: replace_partition\n    key: id\n    on_duplicate: keep_last", "on_duplicate: keep_last means nothing", ""},
		{`checks: {rows: {min: 5, max: 4}}`, "checks.rows.min is more than checks.rows.max", ""},
	} {
		_, err := mustParse(t, "tables:\n  x:\n    from: y\n    "+tt.text).Loads(nil, Flags{})
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.text, err)
			}
			continue
		}
		if e := usageOf(t, err); !strings.Contains(e.Message, tt.want) || !strings.Contains(e.Hint, tt.hint) {
			t.Errorf("%s: got %s; hint: %s", tt.text, e.Message, e.Hint)
		}
	}
	f := mustParse(t, "defaults: {csv: {delimiter: ;}, replace: in_place}\ntables: {x: {from: y, format: json, mode: append}}")
	if _, err := f.Loads(nil, Flags{}); err != nil {
		t.Errorf("defaults are for all tables: %v", err)
	}
	_, err := f.Loads(nil, Flags{Set: []string{"csv.quote='"}})
	if e := usageOf(t, err); !strings.Contains(e.Message, "csv.quote means nothing with format: json") {
		t.Error(e)
	}
}

func TestWhatIsLeftToBeFoundOut(t *testing.T) {
	all := builtin().CSVOpen
	without := func(names ...string) []string {
		return slices.DeleteFunc(slices.Clone(all), func(name string) bool { return slices.Contains(names, name) })
	}
	const table = "tables: {x: {from: y, csv: {"
	for _, tt := range []struct {
		text, set string
		want      []string
		csv       func(*bucketload.CSV)
	}{
		{table + "}}}", "", all, func(*bucketload.CSV) {}},
		{table + "quote: '\"', ragged: pad}}}", "", without("quote"), func(c *bucketload.CSV) { c.Ragged = "pad" }},
		{table + "unquoted_blanks: keep, stray_quotes: keep}}}", "", without("unquoted_blanks"), func(c *bucketload.CSV) { c.StrayQuotes = "keep" }},
		{table + "delimiter: ''}}}", "", all, func(*bucketload.CSV) {}},
		{table + "delimiter: tab}}}", "", without("delimiter"), func(c *bucketload.CSV) { c.Delimiter = "\t" }},
		{table + "header: true}}}", "", without("header"), func(*bucketload.CSV) {}},
		{table + "header: 1}}}", "", without("header", "skip_head"), func(*bucketload.CSV) {}},
		{table + "header: 3}}}", "", without("header", "skip_head"), func(c *bucketload.CSV) { c.SkipHead = 2 }},
		{"defaults: {csv: {encoding: UTF-16}}\n" + table + "comment: '//'}}}", "csv.header=false", without("encoding", "comment", "header"),
			func(c *bucketload.CSV) { c.Encoding, c.Comment, c.Header = "utf-16", "//", false }},
		{table + "header: 3}}}", "csv.skip_head=0", without("header", "skip_head"), func(*bucketload.CSV) {}},
	} {
		var flags Flags
		if tt.set != "" {
			flags.Set = []string{tt.set}
		}
		l := mustLoad(t, tt.text, flags)
		want := builtin().CSV
		tt.csv(&want)
		if !slices.Equal(l.CSVOpen, tt.want) || l.CSV != want {
			t.Errorf("%s: open %q, %+v", tt.text, l.CSVOpen, l.CSV)
		}
	}
	if !slices.Equal(builtin().CSVOpen, all) {
		t.Error("a load changed the defaults")
	}
}

func TestLocalPathsAreRelativeToTheFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "bucketload.yaml")
	if err := os.WriteFile(path, []byte("defaults: {from: shared/}\nsource: s/\ntables: {a: {}, b: {from: [data/, ../*.csv, /abs, file:///x/, s3://b/]}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	loads, err := f.Loads(nil, Flags{})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{dir + "/shared/"}; !slices.Equal(loads[0].From, want) {
		t.Errorf("got %q, want %q", loads[0].From, want)
	}
	want := []string{dir + "/data/", filepath.Dir(dir) + "/*.csv", "/abs", "file:///x/", "s3://b/"}
	if !slices.Equal(loads[1].From, want) {
		t.Errorf("got %q, want %q", loads[1].From, want)
	}
	if f.source != dir+"/s/" {
		t.Errorf("source: %q", f.source)
	}
	_, err = Read(filepath.Join(dir, "none.yaml"))
	if e := usageOf(t, err); !strings.Contains(e.Hint, "bucketload init URI") || !strings.Contains(e.Hint, "--from") {
		t.Errorf("hint: %q", e.Hint)
	}
	_, err = Read(dir)
	_ = usageOf(t, err)
}

// The ledger keeps the load as JSON.
func TestALoadGoesThroughJSON(t *testing.T) {
	f, err := Read("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	loads, err := f.Loads(nil, Flags{Set: []string{"lock_timeout=1500ms", "columns_mode=override", "tolerate.files=1.5%"}})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(loads[0])
	if err != nil {
		t.Fatal(err)
	}
	var back bucketload.Load
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(&back, loads[0]) || back.LockTimeout != 1500*time.Millisecond {
		t.Errorf("got  %+v\nwant %+v", back, loads[0])
	}
}

func TestAFileOverAnother(t *testing.T) {
	below, err := Parse("below", []byte("source: s3://below\ndefaults: {max_concurrency: 25, retries: 3}"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		file, table          string
		from                 string
		concurrency, retries int
	}{
		{"", "a", "s3://below/a/", 25, 3},
		{"defaults: {retries: 0}", "a", "s3://below/a/", 25, 0},
		{"source: s3://above", "a", "s3://above/a/", 25, 3},
		{"tables: {a: {from: s3://x/, max_concurrency: 4}}", "a", "s3://x/", 4, 3},
		{"defaults: {max_concurrency: 4}\ntables: {a: {}}", "b", "s3://below/b/", 4, 3},
	}
	for _, test := range tests {
		f, err := ParseOver(below, "above", []byte(test.file))
		if err != nil {
			t.Fatal(err)
		}
		loads, err := f.Loads([]string{test.table}, Flags{})
		if err != nil {
			t.Errorf("%s: %v", test.file, err)
			continue
		}
		if l := loads[0]; l.From[0] != test.from || l.MaxConcurrency != test.concurrency || l.Retries != test.retries {
			t.Errorf("%s: %s from %s, %d, %d", test.file, l.Key, l.From, l.MaxConcurrency, l.Retries)
		}
	}
}
