package decode

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"testing"

	"github.com/bucketload/bucketload"
)

// weatherLines makes NDJSON of the rows that weather makes, with numbers as such.
func weatherLines(tb testing.TB, rows int) (lines []byte, fields []JSONField) {
	all, err := csv.NewReader(bytes.NewReader(weather(rows))).ReadAll()
	if err != nil {
		tb.Fatal(err)
	}
	var b bytes.Buffer
	for _, row := range all[1:] {
		for i, value := range row {
			fmt.Fprintf(&b, "%c%q:", "{,"[min(i, 1)], all[0][i])
			if _, err := strconv.ParseFloat(value, 64); err == nil && value[0] != '0' {
				b.WriteString(value)
			} else {
				fmt.Fprintf(&b, "%q", value)
			}
		}
		b.WriteString("}\n")
	}
	for _, name := range all[0] {
		fields = append(fields, JSONField{Paths: []string{name}})
	}
	return b.Bytes(), fields
}

func BenchmarkJSON(b *testing.B) {
	lines, fields := weatherLines(b, 20_000)
	backwards := slices.Clone(fields)
	slices.Reverse(backwards)
	array := append(append([]byte("["), bytes.ReplaceAll(bytes.TrimSpace(lines), []byte("\n"), []byte(",\n"))...), ']')
	for _, c := range []struct {
		name    string
		data    []byte
		fields  []JSONField
		unknown string
	}{
		{"lines", lines, fields, bucketload.PolicyFail},
		{"array", array, fields, bucketload.PolicyFail},
		{"other order", lines, backwards, bucketload.PolicyFail},
		{"two fields", lines, fields[:2], bucketload.PolicyIgnore},
		{"rescue", lines, fields[:20], bucketload.PolicyRescue},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.data)))
			b.ReportAllocs()
			for b.Loop() {
				j, err := NewJSON(bytes.NewReader(c.data), "$", c.fields, c.unknown)
				if err != nil {
					b.Fatal(err)
				}
				for {
					if _, err = j.Next(); err != nil {
						break
					}
				}
				if err != io.EOF {
					b.Fatal(err)
				}
			}
		})
	}
}
