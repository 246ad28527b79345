package tun

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/totg/totg/internal/wire"
)

func TestChecksumMatchesReference(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 200 {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
			if n%3 == 0 {
				b[i] = 0xff // carries all the way
			}
		}
		if got, want := wire.Fold(wire.Sum(0, b)), referenceSum(b); got != want {
			t.Fatalf("sum of %d bytes = %#x, want %#x", n, got, want)
		}
		// In two parts, the first of even length.
		cut := n / 2 &^ 1
		if got, want := wire.Fold(wire.Sum(wire.Sum(0, b[:cut]), b[cut:])), referenceSum(b); got != want {
			t.Fatalf("sum of %d bytes cut at %d = %#x, want %#x", n, cut, got, want)
		}
	}
}

func TestChecksumZeroIsStoredAsOnes(t *testing.T) {
	if got := finish(0xffff); got != 0xffff {
		t.Errorf("finish(0xffff) = %#x: zero means no checksum in UDP", got)
	}
	if got := finish(0); got != 0xffff {
		t.Errorf("finish(0) = %#x, want 0xffff", got)
	}
}

var superPackets = []superPacket{
	{payload: 4000, size: 1448, options: 12, flags: 0x18},
	{payload: 4344, size: 1448, options: 12, flags: 0x19},
	{payload: 1, size: 1448, flags: 0x10},
	{payload: 65535 - 40, size: 1460, flags: 0x18 | tcpCWR},
	{payload: 2000, size: 33, options: 40, flags: 0x10},
	{v6: true, payload: 4000, size: 1428, options: 12, flags: 0x18},
	{v6: true, payload: 60000, size: 1220, flags: 0x19 | tcpCWR},
	{v6: true, payload: 3000, size: 1000, extended: 16, flags: 0x10},
	{udp: true, payload: 4000, size: 1400},
	{udp: true, payload: 65507, size: 1472},
	{udp: true, payload: 10, size: 1},
	{v6: true, udp: true, payload: 4001, size: 1333},
	{v6: true, udp: true, payload: 300, size: 100, extended: 8},
}

// TestSegments checks that user space does with a super-packet what a network card
// does, by properties that a receiver sees.
func TestSegments(t *testing.T) {
	for _, c := range superPackets {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			h, p := c.build()
			if !h.fits(p) {
				t.Fatal("a good header is refused")
			}
			s, err := split(h, bytes.Clone(p))
			if err != nil {
				t.Fatal(err)
			}
			headers := s.headers
			var payload []byte
			dst := make([]byte, maxPacket)
			for i := 0; ; i++ {
				n := s.next(dst)
				if n == 0 {
					break
				}
				seg := dst[:n]
				verifyPacket(t, seg, h.checksumStart, c.protocol())
				verifyPosition(t, c, seg, h.checksumStart, i, len(payload))
				payload = append(payload, seg[headers:]...)
			}
			if !bytes.Equal(payload, p[headers:]) {
				t.Fatal("the segments do not carry the payload")
			}
		})
	}
}

// verifyPosition checks what differs between the first, the middle and the last
// segment.
func verifyPosition(t *testing.T, c superPacket, seg []byte, transport, index, offset int) {
	t.Helper()
	if !c.v6 {
		if got, want := binary.BigEndian.Uint16(seg[4:]), uint16(0xfffe+index); got != want {
			t.Fatalf("segment %d: identification %#x, want %#x", index, got, want)
		}
		if seg[1] != 2 {
			t.Fatalf("segment %d: the ECN bits are lost", index)
		}
	}
	header := 8
	if !c.udp {
		header = 20 + c.options
	}
	length := len(seg) - transport - header
	last := offset+length == c.payload
	if length > c.size || !last && length != c.size {
		t.Fatalf("segment %d has %d bytes, want %d", index, length, c.size)
	}
	if c.udp {
		return
	}
	if got, want := binary.BigEndian.Uint32(seg[transport+4:]), uint32(0xfffffff0+offset); got != want {
		t.Fatalf("segment %d: sequence %#x, want %#x", index, got, want)
	}
	want := c.flags
	if !last {
		want &^= 0x01 | 0x08 // FIN, PSH
	}
	if index > 0 {
		want &^= 0x80 // CWR
	}
	if got := seg[transport+13]; got != want {
		t.Fatalf("segment %d: flags %#x, want %#x", index, got, want)
	}
}

func TestSplitRejectsNonsense(t *testing.T) {
	tcp4 := superPacket{payload: 3000, size: 1000, flags: 0x10}
	tcp6 := superPacket{v6: true, payload: 3000, size: 1000, extended: 8, flags: 0x10}
	udp4 := superPacket{udp: true, payload: 3000, size: 1000}
	tests := []struct {
		name string
		from superPacket
		edit func(h *header, p *[]byte)
	}{
		{"no packet", tcp4, func(_ *header, p *[]byte) { *p = nil }},
		{"headers only", tcp4, func(_ *header, p *[]byte) { *p = (*p)[:40] }},
		{"UDP header only", udp4, func(_ *header, p *[]byte) { *p = (*p)[:28] }},
		{"cut TCP header", tcp4, func(_ *header, p *[]byte) { *p = (*p)[:39] }},
		{"version 5", tcp4, func(_ *header, p *[]byte) { (*p)[0] = 0x55 }},
		{"IPv6 in TCPv4", tcp6, func(h *header, _ *[]byte) { h.gso = gsoTCPv4 }},
		{"IPv4 in TCPv6", tcp4, func(h *header, _ *[]byte) { h.gso = gsoTCPv6 }},
		{"UDP type on TCP", tcp4, func(h *header, _ *[]byte) { h.gso = gsoUDP }},
		{"size 0", tcp4, func(h *header, _ *[]byte) { h.size = 0 }},
		{"too many segments", tcp4, func(h *header, _ *[]byte) { h.size = 1 }},
		{"TCP header too short", tcp4, func(_ *header, p *[]byte) { (*p)[32] = 0x40 }},
		{"TCP header beyond the end", tcp4, func(_ *header, p *[]byte) { *p = (*p)[:41]; (*p)[32] = 0xf0 }},
		{"transport elsewhere", tcp4, func(h *header, _ *[]byte) { h.checksumStart += 4 }},
		{"checksum elsewhere", tcp4, func(h *header, _ *[]byte) { h.checksumOffset = 6 }},
		{"fragment", tcp4, func(_ *header, p *[]byte) { (*p)[7] = 1 }},
		{"more fragments", tcp4, func(_ *header, p *[]byte) { (*p)[6] = 0x20 }},
		{"short IPv4 header length", tcp4, func(h *header, p *[]byte) { (*p)[0] = 0x44; h.checksumStart = 16 }},
		{"routing header", tcp6, func(_ *header, p *[]byte) { (*p)[6] = unix.IPPROTO_ROUTING }},
		{"extension beyond the end", tcp6, func(_ *header, p *[]byte) { (*p)[41] = 255 }},
		{"short IPv6", tcp6, func(_ *header, p *[]byte) { *p = (*p)[:30] }},
		{"IPv6 cut in the extension", tcp6, func(h *header, p *[]byte) { *p = (*p)[:41]; h.checksumStart = 60 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, p := tt.from.build()
			tt.edit(&h, &p)
			if _, err := split(h, p); !errors.Is(err, ErrUnit) {
				t.Errorf("split = %v, want ErrUnit", err)
			}
		})
	}
}

func TestCompleteChecksum(t *testing.T) {
	for _, c := range []superPacket{
		{payload: 100, flags: 0x10},
		{v6: true, payload: 101, flags: 0x10},
		{udp: true, payload: 1},
		{v6: true, udp: true, payload: 999},
	} {
		h, p := c.build()
		h.gso = gsoNone
		if err := completeChecksum(h, p); err != nil {
			t.Fatal(err)
		}
		if !c.v6 { // build leaves the IP header's own checksum out
			binary.BigEndian.PutUint16(p[10:], ^referenceSum(p[:20]))
		}
		verifyPacket(t, p, h.checksumStart, c.protocol())
	}
	if err := completeChecksum(header{checksumStart: 20, checksumOffset: 3}, make([]byte, 24)); err == nil {
		t.Error("a field beyond the packet is accepted")
	}
}

// FuzzSplit's attacker is an authenticated peer that chooses header and packet: no
// panic, bounded work, and only well-formed packets come out.
func FuzzSplit(f *testing.F) {
	for _, c := range superPackets {
		h, p := c.build()
		if len(p) < 5000 {
			f.Add(append(append([]byte{flagVirtio}, h.bytes()...), p...))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		u, err := parseUnit(b, false)
		if err != nil || u.header.plain() {
			return
		}
		if u.header.gso == gsoNone {
			if err := completeChecksum(u.header, u.packet); err != nil {
				t.Fatal("parseUnit let a bad checksum field pass")
			}
			return
		}
		s, err := split(u.header, u.packet)
		if err != nil {
			return
		}
		dst := make([]byte, maxPacket)
		total, count := 0, 0
		for n := s.next(dst); n > 0; n = s.next(dst) {
			verifyPacket(t, dst[:n], u.header.checksumStart, s.protocol)
			total += n - s.headers
			count++
		}
		if total != len(u.packet)-s.headers || count > maxSegments {
			t.Fatalf("%d segments carry %d of %d bytes", count, total, len(u.packet)-s.headers)
		}
	})
}

func BenchmarkSplit(b *testing.B) {
	h, p := superPacket{payload: 64000, size: 1448, options: 12, flags: 0x10}.build()
	dst := make([]byte, maxPacket)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		s, err := split(h, p)
		if err != nil {
			b.Fatal(err)
		}
		for s.next(dst) > 0 {
		}
	}
}
