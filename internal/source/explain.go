package source

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/aws/smithy-go"

	"github.com/bucketload/bucketload"
)

// status is the HTTP status of the response that err is about, 0 where there was none.
func status(err error) int {
	var r interface{ HTTPStatusCode() int }
	if errors.As(err, &r) {
		return r.HTTPStatusCode()
	}
	return 0
}

// apiCode is S3's word for the error, "" where it gave none.
func apiCode(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	return ""
}

// cause leaves away what the SDK tells of its own layers.
func cause(err error) error {
	var api smithy.APIError
	var u *url.Error
	switch {
	case errors.As(err, &api):
		return api
	case errors.As(err, &u):
		return u.Err
	}
	return err
}

// explain makes the user's error of one of the SDK, by its type, code and status.
func (c *client) explain(ctx context.Context, uri string, err error) error {
	if ctx.Err() != nil {
		return cancelled(ctx, uri)
	}
	var credentials *credentialsError
	if errors.As(err, &credentials) {
		return explainCredentials(err)
	}
	e := &bucketload.Error{URI: uri, Err: cause(err)}
	switch code := apiCode(err); code {
	case "NoSuchBucket":
		e.Code, e.Message = bucketload.CodeMissing, "there is no such bucket"
		e.Hint = "check the bucket's name, and --endpoint-url if it is not in AWS"
		return e
	case "InvalidObjectState":
		e.Code, e.Message = bucketload.CodeAccess, "the object is in an archive storage class"
		e.Hint = "restore the object, then run the load again"
		return e
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired":
		e.Code, e.Message = bucketload.CodeAccess, "the AWS credentials have expired"
		e.Hint = "log in again, for example with `aws sso login`, then run it again"
		return e
	case "RequestTimeTooSkewed":
		e.Code, e.Message, e.Hint = bucketload.CodeAccess, "this machine's clock is wrong", "set the clock"
		return e
	case "PermanentRedirect", "AuthorizationHeaderMalformed":
		e.Code, e.Message = bucketload.CodeSource, "the bucket is in another region, and S3 does not say in which"
		e.Hint = "name the bucket's region with --region"
		return e
	case "RequestTimeout", "SlowDown":
		e.Code, e.Message, e.Transient = bucketload.CodeSource, "S3 is busy", true
		e.Hint = "run it again later, or with a lower --max-concurrency"
		return e
	}
	return c.explainStatus(e, err)
}

func (c *client) explainStatus(e *bucketload.Error, err error) error {
	switch code := status(err); {
	case code < 300:
		return explainNetwork(e, err)
	case code == http.StatusNotFound:
		return missing(e.URI, e.Err)
	case code == http.StatusPreconditionFailed, code == http.StatusRequestedRangeNotSatisfiable:
		return changed(e.URI, "", e.Err)
	case code == http.StatusForbidden && c.opts.Anonymous:
		e.Code, e.Message = bucketload.CodeAccess, "S3 denies access without credentials"
		e.Hint = "if the bucket is not public, leave out --anonymous and choose credentials with --profile"
	case code == http.StatusForbidden, code == http.StatusUnauthorized:
		e.Code, e.Message = bucketload.CodeAccess, "S3 denies access"
		e.Hint = "the credentials need s3:ListBucket and s3:GetObject; choose others with --profile, " +
			"or use --anonymous for a public bucket, --requester-pays where the reader pays"
	case code == http.StatusTooManyRequests, code >= 500:
		e.Code, e.Message, e.Transient = bucketload.CodeSource, "S3 is busy or out of order", true
		e.Hint = "run it again later, or with a lower --max-concurrency"
	case code == http.StatusMovedPermanently:
		e.Code, e.Message = bucketload.CodeSource, "the bucket is in another region, and S3 does not say in which"
		e.Hint = "name the bucket's region with --region"
	default:
		e.Code, e.Message = bucketload.CodeSource, "S3 refuses the request"
		e.Hint = "check the URI and --endpoint-url, --region, --path-style"
	}
	return e
}

// explainNetwork is for requests that have no answer, or none that is whole.
func explainNetwork(e *bucketload.Error, err error) error {
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	var network net.Error
	e.Code, e.Message = bucketload.CodeConnect, "S3 cannot be reached"
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		e.Hint = "check the bucket's name and --endpoint-url; S3-compatible stores often need --path-style"
	case errors.As(err, &cert):
		e.Message, e.Hint = "the certificate of S3 is not trusted", "name the authority's certificate in AWS_CA_BUNDLE"
	case errors.As(err, &network), errors.Is(err, io.ErrUnexpectedEOF):
		e.Hint, e.Transient = "check the network and --endpoint-url", true
	default:
		e.Code, e.Message = bucketload.CodeSource, "S3 gives no usable answer"
		e.Hint = "check --endpoint-url: is it S3 that answers there?"
	}
	return e
}
