package rate

import (
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
