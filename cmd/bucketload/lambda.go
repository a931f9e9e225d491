package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/conduct"
	"github.com/bucketload/bucketload/internal/config"
	"github.com/bucketload/bucketload/internal/lambda"
	"github.com/bucketload/bucketload/internal/source"
	"github.com/bucketload/bucketload/internal/steps"
)

// onLambda says whether this is a function: Lambda has started the program, by
// the name that it has there.
func onLambda() bool { return lambda.Here() && filepath.Base(os.Args[0]) == "bootstrap" }

// serveLambda is main on Lambda, where the deployment's Handler says which step
// this process is. Its settings are in the environment:
//
//	BUCKETLOAD_TO               the target, as anywhere
//	BUCKETLOAD_CONFIG           s3:// URI of a bucketload.yaml; may be empty
//	BUCKETLOAD_SOURCE           source where the configuration says none: s3:// URI with a folder per table
//	BUCKETLOAD_MAX_CONCURRENCY  max_concurrency where the configuration says none
//	BUCKETLOAD_RESULTS          bucket for what the state machine's Maps read and write
func serveLambda() {
	server := lambda.New(os.Stderr)
	f := &function{server: server}
	server.Serve(f.call, func(err error) (name, message string) {
		failure := steps.FailureOf(err)
		return failure.Error, redact(failure.Cause)
	})
}

// function is a step, and what its process keeps between invocations. After a
// failure everything is made anew: the connection string may have changed.
type function struct {
	server *lambda.Server
	step   steps.Function // nil: not connected
	close  func()
}

func (f *function) call(ctx context.Context, event json.RawMessage) (json.RawMessage, error) {
	if f.step == nil {
		if err := f.connect(ctx); err != nil {
			return nil, err
		}
	}
	out, err := f.step(ctx, event)
	if err != nil {
		// Waits until the server has been told to cancel what was under way:
		// once there is an answer, Lambda freezes this process.
		f.close()
		f.step = nil
	}
	return out, err
}

// connect opens the target, with a connection for what the step does and one
// for the ledger.
func (f *function) connect(ctx context.Context) error {
	pool, err := openTarget(ctx, "", nil, 0)
	if err != nil {
		return err
	}
	results := os.Getenv("BUCKETLOAD_RESULTS")
	s := steps.New(pool, f.server.Log())
	s.Ledger.Running = conduct.Running
	functions := s.Functions(steps.Setting{
		Load: deployedLoad, Bucket: results, MaxObject: steps.LambdaMaxObject,
		Put: func(ctx context.Context, _, key string, body []byte) error { return putObject(ctx, results, key, body) },
	})
	step, ok := functions[f.server.Name()]
	if !ok {
		pool.Close()
		return usage(fmt.Sprintf("there is no function %q", f.server.Name()),
			"the function's Handler is one of "+strings.Join(slices.Sorted(maps.Keys(functions)), ", "))
	}
	f.step, f.close = step, pool.Close
	return nil
}

// deployedLoad gives a table's load: as the configuration has it, over what the
// deployment says. The configuration is read every time, so that a new one
// counts from the next run on.
func deployedLoad(ctx context.Context, table string) (*bucketload.Load, error) {
	settings := fmt.Appendf(nil, "source: %q\n", os.Getenv("BUCKETLOAD_SOURCE"))
	if n := os.Getenv("BUCKETLOAD_MAX_CONCURRENCY"); n != "" {
		settings = fmt.Appendf(settings, "defaults: {max_concurrency: %q}\n", n)
	}
	file, err := config.Parse("the function's environment", settings)
	if err != nil {
		return nil, err
	}
	if uri := os.Getenv("BUCKETLOAD_CONFIG"); uri != "" {
		data, err := readConfig(ctx, uri)
		if err != nil {
			return nil, err
		}
		if file, err = config.ParseOver(file, uri, data); err != nil {
			return nil, err
		}
	}
	loads, err := file.Loads([]string{table}, config.Flags{})
	if err != nil {
		return nil, err
	}
	return loads[0], nil
}

// maxConfig is far more than anybody writes by hand.
const maxConfig = 1 << 20

// readConfig reads the object at uri.
func readConfig(ctx context.Context, uri string) (data []byte, err error) {
	store := source.New(bucketload.S3{})
	var found *bucketload.Object
	err = store.List(ctx, []string{uri}, nil, func(o source.Listed) error {
		if o.URI == uri {
			found = &o.Object
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case found == nil:
		return nil, usage("there is no object "+uri, "put a bucketload.yaml there, or deploy with another ConfigUri, or an empty one")
	case found.Size > maxConfig:
		return nil, usage(fmt.Sprintf("%s has %s, which is no configuration", uri, bucketload.Bytes(found.Size)), "deploy with the URI of a bucketload.yaml")
	}
	body, err := store.Open(ctx, *found)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	return io.ReadAll(body)
}

// putObject writes an object of the results.
func putObject(ctx context.Context, bucket, key string, body []byte) error {
	if bucket == "" {
		return usage("it is not said where the results go", "set BUCKETLOAD_RESULTS to the name of a bucket")
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithAppID("bucketload"))
	if err != nil {
		return err
	}
	_, err = s3.NewFromConfig(cfg).PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body),
		ContentType: aws.String("application/json")})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	e := &bucketload.Error{Code: bucketload.CodeSource, URI: "s3://" + bucket + "/" + key, Message: "it cannot be written", Err: err}
	var answer interface{ HTTPStatusCode() int }
	switch {
	case !errors.As(err, &answer) || answer.HTTPStatusCode() >= http.StatusInternalServerError:
		e.Transient = true
	case answer.HTTPStatusCode() == http.StatusForbidden:
		e.Code, e.Hint = bucketload.CodeAccess, "allow the function s3:PutObject on runs/* of the bucket, and the use of its key"
	default:
		e.Hint = "BUCKETLOAD_RESULTS names a bucket of the same region and account"
	}
	return e
}
