package temp

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestDebianMajors(t *testing.T) {
	found := "postgresql-9 - old\npostgresql-18 - The World's Most Advanced Open Source Relational Database\n"
	if got := debianMajors([]byte(found)); !slices.Equal(got, []int{9, 18}) {
		t.Errorf("%v", got)
	}
	if got := debianMajors(nil); len(got) != 0 {
		t.Errorf("%v of nothing", got)
	}
}

func TestDebianLibraries(t *testing.T) {
	simulated := `NOTE: This is only a simulation!
The following NEW packages will be installed:
  libllvm14 libpq5 postgresql-15 ssl-cert
Inst ssl-cert (1.1.2 Debian:12.15/oldstable [all])
Inst libc6 [2.36-9] (2.36-10 Debian:12.15/oldstable [amd64])
Inst libz3-4 (4.8.12-3.1 Debian:12.15/oldstable [amd64])
Inst libllvm14 (1:14.0.6-12 Debian:12.15/oldstable [amd64])
Inst libpq5 [15.19-0+deb12u1] (15.20-0+deb12u1 Debian-Security:12/oldstable-security [amd64]) []
Inst libicu72:arm64 (72.1-3+deb12u1 Debian:12.15/oldstable [arm64])
Inst postgresql-15 (15.20-0+deb12u1 Debian-Security:12/oldstable-security [amd64])
Conf libpq5 (15.20-0+deb12u1 Debian-Security:12/oldstable-security [amd64])
`
	if got := debianLibraries([]byte(simulated)); !slices.Equal(got, []string{"libpq5", "libicu72:arm64"}) {
		t.Errorf("%v", got)
	}
}

func TestLibraryPath(t *testing.T) {
	root := t.TempDir()
	bin := filepath.Join(root, debianBin, "15", "bin")
	for _, dir := range []string{bin, root + "/usr/lib/x86_64-linux-gnu", root + "/lib/x86_64-linux-gnu"} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct{ bin, want string }{
		{bin, root + "/usr/lib/x86_64-linux-gnu:" + root + "/lib/x86_64-linux-gnu"},
		{debianBin + "15/bin", ""},
		{"/usr/local/pgsql/bin", ""},
	}
	for _, test := range tests {
		if got := libraryPath(test.bin); got != test.want {
			t.Errorf("%s: %q", test.bin, got)
		}
	}
	if got := binaries(root); !slices.Equal(got, []string{bin}) {
		t.Errorf("%v", got)
	}
}
