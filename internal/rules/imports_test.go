package rules_test

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func itoa(n int) string { return strconv.Itoa(n) }

// TestImportTable checks every import inside the module against the table of
// docs/architecture.md. Test files may import what they need, and a package
// whose files are all tests is held to its row like any other.
func TestImportTable(t *testing.T) {
	table := packageTable(t)
	all := sources(t)
	code := map[string]bool{}
	for _, s := range all {
		if !s.test {
			code[s.pkg] = true
		}
	}
	for _, s := range all {
		r, known := table[s.pkg]
		if !known {
			t.Errorf("%s: package %s has no row in docs/architecture.md", s.path, s.pkg)
			continue
		}
		if s.test && code[s.pkg] {
			continue
		}
		for _, imp := range s.ast.Imports {
			to, inside := strings.CutPrefix(importPath(imp.Path.Value), module+"/")
			if inside && to != s.pkg && !r.allow[to] {
				t.Errorf("%s: %s must not import %s", s.at(imp.Pos()), s.pkg, to)
			}
		}
	}
}

// TestImportTableItself checks that the table can hold: it names only packages
// that it has rows for, pure packages import only pure ones, and nothing
// imports itself in a circle.
func TestImportTableItself(t *testing.T) {
	table := packageTable(t)
	for _, name := range slices.Sorted(maps.Keys(table)) {
		for to := range table[name].allow {
			r, known := table[to]
			if !known {
				t.Errorf("%s may import %s, which has no row", name, to)
			}
			if table[name].pure && !r.pure {
				t.Errorf("%s is pure and may import %s, which is not", name, to)
			}
			if reaches(table, to, name, map[string]bool{}) {
				t.Errorf("%s and %s may import each other", name, to)
			}
		}
	}
}

func reaches(table map[string]row, from, to string, seen map[string]bool) bool {
	if from == to {
		return true
	}
	seen[from] = true
	for next := range table[from].allow {
		if !seen[next] && reaches(table, next, to, seen) {
			return true
		}
	}
	return false
}

func importPath(quoted string) string {
	p, err := strconv.Unquote(quoted)
	if err != nil {
		return quoted
	}
	return p
}

var lintFilesRE = regexp.MustCompile(`files: \["\*\*/([a-z/]+)/\*\.go", "!\$test"\]`)

// TestLinterAgrees checks that the rules of depguard in .golangci.yml allow
// each package what the table allows, and that every pure package has a rule.
func TestLinterAgrees(t *testing.T) {
	table := packageTable(t)
	lint := map[string]map[string]bool{}
	pkg := ""
	for line := range strings.Lines(read(t, ".golangci.yml")) {
		line = strings.TrimSpace(line)
		if m := lintFilesRE.FindStringSubmatch(line); m != nil {
			pkg = m[1]
			lint[pkg] = map[string]bool{}
		}
		if to, ok := strings.CutPrefix(line, "- "+module+"/"); ok && pkg != "" {
			lint[pkg][strings.TrimSuffix(to, "$")] = true // $ ends an exact name
		}
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		rule, ok := lint[name]
		delete(lint, name)
		if !ok {
			if table[name].pure {
				t.Errorf(".golangci.yml has no depguard rule for the pure package %s", name)
			}
			continue
		}
		if !maps.Equal(rule, table[name].allow) {
			t.Errorf(".golangci.yml and docs/architecture.md disagree on %s: %v and %v", name, rule, table[name].allow)
		}
	}
	for name := range lint {
		t.Errorf(".golangci.yml has a rule for %s, which has no row in docs/architecture.md", name)
	}
}
