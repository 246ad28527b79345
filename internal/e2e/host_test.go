package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds the wait for what takes a moment: far more than it takes, for the
// machine may be busy.
const patience = 15 * time.Second

// hosts numbers the namespaces of the whole run.
var hosts atomic.Int64

// host is a machine of a test: a named network namespace, a folder, a key.
type host struct {
	t      *testing.T
	name   string
	ns     *os.File
	netns  string // as ip calls it
	dir    string // files of the tunnel; its control socket is in run below
	public string // key
}

// newHost makes a namespace with nothing but loopback, and a key pair.
func newHost(t *testing.T, name string) *host {
	t.Helper()
	recordSources(t)
	h := &host{t: t, name: name, netns: fmt.Sprintf("%s%d", name, hosts.Add(1))}
	command(t, "ip", "netns", "add", h.netns)
	var err error
	if h.ns, err = os.Open("/run/netns/" + h.netns); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = h.ns.Close() // read-only
		command(t, "ip", "netns", "del", h.netns)
	})
	h.ip("link", "set", "lo", "up")
	h.dir = filepath.Join(stateDir, h.netns)
	if err := os.MkdirAll(filepath.Join(h.dir, "run"), 0o700); err != nil {
		t.Fatal(err)
	}
	h.public = strings.TrimSpace(h.totg("keygen", "-o", filepath.Join(h.dir, "key")))
	return h
}

// connect joins two hosts by a link: its network is 10.99.n.0/24 and fd99:n::/64, a
// has the host number 1 and b has 2.
func connect(a, b *host, n int) {
	a.t.Helper()
	link := fmt.Sprintf("link%d", n)
	command(a.t, "ip", "link", "add", link, "netns", a.netns, "type", "veth", "peer", "name", link, "netns", b.netns)
	for i, h := range []*host{a, b} {
		// The kernel's own link-local addresses would change while the test runs.
		h.ip("link", "set", link, "addrgenmode", "none")
		h.ip("link", "set", link, "up")
		h.ip("address", "add", outside(n, i+1)+"/24", "dev", link)
		h.ip("address", "add", outside6(n, i+1)+"/64", "dev", link, "nodad")
		h.ip("address", "add", fmt.Sprintf("fe80::%d/64", i+1), "dev", link, "nodad") // a router cannot do without
	}
}

func outside(n, i int) string  { return fmt.Sprintf("10.99.%d.%d", n, i) }
func outside6(n, i int) string { return fmt.Sprintf("fd99:%d::%d", n, i) }
func inside(i int) string      { return fmt.Sprintf("10.77.0.%d", i) }
func inside6(i int) string     { return fmt.Sprintf("fd77::%d", i) }

// do runs f on a thread inside the namespace. Sockets that f opens and processes
// that it starts belong there.
func (h *host) do(f func() error) error {
	errc := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Setns(int(h.ns.Fd()), unix.CLONE_NEWNET); err != nil {
			errc <- fmt.Errorf("enter the namespace of %s: %w", h.name, err)
			return
		}
		errc <- f()
	}()
	return <-errc
}

// run runs a program on the host and returns what it prints.
func (h *host) run(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = h.env()
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := h.do(cmd.Start); err != nil {
		return "", err
	}
	err := cmd.Wait()
	if err != nil {
		err = fmt.Errorf("host %s: %s %s: %w: %s", h.name, name, strings.Join(args, " "), err, strings.TrimSpace(complaint.String()))
	}
	return out.String(), err
}

// must is run, where a failure ends the test.
func (h *host) must(name string, args ...string) string {
	h.t.Helper()
	out, err := h.run(name, args...)
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

func (h *host) ip(args ...string) string {
	h.t.Helper()
	return h.must("ip", args...)
}

// totg runs the program under test on the host.
func (h *host) totg(args ...string) string {
	h.t.Helper()
	return h.must(program(), args...)
}

// sysctl sets a kernel variable of the host.
func (h *host) sysctl(name, value string) {
	h.t.Helper()
	path := "/proc/sys/" + strings.ReplaceAll(name, ".", "/")
	if err := h.do(func() error { return os.WriteFile(path, []byte(value), 0) }); err != nil {
		h.t.Fatal(err)
	}
}

// env has the folder of the host's control sockets: hosts share the file system.
func (h *host) env() []string {
	return append(os.Environ(), "TOTG_RUN_DIR="+filepath.Join(h.dir, "run"), "TOTG_STATE_DIR="+filepath.Join(h.dir, "state"))
}

// ping sends one request to an address.
func (h *host) ping(address string) error {
	_, err := h.run("ping", "-n", "-c", "1", "-W", "1", address)
	return err
}

// reaches waits until addresses answer.
func (h *host) reaches(addresses ...string) {
	h.t.Helper()
	for _, a := range addresses {
		eventually(h.t, patience, func() error { return h.ping(a) })
	}
}

func (h *host) listen(network, address string) (l net.Listener, err error) {
	err = h.do(func() error {
		l, err = (&net.ListenConfig{}).Listen(context.Background(), network, address)
		return err
	})
	return l, err
}

func (h *host) listenUDP(address string) net.PacketConn {
	h.t.Helper()
	var c net.PacketConn
	err := h.do(func() (err error) {
		c, err = (&net.ListenConfig{}).ListenPacket(context.Background(), "udp", address)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = c.Close() })
	return c
}

// dial connects within a time; the local address may be empty.
func (h *host) dial(network, local, address string, within time.Duration) (c net.Conn, err error) {
	d := net.Dialer{Timeout: within}
	if local != "" && network == "udp" {
		d.LocalAddr = net.UDPAddrFromAddrPort(addrPort(local))
	}
	err = h.do(func() error {
		c, err = d.Dial(network, address)
		return err
	})
	return c, err
}

// eventually calls f until it returns nil; the test ends when it does not in time.
func eventually(t *testing.T, within time.Duration, f func() error) {
	t.Helper()
	err := waitFor(within, f)
	if err != nil {
		t.Fatalf("not within %v: %v", within, err)
	}
}

func waitFor(within time.Duration, f func() error) error {
	for end := time.Now().Add(within); ; time.Sleep(20 * time.Millisecond) {
		err := f()
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

// command runs a program on no host in particular.
func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func program() string { return os.Getenv(stageEnv) }

// recordSources reads the program's source files, once: go test remembers the outcome
// of a test together with the files it read, and must not remember this one when the
// program, which the tests do not import, has changed.
func recordSources(t *testing.T) {
	t.Helper()
	if err := readSources(); err != nil {
		t.Fatal(err)
	}
}

var readSources = sync.OnceValue(func() error {
	const root = "../.."
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && name == ".git":
			return fs.SkipDir
		case name != "go.mod" && name != "profiles.toml" && (filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go")):
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close() //nolint:errcheck // nothing was written
		_, err = io.Copy(io.Discard, f)
		return err
	})
})
