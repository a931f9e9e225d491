package source

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/bucketload/bucketload"
)

// bucket is the place of one bucket's objects. An object's version is its
// ETag without the quotes, also where the bucket keeps versions: listings do
// not tell version ids, and If-Match refuses a changed object all the same.
type bucket struct {
	*client
	name string
}

func (b bucket) uri(key string) string { return s3Scheme + b.name + "/" + key }

// find lists instead of asking for the object: the first key with a prefix is
// the prefix itself, and listing is the right that a load needs anyway. Who
// may not list may still read an object by its name.
func (b bucket) find(ctx context.Context, key string) (*bucketload.Object, error) {
	out, err := b.page(ctx, &s3.ListObjectsV2Input{Prefix: &key, MaxKeys: aws.Int32(1)})
	if err != nil {
		err = b.explain(ctx, b.uri(key), err)
		if bucketload.AsError(err).Code == bucketload.CodeAccess {
			if head, headErr := b.head(ctx, key, ""); headErr == nil {
				return &head.Object, nil
			}
		}
		return nil, err
	}
	for _, o := range out.Contents {
		if decodeKey(out, o) == key {
			return new(b.object(key, o)), nil
		}
	}
	return nil, nil
}

func (b bucket) holds(ctx context.Context, dir string) (bool, error) {
	out, err := b.page(ctx, &s3.ListObjectsV2Input{Prefix: &dir, MaxKeys: aws.Int32(1)})
	if err != nil {
		return false, b.explain(ctx, b.uri(dir), err)
	}
	return len(out.Contents) > 0, nil
}

// list asks for what begins with the pattern's literal text, a page at a time,
// and leaves out what is deeper than one directory where one is all there can be.
func (b bucket) list(ctx context.Context, p pattern, yield func(string, bucketload.Object, error) error) error {
	in := &s3.ListObjectsV2Input{}
	if prefix := p.prefix(); prefix != "" {
		in.Prefix = &prefix
	}
	if p.depth() == 0 {
		in.Delimiter = aws.String("/")
	}
	for {
		out, err := b.page(ctx, in)
		if err != nil {
			return b.explain(ctx, p.text, err)
		}
		for _, o := range out.Contents {
			key := decodeKey(out, o)
			if err := yield(key, b.object(key, o), nil); err != nil {
				return err
			}
		}
		if in.ContinuationToken = out.NextContinuationToken; in.ContinuationToken == nil || !aws.ToBool(out.IsTruncated) {
			return nil
		}
	}
}

// page lists up to 1000 keys, percent-encoded because XML cannot hold them all.
func (b bucket) page(ctx context.Context, in *s3.ListObjectsV2Input) (out *s3.ListObjectsV2Output, err error) {
	in.Bucket, in.RequestPayer, in.EncodingType = &b.name, b.payer, types.EncodingTypeUrl
	err = b.inRegion(ctx, b.name, func(region func(*s3.Options)) (err error) {
		out, err = b.ListObjectsV2(ctx, in, region)
		return err
	})
	return out, err
}

// decodeKey undoes the encoding where the store knows of it.
func decodeKey(out *s3.ListObjectsV2Output, o types.Object) string {
	key := aws.ToString(o.Key)
	if out.EncodingType == types.EncodingTypeUrl {
		if plain, err := url.QueryUnescape(key); err == nil {
			return plain
		}
	}
	return key
}

func (b bucket) object(key string, o types.Object) bucketload.Object {
	return bucketload.Object{URI: b.uri(key), Size: aws.ToInt64(o.Size), Version: version(o.ETag), Time: aws.ToTime(o.LastModified)}
}

func version(etag *string) string { return strings.Trim(aws.ToString(etag), `"`) }

// open asks for the object pinned by If-Match, and compares the answer for
// stores that do not know of that.
func (b bucket) open(ctx context.Context, key string, obj bucketload.Object, off, end int64) (io.ReadCloser, error) {
	r := &body{ctx: ctx, uri: obj.URI, at: off, end: end, mark: off, backoff: b.backoff}
	r.get = func(at int64) (io.ReadCloser, error) { return b.get(ctx, key, obj, at, end) }
	var err error
	if r.src, err = r.get(off); err != nil {
		return nil, err
	}
	return r, nil
}

// get opens bytes [at, end) in one request.
func (b bucket) get(ctx context.Context, key string, obj bucketload.Object, at, end int64) (io.ReadCloser, error) {
	in := &s3.GetObjectInput{Bucket: &b.name, Key: &key, RequestPayer: b.payer}
	if obj.Version != "" {
		in.IfMatch = aws.String(`"` + obj.Version + `"`)
	}
	ranged := at > 0 || end < obj.Size
	if ranged {
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", at, end-1))
	}
	var out *s3.GetObjectOutput
	err := b.inRegion(ctx, b.name, func(region func(*s3.Options)) (err error) {
		out, err = b.GetObject(ctx, in, region)
		return err
	})
	if err != nil {
		return nil, b.explain(ctx, obj.URI, err)
	}
	if err := checkAnswer(out, obj, ranged, at, end); err != nil {
		_ = out.Body.Close()
		return nil, err
	}
	return out.Body, nil
}

// checkAnswer sees to it that the answer is the bytes that were asked for.
func checkAnswer(out *s3.GetObjectOutput, obj bucketload.Object, ranged bool, at, end int64) error {
	if etag := version(out.ETag); obj.Version != "" && etag != "" && etag != obj.Version {
		return changed(obj.URI, "", nil)
	}
	if out.ContentLength != nil && *out.ContentLength >= 0 && *out.ContentLength != end-at {
		return changed(obj.URI, fmt.Sprintf(": %d bytes are sent instead of %d", *out.ContentLength, end-at), nil)
	}
	if want := fmt.Sprintf("bytes %d-%d/", at, end-1); ranged && !strings.HasPrefix(aws.ToString(out.ContentRange), want) {
		return &bucketload.Error{Code: bucketload.CodeSource, URI: obj.URI, Message: "the store does not serve a part of an object",
			Hint: "check --endpoint-url: is there something between that leaves out the Range header?"}
	}
	return nil
}
