package handshake

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestFloodSchedule runs floods in virtual time against the schedule (H-4).
func TestFloodSchedule(t *testing.T) {
	for seed := range uint64(50) {
		start := testTime()
		f := NewFlood(start, rand.New(rand.NewPCG(seed, 0)))
		if f.Deadline() != start || !f.Due(start) || f.Due(start.Add(-1)) {
			t.Fatal("the first datagram is not due at once")
		}
		var sent [3]int // in the first 2 s, up to 10 s, up to 20 s
		now := start
		for n := 0; now.Sub(start) < 20*time.Second; n++ {
			age := now.Sub(start)
			want, phase := 250*time.Millisecond, 2
			switch {
			case n == 0:
				want, phase = 10*time.Millisecond, 0
			case age < 2*time.Second:
				want, phase = 20*time.Millisecond, 0
			case age < 10*time.Second:
				want, phase = 100*time.Millisecond, 1
			}
			sent[phase]++
			f.OnSent(now)
			d := f.Deadline().Sub(now)
			if d < want*9/10 || d > want*11/10 {
				t.Fatalf("seed %d, after %v: next after %v, want %v ± 10 %%", seed, age, d, want)
			}
			if f.Due(now) || f.Due(f.Deadline().Add(-1)) || !f.Due(f.Deadline()) {
				t.Fatal("Due disagrees with Deadline")
			}
			now = f.Deadline()
		}
		for phase, want := range [3]int{101, 80, 40} {
			if got := sent[phase]; got < want*97/100-1 || got > want*103/100+1 {
				t.Errorf("seed %d: %d datagrams in phase %d, want about %d", seed, got, phase, want)
			}
		}
	}
}

// TestFloodJitter: intervals fill ±10 % evenly, so that floods that began
// together drift apart (H-4).
func TestFloodJitter(t *testing.T) {
	start := testTime()
	f := NewFlood(start, rand.New(rand.NewPCG(1, 0)))
	const n = 10000
	var sum time.Duration
	least, most := time.Hour, time.Duration(0)
	f.OnSent(start)
	for range n { // always at the same instant: the interval stays 20 ms
		f.OnSent(start)
		d := f.Deadline().Sub(start)
		sum += d
		least, most = min(least, d), max(most, d)
	}
	if mean := sum / n; mean < 19900*time.Microsecond || mean > 20100*time.Microsecond {
		t.Errorf("mean interval %v, want 20 ms", mean)
	}
	if least > 18020*time.Microsecond || most < 21980*time.Microsecond {
		t.Errorf("intervals from %v to %v, want 18 ms to 22 ms", least, most)
	}
}

// TestFloodLate: a datagram sent late is followed by no burst, and a clock
// that goes back does not move the schedule back (H-4).
func TestFloodLate(t *testing.T) {
	start := testTime()
	f := NewFlood(start, rand.New(rand.NewPCG(1, 0)))
	f.OnSent(start)
	late := start.Add(3 * time.Second)
	if !f.Due(late) {
		t.Fatal("not due 3 s later")
	}
	f.OnSent(late)
	if d := f.Deadline().Sub(late); d < 90*time.Millisecond || d > 110*time.Millisecond {
		t.Errorf("next after %v, want 100 ms", d)
	}
	f.OnSent(start)
	if d := f.Deadline().Sub(late); d < 90*time.Millisecond || d > 110*time.Millisecond {
		t.Errorf("after an older now: next after %v, want 100 ms", d)
	}
}

// TestFloodDeterministic: the same seed and calls give the same schedule.
func TestFloodDeterministic(t *testing.T) {
	a := NewFlood(testTime(), rand.New(rand.NewPCG(1, 2)))
	b := NewFlood(testTime(), rand.New(rand.NewPCG(1, 2)))
	for range 500 {
		a.OnSent(a.Deadline())
		b.OnSent(b.Deadline())
		if a.Deadline() != b.Deadline() {
			t.Fatal("two schedules of one seed")
		}
	}
}

// TestGiveUp: attempts last 5 s to 60 s, doubling (H-4).
func TestGiveUp(t *testing.T) {
	for attempt, want := range map[int]time.Duration{
		-1: 5 * time.Second, 0: 5 * time.Second, 1: 10 * time.Second, 2: 20 * time.Second, 3: 40 * time.Second,
		4: time.Minute, 5: time.Minute, 1000: time.Minute, 1<<63 - 1: time.Minute,
	} {
		if got := GiveUp(attempt); got != want {
			t.Errorf("attempt %d: %v, want %v", attempt, got, want)
		}
	}
}
