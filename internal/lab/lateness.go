package lab

import (
	"math/bits"
	"time"
)

// Lateness is a histogram of delays. Its quantiles are exact to an eighth of the
// value; adding to it allocates nothing.
type Lateness struct {
	Count uint64
	Sum   time.Duration
	Max   time.Duration
	Slots [latenessSlots]uint64 // eight for each power of two of microseconds
}

const latenessSlots = 8 * 24 // up to 16 s; what is above counts as that

// add counts one packet; early is on time.
func (l *Lateness) add(d time.Duration) {
	d = max(d, 0)
	l.Count++
	l.Sum += d
	l.Max = max(l.Max, d)
	l.Slots[latenessSlot(d)]++
}

// latenessSlot is linear below 8 µs and logarithmic above.
func latenessSlot(d time.Duration) int {
	n := uint64(d.Microseconds())
	if n < 8 {
		return int(n)
	}
	shift := bits.Len64(n) - 4
	return min(8*shift+int(n>>shift), latenessSlots-1)
}

// Mean is zero without packets.
func (l *Lateness) Mean() time.Duration {
	if l.Count == 0 {
		return 0
	}
	return l.Sum / time.Duration(l.Count)
}

// Quantile is a delay that a share q of the packets did not exceed, rounded up to
// the end of its slot.
func (l *Lateness) Quantile(q float64) time.Duration {
	left := q * float64(l.Count)
	for i, n := range l.Slots {
		if left -= float64(n); left <= 0 && n > 0 {
			return min(latenessEnd(i), l.Max)
		}
	}
	return l.Max
}

// latenessEnd is the end of a slot.
func latenessEnd(slot int) time.Duration {
	n := uint64(slot + 1)
	if slot >= 8 {
		shift := slot/8 - 1
		n = (uint64(slot%8) + 8 + 1) << shift
	}
	return time.Duration(n) * time.Microsecond
}
