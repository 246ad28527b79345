package channel

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

// symbolAt is a symbol and where it stands.
type symbolAt struct {
	at Position
	b  []byte
}

// packer fills the symbols of a block, as the sending side of a path does.
type packer struct {
	p       *pair
	size    int
	symbols []symbolAt
	across  int // segments that continue the symbol before theirs
}

func newPacker(p *pair, size int) *packer {
	k := &packer{p: p, size: size}
	k.next()
	return k
}

func (k *packer) next() {
	k.symbols = append(k.symbols, symbolAt{at: Position{Index: len(k.symbols)}})
}

// send puts a unit behind what is there, and begins symbols as they fill.
func (k *packer) send(h Handle, u []byte) {
	m := k.p.a
	for off := 0; off < len(u); {
		y := &k.symbols[len(k.symbols)-1]
		at, room := Place(0), k.size-len(y.b)-SegmentHeaderLen
		if len(y.b) > 0 && m.Follows(h) || len(y.b) == 0 && y.at.Index > 0 && m.Continues(h) {
			at, room = Next, k.size-len(y.b)-NextSegmentHeaderLen
		}
		if room <= 0 {
			k.next()
			continue
		}
		if at == Next && len(y.b) == 0 {
			k.across++
		}
		n := min(len(u)-off, room)
		y.b = m.AppendSegment(y.b, h, at|PlaceOf(off, n, len(u)), u[off:off+n])
		off += n
	}
}

// handle gives symbols in this order.
func (p *pair) handle(symbols []symbolAt) {
	p.t.Helper()
	for _, y := range symbols {
		if err := p.b.HandleSymbol(p.now, y.at, y.b); err != nil {
			p.t.Fatalf("HandleSymbol(%+v, %x): %v", y.at, y.b, err)
		}
		checkMux(p.t, p.b)
	}
}

// packed packs units of channels of several modes into a block.
func packed(tb testing.TB, rng *rand.Rand) (p *pair, k *packer, sent map[Handle][]string) {
	tb.Helper()
	p = newPair(tb, Limits{})
	k = newPacker(p, 60+rng.IntN(400))
	type way struct{ at, to Handle }
	var ways []way
	for _, caps := range []Capabilities{ModeTCP, ModeTCP, ModeSCTP, ModeStreaming2} {
		at, to := p.open(caps)
		ways = append(ways, way{at, to})
	}
	sent = map[Handle][]string{}
	for i := 0; len(k.symbols) < 40; i++ {
		w := ways[rng.IntN(1+rng.IntN(len(ways)))]
		u := unit(i, 1+rng.IntN(1+rng.IntN(2000)))
		k.send(w.at, u)
		sent[w.to] = append(sent[w.to], string(u))
	}
	return p, k, sent
}

// TestSymbolsInAnyOrder: symbols that continue each other may come in any order, with
// symbols of other blocks between them: every unit arrives, on ordered channels in order,
// and nothing stays behind.
func TestSymbolsInAnyOrder(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		p, k, sent := packed(t, rng)
		if k.across < 5 {
			t.Fatalf("seed %d: only %d segments continue the symbol before", seed, k.across)
		}
		rng.Shuffle(len(k.symbols), func(i, j int) { k.symbols[i], k.symbols[j] = k.symbols[j], k.symbols[i] })
		p.handle(k.symbols)
		got := map[Handle][]string{}
		for {
			h, n, ok := p.b.ReadFrom(p.buf)
			if !ok {
				break
			}
			got[h] = append(got[h], string(p.buf[:n]))
		}
		for h, want := range sent {
			if p.b.lookup(h).caps == ModeSCTP {
				slices.Sort(want)
				slices.Sort(got[h])
			}
			if !slices.Equal(got[h], want) {
				t.Errorf("seed %d, %v: %d units of %d, or in another order", seed, p.b.lookup(h).caps, len(got[h]), len(want))
			}
		}
		if err := p.b.HandleSymbol(p.now, Position{Block: 1, Oldest: 1}, nil); err != nil {
			t.Fatal(err)
		}
		if s := p.b.Stats(); s.Violations != 0 || s.UnknownChannel != 0 || len(p.b.trails.blocks) != 1 {
			t.Errorf("seed %d: %+v, %d trails", seed, s, len(p.b.trails.blocks))
		}
	}
}

// TestFrontAloneWaits: what stands behind the front of a symbol is delivered at once,
// though the symbol before it is missing.
func TestFrontAloneWaits(t *testing.T) {
	p := newPair(t, Limits{})
	one, _ := p.open(ModeTCP)
	two, _ := p.open(ModeTCP)
	k := newPacker(p, 100)
	k.send(one, unit(1, 150))
	k.send(two, []byte("of another"))
	if len(k.symbols) != 2 || k.across != 1 {
		t.Fatalf("%d symbols, %d segments that continue one", len(k.symbols), k.across)
	}
	p.handle(k.symbols[1:])
	if got := p.units(p.b); !slices.Equal(got, []string{"of another"}) {
		t.Errorf("without the first symbol: %q", got)
	}
	p.handle(k.symbols[:1])
	if got := p.units(p.b); !slices.Equal(got, []string{string(unit(1, 150))}) {
		t.Errorf("with it: %q", got)
	}
}

// TestContinuesOnlyStreams: a segment waits for the symbol before it only where its
// channel would wait anyway.
func TestContinuesOnlyStreams(t *testing.T) {
	p := newPair(t, Limits{})
	for caps := range ModeTCP + 1 {
		h, _ := p.open(caps)
		p.a.AppendSegment(nil, h, Whole, []byte{1})
		if got := p.a.Continues(h); got != (caps == ModeTCP) {
			t.Errorf("%v: %v", caps, got)
		}
	}
}

// TestFrontErrors: a front that nothing before it allows is an error, whichever of the
// two comes first, and the call that finds it changes nothing else.
func TestFrontErrors(t *testing.T) {
	p := newPair(t, Limits{})
	h, to := p.open(ModeTCP)
	fin := p.a.appendCookie(nil, p.a.lookup(h))
	control := appendMessage(nil, &message{kind: typeClose, id: makeID(1, 2)})
	front := append(appendHeader(nil, header{flags: flagsWhole | flagOpener | flagNext}, 1), 1)
	before := map[string][]byte{
		"COOKIE":              fin,
		"control":             append(appendHeader(nil, header{flags: flagsWhole}, len(control)), control...),
		"the other direction": p.b.AppendSegment(nil, to, Whole, []byte{1}),
	}
	for name, b := range before {
		for _, order := range [][]int{{0, 1, 2}, {1, 0, 2}, {2, 1, 0}, {1, 2, 0}} {
			symbols := []symbolAt{{Position{Index: 0}, b}, {Position{Index: 1}, front}, {Position{Index: 2}, front}}
			m := newMux(t, 2, Limits{})
			var err error
			for _, i := range order {
				stats := m.Stats()
				if err = m.HandleSymbol(p.now, symbols[i].at, symbols[i].b); err != nil {
					if m.Stats() != stats {
						t.Errorf("behind %s, order %v: an effect", name, order)
					}
					break
				}
			}
			if !errors.Is(err, ErrFlags) {
				t.Errorf("behind %s, order %v: %v", name, order, err)
			}
		}
	}
	m := newMux(t, 2, Limits{})
	if err := m.HandleSymbol(p.now, Position{}, front); !errors.Is(err, ErrFlags) {
		t.Errorf("at the beginning of a block: %v", err)
	}
	if err := m.HandleSymbol(p.now, Position{Index: 1}, front[:1]); !errors.Is(err, ErrTruncated) || m.Stats() != (Stats{}) {
		t.Errorf("truncated: %v, %+v", err, m.Stats())
	}
	if err := m.HandleSegments(p.now, front); !errors.Is(err, ErrFlags) {
		t.Errorf("of no block: %v", err)
	}
}

// TestNoRoomForFront: a front for which there is no room costs its channel, as any other
// data out of order, when the symbol before it says which that is.
func TestNoRoomForFront(t *testing.T) {
	p := newPair(t, Limits{BufferBytes: minBufferBytes})
	h, to := p.open(ModeTCP)
	full, toFull := p.open(ModeTCP)
	p.a.AppendSegment(nil, full, Whole, []byte("lost"))
	for p.b.in.pool.used+datagramBytes+bufferOverhead <= minBufferBytes {
		p.giveFast(p.b, p.a.AppendSegment(nil, full, Whole, unit(1, 1400)))
	}
	k := newPacker(p, 1400)
	k.send(h, unit(1, 5000))
	p.handle(k.symbols[1:])
	if p.b.State(to) != Established {
		t.Fatal("closed before anybody knew whose front it was")
	}
	p.b.CloseChannel(p.now, toFull, ReasonIdle)
	p.handle(k.symbols[:1])
	if s := p.b.Stats(); p.b.State(to) != Closed || s.Violations != 1 || s.Buffered != 0 {
		t.Errorf("%v, %+v", p.b.State(to), s)
	}
}

// TestTrailsReleased: what waits in a block that will not be completed is given back
// with it.
func TestTrailsReleased(t *testing.T) {
	p := newPair(t, Limits{})
	h, _ := p.open(ModeTCP)
	k := newPacker(p, 100)
	k.send(h, unit(1, 1000))
	p.handle(k.symbols[3:])
	if p.b.Stats().Buffered == 0 {
		t.Fatal("nothing waits")
	}
	p.handle([]symbolAt{{at: Position{Block: 7, Oldest: 7}}})
	if s := p.b.Stats(); s.Buffered != 0 || len(p.b.trails.blocks) != 1 {
		t.Errorf("%+v, %d trails", s, len(p.b.trails.blocks))
	}
}

// TestTrailsBounded: a peer that leaves holes in every block runs into a limit, with
// memory in proportion to Limits.BufferBytes.
func TestTrailsBounded(t *testing.T) {
	m := newMux(t, 2, Limits{BufferBytes: minBufferBytes})
	var err error
	blocks := uint64(0)
	for ; err == nil; blocks++ {
		err = m.HandleSymbol(epoch(), Position{Block: blocks, Index: 255}, nil)
	}
	if !errors.Is(err, ErrSymbols) || blocks != minBufferBytes/bytesPerSymbol/256+1 {
		t.Errorf("%v after %d blocks", err, blocks)
	}
	if err := m.HandleSymbol(epoch(), Position{Block: blocks, Oldest: blocks}, nil); err != nil || m.trails.symbols != 1 {
		t.Errorf("without them: %v, %d symbols", err, m.trails.symbols)
	}
}

// FuzzSymbols: an authenticated peer may put anything into the symbols of a block. Three
// are handed over in two orders, the first of them followed by what may continue it: they
// are accepted in both or in none, memory adds up, and all of it comes back.
func FuzzSymbols(f *testing.F) {
	p := newPair(f, Limits{})
	h, _ := p.open(ModeTCP)
	k := newPacker(p, 40)
	k.send(h, unit(1, 60))
	k.send(h, unit(2, 20))
	f.Add(k.symbols[0].b, k.symbols[1].b, k.symbols[2].b, byte(0))
	f.Add(k.symbols[0].b, k.symbols[2].b, k.symbols[2].b, byte(3))
	orders := [][3]int{{2, 1, 0}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {0, 2, 1}}
	f.Fuzz(func(t *testing.T, a, b, c []byte, order byte) {
		symbols := [3][]byte{a, b, c}
		give := func(order [3]int) error {
			m := newMux(t, 2, Limits{})
			var err error
			for _, i := range order {
				at := Position{Index: i}
				if err = m.HandleSymbol(epoch(), at, bytes.Clone(symbols[i])); err != nil {
					break
				}
				checkMux(t, m)
			}
			_, _ = m.trails.of(Position{Block: 1, Oldest: 1}, &m.in)
			checkMux(t, m)
			return err
		}
		in, out := give([3]int{0, 1, 2}), give(orders[int(order)%len(orders)])
		if (in == nil) != (out == nil) {
			t.Fatalf("in order: %v, in order %v: %v", in, orders[int(order)%len(orders)], out)
		}
	})
}
