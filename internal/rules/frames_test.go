package rules_test

import (
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var frameRE = regexp.MustCompile(`(?m)^\| ([A-Z_]+) \| (0x[0-9a-f]{2}) \|.*\| (yes|reserved) \|$`)

// TestFrameTypes compares the frame table of docs/protocol.md (W-3) with the
// constants in the code: the types in use have the same value, the reserved
// ones have no constant, and the code has no frame that the table lacks.
func TestFrameTypes(t *testing.T) {
	code := map[string]string{}
	for _, s := range sources(t) {
		if (s.pkg == "reliability" || s.pkg == "tunnel/peer") && !s.test {
			frameConstants(s, code)
		}
	}
	rows := frameRE.FindAllStringSubmatch(read(t, "docs/protocol.md"), -1)
	if len(rows) == 0 {
		t.Fatal("docs/protocol.md: no table of frames found")
	}
	for _, row := range rows {
		name := strings.ToLower(strings.ReplaceAll(row[1], "_", ""))
		value, used := code[name]
		delete(code, name)
		switch {
		case row[3] == "reserved" && used:
			t.Errorf("docs/protocol.md: %s is reserved, the code has it", row[1])
		case row[3] == "yes" && value != row[2]:
			t.Errorf("docs/protocol.md: %s is %s, the code has %q", row[1], row[2], value)
		}
	}
	for name, value := range code {
		t.Errorf("the code has frame %s = %s, docs/protocol.md has not", name, value)
	}
}

// frameConstants collects constants such as FramePing = 0x01.
func frameConstants(s *source, into map[string]string) {
	for _, d := range s.ast.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, spec := range g.Specs {
			v := spec.(*ast.ValueSpec)
			for i, id := range v.Names {
				name, isFrame := strings.CutPrefix(strings.ToLower(id.Name), "frame")
				if !isFrame || name == "" || i >= len(v.Values) {
					continue
				}
				lit, ok := v.Values[i].(*ast.BasicLit)
				if !ok || !strings.HasPrefix(lit.Value, "0x") {
					continue
				}
				if _, err := strconv.ParseUint(lit.Value, 0, 8); err == nil {
					into[name] = strings.ToLower(lit.Value)
				}
			}
		}
	}
}
