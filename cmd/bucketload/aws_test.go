package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/jackc/pgx/v5"
	"github.com/klauspost/compress/zstd"

	"github.com/bucketload/bucketload/internal/conduct"
	"github.com/bucketload/bucketload/internal/temp"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// account is what a deployment finds on AWS: buckets, the built bootstrap as
// Lambda functions, the connection string in SSM, a topic; and the database.
type account struct {
	t         *testing.T
	bootstrap string
	s3        *temp.S3
	moto      *temp.Moto
	lambda    *temp.Lambda
	topic     string
	dsn       string
}

// The functions with the time limits that the template gives them.
var functionTimeouts = map[string]time.Duration{"Plan": 870, "Prepare": 270, "Copy": 240, "CopyLarge": 900, "Check": 870,
	"Build": 900, "Analyze": 900, "Swap": 900, "Cleanup": 270}

func newAccount(t *testing.T, major int, bootstrap string, moto *temp.Moto) *account {
	t.Helper()
	a := &account{t: t, bootstrap: bootstrap, moto: moto, dsn: temptest.Database(t, major)}
	var err error
	if a.s3, err = temp.StartS3(temp.S3Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.s3.Close() })
	for _, bucket := range []string{"source", "logs"} {
		if err := a.s3.CreateBucket(bucket); err != nil {
			t.Fatal(err)
		}
	}
	name := strings.ToLower(regexp.MustCompile(`\W`).ReplaceAllString(t.Name(), "-"))
	a.topic = temptest.Topic(t, moto, "us-east-1", name)
	parameters := ssm.New(ssm.Options{Region: "us-east-1", BaseEndpoint: aws.String(moto.URL()), Credentials: credentials.NewStaticCredentialsProvider("moto", "moto", "")})
	if _, err := parameters.PutParameter(t.Context(), &ssm.PutParameterInput{Name: aws.String("/" + name), Value: &a.dsn, Type: types.ParameterTypeSecureString}); err != nil {
		t.Fatal(err)
	}
	var functions []temp.LambdaFunction
	for handler, seconds := range functionTimeouts {
		functions = append(functions, temp.LambdaFunction{Name: handler, Handler: handler, Binary: bootstrap, Memory: 512, Timeout: seconds * time.Second, Env: map[string]string{
			"BUCKETLOAD_TO":              "ssm:/" + name,
			"BUCKETLOAD_SOURCE":          "s3://source",
			"BUCKETLOAD_RESULTS":         "logs",
			"BUCKETLOAD_MAX_CONCURRENCY": "3",
			"AWS_ENDPOINT_URL":           moto.URL(),
			"AWS_ENDPOINT_URL_S3":        a.s3.URL(),
		}})
	}
	if a.lambda, err = temp.StartLambda(functions...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for handler := range functionTimeouts {
				t.Logf("%s:\n%s", handler, a.lambda.Log(handler))
			}
		}
		_ = a.lambda.Close()
	})
	return a
}

// machine writes a definition with what the deployment puts into it.
func (a *account) machine(definition []byte) (file string) {
	a.t.Helper()
	definition = regexp.MustCompile(`\$\{(\w+)\}`).ReplaceAllFunc(definition, func(ref []byte) []byte {
		switch name := string(ref[2 : len(ref)-1]); name {
		case "Topic":
			return []byte(a.topic)
		case "SourceBucket":
			return []byte("source")
		case "LogsBucket":
			return []byte("logs")
		default:
			return []byte(a.lambda.ARN(strings.TrimSuffix(name, "Function")))
		}
	})
	file = filepath.Join(a.t.TempDir(), "machine.json")
	if err := os.WriteFile(file, definition, 0o600); err != nil {
		a.t.Fatal(err)
	}
	return file
}

type execution struct {
	Status string
	Output struct {
		Run    string
		Status string
		Files  struct{ Loaded, Failed int64 }
		Rows   struct{ Loaded int64 }
	}
	Error, Cause string
	Events       []struct {
		Type                     string
		StateEnteredEventDetails struct{ Name string }
	}
}

// entered counts how often a state was entered.
func (e *execution) entered(state string) (n int) {
	for _, event := range e.Events {
		if event.StateEnteredEventDetails.Name == state {
			n++
		}
	}
	return n
}

// execute runs a machine by the program, with its services here.
func (a *account) execute(machine, input string) (e execution) {
	a.t.Helper()
	out := a.bucketload("asl", "run", machine, "--input", input, "--history", "--no-wait", "--lambda-endpoint", a.lambda.URL())
	if err := json.Unmarshal(out, &e); err != nil {
		a.t.Fatalf("%v: %s", err, out)
	}
	return e
}

// bucketload runs the program and gives what it prints.
func (a *account) bucketload(args ...string) []byte {
	a.t.Helper()
	cmd := exec.Command(a.bootstrap, args...)
	cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL_S3="+a.s3.URL(), "BUCKETLOAD_TO="+a.dsn)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if _, failed := errors.AsType[*exec.ExitError](err); err != nil && (!failed || len(out) == 0) {
		a.t.Fatalf("%v: %s%s", err, out, errs.String())
	}
	return out
}

func (a *account) value(sql string) (v string) {
	a.t.Helper()
	conn, err := pgx.Connect(a.t.Context(), a.dsn)
	if err != nil {
		a.t.Fatal(err)
	}
	defer conn.Close(a.t.Context())
	if err := conn.QueryRow(a.t.Context(), "SELECT ("+sql+")::text").Scan(&v); err != nil {
		a.t.Fatal(err)
	}
	return v
}

// someOfTheYear puts so many files of the real year under the table's folder,
// and gives the number of their rows.
func (a *account) someOfTheYear(table string, files int) (rows int64) {
	a.t.Helper()
	f, err := os.Open(temptest.Corpus(a.t, "gsod-2022.tar.zst"))
	if err != nil {
		a.t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		a.t.Fatal(err)
	}
	defer z.Close()
	for r := tar.NewReader(z); files > 0; {
		h, err := r.Next()
		if err != nil {
			a.t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		content, err := io.ReadAll(r)
		if err != nil {
			a.t.Fatal(err)
		}
		rows += int64(bytes.Count(bytes.TrimSuffix(content, []byte("\n")), []byte("\n"))) // less the header
		if err := a.s3.Put("source", table+"/"+path.Base(h.Name), content); err != nil {
			a.t.Fatal(err)
		}
		files--
	}
	// What belongs to another table, and is not to be loaded.
	if err := a.s3.Put("source", table+"0/other.csv", []byte("a,b\n1,2\n")); err != nil {
		a.t.Fatal(err)
	}
	return rows
}

// crash has the first call of Copy die; not one for the other table's file
// alone, as that is within the tolerance of a Map.
func (a *account) crash() {
	var n atomic.Int64
	dead := make(chan struct{})
	close(dead)
	a.lambda.Fault(func(i temp.LambdaInvocation) *temp.LambdaFault {
		if i.Function == "Copy" && !bytes.Contains(i.Payload, []byte("other.csv")) && n.Add(1) == 1 {
			return &temp.LambdaFault{Kill: dead}
		}
		return nil
	})
}

// TestMachineOnLambda executes the state machine of the deployment, and one in
// the form of the system that bucketload succeeds, over the built bootstrap:
// real files, of which the first try fails, is cleaned up, and is tried again.
func TestMachineOnLambda(t *testing.T) {
	temptest.Corpus(t, "gsod-2022.tar.zst")
	moto := temptest.Moto(t)
	bootstrap := filepath.Join(t.TempDir(), "bootstrap")
	if out, err := exec.Command("go", "build", "-o", bootstrap, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	original, err := os.ReadFile("testdata/original.asl.json")
	if err != nil {
		t.Fatal(err)
	}
	const files = 250
	majors := temptest.Majors(t)
	for i, test := range []struct {
		name       string
		definition []byte
		plan       string // the state that begins a try
	}{{"ours", conduct.Definition, "Plan"}, {"the original's form", original, "Prepare Table"}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t, majors[i%len(majors)], bootstrap, moto)
			machine := a.machine(test.definition)
			rows := a.someOfTheYear("year_2022", files)
			a.crash()
			for i := range 2 { // the second finds a live table, and no fault
				e := a.execute(machine, `{"table": "year_2022"}`)
				if e.Status != "SUCCEEDED" || e.entered(test.plan) != 2-i {
					t.Fatalf("%s, %s: %s, %d tries", e.Status, e.Error, e.Cause, e.entered(test.plan))
				}
				if got, want := a.value("SELECT count(*) || ' ' || count(DISTINCT (station, date)) FROM year_2022"), strconv.FormatInt(rows, 10); got != want+" "+want {
					t.Errorf("rows %s, want %s", got, want)
				}
			}
			if got := a.value("SELECT count(*) FROM databackup.year_2022"); got != strconv.FormatInt(rows, 10) {
				t.Errorf("backup of %s rows", got)
			}
			if got := a.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'dataimport'"); got != "0" {
				t.Errorf("%s staging tables are left", got)
			}
			// The ledger and the commands show it as any other run.
			var run struct {
				Status, State string
				Files         struct{ Loaded int64 }
			}
			id := a.value("SELECT id FROM bucketload.runs ORDER BY started_at DESC LIMIT 1")
			if err := json.Unmarshal(a.bucketload("status", id, "--json"), &run); err != nil || run.Status != "succeeded" || run.State != "Done" || run.Files.Loaded != files {
				t.Errorf("%+v %v", run, err)
			}
			if lines := bytes.Count(a.bucketload("files", id, "--json"), []byte("\n")); lines != files {
				t.Errorf("%d files", lines)
			}
			if sent := temptest.Messages(t, moto, a.topic); len(sent) != 0 {
				t.Errorf("%+v", sent)
			}
		})
	}

	// A file that cannot be loaded fails the run, somebody is told, and once it
	// is mended another execution goes on with what is not loaded.
	t.Run("redrive", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t, 0, bootstrap, moto)
		machine := a.machine(conduct.Definition)
		for _, key := range []string{"a", "c"} {
			a.put("t/"+key+".csv", "f,n\n"+key+",1\n")
		}
		a.put("t/b.csv", "f,n\nb,1,2\n")
		e := a.execute(machine, `{"table": "t"}`)
		if e.Status != "FAILED" || e.Error != "bucketload.ToleranceExceeded" || !strings.HasPrefix(e.Cause, "copy: s3://source/t/b.csv:2: ") || e.entered("Plan") != 1 {
			t.Fatalf("%+v", e)
		}
		id := a.value("SELECT id FROM bucketload.runs")
		sent := temptest.Messages(t, moto, a.topic)
		if len(sent) != 1 || sent[0].Subject != "bucketload: public.t failed" || !strings.Contains(sent[0].Message, "b.csv:2") || !strings.Contains(sent[0].Message, "bucketload redrive "+id) {
			t.Errorf("%+v", sent)
		}
		a.put("t/b.csv", "f,n\nb,1\n")
		e = a.execute(machine, `{"table": "t", "redrive": "`+id+`"}`)
		if e.Status != "SUCCEEDED" || e.Output.Run != id || e.Output.Files.Loaded != 3 {
			t.Fatalf("%+v", e)
		}
		if got := a.value("SELECT string_agg(f, '' ORDER BY f) FROM t"); got != "abc" {
			t.Error(got)
		}
		e = a.execute(machine, `{"table": "t", "redrive": "`+id+`"}`)
		if e.Status != "FAILED" || e.Error != "bucketload.Conflict" {
			t.Errorf("%+v", e)
		}
	})

	// A swap whose answers are all lost has been done; Cleanup finds that out, or
	// GiveUp where no answer of Cleanup comes through either.
	for name, lostCleanups := range map[string]int64{"a success that nobody heard of": 0, "nor of its cleanup": 5} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t, 0, bootstrap, moto)
			a.put("t/a.csv", "f,n\na,1\n")
			a.lambda.Fault(func(i temp.LambdaInvocation) *temp.LambdaFault {
				if i.Function == "Swap" || i.Function == "Cleanup" && i.Number <= lostCleanups {
					return &temp.LambdaFault{Lose: true}
				}
				return nil
			})
			e := a.execute(a.machine(conduct.Definition), `{"table": "t"}`)
			if e.Status != "SUCCEEDED" || e.Output.Status != "succeeded" || e.Output.Rows.Loaded != 1 || e.entered("GiveUp") != int(lostCleanups/5) {
				t.Errorf("%+v", e)
			}
			if sent := temptest.Messages(t, moto, a.topic); len(sent) != 0 {
				t.Errorf("%+v", sent)
			}
		})
	}

	t.Run("functions that cannot be reached", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t, 0, bootstrap, moto)
		a.put("t/a.csv", "f,n\na,1\n")
		a.lambda.Fault(func(i temp.LambdaInvocation) *temp.LambdaFault {
			switch {
			case i.Function == "Cleanup":
				return &temp.LambdaFault{Status: http.StatusInternalServerError, Code: "ServiceException"}
			case i.Function == "Prepare" && i.Number < 3:
				return &temp.LambdaFault{Lose: true}
			case i.Function == "Swap":
				return &temp.LambdaFault{Status: http.StatusForbidden, Code: "AccessDeniedException"}
			}
			return nil
		})
		e := a.execute(a.machine(conduct.Definition), `{"table": "t"}`)
		if e.Status != "FAILED" || !strings.HasPrefix(e.Error, "Lambda.") || e.entered("Unrecorded") != 1 {
			t.Errorf("%+v", e)
		}
		if sent := temptest.Messages(t, moto, a.topic); len(sent) != 1 || !strings.Contains(sent[0].Subject, "could not be recorded") {
			t.Errorf("%+v", sent)
		}
	})
}

func (a *account) put(key, content string) {
	a.t.Helper()
	if err := a.s3.Put("source", key, []byte(content)); err != nil {
		a.t.Fatal(err)
	}
}
