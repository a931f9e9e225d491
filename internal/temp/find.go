package temp

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"

	"github.com/bucketload/bucketload"
)

// localDirs are where packagers put the binaries of Postgres.
var localDirs = []string{
	"/usr/lib/postgresql/*/bin",                            // Debian, Ubuntu
	"/usr/pgsql-*/bin",                                     // the Postgres project's RPMs
	"/usr/local/pgsql/bin",                                 // built from source
	"/opt/homebrew/opt/postgresql*/bin",                    // Homebrew on Apple silicon
	"/usr/local/opt/postgresql*/bin",                       // Homebrew on Intel
	"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",       // Homebrew on Linux
	"/Applications/Postgres.app/Contents/Versions/*/bin",   // Postgres.app
	"/usr/libexec/postgresql*", "/usr/lib/postgresql*/bin", // Alpine, Arch and others
}

// find gives the first way of running the wanted version, in the order that
// StartPostgres documents.
func find(ctx context.Context, o PostgresOptions) (start func(context.Context, PostgresOptions) (*Postgres, error), err error) {
	if i, ok := here(ctx, o.Major); ok {
		return i.start, nil
	}
	if err := ctx.Err(); err != nil { // nothing runs, so nothing is found
		return nil, err
	}
	if o.Offline {
		return nil, notFound(o.Major, nil)
	}
	if d, ok := findDocker(ctx, o.Major); ok {
		return d.start, nil
	}
	_, _ = fmt.Fprintln(o.Log, "fetching PostgreSQL, once")
	i, err := fetch(ctx, o.Major)
	return i.start, err
}

// here gives the newest local binaries, else the newest in the cache.
func here(ctx context.Context, major int) (i installation, ok bool) {
	for _, dirs := range [][]string{local(), cached()} {
		if i, ok = newest(ctx, dirs, major); ok {
			break
		}
	}
	return i, ok
}

// Majors lists the major versions, ascending, that start without Docker and
// without a download.
func Majors(ctx context.Context) []int {
	var majors []int
	for _, dir := range slices.Concat(local(), cached()) {
		if i, ok := inspect(ctx, dir); ok {
			majors = append(majors, i.version[0])
		}
	}
	slices.Sort(majors)
	return slices.Compact(majors)
}

func notFound(major int, cause error) error {
	name := "PostgreSQL"
	if major != 0 {
		name = fmt.Sprintf("PostgreSQL %d", major)
	}
	return &bucketload.Error{Op: "postgres", Code: bucketload.CodeDatabase, Message: name + " is not on this machine", Err: cause, Hint: installHint()}
}

func installHint() string {
	install := "sudo apt install postgresql"
	if runtime.GOOS == "darwin" {
		install = "brew install postgresql"
	}
	return install + ", or give a database with --to or BUCKETLOAD_TO"
}

// local lists the directories which may hold installed binaries.
func local() []string {
	var dirs []string
	for _, pattern := range localDirs {
		found, _ := filepath.Glob(pattern)
		dirs = append(dirs, found...)
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(path))
		}
	}
	return dirs
}

// newest gives the highest version among dirs; major 0 takes any.
func newest(ctx context.Context, dirs []string, major int) (best installation, ok bool) {
	for _, dir := range dirs {
		i, runs := inspect(ctx, dir)
		if runs && (major == 0 || i.version[0] == major) && (!ok || slices.Compare(i.version[:], best.version[:]) > 0) {
			best, ok = i, true
		}
	}
	return best, ok
}

var versionPattern = regexp.MustCompile(`\(PostgreSQL\) (\d+)(?:\.(\d+))?`)

// inspect says which version the binaries in dir are, by running them.
func inspect(ctx context.Context, dir string) (i installation, ok bool) {
	if _, err := exec.LookPath(filepath.Join(dir, "initdb")); err != nil {
		return i, false
	}
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version")
	cmd.Env = environ(dir)
	out, err := cmd.Output()
	m := versionPattern.FindSubmatch(out)
	if err != nil || m == nil {
		return i, false
	}
	i.bin = dir
	i.version[0], _ = strconv.Atoi(string(m[1]))
	i.version[1], _ = strconv.Atoi(string(m[2])) // none in a beta: 0
	return i, true
}

// environ is the environment of binaries: nothing around us reaches them.
func environ(bin string) []string {
	return []string{"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"), "LD_LIBRARY_PATH=" + libraryPath(bin), "LC_ALL=C", "TZ=UTC"}
}

// cached lists the directories which may hold fetched binaries.
func cached() []string {
	dir, err := cacheDir()
	if err != nil {
		return nil
	}
	var dirs []string
	targets, _ := filepath.Glob(filepath.Join(dir, fmt.Sprintf("*-%s-%s", runtime.GOOS, runtime.GOARCH)))
	for _, target := range targets {
		dirs = append(dirs, binaries(target)...)
	}
	return dirs
}

// binaries lists the directories of binaries in a fetched package: npm's has
// the first, Debian's the second.
func binaries(target string) []string {
	dirs, _ := filepath.Glob(filepath.Join(target, "native", "bin"))
	debian, _ := filepath.Glob(filepath.Join(target, debianBin, "*", "bin"))
	return append(dirs, debian...)
}

// cacheDir is the user's own, and for root one that the server's user can read.
func cacheDir() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/cache/bucketload/postgres", nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "bucketload", "postgres"), nil
}
