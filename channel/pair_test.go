package channel

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

func epoch() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

// source is a reproducible io.Reader of random bytes.
type source struct{ *rand.ChaCha8 }

func newSource(n byte) source { return source{rand.NewChaCha8([32]byte{n})} }

func randomBytes(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = newSource(seed).Read(b) // never fails
	return b
}

// pair is two muxes that talk to each other; now is the virtual clock.
type pair struct {
	t    testing.TB
	now  time.Time
	a, b *Mux
	buf  []byte
}

func newPair(tb testing.TB, limits Limits) *pair {
	tb.Helper()
	return &pair{t: tb, now: epoch(), a: newMux(tb, 1, limits), b: newMux(tb, 2, limits), buf: make([]byte, MaxUnit)}
}

// newMux makes end 1 or end 2 of a pair.
func newMux(tb testing.TB, end byte, limits Limits) *Mux {
	tb.Helper()
	m, err := NewMux(epoch(), Config{
		Local: [32]byte{end}, Remote: [32]byte{3 - end}, Random: newSource(end), Limits: limits,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// control takes the control segments that wait at m.
func (p *pair) control(m *Mux) (segments [][]byte) {
	p.t.Helper()
	for m.ControlPending() {
		out, _, ok := m.AppendControl(nil, 1200)
		if ok {
			segments = append(segments, out)
		}
		checkMux(p.t, m)
	}
	return segments
}

// give hands bytes to a mux that must accept them.
func (p *pair) give(m *Mux, b []byte) {
	p.t.Helper()
	if err := m.HandleSegments(p.now, b); err != nil {
		p.t.Fatalf("HandleSegments(%x): %v", b, err)
	}
	checkMux(p.t, m)
}

// settle exchanges control segments, each delivered and known to be, until
// nothing waits.
func (p *pair) settle() {
	p.t.Helper()
	for p.a.ControlPending() || p.b.ControlPending() {
		p.pass(p.a, p.b)
		p.pass(p.b, p.a)
	}
}

func (p *pair) pass(from, to *Mux) {
	p.t.Helper()
	for from.ControlPending() {
		out, seq, ok := from.AppendControl(nil, 1200)
		if !ok {
			continue
		}
		p.give(to, out)
		from.OnControlDelivered(p.now, seq)
		checkMux(p.t, from)
	}
}

// open makes a channel from end a to end b and returns its two handles.
func (p *pair) open(caps Capabilities) (at, to Handle) {
	p.t.Helper()
	at, err := p.a.Open(p.now, caps)
	if err != nil {
		p.t.Fatal(err)
	}
	p.settle()
	ours, theirs := lastEvent(p.t, p.a), lastEvent(p.t, p.b)
	if ours.Kind != EventOpened || theirs.Kind != EventOpened || ours.ID != theirs.ID || ours.Handle != at {
		p.t.Fatalf("open: events %+v and %+v", ours, theirs)
	}
	return at, theirs.Handle
}

// units reads all that is ready at m.
func (p *pair) units(m *Mux) (units []string) {
	p.t.Helper()
	for {
		n, ok := m.ReadUnit(p.buf)
		if !ok {
			checkMux(p.t, m)
			return units
		}
		units = append(units, string(p.buf[:n]))
	}
}

// cut makes the segments of a unit, size bytes each.
func (p *pair) cut(m *Mux, h Handle, unit []byte, size int) (segments [][]byte) {
	for off := 0; off < len(unit); off += size {
		n := min(size, len(unit)-off)
		segments = append(segments, m.AppendSegment(nil, h, PlaceOf(off, n, len(unit)), unit[off:off+n]))
	}
	return segments
}

// lastEvent polls all events and returns the last.
func lastEvent(tb testing.TB, m *Mux) (e Event) {
	tb.Helper()
	for n := 0; ; n++ {
		next, ok := m.PollEvent()
		if !ok {
			if n == 0 {
				tb.Fatal("no event")
			}
			return e
		}
		e = next
	}
}

// unit is a recognisable unit of n bytes.
func unit(seed, n int) []byte {
	b := bytes.Repeat([]byte{byte(seed)}, n)
	copy(b, fmt.Sprintf("%d/", seed))
	return b
}

// checkMux checks what must hold between any two calls: memory adds up and is
// bounded, queues are bounded, counts agree with what they count.
func checkMux(tb testing.TB, m *Mux) {
	tb.Helper()
	used, handshaking := 0, 0
	count := func(b *buffer) {
		if b != nil {
			used += cap(b.b) + bufferOverhead
		}
	}
	slots := map[bool]int{}
	for _, c := range m.slots {
		if c == nil {
			continue
		}
		slots[c.remote]++
		if c.state == Opening || c.state == Finalizing {
			handshaking++
		}
		if c.ordered != nil {
			count(c.ordered.unit)
			used += len(c.ordered.ring) * ringEntry
			countRing(tb, c.ordered.ring, c.ordered.held, count)
		}
		if c.unordered != nil {
			used += len(c.unordered.ring) * ringEntry
			countRing(tb, c.unordered.ring, c.unordered.held, count)
		}
	}
	for _, t := range m.trails.blocks {
		for i := range t.symbols {
			count(t.symbols[i].held)
		}
	}
	for i := range m.in.ready.len() {
		count(*m.in.ready.get(i))
	}
	idle := 0
	for i := range m.in.pool.buffers {
		idle += len(m.in.pool.buffers[i].items) * (classBytes(uint8(i)) + bufferOverhead)
	}
	for i := range m.in.pool.rings {
		idle += len(m.in.pool.rings[i].items) * (minRing << i * ringEntry)
	}
	pool := &m.in.pool
	switch {
	case used != pool.used || idle != pool.idle:
		tb.Fatalf("memory: %d used and %d idle, the pool says %d and %d", used, idle, pool.used, pool.idle)
	case used+idle > pool.limit:
		tb.Fatalf("memory: %d used and %d idle exceed %d", used, idle, pool.limit)
	case handshaking != m.handshaking:
		tb.Fatalf("%d handshakes, counted %d", handshaking, m.handshaking)
	case slots[false] != m.local.slots || slots[true] != m.remote.slots:
		tb.Fatalf("slots %v, counted %d and %d", slots, m.local.slots, m.remote.slots)
	case m.in.ready.len() > maxReady, m.events.len() > maxEvents:
		tb.Fatalf("%d units and %d events wait", m.in.ready.len(), m.events.len())
	case m.control.len() > maxReplies+3*len(m.slots):
		tb.Fatalf("%d messages wait", m.control.len())
	case (m.handshakeAt == 0) != (handshaking == 0):
		tb.Fatalf("%d handshakes and a deadline of %v", handshaking, m.handshakeAt)
	}
}

func countRing(tb testing.TB, ring []*buffer, held int, count func(*buffer)) {
	tb.Helper()
	n := 0
	for _, b := range ring {
		if b != nil {
			count(b)
			n++
		}
	}
	if n != held {
		tb.Fatalf("%d segments in a ring, counted %d", n, held)
	}
}

// vectors reads lines "field field … : field …" of a file in testdata.
func vectors(t *testing.T, name string) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if line[0] != '#' {
			rows = append(rows, strings.Fields(strings.Replace(line, " : ", " ", 1)))
		}
	}
	if len(rows) == 0 {
		t.Fatalf("%s is empty", name)
	}
	return rows
}

// hexBytes decodes a field; "-" is empty.
func hexBytes(t *testing.T, s string) []byte {
	t.Helper()
	if s == "-" {
		return nil
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func hexNumber(t *testing.T, s string) uint64 {
	t.Helper()
	if s == "-" {
		return 0
	}
	n, err := strconv.ParseUint(s, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
