package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// tool is another project's program, installed below the cache.
type tool struct {
	program string // to start it by; for a library of Python's, Python
	version string
}

// installLimit is the time for one tool.
const installLimit = 5 * time.Minute

// A way of installing a tool into an empty directory gives the program and the
// arguments with which that says its version. Where the program does not run
// then (some packages download it when it is first used), it is not installed.
type way func(ctx context.Context, dir string) (program string, version []string, err error)

// ways are by peer.
var ways = map[string]way{
	"duckdb":      python("import duckdb; print('DuckDB', duckdb.__version__)", "duckdb"),
	"duckdb-adbc": python("import duckdb, pyarrow, adbc_driver_postgresql as a; print('DuckDB', duckdb.__version__, 'with ADBC', a.__version__)", "duckdb", "pyarrow", "adbc-driver-postgresql"),
	"dlt":         python("import dlt, pyarrow; print('dlt', dlt.__version__)", "dlt[postgres]", "pyarrow"),
	"sling":       pythonProgram("sling"),
	"ingestr":     pythonProgram("ingestr"),
	"pgloader":    debian("pgloader"),
	"timescaledb-parallel-copy": func(ctx context.Context, dir string) (string, []string, error) {
		const module = "github.com/timescale/timescaledb-parallel-copy"
		cmd := exec.CommandContext(ctx, "go", "install", module+"/cmd/timescaledb-parallel-copy@latest")
		cmd.Env = append(os.Environ(), "GOBIN="+dir)
		return filepath.Join(dir, "timescaledb-parallel-copy"), []string{"--version"}, quietly(cmd)
	},
}

// python installs packages into an environment of their own; the tool is its
// Python, and the expression prints the version.
func python(print string, packages ...string) way {
	return func(ctx context.Context, dir string) (string, []string, error) {
		program := filepath.Join(dir, "bin", "python")
		if err := quietly(exec.CommandContext(ctx, "python3", "-m", "venv", dir)); err != nil {
			return "", nil, err
		}
		return program, []string{"-c", print}, quietly(exec.CommandContext(ctx, program, append([]string{"-m", "pip", "install", "--quiet"}, packages...)...))
	}
}

// pythonProgram installs a package whose program has its name.
func pythonProgram(name string) way {
	return func(ctx context.Context, dir string) (string, []string, error) {
		_, _, err := python("", name)(ctx, dir)
		return filepath.Join(dir, "bin", name), []string{"--version"}, err
	}
}

// debian takes the program of a package that is installed, or unpacks the
// package; the libraries that it needs have to be there.
func debian(name string) way {
	return func(ctx context.Context, dir string) (string, []string, error) {
		if program, err := exec.LookPath(name); err == nil {
			return program, []string{"--version"}, nil
		}
		download := exec.CommandContext(ctx, "apt-get", "download", name)
		download.Dir = dir
		if err := quietly(download); err != nil {
			return "", nil, err
		}
		archives, err := filepath.Glob(filepath.Join(dir, "*.deb"))
		if err != nil || len(archives) != 1 {
			return "", nil, errors.Join(err, fmt.Errorf("apt-get download left %d packages", len(archives)))
		}
		return filepath.Join(dir, "usr", "bin", name), []string{"--version"}, quietly(exec.CommandContext(ctx, "dpkg-deb", "--extract", archives[0], dir))
	}
}

// install installs a tool into dir, unless an earlier run has: then what that
// found is used, until dir is removed.
func (w way) install(ctx context.Context, dir string) (*tool, error) {
	ctx, cancel := context.WithTimeout(ctx, installLimit)
	defer cancel()
	note := filepath.Join(dir, "installed") // program and version
	if said, err := os.ReadFile(note); err == nil {
		program, version, _ := strings.Cut(string(said), "\n")
		return &tool{program, version}, nil
	}
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return nil, err
	}
	program, args, err := w(ctx, dir)
	if err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("it does not run: %s", lastLine(out, err))
	}
	version := strings.ReplaceAll(strings.TrimSpace(string(out)), "\n", ", ")
	return &tool{program, version}, os.WriteFile(note, []byte(program+"\n"+version), 0o644)
}

// quietly runs a command; its last words are the error.
func quietly(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %s", filepath.Base(cmd.Path), lastLine(out, err))
	}
	return nil
}

// lastLine is what a program said last, hints aside, or the error where it said
// nothing.
func lastLine(out []byte, err error) string {
	text, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\nhint:")
	if text == "" && err != nil {
		return err.Error()
	}
	return strings.TrimSpace(text[strings.LastIndex(text, "\n")+1:])
}
