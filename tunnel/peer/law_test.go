package peer

import (
	"testing"
	"time"
)

// TestQueueLaw: CoDel's target leaves an inner TCP what rides out its own
// reaction, and on a lossy path the wait for repairs (T-2).
func TestQueueLaw(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		rate             int64
		rtt              time.Duration
		loss             float64
		target, interval time.Duration
	}{
		{50e6, 40 * ms, 0, 20 * ms, 100 * ms},
		{50e6, 40 * ms, 0.005, 60 * ms, 100 * ms},
		{50e6, 40 * ms, 0.3, 100 * ms, 100 * ms},
		{50e6, 2 * ms, 0, 5 * ms, 100 * ms},
		{50e6, 600 * ms, 0, 300 * ms, time.Second},
		{100e3, 40 * ms, 0, 2 * 8 * DefaultMaxDatagram * time.Second / 100e3, 100 * ms},
	} {
		law := queueLaw(c.rate, c.rtt, c.loss)
		if law.Target != c.target || law.Interval != c.interval {
			t.Errorf("%+v: %+v", c, law)
		}
	}
}
