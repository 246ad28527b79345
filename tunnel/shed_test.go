package tunnel

import (
	"math"
	"testing"
	"time"
)

// H-5: the share of INITs that the kernel keeps follows the flood: a little more gets
// in than can be answered, and all when there is none.
func TestShedding(t *testing.T) {
	now := time.Unix(1e9, 0)
	s := shedding{since: now}
	keep := 1.0
	for _, offered := range []float64{100, shedRate, 50_000, 50_000, 1_000_000, 1_000_000, 20_000, 0, 0} { // a second
		was := keep
		s.seen = int(offered * was * shedInterval.Seconds())
		now = now.Add(shedInterval)
		var changed bool
		if keep, changed = s.follow(now); changed != (keep != was) {
			t.Errorf("offered %v: changed %v from %v to %v", offered, changed, was, keep)
		}
		want := 1.0
		if offered > shedRate {
			want = shedRate / offered
		}
		if math.Abs(keep-want) > 0.01*want {
			t.Errorf("offered %v: keeps %v, want %v", offered, keep, want)
		}
	}
}
