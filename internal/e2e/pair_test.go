package e2e

import (
	"fmt"
	"net"
	"testing"
	"time"
)

// T-1: two hosts, a configuration file each, IPv4 and IPv6 inside and outside; ping,
// TCP and UDP, short and long packets.
func TestPair(t *testing.T) {
	for _, outer := range []struct{ name, endpoint string }{{"over IPv4", outside(1, 2)}, {"over IPv6", outside6(1, 2)}} {
		t.Run(outer.name, func(t *testing.T) {
			p := newPair(t, func(p *pair) { p.ca, p.cb = pairConfigs(p.a, p.b, outer.endpoint) })
			p.b.web()
			echo := p.b.echo()
			for _, inner := range []string{inside(2), inside6(2)} {
				p.a.reaches(inner)
				p.a.must("ping", "-n", "-c", "3", "-i", "0.2", "-W", "5", "-s", "1400", inner)
				server := net.JoinHostPort(inner, echo)
				if err := p.a.exchange(server, patience); err != nil {
					t.Errorf("TCP: %v", err)
				}
				for _, size := range []int{1, 1000, 1452, 8000} { // the last one in fragments
					eventually(t, patience, func() error { return p.a.exchangeUDP(server, size) })
				}
				if err := fetch(p.a, inner, 1_000_000); err != nil {
					t.Errorf("HTTP: %v", err)
				}
			}
			p.b.reaches(inside(1), inside6(1))
			checkStatus(t, p, outer.endpoint)
		})
	}
}

// checkStatus holds "totg status --json" to what went on in TestPair.
func checkStatus(t *testing.T, p *pair, endpoint string) {
	t.Helper()
	sa, err := p.a.status("totg0")
	if err != nil {
		t.Fatal(err)
	}
	if sa.Interface != "totg0" || sa.Mode != "tun" || sa.MTU != 1500 || sa.RateBits != 40_000_000 || sa.Uptime <= 0 ||
		sa.PublicKey != p.a.public || len(sa.Peers) != 1 {
		t.Fatalf("status of a: %+v", sa)
	}
	of := sa.Peers[0]
	if of.Name != "b" || of.PublicKey != p.b.public || of.State != "up" || of.RTT <= 0 ||
		of.Endpoint != net.JoinHostPort(endpoint, fmt.Sprint(port)) || time.Since(of.LastHandshake) > time.Minute {
		t.Errorf("status of a's peer: %+v", of)
	}
	// Two downloads of 1 MB came from b, and requests went there.
	if of.RxBytes < 2_000_000 || of.TxPackets < 20 || of.RxPackets < 20 || of.TxDatagrams == 0 || of.RxDatagrams == 0 {
		t.Errorf("counters of a's peer: %+v", of)
	}
	sb, err := p.b.peerStatus("a")
	if err != nil {
		t.Fatal(err)
	}
	if sb.State != "up" || sb.TxBytes < of.RxBytes || sb.TxPackets < of.RxPackets {
		t.Errorf("b sent less than a received: %+v, %+v", sb, of)
	}
	text := p.a.totg("status", "totg0")
	for _, want := range []string{"totg0", "b ", "up"} {
		if !contains(text, want) {
			t.Errorf("status for people lacks %q:\n%s", want, text)
		}
	}
}

// T-1: Ethernet frames between two TAP interfaces.
func TestTAP(t *testing.T) {
	p := newPair(t, func(p *pair) {
		p.ca.mode, p.cb.mode = "tap", "tap"
		p.ca.peers[0].allowed, p.cb.peers[0].allowed = nil, nil
	})
	echo := p.b.echo()
	for _, inner := range []string{inside(2), inside6(2)} {
		p.a.reaches(inner)
		if err := p.a.exchange(net.JoinHostPort(inner, echo), patience); err != nil {
			t.Error(err)
		}
	}
	if s, err := p.a.status("totg0"); err != nil || s.Mode != "tap" {
		t.Errorf("status: %+v, %v", s, err)
	}
}

// W-4: a path that takes no datagram larger than IPv6 demands.
func TestSmallPath(t *testing.T) {
	for _, outer := range []struct{ name, endpoint string }{{"over IPv4", outside(1, 2)}, {"over IPv6", outside6(1, 2)}} {
		t.Run(outer.name, func(t *testing.T) {
			p := newPair(t, func(p *pair) {
				p.ca, p.cb = pairConfigs(p.a, p.b, outer.endpoint)
				p.a.ip("link", "set", "link1", "mtu", "1280")
				p.b.ip("link", "set", "link1", "mtu", "1280")
			})
			p.b.web()
			for _, inner := range []string{inside(2), inside6(2)} {
				if err := fetch(p.a, inner, 500_000); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// The daemon ends with an error when its interface is taken away, so that whoever
// watches it can start it again.
func TestInterfaceDeleted(t *testing.T) {
	p := newPair(t)
	p.a.ip("link", "delete", "totg0")
	if code := p.da.end(); code != 1 || !contains(p.da.log.String(), "totg: interface \"totg0\" is gone") {
		t.Errorf("exit code %d, want 1 and a line that says why", code)
	}
	p.da = p.a.up(p.ca)
	p.a.reaches(inside(2))
}
