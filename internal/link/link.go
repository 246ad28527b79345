// Package link models one direction of a network link; the emulator runs it in
// real time, the simulator in virtual time.
//
// A packet passes, in this order:
//
//	policer → drop-tail queue (bytes) → serialisation at Rate → loss →
//	propagation Delay ± Jitter → duplicate → reorder → corrupt
//
// Loss comes after the bottleneck, as on a radio link, so that lost packets
// consume capacity: a link with loss p carries (1-p)·Rate. Serialisation takes
// 8·bytes/Rate, counted in IP bytes.
//
// Contract. The package is pure: time comes in as now, randomness as a seeded
// generator; the same calls give the same results, and when Receive and Next are
// called does not matter, only what was sent when. A now that is older than one
// seen before counts as that one. One goroutine owns a Link. Byte slices are not
// retained. Memory is bounded by MaxPackets buffers; steady state allocates
// nothing. After Receive(now) said no, Next is zero or after now.
package link

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Stats counts packets since the start, and bytes where the name says so.
// Sent + Duplicated = Delivered + TooBig + Policed + QueueDropped + Lost +
// OutageLost + Held, always.
type Stats struct {
	Sent           uint64 // given to Send
	SentBytes      uint64
	TooBig         uint64 // dropped: empty or above the MTU
	Policed        uint64 // dropped by the policer
	QueueDropped   uint64 // dropped by the full queue
	Lost           uint64 // lost after serialisation
	LossBursts     uint64 // runs of consecutive Lost packets
	OutageLost     uint64 // lost after serialisation during a scheduled outage
	Duplicated     uint64 // additional copies made
	Corrupted      uint64 // copies with a flipped bit
	Reordered      uint64 // delivered after a packet that was sent later
	Delivered      uint64 // handed out by Receive
	DeliveredBytes uint64
	Held           uint64 // inside now: queued or in flight
	QueueBytes     int    // queued now, without the packet in service
	QueueMax       int    // highest QueueBytes so far
}

// Link is one direction of a link.
type Link struct {
	cfg   Config // with the scheduled changes applied so far
	rng   *rand.Rand
	start time.Time
	now   time.Duration // newest time seen, since start

	tokens   int64 // policer, nanobits
	filledAt time.Duration

	queue   fifo // front is in service
	backlog int  // bytes behind the front
	finish  time.Duration
	nextSeq uint64

	loss        loss
	wasLost     bool
	jitter      jitter
	outageUntil time.Duration
	changes     []time.Duration // next time of each change, never when done
	nextChange  time.Duration   // least of changes

	flight      arrivals
	lastArrival time.Duration // of packets that keep their order
	nextOrder   uint64
	newest      uint64 // highest seq delivered, plus one
	shortest    time.Duration

	free  pool
	stats Stats
}

const never = time.Duration(1<<63 - 1)

// New returns an idle link that starts at start; rng is its own from now on.
func New(start time.Time, cfg Config, rng *rand.Rand) (*Link, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if rng == nil {
		return nil, fmt.Errorf("%w: no generator of random numbers", ErrConfig)
	}
	cfg = cfg.withDefaults()
	cfg.Schedule = slices.Clone(cfg.Schedule)
	l := &Link{
		cfg:        cfg,
		rng:        rng,
		start:      start,
		tokens:     int64(cfg.Policer.Burst) * 8 * nanobit,
		loss:       newLoss(cfg.Loss, cfg.Burst, rng),
		jitter:     jitter{amplitude: cfg.Jitter, reorders: cfg.JitterReorders},
		nextChange: never,
		shortest:   cfg.shortest(),
		free:       pool{mtu: max(cfg.MTU, smallPacket+1)},
	}
	for i := range cfg.Schedule {
		l.changes = append(l.changes, cfg.Schedule[i].At)
		l.nextChange = min(l.nextChange, cfg.Schedule[i].At)
	}
	return l, nil
}

// Config is the configuration with defaults filled in and the changes of the
// schedule that have happened.
func (l *Link) Config() Config { return l.cfg }

// Outage reports whether a scheduled outage is on at now, which is a now like
// that of Send.
func (l *Link) Outage(now time.Time) bool {
	l.advance(now)
	return l.now < l.outageUntil
}

// Stats returns the counters.
func (l *Link) Stats() Stats {
	s := l.stats
	s.Held = uint64(l.queue.n + len(l.flight))
	s.QueueBytes = l.backlog
	return s
}

// Send puts a copy of p at the end of the queue, or drops it and says false.
func (l *Link) Send(now time.Time, p []byte) bool {
	l.advance(now)
	l.stats.Sent++
	l.stats.SentBytes += uint64(len(p))
	switch {
	case len(p) == 0 || len(p) > l.cfg.MTU:
		l.stats.TooBig++
		return false
	case !l.police(len(p)):
		l.stats.Policed++
		return false
	case l.queue.n > 0 && l.backlog+len(p) > l.cfg.Queue, l.queue.n+len(l.flight) >= MaxPackets:
		l.stats.QueueDropped++
		return false
	}
	b := l.free.get(len(p))
	copy(b, p)
	if l.queue.n == 0 {
		l.finish = l.now + l.serialisation(len(p))
	} else {
		l.backlog += len(p)
		l.stats.QueueMax = max(l.stats.QueueMax, l.backlog)
	}
	l.queue.push(packet{b: b, seq: l.nextSeq})
	l.nextSeq++
	return true
}

// Receive copies the next packet that has arrived by now into buf and returns
// its length, or false if there is none. It panics if buf is too small; MTU bytes
// always suffice.
func (l *Link) Receive(now time.Time, buf []byte) (int, bool) {
	l.advance(now)
	if len(l.flight) == 0 || l.flight[0].at > l.now {
		return 0, false
	}
	p := l.flight.pop()
	if len(buf) < len(p.b) {
		panic("link: buffer shorter than the packet")
	}
	n := copy(buf, p.b)
	l.free.put(p.b)
	switch {
	case p.seq >= l.newest:
		l.newest = p.seq + 1
	case !p.copy && p.seq+1 < l.newest: // not merely behind its own copy
		l.stats.Reordered++
	}
	l.stats.Delivered++
	l.stats.DeliveredBytes += uint64(n)
	return n, true
}

// Next is a lower bound of the next arrival, the time to call Receive, or zero if
// the link is empty. It may be early: the packet in service may yet be lost.
func (l *Link) Next() time.Time {
	at := never
	if len(l.flight) > 0 {
		at = l.flight[0].at
	}
	if l.queue.n > 0 {
		at = min(at, l.bound())
	}
	if at == never {
		return time.Time{}
	}
	return l.start.Add(at)
}

// bound is the earliest arrival of the packet in service. A change before its
// end may shorten the serialisation, so that it bounds the wait.
func (l *Link) bound() time.Duration {
	return min(l.finish, l.nextChange) + l.shortest
}

// advance moves the model to now: ends of serialisations and scheduled changes
// in the order of their times, a change first where they meet.
func (l *Link) advance(now time.Time) {
	t := max(l.now, now.Sub(l.start))
	for {
		busy := l.queue.n > 0 && l.finish <= t
		switch {
		case l.nextChange <= t && (!busy || l.nextChange <= l.finish):
			l.change()
		case busy:
			l.serve()
		default:
			l.now = t
			return
		}
	}
}

// serve ends the serialisation of the front and starts the next one.
func (l *Link) serve() {
	at := l.finish
	p := l.queue.pop()
	l.emit(at, p)
	if l.queue.n > 0 {
		n := len(l.queue.front().b)
		l.backlog -= n
		l.finish = at + l.serialisation(n)
	}
}

// emit is the fate of a packet that was serialised at time at.
func (l *Link) emit(at time.Duration, p packet) {
	if at < l.outageUntil {
		l.stats.OutageLost++
		l.free.put(p.b)
		return
	}
	if l.loss.next(l.rng) {
		l.stats.Lost++
		if !l.wasLost {
			l.stats.LossBursts++
		}
		l.wasLost = true
		l.free.put(p.b)
		return
	}
	l.wasLost = false
	p.at = at + l.cfg.Delay + l.jitter.at(at, l.rng)
	if !l.cfg.JitterReorders { // a handover to a shorter delay does not reorder either
		p.at = max(p.at, l.lastArrival)
		l.lastArrival = p.at
	}
	if l.chance(l.cfg.Duplicate) && l.queue.n+len(l.flight)+1 < MaxPackets {
		l.stats.Duplicated++
		c := p
		c.b, c.copy = l.free.get(len(p.b)), true
		copy(c.b, p.b)
		l.fly(p)
		p = c
	}
	l.fly(p)
}

// fly puts one copy on its way, perhaps held back or damaged.
func (l *Link) fly(p packet) {
	if l.chance(l.cfg.Reorder) {
		p.at += time.Duration(l.rng.Int64N(int64(l.cfg.ReorderDelay))) + 1
	}
	if l.chance(l.cfg.Corrupt) {
		l.stats.Corrupted++
		bit := l.rng.IntN(8 * len(p.b))
		p.b[bit/8] ^= 1 << (bit % 8)
	}
	p.order = l.nextOrder
	l.nextOrder++
	l.flight.push(p)
}

// change applies the scheduled change that is due next.
func (l *Link) change() {
	i := slices.Index(l.changes, l.nextChange)
	ch, at := &l.cfg.Schedule[i], l.nextChange
	l.changes[i] = never
	if ch.Every > 0 {
		l.changes[i] = at + ch.Every
	}
	l.nextChange = slices.Min(l.changes)

	if d := ch.Outage; d > 0 || ch.OutageMax > 0 {
		if ch.OutageMax > d {
			d += time.Duration(l.rng.Int64N(int64(ch.OutageMax - d + 1)))
		}
		l.outageUntil = max(l.outageUntil, at+d)
	}
	if ch.Rate != nil {
		l.setRate(at, *ch.Rate)
	}
	if ch.Delay != nil {
		l.cfg.Delay = *ch.Delay
	}
	if ch.Jitter != nil {
		l.cfg.Jitter = *ch.Jitter
		l.jitter.set(*ch.Jitter)
	}
	if ch.Loss != nil {
		l.cfg.Loss, l.loss.p = *ch.Loss, *ch.Loss
	}
	if ch.Burst != nil {
		l.cfg.Burst, l.loss.burst = *ch.Burst, *ch.Burst
	}
}

// setRate changes the rate; what is left of the packet in service is sent at the
// new one.
func (l *Link) setRate(at time.Duration, rate int64) {
	if l.queue.n > 0 {
		left := float64(l.finish-at) * float64(l.cfg.Rate)
		l.finish = at
		if rate > 0 {
			l.finish += time.Duration(left / float64(rate))
		}
	}
	l.cfg.Rate = rate
}

// serialisation is the time that n bytes take at the present rate.
func (l *Link) serialisation(n int) time.Duration {
	if l.cfg.Rate == 0 {
		return 0
	}
	return time.Duration(int64(n) * 8 * int64(time.Second) / l.cfg.Rate)
}

// police takes n bytes out of the token bucket, if it has as many.
func (l *Link) police(n int) bool {
	rate := l.cfg.Policer.Rate
	if rate == 0 {
		return true
	}
	full := int64(l.cfg.Policer.Burst) * 8 * nanobit
	elapsed := int64(l.now - l.filledAt)
	l.filledAt = l.now
	if elapsed > (full-l.tokens)/rate {
		l.tokens = full
	} else {
		l.tokens += elapsed * rate
	}
	need := int64(n) * 8 * nanobit
	if l.tokens < need {
		return false
	}
	l.tokens -= need
	return true
}

func (l *Link) chance(p float64) bool { return p > 0 && l.rng.Float64() < p }
