package flow

import "encoding/binary"

// The ECN field: the two low bits of the IPv4 TOS or IPv6 traffic class (RFC
// 3168, section 5).
const (
	ecnMask = 3
	notECT  = 0
	ecnCE   = 3
)

// MarkCE sets congestion experienced in the IP header of a unit (RFC 3168,
// section 5; RFC 6040 for what a tunnel may do to an inner packet). It reports
// false, and changes nothing, where the packet does not allow it. A super-packet
// is marked as a whole: its one header stands for all of its segments.
func MarkCE(unit []byte) bool {
	b := packetOf(unit)
	if len(b) < ipv4HeaderLen {
		return false
	}
	switch b[0] >> 4 {
	case 4:
		if b[1]&ecnMask == notECT {
			return false
		}
		was := binary.BigEndian.Uint16(b)
		b[1] |= ecnCE
		updateChecksum(b[10:], was, binary.BigEndian.Uint16(b))
		return true
	case 6:
		if b[1]>>4&ecnMask == notECT {
			return false
		}
		b[1] |= ecnCE << 4
		return true
	}
	return false
}

// updateChecksum changes an Internet checksum for a word that changes: RFC 1624,
// equation 3.
func updateChecksum(field []byte, was, is uint16) {
	sum := uint32(^binary.BigEndian.Uint16(field)) + uint32(^was) + uint32(is)
	sum = sum>>16 + sum&0xffff
	sum += sum >> 16
	binary.BigEndian.PutUint16(field, ^uint16(sum))
}

// packetOf is the IP packet of a unit that Parse has accepted, nil if it carries
// none.
func packetOf(unit []byte) []byte {
	b, flags := unit[1:], unit[0]
	if flags&FlagVirtio != 0 {
		b = b[VirtioLen:]
	}
	if flags&FlagEthernet == 0 {
		return b
	}
	if kind := binary.BigEndian.Uint16(b[12:]); kind != etherIPv4 && kind != etherIPv6 {
		return nil
	}
	return b[etherHeader:]
}
