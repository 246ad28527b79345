// Package flow reads inner packets: where they go, what they are, how they are to
// travel, in which queue they wait, and whether the tunnel holds their bytes
// already.
//
// It is pure: no clock, goroutine or randomness. A unit is what the tunnel's
// device hands over (requirement R-1): a flag byte, the virtio header where the
// flag says so, and the packet. Nothing is retained but what Queue copies. Sizes
// and limits are in bytes and stand in limits.go. One goroutine owns a Queue or
// a Held. Parse refuses what is no unit; a packet that it cannot make sense of
// beyond its IP header is still carried. Misuse by the caller panics.
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

// Packet is what the tunnel needs to know of an inner packet.
type Packet struct {
	Src, Dst netip.Addr // zero for a frame that is not IP
	// SrcPort and DstPort are those of TCP, UDP, UDP-Lite, DCCP and SCTP; zero
	// for other protocols and for fragments.
	SrcPort, DstPort uint16
	Proto            uint8 // IPv4 protocol or the last IPv6 next header understood
	DSCP             uint8 // RFC 2474, 6 bits
	Class            Class
	Size             int // of the IP packet, bytes
}

// Parse reads a unit. ok is false if its flags, its IP header or its length are
// wrong; an Ethernet frame that carries no IP is fine and has no addresses.
func Parse(unit []byte) (p Packet, ok bool) {
	in, ok := parse(unit)
	return in.Packet, ok
}

// inner is an inner packet taken apart.
type inner struct {
	Packet

	later     bool   // a fragment without the transport header
	transport []byte // header and payload; nil for a fragment or where a length is wrong
}

const (
	etherIPv4     = 0x0800
	etherIPv6     = 0x86dd
	etherHeader   = 14
	ipv4HeaderLen = 20
	ipv6HeaderLen = 40
)

func parse(unit []byte) (in inner, ok bool) {
	if len(unit) < 2 || len(unit) > MaxUnit || unit[0]&^(FlagVirtio|FlagEthernet) != 0 {
		return inner{}, false
	}
	b, flags := unit[1:], unit[0]
	super := false
	if flags&FlagVirtio != 0 {
		if len(b) <= VirtioLen {
			return inner{}, false
		}
		super = b[1] != 0 // gso_type: several segments or datagrams in one
		b = b[VirtioLen:]
	}
	if flags&FlagEthernet != 0 {
		in, ok = parseEthernet(b)
	} else {
		in, ok = parseIP(b)
	}
	if ok {
		in.readPorts()
		in.Class = in.classify(super)
	}
	return in, ok
}

// HasPorts reports whether a protocol's header begins with ports.
func HasPorts(proto uint8) bool {
	switch proto {
	case protoTCP, protoUDP, protoDCCP, protoSCTP, protoUDPLite:
		return true
	}
	return false
}

// readPorts reads the ports of a packet that has them.
func (in *inner) readPorts() {
	if HasPorts(in.Proto) && len(in.transport) >= 4 {
		in.SrcPort = binary.BigEndian.Uint16(in.transport)
		in.DstPort = binary.BigEndian.Uint16(in.transport[2:])
	}
}

func parseEthernet(b []byte) (inner, bool) {
	if len(b) < etherHeader {
		return inner{}, false
	}
	switch binary.BigEndian.Uint16(b[12:]) {
	case etherIPv4, etherIPv6:
		if in, ok := parseIP(b[etherHeader:]); ok {
			return in, true
		}
	}
	return inner{}, true
}

func parseIP(b []byte) (inner, bool) {
	switch {
	case len(b) >= ipv4HeaderLen && b[0]>>4 == 4:
		return parseIPv4(b)
	case len(b) >= ipv6HeaderLen && b[0]>>4 == 6:
		return parseIPv6(b), true
	}
	return inner{}, false
}

func parseIPv4(b []byte) (inner, bool) {
	header, size := int(b[0]&0xf)*4, int(binary.BigEndian.Uint16(b[2:]))
	if header < ipv4HeaderLen || size > len(b) {
		return inner{}, false
	}
	src, dst := [4]byte(b[12:16]), [4]byte(b[16:20])
	in := inner{
		Packet: Packet{
			Src: netip.AddrFrom4(src), Dst: netip.AddrFrom4(dst), Proto: b[9], DSCP: b[1] >> 2, Size: size,
		},
	}
	more, offset := b[6]&0x20 != 0, binary.BigEndian.Uint16(b[6:])&0x1fff
	in.later = offset != 0
	if !more && offset == 0 && size >= header {
		in.transport = b[header:size] // an Ethernet frame may have padding behind it
	}
	return in, true
}

// parseIPv6 follows the extension headers that a forwarded packet can have
// (RFC 8200, section 4); whatever it does not know ends the walk.
func parseIPv6(b []byte) inner {
	src, dst := [16]byte(b[8:24]), [16]byte(b[24:40])
	in := inner{
		Packet: Packet{
			Src: netip.AddrFrom16(src), Dst: netip.AddrFrom16(dst), Proto: b[6],
			DSCP: b[0]<<2&0x3c | b[1]>>6, Size: ipv6HeaderLen + int(binary.BigEndian.Uint16(b[4:])),
		},
	}
	at, whole := ipv6HeaderLen, true
walk:
	for range maxExtensions {
		rest := b[at:]
		switch in.Proto {
		case 0, 43, 60: // hop-by-hop, routing, destination options
			if len(rest) < 8 || len(rest) < 8+8*int(rest[1]) {
				return in
			}
			in.Proto, at = rest[0], at+8+8*int(rest[1])
		case 44: // fragment
			if len(rest) < 8 {
				return in
			}
			field := binary.BigEndian.Uint16(rest[2:])
			in.Proto, at = rest[0], at+8
			if field>>3 != 0 { // what follows is no header
				in.later = true
				return in
			}
			whole = whole && field&1 == 0
		default:
			break walk
		}
	}
	if whole && at <= in.Size && in.Size <= len(b) {
		in.transport = b[at:in.Size]
	}
	return in
}
