package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// stageEnv tells the inner process that it is the inner one, and its folder.
const stageEnv = "TOTG_LAB_DIR"

// leaveTime is how long the inner process may take to clean up after a signal.
const leaveTime = 8 * time.Second

// howToAllow is what a user can do about a missing privilege.
const howToAllow = "run it as root, or allow user namespaces: sysctl -w kernel.unprivileged_userns_clone=1 " +
	"(Debian) or kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu)"

// isolate runs this program again, with the same arguments, as the first process
// of new mount, network and process namespaces, and waits for it. However it ends,
// the kernel then ends every process started inside, and with them go the network
// namespaces. Without root there is a new user namespace too, in which the user is
// root. In the inner process, isolate returns its folder at once.
//
// dir is empty in the outer process, which has to exit with code.
func isolate(ctx context.Context, args []string) (dir string, code int, err error) {
	if dir = os.Getenv(stageEnv); dir != "" && os.Getpid() == 1 {
		return dir, 0, enter(dir)
	}
	folder, err := os.MkdirTemp("", "totg-lab-") // 0700
	if err != nil {
		return "", 1, fmt.Errorf("make a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(folder) }() // keys of one run; nothing else can be done
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), stageEnv+"="+folder)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = namespaces()
	code, err = supervise(ctx, cmd)
	return "", code, err
}

func namespaces() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	if !privileged() {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return attr
}

// privileged reports whether this process may make namespaces and devices itself.
func privileged() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	need := uint32(1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_NET_ADMIN)
	return data[0].Effective&need == need
}

// supervise runs the inner process, passes signals on and kills it when it does
// not leave in time.
func supervise(ctx context.Context, cmd *exec.Cmd) (int, error) {
	// The terminal's signals reach the inner process as well; its end is the news.
	terminal := make(chan os.Signal, 1)
	signal.Notify(terminal, syscall.SIGQUIT)
	defer signal.Stop(terminal)

	started, ended := make(chan error, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // Pdeathsig counts from the end of this thread
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return 1, privilege("make namespaces", err)
	}
	select {
	case err := <-ended:
		return exitCode(err)
	case <-ctx.Done():
	}
	_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended just now
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
	defer cancel()
	select {
	case err := <-ended:
		return exitCode(err)
	case <-grace.Done():
	}
	_ = cmd.Process.Kill() // as above
	return exitCode(<-ended)
}

// exitCode is the exit code of a process that ended with err, as a shell has it.
func exitCode(err error) (int, error) {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case !errors.As(err, &exit):
		return 1, err
	}
	if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return exit.ExitCode(), nil
}

// enter makes the inner process at home: its mounts are its own, /proc shows its
// own processes, and what it writes to dir goes with it, whoever kills it.
func enter(dir string) error {
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return privilege("make mounts private", err)
	}
	// Containers that hide parts of /proc do not allow a new one; the old one does.
	_ = unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	_ = unix.Mount("totg-lab", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0700") // else dir is on disk
	return nil
}

// privilege explains an error that privileges would avoid.
func privilege(what string, err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSYS) {
		return fmt.Errorf("%w to %s (%s): %s", ErrPrivilege, what, plain(err), howToAllow)
	}
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("%w to %s: run it as root, or allow more: sysctl -w user.max_user_namespaces=10000", ErrPrivilege, what)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// plain is the innermost text of an error: paths like /proc/self/exe tell a user
// nothing.
func plain(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return strings.TrimSpace(err.Error())
}
