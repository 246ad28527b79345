package handshake

import (
	"math/rand/v2"
	"time"
)

// Flood says when to send one INIT or RESP again (H-4). It knows nothing of
// the rate budget, nor when to stop; the caller does.
type Flood struct {
	start, next time.Time
	newest      time.Time
	sent        bool
	rng         *rand.Rand
}

// NewFlood starts a flood: its first datagram is due at once. rng gives the
// jitter.
func NewFlood(now time.Time, rng *rand.Rand) Flood {
	return Flood{start: now, next: now, newest: now, rng: rng}
}

// Deadline is when the next datagram is due.
func (f *Flood) Deadline() time.Time { return f.next }

// Due reports whether a datagram is due.
func (f *Flood) Due(now time.Time) bool { return !now.Before(f.next) }

// OnSent plans the datagram after the one sent now. A datagram sent late moves
// those after it: a flood never catches up in a burst.
func (f *Flood) OnSent(now time.Time) {
	if now.After(f.newest) { // an older now counts as the newest seen
		f.newest = now
	}
	d := f.interval()
	jitter := d * floodJitter / 100
	d += time.Duration(f.rng.Int64N(int64(2*jitter)+1)) - jitter
	f.sent = true
	f.next = f.newest.Add(d)
}

// interval is the wait after the datagram sent at f.newest (H-4).
func (f *Flood) interval() time.Duration {
	switch age := f.newest.Sub(f.start); {
	case !f.sent:
		return floodFirst
	case age < floodFastFor:
		return floodFast
	case age < floodMediumFor:
		return floodMedium
	}
	return floodSlow
}

// GiveUp is how long attempt n of a row, from 0, lasts before a fresh INIT
// takes its place: 5 s, doubled at every attempt up to 60 s (H-4).
func GiveUp(attempt int) time.Duration {
	d := giveUpMin
	for range attempt {
		if d *= 2; d >= giveUpMax {
			return giveUpMax
		}
	}
	return d
}
