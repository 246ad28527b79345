package ladder

import (
	"bytes"
	"crypto/sha256"
	"testing"
	"time"
)

// FuzzParse feeds the parser. Threat: whoever can put bytes into a LADDER frame
// or a handshake payload: the peer. It must not panic, and what it reads is
// written back as it was.
func FuzzParse(f *testing.F) {
	for _, m := range samples() {
		f.Add(m.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err == nil && !bytes.Equal(m.Append(nil), b) {
			t.Fatalf("%x is read as %x", b, m.Append(nil))
		}
	})
}

// FuzzRestore feeds Restore, once as it is and once with a right checksum.
// Threat: a disk that errs, and whoever can write the log: it holds nothing
// secret, but a stage that its signatures do not prove would break the vote.
func FuzzRestore(f *testing.F) {
	a, b := newPair(f, 0)
	for i := range 6 {
		f.Add(a.log)
		exchange(f, start.Add(time.Duration(i)*time.Second), a, b, 1)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		summed := bytes.Clone(b)
		if n := len(b) - recordSum; n > 0 {
			sum := sha256.Sum256(b[:n])
			copy(summed[n:], sum[:])
		}
		for _, b := range [][]byte{b, summed} {
			m, err := Restore(start, RestoreConfig{Private: key(t, 0), Rand: jitter()}, b)
			if err != nil {
				continue
			}
			stage, again := m.Record()
			if stage != StageRefused && !bytes.Equal(again, b) {
				t.Fatalf("%x is restored and written as %x", b, again)
			}
			if proved := m.own.level == LevelV; proved != (stage != StageRefused) {
				t.Fatalf("stage %d at level %v", stage, m.own.level)
			}
		}
	})
}

// recordings is what a wire tap has: whole old sessions of the same two, one
// that committed and one that aborted, of the same action in the same session;
// and what a third party made with a key of his own.
func recordings(f *testing.F) (all [][]byte) {
	f.Helper()
	for n, abort := range []bool{false, true} {
		a, b := newPair(f, uint64(100+n))
		now := start
		for i := range 9 {
			if abort && i == 3 {
				a.Abort(now)
				a.drain(now)
			}
			x, y := a.send(now), b.send(now)
			b.hear(now, x)
			a.hear(now, y)
			for _, m := range [][]byte{x, y} {
				if m != nil {
					all = append(all, m)
				}
			}
			now = now.Add(time.Second)
		}
	}
	stranger := config(f, 0, 3)
	stranger.Private, stranger.Remote = key(f, 9), key(f, 0).Public()
	m := newParty(f, stranger)
	return append(all, m.send(start))
}

// game is one run of FuzzMachine.
type game struct {
	t    *testing.T
	p    [2]*party
	now  time.Time
	wire [][]byte // everything that was ever said in this run
	tap  [][]byte
}

// give hands a message to a party and checks that a dropped one has no effect
//
func (g *game) give(p *party, b []byte) {
	before := p.state()
	d := p.Handle(g.now, bytes.Clone(b))
	after := p.state()
	if d != DropNone && !sameState(&before, &after) {
		g.t.Fatalf("%v changed the state", d)
	}
	p.drain(g.now)
}

// say takes what a party sends, and checks that it never says V and ABORT.
func (g *game) say(p *party) {
	b := p.send(g.now)
	if b == nil {
		return
	}
	if len(g.wire) < 200 {
		g.wire = append(g.wire, b)
	}
}

func (g *game) play(op, arg byte) {
	p := g.p[op&1]
	switch op >> 1 & 7 {
	case 0:
		g.say(p)
	case 1, 2: // anything that was said, to anyone, his own too
		if len(g.wire) > 0 {
			g.give(p, g.wire[len(g.wire)-1-int(arg)%len(g.wire)])
		}
	case 3:
		g.give(p, g.tap[int(arg)%len(g.tap)])
	case 4:
		g.now = g.now.Add(time.Duration(arg) * 100 * time.Millisecond)
		p.HandleTimeout(g.now)
		p.drain(g.now)
	case 5:
		if arg&3 == 0 {
			p.Abort(g.now)
		} else {
			p.slow = !p.slow
		}
		p.drain(g.now)
		p.flush(g.now)
	case 6:
		if p.log != nil {
			p.crash(g.now)
		}
	case 7: // one bit of something said
		if len(g.wire) > 0 {
			b := bytes.Clone(g.wire[int(op>>4)%len(g.wire)])
			b[int(arg)*len(b)/256] ^= 1 << (arg & 7)
			g.give(p, b)
		}
	}
	split(g.t, g.p[0], g.p[1])
}

// FuzzMachine plays two parties with stable storage against an adversary who
// owns the network: he delivers, repeats, reorders, reflects and damages what
// was said, replays whole old sessions of the same two, has a key of his own,
// crashes either at any moment and fires deadlines. X-6: they never decide
// differently; X-5: an outcome once told stays. When he lets go, both decide.
func FuzzMachine(f *testing.F) {
	tap := recordings(f)
	f.Add([]byte{0, 0, 1, 0, 2, 0, 3, 0})
	f.Add(bytes.Repeat([]byte{0, 0, 3, 0, 1, 0, 2, 0}, 6))
	f.Add(bytes.Repeat([]byte{0, 0, 3, 0, 1, 0, 2, 0, 6, 9, 7, 30}, 5))
	f.Add(append(bytes.Repeat([]byte{0, 0, 3, 0, 1, 0, 2, 0}, 3), 10, 1, 0, 0, 3, 0, 12, 0, 11, 0, 1, 0, 2, 0))
	f.Add(append(bytes.Repeat([]byte{0, 0, 3, 0, 1, 0, 2, 0}, 4), 8, 255, 9, 255, 13, 0, 12, 0))
	f.Fuzz(func(t *testing.T, ops []byte) {
		g := &game{t: t, now: start, tap: tap}
		g.p[0], g.p[1] = newPair(t, 0)
		for i := 0; i+1 < len(ops) && i < 200; i += 2 {
			g.play(ops[i], ops[i+1])
		}
		for _, p := range g.p {
			p.slow = false
			p.flush(g.now)
		}
		exchange(t, g.now.Add(2*time.Minute), g.p[0], g.p[1], 12)
		if x, y := g.p[0].final, g.p[1].final; x != y || x == Open {
			t.Fatalf("after the network healed: %v and %v", x, y)
		}
	})
}
