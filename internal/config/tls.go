package config

import (
	"crypto/x509"
	_ "embed" // the roots
	"net"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// rdsRoots are the root certificates of RDS and Aurora, which no system trusts
// by itself: those of all regions that are valid in 2026, but for ap-southeast-7
// and mx-central-1, GovCloud and China.
// Source: truststore.pki.rds.amazonaws.com/global/global-bundle.pem.
//
//go:embed rds.pem
var rdsRoots []byte

// rdsPool is what the system trusts, and the roots of RDS.
var rdsPool = sync.OnceValue(func() *x509.CertPool {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	pool.AppendCertsFromPEM(rdsRoots)
	return pool
})

// trustRDS has servers of RDS verified by the roots of RDS, where the target
// names no root certificate.
func trustRDS(c *pgx.ConnConfig) {
	for _, s := range servers(c) {
		if t := s.TLSConfig; t != nil && t.RootCAs == nil && !t.InsecureSkipVerify && rdsHost.MatchString(strings.ToLower(s.Host)) {
			t.RootCAs = rdsPool()
		}
	}
}

// isLocal says whether all servers of the target are on this machine: what is
// sent to them crosses no network.
func isLocal(c *pgx.ConnConfig) bool {
	for _, s := range servers(c) {
		ip := net.ParseIP(s.Host)
		if !strings.HasPrefix(s.Host, "/") && s.Host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return false
		}
	}
	return true
}

// servers are those that are tried, in their order; one may be named twice, with
// TLS and without.
func servers(c *pgx.ConnConfig) []*pgconn.FallbackConfig {
	return append([]*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}, c.Fallbacks...)
}
