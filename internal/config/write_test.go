package config

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bucketload/bucketload"
)

func TestWrite(t *testing.T) {
	l, err := AdHoc("year_2022", Flags{From: []string{"s3://noaa-gsod-pds/2022/*.csv"}, Set: []string{
		"s3.anonymous=true", "csv.delimiter=;", "tolerate.files=1%", "min_batch_bytes=4MB", "mode=append"}})
	if err != nil {
		t.Fatal(err)
	}
	l.Columns = []bucketload.Column{
		{Name: "station_id", From: []string{"STATION"}, Type: "text"},
		{Name: "temp", From: []string{"TEMP"}, Type: "numeric"},
		{Name: "no", From: []string{"NO", "On"}, Type: "numeric(10,2)", NullIf: []string{"999.90"}},
		{Name: "bare"},
	}
	got := string(Write(l, []string{"made by bucketload init\nfrom 3 objects", ""}, map[string]Note{
		"station_id": {Evidence: "leading zeros in 00501"},
		"temp":       {Evidence: "numbers in 3,000 of 3,000 rows", NullIf: []string{"9999.9"}},
	}))
	const want = `# made by bucketload init from 3 objects
#
version: 1
# to: env:BUCKETLOAD_TO  # the DSN; or postgres://user:${PASSWORD}@host/db, file:PATH, ssm:NAME, secretsmanager:NAME
s3: {anonymous: true}
tables:
  year_2022:
    table: public.year_2022
    from: ["s3://noaa-gsod-pds/2022/*.csv"]
    csv: {delimiter: ";"}
    mode: append
    min_batch_bytes: 4000000
    tolerate: {files: "1%"}
    columns:
      station_id: {from: STATION, type: text}  # leading zeros in 00501
      temp:  # numbers in 3,000 of 3,000 rows
        from: TEMP
        type: numeric
        # null_if: ["9999.9"]
      "no": {from: ["NO", "On"], type: "numeric(10,2)", null_if: ["999.90"]}
      bare: {}
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if back := mustLoad(t, got, Flags{}); !reflect.DeepEqual(back, l) {
		t.Errorf("read back\n%+v\nwrote\n%+v", back, l)
	}
	l.Columns[1].NullIf = []string{"9999.9"}
	if back := mustLoad(t, strings.Replace(got, "# null_if", "null_if", 1), Flags{}); !reflect.DeepEqual(back, l) {
		t.Errorf("the proposal taken: %+v", back.Columns)
	}
}

func texty() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringOfN(rapid.RuneFrom([]rune("ab.:#,'\"\\[]{}<>&*!|%@` \t\n-?~0159é\u2028\U0001F600\u0085\u00a0\ufeff")), 1, 12, 50),
		rapid.SampledFrom([]string{"no", "null", "~", "true", "<<", "007", "1.50", "0x1F", ".inf", "---", "...", "-", "? ", "- a", "a: b", "=", "2022-01-01", "!!str x"}),
	)
}

func anyLoad() *rapid.Generator[*bucketload.Load] {
	return rapid.Custom(func(t *rapid.T) *bucketload.Load {
		list := func(name string) []string {
			s := rapid.SliceOfN(texty().Filter(func(s string) bool { return notBlank(s) == nil }), 0, 3).Draw(t, name)
			if len(s) == 0 {
				return nil
			}
			return s
		}
		l := builtin()
		l.Key = texty().Draw(t, "key")
		l.Table = bucketload.TableName{Schema: "s", Name: texty().Filter(func(s string) bool {
			_, err := bucketload.ParseTableName("s." + s)
			return err == nil
		}).Draw(t, "table")}
		l.From = []string{"s3://b/" + texty().Draw(t, "from")}
		l.Exclude, l.Indexes = list("exclude"), list("indexes")
		l.S3.Region = rapid.SampledFrom([]string{"", "eu-west-1", "no"}).Draw(t, "region")
		l.S3.PathStyle = rapid.Bool().Draw(t, "path style")
		l.NotifySNS = rapid.SampledFrom([]string{"", "arn:aws:sns:eu-west-1:123456789012:loads", "arn:aws-cn:sns:cn-north-1:123456789012:loads.fifo"}).Draw(t, "topic")
		l.CSV.Delimiter = rapid.SampledFrom([]string{"", ",", "\t", "|", "#", " ", "\x01", "||", "§", "no"}).Draw(t, "delimiter")
		l.CSV.SkipHead = rapid.IntRange(0, 3).Draw(t, "skip")
		l.CSV.Header = rapid.Bool().Draw(t, "header")
		l.CSV.Comment = rapid.SampledFrom([]string{"", "//", "%"}).Draw(t, "comment")
		l.CSV.Encoding = rapid.SampledFrom([]string{"utf-8", "utf-16", "windows-1252"}).Draw(t, "encoding")
		l.CSV.StrayQuotes = rapid.SampledFrom([]string{"reject", "keep"}).Draw(t, "stray quotes")
		l.CSV.Ragged = rapid.SampledFrom([]string{"reject", "pad"}).Draw(t, "ragged")
		l.CSVOpen = slices.DeleteFunc(builtin().CSVOpen, func(name string) bool {
			k, _ := find(tableKeys, "csv."+name)
			base := builtin()
			changed := render(k.at(&l)) != render(k.at(&base))
			return changed || name != "delimiter" && rapid.Bool().Draw(t, "said "+name)
		})
		l.Lineage = rapid.SampledFrom([][]string{nil, {"_file"}, {"_line", "_run"}}).Draw(t, "lineage")
		l.Missing = rapid.SampledFrom([]string{"fail", "null"}).Draw(t, "missing")
		l.Tolerate.Rows = rapid.SampledFrom([]bucketload.Share{{}, {Count: 7}}).Draw(t, "rows")
		l.Mode = rapid.SampledFrom([]bucketload.Mode{bucketload.ModeAppend, bucketload.ModeReplace}).Draw(t, "mode")
		l.InPlace = l.Mode == bucketload.ModeReplace && rapid.Bool().Draw(t, "in place")
		l.LowerCase = rapid.Bool().Draw(t, "lower")
		l.ColumnsOverride = rapid.Bool().Draw(t, "override")
		l.MinBatchBytes = bucketload.Bytes(rapid.Int64Range(0, 1<<50).Draw(t, "bytes"))
		l.Tolerate.Files = rapid.SampledFrom([]bucketload.Share{{}, {Count: 7}, {Percent: 0.125, IsShare: true}}).Draw(t, "files")
		if l.Mode != bucketload.ModeAppend {
			l.Checks.Rows.Min = rapid.Int64Range(0, 1<<60).Draw(t, "min")
			l.Checks.VsLive = rapid.SampledFrom([]float64{0, 0.1, 90, 250}).Draw(t, "vs live")
			l.Checks.NullShare = rapid.SampledFrom([]map[string]bucketload.Share{nil, {"no": {}, "b, c": {Percent: 2.5, IsShare: true}}}).Draw(t, "null share")
			if columns := list("unique"); columns != nil {
				l.Checks.Unique = [][]string{columns, {"a"}}
			}
			l.Checks.SQL = list("sql")
		}
		l.LockTimeout = time.Duration(rapid.Int64Range(1, 1e15).Draw(t, "lock"))
		names := rapid.SliceOfNDistinct(texty(), 0, 4, rapid.ID[string]).Draw(t, "names")
		for _, name := range names {
			c := bucketload.Column{Name: name, From: list("source"), NullIf: list("null"), Format: list("format")}
			if value := texty().Draw(t, "default"); rapid.Bool().Draw(t, "defaults") && !slices.Contains(c.NullIf, value) {
				c.Default = &value
			}
			c.Type = rapid.SampledFrom([]string{"", "text", "numeric(10,2)", "timestamp with time zone"}).Draw(t, "type")
			if rapid.Bool().Draw(t, "trims") {
				c.Trim = on()
			}
			l.Columns = append(l.Columns, c)
		}
		return &l
	})
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := anyLoad().Draw(t, "load")
		notes := map[string]Note{}
		for _, c := range l.Columns {
			notes[c.Name] = Note{Evidence: texty().Draw(t, "evidence"), NullIf: []string{texty().Draw(t, "proposal")}}
		}
		text := Write(l, []string{texty().Draw(t, "intro")}, notes)
		f, err := Parse("bucketload.yaml", text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		loads, err := f.Loads(nil, Flags{})
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if !reflect.DeepEqual(loads[0], l) {
			t.Fatalf("%s\nread  %+v\nwrote %+v", text, loads[0], l)
		}
	})
}

// Every field of a load has a key of the same name, and every key is in the schema.
func TestKeysAndFieldsAgree(t *testing.T) {
	var l bucketload.Load
	fields := map[string]uintptr{}
	var walk func(v reflect.Value, path string)
	walk = func(v reflect.Value, path string) {
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			at, below := v.Field(i), strings.TrimPrefix(path+"."+name, ".")
			if at.Kind() == reflect.Struct && below != "table" && !strings.HasPrefix(below, "tolerate.") {
				walk(at, below)
			} else {
				fields[below] = at.Addr().Pointer()
			}
		}
	}
	walk(reflect.ValueOf(&l).Elem(), "")
	for path, at := range fields {
		switch {
		case path == "key", path == "limit_files", path == "force", path == "csv_open": // of the command line, or of what is not there
			continue
		case strings.HasPrefix(path, "s3."): // of the file
			if _, ok := find(fileKeys, path); !ok {
				t.Errorf("no key %s", path)
			}
			continue
		case path == "notify_sns": // likewise
			if _, ok := find(fileKeys, "notify.sns"); !ok {
				t.Errorf("no key notify.sns")
			}
			continue
		case path == "columns_override":
			path = "columns_mode"
		case path == "key_columns":
			path = "key"
		case path == "in_place":
			path = "replace"
		case path == "delete_sources":
			path = "source_after_load"
		}
		if k, ok := find(tableKeys, path); !ok || reflect.ValueOf(k.at(&l)).Pointer() != at {
			t.Errorf("no key %s, or it goes elsewhere", path)
		}
	}

	var schema struct {
		Properties map[string]any
		Defs       struct {
			Table struct{ Properties map[string]any }
		} `json:"$defs"`
	}
	if err := json.Unmarshal(Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	inSchema(t, fileKeys, schema.Properties)
	inSchema(t, tableKeys, schema.Defs.Table.Properties)
}

func inSchema[T any](t *testing.T, keys []key[T], properties map[string]any) {
	for _, k := range keys {
		at := properties
		parts := strings.Split(k.path, ".")
		for _, p := range parts[:len(parts)-1] {
			at = at[p].(map[string]any)["properties"].(map[string]any)
		}
		if d, ok := at[parts[len(parts)-1]].(map[string]any); !ok || d["description"] != k.usage {
			t.Errorf("the schema lacks %s", k.path)
		}
	}
}

// Parse neither panics nor hangs, and its errors are one line with a place.
func FuzzParse(f *testing.F) {
	full, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(full)
	f.Add([]byte("version: 1\ntables: {t: {from: x, columns: {a: {null_if: [1.0, no]}}}}"))
	f.Add([]byte("defaults: &d {csv: {quote: \"\"}}\ntables:\n  ? t\n  : <<: *d\n    from: |\n      x\n"))
	f.Add([]byte("tables: {t: {from: [&a x, *a], tolerate: {files: 1%}}}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse("bucketload.yaml", data)
		if err != nil {
			_ = usageOf(t, err)
			return
		}
		loads, err := file.Loads(nil, Flags{})
		if err != nil {
			_ = usageOf(t, err)
		}
		for _, l := range loads {
			if _, err := Parse("bucketload.yaml", Write(l, nil, nil)); err != nil {
				t.Fatalf("what was read from %q does not read back: %v", data, err)
			}
		}
	})
}
