package main

import (
	"context"
	"crypto/md5"
	"encoding/xml"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	"github.com/bucketload/bucketload/internal/temp"
)

// serve shows a directory as the bucket bench of an S3 server, prints its
// URL and runs until it is killed: bench serve DIR LATENCY.
func serve(ctx context.Context, args []string) error {
	s, err := temp.StartS3(temp.S3Options{})
	if err != nil {
		return err
	}
	if err := s.ServeDir("bench", args[0]); err != nil {
		return err
	}
	if args[1] != "" {
		latency, err := time.ParseDuration(args[1])
		if err != nil {
			return err
		}
		s.Fault(temp.Latency(latency))
	}
	fmt.Println(s.URL())
	<-ctx.Done()
	return s.Close()
}

// list serves a bucket of as many small CSVs as are asked for, none of which is
// stored anywhere, prints its URL and runs until it is killed: bench list N.
func list(ctx context.Context, args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: lister(n), ReadHeaderTimeout: time.Minute}}
	server.Start()
	defer server.Close()
	fmt.Println(server.URL)
	<-ctx.Done()
	return nil
}

// lister is that many objects, named by their number. Keys sort as they count.
type lister int

// listedContent is what every object has.
var listedContent = []byte("id,amount\n1,2.50\n2,3.75\n")

// pageSize is the most that ListObjectsV2 gives in an answer. Source: Amazon S3
// API reference, ListObjectsV2, MaxKeys.
const pageSize = 1000

func (n lister) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	etag := fmt.Sprintf(`"%x"`, md5.Sum(listedContent))
	changed := time.Unix(1_700_000_000, 0).UTC()
	if key := strings.TrimPrefix(r.URL.Path, "/bench/"); key != "" && key != r.URL.Path {
		w.Header().Set("ETag", etag)
		http.ServeContent(w, r, "", changed, strings.NewReader(string(listedContent)))
		return
	}
	first, _ := strconv.Atoi(r.URL.Query().Get("continuation-token")) // none: the beginning
	type object struct {
		Key, LastModified, ETag string
		Size                    int
	}
	type result struct {
		XMLName               xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
		Name                  string
		MaxKeys, KeyCount     int
		IsTruncated           bool
		NextContinuationToken string `xml:",omitempty"`
		Contents              []object
	}
	page := result{Name: "bench", MaxKeys: pageSize}
	for i := first; i < min(first+pageSize, int(n)); i++ {
		page.Contents = append(page.Contents, object{fmt.Sprintf("listed/%08d.csv", i), changed.Format(time.RFC3339), etag, len(listedContent)})
	}
	page.KeyCount = len(page.Contents)
	if next := first + pageSize; next < int(n) {
		page.IsTruncated, page.NextContinuationToken = true, strconv.Itoa(next)
	}
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(page) // the client may have gone
}
