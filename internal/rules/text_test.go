package rules_test

import (
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Limits of docs/style.md.
const (
	maxFileLines = 500
	maxFuncLines = 70 // of the body, without lines that are only a comment
)

// TestLengths checks the length of files and, outside tests, of functions.
func TestLengths(t *testing.T) {
	for _, s := range sources(t) {
		if n := strings.Count(s.text, "\n"); n > maxFileLines {
			t.Errorf("%s has %d lines, the limit is %d", s.path, n, maxFileLines)
		}
		if s.test {
			continue
		}
		lines := strings.Split(s.text, "\n")
		for _, d := range s.ast.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			if n := bodyLines(s, f, lines); n > maxFuncLines {
				t.Errorf("%s: %s has %d lines, the limit is %d", s.at(f.Pos()), f.Name.Name, n, maxFuncLines)
			}
		}
	}
}

func bodyLines(s *source, f *ast.FuncDecl, lines []string) int {
	first, last := s.fset.Position(f.Pos()).Line, s.fset.Position(f.End()).Line
	n := 0
	for _, line := range lines[first:max(first, last-1)] {
		if !strings.HasPrefix(strings.TrimSpace(line), "//") {
			n++
		}
	}
	return n
}

// TestWords checks that nothing is left open in the text and that no path of
// the machine it was written on is in it. The words are put together here so
// that this file does not contain them.
func TestWords(t *testing.T) {
	words := map[string]*regexp.Regexp{
		"an open end":           regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`),
		"a path of one machine": regexp.MustCompile(`(^|[\s"'` + "`" + `(=])/(wo` + `rk|ho` + `me|Us` + `ers)/`),
	}
	files(t, func(name string) {
		if !isText(name) {
			return
		}
		for i, line := range strings.Split(read(t, name), "\n") {
			for what, re := range words {
				if w := re.FindString(line); w != "" {
					t.Errorf("%s:%d: %s: %q", name, i+1, what, strings.TrimSpace(w))
				}
			}
		}
	})
}

func isText(name string) bool {
	switch path.Ext(name) {
	case ".go", ".md", ".sh", ".toml", ".txt", ".txtar", ".yml", ".yaml", ".json", ".service":
		return true
	}
	base := path.Base(name)
	return base == "Makefile" || base == ".gitignore" || strings.HasPrefix(name, ".ci/")
}

var linkRE = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinks checks that every relative link of the documents leads to a file.
func TestLinks(t *testing.T) {
	files(t, func(name string) {
		if path.Ext(name) != ".md" {
			return
		}
		for _, m := range linkRE.FindAllStringSubmatch(read(t, name), -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if target == "" || strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			target = path.Join(path.Dir(name), target)
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s: link to %s: there is no such file", name, m[1])
			}
		}
	})
}
