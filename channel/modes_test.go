package channel

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// net is a path between the ends of a pair, with a layer below that resends as
// the mode wants it: what is lost is known a round trip later. Loss, jitter and
// so the order of arrival follow from the seed.
type net struct {
	*pair
	rng  *rand.Rand
	caps Capabilities
	loss float64
	wire []packet

	born    []time.Duration // of units
	whole   []time.Duration // when the last piece of a unit arrived for the first time; 0: never
	left    []int           // pieces of a unit that did not arrive yet
	had     map[[2]int]bool // pieces that arrived
	got     []delivered
	sent    int           // segments
	gone    int           // the first that was lost for good, X and Y
	showed  time.Duration // first arrival of a later one
	closed  [2]time.Duration
	reasons [2]Reason
}

type packet struct {
	at    time.Duration
	to    int
	unit  int // -1 for control
	piece int
	index int // of the segment
	b     []byte
}

type delivered struct {
	unit int
	at   time.Duration
}

// The path of these tests: 40 ms of round trip, up to 8 ms of jitter each way, units every 5 ms.
const (
	netDelay  = 20 * time.Millisecond
	netRTT    = 2 * netDelay
	netJitter = 8 * time.Millisecond
	netEvery  = 5 * time.Millisecond
	// netDeadline is when the layer below gives up Z and Streaming 2.
	netDeadline = 250 * time.Millisecond
)

func newNet(tb testing.TB, caps Capabilities, loss float64, seed uint64) (n *net, at Handle) {
	tb.Helper()
	n = &net{pair: newPair(tb, Limits{}), rng: rand.New(rand.NewPCG(seed, 7)), caps: caps, loss: loss, had: map[[2]int]bool{}, gone: -1}
	at, _ = n.open(caps)
	for _, m := range []*Mux{n.a, n.b} {
		m.SetPath(netRTT, netJitter)
	}
	return n, at
}

func (n *net) at() time.Duration { return n.now.Sub(epoch()) }

// launch puts a packet on the wire, or into the hands of the layer that resends.
func (n *net) launch(p packet) {
	lost := n.rng.Float64() < n.loss
	if lost && p.unit >= 0 && n.caps&Resend == 0 {
		if n.gone < 0 {
			n.gone = p.index
		}
		return
	}
	p.at = n.at() + netDelay + time.Duration(n.rng.Int64N(int64(netJitter)))
	if lost {
		p.at, p.to = n.at()+netRTT, p.to+2 // it comes back to be sent again
	}
	i, _ := slices.BinarySearchFunc(n.wire, p.at, func(q packet, at time.Duration) int {
		if q.at > at {
			return 1
		}
		return -1
	})
	n.wire = slices.Insert(n.wire, i, p)
}

// send launches a unit, cut into pieces. While its loss is not known, a unit with
// a deadline travels in so many copies that one in a hundred is lost.
func (n *net) send(h Handle, pieces int) {
	i := len(n.born)
	n.born, n.whole, n.left = append(n.born, n.at()), append(n.whole, 0), append(n.left, pieces)
	copies := 1
	if n.caps&(Resend|CloseOnLoss) == Resend {
		copies = n.copies()
	}
	for k, b := range n.cut(n.a, h, unit(i, pieces*8), 8) {
		n.sent++
		for range copies {
			n.launch(packet{to: 1, unit: i, piece: k, index: n.sent, b: b})
		}
	}
}

// copies is in how many copies something urgent leaves.
func (n *net) copies() int {
	c := 1
	for p := n.loss; p > 0.01; p *= n.loss {
		c++
	}
	return c
}

// arrive notes a piece of a unit.
func (n *net) arrive(p packet) {
	if n.gone >= 0 && p.index > n.gone && n.showed == 0 {
		n.showed = n.at()
	}
	if key := [2]int{p.unit, p.piece}; !n.had[key] {
		n.had[key] = true
		if n.left[p.unit]--; n.left[p.unit] == 0 {
			n.whole[p.unit] = n.at()
		}
	}
	n.give(n.b, p.b)
}

// step handles the next packet, and all timeouts before it.
func (n *net) step(until time.Duration) bool {
	for _, m := range []*Mux{n.a, n.b} {
		if d := m.Deadline(); !d.IsZero() && !d.After(epoch().Add(until)) && (len(n.wire) == 0 || d.Sub(epoch()) <= n.wire[0].at) {
			n.now = d
			m.HandleTimeout(n.now)
			n.look()
			return true
		}
	}
	if len(n.wire) == 0 || n.wire[0].at > until {
		n.now = epoch().Add(until)
		return false
	}
	p := n.wire[0]
	n.wire = n.wire[1:]
	n.now = epoch().Add(p.at)
	switch {
	case p.to >= 2:
		deadline := n.caps&CloseOnLoss == 0 && p.unit >= 0 && n.at()-n.born[p.unit] > netDeadline
		if p.to -= 2; !deadline {
			n.launch(p)
		}
	case p.unit < 0:
		n.give([]*Mux{n.a, n.b}[p.to], p.b)
	default:
		n.arrive(p)
	}
	n.look()
	return true
}

// look takes what came out and sends what control messages wait.
func (n *net) look() {
	for _, u := range n.units(n.b) {
		var i int
		if _, err := fmt.Sscanf(u, "%d/", &i); err != nil {
			n.t.Fatal(err)
		}
		n.got = append(n.got, delivered{i, n.at()})
	}
	for i, m := range []*Mux{n.a, n.b} {
		for e, ok := m.PollEvent(); ok; e, ok = m.PollEvent() {
			if e.Kind == EventClosed {
				n.closed[i], n.reasons[i] = n.at(), e.Reason
			}
		}
		for m.ControlPending() {
			b, _, _ := m.AppendControl(nil, 1200)
			for range n.copies() {
				n.launch(packet{to: 1 - i, unit: -1, b: b})
			}
		}
	}
}

// play sends units for as long as the channel lives, then lets the net settle.
func play(tb testing.TB, n *net, h Handle, units int) {
	tb.Helper()
	for i := range units {
		until := time.Duration(i) * netEvery
		for n.step(until) {
		}
		if n.a.State(h) != Established {
			break
		}
		n.send(h, 1+i%3)
	}
	for n.step(n.at() + 20*time.Second) {
	}
}

type modeCase struct {
	caps             Capabilities
	inOrder, closes  bool
	least            map[float64]float64 // share that is delivered at a loss, at least
	patience, noWait bool                // waits no longer than the patience; not at all
}

func modeCases() []modeCase {
	all := map[float64]float64{0: 1, 0.05: 1, 0.3: 1}
	return []modeCase{
		{caps: ModeUDP, noWait: true, least: map[float64]float64{0: 1, 0.05: 0.8, 0.3: 0.4}},
		{caps: ModeZ, noWait: true, least: map[float64]float64{0: 1, 0.05: 0.9999, 0.3: 0.999}},
		{caps: ModeStreaming1, inOrder: true, patience: true, least: map[float64]float64{0: 1, 0.05: 0.8, 0.3: 0.4}},
		{caps: ModeStreaming2, inOrder: true, patience: true, least: map[float64]float64{0: 1, 0.05: 0.999, 0.3: 0.98}},
		{caps: ModeX, noWait: true, closes: true, least: map[float64]float64{0: 1}},
		{caps: ModeSCTP, noWait: true, least: all},
		{caps: ModeY, inOrder: true, patience: true, closes: true, least: map[float64]float64{0: 1}},
		{caps: ModeTCP, inOrder: true, least: all},
	}
}

// TestModes plays every mode (C-4, C-5) over a clean, a lossy and a bad path that
// reorders: what is delivered, in which order and how late, what is skipped, and
// what closes, when and why.
func TestModes(t *testing.T) {
	const units = 2000
	for _, tt := range modeCases() {
		for _, loss := range []float64{0, 0.05, 0.3} {
			t.Run(fmt.Sprintf("%v at %v", tt.caps, loss), func(t *testing.T) {
				n, h := newNet(t, tt.caps, loss, 3)
				play(t, n, h, units)
				tt.checkDelivery(t, n)
				if tt.closes && loss > 0 {
					checkClosed(t, n)
					return
				}
				if n.closed != [2]time.Duration{} || len(n.born) != units {
					t.Fatalf("closed at %v: %v after %d units", n.closed, n.reasons, len(n.born))
				}
				if share := float64(len(n.got)) / units; share < tt.least[loss] {
					t.Errorf("%.4f of the units arrived, want %v", share, tt.least[loss])
				}
				s := n.b.Stats()
				if gives := tt.caps&CloseOnLoss == 0 && tt.caps&Ordered != 0 && len(n.got) < units; gives != (s.Skipped > 0) {
					t.Errorf("%d units of %d, %d segments skipped", len(n.got), units, s.Skipped)
				}
				if s.Violations != 0 || s.NoRoom != 0 {
					t.Errorf("%+v", s)
				}
			})
		}
	}
}

// checkDelivery: units come once each, in order where the mode keeps it, and wait
// no longer for others than the mode allows.
func (tt *modeCase) checkDelivery(t *testing.T, n *net) {
	t.Helper()
	seen := map[int]bool{}
	last, worst := -1, time.Duration(0)
	for _, d := range n.got {
		if seen[d.unit] || tt.inOrder && d.unit < last {
			t.Fatalf("unit %d after %d", d.unit, last)
		}
		seen[d.unit], last = true, d.unit
		worst = max(worst, d.at-n.whole[d.unit])
	}
	switch h := n.b.patience(&channel{caps: tt.caps}); {
	case tt.noWait && worst > 0:
		t.Errorf("a complete unit waited for %v: no head-of-line wait", worst)
	case tt.patience && worst > h:
		t.Errorf("a complete unit waited for %v, more than the patience of %v", worst, h)
	}
}

// checkClosed: both ends close, for the loss, within a round trip of the first
// arrival that shows it.
func checkClosed(t *testing.T, n *net) {
	t.Helper()
	if n.reasons != [2]Reason{ReasonLoss, ReasonLoss} {
		t.Fatalf("reasons %v", n.reasons)
	}
	for end, at := range n.closed {
		if at < n.showed || at > n.showed+netRTT+netJitter {
			t.Errorf("end %d closed %v after the loss showed", end, at-n.showed)
		}
	}
}
