package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5"
	"github.com/klauspost/compress/zstd"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/temp"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// binary builds the program as users have it.
func binary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bucketload")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// loadYear runs the program and gives its result and its peak memory in bytes.
func loadYear(t *testing.T, program, dsn string, args ...string) (run bucketload.Run, memory int64) {
	t.Helper()
	cmd := exec.Command(program, append([]string{"load", "--json", "--quiet"}, args...)...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "BUCKETLOAD_TO="+dsn)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- cmd.Wait() }()
	for ticker := time.NewTicker(20 * time.Millisecond); ; {
		select {
		case <-ticker.C:
			memory = max(memory, peakMemory(cmd.Process.Pid))
			continue
		case err := <-ended:
			ticker.Stop()
			if err != nil {
				t.Fatalf("%v\n%s%s", err, stdout.String(), stderr.String())
			}
		}
		break
	}
	if err := json.Unmarshal(stdout.Bytes(), &run); err != nil {
		t.Fatalf("%v\n%s", err, stdout.String())
	}
	return run, memory
}

// peakMemory is a process's largest resident set so far, in bytes; 0 where the
// system has no /proc. (rusage will not do: a child begins with its parent's.)
func peakMemory(pid int) (bytes int64) {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	_, _ = fmt.Sscan(rest, &bytes)
	return bytes << 10 // from KiB
}

// The real year 2022 of GSOD, as its files were counted independently.
const (
	yearFiles = 12319
	yearRows  = 3994699
	yearBytes = 928036515
)

// TestRealYear loads all of it, from S3 typed and from disk as text with the
// names of the system that this one goes back to.
func TestRealYear(t *testing.T) {
	dir := unpack(t, temptest.Corpus(t, "gsod-2022.tar.zst"))
	program := binary(t)
	dsn := temptest.Database(t, 0)
	s3, err := temp.StartS3(temp.S3Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s3.Close()
	if err := s3.ServeDir("noaa-gsod-pds", dir); err != nil {
		t.Fatal(err)
	}
	demo, err := filepath.Abs("demo.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text, err := filepath.Abs("testdata/all_text.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, sql, want string
		args            []string
	}{
		{"typed from S3",
			`SELECT count(*), sum(temp * 10)::bigint, count(*) FILTER (WHERE slp IS NULL), count(*) FILTER (WHERE gust IS NULL),
				count(*) FILTER (WHERE prcp IS NULL), count(*) FILTER (WHERE sndp IS NULL), count(*) FILTER (WHERE lat IS NULL),
				count(DISTINCT station_id), count(*) FILTER (WHERE station_id ~ '[A-Z]') > 0,
				bool_or(name = 'JAN MAYEN NOR NAVY, NO'), bool_or(name = 'ZAGREB\MAKSIMIR, HR') FROM public.year_2022`,
			"3994699|2212619456|1388460|2967101|309523|3712386|12310|12319|t|t|t",
			[]string{"-f", demo, "--from", "s3://noaa-gsod-pds/2022/*.csv", "--anonymous", "--path-style", "--region", "us-east-1", "--endpoint-url", s3.URL()}},
		{"as text from disk",
			`SELECT count(*), sum(temp::numeric * 10)::bigint, count(*) FILTER (WHERE slp = '9999.9'), count(*) FILTER (WHERE gust = '999.9'),
				count(*) FILTER (WHERE prcp = '99.99'), count(*) FILTER (WHERE sndp = '999.9'), count(*) FILTER (WHERE lat IS NULL),
				count(DISTINCT station_id), bool_and(length(frshtt) = 6) FROM public.year_2022_text`,
			"3994699|2212619456|1388460|2967101|309523|3712386|12310|12319|t",
			[]string{"-f", text, "--from", filepath.Join(dir, "2022")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			run, memory := loadYear(t, program, dsn, test.args...)
			if run.Status != bucketload.StatusSucceeded || run.Files.Loaded != yearFiles || run.Rows.Loaded != yearRows || run.Bytes != yearBytes {
				t.Errorf("the run says %+v", run)
			}
			if memory > 256<<20 {
				t.Errorf("took %d MiB of memory, more than 256", memory>>20)
			}
			t.Logf("%.1f s, %d MiB", run.Seconds, memory>>20)
			conn, err := pgx.Connect(context.Background(), dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(context.Background())
			got, err := query(conn, test.sql)
			if err != nil {
				t.Fatal(err)
			}
			if strings.TrimSpace(got) != test.want {
				t.Errorf("got  %swant %s", got, test.want)
			}
		})
	}
}

// unpack writes a .tar.zst's files to a directory.
func unpack(t *testing.T, archive string) string {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	dir := t.TempDir()
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.Clean("/"+h.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSecondServer loads from another, stricter S3 server, which checks
// signatures.
func TestSecondServer(t *testing.T) {
	gateway, err := exec.LookPath("versitygw")
	if err != nil {
		t.Skip("versitygw is not here: make versitygw installs it")
	}
	dsn := temptest.Database(t, 0)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	_ = listener.Close()
	ctx, stop := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, gateway, "--port", addr, "--access", "access", "--secret", "secretsecret", "posix", t.TempDir())
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		stop()
		_ = cmd.Wait() // killed
	}()
	client := s3.New(s3.Options{Region: "us-east-1", UsePathStyle: true, BaseEndpoint: aws.String("http://" + addr),
		Credentials: credentials.NewStaticCredentialsProvider("access", "secretsecret", "")})
	awaitServer(t, "http://"+addr, &log)
	if _, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("weather")}); err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	truth := temp.StationsTruth(60, 7, 20)
	for name, content := range temp.Stations(60, 7, 20) {
		if _, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("weather"), Key: aws.String("a b/" + name), Body: bytes.NewReader(content)}); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "access")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secretsecret")
	run, _ := loadYear(t, binary(t), dsn, "weather", "--from", "s3://weather/a b/*.csv", "--path-style", "--region", "us-east-1", "--endpoint-url", "http://"+addr)
	if run.Files.Loaded != truth.Files || run.Rows.Loaded != truth.Rows {
		t.Errorf("got %+v, want %d files, %d rows", run, truth.Files, truth.Rows)
	}
}

// awaitServer returns once the server answers.
func awaitServer(t *testing.T, url string, log *bytes.Buffer) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if resp, err := http.Get(url); err == nil {
			_ = resp.Body.Close()
			return
		}
	}
	t.Fatalf("%s does not answer\n%s", url, log.String())
}
