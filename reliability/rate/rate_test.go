package rate

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// G-1, G-2, G-3: the capacity is found whatever the random loss, and the queue is
// held at its target.
func TestFindsTheCapacity(t *testing.T) {
	for _, mbits := range []float64{2, 20, 100} {
		for _, loss := range []float64{0, 0.3, 0.7, 0.9} {
			t.Run(fmt.Sprint(mbits, " ", loss), func(t *testing.T) {
				p := newPath(Config{}, mbits, 20*time.Millisecond, loss)
				p.run(6 * time.Second)
				s := p.c.Snapshot(at(p.now))
				within(t, "estimate", p.estimate(), 0.95*mbits, 1.05*mbits)
				within(t, "queue", s.Queue.Seconds(), 0, 2*s.Target.Seconds())
				within(t, "loss", s.Loss, loss-0.1, loss+0.1)
				if s.Phase != Run && s.Phase != Drain {
					t.Errorf("phase %v", s.Phase)
				}
			})
		}
	}
}

// G-2: random loss is never a signal.
func TestLossDoesNotLowerTheRate(t *testing.T) {
	for _, loss := range []float64{0.1, 0.6, 0.9} {
		p := newPath(Config{}, 20, 30*time.Millisecond, 0)
		p.run(4 * time.Second)
		p.loss = loss
		least := p.estimate()
		for range 40 {
			p.run(100 * time.Millisecond)
			least = min(least, p.estimate())
		}
		within(t, fmt.Sprintf("least estimate after a jump of the loss to %g", loss), least, 19, 21)
	}
}

// history20M is what arrives at 20 Mbit/s where 30 are sent, with a queue of so
// much: under tail drop the slope is the send rate.
func fillHistory(c *Controller, queue time.Duration, sent float64) {
	for i := range 60 {
		left := time.Duration(i) * 2 * time.Millisecond
		c.history.add(sample{
			pn: uint64(i), arrival: left + 20*time.Millisecond + queue,
			record: record{at: left, bytes: uint64(sent * seconds(left)), size: 1500},
		})
	}
}

// G-1: the slope must not raise the estimate while the queue exceeds its target, nor
// where the application sends in bursts.
func TestSlopeDoesNotRaiseAboveTarget(t *testing.T) {
	for _, c := range []struct {
		queue   time.Duration
		sent    float64 // bytes/s
		rises   bool
		falls   bool
		idle    int // datagrams before the newest when the sender had nothing to send; 0: never
		comment string
	}{
		{10 * time.Millisecond, 3.75e6, true, false, 0, "queue below target, slope above estimate"},
		{10 * time.Millisecond, 3.75e6, false, false, 15, "the same, in a burst"},
		{14 * time.Millisecond, 1.25e6, false, true, 15, "queue at target, slope below estimate, in a burst"},
		{30 * time.Millisecond, 3.75e6, false, false, 0, "queue above target, slope above estimate"},
		{14 * time.Millisecond, 1.25e6, false, true, 0, "queue at target, slope below estimate"},
		{30 * time.Millisecond, 1.25e6, false, false, 0, "a queue that stands still is no queue"},
		{1 * time.Millisecond, 1.25e6, false, false, 0, "no queue: the slope is the send rate"},
	} {
		x := New(at(0), Config{})
		x.phase, x.estimate, x.last = Run, 2.5e6, time.Second
		x.follow.first = x.estimate
		x.base.reset(0, 20*time.Millisecond)
		fillHistory(x, c.queue, c.sent)
		for i := range c.idle {
			x.history.back(i).idles++
		}
		x.target = x.wanted()
		x.queue = seconds(c.queue)
		x.followSlope(0.1)
		if rose, fell := x.estimate > 2.5e6, x.estimate < 2.5e6; rose != c.rises || fell != c.falls {
			t.Errorf("%s: the estimate is %.0f", c.comment, x.estimate)
		}
	}
}

// G-4: congestion marks count as a queue above target.
func TestMarksLowerTheEstimate(t *testing.T) {
	p := newPath(Config{}, 20, 20*time.Millisecond, 0)
	p.run(4 * time.Second)
	p.mark = true
	p.run(time.Second)
	within(t, "estimate under marks", p.estimate(), 0.06, 15)
	p.mark = false
	p.run(4 * time.Second)
	within(t, "estimate after marks", p.estimate(), 19, 21)
}

// G-4, T-2: a router that marks by CoDel needs few marks, as it would of TCP, and
// the link stays busy.
func TestMarkingRouter(t *testing.T) {
	for _, mbits := range []float64{2, 20, 200} {
		for _, loss := range []float64{0, 0.3} {
			p := newPath(Config{}, mbits, 20*time.Millisecond, loss)
			p.aqm = new(aqm)
			p.run(4 * time.Second)
			start, busy, ce := p.now, p.busy, p.ce
			p.run(10 * time.Second)
			name := fmt.Sprintf("%g Mbit/s, loss %g: ", mbits, loss)
			within(t, name+"share of the time that the link is busy", seconds(p.busy-busy)/seconds(p.now-start), 0.97, 1.01)
			within(t, name+"marks per second", float64(p.ce-ce)/10, 1, 8)
		}
	}
}

// G-3: without receipts the rate falls to a trickle, and the estimate stays.
func TestBlackout(t *testing.T) {
	p := newPath(Config{}, 20, 20*time.Millisecond, 0)
	p.run(4 * time.Second)
	p.deaf = true
	p.run(2 * time.Second)
	within(t, "rate after 2 s of silence", p.rate(), 0.06, 1)
	if s := p.c.Snapshot(at(p.now)); s.Phase != Blackout {
		t.Errorf("phase %v", s.Phase)
	}
	p.deaf = false
	p.run(500 * time.Millisecond)
	within(t, "estimate after it", p.estimate(), 15, 21)
	p.run(2 * time.Second)
	within(t, "estimate at last", p.estimate(), 19, 21)
}

// G-3: an idle time ages the estimate, and bursts look again.
func TestIdleRestart(t *testing.T) {
	for _, idle := range []time.Duration{500 * time.Millisecond, 5 * time.Second, time.Minute} {
		p := newPath(Config{}, 20, 20*time.Millisecond, 0)
		p.run(4 * time.Second)
		p.quiet = true
		p.run(idle)
		p.quiet = false
		p.run(5 * time.Millisecond)
		if s := p.c.Snapshot(at(p.now)); (s.Phase == Startup) != (idle > idleKept) {
			t.Errorf("after %v: phase %v", idle, s.Phase)
		}
		p.run(3 * time.Second)
		within(t, fmt.Sprintf("estimate after %v", idle), p.estimate(), 19, 21)
	}
}

// G-4: a ceiling bounds the rate in every mode, and fixed sends at it.
func TestCeiling(t *testing.T) {
	for _, mode := range []Mode{Fair, Scavenger, Fixed} {
		p := newPath(Config{Mode: mode, Ceiling: 5e6}, 20, 20*time.Millisecond, 0.1)
		for range 300 {
			p.run(10 * time.Millisecond)
			within(t, mode.String(), p.rate(), 0.06, 5)
		}
		within(t, mode.String(), p.rate(), 4.9, 5)
	}
}

// G-3: small datagrams first.
func TestHelloIsSmall(t *testing.T) {
	p := newPath(Config{}, 20, 20*time.Millisecond, 0)
	p.run(30 * time.Millisecond)
	if n := p.c.MaxDatagram(); n != SmallDatagram {
		t.Errorf("datagrams of %d bytes", n)
	}
	p.run(time.Second)
	if n := p.c.MaxDatagram(); n != fullDatagram {
		t.Errorf("datagrams of %d bytes", n)
	}
}

// G-2, G-3: a step of the base delay and of the capacity.
func TestSteps(t *testing.T) {
	p := newPath(Config{}, 20, 20*time.Millisecond, 0)
	p.run(4 * time.Second)
	p.delay = 60 * time.Millisecond
	p.run(3 * time.Second)
	within(t, "estimate on a longer path", p.estimate(), 18, 21)
	p.delay = 20 * time.Millisecond
	p.run(3 * time.Second)
	within(t, "estimate on a shorter path", p.estimate(), 18, 21)
	p.capacity /= 2
	p.run(2 * time.Second)
	within(t, "estimate of half the capacity", p.estimate(), 9, 10.5)
	p.capacity *= 4
	p.run(3 * time.Second)
	within(t, "estimate of four times that", p.estimate(), 36, 42)
}

// Equal calls give equal answers.
func TestDeterminism(t *testing.T) {
	var seen [2]Snapshot
	for i := range seen {
		p := newPath(Config{}, 30, 25*time.Millisecond, 0.4)
		p.run(3 * time.Second)
		seen[i] = p.c.Snapshot(at(p.now))
	}
	if seen[0] != seen[1] {
		t.Errorf("%+v\n%+v", seen[0], seen[1])
	}
}

func TestMisusePanics(t *testing.T) {
	for name, f := range map[string]func(){
		"fixed without a rate": func() { New(at(0), Config{Mode: Fixed}) },
		"negative ceiling":     func() { New(at(0), Config{Ceiling: -1}) },
		"gap in the numbers":   func() { New(at(0), Config{}).OnSent(at(0), 1, 100, false, true) },
		"empty datagram":       func() { New(at(0), Config{}).OnSent(at(0), 0, 0, false, true) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

func TestLogForgetsTheOldest(t *testing.T) {
	var l sendLog
	for i := range MaxRecords + 10 {
		l.add(time.Duration(i), 1, false)
	}
	if l.head != 10 || len(l.ring) != MaxRecords || !l.known(10) || l.known(9) || l.at(10).at != 10 {
		t.Errorf("head %d, %d records", l.head, len(l.ring))
	}
	l.forget(100)
	if l.known(99) || !l.known(100) {
		t.Error("forget")
	}
}

func TestNames(t *testing.T) {
	for want, got := range map[string]fmt.Stringer{
		"fair": Fair, "scavenger": Scavenger, "fixed": Fixed, "invalid": Mode(9),
		"hello": Hello, "startup": Startup, "run": Run, "drain": Drain, "compete": Compete, "blackout": Blackout,
	} {
		if got.String() != want {
			t.Errorf("%v is called %q", want, got)
		}
	}
}

// G-1: no slope goes across an idle time of the sender or a drain.
func TestSlopeEndsAtACut(t *testing.T) {
	for _, c := range []struct {
		change func(*sample)
		ok     bool
	}{
		{func(*sample) {}, true},
		{func(s *sample) { s.idles++ }, false},
		{func(s *sample) { s.cuts++ }, false},
	} {
		x := New(at(0), Config{})
		fillHistory(x, 10*time.Millisecond, 2.5e6)
		newest := *x.history.back(0)
		newest.pn++
		newest.bytes += 1500
		newest.arrival += time.Millisecond
		c.change(&newest)
		x.history.add(newest)
		if _, ok := x.history.slope(0, time.Second); ok != c.ok {
			t.Errorf("slope across it: %v, want %v", ok, c.ok)
		}
	}
}

// The driving contract: steady state allocates nothing.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	p := newPath(Config{}, 20, 20*time.Millisecond, 0.2)
	p.run(4 * time.Second)
	n := testing.AllocsPerRun(2000, func() {
		p.now += time.Millisecond
		p.c.Epoch(at(p.now))
		p.c.OnSent(at(p.now), p.pn, 1500, false, true)
		p.pn++
		p.arrived++
		r := Report{Largest: p.pn - 1, Arrival: uint32(p.now.Microseconds()), Datagrams: p.arrived}
		p.c.OnReceipt(at(p.now), &r)
		p.c.Rate(at(p.now))
		p.c.Snapshot(at(p.now))
	})
	if n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// W-5: an epoch lasts clamp(RTT/8, 5, 50 ms) and never goes on after a pause; its
// number wraps.
func TestEpochClock(t *testing.T) {
	for _, c := range []struct{ rtt, length time.Duration }{
		{time.Millisecond, 5 * time.Millisecond},
		{40 * time.Millisecond, 5 * time.Millisecond},
		{160 * time.Millisecond, 20 * time.Millisecond},
		{time.Second, 50 * time.Millisecond},
	} {
		var e epochClock
		first := e.tick(0, c.rtt)
		if got := e.tick(c.length-1, c.rtt); got != first {
			t.Errorf("RTT %v: epoch %d before its end", c.rtt, got)
		}
		if got := e.tick(c.length, c.rtt); got != first+1 {
			t.Errorf("RTT %v: epoch %d at its end", c.rtt, got)
		}
		if got := e.tick(time.Hour, c.rtt); got != first+2 {
			t.Errorf("RTT %v: epoch %d after a pause", c.rtt, got)
		}
	}
	e := epochClock{id: 255}
	if got := e.tick(0, time.Second); got != 0 {
		t.Errorf("epoch %d after 255", got)
	}
}

// A receipt of a datagram whose record is gone means that far too much is in flight.
func TestForgottenRecordsHalveTheEstimate(t *testing.T) {
	p := newPath(Config{}, 20, 20*time.Millisecond, 0)
	p.run(4 * time.Second)
	p.c.log.head = p.c.log.next
	before := p.estimate()
	p.run(100 * time.Millisecond)
	p.c.OnReceipt(at(p.now), &Report{Largest: p.c.log.head - 1, Arrival: 1})
	within(t, "estimate", p.estimate(), 0.1, 0.6*before)
}

// rivalry is a controller beside others, with a buffer that holds 40 ms.
func rivalry(queue time.Duration) *Controller {
	x := New(at(0), Config{})
	x.phase, x.estimate = Run, 2.5e6
	x.base.reset(0, 20*time.Millisecond)
	x.lowest.reset(0, 20*time.Millisecond)
	x.rtts.reset(0, 40*time.Millisecond)
	x.rival = rival{active: true, high: 0.04, clear: stretch{sent: 1000, arrived: 900}, testAt: never}
	x.queue, x.least = seconds(queue), 20*time.Millisecond+queue
	return x
}

// G-4: beside others, loss is a sign only where the buffer is full, and only if it
// is more than before.
func TestFlooding(t *testing.T) {
	for _, c := range []struct {
		queue   time.Duration
		arrived uint64 // of 1,000
		want    bool
		comment string
	}{
		{40 * time.Millisecond, 700, true, "full, and more is lost"},
		{40 * time.Millisecond, 895, false, "full, and no more is lost"},
		{20 * time.Millisecond, 700, false, "not full"},
	} {
		x := rivalry(c.queue)
		x.watchFull(0)
		x.totals.newest.pn, x.totals.newest.arrived = 1000, c.arrived
		x.watchFull(200 * time.Millisecond)
		if got := x.flooding(200 * time.Millisecond); got != c.want {
			t.Errorf("%s: %v", c.comment, got)
		}
	}
}

// G-4: beside others, the window is cut where the queue has fallen for two round
// trips, and not where a host stood still for a moment.
func TestFallMustLast(t *testing.T) {
	for _, c := range []struct {
		fallen time.Duration
		want   bool
	}{{60 * time.Millisecond, false}, {200 * time.Millisecond, true}} {
		x := rivalry(38 * time.Millisecond)
		x.rival.window, x.rival.most = 250_000, 250_000
		turn := func(from, to, queue time.Duration) {
			x.queue, x.least = seconds(queue), 20*time.Millisecond+queue
			for now := from; now < to; now += 10 * time.Millisecond {
				x.compete(now, 0.01)
			}
		}
		const peak, end = 38 * time.Millisecond, time.Second
		turn(0, end, peak)
		turn(end, end+c.fallen, 10*time.Millisecond)
		turn(end+c.fallen, end+c.fallen+100*time.Millisecond, peak)
		if cut := x.rival.epoch > 0; cut != c.want {
			t.Errorf("a fall of %v: cut %v", c.fallen, cut)
		}
	}
}

// G-4: a queue of others that never empties is no part of the round trip by which
// the window becomes a rate.
func TestEmptyTrip(t *testing.T) {
	x := rivalry(38 * time.Millisecond)
	x.trips.reset(0, 40*time.Millisecond)
	x.rtts.reset(0, 75*time.Millisecond)
	if got := duration(x.emptyTrip()); got != 40*time.Millisecond {
		t.Errorf("empty round trip %v", got)
	}
}

// G-4: what flows of our own kind leave in the queue is no sign of a rival.
func TestOwnKindIsNoRival(t *testing.T) {
	for _, c := range []struct {
		queue time.Duration
		want  bool
	}{{15 * time.Millisecond, false}, {60 * time.Millisecond, true}} {
		x := rivalry(c.queue)
		x.rival = rival{}
		x.onRival(time.Second, 1)
		x.onRival(2*time.Second, 1)
		if x.rival.active != c.want {
			t.Errorf("a queue of %v: competing %v", c.queue, x.rival.active)
		}
	}
}

// TestStanding (G-3): where a queue stands, what arrives is the capacity, although
// the sender had idle times; where the queue has run empty between two arrivals,
// or never rose, nothing is said.
func TestStanding(t *testing.T) {
	const capacity = 6e5 // bytes/s
	for _, c := range []struct {
		name string
		gap  time.Duration // between two bursts of 30 datagrams at ten times the capacity
		ok   bool
	}{
		{"bursts that overlap", 60 * time.Millisecond, true},
		{"empty in between", 90 * time.Millisecond, false},
	} {
		x := New(at(0), Config{})
		x.phase = Startup
		x.beginStartup(0, 0)
		x.base.add(0, time.Second, 0)
		x.startup.reference = stretch{sent: 100, arrived: 100}
		var free time.Duration // when the link is
		for i := range uint64(90) {
			sent := time.Duration(i/30)*c.gap + time.Duration(i%30)*250*time.Microsecond
			free = max(free, sent) + duration(1500/capacity)
			x.history.add(sample{
				record:  record{at: sent, bytes: (i + 1) * 1500, size: 1500, idles: uint32(i / 30)},
				pn:      i,
				arrival: free, counted: true, arrived: i + 1,
			})
		}
		rate, ok := x.carried(2e-3)
		if long := x.history.standing(0, 2*time.Millisecond).sent > 60; long != c.ok {
			t.Errorf("%s: the link was busy throughout: %v, want %v", c.name, long, c.ok)
		}
		if !ok || math.Abs(rate/capacity-1) > 0.05 {
			t.Errorf("%s: carried %v, %v, want %v", c.name, rate, ok, capacity)
		}
	}
}

// TestLate: what a host that stood still did not send is no rate of the path's.
func TestLate(t *testing.T) {
	c := New(at(0), Config{})
	c.phase, c.estimate, c.rate = Run, 1e6, 1e6
	c.OnSent(at(0), 0, 1500, false, true)
	for i, step := range []struct {
		after time.Duration
		idles uint32
	}{{1500 * time.Microsecond, 0}, {10 * time.Millisecond, 0}, {100 * time.Millisecond, 1}} {
		c.OnSent(at(c.now+step.after), uint64(i+1), 1500, false, true)
		if got := c.log.at(uint64(i + 1)).idles; got != step.idles {
			t.Errorf("%v later: %d idle times, want %d", step.after, got, step.idles)
		}
	}
}
