package main

import (
	"os"
	"strings"
	"testing"

	"github.com/bucketload/bucketload/internal/config"
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
