package rate

import (
	"testing"
	"time"
)

// after has a stretch of a second pass in which of 1,000 datagrams so many arrive.
func (c *Controller) after(at time.Duration, arrived uint64) {
	m := &c.totals.newest
	m.pn, m.sent, m.arrived, m.bytes = m.pn+1000, at, m.arrived+arrived, m.bytes+2_500_000
}

// G-4: a loss far above that before ends a competition, whether the buffer looks full
// or not, and the rate falls to what gets through.
func TestDrowning(t *testing.T) {
	for _, c := range []struct {
		arrived uint64 // of 1,000; 900 are usual
		want    bool
	}{{890, false}, {500, true}} {
		x := rivalry(20 * time.Millisecond)
		x.after(time.Second, c.arrived)
		x.compete(time.Second, 0.01)
		if ended := !x.rival.active; ended != c.want {
			t.Errorf("%d of 1,000 arrive: ended %v", c.arrived, ended)
		}
		if through := 2.5e6 * 500 / 900; c.want && x.estimate > through {
			t.Errorf("the estimate is %.0f, %.0f got through", x.estimate, through)
		}
		if c.want && x.rival.until <= time.Second {
			t.Error("the next competition may begin at once")
		}
	}
}

// G-4: a flood that the buffer does not end is answered with what gets through, and its
// losses are no measure for later.
func TestFloodIsNotUsual(t *testing.T) {
	x := rivalry(30 * time.Millisecond)
	x.rival.window, x.rival.most = 2.5e6*0.1, 2.5e6*0.1
	x.after(time.Second, 820) // a flood that hides: the buffer is not quite full
	x.queue = 0.04
	x.watchFull(time.Second)
	if got := x.rival.clear.share(); got != 0.9 {
		t.Errorf("%.2f arrive usually, after a flood; 0.90 did", got)
	}
	before := x.rival.window
	x.after(2*time.Second, 820)
	x.rival.fullAt, x.rival.highAt, x.rival.tallAt, x.rival.stuckAt = time.Second, 2*time.Second, 2*time.Second, 2*time.Second
	x.compete(2*time.Second, 0.01)
	if x.rival.window > 0.95*before*rivalCut {
		t.Errorf("the window is %.0f, and was %.0f", x.rival.window, before)
	}
}

// G-4: what a few datagrams tell does not replace what many have told: the least lucky
// of many stretches would become the measure.
func TestUsualLossIsNotWornDown(t *testing.T) {
	x := rivalry(20 * time.Millisecond)
	for i := range 8 {
		x.rival.full, x.queue = false, x.rival.high
		m := &x.totals.newest
		m.pn, m.arrived = m.pn+excessSent, m.arrived+excessSent*2/3
		x.watchFull(time.Duration(i) * time.Second)
	}
	// 240 of at most 1,000 datagrams count now, with 0.67 instead of 0.9.
	within(t, "what arrives usually", x.rival.clear.share(), 0.82, 0.86)
}

// G-4: what competes is not verified, and no rate to compete for.
func TestGreatestEstimateIsVerified(t *testing.T) {
	x := rivalry(38 * time.Millisecond)
	x.rival.best = 1e6
	x.watchBase(time.Second, 20*time.Millisecond)
	if x.rival.best > 1e6 {
		t.Errorf("the greatest estimate is %.0f", x.rival.best)
	}
}

// G-4: full drains and a queue that grows while we yield are signs of a rival, also
// long after the last one.
func TestSigns(t *testing.T) {
	const at = 10 * rivalMemory
	for _, c := range []struct {
		signs int
		want  bool
	}{{1, false}, {rivalSigns, true}} {
		x := rivalry(38 * time.Millisecond)
		x.rival = rival{failed: 1, failAt: time.Second}
		x.onRival(at, c.signs)
		if x.rival.active != c.want {
			t.Errorf("%d signs: competing %v", c.signs, x.rival.active)
		}
	}
}

// G-4: a scavenger that has seen others takes no queue for a longer path.
func TestScavengerDoubtsLongerPaths(t *testing.T) {
	x := rivalry(25 * time.Millisecond)
	x.cfg.Mode, x.rival = Scavenger, rival{}
	x.onRival(time.Second, 1)
	if x.rival.active || x.rival.shift.never <= time.Second {
		t.Errorf("competing %v, no longer path until %v", x.rival.active, x.rival.shift.never)
	}
}

// G-3: a queue that stands still while the rate moves is looked at early; one that
// stands still with the rate is our own.
func TestStands(t *testing.T) {
	for _, c := range []struct {
		moves float64 // of the estimate, and back
		want  bool
	}{{1.1, false}, {2, true}} {
		x := rivalry(15 * time.Millisecond)
		x.rival = rival{}
		x.target = 0.015
		stood := false
		for now := time.Duration(0); now < 2*time.Second; now += 10 * time.Millisecond {
			x.estimate = 2.5e6
			if now/(200*time.Millisecond)%2 == 1 {
				x.estimate *= c.moves
			}
			stood = stood || x.stands(now)
		}
		if stood != c.want {
			t.Errorf("the estimate moves by %g: stands %v", c.moves, stood)
		}
	}
}

// G-3: what a drain leaves is no longer path where flows of our own kind leave as much,
// unless it stood still while the rate moved.
func TestKinLeaveAQueue(t *testing.T) {
	for _, c := range []struct {
		name   string
		left   float64 // times q*
		stood  bool
		longer bool
	}{{"kin", 0.7, false, false}, {"a longer path", 0.9, false, true}, {"it stood still", 0.7, true, true}} {
		x := rivalry(15 * time.Millisecond)
		x.rival = rival{}
		own := x.clearTarget(x.estimate)
		x.target = 2 * own // jitter is not what others leave
		at := 10 * time.Second
		x.drain = drain{judge: at, from: at, count: drainArrivals, before: own, stood: c.stood, least: c.left * own, most: c.left * own}
		x.history.add(sample{})
		base := x.base.value()
		x.judgeDrain(at + drainMax)
		if longer := x.base.value() > base; longer != c.longer {
			t.Errorf("%s: a longer path %v", c.name, longer)
		}
		if x.rival.failed > 0 {
			t.Errorf("%s: a sign of a rival", c.name)
		}
	}
}

// G-4: where more is lost since a path was taken for longer it was a full buffer, and
// the rate falls to what gets through.
func TestOverrun(t *testing.T) {
	x := rivalry(25 * time.Millisecond)
	x.rival = rival{}
	x.drain.least = 0.025
	x.ladder.reference = stretch{sent: 1000, arrived: 900, bytes: 2.5e6, time: 1}
	x.takeLonger(time.Second)
	x.after(2*time.Second, 450)
	if !x.overrun(2 * time.Second) {
		t.Fatal("no overrun")
	}
	if through := 2.5e6 / 2 * 450 / 900; x.estimate > 1.01*through || x.estimate < 0.99*through { // in 2 s
		t.Errorf("the estimate is %.0f, %.0f got through", x.estimate, through)
	}
	if got := x.base.value(); got != x.lowest.value() {
		t.Errorf("base %v, least %v", got, x.lowest.value())
	}
}

// G-4: a queue that is a little greater than one of our own kind is another sign of
// others where a drain left most of it: flows of our own kind drain together.
func TestKinDrainTogether(t *testing.T) {
	for _, c := range []struct {
		name       string
		signs      int
		tall, left float64 // the queue in units of q*, and what the drain left of it
		want       bool
	}{
		{"half left", 1, 1.4, 0.5, false},
		{"nearly all left", 1, 1.4, 0.85, true},
		{"no sign before", 0, 1.4, 0.85, false},
		{"as small as ours", 1, 1.1, 0.85, false},
		{"tall", 0, 1.8, 0.5, true},
	} {
		x := rivalry(25 * time.Millisecond)
		x.rival = rival{failed: c.signs, failAt: 50 * time.Second}
		queue := c.tall * x.ownQueue()
		x.least = x.lowest.value() + duration(queue)
		x.drain = drain{before: queue, beforeDelay: x.least, least: c.left * queue}
		x.onRival(time.Minute, 1)
		if sign := x.rival.failed > c.signs; sign != c.want {
			t.Errorf("%s: a sign %v", c.name, sign)
		}
	}
}

// G-4: a longer path that is gone was the queue of others if it was great enough while
// it was there: no matter how small the queue is then.
func TestGoneShiftIsASign(t *testing.T) {
	for _, c := range []struct {
		most float64 // greatest queue meanwhile, in units of q*
		want bool
	}{{1.2, false}, {2, true}} {
		x := rivalry(25 * time.Millisecond)
		x.rival = rival{}
		own := x.ownQueue()
		origin := x.base.value()
		x.drain.before, x.drain.least, x.least = 2*own, own, origin+duration(own)
		x.takeLonger(time.Second)
		for i, queue := range []float64{c.most, 0.1} {
			before := x.base.value()
			x.least = origin + duration(queue*own)
			if x.least < before {
				x.base.reset(time.Second, x.least)
			}
			x.watchBase(time.Duration(i+2)*time.Second, before)
		}
		if sign := x.rival.failed > 0; sign != c.want {
			t.Errorf("greatest queue %.1f q*: a sign %v", c.most, sign)
		}
	}
}

// G-4: a queue that is empty once may be that of another who has just backed off.
func TestEmptyTwice(t *testing.T) {
	x := rivalry(25 * time.Millisecond)
	for i, c := range []struct {
		left   float64 // in seconds
		active bool
	}{{0, true}, {0.01, true}, {0, true}, {0, false}} {
		x.target, x.drain.least = 0.01, c.left
		at := time.Duration(i+1) * time.Minute
		x.onEmptyDrain(at)
		if x.rival.active != c.active {
			t.Errorf("drain %d: competing %v", i+1, x.rival.active)
		}
		if soon := x.rival.testAt == at+rivalHurry; soon != (c.left == 0 && c.active) {
			t.Errorf("drain %d: the next soon %v", i+1, soon)
		}
	}
}

// G-3: drains of others put off our own, but not the one that shows whether the path
// is longer.
func TestLongerPathIsNotPutOff(t *testing.T) {
	for _, longer := range []bool{false, true} {
		x := rivalry(25 * time.Millisecond)
		x.rival, x.target = rival{}, 0.01
		if longer {
			x.rival.shift = shift{by: 0.01}
		}
		x.drain.refilled, x.drain.next = time.Second, 10*time.Second
		x.jitter = jitter{mean: 0.02}
		x.queue = 0
		x.history.add(sample{record: record{at: 4 * time.Second}})
		x.followDrain()
		want := 4*time.Second + x.drainPeriod()
		if longer {
			want = time.Second + x.drainPeriod()
		}
		if x.drain.next != want {
			t.Errorf("longer %v: the next drain at %v, want %v", longer, x.drain.next, want)
		}
	}
}
