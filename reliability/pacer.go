package reliability

import "time"

// pacer spaces datagrams at a rate (G-5). It is a schedule, not a bucket: the
// next datagram may leave at next, and each one moves next by its own duration.
type pacer struct {
	rate int64         // bit/s of IP bytes
	next time.Duration // since the sender's start
	each time.Duration // of the last datagram
	idle bool          // the sender had nothing to send at its turn
}

// wake is when to look again: what is due within a burst's time goes together, for
// a timer costs more than a datagram.
func (p *pacer) wake() time.Duration { return p.next + max(0, pacerBurst-p.each) }

func (p *pacer) ready(at time.Duration) bool { return at >= p.next }

// onIdle notes that a turn was not used.
func (p *pacer) onIdle() { p.idle = true }

func (p *pacer) onSent(at time.Duration, size int) {
	credit := pacerCatchUp
	if p.idle {
		credit, p.idle = pacerBurst, false
	}
	p.next = max(p.next, at-credit)
	p.each = time.Duration(float64(size*8) / float64(p.rate) * float64(time.Second))
	p.next += p.each
}
