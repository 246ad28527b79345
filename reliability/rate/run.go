package rate

import (
	"math"
	"time"
)

// follow is what the delay loop remembers.
type follow struct {
	steppedAt time.Duration // last rise without a queue
	quiet     time.Duration // no such rise before
	marks     time.Duration // last congestion mark
	first     float64       // estimate that STARTUP ended with
	settled   time.Duration // it may be too low until then
	steps     int           // such rises in a row
	verdict   bool          // delay or the ladder has shown something of the path
}

// run is one turn of RUN, upon each report: the estimate follows the slope where
// the link is busy, and feels its way up where it is not; the rate holds the
// queue at its target.
func (c *Controller) run(at time.Duration, dt float64, marked bool) {
	// G-4: a mark is answered as TCP answers it, once per round trip (RFC 3168), with
	// the smaller step that suits a queue that is short (RFC 8511).
	if marked && at >= c.follow.marks+c.roundTrip() {
		c.follow.marks = at
		c.setEstimate(c.estimate * (1 - markedCut))
		if c.rival.active {
			c.backOff(at)
		}
	}
	if c.yielded(at) {
		c.onRival(at, rivalSigns) // needs no second one
	}
	if c.rival.active {
		c.compete(at, dt)
		c.drainTurn(at, dt)
		return
	}
	if c.queue >= c.busyAt() && !c.ladder.shallow {
		c.followSlope(dt)
	} else {
		c.feel(at)
	}
	c.judge(at)
	if !c.follow.verdict {
		c.boundByDelivered()
	}
	c.drainTurn(at, dt)
}

// loopTime is the time constant of control, in seconds.
func (c *Controller) loopTime() float64 {
	return max(seconds(c.roundTrip()), seconds(loopMin))
}

// followSlope moves the estimate to what the bottleneck takes (G-1). It must not
// rise while the queue is above its target: under tail drop the slope is the
// send rate. Nor by what an application sends in bursts: beside others a burst gets
// more than its flow's share while it lasts.
func (c *Controller) followSlope(dt float64) {
	busy := c.base.value() + duration(c.busyAt())
	window := max(c.roundTrip(), slopeWindow)
	s, ok := c.history.slope(busy, window)
	c.follow.steps = 0
	// After an idle time or a drain a short look shows the jitter's slope and not the link's.
	least := slopeWindow / 4
	noise := max(c.jitter.spread, min(c.jitter.wander, c.target/wanderShare))
	least = max(least, min(duration(slopeJitter*noise), window/3))
	if !ok || s.length < least {
		return
	}
	if s.rate < c.estimate && c.queue > flatQueue*c.target && s.flat < c.stillness() {
		return // the delay is not ours, and the slope is the send rate
	}
	if s.rate > c.estimate && (c.queue > estimateNoRise*c.target || c.follow.marks+c.roundTrip() > c.last || c.history.idled(window)) {
		return
	}
	if s.rate < c.estimate && c.queue < estimateNoFall*c.target && c.pathJitter(c.estimate) > 0 {
		return // the path's own delay makes the slope swing; as it may not rise above the target, it would only fall
	}
	k := min(1, estimateGain*dt/c.loopTime())
	next := c.estimate + k*(s.rate-c.estimate)
	c.setEstimate(min(next, max(c.estimate, growVerified*c.verified())))
}

// verified is the last rate that was paid for by delivery, at first that which
// STARTUP ended with.
func (c *Controller) verified() float64 {
	if r := c.ladder.reference.rate(); r > 0 {
		return r
	}
	return c.follow.first
}

// stillness is how much a delay may move, in seconds, that does not move at all.
func (c *Controller) stillness() float64 {
	return max(seconds(flatMin), flatShare*c.queue, flatJitter*c.jitter.value())
}

// feel raises the rate step by step where nothing queues, up to twice what was
// verified.
func (c *Controller) feel(at time.Duration) {
	pause := duration(growRTTs*seconds(c.roundTrip())) + growPause
	f := &c.follow
	if c.ladder.shallow {
		f.steps = 0 // one was not paid for
		return
	}
	if at < f.steppedAt+pause || at < f.quiet || at < c.ladder.holdUntil || at < f.marks+c.roundTrip() ||
		c.ladder.down || c.drain.active || c.idling() {
		return
	}
	next := c.estimate * growStep
	if v := c.ladder.reference.rate(); v > 0 && next > growVerified*v {
		return
	}
	f.steppedAt = at
	f.steps++
	if f.steps > growSteps && c.estimate < c.ceiling/growStep && c.ladder.reference.sent > 0 {
		f.steps = 0
		c.startup.reference = c.ladder.reference
		c.beginStartup(at, c.estimate)
		c.startup.clean = c.ladder.reference.rate() // that much is known to be fine
		return
	}
	c.setEstimate(next)
}

// idling reports whether the newest stretch has idle times of the sender: its
// rate says nothing.
func (c *Controller) idling() bool {
	n := c.history.kept()
	return c.history.back(min(n-1, 2*maxEpochs)).idles != c.history.back(0).idles
}

// onVisible notes that delay shows what the path carries.
func (c *Controller) onVisible() { c.follow.verdict = true }

// boundByDelivered keeps a rate that nothing has confirmed yet to twice what
// is delivered, corrected for the loss at low rates: a policer shows no delay.
func (c *Controller) boundByDelivered() {
	level, ok := c.ladder.stretch(c)
	if ok && level.sent*c.startup.reference.share() >= judgeArrivals && level.time >= seconds(c.roundTrip()) {
		old, ref := c.estimate, &c.startup.reference
		share := max(ref.share()-deliveredSigmas*math.Sqrt(ref.variance()), ref.share()/4) // HELLO alone says little
		c.setEstimate(min(old, deliveredBound*level.delivered()/share))
		if c.estimate < old/deliveredBound { // a level has one rate
			c.ladder.begin(c.now)
		}
	}
}

// steer sets the rate so that the predicted queue meets its target (G-2).
func (c *Controller) steer(at time.Duration) {
	c.predict(at)
	c.endDrain(at)
	gain := 1.0
	if c.rival.active {
		gain = 1
	} else if !c.ladder.shallow {
		gain = 1 + (c.target-c.ahead)/c.loopTime()
		if c.queue < c.busyAt() && c.history.n > 0 && c.history.back(0).at >= c.drain.refilled {
			gain = min(gain, gainBlind)
		}
	}
	gain = min(max(gain, gainMin), gainMax)
	if c.drain.active {
		gain = min(gain, drainGain)
	}
	c.rate = c.clamp(c.estimate * gain)
}
