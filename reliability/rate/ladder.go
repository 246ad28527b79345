package rate

import (
	"math"
	"time"
)

// ladder is the elasticity test (G-2). Where delay is silent, a policer or a
// buffer smaller than the target, the question is: does the delivered rate rise
// when the send rate rises? A level that is not paid for by delivery is left for
// the one before. So the way back is to a rate that was fine, never to a share
// of a loss: a jump of random loss cannot lower the rate.
type ladder struct {
	from      mark // begin of the level
	after     time.Duration
	marked    bool
	reference stretch // the last level that was paid for
	step      float64 // relative size of the next one
	shallow   bool    // delay is silent and the level above was not paid for
	seenQueue float64 // then

	hold      float64 // seconds
	holdUntil time.Duration
	verified  time.Duration // when the reference was tested last
	down      bool          // a lower level is tested
	downStep  float64
	assumed   bool // the reference has the loss of low rates, and nobody measured it
}

// begin starts a level with what is sent from now on.
func (l *ladder) begin(at time.Duration) {
	l.after, l.marked = at, false
}

// stretch is what happened at this level so far.
func (l *ladder) stretch(c *Controller) (stretch, bool) {
	newest := &c.totals.newest
	if newest.sent < l.after {
		return stretch{}, false
	}
	if !l.marked || newest.idles != l.from.idles { // an idle time starts it again
		l.marked, l.from = true, *newest
		return stretch{}, false
	}
	return newest.since(&l.from), true
}

// judge decides about a level when enough arrived of it.
func (c *Controller) judge(at time.Duration) {
	l := &c.ladder
	if c.drain.active || at < c.follow.quiet || c.silence.steps > 0 {
		l.begin(at)
		return
	}
	if l.shallow && c.queue > estimateNoRise*c.target {
		l.shallow, l.down = false, false // the buffer is deep after all
	}
	level, ok := l.stretch(c)
	if !ok || !c.enough(&level) {
		return
	}
	rate, ref := level.rate(), l.reference.rate()
	switch {
	case c.queue >= visibleShare*c.target && !l.shallow && !c.unpaid(&level): // the delay loop is in charge
		l.accept(at, &level)
		l.step, l.hold = stepVisible, seconds(holdMin)
		c.onVisible()
	case l.reference.sent == 0:
		c.firstLevel(at, &level)
	case l.down:
		c.judgeDown(at, &level)
	case rate > ref*(1+stepTaken*c.stepSize()):
		c.judgeUp(at, &level)
	case rate < 0.95*ref:
		l.reference = level
	default:
		c.sameLevel(at, &level)
	}
	l.begin(at)
}

// enough reports whether a level has lasted for a verdict: the wider the step,
// the fewer arrivals tell.
func (c *Controller) enough(level *stretch) bool {
	if level.time < seconds(c.roundTrip()) || level.arrived < judgeArrivals/2 || level.share() == 0 {
		return false
	}
	if level.time >= seconds(judgeTime) {
		return true
	}
	g := c.stepSize()
	if ref := c.ladder.reference.rate(); ref > 0 {
		g = min(max(g, math.Abs(level.rate()/ref-1)), stepMax)
	}
	return level.arrived >= judgeArrivals+judgeNoise*(1-level.share())*c.loss.inflation()/(g*g)
}

// stepSize is the step, widened where arrivals are too few to judge it in half of
// judgeTime.
func (c *Controller) stepSize() float64 {
	arrivals := max(c.estimate/c.full*(1-c.loss.loss), 1) * seconds(judgeTime) / 2
	least := math.Sqrt(judgeNoise * max(c.loss.loss, 0.02) * c.loss.inflation() / arrivals)
	return min(max(c.ladder.step, least), 0.6)
}

// elasticity is how much of a change of the send rate the delivered rate follows,
// and its standard deviation.
func (c *Controller) elasticity(level *stretch) (e, sigma float64) {
	ref := &c.ladder.reference
	change := level.rate()/ref.rate() - 1
	e = (level.delivered()/max(ref.delivered(), 1) - 1) / change
	noise := (1 - level.share()) * c.loss.inflation()
	sigma = math.Sqrt(noise/max(level.arrived, 1)+noise/max(ref.arrived, 1)) / math.Abs(change)
	return e, sigma
}

// unpaid reports whether a level is well above the reference and delivers no
// more: under tail drop the queue is full, the slope is the send rate, and the
// estimate would run away with it.
func (c *Controller) unpaid(level *stretch) bool {
	ref := c.ladder.reference.rate()
	if ref == 0 || level.rate() < ref*(1+stepTaken*stepVisible) {
		return false
	}
	e, sigma := c.elasticity(level)
	return e < elastic && 1-e > 3*sigma
}

// accept makes a level the reference.
func (l *ladder) accept(at time.Duration, level *stretch) {
	l.reference, l.verified, l.shallow, l.down, l.assumed = *level, at, false, false, false
}

// policed notes that a higher rate was not paid for before there was any level:
// the rate that it delivered is the reference, and should lose what low rates do.
func (l *ladder) policed(at time.Duration, rate float64, low *stretch) {
	l.reference = stretch{sent: low.sent, arrived: low.arrived, bytes: rate, time: 1}
	l.shallow, l.assumed, l.verified = true, true, at-downAfter // a round is short: test a lower level next
	l.holdUntil = at + duration(l.hold)
}

// firstLevel is the verdict on the rate that STARTUP ended with: if more is lost
// than at low rates, try with so much less.
func (c *Controller) firstLevel(at time.Duration, level *stretch) {
	l := &c.ladder
	l.reference, l.verified = *level, at
	if ref := &c.startup.reference; c.loss.excess(level, ref, doubtSigmas) {
		l.shallow, l.seenQueue = true, c.queue
		c.goDown(c.excessStep())
	}
}

// excessStep is the step down that undoes what the reference loses more than low
// rates do, if all of it is ours.
func (c *Controller) excessStep() float64 {
	return min(max(1-c.ladder.reference.share()/c.startup.reference.share(), downMin), downMax)
}

// goDown tests a level below the reference.
func (c *Controller) goDown(step float64) {
	c.ladder.down, c.ladder.downStep = true, step
	c.setEstimate(c.ladder.reference.rate() * (1 - step))
}

// judgeDown compares a lower level with the reference. If it lost less, the
// reference was above what the path takes: what it delivered, by the share that
// arrives at the lower level, is the capacity. If it lost the same, that is the
// reference's rate again: the loss is not ours.
func (c *Controller) judgeDown(at time.Duration, level *stretch) {
	l := &c.ladder
	c.follow.verdict = true
	low, high := level.rate(), l.reference.rate()
	capacity := min(max(l.reference.through(level), low), max(low, high))
	ours := capacity < high*(1-downMin/2)
	if ours {
		l.shallow, l.seenQueue = true, max(l.seenQueue, c.queue)
	}
	// The lower level may be too high as well, and what few datagrams told of low rates
	// does not show it.
	more := (ours || l.assumed) && c.loss.excess(level, &c.startup.reference, moreSigmas) || ours && c.startup.reference.vague()
	if !more {
		c.startup.reference = *level // what gets through at a rate that is fine
	}
	l.reference = *level
	l.reference.bytes = capacity * level.time
	l.down, l.verified, l.assumed = false, at, false
	l.holdUntil = at + duration(l.hold)
	if more || (capacity <= low*1.05 && 1-level.share() > downLoss) { // further down it may be better still
		c.goDown(min(downMax, l.downStep*downGrowth))
		return
	}
	c.setEstimate(capacity)
}

// judgeUp keeps a higher level that is paid for, and goes back from one that is
// not.
func (c *Controller) judgeUp(at time.Duration, level *stretch) {
	l := &c.ladder
	c.follow.verdict = true
	e, sigma := c.elasticity(level)
	if e >= elastic || (1-e < 2.5*sigma && !l.shallow) {
		l.accept(at, level)
		l.step, l.hold = min(stepMax, 2*l.step), seconds(holdMin)
		return
	}
	l.shallow, l.seenQueue = true, c.queue
	l.step = max(stepMin, l.step/2)
	l.holdUntil = at + duration(l.hold)
	l.hold = min(seconds(holdMax), 2*l.hold)
	c.setEstimate(l.reference.rate())
}

// sameLevel refines the reference, and tests another level when it is time.
func (c *Controller) sameLevel(at time.Duration, level *stretch) {
	l := &c.ladder
	kept := 0.7
	if l.assumed {
		kept, l.assumed = 0, false // this is the first measurement
	}
	l.reference.add(level, kept)
	if c.queue >= visibleShare*c.target && !l.shallow {
		return
	}
	sigmas := float64(downSigmas)
	if l.shallow && l.hold > seconds(holdMin) { // a higher level was not paid for lately
		sigmas = moreSigmas
	}
	doubt := c.loss.excess(&l.reference, &c.startup.reference, sigmas) && at-l.verified > doubtAfter
	switch {
	case doubt:
		c.goDown(c.excessStep())
	case at-l.verified > downAfter && 1-level.share() > downLoss && (l.shallow || c.queue < 0.1*c.target):
		c.goDown(max(downMin, c.stepSize()))
	case at > l.holdUntil && l.shallow:
		c.setEstimate(l.reference.rate() * (1 + c.stepSize()))
	}
}
