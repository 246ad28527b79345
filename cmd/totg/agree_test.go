package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/totg/totg/tunnel/control"
)

// three outcomes, each with its word and its exit code, and none is mapped to
// another. The command of --then runs on COMMITTED alone.
func TestAgree(t *testing.T) {
	site(t)
	up(t, "-c", "totg.toml")
	for _, c := range []struct {
		args []string
		want result
	}{
		{[]string{"office", "x"}, result{0, "COMMITTED\n", ""}},
		{[]string{"office", "abort"}, result{1, "ABORTED\n", ""}},
		{[]string{"office", "doubt", "--deadline", "1s"}, result{3, "IN DOUBT\n", ""}},
		{[]string{"office", "x", "--then", "echo $TOTG_PEER $TOTG_NAME $TOTG_RECEIPT"}, result{0, "COMMITTED\noffice x ab01\n", ""}},
		{[]string{"office", "abort", "--then", "echo no"}, result{1, "ABORTED\n", ""}},
		{[]string{"office", "doubt", "--then", "echo no"}, result{3, "IN DOUBT\n", ""}},
		{[]string{"office", "x", "--then", "exit 9"}, result{4, "COMMITTED\n", "totg: committed, but the command failed: exit status 9\n"}},
		{[]string{"office", "x", "--interface", "t9"}, result{1, "", "totg: interface t9 is not up; start it: totg up -c FILE\n"}},
	} {
		if got := run(t, "", append([]string{"agree"}, c.args...)...); got != c.want {
			t.Errorf("%q: %+v, want %+v", c.args, got, c.want)
		}
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "give a peer and a name"},
		{[]string{"office"}, "give a peer and a name"},
		{[]string{"office", "x", "y"}, "give a peer and a name"},
		{[]string{"office", "a b"}, `"a b" cannot name an action: use 1 to 60 letters, digits and _.:@+-`},
		{[]string{"office", ""}, `"" cannot name an action: use 1 to 60 letters, digits and _.:@+-`},
		{[]string{"office", "x", "--deadline", "0s"}, "--deadline must be above 0 and at most 24h0m0s"},
		{[]string{"office", "x", "--deadline", "25h"}, "--deadline must be above 0 and at most 24h0m0s"},
		{[]string{"--list", "x"}, "--list takes no arguments"},
		{[]string{"office", "x", "--interface", "a/b"}, `"a/b" is no name of an interface`},
	} { // what is wrong, and where to read on
		want := result{2, "", "totg: " + c.want + "; see: totg agree --help\n"}
		if got := run(t, "", append([]string{"agree"}, c.args...)...); got != want {
			t.Errorf("%q: %+v, want %+v", c.args, got, want)
		}
	}
	if got := run(t, "", "agree", "office", "x", "--deadline", "soon"); got.code != 2 || got.out != "" || !strings.Contains(got.errors, "soon") {
		t.Errorf("no time: %+v", got)
	}
	help := ok(t, "", "agree", "--help")
	for _, want := range []string{"exit code 0", "exit code 1", "exit code 3", "Examples:", "sudo totg agree office switch-1", "--then", "--list", "--deadline"} {
		if !strings.Contains(help, want) {
			t.Errorf("the help lacks %q:\n%s", want, help)
		}
	}
	table := ok(t, "", "agree", "--list")
	if got := strings.Join(strings.Fields(table), " "); got != "PEER NAME OUTCOME RECEIPT office switch-1 COMMITTED ab01 office switch-2 IN DOUBT" {
		t.Errorf("list: %s", table)
	}
	var all []control.Agreement
	if err := json.Unmarshal([]byte(ok(t, "", "agree", "--list", "--json")), &all); err != nil || len(all) != 2 {
		t.Errorf("%+v, %v", all, err)
	}
}
