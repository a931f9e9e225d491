package config

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"pgregory.net/rapid"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// credentials gives the test some that no service has seen, and a region.
func credentials(t testing.TB) {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "hunter2", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		t.Setenv(name, value)
	}
}

// without fails the test if a secret is in what is shown.
func without(t *testing.T, err error, secrets ...string) *bucketload.Error {
	t.Helper()
	e := bucketload.AsError(err)
	if e == nil {
		t.Fatal("no error")
	}
	for _, s := range secrets {
		if strings.Contains(e.Error()+e.Hint, s) {
			t.Errorf("%q is shown: %s; %s", s, e.Error(), e.Hint)
		}
	}
	if e.Op != "config" || strings.ContainsAny(e.Error()+e.Hint, "\n\r") {
		t.Errorf("op %q: %s; %s", e.Op, e.Error(), e.Hint)
	}
	return e
}

func mustConfig(t *testing.T, region string) aws.Config {
	t.Helper()
	cfg, err := awsConfig(t.Context(), "test", region)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestReferencesToAWS(t *testing.T) {
	clean(t)
	moto := temptest.Moto(t)
	const dsn = "postgres://u:hunter2@h/db"
	const rds = `{"username": "u", "password": "hun'ter\\2 ", "engine": "postgres", "host": "db.example", "port": 6543, "dbname": "d b"}`

	parameter := func(region, name, value string) string {
		client := ssm.NewFromConfig(mustConfig(t, region))
		if _, err := client.PutParameter(t.Context(), &ssm.PutParameterInput{Name: &name, Value: &value, Type: types.ParameterTypeSecureString}); err != nil {
			t.Fatal(err)
		}
		out, err := client.GetParameter(t.Context(), &ssm.GetParameterInput{Name: &name})
		if err != nil || *out.Parameter.Value == value {
			t.Fatalf("%s is not encrypted: %v", name, err)
		}
		return *out.Parameter.ARN
	}
	secret := func(region, name, text string) string {
		client := secretsmanager.NewFromConfig(mustConfig(t, region))
		in := &secretsmanager.CreateSecretInput{Name: &name, SecretString: &text}
		if name == "binary" {
			in.SecretString, in.SecretBinary = nil, []byte(text)
		}
		out, err := client.CreateSecret(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		return *out.ARN
	}
	parameter("us-east-1", "plain", dsn+"\n")
	parameter("us-east-1", "/with/slash", dsn)
	parameter("us-east-1", "blank", " ")
	farParameter := parameter("eu-west-1", "/far", dsn)
	secret("us-east-1", "whole", dsn)
	secret("us-east-1", "prod/rds", rds)
	secret("us-east-1", "managed", `{"username": "admin", "password": "hunter2"}`)
	secret("us-east-1", "keys", `{"dsn": "`+dsn+`", "n": 5, "list": ["hunter2"], "empty": "", "null": null}`)
	secret("us-east-1", "blank", "  ")
	secret("us-east-1", "binary", dsn)
	farSecret := secret("eu-west-1", "far", dsn)
	t.Setenv("REF", "ssm:/with/slash")

	const built = `user='u' password='hun\'ter\\2 ' host='db.example' port='6543' dbname='d b'`
	for ref, want := range map[string]string{
		"ssm:plain":                      dsn,
		"ssm:plain:1":                    dsn,
		"ssm:/with/slash":                dsn,
		"ssm:" + farParameter:            dsn,
		"env:REF":                        dsn,
		"secretsmanager:whole":           dsn,
		"secretsmanager:keys#dsn":        dsn,
		"secretsmanager:keys#n":          "5",
		"secretsmanager:" + farSecret:    dsn,
		"secretsmanager:prod/rds":        built,
		"secretsmanager:prod/rds#host":   "db.example",
		"secretsmanager:prod/rds#dbname": "d b",
	} {
		if got, err := Target(t.Context(), ref, nil); err != nil || got != want {
			t.Errorf("%s: got %q, %v", ref, got, err)
		}
	}
	f := mustParse(t, "to: ssm:/with/slash")
	if got, err := Target(t.Context(), "", f); err != nil || got != dsn {
		t.Errorf("to: %q, %v", got, err)
	}
	t.Setenv("BUCKETLOAD_TO", "secretsmanager:prod/rds")
	got, err := Target(t.Context(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseTarget(t.Context(), got)
	if err != nil || c.Password != `hun'ter\2 ` || Redact(c.ConnConfig) != "db.example:6543/d b as u" {
		t.Errorf("got %s with %q, %v", Redact(c.ConnConfig), c.Password, err)
	}

	for ref, want := range map[string]string{
		"ssm:nope":                    "--to: there is no parameter nope in this account and region; `aws ssm describe-parameters`",
		"ssm:with/slash":              "--to: there is no parameter with/slash",
		"ssm:/far":                    "--to: there is no parameter /far",
		"ssm:blank":                   "--to: the parameter blank is empty",
		"secretsmanager:nope#k":       "--to: there is no secret nope in this account and region; `aws secretsmanager list-secrets`",
		"secretsmanager:keys":         "--to: the secret keys is a JSON object without username and password; name the key",
		"secretsmanager:keys#Dsn":     `--to: the secret keys has no key "Dsn"`,
		"secretsmanager:keys#list":    `--to: the secret keys has no text at key "list"`,
		"secretsmanager:keys#null":    `--to: the secret keys has no text at key "null"`,
		"secretsmanager:keys#empty":   `--to: the secret keys has no text at key "empty"`,
		"secretsmanager:whole#dsn":    "--to: the secret whole is not a JSON object",
		"secretsmanager:binary":       "--to: the secret binary is binary",
		"secretsmanager:managed":      "--to: the secret managed does not say on which host the database is; set PGHOST",
		"secretsmanager:managed#host": `--to: the secret managed has no key "host"`,
	} {
		_, err := Target(t.Context(), ref, nil)
		if e := without(t, err, "hunter2"); e.Code != bucketload.CodeUsage || !strings.HasPrefix(e.Message+"; "+e.Hint, want) {
			t.Errorf("%s: %s; %s", ref, e.Message, e.Hint)
		}
	}
	t.Setenv("PGHOST", "somewhere")
	if got, err := Target(t.Context(), "secretsmanager:managed", nil); err != nil || got != "user='admin' password='hunter2'" {
		t.Errorf("got %q, %v", got, err)
	}

	t.Setenv("AWS_REGION", "")
	if _, err := Target(t.Context(), "ssm:plain", nil); !strings.Contains(usageOf(t, err).Error(), "--to: no AWS region is set") {
		t.Error(err)
	}
	if got, err := Target(t.Context(), "ssm:"+farParameter, nil); err != nil || got != dsn {
		t.Errorf("an ARN has a region: %q, %v", got, err)
	}
	t.Setenv("AWS_REGION", "us-east-1")

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Target(cancelled, "ssm:plain", nil); without(t, err).Code != bucketload.CodeCancelled {
		t.Error(err)
	}

	temptest.Stranger(t, moto)
	for _, ref := range []string{"ssm:plain", "secretsmanager:whole"} {
		_, err := Target(t.Context(), ref, nil)
		e := without(t, err, "hunter2")
		if e.Code != bucketload.CodeAccess || !strings.Contains(e.Message, "AWS denies access to "+ref) || !strings.Contains(e.Hint, ":Get") {
			t.Errorf("%s: %s; %s", ref, e.Error(), e.Hint)
		}
	}
}

func TestNoWayToAWS(t *testing.T) {
	clean(t)
	credentials(t)
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	_, err := Target(t.Context(), "ssm:x", nil)
	if e := without(t, err, "hunter2"); e.Code != bucketload.CodeConnect || !e.Transient || !strings.Contains(e.Hint, "interface endpoint of ssm") {
		t.Errorf("%s; %s", e, e.Hint)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	_, err = Target(t.Context(), "secretsmanager:x", nil)
	if e := without(t, err); e.Code != bucketload.CodeAccess || !strings.Contains(e.Message, "--to: there are no AWS credentials") {
		t.Errorf("%s; %s", e, e.Hint)
	}
	t.Setenv("AWS_PROFILE", "nope")
	_, err = Target(t.Context(), "secretsmanager:x", nil)
	if e := usageOf(t, err); !strings.Contains(e.Message, "the AWS configuration cannot be used") {
		t.Error(e)
	}
}

// What the mock never says, the services do.
func TestErrorsOfAWS(t *testing.T) {
	answer := func(status int, err error) error {
		return &awshttp.ResponseError{ResponseError: &smithyhttp.ResponseError{
			Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}}, Err: err}}
	}
	api := func(code string) error { return &smithy.GenericAPIError{Code: code, Message: "because"} }
	tests := []struct {
		err     error
		code    bucketload.Code
		message string
	}{
		{answer(400, api("ParameterVersionNotFound")), bucketload.CodeUsage, "there is no parameter /p"},
		{answer(400, api("InvalidKeyId")), bucketload.CodeAccess, "ssm:/p cannot be decrypted: api error InvalidKeyId: because"},
		{answer(400, api("DecryptionFailure")), bucketload.CodeAccess, "cannot be decrypted"},
		{answer(400, api("AccessDeniedException")), bucketload.CodeAccess, "AWS denies access to ssm:/p"},
		{answer(400, api("UnrecognizedClientException")), bucketload.CodeAccess, "AWS does not know the credentials"},
		{answer(400, api("ExpiredTokenException")), bucketload.CodeAccess, "have expired"},
		{answer(400, api("ThrottlingException")), bucketload.CodeConnect, "too busy"},
		{answer(500, api("InternalServerError")), bucketload.CodeConnect, "too busy"},
		{answer(503, errors.New("html")), bucketload.CodeConnect, "out of order"},
		{answer(400, api("ValidationException")), bucketload.CodeUsage, "AWS refuses to read ssm:/p"},
		{errors.New("dial"), bucketload.CodeConnect, "cannot be reached"},
	}
	for _, tt := range tests {
		e := without(t, parameters.explain(t.Context(), "to", "/p", tt.err))
		if e.Code != tt.code || !strings.HasPrefix(e.Message, "to: ") || !strings.Contains(e.Error(), tt.message) || e.Hint == "" ||
			e.Transient != (tt.code == bucketload.CodeConnect) {
			t.Errorf("%v: %s %s; %s", tt.err, e.Code, e, e.Hint)
		}
	}
}

// Whatever stands in a database's secret comes out of its DSN the same.
func TestDatabaseSecrets(t *testing.T) {
	clean(t)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.RuneFrom([]rune("aZ09@/?#:%&= '\"\\[]é\t\n$")), 1, 12, -1)
		want := map[string]any{"username": text.Draw(t, "user"), "password": text.Draw(t, "password"), "dbname": text.Draw(t, "dbname"),
			"host": "db.example", "port": rapid.IntRange(1, 65535).Draw(t, "port"), "engine": "postgres"}
		secret, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		dsn, err := secretText(string(secret), "")
		if err != nil {
			t.Fatal(err)
		}
		c, err := ParseTarget(t.Context(), dsn)
		if err != nil {
			t.Fatalf("%s: %v", dsn, err)
		}
		if c.User != want["username"] || c.Password != want["password"] || c.Database != want["dbname"] || c.Host != "db.example" || int(c.Port) != want["port"] {
			t.Fatalf("%s gives %+v", dsn, c.Config)
		}
	})
}

// Secrets are written by others: whatever they are, no error shows them.
func FuzzSecretText(f *testing.F) {
	clean(f)
	f.Add(`{"username": "u", "password": "p", "host": "h"}`, "")
	f.Add(`{"a": {"b": "c"}}`, "a")
	f.Add(`{"username": 5, "password": [], "port": 1e400}`, "")
	f.Add("{", "x")
	f.Fuzz(func(t *testing.T, text, member string) {
		for _, secret := range []string{text, text + `S3cr3tW0rd`, `{"password": "S3cr3tW0rd", "k": ` + text + "}"} {
			got, err := secretText(secret, member)
			if err == nil && got == "" {
				t.Fatalf("nothing of %q", secret)
			}
			if err != nil && !strings.Contains(member, "S3cr3tW0rd") && strings.Contains(err.Error(), "S3cr3tW0rd") {
				t.Fatalf("%q: %v", secret, err)
			}
		}
	})
}
