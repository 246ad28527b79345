package e2e

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var rekeying = flag.Duration("rekeying", 10*time.Second, "how long TestRekeyUnderLoss runs")

// H-7: keys change every second under a TCP transfer, without a new handshake and
// without the transfer's notice.
func TestRekey(t *testing.T) {
	p := newPair(t, func(p *pair) { p.ca.rekey, p.cb.rekey = "1s", "1s" })
	before, err := p.b.peerStatus("a")
	if err != nil {
		t.Fatal(err)
	}
	p.b.web()
	if err := fetch(p.a, inside(2), 25_000_000); err != nil { // 5 s at 40 Mbit/s
		t.Fatal(err)
	}
	sa, errA := p.a.peerStatus("b")
	sb, errB := p.b.peerStatus("a")
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if sa.KeyEpochs < 3 || sb.KeyEpochs < 3 || !sb.LastHandshake.Equal(before.LastHandshake) {
		t.Errorf("%d and %d key epochs, handshake at %v, then at %v", sa.KeyEpochs, sb.KeyEpochs, before.LastHandshake, sb.LastHandshake)
	}
	for _, s := range []peerStatus{sa, sb} {
		if n := s.Drops["unknown_index"] + s.Drops["auth"]; n > 0 {
			t.Errorf("%d datagrams did not open: %v", n, s.Drops)
		}
	}
}

// H-7: keys change every 2 s while 30 % is lost each way, under load in both
// directions. No packet of a flow that loses nothing is lost or comes out of order,
// and nobody seals a packet number twice under a key.
func TestRekeyUnderLoss(t *testing.T) {
	var r *relay
	p := newPair(t, func(p *pair) {
		p.ca.rekey, p.cb.rekey = "2s", "2s"
		p.ca.rate, p.cb.rate = "fixed", "fixed"
		p.ca.peers[0].reliable, p.cb.peers[0].reliable = []string{"udp"}, []string{"udp"}
		r = p.a.relay(outside(1, 2), 0.3, 10*time.Millisecond)
		p.ca.peers[0].endpoint = r.address
	})
	c := p.a.converse(p.b.echoServer())
	flows := []*numbered{p.a.count(p.b, inside(2)), p.b.count(p.a, inside(1))}
	time.Sleep(*rekeying)
	for _, f := range flows {
		f.end(t)
	}
	c.goesOn()
	a, errA := p.a.peerStatus("b")
	b, errB := p.b.peerStatus("a")
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	for i, st := range []peerStatus{a, b} { // what found no room in the queue was never the tunnel's
		f, refused := flows[i], st.Drops["queue_full"]+st.Drops["queue_dropped"]
		if late, missing := f.late.Load(), f.missing.Load(); late > 0 || missing > refused {
			t.Errorf("of %d packets %d came out of order, and %d are missing; %d were refused", f.sent, late, missing, refused)
		}
	}
	keys, datagrams, twice := r.keys()
	least := uint64(rekeying.Seconds()/2) / 2 // most switches take some round trips more than 2 s
	if a.KeyEpochs < least || b.KeyEpochs < least || twice > 0 || keys < 2*int(least) {
		t.Errorf("%d and %d key epochs, %d keys, of %d datagrams %d with a used number", a.KeyEpochs, b.KeyEpochs, keys, datagrams, twice)
	}
	t.Logf("in %v: %d and %d key epochs, %d keys, %d datagrams, %d of them with a used number; %d and %d packets, %d and %d missing",
		*rekeying, a.KeyEpochs, b.KeyEpochs, keys, datagrams, twice, flows[0].sent, flows[1].sent, flows[0].missing.Load(), flows[1].missing.Load())
}

// numbered is a flow of numbered datagrams.
type numbered struct {
	stop     chan struct{}
	done     chan struct{}
	sent     uint64
	expected atomic.Uint64 // the next that has to arrive
	missing  atomic.Uint64 // that others came instead of
	late     atomic.Uint64 // that came after a later one
}

// count sends numbered datagrams of 1,000 bytes to another host, one every 2 ms.
func (h *host) count(to *host, address string) *numbered {
	h.t.Helper()
	n := &numbered{stop: make(chan struct{}), done: make(chan struct{})}
	in, out := to.listenUDP("0.0.0.0:0"), h.listenUDP("0.0.0.0:0")
	if u, ok := in.(*net.UDPConn); ok { // what comes in a burst after a gap must not be lost here
		if err := largeBuffer(u); err != nil {
			h.t.Fatal(err)
		}
	}
	_, inPort, err := net.SplitHostPort(in.LocalAddr().String())
	if err != nil {
		h.t.Fatal(err)
	}
	target := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(net.JoinHostPort(address, inPort)))
	go func() {
		for b := make([]byte, 2000); ; {
			if _, _, err := in.ReadFrom(b); err != nil {
				return
			}
			if got, want := binary.BigEndian.Uint64(b), n.expected.Load(); got < want {
				n.late.Add(1)
			} else {
				n.missing.Add(got - want)
				n.expected.Store(got + 1)
			}
		}
	}()
	go func() {
		defer close(n.done)
		ticker := time.NewTicker(2 * time.Millisecond)
		defer ticker.Stop()
		for b := make([]byte, 1000); ; {
			select {
			case <-n.stop:
				return
			case <-ticker.C:
			}
			binary.BigEndian.PutUint64(b, n.sent)
			if _, err := out.WriteTo(b, target); err == nil {
				n.sent++
			}
		}
	}()
	return n
}

// largeBuffer has the kernel hold a second of a flow and more.
func largeBuffer(c *net.UDPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20)
	})
	return errors.Join(err, set)
}

// end stops the flow and waits for what is on its way.
func (n *numbered) end(t *testing.T) {
	t.Helper()
	close(n.stop)
	<-n.done
	eventually(t, patience, func() error {
		if got := n.expected.Load(); got < n.sent {
			return fmt.Errorf("%d of %d packets arrived", got, n.sent)
		}
		return nil
	})
}
