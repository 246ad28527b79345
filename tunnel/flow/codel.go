package flow

import (
	"math"
	"time"
)

// codel is the law of RFC 8289, section 5, for one flow queue: what stayed longer
// than the target for an interval tells its sender to slow down, again and again
// at times that come closer as the square root of their number grows.
type codel struct {
	firstAbove time.Time // when to begin, if the delay stays above the target
	dropNext   time.Time
	count      int // signals since dropping began
	lastCount  int
	dropping   bool
}

// verdict is what to do with the oldest unit.
type verdict uint8

const (
	pass   verdict = iota
	signal         // mark it, or drop it and ask again
)

// above notes how long the oldest unit stayed, and how many bytes are behind it.
// It reports whether the delay has been above the target for an interval. The
// last packet of a queue is never too late: there is no standing queue.
func (c *codel) above(now time.Time, law *Law, stayed time.Duration, behind int) bool {
	switch {
	case stayed < law.Target || behind <= quantum:
		c.firstAbove = time.Time{}
		return false
	case c.firstAbove.IsZero():
		c.firstAbove = now.Add(law.Interval)
		return false
	}
	return !now.Before(c.firstAbove)
}

// first judges the unit that a call of the queue begins with.
func (c *codel) first(now time.Time, law *Law, stayed time.Duration, behind int) verdict {
	above := c.above(now, law, stayed, behind)
	switch {
	case c.dropping && !above:
		c.dropping = false
	case c.dropping:
		return c.due(now, law)
	case above:
		// If dropping ended only lately, it goes on at the rate that worked.
		c.dropping = true
		delta := c.count - c.lastCount
		c.count = 1
		if delta > 1 && now.Sub(c.dropNext) < 16*law.Interval {
			c.count = delta
		}
		c.dropNext = c.law(now, law)
		c.lastCount = c.count
		return signal
	}
	return pass
}

// next judges the unit behind one that was dropped.
func (c *codel) next(now time.Time, law *Law, stayed time.Duration, behind int) verdict {
	if !c.above(now, law, stayed, behind) {
		c.dropping = false
		return pass
	}
	return c.due(now, law)
}

// due reports a signal if it is time for one, and sets the time of the next.
func (c *codel) due(now time.Time, law *Law) verdict {
	if now.Before(c.dropNext) {
		return pass
	}
	c.count++
	c.dropNext = c.law(c.dropNext, law)
	return signal
}

// law is RFC 8289's control law.
func (c *codel) law(t time.Time, law *Law) time.Time {
	return t.Add(time.Duration(float64(law.Interval) / math.Sqrt(float64(c.count))))
}
