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
