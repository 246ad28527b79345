package rate

import (
	"math"
	"slices"
	"time"
)

// startup is the second phase (G-3). It sends bursts faster than the path may be.
// A burst that starts on an empty queue shows the bottleneck's rate by any one of
// its datagrams: what was sent from the burst's start up to that datagram, by the
// time from the start to its arrival less the base delay.
type startup struct {
	average float64       // rate over several bursts, bytes/s
	peak    float64       // rate in a burst
	known   float64       // what the path carries at least
	clean   float64       // average of the last round that lost no more than usual
	begun   uint64        // bytes sent before the phase
	left    float64       // bytes of this burst
	idled   bool          // the application had nothing to send,
	idleAt  time.Duration // until then
	next    time.Duration // start of the next burst
	bursts  [startBursts]burst
	n       int // bursts so far

	round     uint64 // first packet number of this round
	roundAt   time.Duration
	idles     uint32 // of its first datagram
	from      mark   // first mark of the round
	marked    bool
	reference stretch // what arrives at rates that are fine
	partial   bool    // it is HELLO's, of which some is still on its way
}

// burst is a run of datagrams, and the last of them that arrived.
type burst struct {
	first  uint64
	start  time.Duration
	before uint64        // bytes sent before it
	bytes  float64       // until the last that arrived; 0: none did
	delay  time.Duration // of that one
	spread time.Duration // from start to its departure
	took   time.Duration // from start to its arrival, less the base delay's unknown
	upto   uint64        // bytes sent in all when that one left
	at     time.Duration // its arrival
	head   sample        // the first that arrived after the one which the burst began with
	met    time.Duration // delay of the first that arrived at all
}

// beginStartup starts the phase; average 0 is the default.
func (c *Controller) beginStartup(at time.Duration, average float64) {
	if c.phase == Run {
		c.hello.lookAgain()
	}
	c.phase = Startup
	s := &c.startup
	*s = startup{reference: s.reference}
	if s.reference.sent == 0 {
		s.reference, s.partial = c.totals.upToNow(), c.loss.loss > startLossy
	}
	most := float64(startMax)
	if c.loss.loss > startLossy {
		most = startMaxLossy
	}
	first := c.full * min(max(startDatagrams/seconds(c.roundTrip()), startMin), most)
	s.average = min(max(first, average), c.ceiling)
	s.known = s.average
	s.peak = min(max(peakFactor*s.average, peakMin), c.ceiling)
	s.begun = c.log.bytes
	c.beginRound(at)
}

// beginRound makes all that is sent from now on a new round.
func (c *Controller) beginRound(at time.Duration) {
	s := &c.startup
	s.round, s.roundAt, s.marked = c.log.next, at, false
	// A burst must not meet the queue of the one before.
	s.left, s.next = 0, max(at, min(s.next, at+c.roundTrip()/4))
}

// nextBurst starts a burst, or goes on with this one as slow start allows.
func (c *Controller) nextBurst(at time.Duration, limited bool) {
	s := &c.startup
	if limited {
		s.idled, s.idleAt = true, at
	} else if more := c.slowStart(at); at < s.next && more >= c.full {
		s.left = more
		return
	}
	c.beginBurst(at)
}

// beginBurst starts a burst, and an epoch with it (W-5).
func (c *Controller) beginBurst(at time.Duration) {
	s := &c.startup
	rtt := max(seconds(c.roundTrip()), seconds(loopMin))
	size := min(s.average*max(rtt/2, seconds(burstTime)), s.known*seconds(burstTime))
	size = max(size, burstDatagrams*c.full)
	pause := size / s.average
	if c.limitsItself(at) && !c.isLong() {
		pause = min(pause, rtt/idleShare)
	}
	s.left, s.next = max(size, c.slowStart(at)), at+duration(pause)
	s.bursts[s.n%startBursts] = burst{first: c.log.next, start: at, before: c.log.bytes}
	s.n++
	c.log.cuts++ // between bursts the link is idle
	c.epoch.id++
}

// limitsItself reports whether the application had nothing to send a short time ago.
func (c *Controller) limitsItself(at time.Duration) bool {
	return c.startup.idled && at-c.startup.idleAt < idleRTTs*c.roundTrip()
}

// isLong reports whether the pauses between bursts are long for an inner TCP.
func (c *Controller) isLong() bool { return c.roundTrip() > atOnce }

// slowStart is how many bytes an application that limits itself may send over a long
// path now, whatever the bursts have left: what TCP may in its slow start, ten
// datagrams and as much again as has got through (RFC 6928, RFC 5681). An inner TCP
// would leave slow start with a small window where that had to wait.
func (c *Controller) slowStart(at time.Duration) float64 {
	if c.history.n == 0 || !c.limitsItself(at) || !c.isLong() {
		return 0
	}
	through := c.history.back(0).bytes
	return slowStartFirst*c.full + float64(through-min(through, c.startup.begun)) - float64(c.log.bytes-through)
}

// onSent takes a datagram of its bytes from the burst.
func (s *startup) onSent(pn uint64, size int, idles uint32) {
	s.left -= float64(size)
	if pn == s.round {
		s.idles = idles
	}
}

// onSample notes an arrival with its burst.
func (s *startup) onSample(a *sample) {
	for i := range min(s.n, startBursts) {
		b := &s.bursts[(s.n-1-i)%startBursts]
		if a.pn < b.first {
			continue
		}
		if b.upto == 0 {
			b.met = a.delay()
		}
		if b.bytes == 0 {
			b.head = *a
		}
		// Not the datagram itself: the base delay may have its serialisation in it.
		b.bytes, b.delay = float64(a.bytes-b.before)-float64(a.size), a.delay()
		b.took, b.spread, b.upto, b.at = a.arrival-b.start, a.at-b.start, a.bytes, a.arrival
		return
	}
}

// dispersion is what the bursts of a round show.
type dispersion struct {
	bursts   int
	lone     int     // of these, with a single arrival
	rate     float64 // third quartile of the bottleneck's rate, bytes/s
	together float64 // the rate at which the round's bursts arrived, bytes/s
	wait     float64 // median delay above base, seconds
	took     float64 // median time of a burst
	known    float64 // what the path carries at least, with so much noise
}

// dispersion looks at the bursts of this round. Limited says that the application
// sent less than it might have.
func (c *Controller) dispersion(noise float64, limited bool) dispersion {
	s := &c.startup
	var rates, waits, tooks []float64
	var last *burst // of the round
	d := dispersion{}
	end := c.log.bytes // bytes sent before the end of the burst
	for i := range min(s.n, startBursts) {
		b := &s.bursts[(s.n-1-i)%startBursts]
		if b.first < s.round {
			break
		}
		if b.bytes == 0 || float64(end-b.before) < burstLeast*c.full { // none arrived, or a trickle: its times are the sender's
			end = b.before
			continue
		}
		end = b.before
		if last == nil {
			last = b
		} else if length := seconds(last.at - b.at); length >= 2*noise {
			// Where a queue stands between bursts, each of them shows too little,
			// and all together the bottleneck.
			d.together = max(d.together, float64(last.upto-b.upto)/length)
		}
		took := max(seconds(b.took-c.base.value()), seconds(b.spread), 1e-6)
		rate, within := b.bytes/took, b.within(c.base.value(), noise)
		if met := seconds(b.met - c.base.value()); limited && met > took/2 && met > standNoises*noise {
			if within == 0 {
				continue // too short to tell more than the queue of others that it met
			}
			rate = 0
		}
		if b.alone() {
			d.lone++
		}
		rates = append(rates, max(rate, within))
		waits = append(waits, max(seconds(b.delay-c.base.value()), 0))
		tooks = append(tooks, took)
		d.known = max(d.known, b.bytes/(took+noise))
	}
	if d.bursts = len(rates); d.bursts > 0 {
		d.wait, d.took = median(waits), median(tooks)
		// Lateness of any kind makes a burst look slower, never faster.
		d.rate = rates[quartile(rates)]
	}
	return d
}

// alone reports whether only one datagram of the burst arrived, or one after that
// which it began with.
func (b *burst) alone() bool { return b.head.arrival == b.at }

// between is what bursts of one arrival each show. If a queue stands between them
// each shows too little, for it waits for those before, and all together too much if
// the buffer overflows: the mean of the two is the least far from either.
func (d *dispersion) between() float64 {
	return math.Sqrt(d.rate * max(d.rate, d.together))
}

// within is the rate at which a burst arrived that met a queue: the time that this
// took is no part of its own. It is 0 if there was none, or if noise is as long.
func (b *burst) within(base time.Duration, noise float64) float64 {
	took := seconds(b.at - b.head.arrival)
	if seconds(b.head.delay()-base) < standNoises*noise || took < 2*noise {
		return 0
	}
	return float64(b.upto-b.head.bytes) / (took + noise)
}

// quartile sorts a list and is the place of its third quartile.
func quartile(list []float64) int {
	slices.Sort(list)
	return min(3*len(list)/4, len(list)-1)
}

func median(list []float64) float64 {
	slices.Sort(list)
	return (list[(len(list)-1)/2] + list[len(list)/2]) / 2
}

// judgeBursts ends the phase where delay or loss shows the bottleneck, else the
// round where enough arrived.
func (c *Controller) judgeBursts(at time.Duration) {
	s := &c.startup
	newest := &c.totals.newest
	if newest.pn < s.round {
		return
	}
	if !s.marked {
		s.marked, s.from = true, *newest
		if s.partial { // HELLO ended when enough had arrived: a lucky end, and few datagrams
			s.reference, s.partial = c.totals.upToNow(), false
		}
	}
	round := newest.since(&s.from)
	// STARTUP sees the queue of others as well as jitter, HELLO is too short for that. In a
	// burst the delay wanders by little, from one to the next by all that the path adds.
	within := max(seconds(startNoise), 2*c.hello.spread)
	noise := max(within, startPath*c.pathJitter(s.average))
	limited := newest.idles != s.idles // what is delivered then is what was there to send
	d := c.dispersion(within, limited)
	independent := lossMeter{} // the tail of each burst is lost, which is no trait of the path
	if rate, ok := c.carried(noise); ok {
		c.leaveStartup(at, startShare*rate)
		return
	}
	clear := d.wait >= 2*noise && d.took >= 4*noise
	switch {
	case d.wait >= noise && d.took >= 2*noise && d.bursts >= 2 && !limited && independent.excess(&round, &s.reference, doubtSigmas):
		// A small buffer overflows: what did not get through took no time.
		through := round.share() / s.reference.share()
		c.leaveStartup(at, max(startShare*d.rate, round.rate())*through)
		if !clear {
			c.ladder.policed(at, c.estimate, &s.reference)
		}
	case clear && d.bursts >= 2:
		switch {
		case limited: // its bursts were short, and a queue stood between them
			d.rate = max(d.rate, d.together)
		case 2*d.lone > d.bursts:
			d.rate = d.between()
		}
		c.leaveStartup(at, startShare*d.rate) // no verdict yet: a policer may have let the bursts pass
	case !limited && c.loss.excess(&round, &s.reference, excessSigmas):
		// A policer shows its rate only by what it delivers in a while: not less
		// than half of what a round has carried.
		c.leaveStartup(at, max(round.through(&s.reference), s.clean/2))
		c.ladder.policed(at, c.estimate, &s.reference)
	case d.wait >= noise && round.share() < startFlood*s.reference.share() && independent.excess(&round, &s.reference, excessSigmas):
		// The bursts are too short against the noise to tell the capacity, but so
		// much is lost behind a queue: a buffer overflows.
		rate := round.rate()
		if limited {
			rate = max(rate, d.rate)
		}
		c.leaveStartup(at, rate*round.share()/s.reference.share())
	case s.average >= c.ceiling*0.99 && round.arrived >= startArrivals:
		c.leaveStartup(at, c.ceiling)
	case round.arrived >= startArrivals && (d.bursts >= 2 || limited) && c.tested(at, &round):
		if !c.loss.excess(&round, &s.reference, doubtSigmas) {
			s.reference.sent += round.sent
			s.reference.arrived += round.arrived
		}
		c.grow(&d, &round, limited)
		c.beginRound(at)
	}
}

// carried is what the link carries where a queue stands, whatever made it: all
// that arrives then is the capacity. An application that sends little at a time
// fills the buffer between bursts that are too short to tell.
func (c *Controller) carried(noise float64) (rate float64, ok bool) {
	s := c.history.standing(c.base.value(), duration(noise))
	least := max(standNoises*noise, min(seconds(standMin), seconds(c.roundTrip())/2))
	if seconds(s.rise) < least || s.time < standLength*noise || s.sent < burstLeast {
		return 0, false
	}
	rate = s.rate()
	independent := lossMeter{} // a buffer that overflows
	if ref := &c.startup.reference; independent.excess(&s.stretch, ref, doubtSigmas) {
		rate *= s.share() / ref.share()
	}
	return rate, true
}

// tested reports whether a round was long enough to show a policer: at the next
// rate it might get four times what it lets through.
func (c *Controller) tested(at time.Duration, round *stretch) bool {
	s := &c.startup
	return round.sent*s.reference.share() >= startExpected || at-s.roundAt > startPatience*c.roundTrip()
}

// grow raises the average for the next round, if the sender used what it had. What
// an application sends at once counts as sent in a round trip.
func (c *Controller) grow(d *dispersion, round *stretch, limited bool) {
	s := &c.startup
	used := round.rate()
	s.known, s.clean = max(s.known, d.known), min(s.average, used)
	if limited {
		used = round.bytes / max(round.time, seconds(min(c.roundTrip(), atOnce)))
	}
	next := min(max(roundGrowthBlind*s.average, startLoad*d.known), roundGrowth*s.average)
	s.average = min(max(s.average, min(next, roundGrowth*used)), c.ceiling)
	s.peak = min(max(peakFactor*s.average, peakMin), c.ceiling)
}

// leaveStartup starts RUN with an estimate of the capacity.
func (c *Controller) leaveStartup(at time.Duration, estimate float64) {
	c.phase = Run
	c.log.cuts++
	c.setEstimate(estimate)
	c.rate, c.follow.first = c.estimate, c.estimate
	c.startup.left, c.startup.n = 0, 0
	c.ladder.begin(at)
	c.follow.steppedAt, c.follow.settled = at, at+startSettle
	first := duration(drainEarlyRTTs*seconds(c.roundTrip())) + drainFirst
	c.drain = drain{next: at + first, low: c.totals.newest}
}
