package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload/internal/temp"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// deployment is the built bootstrap on a test Lambda, with S3 and a database.
type deployment struct {
	t      *testing.T
	s3     *temp.S3
	lambda *temp.Lambda
	dsn    string
	to     string // the file with the connection string
}

// deploy serves the functions of that name and Handler, over what they need.
func deploy(t *testing.T, binary string, timeout time.Duration, names ...string) *deployment {
	t.Helper()
	d := &deployment{t: t, dsn: temptest.Database(t, 0), to: filepath.Join(t.TempDir(), "to")}
	d.write(d.dsn)
	var err error
	if d.s3, err = temp.StartS3(temp.S3Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.s3.Close() })
	for _, bucket := range []string{"config", "source", "results"} {
		if err := d.s3.CreateBucket(bucket); err != nil {
			t.Fatal(err)
		}
	}
	d.serve(binary, timeout, names...)
	return d
}

// serve serves further functions on a Lambda of their own, which is invoked from
// now on.
func (d *deployment) serve(binary string, timeout time.Duration, names ...string) {
	d.t.Helper()
	var functions []temp.LambdaFunction
	for _, name := range names {
		functions = append(functions, temp.LambdaFunction{Name: name, Handler: name, Binary: binary, Memory: 256, Timeout: timeout, Env: map[string]string{
			"BUCKETLOAD_TO":              "file:" + d.to,
			"BUCKETLOAD_CONFIG":          "s3://config/a/bucketload.yaml",
			"BUCKETLOAD_SOURCE":          "s3://source",
			"BUCKETLOAD_RESULTS":         "results",
			"BUCKETLOAD_MAX_CONCURRENCY": "3",
			"AWS_ENDPOINT_URL_S3":        d.s3.URL(),
		}})
	}
	l, err := temp.StartLambda(functions...)
	if err != nil {
		d.t.Fatal(err)
	}
	d.lambda = l
	d.t.Cleanup(func() {
		for _, name := range names {
			if d.t.Failed() {
				d.t.Logf("%s:\n%s", name, l.Log(name))
			}
		}
		if err := l.Close(); err != nil {
			d.t.Error(err)
		}
	})
}

func (d *deployment) write(dsn string) {
	d.t.Helper()
	if err := os.WriteFile(d.to, []byte(dsn), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

func (d *deployment) put(bucket, key, content string) {
	d.t.Helper()
	if err := d.s3.Put(bucket, key, []byte(content)); err != nil {
		d.t.Fatal(err)
	}
}

// invoke calls a function, and gives its answer in out or its error.
func (d *deployment) invoke(function, event string, out any) (kind, message string) {
	d.t.Helper()
	r, err := http.Post(d.lambda.URL()+"/2015-03-31/functions/"+function+"/invocations", "application/json", strings.NewReader(event))
	if err != nil {
		d.t.Fatal(err)
	}
	defer r.Body.Close()
	payload, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		d.t.Fatalf("%s: %d %s, %v", function, r.StatusCode, payload, err)
	}
	var failure struct{ ErrorType, ErrorMessage string }
	if r.Header.Get("X-Amz-Function-Error") != "" {
		out = &failure
	}
	if err := json.Unmarshal(payload, out); err != nil {
		d.t.Fatalf("%s: %s: %v", function, payload, err)
	}
	return failure.ErrorType, failure.ErrorMessage
}

// must is invoke for what has to succeed.
func (d *deployment) must(function, event string, out any) {
	d.t.Helper()
	if kind, message := d.invoke(function, event, out); kind != "" {
		d.t.Fatalf("%s %s: %s: %s", function, event, kind, message)
	}
}

type planned struct {
	Run            string
	Attempt        int
	MaxConcurrency int `json:"max_concurrency"`
	Manifests      struct {
		Bucket string
		Small  struct {
			Key     string
			Batches int
		}
	}
}

func plan(table string) string {
	return fmt.Sprintf(`{"execution":"arn:aws:states:us-east-1:123456789012:execution:m:%s","input":{"table":"%[1]s"}}`, table)
}

func TestOnLambda(t *testing.T) {
	temptest.Majors(t)
	binary := filepath.Join(t.TempDir(), "bootstrap")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Run("a run", func(t *testing.T) {
		t.Parallel()
		d := deploy(t, binary, time.Minute, "Plan", "Prepare", "Copy", "Check", "Analyze", "Swap")
		d.put("config", "a/bucketload.yaml", "version: 1\ndefaults: {max_items_per_batch: 1, min_batch_bytes: 0}\ntables:\n  stations: {from: s3://source/s/, max_concurrency: 7}\n")
		for i := range 3 {
			d.put("source", fmt.Sprintf("s/%d.csv", i), fmt.Sprintf("id,name\n%d,x\n", i))
		}
		var p planned
		d.must("Plan", plan("stations"), &p)
		if p.Run == "" || p.MaxConcurrency != 7 || p.Manifests.Bucket != "results" || p.Manifests.Small.Batches != 3 {
			t.Fatalf("%+v", p)
		}
		r, err := http.Get(d.s3.URL() + "/results/" + p.Manifests.Small.Key)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		if manifest, _ := io.ReadAll(r.Body); string(manifest) != `[{"batch":0},{"batch":1},{"batch":2}]` {
			t.Errorf("manifest %s", manifest)
		}
		try := fmt.Sprintf(`{"run":"%s","attempt":%d`, p.Run, p.Attempt)
		var ignored any
		d.must("Prepare", try+"}", &ignored)
		for batch := range 3 {
			d.must("Copy", fmt.Sprintf(`%s,"batch":%d}`, try, batch), &ignored)
		}
		d.must("Check", try+"}", &ignored)
		d.must("Analyze", try+"}", &ignored)
		var run struct{ Status string }
		d.must("Swap", try+"}", &run)
		if run.Status != "succeeded" {
			t.Errorf("%+v", run)
		}
		for function, n := range d.lambda.Starts() {
			if n != 1 {
				t.Errorf("%d processes of %s", n, function)
			}
		}
		conn, err := pgx.Connect(context.Background(), d.dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		var rows, connections int
		if err := conn.QueryRow(context.Background(), `SELECT (SELECT count(*) FROM public.stations),
			(SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'bucketload')`).Scan(&rows, &connections); err != nil {
			t.Fatal(err)
		}
		if rows != 3 || connections > 2*6 {
			t.Errorf("%d rows; %d connections of 6 processes", rows, connections)
		}
	})

	t.Run("the configuration", func(t *testing.T) {
		t.Parallel()
		d := deploy(t, binary, time.Minute, "Plan")
		var p planned
		if kind, message := d.invoke("Plan", plan("a"), &p); kind != "bucketload.Usage" || !strings.Contains(message, "no object s3://config/a/bucketload.yaml\nhint: ") {
			t.Errorf("absent: %s, %s", kind, message)
		}
		d.put("config", "a/bucketload.yaml", "tables: {a: {from: s3://source/a/, max_concurrency: many}}")
		if kind, message := d.invoke("Plan", plan("a"), &p); kind != "bucketload.Usage" || !strings.Contains(message, "s3://config/a/bucketload.yaml:1:") {
			t.Errorf("wrong: %s, %s", kind, message)
		}
		d.put("config", "a/bucketload.yaml", "tables: {a: {from: s3://source/elsewhere/, max_concurrency: 5}, d: {from: s3://source/elsewhere/}}")
		d.put("source", "elsewhere/1.csv", "id\n1\n")
		d.put("source", "b/1.csv", "id\n1\n")
		for table, want := range map[string]int{"a": 5, "b": 3, "d": 3} {
			d.must("Plan", plan(table), &p)
			if p.MaxConcurrency != want || p.Manifests.Small.Batches != 1 {
				t.Errorf("%s: %+v", table, p)
			}
		}
		if kind, message := d.invoke("Plan", plan("databackup.b"), &p); kind != "bucketload.Usage" || !strings.Contains(message, "keeps for itself") {
			t.Errorf("a table of the program's own: %s, %s", kind, message)
		}
		if kind, message := d.invoke("Plan", plan("c"), &p); kind != "bucketload.EmptyListing" || !strings.Contains(message, "s3://source/c/") {
			t.Errorf("nothing there: %s, %s", kind, message)
		}
	})

	t.Run("the connection", func(t *testing.T) {
		t.Parallel()
		d := deploy(t, binary, time.Minute, "Plan", "Nonsense")
		d.put("config", "a/bucketload.yaml", "")
		d.put("source", "a/1.csv", "id\n1\n")
		var p planned
		wrong, err := pgx.ParseConfig(d.dsn)
		if err != nil {
			t.Fatal(err)
		}
		d.write(fmt.Sprintf("postgres://postgres:secret-word@127.0.0.1:%d/%s?sslmode=disable", wrong.Port, wrong.Database))
		kind, message := d.invoke("Plan", plan("a"), &p)
		if kind != "bucketload.Database" || !strings.Contains(message, "hint: check user and password") || strings.Contains(message+d.lambda.Log("Plan"), "secret-word") {
			t.Errorf("wrong password: %s, %s", kind, message)
		}
		// 0.0.0.0 reaches this machine, and is no loopback address by itself.
		d.write(strings.NewReplacer("sslmode=disable", "", "127.0.0.1", "0.0.0.0").Replace(d.dsn))
		if kind, message := d.invoke("Plan", plan("a"), &p); kind == "" || !strings.Contains(message, "TLS") {
			t.Errorf("no TLS: %s, %s", kind, message)
		}
		d.write(d.dsn)
		if d.must("Plan", plan("a"), &p); d.lambda.Starts()["Plan"] != 1 {
			t.Error("the process has ended")
		}
		kind, message = d.invoke("Nonsense", "{}", &p)
		if kind != "bucketload.Usage" || !strings.Contains(message, `no function "Nonsense"`) || !strings.Contains(message, "Handler is one of Analyze, Build, Check, Cleanup, Copy, CopyLarge, Plan, Prepare, Swap") {
			t.Errorf("%s, %s", kind, message)
		}
	})
	t.Run("out of time", func(t *testing.T) {
		t.Parallel()
		d := deploy(t, binary, time.Minute, "Plan")
		d.put("config", "a/bucketload.yaml", "")
		d.put("source", "a/1.csv", "id\n1\n")
		var p planned
		d.must("Plan", plan("a"), &p)
		d.serve(binary, 9*time.Second, "Check") // of which it has 0.9 to say so
		ctx := context.Background()
		conn, err := pgx.Connect(ctx, d.dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
		tx, err := conn.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(ctx, "LOCK TABLE bucketload.runs"); err != nil {
			t.Fatal(err)
		}
		event := fmt.Sprintf(`{"run":"%s","attempt":%d}`, p.Run, p.Attempt)
		if kind, message := d.invoke("Check", event, &p); kind != "Sandbox.Timedout" || !strings.HasPrefix(message, "check: it was not done 0.") {
			t.Errorf("%s: %s", kind, message)
		}
		var waiting int
		if err := tx.QueryRow(ctx, "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())").Scan(&waiting); err != nil || waiting != 0 {
			t.Errorf("%d statements go on in the server, %v", waiting, err)
		}
	})
}
