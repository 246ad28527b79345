package reliability

import (
	"math"
	"time"
)

// The price of capacity, θ of the need rule: a datagram goes out for a
// block if the probability that it is needed is at least θ. Bulk with a backlog
// has a price that follows the waste (price.go).
const (
	// needSpare holds when nothing else waits: the sender floods until the
	// receipt.
	needSpare = 1e-4
	// needInteractive and needUrgent hold for interactive blocks and for
	// control and deadline blocks while other data waits: time is worth more
	// than capacity, most of all where someone waits for an answer.
	needInteractive = 0.002
	needUrgent      = 0.05
)

// Choice is what Next decided: to send Transmission, or to make a new symbol of
// Class, or, if neither is set, that there is nothing to send.
type Choice struct {
	Transmission
	Open  bool
	Class Class
}

// Next decides what the next datagram carries; waiting tells the classes that
// have something for a new symbol, queued how many bytes wait in all. It is the
// need rule, one rule for resending, redundancy and flooding: the oldest
// block of a class with P(Bin(n, 1-p) < d) ≥ θ comes first, where n datagrams are
// in flight for it, a share p of them is lost, and d symbols are missing. Else it
// is the turn of a new symbol, and with nothing to send of what is in flight
// already.
func (s *Sender) Next(now time.Time, waiting [NumClasses]bool, queued int) Choice {
	at := now.Sub(s.start)
	s.store.release()
	open := s.CanOpen()
	s.backlog = open && (waiting[Deadline] || waiting[Bulk])
	s.demand = s.demandOf(queued)
	s.pause.look(at, waiting[Bulk], s.rtt.value())
	for class := range Class(NumClasses) {
		if t := s.needed(at, class); t.valid {
			return Choice{Transmission: t}
		}
		if class <= Interactive && waiting[class] && open {
			return Choice{Open: true, Class: class}
		}
	}
	for class := Deadline; class < NumClasses; class++ {
		if waiting[class] && open {
			return Choice{Open: true, Class: class}
		}
	}
	if t := s.spare(); t.valid {
		s.spares++
		return Choice{Transmission: t}
	}
	return Choice{}
}

// needed returns what to send for the oldest block of the class that needs it.
// A Deadline or Interactive block that is too old is given up on the way.
func (s *Sender) needed(at time.Duration, class Class) Transmission {
	for id := s.store.oldest; id < s.store.next; id++ {
		b := s.store.block(id)
		if b.class != class || b.done {
			continue
		}
		if (class == Deadline || class == Interactive) && at-b.newest > s.patience(b) {
			s.abandoned += uint64(b.deficit)
			s.store.finish(id)
			continue
		}
		if s.wants(at, b) {
			if t := s.store.choose(id, s.cfg.ARQ); t.valid {
				return t
			}
		}
	}
	return Transmission{}
}

// patience is how long after its newest symbol a block is given up.
func (s *Sender) patience(b *txBlock) time.Duration {
	if b.byDefault {
		return max(b.patience, s.cfg.Deadline, 2*s.rtt.value())
	}
	return b.patience
}

// wants reports whether a block is due for another datagram while new data
// waits.
func (s *Sender) wants(at time.Duration, b *txBlock) bool {
	if b.once {
		return false
	}
	if b.inFlight < b.deficit {
		return true
	}
	// A growing block of bulk gets nothing in advance, unless it is the head of
	// a burst: its next symbols go first.
	if b.class == Bulk && !b.closed && !b.head {
		return false
	}
	if b.served > 0 && b.served <= s.judged {
		b.attempts++
		b.served = 0
	}
	if s.need(b) < s.theta(b) {
		if b.served == 0 && b.closed {
			b.served = max(at, 1)
		}
		return false
	}
	return s.mayAdvance(b.class) && (b.attempts == 0 || s.spaced(b))
}

// theta is the price that a block pays. One that was served in vain, as receipts
// show, holds up everything behind it: with each attempt it pays less, the less
// the better the odds of a copy. Few blocks get that far, so it costs little and
// cuts the longest delays.
func (s *Sender) theta(b *txBlock) float64 {
	switch {
	case b.class == Interactive:
		return needInteractive
	case b.class < Bulk:
		return needUrgent
	case b.head:
		return needHead
	}
	theta, p := s.price.bulk()*s.demand, s.loss.value()
	for range min(b.attempts, lateAttempts) {
		theta *= max(latePrice, p*max(p, lateOdds), s.loss.memory())
	}
	return theta
}

// spaced reports whether the last datagram for the block lies a loss burst
// back: copies in advance that go into one burst are lost together.
func (s *Sender) spaced(b *txBlock) bool {
	return s.log.next-b.lastPN >= s.loss.burst()
}

// spare is the need rule with spare capacity: it returns what to send for the
// block whose probability to need it is highest, if that is at least needSpare.
// Spread like this the spare datagrams save the most round trips.
func (s *Sender) spare() Transmission {
	best, most := uint64(0), 0.0
	for id := s.store.oldest; id < s.store.next; id++ {
		if p := s.need(s.store.block(id)); p > most && !s.store.block(id).once {
			best, most = id, p
		}
	}
	if most < needSpare || (most < 1 && (s.cfg.ARQ || s.credit < 1)) {
		return Transmission{}
	}
	return s.store.choose(best, s.cfg.ARQ)
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
	if key := (needKey{b.inFlight, b.deficit, b.sends, s.loss.windows}); b.key != key {
		b.key, b.need = key, s.needOf(b)
	}
	return b.need
}

// needKey is what a block's probability of need depends on.
type needKey struct {
	inFlight, deficit, sends int
	window                   uint32
}

// needOf is the probability that what is in flight does not complete the block.
// A repair sent while the block grew does not cover the symbols that came later:
// the newest n symbols depend on what was sent since the first of them. The
// probability is that of the worst n, over powers of two.
func (s *Sender) needOf(b *txBlock) float64 {
	p := s.loss.tooFew(b.inFlight, b.deficit)
	for n := 1; n < b.deficit; n *= 2 {
		since := b.sends - b.symbols[len(b.symbols)-n].before
		if since >= b.inFlight {
			break
		}
		p = max(p, s.loss.tooFew(since, n))
	}
	return p
}

// tooFew is P(Bin(n, q) < d), by the sum of its terms, or where these underflow
// by the normal approximation.
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
		return tooFewNormal(n, q, d, 1)
	}
	sum := term
	for i := range d - 1 {
		term *= float64(n-i) / float64(i+1) * q / (1 - q)
		sum += term
	}
	return min(sum, 1)
}

// tooFewNormal is the normal approximation of tooFew with continuity correction,
// for a variance that correlated losses inflate.
func tooFewNormal(n int, q float64, d int, inflation float64) float64 {
	mean := q * float64(n)
	return 0.5 * math.Erfc(-(float64(d)-0.5-mean)/math.Sqrt(2*mean*(1-q)*inflation))
}
