package temp

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/johannesboyne/gofakes3"
)

// maxKeys is how many keys S3 lists on a page.
const maxKeys = 1000

// entry is an object as a listing shows it.
type entry struct {
	Key          string
	LastModified string // RFC 3339
	ETag         string
	Size         int64
}

// dirBucket is a directory as a bucket. The root keeps keys like "../x" and
// symbolic links from leaving it.
type dirBucket struct {
	root *os.Root

	mu     sync.Mutex
	listed []entry // in byte order of the keys, as of the last first page
}

func openDir(dir string) (*dirBucket, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &dirBucket{root: root}, nil
}

// entries gives the whole bucket; with fresh it looks at the disk again.
func (d *dirBucket) entries(fresh bool) ([]entry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.listed != nil && !fresh {
		return d.listed, nil
	}
	listed := []entry{}
	err := fs.WalkDir(d.root.FS(), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		listed = append(listed, entry{Key: path, LastModified: listTime(info.ModTime()), ETag: fileETag(path, info), Size: info.Size()})
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(listed, func(a, b entry) int { return strings.Compare(a.Key, b.Key) })
	d.listed = listed
	return listed, nil
}

// serve answers everything but listings.
func (d *dirBucket) serve(w http.ResponseWriter, r *http.Request, op, key string) {
	switch op {
	case "HeadBucket":
		w.WriteHeader(http.StatusOK)
		return
	case "GetObject", "HeadObject":
	default:
		writeError(w, r, http.StatusForbidden, "AccessDenied")
		return
	}
	if !fs.ValidPath(key) { // a/../b and a//b are keys of their own
		writeError(w, r, http.StatusNotFound, "NoSuchKey")
		return
	}
	f, err := d.root.Open(key)
	if err != nil {
		writeError(w, r, http.StatusNotFound, "NoSuchKey")
		return
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		writeError(w, r, http.StatusNotFound, "NoSuchKey")
		return
	}
	etag := fileETag(key, info)
	if m := r.Header.Get("If-Match"); m != "" && !matches(m, etag) {
		writeError(w, r, http.StatusPreconditionFailed, "PreconditionFailed")
		return
	}
	r.Header.Del("If-Match")
	w.Header().Set("ETag", etag)
	w.Header().Set("Content-Type", "binary/octet-stream") // S3's default; keeps ServeContent from sniffing
	http.ServeContent(w, r, "", info.ModTime(), f)
}

func fileETag(key string, info fs.FileInfo) string {
	sum := md5.Sum(fmt.Appendf(nil, "%s\x00%d\x00%d", key, info.Size(), info.ModTime().UnixNano()))
	return fmt.Sprintf(`"%x"`, sum)
}

func listTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// memoryEntries gives the objects of a bucket in memory that have the prefix.
func (s *S3) memoryEntries(bucket, prefix string) ([]entry, error) {
	list, err := s.memory.ListBucket(bucket, &gofakes3.Prefix{HasPrefix: true, Prefix: prefix}, gofakes3.ListBucketPage{})
	if err != nil {
		return nil, err
	}
	entries := make([]entry, len(list.Contents))
	for i, c := range list.Contents {
		entries[i] = entry{Key: c.Key, LastModified: listTime(c.LastModified.Time), ETag: c.ETag, Size: c.Size}
	}
	return entries, nil
}

// listResult is the answer to ListObjectsV2.
type listResult struct {
	XMLName               xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	Name                  string
	Prefix                string
	StartAfter            string `xml:",omitempty"`
	Delimiter             string `xml:",omitempty"`
	EncodingType          string `xml:",omitempty"`
	MaxKeys               int
	KeyCount              int
	IsTruncated           bool
	ContinuationToken     string `xml:",omitempty"`
	NextContinuationToken string `xml:",omitempty"`
	Contents              []entry
	CommonPrefixes        []commonPrefix
}

type commonPrefix struct{ Prefix string }

// list answers ListObjectsV2 from either kind of bucket.
func (s *S3) list(w http.ResponseWriter, r *http.Request, bucket string, dir *dirBucket) {
	q := r.URL.Query()
	res := listResult{Name: bucket, Prefix: q.Get("prefix"), StartAfter: q.Get("start-after"), Delimiter: q.Get("delimiter"),
		EncodingType: q.Get("encoding-type"), MaxKeys: maxKeys, ContinuationToken: q.Get("continuation-token")}
	after := res.StartAfter
	if res.ContinuationToken != "" {
		token, err := base64.StdEncoding.DecodeString(res.ContinuationToken)
		if err != nil {
			writeError(w, r, http.StatusBadRequest, "InvalidArgument")
			return
		}
		after = string(token)
	}
	if m := q.Get("max-keys"); m != "" {
		n, err := strconv.Atoi(m)
		if err != nil || n < 0 {
			writeError(w, r, http.StatusBadRequest, "InvalidArgument")
			return
		}
		res.MaxKeys = min(n, maxKeys)
	}

	var all []entry
	var err error
	if dir != nil {
		all, err = dir.entries(res.ContinuationToken == "")
	} else {
		all, err = s.memoryEntries(bucket, res.Prefix)
	}
	switch {
	case gofakes3.HasErrorCode(err, gofakes3.ErrNoSuchBucket):
		writeError(w, r, http.StatusNotFound, "NoSuchBucket")
		return
	case err != nil:
		writeError(w, r, http.StatusInternalServerError, "InternalError")
		return
	}
	if next := res.page(all, after); next != "" {
		res.IsTruncated = true
		res.NextContinuationToken = base64.StdEncoding.EncodeToString([]byte(next))
	}
	res.encode()
	w.Header().Set("Content-Type", "application/xml")
	_, _ = w.Write([]byte(xml.Header))
	_ = xml.NewEncoder(w).Encode(res) // the client may have gone
}

// page fills in the keys after the given one. If there are more, it gives
// what the next page starts after: a key, or a common prefix and a byte that
// sorts after all that UTF-8 keys can go on with.
func (res *listResult) page(all []entry, after string) (next string) {
	i := sort.Search(len(all), func(i int) bool { return all[i].Key > after && all[i].Key >= res.Prefix })
	last := ""
	for ; i < len(all) && strings.HasPrefix(all[i].Key, res.Prefix) && res.MaxKeys > 0; i++ {
		e := all[i]
		group := ""
		if at := strings.Index(e.Key[len(res.Prefix):], res.Delimiter); res.Delimiter != "" && at >= 0 {
			group = e.Key[:len(res.Prefix)+at+len(res.Delimiter)]
			if last == group+"\xff" {
				continue
			}
		}
		if res.KeyCount == res.MaxKeys {
			return last
		}
		res.KeyCount++
		if group != "" {
			res.CommonPrefixes = append(res.CommonPrefixes, commonPrefix{group})
			last = group + "\xff"
			continue
		}
		res.Contents = append(res.Contents, e)
		last = e.Key
	}
	return ""
}

// encode percent-encodes the names where the client asked for it, the only way
// to list keys that XML cannot hold.
func (res *listResult) encode() {
	if res.EncodingType != "url" {
		res.EncodingType = ""
		return
	}
	enc := func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "%2F", "/") }
	res.Prefix, res.Delimiter, res.StartAfter = enc(res.Prefix), enc(res.Delimiter), enc(res.StartAfter)
	for i := range res.Contents {
		res.Contents[i].Key = enc(res.Contents[i].Key)
	}
	for i := range res.CommonPrefixes {
		res.CommonPrefixes[i].Prefix = enc(res.CommonPrefixes[i].Prefix)
	}
}
