package config

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bucketload/bucketload"
)

func TestTokens(t *testing.T) {
	clean(t)
	credentials(t)
	for dsn, region := range map[string]string{
		"postgres://u@db.c1a2b3.eu-west-1.rds.amazonaws.com/db?rds_iam=on":                               "eu-west-1",
		"host=DB.c1a2b3.us-gov-west-1.RDS.amazonaws.com user=u rds_iam=true":                             "us-gov-west-1",
		"host=p.proxy-c1a2b3.ap-southeast-2.rds.amazonaws.com user=u rds_iam=1":                          "ap-southeast-2",
		"host=db.cluster-ro-c1a2b3.cn-north-1.rds.amazonaws.com.cn user=u rds_iam=on sslmode=require":    "cn-north-1",
		"postgres://u:old@db.example:6543/db?rds_iam=on&sslmode=verify-full":                             "us-east-1",
		"postgres://u@db.c1a2b3.eu-west-1.rds.amazonaws.com/db?sslmode=require&rds_iam=on&search_path=s": "eu-west-1",
	} {
		c, err := ParseTarget(t.Context(), dsn)
		if err != nil {
			t.Errorf("%s: %v", dsn, err)
			continue
		}
		if _, there := c.RuntimeParams["rds_iam"]; there || optional(c) {
			t.Errorf("%s: the server is told %v, TLS optional: %v", dsn, c.RuntimeParams, optional(c))
		}
		attempt := c.Copy()
		if err := c.BeforeConnect(t.Context(), attempt); err != nil {
			t.Fatal(err)
		}
		token, err := url.Parse("https://" + attempt.Password)
		if err != nil {
			t.Fatal(err)
		}
		q := token.Query()
		if !strings.Contains(q.Get("X-Amz-Credential"), "AKIDEXAMPLE/") || !strings.Contains(q.Get("X-Amz-Credential"), "/"+region+"/rds-db/") ||
			q.Get("DBUser") != "u" || q.Get("Action") != "connect" || token.Port() == "" || q.Get("X-Amz-Signature") == "" {
			t.Errorf("%s: %s", dsn, attempt.Password)
		}
		if strings.Contains(Redact(c.ConnConfig), "X-Amz") {
			t.Error(Redact(c.ConnConfig))
		}
	}
	for _, dsn := range []string{"host=h user=u", "host=h user=u rds_iam=off", "postgres://u@h/db?rds_iam=false"} {
		c, err := ParseTarget(t.Context(), dsn)
		if err != nil || c.BeforeConnect != nil || len(c.RuntimeParams) > 0 {
			t.Errorf("%s: %v, %v", dsn, c, err)
		}
	}
	for dsn, want := range map[string]string{
		"host=h rds_iam=hunter2":                       "rds_iam in the target is neither on nor off",
		"host=h rds_iam=''":                            "rds_iam in the target is neither on nor off",
		"host=h user=u rds_iam=on sslmode=disable":     "rds_iam=on needs TLS",
		"host=h user=u rds_iam=on sslmode=allow":       "rds_iam=on needs TLS",
		"host=h user=u rds_iam=on sslmode=prefer":      "rds_iam=on needs TLS",
		"host=/var/run user=u rds_iam=on":              "rds_iam=on needs TLS",
		"postgres://u@h1,h2/db?rds_iam=on":             "rds_iam=on goes with one host",
		"host=h port=1,2 rds_iam=on":                   "cannot be read as a DSN",
		"host=h1,h1 port=1,2 rds_iam=on sslmode=allow": "rds_iam=on goes with one host",
	} {
		_, err := ParseTarget(t.Context(), dsn)
		if e := usageOf(t, err); !strings.Contains(e.Message, want) || strings.Contains(e.Error()+e.Hint, "hunter2") {
			t.Errorf("%s: %s", dsn, e)
		}
	}

	t.Setenv("AWS_REGION", "")
	_, err := ParseTarget(t.Context(), "host=h rds_iam=on")
	if e := usageOf(t, err); !strings.Contains(e.Message, "no AWS region") {
		t.Error(e)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	_, err = ParseTarget(t.Context(), "host=db.c1a2b3.eu-west-1.rds.amazonaws.com rds_iam=on")
	if e := without(t, err); e.Code != bucketload.CodeAccess {
		t.Error(e)
	}
}

// optional says whether a connection may be made without TLS.
func optional(c *Connection) bool {
	return c.TLSConfig == nil || slices.ContainsFunc(c.Fallbacks, func(f *pgconn.FallbackConfig) bool { return f.TLSConfig == nil })
}
