package reliability

import (
	"math"
	"testing"
	"time"
)

// TestAttemptsPayLess: each round of sending that was in vain makes a block's price
// fall, and only so often.
func TestAttemptsPayLess(t *testing.T) {
	s := NewSender(time.Unix(0, 0), SenderConfig{Rate: fixed(1e7), Redundancy: Auto})
	last := 1.0
	for attempts := range lateAttempts + 1 {
		theta := s.theta(&txBlock{class: Bulk, attempts: attempts})
		if theta > last*0.9 {
			t.Errorf("after %d attempts the price is %.3f, before %.3f", attempts, theta, last)
		}
		last = theta
	}
	if theta := s.theta(&txBlock{class: Bulk, attempts: lateAttempts + 1}); theta != last {
		t.Errorf("the price falls without end, to %.3f", theta)
	}
}

// TestLittleWaits: bulk pays less where less waits than arrives in a round trip, but
// not less than a share.
func TestLittleWaits(t *testing.T) {
	s := NewSender(time.Unix(0, 0), SenderConfig{Rate: fixed(1e7), Redundancy: Auto})
	arrives := 1e7 / 8 * s.RTT().Seconds() * (1 - lossGuess)
	full := s.theta(&txBlock{class: Bulk})
	for _, c := range []struct{ waits, share float64 }{{0, demandMin}, {0.5, 0.5}, {1, 1}, {100, 1}} {
		s.Next(time.Unix(0, 0), [NumClasses]bool{}, int(c.waits*arrives))
		if got := s.theta(&txBlock{class: Bulk}) / full; math.Abs(got-c.share) > 0.01 {
			t.Errorf("with %.1f round trips of data the share is %.2f, want %.2f", c.waits, got, c.share)
		}
		if got := s.theta(&txBlock{class: Interactive}); got != needInteractive {
			t.Errorf("with %.1f round trips of data interactive pays %v", c.waits, got)
		}
	}
}

// TestAttempts: what receipts show to have been in vain counts as an attempt, and
// what they say nothing of does not.
func TestAttempts(t *testing.T) {
	s := NewSender(time.Unix(0, 0), SenderConfig{Rate: fixed(1e7), Redundancy: Auto})
	s.price.theta = priceMax
	b := &txBlock{class: Bulk, closed: true, deficit: 1, inFlight: 2}
	for i, c := range []struct {
		judged, at time.Duration
		want       int
	}{{0, 1, 0}, {0, 5, 0}, {1, 8, 1}, {7, 9, 1}, {8, 12, 2}} {
		b.inFlight = 2 + 10*i // enough in any case: it is served
		s.judged = c.judged
		s.wants(c.at, b)
		if b.attempts != c.want {
			t.Errorf("step %d: %d attempts, want %d", i, b.attempts, c.want)
		}
	}
}

// TestIdleKeepsPatience: capacity that an idle flow leaves says nothing about the
// length of blocks, what a busy one leaves does.
func TestIdleKeepsPatience(t *testing.T) {
	for _, busy := range []bool{false, true} {
		s := NewSender(time.Unix(0, 0), SenderConfig{Rate: fixed(1e7), Redundancy: Auto})
		for i := range 20 {
			s.sent += 100
			s.spares += 60
			if busy {
				s.busy += 40
			}
			s.steer(time.Duration(i+1)*time.Second, &Receipt{Datagrams: uint32(s.sent)})
		}
		switch got := s.price.patience; {
		case !busy && got != patienceFirst:
			t.Errorf("idle: patience moved to %.2f", got)
		case busy && got != patienceMin:
			t.Errorf("busy: patience is %.2f, want %.2f", got, patienceMin)
		}
	}
}

// TestStall: the longest delay is known at once and forgotten slowly.
func TestStall(t *testing.T) {
	const rtt = 40 * time.Millisecond
	m := stallMeter{}
	at := time.Second
	m.add(at, rtt, 300*time.Millisecond)
	for range 10 {
		at += rtt
		m.add(at, rtt, 50*time.Millisecond)
	}
	if m.longest < 200*time.Millisecond || m.longest > 290*time.Millisecond {
		t.Errorf("after ten round trips it is %v", m.longest)
	}
	m.add(at+time.Hour, rtt, time.Millisecond)
	if m.longest != time.Millisecond {
		t.Errorf("after an hour it is %v", m.longest)
	}
}
