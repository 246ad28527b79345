package rate

import "time"

// shift is a longer path that the queue after a drain was taken for: a path without
// a queue has one delay. What has one delay for a while may yet be the queue of
// others or, where they overflow it, a full buffer.
type shift struct {
	by     float64       // seconds; 0: none lately
	at     time.Duration // when it was seen
	origin time.Duration // base delay before that
	most   time.Duration // greatest delay since

	before stretch // what got through before, until it shows that it was none
	from   mark    // of what is compared with it

	never time.Duration // until then nothing is taken for a longer path
}

// takeLonger takes what a drain left for the path.
func (c *Controller) takeLonger(at time.Duration) {
	c.rival.shift = shift{
		by: c.drain.least, at: at, origin: c.base.value(), most: c.least,
		before: c.ladder.reference, from: c.totals.newest,
	}
	c.base.reset(at, c.base.value()+duration(c.drain.least))
	c.drain.next = at + rivalHurry // a path has the same delay then
}

// recent reports whether a path was taken for longer a short time ago.
func (s *shift) recent(at time.Duration) bool { return s.by > 0 && at-s.at < shiftMemory }

// moved reports whether a drain left more than the path that was taken for longer.
func (c *Controller) moved(at time.Duration) bool {
	s := &c.rival.shift
	return !c.rival.active && s.recent(at) && c.drain.least > max(seconds(shiftMoved), flatShare*s.by, flatHello*c.hello.spread)
}

// overrun reports whether more is lost since a path was taken for longer, which was a
// full buffer then, and goes back.
func (c *Controller) overrun(at time.Duration) bool {
	s := &c.rival.shift
	if s.before.sent == 0 {
		return false
	}
	since := c.totals.newest.since(&s.from)
	if !c.losesMore(&since, &s.before, excessSigmas) {
		if since.time > seconds(shiftLook) {
			s.from = c.totals.newest
		}
		return false
	}
	through := since.through(&s.before)
	*s = shift{never: at + rivalMemory}
	c.base.reset(at, c.lowest.value())
	c.setEstimate(min(c.estimate, through))
	return true
}

// yield is a time in which the queue was too long, and the rate was lowered for it.
type yield struct {
	since           time.Duration
	estimate, queue float64 // when it began
}

// yielded reports whether the queue grew while the rate fell to a quarter: others fill
// it. On a link that became slower it falls then, a path that became longer has one
// delay, and flows of our own kind keep the queue shorter.
func (c *Controller) yielded(at time.Duration) bool {
	y := &c.rival.yield
	if c.rival.active || c.queue <= yieldQueue*c.ownQueue() {
		*y = yield{at, c.estimate, c.queue}
		return false
	}
	grown := max(seconds(targetMin), yieldGrown*y.queue, yieldNoises*c.jitter.spread)
	if at-y.since < max(yieldTime, yieldRTTs*c.roundTrip()) || c.estimate > y.estimate/yieldFall ||
		c.queue < y.queue+grown || c.above(c.least) < yieldTall*c.ownQueue() {
		return false
	}
	*y = yield{at, c.estimate, c.queue}
	return true
}
