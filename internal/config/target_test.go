package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// clean takes everything from the environment that may name a target.
func clean(t testing.TB) {
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "PG") || name == "DATABASE_URL" || name == "BUCKETLOAD_TO" {
			t.Setenv(name, "")
			_ = os.Unsetenv(name)
		}
	}
}

func TestTargetOrder(t *testing.T) {
	clean(t)
	_, err := Target(t.Context(), "", nil)
	if e := usageOf(t, err); !strings.Contains(e.Hint, "--to") {
		t.Error(e.Hint)
	}
	f := mustParse(t, "to: postgres://file/db")
	steps := []struct {
		name, value string
		want        string
	}{
		{"PGHOST", "somewhere", ""},
		{"DATABASE_URL", "postgres://database-url/${x}", "postgres://database-url/${x}"},
		{"BUCKETLOAD_TO", "postgres://bucketload-to/db", "postgres://bucketload-to/db"},
	}
	for _, s := range steps {
		t.Setenv(s.name, s.value)
		if got, err := Target(t.Context(), "", &File{}); err != nil || got != s.want {
			t.Errorf("%s: got %q, %v", s.name, got, err)
		}
	}
	if got, err := Target(t.Context(), "", f); err != nil || got != "postgres://file/db" {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := Target(t.Context(), "postgres://flag/db", f); err != nil || got != "postgres://flag/db" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestTargetReferences(t *testing.T) {
	clean(t)
	dir := t.TempDir()
	secret := filepath.Join(dir, "dsn")
	if err := os.WriteFile(secret, []byte("postgres://u:hunter2@h/db \nnoise\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "empty"), []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DSN", "postgres://u:${no}@h/db")
	t.Setenv("PW", "hunter2")
	t.Setenv("FILE", "file:"+secret)
	t.Setenv("LOOP", "env:LOOP")
	f, err := Parse(filepath.Join(dir, "bucketload.yaml"), []byte("to: file:dsn"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Target(t.Context(), "", f); err != nil || got != "postgres://u:hunter2@h/db" {
		t.Errorf("file: is relative to the configuration: %q, %v", got, err)
	}
	for flag, want := range map[string]string{
		"env:DSN":                  "postgres://u:${no}@h/db",
		"postgres://u:${PW}@h/db":  "postgres://u:hunter2@h/db",
		"host=h password='${PW}'":  "host=h password='hunter2'",
		"postgres://u:$PW$@h/db":   "postgres://u:$PW$@h/db",
		"file:" + secret:           "postgres://u:hunter2@h/db",
		"file://" + secret:         "postgres://u:hunter2@h/db",
		"env:FILE":                 "postgres://u:hunter2@h/db",
		"host=h password=env:PWXY": "host=h password=env:PWXY",
	} {
		if got, err := Target(t.Context(), flag, nil); err != nil || got != want {
			t.Errorf("%s: got %q, %v", flag, got, err)
		}
	}
	for flag, want := range map[string]string{
		"env:NOPE":                            "--to: the environment variable NOPE is not set",
		"env:postgres://u:hunter2@h/db":       "--to: what follows env: is not the name",
		"env:A}hunter2${B":                    "--to: what follows env: is not the name",
		"env:LOOP":                            "--to: the environment variable LOOP names another one",
		"postgres://u:hunter2@h/${NOPE}":      "--to: the environment variable NOPE is not set",
		"file:" + filepath.Join(dir, "nope"):  "--to: the file with the DSN cannot be read",
		"file:" + filepath.Join(dir, "empty"): "is empty",
		"ssm:postgres://u:hunter2@h/db":       "--to: what follows ssm: is not the name of a parameter",
		"ssm:":                                "--to: what follows ssm: is not the name of a parameter",
		"secretsmanager:u:hunter2@h/db":       "--to: what follows secretsmanager: is not the name of a secret",
		"secretsmanager:name#":                "--to: no key follows the # of the secret",
	} {
		_, err := Target(t.Context(), flag, nil)
		if e := usageOf(t, err); !strings.Contains(e.Error(), want) || strings.Contains(e.Error()+e.Hint, "hunter2") {
			t.Errorf("%s: got %q", flag, e.Error())
		}
	}
}

func TestParseTarget(t *testing.T) {
	clean(t)
	t.Setenv("PGUSER", "envuser")
	t.Setenv("PGPASSWORD", "hunter2")
	for dsn, want := range map[string]string{
		"postgres://u:hunter2@h:6543/db":                        "h:6543/db as u",
		"postgresql://u:hunter%402@h/db?sslmode=require":        "h:5432/db as u",
		"host=h port=6543 user=u password='hunter2 x' dbname=d": "h:6543/d as u",
		"postgres://h/db":                   "h:5432/db as envuser",
		"postgres://[::1]:6543/db":          "[::1]:6543/db as envuser",
		"host=/var/run/postgresql dbname=d": "/var/run/postgresql:5432/d as envuser",
		"postgres://u:hunter2@h1:1,h2:2/db": "h1:1/db as u",
	} {
		c, err := ParseTarget(t.Context(), dsn)
		if err != nil {
			t.Errorf("%s: %v", dsn, err)
			continue
		}
		if got := Redact(c.ConnConfig); got != want {
			t.Errorf("%s: got %q, want %q", dsn, got, want)
		}
	}
}

// Mistyped DSNs, the password hunter2 in each.
var hostile = []string{
	"postgres://u:hunter2@h:port/db",
	"postgres://u:hunt#hunter2@h/db",
	"postgres://u:hunt/hunter2@h/db",
	"postgres://u:5/hunter2@h/db",
	"postgres://u:5?hunter2@h/db",
	"postgres://u:x@hunter2@h/db",
	"postgres://u:%zzhunter2@h/db",
	"postgres://u:hunter2@[::1/db",
	"postgres://u:hunter2@h/db?sslmode=hunter2",
	"postgres://u:hunter2@h/db?connect_timeout=hunter2",
	"postgres://u:hunter2@h/db?target_session_attrs=hunter2",
	"postgres://u:hunter2@h/db?sslrootcert=/nope/hunter2",
	"postgres://u:hunter2@h/db?min_protocol_version=hunter2",
	"postgres://u:hunter2 x@h:1:2/db\x00",
	"postgres://u:hunter2@h\n/db?port=x",
	"POSTGRES://u:hunter2@h/db",
	"postgres//u:hunter2@h/db",
	"mysql://u:hunter2@h/db",
	"jdbc:postgresql://u:hunter2@h/db",
	"host=h password='hunter2",
	"host=h password=hunter2 x",
	"host=h password=hunter2 port=hunter2",
	"password = hunter2 host",
	"host=h service=hunter2 servicefile=/nope",
	"u:hunter2@h/db",
	"u:hunter2@h/db?sslmode=require",
	"host=u:hunter2@h dbname=db",
	"hunter2",
}

func TestNoErrorQuotesTheDSN(t *testing.T) {
	clean(t)
	for _, dsn := range hostile {
		_, err := ParseTarget(t.Context(), dsn)
		e := usageOf(t, err)
		if strings.Contains(e.Error()+e.Hint, "hunter2") || e.Err != nil || e.Hint == "" {
			t.Errorf("%q: %s; %s; %v", dsn, e.Error(), e.Hint, e.Err)
		}
	}
}

func TestNoYAMLErrorQuotesTheDSN(t *testing.T) {
	for _, text := range []string{
		"to: postgres://u:hunter2@h: db",
		"to: 'postgres://u:hunter2@h",
		"to: [postgres://u:hunter2@h",
		"to: [postgres://u:hunter2@h/db]",
		"to: {url: postgres://u:hunter2@h/db}",
		"to: @hunter2",
		"to: %hunter2",
		"to: postgres://u:hunter2@h/db\n  x: y",
		"to: \"postgres://u:\\qhunter2@h/db\"",
		"to: x\nto: postgres://u:hunter2@h/db",
		"to postgres://u:hunter2@h/db",
		"to: !hunter2 x",
	} {
		_, err := Parse("bucketload.yaml", []byte(text))
		if e := usageOf(t, err); strings.Contains(e.Error()+e.Hint, "hunter2") {
			t.Errorf("%q: %s; %s", text, e.Error(), e.Hint)
		}
	}
}

// Whatever is typed: a password between its colon and its at sign is neither in
// an error nor in what is printed of the target.
func FuzzParseTarget(f *testing.F) {
	clean(f)
	credentials(f)
	f.Add("host=h rds_iam=on user=u")
	for _, dsn := range hostile {
		f.Add(dsn)
	}
	f.Fuzz(func(t *testing.T, text string) {
		// as a whole, and as a password that was not escaped
		for _, dsn := range []string{text, "postgres://user:" + text + "Pa55Word" + text + "@host/db"} {
			c, err := ParseTarget(t.Context(), dsn)
			shown := ""
			if err != nil {
				e := usageOf(t, err)
				shown = e.Error() + e.Hint
			} else {
				shown = Redact(c.ConnConfig)
			}
			if dsn != text && strings.Contains(shown, "Pa55Word") {
				t.Fatalf("%q shows %q", dsn, shown)
			}
		}
	})
}

func TestPasswordsThatWereNotEscaped(t *testing.T) {
	clean(t)
	rapid.Check(t, func(t *rapid.T) {
		password := rapid.StringOfN(rapid.RuneFrom([]rune("aZ09@/?#:%&= '\"\\[]é\t")), 1, 12, -1).Draw(t, "password")
		dsn := "postgres://user:" + password + "SECRET@host/db"
		c, err := ParseTarget(t.Context(), dsn)
		if err == nil && (c.Host != "host" || c.Database != "db" || strings.Contains(Redact(c.ConnConfig), "SECRET")) {
			t.Fatalf("%q goes to %s", dsn, Redact(c.ConnConfig))
		}
		if err != nil && strings.Contains(err.Error(), "SECRET") {
			t.Fatalf("%q: %v", dsn, err)
		}
	})
}
