package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"
)

const (
	// politeTime is how long a command may take to end by itself after a signal
	// that its terminal sent it too, and again after the lab's SIGTERM.
	politeTime = time.Second

	// serverTime lets background commands open their sockets before the
	// foreground command starts.
	serverTime = 300 * time.Millisecond

	interrupted = 128 + int(syscall.SIGINT) // exit code, as a shell has it
)

// child is a background process in a host, in a process group of its own so that
// the terminal's signals do not reach it.
type child struct {
	name string
	cmd  *exec.Cmd
	log  *tail
	done chan struct{}
	err  error // valid after done
}

// background starts argv in h with output to a tail.
func background(h *host, name string, env []string, live io.Writer, argv ...string) (*child, error) {
	c := &child{name: name, log: &tail{prefix: name + ": ", live: live}, done: make(chan struct{})}
	c.cmd = exec.Command(argv[0], argv[1:]...)
	c.cmd.Env = env
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.cmd.WaitDelay = politeTime // a grandchild may hold the output open
	if err := h.ns.start(c.cmd); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		if c.err = c.cmd.Wait(); errors.Is(c.err, exec.ErrWaitDelay) {
			c.err = nil // it left something running, like any daemon
		}
		close(c.done)
	}()
	return c, nil
}

func (c *child) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// wait waits for the end for up to d.
func (c *child) wait(d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	select {
	case <-c.done:
	case <-ctx.Done():
	}
}

// cpu is the processor time that it and its own children took, valid when it has
// ended.
func (c *child) cpu() time.Duration {
	if !c.ended() || c.cmd.ProcessState == nil {
		return 0
	}
	return c.cmd.ProcessState.UserTime() + c.cmd.ProcessState.SystemTime()
}

// stop ends the whole process group, gently first.
func (c *child) stop() {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if c.ended() {
			return
		}
		_ = syscall.Kill(-c.cmd.Process.Pid, sig) // it may have ended just now
		c.wait(2 * politeTime)
	}
}

// foreground runs argv in h on the user's terminal and returns its exit code.
// When ctx ends first, the command gets time to end by itself and is then ended.
func foreground(ctx context.Context, h *host, env []string, opt *Options, argv []string) (int, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = opt.Stdin, opt.Stdout, opt.Stderr
	cmd.WaitDelay = politeTime
	if err := h.ns.start(cmd); err != nil {
		switch {
		case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
			return 127, fmt.Errorf("%s: command not found", argv[0])
		case errors.Is(err, fs.ErrPermission):
			return 126, fmt.Errorf("%s: not allowed to run it", argv[0])
		}
		return 1, err
	}
	var err error
	gone, end := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer end()
		err = cmd.Wait()
	}()
	select {
	case <-gone.Done():
		return commandCode(err)
	case <-ctx.Done():
	}
	for _, sig := range []syscall.Signal{0, syscall.SIGTERM, syscall.SIGKILL} {
		_ = cmd.Process.Signal(sig) // it may have ended just now
		if !sleep(gone, politeTime) {
			break
		}
	}
	return interrupted, nil
}

// commandCode is exitCode, for a command whose own children may outlive it.
func commandCode(err error) (int, error) {
	if errors.Is(err, exec.ErrWaitDelay) {
		return 0, nil
	}
	return exitCode(err)
}

// variable finds the lab's variables in arguments, $TOTG_X and ${TOTG_X}.
func variable() *regexp.Regexp { return regexp.MustCompile(`\$(TOTG_[A-Z0-9_]+|\{TOTG_[A-Z0-9_]+\})`) }

// expand replaces the lab's variables in argv, so that they need no shell and no
// quoting. Unknown ones stay as they are.
func expand(argv []string, vars map[string]string) []string {
	re := variable()
	out := make([]string, len(argv))
	for i, arg := range argv {
		out[i] = re.ReplaceAllStringFunc(arg, func(m string) string {
			if v, ok := vars[strings.Trim(m, "${}")]; ok {
				return v
			}
			return m
		})
	}
	return out
}

// environment is this process's environment with the lab's variables.
func environment(vars map[string]string) []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, stageEnv+"=") {
			env = append(env, kv)
		}
	}
	for k, v := range vars {
		env = append(env, k+"="+v)
	}
	return env
}

// shell is the user's shell.
func shell() []string {
	if s := os.Getenv("SHELL"); s != "" {
		if _, err := exec.LookPath(s); err == nil && !strings.HasSuffix(s, "nologin") && !strings.HasSuffix(s, "false") {
			return []string{s}
		}
	}
	return []string{"/bin/sh"}
}
