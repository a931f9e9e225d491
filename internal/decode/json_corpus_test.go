package decode

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// readJSON reads all records of data with the columns that a sample of them has.
func readJSON(data []byte, records string) (names []string, rows [][]bucketload.Field, err error) {
	names, _, err = SampleJSON(records, 1<<30, data)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	var fields []JSONField
	for _, name := range names {
		fields = append(fields, JSONField{Paths: []string{name}})
	}
	j, err := NewJSON(bytes.NewReader(data), records, fields, bucketload.PolicyFail)
	if err != nil {
		return nil, nil, err
	}
	for {
		row, err := j.Next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return names, rows, err
		}
		row = slices.Clone(row)
		for i := range row {
			row[i].Bytes = bytes.Clone(row[i].Bytes)
		}
		rows = append(rows, row)
	}
}

// TestJSONTestSuite reads what must be read and refuses what must not, and says
// what becomes of what the standard leaves open.
func TestJSONTestSuite(t *testing.T) {
	dir := temptest.Corpus(t, "corpus/JSONTestSuite/test_parsing")
	streams := map[string]string{ // no one document, but a file of records all the same
		"n_single_space.json":               "an empty file",
		"n_structure_no_data.json":          "an empty file",
		"n_structure_UTF8_BOM_no_data.json": "an empty file with a mark, which is cut",
		"n_structure_double_array.json":     "two arrays of no records",
	}
	read := map[string]bool{ // what the standard leaves open, and we read
		"i_number_double_huge_neg_exp.json": true, "i_number_huge_exp.json": true, "i_number_neg_int_huge_exp.json": true, "i_number_pos_double_huge_exp.json": true,
		"i_number_real_neg_overflow.json": true, "i_number_real_pos_overflow.json": true, "i_number_real_underflow.json": true, "i_number_too_big_neg_int.json": true,
		"i_number_too_big_pos_int.json": true, "i_number_very_big_negative_int.json": true, // numbers are as written
		"i_string_UTF-16LE_with_BOM.json": true, "i_string_utf16BE_no_BOM.json": true, "i_string_utf16LE_no_BOM.json": true,
		"i_structure_500_nested_arrays.json": true, "i_structure_UTF-8_BOM_empty_object.json": true,
	}
	for _, path := range glob(t, dir, "*.json") {
		name := filepath.Base(path)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = readJSON(data, "$")
		if nul := strings.Contains(name, "null") && bucketload.AsError(err) != nil && bucketload.AsError(err).Code == bucketload.CodeNUL; nul {
			err = nil // it is JSON, and Postgres cannot hold it
		}
		want := strings.HasPrefix(name, "y_") || read[name] || streams[name] != ""
		if (err == nil) != want {
			t.Errorf("%s: %.100q: %v", name, data, err)
		}
		delete(read, name)
	}
	if len(read) > 0 {
		t.Errorf("not there: %v", slices.Collect(maps.Keys(read)))
	}
}

// Other people's files: whatever encoding/json reads is read with the same
// values, and what it refuses is refused.
func TestJSONCorpus(t *testing.T) {
	seen := 0
	for _, set := range []string{"simdjson-data", "duckdb-json", "vega-datasets", "pg_lake"} {
		err := filepath.WalkDir(temptest.Corpus(t, "corpus/"+set), func(path string, d fs.DirEntry, err error) error {
			if format, _ := FormatOf(path); err != nil || d.IsDir() || format != bucketload.FormatJSON {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil || len(data) > 16<<20 {
				return err
			}
			seen++
			t.Run(set+"/"+d.Name(), func(t *testing.T) { judgeJSON(t, data) })
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if seen == 0 {
		t.Error("no file")
	}
}

// judgeJSON holds what is read of a file against encoding/json.
func judgeJSON(t *testing.T, data []byte) {
	want, wantErr := recordsOf(bytes.TrimPrefix(data, byteOrderMark))
	names, rows, err := readJSON(data, "$")
	if wantErr != nil || err != nil {
		if (wantErr == nil) != (err == nil) && !deviates(data) {
			t.Fatalf("%v, encoding/json: %v", err, wantErr)
		}
		return
	}
	if len(rows) != len(want) {
		t.Fatalf("%d records, encoding/json: %d", len(rows), len(want))
	}
	for i, record := range want {
		for k, name := range names {
			if got := rows[i][k]; !sameJSON(got, record[name]) {
				t.Fatalf("record %d, %s: %.200q, encoding/json: %.200q", i, name, got.Bytes, record[name])
			}
		}
	}
}

// recordsOf reads records by encoding/json: the values of the stream, or the
// elements of those that are arrays, by the name of each top-level value.
func recordsOf(data []byte) (all []map[string]json.RawMessage, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	add := func(raw json.RawMessage) {
		record := map[string]json.RawMessage{}
		var elements []json.RawMessage
		switch raw[0] {
		case '{':
			_ = json.Unmarshal(raw, &record)
			for key, value := range record {
				if isPath(key) {
					record[keyPath(key)] = value
				}
			}
		case '[':
			_ = json.Unmarshal(raw, &elements)
			for i, e := range elements {
				record[jsonColumnName(i)] = e
			}
		default:
			record[jsonValueName] = raw
		}
		all = append(all, record)
	}
	var values []json.RawMessage
	for {
		var raw json.RawMessage
		if err := d.Decode(&raw); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		values = append(values, raw)
	}
	rows := len(values) > 1 && values[0][0] == '[' && len(values[0]) > 2 && values[1][0] == '[' &&
		!strings.ContainsRune("{[", rune(bytes.TrimLeft(values[0][1:], " \t\r\n")[0])) // lines of arrays
	for _, raw := range values {
		var elements []json.RawMessage
		if raw[0] != '[' || rows || len(all) > 0 && values[0][0] != '[' {
			add(raw)
			continue
		}
		_ = json.Unmarshal(raw, &elements)
		for _, e := range elements {
			add(e)
		}
	}
	return all, nil
}

// sameJSON is whether a field is the value that encoding/json has.
func sameJSON(f bucketload.Field, raw json.RawMessage) bool {
	if raw == nil || string(raw) == "null" {
		return f.Bytes == nil && !f.Quoted
	}
	if raw[0] != '"' {
		return !f.Quoted && bytes.Equal(f.Bytes, raw)
	}
	var s string
	return json.Unmarshal(raw, &s) == nil && f.Quoted && string(f.Bytes) == s
}
