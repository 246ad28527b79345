package header

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/totg/totg/tunnel/flow"
)

// TestSteady is what the package is for: a bulk transfer costs a few bytes a
// unit, however many segments are in it. R-1: a unit comes out as it went in.
func TestSteady(t *testing.T) {
	for name, s := range variants() {
		t.Run(name, func(t *testing.T) {
			p, n := newPair(), s.mss
			if s.offload {
				n = 3 * s.mss
			}
			if w := p.pass(t, s.unit(n)); how(w) != "whole" {
				t.Fatalf("the first unit is %s", how(w))
			}
			total, units := 0, 200
			for i := range units {
				s.stamp += uint32(i % 3) // milliseconds
				s.echo += uint32(i % 2 * 3)
				s.flags = tcpACK | byte(i%4/3)<<3 // a write ends with PSH
				cost := len(p.pass(t, s.unit(n))) - n
				if cost > 8 {
					t.Errorf("unit %d costs %d bytes", i, cost)
				}
				total += cost
			}
			t.Logf("%.1f bytes a unit", float64(total)/float64(units))
		})
	}
}

// TestCost checks what a change costs, beside flags, context and mask.
func TestCost(t *testing.T) {
	const fixed = fixedLen
	for name, c := range map[string]struct {
		change func(s *sender)
		cost   int
	}{
		"nothing":               {func(*sender) {}, 0},
		"PSH":                   {func(s *sender) { s.flags |= tcpPSH }, 0},
		"FIN":                   {func(s *sender) { s.flags |= tcpFIN }, 1},
		"acknowledgement, near": {func(s *sender) { s.ack += 31 }, 1},
		"acknowledgement":       {func(s *sender) { s.ack += 5 * 1448 }, 2},
		"acknowledgement, far":  {func(s *sender) { s.ack += 200_000 }, 4},
		"window":                {func(s *sender) { s.window -= 3 }, 1},
		"window closes":         {func(s *sender) { s.window = 0 }, 2},
		"retransmission":        {func(s *sender) { s.seq -= 3 * 1448 }, 2},
		"farthest":              {func(s *sender) { s.seq ^= 1 << 31 }, 8},
		"ID skips":              {func(s *sender) { s.id += 4 }, 1},
		"timestamp":             {func(s *sender) { s.stamp += 20; s.echo += 20 }, 2},
		"timestamp goes back":   {func(s *sender) { s.stamp -= 20 }, 1},
		"everything": {func(s *sender) {
			s.flags |= tcpFIN
			s.window++
			s.seq++
			s.ack++
			s.id++
			s.stamp++
			s.echo++
		}, 7},
		"everything, far": {func(s *sender) { s.seq += 1 << 30; s.ack += 1 << 30; s.stamp += 1 << 30; s.echo += 1 << 30 }, 32},
		"half way round":  {func(s *sender) { s.window ^= 0x8000; s.id ^= 0x8000 }, 8},
	} {
		t.Run(name, func(t *testing.T) {
			p, s := newPair(), newSender(false, true)
			p.pass(t, s.unit(s.mss))
			p.pass(t, s.unit(s.mss))
			c.change(s)
			w := p.pass(t, s.unit(s.mss))
			if got := len(w) - s.mss - fixed; how(w) != "compressed" || got != c.cost {
				t.Errorf("%s with %d bytes, want %d", how(w), got, c.cost)
			}
		})
	}
}

// TestWire holds the format: the bytes before the payload.
func TestWire(t *testing.T) {
	p, s := newPair(), newSender(false, true)
	slot := func(w []byte) []byte { // of no interest here
		if how(w) == "compressed" {
			w[1] = 0xcc
		}
		return w
	}
	expect := func(what string, n int, want string) {
		t.Helper()
		w := slot(p.pass(t, s.unit(n)))
		if got := hex.EncodeToString(w[:len(w)-n]); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	first := p.pass(t, s.unit(1448))
	if first[0] != 0x05 || first[1+10+2] != 0 {
		t.Errorf("the first unit begins with %x", first[:15])
	}
	expect("as foretold", 1448, "09cc00")
	expect("first super-packet", 4344, "49cc01"+"0101"+"3400"+"a805"+"1400"+"1000")
	expect("super-packet", 4344, "49cc00")
	s.stamp, s.echo = s.stamp+2, s.echo-1
	expect("timestamps", 4344, "49cc"+"c0"+"04"+"01")
	s.flags |= tcpPSH | tcpFIN
	s.ack += 1448
	expect("end", 100, "19cc"+"0a"+"11"+"4b50")
	s.seq, s.window, s.id = s.seq-100, s.window+1, s.id+1
	expect("again", 100, "19cc"+"34"+"40c7"+"02"+"02")
	s.offload = false // another virtio header is remembered as it was
	w := slot(p.pass(t, s.unit(0)))
	if want := []byte{0x38, 0xcc, 0x00}; len(w) != 5 || !bytes.Equal(w[:3], want) {
		t.Errorf("complete checksum: %x", w)
	}
}

// TestConversation plays what happens in a connection's life, for every kind of
// host.
func TestConversation(t *testing.T) {
	for name, s := range variants() {
		t.Run(name, func(t *testing.T) {
			p := newPair()
			step := func(n int, want string) {
				t.Helper()
				if w := p.pass(t, s.unit(n)); how(w) != want {
					t.Errorf("%s, want %s", how(w), want)
				}
			}
			s.flags = tcpSYN
			s.options = []byte{2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7}
			step(0, "unchanged")
			s.flags, s.options, s.seq = tcpACK, nil, s.seq+1
			step(0, "whole") // a pure acknowledgement
			step(10*s.mss, "compressed")
			s.seq -= uint32(10 * s.mss) // retransmissions
			step(s.mss, "compressed")
			step(s.mss, "compressed")
			s.seq += uint32(8 * s.mss)
			s.ack, s.window = s.ack+70_000, 0
			step(1, "compressed") // a probe of a window
			s.options = []byte{1, 1, 8, 10, 0, 16, 0, 9, 0, 32, 0, 9, 1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 9}
			step(s.mss, "whole") // SACK
			step(s.mss, "compressed")
			s.options[23]++
			step(s.mss, "whole") // another SACK
			s.options = nil
			step(s.mss, "whole")
			s.ttl--
			step(s.mss, "whole") // another route
			s.bare = true
			step(s.mss, "whole")
			step(s.mss, "compressed")
			s.options = []byte{1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 0} // timestamps at an odd place
			step(s.mss, "whole")
			s.options[5]++
			step(s.mss, "compressed")
			s.options[11] = 1
			step(s.mss, "whole")
			s.flags |= tcpFIN | tcpPSH
			step(17, "compressed")
			s.flags = tcpACK | tcpRST
			step(0, "unchanged")
		})
	}
}

// TestWraparound: RFC 9293 and RFC 7323 count modulo 2^32, an IPv4 ID has 16 bits.
func TestWraparound(t *testing.T) {
	for name, s := range variants() {
		t.Run(name, func(t *testing.T) {
			p := newPair()
			s.seq, s.ack, s.stamp, s.echo, s.id, s.window = 1<<32-2000, 1<<32-10, 1<<32-3, 1<<32-2, 65534, 65535
			for i := range 8 {
				n := s.mss * (1 + i%3)
				w := p.pass(t, s.unit(n))
				if i > 0 && (how(w) != "compressed" || len(w)-n > fixedLen+2+3+3*2+flow.VirtioLen) {
					t.Errorf("unit %d is %s with %d bytes", i, how(w), len(w)-n)
				}
				s.ack, s.stamp, s.echo, s.window = s.ack+7, s.stamp+1, s.echo+1, s.window+1
			}
		})
	}
}

// TestKinds: super-packets and single packets alternate at no cost, for each has
// a virtio header of its own.
func TestKinds(t *testing.T) {
	p, s := newPair(), newSender(false, true)
	for i := range 20 {
		n := s.mss * (1 + i%2*2)
		if w := p.pass(t, s.unit(n)); i >= 2 && len(w)-n != fixedLen {
			t.Errorf("unit %d costs %d bytes", i, len(w)-n)
		}
	}
	s.mss = 1400
	if w := p.pass(t, s.unit(3*s.mss)); len(w) != 3*s.mss+fixedLen+flow.VirtioLen {
		t.Errorf("another segment size: %d bytes", len(w)-3*s.mss)
	}
}

// TestID: hosts count, or repeat one number, and some send zero.
func TestID(t *testing.T) {
	for name, c := range map[string]struct {
		id, step uint16
		cost     []int // beside the fixed bytes
	}{
		"counts":   {100, 1, []int{0, 0, 0}},
		"zero":     {0, 0, []int{0, 0, 0}},
		"constant": {100, 0, []int{1, 0, 0}},
		"by two":   {100, 2, []int{1, 1, 1}},
	} {
		p, s := newPair(), newSender(false, true)
		s.id, s.step = c.id, c.step
		p.pass(t, s.unit(s.mss))
		for i, want := range c.cost {
			if got := len(p.pass(t, s.unit(s.mss))) - s.mss - fixedLen; got != want {
				t.Errorf("%s: unit %d costs %d, want %d", name, i, got, want)
			}
		}
	}
}

// TestCollision: connections that share a context disturb each other's size and
// nothing else; others do not notice.
func TestCollision(t *testing.T) {
	for name, s := range variants() {
		t.Run(name, func(t *testing.T) {
			p, alone, rival := newPair(), *s, *s
			for slotOf(t, &rival) != slotOf(t, s) || rival.port == s.port {
				rival.port++
			}
			for slotOf(t, &alone) == slotOf(t, s) {
				alone.port++
			}
			for i := range 6 {
				p.pass(t, s.unit(s.mss))
				if w := p.pass(t, rival.unit(s.mss)); how(w) != "whole" {
					t.Errorf("a unit of the rival is %s", how(w))
				}
				if w := p.pass(t, alone.unit(s.mss)); i > 0 && how(w) != "compressed" {
					t.Errorf("a unit of the third connection is %s", how(w))
				}
			}
		})
	}
}

func slotOf(t *testing.T, s *sender) byte {
	t.Helper()
	probe := *s
	h, ok := parse(probe.unit(1))
	if !ok {
		t.Fatal("a sender's unit cannot be compressed")
	}
	return h.slot()
}

// TestSpread: a browser's connections, which differ in the port alone, should
// rarely meet. 64 balls fall into 56 of 256 boxes on average.
func TestSpread(t *testing.T) {
	for name, s := range variants() {
		t.Run(name, func(t *testing.T) {
			used := map[byte]bool{}
			for range 64 {
				s.port++
				used[slotOf(t, s)] = true
			}
			if len(used) < 48 {
				t.Errorf("64 connections use %d contexts", len(used))
			}
		})
	}
}

// TestRenewed: a new channel has new ends, and the old one's units mean nothing
// to it.
func TestRenewed(t *testing.T) {
	for name, s := range variants() {
		t.Run(name, func(t *testing.T) {
			p := newPair()
			p.pass(t, s.unit(s.mss))
			old := p.pass(t, s.unit(s.mss))
			p = newPair()
			if n, err := p.d.Expand(p.dst, old); err == nil {
				t.Errorf("a unit of another channel became %d bytes", n)
			}
			for i, want := range []string{"whole", "compressed"} {
				if w := p.pass(t, s.unit(s.mss)); how(w) != want {
					t.Errorf("unit %d is %s", i, how(w))
				}
			}
		})
	}
}
