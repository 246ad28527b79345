package flow

import (
	"bytes"
	"encoding/binary"
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
		"TCP over IPv4":        {append([]byte{0}, ipv4(6, 20)...), Packet{Src: a4, Dst: b4, Proto: 6, Class: Stream}, true},
		"UDP over IPv4":        {append([]byte{0}, ipv4(17, 281)...), Packet{Src: a4, Dst: b4, Proto: 17, Class: Message}, true},
		"with a virtio header": {append(append([]byte{FlagVirtio}, make([]byte, VirtioLen)...), ipv4(6, 20)...), Packet{Src: a4, Dst: b4, Proto: 6, Class: Stream}, true},
		"TCP over IPv6":        {append([]byte{0}, ipv6(6, make([]byte, 20)...)...), Packet{Src: a6, Dst: b6, Proto: 6, Class: Stream}, true},
		"behind hop-by-hop":    {append([]byte{0}, ipv6(0, 6, 0, 0, 0, 0, 0, 0, 0)...), Packet{Src: a6, Dst: b6, Proto: 6, Class: Stream}, true},
		"behind a fragment":    {append([]byte{0}, ipv6(44, 6, 0, 0, 0, 0, 0, 0, 0)...), Packet{Src: a6, Dst: b6, Proto: 6, Class: Stream}, true},
		"endless extensions":   {append([]byte{0}, ipv6(0, bytes.Repeat([]byte{0, 0, 0, 0, 0, 0, 0, 0}, 20)...)...), Packet{Src: a6, Dst: b6, Proto: 0, Class: Message}, true},
		"truncated extension":  {append([]byte{0}, ipv6(0, 6, 9)...), Packet{Src: a6, Dst: b6, Proto: 0, Class: Message}, true},
		"Ethernet with IP":     {append([]byte{FlagEthernet}, ethernet...), Packet{Src: a4, Dst: b4, Proto: 6, Class: Stream}, true},
		"Ethernet with ARP":    {append([]byte{FlagEthernet}, append(append(make([]byte, 12), 8, 6), 1)...), Packet{Class: Message}, true},
		"Ethernet cut off":     {append([]byte{FlagEthernet}, ethernet[:13]...), Packet{}, false},
		"Ethernet, no IP":      {append([]byte{FlagEthernet}, ethernet[:20]...), Packet{Class: Message}, true},
		"fragment cut off":     {append([]byte{0}, ipv6(44, 6, 9)...), Packet{Src: a6, Dst: b6, Proto: 44, Class: Message}, true},
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
		got.Size = 0
		if got != c.want || ok != c.ok {
			t.Errorf("%s: %+v %v, want %+v %v", name, got, ok, c.want, c.ok)
		}
	}
}

// FuzzParse: inner packets come from any program of the host, units from an
// authenticated but hostile peer: no panic, no address without a header, and
// nothing overtakes that must not.
func FuzzParse(f *testing.F) {
	f.Add(append([]byte{0}, ipv4(6, 20)...))
	f.Add(append([]byte{0}, ipv6(0, 6, 0, 0, 0, 0, 0, 0, 0)...))
	for _, c := range classes() {
		f.Add(c.unit)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := Parse(b)
		if !ok && p != (Packet{}) {
			t.Errorf("refused, yet %+v", p)
		}
		if ok && p.Src.IsValid() != p.Dst.IsValid() {
			t.Errorf("half an address pair: %+v", p)
		}
		in, s, whole := parseData(b)
		if in.Packet != p || len(in.transport) > len(b) || int(s.payload) > max(len(in.transport)-tcpHeaderLen, 0) {
			t.Errorf("%+v with %d bytes of transport, %d of payload", p, len(in.transport), s.payload)
		}
		if whole && (p.Proto != protoTCP || in.later || s.data() && p.Class != Stream) {
			t.Errorf("%+v with a TCP header %+v", p, s)
		}
		if p.Class != Interactive {
			return
		}
		super := b[0]&FlagVirtio != 0 && b[2] != 0
		if in.transport == nil || in.later || super {
			t.Errorf("a part of a packet, or several, as interactive: %+v", p)
		}
		switch p.Proto {
		case protoTCP:
			if !whole || s.payload > 0 || s.flags&^0xc8 != tcpACK {
				t.Errorf("a segment that must keep its place: %+v", s)
			}
		case protoUDP:
			if in.Size > interactiveSize {
				t.Errorf("UDP in %d bytes", in.Size)
			}
		case protoICMP, protoICMPv6:
		default:
			t.Errorf("protocol %d as interactive", p.Proto)
		}
	})
}
