package e2e

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// stageEnv tells the inner process that it is the inner one, and where the program
// under test is.
const stageEnv = "TOTG_E2E_PROGRAM"

// stateDir is where tests keep files: on a file system that goes with them.
const stateDir = "/run/e2e"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		os.Exit(play(role))
	}
	flag.Parse()
	code, err := 0, error(nil)
	switch {
	case testing.Short():
		fmt.Println("e2e: left out because of -short")
	case os.Getenv(stageEnv) != "":
		if err = enter(); err == nil {
			code = m.Run()
		}
	default:
		code, err = outer()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

// outer builds the program and runs the tests inside.
func outer() (int, error) {
	if err := able(); err != nil {
		return 1, err
	}
	dir, err := os.MkdirTemp("", "totg-e2e-")
	if err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // nothing else can be done
	program := filepath.Join(dir, "totg")
	build := exec.Command("go", "build", "-o", program, "../../cmd/totg")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return 1, fmt.Errorf("build totg: %w", err)
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), stageEnv+"="+program)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}

// able says what these tests need and this machine lacks.
func able() error {
	var missing []string
	if os.Geteuid() != 0 {
		missing = append(missing, "root")
	}
	if tun, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0); err != nil {
		missing = append(missing, "/dev/net/tun ("+err.Error()+")")
	} else {
		_ = tun.Close() // nothing was done with it
	}
	for _, program := range []string{"go", "ip", "ping", "mount", "unshare", "setpriv"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, "the program "+program)
		}
	}
	if len(missing) > 0 {
		return errors.New("these tests need " + strings.Join(missing, ", ") + "; -short leaves them out")
	}
	return nil
}

// enter makes the inner process at home: its mounts are its own, /proc shows its own
// processes, and /run, where ip keeps namespaces and the program its sockets, is empty.
func enter() error {
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := unix.Mount("e2e", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	return os.Mkdir(stateDir, 0o755)
}
