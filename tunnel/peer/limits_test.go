package peer

import (
	"testing"
	"time"
)

// TestQueueTime: the ingress queue covers two round trips or the stall of in-order
// data that loss brings, by the share of the rate that arrives, within its bounds (T-2).
func TestQueueTime(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		rtt, stall time.Duration
		loss       float64
		want       int // bytes at 8 Mbit/s: 1000 a millisecond
	}{
		{10 * ms, 20 * ms, 0, 100_000},
		{80 * ms, 100 * ms, 0, 160_000},
		{40 * ms, 250 * ms, 0.2, 240_000},
		{40 * ms, 600 * ms, 0.5, 360_000},
		{600 * ms, 5000 * ms, 0.2, 1_000_000},
	} {
		if got := queueLimit(8e6, queueTime(c.rtt, c.stall, c.loss)); got < c.want-1 || got > c.want+1 {
			t.Errorf("rtt %v, stall %v, loss %v: %d bytes, want %d", c.rtt, c.stall, c.loss, got, c.want)
		}
	}
}
