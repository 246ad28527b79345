package agreement

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/totg/totg/handshake/ladder"
)

// both propose, or one accepts what the other does, at any loss: both
// commit, with the same receipt, and know that the other does.
func TestAgree(t *testing.T) {
	for _, loss := range []float64{0, 0.5, 0.9} {
		for _, both := range []bool{true, false} {
			t.Run(fmt.Sprintf("loss %v both %v", loss, both), func(t *testing.T) {
				for seed := range uint64(20) {
					accept := "switch-*"
					if both {
						accept = "other"
					}
					d := newDuo(t, seed, loss, accept)
					id := d.propose(0, "switch-1", time.Minute)
					if both {
						d.run(300*time.Millisecond, nil)
						d.propose(1, "switch-1", time.Minute)
					}
					done := func() bool { return d.h[0].resolvedAll() && d.h[1].resolvedAll() }
					if !d.run(time.Minute, done) {
						t.Fatalf("seed %d: %v, %+v and %+v", seed, d.outcome(0, id), d.h[0].book.List(), d.h[1].book.List())
					}
					if d.outcome(0, id) != ladder.Committed || d.h[1].outcomes()[ladder.Committed] != 1 {
						t.Errorf("seed %d: %v and %+v", seed, d.outcome(0, id), d.h[1].book.List())
					}
					d.same("agree")
				}
			})
		}
	}
}

func (h *host) resolvedAll() bool {
	list := h.book.List()
	for _, e := range list {
		if !e.Resolved {
			return false
		}
	}
	return len(list) > 0
}

// hosts crash at any moment, records take their time, and deadlines
// strike: no host ends committed alone, nothing that was told is taken back, and
// once the link works, every attempt is decided.
func TestCrashes(t *testing.T) {
	committed, aborted, doubted := 0, 0, 0
	for _, loss := range []float64{0, 0.5, 0.9} {
		for seed := range uint64(60) {
			d := newDuo(t, seed, loss, "*")
			d.propose(0, "switch", time.Duration(20+d.rng.IntN(400))*time.Millisecond)
			for range 1 + d.rng.IntN(4) {
				d.run(time.Duration(d.rng.IntN(150))*time.Millisecond, nil)
				d.crash(d.rng.IntN(2))
				if d.rng.IntN(3) == 0 {
					d.propose(1, "switch", 200*time.Millisecond)
				}
			}
			if !d.run(3*time.Minute, d.settled) {
				t.Errorf("loss %v, seed %d: not settled: %+v and %+v", loss, seed, d.h[0].book.List(), d.h[1].book.List())
			}
			d.same(fmt.Sprintf("loss %v", loss))
			n := d.h[0].outcomes()
			committed, aborted = committed+n[ladder.Committed], aborted+n[ladder.Aborted]
			doubted += d.h[0].doubts + d.h[1].doubts
		}
	}
	if committed < 10 || aborted < 10 || doubted < 5 {
		t.Errorf("%d committed, %d aborted, %d times in doubt: the test has lost its point", committed, aborted, doubted)
	}
}

// the link breaks when one has voted: that one says IN DOUBT at its
// deadline, stays so through a restart, and learns the outcome later.
func TestDoubt(t *testing.T) {
	d := newDuo(t, 1, 0, "*")
	id := d.propose(0, "switch", 500*time.Millisecond)
	voted := func() bool { return d.outcome(0, id) == ladder.InDoubt }
	if !d.run(time.Second, voted) {
		t.Fatal("never voted")
	}
	d.flight, d.loss = nil, 1
	d.run(time.Second, nil)
	if d.h[0].doubts != 1 || !voted() {
		t.Errorf("%d times in doubt, %v", d.h[0].doubts, d.outcome(0, id))
	}
	d.crash(0)
	d.run(time.Second, nil)
	if !voted() {
		t.Errorf("after a restart: %v", d.outcome(0, id))
	}
	d.loss = 0
	if !d.run(time.Minute, d.settled) {
		t.Error("never settled")
	}
	d.same("doubt")
}

// An attempt that nobody answers ends at its deadline, and leaves nothing
// behind that disturbs the next at the same name.
func TestAgain(t *testing.T) {
	d := newDuo(t, 1, 1, "*")
	first := d.propose(0, "switch", time.Second)
	if again := d.propose(0, "switch", time.Minute); again != first {
		t.Error("two attempts at one name at once")
	}
	d.run(2*time.Second, nil)
	if d.outcome(0, first) != ladder.Aborted || !d.h[0].resolvedAll() {
		t.Errorf("%+v", d.h[0].book.List())
	}
	sent := d.sent
	d.run(time.Second, nil)
	if d.sent != sent {
		t.Error("it goes on about an attempt that nobody heard of")
	}
	d.loss = 0
	for range 3 {
		id := d.propose(0, "switch", time.Second)
		if !d.run(5*time.Second, func() bool { return d.h[0].resolvedAll() && d.h[1].resolvedAll() }) {
			t.Fatal("not resolved")
		}
		if d.outcome(0, id) != ladder.Committed {
			t.Errorf("%v", d.outcome(0, id))
		}
	}
	d.same("again")
	if n := d.h[1].outcomes()[ladder.Committed]; n != 3 {
		t.Errorf("%d committed there", n)
	}
}

// Without a pattern nothing begins, and Withdraw before the vote aborts both.
func TestRefuse(t *testing.T) {
	d := newDuo(t, 1, 0, "backup-*")
	id := d.propose(0, "switch", time.Second)
	d.run(3*time.Second, nil)
	if d.outcome(0, id) != ladder.Aborted || len(d.h[1].book.List()) != 0 {
		t.Errorf("%v, %+v", d.outcome(0, id), d.h[1].book.List())
	}
	id = d.propose(0, "backup-1", time.Minute)
	d.run(15*time.Millisecond, nil)
	if !d.h[0].book.Withdraw(d.now, id) {
		t.Error("not withdrawn")
	}
	d.run(2*time.Second, nil)
	if d.outcome(0, id) != ladder.Aborted || d.h[1].outcomes()[ladder.Aborted] != 1 || !d.h[1].resolvedAll() {
		t.Errorf("%v, %+v", d.outcome(0, id), d.h[1].book.List())
	}
}

// Known attacks: whatever was recorded of decided attempts, votes and ABORTs
// included, begins nothing, decides nothing and ends nothing. After a
// restart a commitment of an attempt that was aborted may begin one, which gets
// no further.
func TestReplay(t *testing.T) {
	d := newDuo(t, 1, 0, "*")
	var recorded [2][][]byte
	known := map[string]bool{}
	record := func() {
		for _, f := range d.flight {
			if !known[string(f.b)] {
				known[string(f.b)] = true
				recorded[f.to] = append(recorded[f.to], f.b)
			}
		}
	}
	for i, patience := range []time.Duration{time.Minute, 25 * time.Millisecond} { // one commits, one aborts
		d.propose(0, "switch", patience)
		for range 1000 {
			d.run(time.Millisecond, nil)
			record()
		}
		if !d.settled() || d.h[0].outcomes()[ladder.Committed] != 1 || d.h[0].outcomes()[ladder.Aborted] != i {
			t.Fatalf("%+v", d.h[0].book.List())
		}
	}
	for _, restart := range []bool{false, true} {
		if restart {
			d.crash(0)
			d.crash(1)
		}
		before := [2]int{len(d.h[0].book.List()), len(d.h[1].book.List())}
		for i, all := range recorded {
			for _, b := range all {
				d.h[i].book.Handle(d.now, b)
				d.h[i].work(d.now)
			}
		}
		d.run(5*time.Second, nil)
		for i, h := range d.h {
			if n := len(h.book.List()); !restart && (n != before[i] || !d.settled()) {
				t.Errorf("restart %v: a replay began %d attempts of host %d: %+v", restart, n-before[i], i, h.book.List())
			}
		}
		d.same("replay")
	}
	id := d.propose(0, "switch", time.Minute) // amid the recording
	for range 1000 {
		for _, b := range recorded[0] {
			d.h[0].book.Handle(d.now, b)
		}
		for _, b := range recorded[1] {
			d.h[1].book.Handle(d.now, b)
		}
		if d.run(10*time.Millisecond, func() bool { return d.outcome(0, id) != ladder.Open && d.settled() }) {
			break
		}
	}
	if d.outcome(0, id) != ladder.Committed {
		t.Errorf("a replay prevents an agreement: %v", d.outcome(0, id))
	}
	d.same("amid a replay")
}

// both vote and both abort, at the same moments: one outcome for both.
func TestBothAbort(t *testing.T) {
	var n [ladder.Aborted + 1]int
	for seed := range uint64(150) {
		d := newDuo(t, seed, float64(seed%3)*0.3)
		ids := [2]ID{d.propose(0, "switch", time.Minute), d.propose(1, "switch", time.Minute)}
		for i := range 2 { // in either order
			d.run(time.Duration(d.rng.IntN(80))*time.Millisecond, nil)
			k := (i + int(seed)) % 2
			d.h[k].book.Withdraw(d.now, ids[k])
		}
		if !d.run(time.Minute, d.settled) || d.outcome(0, ids[0]) != d.outcome(1, ids[1]) {
			t.Errorf("seed %d: %v and %v", seed, d.outcome(0, ids[0]), d.outcome(1, ids[1]))
		}
		n[d.outcome(0, ids[0])]++
	}
	if n[ladder.Committed] < 10 || n[ladder.Aborted] < 10 {
		t.Errorf("outcomes %v: the test has lost its point", n)
	}
}

// A stranger with a key of his own gets nothing.
func TestStranger(t *testing.T) {
	d := newDuo(t, 1, 0, "*")
	stranger, err := New(start, Config{Private: key(t, 7), Remote: key(t, 1).Public(), Random: d.h[0].cfg.Random})
	if err != nil {
		t.Fatal(err)
	}
	d.h[0].book = stranger
	id := d.propose(0, "switch", time.Second)
	d.run(3*time.Second, nil)
	if d.outcome(0, id) != ladder.Aborted || d.h[1].outcomes()[ladder.Committed] != 0 {
		t.Errorf("%v, %+v", d.outcome(0, id), d.h[1].book.List())
	}
}

// The table is bounded: open attempts stay, and resolved ones give way.
func TestFull(t *testing.T) {
	d := newDuo(t, 1, 1)
	for i := range MaxEntries {
		d.propose(0, fmt.Sprintf("x%d", i), time.Minute)
	}
	if _, err := d.h[0].book.Propose(d.now, "more", d.now.Add(time.Minute)); !errors.Is(err, ErrFull) {
		t.Errorf("one too many: %v", err)
	}
	d.run(61*time.Second, nil)
	d.propose(0, "more", time.Minute)
	if n := len(d.h[0].book.List()); n != MaxEntries {
		t.Errorf("%d entries", n)
	}
}

// Names and patterns are what they are said to be.
func TestNames(t *testing.T) {
	for _, bad := range []string{"", " ", "a b", "-x", ".x", "a/b", "a*", "a\n", strings.Repeat("x", MaxName+1), "ä"} {
		if ValidName(bad) {
			t.Errorf("%q is a name", bad)
		}
	}
	for _, good := range []string{"switch-1", "A_b.c:d@e+f", strings.Repeat("x", MaxName)} {
		if !ValidName(good) || !ValidPattern(good) || !matches([]string{"no", good}, good) {
			t.Errorf("%q", good)
		}
	}
	if ValidPattern("[a]") || ValidPattern("") || !matches([]string{"switch-*"}, "switch-") || matches([]string{"switch-*"}, "switch") {
		t.Error("patterns")
	}
}
