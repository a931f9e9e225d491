package config

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// tlsMode says how the servers of a target are reached: with optional TLS, or
// none; encrypted, where nobody looks at the certificate; authority, where it is
// not compared with the name; verified; or verified by RDS, where its roots are
// trusted too.
func tlsMode(c *Connection) string {
	if optional(c) {
		return "optional"
	}
	modes := map[string]bool{}
	for _, s := range servers(c.ConnConfig) {
		switch t := s.TLSConfig; {
		case t.InsecureSkipVerify && t.VerifyPeerCertificate == nil:
			modes["encrypted"] = true
		case t.InsecureSkipVerify:
			modes["authority"] = true
		case t.RootCAs == rdsPool():
			modes["verified by RDS"] = true
		default:
			modes["verified"] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(modes)), ", ")
}

func TestTLSByDefault(t *testing.T) {
	clean(t)
	credentials(t)
	dir := t.TempDir()
	services := filepath.Join(dir, "services")
	if err := os.WriteFile(services, []byte("[plain]\nhost=h\nsslmode=disable\n[silent]\nhost=h\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(dir, "root.pem")
	if err := os.WriteFile(root, rdsRoots, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PGSERVICEFILE", services)
	const rds = "db.c1a2b3.eu-west-1.rds.amazonaws.com"
	for _, tt := range []struct {
		dsn, env string
		want     string
	}{
		{"host=h", "", "verified"},
		{"", "", "verified"},
		{"postgres://u:p@h/db", "", "verified"},
		{"postgres://h", "", "verified"},
		{"postgres://h?", "", "verified"},
		{"postgres://u:p%3F@h1,h2/db?application_name=x", "", "verified"},
		{"host=h1,localhost port=1,2", "", "verified"},
		{"service=silent", "", "verified"},
		{"host=10.0.0.1", "", "verified"},
		{"postgres://" + rds + "/db", "", "verified by RDS"},
		{"postgres://" + strings.ToUpper(rds) + "/db", "", "verified by RDS"},
		{"host=" + rds + " rds_iam=on user=u", "", "verified by RDS"},
		{"host=" + rds + " sslmode=verify-full", "", "verified by RDS"},
		{"host=" + rds + " sslrootcert=" + root, "", "verified"},
		{"host=" + rds + " sslmode=verify-full sslrootcert=" + root, "", "verified"},
		{"host=" + rds + " sslmode=require", "", "encrypted"},
		{"host=localhost rds_iam=on user=u", "", "encrypted"},

		{"host=h sslmode=verify-full", "", "verified"},
		{"host=h sslmode=require", "disable", "encrypted"},
		{"host=h", "verify-ca", "authority"},
		{"postgres://h/db?ssl=true", "", "encrypted"},
		{"host=h sslmode=prefer", "", "optional"},
		{"host=h sslmode = disable", "", "optional"},
		{"postgres://h/db?application_name=x&sslmode=disable", "", "optional"},
		{"postgres://h/db?sslmode=allow", "", "optional"},
		{"host=h", "disable", "optional"},
		{"host=h", "prefer", "optional"},
		{"service=plain", "", "optional"},
		{"service=silent sslmode=disable", "", "optional"},

		{"host=/var/run/postgresql", "", "optional"},
		{"host=localhost", "", "optional"},
		{"postgres://127.0.0.1:6543,[::1]/db", "", "optional"},
	} {
		t.Setenv("PGSSLMODE", tt.env)
		t.Setenv("PGHOST", "")
		if tt.dsn == "" {
			t.Setenv("PGHOST", "somewhere")
		}
		c, err := ParseTarget(t.Context(), tt.dsn)
		if err != nil {
			t.Errorf("%q: %v", tt.dsn, err)
			continue
		}
		if got := tlsMode(c); got != tt.want {
			t.Errorf("%q with PGSSLMODE=%s: %s, want %s", tt.dsn, tt.env, got, tt.want)
		}
		if strings.Contains(tt.dsn, "rds_iam") {
			continue
		}
		libpq, err := pgx.ParseConfig(tt.dsn)
		if err != nil {
			t.Fatal(err)
		}
		if c.Host != libpq.Host || c.Database != libpq.Database || c.User != libpq.User || c.Password != libpq.Password {
			t.Errorf("%q: goes to %s", tt.dsn, Redact(c.ConnConfig))
		}
		given := strings.HasPrefix(tt.want, "verified") && !strings.Contains(tt.dsn, "sslmode=")
		if c.VerifiesByDefault != given {
			t.Errorf("%q: verifies by default: %v", tt.dsn, c.VerifiesByDefault)
		}
	}
}

// Each root vouches for itself, is one of RDS, and is there once.
func TestRootsOfRDS(t *testing.T) {
	seen := map[string]bool{}
	for block, rest := pem.Decode(rdsRoots); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		name := c.Subject.CommonName
		if seen[name] || !c.IsCA || c.CheckSignatureFrom(c) != nil || c.NotAfter.Year() < 2060 ||
			!strings.HasPrefix(name, "Amazon RDS ") || strings.Join(c.Subject.Organization, "") != "Amazon Web Services, Inc." {
			t.Errorf("%s", c.Subject)
		}
		seen[name] = true
	}
	if n := bytes.Count(rdsRoots, []byte("BEGIN CERTIFICATE")); n != len(seen) || n == 0 {
		t.Errorf("%d of %d roots", len(seen), n)
	}
}
