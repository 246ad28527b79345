// Package flow reads inner packets: where they go, what they are, and in which
// queue they wait.
//
// It is pure: no clock, goroutine or randomness. A unit is what the tunnel's
// device hands over (requirement R-1): a flag byte, the virtio header where the
// flag says so, and the packet. Nothing is retained but what Queue copies.
package flow

import (
	"encoding/binary"
	"net/netip"
)

// Flags of a unit's first byte.
const (
	FlagVirtio   = 1 << 0 // a virtio_net_hdr of VirtioLen bytes follows
	FlagEthernet = 1 << 1 // the packet is an Ethernet frame
)

// VirtioLen is the size of the virtio_net_hdr in a unit.
const VirtioLen = 10

// MaxUnit is the largest unit: flag, virtio header and a 64 KiB super-packet.
const MaxUnit = 1 + VirtioLen + 65535

// Class says what a packet expects of the tunnel.
type Class uint8

const (
	// Message packets are worthless late and need no order: UDP, ICMP and all
	// that is not TCP.
	Message Class = iota
	// Stream packets are TCP: resent until they arrive, in order.
	Stream
	// NumClasses is the number of classes.
	NumClasses = 2
)

// Packet is what the tunnel needs to know of an inner packet.
type Packet struct {
	Src, Dst netip.Addr // zero for a frame that is not IP
	Proto    uint8      // IPv4 protocol or the last IPv6 next header understood
	Class    Class
}

const (
	protoTCP      = 6
	etherIPv4     = 0x0800
	etherIPv6     = 0x86dd
	etherHeader   = 14
	ipv6HeaderLen = 40
)

// Parse reads a unit. ok is false if its flags, its IP header or its length are
// wrong; an Ethernet frame that carries no IP is fine and has no addresses.
func Parse(unit []byte) (p Packet, ok bool) {
	if len(unit) < 2 || len(unit) > MaxUnit || unit[0]&^(FlagVirtio|FlagEthernet) != 0 {
		return Packet{}, false
	}
	b, flags := unit[1:], unit[0]
	if flags&FlagVirtio != 0 {
		if len(b) <= VirtioLen {
			return Packet{}, false
		}
		b = b[VirtioLen:]
	}
	if flags&FlagEthernet != 0 {
		return parseEthernet(b)
	}
	return parseIP(b)
}

func parseEthernet(b []byte) (Packet, bool) {
	if len(b) < etherHeader {
		return Packet{}, false
	}
	switch binary.BigEndian.Uint16(b[12:]) {
	case etherIPv4, etherIPv6:
		if p, ok := parseIP(b[etherHeader:]); ok {
			return p, true
		}
	}
	return Packet{Class: Message}, true
}

func parseIP(b []byte) (Packet, bool) {
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		if int(b[0]&0xf)*4 < 20 || int(binary.BigEndian.Uint16(b[2:])) > len(b) {
			return Packet{}, false
		}
		src, dst := [4]byte(b[12:16]), [4]byte(b[16:20])
		return classify(Packet{Src: netip.AddrFrom4(src), Dst: netip.AddrFrom4(dst), Proto: b[9]}), true
	case len(b) >= ipv6HeaderLen && b[0]>>4 == 6:
		src, dst := [16]byte(b[8:24]), [16]byte(b[24:40])
		return classify(Packet{
			Src: netip.AddrFrom16(src), Dst: netip.AddrFrom16(dst), Proto: ipv6Proto(b),
		}), true
	}
	return Packet{}, false
}

// ipv6Proto follows the extension headers that a forwarded TCP segment can have
// (RFC 8200, section 4); whatever it does not know ends the walk.
func ipv6Proto(b []byte) uint8 {
	next, rest := b[6], b[ipv6HeaderLen:]
	for range 8 {
		switch next {
		case 0, 43, 60: // hop-by-hop, routing, destination options
			if len(rest) < 8 || len(rest) < 8+8*int(rest[1]) {
				return next
			}
			next, rest = rest[0], rest[8+8*int(rest[1]):]
		case 44: // fragment
			if len(rest) < 8 {
				return next
			}
			next, rest = rest[0], rest[8:]
		default:
			return next
		}
	}
	return next
}

func classify(p Packet) Packet {
	if p.Proto == protoTCP {
		p.Class = Stream
	}
	return p
}
