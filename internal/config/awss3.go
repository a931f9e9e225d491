package config

import (
	"slices"
	"strings"

	"github.com/bucketload/bucketload"
)

// serverReads refuses what only bucketload's own reader does, where the server
// is to read the objects by its COPY.
func serverReads(l *bucketload.Load) error {
	if l.Loader != bucketload.LoaderAWSS3 {
		return nil
	}
	refuse := func(what, hint string) error {
		return &bucketload.Error{Message: "loader: aws_s3 cannot " + what, Hint: hint + ", or write loader: stream"}
	}
	if i := slices.IndexFunc(l.From, func(uri string) bool { return !strings.HasPrefix(uri, "s3://") }); i >= 0 {
		return refuse("load from "+l.From[i]+", which is not in S3", "load from s3://BUCKET/PREFIX/")
	}
	for _, k := range []struct {
		path string
		set  bool
	}{
		{"format: " + string(l.Format), l.Format != bucketload.FormatAuto && l.Format != bucketload.FormatCSV},
		{"compression: " + l.Compression, l.Compression != "auto"},
		{`csv.quote: ""`, l.CSV.Quote == ""},
		{"csv.comment", l.CSV.Comment != ""},
		{"csv.skip_head", l.CSV.SkipHead != 0},
		{"csv.skip_foot", l.CSV.SkipFoot != 0},
		{"csv.encoding: " + l.CSV.Encoding, l.CSV.Encoding != "utf-8" && l.CSV.Encoding != ""},
		{"csv.unquoted_blanks: " + l.CSV.UnquotedBlanks, l.CSV.UnquotedBlanks == bucketload.PolicyTrim},
		{"csv.stray_quotes: " + l.CSV.StrayQuotes, l.CSV.StrayQuotes == bucketload.PolicyKeep},
		{"csv.ragged: " + l.CSV.Ragged, l.CSV.Ragged != bucketload.PolicyReject},
		{"csv.invalid_utf8: " + l.CSV.InvalidUTF8, l.CSV.InvalidUTF8 != bucketload.PolicyReject},
		{"csv.nul: " + l.CSV.NUL, l.CSV.NUL != bucketload.PolicyReject},
		{"csv.delimiter: " + quote(l.CSV.Delimiter), len(l.CSV.Delimiter) > 1},
		{"csv.decimal: " + quote(l.CSV.Decimal), l.CSV.Decimal != "" && l.CSV.Decimal != "."},
		{"csv.thousands: " + quote(l.CSV.Thousands), l.CSV.Thousands != ""},
		{"unknown: " + l.Unknown, l.Unknown != bucketload.PolicyFail},
		{"missing: " + l.Missing, l.Missing != bucketload.PolicyFail},
		{"lineage", len(l.Lineage) > 0},
		{"on_duplicate: " + l.OnDuplicate, l.OnDuplicate == bucketload.KeepFirst || l.OnDuplicate == bucketload.KeepLast},
		{"mode: upsert", l.Mode == bucketload.ModeUpsert},
		{"tolerate.rows_per_file", l.Tolerate.RowsPerFile != bucketload.Share{}},
		{"tolerate.rows", l.Tolerate.Rows != bucketload.Share{}},
	} {
		if k.set {
			return refuse("do "+k.path, "leave it out")
		}
	}
	for _, c := range l.Columns {
		for _, k := range []struct {
			path string
			set  bool
		}{{"null_if", len(c.NullIf) > 0}, {"trim", c.Trim != nil}, {"format", len(c.Format) > 0},
			{"default", c.Default != nil}, {"true_if", len(c.TrueIf) > 0}, {"false_if", len(c.FalseIf) > 0}} {
			if k.set {
				return refuse("do columns."+c.Name+"."+k.path, "leave it out")
			}
		}
	}
	return nil
}
