package flow

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// heldModel is the naive reference of a Held: all units, byte for byte.
type heldModel struct {
	units  []modelUnit // in the order of Add
	flying int
	symbol uint64
	below  uint64
}

type modelUnit struct {
	port   uint16
	seq    uint32
	n      int
	symbol uint64
	ticket int
	gone   bool // a SYN began another connection
}

// holds reports whether every byte is in a unit.
func (m *heldModel) holds(port uint16, seq uint32, n int) bool {
	for i := range uint32(n) {
		found := false
		for _, u := range m.units {
			found = found || u.port == port && !u.gone && seq+i-u.seq < uint32(u.n)
		}
		if !found {
			return false
		}
	}
	return true
}

func (m *heldModel) release(below uint64) {
	for m.flying > 0 && m.units[0].symbol < below {
		m.units = m.units[1:]
		m.flying--
	}
}

// step takes three bytes as one operation on both.
func (m *heldModel) step(h *Held, op, a, b byte) error {
	switch op % 8 {
	case 0: // the next unit is sent, alone or in one symbol with the one before
		if m.flying < len(m.units) {
			m.symbol += uint64(a % 3)
			m.units[m.flying].symbol = m.symbol
			m.flying++
			h.Sent(m.units[m.flying-1].ticket, m.symbol)
		}
	case 1:
		m.below = min(m.below+uint64(a%8), m.symbol+1)
		m.release(m.below)
		h.Release(m.below)
	case 2:
		if a < 16 {
			m.release(m.symbol + 1)
			m.symbol, m.below = 0, 0
			h.Reset()
		}
	case 4: // the queue drops one that waits, the first of its connection
		if i := m.flying + int(a); b&1 == 0 && i < len(m.units) && m.leads(i) {
			h.Drop(m.units[i].ticket)
			m.units = slices.Delete(m.units, i, i+1)
		}
	case 3:
		return m.add(h, modelUnit{port: uint16(op >> 6), seq: uint32(a) - 100}, []byte{
			tcpSYN, tcpFIN | tcpACK, tcpRST | tcpACK, tcpURG | tcpACK, 0, tcpSYN | tcpACK,
		}[b%6])
	default: // in steps of 4, so that ends meet
		seq := 4*uint32(a%64) - 100 + uint32(a>>6&b>>7)
		return m.add(h, modelUnit{port: uint16(op >> 6), seq: seq, n: 1 + int(b%48)}, tcpACK)
	}
	return nil
}

// leads reports whether no other unit of its connection waits before unit i.
func (m *heldModel) leads(i int) bool {
	for _, u := range m.units[m.flying:i] {
		if u.port == m.units[i].port {
			return false
		}
	}
	return true
}

func (m *heldModel) add(h *Held, u modelUnit, flags byte) error {
	payload := max(u.n, 20) // what has other flags has payload too
	if u.n > 0 {
		payload = u.n
	}
	unit := flagged(u.port, u.seq, flags, payload)
	if h.Holds(unit) {
		if u.n == 0 || !m.holds(u.port, u.seq, u.n) {
			return fmt.Errorf("%+v with flags %#x is refused, and not all of it is held", u, flags)
		}
		if u.n%8 != 0 { // else it is queued in spite of that
			return nil
		}
	} else if u.n%16 == 15 {
		return nil // no room in the queue
	}
	u.ticket = h.Add(unit)
	if flags&tcpSYN != 0 {
		for i := range m.units {
			m.units[i].gone = m.units[i].gone || m.units[i].port == u.port
		}
	}
	m.units = append(m.units, u)
	return nil
}

// check compares what can be counted.
func (m *heldModel) check(h *Held) error {
	units := 0
	for key, c := range h.connections {
		units += c.units
		if c.key != key || c.units == 0 {
			return fmt.Errorf("a connection with %d units", c.units)
		}
	}
	switch {
	case units != h.following() || units > len(m.units) || h.flying > min(units, m.flying):
		return fmt.Errorf("%d units in connections, %d tickets, %d sent; want at most %d, %d", units, h.following(), h.flying, len(m.units), m.flying)
	case len(h.free)+len(h.connections) != min(len(h.ring), maxConnections):
		return fmt.Errorf("%d connections are free, %d in use", len(h.free), len(h.connections))
	}
	return nil
}

func runHeld(t *testing.T, limit int, ops []byte) {
	t.Helper()
	h, m := NewHeld(limit), &heldModel{}
	for i := 0; i+2 < len(ops); i += 3 {
		err := m.step(h, ops[i], ops[i+1], ops[i+2])
		if err == nil {
			err = m.check(h)
		}
		if err != nil {
			t.Fatalf("operation %d: %v", i/3, err)
		}
	}
}

// FuzzHeld: inner senders choose sequence numbers, lengths and flags as they
// like. Whatever they do, nothing is refused of which a byte is not held.
func FuzzHeld(f *testing.F) {
	f.Add(byte(8), []byte{4, 0, 47, 4, 12, 47, 4, 0, 47, 0, 1, 0, 1, 1, 0, 4, 0, 47, 4, 3, 20})
	f.Add(byte(2), []byte{4, 0, 31, 4, 8, 31, 4, 16, 31, 0, 1, 0, 0, 1, 0, 2, 0, 0, 4, 8, 3, 3, 0, 0, 4, 8, 3})
	f.Fuzz(func(t *testing.T, limit byte, ops []byte) {
		runHeld(t, int(limit%32), ops[:min(len(ops), 3*200)])
	})
}

// TestHeldModel is the same with random operations.
func TestHeldModel(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 5))
		ops := make([]byte, 3*300)
		for i := range ops {
			ops[i] = byte(rng.Uint32())
		}
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { runHeld(t, 1+rng.IntN(30), ops) })
	}
}
