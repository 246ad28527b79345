package reliability

import (
	"math"
	"time"
)

// echoState measures the loss of our receipts from the peer's echoes.
type echoState struct {
	anything          bool
	largest, receipts uint32
	loss              float64 // q̂, 0 … 1
}

// add updates q̂ by the receipts between two echoes: n of them were sent, the
// peer counted m.
func (s *echoState) add(e Echo) {
	n, m := e.Largest-s.largest, e.Receipts-s.receipts
	if !s.anything {
		s.anything = true
		n, m = e.Largest+1, e.Receipts
	} else if int32(n) <= 0 || m > n {
		return
	}
	s.largest, s.receipts = e.Largest, e.Receipts
	sample := 1 - float64(min(m, n))/float64(n)
	w := min(1, float64(n)/64) // a window of about 64 receipts
	s.loss += w * (sample - s.loss)
}

// ReturnLoss is q̂, the measured loss of receipts, 0 to 1.
func (r *Receiver) ReturnLoss() float64 { return r.echo.loss }

// returnLoss is q̂, or before enough receipts were echoed to know it, the loss of
// what arrives here: the best guess is a path as bad both ways.
func (r *Receiver) returnLoss() float64 {
	if r.echo.largest >= echoMeasured || !r.anything {
		return r.echo.loss
	}
	return 1 - float64(r.datagrams)/float64(max(r.largest+1, uint64(r.datagrams)))
}

// overtaken remembers by how many packet numbers an arrival was overtaken, for
// overtakePeriod at least and twice that at most.
type overtaken struct {
	now, before uint64 // most in this period and in the one before
	until       time.Duration
}

func (o *overtaken) turn(at time.Duration) {
	switch {
	case at < o.until:
		return
	case at >= o.until+overtakePeriod:
		o.now = 0
	}
	o.before, o.now, o.until = o.now, 0, at+overtakePeriod
}

func (o *overtaken) add(at time.Duration, by uint64) {
	o.turn(at)
	o.now = max(o.now, by)
}

func (o *overtaken) most(at time.Duration) uint16 {
	o.turn(at)
	return uint16(min(max(o.now, o.before), 65535))
}

// receiptPeriod is the time from one received receipt to the next.
func receiptPeriod(rtt time.Duration) time.Duration {
	return min(max(rtt/8, receiptMin), receiptMax)
}

// repeats is how often a receipt is repeated while it stays the newest, so that
// one of them arrives with probability 1-receiptDoubt when a share q is lost.
func repeats(q float64) int {
	if q < receiptDoubt {
		return 0
	}
	return min(int(math.Ceil(math.Log(receiptDoubt)/math.Log(min(q, 0.99))))-1, maxRepeats)
}
