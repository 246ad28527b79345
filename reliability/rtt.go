package reliability

import "time"

// rttEstimator is RFC 6298 with the receiver's hold time taken off the sample.
type rttEstimator struct {
	smoothed, variance, least time.Duration
	sampled                   bool
}

func (e *rttEstimator) add(rtt time.Duration) {
	rtt = max(rtt, time.Microsecond)
	if !e.sampled {
		e.sampled = true
		e.smoothed, e.variance, e.least = rtt, rtt/2, rtt
		return
	}
	e.least = min(e.least, rtt)
	e.variance += ((e.smoothed - rtt).Abs() - e.variance) / 4
	e.smoothed += (rtt - e.smoothed) / 8
}

// value is the smoothed round-trip time, initialRTT before the first sample.
func (e *rttEstimator) value() time.Duration {
	if !e.sampled {
		return initialRTT
	}
	return e.smoothed
}

// timeout is how long a datagram may stay without a receipt: RFC 6298's RTO
// plus the time that a receiver may wait before it makes one. The last symbol
// of a flight has no later arrival that would prove its loss.
func (e *rttEstimator) timeout() time.Duration {
	if !e.sampled {
		return initialRTT
	}
	hold := min(max(e.smoothed/8, receiptMin), receiptMax)
	return max(rtoMin, e.smoothed+4*e.variance+2*hold)
}

// lossMeter is p̂: the share of packet numbers that did not arrive, from the
// totals of receipts, so that no receipt has to arrive in particular.
type lossMeter struct {
	marked     bool
	pn         uint64 // largest packet number and total at the mark
	datagrams  uint32
	at         time.Duration
	loss       float64
	windowSize uint64 // datagrams behind loss
}

// lossGuess stands for p̂ before it was measured. A new session sends little,
// and on a bad link its first messages are the slowest: better a few copies in
// vain than round trips lost.
const lossGuess = 0.5

// value is p̂, or a guess before the first measurement.
func (m *lossMeter) value() float64 {
	if m.windowSize == 0 {
		return lossGuess
	}
	return m.loss
}

// lossWindow is the least number of datagrams of one window, lossPeriod its
// least length: together they keep sampling noise under two points.
// The first look comes early: a rough figure is better than none.
const (
	lossFirst  = 20
	lossWindow = 100
	lossPeriod = 200 * time.Millisecond
)

func (m *lossMeter) add(at time.Duration, pn uint64, datagrams uint32) {
	if !m.marked {
		m.marked, m.pn, m.datagrams, m.at = true, pn, datagrams, at
		return
	}
	first := m.windowSize == 0 && pn >= m.pn+lossFirst
	if !first && (pn < m.pn+lossWindow || at-m.at < lossPeriod) {
		return
	}
	n := pn - m.pn
	got := min(uint64(datagrams-m.datagrams), n)
	sample := 1 - float64(got)/float64(n)
	if m.windowSize == 0 {
		m.loss = sample
	} else {
		m.loss += float64(n) / float64(min(m.windowSize, 4000)+n) * (sample - m.loss)
	}
	m.windowSize += n
	m.pn, m.datagrams, m.at = pn, datagrams, at
}

// reorderGuard decides how much later something must have arrived before a
// datagram counts as lost: guardPackets and min(RTT/8, 10 ms), growing by
// the same step as RACK does (RFC 8985, 6.2) when symbols were resent in vain.
type reorderGuard struct {
	steps              int
	useless, datagrams uint32 // the receiver's totals at the last look
	copies             uint32 // … and ours: most of them are useless, as they should be
	looked             time.Duration
	calm               int // looks in a row without waste
}

// guardWindow is how many arrivals make a look worth while, and guardWaste how
// many useless ones among fewer do.
const guardWindow, guardWaste = 200, 2

// add takes the receiver's totals; it looks at most once per round trip.
func (g *reorderGuard) add(at, rtt time.Duration, useless, datagrams, copies uint32) {
	wasted, got := useless-g.useless, datagrams-g.datagrams
	wasted -= min(wasted, copies-g.copies)
	if at-g.looked < rtt || (got < guardWindow && wasted < guardWaste) {
		return
	}
	g.useless, g.datagrams, g.copies, g.looked = useless, datagrams, copies, at
	if wasted >= guardWaste && wasted > got/200 {
		g.steps, g.calm = min(g.steps+1, 16), 0
	} else if g.calm++; g.calm >= 16 { // RFC 8985 keeps it for 16 recoveries
		g.steps, g.calm = max(g.steps-1, 0), 0
	}
}

func (g *reorderGuard) duration(rtt time.Duration) time.Duration {
	step := min(rtt/8, guardMax)
	return min(step*time.Duration(1+g.steps), rtt)
}
