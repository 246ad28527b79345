package reliability

import (
	"math"
	"time"
)

// Control of redundancy.
const (
	// priceFirst is θ of bulk at the start, priceMin and priceMax its range.
	priceFirst, priceMin, priceMax = 0.7, 0.5, 0.98
	// wasteFast and wasteSlow are the share of useless arrivals that θ is
	// steered to, for blocks that take no time to send and for such as take
	// slowBlock or longer: there is more to gain where they delay much.
	wasteFast, wasteSlow = 0.008, 0.021
	slowBlock            = 240 * time.Millisecond
	// priceGain is the change of θ per round trip and unit of difference, and
	// priceGainFirst the first such change: it falls by 1/e in priceSettling
	// changes, so that a wrong start costs little and the noise of a single
	// round trip moves little later.
	priceGain, priceGainFirst = 0.2, 0.8
	priceSettling             = 50
	// latePrice is the least share of θ that a block pays after each attempt
	// in vain, for the first lateAttempts of them; lateOdds is the least that
	// the loss is multiplied by for it.
	latePrice, lateOdds, lateAttempts = 0.1, 0.8, 3
	// blockSigmas is K in standard deviations of what arrives of one round
	// trip of datagrams: the end of a block wastes about half of one, so this
	// sets the waste, and a longer block only delays. Where what arrives in
	// blockTime allows, it is blockQuick of them: that delay hurts nobody.
	blockSigmas, blockQuick = 20, 40
	blockTime               = 160 * time.Millisecond
	// patienceFirst is the share of blockSigmas at the start, patienceMin the
	// least, patienceGain its change per round trip and unit of spare share
	// beside patienceSpare.
	patienceFirst, patienceMin  = 0.5, 0.2
	patienceSpare, patienceGain = 0.05, 0.5
	// patienceBusy is the share of a round trip's datagrams that must have left
	// while more data waited for patience to move: of a flow that is idle, or
	// opens its window yet, spare capacity tells nothing.
	patienceBusy = 0.3
	// demandMin is the least share of θ that bulk pays where little waits.
	demandMin = 0.2
	// blockShare is the part of what arrives in a round trip below which a
	// block is not shortened: the repair of one that fails takes the whole.
	blockShare = 4
	// blockMin keeps the number of blocks in a receipt low.
	blockMin = 32
	// interactiveShare is the part of the rate that copies in advance of
	// interactive symbols may take while other data waits, and
	// interactiveCredit what is saved of it, in bytes.
	interactiveShare, interactiveCredit = 0.1, 16 << 10
	// redundancyCredit is how many datagrams in advance a cap lets together
	// at once, per unit of the cap.
	redundancyCredit = 64
)

// Auto is the redundancy without a cap: the need rule and the rate alone decide.
const Auto = 1 << 20

// price is what bulk pays with a backlog: θ, by integral control on the share of
// arrivals that told the receiver nothing, and patience, the share of the longest
// blocks that new ones have. A flow that often leaves capacity unused waits for
// something: an inner TCP whose window does not cover the time that long blocks
// take to decode. Shorter ones waste more and delay less, and θ follows.
type price struct {
	theta, patience    float64
	useless, datagrams uint32        // the receiver's totals at the last look
	spares, before     uint64        // flooded with spare capacity: then, and a look earlier
	sent, busy         uint64        // datagrams, and those sent with a backlog, then
	looks              int           // so far, at most 2
	gain               float64       // of the next change of θ
	at                 time.Duration // of the last look
}

// steer takes the receiver's totals; it looks once per round trip. What was flooded
// with spare capacity is useless by intention, so a round trip with some of it
// says nothing of θ.
func (s *Sender) steer(at time.Duration, r *Receipt) {
	c, spares, sent := &s.price, s.spares, s.sent
	if at-c.at < s.rtt.value() || r.Datagrams == c.datagrams {
		return
	}
	n := float64(sent - c.sent)
	if c.looks > 0 && n > 0 && float64(s.busy-c.busy) > patienceBusy*n {
		spare := float64(spares-c.spares) / n
		c.patience = min(max(c.patience+patienceGain*(patienceSpare-spare), patienceMin), 1)
	}
	if c.looks == 2 && spares == c.before {
		waste := float64(r.Useless-c.useless) / float64(r.Datagrams-c.datagrams)
		c.theta = min(max(c.theta+c.gain*(min(waste, 1)-s.wasteTarget()/c.patience), priceMin), priceMax)
		c.gain = max(priceGain, c.gain*(1-1.0/priceSettling))
	}
	c.useless, c.datagrams, c.at, c.sent, c.busy = r.Useless, r.Datagrams, at, sent, s.busy
	c.before, c.spares = c.spares, spares
	c.looks = min(c.looks+1, 2)
}

// wasteTarget is the share of useless arrivals worth having for the time that it
// saves.
func (s *Sender) wasteTarget() float64 {
	datagram := 8 * fullDatagram / float64(s.Capacity()) // seconds
	block := float64(s.blockLimit()) * datagram / max(1-s.loss.value(), 0.01)
	return wasteFast + (wasteSlow-wasteFast)*min(block/slowBlock.Seconds(), 1)
}

// demandOf is what waits as a share of what arrives in a round trip, demandMin … 1.
// Less than that will have left before receipts and acknowledgements bring more, so
// a part of the capacity will be to spare, and costs less already.
func (s *Sender) demandOf(queued int) float64 {
	fill := float64(s.Capacity()) / 8 * s.rtt.value().Seconds() * (1 - s.loss.value())
	return min(max(float64(queued)/max(fill, 1), demandMin), 1)
}

// bulk is θ of a bulk block.
func (c *price) bulk() float64 { return c.theta * c.patience }

// mayAdvance reports whether a datagram in advance is within the cap and, for
// the interactive class, within its share.
func (s *Sender) mayAdvance(class Class) bool {
	if s.cfg.ARQ || s.credit < 1 {
		return false
	}
	return class != Interactive || !s.backlog || s.urgent >= 0
}

// account updates what copies in advance may still be sent. size is the
// datagram's, in bytes.
func (s *Sender) account(how sending, class Class, size int) {
	s.urgent = min(s.urgent+interactiveShare*float64(size), interactiveCredit)
	switch how {
	case first:
		s.credit = min(s.credit+s.cfg.Redundancy, max(s.cfg.Redundancy*redundancyCredit, 1))
	case proactive:
		s.credit--
		if class == Interactive {
			s.urgent -= float64(size)
		}
	case needed:
	}
}

// blockLimit is K of a block that opens now: blockSigmas standard deviations of
// the arrivals that a receipt is late to tell of. A small block wastes too much
// where its fate is uncertain, a long one delays where it is not.
func (s *Sender) blockLimit() int {
	rtt := s.rtt.value()
	lag := rtt + receiptPeriod(rtt)
	flight := float64(s.Capacity()) / (8 * fullDatagram) * lag.Seconds()
	p := s.loss.value()
	sigma := math.Sqrt(flight * p * (1 - p) * s.loss.inflation(int(flight)+1))
	k := max(blockSigmas*sigma, min(blockQuick*sigma, flight*(1-p)*blockTime.Seconds()/lag.Seconds()))
	short := max(k*s.price.patience, flight*(1-p)/blockShare)
	return int(min(max(min(k, short), blockMin), MaxBlockSymbols))
}
