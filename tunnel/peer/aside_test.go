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
