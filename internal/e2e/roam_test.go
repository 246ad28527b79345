package e2e

import (
	"net"
	"testing"
	"time"
)

// H-8: the caller gets another outer address in the middle of TCP connections. The
// keepalive is for the download: the caller alone knows that it moved, and has nothing
// to say.
func TestRoam(t *testing.T) {
	p := newPair(t, func(p *pair) { p.ca.peers[0].keepalive = "1s" })
	p.b.web()
	up := p.a.converse(p.b.echoServer())
	down := p.b.converse(net.JoinHostPort(inside6(1), p.a.echo()))
	download := make(chan error, 1)
	go func() { download <- fetch(p.a, inside(2), 5_000_000) }()
	up.goesOn()
	start := time.Now()
	p.a.ip("address", "del", outside(1, 1)+"/24", "dev", "link1")
	p.a.ip("address", "add", outside(1, 11)+"/24", "dev", "link1")
	up.goesOn()
	down.goesOn()
	if err := <-download; err != nil {
		t.Errorf("the download broke: %v", err)
	}
	t.Logf("the connections went on %.2f s after the change", time.Since(start).Seconds())
	want := net.JoinHostPort(outside(1, 11), "4430")
	if s, err := p.b.peerStatus("a"); err != nil || s.Endpoint != want {
		t.Errorf("b's idea of a's address: %q, %v; want %q", s.Endpoint, err, want)
	}
}
