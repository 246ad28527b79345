package tunnel

import (
	"net/netip"
	"testing"
	"time"
)

// fakePeer always has a datagram of a size, as often as its own pacing allows.
type fakePeer struct {
	size int
	rate int64 // bit/s of IP bytes, 0: it has nothing
	next time.Time
	sent int
	last time.Time
}

func (f *fakePeer) Poll(now time.Time, _ []byte) (int, netip.AddrPort, bool) {
	if f.rate == 0 || f.next.After(now) {
		return 0, netip.AddrPort{}, false
	}
	cost := f.size + ipOverhead
	if earliest := now.Add(-5 * time.Millisecond); f.next.Before(earliest) {
		f.next = earliest
	}
	f.next = f.next.Add(time.Duration(8 * cost * int(time.Second) / int(f.rate)))
	f.sent += cost
	f.last = now
	return f.size, netip.AddrPort{}, true
}

func (*fakePeer) Source() netip.Addr { return netip.Addr{} }

// runUplink lets peers send for a time, woken every tick or when it is due.
func runUplink(u *uplink, d time.Duration, peers ...*fakePeer) {
	lines := make([]*line, len(peers))
	for i, p := range peers {
		lines[i] = &line{from: p}
	}
	start := time.Unix(1000, 0)
	for now := start; now.Before(start.Add(d)); now = now.Add(100 * time.Microsecond) {
		for i, p := range peers {
			if p.rate > 0 && !p.next.After(now) {
				u.add(lines[i])
			}
		}
		u.send(now, func() []byte { return nil }, func(int, netip.Addr, netip.AddrPort) {}, func(*line) {})
	}
}

// TestUplinkShares: peers that want more than there is get the same number of
// bytes, whatever the size of their datagrams and however fast they are, together
// not more than the rate; one that wants less gets all it wants. // T-3
func TestUplinkShares(t *testing.T) {
	const rate, d = 50_000_000, 4 * time.Second
	whole := float64(rate) / 8 * d.Seconds()
	u := &uplink{rate: rate, shared: true}
	greedy := []*fakePeer{{size: 1400, rate: rate}, {size: 200, rate: rate}, {size: 1400, rate: 100 * rate}}
	modest, silent := &fakePeer{size: 300, rate: 1_000_000}, &fakePeer{}
	runUplink(u, d, append(greedy, modest, silent)...)
	total := modest.sent
	for i, p := range greedy {
		total += p.sent
		if share := float64(p.sent) / (whole - float64(modest.sent)) * 3; share < 0.95 || share > 1.05 {
			t.Errorf("peer %d got %.3f of its share", i, share)
		}
	}
	if got := float64(modest.sent) / (1_000_000 / 8 * d.Seconds()); got < 0.97 {
		t.Errorf("the modest peer got %.3f of what it wants", got)
	}
	if used := float64(total) / whole; used < 0.97 || used > 1.01 {
		t.Errorf("%.3f of the rate was used", used)
	}
}

// TestUplinkAlone: a single peer keeps to its own pacing.
func TestUplinkAlone(t *testing.T) {
	u := &uplink{rate: 1000} // which it need not ask for
	p := &fakePeer{size: 1400, rate: 50_000_000}
	runUplink(u, time.Second, p)
	if got := float64(p.sent) / 6.25e6; got < 0.97 || got > 1.03 {
		t.Errorf("%.3f of its rate", got)
	}
}

// TestUplinkWait: a small datagram of a peer waits for a turn of each other, not
// for all that they have. // T-3
func TestUplinkWait(t *testing.T) {
	const rate = 10_000_000
	u := &uplink{rate: rate, shared: true}
	small := &fakePeer{size: 100, rate: 80_000} // every 12.8 ms
	peers := []*fakePeer{small}
	for range 4 {
		peers = append(peers, &fakePeer{size: 1400, rate: 100 * rate})
	}
	runUplink(u, 2*time.Second, peers...)
	if want := 80_000 / 8 * 2 * 95 / 100; small.sent < want {
		t.Errorf("%d bytes, want %d", small.sent, want)
	}
}

// TestUplinkTurn: the loop gets to see its input however much there is to send,
// and a peer that is gone sends no more.
func TestUplinkTurn(t *testing.T) {
	u := &uplink{rate: 1e12}
	p := &fakePeer{size: 1400, rate: 1e15}
	l := &line{from: p}
	now := time.Unix(1000, 0)
	u.add(l)
	u.add(l)
	none := func(int, netip.Addr, netip.AddrPort) {}
	u.send(now, func() []byte { return nil }, none, func(*line) {})
	if p.sent < uplinkTurn || p.sent > uplinkTurn+2*uplinkQuantum {
		t.Errorf("%d bytes in a turn", p.sent)
	}
	if at, ok := u.due(now); !ok || !at.Equal(now) || len(u.ring) != 1 {
		t.Errorf("due %v %v, %d lines", at, ok, len(u.ring))
	}
	u.remove(l)
	u.remove(l)
	if _, ok := u.due(now); ok || l.waits {
		t.Error("it is still there")
	}
}

// TestBufferQuota: what peers may fill adds up to no more than there is, while
// each has enough to work with. // T-3
func TestBufferQuota(t *testing.T) {
	for _, n := range []int{1, 2, 7, 1024} {
		if q := bufferQuota(n); q < minBuffers || n*q > allBuffers {
			t.Errorf("%d peers: %d bytes each", n, q)
		}
	}
}
