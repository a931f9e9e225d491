package steps

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"

	"github.com/bucketload/bucketload"
)

// TestSamplesInside: the middle and the end of a file have a voice as its
// beginning has, whatever it is encoded in and however its lines end.
func TestSamplesInside(t *testing.T) {
	t.Parallel()
	text := func(end string, middle, last string) string {
		var b strings.Builder
		b.WriteString("id,é,at" + end)
		for i := range 10_000 {
			n, at := fmt.Sprint(i), "2024-01-31"
			if i > 4_500 && i < 5_500 {
				n = middle
			}
			if i > 9_000 {
				at = last
			}
			b.WriteString(n + ",ü🌍" + strings.Repeat("x", i%5) + "," + at + end)
		}
		return b.String()
	}
	mark := map[string]encoding.Encoding{
		"utf-8":    encoding.Nop,
		"utf-16le": unicode.UTF16(unicode.LittleEndian, unicode.UseBOM),
		"utf-16be": unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM),
		"utf-32le": utf32.UTF32(utf32.LittleEndian, utf32.UseBOM),
		"utf-32be": utf32.UTF32(utf32.BigEndian, utf32.UseBOM),
	}
	for name, enc := range mark {
		for _, end := range []string{"\n", "\r\n", "\r"} {
			t.Run(fmt.Sprintf("%s %q", name, end), func(t *testing.T) {
				t.Parallel()
				for i := range 4 { // of every rest when divided by four
					data, err := enc.NewEncoder().String(text(end, "7.5", "later") + strings.Repeat("9", i) + ",z,soon" + end)
					if err != nil {
						t.Fatal(err)
					}
					b := &bench{t: t, Steps: New(nil, slog.New(slog.DiscardHandler)), dir: t.TempDir(), table: "t"}
					load := b.load(map[string]string{"a.csv": data})
					load.CSVOpen = []string{"delimiter", "encoding"}
					g, err := b.Guess(t.Context(), load)
					if err != nil {
						t.Fatal(err)
					}
					got := fmt.Sprintf("%s: %s %s %s", g.CSV.Encoding, g.Columns[0].Type, g.Columns[1].Type, g.Columns[2].Type)
					if want := name + ": numeric text text"; got != want {
						t.Errorf("%s, want %s", got, want)
					}
				}
			})
		}
	}
}

// TestSampleGoesOn: a bad row among the first ones silences none of the others.
func TestSampleGoesOn(t *testing.T) {
	t.Parallel()
	b := &bench{t: t, Steps: New(nil, slog.New(slog.DiscardHandler)), dir: t.TempDir(), table: "t"}
	rows := strings.Repeat("1,2024-01-31\n", 20)
	load := b.load(map[string]string{"a.csv": "id,at\nx\n" + rows + "y\"y,z\n" + rows + "2.5,2024-01-31\n"})
	g, err := b.Guess(t.Context(), load)
	b.must(err)
	if g.Columns[0].Type != "numeric" || g.Columns[1].Type != "date" {
		t.Errorf("%+v", g.Columns)
	}
}

// TestConfiguredCompression: samples are decompressed as the files will be.
func TestConfiguredCompression(t *testing.T) {
	t.Parallel()
	b := &bench{t: t, Steps: New(nil, slog.New(slog.DiscardHandler)), dir: t.TempDir(), table: "t"}
	load := b.load(map[string]string{"a.csv": zst("id\n1\n")}, func(l *bucketload.Load) { l.Compression = "gzip" })
	_, err := b.Guess(t.Context(), load)
	wantCode(t, err, bucketload.CodeSource, "zstd")
	load.Compression = "zstd"
	if g, err := b.Guess(t.Context(), load); err != nil || g.Columns[0].Type != "bigint" {
		t.Errorf("%+v %v", g, err)
	}
}

// TestTypedHeaders: where the columns have their types, the beginnings of files
// are enough, and the table is the same.
func TestTypedHeaders(t *testing.T) {
	t.Parallel()
	files := map[string]string{}
	for i := range 3 {
		files[fmt.Sprintf("%d.csv", i)] = "f;n\n" + strings.Repeat("some text;12.5\n", 6_000)
	}
	typed := []bucketload.Column{{Name: "f", Type: "text"}, {Name: "n", Type: "numeric"}}
	for _, c := range []struct {
		name     string
		change   func(*bucketload.Load)
		requests int64
		table    string
	}{
		{"typed", func(l *bucketload.Load) { l.Columns = typed }, 3, "f text, n numeric"},
		{"all text", func(l *bucketload.Load) { l.AllText = true }, 3, "f text, n text"},
		{"untyped", func(*bucketload.Load) {}, 9, "f text, n numeric"},
		{"one untyped", func(l *bucketload.Load) { l.Columns = []bucketload.Column{typed[0], {Name: "n"}} }, 9, "f text, n numeric"},
		{"overridden", func(l *bucketload.Load) { l.Columns, l.ColumnsOverride = typed, true }, 9, "f text, n numeric"},
		{"added", func(l *bucketload.Load) { l.Columns, l.Unknown = typed[:1], bucketload.PolicyAdd }, 9, "f text, n numeric"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := sharedBench(t, 0)
			load := b.load(files, c.change)
			load.CSV.Delimiter, load.CSVOpen = "", []string{"delimiter"}
			s3 := b.inS3(load)
			run := b.prepared(load)
			if n := s3.Requests()["GetObject"]; n != c.requests {
				t.Errorf("%d requests, want %d", n, c.requests)
			}
			b.table = "dataimport.r_" + run
			if got := b.columnsOf(); got != c.table {
				t.Errorf("%s, want %s", got, c.table)
			}
		})
	}
}
