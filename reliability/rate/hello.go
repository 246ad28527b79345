package rate

import (
	"math"
	"time"
)

// hello is the first phase (G-3): a few small datagrams find the base delay
// while the queue is empty. A start above capacity would hide a standing queue in
// it.
type hello struct {
	start  time.Duration // of the first datagram
	spread float64       // seconds: the jitter that it saw
}

// rate is the send rate in bytes/s.
func (h *hello) rate(at time.Duration) float64 {
	doubled := math.Exp2(seconds(at-h.start) / seconds(helloDouble))
	return SmallDatagram * min(helloFirst*doubled, helloMost)
}

// endHello starts STARTUP when enough was answered.
func (c *Controller) endHello(at time.Duration) {
	n := c.totals.newest.arrived
	few := helloFewRTTs*c.roundTrip() + helloFewTime
	if n < helloArrivals && (n < helloFew || at-c.hello.start < few) {
		return
	}
	// The jitter is what the answers show above the least delay.
	_, spread := c.history.least(time.Hour)
	c.jitter.spread, c.hello.spread = seconds(spread), seconds(spread)
	c.beginStartup(at, 0)
}
