package simnet

import (
	"testing"
	"time"

	"github.com/totg/totg/internal/link"
)

// TestMarkedOutside has a router on the path mark what finds more than 5 ms of queue.
// The rate keeps the queue there and nothing is dropped; what an inner sender offers
// beyond it waits at ingress and gets its mark there: congestion outside reaches the
// sender inside (T-2). Without marks the path carries all of it.
func TestMarkedOutside(t *testing.T) {
	const bits, above = 20e6, 20e6 / 8 / 200
	const every = 610 * time.Microsecond // 18.9 Mbit/s with all headers
	for marking := range 2 {
		cfg := Config{Seed: 3, MarkAbove: marking * above}
		for i := range cfg.Links {
			cfg.Links[i] = link.Config{Rate: bits, Delay: 20 * time.Millisecond}
		}
		n, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		packets, marked := 0, 0
		n.Host(1).Received = func(unit []byte) {
			packets++
			if unit[2]&3 == 3 {
				marked++
			}
		}
		seq, waiting, looks := uint32(0), 0, 0
		play := func(until time.Duration) {
			for n.Elapsed() < until {
				if n.Write(0, tcpUnit(5001, seq, uint16(seq/1000), headLen+1400)) {
					seq += 1400
				}
				n.Run(n.Elapsed()+every, nil)
				waiting += n.links[0].Stats().QueueBytes
				looks++
			}
		}
		play(4 * time.Second)
		packets, marked, waiting, looks = 0, 0, 0, 0
		dropped := n.links[0].Stats().QueueDropped
		play(14 * time.Second)
		queue := time.Duration(float64(waiting) / float64(looks) / bits * 8e9)
		dropped = n.links[0].Stats().QueueDropped - dropped
		t.Logf("marking %d: mean queue outside %v, %d of %d inner packets marked", marking, queue, marked, packets)
		if dropped > 0 || queue > 5*time.Millisecond {
			t.Errorf("marking %d: mean queue outside %v, %d dropped there", marking, queue, dropped)
		}
		if (marked > 0) != (marking == 1) {
			t.Errorf("marking %d: %d of %d inner packets marked", marking, marked, packets)
		}
	}
}
