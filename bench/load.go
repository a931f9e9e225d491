package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload/internal/temp"
)

// bench is what all loads share.
type bench struct {
	data    *data
	pg      *temp.Postgres
	dir     string // holds the program and configurations
	program string // bucketload
	self    string // this program
}

// build builds bucketload as users have it.
func (b *bench) build(ctx context.Context) (err error) {
	b.program = filepath.Join(b.dir, "bucketload")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", b.program, "./cmd/bucketload").CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w: %s", err, out)
	}
	b.self, err = os.Executable()
	return err
}

// dsn is the server's, with the database of a load.
func (b *bench) dsn(database string) string {
	return strings.Replace(b.pg.DSN(), "/postgres?", "/"+database+"?", 1)
}

// load measures a case in a database of its own, and checks what is in the
// table then.
func (b *bench) load(ctx context.Context, c loadCase) (s Sample, err error) {
	const database = "bench"
	admin, err := pgx.Connect(ctx, b.pg.DSN())
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, admin.Close(context.WithoutCancel(ctx))) }()
	for _, sql := range []string{"DROP DATABASE IF EXISTS " + database + " WITH (FORCE)", "CREATE DATABASE " + database} {
		if _, err := admin.Exec(ctx, sql); err != nil {
			return s, err
		}
	}
	conn, err := pgx.Connect(ctx, b.dsn(database))
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if c.Peer != "bucketload" { // it makes its table itself
		if _, err := conn.Exec(ctx, tableSQL(c.Types)); err != nil {
			return s, err
		}
	}
	from, store := filepath.Join(b.data.dir, c.Form), 0
	if c.S3 {
		server, url, err := b.startS3(ctx, c.Latency)
		if err != nil {
			return s, err
		}
		defer func() {
			_ = server.Process.Kill()
			_ = server.Wait() // killed
		}()
		from, store = url, server.Process.Pid
	}
	commands, err := peers[c.Peer](ctx, b, c, b.dsn(database), from)
	if err != nil {
		return s, err
	}
	if _, err := conn.Exec(ctx, "CHECKPOINT"); err != nil {
		return s, err
	}
	if s, err = measure(ctx, conn, b.pg.PID(), store, commands); err != nil {
		return s, err
	}
	if err := b.check(ctx, conn); err != nil {
		return s, err
	}
	if c.Peer == "bucketload" && c.Form == formFiles {
		err = b.capture(ctx, conn, c.Types)
	}
	return s, err
}

// check compares the table with what encoding/csv found in the files.
func (b *bench) check(ctx context.Context, conn *pgx.Conn) error {
	var rows, tenths int64
	if err := conn.QueryRow(ctx, "SELECT count(*), sum(temp::numeric * 10)::bigint FROM public.weather").Scan(&rows, &tenths); err != nil {
		return err
	}
	if rows != b.data.rows || tenths != b.data.tenths {
		return fmt.Errorf("loaded %d rows with a sum of %d, not %d with %d", rows, tenths, b.data.rows, b.data.tenths)
	}
	return nil
}

// format is the COPY format that costs the server least.
func format(types string) string {
	if types == "text" {
		return "text"
	}
	return "binary"
}

func (b *bench) streamFile(types string) string { return filepath.Join(b.data.dir, "stream."+types) }

// capture keeps a table that bucketload has loaded as a COPY stream, once.
func (b *bench) capture(ctx context.Context, conn *pgx.Conn, types string) error {
	path := b.streamFile(types)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	f, err := os.Create(path + ".part")
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	_, err = conn.PgConn().CopyTo(ctx, w, "COPY public.weather TO STDOUT (FORMAT "+format(types)+")")
	if err := errors.Join(err, w.Flush(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".part", path)
}

// replay sends a captured stream: bench replay DSN FORMAT FILE.
func replay(ctx context.Context, args []string) (err error) {
	conn, err := pgx.Connect(ctx, args[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	f, err := os.Open(args[2])
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = conn.PgConn().CopyFrom(ctx, f, "COPY public.weather FROM STDIN (FORMAT "+args[1]+")")
	return err
}

// peers gives the processes of a load, by program.
var peers = map[string]func(ctx context.Context, b *bench, c loadCase, dsn, from string) ([]*exec.Cmd, error){
	"bucketload": func(ctx context.Context, b *bench, c loadCase, dsn, from string) ([]*exec.Cmd, error) {
		file := filepath.Join(b.dir, "bucketload.yaml")
		if err := os.WriteFile(file, []byte(configuration(c, from)), 0o644); err != nil {
			return nil, err
		}
		cmd := exec.CommandContext(ctx, b.program, "load", "--quiet", "-f", file)
		cmd.Env = append(os.Environ(), "BUCKETLOAD_TO="+dsn)
		return []*exec.Cmd{cmd}, nil
	},
	"psql": func(ctx context.Context, b *bench, c loadCase, dsn, from string) ([]*exec.Cmd, error) {
		files := []string{from}
		if c.Conns == 2 {
			files = []string{filepath.Join(b.data.dir, fmt.Sprintf(formHalf, 0)), filepath.Join(b.data.dir, fmt.Sprintf(formHalf, 1))}
		}
		var commands []*exec.Cmd
		for _, f := range files {
			commands = append(commands, exec.CommandContext(ctx, "psql", "-X", "-q", "-d", dsn, "-c", `\copy public.weather from '`+f+`' `+csvOptions(c.Types)))
		}
		return commands, nil
	},
	"server": func(ctx context.Context, _ *bench, c loadCase, dsn, from string) ([]*exec.Cmd, error) {
		return []*exec.Cmd{exec.CommandContext(ctx, "psql", "-X", "-q", "-d", dsn, "-c", "COPY public.weather FROM '"+from+"' "+csvOptions(c.Types))}, nil
	},
	"floor": func(ctx context.Context, b *bench, c loadCase, dsn, _ string) ([]*exec.Cmd, error) {
		file := b.streamFile(c.Types)
		if _, err := os.Stat(file); err != nil {
			return nil, fmt.Errorf("no load of bucketload's was captured: %w", err)
		}
		return []*exec.Cmd{exec.CommandContext(ctx, b.self, "replay", dsn, format(c.Types), file)}, nil
	},
}

// csvOptions reads empty numbers as NULL, though they are quoted, as bucketload does.
func csvOptions(types string) string {
	if types == "text" {
		return "(FORMAT csv, HEADER)"
	}
	var numbers []string
	for _, name := range temp.StationColumns {
		if isNumber(name) {
			numbers = append(numbers, pgx.Identifier{strings.ToLower(name)}.Sanitize())
		}
	}
	return "(FORMAT csv, HEADER, FORCE_NULL (" + strings.Join(numbers, ", ") + "))"
}

// columnType is a column's type: types is that of the numbers, or text for all.
func columnType(column, types string) string {
	switch {
	case types == "text":
		return "text"
	case column == "DATE":
		return "date"
	case isNumber(column):
		return types
	}
	return "text"
}

func tableSQL(types string) string {
	var columns []string
	for _, name := range temp.StationColumns {
		columns = append(columns, pgx.Identifier{strings.ToLower(name)}.Sanitize()+" "+columnType(name, types))
	}
	return "CREATE TABLE public.weather (" + strings.Join(columns, ", ") + ")"
}

// configuration is the bucketload.yaml of a case. It has no null_if: what means
// "no measurement" stays a value, as with the others.
func configuration(c loadCase, from string) string {
	var y strings.Builder
	y.WriteString("version: 1\n")
	if c.S3 {
		key := c.Form
		if c.Form == formFiles {
			key += "/"
		}
		fmt.Fprintf(&y, "s3: {region: us-east-1, endpoint_url: %q, path_style: true, anonymous: true}\n", from)
		from = "s3://weather/" + key
	}
	fmt.Fprintf(&y, "tables:\n  weather:\n    from: [%q]\n    max_concurrency: %d\n    columns:\n", from, c.Conns)
	for _, name := range temp.StationColumns {
		fmt.Fprintf(&y, "      %s: {from: %s, type: %s}\n", strings.ToLower(name), name, columnType(name, c.Types))
	}
	return y.String()
}

// startS3 starts an S3 server as a process of its own, which has the data as
// the bucket weather, and gives its URL.
func (b *bench) startS3(ctx context.Context, latency string) (*exec.Cmd, string, error) {
	cmd := exec.CommandContext(ctx, b.self, "serve", b.data.dir, latency)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	url, err := bufio.NewReader(out).ReadString('\n')
	return cmd, strings.TrimSpace(url), err
}

// chosen tells whether one of the words, by commas, is in the case's name.
func (c loadCase) chosen(words string) bool {
	return words == "" || slices.ContainsFunc(strings.Split(words, ","), func(w string) bool { return strings.Contains(c.Name, w) })
}

// loadCase is a load to measure.
type loadCase struct {
	Name, Peer, Types, Form string
	Conns                   int
	S3                      bool
	Latency                 string // of every request to S3, for example 30ms; "": none
}

// cases are in the order of a round. Those of bucketload from files come before
// the floors, which replay them.
var cases = func() []loadCase {
	var all []loadCase
	add := func(peer, types, form string, conns int) *loadCase {
		all = append(all, loadCase{Name: strings.Join([]string{peer, types, form, strconv.Itoa(conns)}, " "), Peer: peer, Types: types, Form: form, Conns: conns})
		return &all[len(all)-1]
	}
	for _, types := range []string{"float8", "numeric", "text"} {
		add("bucketload", types, formFiles, 1)
		add("psql", types, formOne, 1)
		add("floor", types, formFiles, 1)
		add("server", types, formOne, 1)
	}
	for _, conns := range []int{2, 4, 8} {
		add("bucketload", "float8", formFiles, conns)
	}
	add("psql", "float8", "halves", 2)
	for _, form := range []string{formOne, formGzip, formZstd, formJSON, formParquet} {
		add("bucketload", "float8", form, 1)
	}
	add("bucketload", "float8", formOne, 2)
	for _, form := range []string{formFiles, formOne} {
		c := add("bucketload", "float8", form, 1)
		c.S3, c.Name = true, c.Name+" s3"
	}
	for _, latency := range []string{"", "30ms"} {
		c := add("bucketload", "float8", formFiles, 2)
		c.S3, c.Latency, c.Name = true, latency, strings.TrimSpace(c.Name+" s3 "+latency)
	}
	return all
}()
