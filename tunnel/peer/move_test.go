package peer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/totg/totg/handshake/ladder"
	"github.com/totg/totg/internal/wire"
)

// voted reports whether a peer has voted for a switch.
func voted(p *Peer) bool {
	s := p.cur
	return s != nil && s.move != nil && s.move.machine != nil && s.move.machine.Level() == ladder.LevelV
}

// both ends switch under traffic, at every loss, in either direction, and
// nothing of a stream is lost; then they switch back.
func TestMove(t *testing.T) {
	for _, loss := range []float64{0, 0.3, 0.7} {
		for who := range 2 {
			t.Run(fmt.Sprintf("%v/%d", loss, who), func(t *testing.T) {
				x := newPaths(t, uint64(who), nil)
				x.lose(loss)
				x.connect()
				was := x.p[0].cur
				for _, path := range []int{1, 0} {
					before := x.got
					x.move(who, path, 20*time.Second)
					sent := x.talk(8 * time.Second)
					x.wait(10 * time.Second) // without redundancy the last packet may take some timeouts
					for i := range x.p {
						if x.state(i) != Moved || !x.on(path) {
							t.Fatalf("%s: host %d: %+v at %v", x.replay, i, x.p[i].Status().Move, x.p[i].path.addr)
						}
						if got := x.got[1-i] - before[1-i]; got != sent[i] || got < 1000 {
							t.Errorf("%s: %d packets of %d arrived from host %d", x.replay, got, sent[i], i)
						}
					}
				}
				if x.p[0].cur != was {
					t.Error("another session")
				}
			})
		}
	}
}

// a new path that is dead in one direction, or both, moves neither end,
// whoever asks; the session never notices.
func TestMoveToDeadPath(t *testing.T) {
	for _, dead := range [][]int{{0}, {1}, {0, 1}} {
		for who := range 2 {
			x := newPaths(t, uint64(who), nil)
			x.connect()
			for _, d := range dead {
				x.lanes[1][d].loss = 1
			}
			x.move(who, 1, 5*time.Second)
			sent := x.talk(6 * time.Second)
			st := x.p[who].Status().Move
			if st.State != Stayed || st.Why == "" || !x.on(0) || x.state(1-who) == Moved {
				t.Errorf("dead %v: %+v, %+v", dead, st, x.p[1-who].Status().Move)
			}
			x.wait(2 * time.Second)
			if x.got[0] != sent[1] || x.got[1] != sent[0] {
				t.Errorf("dead %v: sent %v, delivered %v", dead, sent, x.got)
			}
			x.lanes[1] = x.lanes[2] // it works now, and nothing of the first try is in the way
			x.move(who, 1, 5*time.Second)
			x.wait(time.Second)
			if !x.on(1) {
				t.Errorf("dead %v: the second try: %+v, %+v", dead, x.p[0].Status().Move, x.p[1].Status().Move)
			}
		}
	}
}

// the old path dies, in one direction or both, as soon as somebody has voted.
// Who is in doubt receives on both paths, and hears of the decision over the new.
func TestMoveOffDyingPath(t *testing.T) {
	for _, dead := range [][]int{{0}, {1}, {0, 1}} {
		for who := range 2 {
			x := newPaths(t, uint64(who), nil)
			x.connect()
			x.move(who, 1, 5*time.Second)
			either := func() bool { return voted(x.p[0]) || voted(x.p[1]) }
			for range 1000 {
				if either() {
					break
				}
				x.wait(time.Millisecond)
			}
			if !either() {
				t.Fatal("nobody has voted")
			}
			was := x.p[0].cur
			for _, d := range dead {
				x.lanes[0][d].loss = 1
			}
			sent := x.talk(2 * time.Second)
			x.wait(time.Second)
			if x.state(0) != Moved || x.state(1) != Moved || !x.on(1) || x.p[0].cur != was {
				t.Errorf("dead %v: %+v, %+v", dead, x.p[0].Status().Move, x.p[1].Status().Move)
			}
			if x.got[0] != sent[1] || x.got[1] != sent[0] {
				t.Errorf("dead %v: sent %v, delivered %v", dead, sent, x.got)
			}
		}
	}
}

// the last votes are lost for as long as the deadline: who has voted is in
// doubt, and stays where it is; when they get through it follows.
func TestMoveInDoubt(t *testing.T) {
	x := newPaths(t, 1, nil)
	x.connect()
	x.move(0, 1, 2*time.Second)
	x.spy = func(from, _ int, b []byte) bool { // host 1 says nothing of its vote
		return from == 1 && voted(x.p[1]) && (b[0] == wire.TypeAside || len(b) > 300 && len(b) < 800) // not its size probes
	}
	x.wait(2500 * time.Millisecond)
	if x.state(0) != MoveInDoubt || x.p[0].path.addr != x.addrs[0][1] || x.state(1) != Moved || x.p[1].path.addr != x.addrs[1][0] {
		t.Fatalf("%+v at %v, %+v at %v", x.p[0].Status().Move, x.p[0].path.addr, x.p[1].Status().Move, x.p[1].path.addr)
	}
	if _, err := x.p[0].MovePath(x.now, x.addrs[2][1], x.now.Add(time.Second)); !errors.Is(err, ErrMoving) {
		t.Errorf("another switch while this one is in doubt: %v", err)
	}
	x.spy = nil
	x.wait(time.Second)
	if x.state(0) != Moved || !x.on(1) {
		t.Errorf("%+v, %+v", x.p[0].Status().Move, x.p[1].Status().Move)
	}
}

// both ask at once, for different paths: one switch happens, or none, and both
// ends agree on which.
func TestMoveCrossed(t *testing.T) {
	for seed := range uint64(20) {
		x := newPaths(t, seed, nil)
		x.lose(float64(seed%4) * 0.2)
		x.connect()
		first := int(seed % 2)
		x.move(first, 1, 10*time.Second)
		x.wait(time.Duration(seed/2) * 4 * time.Millisecond)
		_, err := x.p[1-first].MovePath(x.now, x.addrs[2][first], x.now.Add(10*time.Second))
		if err != nil && !errors.Is(err, ErrMoving) {
			t.Fatal(err)
		}
		x.wait(15 * time.Second)
		if a, b := x.p[0].Status().Move, x.p[1].Status().Move; a.ID != b.ID || a.State != Moved || b.State != Moved || !x.on(1) && !x.on(2) {
			t.Errorf("%s: %+v, %+v", x.replay, a, b)
		}
	}
}

// H-8, X-7: what somebody recorded and sends from an address of his own moves
// nothing: neither a copy, nor an aside that has not arrived before. He gets three
// times what he sent, at most.
func TestMoveRecorded(t *testing.T) {
	x := newPaths(t, 1, nil)
	x.connect()
	third := netip.MustParseAddrPort("198.51.100.9:9")
	var recorded [][]byte
	x.spy = func(from, path int, b []byte) bool {
		if from == 0 && path == 1 {
			recorded = append(recorded, bytes.Clone(b))
		}
		return path == 1 // nothing arrives
	}
	x.move(0, 1, 3*time.Second)
	x.wait(200 * time.Millisecond)
	in, out := 0, 0
	for _, b := range recorded {
		in += len(b)
		if r := x.p[1].HandleDatagram(x.now, Inbound{From: third}, bytes.Clone(b)); r != DropNone {
			t.Fatal(r)
		}
		if r := x.p[1].HandleDatagram(x.now, Inbound{From: third}, bytes.Clone(b)); r == DropNone {
			t.Fatal("a copy was taken")
		}
	}
	for range 3000 {
		x.now = x.now.Add(time.Millisecond)
		for {
			n, to, ok := x.p[1].Poll(x.now, x.buf[:])
			if !ok {
				break
			}
			if to == third {
				out += n
			}
		}
	}
	if len(recorded) < 5 || out == 0 || out > amplification*in {
		t.Errorf("%d datagrams, %d bytes from the third address, %d to it", len(recorded), in, out)
	}
	if x.p[1].path.addr != x.addrs[0][0] || x.state(1) == Moved || x.p[1].Status().Move.To != third {
		t.Errorf("%+v at %v", x.p[1].Status().Move, x.p[1].path.addr)
	}
	x.spy = nil
	x.wait(2 * time.Second)
	if x.state(0) != Stayed || !x.on(0) {
		t.Errorf("%+v", x.p[0].Status().Move)
	}
}

// H-8: while a switch is tried, and after one, a host that really moved is followed
// as ever.
func TestMoveAndRoam(t *testing.T) {
	x := newPaths(t, 1, nil)
	x.connect()
	x.lanes[1][0].loss = 1 // nothing comes of it
	x.move(0, 1, 3*time.Second)
	x.wait(100 * time.Millisecond)
	roamed := netip.MustParseAddrPort("192.0.2.99:4430")
	for _, state := range []MoveState{MoveProbing, Moved} {
		if got := x.state(0); got != state {
			t.Fatalf("state %v, want %v", got, state)
		}
		home := x.p[1].path.addr
		x.p[0].pingDue = true
		n, _, ok := x.p[0].Poll(x.now, x.buf[:])
		if !ok || x.p[1].HandleDatagram(x.now, Inbound{From: roamed}, x.buf[:n]) != DropNone || x.p[1].path.addr != roamed {
			t.Errorf("%v: the peer is at %v", state, x.p[1].path.addr)
		}
		x.p[0].pingDue = true
		n, _, _ = x.p[0].Poll(x.now, x.buf[:])
		x.p[1].HandleDatagram(x.now, Inbound{From: home}, x.buf[:n])
		if state == MoveProbing {
			x.wait(4 * time.Second)
			x.lanes[1] = x.lanes[2]
			x.move(0, 1, 3*time.Second)
			x.wait(time.Second)
		}
	}
}

// what MovePath refuses changes nothing.
func TestMoveRefused(t *testing.T) {
	x := newPaths(t, 1, nil)
	if _, err := x.p[0].MovePath(x.now, x.addrs[1][1], x.now.Add(time.Second)); !errors.Is(err, ErrNoSession) {
		t.Errorf("no session: %v", err)
	}
	x.connect()
	for _, a := range []string{"0.0.0.0:1", "192.0.2.1:0", "224.0.0.1:1", "[::]:1"} {
		if _, err := x.p[0].MovePath(x.now, netip.MustParseAddrPort(a), x.now.Add(time.Second)); !errors.Is(err, ErrAddress) {
			t.Errorf("%s: %v", a, err)
		}
	}
	if _, err := x.p[0].MovePath(x.now, x.addrs[0][1], x.now.Add(time.Second)); !errors.Is(err, ErrSamePath) {
		t.Errorf("the present one: %v", err)
	}
	if m := x.p[0].Status().Move; m != (Move{}) {
		t.Errorf("%+v", m)
	}
	x.move(0, 1, time.Second)
	if _, err := x.p[0].MovePath(x.now, x.addrs[2][1], x.now.Add(time.Second)); !errors.Is(err, ErrMoving) {
		t.Errorf("two at once: %v", err)
	}
}

// whatever paths lose and when they die, whoever asks for what, and with
// keys that change meanwhile, never does one end move and the other stay: check looks
// at both after every step.
func TestMoveInvariant(t *testing.T) {
	moved, stayed := 0, 0
	for seed := range uint64(30) {
		x := newPaths(t, seed, func(_ int, c *Config) { c.Rekey = 2 * time.Second })
		x.connect()
		for range 12 {
			for j := range x.lanes {
				for d := range 2 {
					x.lanes[j][d].loss = []float64{0, 0.1, 0.5, 0.8, 1}[x.rng.IntN(5)]
					x.lanes[j][d].delay = time.Duration(1+x.rng.IntN(60)) * time.Millisecond
				}
			}
			for who := range 2 {
				if x.rng.IntN(3) > 0 {
					to := x.addrs[x.rng.IntN(3)][1-who]
					if _, err := x.p[who].MovePath(x.now, to, x.now.Add(time.Duration(20+x.rng.IntN(1500))*time.Millisecond)); err == nil {
						x.drain(who)
					}
				}
				x.wait(time.Duration(x.rng.IntN(300)) * time.Millisecond)
			}
		}
		for _, s := range x.seen {
			if slices.Contains(s[:], Moved) {
				moved++
			} else {
				stayed++
			}
		}
	}
	t.Logf("%d switches moved, %d stayed", moved, stayed)
	if moved < 20 || stayed < 20 {
		t.Errorf("%d switches moved, %d stayed: the test shows too little", moved, stayed)
	}
}

// a ladder message about a switch with parameters that name none ends the
// session (W-3); one about a switch that is not known counts as lost.
func TestMoveLadderParams(t *testing.T) {
	for _, params := range [][]byte{{1, 2, 3}, {0, 0, 0, 0, 0, 0, 0, 9}} {
		d := newDuo(t, nil)
		d.connect()
		m, err := ladder.New(d.now, ladder.Config{
			Private: d.p[0].cfg.Private, Remote: d.p[0].cfg.Remote, Action: ladder.ActionPath, Params: params,
			Nonce: [ladder.NonceLen]byte{3}, Rand: rand.New(rand.NewPCG(1, 1)),
		})
		if err != nil {
			t.Fatal(err)
		}
		m.OnStable(d.now, ladder.StageBegun)
		buf := make([]byte, ladder.MaxMessage)
		n, _ := m.Poll(d.now, buf)
		frame := append([]byte{0, frameLadder, 0, 0}, buf[:n]...)
		binary.BigEndian.PutUint16(frame[2:], uint16(n))
		d.p[1].HandleDatagram(d.now, Inbound{From: d.addr[0]}, d.forge(0, frame))
		if lives := d.p[1].cur != nil; lives != (len(params) == 8) {
			t.Errorf("parameters %x: session lives: %v", params, lives)
		}
	}
}

// who was asked at one of several addresses answers from there, and after the
// switch stays there; the old path is left to the host's routes, and so is the end
// that asked. Roaming leaves it to them again.
func TestMoveSource(t *testing.T) {
	x := newPaths(t, 1, nil)
	x.connect()
	at := netip.MustParseAddr("192.0.2.77")
	x.spy = func(from, path int, _ []byte) bool {
		want := netip.Addr{}
		if from == 1 && path == 1 {
			want = at
		}
		if got := x.p[from].Source(); got != want {
			t.Fatalf("host %d sends from %v on path %d", from, got, path)
		}
		return false
	}
	x.local = at
	x.move(0, 1, 2*time.Second)
	x.talk(time.Second)
	if !x.on(1) || x.p[1].path.local != at {
		t.Fatalf("%+v", x.p[1].Status().Move)
	}
	x.p[0].pingDue = true
	n, _, _ := x.p[0].Poll(x.now, x.buf[:])
	x.p[1].HandleDatagram(x.now, Inbound{From: netip.MustParseAddrPort("192.0.2.99:4430"), To: at}, x.buf[:n])
	if x.p[1].path.local.IsValid() {
		t.Error("it stays after roaming")
	}
}

// how long a switch takes, by the loss of both paths in both directions:
// both ends move, and that within the patience of the command. The figures are in the
// log.
func TestMoveTime(t *testing.T) {
	const runs, patience = 20, 10 * time.Second
	for _, loss := range []float64{0, 0.3, 0.7} {
		var all []time.Duration
		for seed := range uint64(runs) {
			x := newPaths(t, seed, nil)
			x.lose(loss)
			x.connect()
			x.move(0, 1, patience)
			all = append(all, x.decided(patience))
		}
		slices.Sort(all)
		t.Logf("loss %v, RTT 20 and 30 ms, %d switches: median %v, slowest %v", loss, runs, all[runs/2], all[runs-1])
		if all[runs-1] >= patience {
			t.Errorf("loss %v: the slowest took %v", loss, all[runs-1])
		}
	}
}
