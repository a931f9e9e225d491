package config

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bucketload/bucketload"
)

// Target finds the DSN of the target database: the flag --to, else to: of the
// file (f may be nil), else the environment's BUCKETLOAD_TO, else DATABASE_URL,
// else libpq's own PG* variables, for which the DSN is empty.
//
// The flag and the file may have ${VAR} in them. A value elsewhere is named by
//
//	env:NAME                  an environment variable; its value may be one of the others
//	file:PATH                 the first line of a file
//	ssm:NAME                  a parameter of AWS Systems Manager, decrypted; or its ARN
//	secretsmanager:NAME       a secret: a DSN, or the JSON that RDS keeps; or its ARN
//	secretsmanager:NAME#key   a member of a secret that is a JSON object
//
// AWS is reached by the SDK's default chain, in the region of an ARN or else
// of the environment. The DSN is a secret: print Redact's text instead.
func Target(ctx context.Context, flag string, f *File) (string, error) {
	switch {
	case flag != "":
		return reference(ctx, "--to", flag, asGiven, true)
	case f != nil && f.to != "":
		return reference(ctx, "to", f.to, f.local, true)
	}
	for _, name := range []string{"BUCKETLOAD_TO", "DATABASE_URL"} {
		if dsn := os.Getenv(name); dsn != "" {
			return reference(ctx, name, dsn, asGiven, false)
		}
	}
	for _, name := range []string{"PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE", "PGUSER"} {
		if os.Getenv(name) != "" {
			return "", nil
		}
	}
	return "", usage("give --to postgres://user@host/db, or set BUCKETLOAD_TO", "no target database is given")
}

func asGiven(path string) string { return path }

var variable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// reference gives what value stands for. from says where value is written;
// local makes the path of a file absolute or relative to the current directory.
func reference(ctx context.Context, from, value string, local func(string) string, expand bool) (string, error) {
	scheme, name, _ := strings.Cut(value, ":")
	switch scheme {
	case "env":
		v := os.Getenv(name)
		switch {
		case v == "":
			return "", unset(from, name)
		case strings.HasPrefix(v, "env:"):
			return "", usage("set it to the DSN itself, or to file:PATH", "%s: the environment variable %s names another one", from, name)
		}
		return reference(ctx, name, v, asGiven, false)
	case "file":
		return readSecret(from, local(strings.TrimPrefix(name, "//")))
	case "ssm":
		return parameter(ctx, from, name)
	case "secretsmanager":
		return secret(ctx, from, name)
	}
	if !expand {
		return value, nil
	}
	var missing string
	value = variable.ReplaceAllStringFunc(value, func(ref string) string {
		name := ref[2 : len(ref)-1]
		v, ok := os.LookupEnv(name)
		if !ok {
			missing = name
		}
		return v
	})
	if missing != "" {
		return "", unset(from, missing)
	}
	return value, nil
}

// unset shows a variable's name only where it can be one: a password in its
// place must not appear.
func unset(from, name string) error {
	if ref := "${" + name + "}"; variable.FindString(ref) != ref {
		return usage("write env:NAME", "%s: what follows env: is not the name of an environment variable", from)
	}
	return usage("export "+name+"=…", "%s: the environment variable %s is not set", from, name)
}

// readSecret gives the first line of a file.
func readSecret(from, path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		e := usage("file:PATH names a file that holds the DSN in its first line", "%s: the file with the DSN cannot be read", from)
		e.Err = err
		return "", e
	}
	line, _, _ := strings.Cut(string(data), "\n")
	if line = strings.TrimSpace(line); line == "" {
		return "", usage("write the DSN into its first line", "%s: the file %s is empty", from, path)
	}
	return line, nil
}

var (
	scheme  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.:-]*://`)
	setting = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)
)

// Connection says how the target is reached.
type Connection struct {
	*pgx.ConnConfig

	// VerifiesByDefault says that TLS with a verified certificate is insisted on,
	// as the target is not on this machine and says nothing of it.
	VerifiesByDefault bool

	// BeforeConnect sets the password of a connection that is about to be made,
	// where AWS gives a token for each (rds_iam=on); nil elsewhere.
	BeforeConnect func(context.Context, *pgx.ConnConfig) error
}

// ParseTarget reads a DSN, a URL or keyword=value pairs; libpq's environment
// fills in what it leaves out. Where neither gives an sslmode it is verify-full,
// and libpq's own, prefer, for a server on this machine. Servers of RDS are
// verified by its own roots where there is no sslrootcert. Beside libpq's
// settings a DSN may have rds_iam=on: then IAM gives a token in place of a
// password, and TLS is required.
//
// Its errors never quote the DSN nor what pgx says about it, as any part of a
// mistyped one may be the password.
func ParseTarget(ctx context.Context, dsn string) (*Connection, error) {
	if s := scheme.FindString(dsn); s != "" {
		if s != "postgres://" && s != "postgresql://" {
			return nil, usage("write postgres://user@host/db", "the target is a URL, but not one of Postgres")
		}
		if strayAt(dsn[len(s):]) {
			return nil, usage("in a URL write @ as %40, / as %2F, ? as %3F, # as %23; or put the password into PGPASSWORD",
				"the target has an @ that does not end the user and password")
		}
	}
	c, err := parseDSN(dsn)
	if err != nil {
		return nil, err
	}
	iam, err := takeIAM(c)
	if err != nil {
		return nil, err
	}
	target := &Connection{ConnConfig: c}
	if open := prefersTLS(c) && os.Getenv("PGSSLMODE") == ""; open && (iam || !isLocal(c)) {
		sslmode := "verify-full"
		if isLocal(c) { // a tunnel, perhaps
			sslmode = "require"
		}
		if target.ConnConfig, err = parseDSN(underlay(dsn, "sslmode="+sslmode)); err != nil {
			return nil, err
		}
		delete(target.RuntimeParams, rdsIAM)
		// An sslmode=prefer of its own wins over the one put before it.
		target.VerifiesByDefault = sslmode == "verify-full" && !prefersTLS(target.ConnConfig)
	}
	trustRDS(target.ConnConfig)
	if iam {
		if target.BeforeConnect, err = tokens(ctx, target.ConnConfig); err != nil {
			return nil, err
		}
	}
	return target, nil
}

func parseDSN(dsn string) (*pgx.ConnConfig, error) {
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		if _, ok := errors.AsType[*fs.PathError](err); ok {
			return nil, usage("check sslcert, sslkey, sslrootcert and service in it and in PG*", "a file that the target names cannot be read")
		}
		return nil, notDSN()
	}
	for name := range c.RuntimeParams {
		if !setting.MatchString(name) { // the server's error would quote it
			return nil, notDSN()
		}
	}
	if strings.LastIndexByte(c.Host, '@') > 0 { // first, it is an abstract socket
		return nil, notDSN()
	}
	return c, nil
}

// prefersTLS knows sslmode=prefer, which is what libpq takes where nothing is
// said: with TLS, then without.
func prefersTLS(c *pgx.ConnConfig) bool {
	return c.TLSConfig != nil && slices.ContainsFunc(c.Fallbacks, func(f *pgconn.FallbackConfig) bool { return f.TLSConfig == nil })
}

// underlay gives the DSN with a setting before all others: later ones win.
func underlay(dsn, setting string) string {
	if scheme.FindString(dsn) == "" {
		return setting + " " + dsn
	}
	address, settings, _ := strings.Cut(dsn, "?")
	return address + "?" + setting + "&" + settings
}

func notDSN() error {
	return usage("write postgres://user@host:5432/db or host=… user=… dbname=…; in a URL special characters of a password are %XX, as %40 for @",
		"the target cannot be read as a DSN")
}

// strayAt tells a password with an unescaped @ or / in it, of which libpq would
// take the rest for the host or the database.
func strayAt(s string) bool {
	userinfo, rest, ok := strings.Cut(s, "@")
	return ok && (strings.ContainsAny(userinfo, "/?#") || strings.Contains(rest, "@"))
}

// Redact gives host:port/database as user: what may be printed of a target.
func Redact(c *pgx.ConnConfig) string {
	host := net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port)))
	if strings.HasPrefix(c.Host, "/") {
		host = c.Host + ":" + strconv.Itoa(int(c.Port))
	}
	return bucketload.Excerpt([]byte(host+"/"+c.Database+" as "+c.User), 200)
}
