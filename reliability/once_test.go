package reliability

import (
	"testing"
	"time"
)

// TestOnce: a symbol that is sent once is sent once, while others of its class are
// sent again, and neither holds anything up.
func TestOnce(t *testing.T) {
	start := time.Unix(1000, 0)
	s := NewSender(start, SenderConfig{Rate: fixed(1e9), Redundancy: Auto})
	now := start
	send := func(tr Transmission) {
		s.OnSent(now, 100, tr)
		now = now.Add(time.Millisecond)
	}
	first := s.CommitOnce(now, 10)
	send(first)
	again := s.Commit(now, Deadline, 10, 0)
	send(again)
	if first.Block() == again.Block() {
		t.Fatal("in one block with symbols that are sent again")
	}
	sends := map[uint64]int{}
	for now.Before(start.Add(2 * time.Second)) {
		s.HandleTimeout(now)
		if c := s.Next(now, [NumClasses]bool{}, 0); c.Some() {
			sends[c.Block()]++
			s.OnSent(now, 100, c.Transmission)
		}
		now = now.Add(time.Millisecond)
	}
	if sends[first.Block()] != 0 || sends[again.Block()] == 0 {
		t.Errorf("copies by block: %v", sends)
	}
	if s.OldestBlock() <= again.Block() || s.InFlight() != 0 {
		t.Errorf("oldest block %d, %d in flight", s.OldestBlock(), s.InFlight())
	}
	if st := s.Stats(); st.Abandoned != 2 || st.Again[Deadline] != st.Resent+st.Proactive {
		t.Errorf("%+v", st)
	}
}

// TestCommitUntil: a block is served as long as its most patient symbol is of use
//
func TestCommitUntil(t *testing.T) {
	for name, c := range map[string]struct {
		deadlines []time.Duration
		want      time.Duration
	}{
		"short":             {[]time.Duration{50 * time.Millisecond}, 50 * time.Millisecond},
		"long":              {[]time.Duration{time.Second}, time.Second},
		"the longest":       {[]time.Duration{700 * time.Millisecond, 20 * time.Millisecond}, 700 * time.Millisecond},
		"the default":       {[]time.Duration{0}, 2 * initialRTT},
		"one has it":        {[]time.Duration{20 * time.Millisecond, 0}, 2 * initialRTT},
		"longer than it is": {[]time.Duration{0, time.Second}, time.Second},
	} {
		now := time.Unix(1000, 0)
		s := NewSender(now, SenderConfig{Rate: fixed(1e9), Redundancy: Auto})
		for _, d := range c.deadlines {
			s.OnSent(now, 100, s.CommitUntil(now, Interactive, 10, d))
		}
		given := time.Duration(0)
		for ; given < 3*time.Second && s.OldestBlock() == 0; given += time.Millisecond {
			at := now.Add(given)
			s.HandleTimeout(at)
			if x := s.Next(at, [NumClasses]bool{}, 0); x.Some() {
				s.OnSent(at, 100, x.Transmission)
			}
			s.Next(at, [NumClasses]bool{}, 0)
		}
		if d := given - c.want; d < 0 || d > 5*time.Millisecond {
			t.Errorf("%s: given up after %v, want %v", name, given, c.want)
		}
	}
}
