package channel

import (
	"fmt"
	"testing"
)

// traffic is a stream of symbols for one channel that can go on for ever: send
// builds the next symbols, the far end takes them.
type traffic struct {
	p       *pair
	h       Handle
	size    int // of units
	segment int // bytes of a unit in a symbol
	swap    bool
	unit    []byte
	symbols [2][]byte
}

func newTraffic(tb testing.TB, caps Capabilities, size int, swap bool) *traffic {
	tb.Helper()
	p := newPair(tb, Limits{})
	h, _ := p.open(caps)
	return &traffic{p: p, h: h, size: size, segment: 1200, swap: swap, unit: make([]byte, size)}
}

// step carries two units; with swap, pairs of symbols change places.
func (x *traffic) step() {
	n, waiting := 0, 0
	for range 2 {
		for off := 0; off < x.size; off += x.segment {
			end := min(off+x.segment, x.size)
			s := x.p.a.AppendSegment(x.symbols[waiting][:0], x.h, PlaceOf(off, end-off, x.size), x.unit[off:end])
			x.symbols[waiting] = s
			if x.swap && waiting == 0 {
				waiting = 1
				continue
			}
			n += x.deliver(x.symbols[waiting])
			if x.swap {
				n += x.deliver(x.symbols[0])
				waiting = 0
			}
		}
	}
	if n != 2 {
		x.p.t.Fatalf("%d units arrived", n)
	}
}

func (x *traffic) deliver(symbol []byte) (n int) {
	if err := x.p.b.HandleSegments(x.p.now, symbol); err != nil {
		x.p.t.Fatal(err)
	}
	for {
		if _, ok := x.p.b.ReadUnit(x.p.buf); !ok {
			break
		}
		n++
	}
	_ = x.p.b.Deadline()
	return n
}

// TestNoAllocations: steady traffic allocates nothing, in order or not.
func TestNoAllocations(t *testing.T) {
	for caps := range ModeTCP + 1 {
		for _, size := range []int{60, 1000, 1500, 54_000} {
			for _, swap := range []bool{false, true} {
				x := newTraffic(t, caps, size, swap)
				for range 100 {
					x.step()
				}
				if got := testing.AllocsPerRun(200, x.step); got != 0 {
					t.Errorf("%v, %d bytes, swapped %v: %v allocations", caps, size, swap, got)
				}
			}
		}
	}
}

// TestNoAllocationsGap: a gap of a hundred segments that opens and closes again
// and again allocates nothing.
func TestNoAllocationsGap(t *testing.T) {
	for caps := range ModeTCP + 1 {
		p := newPair(t, Limits{})
		h, _ := p.open(caps)
		var missing, b []byte
		body := make([]byte, 1200)
		cycle := func() {
			missing = p.a.AppendSegment(missing[:0], h, First, body)
			for i := range 200 {
				b = p.a.AppendSegment(b[:0], h, []Place{Last, First}[i%2], body)
				p.giveFast(p.b, b)
			}
			p.giveFast(p.b, p.a.AppendSegment(b[:0], h, Last, body))
			p.giveFast(p.b, missing)
			for {
				if _, ok := p.b.ReadUnit(p.buf); !ok {
					break
				}
			}
		}
		cycle()
		if got := testing.AllocsPerRun(50, cycle); got != 0 {
			t.Errorf("%v: %v allocations", caps, got)
		}
	}
}

func BenchmarkUnits(b *testing.B) {
	for _, caps := range []Capabilities{ModeTCP, ModeUDP} {
		for _, size := range []int{60, 1200, 1500, 54_000} {
			for _, swap := range []bool{false, true} {
				b.Run(fmt.Sprintf("%v/%d/swap=%v", caps, size, swap), func(b *testing.B) {
					x := newTraffic(b, caps, size, swap)
					segments := float64((size + x.segment - 1) / x.segment)
					b.SetBytes(2 * int64(size))
					b.ReportAllocs()
					for b.Loop() {
						x.step()
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/2/segments, "ns/segment")
				})
			}
		}
	}
}

// BenchmarkHandshake opens and closes a channel.
func BenchmarkHandshake(b *testing.B) {
	p := newPair(b, Limits{})
	buf := make([]byte, 0, 1200)
	pass := func(from, to *Mux) {
		out, seq, _ := from.AppendControl(buf, 1200)
		p.giveFast(to, out)
		from.OnControlDelivered(p.now, seq)
	}
	b.ReportAllocs()
	for b.Loop() {
		h, err := p.a.Open(p.now, ModeTCP)
		if err != nil {
			b.Fatal(err)
		}
		pass(p.a, p.b)
		pass(p.b, p.a)
		pass(p.a, p.b)
		p.a.CloseChannel(p.now, h, ReasonIdle)
		pass(p.a, p.b)
	}
}
