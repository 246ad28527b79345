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
