package rate

import (
	"math"
	"testing"
	"time"
)

// TestBaseOutlivesDrains (G-2): where few arrive, several drains may pass before
// one of them is seen, and the base delay is remembered for so long; drains come
// as often as before until arrivals are much rarer.
func TestBaseOutlivesDrains(t *testing.T) {
	for _, c := range []struct {
		arrivals     uint64 // a second
		base, period time.Duration
	}{
		{100, 20 * time.Second, 5 * time.Second},
		{16, 75 * time.Second, 5 * time.Second},
		{3, 200 * time.Second, 10 * time.Second},
	} {
		ctl := New(time.Time{}, Config{})
		ctl.now = time.Minute
		ctl.totals.newest.arrived = 60 * c.arrivals
		if got := ctl.baseWindow(); got != c.base {
			t.Errorf("%d arrivals a second: base remembered for %v, want %v", c.arrivals, got, c.base)
		}
		if got := ctl.drainPeriod(); got != c.period {
			t.Errorf("%d arrivals a second: a drain each %v, want %v", c.arrivals, got, c.period)
		}
	}
}

// TestLoneBursts (G-3): bursts of 24,000 bytes that leave each 100 ms over a link
// of 100,000 bytes/s, and of each a single datagram arrives. The queue of those
// before counts as their own time, so each alone shows much too little.
func TestLoneBursts(t *testing.T) {
	const base, size, capacity = 20 * time.Millisecond, 1500, 100_000.0
	c := New(time.Time{}, Config{})
	c.base.reset(0, base)
	s := &c.startup
	for i := range 8 {
		start := time.Duration(i) * 100 * time.Millisecond
		before := uint64(i) * 16 * size
		s.bursts[i] = burst{first: uint64(16 * i), start: start, before: before}
		s.n++
		bytes := before + 4*size // the fourth arrives
		at := base + duration(float64(bytes)/capacity)
		s.onSample(&sample{record: record{at: start, bytes: bytes, size: size}, pn: uint64(16*i + 3), arrival: at})
	}
	c.log.bytes = 8 * 16 * size
	d := c.dispersion(0.001, false)
	if d.lone != d.bursts || d.bursts != 8 {
		t.Fatalf("%d of %d bursts with one arrival, want 8 of 8", d.lone, d.bursts)
	}
	within(t, "rate of single bursts", d.rate, 0, 0.5*capacity)
	within(t, "rate of all together", d.together, 0.99*capacity, 1.01*capacity)
	if got, want := d.between(), math.Sqrt(d.rate*d.together); math.Abs(got-want) > 1 {
		t.Errorf("between them is %.0f, want %.0f", got, want)
	}
}

// TestHelloCountsToItsEnd (G-3): HELLO ends when enough arrived, so what it showed
// by then is biased; with what was on its way, it is not. At a loss of 80 % and less
// it shows enough as it is.
func TestHelloCountsToItsEnd(t *testing.T) {
	c := New(time.Time{}, Config{})
	c.base.reset(0, 0)
	c.totals.newest = mark{pn: 99, arrived: 8}
	c.log.next = 1000
	c.loss.loss = 0.9
	c.beginStartup(time.Second, 0)
	within(t, "share at first", c.startup.reference.share(), 0.08, 0.08)
	c.totals.newest = mark{pn: 1000, arrived: 20}
	c.judgeBursts(2 * time.Second)
	within(t, "share in the end", c.startup.reference.share(), 0.019, 0.021)
	c.totals.newest = mark{pn: 2000, arrived: 400}
	c.judgeBursts(3 * time.Second)
	within(t, "share at rates that were fine", c.startup.reference.share(), 0.019, 0.021)
}

// TestAloneNeedsAShortWay (G-2): how long the link took for all that was lost since
// an arrival is a guess, and a queue must not be taken for jitter.
func TestAloneNeedsAShortWay(t *testing.T) {
	c := New(time.Time{}, Config{})
	c.base.reset(0, 0)
	c.startup.average, c.loss.loss = 1e6, 0.9
	before := sample{record: record{bytes: 1500, size: 1500}}
	for _, lost := range []uint64{burstLeast, burstLeast + 1} {
		c.hello.alone = alone{}
		c.watchAlone(&before, &sample{record: record{at: time.Second, bytes: (lost + 2) * 1500, size: 1500}, arrival: time.Second})
		if got, want := c.hello.alone.n == 1, lost == burstLeast; got != want {
			t.Errorf("%d datagrams lost between: counted %v, want %v", lost, got, want)
		}
	}
}

// TestDownGoesOn (G-2): a lower level that still loses more than low rates do is no
// end where the level above was overloaded, or assumed to be fine.
func TestDownGoesOn(t *testing.T) {
	for _, c := range []struct {
		name    string
		assumed bool
		arrived float64 // of 1,000 at the lower level
		low     float64 // sent at low rates: a tenth arrived
		further bool
	}{
		{"the loss is gone", false, 100, 4000, false},
		{"a part of it is left", false, 60, 4000, true},
		{"the loss is the path's", false, 40, 4000, false},
		{"nobody measured the level above", true, 40, 4000, true},
		{"the loss seems gone, and few left at low rates", false, 100, 500, true},
		{"the loss is the path's, and few left at low rates", false, 40, 500, false},
	} {
		ctl := New(time.Time{}, Config{})
		l := &ctl.ladder
		l.down, l.shallow, l.assumed = true, !c.assumed, c.assumed
		l.downStep = downMin
		ctl.startup.reference = stretch{sent: c.low, arrived: c.low / 10}
		l.reference = stretch{sent: 2000, arrived: 80, bytes: 1e6, time: 10}
		ctl.judgeDown(time.Second, &stretch{sent: 1000, arrived: c.arrived, bytes: 3e5, time: 10})
		if l.down != c.further {
			t.Errorf("%s: further down %v, want %v", c.name, l.down, c.further)
		}
		if fine := ctl.startup.reference.arrived == c.arrived; fine == c.further {
			t.Errorf("%s: taken for fine %v, want %v", c.name, fine, !c.further)
		}
	}
}

// TestAssumedIsMeasured (G-2): a reference that nobody measured is not averaged with
// what is, and where more is not paid for, a little loss is enough to try less.
func TestAssumedIsMeasured(t *testing.T) {
	x := New(time.Time{}, Config{})
	l := &x.ladder
	x.startup.reference = stretch{sent: 4000, arrived: 400}
	l.policed(time.Minute, 25e6, &x.startup.reference)
	if got := l.reference.share(); !l.assumed || got != 0.1 {
		t.Fatalf("assumed %v, the share is %.3f", l.assumed, got)
	}
	x.sameLevel(time.Minute, &stretch{sent: 20000, arrived: 170, bytes: 25e6, time: 1})
	if got := l.reference.share(); got != 0.0085 || l.assumed || !l.down {
		t.Errorf("after a measurement the share is %.4f, assumed %v; a lower level is tested: %v", got, l.assumed, l.down)
	}
	for _, refused := range []bool{false, true} {
		l.accept(time.Second, &stretch{sent: 5000, arrived: 430, bytes: 3e6, time: 1})
		l.shallow, l.hold = true, seconds(holdMin)
		if refused {
			l.hold *= 2
		}
		x.sameLevel(4*time.Second, &stretch{sent: 500, arrived: 43, bytes: 3e5, time: 0.1})
		if l.down != refused {
			t.Errorf("a higher level refused: %v, a lower one is tested: %v", refused, l.down)
		}
	}
}
