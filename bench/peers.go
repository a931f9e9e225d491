package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
)

// loading is a case with all that its program is told.
type loading struct {
	loadCase
	*bench
	work           *work
	dsn            string
	from, endpoint string // a path, or the URI of what the S3 server at the endpoint has
}

// peer is a program that loads, bucketload too.
type peer struct {
	makesTable bool // the others find it
	analyzes   bool // the others leave that to the server
	commands   func(context.Context, loading) ([]*exec.Cmd, error)
}

// one makes the commands of a program that is one process.
func one(command func(context.Context, loading) *exec.Cmd) func(context.Context, loading) ([]*exec.Cmd, error) {
	return func(ctx context.Context, l loading) ([]*exec.Cmd, error) { return []*exec.Cmd{command(ctx, l)}, nil }
}

// peers are by program. Those that are installed have their best setting: where
// a program can be told the types, or to use COPY, it is.
var peers = map[string]peer{
	"bucketload": {makesTable: true, analyzes: true, commands: bucketload},
	"psql":       {commands: psql},
	"server": {commands: one(func(ctx context.Context, l loading) *exec.Cmd {
		return psqlCommand(ctx, l, "COPY "+target+" FROM '"+l.from+"' "+l.work.csvOptions())
	})},
	"floor": {commands: one(func(ctx context.Context, l loading) *exec.Cmd {
		return exec.CommandContext(ctx, l.self, "replay", l.dsn, l.streams(l.Work))
	})},
	"pgloader":    {commands: pgloader},
	"duckdb":      {commands: script("duckdb", "load_duckdb.py", "extension")},
	"duckdb-adbc": {commands: script("duckdb-adbc", "load_duckdb.py", "adbc")},
	"dlt":         {makesTable: true, commands: script("dlt", "load_dlt.py")},
	"timescaledb-parallel-copy": {commands: one(func(ctx context.Context, l loading) *exec.Cmd {
		return exec.CommandContext(ctx, l.tools["timescaledb-parallel-copy"].program, "--connection", l.dsn, "--schema", "public", "--table", "bench",
			"--file", l.from, "--workers", fmt.Sprint(l.Conns), "--skip-header", "--copy-options", strings.Replace(l.work.csvOptions(), ", HEADER", "", 1))
	})},
	"sling": {makesTable: true, commands: one(func(ctx context.Context, l loading) *exec.Cmd {
		cmd := exec.CommandContext(ctx, l.tools["sling"].program, "run", "--src-stream", "file://"+l.from, "--tgt-conn", "BENCH", "--tgt-object", target, "--mode", "full-refresh")
		cmd.Env = append(os.Environ(), "BENCH="+l.dsn)
		return cmd
	})},
	"ingestr": {makesTable: true, commands: one(func(ctx context.Context, l loading) *exec.Cmd {
		return exec.CommandContext(ctx, l.tools["ingestr"].program, "ingest", "--yes", "--source-uri", "csv://"+l.from, "--source-table", "bench",
			"--dest-uri", strings.Replace(l.dsn, "postgres://", "postgresql://", 1), "--dest-table", target)
	})},
}

func bucketload(ctx context.Context, l loading) ([]*exec.Cmd, error) {
	file := filepath.Join(l.dir, "bucketload.yaml")
	if err := os.WriteFile(file, []byte(configuration(l)), 0o644); err != nil {
		return nil, err
	}
	args := []string{"load", "--quiet", "-f", file}
	if l.Plan {
		args = []string{"plan", "-f", file}
	}
	cmd := exec.CommandContext(ctx, l.program, args...)
	cmd.Env = append(os.Environ(), "BUCKETLOAD_TO="+l.dsn)
	return []*exec.Cmd{cmd}, nil
}

// configuration is the bucketload.yaml of a load. It has no null_if: what means
// "no measurement" stays a value, as with the others.
func configuration(l loading) string {
	var y strings.Builder
	y.WriteString("version: 1\n")
	if l.endpoint != "" {
		fmt.Fprintf(&y, "s3: {region: us-east-1, endpoint_url: %q, path_style: true, anonymous: true}\n", l.endpoint)
	}
	fmt.Fprintf(&y, "tables:\n  bench:\n    from: [%q]\n    max_concurrency: %d\n    columns:\n", l.from, l.Conns)
	for _, c := range l.work.columns {
		fmt.Fprintf(&y, "      %s: {from: %s, type: %s}\n", c.name(), c.source, c.kind)
	}
	return y.String()
}

func psqlCommand(ctx context.Context, l loading, command string) *exec.Cmd {
	return exec.CommandContext(ctx, "psql", "-X", "-q", "-d", l.dsn, "-c", command)
}

// psql is a session for one file, or for each of the halves.
func psql(ctx context.Context, l loading) ([]*exec.Cmd, error) {
	files := []string{l.from}
	if l.Form == formHalves {
		files = nil
		for i := range l.Conns {
			files = append(files, filepath.Join(l.work.dir, fmt.Sprintf(formHalf, i)))
		}
	}
	var commands []*exec.Cmd
	for _, f := range files {
		commands = append(commands, psqlCommand(ctx, l, `\copy `+target+` from '`+f+`' `+l.work.csvOptions()))
	}
	return commands, nil
}

// pgloader is told what to load by a file in its own language.
func pgloader(ctx context.Context, l loading) ([]*exec.Cmd, error) {
	var fields, columns []string
	for _, c := range l.work.columns {
		name := pgx.Identifier{c.name()}.Sanitize()
		columns = append(columns, name)
		if c.kind != "text" {
			name += " [null if blanks]"
		}
		fields = append(fields, name)
	}
	file := filepath.Join(l.dir, "bench.load")
	text := fmt.Sprintf(`LOAD CSV FROM '%s' (%s)
INTO %s
TARGET TABLE %s (%s)
WITH skip header = 1, fields optionally enclosed by '"', fields escaped by double-quote, fields terminated by ',',
     workers = %d, concurrency = 1;
`, l.from, strings.Join(fields, ", "), strings.Replace(l.dsn, "postgres://", "postgresql://", 1), target, strings.Join(columns, ", "), l.Conns)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return []*exec.Cmd{exec.CommandContext(ctx, l.tools["pgloader"].program, "--on-error-stop", "--root-dir", filepath.Join(l.dir, "pgloader"), file)}, nil
}

//go:embed peers/load_duckdb.py
var duckdbScript []byte

//go:embed peers/load_dlt.py
var dltScript []byte

// script runs one of the scripts with the tool's Python: its arguments are a
// JSON object, with "columns" as pairs of header and type in order.
func script(tool, name string, args ...string) func(context.Context, loading) ([]*exec.Cmd, error) {
	content := map[string][]byte{"load_duckdb.py": duckdbScript, "load_dlt.py": dltScript}[name]
	return func(ctx context.Context, l loading) ([]*exec.Cmd, error) {
		u, err := url.Parse(l.dsn)
		if err != nil {
			return nil, fmt.Errorf("the server's address is no URL")
		}
		u.Scheme = "postgresql"
		file := filepath.Join(l.dir, name)
		if err := os.WriteFile(file, content, 0o644); err != nil {
			return nil, err
		}
		var columns [][2]string
		for _, c := range l.work.columns {
			columns = append(columns, [2]string{c.source, c.kind})
		}
		told, err := json.Marshal(map[string]any{"dsn": u.String(), "file": l.from, "columns": columns, "dir": l.dir})
		if err != nil {
			return nil, err
		}
		return []*exec.Cmd{exec.CommandContext(ctx, l.tools[tool].program, append([]string{"-I", file, string(told)}, args...)...)}, nil
	}
}
