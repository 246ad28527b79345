package tunnel

import (
	"math"
	"testing"
)

// H-5: the share of INITs that the kernel keeps follows the flood: a little more gets
// in than can be answered, and all when there is none.
func TestShedding(t *testing.T) {
	var o offer
	keep := 1.0
	for _, offered := range []float64{100, shedRate, 50_000, 50_000, 1_000_000, 1_000_000, 20_000, 0, 0} { // a second
		was := keep
		o.seen = int(offered * was * shedInterval.Seconds())
		changed := o.follow(shedInterval)
		if keep = o.share(); changed != (keep != was) {
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
