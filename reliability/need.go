package reliability

import (
	"math"
	"time"
)

// The price of capacity, θ of the need rule: a datagram goes out for a
// block if the probability that it is needed is at least θ.
const (
	// needSpare holds when nothing else waits: the sender floods until the
	// receipt.
	needSpare = 1e-4
	// NeedUrgent holds for control, interactive and deadline blocks while
	// other data waits: time is worth more than capacity.
	NeedUrgent = 0.05
	// NeedBulk holds for bulk blocks with a backlog: capacity is worth more,
	// but the oldest byte of an inner TCP waits for it too.
	NeedBulk = 0.2
)

// NextNeeded is the need rule: it returns what to send for the oldest
// block of the class with P(Bin(n, 1-p) < d) ≥ θ, where n datagrams are in
// flight for it, a share p of them is lost, and d symbols are missing. One rule
// decides about resending, redundancy and flooding. A Deadline block that is too
// old is given up on the way.
func (s *Sender) NextNeeded(now time.Time, class Class, theta float64) Transmission {
	at := now.Sub(s.start)
	limit := max(s.cfg.Deadline, 2*s.rtt.value())
	for id := s.store.oldest; id < s.store.next; id++ {
		b := s.store.block(id)
		if b.class != class || b.done {
			continue
		}
		if class == Deadline && at-b.newest > limit {
			s.abandoned += uint64(b.deficit)
			s.store.finish(id)
			continue
		}
		// A block that still grows gets nothing in advance: its next symbols
		// go first.
		if b.inFlight < b.deficit || (b.closed && s.need(b) >= theta) {
			if t := s.store.choose(id); t.valid {
				s.store.release()
				return t
			}
		}
	}
	s.store.release()
	return Transmission{}
}

// NextSpare is the need rule with spare capacity: it returns what to send for
// the block whose probability to need it is highest, if that is at least
// needSpare. Spread like this the spare datagrams save the most round trips.
func (s *Sender) NextSpare() Transmission {
	best, most := uint64(0), 0.0
	for id := s.store.oldest; id < s.store.next; id++ {
		if p := s.need(s.store.block(id)); p > most {
			best, most = id, p
		}
	}
	if most < needSpare {
		return Transmission{}
	}
	return s.store.choose(best)
}

// need is the probability that a block needs more than what is in flight for
// it.
func (s *Sender) need(b *txBlock) float64 {
	switch {
	case b.deficit == 0:
		return 0
	case b.inFlight < b.deficit:
		return 1
	}
	return tooFew(b.inFlight, 1-s.loss.value(), b.deficit)
}

// tooFew is P(Bin(n, q) < d), by the sum of its terms, or where these underflow
// by the normal approximation with continuity correction.
func tooFew(n int, q float64, d int) float64 {
	switch {
	case d <= 0:
		return 0
	case d > n || q <= 0:
		return 1
	case q >= 1:
		return 0
	}
	term := math.Pow(1-q, float64(n))
	if term == 0 {
		mean := q * float64(n)
		return 0.5 * math.Erfc(-(float64(d)-0.5-mean)/math.Sqrt(2*mean*(1-q)))
	}
	sum := term
	for i := range d - 1 {
		term *= float64(n-i) / float64(i+1) * q / (1 - q)
		sum += term
	}
	return min(sum, 1)
}
