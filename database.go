package bucketload

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
)

// DatabaseError makes an Error of what a Postgres driver returned: classified
// by SQLSTATE where the server spoke, by type where the connection broke. An
// Error and a cancelled context pass through as they are; nil stays nil.
func DatabaseError(op string, err error) error {
	var known *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known), errors.Is(err, context.Canceled):
		return err
	}
	e := &Error{Op: op, Code: CodeDatabase, Err: err}
	var server interface{ SQLState() string }
	if errors.As(err, &server) {
		e.Transient, e.Hint = sqlState(server.SQLState())
		return e
	}
	var unverified *tls.CertificateVerificationError
	if errors.As(err, &unverified) {
		e.Code = CodeConnect
		e.Hint = "the server's certificate is not what sslmode asks for: name its authority with sslrootcert=FILE, and the host as the certificate has it"
		return e
	}
	if connectionLost(err) {
		e.Code, e.Transient = CodeConnect, true
		e.Hint = "check that Postgres is reachable at the address given with --to"
	}
	return e
}

// connectionLost knows a broken connection, also one that pgx found closed:
// that is no network error, but one before which nothing was sent.
func connectionLost(err error) bool {
	var netErr net.Error
	var unsent interface{ SafeToRetry() bool }
	return errors.As(err, &netErr) || errors.As(err, &unsent) && unsent.SafeToRetry() || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, os.ErrDeadlineExceeded)
}

// passes is what to do about what goes away without anybody's doing.
const passes = "this passes by itself: type the same again"

// sqlState says whether trying again may help, and what a person can do.
// Source: PostgreSQL documentation, appendix A, error codes.
func sqlState(code string) (transient bool, hint string) {
	switch code {
	case "42501": // insufficient_privilege
		return false, "grant the role what it lacks: loading takes CREATE on the database, or schemas bucketload, dataimport and databackup of its own, and to own the table that it replaces; docs/security.md has the grants for every use"
	case "28P01", "28000": // invalid_password, invalid_authorization_specification
		return false, "check user and password in --to, BUCKETLOAD_TO or ~/.pgpass"
	case "3D000": // invalid_catalog_name
		return false, "create the database first: createdb NAME"
	case "53300": // too_many_connections
		return true, "lower --max-concurrency, or raise max_connections on the server"
	case "53100": // disk_full
		return false, "free disk space on the database server; `bucketload plan` says how much a run needs"
	case "55P03": // lock_not_available
		return true, "somebody holds a lock on the table; look at pg_stat_activity, or raise --lock-timeout"
	case "40001", "40P01", // serialization_failure, deadlock_detected
		"57P01", "57P02", "57P03", // admin_shutdown, crash_shutdown, cannot_connect_now
		"57P05", "25P03", // idle_session_timeout, idle_in_transaction_session_timeout
		"58030": // io_error
		return true, passes
	case "57014": // query_canceled
		return false, "somebody cancelled the statement (pg_cancel_backend), or statement_timeout is too short for it (ALTER ROLE ... SET statement_timeout); then type the same again"
	}
	if strings.HasPrefix(code, "08") || strings.HasPrefix(code, "53") { // connection exceptions, insufficient resources
		return true, passes
	}
	return false, ""
}
