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
	hold := receiptPeriod(e.smoothed)
	return max(rtoMin, e.smoothed+4*e.variance+2*hold)
}

// stallMeter remembers the longest of the delays that it is told, and forgets a
// share stallDecay of it per round trip.
type stallMeter struct {
	longest, at time.Duration
}

func (m *stallMeter) add(at, rtt, delay time.Duration) {
	forget := min(1, stallDecay*float64(at-m.at)/float64(rtt))
	m.at = at
	m.longest = max(m.longest-time.Duration(forget*float64(m.longest)), delay)
}
