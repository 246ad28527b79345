package e2e

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"
)

// star is a hub with two spokes. The hub's peers are called s1 and s2.
type star struct {
	hub, s1, s2 *host
	config      tunnel // of the hub
}

func newStar(t *testing.T) *star {
	t.Helper()
	s := &star{hub: newHost(t, "hub"), s1: newHost(t, "s1"), s2: newHost(t, "s2")}
	connect(s.hub, s.s1, 1)
	connect(s.hub, s.s2, 2)
	s.config = tunnel{
		addresses: []string{inside(1) + "/24", inside6(1) + "/64"},
		peers: []peer{
			{name: "s1", key: s.s1.public, allowed: []string{inside(2) + "/32", inside6(2) + "/128"}},
			{name: "s2", key: s.s2.public, allowed: []string{inside(3) + "/32", inside6(3) + "/128"}},
		},
	}
	return s
}

// spoke is the configuration of spoke i, to whom the hub is the way to all others.
func (s *star) spoke(i int) tunnel {
	return tunnel{
		addresses: []string{inside(1+i) + "/24", inside6(1+i) + "/64"},
		peers: []peer{{
			name: "hub", key: s.hub.public, endpoint: net.JoinHostPort(outside(i, 1), fmt.Sprint(port)), keepalive: "1s",
			allowed: []string{inside(0) + "/24", "fd77::/64"},
		}},
	}
}

// T-1: a peer may send from its allowed prefixes alone; the rest is dropped and
// counted.
func TestHub(t *testing.T) {
	s := newStar(t)
	s.hub.sysctl("net.ipv4.ip_forward", "1")
	s.hub.sysctl("net.ipv6.conf.all.forwarding", "1")
	s.hub.up(s.config)
	s.s1.up(s.spoke(1))
	s.s2.up(s.spoke(2))
	s.s1.reaches(inside(1), inside6(1))
	s.s2.reaches(inside(1), inside6(1))
	s.s1.reaches(inside(3), inside6(3)) // from spoke to spoke
	s.hub.reaches(inside(2), inside(3))

	sink := s.hub.listenUDP("0.0.0.0:9999")
	target := net.JoinHostPort(inside(1), "9999")
	s.s1.ip("address", "add", inside(3)+"/32", "dev", "totg0") // the other spoke's
	s.s1.ip("address", "add", "192.0.2.66/32", "dev", "totg0") // nobody's
	counted := func() uint64 {
		st, err := s.hub.status("totg0")
		if err != nil {
			t.Fatal(err)
		}
		return st.Drops["source"]
	}
	before := counted()
	for i, foreign := range []string{inside(3), "192.0.2.66"} {
		s.s1.sendUDP(foreign+":9999", target, "foreign")
		eventually(t, patience, func() error {
			if n := counted(); n < before+uint64(i)+1 {
				return fmt.Errorf("%d packets counted as dropped for their source, want %d", n, before+uint64(i)+1)
			}
			return nil
		})
	}
	s.s1.sendUDP(inside(2)+":9999", target, "own")
	_ = sink.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, 100)
	n, from, err := sink.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "own" {
		t.Errorf("the hub received %q from %v, %v; want the packet from the right source alone", buf[:n], from, err)
	}
}

// sendUDP sends one datagram from a local address.
func (h *host) sendUDP(local, to, text string) {
	h.t.Helper()
	c, err := h.dial("udp", local, to, patience)
	if err != nil {
		h.t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // a datagram is gone at once
	if _, err := c.Write([]byte(text)); err != nil {
		h.t.Fatal(err)
	}
}

// SIGHUP adds and removes a peer, and refuses a file with a mistake, while another
// peer's TCP connection goes on.
func TestReload(t *testing.T) {
	s := newStar(t)
	both := s.config
	one := both
	one.peers = both.peers[:1]
	d := s.hub.up(one)
	s.s1.up(s.spoke(1))
	s.s2.up(s.spoke(2))
	s.s1.reaches(inside(1))
	c := s.s1.converse(net.JoinHostPort(inside(1), s.hub.echo()))
	if s.s2.ping(inside(1)) == nil {
		t.Fatal("a spoke that the hub does not know gets through")
	}

	reload := func(text string, peers int) {
		t.Helper()
		s.hub.write(text)
		d.signal(syscall.SIGHUP)
		eventually(t, patience, func() error {
			st, err := s.hub.status("totg0")
			if err == nil && len(st.Peers) != peers {
				err = fmt.Errorf("%d peers, want %d", len(st.Peers), peers)
			}
			return err
		})
		c.goesOn()
	}
	reload(both.toml(), 2)
	s.s2.reaches(inside(1), inside6(1))
	c.goesOn()

	s.hub.write(both.toml() + "nonsense = 1\n")
	d.signal(syscall.SIGHUP)
	eventually(t, patience, func() error {
		if !contains(d.log.String(), "not reloaded") {
			return errors.New("nothing in the log about the mistake")
		}
		return nil
	})
	s.s2.reaches(inside(1))

	reload(one.toml(), 1)
	eventually(t, patience, func() error {
		if s.s2.ping(inside(1)) == nil {
			return errors.New("a spoke that was removed still gets through")
		}
		return nil
	})
	if routes := s.hub.ip("route"); contains(routes, inside(3)) {
		t.Errorf("the route to the removed peer is still there:\n%s", routes)
	}
	reload(both.toml(), 2)
	s.s2.reaches(inside(1))
	c.goesOn()
	d.stop()
}
