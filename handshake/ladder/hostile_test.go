package ladder

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"
	"time"
)

// state is everything of a Machine that a dropped message must leave alone.
func (p *party) state() Machine {
	m := *p.Machine
	m.drops, m.rng = [NumDrops]uint64{}, nil
	return m
}

// refuses wants b to be dropped for one of the reasons, without effect.
func (p *party) refuses(what string, now time.Time, b []byte, want ...Drop) {
	p.tb.Helper()
	p.advance(now)
	before, counted := p.state(), p.Drops()
	d := p.Handle(now, b)
	if !slices.Contains(want, d) {
		p.tb.Errorf("%s: %v, want %v", what, d, want)
	}
	after := p.state()
	if !sameState(&before, &after) {
		p.tb.Errorf("%s: the state changed", what)
	}
	if p.Drops()[d] != counted[d]+1 {
		p.tb.Errorf("%s: not counted", what)
	}
}

// refusesAbove is refuses for a message whose commitment is genuine: that may be
// taken where none is known yet, and nothing above it.
func (p *party) refusesAbove(what string, now time.Time, b []byte, want ...Drop) {
	p.tb.Helper()
	if p.peer.level != LevelNone {
		p.refuses(what, now, b, want...)
		return
	}
	stage := p.stage
	p.hear(now, b)
	if p.stage != stage || p.peer.level > LevelC || p.peer.aborted || p.own.level > LevelD || p.knows {
		p.tb.Errorf("%s: taken", what)
	}
}

func sameState(x, y *Machine) bool {
	_, rx := x.Record()
	_, ry := y.Record()
	return bytes.Equal(rx, ry) && x.pair == y.pair && x.stage == y.stage && x.stable == y.stable &&
		x.knows == y.knows && x.answer == y.answer && x.events == y.events &&
		x.flood.Deadline().Equal(y.flood.Deadline()) && x.deadline.Equal(y.deadline) && x.linger.Equal(y.linger)
}

// story is what both parties of a whole run said, ABORTs in it if it aborts.
func story(t *testing.T, a, b *party, abort bool) (all [][]byte) {
	t.Helper()
	now := start
	for i := range 9 {
		if abort && i == 3 {
			a.Abort(now)
			a.drain(now)
		}
		x, y := a.send(now), b.send(now)
		for _, m := range [][]byte{x, y} {
			if m != nil {
				all = append(all, m)
			}
		}
		b.hear(now, x)
		a.hear(now, y)
		now = now.Add(time.Second)
	}
	return all
}

// A stranger who knows both public keys and has a key of his own gets nowhere
// the reference code took the key inside the message.
func TestStranger(t *testing.T) {
	for level := range 6 {
		a, b := newPair(t, 0)
		now := exchange(t, start, a, b, level)
		mallory := newParty(t, func() Config {
			c := config(t, 0, 5)
			c.Private, c.Remote = key(t, 9), key(t, 0).Public()
			return c
		}())
		a.refuses("a stranger's commitment", now, mallory.send(now), DropSignature, DropAttempt)
		genuine, err := Parse(b.send(now))
		if err != nil {
			t.Fatal(err)
		}
		for l := LevelC; l <= genuine.Level; l++ {
			forged := genuine
			p := a.pair
			*forged.SigOf(l) = key(t, 9).Sign(p.text(p.role.other(), byte(l)))
			want := []Drop{DropSignature, DropConflict}
			if l == LevelC && a.peer.level < LevelD {
				want = append(want, DropConflict)
			}
			a.refuses("a stranger's "+l.String(), now, forged.Append(nil), want...)
		}
		abort := genuine
		abort.Level, abort.Receipt, abort.Seen = min(abort.Level, LevelQC), nil, false
		sig := key(t, 9).Sign(a.text(a.role.other(), domainAbort))
		abort.Abort = &sig
		a.refusesAbove("a stranger's ABORT", now, abort.Append(nil), DropSignature, DropConflict, DropEquivocation)
	}
}

// A recording of a whole old session between the same two, of the same action
// in the same session, does nothing but show an old commitment: with the
// reference code one recorded message was enough to make a party attack alone.
func TestReplayOfWholeSession(t *testing.T) {
	for _, abort := range []bool{false, true} {
		oldA, oldB := newPair(t, 0)
		recording := story(t, oldA, oldB, abort)
		for level := range 6 {
			a, b := newPair(t, 10)
			now := exchange(t, start, a, b, level)
			outcome, was := a.Outcome(), a.Level()
			for _, m := range recording {
				a.Handle(now, m)
				b.Handle(now, m)
				a.drain(now)
				b.drain(now)
				if a.stage == StageRefused || a.Outcome() != outcome || a.Level() > max(was, LevelD) {
					t.Fatalf("abort %v, level %d: the recording leads to %v, %v", abort, level, a.Outcome(), a.Level())
				}
			}
			exchange(t, now, a, b, 8)
			if a.Outcome() != Committed || b.Outcome() != Committed {
				t.Errorf("abort %v, level %d: the recording spoilt the run: %v and %v", abort, level, a.Outcome(), b.Outcome())
			}
		}
	}
}

// A vote or ABORT of another session, action or parameters does not hold
// not even beside this attempt's nonces.
func TestReplayElsewhere(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"session": func(c *Config) { c.Session[0]++ },
		"action":  func(c *Config) { c.Action++ },
		"params":  func(c *Config) { c.Params = []byte("destroy") },
	} {
		ca, cb := config(t, 0, 0), config(t, 1, 1)
		change(&ca)
		change(&cb)
		for _, abort := range []bool{false, true} {
			recording := story(t, newParty(t, ca), newParty(t, cb), abort)
			a := newParty(t, config(t, 0, 0)) // the same nonces
			for _, m := range recording {
				a.refuses(name, start, m, DropSignature, DropAction)
				msg, _ := Parse(m)
				msg.Action, msg.Params = a.action, a.params
				a.refuses(name+", relabelled", start, msg.Append(nil), DropSignature)
			}
		}
	}
}

// A signature over the wrong level does not count: each level has its
// domain.
func TestWrongLevel(t *testing.T) {
	a, b := newPair(t, 0)
	now := exchange(t, start, a, b, 5)
	genuine, err := Parse(b.send(now))
	if err != nil {
		t.Fatal(err)
	}
	for have := range 5 { // a's rounds so far
		for to := LevelC; to <= LevelV; to++ {
			for from := LevelC; from <= LevelV; from++ {
				if from == to {
					continue
				}
				fresh, peer := newPair(t, 0)
				exchange(t, start, fresh, peer, have)
				forged := genuine
				forged.Level, forged.Receipt, forged.Seen = to, nil, false
				*forged.SigOf(to) = genuine.Sigs[from-LevelC]
				fresh.refusesAbove("level "+from.String()+" as "+to.String(), now, forged.Append(nil), DropSignature, DropConflict)
				if to == LevelV {
					continue
				}
				forged = genuine
				forged.Level, forged.Receipt, forged.Seen = to, nil, false
				forged.Abort = genuine.SigOf(from)
				if a, b := fresh.peer.level, to; a < LevelV || b < a {
					fresh.refusesAbove(from.String()+" as ABORT", now, forged.Append(nil), DropSignature, DropEquivocation)
				}
			}
		}
	}
}

// A peer that signs both V and ABORT is not believed the second time. No
// two-party protocol can do more.
func TestEquivocation(t *testing.T) {
	a, b := newPair(t, 0)
	now := exchange(t, start, a, b, 5)
	msg, _ := Parse(b.send(now))
	sig := key(t, 1).Sign(b.text(b.role, domainAbort))
	msg.Level, msg.Abort, msg.Receipt, msg.Seen = LevelQC, &sig, nil, false
	a.refuses("ABORT after V", now, msg.Append(nil), DropEquivocation)

	a, b = newPair(t, 0)
	now = exchange(t, start, a, b, 4)
	vote := b.send(now)
	msg, _ = Parse(vote)
	msg.Level, msg.Abort = LevelQC, &sig
	a.hear(now, msg.Append(nil))
	if a.Outcome() != Aborted {
		t.Fatal(a.Outcome())
	}
	a.refuses("V after ABORT", now, vote, DropEquivocation)
}

// RECEIPT of something else ends nothing.
func TestForgedReceipt(t *testing.T) {
	a, b := newPair(t, 0)
	now := exchange(t, start, a, b, 5)
	msg, _ := Parse(b.send(now))
	msg.Receipt = new([ReceiptLen]byte)
	a.refuses("a wrong RECEIPT", now, msg.Append(nil), DropReceipt)
	if a.Done() {
		t.Error("done")
	}
}

// Own messages come back to nothing.
func TestReflection(t *testing.T) {
	a, b := newPair(t, 0)
	for _, m := range story(t, a, b, false) {
		fresh := newParty(t, config(t, 0, 77))
		if msg, _ := Parse(m); msg.Nonce == a.own.nonce {
			fresh.refuses("a reflection", start, m, DropSignature)
		}
	}
}

// a crash between the vote's record and its datagram. The vote holds after
// the restart, and no ABORT is ever signed beside it.
func TestCrashBetweenVoteAndSend(t *testing.T) {
	a, b := newPair(t, 0)
	now := exchange(t, start, a, b, 4)
	a.crash(now) // its vote is stable and never left
	if a.Outcome() != InDoubt || a.Abort(now) {
		t.Fatalf("%v after the restart", a.Outcome())
	}
	now = now.Add(2 * time.Hour)
	a.HandleTimeout(now)
	b.HandleTimeout(now)
	exchange(t, now, a, b, 3)
	if a.Outcome() != Committed || b.Outcome() != Committed {
		t.Fatalf("%v and %v", a.Outcome(), b.Outcome())
	}

	// The vote is signed and its record is not stable: it never counts.
	a, b = newPair(t, 0)
	now = exchange(t, start, a, b, 3)
	a.slow = true
	now = exchange(t, now, a, b, 1)
	if a.stage != StageVoted || a.stable != StageBegun {
		t.Fatalf("stages %v and %v", a.stage, a.stable)
	}
	a.slow = false
	a.crash(now)
	if a.Outcome() != Aborted {
		t.Fatalf("%v: a party that does not know must refuse", a.Outcome())
	}
	exchange(t, now, a, b, 4)
	if b.Outcome() != Aborted {
		t.Errorf("the peer's %v", b.Outcome())
	}
}

// Restarts at every step of a run lead to the same outcome for both, whoever
// crashes.
func TestCrashAnywhere(t *testing.T) {
	for when := range 8 {
		for who := range 3 {
			for _, abort := range []bool{false, true} {
				a, b := newPair(t, 0)
				now := exchange(t, start, a, b, when)
				if abort {
					b.Abort(now)
					b.drain(now)
				}
				if who != 1 {
					a.crash(now)
				}
				if who != 0 {
					b.crash(now)
				}
				now = exchange(t, now.Add(2*time.Minute), a, b, 8)
				if o := a.Outcome(); o != b.Outcome() || o != Committed && o != Aborted {
					t.Errorf("round %d, crash %d: %v and %v", when, who, a.Outcome(), b.Outcome())
				}
				if !a.Done() || !b.Done() || a.send(now) != nil || b.send(now) != nil {
					t.Errorf("round %d, crash %d, abort %v: still talking, done %v %v", when, who, abort, a.Done(), b.Done())
				}
			}
		}
	}
}

// a party that refused and forgot its peer in a restart learns again that
// the peer, whose vote it overruled, has decided.
func TestRefuserForgets(t *testing.T) {
	a, b := newPair(t, 0)
	now := exchange(t, start, a, b, 3)
	a.hear(now, b.send(now)) // a votes
	b.Abort(now)
	b.drain(now)
	now = exchange(t, now.Add(time.Second), a, b, 3)
	if a.stage != StageOverruled || !a.Done() || !b.Done() {
		t.Fatalf("stage %v, done %v %v", a.stage, a.Done(), b.Done())
	}
	b.crash(now)
	exchange(t, now, a, b, 4)
	if !b.Done() || b.Outcome() != Aborted || a.Drops() != [NumDrops]uint64{} || b.Drops() != [NumDrops]uint64{} {
		t.Errorf("done %v, drops %v %v", b.Done(), a.Drops(), b.Drops())
	}
}

// a party that was led to sign D over a recording before it refused still
// answers its peer, whatever level that has reached.
func TestRefusalAfterRecording(t *testing.T) {
	oldA, oldB := newPair(t, 0)
	recording := story(t, oldA, oldB, false)
	a, b := newPair(t, 10)
	now := exchange(t, start, a, b, 1) // both have the other's C
	b.hear(now, a.send(now))           // b has D and signs T
	for _, m := range recording {
		a.Handle(now, m)
	}
	a.Abort(now)
	a.drain(now)
	now = now.Add(time.Second)
	a.hear(now, b.send(now))
	b.hear(now, a.send(now))
	if b.Outcome() != Aborted || b.Level() < LevelT {
		t.Errorf("%v at level %v", b.Outcome(), b.Level())
	}
}

// A record that was damaged anywhere, or is another's, restores nothing.
func TestDamagedRecord(t *testing.T) {
	a, b := newPair(t, 0)
	exchange(t, start, a, b, 5)
	cfg := RestoreConfig{Private: key(t, 0), Rand: jitter()}
	if _, err := Restore(start, cfg, a.log); err != nil {
		t.Fatal(err)
	}
	for i := range a.log {
		bad := bytes.Clone(a.log)
		bad[i] ^= 1
		if _, err := Restore(start, cfg, bad); !errors.Is(err, ErrRecord) {
			t.Fatalf("byte %d: %v", i, err)
		}
		if _, err := Restore(start, cfg, a.log[:i]); !errors.Is(err, ErrRecord) {
			t.Fatalf("%d bytes: %v", i, err)
		}
	}
	if _, err := Restore(start, RestoreConfig{Private: key(t, 1), Rand: jitter()}, a.log); !errors.Is(err, ErrRecordKey) {
		t.Errorf("another host's record: %v", err)
	}
	if len(a.log) > MaxRecord {
		t.Errorf("%d bytes", len(a.log))
	}
}

// A record that was changed anywhere and has a right checksum again restores
// nothing either: every byte of it is signed, or follows from what is. Only a
// party that had just begun passes for one that refused, and a restart makes it
// that anyway.
func TestForgedRecord(t *testing.T) {
	a, b := newPair(t, 0)
	cfg := RestoreConfig{Private: key(t, 0), Rand: jitter()}
	now := start
	for _, stage := range []Stage{StageBegun, StageVoted, StageJoined} {
		for ; a.logged != stage; now = now.Add(time.Second) {
			exchange(t, now, a, b, 1)
		}
		for i := range len(a.log) - recordSum {
			forged := bytes.Clone(a.log[:len(a.log)-recordSum])
			forged[i] ^= 1 << (i % 8)
			sum := sha256.Sum256(forged)
			m, err := Restore(start, cfg, append(forged, sum[:recordSum]...))
			if err == nil && (stage != StageBegun || m.stage != StageRefused) {
				t.Fatalf("stage %d, byte %d: restored at stage %d", stage, i, m.stage)
			}
		}
	}
}

// Mistakes of the program are told at once.
func TestConfig(t *testing.T) {
	for _, c := range []struct {
		want   error
		change func(*Config)
	}{
		{ErrNoKey, func(c *Config) { *c = Config{} }},
		{ErrOwnKey, func(c *Config) { c.Remote = c.Private.Public() }},
		{ErrNoRand, func(c *Config) { c.Rand = nil }},
		{ErrNonce, func(c *Config) { c.Nonce = [NonceLen]byte{} }},
		{ErrParams, func(c *Config) { c.Params = make([]byte, MaxParams+1) }},
		{ErrRule, func(c *Config) { c.Rule = Paper6 + 1 }},
	} {
		cfg := config(t, 0, 0)
		c.change(&cfg)
		if _, err := New(start, cfg); !errors.Is(err, c.want) {
			t.Errorf("%v, want %v", err, c.want)
		}
	}
}
