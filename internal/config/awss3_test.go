package config

import (
	"strings"
	"testing"

	"github.com/bucketload/bucketload"
)

func TestWhatTheServerCannotRead(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", ""},
		{"csv: {delimiter: ';', quote: \"'\", escape: '\\', header: false}\n    columns: {a: int, b: {from: [B, C], type: date}}\n    all_text: true\n    mode: append", ""},
		{"csv: {quote: ''}", `csv.quote: ""`},
		{"csv: {comment: '#'}", "csv.comment"},
		{"csv: {skip_head: 1}", "csv.skip_head"},
		{"csv: {skip_foot: 1}", "csv.skip_foot"},
		{"csv: {delimiter: '||'}", `csv.delimiter: "||"`},
		{"csv: {encoding: latin1}", "csv.encoding: latin1"},
		{"csv: {header: 3}", "csv.skip_head"},
		{"csv: {decimal: ','}", `csv.decimal: ","`},
		{"csv: {thousands: ','}", `csv.thousands: ","`},
		{"csv: {ragged: pad}", "csv.ragged: pad"},
		{"csv: {unquoted_blanks: trim}", "csv.unquoted_blanks: trim"},
		{"csv: {stray_quotes: keep}", "csv.stray_quotes: keep"},
		{"csv: {invalid_utf8: strip}", "csv.invalid_utf8: strip"},
		{"csv: {nul: replace}", "csv.nul: replace"},
		{"format: json", "format: json"},
		{"format: parquet", "format: parquet"},
		{"compression: zstd", "compression: zstd"},
		{"unknown: rescue", "unknown: rescue"},
		{"missing: null", "missing: null"},
		{"lineage: _file", "lineage"},
		{"on_duplicate: keep_last", "on_duplicate: keep_last"},
		{"tolerate: {rows_per_file: 1}", "tolerate.rows_per_file"},
		{"tolerate: {rows: 1%}", "tolerate.rows"},
		{"columns: {b: {default: 0}}", "columns.b.default"},
		{"columns: {b: {true_if: x}}", "columns.b.true_if"},
		{"columns: {b: {false_if: x}}", "columns.b.false_if"},
		{"columns: {a: int, b: {null_if: ['']}}", "columns.b.null_if"},
		{"columns: {b: {trim: false}}", "columns.b.trim"},
		{"columns: {b: {type: date, format: DD.MM.YYYY}}", "columns.b.format"},
	}
	for _, tt := range tests {
		const table = "tables:\n  x:\n    from: [s3://b/a/, 's3://c/*.csv']\n    "
		f, err := Parse("b.yaml", []byte(table+"loader: aws_s3\n    "+tt.text))
		if err != nil {
			t.Fatal(tt.text, err)
		}
		loads, err := f.Loads(nil, Flags{})
		if tt.want == "" {
			if err != nil || loads[0].Loader != bucketload.LoaderAWSS3 {
				t.Errorf("%s: %v", tt.text, err)
			}
			continue
		}
		wantRefused(t, err, "b.yaml:2:3: table x: loader: aws_s3 cannot do "+tt.want, "leave it out, or write loader: stream")
		if _, err := f.Loads(nil, Flags{Set: []string{"loader=stream"}}); err != nil {
			t.Errorf("%s, with loader: stream: %v", tt.text, err)
		}
	}
	for _, from := range []string{"dir/", "file:///dir/", "/dir/x.csv"} {
		_, err := AdHoc("t", Flags{From: []string{"s3://b/", from}, Set: []string{"loader=aws_s3"}})
		wantRefused(t, err, "loader: aws_s3 cannot load from "+from+", which is not in S3", "load from s3://BUCKET/PREFIX/, or write loader: stream")
	}
}

func wantRefused(t *testing.T, err error, message, hint string) {
	t.Helper()
	e := bucketload.AsError(err)
	if e == nil || e.Code != bucketload.CodeUsage || !strings.Contains(e.Error(), message) || e.Hint != hint {
		t.Errorf("got %v, hint %q; want %s, hint %s", err, e.Hint, message, hint)
	}
}
