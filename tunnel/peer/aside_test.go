package peer

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/totg/totg/handshake/ladder"
	"github.com/totg/totg/internal/wire"
)

// forgeAside seals what a hostile host i would put into its next aside.
func (d *duo) forgeAside(i int, plain []byte) []byte {
	s := d.p[i].cur
	pn := s.asides.next
	s.asides.next++
	buf := appendHeader(make([]byte, 0, 2000), wire.TypeAside, s.keys.RemoteIndex, pn)
	return buf[:headerLen+len(s.keys.Send.Seal(buf[headerLen:], buf[:headerLen], plain, pathAside, pn))]
}

// FuzzAside: whatever an authenticated but hostile peer puts into an aside, from
// whatever address, the session survives or ends in order, the path in use stays,
// and what goes to the new address is bounded.
func FuzzAside(f *testing.F) {
	id := []byte{0, 0, 0, 0, 0, 0, 0, 7}
	f.Add(append(bytes.Clone(id), 6, 1, 2, 3, 4, 5, 6, 7, 8, 7, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0))
	f.Add(append(bytes.Clone(id), 7, 1, 2))
	f.Add(append(bytes.Clone(id), 1))
	f.Add(append(append(bytes.Clone(id), 5, 0, 107, 1, ladder.ActionPath, 8), append(bytes.Clone(id), make([]byte, 96)...)...))
	f.Fuzz(func(t *testing.T, plain []byte) {
		if len(plain) == 0 || len(plain) > 1400 {
			return
		}
		d := newDuo(t, nil)
		d.exchange()
		d.pass(5 * time.Millisecond)
		if d.p[0].cur == nil {
			t.Fatal("no session")
		}
		elsewhere := netip.MustParseAddrPort("198.51.100.9:9")
		sealed := d.forgeAside(0, plain)
		in, out := len(sealed), 0
		d.p[1].HandleDatagram(d.now, Inbound{From: elsewhere}, sealed)
		for range 200 {
			for {
				n, to, ok := d.p[1].Poll(d.now, d.buf[:])
				if !ok {
					break
				}
				if to == elsewhere {
					out += n
				}
			}
			if at := d.p[1].NextDeadline(); !at.IsZero() && !at.After(d.now) {
				t.Fatalf("drained, deadline %v is not after now", at)
			}
			d.now = d.now.Add(5 * time.Millisecond)
			d.p[1].HandleTimeout(d.now)
			for _, ok := d.p[1].PollEvent(); ok; _, ok = d.p[1].PollEvent() {
				continue
			}
		}
		if out > amplification*in || d.p[1].path.addr != d.addr[0] {
			t.Errorf("%d bytes for %d; the peer is at %v", out, in, d.p[1].path.addr)
		}
	})
}

// H-8, X-7: somebody sends what he recorded from an address of his own, and hands on
// the challenge that comes there. The answer comes from where the peer is: it says
// nothing of his address.
func TestMoveHandedOn(t *testing.T) {
	x := newPaths(t, 1, nil)
	x.connect()
	third := netip.MustParseAddrPort("198.51.100.9:9")
	var recorded [][]byte
	x.spy = func(_, path int, b []byte) bool {
		if path == 1 {
			recorded = append(recorded, bytes.Clone(b))
		}
		return path == 1
	}
	x.move(0, 1, 3*time.Second)
	x.p[1].HandleDatagram(x.now, Inbound{From: third}, recorded[0])
	n, to, ok := x.p[1].Poll(x.now, x.buf[:])
	if !ok || to != third {
		t.Fatalf("%d bytes to %v", n, to)
	}
	recorded = nil
	x.p[0].HandleDatagram(x.now, Inbound{From: x.addrs[1][1]}, x.buf[:n])
	x.wait(20 * time.Millisecond) // the answer, in the first aside
	if x.state(0) != MoveVoting || len(recorded) == 0 {
		t.Fatalf("%v, %d datagrams", x.state(0), len(recorded))
	}
	x.p[1].HandleDatagram(x.now, Inbound{From: x.addrs[1][0]}, recorded[0])
	if x.state(1) != MoveProbing {
		t.Errorf("%+v", x.p[1].Status().Move)
	}
}

// the new path dies when one end has moved, and the other is in doubt. It hears
// the decision over the old path; then the peers find each other again where the user
// said that they are (H-4).
func TestMoveOntoDyingPath(t *testing.T) {
	for who := range 2 {
		x := newPaths(t, uint64(who), nil)
		x.connect()
		first := -1
		x.spy = func(_, path int, _ []byte) bool {
			for i := range x.p {
				if first < 0 && x.state(i) == Moved {
					first = i
				}
			}
			return path == 1 && first >= 0
		}
		x.move(who, 1, 5*time.Second)
		for range 1000 {
			if x.wait(time.Millisecond); first >= 0 {
				break
			}
		}
		if first < 0 || x.state(1-first) == Moved {
			t.Fatalf("first %d; %v, %v", first, x.state(0), x.state(1))
		}
		x.wait(500 * time.Millisecond)
		if x.state(1-first) != Moved || !x.on(1) {
			t.Errorf("%s: %+v, %+v", x.replay, x.p[0].Status().Move, x.p[1].Status().Move)
		}
		x.wait(40 * time.Second)
		if !x.on(0) || x.p[0].Status().State != "up" {
			t.Errorf("%s: %q, %v and %v", x.replay, x.p[0].Status().State, x.p[0].path.addr, x.p[1].path.addr)
		}
	}
}

// W-4, X-7: a new path that takes smaller datagrams than the old costs the session,
// not the switch: it starts again, there.
func TestMoveToNarrowPath(t *testing.T) {
	x := newPaths(t, 1, nil)
	x.spy = func(_, path int, b []byte) bool { return path == 1 && len(b) > 1300 }
	x.connect()
	if n := x.p[0].Status().Datagram; n != DefaultMaxDatagram {
		t.Fatalf("datagrams of %d bytes", n)
	}
	x.move(0, 1, 5*time.Second)
	x.talk(3 * time.Second)
	before := x.got
	sent := x.talk(3 * time.Second)
	x.wait(time.Second)
	if x.state(0) != Moved || x.state(1) != Moved || !x.on(1) {
		t.Errorf("%+v, %+v", x.p[0].Status().Move, x.p[1].Status().Move)
	}
	if x.p[0].Status().BlackHoles+x.p[1].Status().BlackHoles == 0 {
		t.Error("no black hole: the test shows nothing")
	}
	for i := range x.p {
		if n := x.p[i].Status().Datagram; n != 1280 || x.got[1-i]-before[1-i] < sent[i] {
			t.Errorf("datagrams of %d bytes; of %d packets from host %d arrived %d", n, sent[i], i, x.got[1-i]-before[1-i])
		}
	}
}
