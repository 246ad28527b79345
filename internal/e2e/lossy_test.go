package e2e

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// a link that loses, repeats, reorders and damages packets looks clean to
// TCP, over IPv4 and IPv6.
func TestLossyLink(t *testing.T) {
	recordSources(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program(), "lab", "--rate", "40mbit", "--rtt", "20ms", "--loss", "30", "--duplicate", "5",
		"--reorder", "5", "--corrupt", "0.1", "--seed", "1",
		"--b", roleEnv+"=serve exec "+self, "--", "env", roleEnv+"=fetch", self, "10000000")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil || strings.Count(string(out), "digest right") != 2 {
		t.Fatalf("two downloads of 10 MB: %v", err)
	}
}
