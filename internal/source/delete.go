package source

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/bucketload/bucketload"
)

// Delete deletes an object that is still the version which obj pins. One that
// is another by now stays, and is CodeChanged; one that is gone is CodeMissing.
func (s *Store) Delete(ctx context.Context, obj bucketload.Object) error {
	root, key, err := splitURI(obj.URI)
	if err != nil {
		return err
	}
	if root == fileRoot {
		return deleteFile(key, obj)
	}
	// The store itself is to judge at last; one that does not know of If-Match
	// for this deletes all the same.
	if _, err := s.Head(ctx, obj); err != nil {
		return err
	}
	b, key, err := s.bucket(ctx, obj.URI)
	if err != nil {
		return err
	}
	in := &s3.DeleteObjectInput{Bucket: &b.name, Key: &key, RequestPayer: b.payer}
	if obj.Version != "" {
		in.IfMatch = aws.String(`"` + obj.Version + `"`)
	}
	del := func() error {
		return b.inRegion(ctx, b.name, func(region func(*s3.Options)) error {
			_, err := b.DeleteObject(ctx, in, region)
			return err
		})
	}
	if err = del(); status(err) == http.StatusNotImplemented {
		in.IfMatch = nil
		err = del()
	}
	if err == nil {
		return nil
	}
	e := bucketload.AsError(b.explain(ctx, obj.URI, err))
	if e.Code == bucketload.CodeAccess && status(err) == http.StatusForbidden {
		e.Hint = "the credentials need s3:DeleteObject"
	}
	return e
}

func deleteFile(path string, obj bucketload.Object) error {
	info, err := os.Lstat(path)
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		info, err = os.Stat(path)
	}
	if err != nil {
		return explainFile(obj.URI, err)
	}
	if now := fileObject("", info); now.Version != obj.Version {
		return changed(obj.URI, "", nil)
	}
	if err := os.Remove(path); err != nil {
		e := explainFile(obj.URI, err)
		if errors.Is(err, fs.ErrPermission) {
			e.Message, e.Hint = "this user may not delete it", "allow writing to its directory to the user that bucketload runs as"
		}
		return e
	}
	return nil
}
