package link

import "math/rand/v2"

// loss decides which packets are lost. With a mean burst above one packet it is
// the two-state chain of Gilbert (everything is lost in the bad state, nothing in
// the good one), whose stationary share of bad is the mean loss and whose mean
// stay in bad is the mean burst.
type loss struct {
	p, burst float64
	bad      bool
}

// newLoss starts the chain in its stationary distribution, so that the mean
// holds from the first packet on.
func newLoss(p, burst float64, rng *rand.Rand) loss {
	l := loss{p: p, burst: burst}
	if burst > 1 {
		l.bad = rng.Float64() < p
	}
	return l
}

// next reports whether the next packet is lost.
func (l *loss) next(rng *rand.Rand) bool {
	switch {
	case l.p <= 0:
		l.bad = false
	case l.p >= 1:
		l.bad = true
	case l.burst <= 1:
		l.bad = rng.Float64() < l.p
	case l.bad:
		l.bad = rng.Float64() >= 1/l.burst
	default:
		l.bad = rng.Float64() < l.p/(l.burst*(1-l.p))
	}
	return l.bad
}
