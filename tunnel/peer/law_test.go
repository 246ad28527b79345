package peer

import (
	"testing"
	"time"
)

// TestLaw: CoDel's target leaves an inner TCP what rides out its own reaction, on a
// lossy path the wait for repairs, and all that the limit allows while the rate is
// not known (T-2, G-3).
func TestLaw(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		carrier
		target, interval time.Duration
	}{
		{carrier{50e6, 40 * ms, 0, 0, true}, 20 * ms, 100 * ms},
		{carrier{50e6, 40 * ms, 60 * ms, 0, true}, 20 * ms, 100 * ms}, // nothing waits for repairs
		{carrier{50e6, 40 * ms, 0, 0.005, true}, 60 * ms, 100 * ms},
		{carrier{50e6, 40 * ms, 0, 0.3, true}, 100 * ms, 100 * ms},
		{carrier{50e6, 40 * ms, 200 * ms, 0.3, true}, 260 * ms, 100 * ms},
		{carrier{50e6, 2 * ms, 0, 0, true}, 5 * ms, 100 * ms},
		{carrier{50e6, 600 * ms, 0, 0, true}, 300 * ms, time.Second},
		{carrier{100e3, 40 * ms, 0, 0, true}, 2 * 8 * DefaultMaxDatagram * time.Second / 100e3, 100 * ms},
		{carrier{64e3, 40 * ms, 0, 0, false}, time.Second, 100 * ms},
	} {
		law := c.law()
		if law.Target != c.target || law.Interval != c.interval {
			t.Errorf("%+v: %+v", c, law)
		}
	}
}

// TestLawOutlastsStalls: whatever the loss, CoDel slows nobody down for the queue
// that one stall of in-order data makes, and the limit has room for it (T-2).
func TestLawOutlastsStalls(t *testing.T) {
	const rate = 50e6
	for _, loss := range []float64{0.01, 0.1, 0.5, 0.9, 0.98} {
		for _, stall := range []time.Duration{0, 100 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond} {
			c := carrier{rate: rate, rtt: 100 * time.Millisecond, stall: stall, loss: loss, settled: true}
			if target := c.law().Target; target < stall*12/10 {
				t.Errorf("loss %v, stall %v: the target is %v", loss, stall, target)
			}
			// What the path delivers in that time comes at once when it ends.
			burst := rate / 8 * (1 - loss) * stall.Seconds()
			if got := c.limit(); float64(got) < min(1.2*burst, rate/8*queueTimeMax.Seconds())-1 {
				t.Errorf("loss %v, stall %v: the limit is %d bytes", loss, stall, got)
			}
		}
	}
}
