package bucketload_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// statement is how text begins that is SQL.
var statement = regexp.MustCompile(`(?:^|[;(\n]\s*)(SELECT|INSERT INTO|UPDATE|DELETE FROM|ALTER|CREATE|DROP|COPY|LOCK TABLE|GRANT|REVOKE|SET|COMMENT ON|ANALYZE|TRUNCATE|WITH|WHERE|FROM|LISTEN|SAVEPOINT|EXPLAIN)\s`)

// quoting are the functions that make an identifier or a literal of any text, or
// SQL of what they are given, and those that make digits.
var quoting = []string{"Quote", "quote", "quoteAll", "Sanitize", "QuoteString", "Itoa", "FormatUint", "FormatInt", "Milliseconds", "len", "max", "min"}

// TestSQLIsQuoted: what goes into a statement beside constants has been through
// one of the quoting functions, or is listed in testdata/sql.txt with the reason
// why it is SQL already. Values go as parameters.
func TestSQLIsQuoted(t *testing.T) {
	allowed := exceptions(t)
	met := map[string]bool{}
	named := constants(t)
	for _, dir := range []string{"internal", "cmd"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "internal/temp/") {
				return err
			}
			for _, operand := range unquoted(t, path, named[filepath.Dir(path)]) {
				key := filepath.ToSlash(filepath.Dir(path)) + " " + operand
				met[key] = true
				if allowed[key] == "" {
					t.Errorf("%s: %s goes into SQL as it is: quote it (table.Quote, pgx.Identifier), make it a parameter, or say in testdata/sql.txt why it is SQL", path, operand)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for key := range allowed {
		if !met[key] {
			t.Errorf("testdata/sql.txt: %q is not in any statement", key)
		}
	}
}

// exceptions reads testdata/sql.txt: package, expression, a # and the reason.
func exceptions(t *testing.T) map[string]string {
	data, err := os.ReadFile("testdata/sql.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for line := range strings.Lines(string(data)) {
		key, reason, ok := strings.Cut(strings.TrimSpace(line), " # ")
		if !ok {
			t.Fatalf("testdata/sql.txt: %q has no reason", line)
		}
		all[strings.TrimSpace(key)] = strings.TrimSpace(reason)
	}
	return all
}

// constants gives the names of the packages' constants, by directory.
func constants(t *testing.T) map[string][]string {
	all := map[string][]string{}
	paths, err := filepath.Glob("internal/*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if d, ok := decl.(*ast.GenDecl); ok && d.Tok == token.CONST {
				for _, spec := range d.Specs {
					for _, name := range spec.(*ast.ValueSpec).Names {
						all[filepath.Dir(path)] = append(all[filepath.Dir(path)], name.Name)
					}
				}
			}
		}
	}
	return all
}

// unquoted gives the operands of the file's statements that nothing has quoted.
func unquoted(t *testing.T, path string, constants []string) (operands []string) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	text := func(e ast.Expr) string {
		var b bytes.Buffer
		if err := printer.Fprint(&b, fset, e); err != nil {
			t.Fatal(err)
		}
		return strings.Join(strings.Fields(b.String()), " ")
	}
	inner := map[ast.Expr]bool{} // parts of a chain that was seen whole
	ast.Inspect(file, func(n ast.Node) bool {
		e, ok := n.(ast.Expr)
		if !ok || inner[e] {
			return true
		}
		var pieces []ast.Expr
		switch e := e.(type) {
		case *ast.BinaryExpr:
			if e.Op != token.ADD {
				return true
			}
			pieces = chain(e, inner)
		case *ast.CallExpr:
			pieces = formatted(e)
		}
		if !slices.ContainsFunc(pieces, func(p ast.Expr) bool { s, ok := literal(p); return ok && statement.MatchString(s) }) {
			return true
		}
		for _, p := range pieces {
			if id, ok := p.(*ast.Ident); ok && slices.Contains(constants, id.Name) {
				continue
			}
			if !safe(p, 0) && !slices.Contains(operands, text(p)) {
				operands = append(operands, text(p))
			}
		}
		return true
	})
	return operands
}

// chain gives the operands of a + b + c.
func chain(e *ast.BinaryExpr, inner map[ast.Expr]bool) (pieces []ast.Expr) {
	for _, side := range []ast.Expr{e.X, e.Y} {
		if b, ok := side.(*ast.BinaryExpr); ok && b.Op == token.ADD {
			inner[b] = true
			pieces = append(pieces, chain(b, inner)...)
		} else {
			pieces = append(pieces, side)
		}
	}
	return pieces
}

// formatted gives the format and the arguments of fmt.Sprintf, but for those that
// are written as numbers.
func formatted(call *ast.CallExpr) []ast.Expr {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || f.Sel.Name != "Sprintf" && f.Sel.Name != "Fprintf" {
		return nil
	}
	args := call.Args
	if f.Sel.Name == "Fprintf" {
		args = args[1:]
	}
	format, ok := literal(args[0])
	if !ok {
		return nil
	}
	pieces := args[:1:1]
	next := 1
	for _, m := range regexp.MustCompile(`%(?:\[(\d+)\])?[-+# 0]*[\d.]*([a-zA-Z%])`).FindAllStringSubmatch(format, -1) {
		if m[2] == "%" {
			continue
		}
		if m[1] != "" {
			next, _ = strconv.Atoi(m[1])
		}
		if next < len(args) && m[2] != "d" {
			pieces = append(pieces, args[next])
		}
		next++
	}
	return pieces
}

func literal(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(l.Value)
	return s, err == nil
}

// safe says whether an expression is constant, or was quoted, here or where the
// local variable that it is got its values.
func safe(e ast.Expr, depth int) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return true
	case *ast.ParenExpr:
		return safe(e.X, depth)
	case *ast.BinaryExpr:
		return safe(e.X, depth) && safe(e.Y, depth)
	case *ast.CallExpr:
		name := ""
		switch f := e.Fun.(type) {
		case *ast.Ident:
			name = f.Name
		case *ast.SelectorExpr:
			name = f.Sel.Name
		}
		if name == "Sprintf" {
			return !slices.ContainsFunc(formatted(e), func(p ast.Expr) bool { return !safe(p, depth) })
		}
		return slices.Contains(quoting, name)
	case *ast.Ident:
		if e.Obj == nil || depth > 3 {
			return false
		}
		switch d := e.Obj.Decl.(type) {
		case *ast.ValueSpec:
			return e.Obj.Kind == ast.Con || len(d.Values) == 1 && safe(d.Values[0], depth+1)
		case *ast.AssignStmt:
			for i, left := range d.Lhs {
				if id, ok := left.(*ast.Ident); ok && id.Name == e.Name && len(d.Lhs) == len(d.Rhs) {
					return safe(d.Rhs[i], depth+1)
				}
			}
		}
	}
	return false
}
