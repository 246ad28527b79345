package rules_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strings"
	"testing"
)

// forbiddenImports are packages that a pure package must not import; each
// stands for everything below it too, but for the exceptions.
func forbiddenImports() []string {
	return []string{
		"context", "crypto/rand", "io/fs", "io/ioutil", "log", "math/rand", "net", "os", "path/filepath",
		"plugin", "runtime", "sync", "syscall", "testing", "unique", "unsafe", "weak",
		"golang.org/x/net", "golang.org/x/sys",
	}
}

func allowedImports() []string { return []string{"net/netip", "math/rand/v2"} }

// forbiddenNames are the functions of otherwise useful packages that read a
// clock, sleep, print, or draw from a randomness source of the process.
func forbiddenName(pkg, name string) bool {
	switch pkg {
	case "time":
		return slices.Contains([]string{
			"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker",
		}, name)
	case "fmt":
		return strings.HasPrefix(name, "Print") || strings.HasPrefix(name, "Scan")
	case "math/rand/v2":
		// Types and the constructors that take a seed are fine; the rest
		// are functions of the process's own source.
		return !slices.Contains([]string{
			"Rand", "Source", "PCG", "ChaCha8", "Zipf", "New", "NewPCG", "NewChaCha8", "NewZipf",
		}, name)
	}
	return false
}

// TestPurity checks the packages that docs/architecture.md marks as pure.
func TestPurity(t *testing.T) {
	table := packageTable(t)
	byPackage := map[string][]*source{}
	for _, s := range sources(t) {
		if table[s.pkg].pure && !s.test {
			byPackage[s.pkg] = append(byPackage[s.pkg], s)
		}
	}
	for _, pkg := range byPackage {
		for _, problem := range impurities(pkg) {
			t.Error(problem)
		}
	}
}

// impurities lists what is wrong in the files of one package.
func impurities(pkg []*source) []string {
	var problems []string
	globals := map[string]*ast.ValueSpec{}
	for _, s := range pkg {
		c := checker{source: s, globals: globals}
		c.imports()
		c.declarations()
		problems = append(problems, c.problems...)
	}
	for _, s := range pkg { // needs the globals of all files
		c := checker{source: s, globals: globals}
		ast.Inspect(s.ast, c.statement)
		problems = append(problems, c.problems...)
	}
	return problems
}

type checker struct {
	*source

	globals  map[string]*ast.ValueSpec
	problems []string
}

func (c *checker) report(n ast.Node, format string, args ...any) {
	c.problems = append(c.problems, c.at(n.Pos())+": "+fmt.Sprintf(format, args...))
}

func (c *checker) imports() {
	for _, imp := range c.ast.Imports {
		p := importPath(imp.Path.Value)
		if slices.Contains(allowedImports(), p) {
			continue
		}
		for _, bad := range forbiddenImports() {
			if p == bad || strings.HasPrefix(p, bad+"/") {
				c.report(imp, "a pure package must not import %s", p)
			}
		}
		if imp.Name != nil && (imp.Name.Name == "." || imp.Name.Name == "_") {
			c.report(imp, "import of %s by %s hides what is used", p, imp.Name.Name)
		}
	}
}

// declarations reports func init and package-level variables that are neither
// sentinel errors nor tables, and collects the rest to see them stay constant.
func (c *checker) declarations() {
	for _, d := range c.ast.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil && d.Name.Name == "init" {
				c.report(d, "func init")
			}
		case *ast.GenDecl:
			if d.Tok != token.VAR {
				continue
			}
			for _, spec := range d.Specs {
				c.global(spec.(*ast.ValueSpec))
			}
		}
	}
}

func (c *checker) global(spec *ast.ValueSpec) {
	for i, name := range spec.Names {
		if name.Name == "_" {
			continue // an assertion for the compiler
		}
		c.globals[name.Name] = spec
		if len(spec.Values) != len(spec.Names) || !c.constant(spec.Values[i]) {
			c.report(name, "package-level variable %s is neither a sentinel error nor a table", name.Name)
		}
	}
}

// constant reports whether a package-level variable may start like this: a
// sentinel error, a literal table, or the result of a call that builds one.
// That nothing changes it afterwards is checked in statement.
func (c *checker) constant(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.CompositeLit:
		return true
	case *ast.CallExpr:
		pkg, name := c.qualified(e.Fun)
		if pkg == "errors" && name == "New" || pkg == "fmt" && name == "Errorf" {
			return true
		}
		_, local := e.Fun.(*ast.Ident)
		_, literal := e.Fun.(*ast.FuncLit)
		_, conversion := e.Fun.(*ast.ArrayType) // []byte("label")
		return local || literal || conversion
	}
	return false
}

// qualified resolves a selector on an import: path and name.
func (c *checker) qualified(e ast.Expr) (string, string) {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	id, ok := sel.X.(*ast.Ident)
	if !ok || id.Obj != nil { // a local name, not an import
		return "", ""
	}
	for _, imp := range c.ast.Imports {
		p := importPath(imp.Path.Value)
		if imp.Name != nil && imp.Name.Name == id.Name {
			return p, sel.Sel.Name
		}
		if imp.Name == nil && (path.Base(p) == id.Name || p == "math/rand/v2" && id.Name == "rand") {
			return p, sel.Sel.Name
		}
	}
	return "", ""
}

func (c *checker) statement(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GoStmt:
		c.report(n, "go statement")
	case *ast.ChanType:
		c.report(n, "channel type")
	case *ast.SendStmt:
		c.report(n, "send on a channel")
	case *ast.SelectStmt:
		c.report(n, "select")
	case *ast.SelectorExpr:
		if pkg, name := c.qualified(n); forbiddenName(pkg, name) {
			c.report(n, "a pure package must not use %s.%s", pkg, name)
		}
	case *ast.CallExpr:
		if id, ok := n.Fun.(*ast.Ident); ok && id.Obj == nil && (id.Name == "print" || id.Name == "println") {
			c.report(n, "%s", id.Name)
		}
	case *ast.UnaryExpr:
		if n.Op == token.ARROW {
			c.report(n, "receive from a channel")
		}
		if n.Op == token.AND {
			c.mutated(n.X)
		}
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			for _, e := range n.Lhs {
				c.mutated(e)
			}
		}
	case *ast.IncDecStmt:
		c.mutated(n.X)
	case *ast.RangeStmt:
		if n.Tok == token.ASSIGN {
			c.mutated(n.Key)
			c.mutated(n.Value)
		}
	}
	return true
}

// mutated reports an assignment to a package-level variable or to a part of
// one, and taking its address, which is how one changes elsewhere.
func (c *checker) mutated(e ast.Expr) {
	for e != nil {
		switch x := e.(type) {
		case *ast.IndexExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.SliceExpr:
			e = x.X
		case *ast.Ident:
			spec := c.globals[x.Name]
			if spec != nil && (x.Obj == nil || x.Obj.Decl == spec) {
				c.report(x, "package-level variable %s is changed, or its address taken", x.Name)
			}
			return
		default:
			return
		}
	}
}

// TestPurityCatches plants one violation at a time.
func TestPurityCatches(t *testing.T) {
	pure := `package p
import ("errors"; "time"; "math/rand/v2"; "net/netip")
var ErrBad = errors.New("p: bad")
var table = [...]int{1, 2, 3}
var label = []byte("label")
var _ = netip.Addr{}
type T struct{ now time.Time; rng *rand.Rand; table []int }
func (t *T) Step(now time.Time) int { table := t.table; table[0]++; t.now = now; return t.rng.IntN(2) }
func seeded(s uint64) *rand.Rand { return rand.New(rand.NewPCG(s, 0)) }
`
	planted := map[string]string{
		"clock":          "func f() { _ = time.Now() }",
		"clock as value": "var _ = time.Since",
		"timer":          "func f() { time.Sleep(1) }",
		"goroutine":      "func f() { go f() }",
		"channel":        "type C chan int",
		"make channel":   "func f() { _ = make(chan int) }",
		"init":           "func init() {}",
		"global":         "var count int",
		"global map":     "var seen map[string]bool",
		"table changed":  "func f() { table[1] = 0 }",
		"table counted":  "func f() { table[1]++ }",
		"table address":  "func f() *int { return &table[0] }",
		"sentinel set":   "func f() { ErrBad = nil }",
		"global source":  "func f() int { return rand.IntN(6) }",
		"print":          "func f() { println(1) }",
	}
	check := func(text string) []string {
		s, err := parse("p/p.go", text)
		if err != nil {
			t.Fatal(err)
		}
		return impurities([]*source{s})
	}
	if got := check(pure); len(got) != 0 {
		t.Errorf("pure code is flagged: %q", got)
	}
	for name, line := range planted {
		if got := check(pure + line); len(got) == 0 {
			t.Errorf("%s: not caught: %s", name, line)
		}
	}
	for _, imp := range []string{"net", "os", "os/exec", "log", "log/slog", "sync", "sync/atomic", "math/rand", "crypto/rand"} {
		if got := check("package p\nimport _ \"" + imp + "\"\n"); len(got) < 2 { // the path and the blank name
			t.Errorf("import of %s: not caught", imp)
		}
	}
	if got := check("package p\nimport clock \"time\"\nvar _ = clock.Now\n"); len(got) == 0 {
		t.Error("a renamed import of time is not caught")
	}
}
