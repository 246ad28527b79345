package peer

import (
	"time"

	"github.com/totg/totg/tunnel/flow"
)

// CoDel at ingress (T-2). An inner TCP that is told to slow down at a queue of
// half a round trip keeps the path busy: a CUBIC sender falls to 0.7 of what it
// had in flight, path and queue, and 0.7 · 3/2 > 1. Where symbols are lost, the
// ordered channel stalls for a round trip or two until a repair is there, or
// longer, as the Sender tells. No acknowledgement comes in that time, and the
// queue must last: what the window holds for a stall stands in the queue between
// two of them, and is no reason to slow down.
const (
	lawShare     = 0.5  // of the round trip, without loss
	lawStall     = 2    // round trips that a repair may take, at least
	lawLoss      = 0.01 // loss from which on stalls are the rule
	lawTargetMin = 5 * time.Millisecond
	// lawPackets is how many full packets the target is at least (RFC 8290,
	// section 4.3): thin links cannot do better.
	lawPackets = 2
	// lawIntervalMin is RFC 8289's; a sender sees its signal within two round
	// trips.
	lawIntervalMin, lawIntervalMax = 100 * time.Millisecond, time.Second
)

// carrier is what the ingress queue needs to know of the path.
type carrier struct {
	rate       int64         // bit/s of IP bytes, that it carries
	rtt, stall time.Duration // round trip, and longest stall of in-order data
	loss       float64       // share of the datagrams
	settled    bool          // rate control has found the rate
}

// law is CoDel's target and interval. The stall counts in full: a queue that
// the lossy path serves at (1-p) of its rate lasts longer by as much.
func (c carrier) law() flow.Law {
	wait := max(lawStall*c.rtt, time.Duration(stallShare*float64(c.stall)))
	packets := time.Duration(float64(lawPackets*8*DefaultMaxDatagram) / float64(c.rate) * float64(time.Second))
	target := time.Duration(lawShare*float64(c.rtt) + min(c.loss/lawLoss, 1)*float64(wait))
	if !c.settled { // so long as the limit allows: the rate is yet to grow
		target = max(target, queueTimeMax)
	}
	return flow.Law{
		Target:   max(target, packets, lawTargetMin),
		Interval: min(max(2*c.rtt, lawIntervalMin), lawIntervalMax),
	}
}

// limit is the queue's limit in bytes.
func (c carrier) limit() int {
	wait := queueTime(c.rtt, c.stall, c.loss)
	if !c.settled { // the rate may be many times of what is known (G-3)
		wait = queueTimeMax
	}
	return queueLimit(c.rate, wait)
}

// steerQueue fits the ingress queue to what a receipt told of the path.
func (p *Peer) steerQueue(s *session) {
	c := carrier{
		rate: s.sender.Capacity(), rtt: s.sender.RTT(), stall: s.sender.Stall(), loss: s.sender.Stats().Loss,
		settled: s.sender.Settled(),
	}
	if !p.cfg.Units { // a program's unit is not dropped to slow it down
		p.queue.SetLaw(c.law())
	}
	p.queue.SetLimit(c.limit())
}
