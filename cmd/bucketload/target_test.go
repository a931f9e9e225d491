package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/temp"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// A DSN in SSM leads to a pool on a real server.
func TestTargetInSSM(t *testing.T) {
	dsn := temptest.Database(t, 0)
	temptest.Moto(t)
	cfg, err := awsconfig.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = ssm.NewFromConfig(cfg).PutParameter(t.Context(), &ssm.PutParameterInput{Name: aws.String("/prod/dsn"), Value: &dsn, Type: types.ParameterTypeSecureString})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("BUCKETLOAD_TO", "ssm:/prod/dsn")
	pool, err := openTarget(t.Context(), "", nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	var one int
	if err := pool.QueryRow(t.Context(), "SELECT 1").Scan(&one); err != nil || one != 1 {
		t.Error(one, err)
	}
}

// What the attempts with TLS and without it say is told once, and of a server that
// answers only the answer.
func TestTargetRefused(t *testing.T) {
	dsn, err := url.Parse(temptest.Database(t, 0))
	if err != nil {
		t.Fatal(err)
	}
	dsn.RawQuery = "sslmode=prefer"
	role, database := *dsn, *dsn
	role.User, database.Path = url.UserPassword("nobody", "x"), "/nothing"
	for _, tt := range []struct{ name, dsn, want string }{
		{"nobody is there", "postgres://u@127.0.0.1:1/db?sslmode=prefer", "connection refused"},
		{"a role that is not there", role.String(), "28P01"},
		{"a database that is not there", database.String(), "3D000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := openTarget(t.Context(), tt.dsn, nil, 1)
			if err == nil || strings.Count(err.Error(), tt.want) != 1 || strings.Contains(err.Error(), "TLS") {
				t.Errorf("got %v, want %q once", err, tt.want)
			}
		})
	}
}

// TLS and tokens, on a server that takes connections with TLS and without.
func TestTargetWithTLS(t *testing.T) {
	server, err := temp.StartPostgres(t.Context(), temp.PostgresOptions{Major: slices.Max(temptest.Majors(t)), Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	silent := strings.TrimSuffix(server.DSN(), "?sslmode=disable")
	password := strings.Split(strings.Split(silent, "@")[0], ":")[2]
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1", "AWS_PROFILE": "", "PGSSLMODE": ""} {
		t.Setenv(name, value)
	}

	// The same server by an address that is not known to be this machine's.
	elsewhere := strings.Replace(silent, "127.0.0.1", "0.0.0.0", 1)
	root := filepath.Join(t.TempDir(), "root.pem")
	tests := []struct {
		name, dsn  string
		withoutTLS string // what is wrong where the server has no TLS; "": nothing
		withTLS    string
		hint       string // of either
	}{
		{"libpq's default, on this machine", silent, "", "", ""},
		{"verified elsewhere", elsewhere, "server refused TLS", "certificate", "sslrootcert=FILE"},
		{"verified by an authority", elsewhere + "?sslrootcert=" + root, "server refused TLS", "", "sslrootcert=FILE"},
		{"encrypted will do", elsewhere + "?sslmode=require", "server refused TLS", "", ""},
		{"a given mode is respected", elsewhere + "?sslmode=disable", "", "", ""},
		{"a certificate that nobody vouches for", silent + "?sslmode=verify-full", "server refused TLS", "certificate", ""},
		{"a token instead of the password", silent + "?rds_iam=on", "server refused TLS", "28P01", ""},
		{"nobody is there", "postgres://u@0.0.0.0:1/db", "refused", "refused", "reachable"},
	}
	for _, tls := range []bool{false, true} {
		authority, err := os.ReadFile("../../internal/config/rds.pem") // any
		if tls {
			authority = switchOnTLS(t, server)
		}
		if err == nil {
			err = os.WriteFile(root, authority, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range tests {
			t.Run(fmt.Sprintf("%s/%v", tt.name, tls), func(t *testing.T) {
				wrong := tt.withoutTLS
				if tls {
					wrong = tt.withTLS
				}
				pool, err := openTarget(t.Context(), tt.dsn, nil, 1)
				if err == nil {
					pool.Close()
				}
				if (err == nil) != (wrong == "") || err != nil && (!strings.Contains(err.Error(), wrong) || strings.Contains(err.Error(), password)) {
					t.Errorf("got %v, want %q", err, wrong)
				}
				hint := tt.hint
				if wrong == "28P01" {
					hint = "GRANT rds_iam"
				}
				if err != nil && !strings.Contains(bucketload.AsError(err).Hint, hint) {
					t.Errorf("hint: %s", bucketload.AsError(err).Hint)
				}
			})
		}
	}
}

// switchOnTLS gives a server a certificate of its own, in files that only it
// can write, and gives it in PEM.
func switchOnTLS(t *testing.T, server *temp.Postgres) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4zero}}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	for _, b := range []struct {
		file string
		pem.Block
	}{{"server.crt", pem.Block{Type: "CERTIFICATE", Bytes: certificate}}, {"server.key", pem.Block{Type: "PRIVATE KEY", Bytes: private}}} {
		content := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&b.Block))
		if _, err := conn.Exec(t.Context(), fmt.Sprintf("COPY (SELECT '%s') TO PROGRAM 'umask 077; base64 -d > %s'", content, b.file)); err != nil {
			t.Fatal(err)
		}
	}
	for _, sql := range []string{"ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()"} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	for on := false; !on; { // the server reads its configuration when it gets to it
		probe, err := pgx.Connect(t.Context(), strings.Replace(server.DSN(), "disable", "prefer", 1))
		if err != nil {
			t.Fatal(err)
		}
		if err := probe.QueryRow(t.Context(), "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").Scan(&on); err != nil {
			t.Fatal(err)
		}
		_ = probe.Close(t.Context())
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
}
