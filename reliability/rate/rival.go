package rate

import "time"

// rival is what a controller knows of others that keep the queue full.
type rival struct {
	active bool
}

func (c *Controller) onFullDrain(at time.Duration) {
	// More arrives at the lower rate of the drain, in proportion: the buffer is
	// full of our own, and the estimate far too high.
	if level := c.totals.newest.since(&c.drain.mark); c.loss.excess(&c.ladder.reference, &level, excessSigmas) {
		c.ladder.shallow, c.ladder.seenQueue = true, c.queue
		c.goDown(downMax)
		return
	}
	c.base.reset(at, c.base.value()+duration(c.drain.least))
}

func (c *Controller) onEmptyDrain() {}

func (c *Controller) compete(at time.Duration, dt float64) {}
