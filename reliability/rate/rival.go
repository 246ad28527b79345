package rate

import (
	"math"
	"time"
)

// rival is what a controller knows of others that keep the queue full (G-4).
//
// A flow like CUBIC fills the buffer until it overflows, and a controller that
// yields to every queue gets next to nothing beside it. So in mode fair, when
// drains keep failing while the queue moves, the controller does what the other
// does: it grows a window as CUBIC (RFC 9438) does, and takes for a congestion
// event that the queue comes near the greatest that it saw, or falls, because
// another has backed off. It never looks at loss.
type rival struct {
	active  bool
	failed  int           // drains in a row that showed others
	failAt  time.Duration // the last one
	shiftAt time.Duration // when a full drain was taken for a longer path
	shift   float64       // and by how much, in seconds

	origin time.Duration // base delay before that

	window, most float64       // bytes
	epoch        time.Duration // last congestion event
	high         float64       // greatest queue lately, in seconds
	peak         float64       // greatest since the last event
	fullAt       time.Duration // when the queue was last well below that
	best         float64       // greatest estimate lately, bytes/s
	testAt       time.Duration // next drain
}

// onFullDrain draws the conclusion from a drain that left the queue as it was.
func (c *Controller) onFullDrain(at time.Duration) {
	// More arrives at the lower rate of the drain, in proportion: the buffer is
	// full of our own, and the estimate far too high.
	if level := c.totals.newest.since(&c.drain.mark); c.loss.excess(&c.ladder.reference, &level, excessSigmas) {
		c.ladder.shallow, c.ladder.seenQueue = true, c.queue
		c.goDown(downMax)
		return
	}
	r := &c.rival
	if r.active {
		r.testAt = at + rivalTest
		return
	}
	if (r.failed > 0 && at-r.failAt < rivalMemory) || (r.shift > 0 && at-r.shiftAt < shiftMemory) {
		if r.shift > 0 { // it was no longer path
			c.base.reset(at, min(c.base.value(), r.origin))
			r.shift = 0
		}
		c.onRival(at)
		return
	}
	r.shiftAt, r.shift, r.origin = at, c.drain.least, c.base.value()
	c.base.reset(at, c.base.value()+duration(c.drain.least))
}

// onEmptyDrain notes that the queue is ours alone.
func (c *Controller) onEmptyDrain(at time.Duration) {
	r := &c.rival
	if r.active && c.drain.least > max(rivalGone*c.target, seconds(targetMin)/2) {
		return // another has just backed off, and is still there
	}
	r.failed = 0
	if r.active {
		r.active = false
		c.ladder.begin(c, at)
		c.follow.quiet = at + c.roundTrip()
	}
}

// onRival counts a sign of others.
func (c *Controller) onRival(at time.Duration) {
	r := &c.rival
	if at-r.failAt > rivalMemory {
		r.failed = 0
	}
	r.failed++
	r.failAt = at
	c.drain.next = at + rivalHurry
	if c.cfg.Mode != Fair || r.failed < rivalSigns || r.active {
		return
	}
	window := max((seconds(c.roundTrip())+c.queue)*max(c.rate, r.best*rivalFirst), 4*c.full)
	*r = rival{
		active: true, window: window, most: window, epoch: at, high: c.queue, peak: c.queue, fullAt: at, testAt: at + rivalTest,
		failed: r.failed, failAt: at, best: r.best,
	}
}

// watchBase looks for a delay well below a base that was raised: the delay before
// was a queue after all.
func (c *Controller) watchBase(at, before time.Duration) {
	r := &c.rival
	r.best = max(c.estimate, r.best*math.Exp2(-seconds(at-c.last)/rivalFade))
	if r.shift == 0 || at-r.shiftAt > shiftMemory {
		r.shift = 0
		return
	}
	if seconds(before-c.base.value()) > r.shift/3 {
		r.shift = 0
		c.onRival(at)
	}
}

// compete is one turn beside others.
func (c *Controller) compete(at time.Duration, dt float64) {
	r := &c.rival
	r.high = max(c.queue, r.high*math.Exp2(-dt/rivalFade))
	r.peak = max(r.peak, c.queue)
	if c.queue < rivalFull*r.high {
		r.fullAt = at
	}
	pause := max(rivalRTTs*c.roundTrip(), rivalPause)
	if at-r.epoch <= pause || c.drain.active || at < c.follow.quiet {
		r.peak = c.queue // what falls now falls by our own doing
	} else if c.queue < rivalFall*r.peak || at-r.fullAt > rivalStuck {
		c.backOff(at) // another has backed off, or the buffer is full and nobody does
	}
	t := seconds(at - r.epoch)
	w := r.most / c.full
	k := math.Cbrt(w * (1 - rivalCut) / rivalGrowth)
	want := max(rivalGrowth*(t-k)*(t-k)*(t-k)+w, w*rivalCut+rivalReno*t/c.loopTime())
	limit := r.window * (1 + rivalRise*dt/c.loopTime())
	r.window = min(max(want*c.full, r.window), limit)
	c.setEstimate(r.window / (seconds(c.roundTrip()) + c.queue))
	c.ladder.begin(c, at)
}

// backOff is a congestion event.
func (c *Controller) backOff(at time.Duration) {
	r := &c.rival
	r.most, r.window = r.window, max(r.window*rivalCut, 4*c.full)
	r.epoch, r.peak, r.fullAt = at, c.queue, at
}
