package reliability

import (
	"math"
	"time"
)

// lossMeter measures p̂, the share of packet numbers that did not arrive, and how
// losses cluster, from the totals of receipts, so that no receipt has to arrive
// in particular.
type lossMeter struct {
	pn        uint64 // largest packet number, and totals, at the last window
	datagrams uint32
	gaps      uint32
	at        time.Duration
	loss      float64
	bursts    float64 // per datagram
	weight    uint64  // datagrams behind loss
	windows   uint32  // so far
}

// lossGuess stands for p̂ before it was measured, with the weight of lossDoubt
// datagrams. A new session sends little, and on a bad link its first messages
// are the slowest: better a few copies in vain than round trips lost.
const lossGuess, lossDoubt = 0.5, 4

// lossWindow is the least number of datagrams of one window, lossPeriod its
// least length.
const (
	lossWindow = 100
	lossPeriod = 200 * time.Millisecond
)

// lossArrivals is how many arrivals p̂ remembers, so that 1-p̂ is known to about
// 5 %; lossMemoryMin and lossMemoryMax bound the datagrams that this takes.
const lossArrivals, lossMemoryMin, lossMemoryMax = 400, 2000, 50000

// value is p̂, or a guess before the first measurement.
func (m *lossMeter) value() float64 {
	if m.windows == 0 {
		return lossGuess
	}
	return m.loss
}

// add takes the totals of a receipt: the largest packet number, the datagrams
// that arrived, and the runs of missing numbers before one that arrived.
func (m *lossMeter) add(at time.Duration, pn uint64, datagrams, gaps uint32) {
	if m.windows == 0 { // numbers and totals start at 0: the first receipt tells of all
		n := pn + 1
		lost := n - min(uint64(datagrams), n)
		m.loss = (float64(lost) + lossGuess*lossDoubt) / float64(n+lossDoubt)
		m.bursts = m.loss * (1 - m.loss)
		m.pn, m.datagrams, m.gaps, m.at, m.weight, m.windows = pn, datagrams, gaps, at, n, 1
		return
	}
	if pn < m.pn+lossWindow || at-m.at < lossPeriod {
		return
	}
	n := pn - m.pn
	got := min(uint64(datagrams-m.datagrams), n)
	memory := uint64(min(max(lossArrivals/(1-min(m.loss, 0.999)), lossMemoryMin), lossMemoryMax))
	w := float64(n) / float64(min(m.weight, memory)+n)
	m.loss += w * (1 - float64(got)/float64(n) - m.loss)
	m.bursts += w * (min(float64(gaps-m.gaps)/float64(n), 1) - m.bursts)
	m.pn, m.datagrams, m.gaps, m.at = pn, datagrams, gaps, at
	m.weight += n
	m.windows++
}

// memory is λ, the correlation of the fates of two datagrams in a row, by the
// Gilbert model: 1 minus the chances to enter and to leave a burst. Independent
// losses have 0; so has what reordering makes of the gaps.
func (m *lossMeter) memory() float64 {
	p := m.loss
	if p <= 0 || p >= 1 || m.bursts <= 0 {
		return 0
	}
	l := 1 - m.bursts/(1-p) - m.bursts/p
	if l < memoryNoise {
		return 0
	}
	return min(l, memoryMax)
}

// memoryNoise is what measurement makes of independent losses; memoryMax keeps
// the variance finite.
const memoryNoise, memoryMax = 0.1, 0.99

// burst is the mean length of a loss burst in datagrams where losses cluster,
// else 1, at most burstMax.
func (m *lossMeter) burst() uint64 {
	if m.memory() == 0 {
		return 1
	}
	return uint64(min(m.loss/m.bursts, burstMax))
}

// burstMax bounds how far copies are spread.
const burstMax = 64

// inflation is by how much the variance of the arrivals out of n datagrams in a
// row exceeds that of independent losses, 1 or more: the sum of a Markov chain's
// correlations λ^|i-j|.
func (m *lossMeter) inflation(n int) float64 {
	l := m.memory()
	if l == 0 || n <= 0 {
		return 1
	}
	return (1+l)/(1-l) - 2*l*(1-math.Pow(l, float64(n)))/(float64(n)*(1-l)*(1-l))
}

// tooFew is the probability that fewer than d of n datagrams in flight arrive.
func (m *lossMeter) tooFew(n, d int) float64 {
	q := 1 - m.value()
	if v := m.inflation(n); v > 1 && q > 0 && q < 1 {
		return tooFewNormal(n, q, d, v)
	}
	return tooFew(n, q, d)
}
