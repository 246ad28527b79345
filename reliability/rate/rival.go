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
	active bool
	failed int           // drains in a row that showed others
	failAt time.Duration // the last one
	shift  shift
	yield  yield

	window, most float64       // bytes
	epoch        time.Duration // last congestion event
	high         float64       // greatest queue lately, in seconds
	peak         float64       // greatest since the last event
	tallAt       time.Duration // when the queue was last greater than one of our own kind
	highAt       time.Duration // when the queue was last near that
	fullAt       time.Duration // when the queue was last well below the greatest
	stuckAt      time.Duration // the same, whatever we did
	until        time.Duration // no competition before
	full         bool          // it is not
	from         mark          // since when
	clear        stretch       // what got through before that
	best         float64       // greatest estimate lately, bytes/s
	testAt       time.Duration // next drain
	empty        bool          // the last one emptied the queue
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
		r.empty, r.testAt = false, at+rivalTest
		return
	}
	if (r.failed > 0 && at-r.failAt < rivalMemory) || r.shift.recent(at) {
		signs := 1
		if r.shift.by > 0 { // it was no longer path, but the first sign
			c.base.reset(at, min(c.base.value(), r.shift.origin))
			r.shift.by = 0
			signs = rivalSigns
		}
		c.onRival(at, signs)
		return
	}
	// A path without a queue has one delay.
	if at < r.until || at < r.shift.never || !c.still() || c.overflowing() {
		c.onRival(at, 1)
		return
	}
	c.takeLonger(at)
}

// onEmptyDrain notes that the queue is ours alone. Beside others that takes two drains:
// another may have backed off just when we drained.
func (c *Controller) onEmptyDrain(at time.Duration) {
	r := &c.rival
	if !r.active {
		r.failed = 0
		return
	}
	gone := c.drain.least <= max(rivalGone*c.target, seconds(targetMin)/2)
	switch {
	case gone && r.empty:
		c.endRival(at)
	case gone:
		r.testAt = at + rivalHurry
	}
	r.empty = gone
}

// endRival ends the competition.
func (c *Controller) endRival(at time.Duration) {
	c.rival.active, c.rival.failed = false, 0
	c.base.reset(at, c.lowest.value()) // the queue may not have been empty for longer than base remembers
	c.ladder.begin(at)
	c.follow.quiet = at + c.roundTrip()
	c.drain.next = at + c.roundTrip()
}

// tall reports whether a delay shows a greater queue than flows of our own kind make.
func (c *Controller) tall(delay time.Duration) bool {
	return c.above(delay) > rivalTall*c.ownQueue()
}

// above is how far a delay is above the least of a longer time than the base is kept:
// what was taken for a longer path may be the queue.
func (c *Controller) above(delay time.Duration) float64 { return seconds(delay - c.lowest.value()) }

// kin reports whether the queue may be one of flows of our own kind: it is no greater.
// These drain together, so after a first sign one that hardly moved when we drained is
// sooner another's.
func (c *Controller) kin() bool {
	d, s := &c.drain, &c.rival.shift
	most := max(c.least, d.beforeDelay)
	if s.by > 0 { // what shows that it was a queue is that it is gone
		most = max(most, s.most)
	}
	tall := rivalTall
	if c.rival.failed > 0 && !d.active && d.judge == 0 && d.least > rivalStays*d.before {
		tall = rivalTallStays
	}
	return c.above(most) <= tall*c.ownQueue()
}

// ownQueue is q* at the greatest estimate lately.
func (c *Controller) ownQueue() float64 { return c.wantedAt(max(c.estimate, c.rival.best)) }

// emptyTrip is the round trip without the queue, in seconds, as far as it was seen
// lately: others may not have left the queue empty for longer than rtts remembers.
func (c *Controller) emptyTrip() float64 {
	if !c.trips.started {
		return seconds(c.roundTrip())
	}
	return seconds(c.trips.value())
}

// onRival counts signs of others.
func (c *Controller) onRival(at time.Duration, signs int) {
	r := &c.rival
	if at-r.failAt > rivalMemory {
		r.failed = 0
	}
	if c.cfg.Mode == Scavenger { // it yields, and may see no path without the queue of others
		r.shift.never = at + rivalMemory
	}
	if at < r.until || c.kin() {
		return
	}
	r.failed += signs
	r.failAt = at
	c.drain.next = at + rivalHurry
	if c.cfg.Mode != Fair || r.failed < rivalSigns || r.active {
		return
	}
	c.base.reset(at, c.lowest.value()) // what was taken for a longer path was a queue
	window := max((c.emptyTrip()+c.queue)*max(c.rate, r.best*rivalFirst), 4*c.full)
	*r = rival{
		active: true, window: window, most: window, epoch: at, high: c.queue, peak: c.queue, highAt: at, fullAt: at, stuckAt: at, tallAt: at, testAt: at + rivalTest,
		failed: r.failed, failAt: at, best: r.best, from: c.totals.newest, clear: c.ladder.reference,
	}
}

// watchBase looks for a delay well below a base that was raised: the delay before
// was a queue after all.
func (c *Controller) watchBase(at, before time.Duration) {
	r := &c.rival
	if !r.active { // nothing has verified what it competes with
		r.best = max(c.estimate, r.best*math.Exp2(-seconds(at-c.last)/rivalFade))
	}
	if !r.shift.recent(at) {
		r.shift.by = 0
		return
	}
	r.shift.most = max(r.shift.most, c.least)
	if seconds(before-c.base.value()) > r.shift.by/3 {
		c.onRival(at, 1)
		r.shift.by = 0
	}
}

// compete is one turn beside others.
func (c *Controller) compete(at time.Duration, dt float64) {
	r := &c.rival
	r.high = max(c.queue, r.high*math.Exp2(-dt/rivalFade))
	r.peak = max(r.peak, c.queue)
	if c.tall(c.least) {
		r.tallAt = at
	} else if at-r.tallAt > max(rivalShortRTTs*c.roundTrip(), rivalShort) {
		c.endRival(at)
		return
	}
	c.watchFull(at)
	if c.drowning(at) {
		return
	}
	pause := max(rivalRTTs*c.roundTrip(), rivalPause)
	if at-r.epoch <= pause || c.drain.active || at < c.follow.quiet {
		r.peak = c.queue // what falls now falls by our own doing
	}
	if c.queue >= rivalFall*r.peak {
		r.highAt = at
	}
	if at-r.stuckAt > max(rivalStuck, rivalStuckRTTs*c.roundTrip()) {
		c.endRival(at) // a flow like CUBIC would have backed off: these are our own kind
		r.until = at + rivalTruce
		return
	}
	if c.flooding(at) { // the buffer is full and nobody backs off: not more than what gets through
		s := c.totals.newest.since(&r.from)
		r.window = min(r.window, s.through(&r.clear)*(c.emptyTrip()+c.queue))
		c.backOff(at)
	} else if at-r.highAt > duration(rivalFallRTTs*c.loopTime()) { // less is a host that stood still
		c.backOff(at) // another has backed off
	}
	t := seconds(at - r.epoch)
	w := r.most / c.full
	k := math.Cbrt(w * (1 - rivalCut) / rivalGrowth)
	want := max(rivalGrowth*(t-k)*(t-k)*(t-k)+w, w*rivalCut+rivalReno*t/c.loopTime())
	limit := r.window * (1 + rivalRise*dt/c.loopTime())
	r.window = min(max(want*c.full, r.window), limit)
	c.setEstimate(r.window / (c.emptyTrip() + c.queue))
	c.ladder.begin(at)
}

// watchFull notes when the buffer is full, and what got through while it was not.
func (c *Controller) watchFull(at time.Duration) {
	r := &c.rival
	full := c.queue >= rivalFull*r.high
	if !full {
		r.fullAt, r.stuckAt = at, at
	}
	if full == r.full {
		return
	}
	// What loses more than before is no measure, though the buffer seems not to be full:
	// flows of our own kind that all compete would lose ever more, and find it usual.
	if s := c.totals.newest.since(&r.from); full && s.sent >= excessSent && !c.losesMore(&s, &r.clear, excessSigmas) {
		r.clear.add(&s, min(max(rivalClear-s.sent, 0)/max(r.clear.sent, 1), 1))
	}
	r.full, r.from = full, c.totals.newest
}

// flooding reports whether the buffer has been full for some round trips and more
// is lost than before: nobody else backs off. Loss alone is no sign, and a flow
// like CUBIC loses little here.
func (c *Controller) flooding(at time.Duration) bool {
	r := &c.rival
	if !r.full || at-r.fullAt < rivalFloodRTTs*c.roundTrip() || r.clear.sent == 0 {
		return false
	}
	s := c.totals.newest.since(&r.from)
	return c.losesMore(&s, &r.clear, excessSigmas)
}

// drowning ends the competition where far more is lost than before, whether the
// buffer looks full or not: it is no contest but a flood. The rate falls to what
// gets through.
func (c *Controller) drowning(at time.Duration) bool {
	r := &c.rival
	s := c.totals.newest.since(&r.from)
	if s.time < seconds(max(rivalRTTs*c.roundTrip(), rivalPause)) || !c.loss.excess(&s, &r.clear, excessSigmas) {
		return false
	}
	through := s.through(&r.clear)
	c.endRival(at)
	c.setEstimate(min(c.estimate, through))
	r.until = at + rivalTruce
	return true
}

// still reports whether all that left about the end of a drain had one delay, as on
// a path without a queue. Jitter counts as in HELLO: queues make some of their own.
func (c *Controller) still() bool {
	d := &c.drain
	return d.most-d.least <= max(seconds(flatMin), flatShare*d.least, flatHello*c.hello.spread)
}

// overflowing reports whether more was lost since the queue became so long than
// before: a buffer that is full has one delay, too, and is no path. Few datagrams
// tell, and a doubt is enough: a longer path is there for the next drain, too.
func (c *Controller) overflowing() bool {
	s := c.totals.newest.since(&c.drain.low)
	return c.ladder.reference.sent > 0 && c.losesMore(&s, &c.ladder.reference, doubtSigmas)
}

// losesMore reports whether a stretch lost more than another did.
func (c *Controller) losesMore(s, before *stretch, sigmas float64) bool {
	drop := before.share() - s.share()
	sigma := math.Sqrt((s.variance() + before.variance()) * c.loss.inflation())
	return s.sent >= excessSent && drop > rivalLoss && drop > sigmas*sigma
}

// backOff is a congestion event.
func (c *Controller) backOff(at time.Duration) {
	r := &c.rival
	r.most, r.window = r.window, max(r.window*rivalCut, 4*c.full)
	r.epoch, r.peak, r.highAt, r.fullAt = at, c.queue, at, at
	r.from = c.totals.newest
}
