package lab

import (
	"testing"
	"time"
)

// Quantiles err upwards, by an eighth at most, and never beyond the maximum.
func TestLateness(t *testing.T) {
	var l Lateness
	if l.Quantile(0.5) != 0 || l.Mean() != 0 {
		t.Error("something out of nothing")
	}
	for n := time.Duration(1); n <= 1000; n++ {
		l.add(n * 100 * time.Microsecond)
	}
	l.add(-time.Second) // early
	if l.Count != 1001 || l.Max != 100*time.Millisecond || l.Mean() != 50*time.Millisecond {
		t.Errorf("count %d, maximum %v, mean %v", l.Count, l.Max, l.Mean())
	}
	for _, q := range []float64{0.001, 0.01, 0.5, 0.9, 0.99, 1} {
		got, exact := l.Quantile(q), time.Duration(q*100e6)
		if got < exact || got > min(exact*9/8+100*time.Microsecond, l.Max) {
			t.Errorf("quantile %v: %v, exactly %v", q, got, exact)
		}
	}
	l.add(time.Hour) // beyond the last slot
	if l.Quantile(1) != time.Hour && l.Quantile(1) < 16*time.Second {
		t.Errorf("an hour counts as %v", l.Quantile(1))
	}
	if n := testing.AllocsPerRun(100, func() { l.add(time.Millisecond) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Slots have no gaps: each begins where the one before ends.
func TestLatenessSlots(t *testing.T) {
	for n := range time.Duration(1 << 16) {
		slot := latenessSlot(n * time.Microsecond)
		if d := n * time.Microsecond; d >= latenessEnd(slot) || slot > 0 && d < latenessEnd(slot-1) {
			t.Fatalf("%v is in slot %d, which ends at %v", d, slot, latenessEnd(slot))
		}
	}
}
