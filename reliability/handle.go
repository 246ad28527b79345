package reliability

import (
	"time"

	"github.com/totg/totg/reliability/rate"
	"github.com/totg/totg/reliability/rlc"
)

// Outcome is what a receipt settled. The caller owns it and resets it.
type Outcome struct {
	Acked []uint64 // tags of symbols that arrived
}

// Reset empties o and keeps its memory.
func (o *Outcome) Reset() { o.Acked = o.Acked[:0] }

// HandleReceipt takes the receiver's state: it frees what arrived and finds what
// must be resent. A receipt older than the newest is ignored, for receipts are
// state, not events. On error nothing has changed.
func (s *Sender) HandleReceipt(now time.Time, c *Receipt, out *Outcome) error {
	if s.receipts > 0 && int32(c.Number-s.number) <= 0 {
		s.receipts++
		return nil
	}
	largest := expand(s.log.next, c.Largest, 32)
	base := expand(s.store.oldest, c.Base, 32)
	first := expand(s.store.oldest, c.First, 32)
	if largest >= s.log.next || base > s.store.next || first > s.store.next ||
		!s.receiptAgrees(c, first) {
		return ErrReceipt
	}
	at := now.Sub(s.start)
	s.receipts++
	s.number = c.Number
	s.backoff = 0
	s.store.window = int(min(c.Window, DefaultWindow)) / rlc.BufferLen
	s.sample(at, c, largest)
	s.adapt(now, c, largest)
	s.finishBlocks(base, out)
	covered := s.applyStates(c, first, out)
	s.stall.add(at, s.rtt.value(), s.oldestBulk(at))
	s.store.release()
	s.settleBefore(largest, first, covered)
	s.trimLog()
	return nil
}

// receiptAgrees reports whether the receipt speaks only of symbols that exist.
func (s *Sender) receiptAgrees(c *Receipt, first uint64) bool {
	it := c.iterate()
	for {
		e, ok := it.next()
		if !ok {
			return true
		}
		id := first + uint64(e.offset)
		if id+max(uint64(e.run), 1) > s.store.next {
			return false
		}
		if id < s.store.oldest {
			continue
		}
		n := len(s.store.block(id).symbols)
		if e.run == 0 && int(e.rank) > n {
			return false
		}
		for i, bits := range e.received {
			if bits>>min(8, max(0, n-8*i)) != 0 {
				return false
			}
		}
	}
}

// adapt tells the rate control what the receipt shows.
func (s *Sender) adapt(now time.Time, c *Receipt, largest uint64) {
	s.rate.OnReceipt(now, &rate.Report{
		Largest: largest, Arrival: c.Arrival, Hold: c.Hold, Datagrams: c.Datagrams, Gaps: c.Gaps, CE: c.CE,
		Epochs: c.Epochs[:c.NumEpochs],
	})
	s.pacer.rate = s.rate.Rate(now)
}

// oldestBulk is the age of the oldest bulk block, finished by this receipt or not;
// 0 if there is none.
func (s *Sender) oldestBulk(at time.Duration) time.Duration {
	for id := s.store.oldest; id < s.store.next; id++ {
		if b := s.store.block(id); b.class == Bulk {
			return at - b.born
		}
	}
	return 0
}

// sample updates round-trip time, loss, price and reordering.
func (s *Sender) sample(at time.Duration, c *Receipt, largest uint64) {
	if s.log.known(largest) && (largest > s.largest || !s.rtt.sampled) {
		sent := s.log.at(largest).at
		hold := time.Duration(c.Hold) * timeUnit * time.Microsecond
		if c.Hold < 65535 && at-sent > hold {
			s.rtt.add(at - sent - hold)
		}
	}
	s.largest = max(s.largest, largest)
	s.loss.add(at, largest, c.Datagrams, c.Gaps)
	s.steer(at, c)
	s.overtake = uint64(c.Overtaken)
}

// finishBlocks marks everything below base done.
func (s *Sender) finishBlocks(base uint64, out *Outcome) {
	for id := s.store.oldest; id < base; id++ {
		s.finishBlock(id, out)
	}
}

func (s *Sender) finishBlock(id uint64, out *Outcome) {
	b := s.store.block(id)
	if b.done {
		return
	}
	for i := range b.symbols {
		s.have(b, i, out)
	}
	s.store.finish(id)
}

// have notes that the receiver has a symbol.
func (s *Sender) have(b *txBlock, i int, out *Outcome) {
	if y := &b.symbols[i]; !y.have {
		y.have = true
		out.acked(y.tag)
	}
}

func (o *Outcome) acked(tag uint64) {
	if tag != 0 {
		o.Acked = append(o.Acked, tag)
	}
}

// applyStates marks what the listed blocks have and returns the block id up to
// which the receipt speaks.
func (s *Sender) applyStates(c *Receipt, first uint64, out *Outcome) (covered uint64) {
	covered = first
	it := c.iterate()
	for {
		e, ok := it.next()
		if !ok {
			break
		}
		id := first + uint64(e.offset)
		covered = id + max(uint64(e.run), 1)
		for ; id < covered; id++ {
			switch {
			case !s.store.live(id) || s.store.block(id).done:
			case e.run > 0:
				s.finishBlock(id, out)
			default:
				s.applyState(id, e, out)
			}
		}
	}
	if c.ToEnd {
		covered = s.store.next // what it does not list has not arrived at all
	}
	return covered
}

// applyState notes what a block has that the receiver does not know to be
// complete. What it lacks is what its rank, repairs included, leaves.
func (s *Sender) applyState(id uint64, e blockState, out *Outcome) {
	b := s.store.block(id)
	for i := range 8 * len(e.received) {
		if e.received[i/8]>>(i%8)&1 != 0 {
			s.have(b, i, out)
		}
	}
	lacks := max(0, len(b.symbols)-int(e.rank))
	if e.rank == maxRank && b.shown() { // it is one of a block of 255 or 256, too
		lacks = 0
	}
	s.store.setDeficit(b, lacks)
	if b.deficit == 0 {
		s.finishBlock(id, out)
	}
}

// settleBefore is the loss verdict. Of a datagram that a receipt covers, and
// that was overtaken by more than any that arrived lately, the receipt shows the
// fate; so it does of one that left a round trip before the newest that arrived.
func (s *Sender) settleBefore(largest, first, covered uint64) {
	if !s.log.known(largest) {
		return
	}
	guard := max(guardPackets, s.overtake+s.overtake/4+1)
	limit := s.log.at(largest).at - s.rtt.value()
	for pn := s.log.head; pn < largest; pn++ {
		t := s.log.at(pn)
		if pn+guard > largest && t.at > limit {
			return
		}
		s.judged = max(s.judged, t.at)
		if t.valid && t.block >= first && t.block < covered {
			s.settle(pn)
		}
	}
}
