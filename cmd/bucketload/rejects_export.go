package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/steps"
)

func (a *app) rejectsExportCommand() *cobra.Command {
	var format, out string
	cmd := &cobra.Command{
		Use:   "export RUN",
		Short: "Write the rejected rows of a run to a file",
		Long: `Writes the rows that a run could not load, and that no replay has loaded since.

Formats:
  csv     uri, line, offset, column, code, message, value and raw, the row as it was
  ndjson  the same, an object a line; raw that is no text is in raw_base64
  raw     the rows as they were below the header that they had, to be mended and
          loaded as files. Rows from files with other headers go to other files:
          OUT, OUT-2, ...

Rows of files in other encodings are written as UTF-8.`,
		Args: needArgs(1, 1, "one run"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.reading(cmd.Context(), func(s *steps.Steps) error {
				if _, err := s.Ledger.Run(cmd.Context(), args[0]); err != nil {
					return err
				}
				switch format {
				case "csv":
					return a.exportTo(out, func(w io.Writer) error { return exportCSV(cmd.Context(), s, args[0], w) })
				case "ndjson":
					return a.exportTo(out, func(w io.Writer) error { return exportNDJSON(cmd.Context(), s, args[0], w) })
				case "raw":
					return a.exportRaw(cmd.Context(), s, args[0], out)
				}
				return usage(fmt.Sprintf("--format %q is none of csv, ndjson, raw", format), cmd.CommandPath()+" RUN --format csv")
			})
		},
	}
	cmd.Flags().StringVar(&format, "format", "csv", "csv, ndjson or raw")
	cmd.Flags().StringVarP(&out, "out", "o", "-", "the file to write; - is standard output")
	return cmd
}

// allRaw asks for all that is kept of a row.
const allRaw = 1 << 30

// exportTo gives write the file of that name, or standard output.
func (a *app) exportTo(name string, write func(io.Writer) error) error {
	if name == "-" {
		w := bufio.NewWriter(a.out)
		if err := write(w); err != nil {
			return err
		}
		return w.Flush()
	}
	f, err := os.Create(name)
	if err != nil {
		return cannotWrite(err)
	}
	w := bufio.NewWriter(f)
	if err = write(w); err == nil {
		err = w.Flush()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

func cannotWrite(err error) error {
	return &bucketload.Error{Op: "export", Code: bucketload.CodeUsage, Err: err, Hint: "name a file that can be written: --out FILE"}
}

// exportCSV keeps every byte of a row: encoding/csv would change line ends.
func exportCSV(ctx context.Context, s *steps.Steps, run string, w io.Writer) error {
	if _, err := io.WriteString(w, "uri,line,offset,column,code,message,value,raw\n"); err != nil {
		return err
	}
	var line []byte
	field := func(b []byte) {
		line = append(line, '"')
		for _, c := range b {
			if c == '"' {
				line = append(line, '"')
			}
			line = append(line, c)
		}
		line = append(line, '"', ',')
	}
	return s.Ledger.Rejects(ctx, run, allRaw, func(r *ledger.Rejected) error {
		line = line[:0]
		field([]byte(r.URI))
		line = append(strconv.AppendInt(line, r.Line, 10), ',')
		line = append(strconv.AppendInt(line, r.Offset, 10), ',')
		for _, text := range []string{r.Column, string(r.Code), r.Message, r.Value} {
			field([]byte(text))
		}
		_, row := steps.Texts(r)
		field(row)
		line[len(line)-1] = '\n'
		_, err := w.Write(line)
		return err
	})
}

func exportNDJSON(ctx context.Context, s *steps.Steps, run string, w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return s.Ledger.Rejects(ctx, run, allRaw, func(r *ledger.Rejected) error {
		row := struct {
			URI       string          `json:"uri"`
			Line      int64           `json:"line"`
			Offset    int64           `json:"offset"`
			Column    string          `json:"column"`
			Code      bucketload.Code `json:"code"`
			Message   string          `json:"message"`
			Hint      string          `json:"hint"`
			Value     string          `json:"value"`
			Bytes     int64           `json:"bytes"` // more than are in raw where it was cut
			Raw       string          `json:"raw,omitempty"`
			RawBase64 string          `json:"raw_base64,omitempty"`
		}{r.URI, r.Line, r.Offset, r.Column, r.Code, r.Message, r.Hint, r.Value, r.Bytes, "", ""}
		if _, text := steps.Texts(r); utf8.Valid(text) {
			row.Raw = string(text)
		} else {
			row.RawBase64 = base64.StdEncoding.EncodeToString(r.Raw)
		}
		return enc.Encode(row)
	})
}

// exportRaw writes a file for each header that the rejects had.
func (a *app) exportRaw(ctx context.Context, s *steps.Steps, run, out string) error {
	shapes := map[string]int{} // headers, and their numbers
	key := func(r *ledger.Rejected) string {
		header, _ := steps.Texts(r)
		return strings.Join(r.Shape.Header, "\x00") + "\x00\x00" + string(header)
	}
	err := s.Ledger.Rejects(ctx, run, 0, func(r *ledger.Rejected) error {
		if k := key(r); shapes[k] == 0 {
			shapes[k] = len(shapes) + 1
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(shapes) > 1 && out == "-" {
		return usage(fmt.Sprintf("the rejects come from files with %d different headers", len(shapes)), "give --out FILE, for FILE, FILE-2 ...; or --format csv")
	}
	var cut int64
	for _, number := range slices.Sorted(maps.Values(shapes)) {
		name := out
		if number > 1 {
			ext := filepath.Ext(out)
			name = fmt.Sprintf("%s-%d%s", strings.TrimSuffix(out, ext), number, ext)
		}
		err := a.exportTo(name, func(w io.Writer) error {
			begun := false
			return s.Ledger.Rejects(ctx, run, allRaw, func(r *ledger.Rejected) error {
				switch {
				case shapes[key(r)] != number:
					return nil
				case r.Cut():
					cut++
					return nil
				}
				header, row := steps.Texts(r)
				if !begun {
					begun = true
					if err := writeLine(w, header); err != nil {
						return err
					}
				}
				return writeLine(w, row)
			})
		})
		if err != nil {
			return err
		}
		if name != "-" {
			fmt.Fprintf(a.errs, "written: %s\n", name)
		}
	}
	if cut > 0 {
		fmt.Fprintf(a.errs, "left out: %s too long to be kept whole; --format csv has their beginnings\n", plural(int(cut), "row"))
	}
	return nil
}

// writeLine writes a row, and the line end that the last one of a file may lack.
func writeLine(w io.Writer, row []byte) error {
	if len(row) == 0 {
		return nil
	}
	if _, err := w.Write(row); err != nil {
		return err
	}
	if bytes.HasSuffix(row, []byte("\n")) || bytes.HasSuffix(row, []byte("\r")) {
		return nil
	}
	_, err := w.Write([]byte("\n"))
	return err
}
