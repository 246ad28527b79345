package rate

import (
	"math"
	"time"
)

// history keeps the last arrivals, in the order of their packet numbers.
type history struct {
	ring [historyLen]sample
	n    int // that were ever added
}

func (h *history) add(s sample) {
	h.ring[h.n%historyLen] = s
	h.n++
}

// kept is how many samples can be asked for.
func (h *history) kept() int { return min(h.n, historyLen) }

// back returns the i-th newest sample, 0 the newest; i < kept.
func (h *history) back(i int) *sample { return &h.ring[(h.n-1-i)%historyLen] }

// least returns the least delay among the newest arrivals within the window, at
// least one, and the spread of these: their mean above it.
func (h *history) least(window time.Duration) (delay, spread time.Duration) {
	newest := h.back(0)
	delay = newest.delay()
	sum, n := time.Duration(0), time.Duration(0)
	for i := range h.kept() {
		s := h.back(i)
		if newest.arrival-s.arrival > window {
			break
		}
		delay = min(delay, s.delay())
		sum += s.delay() - newest.delay()
		n++
	}
	return delay, sum/n + newest.delay() - delay
}

// span is a stretch of arrivals in which the queue never fell below a bound.
type span struct {
	rate   float64       // packet-number slope (G-1), in bytes/s
	flat   float64       // seconds between the least and the greatest delay
	length time.Duration // between the arrivals that it was measured on
}

// slope measures the rate at which the bottleneck took bytes over the newest
// arrivals: all that was sent between two of them, whether it arrived or not, by
// the time between them (G-1). Arrivals with less delay than busy, and what is
// older, do not count, nor what is on the other side of an idle time. Of both
// ends of the window the sample with the least delay stands: lateness by
// anything but the queue makes a sample worse, never better.
func (h *history) slope(busy, window time.Duration) (span, bool) {
	newest := h.back(0)
	n := 0
	for n < h.kept() {
		s := h.back(n)
		if s.delay() < busy || s.idles != newest.idles || s.cuts != newest.cuts || (newest.arrival-s.arrival > window && n >= sparse) {
			break
		}
		n++
	}
	if n < 2 {
		return span{}, false
	}
	third := (newest.arrival - h.back(n-1).arrival) / 3
	late, early := newest, h.back(n-1)
	for i := range n {
		s := h.back(i)
		switch {
		case newest.arrival-s.arrival <= third && s.delay() < late.delay():
			late = s
		case s.arrival-h.back(n-1).arrival <= third && s.delay() < early.delay():
			early = s
		}
	}
	least, most := newest.delay(), newest.delay()
	for i := range n {
		least, most = min(least, h.back(i).delay()), max(most, h.back(i).delay())
	}
	length := late.arrival - early.arrival
	if late.pn <= early.pn || length <= 0 {
		return span{}, false
	}
	return span{rate: float64(late.bytes-early.bytes) / seconds(length), length: length, flat: seconds(most - least)}, true
}

// idled reports whether the sender had nothing to send between the arrivals of the window.
func (h *history) idled(window time.Duration) bool {
	newest := h.back(0)
	for i := range h.kept() {
		s := h.back(i)
		if s.idles != newest.idles {
			return true
		}
		if newest.arrival-s.arrival > window {
			break
		}
	}
	return false
}

// covers reports whether the link was busy from the arrival of s to that of a later
// sample: this one left before s had left the queue.
func (s *sample) covers(later *sample, base time.Duration) bool {
	return later.at <= s.at+s.delay()-base
}

// standing is a stretch of arrivals between which the link was never idle, whatever
// the sender did: each left while the one before was still in the queue.
type standing struct {
	stretch               // sent, and by arrival
	rise    time.Duration // of the queue
}

// standing looks at the newest such arrivals, with at least so much delay above base.
func (h *history) standing(base, least time.Duration) standing {
	var late, early *sample
	var low, high time.Duration
	for i := range h.kept() {
		s := h.back(i)
		q := s.delay() - base
		if q < least || (i > 0 && !s.covers(h.back(i-1), base)) {
			break
		}
		high = max(high, q)
		if !s.counted {
			continue
		}
		if late == nil {
			late = s
		}
		early, low = s, q
	}
	if late == nil || early == late || late.arrival <= early.arrival {
		return standing{}
	}
	return standing{rise: high - low, stretch: stretch{
		sent: float64(late.pn - early.pn), arrived: float64(late.arrived - early.arrived),
		bytes: float64(late.bytes - early.bytes), time: seconds(late.arrival - early.arrival),
	}}
}

// baseline is the least one-way delay over a sliding window, in four parts.
type baseline struct {
	part    [4]time.Duration
	turn    time.Duration // when the newest part began
	last    time.Duration // newest delay: a pause does not age what was seen before
	started bool
}

const noDelay = time.Duration(math.MaxInt64)

// add takes a delay. A window of w is kept.
func (b *baseline) add(at, w, delay time.Duration) {
	if !b.started {
		b.reset(at, delay)
	}
	b.turn += max(at-b.last-basePause, 0)
	b.last = at
	for at-b.turn > w/4 {
		b.turn += w / 4
		copy(b.part[1:], b.part[:3])
		b.part[0] = noDelay
	}
	b.part[0] = min(b.part[0], delay)
}

// reset forgets all but one delay.
func (b *baseline) reset(at, delay time.Duration) {
	*b = baseline{part: [4]time.Duration{delay, noDelay, noDelay, noDelay}, turn: at, last: at, started: true}
}

// value is the least delay of the window; there must be one.
func (b *baseline) value() time.Duration {
	return min(b.part[0], b.part[1], b.part[2], b.part[3])
}
