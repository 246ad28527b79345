package flow

import "time"

// A flow is steady when so many of its packets came at intervals within these
// bounds that differ by little from their mean: voice sends a frame every 10 to 60
// ms, a game's server an update every 8 to 50 ms (C-7).
const (
	steadyPackets           = 16
	steadyLeast, steadyMost = 4 * time.Millisecond, 75 * time.Millisecond
	// steadySpread is the mean deviation that is allowed, in parts of the mean
	// interval, and steadyEnd the one that ends it: what is steady does not
	// change its mode for one late packet.
	steadySpread, steadyEnd = 0.25, 0.5
	// rhythmForgotten is the pause after which a flow begins anew.
	rhythmForgotten = time.Second
	// lonePause is the pause of a TCP connection after which a small segment is
	// a request, a keystroke or the answer to one, and not part of a transfer.
	lonePause = 20 * time.Millisecond
)

// rhythm is what is known of the intervals of a flow.
type rhythm struct {
	flow   uint64 // hash
	last   time.Time
	mean   time.Duration
	spread time.Duration // mean deviation
	count  int
	steady bool
}

// steady takes note of a small packet, and reports whether its flow is one that
// sends them at steady intervals. Flows that share a place in the table take it
// from each other: none is steady then.
func (c *Classifier) steady(now time.Time, p *Packet) bool {
	h := flowHash(c.perturbation, p)
	r := &c.rhythms[h%numFlows]
	gap := now.Sub(r.last)
	if r.flow != h || gap > rhythmForgotten {
		*r = rhythm{flow: h, last: now}
		return false
	}
	r.last = now
	r.count++
	if r.count == 1 {
		r.mean = gap
		return false
	}
	off := (gap - r.mean).Abs()
	r.mean += (gap - r.mean) / 8
	r.spread += (off - r.spread) / 8
	allowed := steadySpread
	if r.steady {
		allowed = steadyEnd
	}
	r.steady = r.count >= steadyPackets && r.mean >= steadyLeast && r.mean <= steadyMost &&
		float64(r.spread) <= allowed*float64(r.mean)
	return r.steady
}

// lone takes note of a TCP segment with data, and reports whether it is small and
// comes after a pause. Of flows that share a place in the table, none is lone
// unless the other has been silent for long.
func (c *Classifier) lone(now time.Time, p *Packet) bool {
	h := flowHash(c.perturbation, p)
	r := &c.rhythms[h%numFlows]
	gap := now.Sub(r.last)
	pause := lonePause
	if r.flow != h {
		*r = rhythm{flow: h}
		pause = rhythmForgotten
	}
	r.last = now
	return p.Size <= interactiveSize && gap > pause
}
