package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/bucketload/bucketload/internal/config"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// TestReadmeConfiguration reads the README's example as the program does.
func TestReadmeConfiguration(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(readme), "```yaml\n")
	example, _, closed := strings.Cut(rest, "```\n")
	if !ok || !closed {
		t.Fatal("README.md has no yaml example")
	}
	file, err := config.Parse("README.md", []byte(example))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Loads(nil, config.Flags{}); err != nil {
		t.Fatal(err)
	}
}

// varies is what differs between two demonstrations.
var varies = regexp.MustCompile(`PostgreSQL [\d.]+|\d\d:\d\d:\d\d|in (\d+ min )?[\d.]+ s|run[ =][0-9a-z]{12}`)

// TestReadmeDemo compares the demonstration in the README with what it prints,
// on stderr too, but for the lines of progress that a slow machine has time for.
func TestReadmeDemo(t *testing.T) {
	temptest.Majors(t) // or the test is skipped
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(readme), "```\nA temporary PostgreSQL")
	told, _, closed := strings.Cut("A temporary PostgreSQL"+rest, "```\n")
	if !ok || !closed {
		t.Fatal("README.md has no demonstration")
	}
	printed, err := os.Create(filepath.Join(t.TempDir(), "printed"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = printed.Close() }()
	a := &app{out: printed, errs: printed, logs: printed}
	if code := a.run(t.Context(), []string{"demo"}); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	got, err := os.ReadFile(printed.Name())
	if err != nil {
		t.Fatal(err)
	}
	plain := func(text string) (lines []string) {
		for line := range strings.Lines(strings.ReplaceAll(text, os.Args[0], "bin/bucketload")) {
			if !strings.HasPrefix(line, "bucketload: public.year_2022: ") {
				lines = append(lines, strings.Join(strings.Fields(varies.ReplaceAllString(line, "…")), " "))
			}
		}
		return lines
	}
	if got, want := strings.Join(plain(string(got)), "\n"), strings.Join(plain(told), "\n"); got != want {
		t.Errorf("it prints\n%s\nand the README has\n%s", got, want)
	}
}
