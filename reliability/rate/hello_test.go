package rate

import (
	"testing"
	"time"
)

// TestAloneShowsJitter (G-2): what HELLO and bursts see on an empty link is the
// path's jitter if it is more than flows of our own kind would show.
func TestAloneShowsJitter(t *testing.T) {
	const q = 0.008
	for _, c := range []struct {
		name   string
		hello  float64 // spread, seconds
		delays []time.Duration
		want   float64
	}{
		{"still", 0, []time.Duration{20, 20, 20, 20, 20, 20, 20, 20}, 0},
		{"HELLO saw it", 0.003, nil, 0.003},
		{"HELLO saw little", 0.001, nil, 0},
		{"bursts saw it", 0.001, []time.Duration{20, 30, 20, 30, 20, 30, 20, 30}, 0.005},
		{"the queue of others", 0.001, []time.Duration{20, 26, 20, 26, 20, 26, 20, 26}, 0},
		{"too few", 0.001, []time.Duration{20, 30, 20, 30}, 0},
	} {
		h := hello{spread: c.hello}
		for _, d := range c.delays {
			h.alone.add(d * time.Millisecond)
		}
		if got := h.path(q); got < c.want-1e-9 || got > c.want+1e-9 {
			t.Errorf("%s: path jitter %v, want %v", c.name, got, c.want)
		}
	}
}

// TestAloneSkipsQueued (G-2): a datagram that left while an earlier one was still
// on the link shows the queue, and does not count.
func TestAloneSkipsQueued(t *testing.T) {
	const ms = time.Millisecond
	c := New(time.Time{}, Config{Mode: Fair})
	c.startup.average = 1500 / 0.001 // bytes/s
	c.base.reset(0, 20*ms)
	before := sample{record: record{at: 0, bytes: 1500, size: 1500}, arrival: 30 * ms} // queued for 10 ms
	for _, s := range []struct {
		at    time.Duration
		bytes uint64
		want  float64
	}{
		{9 * ms, 3000, 0},
		{11 * ms, 6000, 0}, // two between them, 1 ms each
		{11 * ms, 3000, 1},
		{13 * ms, 6000, 2},
	} {
		c.watchAlone(&before, &sample{record: record{at: s.at, bytes: s.bytes, size: 1500}, arrival: s.at + 25*ms})
		if c.hello.alone.n != s.want {
			t.Errorf("sent at %v: %v counted, want %v", s.at, c.hello.alone.n, s.want)
		}
	}
}

// TestLookAgain (G-3): when STARTUP begins again, what was seen before counts until
// enough was seen anew, and another base delay is no jitter.
func TestLookAgain(t *testing.T) {
	var h hello
	look := func(base, jitter time.Duration, n int) {
		for i := range n {
			h.alone.add(base + time.Duration(i%2)*jitter)
		}
	}
	look(20*time.Millisecond, 16*time.Millisecond, helloArrivals)
	within(t, "at first", h.seen(), 0.008, 0.008)
	h.lookAgain()
	look(60*time.Millisecond, 4*time.Millisecond, helloArrivals-1)
	within(t, "with too few", h.seen(), 0.008, 0.008)
	h.alone.add(64 * time.Millisecond)
	within(t, "with enough on a longer path", h.seen(), 0.002, 0.002)
	h.lookAgain()
	h.lookAgain()
	within(t, "with nothing new", h.seen(), 0.002, 0.002)
}

// jittery has the controller in RUN, on a path that adds so much delay of its own.
func jittery(spread float64) *Controller {
	c := New(time.Time{}, Config{Mode: Fair})
	c.phase = Run
	c.setEstimate(1e6)
	c.hello.spread = spread
	c.base.reset(0, 0)
	return c
}

// TestSlopeUnderJitter (G-1, G-2): where the path adds a delay of its own, the slope does
// not lower the estimate while the queue is short.
func TestSlopeUnderJitter(t *testing.T) {
	for _, c := range []struct {
		spread, queue float64 // seconds, of q*
		falls         bool
	}{
		{0.010, 0.6, false},
		{0.010, 0.8, true},
		{0, 0.6, true},
	} {
		x := jittery(c.spread)
		x.target = x.wanted()
		x.queue = c.queue * x.target
		for i := range uint64(100) { // 0.75 of the estimate
			sent := time.Duration(i) * 2 * time.Millisecond
			x.history.add(sample{record: record{at: sent, bytes: (i + 1) * 1500, size: 1500}, pn: i, arrival: sent + duration(x.queue)})
		}
		x.followSlope(0.01)
		if falls := x.estimate < 1e6; falls != c.falls {
			t.Errorf("jitter of %v s, a queue of %v q*: the estimate became %v", c.spread, c.queue, x.estimate)
		}
	}
}

// TestSettled (G-3): a capacity that was found counts as such, and where the path adds a
// delay of its own only a moment later.
func TestSettled(t *testing.T) {
	for _, spread := range []float64{0, 0.010} {
		c := jittery(spread)
		c.phase = Startup
		if c.Settled() {
			t.Error("settled in STARTUP")
		}
		c.leaveStartup(time.Second, 1e6)
		if c.Settled() != (spread == 0) {
			t.Errorf("jitter of %v s: settled after STARTUP: %v", spread, c.Settled())
		}
		c.advance(time.Time{}.Add(time.Second + startSettle))
		if !c.Settled() {
			t.Errorf("jitter of %v s: never settled", spread)
		}
	}
}
