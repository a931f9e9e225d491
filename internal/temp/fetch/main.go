// Command fetch puts the binaries of a PostgreSQL major version into the cache
// and prints their directory: go run ./internal/temp/fetch 18
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/temp"
)

func main() {
	major := 0
	if len(os.Args) > 1 {
		var err error
		if major, err = strconv.Atoi(os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, "usage: fetch [MAJOR]")
			os.Exit(2)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	bin, err := temp.FetchPostgres(ctx, major)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "fetch: %v\n", err)
		if hint := bucketload.AsError(err).Hint; hint != "" {
			fmt.Fprintf(os.Stderr, "hint: %s\n", hint)
		}
		os.Exit(1)
	}
	fmt.Println(bin)
}
