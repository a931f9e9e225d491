package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/bucketload/bucketload/internal/temp"
)

// serve shows a directory as the bucket weather of an S3 server, prints its
// URL and runs until it is killed: bench serve DIR LATENCY.
func serve(ctx context.Context, args []string) error {
	s, err := temp.StartS3(temp.S3Options{})
	if err != nil {
		return err
	}
	if err := s.ServeDir("weather", args[0]); err != nil {
		return err
	}
	if args[1] != "" {
		latency, err := time.ParseDuration(args[1])
		if err != nil {
			return err
		}
		s.Fault(func(*http.Request) *temp.Fault { return &temp.Fault{Delay: latency} })
	}
	fmt.Println(s.URL())
	<-ctx.Done()
	return s.Close()
}
