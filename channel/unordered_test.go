package channel

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestUnorderedAnyOrder delivers three units of 1, 3 and 2 segments in all 720
// orders: each comes out with its last segment to arrive, whichever that is.
func TestUnorderedAnyOrder(t *testing.T) {
	var walk func(order, left []int)
	walk = func(order, left []int) {
		if len(left) > 0 {
			for i := range left {
				rest := append(slices.Clone(left[:i]), left[i+1:]...)
				walk(append(slices.Clone(order), left[i]), rest)
			}
			return
		}
		p := newPair(t, Limits{})
		h, _ := p.open(ModeUDP)
		owner := []int{0, 1, 1, 1, 2, 2}
		want := []string{"a", "bbb", "cc"}
		var net [][]byte
		for _, u := range want {
			net = append(net, p.cut(p.a, h, []byte(u), 1)...)
		}
		missing := []int{1, 3, 2}
		for _, i := range order {
			p.give(p.b, net[i])
			p.give(p.b, net[i]) // a repeat
			missing[owner[i]]--
			got := p.units(p.b)
			if complete := missing[owner[i]] == 0; complete != (len(got) == 1) || complete && got[0] != want[owner[i]] {
				t.Fatalf("order %v, at %d: %q", order, i, got)
			}
		}
		if s := p.b.Stats(); s.Duplicates != 6 || s.Buffered > minRing*ringEntry || !p.b.Deadline().IsZero() {
			t.Fatalf("order %v: %+v", order, s)
		}
	}
	walk(nil, []int{0, 1, 2, 3, 4, 5})
}

// TestUnorderedLoss loses segments: what is whole is delivered at once, the
// rest expires at its time, and late pieces do no harm.
func TestUnorderedLoss(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 2))
		p := newPair(t, Limits{UnitTimeout: time.Second})
		h, _ := p.open(ModeUDP)
		var want, got []string
		var pieces uint64
		var late [][]byte
		for i := range 300 {
			u := unit(i, 1+rng.IntN(3000))
			net := p.cut(p.a, h, u, 700)
			rng.Shuffle(len(net), func(i, j int) { net[i], net[j] = net[j], net[i] })
			arrived := 0
			for _, b := range net {
				if rng.IntN(10) == 0 {
					late = append(late, b)
					continue
				}
				p.give(p.b, b)
				arrived++
			}
			if arrived == len(net) {
				want = append(want, string(u))
			} else {
				pieces += uint64(arrived)
			}
			got = append(got, p.units(p.b)...)
			p.now = p.now.Add(100 * time.Microsecond)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: %d units, want %d", seed, len(got), len(want))
		}
		p.now = p.now.Add(960 * time.Millisecond) // 970 to 990 ms old
		for d := p.b.Deadline(); !d.IsZero(); d = p.b.Deadline() {
			if !d.After(p.now) {
				t.Fatalf("seed %d: the deadline %v is not after now", seed, d)
			}
			p.now = d
			p.b.HandleTimeout(p.now)
			checkMux(t, p.b)
		}
		if s := p.b.Stats(); s.Incomplete != pieces || s.Buffered > minRing*ringEntry {
			t.Errorf("seed %d: %d pieces expired of %d, %+v", seed, s.Incomplete, pieces, s)
		}
		for _, b := range late {
			p.give(p.b, b)
		}
		p.units(p.b)
		p.b.HandleTimeout(p.now.Add(time.Second))
		if s := p.b.Stats(); s.Violations != 0 || s.Duplicates != 0 || s.Buffered > minRing*ringEntry {
			t.Errorf("seed %d: after late pieces %+v", seed, s)
		}
	}
}

// TestUnorderedWindow moves the window on: pieces behind it are dropped, late
// segments are counted, repeats inside it are still known.
func TestUnorderedWindow(t *testing.T) {
	p := newPair(t, Limits{})
	at, to := p.open(ModeUDP)
	id := p.a.lookup(at).id
	send := func(seq uint32, flags uint8) {
		p.give(p.b, append(appendHeader(nil, header{id: id, seq: seq, flags: flags | flagOpener}, 1), 'x'))
		p.units(p.b)
	}
	const reach = unorderedWindow - 64
	send(100, flagFirst)
	send(101, 0)
	for seq := uint32(200); seq < 100+reach; seq++ {
		send(seq, flagsWhole)
	}
	if s := p.b.Stats(); s.Incomplete != 0 || s.Late != 0 {
		t.Fatalf("too early: %+v", s)
	}
	send(100, flagFirst)
	send(200, flagsWhole)
	if s := p.b.Stats(); s.Duplicates != 2 {
		t.Errorf("repeats at the end of the window: %+v", s)
	}
	send(100+reach, flagsWhole) // 100 falls out, and 101 with it
	if s := p.b.Stats(); s.Incomplete != 2 || s.Buffered > minRing*ringEntry {
		t.Errorf("behind the window: %+v", s)
	}
	send(100, flagFirst)
	send(99, flagsWhole)
	if s := p.b.Stats(); s.Late != 2 {
		t.Errorf("late: %+v", s)
	}
	before := p.b.Stats().Duplicates
	for seq := uint32(200); seq <= 100+reach; seq++ {
		send(seq, flagsWhole)
	}
	if got := p.b.Stats().Duplicates - before; got != reach-99 {
		t.Errorf("%d repeats recognised of %d", got, reach-99)
	}
	const far = 1 << (SequenceBits - 1)
	send(far-1, flagFirst) // far ahead: a long outage
	send(far, flagLast)
	send(100+reach, flagsWhole)
	if s := p.b.Stats(); s.Late != 3 || s.UnitsDelivered != reach-99+1 || p.b.State(to) != Established {
		t.Errorf("after a jump: %+v", s)
	}
}

// TestUnorderedNoRoom: where memory or the ready queue ends, segments are
// dropped and counted, and the channel lives on.
func TestUnorderedNoRoom(t *testing.T) {
	p := newPair(t, Limits{BufferBytes: minBufferBytes})
	h, to := p.open(ModeUDP)
	for range 500 { // pieces that never become whole
		p.give(p.b, p.a.AppendSegment(nil, h, First, unit(1, 1200)))
		p.a.AppendSegment(nil, h, Last, unit(1, 1200)) // lost
	}
	s := p.b.Stats()
	if s.NoRoom == 0 || s.Buffered > minBufferBytes || s.Violations != 0 {
		t.Errorf("memory: %+v", s)
	}
	for range 500 { // whole ones, and nobody reads
		p.give(p.b, p.a.AppendSegment(nil, h, Whole, unit(1, 1200)))
	}
	p.b.HandleTimeout(p.now.Add(DefaultUnitTimeout))
	p.units(p.b)
	for i := range maxReady + 10 {
		p.give(p.b, p.a.AppendSegment(nil, h, Whole, []byte{byte(i)}))
	}
	for _, b := range p.cut(p.a, h, unit(1, 10), 5) {
		p.give(p.b, b)
	}
	got := p.units(p.b)
	if len(got) == 0 || len(got) > maxReady || p.b.State(to) != Established {
		t.Errorf("%d units were ready", len(got))
	}
	p.give(p.b, p.a.AppendSegment(nil, h, Whole, []byte("alive")))
	if got := p.units(p.b); len(got) != 1 || got[0] != "alive" {
		t.Errorf("afterwards: %q", got)
	}
}

// TestUnorderedFullQueue completes a unit while the ready queue is full: it is
// dropped, and so is every piece of it.
func TestUnorderedFullQueue(t *testing.T) {
	p := newPair(t, Limits{})
	h, to := p.open(ModeUDP)
	for range maxReady {
		p.giveFast(p.b, p.a.AppendSegment(nil, h, Whole, []byte{1}))
	}
	for _, b := range p.cut(p.a, h, unit(1, 30), 10) {
		p.give(p.b, b)
	}
	p.give(p.b, p.a.AppendSegment(nil, h, Whole, []byte{1}))
	if s := p.b.Stats(); s.NoRoom != 4 || p.b.lookup(to).unordered.held != 0 || p.b.in.oldest != nil {
		t.Errorf("%+v", s)
	}
	if got := p.units(p.b); len(got) != maxReady {
		t.Errorf("%d units", len(got))
	}
}

// TestUnorderedTiny: filling the holes of the largest unit one byte at a time
// visits no more than the neighbours (adversary: many tiny segments).
func TestUnorderedTiny(t *testing.T) {
	p := newPair(t, Limits{})
	h, _ := p.open(ModeUDP)
	want := unit(3, 5000)
	net := p.cut(p.a, h, want, 1)
	for i := 0; i < len(net); i += 2 { // even ones first, then the holes
		p.giveFast(p.b, net[i])
	}
	for i := 1; i < len(net); i += 2 {
		p.giveFast(p.b, net[i])
	}
	checkMux(t, p.b)
	if got := p.units(p.b); len(got) != 1 || got[0] != string(want) {
		t.Errorf("%d units", len(got))
	}
}

// giveFast is give without the check of all of memory.
func (p *pair) giveFast(m *Mux, b []byte) {
	p.t.Helper()
	if err := m.HandleSegments(p.now, b); err != nil {
		p.t.Fatal(err)
	}
}

// TestCloseDropsPieces: a close frees what waits on the channel and nothing of
// its neighbour.
func TestCloseDropsPieces(t *testing.T) {
	p := newPair(t, Limits{})
	h1, to1 := p.open(ModeUDP)
	h2, _ := p.open(ModeUDP)
	p.give(p.b, p.a.AppendSegment(nil, h1, First, []byte("half")))
	p.give(p.b, p.a.AppendSegment(nil, h2, First, []byte("one ")))
	p.give(p.b, p.a.AppendSegment(nil, h1, 0, []byte("a unit")))
	p.b.CloseChannel(p.now, to1, ReasonLoss)
	checkMux(t, p.b)
	p.settle()
	p.give(p.b, p.a.AppendSegment(nil, h2, Last, []byte("two")))
	if got := p.units(p.b); len(got) != 1 || got[0] != "one two" {
		t.Errorf("%q", got)
	}
	if e := lastEvent(t, p.a); e.Reason != ReasonLoss || !p.b.Deadline().IsZero() {
		t.Errorf("%+v", e)
	}
}
