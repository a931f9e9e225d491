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
			for _, operand := range unquoted(t, path, nil, named[filepath.Dir(path)]) {
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

// TestSQLIsQuotedOfLocals: a local variable is quoted where all that it is ever
// given is.
func TestSQLIsQuotedOfLocals(t *testing.T) {
	for body, want := range map[string]string{
		`x := Quote(a)`:                             "",
		`x := a`:                                    "x",
		`x := Quote(a); x = a`:                      "x",
		`x := Quote(a); if b { x = a }`:             "x",
		`x := Quote(a); x += a`:                     "x",
		`x := Quote(a); x += ", " + Quote(b)`:       "",
		`x := Quote(a); x = x + Quote(b)`:           "",
		`x := fmt.Sprintf(a, Quote(b))`:             "x",
		`x := fmt.Sprintf("%s", Quote(b))`:          "",
		`x := Quote(a); scan(&x)`:                   "x",
		`x := Quote(a); x, err := f()`:              "x",
		`x, y := Quote(a), b; x = y`:                "x",
		`x, y := Quote(a), Quote(b); x = y`:         "",
		`var x string; x = Quote(a)`:                "",
		`var x string; x = a`:                       "x",
		`var x = a`:                                 "x",
		`const x = "y"`:                             "",
		`for _, x := range a`:                       "x",
		`var x string; for _, x = range a`:          "x",
		`x := Quote(a); y := &x; *y = a`:            "x",
		`x := Quote(a); func() { x = a }()`:         "x",
		`x := Quote(a); { x := b; x = b; _ = x }`:   "",
		`y := a; x := Quote(a); y = b; x = Itoa(b)`: "",
	} {
		if !strings.HasSuffix(body, "range a") {
			body += ";"
		}
		source := "package p; func f(a, b string) { " + body + ` { query("SELECT " + x) } }`
		if got := strings.Join(unquoted(t, "p.go", source, nil), " "); got != want {
			t.Errorf("%s: unquoted %q, want %q", body, got, want)
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

// unquoted gives the operands of the file's statements that nothing has quoted;
// source is what the file has, nil for what is on disk.
func unquoted(t *testing.T, path string, source any, constants []string) (operands []string) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, source, 0)
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
	given := values(file)
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
			if !given.safe(p) && !slices.Contains(operands, text(p)) {
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

// variable is what a file by itself tells of one. It is deprecated as go/types knows
// more, which takes all packages.
type variable = *ast.Object //nolint:staticcheck

// origins are the expressions that variables are given as values, by variable;
// nil for a value that is no expression by itself.
type origins map[variable][]ast.Expr

// values gives all that the file's variables are given, wherever that is.
func values(file *ast.File) origins {
	all := origins{}
	give := func(to ast.Expr, value ast.Expr) {
		if id, ok := to.(*ast.Ident); ok && id.Obj != nil {
			all[id.Obj] = append(all[id.Obj], value)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				if len(n.Lhs) == len(n.Rhs) {
					give(left, n.Rhs[i])
				} else {
					give(left, nil)
				}
			}
		case *ast.ValueSpec:
			for i, name := range n.Names {
				if len(n.Names) == len(n.Values) {
					give(name, n.Values[i])
				} else if len(n.Values) > 0 {
					give(name, nil)
				}
			}
		case *ast.RangeStmt:
			give(n.Key, nil)
			give(n.Value, nil)
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				give(n.X, nil)
			}
		}
		return true
	})
	return all
}

// safe says whether an expression is constant, or was quoted, here or wherever
// the local variable that it is got its values.
func (o origins) safe(e ast.Expr) bool {
	seen := map[variable]bool{} // and safe, unless another value is not
	var safe func(e ast.Expr) bool
	unsafe := func(e ast.Expr) bool { return !safe(e) }
	safe = func(e ast.Expr) bool {
		switch e := e.(type) {
		case *ast.BasicLit:
			return true
		case *ast.ParenExpr:
			return safe(e.X)
		case *ast.BinaryExpr:
			return safe(e.X) && safe(e.Y)
		case *ast.CallExpr:
			name := ""
			switch f := e.Fun.(type) {
			case *ast.Ident:
				name = f.Name
			case *ast.SelectorExpr:
				name = f.Sel.Name
			}
			if name == "Sprintf" {
				pieces := formatted(e)
				return len(pieces) > 0 && !slices.ContainsFunc(pieces, unsafe)
			}
			return slices.Contains(quoting, name)
		case *ast.Ident:
			if e.Obj == nil || e.Obj.Kind != ast.Var && e.Obj.Kind != ast.Con {
				return false
			}
			if _, parameter := e.Obj.Decl.(*ast.Field); parameter {
				return false
			}
			if !seen[e.Obj] {
				seen[e.Obj] = true
				return !slices.ContainsFunc(o[e.Obj], unsafe)
			}
			return true
		}
		return false
	}
	return safe(e)
}
