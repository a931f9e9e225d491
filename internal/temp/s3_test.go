package temp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	awshttp "github.com/aws/smithy-go/transport/http"

	"github.com/bucketload/bucketload/internal/temp"
)

// start gives a server and the real SDK's client for it, without retries.
func start(t *testing.T) (*temp.S3, *s3.Client) {
	t.Helper()
	server, err := temp.StartS3(temp.S3Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server, s3.New(s3.Options{
		Region:       "us-east-1",
		BaseEndpoint: aws.String(server.URL()),
		UsePathStyle: true,
		Credentials:  credentials.NewStaticCredentialsProvider("key", "secret", ""),
		Retryer:      aws.NopRetryer{},
	})
}

// nasty keys must come back from a listing as they are, and be readable.
var nasty = []string{
	"a b.csv", "a+b.csv", "100%.csv", "%41.csv", `qu"ote'.csv`, "<&>.csv", ";drop table x;--.csv", "ünï/çödé ☃.csv",
	"a/b", "a.csv", "a//b", "trailing/", "q?x=1&y.csv", "#hash", "back\\slash", "semi;colon", "~tilde", "=", "z\U0001F600", "new\nline", "cr\rlf",
}

// kinds are the two kinds of buckets, filled with the same objects.
func kinds(t *testing.T, server *temp.S3, objects map[string][]byte) []string {
	t.Helper()
	dir := t.TempDir()
	for key, content := range objects {
		if err := server.Put("memory", key, content); err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, filepath.FromSlash(key))
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, content, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := server.ServeDir("directory", dir); err != nil {
		t.Fatal(err)
	}
	return []string{"memory", "directory"}
}

func TestS3Listing(t *testing.T) {
	server, client := start(t)
	objects := map[string][]byte{}
	for i := range 1050 {
		objects[fmt.Sprintf("year/%d/%04d.csv", 2000+i%3, i)] = []byte("x")
	}
	for _, key := range []string{"a b.csv", "a+b.csv", "100%.csv", `qu"ote'.csv`, ";drop table x.csv", "ünï ☃.csv", "year.csv", "yearz/1", "year/2001z", "new\nline"} {
		objects[key] = []byte(key)
	}
	for _, bucket := range kinds(t, server, objects) {
		tests := []struct {
			name              string
			prefix, delimiter string
			after             string
			encode            types.EncodingType
			max               int32
		}{
			{name: "all"},
			{name: "encoded", encode: types.EncodingTypeUrl},
			{name: "small pages", max: 70, prefix: "year/2001"},
			{name: "prefix", prefix: "year/2001/"},
			{name: "prefix without slash", prefix: "year"},
			{name: "delimiter", delimiter: "/"},
			{name: "delimiter, pages of one", delimiter: "/", max: 1},
			{name: "delimiter within", prefix: "year/", delimiter: "/", max: 2},
			{name: "start after", after: "year/2001/0500.csv"},
			{name: "start after what is not there", after: "year/2001/"},
			{name: "nothing", prefix: "nothing/"},
		}
		for _, test := range tests {
			t.Run(bucket+" "+test.name, func(t *testing.T) {
				want := expected(objects, test.prefix, test.delimiter, test.after)
				in := &s3.ListObjectsV2Input{Bucket: &bucket, EncodingType: test.encode}
				in.Prefix, in.Delimiter, in.StartAfter = some(test.prefix), some(test.delimiter), some(test.after)
				if test.max > 0 {
					in.MaxKeys = &test.max
				}
				got, pages := list(t, client, in)
				if !slices.Equal(got, want) {
					t.Errorf("%d keys, want %d: %.200q", len(got), len(want), got)
				}
				size := 1000
				if test.max > 0 {
					size = int(test.max)
				}
				if most := max(1, (len(want)+size-1)/size); pages != most {
					t.Errorf("%d pages, want %d", pages, most)
				}
			})
		}
	}
}

func some(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// expected does slowly and simply what a listing should: common prefixes and
// keys, in byte order.
func expected(objects map[string][]byte, prefix, delimiter, after string) []string {
	var want []string
	for key := range objects {
		rest, ok := strings.CutPrefix(key, prefix)
		if !ok || key <= after {
			continue
		}
		if head, _, ok := strings.Cut(rest, delimiter); ok && delimiter != "" {
			key = prefix + head + delimiter
		}
		want = append(want, key)
	}
	slices.Sort(want)
	return slices.Compact(want)
}

func list(t *testing.T, client *s3.Client, in *s3.ListObjectsV2Input) (keys []string, pages int) {
	t.Helper()
	p := s3.NewListObjectsV2Paginator(client, in)
	for p.HasMorePages() {
		page, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		pages++
		var names []string
		for _, o := range page.Contents {
			names = append(names, *o.Key)
			if o.ETag == nil || o.Size == nil || o.LastModified == nil || o.LastModified.IsZero() {
				t.Fatalf("%+v", o)
			}
		}
		for _, c := range page.CommonPrefixes {
			names = append(names, *c.Prefix)
		}
		if int(*page.KeyCount) != len(names) {
			t.Errorf("KeyCount %d of %d", *page.KeyCount, len(names))
		}
		for i := range names {
			if page.EncodingType == types.EncodingTypeUrl {
				names[i] = unescape(t, names[i])
			}
		}
		slices.Sort(names)
		keys = append(keys, names...)
	}
	return keys, pages
}

func unescape(t *testing.T, s string) string {
	t.Helper()
	s, err := url.QueryUnescape(s)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestS3NastyKeys(t *testing.T) {
	server, client := start(t)
	for _, key := range nasty {
		if err := server.Put("memory", key, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	for _, encode := range []types.EncodingType{"", types.EncodingTypeUrl} {
		keys, _ := list(t, client, &s3.ListObjectsV2Input{Bucket: aws.String("memory"), EncodingType: encode})
		if want := slices.Sorted(slices.Values(nasty)); !slices.Equal(keys, want) {
			t.Errorf("encoding %q: got %q\nwant %q", encode, keys, want)
		}
	}
	for _, key := range nasty {
		if got, err := get(t, client, &s3.GetObjectInput{Bucket: aws.String("memory"), Key: &key}); err != nil || got != key {
			t.Errorf("%q: %q, %v", key, got, err)
		}
	}
	dir := t.TempDir()
	for _, key := range []string{"a b+c%41.csv", ";drop table x;--", "ü ☃\"'.csv", "q?x=1&y#h", `back\slash`} {
		if err := os.WriteFile(filepath.Join(dir, key), []byte(key), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := server.ServeDir("directory", dir); err != nil {
		t.Fatal(err)
	}
	keys, _ := list(t, client, &s3.ListObjectsV2Input{Bucket: aws.String("directory")})
	if len(keys) != 5 {
		t.Errorf("%q", keys)
	}
	for _, key := range keys {
		if got, err := get(t, client, &s3.GetObjectInput{Bucket: aws.String("directory"), Key: &key}); err != nil || got != key {
			t.Errorf("%q: %q, %v", key, got, err)
		}
	}
}

func get(t *testing.T, client *s3.Client, in *s3.GetObjectInput) (string, error) {
	t.Helper()
	out, err := client.GetObject(t.Context(), in)
	if err != nil {
		return "", err
	}
	defer func() { _ = out.Body.Close() }()
	b, err := io.ReadAll(out.Body)
	return string(b), err
}

// status gives the HTTP status and the S3 code of an error, 0 for none.
func status(err error) (int, string) {
	var response *awshttp.ResponseError
	var api smithy.APIError
	if errors.As(err, &response) && errors.As(err, &api) {
		return response.HTTPStatusCode(), api.ErrorCode()
	}
	return 0, ""
}

func TestS3Reading(t *testing.T) {
	server, client := start(t)
	content := "0123456789"
	for _, bucket := range kinds(t, server, map[string][]byte{"k": []byte(content), "empty": nil}) {
		head, err := client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: aws.String("k")})
		if err != nil {
			t.Fatal(err)
		}
		if *head.ContentLength != 10 || head.LastModified == nil {
			t.Errorf("%s: %+v", bucket, head)
		}
		listed, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: aws.String("k")})
		if err != nil || *listed.Contents[0].ETag != *head.ETag {
			t.Fatalf("%s: listed %v, head %s", bucket, listed, *head.ETag)
		}
		tests := []struct {
			name        string
			key         string
			match, rang string
			want        string
			status      int
			code        string
		}{
			{name: "whole", key: "k", want: content},
			{name: "match", key: "k", match: *head.ETag, want: content},
			{name: "match any", key: "k", match: "*", want: content},
			{name: "match unquoted", key: "k", match: strings.Trim(*head.ETag, `"`), want: content},
			{name: "no match", key: "k", match: `"0"`, status: 412, code: "PreconditionFailed"},
			{name: "no match with range", key: "k", match: `"0"`, rang: "bytes=2-4", status: 412, code: "PreconditionFailed"},
			{name: "range", key: "k", rang: "bytes=2-4", want: "234"},
			{name: "range and match", key: "k", rang: "bytes=2-4", match: *head.ETag, want: "234"},
			{name: "open range", key: "k", rang: "bytes=7-", want: "789"},
			{name: "last bytes", key: "k", rang: "bytes=-3", want: "789"},
			{name: "range past the end", key: "k", rang: "bytes=8-100", want: "89"},
			{name: "empty", key: "empty", want: ""},
			{name: "empty, no match", key: "empty", match: `"0"`, status: 412, code: "PreconditionFailed"},
			{name: "missing", key: "missing", status: 404, code: "NoSuchKey"},
			{name: "missing with match", key: "missing", match: `"0"`, status: 404, code: "NoSuchKey"},
			{name: "outside", key: "../k", status: 404, code: "NoSuchKey"},
		}
		for _, test := range tests {
			t.Run(bucket+" "+test.name, func(t *testing.T) {
				got, err := get(t, client, &s3.GetObjectInput{Bucket: &bucket, Key: &test.key, IfMatch: some(test.match), Range: some(test.rang)})
				st, code := status(err)
				if got != test.want || st != test.status || code != test.code || (err != nil) != (test.status > 0) {
					t.Errorf("%q, %d %s, %v", got, st, code, err)
				}
			})
		}
		_, err = client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: aws.String("k"), IfMatch: aws.String(`"0"`)})
		if st, _ := status(err); st != 412 {
			t.Errorf("%s: HEAD without a match: %v", bucket, err)
		}
		if _, err = client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: aws.String("k"), IfMatch: head.ETag}); err != nil {
			t.Errorf("%s: HEAD with a match: %v", bucket, err)
		}
		_, err = client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("k"), Range: aws.String("bytes=10-")})
		if st, _ := status(err); st != 416 {
			t.Errorf("%s: range behind the end: %v", bucket, err)
		}
	}
	_, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("nowhere")})
	if st, code := status(err); st != 404 || code != "NoSuchBucket" {
		t.Errorf("no bucket: %v", err)
	}
}

func TestS3ObjectsChange(t *testing.T) {
	server, client := start(t)
	dir := t.TempDir()
	name := filepath.Join(dir, "k")
	if err := server.ServeDir("directory", dir); err != nil {
		t.Fatal(err)
	}
	write := map[string]func(string) error{
		"memory":    func(s string) error { return server.Put("memory", "k", []byte(s)) },
		"directory": func(s string) error { return os.WriteFile(name, []byte(s), 0o666) },
	}
	for bucket, write := range write {
		if err := write("before"); err != nil {
			t.Fatal(err)
		}
		page, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
		if err != nil || len(page.Contents) != 1 {
			t.Fatalf("%s: %v, %v", bucket, page, err)
		}
		if err := write("thereafter"); err != nil {
			t.Fatal(err)
		}
		_, err = get(t, client, &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("k"), IfMatch: page.Contents[0].ETag})
		if st, _ := status(err); st != 412 {
			t.Errorf("%s: %v", bucket, err)
		}
		if page, err = client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket}); err != nil || *page.Contents[0].Size != 10 {
			t.Errorf("%s: the listing is stale: %v, %v", bucket, page, err)
		}
	}
}

func TestS3Writing(t *testing.T) {
	server, client := start(t)
	ctx := t.Context()
	if err := server.EnableVersioning("memory"); err != nil {
		t.Fatal(err)
	}
	put := func(bucket, content string) (*s3.PutObjectOutput, error) {
		return client.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("k"), Body: strings.NewReader(content)})
	}
	first, err := put("memory", "first")
	if err != nil || first.VersionId == nil {
		t.Fatalf("%+v, %v", first, err)
	}
	if _, err := put("memory", "second"); err != nil {
		t.Fatal(err)
	}
	if got, err := get(t, client, &s3.GetObjectInput{Bucket: aws.String("memory"), Key: aws.String("k"), VersionId: first.VersionId, IfMatch: first.ETag}); got != "first" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String("memory"), Key: aws.String("k")}); err != nil {
		t.Error(err)
	}
	if keys, _ := list(t, client, &s3.ListObjectsV2Input{Bucket: aws.String("memory")}); len(keys) != 0 {
		t.Errorf("%q", keys)
	}

	if err := server.ServeDir("directory", t.TempDir()); err != nil {
		t.Fatal(err)
	}
	_, err = put("directory", "x")
	if st, code := status(err); st != 403 || code != "AccessDenied" {
		t.Errorf("directories are read only: %v", err)
	}
	if n := server.Requests(); n["PutObject"] != 3 || n["DeleteObject"] != 1 || n["GetObject"] != 1 || n["ListObjectsV2"] != 1 {
		t.Errorf("%v", n)
	}
}

func TestS3Faults(t *testing.T) {
	server, client := start(t)
	content := bytes.Repeat([]byte("0123456789"), 100_000)
	for _, bucket := range kinds(t, server, map[string][]byte{"k": content}) {
		in := &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("k")}
		tests := []struct {
			name  string
			fault *temp.Fault
			check func(got string, err error) bool
		}{
			{"none", nil, func(got string, err error) bool { return len(got) == len(content) && err == nil }},
			{"slow down", &temp.Fault{Status: 503, Code: "SlowDown"}, func(_ string, err error) bool {
				st, code := status(err)
				return st == 503 && code == "SlowDown"
			}},
			{"denied", &temp.Fault{Status: 403, Code: "AccessDenied"}, func(_ string, err error) bool {
				st, code := status(err)
				return st == 403 && code == "AccessDenied"
			}},
			{"truncate", &temp.Fault{Truncate: 12345}, func(got string, err error) bool {
				return len(got) == 12345 && errors.Is(err, io.ErrUnexpectedEOF)
			}},
			{"reset", &temp.Fault{CutAfter: 12345}, func(got string, err error) bool {
				return len(got) <= 12345 && errors.Is(err, syscall.ECONNRESET)
			}},
			{"reset at once", &temp.Fault{CutAfter: -1}, func(got string, err error) bool { return errors.Is(err, syscall.ECONNRESET) }},
			{"truncate at once", &temp.Fault{Truncate: -1}, func(got string, err error) bool { return errors.Is(err, io.EOF) }},
			{"cut behind the end", &temp.Fault{Truncate: 1 << 40}, func(got string, err error) bool { return len(got) == len(content) && err == nil }},
			{"a length too big", &temp.Fault{Excess: 5}, func(got string, err error) bool {
				return len(got) == len(content) && errors.Is(err, io.ErrUnexpectedEOF)
			}},
			{"a length too small", &temp.Fault{Excess: -5}, func(got string, err error) bool { return len(got) == len(content)-5 && err == nil }},
			{"a range of a whole object", &temp.Fault{Shift: 5}, func(got string, err error) bool { return len(got) == len(content) && err == nil }},
			{"header", &temp.Fault{Header: http.Header{"X-Amz-Meta-A": {"b"}}}, func(got string, err error) bool { return err == nil }},
		}
		for _, test := range tests {
			t.Run(bucket+" "+test.name, func(t *testing.T) {
				server.Fault(func(r *http.Request) *temp.Fault {
					if temp.Operation(r) != "GetObject" {
						return nil
					}
					return test.fault
				})
				got, err := get(t, client, in)
				if !test.check(got, err) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
				if !strings.HasPrefix(string(content), got) {
					t.Error("wrong bytes")
				}
				if _, err := client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: aws.String("k")}); err != nil {
					t.Errorf("the fault is for GET only: %v", err)
				}
			})
		}
	}
	server.Fault(func(*http.Request) *temp.Fault { return &temp.Fault{Shift: 5} })
	out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("memory"), Key: aws.String("k"), Range: aws.String("bytes=10-19")})
	if err != nil || aws.ToString(out.ContentRange) != "bytes 15-24/1000000" {
		t.Errorf("another range: %v, %v", aws.ToString(out.ContentRange), err)
	}
	server.Fault(func(*http.Request) *temp.Fault { return &temp.Fault{Delay: time.Hour} })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: aws.String("memory")}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a delay of an hour: %v", err)
	}
}
