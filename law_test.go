package bucketload_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/bucketload/bucketload"

// TestImportLaw holds what ARCHITECTURE.md says about who may import whom.
// Only the program counts: tests may import package temp.
func TestImportLaw(t *testing.T) {
	rooms := []string{"config", "source", "decode", "infer", "pgcopy", "table", "ledger", "notify"}
	may := map[string][]string{ // beside the root package, which every room may import
		"":                       nil,
		"internal/steps":         {"internal/source", "internal/decode", "internal/infer", "internal/pgcopy", "internal/table", "internal/ledger", "internal/notify"},
		"internal/asl":           {"internal/asl/expr", "internal/asl/items"},
		"internal/asl/expr":      nil,
		"internal/asl/items":     {"internal/asl/expr"},
		"internal/conduct":       {"internal/asl", "internal/asl/items", "internal/steps", "internal/ledger", "internal/notify"},
		"internal/lambda":        nil,
		"deploy/aws":             nil, // tests only
		"judges":                 nil, // tests only
		"bench":                  {"internal/temp"},
		"torture":                {"internal/temp"},
		"internal/temp":          nil,
		"internal/temp/fetch":    {"internal/temp"},
		"internal/temp/temptest": {"internal/temp"},
		"cmd/bucketload":         {"internal/asl", "internal/asl/items", "internal/conduct", "internal/lambda", "internal/config", "internal/source", "internal/steps", "internal/ledger", "internal/temp"},
	}
	for _, room := range rooms {
		may["internal/"+room] = nil
	}
	for _, p := range packages(t) {
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		allowed, known := may[name]
		if !known {
			t.Errorf("package %s is new: give it a place in this law and in ARCHITECTURE.md", p.ImportPath)
			continue
		}
		for _, path := range p.Imports {
			switch dep := strings.TrimPrefix(path, module+"/"); {
			case name == "" && strings.Contains(path, "."):
				t.Errorf("the root package imports %s; it may import the standard library only", path)
			case path == module && strings.HasPrefix(name, "internal/asl"):
				t.Errorf("%s imports %s; it knows nothing of loading", name, path)
			case path == module, !strings.HasPrefix(path, module+"/"), slices.Contains(allowed, dep):
			default:
				t.Errorf("%s imports %s", name, dep)
			}
		}
	}
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}
