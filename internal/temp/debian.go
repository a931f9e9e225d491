package temp

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/bucketload/bucketload"
)

// debianBin is where Debian's packages have the binaries of a major version.
const debianBin = "/usr/lib/postgresql/"

// fromDebian unpacks packages of Debian or Ubuntu into dir/package: the server
// and the libraries that this machine lacks. Nothing is installed and none of
// their scripts runs. apt keeps its lists in dir, too, so that it needs no root
// and works where the machine's own lists are empty or old.
func fromDebian(ctx context.Context, dir string, major int) (version string, err error) {
	for _, program := range []string{"apt-get", "apt-cache", "dpkg-deb"} {
		if _, err := exec.LookPath(program); err != nil {
			return "", nil
		}
	}
	run := func(program string, args ...string) ([]byte, error) {
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Dir = dir
		cmd.Env = append(cmd.Environ(), "LC_ALL=C")
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = &bucketload.Error{Op: "postgres", Code: bucketload.CodeConnect, Transient: true, Err: err,
				Message: fmt.Sprintf("%s cannot get PostgreSQL: %s", program, tail(out)), Hint: installHint()}
		}
		return out, err
	}
	apt := func(program string, args ...string) ([]byte, error) {
		return run(program, append([]string{"-q", "-o", "Dir::State=" + dir, "-o", "Dir::Cache=" + dir,
			"-o", "Acquire::Languages=none", "-o", "APT::Update::Error-Mode=any"}, args...)...)
	}

	_, noUpdate := apt("apt-get", "update") // other sources may fail as long as this one does not
	found, err := apt("apt-cache", "search", "--names-only", `^postgresql-[0-9]+$`)
	if err != nil {
		return "", err
	}
	majors := debianMajors(found)
	if major == 0 && len(majors) > 0 {
		major = slices.Max(majors)
	}
	if !slices.Contains(majors, major) {
		return "", noUpdate
	}
	server := fmt.Sprintf("postgresql-%d", major)
	simulated, err := apt("apt-get", "--simulate", "--no-install-recommends", "install", server)
	if err != nil {
		return "", err
	}
	if _, err := apt("apt-get", append([]string{"download", server}, debianLibraries(simulated)...)...); err != nil {
		return "", err
	}
	archives, _ := filepath.Glob(filepath.Join(dir, "*.deb"))
	for _, archive := range archives {
		if _, err := run("dpkg-deb", "--extract", archive, filepath.Join(dir, "package")); err != nil {
			return "", err
		}
		if words := strings.Split(filepath.Base(archive), "_"); words[0] == server { // name_version_architecture.deb
			version = words[1]
		}
	}
	if version == "" {
		return "", errors.New("apt-get download left no " + server)
	}
	return version, nil
}

var debianServer = regexp.MustCompile(`(?m)^postgresql-(\d+) `)

// debianMajors reads the major versions from what apt-cache search found.
func debianMajors(found []byte) []int {
	var majors []int
	for _, m := range debianServer.FindAllSubmatch(found, -1) {
		major, _ := strconv.Atoi(string(m[1]))
		majors = append(majors, major)
	}
	return majors
}

var debianInst = regexp.MustCompile(`(?m)^Inst (lib\S+) `)

// debianLibraries picks the libraries from what apt-get would install, but for
// those that only JIT needs, which is off and loads them late if at all, and
// for the C library, which is one with the machine's loader.
func debianLibraries(simulated []byte) []string {
	var libraries []string
	for _, m := range debianInst.FindAllSubmatch(simulated, -1) {
		name := string(m[1])
		if !strings.HasPrefix(name, "libllvm") && !strings.HasPrefix(name, "libz3") && name != "libc6" {
			libraries = append(libraries, name)
		}
	}
	return libraries
}

// libraryPath lists the directories of the libraries that were unpacked with
// the binaries in bin; it is empty where these are installed.
func libraryPath(bin string) string {
	root, _, ok := strings.Cut(bin, debianBin)
	if !ok || root == "" {
		return ""
	}
	dirs, _ := filepath.Glob(root + "/usr/lib/*-linux-gnu*")
	more, _ := filepath.Glob(root + "/lib/*-linux-gnu*")
	return strings.Join(append(dirs, more...), string(filepath.ListSeparator))
}
