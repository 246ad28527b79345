package peer

import (
	"time"

	"github.com/totg/totg/tunnel/flow"
)

// CoDel at ingress (T-2). An inner TCP that is told to slow down at a queue of
// half a round trip keeps the path busy: a CUBIC sender falls to 0.7 of what it
// had in flight, path and queue, and 0.7 · 3/2 > 1. Where symbols are lost, the
// ordered channel stalls for a round trip or two until a repair is there. No
// acknowledgement comes in that time, and the queue must last: so it may be two
// round trips longer.
const (
	lawShare     = 0.5  // of the round trip, without loss
	lawStall     = 2    // round trips that a repair may take
	lawLoss      = 0.01 // loss from which on stalls are the rule
	lawTargetMin = 5 * time.Millisecond
	// lawPackets is how many full packets the target is at least (RFC 8290,
	// section 4.3): thin links cannot do better.
	lawPackets = 2
	// lawIntervalMin is RFC 8289's; a sender sees its signal within two round
	// trips.
	lawIntervalMin, lawIntervalMax = 100 * time.Millisecond, time.Second
)

// queueLaw is CoDel's target and interval for a path.
func queueLaw(rate int64, rtt time.Duration, loss float64) flow.Law {
	trips := lawShare + lawStall*min(loss/lawLoss, 1)
	packets := time.Duration(float64(lawPackets*8*DefaultMaxDatagram) / float64(rate) * float64(time.Second))
	return flow.Law{
		Target:   max(time.Duration(trips*float64(rtt)), packets, lawTargetMin),
		Interval: min(max(2*rtt, lawIntervalMin), lawIntervalMax),
	}
}
