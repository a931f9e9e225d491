package judges

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// asText are the keys that change as little as there is to change.
const asText = "all_text: true\nlower_case: false\n"

// spectrumSlips are where csv-spectrum's expectations are not of its files as
// they are in its repository: one lost its CRs, one has another number.
var spectrumSlips = strings.NewReplacer("\r\n", "\n", "1234567890", "2095257564")

// TestCSVSpectrum loads the files of csv-spectrum without a word about them.
func TestCSVSpectrum(t *testing.T) {
	t.Parallel()
	dir := temptest.Corpus(t, "corpus/csv-spectrum")
	c := newCourt(t)
	names := files(t, filepath.Join(dir, "csvs"), "*.csv")
	passed := make([]bool, len(names))
	each(t, names, filepath.Base, func(t *testing.T, i int, path string) {
		data, err := os.ReadFile(filepath.Join(dir, "json", strings.TrimSuffix(filepath.Base(path), ".csv")+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var want []map[string]string
		if data = []byte(strings.TrimSpace(string(data))); data[0] == '{' {
			data = fmt.Appendf(nil, "[%s]", data)
		}
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatal(err)
		}
		for _, object := range want {
			for name, value := range object {
				object[name] = spectrumSlips.Replace(value)
			}
		}
		v := c.load(t, asText, path)
		if v.err != nil {
			t.Fatal(v.err)
		}
		got := v.objects()
		if passed[i] = fmt.Sprintf("%q", got) == fmt.Sprintf("%q", want); !passed[i] {
			t.Errorf("got %q, want %q", got, want)
		}
	})
	report(t, "csv-spectrum", fmt.Sprintf("%d of %d files give the expected rows, with no configuration but `all_text: true`.", count(passed), len(passed)))
}

// objects gives the rows by name, with NULL as nothing.
func (g grid) objects() []map[string]string {
	rows := []map[string]string{}
	for _, row := range g.texts() {
		object := map[string]string{}
		for i, value := range row {
			object[g.names[i]] = value
		}
		rows = append(rows, object)
	}
	return rows
}

func count(passed []bool) int {
	n := 0
	for _, ok := range passed {
		if ok {
			n++
		}
	}
	return n
}

// TestCommonsCSV reads the control files of Apache Commons CSV, which name a
// data file, settings, and the records that come of it.
func TestCommonsCSV(t *testing.T) {
	t.Parallel()
	dir := temptest.Corpus(t, "corpus/commons-csv/org/apache/commons/csv/CSVFileParser")
	c := newCourt(t)
	controls := files(t, dir, "test*.txt")
	passed := make([]bool, len(controls))
	each(t, controls, filepath.Base, func(t *testing.T, i int, path string) {
		control := readControl(t, path)
		v := c.load(t, control.keys, filepath.Join(dir, control.data))
		if v.err != nil {
			t.Fatal(v.err)
		}
		var got []string
		for _, row := range v.rows {
			var cells []string
			for _, cell := range row {
				if cell != nil {
					cells = append(cells, *cell)
				} else {
					cells = append(cells, "")
				}
			}
			got = append(got, strings.Join(cells, ", "))
		}
		if passed[i] = fmt.Sprintf("%q", got) == fmt.Sprintf("%q", control.records); !passed[i] {
			t.Errorf("got  %q\nwant %q", got, control.records)
		}
	})
	report(t, "Apache Commons CSV", fmt.Sprintf(`%d of %d control files of its CSVFileParserTest give the records that they list. Records of another
width than the first are filled up (`+"`ragged: pad`"+`), as a table has one width; blank lines are no rows. Its
format keeps quotes inside of fields that do not begin with one, and ignores surrounding spaces where it is told
so: `+"`stray_quotes: keep` and `unquoted_blanks: trim`"+` here.`, count(passed), len(passed)))
}

// control is a control file: which data, read how, gives which records. A
// record is its cells with ", " between them.
type control struct {
	data, keys string
	records    []string
}

var controlRecord = regexp.MustCompile(`^([0-9]+):\[(.*?)\](?:#.*)?$`)

func readControl(t *testing.T, path string) control {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	settings := strings.Fields(lines[0])
	c := control{data: settings[0]}
	comment, blanks, width := "", "keep", 0
	for _, s := range settings[1:] {
		switch name, value, _ := strings.Cut(s, "="); name {
		case "CommentStart":
			comment = value
		case "IgnoreSpaces":
			blanks = "trim"
		}
	}
	for _, line := range lines[2:] {
		m := controlRecord.FindStringSubmatch(line)
		if m == nil || m[2] == "" && m[1] == "1" {
			continue // a comment, or a blank line
		}
		var n int
		if _, err := fmt.Sscan(m[1], &n); err != nil {
			t.Fatal(err)
		}
		if width == 0 {
			width = n
		}
		c.records = append(c.records, m[2]+strings.Repeat(", ", max(0, width-n)))
	}
	c.keys = "csv: {delimiter: ',', quote: '\"', header: false, ragged: pad, stray_quotes: keep, unquoted_blanks: " + blanks + ", comment: " + yaml(comment) + "}\ncolumns:\n"
	for i := range width {
		c.keys += fmt.Sprintf("  column_%d: text\n", i+1)
	}
	return c
}

// jsonElsewise are the documents of which a file of records is judged otherwise
// than a JSON document is.
var jsonElsewise = map[string]string{
	"n_single_space.json":               "an empty file has no records",
	"n_structure_no_data.json":          "an empty file has no records",
	"n_structure_UTF8_BOM_no_data.json": "an empty file has no records",
	"n_structure_double_array.json":     "records may follow each other",
	"y_object_escaped_null_in_key.json": "Postgres cannot hold a NUL",
	"y_string_null_escape.json":         "Postgres cannot hold a NUL",
}

// TestJSONTestSuite loads the documents of the suite, a file each, in one run
// that tolerates any number of failed files.
func TestJSONTestSuite(t *testing.T) {
	t.Parallel()
	dir := temptest.Corpus(t, "corpus/JSONTestSuite/test_parsing")
	c := newCourt(t)
	names := files(t, dir, "*.json")
	v := c.ask(t, "", "format: json\ncolumns: {value: {from: $, type: json}}\nlineage: [_file, _line]\ntolerate: {files: 100%}\nmax_concurrency: 2",
		"SELECT regexp_replace(_file, '.*/', ''), value::jsonb FROM t WHERE _file ~ '/y_' ORDER BY _file, _line, ctid", names...)
	if v.err != nil {
		t.Fatal(v.err)
	}
	values := map[string][]string{}
	for _, row := range v.texts() {
		values[row[0]] = append(values[row[0]], row[1])
	}
	became := map[string]string{}
	for _, row := range c.query(t, "SELECT regexp_replace(uri, '.*/', ''), state FROM bucketload.files WHERE run = '"+*v.run.ID+"'").texts() {
		became[row[0]] = row[1]
	}
	result := map[byte]map[string]int{'y': {}, 'n': {}, 'i': {}}
	open, elsewise := "", ""
	for _, path := range names {
		name := filepath.Base(path)
		state := became[name]
		result[name[0]][state]++
		reason, other := jsonElsewise[name]
		as := map[byte]string{'y': "loaded", 'n': "failed"}[name[0]]
		switch row := fmt.Sprintf("| `%s` | %s |", strings.TrimSuffix(name, ".json"), state); {
		case name[0] == 'i':
			open += row + "\n"
		case (state != as) != other:
			t.Errorf("%s: %s", name, state)
		case name[0] == 'y' && !other:
			if want := c.elements(t, path); !slices.Equal(values[name], want) {
				t.Errorf("%s: got %q, want %q", name, values[name], want)
			}
		case other:
			elsewise += row + " " + reason + " |\n"
		}
	}
	y, n, i := result['y'], result['n'], result['i']
	report(t, "JSONTestSuite", fmt.Sprintf(`%d of %d documents that must be accepted are loaded, and %d of %d that must not be fail. The others:

| document | | because |
| --- | --- | --- |
%s
Of those where the standard leaves it open, %d are loaded and %d fail:

| document | |
| --- | --- |
%s`, y["loaded"], y["loaded"]+y["failed"], n["failed"], n["loaded"]+n["failed"], elsewise, i["loaded"], i["failed"], open))
}

// elements gives what Postgres makes of a document: the elements of an array,
// or else the one value. A null is nothing.
func (c *court) elements(t *testing.T, path string) (all []string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	document := "'" + strings.ReplaceAll(string(data), "'", "''") + "'::jsonb"
	sql := "SELECT nullif(value, 'null') FROM jsonb_array_elements(CASE jsonb_typeof(" + document + ") WHEN 'array' THEN " + document +
		" ELSE jsonb_build_array(" + document + ") END) WITH ORDINALITY ORDER BY ordinality"
	for _, row := range c.query(t, sql).texts() {
		all = append(all, row[0])
	}
	return all
}

// parquetElsewise are the files that are judged otherwise than by the folder
// they are in. The folder's README files say what each is for.
var parquetElsewise = map[string]string{
	"datapage_v1-corrupt-checksum.parquet":           "a page's checksum is wrong, on purpose",
	"rle-dict-uncompressed-corrupt-checksum.parquet": "a page's checksum is wrong, on purpose",
	"large_string_map.brotli.parquet":                "two keys of 1 GiB, which Postgres cannot hold",
	"int96_from_spark.parquet":                       "a timestamp of the year 294,555 BC, which Postgres does not have",
	"ARROW-GH-43605.parquet":                         "its indexes take no bits as there is one value only, which is right",
}

// TestParquetTesting loads Apache's parquet-testing: what is good is a table,
// what is damaged is an error.
func TestParquetTesting(t *testing.T) {
	t.Parallel()
	dir := temptest.Corpus(t, "corpus/parquet-testing")
	c := newCourt(t)
	good, bad := files(t, filepath.Join(dir, "data"), "*.parquet"), files(t, filepath.Join(dir, "bad_data"), "*.parquet")
	loaded := make([]bool, len(good)+len(bad))
	each(t, append(good, bad...), filepath.Base, func(t *testing.T, i int, path string) {
		v := c.load(t, "format: parquet\nlower_case: false\nallow_empty: true", path)
		loaded[i] = v.err == nil
		if _, other := parquetElsewise[filepath.Base(path)]; loaded[i] != (i < len(good) != other) {
			t.Errorf("%d rows: %v", len(v.rows), v.err)
		}
	})
	elsewise := ""
	for _, name := range slices.Sorted(maps.Keys(parquetElsewise)) {
		elsewise += fmt.Sprintf("| `%s` | %s |\n", name, parquetElsewise[name])
	}
	report(t, "parquet-testing", fmt.Sprintf("%d of %d good files are loaded, %d of %d damaged ones are errors. The others:\n\n| file | |\n| --- | --- |\n%s",
		count(loaded[:len(good)]), len(good), len(bad)-count(loaded[len(good):]), len(bad), elsewise))
}
