package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/conduct"
	"github.com/bucketload/bucketload/internal/config"
	"github.com/bucketload/bucketload/internal/steps"
)

// readFile reads the configuration: the file that -f names, or bucketload.yaml
// where there is one; nil where there is none.
func (a *app) readFile() (*config.File, error) {
	if a.file != "" {
		return config.Read(a.file)
	}
	const name = "bucketload.yaml"
	if _, err := os.Stat(name); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return config.Read(name)
}

// connect opens the target database for so many batches at once.
func (a *app) connect(ctx context.Context, f *config.File, concurrency int) (*steps.Steps, func(), error) {
	pool, err := openTarget(ctx, a.to, f, concurrency)
	if err != nil {
		return nil, nil, err
	}
	s := steps.New(pool, a.log())
	s.Ledger.Running = conduct.Running
	return s, pool.Close, nil
}

// openTarget connects to the target that to, the file (nil for none) or the
// environment names, for so many batches at once.
func openTarget(ctx context.Context, to string, f *config.File, concurrency int) (*pgxpool.Pool, error) {
	dsn, err := config.Target(ctx, to, f)
	if err != nil {
		return nil, err
	}
	target, err := config.ParseTarget(ctx, dsn)
	if err != nil {
		return nil, err
	}
	pool, err := open(ctx, target, concurrency, silence, connectTimeout)
	if ctx.Err() != nil {
		return nil, &bucketload.Error{Op: "connect", Code: bucketload.CodeCancelled, Message: "cancelled"}
	}
	return pool, explainConnect(target, err)
}

// explainConnect says of which target an error is, without its secrets.
func explainConnect(target *config.Connection, err error) error {
	if err == nil {
		return nil
	}
	if known, ok := errors.AsType[*bucketload.Error](err); ok {
		return known // there is no token to connect with
	}
	err = refusals(err)
	e := *bucketload.AsError(bucketload.DatabaseError("connect", err))
	e.Message = config.Redact(target.ConnConfig)
	if e.Code == bucketload.CodeInternal {
		e.Code = bucketload.CodeConnect
	}
	refusal, ok := errors.AsType[*pgconn.PgError](err)
	_, unreached := errors.AsType[net.Error](err)
	switch {
	case target.VerifiesByDefault && !ok && !unreached: // no TLS there, or a certificate that cannot be verified
		e.Hint = "servers elsewhere must have TLS with a certificate that can be verified: name its authority with sslrootcert=FILE, or say what you trust: sslmode=require (encrypted, not verified) or sslmode=disable"
	case ok && strings.HasPrefix(refusal.Code, "28") && target.BeforeConnect != nil: // invalid authorization, by IAM
		e.Hint = "GRANT rds_iam TO the role, switch on IAM authentication of the database, and allow rds-db:connect on arn:aws:rds-db:REGION:ACCOUNT:dbuser:RESOURCE/USER"
	case e.Hint == "":
		e.Hint = "name the database: --to postgres://user@host/db, or BUCKETLOAD_TO"
	}
	return &e
}

// refusals gives what the attempts to connect say, of which there may be several
// for a server, with TLS and without: each thing once, and where a server has
// answered, its answers only.
func refusals(err error) error {
	failed, ok := errors.AsType[*pgconn.ConnectError](err)
	if !ok {
		return err
	}
	attempts, ok := errors.AsType[interface {
		error
		Unwrap() []error
	}](failed.Unwrap())
	if !ok {
		return err
	}
	isAnswer := func(err error) bool { _, ok := errors.AsType[*pgconn.PgError](err); return ok }
	answered := slices.ContainsFunc(attempts.Unwrap(), isAnswer)
	var all error
	seen := map[string]bool{}
	for _, one := range attempts.Unwrap() {
		switch text := one.Error(); {
		case seen[text], answered && !isAnswer(one):
		case all == nil:
			all, seen[text] = one, true
		default:
			all, seen[text] = fmt.Errorf("%w; %w", all, one), true
		}
	}
	return all
}

// session is set on every connection: what the server's or the role's
// defaults say otherwise must not change what a load does, a client whose host
// died must not hold its locks for hours, and nothing waits for others' locks for
// ever: what has no bound of its own does for five minutes.
const session = `
	SET client_encoding = 'UTF8'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET TimeZone = 'UTC';
	SET statement_timeout = 0; SET lock_timeout = '5min'; SET idle_in_transaction_session_timeout = 0; SET idle_session_timeout = 0;
	SET standard_conforming_strings = on;
	SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3; SET tcp_user_timeout = '60s'`

const connectTimeout = 15 * time.Second

// open makes the pool. A connection on which no bytes move for as long as silence
// is looked after: the server is asked, and has reply to answer.
func open(ctx context.Context, target *config.Connection, concurrency int, silence, reply time.Duration) (*pgxpool.Pool, error) {
	c, err := pgxpool.ParseConfig("")
	if err != nil {
		return nil, err
	}
	c.ConnConfig, c.BeforeConnect = target.ConnConfig, target.BeforeConnect
	c.MaxConns = int32(min(concurrency, 10_000) + 2) // and one for the ledger, one for the lock of the run
	c.ConnConfig.ConnectTimeout = connectTimeout
	c.PingTimeout = 5 * time.Second // of a connection that was idle: it may have died without a word
	dialer := &net.Dialer{Control: giveUp(tcpDead), KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3}}
	dog := &watchdog{silence: silence, reply: reply, dial: dialer.DialContext, conns: map[*watched]struct{}{}}
	asking := c.ConnConfig.Copy()
	asking.DialFunc = dialer.DialContext
	dog.config = func(ctx context.Context) (*pgx.ConnConfig, error) {
		one := asking.Copy()
		if c.BeforeConnect == nil {
			return one, nil
		}
		return one, c.BeforeConnect(ctx, one)
	}
	c.ConnConfig.DialFunc = dog.connect
	if c.ConnConfig.RuntimeParams["application_name"] == "" {
		c.ConnConfig.RuntimeParams["application_name"] = "bucketload"
	}
	c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		dog.know(conn.PgConn())
		_, err := conn.Exec(ctx, session)
		return err
	}
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}
