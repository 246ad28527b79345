package reliability

import (
	"testing"
	"time"
)

// TestHead: the first symbols of bulk after a pause get copies in advance before the
// symbols behind them leave, and a flow without pauses gets none.
func TestHead(t *testing.T) {
	start := time.Unix(0, 0)
	for _, c := range []struct {
		name  string
		pause time.Duration
		ahead bool // copies before the fifth symbol
	}{
		{"after a pause", 500 * time.Millisecond, true},
		{"after a short one, over a long path", 30 * time.Millisecond, true},
		{"without one", time.Millisecond, false},
	} {
		s := NewSender(start, SenderConfig{Rate: fixed(50_000_000), Redundancy: Auto})
		bulk := [NumClasses]bool{Bulk: true}
		// step sends one datagram and reports whether it was a new symbol.
		step := func(now time.Time) bool {
			choice := s.Next(now, bulk, 0)
			if choice.Open {
				copy(s.Buffer(), make([]byte, 1000))
				choice.Transmission = s.Commit(now, Bulk, 1000, 0)
			}
			s.OnSent(now, 1100, choice.Transmission)
			return choice.Open
		}
		step(start)
		step(start)
		now := start.Add(c.pause)
		copies := 0
		for opened := 0; opened < headSymbols+1; {
			if step(now) {
				opened++
			} else {
				copies++
			}
		}
		// Half of the datagrams are lost, as is supposed before a receipt: four
		// symbols need many to be sure.
		if (copies > headSymbols) != c.ahead {
			t.Errorf("%s: %d copies before the fifth symbol", c.name, copies)
		}
	}
}

// TestPausedBulk: after a pause a symbol stands in a block of its own, and Extends said
// so before, as newPair checks.
func TestPausedBulk(t *testing.T) {
	p := newPair(t, pairOptions{
		rate: 10e6, delay: 20 * time.Millisecond, loss: 0.2, symbols: 200, class: Bulk, seed: 1, redundancy: Auto,
		every: 25 * time.Millisecond,
	})
	p.run(time.Minute)
	if blocks := p.stands[199].block + 1; blocks != 200 {
		t.Errorf("%d blocks of 200 symbols", blocks)
	}
}
