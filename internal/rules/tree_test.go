// Package rules_test holds the code to the project's own documents: the import
// table of docs/architecture.md, the purity of the cores, the requirements of
// docs/protocol.md and the limits of docs/style.md. It has no other code.
//
// The linter checks some of this too. These tests need nothing but Go, so a
// rule holds on every machine that can run the tests at all.
package rules_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	module = "github.com/totg/totg"
	root   = "../.."
)

// source is one Go file, with its path from the module's root.
type source struct {
	path string
	pkg  string // directory from the module's root, "." for the root
	test bool
	text string
	ast  *ast.File
	fset *token.FileSet
}

// at renders a position for a message: path and line.
func (s *source) at(p token.Pos) string {
	pos := s.fset.Position(p)
	return s.path + ":" + itoa(pos.Line)
}

// files calls f for every file of the project that people write: not what git
// keeps for itself, not what is built, not the modules inside, not the corpora
// that the fuzzer writes.
func files(t *testing.T, f func(name string)) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() {
			if d.Type().IsRegular() {
				f(name)
			}
			return nil
		}
		if name == ".git" || name == "bin" || name == "dist" || strings.HasSuffix(name, "testdata/fuzz") {
			return fs.SkipDir
		}
		if _, err := os.Stat(filepath.Join(root, name, "go.mod")); err == nil && name != "." {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sources parses every Go file of the module outside testdata.
func sources(t *testing.T) []*source {
	t.Helper()
	var all []*source
	files(t, func(name string) {
		if path.Ext(name) != ".go" || strings.Contains(name, "testdata/") {
			return
		}
		s, err := parse(name, read(t, name))
		if err != nil {
			t.Error(err)
			return
		}
		all = append(all, s)
	})
	if len(all) == 0 {
		t.Fatal("no Go files found: wrong root?")
	}
	return all
}

func parse(name, text string) (*source, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	return &source{
		path: name,
		pkg:  path.Dir(name),
		test: strings.HasSuffix(name, "_test.go"),
		text: text,
		ast:  file,
		fset: fset,
	}, nil
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// row is one line of the package table in docs/architecture.md.
type row struct {
	pure  bool
	allow map[string]bool // packages of the module, from its root
}

var (
	rowRE  = regexp.MustCompile("^\\| `([^`]+)` \\| (yes|no) \\|([^|]*)\\|")
	nameRE = regexp.MustCompile("`([^`]+)`")
)

// packageTable reads the table of docs/architecture.md.
func packageTable(t *testing.T) map[string]row {
	t.Helper()
	table := map[string]row{}
	for line := range strings.Lines(read(t, "docs/architecture.md")) {
		m := rowRE.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		r := row{pure: m[2] == "yes", allow: map[string]bool{}}
		for _, n := range nameRE.FindAllStringSubmatch(m[3], -1) {
			r.allow[n[1]] = true
		}
		if _, twice := table[m[1]]; twice {
			t.Errorf("docs/architecture.md: two rows for %s", m[1])
		}
		table[m[1]] = r
	}
	if len(table) == 0 {
		t.Fatal("docs/architecture.md: no package table found")
	}
	return table
}
