package channel

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// flight is what one direction of one channel has sent, and the model of what
// its receiver must have delivered: which segments arrived, nothing else.
type flight struct {
	h       Handle
	ordered bool
	net     [][]byte     // segments sent and not lost
	seqs    []int        // their numbers
	units   []string     // sent
	spans   [][2]int     // of units: first and last segment
	arrived map[int]bool // by segment
	taken   int          // units the model has delivered, if ordered
	done    map[int]bool // the same, if unordered
}

// send cuts a unit into segments and puts them on the net.
func (f *flight) send(p *pair, u []byte, size int) {
	lo := int(p.a.lookup(f.h).sent)
	net := p.cut(p.a, f.h, u, size)
	f.units = append(f.units, string(u))
	f.spans = append(f.spans, [2]int{lo, lo + len(net) - 1})
	for i, b := range net {
		f.net, f.seqs = append(f.net, b), append(f.seqs, lo+i)
	}
}

// lose takes segment i off the net.
func (f *flight) lose(i int) {
	f.net = slices.Delete(f.net, i, i+1)
	f.seqs = slices.Delete(f.seqs, i, i+1)
}

// complete lists the units that the model can deliver now.
func (f *flight) complete() (units []string) {
	whole := func(i int) bool {
		for s := f.spans[i][0]; s <= f.spans[i][1]; s++ {
			if !f.arrived[s] {
				return false
			}
		}
		return true
	}
	if f.ordered {
		for ; f.taken < len(f.units) && whole(f.taken); f.taken++ {
			units = append(units, f.units[f.taken])
		}
		return units
	}
	for i := range f.units {
		if !f.done[i] && whole(i) {
			f.done[i] = true
			units = append(units, f.units[i])
		}
	}
	return units
}

// runModel interprets ops as a story of sending, losing, repeating and
// reordering on one channel of each mode, and compares every delivery with the
// model.
func runModel(tb testing.TB, ops []byte) {
	tb.Helper()
	p := newPair(tb, Limits{})
	var flights []*flight
	for _, caps := range []Capabilities{ModeTCP, ModeUDP, ModeSCTP, ModeZ} {
		h, _ := p.open(caps)
		flights = append(flights, &flight{
			h: h, ordered: caps == ModeTCP, arrived: map[int]bool{}, done: map[int]bool{},
		})
	}
	compare := func() {
		tb.Helper()
		got := p.units(p.b)
		var want []string
		for _, f := range flights {
			want = append(want, f.complete()...)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			tb.Fatalf("delivered %d units, the model %d", len(got), len(want))
		}
	}
	var symbol []byte
	for len(ops) >= 3 {
		op, x, y := ops[0], int(ops[1]), int(ops[2])
		f := flights[op>>6]
		ops = ops[3:]
		if op&7 < 2 {
			f.send(p, unit(len(f.units), 1+x*x/8), 1+y*8)
			continue
		}
		if len(f.net) == 0 {
			continue
		}
		i := (x<<8 | y) % len(f.net)
		if op&7 == 2 {
			f.lose(i)
			continue
		}
		symbol = append(symbol, f.net[i]...)
		f.arrived[f.seqs[i]] = true
		if op&7 != 3 { // else its copy stays on the net
			f.lose(i)
		}
		if op&8 == 0 { // else more segments in the same symbol
			p.giveFast(p.b, symbol)
			symbol = symbol[:0]
			compare()
		}
	}
	p.giveFast(p.b, symbol)
	compare()
	for _, f := range flights { // heal: everything not lost arrives
		for i, b := range f.net {
			p.giveFast(p.b, b)
			f.arrived[f.seqs[i]] = true
		}
	}
	compare()
	checkModelEnd(tb, p)
}

func checkModelEnd(tb testing.TB, p *pair) {
	tb.Helper()
	if s := p.b.Stats(); s.Violations != 0 || s.NoRoom != 0 || s.Incomplete != 0 || s.UnknownChannel != 0 {
		tb.Fatalf("%+v", s)
	}
	for _, c := range slices.Clone(p.b.slots) {
		p.b.CloseChannel(p.now, c.handle, ReasonNone)
		checkMux(tb, p.b)
	}
	if s := p.b.Stats(); s.Buffered != 0 || s.Channels != 0 {
		tb.Fatalf("after closing everything: %+v", s)
	}
}

func TestModel(t *testing.T) {
	for seed := range byte(12) {
		runModel(t, randomBytes(seed, 3000))
	}
}

// FuzzModel: any network may reorder, repeat and lose segments in any way, and
// any two of several may share a symbol. A delivery that the model does not
// make, or one that it makes and the Mux does not, is a failure.
func FuzzModel(f *testing.F) {
	f.Add([]byte{0, 50, 10, 0x44, 0, 0, 0x40, 90, 90, 0x44, 0, 3, 0x43, 0, 1, 0x4c, 0, 2, 4, 0, 0})
	f.Add(randomBytes(1, 300))
	f.Fuzz(func(t *testing.T, ops []byte) { runModel(t, ops[:min(len(ops), 600)]) })
}

// FuzzHostile: an authenticated peer sends well-formed segments that make no
// sense: any flags, numbers and lengths, handshake messages and COOKIE at any
// time, on channels of all modes, with pauses. Memory must add up and stay bounded, deadlines must lie ahead, and in
// the end everything must come back.
func FuzzHostile(f *testing.F) {
	f.Add([]byte{0, 0, 1, 9, 1, 0, 3, 9, 6, 1, 0, 0, 7, 0, 0, 0})
	f.Add(randomBytes(2, 400))
	f.Fuzz(func(t *testing.T, ops []byte) { runHostile(t, ops[:min(len(ops), 400)]) })
}

func TestHostile(t *testing.T) {
	for seed := range byte(10) {
		runHostile(t, randomBytes(seed, 4000))
	}
}

func runHostile(tb testing.TB, ops []byte) {
	tb.Helper()
	p := newPair(tb, Limits{BufferBytes: minBufferBytes, Channels: 10, Opening: 2})
	var ids []ID
	for _, caps := range []Capabilities{ModeTCP, ModeUDP, ModeStreaming1, ModeStreaming2, ModeX, ModeSCTP, ModeY, ModeZ} {
		h, _ := p.open(caps)
		ids = append(ids, p.a.lookup(h).id)
	}
	for ; len(ops) >= 4; ops = ops[4:] {
		op, x, y, z := ops[0], uint32(ops[1]), uint32(ops[2]), int(ops[3])
		id := ids[op>>5]
		switch op & 7 {
		default: // a segment, mostly near the start
			seq := x << (y >> 4 * 2)
			h := header{id: id, seq: seq, flags: uint8(y)&flagsWhole | flagOpener}
			n := 1 + z*z
			p.give(p.b, append(appendHeader(nil, h, n), make([]byte, n)...))
		case 5:
			p.units(p.b)
		case 6: // a handshake, or a part of one
			if y&1 == 0 {
				_, _ = p.a.Open(p.now, Capabilities(y>>1&7))
			}
			for range x % 4 {
				p.pass(p.a, p.b)
				p.pass(p.b, p.a)
			}
			for _, c := range p.a.slots {
				if c == nil || !p.a.CanSend(c.handle) {
					continue
				}
				ids[x&7] = c.id
				if y&0x40 != 0 { // early data, or COOKIE for no reason
					p.giveFast(p.b, p.a.appendCookie(nil, c))
				}
			}
		case 7:
			p.now = p.now.Add(time.Duration(z*z) * time.Millisecond)
			p.b.HandleTimeout(p.now)
			p.a.HandleTimeout(p.now)
			checkMux(tb, p.b)
			if d := p.b.Deadline(); !d.IsZero() && !d.After(p.now) {
				tb.Fatalf("the deadline %v is not after now", d)
			}
		}
	}
	p.settle()
	for _, c := range slices.Clone(p.b.slots) {
		if c != nil {
			p.b.CloseChannel(p.now, c.handle, ReasonNone)
		}
	}
	p.units(p.b)
	p.settle()
	checkMux(tb, p.b)
	if s := p.b.Stats(); s.Buffered != 0 || s.Channels != 0 || p.b.remote.slots != 0 {
		tb.Fatalf("after closing everything: %+v", s)
	}
}

// FuzzWindow compares the window with a set: numbers within reach are known
// exactly, those behind are refused.
func FuzzWindow(f *testing.F) {
	f.Add([]byte{0, 1, 0, 2, 255, 255, 0, 63, 0, 64, 0, 65})
	f.Fuzz(func(t *testing.T, ops []byte) {
		w := newWindow(256)
		w.end = 1<<SequenceBits - 300
		seen := map[uint64]bool{}
		for ; len(ops) >= 2; ops = ops[2:] {
			want := w.end + uint64(ops[1])<<(ops[0]&3)
			if ops[0]&4 != 0 {
				want = w.end - uint64(ops[1])<<(ops[0]&1)
			}
			got, ok := w.locate(uint32(want) % (1 << SequenceBits))
			if inside := want+w.reach() >= w.end; ok != inside || ok && got != want {
				t.Fatalf("locate %d with end %d: %d, %v", want, w.end, got, ok)
			}
			if !ok {
				continue
			}
			if w.has(want) != seen[want] {
				t.Fatalf("has %d with end %d: %v", want, w.end, w.has(want))
			}
			w.mark(want)
			seen[want] = true
			if !w.has(want) || w.end <= want {
				t.Fatalf("%d is not marked", want)
			}
		}
	})
}

// TestWindow runs FuzzWindow's comparison densely at one size.
func TestWindow(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	w := newWindow(1024)
	seen := map[uint64]bool{}
	for range 50_000 {
		at := max(int64(w.end)+int64(rng.IntN(1000))-950, 0)
		if rng.IntN(1000) == 0 {
			at += int64(rng.IntN(5000))
		}
		got, ok := w.locate(uint32(at) % (1 << SequenceBits))
		if !ok || got != uint64(at) || w.has(got) != seen[got] {
			t.Fatalf("%d with end %d: %d %v", at, w.end, got, ok)
		}
		w.mark(got)
		seen[got] = true
	}
	if _, ok := newWindowAt(5).locate(1<<SequenceBits - 1); ok {
		t.Error("a number below zero was located")
	}
}

// TestSequence: of all numbers with the bits that travel, the nearest is meant, around
// every wrap and up to half the span away (C-6).
func TestSequence(t *testing.T) {
	const span, half = 1 << SequenceBits, 1 << (SequenceBits - 1)
	for _, near := range []uint64{0, 1, half - 1, half, span - 1, span, span + 1, 5*span - 3, 1<<32 - 1, 1 << 32, 1<<40 + 7} {
		for _, d := range []int64{-half, 1 - half, -1000, -1, 0, 1, 1000, half - 1} {
			v := int64(near) + d
			if v < 0 {
				continue
			}
			b := appendHeader(nil, header{id: 0x10001, seq: uint32(v), flags: flagsWhole}, 1)
			h, _, _, err := parseSegment(append(b, 'x'), header{})
			if err != nil || distance(near, h.seq) != d {
				t.Errorf("%d as seen from %d: %d away, want %d (%v)", v, near, distance(near, h.seq), d, err)
			}
		}
	}
}

func newWindowAt(end uint64) *window {
	w := newWindow(1024)
	w.end = end
	return &w
}
