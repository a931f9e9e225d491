package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/bucketload/bucketload"
)

func TestSet(t *testing.T) {
	tests := []struct {
		set  string
		got  func(*bucketload.Load) any
		want any
	}{
		{"csv.delimiter=;", func(l *bucketload.Load) any { return l.CSV.Delimiter }, ";"},
		{"csv.delimiter=,", func(l *bucketload.Load) any { return l.CSV.Delimiter }, ","},
		{"csv.delimiter==", func(l *bucketload.Load) any { return l.CSV.Delimiter }, "="},
		{"csv.delimiter=|", func(l *bucketload.Load) any { return l.CSV.Delimiter }, "|"},
		{`csv.delimiter=\t`, func(l *bucketload.Load) any { return l.CSV.Delimiter }, "\t"},
		{`csv.delimiter="\t"`, func(l *bucketload.Load) any { return l.CSV.Delimiter }, "\t"},
		{"csv.delimiter=\t", func(l *bucketload.Load) any { return l.CSV.Delimiter }, "\t"},
		{"csv.delimiter=||", func(l *bucketload.Load) any { return l.CSV.Delimiter }, "||"},
		{"csv.delimiter=§", func(l *bucketload.Load) any { return l.CSV.Delimiter }, "§"},
		{`csv.delimiter=\t\t`, func(l *bucketload.Load) any { return l.CSV.Delimiter }, "\t\t"},
		{"csv.delimiter=tab", func(l *bucketload.Load) any { return l.CSV.Delimiter }, "\t"},
		{"csv.encoding=ISO-8859-15", func(l *bucketload.Load) any { return l.CSV.Encoding }, "iso-8859-15"},
		{"csv.encoding=utf-32le", func(l *bucketload.Load) any { return l.CSV.Encoding }, "utf-32le"},
		{"csv.encoding=Shift_JIS", func(l *bucketload.Load) any { return l.CSV.Encoding }, "shift_jis"},
		{"csv.encoding=cp850", func(l *bucketload.Load) any { return l.CSV.Encoding }, "cp850"},
		{"csv.decimal=,", func(l *bucketload.Load) any { return l.CSV.Decimal }, ","},
		{"csv.thousands='", func(l *bucketload.Load) any { return l.CSV.Thousands }, "'"},
		{"csv.header=4", func(l *bucketload.Load) any { return [2]any{l.CSV.Header, l.CSV.SkipHead} }, [2]any{true, 3}},
		{"json.records=$.data['a b'][*]", func(l *bucketload.Load) any { return l.JSON.Records }, "$.data['a b'][*]"},
		{"format=Parquet", func(l *bucketload.Load) any { return l.Format }, bucketload.FormatParquet},
		{"missing=null", func(l *bucketload.Load) any { return l.Missing }, bucketload.PolicyNull},
		{"lineage=_file", func(l *bucketload.Load) any { return l.Lineage }, []string{"_file"}},
		{"lineage=[_line, _run]", func(l *bucketload.Load) any { return l.Lineage }, []string{"_line", "_run"}},
		{"tolerate.rows=1.5%", func(l *bucketload.Load) any { return l.Tolerate.Rows }, bucketload.Share{Percent: 1.5, IsShare: true}},
		{"tolerate.rows_per_file=7", func(l *bucketload.Load) any { return l.Tolerate.RowsPerFile }, bucketload.Share{Count: 7}},
		{"columns.a.default=", func(l *bucketload.Load) any { return *l.Columns[0].Default }, ""},
		{"columns.a.true_if=[ja, null]", func(l *bucketload.Load) any { return l.Columns[0].TrueIf }, []string{"ja", "null"}},
		{"csv.comment=#", func(l *bucketload.Load) any { return l.CSV.Comment }, "#"},
		{"csv.quote='", func(l *bucketload.Load) any { return l.CSV.Quote }, "'"},
		{"csv.quote=", func(l *bucketload.Load) any { return l.CSV.Quote }, ""},
		{`csv.quote=""`, func(l *bucketload.Load) any { return l.CSV.Quote }, ""},
		{`csv={quote: "", header: false}`, func(l *bucketload.Load) any { return [2]any{l.CSV.Quote, l.CSV.Header} }, [2]any{"", false}},
		{"tolerate.files=1%", func(l *bucketload.Load) any { return l.Tolerate.Files.String() }, "1%"},
		{"tolerated_failure_percentage=5", func(l *bucketload.Load) any { return l.Tolerate.Files.String() }, "5%"},
		{"tolerated_failure_count=5", func(l *bucketload.Load) any { return l.Tolerate.Files.String() }, "5"},
		{"min_batch_bytes=64 MiB", func(l *bucketload.Load) any { return l.MinBatchBytes }, bucketload.Bytes(64 << 20)},
		{"mode=Append", func(l *bucketload.Load) any { return l.Mode }, bucketload.ModeAppend},
		{`table=My "T"; drop`, func(l *bucketload.Load) any { return l.Table.Name }, `My "T"; drop`},
		{"indexes=(a, b)", func(l *bucketload.Load) any { return l.Indexes }, []string{"(a, b)"}},
		{`indexes=["(a, b)", (c)]`, func(l *bucketload.Load) any { return l.Indexes }, []string{"(a, b)", "(c)"}},
		{"indexes=", func(l *bucketload.Load) any { return l.Indexes }, []string(nil)},
		{"checks.rows.max=9", func(l *bucketload.Load) any { return l.Checks.Rows.Max }, int64(9)},
		{"s3.anonymous=true", func(l *bucketload.Load) any { return l.S3.Anonymous }, true},
		{"s3={region: x}", func(l *bucketload.Load) any { return l.S3.Region }, "x"},
		{"columns.temp.null_if=[9999.90, 1]", func(l *bucketload.Load) any { return l.Columns },
			[]bucketload.Column{{Name: "temp", NullIf: []string{"9999.90", "1"}}}},
		{"columns.a.b.type=date", func(l *bucketload.Load) any { return l.Columns }, []bucketload.Column{{Name: "a.b", Type: "date"}}},
		{"columns.a.trim=false", func(l *bucketload.Load) any { return *l.Columns[0].Trim }, false},
		{"columns={b: text, a: date}", func(l *bucketload.Load) any { return l.Columns }, []bucketload.Column{{Name: "b", Type: "text"}, {Name: "a", Type: "date"}}},
		{"columns={b: text, a: date}", func(l *bucketload.Load) any { return l.ColumnsOverride }, false},
		{"columns.b.type=text", func(l *bucketload.Load) any { return l.ColumnsOverride }, true},
	}
	for _, tt := range tests {
		l, err := AdHoc("t", Flags{From: []string{"x/"}, Set: []string{tt.set}})
		if err != nil {
			t.Errorf("%s: %v", tt.set, err)
		} else if got := tt.got(l); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %#v, want %#v", tt.set, got, tt.want)
		}
	}
}

func TestColumnFlag(t *testing.T) {
	tests := []struct {
		flag string
		want bucketload.Column
	}{
		{"temp=TEMP:numeric:9999.9,999.9", bucketload.Column{Name: "temp", From: []string{"TEMP"}, Type: "numeric", NullIf: []string{"9999.9", "999.9"}}},
		{"lat=LATITUDE", bucketload.Column{Name: "lat", From: []string{"LATITUDE"}}},
		{"lat=:numeric", bucketload.Column{Name: "lat", Type: "numeric"}},
		{"lat=::-, 00:00:00", bucketload.Column{Name: "lat", NullIf: []string{"-", "00:00:00"}}},
		{"price=PRICE:numeric(10,2)", bucketload.Column{Name: "price", From: []string{"PRICE"}, Type: "numeric(10,2)"}},
		{"lat=", bucketload.Column{Name: "lat"}},
	}
	for _, tt := range tests {
		l, err := AdHoc("t", Flags{From: []string{"x/"}, Column: []string{tt.flag}})
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(l.Columns, []bucketload.Column{tt.want}) || !l.ColumnsOverride {
			t.Errorf("%s: got %+v, override %v", tt.flag, l.Columns, l.ColumnsOverride)
		}
	}
}

func TestColumnFlagsAndTheFile(t *testing.T) {
	const text = "tables: {t: {from: x/, columns: {a: text, temp: {from: TEMP, type: text, trim: true}}}}"
	f := mustParse(t, text)
	loads, err := f.Loads(nil, Flags{Column: []string{"temp=:numeric:9999.9", "new=NEW"}, Set: []string{"columns.a.from=A"}})
	if err != nil {
		t.Fatal(err)
	}
	want := []bucketload.Column{
		{Name: "a", From: []string{"A"}, Type: "text"},
		{Name: "temp", From: []string{"TEMP"}, Type: "numeric", NullIf: []string{"9999.9"}, Trim: on()},
		{Name: "new", From: []string{"NEW"}},
	}
	if !reflect.DeepEqual(loads[0].Columns, want) || loads[0].ColumnsOverride {
		t.Errorf("got %+v, override %v", loads[0].Columns, loads[0].ColumnsOverride)
	}
	again, err := f.Loads(nil, Flags{})
	if err != nil || len(again[0].Columns) != 2 || again[0].Columns[1].Type != "text" {
		t.Errorf("flags of one call stayed in the file: %+v, %v", again[0].Columns, err)
	}
	complete, err := AdHoc("t", Flags{From: []string{"x/"}, Column: []string{"a=A"}, Set: []string{"columns_mode=complete"}})
	if err != nil || complete.ColumnsOverride {
		t.Errorf("override %v, %v", complete.ColumnsOverride, err)
	}
}

func TestWrongFlags(t *testing.T) {
	tests := []struct {
		flags Flags
		want  string
	}{
		{Flags{Set: []string{"retries"}}, `--set "retries" has no =`},
		{Flags{Set: []string{"retrys=1"}}, "retrys: unknown key"},
		{Flags{Set: []string{"retries=x"}}, `retries: "x" is not a whole number`},
		{Flags{Set: []string{"loader=aws_s3"}}, "loader: aws_s3 cannot load from x/"},
		{Flags{Set: []string{"tolerate.files=1", "tolerated_failure_count=1"}}, "tolerate.files says the same thing"},
		{Flags{Set: []string{"s3.regoin=x"}}, "s3.regoin: unknown key"},
		{Flags{Set: []string{`indexes=["a`}}, "is not YAML"},
		{Flags{Set: []string{`csv.quote="""`}}, "is not YAML"},
		{Flags{Set: []string{"to=postgres://u:hunter2@h/db"}}, "to: unknown key"},
		{Flags{Set: []string{"columns.a=text"}}, "columns.a: the key is missing"},
		{Flags{Set: []string{"columns..type=text"}}, "a column needs a name"},
		{Flags{Set: []string{"columns.a.typ=text"}}, "columns.a.typ: unknown key"},
		{Flags{Column: []string{"a"}}, `--column "a" has no =`},
		{Flags{Column: []string{"=A"}}, "a column needs a name"},
	}
	for _, tt := range tests {
		tt.flags.From = []string{"x/"}
		_, err := AdHoc("t", tt.flags)
		if e := usageOf(t, err); !strings.Contains(e.Message, tt.want) || strings.Contains(e.Error(), "hunter2") {
			t.Errorf("got %q, want %q", e.Message, tt.want)
		}
	}
}

func TestEveryScalarFlagSetsItsPath(t *testing.T) {
	example := map[string]string{"bool": "true", "number": "3", "size": "1MB", "limit": "3", "duration": "1s", "text": "x"}
	words := map[string]string{"format": "csv", "compression": "auto", "loader": "stream", "mode": "append", "replace": "in_place", "unknown": "fail", "missing": "fail", "columns_mode": "override", "on_duplicate": "keep_last", "on_changed": "ignore", "source_after_load": "delete"}
	var names []string
	for _, fl := range ScalarFlags() {
		names = append(names, fl.Name)
		value, ok := words[fl.Path]
		if !ok {
			value = example[fl.Kind]
		}
		if _, err := AdHoc("t", Flags{From: []string{"x/"}, Set: []string{fl.Path + "=" + value}}); err != nil || fl.Usage == "" {
			t.Errorf("%+v: %v", fl, err)
		}
	}
	want := strings.Fields(`table format compression loader mode replace on-changed on-duplicate allow-empty all-text lower-case columns-mode unknown missing
		max-concurrency max-items-per-batch min-batch-bytes retries tolerate-files tolerate-rows-per-file tolerate-rows tolerated-failure-percentage
		tolerated-failure-count keep-backups source-after-load lock-timeout region profile endpoint-url path-style anonymous assume-role requester-pays`)
	if !slices.Equal(names, want) {
		t.Errorf("got  %q\nwant %q", names, want)
	}
}
