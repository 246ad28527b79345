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
	alone  alone         // what it saw, and STARTUP after it
	before float64       // seconds: what was seen so before
}

// lookAgain begins to look at the path's own delay anew: its base may have changed since.
// Until enough was seen, what was seen before counts.
func (h *hello) lookAgain() {
	h.before = h.seen()
	h.alone = alone{}
}

// seen is the jitter that datagrams saw which found nothing of ours on the link.
func (h *hello) seen() float64 {
	if h.alone.n < helloArrivals {
		return h.before
	}
	return h.alone.spread()
}

// alone is the delay of datagrams that found nothing of ours on the link: it varies
// by what the path adds, whatever the rate.
type alone struct {
	n, sum float64 // of the delays above the first, in seconds
	first  time.Duration
	least  float64
}

func (a *alone) add(delay time.Duration) {
	if a.n == 0 {
		a.first = delay
	}
	d := seconds(delay - a.first)
	a.n++
	a.sum += d
	a.least = min(a.least, d)
}

// spread is the mean above the least, as that of history.
func (a *alone) spread() float64 { return a.sum/a.n - a.least }

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
	for i := range c.history.kept() {
		c.hello.alone.add(c.history.back(i).delay())
	}
	c.hello.spread = c.hello.alone.spread()
	c.jitter.spread = c.hello.spread
	c.beginStartup(at, 0)
}

// watchAlone takes an arrival of STARTUP that left when all that was sent before it
// had left the link: the first of a burst, as a rule. HELLO is so short that a
// delay which wanders may stand still in it.
func (c *Controller) watchAlone(before, s *sample) {
	between := float64(s.bytes-before.bytes) - float64(s.size)
	if c.loss.loss > startLossy && between > burstLeast*c.full { // how long that takes is a guess: the link may be slower than the average
		return
	}
	cleared := before.at + before.delay() - c.base.value() + duration(between/c.startup.average)
	if s.at < cleared {
		return
	}
	c.hello.alone.add(s.delay())
	c.jitter.spread = max(c.jitter.spread, c.pathJitter(c.startup.average))
}

// pathJitter is the jitter that the path itself adds, in seconds, at a rate; 0 if what
// was seen may be that of others.
func (c *Controller) pathJitter(rate float64) float64 { return c.hello.path(c.clearTarget(rate)) }

// path is the jitter that the path itself adds, in seconds, where flows of our own
// kind want the queue q; 0 if what was seen may be theirs. Beside others the bursts
// of STARTUP move the queue, which HELLO does not, so they take more to tell: a
// queue that wanders between nothing and q is q/2 above the least in the mean.
func (h *hello) path(q float64) float64 {
	if seen := h.seen(); seen > q/aloneShare {
		return max(seen, h.spread)
	}
	if h.spread > q/helloShare {
		return h.spread
	}
	return 0
}
