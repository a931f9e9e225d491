package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"golang.org/x/text/encoding/htmlindex"

	"github.com/bucketload/bucketload/internal/temp/temptest"
)

var updateDocs = flag.Bool("update", false, "write what the examples of docs/files.md and docs/modes.md give into them")

var (
	fence   = regexp.MustCompile("(?ms)^```(\\S.*?)\n(.*?)^```\n")
	example = regexp.MustCompile(`(?m)^### `)
	runID   = regexp.MustCompile(`(r_|redrive |gc |run )[0-9a-z]{12}`)
	octet   = regexp.MustCompile(`\\x[0-9a-f]{2}`)
)

// TestFilesDocument loads every example of docs/files.md and of docs/modes.md,
// and compares what comes out with what it says. The blocks of an example are files ("csv
// NAME", with an encoding, or with "bytes" where \xNN is a byte), the keys of the table
// (yaml), statements to run before (sql), and what comes of it: the table, the
// error, or the rejects.
func TestFilesDocument(t *testing.T) {
	dsn := temptest.Database(t, 0)
	for _, name := range []string{"files", "modes"} {
		t.Run(name, func(t *testing.T) { testDocument(t, dsn, name, "../../docs/"+name+".md") })
	}
}

func testDocument(t *testing.T, dsn, document, path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	starts := append(example.FindAllIndex(text, -1), []int{len(text)})
	sections := make([]string, len(starts)-1)
	t.Run("examples", func(t *testing.T) {
		for i := range sections {
			sections[i] = string(text[starts[i][0]:starts[i+1][0]])
			name, _, _ := strings.Cut(strings.TrimPrefix(sections[i], "### "), "\n")
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				want := sections[i]
				sections[i] = runExample(t, dsn, fmt.Sprintf("%s_%d", document, i), want)
				if sections[i] != want && !*updateDocs {
					t.Errorf("the document is not what comes out (go test ./cmd/bucketload -run TestFilesDocument -update); this is:\n%s", sections[i])
				}
			})
		}
	})
	if *updateDocs {
		if err := os.WriteFile(path, append(text[:starts[0][0]:starts[0][0]], strings.Join(sections, "")...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// runExample gives the section with what really comes out; the example's table
// is in a schema of its own.
func runExample(t *testing.T, dsn, schema, section string) string {
	blocks := fence.FindAllStringSubmatch(section, -1)
	if len(blocks) == 0 {
		t.Fatal("the example has no block")
	}
	dsn += "&search_path=" + schema
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), "CREATE SCHEMA "+schema); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	keys := "from: [.]\ntable: " + schema + ".t\n"
	for _, b := range blocks {
		switch info := strings.Fields(b[1]); {
		case info[0] == "yaml":
			keys += b[2]
		case info[0] == "sql":
			if _, err := conn.Exec(t.Context(), b[2]); err != nil {
				t.Fatal(err)
			}
		case len(info) > 1:
			writeExample(t, filepath.Join(dir, "data", info[1]), b[2], info[2:])
		}
	}
	config := "version: 1\ntables:\n  t:\n    " + strings.ReplaceAll(strings.TrimSpace(strings.Replace(keys, "[.]", "[data/]", 1)), "\n", "\n    ") + "\n"
	if err := os.WriteFile(filepath.Join(dir, "bucketload.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	stderr, code := runBucketload(t, dir, dsn, "load", "t")
	place := regexp.MustCompile(`(file://)?` + regexp.QuoteMeta(dir) + "/data/")
	plain := func(s string) string {
		return strings.NewReplacer(schema+".", "public.", `"`+schema+`"`, `"public"`).Replace(runID.ReplaceAllString(place.ReplaceAllString(s, ""), "${1}RUN"))
	}
	return fence.ReplaceAllStringFunc(section, func(b string) string {
		info, _, _ := strings.Cut(strings.TrimPrefix(b, "```"), "\n")
		out := ""
		switch info {
		case "table":
			if code != 0 && code != 3 {
				t.Errorf("exit code %d: %s", code, stderr)
			}
			out = printTable(t, conn, "SELECT * FROM t ORDER BY 1", plain)
		case "rejects":
			if code != 1 && code != 3 {
				t.Errorf("exit code %d: %s", code, stderr)
			}
			out = printTable(t, conn, `SELECT uri AS file, line, column_name AS column, code, trim(E'\n' FROM convert_from(raw, 'UTF8')) AS raw FROM bucketload.rejects r JOIN bucketload.files f ON f.run = r.run AND f.no = r.file JOIN bucketload.runs ON runs.id = r.run WHERE table_schema = current_schema ORDER BY 1, 2`, plain)
		case "error":
			if code != 1 && code != 2 {
				t.Errorf("exit code %d: %s", code, stderr)
			}
			for line := range strings.Lines(stderr) {
				if strings.HasPrefix(line, "bucketload: ") || strings.HasPrefix(line, "hint: ") {
					out += plain(line)
				}
			}
		default:
			return b
		}
		return "```" + info + "\n" + out + "```\n"
	})
}

func writeExample(t *testing.T, path, content string, how []string) {
	t.Helper()
	if len(how) == 1 && how[0] == "bytes" {
		content = octet.ReplaceAllStringFunc(content, func(s string) string {
			b, _ := strconv.ParseUint(s[2:], 16, 8) // two digits
			return string([]byte{byte(b)})
		})
	} else if len(how) == 1 {
		encoding, err := htmlindex.Get(how[0])
		if err != nil {
			t.Fatal(err)
		}
		if content, err = encoding.NewEncoder().String(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// runBucketload gives what the program says on stderr, without its log.
func runBucketload(t *testing.T, dir, dsn string, args ...string) (stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bucketload", append(args, "--quiet")...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "BUCKETLOAD_TO="+dsn)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	_ = cmd.Run() // the code tells
	return errs.String(), cmd.ProcessState.ExitCode()
}

// printTable gives rows as psql does, with ∅ for NULL, and every value as plain
// makes it.
func printTable(t *testing.T, conn *pgx.Conn, sql string, plain func(string) string) string {
	t.Helper()
	result := conn.PgConn().ExecParams(t.Context(), sql, nil, nil, nil, nil).Read()
	if result.Err != nil {
		t.Fatal(result.Err)
	}
	rows := [][]string{{}}
	for _, f := range result.FieldDescriptions {
		rows[0] = append(rows[0], f.Name)
	}
	for _, row := range result.Rows {
		cells := make([]string, len(row))
		for i, value := range row {
			cells[i] = "∅"
			if value != nil {
				cells[i] = strings.ReplaceAll(plain(string(value)), "\n", "↵")
			}
		}
		rows = append(rows, cells)
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	var b strings.Builder
	for n, row := range rows {
		line := ""
		for i, cell := range row {
			line += fmt.Sprintf(" %-*s |", widths[i], cell)
		}
		b.WriteString(strings.TrimRight(strings.TrimSuffix(line, "|"), " ") + "\n")
		if n == 0 {
			line = ""
			for _, w := range widths {
				line += strings.Repeat("-", w+2) + "+"
			}
			b.WriteString(strings.TrimSuffix(line, "+") + "\n")
		}
	}
	return b.String()
}
