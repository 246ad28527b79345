package rules_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	requirementRE = regexp.MustCompile(`(?m)^- \*\*([A-Z]-\d+)\*\*(.*)$`)
	statusRE      = regexp.MustCompile(`^ \*(implemented|partly|planned)\*\. `)
	citationRE    = regexp.MustCompile(`\b[HXWRGCT]-\d+\b`)
)

// requirements reads docs/protocol.md: requirement to status.
func requirements(t *testing.T, text string) (map[string]string, []string) {
	t.Helper()
	status := map[string]string{}
	var problems []string
	for _, m := range requirementRE.FindAllStringSubmatch(text, -1) {
		s := statusRE.FindStringSubmatch(m[2])
		if s == nil {
			problems = append(problems, m[1]+" has no status (implemented, partly or planned)")
			continue
		}
		if status[m[1]] != "" {
			problems = append(problems, m[1]+" is defined twice")
		}
		status[m[1]] = s[1]
	}
	return status, problems
}

// TestRequirements checks that docs/protocol.md and the code agree: what the
// document marks as implemented, wholly or partly, is cited in the code that
// fulfils it and in a test; and no code cites what the document does not have.
func TestRequirements(t *testing.T) {
	status, problems := requirements(t, read(t, "docs/protocol.md"))
	if len(status) == 0 {
		t.Fatal("docs/protocol.md: no requirements found")
	}
	for _, p := range problems {
		t.Errorf("docs/protocol.md: %s", p)
	}
	inCode, inTests := map[string]bool{}, map[string]bool{}
	for _, s := range sources(t) {
		if s.pkg == "internal/rules" {
			continue // examples of numbers, not citations
		}
		cited := inCode
		if s.test {
			cited = inTests
		}
		for _, id := range citationRE.FindAllString(s.text, -1) {
			cited[id] = true
			if status[id] == "" {
				t.Errorf("%s cites %s, which docs/protocol.md does not have", s.path, id)
			}
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(status), strings.Compare) {
		if status[id] == "planned" {
			continue
		}
		if !inCode[id] {
			t.Errorf("%s is marked as %s and no code cites it", id, status[id])
		}
		if !inTests[id] {
			t.Errorf("%s is marked as %s and no test cites it", id, status[id])
		}
	}
}

// TestRequirementsSummary checks the count in the document's introduction.
func TestRequirementsSummary(t *testing.T) {
	text := read(t, "docs/protocol.md")
	status, _ := requirements(t, text)
	count := map[string]int{}
	for _, s := range status {
		count[s]++
	}
	want := fmt.Sprintf("%d requirements: %d implemented, %d partly, %d planned",
		len(status), count["implemented"], count["partly"], count["planned"])
	if !strings.Contains(text, want) {
		t.Errorf("docs/protocol.md should say %q", want)
	}
}

func TestRequirementsParse(t *testing.T) {
	status, problems := requirements(t, strings.Join([]string{
		"- **H-1** *implemented*. A host has a key.",
		"- **H-2** *planned*. Later.",
		"- **H-3** says nothing of its status.",
		"- **H-1** *partly*. Again.",
		"Text that mentions **H-4** defines nothing.",
	}, "\n"))
	if len(status) != 2 || status["H-2"] != "planned" || len(problems) != 2 {
		t.Errorf("got %v and problems %q", status, problems)
	}
}
