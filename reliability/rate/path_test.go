package rate

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// path is a link in virtual time for tests: a queue that nothing overflows, then
// loss, then a delay, and a receipt every 10 ms.
type path struct {
	c        *Controller
	rng      *rand.Rand
	capacity float64 // bytes/s
	delay    time.Duration
	loss     float64
	mark     bool          // every arrival carries a congestion mark
	aqm      *aqm          // where not nil, the queue marks by it
	deaf     bool          // receipts are lost
	quiet    bool          // nothing to send
	busy     time.Duration // of the link

	now, next time.Duration
	free      time.Duration // when the link has sent what it has
	receipt   time.Duration
	pn        uint64
	idle      bool
	flying    []flight
	newest    flight
	arrived   uint32
	gaps, ce  uint32
	reports   []pending
}

type flight struct {
	pn uint64
	at time.Duration
	ce bool
}

// aqm is CoDel (RFC 8289) at a router that marks.
type aqm struct {
	above, next time.Duration // since when and until when; zero: not above the target
	count       float64
}

const (
	aqmTarget   = 5 * time.Millisecond
	aqmInterval = 100 * time.Millisecond
)

// marks judges a datagram that leaves the queue after so long and took that much
// of it to be sent.
func (a *aqm) marks(now, stayed, took time.Duration) bool {
	switch {
	case stayed < max(aqmTarget, 2*took): // never the last datagram

		a.above, a.count = 0, max(a.count-2, 0)
		return false
	case a.above == 0:
		a.above, a.next = now, now+aqmInterval
		return false
	case now < a.next:
		return false
	}
	a.count++
	a.next += duration(seconds(aqmInterval) / math.Sqrt(a.count))
	return true
}

type pending struct {
	at time.Duration
	r  Report
}

func at(d time.Duration) time.Time { return time.Unix(1000, 0).Add(d) }

func newPath(cfg Config, mbits float64, delay time.Duration, loss float64) *path {
	return &path{
		c: New(at(0), cfg), rng: rand.New(rand.NewPCG(1, 2)), capacity: mbits * 1e6 / 8, delay: delay, loss: loss,
	}
}

// run plays on for so long.
func (p *path) run(d time.Duration) {
	for end := p.now + d; p.now < end; p.now += 250 * time.Microsecond {
		p.arrive()
		p.c.HandleTimeout(at(p.now))
		hold := p.c.Hold()
		for p.now >= p.next && !at(p.now).Before(hold) {
			if p.quiet {
				p.idle, p.next = true, p.now
				break
			}
			p.send()
			hold = p.c.Hold()
		}
	}
}

func (p *path) send() {
	size := p.c.MaxDatagram()
	p.c.Epoch(at(p.now))
	p.c.OnSent(at(p.now), p.pn, size, p.idle, true)
	p.idle = false
	p.next = max(p.next, p.now-5*time.Millisecond) + duration(float64(size)*8/float64(p.c.Rate(at(p.now))))
	took := duration(float64(size) / p.capacity)
	p.free = max(p.free, p.now) + took
	p.busy += took
	ce := p.mark || p.aqm != nil && p.aqm.marks(p.free, p.free-p.now, took)
	if p.rng.Float64() >= p.loss {
		p.flying = append(p.flying, flight{pn: p.pn, at: p.free + p.delay, ce: ce})
	}
	p.pn++
}

func (p *path) arrive() {
	for len(p.flying) > 0 && p.flying[0].at <= p.now {
		f := p.flying[0]
		p.flying = p.flying[1:]
		if f.pn > p.newest.pn+1 {
			p.gaps++
		}
		p.newest = f
		p.arrived++
		if f.ce {
			p.ce++
		}
	}
	if p.now >= p.receipt {
		p.receipt = p.now + 10*time.Millisecond
		if p.arrived > 0 && !p.deaf {
			p.reports = append(p.reports, pending{at: p.now + p.delay, r: Report{
				Largest: p.newest.pn, Arrival: uint32((p.newest.at + 77*time.Hour).Microseconds()),
				Hold: uint16((p.now - p.newest.at) / unit), Datagrams: p.arrived, Gaps: p.gaps, CE: p.ce,
			}})
		}
	}
	for len(p.reports) > 0 && p.reports[0].at <= p.now {
		p.c.OnReceipt(at(p.now), &p.reports[0].r)
		p.reports = slices.Delete(p.reports, 0, 1)
	}
}

// rate is the pacing rate in Mbit/s.
func (p *path) rate() float64 { return float64(p.c.Rate(at(p.now))) / 1e6 }

func (p *path) estimate() float64 { return float64(p.c.Snapshot(at(p.now)).Estimate) / 1e6 }

// within fails unless x is between two bounds.
func within(tb testing.TB, what string, x, least, most float64) {
	tb.Helper()
	if !(x >= least && x <= most) {
		tb.Errorf("%s is %.3f, not between %.3f and %.3f", what, x, least, most)
	}
}
