package tunnel

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/totg/totg/internal/wire"
	"github.com/totg/totg/tunnel/flow"
	"github.com/totg/totg/tunnel/tun"
	"github.com/totg/totg/tunnel/tun/netnstest"
)

// superPacket is a unit with two full segments of TCP from 10.77.0.2 to 10.77.0.1.
func superPacket(sequence uint32) []byte {
	const size = 1000
	p := tcp("10.77.0.2", "10.77.0.1", 2*size)[1:]
	binary.BigEndian.PutUint32(p[24:], sequence)
	binary.BigEndian.PutUint16(p[10:], ^wire.Fold(wire.Sum(0, p[:20])))
	// Checksum needed from byte 20 on, at 16 of it; GSO of TCP over IPv4.
	head := []byte{flow.FlagVirtio, 1, 1, 40, 0, size & 0xff, size >> 8, 20, 0, 16, 0}
	return append(head, p...)
}

// Segments of TCP that follow each other reach the host as one packet, in the turn in
// which they are due (ADR 069); what else arrives does so at once.
func TestJoinedForTheHost(t *testing.T) {
	netnstest.New(t).Do(t, func() {
		l, _ := newLoop(t, testConfig(t))
		device, err := tun.Open(tun.Config{Name: "totg0", MTU: 1500})
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = device.Close() }()
		l.device = device
		link, err := netlink.LinkByName("totg0")
		if err != nil {
			t.Error(err)
			return
		}
		if err := netlink.LinkSetUp(link); err != nil {
			t.Error(err)
			return
		}
		expect := func(what string, packets uint64) {
			t.Helper()
			link, err := netlink.LinkByName("totg0")
			if err != nil || link.Attrs().Statistics.RxPackets != packets || l.drops.deviceError != 0 {
				t.Errorf("%s: %d packets, not %d, %d errors, %v", what, link.Attrs().Statistics.RxPackets, packets, l.drops.deviceError, err)
			}
		}
		now, one := time.Now(), l.table.peers[0]
		l.deliverUnit(now, one, superPacket(5))
		expect("at first", 0)
		if !l.held.Due().Equal(now) { // without a session no round trip is known
			t.Errorf("due in %v", l.held.Due().Sub(now))
		}
		l.deliverUnit(now, one, superPacket(2005))
		l.finish(now.Add(-1))
		expect("before it is due", 0)
		l.finish(now)
		expect("at the end of the turn", 1)
		l.deliverUnit(now, one, ipv4("10.77.0.2", "10.77.0.1", 100))
		expect("what is not TCP", 2)
		l.deliverUnit(now, one, superPacket(9005))
		l.held.FlushAll(now, l.writeUnit)
		expect("at the end", 3)
	})
}
