package rate

import (
	"math"
	"time"
)

// silence watches for the end of receipts (G-3): a path that no longer answers
// gets less and less.
type silence struct {
	waiting bool          // something is sent that no receipt has answered
	asked   int64         // newest packet number that a receipt answers
	since   time.Duration // that or the last receipt
	heard   time.Duration
	gap     float64 // seconds between receipts with news, smoothed
	news    time.Duration
	steps   int // halvings so far
	lastOut time.Duration
}

func (s *silence) onSent(at time.Duration, pn uint64, eliciting bool) {
	if eliciting {
		s.asked = int64(pn)
	}
	if eliciting && !s.waiting {
		s.waiting, s.since = true, at
	}
	s.lastOut = at
}

// damp lowers a rate while no receipt comes.
func (s *silence) damp(r float64) float64 {
	if s.steps == 0 {
		return r
	}
	return max(r*math.Exp2(-float64(s.steps)), min(r, silentFloor))
}

// Deadline is when HandleTimeout must be called: zero if no answer is awaited.
func (c *Controller) Deadline() time.Time {
	if !c.silence.waiting || c.phase == Hello || c.cfg.Mode == Fixed || c.silence.steps >= maxSilence {
		return time.Time{}
	}
	return c.start.Add(c.patience())
}

// maxSilence bounds the halvings.
const maxSilence = 24

// patience is when silence makes the next step.
func (c *Controller) patience() time.Duration {
	rtt := max(seconds(c.roundTrip()), seconds(loopMin))
	gap := c.silence.gap
	arrivals := (1 - c.loss.loss) * c.estimate // bytes/s
	if c.phase == Startup {
		arrivals = (1 - c.loss.loss) * c.startup.average
	}
	gap = max(gap, c.full/max(arrivals, c.full/gapMax))
	wait := silentRTTs*rtt + silentGaps*gap
	for k := range c.silence.steps + 1 { // at half the rate, arrivals are half as frequent
		wait += max(rtt, stepGaps*gap*math.Exp2(float64(k)))
	}
	return c.silence.since + duration(wait)
}

// HandleTimeout halves the rate for each round trip without a receipt. Early
// calls do nothing.
func (c *Controller) HandleTimeout(now time.Time) {
	at := c.advance(now)
	for deadline := c.Deadline(); !deadline.IsZero() && at >= c.patience(); deadline = c.Deadline() {
		c.silence.steps++
	}
}

// onAlive notes a receipt.
func (c *Controller) onAlive(at time.Duration, largest uint64) {
	s := &c.silence
	if s.steps > 0 {
		if away := at - s.heard; away > silentKept+4*silentGaps*duration(s.gap) && c.phase == Run {
			c.setEstimate(c.estimate * math.Exp2(-seconds(away)/seconds(fadeTime)))
		}
		s.steps = 0
		c.ladder.begin(at)
		c.follow.quiet = at + c.roundTrip()
	}
	s.heard, s.since = at, at
	s.waiting = s.asked > max(c.largest, int64(largest))
}

// onNews notes a receipt that tells of a later arrival than the one before.
func (s *silence) onNews(at time.Duration) {
	if s.news > 0 {
		s.gap += 0.1 * (min(seconds(at-s.news), gapMax) - s.gap)
	}
	s.news = at
}

// gapMax bounds what one gap counts, in seconds.
const gapMax = 5.0

// onIdle notes that the sender had nothing to send until now. After a long pause
// the estimate is worth less and bursts look again.
func (c *Controller) onIdle(at time.Duration) {
	away := at - c.silence.lastOut
	if away < idleKept || c.phase != Run {
		return
	}
	faded := c.estimate * math.Exp2(-seconds(away)/seconds(fadeTime))
	c.setEstimate(faded)
	c.beginStartup(at, faded)
}
