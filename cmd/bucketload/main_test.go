package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/temp"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// servers ends the temporary servers after the tests.
type servers struct{ m *testing.M }

func (s servers) Run() int { return temptest.Run(s.m) }

func TestMain(m *testing.M) {
	testscript.Main(servers{m}, map[string]func(){"bucketload": main})
}

// TestCommands runs the scripts of testdata/script, each with a database and
// an S3 server of its own, on every version of Postgres. Beside testscript's
// own commands they have
//
//	sql QUERY                       rows on stdout, fields apart by |; $VAR expands in quotes, too
//	put BUCKET/KEY FILE             into the S3 server
//	stations N DAYS (DIR | s3://BUCKET/PREFIX/)
//	aws_s3 BUCKET/KEY FILE          into the sight of the server, by what the extension aws_s3 has
//	await QUERY RESULT              until the query gives the result
//	grow FILE SIZE                  its lines but the first again and again, up to so many bytes
func TestCommands(t *testing.T) {
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts:", err)
	}
	for _, major := range temptest.Majors(t) {
		for _, script := range scripts {
			name := strings.TrimSuffix(filepath.Base(script), ".txtar")
			t.Run(fmt.Sprintf("%s/postgres%d", name, major), func(t *testing.T) {
				t.Parallel()
				runScript(t, script, temptest.Database(t, major))
			})
		}
	}
}

func runScript(t *testing.T, script, dsn string) {
	s3, err := temp.StartS3(temp.S3Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s3.Close() })
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	testscript.Run(t, testscript.Params{
		Files:               []string{script},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("BUCKETLOAD_TO", dsn)
			target, err := pgx.ParseConfig(dsn)
			if err != nil {
				return err
			}
			env.Setenv("PASSWORD", target.Password)
			env.Setenv("DATABASE", target.Database)
			env.Setenv("KEYWORDS_TO", fmt.Sprintf("host=%s port=%d user=%s password='%s' dbname=%s sslmode=disable", target.Host, target.Port, target.User, target.Password, target.Database))
			env.Setenv("LOADER_TO", fmt.Sprintf("postgres://loader_%s:x@%s:%d/%[1]s?sslmode=disable", target.Database, target.Host, target.Port))
			env.Setenv("AWS_ENDPOINT_URL_S3", s3.URL())
			env.Setenv("AWS_REGION", "us-east-1")
			env.Setenv("AWS_EC2_METADATA_DISABLED", "true")
			env.Setenv("TZ", "UTC")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"sql": func(ts *testscript.TestScript, neg bool, args []string) {
				out, err := query(conn, os.Expand(strings.Join(args, " "), ts.Getenv))
				if (err != nil) != neg {
					ts.Fatalf("sql: %v", err)
				}
				_, _ = fmt.Fprint(ts.Stdout(), out)
			},
			"await": func(ts *testscript.TestScript, _ bool, args []string) {
				for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
					out, err := query(conn, args[0])
					ts.Check(err)
					if strings.TrimSpace(out) == args[1] {
						return
					}
				}
				ts.Fatalf("awaited in vain: %s", args[0])
			},
			"aws_s3": func(ts *testscript.TestScript, _ bool, args []string) {
				absent, err := query(conn, "SELECT to_regnamespace('aws_s3') IS NULL")
				ts.Check(err)
				if absent == "t\n" {
					_, err := query(conn, temptest.AWSS3("text"))
					ts.Check(err)
				}
				bucket, key, _ := strings.Cut(args[0], "/")
				_, err = conn.Exec(context.Background(), `INSERT INTO aws_s3.objects VALUES ($1, $2, 'us-east-1', $3)`, bucket, key, []byte(ts.ReadFile(args[1])))
				ts.Check(err)
			},
			"grow": func(ts *testscript.TestScript, _ bool, args []string) {
				var size bucketload.Bytes
				ts.Check(size.UnmarshalText([]byte(args[1])))
				head, rows, _ := strings.Cut(ts.ReadFile(args[0]), "\n")
				content := head + "\n" + strings.Repeat(rows, (int(size)-len(head))/len(rows))
				ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(content), 0o600))
			},
			"put": func(ts *testscript.TestScript, _ bool, args []string) {
				bucket, key, _ := strings.Cut(args[0], "/")
				ts.Check(s3.Put(bucket, key, []byte(ts.ReadFile(args[1]))))
			},
			"stations": func(ts *testscript.TestScript, _ bool, args []string) {
				n, err := strconv.Atoi(args[0])
				ts.Check(err)
				days, err := strconv.Atoi(args[1])
				ts.Check(err)
				for name, content := range temp.Stations(n, 1, days) {
					if uri, ok := strings.CutPrefix(args[2], "s3://"); ok {
						bucket, prefix, _ := strings.Cut(uri, "/")
						ts.Check(s3.Put(bucket, prefix+name, content))
						continue
					}
					dir := ts.MkAbs(args[2])
					ts.Check(os.MkdirAll(dir, 0o755))
					ts.Check(os.WriteFile(filepath.Join(dir, name), content, 0o644))
				}
			},
		},
	})
}

// query gives rows a line each, fields apart by |.
func query(conn *pgx.Conn, sql string) (string, error) {
	results, err := conn.PgConn().Exec(context.Background(), sql).ReadAll()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, result := range results {
		for _, row := range result.Rows {
			for i, v := range row {
				if i > 0 {
					b.WriteByte('|')
				}
				if v == nil {
					b.WriteString("NULL")
				}
				b.Write(v)
			}
			b.WriteByte('\n')
		}
	}
	return b.String(), nil
}
