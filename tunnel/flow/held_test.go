package flow

import (
	"math/rand/v2"
	"testing"
)

// data is a unit with n bytes of payload; port tells connections apart.
func data(port uint16, seq uint32, n int) []byte {
	return flagged(port, seq, tcpACK, n)
}

func flagged(port uint16, seq uint32, flags byte, n int) []byte {
	b := tcp(seq, flags, n)
	b[0], b[1] = byte(port>>8), byte(port)
	return over4(protoTCP, b)
}

// line is a Held whose units are sent in the order in which they were added.
type line struct {
	*Held
	tickets []int
}

func newLine(limit int) *line { return &line{Held: NewHeld(limit)} }

func (l *line) Add(unit []byte) {
	ticket := l.Held.Add(unit)
	if p, _ := Parse(unit); p.Class == Stream {
		l.tickets = append(l.tickets, ticket)
	}
}

func (l *line) Sent(symbol uint64) {
	l.Held.Sent(l.tickets[0], symbol)
	l.tickets = l.tickets[1:]
}

// following is how many units have a ticket.
func (h *Held) following() int { return len(h.units) - len(h.unused) }

// TestHeld: what a sender of TCP may do, step by step: a unit, and whether it is
// dropped; the others are queued. sent and released count units.
func TestHeld(t *testing.T) {
	type step struct {
		unit           []byte
		dropped        bool
		sent, released int
	}
	in := func(seq uint32, n int) step { return step{unit: data(1, seq, n)} }
	out := func(seq uint32, n int) step { return step{unit: data(1, seq, n), dropped: true} }
	for name, steps := range map[string][]step{
		"in the queue":              {in(0, 100), out(0, 100)},
		"sent":                      {in(0, 100), {sent: 1}, out(0, 100)},
		"released":                  {in(0, 100), {sent: 1}, {released: 1}, in(0, 100), out(0, 100)},
		"cut in other places":       {in(0, 100), in(100, 100), in(200, 100), out(50, 100), out(0, 300), out(299, 1)},
		"more than held at the end": {in(0, 100), in(0, 101), out(0, 101)},
		"more than held in front":   {in(100, 100), in(99, 2), out(99, 101)},
		"only before":               {in(100, 100), in(0, 100), out(0, 200)},
		"only behind":               {in(0, 100), in(100, 1)},
		"the first is released": {
			in(0, 100), in(100, 100), {sent: 1}, {released: 1}, out(100, 100), in(0, 200), out(0, 200),
		},
		"the first is released, its repeat is held": {
			in(0, 100), in(100, 100),
			{sent: 1},
			{released: 1},
			in(0, 100), out(0, 200),
			{sent: 1},
			{released: 2},
			out(0, 100), in(100, 100),
		},
		"the rest of it is not sent": {
			in(0, 100), in(100, 100), {sent: 1}, {released: 2}, out(100, 100), in(99, 2),
		},
		"a hole":           {in(0, 100), in(200, 100), in(100, 100), out(0, 300), {sent: 1}, {released: 1}, out(100, 200), in(0, 100)},
		"a hole is filled": {in(0, 100), in(200, 100), in(100, 100), {sent: 2}, {released: 2}, out(100, 100), in(200, 1)},
		"holes beyond the limit": {
			in(0, 10), in(20, 10), in(40, 10), in(60, 10), in(80, 10), out(80, 10), out(20, 10), in(0, 10),
		},
		"small holes beside a long run": {
			in(0, 100), in(100, 100), in(300, 10), in(320, 10), in(340, 10), in(360, 10), in(380, 10), out(0, 200),
			{sent: 2},
			{released: 3},
			out(380, 10), in(200, 100), out(200, 100), out(380, 10),
		},
		"an empty run goes on": {
			in(0, 100),
			{sent: 1},
			{released: 1},
			in(0, 10), in(100, 100), out(100, 100), out(0, 10), in(10, 10), out(0, 20),
		},
		"wraparound": {
			in(0xffffff9c, 100), in(0, 100), out(0xffffff9c, 200), out(0xfffffff0, 32), in(0xffffff9b, 2),
			{sent: 1},
			{released: 1},
			out(0, 100), in(0xfffffff0, 32),
		},
		"wraparound inside": {in(0xffffffce, 100), out(0xfffffffe, 4), in(0, 51), out(0, 51)},
		"SYN is no data":    {{unit: flagged(1, 0, tcpSYN, 50)}, {unit: flagged(1, 0, tcpSYN, 50)}, in(0, 50)},
		"SYN, FIN, RST, URG pass": {
			in(0, 100),
			{unit: flagged(1, 0, tcpACK|tcpFIN, 100)},
			{unit: flagged(1, 0, tcpACK|tcpRST, 100)},
			{unit: flagged(1, 0, tcpACK|tcpURG, 100)},
			out(0, 100),
			{unit: flagged(1, 0, tcpACK|tcpSYN, 100)},
		},
		"without ACK nobody takes it": {{unit: flagged(1, 0, 0, 100)}, in(0, 100), {unit: flagged(1, 0, 0, 100)}},
		"SYN begins another":          {in(0, 100), {unit: flagged(1, 50, tcpSYN, 0)}, in(0, 100), out(0, 100)},
		"acknowledgements pass":       {in(0, 100), {unit: data(1, 0, 0)}, {unit: data(1, 0, 0)}},
		"two connections":             {in(0, 100), {unit: data(2, 0, 100)}, out(0, 100), {sent: 1}, {released: 1}, in(0, 100), {unit: data(2, 0, 100), dropped: true}},
		"IP version":                  {in(0, 100), {unit: over6(6, tcp(0, tcpACK, 100))}, {unit: over6(6, tcp(0, tcpACK, 100)), dropped: true}},
		"IP version, the same addresses": {
			in(0, 100), {unit: mapped(data(1, 0, 100))}, {unit: mapped(data(1, 0, 100)), dropped: true},
		},
		"super-packet":                 {{unit: superUnit(data(1, 0, 50000), 1)}, out(0, 1400), out(1400, 48600), in(49000, 1400), {unit: superUnit(data(1, 0, 50400), 1), dropped: true}},
		"fragment":                     {{unit: changed(data(1, 0, 100), 6, 0x20, 0)}, in(0, 50), {unit: changed(data(1, 0, 50), 6, 0x20, 0)}},
		"other classes have no number": {{unit: over4(17, make([]byte, 40))}, {unit: data(1, 5, 0)}, {unit: over4(17, make([]byte, 400))}, in(0, 100), {sent: 1}, {released: 1}, in(0, 100)},
		"no unit":                      {{unit: []byte{0}}, {unit: nil}, in(0, 100), {sent: 1}, {released: 1}, in(0, 100)},
		"units without a range have one": {
			{unit: flagged(1, 0, tcpSYN, 0)},
			in(1, 100),
			{unit: flagged(1, 101, tcpFIN, 0)},
			in(101, 100),
			{sent: 1},
			{released: 1},
			out(1, 100),
			{sent: 1},
			{released: 2},
			in(1, 100), out(101, 100),
			{sent: 1},
			{released: 3},
			out(101, 100),
			{sent: 1},
			{released: 4},
			in(101, 100),
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newLine(100)
			var sent uint64
			for i, s := range steps {
				for range s.sent {
					sent++
					h.Sent(sent)
				}
				if s.released > 0 {
					h.Release(uint64(s.released) + 1)
				}
				if s.sent > 0 || s.released > 0 {
					continue
				}
				if got := h.Holds(s.unit); got != s.dropped {
					t.Fatalf("step %d: dropped %v, want %v", i, got, s.dropped)
				}
				if !s.dropped {
					h.Add(s.unit)
				}
			}
		})
	}
}

// mapped is an IPv4 unit as IPv6, with the addresses that stand for those.
func mapped(unit []byte) []byte {
	out := over6(protoTCP, unit[1+ipv4HeaderLen:])
	copy(out[1+8:], make([]byte, 32))
	out[1+18], out[1+19], out[1+34], out[1+35] = 0xff, 0xff, 0xff, 0xff
	copy(out[1+20:], unit[1+12:1+16])
	copy(out[1+36:], unit[1+16:1+20])
	return out
}

// TestHeldTwice: a unit that is queued although it is held has a number and
// changes nothing else.
func TestHeldTwice(t *testing.T) {
	h := newLine(100)
	h.Add(data(1, 0, 100))
	h.Add(data(1, 0, 50))
	h.Add(data(1, 100, 100))
	for symbol := range uint64(2) {
		h.Sent(symbol)
		h.Release(symbol + 1)
		if h.Holds(data(1, 0, 50)) || !h.Holds(data(1, 100, 100)) {
			t.Error("not the third is held")
		}
	}
}

// TestHeldOrder: a symbol may end several units, and those go together.
func TestHeldOrder(t *testing.T) {
	h := newLine(100)
	for i := range 6 {
		h.Add(data(1, uint32(100*i), 100))
	}
	for _, symbol := range []uint64{7, 7, 9, 9, 12} {
		h.Sent(symbol)
	}
	for _, c := range []struct {
		below uint64
		held  int // the first unit that is
	}{{7, 0}, {8, 2}, {9, 2}, {8, 2}, {10, 4}, {13, 5}, {100, 5}} {
		h.Release(c.below)
		for i := range 6 {
			if got := h.Holds(data(1, uint32(100*i), 100)); got != (i >= c.held) {
				t.Errorf("below %d: unit %d held: %v", c.below, i, got)
			}
		}
	}
}

// TestHeldReset: the units of a lost session are gone, those in the queue go with
// the next one, whose symbols count from the start.
func TestHeldReset(t *testing.T) {
	h := newLine(100)
	for i := range 4 {
		h.Add(data(1, uint32(100*i), 100))
	}
	h.Sent(1000)
	h.Sent(1001)
	h.Reset()
	if h.Holds(data(1, 100, 100)) || !h.Holds(data(1, 200, 200)) {
		t.Error("not what waits in the queue is held")
	}
	h.Sent(1)
	h.Release(2)
	if h.Holds(data(1, 200, 100)) || !h.Holds(data(1, 300, 100)) {
		t.Error("the new session's symbols do not count")
	}
}

// TestHeldLimit: units beyond the limit pass, keep their numbers, and do no harm.
func TestHeldLimit(t *testing.T) {
	h := newLine(3)
	for i := range 5 {
		h.Add(data(1, uint32(100*i), 100))
	}
	if !h.Holds(data(1, 0, 300)) || h.Holds(data(1, 300, 100)) || h.Holds(data(1, 400, 100)) {
		t.Error("not the first three are held")
	}
	for i := range uint64(3) {
		h.Sent(1 + i)
	}
	h.Release(4)
	h.Add(data(1, 500, 100)) // the sixth, behind two that are not followed
	h.Sent(4)
	h.Sent(5)
	h.Release(6)
	if !h.Holds(data(1, 500, 100)) {
		t.Error("the sixth is released with the fifth")
	}
	h.Sent(6)
	h.Release(7)
	if h.Holds(data(1, 500, 100)) || h.following() != 0 {
		t.Error("the sixth is not released")
	}
	none := newLine(0)
	none.Add(data(1, 0, 100))
	if none.Holds(data(1, 0, 100)) {
		t.Error("held beyond a limit of none")
	}
	none.Sent(1)
	none.Release(2)
}

// TestHeldConnections: connections beyond the limit pass, and find room when
// others are released.
func TestHeldConnections(t *testing.T) {
	h := newLine(2 * maxConnections)
	for i := range maxConnections + 1 {
		h.Add(data(uint16(i), 0, 100))
	}
	last := data(maxConnections, 0, 100)
	if h.Holds(last) || !h.Holds(data(maxConnections-1, 0, 100)) {
		t.Error("not the first connections are held")
	}
	h.Sent(1)
	h.Release(2)
	h.Add(last)
	if !h.Holds(last) || len(h.connections) != maxConnections {
		t.Errorf("no room among %d connections", len(h.connections))
	}
}

// TestHeldRun: a run ends where sequence numbers would no longer be comparable.
func TestHeldRun(t *testing.T) {
	const n = 65000
	h := newLine(1 << 17)
	unit := data(1, 0, n)
	for i := range 1 << 17 {
		seq := uint32(i * n)
		copy(unit[1+ipv4HeaderLen+4:], []byte{byte(seq >> 24), byte(seq >> 16), byte(seq >> 8), byte(seq)})
		h.Add(unit)
		if !h.Holds(unit) {
			t.Fatalf("unit %d is not held", i)
		}
	}
	for _, c := range h.connections {
		for _, r := range c.runs {
			if r.end-r.start > maxRun {
				t.Errorf("a run of %d bytes", r.end-r.start)
			}
		}
	}
}

// TestHeldDrop: what the queue dropped may be sent again, what waits behind it may
// not, and the units before it go their way.
func TestHeldDrop(t *testing.T) {
	h := NewHeld(10)
	var ticket [4]int
	for i := range ticket {
		ticket[i] = h.Add(data(1, uint32(100*i), 100))
	}
	h.Sent(ticket[0], 1)
	h.Drop(ticket[1])
	h.Drop(0)
	if h.Holds(data(1, 100, 100)) || !h.Holds(data(1, 200, 200)) {
		t.Error("not what waits is held")
	}
	again := h.Add(data(1, 100, 100))
	if !h.Holds(data(1, 100, 300)) {
		t.Error("the repeat is not held")
	}
	h.Release(2)
	if !h.Holds(data(1, 100, 300)) {
		t.Error("a release took more than its unit")
	}
	h.Sent(ticket[2], 2)
	h.Sent(again, 2)
	h.Sent(ticket[3], 3)
	h.Release(3)
	if h.Holds(data(1, 100, 1)) || h.Holds(data(1, 200, 1)) || !h.Holds(data(1, 300, 100)) {
		t.Error("not the last is held")
	}
	h.Release(4)
	if h.following() != 0 || len(h.connections) != 0 {
		t.Errorf("%d units are left", h.following())
	}
}

func TestHeldMisuse(t *testing.T) {
	for name, call := range map[string]func(h *Held){
		"sent without a unit":  func(h *Held) { h.Sent(1, 1) },
		"symbols out of order": func(h *Held) { h.Sent(h.Add(data(1, 0, 9)), 2); h.Sent(0, 1) },
		"sent twice":           func(h *Held) { n := h.Add(data(1, 0, 9)); h.Sent(n, 1); h.Sent(n, 1) },
		"dropped twice":        func(h *Held) { n := h.Add(data(1, 0, 9)); h.Drop(n); h.Drop(n) },
		"dropped when sent":    func(h *Held) { n := h.Add(data(1, 0, 9)); h.Sent(n, 1); h.Drop(n) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			call(NewHeld(10))
		}()
	}
}

// TestHeldSender: a TCP sender that sends in order, and again all that its
// window holds, gets nothing of it through, whatever was released before.
func TestHeldSender(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 7))
	h := newLine(1000)
	next, oldest := uint32(0xffff0000), uint32(0xffff0000)
	var ends []uint32
	var sent, released int
	for range 5000 {
		n := 1 + rng.IntN(1400)
		unit := data(1, next, n)
		if h.Holds(unit) {
			t.Fatal("new data is refused")
		}
		h.Add(unit)
		next += uint32(n)
		ends = append(ends, next)
		if len(ends)-sent > 100 || rng.IntN(3) == 0 {
			sent++
			h.Sent(uint64(sent))
		}
		if sent-released > 100 {
			released += 1 + rng.IntN(100)
			h.Release(uint64(released) + 1)
			oldest = ends[released-1]
		}
		at := oldest + rng.Uint32N(next-oldest)
		if !h.Holds(data(1, at, int(min(next-at, 60000)))) {
			t.Fatalf("sequence %d, %d to %d held", at, oldest, next)
		}
	}
}

// TestHeldAllocates: a stream, and connections that come and go, cost no memory
// once the tables are there.
func TestHeldAllocates(t *testing.T) {
	h := newLine(256)
	unit := data(1, 0, 1000)
	var i uint32
	one := func() {
		i++
		unit[1+ipv4HeaderLen] = byte(i % 200)
		unit[1+ipv4HeaderLen+4], unit[1+ipv4HeaderLen+5] = byte(i>>8), byte(i)
		h.Holds(unit)
		h.Add(unit)
		if i > 200 {
			h.Sent(uint64(i))
			h.Release(uint64(i) - 20)
		}
	}
	for range 2000 {
		one()
	}
	if n := testing.AllocsPerRun(2000, one); n != 0 {
		t.Errorf("%v allocations for a unit", n)
	}
	if h.following() == 0 || h.following() == len(h.ring) {
		t.Errorf("%d units held", h.following())
	}
}

// BenchmarkHeld is what a unit costs from its check to its release.
func BenchmarkHeld(b *testing.B) {
	h := newLine(4096)
	unit := data(1, 0, 1400)
	b.ReportAllocs()
	var i uint32
	for b.Loop() {
		i++
		unit[1+ipv4HeaderLen+3] = byte(i)
		unit[1+ipv4HeaderLen+4], unit[1+ipv4HeaderLen+5] = byte(i>>8), byte(i)
		if h.Holds(unit) {
			b.Fatal("new data is refused")
		}
		h.Add(unit)
		h.Sent(uint64(i))
		h.Release(uint64(i) - min(uint64(i), 1000))
	}
}
