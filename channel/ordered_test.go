package channel

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// randomUnits makes n units of 1 to limit bytes.
func randomUnits(rng *rand.Rand, n, limit int) (units []string) {
	for i := range n {
		units = append(units, string(unit(i, 1+rng.IntN(limit))))
	}
	return units
}

// TestOrderedAnyOrder delivers segments shuffled, some of them twice: the units
// come out once each and in order.
func TestOrderedAnyOrder(t *testing.T) {
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 1))
		p := newPair(t, Limits{})
		h, _ := p.open(ModeTCP)
		want := randomUnits(rng, 100, 400)
		var net [][]byte
		for _, u := range want {
			net = append(net, p.cut(p.a, h, []byte(u), 1+rng.IntN(120))...)
		}
		for range len(net) / 4 {
			net = append(net, net[rng.IntN(len(net))])
		}
		rng.Shuffle(len(net), func(i, j int) { net[i], net[j] = net[j], net[i] })
		var got []string
		for _, b := range net {
			p.give(p.b, b)
			got = append(got, p.units(p.b)...)
			if !slices.Equal(got, want[:len(got)]) {
				t.Fatalf("seed %d: out of order after %d units", seed, len(got))
			}
		}
		if len(got) != len(want) {
			t.Fatalf("seed %d: %d units of %d", seed, len(got), len(want))
		}
		if s := p.b.Stats(); s.Duplicates != uint64(len(net)/5) || s.Violations != 0 || s.Late != 0 {
			t.Errorf("seed %d: %+v", seed, s)
		}
	}
}

// TestOrderedNothingKept: a segment that is next goes straight into its unit.
func TestOrderedNothingKept(t *testing.T) {
	p := newPair(t, Limits{})
	h, to := p.open(ModeTCP)
	for range 3 {
		for _, b := range p.cut(p.a, h, unit(1, MaxUnit), 1400) {
			p.give(p.b, b)
			if o := p.b.lookup(to).ordered; o.held != 0 || o.ring != nil {
				t.Fatal("a segment in order was kept")
			}
		}
		if got := p.units(p.b); len(got) != 1 || got[0] != string(unit(1, MaxUnit)) {
			t.Fatalf("%d units", len(got))
		}
	}
	if got := p.b.Stats().Buffered; got != 0 {
		t.Errorf("%d bytes buffered", got)
	}
}

// TestOrderedWaits: one lost segment holds back all that follow, and nothing is
// skipped, however long it takes.
func TestOrderedWaits(t *testing.T) {
	p := newPair(t, Limits{ResendLimit: time.Hour})
	h, _ := p.open(ModeTCP)
	missing := p.a.AppendSegment(nil, h, Whole, []byte("first"))
	for i := range 3 * maxReady {
		p.give(p.b, p.a.AppendSegment(nil, h, Whole, unit(i, 30)))
	}
	p.now = p.now.Add(time.Hour - 1)
	p.b.HandleTimeout(p.now)
	if got := p.units(p.b); len(got) != 0 {
		t.Fatalf("%d units came before the first", len(got))
	}
	p.give(p.b, missing)
	// The ready queue is bounded; what does not fit waits where it is.
	if got := p.b.in.ready.len(); got != maxReady {
		t.Errorf("%d units are ready", got)
	}
	p.give(p.b, p.a.AppendSegment(nil, h, Whole, []byte("last")))
	got := p.units(p.b)
	if len(got) != 3*maxReady+2 || got[0] != "first" || got[3*maxReady] != string(unit(3*maxReady-1, 30)) || got[3*maxReady+1] != "last" {
		t.Errorf("%d units", len(got))
	}
	if s := p.b.Stats(); s.Buffered != 0 {
		t.Errorf("%d bytes buffered in the end", s.Buffered)
	}
}

// TestOrderedFullQueue delivers in order while nobody reads: a bounded number
// of units is ready, the rest waits, repeats are recognised, and a channel that
// closes meanwhile does no harm.
func TestOrderedFullQueue(t *testing.T) {
	p := newPair(t, Limits{})
	h, _ := p.open(ModeTCP)
	other, _ := p.open(ModeTCP)
	for i := range maxReady + 50 {
		p.give(p.b, p.a.AppendSegment(nil, h, Whole, unit(i, 10)))
	}
	again := p.a.AppendSegment(nil, other, Whole, []byte("other"))
	p.give(p.b, again)
	p.give(p.b, again)
	if s := p.b.Stats(); p.b.in.ready.len() != maxReady || s.Duplicates != 1 || p.b.stalled.len() != 2 {
		t.Fatalf("%d ready, %d stalled, %+v", p.b.in.ready.len(), p.b.stalled.len(), s)
	}
	p.a.CloseChannel(p.now, other, ReasonNone)
	p.settle()
	if got := p.units(p.b); len(got) != maxReady+50 {
		t.Errorf("%d units", len(got))
	}
	if s := p.b.Stats(); s.Incomplete != 1 || s.Buffered != minRing*ringEntry {
		t.Errorf("%+v", s)
	}
}

// TestSequenceWrap crosses the end of the 24-bit sequence numbers (C-6).
func TestSequenceWrap(t *testing.T) {
	for _, caps := range []Capabilities{ModeTCP, ModeUDP} {
		p := newPair(t, Limits{})
		h, to := p.open(caps)
		p.a.lookup(h).sent = 1<<SequenceBits - 20
		if c := p.b.lookup(to); c.ordered != nil {
			c.ordered.next = 1<<SequenceBits - 20
		} else {
			c.unordered.window.end = 1<<SequenceBits - 20
		}
		var net [][]byte
		want := randomUnits(rand.New(rand.NewPCG(1, 1)), 20, 300)
		for _, u := range want {
			net = append(net, p.cut(p.a, h, []byte(u), 100)...)
		}
		slices.Reverse(net)
		var got []string
		for _, b := range net {
			p.give(p.b, b)
			p.give(p.b, b)
			got = append(got, p.units(p.b)...)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) || p.b.Stats().Duplicates != uint64(len(net)) {
			t.Errorf("%v: %d units of %d", caps, len(got), len(want))
		}
	}
}

// TestViolations breaks the rules of a channel in every way: the channel
// closes, both ends learn why, and its memory is free again.
func TestViolations(t *testing.T) {
	type seg struct {
		seq   uint32
		flags uint8
		n     int
	}
	const first, middle, last, whole = flagFirst, 0, flagLast, flagsWhole
	giant := []seg{{0, first, MaxSegment}, {1, middle, MaxUnit - MaxSegment}, {2, last, 1}}
	tests := []struct {
		name string
		caps Capabilities
		segs []seg
		want Reason
	}{
		{"ordered: begins in the middle", ModeTCP, []seg{{0, middle, 9}}, ReasonFraming},
		{"ordered: begins with the end", ModeTCP, []seg{{0, last, 9}}, ReasonFraming},
		{"ordered: unit inside a unit", ModeTCP, []seg{{0, first, 9}, {1, first, 9}}, ReasonFraming},
		{"ordered: whole inside a unit", ModeTCP, []seg{{0, first, 9}, {1, whole, 9}}, ReasonFraming},
		{"ordered: found out late", ModeTCP, []seg{{2, first, 9}, {1, first, 9}, {0, whole, 9}}, ReasonFraming},
		{"ordered: unit too large", ModeTCP, giant, ReasonFraming},
		{"ordered: unit too large, found out late", ModeTCP, []seg{giant[2], giant[1], giant[0]}, ReasonFraming},
		{"ordered: too far ahead", ModeTCP, []seg{{maxAhead, whole, 9}}, ReasonOverflow},
		{"ordered: no memory for the ring", ModeTCP, []seg{{maxAhead - 1, whole, 9}}, ReasonOverflow},
		{"ordered: no memory for segments", ModeTCP, []seg{{3, whole, MaxSegment}, {2, whole, MaxSegment}, {1, whole, MaxSegment}, {4, whole, MaxSegment}}, ReasonOverflow},
		{"ordered: no memory for units", ModeTCP, []seg{{0, whole, MaxSegment}, {1, whole, MaxSegment}, {2, whole, MaxSegment}, {3, whole, MaxSegment}}, ReasonOverflow},
		{"ordered: no memory to go on", ModeTCP, []seg{{4, whole, MaxSegment}, {3, whole, MaxSegment}, {2, whole, MaxSegment}, {0, first, 9000}, {1, middle, 9000}}, ReasonOverflow},
		{"unordered: begins in the middle", ModeUDP, []seg{{0, middle, 9}}, ReasonFraming},
		{"unordered: begins with the end", ModeUDP, []seg{{0, last, 9}}, ReasonFraming},
		{"unordered: unit inside a unit", ModeUDP, []seg{{0, first, 9}, {1, first, 9}}, ReasonFraming},
		{"unordered: whole inside a unit", ModeUDP, []seg{{5, first, 9}, {6, whole, 9}}, ReasonFraming},
		{"unordered: whole before a middle", ModeUDP, []seg{{6, middle, 9}, {5, whole, 9}}, ReasonFraming},
		{"unordered: unit after an open end", ModeUDP, []seg{{6, middle, 9}, {7, first, 9}}, ReasonFraming},
		{"unordered: open end before a unit", ModeUDP, []seg{{7, first, 9}, {6, middle, 9}}, ReasonFraming},
		{"unordered: middle after an end", ModeUDP, []seg{{6, last, 9}, {7, middle, 9}}, ReasonFraming},
		{"unordered: unit too large", ModeUDP, giant, ReasonFraming},
		{"unordered: unit too large, in reverse", ModeUDP, []seg{giant[2], giant[1], giant[0]}, ReasonFraming},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPair(t, Limits{BufferBytes: minBufferBytes})
			at, to := p.open(tt.caps)
			id := p.a.lookup(at).id
			for i, s := range tt.segs {
				if got := p.b.State(to); got != Established {
					t.Fatalf("%v before segment %d", got, i)
				}
				b := appendHeader(nil, header{id: id, seq: s.seq, flags: s.flags | flagOpener}, s.n)
				p.give(p.b, append(b, make([]byte, s.n)...))
			}
			if e := lastEvent(t, p.b); e.Kind != EventClosed || e.Reason != tt.want || e.ByPeer || p.b.State(to) != Closed {
				t.Fatalf("event %+v", e)
			}
			p.give(p.a, p.only(p.b))
			if e := lastEvent(t, p.a); e.Kind != EventClosed || e.Reason != tt.want || !e.ByPeer || p.a.ControlPending() {
				t.Errorf("at the other end %+v", e)
			}
			p.units(p.b)
			if s := p.b.Stats(); s.Violations != 1 || s.Buffered != 0 || s.Channels != 0 {
				t.Errorf("%+v", s)
			}
			// Stragglers are counted, and nobody is told again.
			p.give(p.b, append(appendHeader(nil, header{id: id, flags: flagsData}, 1), 0))
			if s := p.b.Stats(); s.UnknownChannel != 1 || p.b.ControlPending() {
				t.Errorf("straggler: %+v", s)
			}
		})
	}
}

// TestFarthestAhead sends the farthest segment that is allowed, and one more.
func TestFarthestAhead(t *testing.T) {
	p := newPair(t, Limits{})
	at, to := p.open(ModeTCP)
	send := func(seq uint32) {
		h := header{id: p.a.lookup(at).id, seq: seq, flags: flagsData}
		p.give(p.b, append(appendHeader(nil, h, 1), 1))
	}
	send(maxAhead - 1)
	if s := p.b.Stats(); p.b.State(to) != Established || s.Buffered != maxAhead*ringEntry+smallBytes+bufferOverhead {
		t.Fatalf("%v, %+v", p.b.State(to), s)
	}
	send(maxAhead)
	if e := lastEvent(t, p.b); e.Reason != ReasonOverflow || p.b.Stats().Buffered != 0 {
		t.Errorf("%+v", e)
	}
}

// TestBytesNotRetained overwrites every input after the call.
func TestBytesNotRetained(t *testing.T) {
	for _, caps := range []Capabilities{ModeTCP, ModeUDP} {
		p := newPair(t, Limits{})
		h, _ := p.open(caps)
		want := unit(7, 5000)
		net := p.cut(p.a, h, want, 1000)
		slices.Reverse(net)
		for _, b := range net {
			p.give(p.b, b)
			clear(b)
		}
		if got := p.units(p.b); len(got) != 1 || !bytes.Equal([]byte(got[0]), want) {
			t.Errorf("%v: the unit changed with its input", caps)
		}
	}
}

// TestDeterministic runs the same story twice.
func TestDeterministic(t *testing.T) {
	story := func() (wire [][]byte, s Stats) {
		p := newPair(t, Limits{})
		for range 20 {
			if _, err := p.a.Open(p.now, ModeTCP); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			p.now = p.now.Add(DefaultHandshakeTimeout)
			p.a.HandleTimeout(p.now)
			for _, b := range p.control(p.a) {
				wire = append(wire, b)
				p.give(p.b, b)
			}
			for _, b := range p.control(p.b) {
				wire = append(wire, b)
				p.give(p.a, b)
			}
		}
		return wire, p.b.Stats()
	}
	wire1, s1 := story()
	wire2, s2 := story()
	if diff := cmp.Diff(wire1, wire2); diff != "" || s1 != s2 || s1.Opened != 20 {
		t.Errorf("two runs differ: %+v, %+v\n%s", s1, s2, diff)
	}
}
