package temptest

import (
	"os"
	"path/filepath"
	"testing"
)

// CorpusEnv names the variable that names the directory of the real data; by
// default it is the directory shared beside the repository.
const CorpusEnv = "BUCKETLOAD_CORPUS"

// Corpus gives the path of a file or directory of the real data, named within
// its directory. The test is skipped where it is absent.
func Corpus(t testing.TB, name string) string {
	t.Helper()
	root := os.Getenv(CorpusEnv)
	if root == "" {
		root = filepath.Join(repository(t), "..", "shared")
	}
	path := filepath.Join(root, filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no real data: %s names a directory that holds %s", CorpusEnv, name)
	}
	return path
}

// repository is the directory of go.mod, above the package that is tested.
func repository(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
}
