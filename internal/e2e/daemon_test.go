package e2e

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const port = 4430

// tunnel is what a configuration file says.
type tunnel struct {
	name      string // totg0 if empty
	mode      string // tun if empty
	routes    string // always if empty
	rekey     string // 2m if empty
	bandwidth string // 40Mbit if empty
	rate      string // fair if empty
	listen    string // [::]:4430 if empty
	addresses []string
	peers     []peer
}

type peer struct {
	name, key, endpoint, keepalive string
	allowed                        []string
	agree                          []string
	reliable                       []string // protocols that travel in mode tcp
}

func (c tunnel) toml() string {
	var b strings.Builder
	fmt.Fprintf(&b, "[interface]\nname = %q\nprivate_key_file = \"key\"\naddresses = %s\nbandwidth = %q\n",
		c.interfaceName(), list(c.addresses), cmp.Or(c.bandwidth, "40Mbit"))
	if c.mode != "" {
		fmt.Fprintf(&b, "mode = %q\n", c.mode)
	}
	if c.routes != "" {
		fmt.Fprintf(&b, "routes = %q\n", c.routes)
	}
	if c.rate != "" {
		fmt.Fprintf(&b, "rate = %q\n", c.rate)
	}
	if c.rekey != "" {
		fmt.Fprintf(&b, "rekey = %q\n", c.rekey)
	}
	if c.listen != "" {
		fmt.Fprintf(&b, "listen = %q\n", c.listen)
	}
	for _, p := range c.peers {
		fmt.Fprintf(&b, "\n[[peer]]\nname = %q\npublic_key = %q\n", p.name, p.key)
		if p.endpoint != "" {
			fmt.Fprintf(&b, "endpoint = %q\n", p.endpoint)
		}
		if p.keepalive != "" {
			fmt.Fprintf(&b, "keepalive = %q\n", p.keepalive)
		}
		if len(p.allowed) > 0 {
			fmt.Fprintf(&b, "allowed_ips = %s\n", list(p.allowed))
		}
		if len(p.agree) > 0 {
			fmt.Fprintf(&b, "agree = %s\n", list(p.agree))
		}
		if len(p.reliable) > 0 {
			fmt.Fprintf(&b, "\n[[peer.rule]]\nprotocol = %s\nmode = \"tcp\"\n", list(p.reliable))
		}
	}
	return b.String()
}

func (c tunnel) interfaceName() string {
	if c.name == "" {
		return "totg0"
	}
	return c.name
}

// list is a TOML list of strings, which are quoted as in JSON.
func list(items []string) string {
	text, err := json.Marshal(items)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// write puts a configuration into the host's folder.
func (h *host) write(text string) {
	h.t.Helper()
	if err := os.WriteFile(h.file(), []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) file() string { return filepath.Join(h.dir, "totg.toml") }

// daemon is a running "totg up".
type daemon struct {
	h    *host
	cmd  *exec.Cmd
	log  logBuffer
	done chan struct{}
	err  error // valid when done is closed
}

// logBuffer is written by the daemon's output and read by the test.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// up starts the tunnel with a configuration; down or kill end it, or the test's end.
func (h *host) up(c tunnel) *daemon {
	h.t.Helper()
	h.write(c.toml())
	d := h.start(program(), "up", "-v", "-c", h.file())
	eventually(h.t, patience, func() error {
		if d.ended() {
			h.t.Fatalf("host %s: totg up ended: %v\n%s", h.name, d.err, d.log.String())
		}
		_, err := h.status(c.interfaceName())
		return err
	})
	return d
}

// start starts a program on the host.
func (h *host) start(name string, args ...string) *daemon {
	h.t.Helper()
	d := &daemon{h: h, cmd: exec.Command(name, args...), done: make(chan struct{})}
	d.cmd.Env = h.env()
	d.cmd.Stdout, d.cmd.Stderr = &d.log, &d.log
	if err := h.do(d.cmd.Start); err != nil {
		h.t.Fatal(err)
	}
	go func() {
		d.err = d.cmd.Wait()
		close(d.done)
	}()
	h.t.Cleanup(func() {
		_ = d.cmd.Process.Kill() // it may have ended
		<-d.done
		if h.t.Failed() {
			h.t.Logf("host %s: %s %s:\n%s", h.name, name, strings.Join(args, " "), tail(d.log.String()))
		}
	})
	return d
}

// tail is the end of a log.
func tail(log string) string {
	const most = 40
	lines := strings.Split(strings.TrimSpace(log), "\n")
	return strings.Join(lines[max(0, len(lines)-most):], "\n")
}

func (d *daemon) ended() bool {
	select {
	case <-d.done:
		return true
	default:
		return false
	}
}

func (d *daemon) signal(sig syscall.Signal) {
	d.h.t.Helper()
	if err := d.cmd.Process.Signal(sig); err != nil {
		d.h.t.Fatal(err)
	}
}

// end waits for the daemon's end and returns its exit code.
func (d *daemon) end() int {
	d.h.t.Helper()
	select {
	case <-d.done:
	case <-time.After(patience):
		d.h.t.Fatalf("host %s: still running after %v", d.h.name, patience)
	}
	if exit, ok := errors.AsType[*exec.ExitError](d.err); ok {
		return exit.ExitCode()
	}
	if d.err != nil {
		d.h.t.Fatal(d.err)
	}
	return 0
}

// stop ends the daemon politely.
func (d *daemon) stop() {
	d.h.t.Helper()
	d.signal(syscall.SIGTERM)
	if code := d.end(); code != 0 {
		d.h.t.Fatalf("host %s: totg up ended with code %d after SIGTERM", d.h.name, code)
	}
}

// kill ends it as a crash would.
func (d *daemon) kill() {
	d.h.t.Helper()
	d.signal(syscall.SIGKILL)
	<-d.done
}

// status is what these tests read of "totg status --json".
type status struct {
	Interface string            `json:"interface"`
	Mode      string            `json:"mode"`
	MTU       int               `json:"mtu"`
	PublicKey string            `json:"public_key"`
	Listen    string            `json:"listen"`
	RateBits  int64             `json:"rate_bits"`
	Uptime    float64           `json:"uptime_seconds"`
	Drops     map[string]uint64 `json:"drops"`
	Peers     []peerStatus      `json:"peers"`
}

type peerStatus struct {
	Name          string            `json:"name"`
	PublicKey     string            `json:"public_key"`
	State         string            `json:"state"`
	Endpoint      string            `json:"endpoint"`
	LastHandshake time.Time         `json:"last_handshake"`
	TxBytes       uint64            `json:"tx_bytes"`
	RxBytes       uint64            `json:"rx_bytes"`
	TxPackets     uint64            `json:"tx_packets"`
	RxPackets     uint64            `json:"rx_packets"`
	TxDatagrams   uint64            `json:"tx_datagrams"`
	RxDatagrams   uint64            `json:"rx_datagrams"`
	KeyEpochs     uint64            `json:"key_epochs"`
	RTT           float64           `json:"rtt_seconds"`
	Drops         map[string]uint64 `json:"drops"`
}

func (h *host) status(name string) (status, error) {
	out, err := h.run(program(), "status", name, "--json")
	if err != nil {
		return status{}, err
	}
	var s status
	return s, json.Unmarshal([]byte(out), &s)
}

// peerStatus is the status of one of the peers of totg0.
func (h *host) peerStatus(name string) (peerStatus, error) {
	s, err := h.status("totg0")
	if err != nil {
		return peerStatus{}, err
	}
	for _, p := range s.Peers {
		if p.Name == name {
			return p, nil
		}
	}
	return peerStatus{}, fmt.Errorf("host %s has no peer %s", h.name, name)
}

// pair is two hosts and a tunnel between them: a calls b, which waits.
type pair struct {
	a, b   *host
	ca, cb tunnel
	da, db *daemon
}

// newPair brings a tunnel up over IPv4 or IPv6.
func newPair(t *testing.T, change ...func(*pair)) *pair {
	t.Helper()
	p := &pair{a: newHost(t, "a"), b: newHost(t, "b")}
	connect(p.a, p.b, 1)
	p.ca, p.cb = pairConfigs(p.a, p.b, outside(1, 2))
	for _, f := range change {
		f(p)
	}
	p.db, p.da = p.b.up(p.cb), p.a.up(p.ca)
	p.a.reaches(inside(2))
	return p
}

// pairConfigs are the configurations of a, which calls b at an address, and of b.
func pairConfigs(a, b *host, endpoint string) (ca, cb tunnel) {
	ca = tunnel{
		addresses: []string{inside(1) + "/24", inside6(1) + "/64"},
		peers: []peer{{
			name: "b", key: b.public, endpoint: netip.AddrPortFrom(netip.MustParseAddr(endpoint), port).String(),
			allowed: []string{inside(2) + "/32", inside6(2) + "/128"},
		}},
	}
	cb = tunnel{
		addresses: []string{inside(2) + "/24", inside6(2) + "/64"},
		peers:     []peer{{name: "a", key: a.public, allowed: []string{inside(1) + "/32", inside6(1) + "/128"}}},
	}
	return ca, cb
}

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
