package simnet

import (
	"testing"
	"time"

	"github.com/totg/totg/reliability/rate"
)

// TestHeadersOfLargePackets: of a packet that fills many datagrams, nearly each but the
// first costs one byte beside the headers of datagram and frame: it continues the one
// before it.
func TestHeadersOfLargePackets(t *testing.T) {
	const (
		size    = 60_000
		packets = 40
		each    = 28 + 10 + 16 + 4 // of a datagram with a symbol
	)
	n, err := New(Config{
		Seed: 1, Links: symmetric(50, 40*time.Millisecond, 0, 0), Rate: rate.Config{Mode: rate.Fixed, Ceiling: 50_000_000},
	})
	if err != nil {
		t.Fatal(err)
	}
	var next, sent uint32
	n.Host(1).Received = func(unit []byte) {
		if want := tcpUnit(5000, next, uint16(next/1000), size); string(want) != string(unit) {
			t.Fatalf("the packet at %d is damaged", next)
		}
		next += size - headLen
	}
	write := func(packets int) {
		for range packets {
			if n.Write(0, tcpUnit(5000, sent, uint16(sent/1000), size)) {
				sent += size - headLen
			}
			n.Run(n.Elapsed()+10*time.Millisecond, nil)
		}
	}
	write(1) // the path's size and the channel are found
	n.Run(n.Elapsed()+5*time.Second, nil)
	before := n.Status(0)
	write(packets)
	n.Run(n.Elapsed()+time.Second, nil)
	after := n.Status(0)
	if next != sent || sent < packets*(size-headLen) {
		t.Fatalf("%d bytes of %d arrived", next, sent)
	}
	again := after.Resent - before.Resent + after.Proactive - before.Proactive // which are full
	datagrams := float64(after.TxDatagrams - before.TxDatagrams - again)
	outer := float64(after.TxOuter - before.TxOuter - again*uint64(28+after.Datagram))
	per := (outer - packets*size) / datagrams
	if t.Logf("%.1f bytes beside the data in each of %.0f datagrams", per, datagrams); per > each+3 {
		t.Errorf("%.1f bytes beside the data in each datagram, want about %d", per, each+1)
	}
}
