package flow

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
)

func ipv4(proto byte, n int) []byte {
	b := make([]byte, 20+n)
	b[0], b[9] = 0x45, proto
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	copy(b[12:], []byte{10, 0, 0, 1})
	copy(b[16:], []byte{10, 0, 0, 2})
	return b
}

func ipv6(next byte, payload ...byte) []byte {
	b := make([]byte, 40, 40+len(payload))
	b[0], b[6] = 0x60, next
	binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
	b[8], b[23], b[24], b[39] = 0xfd, 1, 0xfd, 2
	return append(b, payload...)
}

func TestParse(t *testing.T) {
	a4, b4 := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	a6, b6 := netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")
	ethernet := append(append(make([]byte, 12), 0x08, 0), ipv4(6, 4)...)
	for name, c := range map[string]struct {
		unit []byte
		want Packet
		ok   bool
	}{
		"TCP over IPv4":        {append([]byte{0}, ipv4(6, 20)...), Packet{a4, b4, 6, Stream}, true},
		"UDP over IPv4":        {append([]byte{0}, ipv4(17, 8)...), Packet{a4, b4, 17, Message}, true},
		"with a virtio header": {append(append([]byte{FlagVirtio}, make([]byte, VirtioLen)...), ipv4(6, 20)...), Packet{a4, b4, 6, Stream}, true},
		"TCP over IPv6":        {append([]byte{0}, ipv6(6, make([]byte, 20)...)...), Packet{a6, b6, 6, Stream}, true},
		"behind hop-by-hop":    {append([]byte{0}, ipv6(0, 6, 0, 0, 0, 0, 0, 0, 0)...), Packet{a6, b6, 6, Stream}, true},
		"behind a fragment":    {append([]byte{0}, ipv6(44, 6, 0, 0, 0, 0, 0, 0, 0)...), Packet{a6, b6, 6, Stream}, true},
		"endless extensions":   {append([]byte{0}, ipv6(0, bytes.Repeat([]byte{0, 0, 0, 0, 0, 0, 0, 0}, 20)...)...), Packet{a6, b6, 0, Message}, true},
		"truncated extension":  {append([]byte{0}, ipv6(0, 6, 9)...), Packet{a6, b6, 0, Message}, true},
		"Ethernet with IP":     {append([]byte{FlagEthernet}, ethernet...), Packet{a4, b4, 6, Stream}, true},
		"Ethernet with ARP":    {append([]byte{FlagEthernet}, append(append(make([]byte, 12), 8, 6), 1)...), Packet{Class: Message}, true},
		"empty":                {nil, Packet{}, false},
		"flag alone":           {[]byte{0}, Packet{}, false},
		"unknown flag":         {append([]byte{4}, ipv4(6, 20)...), Packet{}, false},
		"virtio alone":         {append([]byte{FlagVirtio}, make([]byte, VirtioLen)...), Packet{}, false},
		"version 5":            {append([]byte{0}, append([]byte{0x50}, make([]byte, 40)...)...), Packet{}, false},
		"short IPv4":           {append([]byte{0}, ipv4(6, 0)[:19]...), Packet{}, false},
		"short IPv6":           {append([]byte{0}, ipv6(6)[:39]...), Packet{}, false},
		"length beyond end":    {append([]byte{0}, ipv4(6, 20)[:30]...), Packet{}, false},
		"bad header length":    {append([]byte{0, 0x44}, ipv4(6, 20)[1:]...), Packet{}, false},
	} {
		got, ok := Parse(c.unit)
		if got != c.want || ok != c.ok {
			t.Errorf("%s: %+v %v, want %+v %v", name, got, ok, c.want, c.ok)
		}
	}
}

// FuzzParse: inner packets come from any program of the host, units from an
// authenticated but hostile peer: no panic, and no address without a header.
func FuzzParse(f *testing.F) {
	f.Add(append([]byte{0}, ipv4(6, 20)...))
	f.Add(append([]byte{0}, ipv6(0, 6, 0, 0, 0, 0, 0, 0, 0)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := Parse(b)
		if !ok && p != (Packet{}) {
			t.Errorf("refused, yet %+v", p)
		}
		if ok && p.Src.IsValid() != p.Dst.IsValid() {
			t.Errorf("half an address pair: %+v", p)
		}
	})
}

// FuzzQueue compares the rings with plain slices, over any order of pushes and
// pops and sizes that make them wrap.
func FuzzQueue(f *testing.F) {
	f.Add([]byte{1, 200, 1, 200, 0, 0, 1, 90, 0, 0, 1, 250})
	f.Fuzz(func(t *testing.T, ops []byte) {
		q := &Queue{limit: 1 << 20}
		for c := range q.classes {
			q.classes[c].ring = make([]byte, 700)
		}
		var model [NumClasses][][]byte
		for i := 0; i+1 < len(ops); i += 2 {
			c := Class(ops[i] >> 7)
			if ops[i]%2 == 1 {
				unit := bytes.Repeat([]byte{byte(i)}, int(ops[i+1]))
				if q.Push(c, unit) {
					model[c] = append(model[c], unit)
				} else if q.classes[c].bytes < 100 { // two gaps smaller than the unit take up the rest
					t.Fatalf("no room for %d beside %d bytes", len(unit), q.classes[c].bytes)
				}
			} else if len(model[c]) > 0 {
				if !bytes.Equal(q.Head(c), model[c][0]) {
					t.Fatalf("head %x, want %x", q.Head(c), model[c][0])
				}
				q.Pop(c)
				model[c] = model[c][1:]
			}
			if q.Len(c) != len(model[c]) || (q.Head(c) == nil) != (len(model[c]) == 0) {
				t.Fatalf("%d units, want %d", q.Len(c), len(model[c]))
			}
		}
	})
}

// TestShare: two classes with a backlog get the same number of bytes, whatever
// their packet sizes; a class alone gets all.
func TestShare(t *testing.T) {
	q := NewQueue(1 << 20)
	rng := rand.New(rand.NewPCG(1, 2))
	var got [NumClasses]int
	sizes := [NumClasses]int{100, 60000}
	both := [NumClasses]bool{true, true}
	for range 20000 {
		for c := range Class(NumClasses) {
			for q.Len(c) < 2 {
				q.Push(c, make([]byte, sizes[c]))
			}
		}
		c, ok := q.Next(both)
		if !ok {
			t.Fatal("nothing to send")
		}
		n := min(len(q.Head(c)), 1400)
		got[c] += n
		q.Charge(c, n)
		if rng.IntN(43) == 0 || c == Message {
			q.Pop(c)
		}
	}
	if r := float64(got[0]) / float64(got[1]); r < 0.9 || r > 1.1 {
		t.Errorf("shares %v", got)
	}
	if c, ok := q.Next([NumClasses]bool{Stream: true}); !ok || c != Stream {
		t.Errorf("class %v %v, want the only one allowed", c, ok)
	}
	if _, ok := q.Next([NumClasses]bool{}); ok {
		t.Error("a class although none is allowed")
	}
}

// TestLimit: a class takes no more than the limit, and what waits stays when the
// limit falls.
func TestLimit(t *testing.T) {
	q := NewQueue(1 << 20)
	q.SetLimit(200_000)
	unit := make([]byte, 1000)
	for i := range 300 {
		if ok := q.Push(Stream, unit); ok != (i < 200) {
			t.Fatalf("unit %d taken: %v", i, ok)
		}
	}
	if n := q.Bytes(); n != 200_000 {
		t.Errorf("%d bytes wait, want 200000", n)
	}
	q.SetLimit(0)
	if q.Len(Stream) != 200 || q.Push(Stream, unit) || q.Dropped() != 101 {
		t.Errorf("%d units wait, %d dropped", q.Len(Stream), q.Dropped())
	}
	for q.Bytes() >= MinLimit {
		q.Pop(Stream)
	}
	for range 2 {
		if !q.Push(Message, make([]byte, MaxUnit)) {
			t.Error("no room for two of the largest units")
		}
	}
}
