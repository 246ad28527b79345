// Package netnstest gives tests network namespaces of their own, so that they
// change nothing on the host. Only tests import it.
//
// It works for root, and for others where the system allows user namespaces:
// Main then runs the test binary again inside one. Where neither is possible New
// fails the test: such tests are never skipped in silence.
package netnstest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// inside marks the environment of the test binary in its user namespace.
const inside = "TOTG_TEST_IN_USER_NAMESPACE"

// Main runs the tests of a package and ends the process; TestMain calls it. Tests
// that pass but leave goroutines behind fail.
func Main(m *testing.M) {
	if os.Geteuid() != 0 && os.Getenv(inside) == "" {
		if code, ok := rerun(); ok {
			os.Exit(code)
		}
	}
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, "goroutines left behind:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// rerun runs this program in a user namespace where the user is root; ok is false
// where the system does not allow it.
func rerun() (code int, ok bool) {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, false
	}
	return cmd.ProcessState.ExitCode(), true
}

// RealRoot reports whether the tests run as root outside any user namespace: what
// concerns the whole system is allowed then.
func RealRoot() bool {
	mapping, err := os.ReadFile("/proc/self/uid_map")
	all := []string{"0", "0", "4294967295"}
	return err == nil && os.Geteuid() == 0 && slices.Equal(strings.Fields(string(mapping)), all)
}

// NS is a network namespace.
type NS struct{ file *os.File }

// New makes a namespace whose loopback interface is up. It goes when the test
// ends and nothing in it is open any more.
func New(t *testing.T) *NS {
	t.Helper()
	ns := &NS{}
	onThread(t, func() {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Errorf("this test needs a network namespace: run it as root, or allow unprivileged user namespaces: %v", err)
			return
		}
		file, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			t.Error(err)
			return
		}
		ns.file = file
	})
	t.Cleanup(func() { _ = ns.file.Close() })
	ns.Run(t, "ip", "link", "set", "lo", "up")
	return ns
}

// Do calls f on a thread inside the namespace and waits for it. What f opens
// stays in the namespace; f may end the test with t.Fatal.
func (ns *NS) Do(t *testing.T, f func()) {
	t.Helper()
	onThread(t, func() {
		if err := unix.Setns(int(ns.file.Fd()), unix.CLONE_NEWNET); err != nil {
			t.Error(err)
			return
		}
		f()
	})
}

// Run runs a program inside the namespace and returns its output; the test fails
// with the program.
func (ns *NS) Run(t *testing.T, name string, args ...string) string {
	t.Helper()
	var out []byte
	ns.Do(t, func() {
		var err error
		if out, err = exec.Command(name, args...).CombinedOutput(); err != nil {
			t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
	})
	return string(out)
}

// onThread calls f on a thread that ends with it, as it may be in a namespace that
// no other goroutine shall meet.
func onThread(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // without unlocking: the thread ends
		f()
	}()
	<-done
	if t.Failed() {
		t.FailNow()
	}
}
