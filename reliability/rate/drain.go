package rate

import "time"

// drain empties the queue now and then (G-3): the base delay is measured, and a
// queue that stays shows that others fill it, or that the path became longer.
type drain struct {
	next        time.Duration
	active      bool
	end         time.Duration
	before      float64       // queue when it began
	beforeDelay time.Duration // and the delay
	judge       time.Duration // when to look at what it did; 0: not
	from        time.Duration // departures that count
	least, most float64       // queue that they met
	refilled    time.Duration // departures before then met a queue that was drained
	count       int
	began       time.Duration
	mark        mark // first mark of what was sent since it began
	marked      bool
	stand       stand
	stood       bool    // the queue stood still when it began
	high        float64 // seconds that the queue has been far above its target,
	low         mark    // the last time that it was not
}

// drainTurn begins, ends and judges drains.
func (c *Controller) drainTurn(at time.Duration, dt float64) {
	d := &c.drain
	rtt := seconds(c.roundTrip())
	if c.queue > drainEarly*c.target && !c.rival.active {
		d.high += min(dt, rtt/2+seconds(drainEarlyTime)/2)
	} else {
		d.high, d.low = 0, c.totals.newest
	}
	if newest := &c.totals.newest; !d.marked && newest.sent >= d.began {
		d.marked, d.mark = true, *newest
	}
	c.followDrain()
	c.judgeDrain(at)
	if c.rival.active {
		if !d.active && d.judge == 0 && at >= c.rival.testAt {
			d.next = at
			c.rival.testAt = at + rivalTest
		} else if !d.active {
			d.next = never
		}
	}
	stood := c.stands(at)
	early := (d.high > drainEarlyRTTs*rtt+seconds(drainEarlyTime) || stood) && d.judge == 0
	if !d.active && !c.ladder.shallow && (at >= d.next || early) {
		over := drainMargin*c.target + drainDatagrams*c.full/c.estimate
		d.active, d.before, d.beforeDelay, d.high = true, c.queue, c.least, 0
		d.began, d.marked, d.stood = at, false, stood
		d.end = at + min(duration((c.ahead+over)/drainGain), drainMax)
	}
	c.endDrain(at)
}

// stand is a time in which the queue did not move.
type stand struct {
	since       time.Duration
	least, most float64 // queue, in seconds
	slow, fast  float64 // estimate
}

// stands reports whether the queue stands still while the rate does not: it is not
// ours, and may be a longer path.
func (c *Controller) stands(at time.Duration) bool {
	s := &c.drain.stand
	least, most := min(s.least, c.queue), max(s.most, c.queue)
	if most-least > c.stillness() || c.queue < visibleShare*c.target || c.rival.active || c.drain.active || at < c.drain.refilled {
		*s = stand{at, c.queue, c.queue, c.estimate, c.estimate}
		return false
	}
	*s = stand{s.since, least, most, min(s.slow, c.estimate), max(s.fast, c.estimate)}
	return at-s.since > max(stillRTTs*c.roundTrip(), stillTime) && s.fast > stillRates*s.slow
}

// followDrain joins the drains of others: where the queue falls to less than half
// without our doing, somebody else drains, and the next time we do so together.
// A drain of one flow among many would not empty the queue.
func (c *Controller) followDrain() {
	d := &c.drain
	newest := c.history.back(0)
	if d.active || c.rival.failed > 0 || newest.at < d.refilled+c.roundTrip() || d.next == never ||
		c.queue > min(drainOthers*c.jitter.mean, c.jitter.mean-drainWander*c.jitter.value()) || newest.at > d.refilled+c.drainPeriod() {
		return
	}
	d.next = newest.at + c.drainPeriod()
	if c.rival.shift.recent(newest.at) { // whether the path is longer must not wait for them
		d.next = min(d.next, d.refilled+c.drainPeriod())
	}
}

// drainPeriod is the time from one drain to the next.
func (c *Controller) drainPeriod() time.Duration {
	return duration(c.rarity(drainRare) * max(seconds(drainPeriod), drainRTTs*seconds(c.roundTrip())))
}

// endDrain ends a drain that has lasted long enough.
func (c *Controller) endDrain(at time.Duration) {
	d := &c.drain
	rtt := seconds(c.roundTrip())
	if d.active && at >= d.end {
		d.active = false
		d.next = at + c.drainPeriod()
		d.refilled = at + duration(1.5*c.loopTime())
		c.log.cuts++ // no slope goes across a drain: the link may have been idle
		d.from, d.least, d.most, d.count = at-4*time.Millisecond, 1e9, 0, 0
		d.judge = at + duration(growRTTs*rtt) + growPause
		c.follow.quiet = at + duration(quietRTTs*rtt) + quietTime
	}
}

// judgeDrain looks at the arrivals that left about when a drain ended.
func (c *Controller) judgeDrain(at time.Duration) {
	d := &c.drain
	if d.judge == 0 {
		return
	}
	// Those that left later met a queue that had filled again.
	if newest := c.history.back(0); newest.at >= d.from && newest.at < d.from+duration(drainLook*c.loopTime()) {
		d.least, d.most = min(d.least, c.queue), max(d.most, c.queue)
		d.count++
	}
	if at < d.judge || (d.count < drainArrivals && at < d.judge+drainMax) {
		return
	}
	d.judge = 0
	if c.overrun(at) {
		c.onRival(at, 1)
		return
	}
	// One that starves beside others must not take its own datagrams for the queue,
	// and has too few of them to look.
	rate := max(c.estimate, c.rival.best/drainStarved)
	if d.count < drainArrivals {
		if c.estimate < rate && c.tall(c.least) {
			c.onRival(at, 1)
		}
		return
	}
	full := d.least > max(d.before/2, drainDatagrams*c.full/rate, seconds(targetMin))
	moved := c.moved(at)
	// Flows of our own kind leave a queue, too: so small a one says nothing.
	tells := d.least > drainKin*c.clearTarget(c.estimate) || d.stood || moved || c.rival.active
	switch {
	case !full && !moved:
		c.onEmptyDrain(at)
	case tells:
		c.onFullDrain(at)
	}
}
