package tunnel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/totg/totg/tunnel/config"
	"github.com/totg/totg/tunnel/control"
	"github.com/totg/totg/tunnel/tun/netnstest"
)

// side is one of two tunnels in this process, each in a network namespace.
type side struct {
	t      *testing.T
	ns     *netnstest.NS
	config *config.Config
	reload chan *config.Config
	stop   context.CancelFunc
	ended  chan error
	log    syncBuffer
}

// syncBuffer is written by the tunnel and read by the test.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// newSides makes two hosts with a link and a configuration each: the first calls the
// second by a host name.
func newSides(t *testing.T) (a, b *side) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv(control.DirVariable, dir)
	pair := [2]*side{{t: t, ns: netnstest.New(t)}, {t: t, ns: netnstest.New(t)}}
	pair[0].link(pair[1])
	for i, s := range pair {
		s.config = &config.Config{
			Interface: config.Interface{
				Name: fmt.Sprintf("totg%d", i), Mode: config.ModeTUN, PrivateKey: newKey(t, byte(i)),
				Addresses: prefixes(fmt.Sprintf("10.77.0.%d/24", 1+i), fmt.Sprintf("fd77::%d/64", 1+i)),
				Listen:    netip.MustParseAddrPort("[::]:4430"), MTU: 1500, Bandwidth: 2e7, Rate: config.RateFixed,
				Redundancy: config.AutoRedundancy,
			},
			Peers: []config.Peer{{
				Name: "other", PublicKey: newKey(t, byte(1-i)).Public(),
				AllowedIPs: prefixes(fmt.Sprintf("10.77.0.%d/32", 2-i), fmt.Sprintf("fd77::%d/128", 2-i)),
			}},
		}
	}
	pair[0].config.Peers[0].Endpoint = "10.99.0.2:4430"
	for _, s := range pair {
		s.settle()
	}
	return pair[0], pair[1]
}

// link joins the hosts. The other end's name is moved by way of its descriptor.
func (s *side) link(other *side) {
	s.t.Helper()
	pid := make(chan int, 1)
	release := make(chan struct{})
	var holder sync.WaitGroup
	holder.Go(func() { // a process inside lends its namespace
		other.ns.Do(s.t, func() {
			cmd := exec.Command("sleep", "60")
			if err := cmd.Start(); err != nil {
				s.t.Error(err)
				pid <- 0
				return
			}
			pid <- cmd.Process.Pid
			<-release
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	})
	s.ns.Run(s.t, "ip", "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", fmt.Sprint(<-pid))
	close(release)
	holder.Wait()
	for i, x := range []*side{s, other} {
		x.ns.Run(s.t, "ip", "link", "set", "wire", "addrgenmode", "none", "up")
		x.ns.Run(s.t, "ip", "address", "add", fmt.Sprintf("10.99.0.%d/24", 1+i), "dev", "wire")
	}
}

// start runs the tunnel. Its end is on the channel ended.
func (s *side) start() {
	s.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	s.stop, s.ended, s.reload = stop, make(chan error, 1), make(chan *config.Config)
	go s.ns.Do(s.t, func() {
		s.ended <- Run(ctx, Options{
			Config: s.config, Log: slog.New(slog.NewTextHandler(&s.log, nil)), Reload: s.reload, Version: "test",
		})
	})
	s.t.Cleanup(func() {
		stop()
		if s.t.Failed() {
			s.t.Logf("log of %s:\n%s", s.config.Interface.Name, s.log.String())
		}
	})
}

// end waits for the tunnel's end.
func (s *side) end() error {
	s.t.Helper()
	select {
	case err := <-s.ended:
		return err
	case <-time.After(10 * time.Second):
		s.t.Fatal("the tunnel does not end")
		return nil
	}
}

func (s *side) ping(address string) error {
	var err error
	s.ns.Do(s.t, func() { err = exec.Command("ping", "-n", "-c", "1", "-W", "1", address).Run() })
	return err
}

func (s *side) status() (control.Status, error) {
	return control.Query(control.Path(s.config.Interface.Name))
}

// network is what Run could leave behind.
func (s *side) network() string {
	text := ""
	for _, what := range []string{"address", "route show table all", "-6 route show table all", "rule", "-6 rule"} {
		text += s.ns.Run(s.t, "ip", strings.Fields(what)...)
	}
	return text
}

// settle waits until the link is up, so that nothing but what a test does changes
// the network.
func (s *side) settle() {
	s.t.Helper()
	eventually(s.t, func() error {
		text := s.network()
		for _, word := range []string{"NO-CARRIER", "linkdown"} {
			if strings.Contains(text, word) {
				return fmt.Errorf("the link does not settle:\n%s", text)
			}
		}
		return nil
	})
}

func eventually(t *testing.T, f func() error) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// T-1, T-4: the shell from its start to its end, mostly for the race detector: packets
// both ways, status and reloads meanwhile, and nothing left.
func TestRun(t *testing.T) {
	a, b := newSides(t)
	before := a.network()
	b.start()
	a.start()
	for _, address := range []string{"10.77.0.2", "fd77::2"} {
		eventually(t, func() error { return a.ping(address) })
	}
	st, err := a.status()
	if err != nil {
		t.Fatal(err)
	}
	if st.Version != "test" || st.PID != os.Getpid() || st.Interface != "totg0" || st.Listen != "[::]:4430" || st.RateBits != 2e7 ||
		st.MTU != 1500 || st.Uptime <= 0 || len(st.Peers) != 1 || st.Peers[0].State != control.StateUp || st.Peers[0].RxPackets < 2 {
		t.Errorf("status: %+v", st)
	}

	// With default routes and back, with another name for the peer to see it by.
	for i, allowed := range []string{"0.0.0.0/0", "10.77.0.2/32"} {
		changed := clone(a.config)
		changed.Peers[0].Name = fmt.Sprintf("other%d", i)
		changed.Peers[0].AllowedIPs = prefixes(allowed, "fd77::2/128")
		a.reload <- changed
		eventually(t, func() error {
			st, err := a.status()
			if err == nil && st.Peers[0].Name != changed.Peers[0].Name {
				err = errors.New("not reloaded")
			}
			return err
		})
		if rules := a.ns.Run(t, "ip", "rule"); strings.Contains(rules, "fwmark") != (i == 0) {
			t.Errorf("rules with %s:\n%s", allowed, rules)
		}
		eventually(t, func() error { return a.ping("10.77.0.2") })
	}

	a.stop()
	if err := a.end(); err != nil {
		t.Errorf("the end: %v", err)
	}
	if after := a.network(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if _, err := a.status(); !errors.Is(err, control.ErrNotUp) {
		t.Errorf("status after the end: %v", err)
	}
	eventually(t, func() error {
		st, err := b.status()
		if err == nil && st.Peers[0].State == control.StateUp {
			err = errors.New("the other side was not told")
		}
		return err
	})
	if err := control.Stop(control.Path("totg1")); err != nil {
		t.Error(err)
	}
	if err := b.end(); err != nil {
		t.Errorf("the end by request: %v", err)
	}
}

// Run undoes what it did when it cannot go on, and says why.
func TestRunFails(t *testing.T) {
	a, _ := newSides(t)
	before := a.network()
	for name, change := range map[string]func(c *config.Config){
		"address of nobody": func(c *config.Config) { c.Interface.Listen = netip.MustParseAddrPort("198.51.100.1:4430") },
		"taken name":        func(c *config.Config) { c.Interface.Name = "wire" },
		"route in the way":  func(c *config.Config) { c.Peers[0].AllowedIPs = prefixes("10.99.0.0/24") },
	} {
		t.Run(name, func(t *testing.T) {
			c := clone(a.config)
			change(c)
			s := &side{t: t, ns: a.ns, config: c}
			s.start()
			err := s.end()
			if err == nil || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line", err)
			}
			t.Log(err)
			if after := a.network(); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}

// A tunnel whose interface is taken away ends, with an error.
func TestRunInterfaceDeleted(t *testing.T) {
	a, _ := newSides(t)
	a.config.Peers[0].Endpoint = "nowhere.invalid:4430" // still asked for when it ends
	a.start()
	eventually(t, func() error { _, err := a.status(); return err })
	a.ns.Run(t, "ip", "link", "delete", "totg0")
	if err := a.end(); err == nil || !strings.Contains(err.Error(), `interface "totg0" is gone`) {
		t.Errorf("ended with %v", err)
	}
}

// T-2: datagrams say that marks are answered, unless the rate is fixed.
func TestRunECN(t *testing.T) {
	for mode, want := range map[config.RateMode]byte{config.RateFair: 2, config.RateScavenger: 2, config.RateFixed: 0} {
		t.Run(string(mode), func(t *testing.T) {
			a, b := newSides(t)
			a.config.Interface.Rate = mode
			var listener *net.UDPConn
			b.ns.Do(t, func() { listener = listenTOS(t, "10.99.0.2:4430") })
			a.config.Peers[0].Endpoint = "10.99.0.2:4430"
			a.start()
			oob := make([]byte, 128)
			if err := listener.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			_, n, _, _, err := listener.ReadMsgUDPAddrPort(make([]byte, 2048), oob)
			if err != nil {
				t.Fatal(err)
			}
			list, err := unix.ParseSocketControlMessage(oob[:n])
			if err != nil || len(list) != 1 || len(list[0].Data) == 0 || list[0].Data[0] != want {
				t.Errorf("TOS %+v, %v, want %d", list, err, want)
			}
		})
	}
}

// listenTOS binds a socket that tells the TOS byte of what it receives.
func listenTOS(t *testing.T, address string) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address)))
	if err != nil {
		t.Error(err)
		return nil
	}
	t.Cleanup(func() { _ = conn.Close() })
	raw, err := conn.SyscallConn()
	if err == nil {
		cerr := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVTOS, 1) })
		err = errors.Join(err, cerr)
	}
	if err != nil {
		t.Error(err)
	}
	return conn
}
