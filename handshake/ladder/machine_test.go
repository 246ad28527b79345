package ladder

import (
	"bytes"
	"testing"
	"time"
)

// without loss five rounds commit both, a sixth tells both that the
// other decided, and then there is silence.
func TestCommit(t *testing.T) {
	a, b := newPair(t, 0)
	now := exchange(t, start, a, b, 4)
	if a.Outcome() != InDoubt || b.Outcome() != InDoubt || a.Level() != LevelV {
		t.Fatalf("after 4 rounds: %v and %v, level %v", a.Outcome(), b.Outcome(), a.Level())
	}
	now = exchange(t, now, a, b, 1)
	if a.Outcome() != Committed || b.Outcome() != Committed {
		t.Fatalf("after 5 rounds: %v and %v", a.Outcome(), b.Outcome())
	}
	x, _ := a.Receipt()
	y, ok := b.Receipt()
	if x != y || !ok || x == [ReceiptLen]byte{} {
		t.Errorf("receipts %x and %x", x, y)
	}
	now = exchange(t, now, a, b, 2)
	if !a.Done() || !b.Done() || a.seen[EventDone] != 1 {
		t.Error("not done after 7 rounds")
	}
	for range 100 {
		now = now.Add(time.Second)
		if a.send(now) != nil || b.send(now) != nil {
			t.Fatal("a message after both are done")
		}
	}
	if a.seen[EventCommitted] != 1 || a.seen[EventAborted] != 0 {
		t.Errorf("events %v", a.seen)
	}
}

// one message lifts its receiver as far as it can go, whatever was lost
// before.
func TestStapling(t *testing.T) {
	a, b := newPair(t, 0)
	now := exchange(t, start, a, b, 3) // both have D and T and sign Q and QC
	if a.Level() != LevelQC {
		t.Fatalf("level %v", a.Level())
	}
	late := newParty(t, config(t, 1, 1000)) // b again, as it was at its beginning
	if d := late.hear(now, a.send(now)); d != DropNone || late.Level() != LevelV {
		t.Errorf("one message lifts to %v, drop %v", late.Level(), d)
	}
}

// before the vote the deadline aborts, and the peer adopts it.
func TestAbortAtDeadline(t *testing.T) {
	cfg := config(t, 0, 0)
	cfg.Deadline = start.Add(time.Second)
	a, b := newParty(t, cfg), newParty(t, config(t, 1, 1))
	b.hear(start, a.send(start))
	now := start.Add(time.Second)
	a.HandleTimeout(now)
	a.drain(now)
	if a.Outcome() != Aborted {
		t.Fatal(a.Outcome())
	}
	// ABORT needs the peer's nonce before it can be signed.
	if msg, err := Parse(a.send(now)); err != nil || msg.Abort != nil || msg.Level != LevelC {
		t.Fatalf("%v, %+v", err, msg)
	}
	now = exchange(t, now, a, b, 4)
	if b.Outcome() != Aborted || !a.Done() || !b.Done() {
		t.Errorf("%v, done %v %v", b.Outcome(), a.Done(), b.Done())
	}
	if a.send(now) != nil || b.send(now) != nil {
		t.Error("still talking")
	}
	if a.Abort(now) != true || b.Level() == LevelV {
		t.Error("a vote after ABORT")
	}
}

// after the vote neither the deadline nor the user aborts; the party is in
// doubt, says so, and goes on.
func TestInDoubt(t *testing.T) {
	a, b := newPair(t, 0)
	now := exchange(t, start, a, b, 4)
	if a.Abort(now) {
		t.Error("Abort after the vote")
	}
	now = now.Add(time.Hour)
	a.HandleTimeout(now)
	a.drain(now)
	if a.Outcome() != InDoubt || a.seen[EventInDoubt] != 1 || a.seen[EventAborted] != 0 {
		t.Fatalf("%v, events %v", a.Outcome(), a.seen)
	}
	if a.send(now) == nil {
		t.Fatal("a party in doubt is silent")
	}
	b.HandleTimeout(now)
	exchange(t, now, a, b, 2)
	if a.Outcome() != Committed || b.Outcome() != Committed {
		t.Errorf("%v and %v", a.Outcome(), b.Outcome())
	}
}

// one has voted and the other aborts at the same moment: the voter takes
// the signed ABORT, and nothing else.
func TestVoteMeetsAbort(t *testing.T) {
	a, b := newPair(t, 0)
	now := exchange(t, start, a, b, 3)
	a.hear(now, b.send(now)) // a votes, b has not heard a's QC
	if a.Outcome() != InDoubt || !b.Abort(now) {
		t.Fatalf("%v and %v", a.Outcome(), b.Outcome())
	}
	b.drain(now)
	x, y := a.send(now), b.send(now) // V and ABORT cross
	b.hear(now, x)
	a.hear(now, y)
	if a.Outcome() != Aborted || b.Outcome() != Aborted || a.stage != StageOverruled {
		t.Fatalf("%v and %v", a.Outcome(), b.Outcome())
	}
	now = exchange(t, now.Add(time.Second), a, b, 3)
	if !a.Done() || !b.Done() || a.send(now) != nil || b.send(now) != nil {
		t.Error("not done")
	}
}

// Both abort at once: both hear it, and both fall silent.
func TestBothAbort(t *testing.T) {
	a, b := newPair(t, 0)
	now := exchange(t, start, a, b, 2)
	a.Abort(now)
	b.Abort(now)
	a.drain(now)
	b.drain(now)
	now = exchange(t, now, a, b, 3)
	if !a.Done() || !b.Done() || a.send(now) != nil || b.send(now) != nil {
		t.Error("not done")
	}
}

// nothing leaves before it is stable: no commitment, no vote, no ABORT,
// and no outcome is told.
func TestNothingLeavesUnstable(t *testing.T) {
	a, b := newPair(t, 0)
	slow := &party{tb: t, seen: map[Event]int{}, slow: true}
	slow.Machine, _ = New(start, config(t, 1, 50))
	slow.drain(start)
	if slow.send(start) != nil {
		t.Fatal("a message before the beginning is stable")
	}
	slow.flush(start)
	now := exchange(t, start, a, slow, 4)
	msg, err := Parse(slow.send(now))
	if err != nil || msg.Level != LevelQC || slow.Level() != LevelV {
		t.Fatalf("level %v leaves before the vote is stable, %v", msg.Level, err)
	}
	slow.flush(now)
	now = now.Add(time.Second)
	if msg, _ = Parse(slow.send(now)); msg.Level != LevelV || msg.Receipt != nil {
		t.Fatalf("level %v after it is stable", msg.Level)
	}
	a.hear(now, slow.send(now.Add(time.Second)))
	now = exchange(t, now.Add(2*time.Second), a, slow, 2)
	if slow.Outcome() != InDoubt || a.Done() {
		t.Fatalf("%v told before it is stable", slow.Outcome())
	}
	slow.flush(now)
	exchange(t, now, a, slow, 2)
	if slow.Outcome() != Committed || !a.Done() {
		t.Errorf("%v, done %v", slow.Outcome(), a.Done())
	}

	b.slow = true
	if !b.Abort(start) {
		t.Fatal("cannot abort")
	}
	b.drain(start)
	b.hear(now, a.send(now))
	if msg, _ = Parse(b.send(now)); msg.Abort != nil || b.Outcome() != Open {
		t.Error("ABORT leaves before it is stable")
	}
}

// a decided party answers for ever, and floods for a bounded time.
func TestTombstone(t *testing.T) {
	a, b := newPair(t, 0)
	now := exchange(t, start, a, b, 4)
	a.hear(now, b.send(now)) // a commits, b hears nothing of it
	if a.Outcome() != Committed {
		t.Fatal(a.Outcome())
	}
	sent := 0
	for end := now.Add(2 * lingerFor); now.Before(end); now = now.Add(10 * time.Millisecond) {
		if a.send(now) != nil {
			sent++
		}
	}
	if most := int(lingerFor/(225*time.Millisecond)) + 300; sent == 0 || sent > most {
		t.Errorf("%d messages, at most %d", sent, most)
	}
	if d := a.NextDeadline(); !d.IsZero() && !d.After(now) {
		t.Errorf("a deadline %v that is over", d)
	}
	now = now.Add(24 * time.Hour)
	a.hear(now, b.send(now))
	b.hear(now, a.send(now))
	if b.Outcome() != Committed {
		t.Errorf("the tombstone left %v", b.Outcome())
	}
}

// the flood follows the schedule of H-4 and nothing spins.
func TestFloodSchedule(t *testing.T) {
	a := newParty(t, config(t, 0, 0))
	now, sent := start, 0
	for now.Before(start.Add(10 * time.Second)) {
		for a.send(now) != nil {
			sent++
		}
		next := a.NextDeadline()
		if !next.After(now) {
			t.Fatalf("next %v at %v", next.Sub(start), now.Sub(start))
		}
		now = next
	}
	if sent < 160 || sent > 200 { // 100 in 2 s, 80 in the next 8
		t.Errorf("%d messages in 10 s", sent)
	}
}

// A Machine is deterministic, and an older now is the newest seen.
func TestDeterministic(t *testing.T) {
	run := func(back time.Duration) []byte {
		a, b := newPair(t, 0)
		var all []byte
		now := start
		for range 12 {
			x := a.send(now)
			all = append(all, x...)
			b.hear(now.Add(-back), x)
			a.hear(now.Add(-back), b.send(now.Add(-back)))
			now = now.Add(time.Second)
		}
		return all
	}
	if !bytes.Equal(run(0), run(0)) {
		t.Error("two equal runs differ")
	}
	if !bytes.Equal(run(0)[:100], run(time.Hour)[:100]) {
		t.Error("an older now changes what is sent")
	}
}

// The published rules split: the smallest counter-examples.
func TestPaperRulesSplit(t *testing.T) {
	for _, c := range []struct {
		rule   Rule
		rounds int
	}{{Paper4, 2}, {Paper6, 4}} {
		ca, cb := config(t, 0, 0), config(t, 1, 1)
		ca.Rule, cb.Rule = c.rule, c.rule
		a, b := newParty(t, ca), newParty(t, cb)
		now := exchange(t, start, a, b, c.rounds)
		b.hear(now, a.send(now)) // and the other way it is lost
		now = ca.Deadline
		a.HandleTimeout(now)
		b.HandleTimeout(now)
		if a.Outcome() != Aborted || b.Outcome() != Committed {
			t.Errorf("rule %v: %v and %v, want the split", c.rule, a.Outcome(), b.Outcome())
		}
		if c.rule == Paper6 && a.Level() != LevelV {
			t.Error("the aborting party had not signed its V")
		}
	}
}
