package rate

import (
	"fmt"
	"math"
	"time"
)

// Phase is what the controller does (G-3).
type Phase uint8

// The phases.
const (
	Hello    Phase = iota // small datagrams measure base delay and loss
	Startup               // bursts look for the bottleneck
	Run                   // the queue is held at its target
	Drain                 // as Run, below the estimate for a moment to see the base delay
	Compete               // as Run, beside flows that fill the buffer
	Blackout              // no receipts arrive
)

// String returns the lower-case name of the phase.
func (p Phase) String() string {
	names := [...]string{"hello", "startup", "run", "drain", "compete", "blackout"}
	if int(p) < len(names) {
		return names[p]
	}
	return "invalid"
}

// Controller finds the send rate of one path (G-1 … G-4).
//
// Before a datagram the caller asks MaxDatagram, Rate, Hold and Epoch; it calls
// OnSent for each, OnReceipt for each receipt, and HandleTimeout at Deadline.
type Controller struct {
	cfg            Config
	floor, ceiling float64 // bytes/s
	start          time.Time
	now            time.Duration // newest, since start
	full           float64       // bytes of a full datagram

	phase    Phase // Hello, Startup or Run
	estimate float64
	rate     float64

	log     sendLog
	epoch   epochClock
	history history
	base    baseline
	lowest  baseline // as base, over a longer time: no longer path is taken for granted
	rtts    baseline
	trips   baseline // as rtts, over rivalLowest
	totals  totals
	largest int64 // newest packet number that arrived, -1 before
	clock   time.Duration
	last    time.Duration // newest report
	due     time.Duration // when the next datagram should leave

	least  time.Duration // delay of the arrivals lately
	queue  float64       // seconds: measured,
	ahead  float64       // predicted for a datagram sent now,
	target float64       // and wanted
	jitter jitter
	loss   lossMeter

	hello   hello
	startup startup
	follow  follow
	ladder  ladder
	drain   drain
	rival   rival
	silence silence
}

// New returns a Controller in phase Hello. It panics if the configuration is
// invalid.
func New(now time.Time, cfg Config) *Controller {
	if !cfg.Valid() {
		panic(fmt.Sprintf("rate: invalid configuration %+v", cfg))
	}
	if cfg.Datagram == 0 {
		cfg.Datagram = fullDatagram
	}
	c := &Controller{cfg: cfg, start: now, largest: -1, full: float64(cfg.Datagram), silence: silence{asked: -1}}
	c.floor, c.ceiling = cfg.bounds()
	c.ladder.step = stepFirst
	c.ladder.hold = seconds(holdMin)
	c.drain.next = never
	if cfg.Mode == Fixed {
		c.phase, c.estimate, c.rate = Run, c.ceiling, c.ceiling
	}
	return c
}

const never = time.Duration(math.MaxInt64)

// advance moves the clock; an older now counts as the newest seen.
func (c *Controller) advance(now time.Time) time.Duration {
	c.now = max(c.now, now.Sub(c.start))
	return c.now
}

// MaxDatagram is the size of the largest datagram to send now, in IP bytes: small
// ones in HELLO, so that they do not queue on a thin link.
func (c *Controller) MaxDatagram() int {
	if c.phase == Hello {
		return min(SmallDatagram, c.cfg.Datagram)
	}
	return c.cfg.Datagram
}

// Rate is the pacing rate in bit/s of IP bytes, between MinRate, or the ceiling if
// that is less, and the ceiling.
func (c *Controller) Rate(now time.Time) int64 {
	at := c.advance(now)
	r := c.rate
	switch {
	case c.phase == Hello:
		r = c.hello.rate(at)
	case c.phase == Startup:
		r = c.startup.peak
	case c.cfg.Mode != Fixed:
		c.steer(at)
		r = c.rate
	}
	if c.cfg.Mode != Fixed {
		r = c.silence.damp(r)
	}
	return int64(8 * c.clamp(r))
}

// Phase is what the controller does now.
func (c *Controller) Phase() Phase { return c.phase }

// Settled reports that the capacity was found. Where the path adds a delay of its own,
// what STARTUP found may yet be far too low: RUN then has some time to find more.
func (c *Controller) Settled() bool {
	return c.phase == Run && (c.now >= c.follow.settled || c.pathJitter(c.estimate) == 0)
}

// Estimate is what the path is thought to carry, in bit/s of IP bytes, within the
// bounds of the rate; in HELLO and STARTUP what it carried so far.
func (c *Controller) Estimate() int64 {
	if c.phase == Hello {
		return int64(8 * c.floor)
	}
	if c.phase == Startup {
		return int64(8 * c.startup.average)
	}
	return int64(8 * c.estimate)
}

// Hold is the time before which no datagram may leave: the pause between two
// bursts of STARTUP. It is zero, or past, if there is none.
func (c *Controller) Hold() time.Time {
	if c.phase != Startup || c.startup.left > 0 || c.slowStart(c.now) >= c.full {
		return time.Time{}
	}
	return c.start.Add(c.startup.next)
}

// Epoch is the epoch of a datagram sent now (W-5): a send interval, or a burst of
// STARTUP.
func (c *Controller) Epoch(now time.Time) uint8 {
	at := c.advance(now)
	if c.phase == Startup {
		if c.startup.left <= 0 {
			c.beginBurst(at)
		}
		return c.epoch.id
	}
	return c.epoch.tick(at, c.roundTrip())
}

// OnSent records that the next packet number left in a datagram of size IP
// bytes. Limited says that the sender had nothing to send when the schedule
// would have allowed a datagram before this one: the rate of such a time says
// nothing of the path. It panics if pn is not the next number (W-1).
func (c *Controller) OnSent(now time.Time, pn uint64, size int, limited, eliciting bool) {
	at := c.advance(now)
	if pn != c.log.next || size <= 0 {
		panic(fmt.Sprintf("rate: datagram %d of %d bytes after %d datagrams", pn, size, c.log.next))
	}
	if limited && pn > 0 && c.cfg.Mode != Fixed {
		c.onIdle(at)
	}
	if c.phase == Startup && (limited || c.startup.left <= 0) {
		c.nextBurst(at, limited)
	}
	if pn == 0 {
		c.hello.start = at
	}
	c.log.add(at, size, limited || c.late(at))
	c.due = at + duration(float64(size)/c.silence.damp(max(gainMin*c.estimate, c.floor)))
	c.silence.onSent(at, pn, eliciting)
	if c.phase == Startup {
		c.startup.onSent(pn, size, c.log.idles)
	}
}

// late reports whether the sender has missed so much of its schedule that what it
// sent shows its host and not the path: a host that stood still.
func (c *Controller) late(at time.Duration) bool {
	return c.phase == Run && c.log.next > 0 && at-c.due > max(lateMin, c.roundTrip()/lateShare)
}

// OnReceipt takes a receipt. Receipts may be missing, late or repeated; what is
// older than the newest is ignored.
func (c *Controller) OnReceipt(now time.Time, r *Report) {
	at := c.advance(now)
	if r.Largest >= c.log.next || c.log.next == 0 {
		return
	}
	c.onAlive(at, r.Largest)
	if int64(r.Largest) <= c.largest {
		return
	}
	if !c.log.known(r.Largest) { // more is in flight than records are kept: far too much
		c.largest = int64(r.Largest)
		c.setEstimate(c.estimate / 2)
		return
	}
	c.silence.onNews(at)
	arrival := c.unwrap(r.Arrival)
	var room [maxSamples]sample
	list := c.samples(r, c.largest, arrival, room[:0])
	marked := c.count(r)
	c.largest = int64(r.Largest)
	newest := &list[len(list)-1]
	newest.counted, newest.arrived = true, c.totals.newest.arrived
	if r.Hold < saturated {
		trip := max(at-newest.at-time.Duration(r.Hold)*unit, leastRTT)
		c.rtts.add(at, rttWindow, trip)
		c.trips.add(at, rivalLowest, trip)
	}
	c.log.forget(r.Largest)
	before := newest.delay()
	if c.base.started {
		before = c.base.value()
	}
	for _, s := range list {
		c.base.add(at, c.baseWindow(), s.delay())
		c.lowest.add(at, c.lowestWindow(), s.delay())
		if c.phase == Startup {
			c.watchAlone(c.history.back(0), &s)
		}
		c.history.add(s)
		c.startup.onSample(&s)
	}
	c.watchBase(at, before)
	dt := seconds(at - c.last)
	c.last = at
	c.measure(at, dt)
	if c.cfg.Mode == Fixed {
		return
	}
	if c.phase == Hello {
		c.endHello(at)
		return
	}
	if c.phase == Startup {
		c.judgeBursts(at)
		return
	}
	c.run(at, dt, marked)
}

// unwrap extends the receiver's clock, which counts µs modulo 2^32.
func (c *Controller) unwrap(arrival uint32) time.Duration {
	if c.largest < 0 {
		c.clock = time.Duration(arrival) * time.Microsecond
		return c.clock
	}
	low := uint32(c.clock / time.Microsecond)
	c.clock += time.Duration(int32(arrival-low)) * time.Microsecond
	return c.clock
}

// baseWindow is how long the base delay is remembered: longer where arrivals are
// rare, for few of them fall into a drain.
func (c *Controller) baseWindow() time.Duration {
	w := c.rarity(baseArrivals) * seconds(baseWindow)
	if c.rival.failed > 0 { // what looks like a longer path may be the queue of others
		w *= baseRivals
	}
	return duration(w)
}

// lowestWindow is how long the least delay is remembered: longer beside rivals, which
// leave a queue for as long as they are there.
func (c *Controller) lowestWindow() time.Duration {
	if c.rival.active {
		return rivalLowestActive
	}
	return rivalLowest
}

// rarity is 1, or more where fewer than so many arrive in a second.
func (c *Controller) rarity(enough float64) float64 {
	if c.now == 0 {
		return 1
	}
	arrivals := float64(c.totals.newest.arrived) / seconds(c.now)
	return min(max(enough/max(arrivals, 1e-3), 1), baseStretch)
}

// roundTrip is the least round-trip time lately.
func (c *Controller) roundTrip() time.Duration {
	if !c.rtts.started {
		return firstRTT
	}
	return c.rtts.value()
}

// measure updates the queue, as the arrivals show it and as it will be, and its
// target (G-2).
func (c *Controller) measure(at time.Duration, dt float64) {
	rtt := c.roundTrip()
	var spread time.Duration
	c.least, spread = c.history.least(min(max(rtt/3, queueMin), queueMax))
	c.queue = max(seconds(c.least-c.base.value()), 0)
	if c.phase != Run {
		return // bursts make a spread of their own
	}
	c.jitter.add(c.queue, seconds(spread), dt)
	c.target = c.wanted()
	c.predict(at)
}

// predict is the Smith predictor: the queue that a datagram will meet which is
// sent now. It is what the newest arrival met, and what was sent since that left,
// less what the link served since. It counts packet numbers, so loss does not
// matter, and it goes on while no receipt comes.
func (c *Controller) predict(at time.Duration) {
	if c.history.n == 0 {
		return
	}
	newest := c.history.back(0)
	c.ahead = max(c.queue+float64(c.log.bytes-newest.bytes)/c.estimate-seconds(at-newest.at), 0)
}

// busyAt is the delay above base from which on the link counts as busy: a share of
// the target, and the time that a full datagram itself takes, for the base may be
// that of small ones.
func (c *Controller) busyAt() float64 { return busyShare*c.target + c.full/c.estimate }

// wanted is q*.
func (c *Controller) wanted() float64 { return c.wantedAt(c.estimate) }

// clearTarget is q* at a rate on a path without jitter.
func (c *Controller) clearTarget(rate float64) float64 {
	q := seconds(targetAt1M) * math.Pow(rate*8/1e6, -0.25)
	q = min(max(q, seconds(targetMin)), seconds(targetMax))
	return max(q, targetDatagrams*c.full/rate)
}

// wantedAt is q* at another rate.
func (c *Controller) wantedAt(rate float64) float64 {
	q := c.clearTarget(rate)
	j := targetJitter * c.jitter.value()
	if path := c.hello.path(q); path > 0 {
		// What the path itself adds comes on top of a queue. Flows of our own kind
		// make the delay wander, too, but only by a part of the target.
		j = max(j, q+min(j, targetHello*path))
	}
	return max(q, min(j, seconds(targetJitterMax)))
}

// setEstimate sets the estimate of the path's capacity, within its bounds.
func (c *Controller) setEstimate(v float64) { c.estimate = c.clamp(v) }

// clamp brings a rate within the floor and the ceiling.
func (c *Controller) clamp(v float64) float64 {
	if !(v > c.floor) { // NaN too
		return c.floor
	}
	return min(v, c.ceiling)
}

// epochClock numbers the send intervals of clamp(RTT/8, 5, 50 ms).
type epochClock struct {
	id  uint8
	end time.Duration
}

func (e *epochClock) tick(at, rtt time.Duration) uint8 {
	if at >= e.end {
		e.id++
		e.end = at + min(max(rtt/8, epochMin), epochMax)
	}
	return e.id
}

// jitter measures how far arrivals deviate from the least delay around them, and
// how far that wanders.
type jitter struct {
	spread, mean, wander float64 // seconds
}

func (j *jitter) add(queue, spread, dt float64) {
	w := min(dt, 0.1)
	j.spread += w * (spread - j.spread)
	j.mean += min(4*w, 1) * (queue - j.mean)
	j.wander += w * (math.Abs(queue-j.mean) - j.wander)
}

func (j *jitter) value() float64 { return max(j.spread, j.wander) }
