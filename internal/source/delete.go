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
// In S3 the store judges that with the deletion itself; where it cannot, the
// object stays.
func (s *Store) Delete(ctx context.Context, obj bucketload.Object) error {
	root, key, err := splitURI(obj.URI)
	if err != nil {
		return err
	}
	if root == fileRoot {
		return s.disk.delete(key, obj)
	}
	// Asked beforehand as well, for a store that overlooks If-Match when deleting
	// deletes whatever is there.
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
	err = b.inRegion(ctx, b.name, func(region func(*s3.Options)) error {
		_, err := b.DeleteObject(ctx, in, region)
		return err
	})
	if err == nil {
		return nil
	}
	e := bucketload.AsError(b.explain(ctx, obj.URI, err))
	switch {
	case e.Code == bucketload.CodeAccess && status(err) == http.StatusForbidden:
		e.Hint = "the credentials need s3:DeleteObject"
	case status(err) == http.StatusNotImplemented:
		e.Message, e.Transient = "the store cannot delete an object on the condition that nobody has changed it", false
		e.Hint = "delete what is loaded by other means, and say source_after_load: keep"
	}
	return e
}

// delete deletes a file, or the link that it was listed as, without leaving the
// directory that it was listed in.
func (d *disk) delete(key string, obj bucketload.Object) error {
	base, err := d.base(key)
	if err != nil {
		return err
	}
	stat, remove := os.Stat, os.Remove
	if base != "" {
		root, err := d.root(base)
		if err != nil {
			return explainFile(obj.URI, err)
		}
		stat, remove, key = root.Stat, root.Remove, key[len(base):]
	}
	info, err := stat(key)
	switch {
	case escapes(err):
		return changed(obj.URI, ": a symbolic link leads out of the directory", nil)
	case err != nil:
		return explainFile(obj.URI, err)
	case fileObject("", info).Version != obj.Version:
		return changed(obj.URI, "", nil)
	}
	if err := remove(key); err != nil {
		e := explainFile(obj.URI, err)
		if errors.Is(err, fs.ErrPermission) {
			e.Message, e.Hint = "this user may not delete it", "allow writing to its directory to the user that bucketload runs as"
		}
		return e
	}
	return nil
}
