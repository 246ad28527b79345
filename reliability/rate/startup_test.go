package rate

import (
	"math"
	"testing"
	"time"
)

// G-3: a burst that meets a queue of others is measured from its first arrival;
// one that meets none, and one that tells nothing, from its start.
func TestBurstWithinQueue(t *testing.T) {
	const base, ms = 20 * time.Millisecond, time.Millisecond
	for _, c := range []struct {
		queue, length time.Duration
		want          float64
	}{{35 * ms, 9 * ms, 50_000 / 0.010}, {3 * ms, 9 * ms, 0}, {35 * ms, ms, 0}} {
		b := burst{upto: 60_000, head: sample{record: record{bytes: 10_000}, arrival: base + c.queue}}
		b.at = b.head.arrival + c.length
		if got := b.within(base, 0.001); math.Abs(got-c.want) > 1 {
			t.Errorf("queue %v, %v long: %.0f B/s, want %.0f", c.queue, c.length, got, c.want)
		}
	}
}

// A short burst tells nothing of the path but the queue that it met, where the
// application made it so short.
func TestShortBurstInQueue(t *testing.T) {
	const base, ms = 20 * time.Millisecond, time.Millisecond
	c := New(at(0), Config{})
	c.base.reset(0, base)
	s := &c.startup
	for i, delay := range []time.Duration{base + 35*ms, base + 37*ms} { // first and last of 16 datagrams
		if i == 0 {
			s.n = 1
		}
		s.onSample(&sample{record: record{at: time.Duration(i) * ms, bytes: uint64(1+15*i) * fullDatagram, size: fullDatagram}, pn: uint64(15 * i), arrival: time.Duration(i)*ms + delay})
	}
	c.log.bytes = 16 * fullDatagram
	if d := c.dispersion(0.001, true); d.bursts != 0 {
		t.Errorf("limited: %+v", d)
	}
	if d := c.dispersion(0.001, false); d.bursts != 1 {
		t.Errorf("not limited: %+v", d)
	}
}

// So it is also where the first report of a round speaks of several of them.
func TestShortBurstsInFirstReport(t *testing.T) {
	const trip, ms = 40 * time.Millisecond, time.Millisecond
	p := newPath(Config{}, 10_000, trip/2, 0)
	p.run(100 * time.Millisecond) // HELLO
	c, now := p.c, p.now+time.Second
	c.beginRound(now)
	for i := range uint64(30) { // two bursts of 15
		if i == 15 {
			now += 3 * ms
		}
		c.OnSent(at(now), p.pn+i, fullDatagram, i%15 == 0, true)
	}
	// The second datagram of each arrives after those before it.
	arrival := uint32((now + trip/2 + 35*ms + 77*time.Hour).Microseconds())
	c.OnReceipt(at(now+trip+35*ms), &Report{
		Largest: p.pn + 16, Arrival: arrival, Datagrams: p.arrived + 17,
		Epochs: []Epoch{{FirstPN: 15, LastPN: 15, FirstTime: uint16(4 * ms / unit), LastTime: uint16(4 * ms / unit)}},
	})
	if c.Phase() != Startup {
		t.Errorf("%v with %.1f Mbit/s", c.Phase(), float64(c.Estimate())/1e6)
	}
}

// G-3: an application that sends little at a time does not make STARTUP run away,
// however fast each of its bursts leaves.
func TestTrickleKeepsStartup(t *testing.T) {
	const trip = 40 * time.Millisecond
	p := newPath(Config{}, 10_000, trip/2, 0)
	p.run(100 * time.Millisecond) // HELLO
	c, now, arrived := p.c, p.now+time.Second, p.arrived
	for range 100 {
		now += 200 * time.Millisecond
		left := make([]time.Duration, 24)
		for i := range left {
			left[i] = now
			c.OnSent(at(now), p.pn+uint64(i), fullDatagram, i%6 == 0, true)
			now += duration(fullDatagram * 8 / float64(c.Rate(at(now))))
		}
		for i := 3; i < len(left); i += 4 { // receipts
			arrived += 4
			c.OnReceipt(at(left[i]+trip), &Report{
				Largest: p.pn + uint64(i), Arrival: uint32((left[i] + trip/2 + 77*time.Hour).Microseconds()), Datagrams: arrived,
			})
		}
		p.pn += uint64(len(left))
	}
	if c.Phase() != Startup {
		t.Fatal(c.Phase())
	}
	used := 24 * fullDatagram * 8 / trip.Seconds() / 1e6
	within(t, "the average of STARTUP, Mbit/s", p.estimate(), used/10, 1.1*roundGrowth*used)
}

// Steps up are not in a row where the ladder found one not paid for in between: it has
// found what the path carries, and need not look for it with bursts.
func TestRowOfStepsEnds(t *testing.T) {
	for _, shallow := range []bool{false, true} {
		c := New(at(0), Config{})
		c.phase, c.estimate = Run, 2.5e6
		c.ladder.reference = stretch{sent: 100, arrived: 100, bytes: c.estimate, time: 1}
		fillHistory(c, 0, c.estimate)
		c.follow.steps = growSteps
		c.ladder.shallow = shallow
		c.feel(time.Second)
		c.ladder.shallow = false
		c.feel(2 * time.Second)
		if again := c.Phase() == Startup; again == shallow {
			t.Errorf("shallow %v: %v", shallow, c.Phase())
		}
	}
}
