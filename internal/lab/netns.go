package lab

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// netns is a network namespace of its own. It exists as long as the descriptor
// or a process or socket inside it does. Its methods may be called concurrently.
type netns struct {
	mu   sync.Mutex
	file *os.File // nil when closed
}

// newNetns makes a namespace.
func newNetns() (*netns, error) {
	var file *os.File
	err := onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return privilege("make a network namespace", err)
		}
		var err error
		file, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		return nil, err
	}
	return &netns{file: file}, nil
}

// do runs f on a thread inside the namespace. Sockets and devices that f opens
// belong to the namespace for good, whoever uses them later.
func (n *netns) do(f func() error) error {
	n.mu.Lock()
	file := n.file
	n.mu.Unlock()
	if file == nil {
		return errStopped
	}
	return onOwnThread(func() error {
		if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace: %w", err)
		}
		return f()
	})
}

// start starts a command inside the namespace.
func (n *netns) start(cmd *exec.Cmd) error { return n.do(cmd.Start) }

// path names the namespace for nsenter and the like, as seen by this process's
// children.
func (n *netns) path() string {
	self, err := os.Readlink("/proc/self") // not Getpid: /proc may be of an outer pid namespace
	n.mu.Lock()
	defer n.mu.Unlock()
	if err != nil || n.file == nil {
		return ""
	}
	return fmt.Sprintf("/proc/%s/fd/%d", self, n.file.Fd())
}

func (n *netns) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.file != nil {
		_ = n.file.Close() // read-only descriptor: nothing to lose
		n.file = nil
	}
}

// onOwnThread runs f on a thread that is thrown away afterwards, so that its
// namespace cannot leak into other goroutines.
func onOwnThread(f func() error) error {
	errc := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		errc <- f()
	}()
	return <-errc
}
