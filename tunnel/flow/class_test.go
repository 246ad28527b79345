package flow

import (
	"encoding/binary"
	"slices"
	"testing"
)

// tcp is a TCP header without options and a payload of n bytes.
func tcp(seq uint32, flags byte, n int) []byte {
	b := make([]byte, tcpHeaderLen+n)
	binary.BigEndian.PutUint16(b[0:], 40000)
	binary.BigEndian.PutUint16(b[2:], 443)
	binary.BigEndian.PutUint32(b[4:], seq)
	b[12], b[13] = tcpHeaderLen/4<<4, flags
	return b
}

// over4 and over6 put a transport header and its payload into a unit.
func over4(proto byte, transport []byte) []byte {
	unit := append([]byte{0}, ipv4(proto, len(transport))...)
	copy(unit[1+ipv4HeaderLen:], transport)
	return unit
}

func over6(next byte, transport []byte) []byte { return append([]byte{0}, ipv6(next, transport...)...) }

// changed is a copy of the unit with other bytes from at on, at counted from the
// IP header.
func changed(unit []byte, at int, with ...byte) []byte {
	unit = slices.Clone(unit)
	copy(unit[1+at:], with)
	return unit
}

// superUnit gives a unit a virtio header of a gso_type.
func superUnit(unit []byte, gso byte) []byte {
	return slices.Concat([]byte{FlagVirtio, 1, gso}, make([]byte, VirtioLen-2), unit[1:])
}

// frame puts the packet of a unit into an Ethernet frame, with padding.
func frame(unit []byte, padding int) []byte {
	return slices.Concat([]byte{FlagEthernet}, make([]byte, 12), []byte{8, 0}, unit[1:], make([]byte, padding))
}

type classCase struct {
	name string
	unit []byte
	want Class
}

func classes() []classCase {
	const ack, psh, ece, cwr = tcpACK, 1 << 3, 1 << 6, 1 << 7
	pure, data := over4(6, tcp(7, ack, 0)), over4(6, tcp(7, ack, 10))
	options := func(flags byte, words, payload int) []byte {
		b := tcp(7, flags, 4*words+payload)
		b[12] += byte(words) << 4
		return b
	}
	withOptions4 := func(transport []byte) []byte { // four bytes of IPv4 options
		return changed(over4(6, slices.Concat(make([]byte, 4), transport)), 0, 0x46)
	}
	hop := func(next byte, rest []byte) []byte {
		return over6(0, slices.Concat([]byte{next, 0, 0, 0, 0, 0, 0, 0}, rest))
	}
	fragment6 := func(next, high, low byte, rest []byte) []byte {
		return over6(44, slices.Concat([]byte{next, 0, high, low, 0, 0, 0, 0}, rest))
	}
	return []classCase{
		{"ICMP", over4(1, make([]byte, 64)), Interactive},
		{"large ICMP", over4(1, make([]byte, 1400)), Interactive},
		{"ICMPv6", over6(58, make([]byte, 64)), Interactive},
		{"ICMPv6 behind hop-by-hop", hop(58, make([]byte, 24)), Interactive},
		{"ICMP over IPv6", over6(1, make([]byte, 64)), Message},
		{"ICMPv6 over IPv4", over4(58, make([]byte, 64)), Message},
		{"ICMP, first fragment", changed(over4(1, make([]byte, 64)), 6, 0x20, 0), Message},
		{"ICMP, last fragment", changed(over4(1, make([]byte, 64)), 6, 0, 1), Message},

		{"UDP of 300", over4(17, make([]byte, 280)), Interactive},
		{"UDP of 301", over4(17, make([]byte, 281)), Message},
		{"UDP of 300 over IPv6", over6(17, make([]byte, 260)), Interactive},
		{"UDP of 301 over IPv6", over6(17, make([]byte, 261)), Message},
		{"UDP, do not fragment", changed(over4(17, make([]byte, 40)), 6, 0x40, 0), Interactive},
		{"UDP, first fragment", changed(over4(17, make([]byte, 40)), 6, 0x20, 0), Message},
		{"UDP, last fragment", changed(over4(17, make([]byte, 40)), 6, 0, 9), Message},
		{"UDP, middle fragment over IPv6", fragment6(17, 0, 9, make([]byte, 40)), Message},
		{"UDP in an atomic fragment", fragment6(17, 0, 0, make([]byte, 40)), Interactive},
		{"UDP super-packet", superUnit(over4(17, make([]byte, 40)), 5), Message},
		{"UDP with a virtio header", superUnit(over4(17, make([]byte, 40)), 0), Interactive},
		{"UDP, padding behind it", frame(over4(17, make([]byte, 40)), 400), Interactive},
		{"UDP, IPv6 length beyond the end", changed(over6(17, make([]byte, 40)), 4, 0, 41), Message},
		{"UDP, IPv4 length within the header", changed(over4(17, make([]byte, 40)), 2, 0, 19), Message},
		{"SCTP", over4(132, make([]byte, 40)), Message},

		{"ACK", pure, Interactive},
		{"ACK over IPv6", over6(6, tcp(7, ack, 0)), Interactive},
		{"ACK with PSH, ECE and CWR", over4(6, tcp(7, ack|psh|ece|cwr, 0)), Interactive},
		{"ACK with TCP options", over4(6, options(ack, 10, 0)), Interactive},
		{"ACK with IPv4 options", withOptions4(tcp(7, ack, 0)), Interactive},
		{"ACK with padding behind it", frame(pure, 6), Interactive},
		{"ACK with a virtio header", superUnit(pure, 0), Interactive},
		{"ACK behind hop-by-hop", hop(6, tcp(7, ack, 0)), Interactive},
		{"ACK as a super-packet", superUnit(pure, 1), Stream},
		{"one byte", over4(6, tcp(7, ack, 1)), Stream},
		{"one byte behind options", over4(6, options(ack, 3, 1)), Stream},
		{"one byte behind IPv4 options", withOptions4(tcp(7, ack, 1)), Stream},
		{"super-packet", superUnit(over4(6, tcp(7, ack|psh, 60000)), 1), Stream},
		{"no flags", over4(6, tcp(7, 0, 0)), Stream},
		{"SYN", over4(6, tcp(7, tcpSYN, 0)), Stream},
		{"SYN with ACK", over4(6, tcp(7, tcpSYN|ack, 0)), Stream},
		{"FIN with ACK", over4(6, tcp(7, tcpFIN|ack, 0)), Stream},
		{"RST with ACK", over4(6, tcp(7, tcpRST|ack, 0)), Stream},
		{"URG with ACK", over4(6, tcp(7, tcpURG|ack, 0)), Stream},
		{"TCP, first fragment", changed(data, 6, 0x20, 0), Stream},
		{"TCP, last fragment", changed(data, 6, 0, 1), Message},
		{"TCP, last fragment over IPv6", fragment6(6, 0, 8, tcp(7, ack, 0)), Message},
		{"TCP, first fragment over IPv6", fragment6(6, 0, 1, tcp(7, ack, 0)), Stream},
		{"TCP, later fragment that looks like an extension", fragment6(60, 0, 8, make([]byte, 8)), Message},
		{"TCP header cut off", over4(6, tcp(7, ack, 0)[:19]), Stream},
		{"TCP header too short", changed(pure, ipv4HeaderLen+12, 0x40), Stream},
		{"TCP header beyond the end", changed(pure, ipv4HeaderLen+12, 0x60), Stream},
		{"TCP, IPv6 length beyond the end", changed(over6(6, tcp(7, ack, 0)), 4, 0, 21), Stream},
	}
}

// TestClasses: what may overtake is told from what must not by the packet alone,
// and where the packet is not what it seems, nothing overtakes. // R-6
func TestClasses(t *testing.T) {
	for _, c := range classes() {
		p, ok := Parse(c.unit)
		if !ok || p.Class != c.want {
			t.Errorf("%s: class %d %v, want %d", c.name, p.Class, ok, c.want)
		}
	}
}
