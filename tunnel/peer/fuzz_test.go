package peer

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/totg/totg/internal/wire"
)

// FuzzFrames: whatever an authenticated but hostile peer puts into a datagram,
// the session survives or ends in order: no panic, and the contract holds.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0, 1, 6, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0})
	f.Add([]byte{0, 0xb8, 0, 0, 0, 0x0f, 0, 1, 0, 1, 0, 0, 0, 0, 9})
	f.Add([]byte{0, 0xf8, 0, 0, 0, 0x0f, 0, 1, 0, 1, 0, 0, 0, 0, 9, 1})
	f.Add([]byte{0, 0xc0, 0, 0, 1, 2, 3, 4})
	f.Add([]byte{0, 8, 0, 1, 2, 'o', 'k'})
	f.Add([]byte{0, 5, 0, 3, 1, 5, 0})
	f.Add(append([]byte{0, 5, 0, 100, 1, 5, 1, 'x'}, make([]byte, 96)...))
	f.Add(append([]byte{0, 5, 0, 103, 1, 2, 4, 0, 0, 0, 1}, make([]byte, 96)...))
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
		sealed := d.forge(0, plain)
		d.p[1].HandleDatagram(d.now, Inbound{From: d.addr[0]}, sealed)
		d.exchange()
		if at := d.p[1].NextDeadline(); !at.IsZero() && !at.After(d.now) {
			t.Errorf("drained, deadline %v is not after now", at)
		}
	})
}

// FuzzDatagram: what a stranger sends is dropped and changes nothing (clause 6).
func FuzzDatagram(f *testing.F) {
	d := newDuo(f, nil)
	d.connect()
	index := d.p[1].cur.keys.LocalIndex
	f.Add(binary.BigEndian.AppendUint32([]byte{wire.TypeData}, index))
	f.Add([]byte{wire.TypeInit, 1, 2, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 5 && b[0] == wire.TypeData {
			binary.BigEndian.PutUint32(b[1:], index) // as an observer could
		}
		before := d.p[1].Status()
		if r := d.p[1].HandleDatagram(d.now, Inbound{From: d.addr[0]}, b); r == DropNone {
			t.Errorf("%x was accepted", b)
		}
		after := d.p[1].Status()
		after.Drops = before.Drops
		if diff := cmp.Diff(before, after, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
			t.Errorf("state changed:\n%s", diff)
		}
	})
}
