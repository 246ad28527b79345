// The scripts are tested on real tc netem: on a user-mode Linux, as many machines'
// kernels have none. The test binary itself is what runs on the two hosts.
package netem_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// roleEnv makes the test binary do something on the hosts, and says what.
const roleEnv = "TOTG_NETEM_ROLE"

func TestMain(m *testing.M) {
	var err error
	switch role := os.Getenv(roleEnv); role {
	case "":
		os.Exit(m.Run())
	case "measure":
		err = printMeasurement()
	case "transfer":
		err = transferBothWays()
	default:
		err = fmt.Errorf("no role %q", role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "netem test:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// needUML skips with words that nobody overlooks: a machine without user-mode
// Linux checks nothing here.
func needUML(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: real tc netem is not tested")
	}
	path := "PATH=" + os.Getenv("PATH") + ":/sbin:/usr/sbin"
	cmd := exec.Command("/bin/sh", "-c", "command -v linux.uml && command -v modprobe")
	cmd.Env = append(os.Environ(), path)
	if cmd.Run() != nil {
		t.Skip("REAL TC NETEM IS NOT TESTED: install user-mode-linux and kmod (apt-get install user-mode-linux kmod)")
	}
}

// program builds totg.
func program(t *testing.T) string {
	t.Helper()
	totg := filepath.Join(t.TempDir(), "totg")
	if out, err := exec.Command("go", "build", "-o", totg, "../../cmd/totg").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return totg
}

// run runs a command with this binary's role set, and returns its output.
func run(t *testing.T, totg, role string, limit time.Duration, argv ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), roleEnv+"="+role, "TOTG="+totg)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it cleans up
	cmd.WaitDelay = 10 * time.Second
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(argv, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String()
}

// self is the test binary.
func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func printJSON(v any) error { return json.NewEncoder(os.Stdout).Encode(v) }
