package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The lab runs its own program again. In these tests that is the test binary,
// which behaves as a lab when jobEnv says what to do.
const jobEnv = "TOTG_LAB_TEST"

// job is what a test wants to be done inside a lab.
type job struct {
	Kind string // "run", "measure", "load" or "congestion"
	Load int64  // bit/s, 0 for as much as possible

	Pcap, Report, Congestion string
	Compare                  []string
	Cable                    bool
	Settings                 map[string]string
	Command                  []string
	A, B                     string
	Quiet                    bool
	User                     bool // as an unprivileged user
}

func TestMain(m *testing.M) {
	if rate := os.Getenv(loadEnv); rate != "" {
		n, err := strconv.ParseInt(rate, 10, 64)
		must(err)
		must(sendLoad(n))
		os.Exit(0)
	}
	if where := os.Getenv(portEnv); where != "" {
		must(hello(where))
		os.Exit(0)
	}
	text := os.Getenv(jobEnv)
	if text == "" {
		os.Exit(m.Run())
	}
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		panic(err)
	}
	if j.User && os.Getuid() == 0 && os.Getenv(stageEnv) == "" {
		become()
	}
	code, err := j.do()
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
	}
	os.Exit(code)
}

func (j job) do() (int, error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var s Spec
	for k, v := range j.Settings {
		if err := s.Set(Both, k, v); err != nil {
			return 2, err
		}
	}
	path, err := s.Resolve()
	if err != nil {
		return 2, err
	}
	if j.Kind == "measure" {
		return measure(ctx, path)
	}
	if j.Kind == "load" {
		return load(ctx, path, j.Load)
	}
	if j.Kind == "congestion" {
		return showCongestion(ctx, path, j.Congestion)
	}
	return Run(ctx, Options{
		Link: path, NoTunnel: true, Pcap: j.Pcap, Report: j.Report, Compare: j.Compare, Cable: j.Cable, Port: helloPort, CommandA: j.A, CommandB: j.B, Command: j.Command, Congestion: DefaultCongestion,
		Seed: 1, Quiet: j.Quiet, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	})
}

// measured is what the "measure" job prints.
type measured struct {
	Echo   Echo
	Load   Download
	Cut    Download // cut off at once
	Closed bool     // a closed world refuses work
	Up     Wire
}

// measure pings and downloads over the bare link.
func measure(ctx context.Context, path Path) (int, error) {
	dir, code, err := isolate(ctx, os.Args[1:])
	if dir == "" || err != nil {
		return code, err
	}
	w, err := newWorld(worldConfig{path: path, congestion: DefaultCongestion, seed: 1})
	if err != nil {
		return 1, err
	}
	defer w.close()
	const size = 1 << 20
	_, stop, err := serve(w.b, size, DefaultCongestion)
	if err != nil {
		return 1, err
	}
	defer stop()
	var m measured
	var load, cut download
	if m.Echo, err = ping(ctx, w.a, directB, series{20, 10 * time.Millisecond, time.Second}); err != nil {
		return 1, err
	}
	if m.Load, err = load.run(ctx, w.a, directB, size); err != nil {
		return 1, err
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if m.Cut, err = cut.run(ended, w.a, directB, size); err != nil {
		return 1, err
	}
	w.close()
	m.Closed = errors.Is(w.a.ns.do(func() error { return nil }), errStopped)
	m.Up, _ = w.wire.stats()
	return 0, json.NewEncoder(os.Stdout).Encode(m)
}

// showCongestion prints the congestion control of both ends of a connection.
func showCongestion(ctx context.Context, path Path, name string) (int, error) {
	dir, code, err := isolate(ctx, os.Args[1:])
	if dir == "" || err != nil {
		return code, err
	}
	w, err := newWorld(worldConfig{path: path, congestion: name, seed: 1})
	if err != nil {
		return 1, err
	}
	defer w.close()
	if err := w.congest(wireName, name); err != nil {
		return 1, err
	}
	var l net.Listener
	var a, b net.Conn
	err = w.b.ns.do(func() error {
		l, err = net.Listen("tcp4", directB+":0")
		return err
	})
	if err == nil {
		err = w.a.ns.do(func() error {
			a, err = net.Dial("tcp4", l.Addr().String())
			return err
		})
	}
	if err == nil {
		b, err = l.Accept()
	}
	if err != nil {
		return 1, err
	}
	fmt.Println(congestionOf(a), congestionOf(b))
	return 0, nil
}

func congestionOf(c net.Conn) (name string) {
	raw, err := c.(*net.TCPConn).SyscallConn()
	must(err)
	must(raw.Control(func(fd uintptr) { name, err = unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION) }))
	must(err)
	return trimZero(name)
}

const (
	portEnv   = "TOTG_LAB_HELLO" // makes the test binary say hello, "listen" in B, else to that address
	helloPort = 5201
)

// hello sends or receives a greeting on helloPort.
func hello(where string) error {
	if where == "listen" {
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", helloPort))
		if err != nil {
			return err
		}
		for {
			c, err := l.Accept()
			if err != nil {
				return err
			}
			_, _ = io.WriteString(c, "hello from B\n") // a forwarder may only have knocked
			_ = c.Close()
		}
	}
	var err error
	for range 100 { // the listener may come up late, behind a forwarder that does not say so
		var c net.Conn
		if c, err = net.Dial("tcp", net.JoinHostPort(where, strconv.Itoa(helloPort))); err == nil {
			var text []byte
			if text, err = io.ReadAll(c); len(text) > 0 {
				_, err = os.Stdout.Write(text)
				return err
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("no greeting: %w", err)
}

// become starts this process again as an unprivileged user on a usual system: one
// where everyone may open /dev/net/tun.
func become() {
	runtime.LockOSThread() // mounts are a thread's own
	must(syscall.Unshare(syscall.CLONE_NEWNS))
	must(unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	dir, err := os.MkdirTemp("", "totg-tun-")
	must(err)
	node := filepath.Join(dir, "tun")
	must(unix.Mknod(node, unix.S_IFCHR|0o666, int(unix.Mkdev(10, 200))))
	must(os.Chmod(node, 0o666))
	must(unix.Mount(node, "/dev/net/tun", "", unix.MS_BIND, ""))
	must(os.RemoveAll(dir))
	must(syscall.Setgroups(nil))
	must(syscall.Setresgid(65534, 65534, 65534))
	must(syscall.Setresuid(65534, 65534, 65534))
	must(syscall.Exec("/proc/self/exe", os.Args, os.Environ()))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// outcome is how a job ended.
type outcome struct {
	stdout, stderr string
	code           int
}

// start starts a job in a process of its own.
func (j job) start(tb testing.TB) (cmd *exec.Cmd, wait func() outcome) {
	tb.Helper()
	text, err := json.Marshal(j)
	if err != nil {
		tb.Fatal(err)
	}
	cmd = exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), jobEnv+"="+string(text), "TMPDIR="+os.TempDir())
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	return cmd, func() outcome {
		code, err := exitCode(cmd.Wait())
		if err != nil {
			tb.Fatal(err)
		}
		return outcome{stdout.String(), stderr.String(), code}
	}
}

func (j job) run(tb testing.TB) outcome {
	tb.Helper()
	_, wait := j.start(tb)
	return wait()
}

// alive counts the processes whose command line is exactly that.
func alive(t *testing.T, argv ...string) int {
	t.Helper()
	n := 0
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		b, err := os.ReadFile(d + "/cmdline")
		if err == nil && string(bytes.ReplaceAll(b, []byte{0}, []byte{' '})) == argvText(argv) {
			n++
		}
	}
	return n
}

func argvText(argv []string) string {
	var s string
	for _, a := range argv {
		s += a + " "
	}
	return s
}

// unlikely is a number of seconds to sleep that no other process uses.
func unlikely() string { return strconv.Itoa(1_000_000 + os.Getpid()) }
