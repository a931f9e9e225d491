package temp

import (
	"archive/tar"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// archive writes a .tgz as npm packs it.
func archive(t *testing.T, files map[string]string) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "package.tgz"))
	if err != nil {
		t.Fatal(err)
	}
	zw := gzip.NewWriter(f)
	tw := tar.NewWriter(zw)
	for name, content := range files {
		if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(content)), Mode: 0o700}); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []interface{ Close() error }{tw, zw, f} {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return f.Name()
}

func TestUnpackAndLink(t *testing.T) {
	dir := t.TempDir()
	err := unpack(archive(t, map[string]string{
		"package/native/bin/postgres":      "binary",
		"package/native/lib/libpq.so.5.18": "library",
		"package/native/pg-symlinks.json":  `[{"source":"native/lib/libpq.so.5.18","target":"native/lib/libpq.so.5"},{"source":"native/lib/libpq.so.5.18","target":"native/bin/libpq.so"}]`,
	}), dir)
	if err != nil {
		t.Fatal(err)
	}
	pkg := filepath.Join(dir, "package")
	if err := link(pkg); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"native/lib/libpq.so.5", "native/bin/libpq.so"} {
		if b, err := os.ReadFile(filepath.Join(pkg, name)); string(b) != "library" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if info, err := os.Stat(filepath.Join(pkg, "native/bin/postgres")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestNothingLeavesTheDirectory(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"../evil", "package/../../evil", "/evil"} {
		if err := unpack(archive(t, map[string]string{name: "x"}), dir); err == nil {
			t.Errorf("%s was unpacked", name)
		}
	}
	pkg := t.TempDir()
	if err := os.MkdirAll(filepath.Join(pkg, "native"), 0o777); err != nil {
		t.Fatal(err)
	}
	for _, list := range []string{
		`[{"source":"../evil","target":"native/x"}]`, `[{"source":"native","target":"../x"}]`, `[{"source":"/etc","target":"native/x"}]`, `{`,
	} {
		if err := os.WriteFile(filepath.Join(pkg, "native/pg-symlinks.json"), []byte(list), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := link(pkg); err == nil {
			t.Errorf("%s was linked", list)
		}
	}
}

func TestSweep(t *testing.T) {
	base := t.TempDir()
	old := time.Now().Add(-time.Hour)
	tests := []struct {
		dir     string
		running bool
		age     time.Time
		swept   bool
	}{
		{sweptPrefix + "dead", false, old, true},
		{sweptPrefix + "running", true, old, false},
		{sweptPrefix + "starting", false, time.Now(), false},
		{keptPrefix + "kept", false, old, false},
		{"something else", false, old, false},
	}
	for _, test := range tests {
		dir := filepath.Join(base, test.dir)
		if err := os.MkdirAll(filepath.Join(dir, "data"), 0o777); err != nil {
			t.Fatal(err)
		}
		if test.running {
			if err := os.WriteFile(filepath.Join(dir, "data", "postmaster.pid"), nil, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chtimes(dir, test.age, test.age); err != nil {
			t.Fatal(err)
		}
	}
	sweep(base)
	for _, test := range tests {
		if _, err := os.Stat(filepath.Join(base, test.dir)); (err != nil) != test.swept {
			t.Errorf("%s: %v", test.dir, err)
		}
	}
}
