package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bucketload/bucketload/internal/temp"
)

// site is a server of Postgres and one of S3, each behind a network that can fail.
type site struct {
	major       int
	postgres    *temp.Postgres
	s3          *temp.S3
	toDB, toS3  *temp.Proxy
	controlling *pgx.Conn // to database postgres, past the proxy
	disk        *disk     // of the rounds' databases; nil where none can be made
}

// role is whom the program connects as: it owns its database and nothing else.
const role = "loader"

func newSite(ctx context.Context, major int) (s *site, err error) {
	s = &site{major: major}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	settings := []string{"synchronous_commit=on", // what was committed outlives a kill -9
		"log_line_prefix=%d %e "} // for refusals
	if s.postgres, err = temp.StartPostgres(ctx, temp.PostgresOptions{Major: major, Offline: true, Settings: settings}); err != nil {
		return s, err
	}
	if s.s3, err = temp.StartS3(temp.S3Options{}); err != nil {
		return s, err
	}
	if s.toDB, err = temp.StartProxy(host(s.postgres.DSN())); err != nil {
		return s, err
	}
	if s.toS3, err = temp.StartProxy(host(s.s3.URL())); err != nil {
		return s, err
	}
	if err := s.exec(ctx, "CREATE ROLE "+role+" LOGIN PASSWORD 'x'"); err != nil {
		return s, err
	}
	if s.disk, err = newDisk(s.postgres.Dir()); err != nil {
		fmt.Println("no round with a full disk:", err)
		return s, nil
	}
	return s, s.exec(ctx, "CREATE TABLESPACE "+smallSpace+" LOCATION '"+s.disk.space()+"'")
}

func host(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		panic(err) // our own servers
	}
	return u.Host
}

func (s *site) close() {
	if s.toDB != nil {
		_ = s.toDB.Close()
	}
	if s.toS3 != nil {
		_ = s.toS3.Close()
	}
	if s.s3 != nil {
		_ = s.s3.Close()
	}
	if s.postgres != nil {
		_ = s.postgres.Stop()
	}
	if s.disk != nil {
		s.disk.close()
	}
}

// exec runs SQL as the superuser, over a connection that is made anew where the
// server was restarted.
func (s *site) exec(ctx context.Context, sql string) error {
	conn, err := s.control(ctx)
	if err == nil {
		_, err = conn.Exec(ctx, sql)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

func (s *site) control(ctx context.Context) (*pgx.Conn, error) {
	if s.controlling != nil && s.controlling.Ping(ctx) == nil {
		return s.controlling, nil
	}
	if s.controlling != nil {
		_ = s.controlling.Close(ctx)
	}
	var err error
	s.controlling, err = pgx.Connect(ctx, s.postgres.DSN())
	return s.controlling, err
}

// dsn gives the address of a database: for the program through the proxy, else
// directly, as the superuser.
func (s *site) dsn(database string, program bool) string {
	u, err := url.Parse(s.postgres.DSN())
	if err != nil {
		panic(err) // our own server
	}
	u.Path = "/" + database
	if program {
		u.User, u.Host = url.UserPassword(role, "x"), s.toDB.Addr()
	}
	return u.String()
}

// refusals counts in the server's log the errors of a database that have this SQLSTATE.
func (s *site) refusals(database, state string) (int, error) {
	log, err := os.ReadFile(filepath.Join(s.postgres.Dir(), "server.log"))
	return bytes.Count(log, []byte("\n"+database+" "+state+" ")), err
}

// heal ends every fault that lasts.
func (s *site) heal() {
	s.toDB.Stall(false)
	s.toDB.Slow(0)
	s.toS3.Stall(false)
	s.toS3.Slow(0)
	s.s3.Fault(nil)
	if s.disk != nil {
		_ = s.disk.clear() // where it is full
	}
}

// broken says whether an error is of a connection that the server has not, or
// not any more: it is being restarted.
func broken(err error) bool {
	var network net.Error
	pg, answered := errors.AsType[*pgconn.PgError](err)
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		answered && strings.HasPrefix(pg.Code, "57P0") // admin_shutdown, crash_shutdown, cannot_connect_now
}
