package rate

import (
	"math"
	"time"
)

// mark is the state of the totals when a datagram arrived.
type mark struct {
	pn      uint64
	sent    time.Duration // when it left
	bytes   uint64        // sent until then
	arrived uint64        // datagrams until then
	idles   uint32
}

// totals extends the counters of the receipts.
type totals struct {
	newest    mark
	datagrams uint32
	gaps, ce  uint32
	started   bool
}

// count takes the totals of a report. It reports whether something that arrived
// since the last one carried a congestion mark.
func (c *Controller) count(r *Report) (marked bool) {
	t := &c.totals
	rec := c.log.at(r.Largest)
	sent := r.Largest - t.newest.pn
	if !t.started {
		sent++
		t.started = true
	}
	arrived := min(uint64(r.Datagrams-t.datagrams), sent)
	bursts := min(uint64(r.Gaps-t.gaps), sent)
	marked = r.CE != t.ce
	c.loss.add(float64(sent), float64(arrived), float64(bursts))
	t.newest = mark{
		pn: r.Largest, sent: rec.at, bytes: rec.bytes, arrived: t.newest.arrived + arrived, idles: rec.idles,
	}
	t.datagrams, t.gaps, t.ce = r.Datagrams, r.Gaps, r.CE
	return marked
}

// stretch is what happened between two marks.
type stretch struct {
	sent, arrived float64 // datagrams
	bytes         float64 // sent
	time          float64 // seconds of sending
}

func (m *mark) since(from *mark) stretch {
	return stretch{
		sent: float64(m.pn - from.pn), arrived: float64(m.arrived - from.arrived),
		bytes: float64(m.bytes - from.bytes), time: seconds(m.sent - from.sent),
	}
}

// through is the send rate, in bytes/s, of which that much gets through where no more
// is lost than usual.
func (s *stretch) through(usual *stretch) float64 { return s.delivered() / usual.share() }

// upToNow is all that was sent up to the newest arrival.
func (t *totals) upToNow() stretch {
	s := t.newest.since(&mark{})
	s.sent++ // the first packet number is 0
	return s
}

// share is the part of the datagrams that arrived.
func (s *stretch) share() float64 {
	if s.sent == 0 {
		return 0
	}
	return s.arrived / s.sent
}

// add joins a stretch to so much of s.
func (s *stretch) add(t *stretch, kept float64) {
	*s = stretch{
		sent: kept*s.sent + t.sent, arrived: kept*s.arrived + t.arrived,
		bytes: kept*s.bytes + t.bytes, time: kept*s.time + t.time,
	}
}

// variance is that of the share, were the losses independent (Laplace's rule).
func (s *stretch) variance() float64 {
	p := (s.arrived + 1) / (s.sent + 2)
	return p * (1 - p) / s.sent
}

// vague reports whether so few datagrams tell the share that a loss above it by
// excessLoss need not show.
func (s *stretch) vague() bool { return math.Sqrt(s.variance()) > vagueShare*s.share() }

// rate is the send rate in bytes/s.
func (s *stretch) rate() float64 {
	if s.time <= 0 {
		return 0
	}
	return s.bytes / s.time
}

// delivered is the rate of what arrived, in bytes/s.
func (s *stretch) delivered() float64 { return s.rate() * s.share() }

// lossMeter measures p̂ and how losses cluster (Gilbert's model).
type lossMeter struct {
	loss, bursts, weight float64
}

func (m *lossMeter) add(sent, arrived, bursts float64) {
	if sent == 0 {
		return
	}
	memory := min(max(lossMemoryArrivals/(1-min(m.loss, 0.999)), lossMemory), lossMemoryMax)
	m.weight = min(m.weight, memory) + sent
	w := sent / m.weight
	m.loss += w * (1 - arrived/sent - m.loss)
	m.bursts += w * (bursts/sent - m.bursts)
}

// inflation is by how much the variance of arrivals exceeds that of independent
// losses: (1+λ)/(1-λ), λ the correlation of the fates of two datagrams in a row.
func (m *lossMeter) inflation() float64 {
	p := m.loss
	if p <= 0.001 || p >= 0.999 || m.bursts <= 0 {
		return 1
	}
	l := 1 - m.bursts/(1-p) - m.bursts/p
	if l < 0.1 { // what measurement makes of independent losses
		return 1
	}
	return min((1+l)/(1-min(l, 0.99)), inflationMax)
}

// excess reports whether a stretch lost significantly more than a reference did.
func (m *lossMeter) excess(s, ref *stretch, sigmas float64) bool {
	if s.sent < excessSent/2 || s.sent*ref.share() < excessArrivals || ref.sent == 0 {
		return false
	}
	sigma := math.Sqrt(s.variance()*m.inflation() + ref.variance())
	drop := ref.share() - s.share()
	return drop > excessLoss*ref.share() && drop > sigmas*sigma
}
