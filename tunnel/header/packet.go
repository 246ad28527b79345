package header

import (
	"encoding/binary"

	"github.com/totg/totg/internal/wire"
	"github.com/totg/totg/tunnel/flow"
)

// Offsets in an IPv4 and an IPv6 header (RFC 791, RFC 8200).
const (
	ipv4Total     = 2
	ipv4ID        = 4
	ipv4Fragment  = 6
	ipv4Protocol  = 9
	ipv4Checksum  = 10
	ipv4Addresses = 12
	ipv6Payload   = 4
	ipv6Next      = 6
	ipv6Addresses = 8

	protoTCP = 6
)

// Offsets and flags in a TCP header (RFC 9293, section 3.1).
const (
	tcpSeq      = 4
	tcpAck      = 8
	tcpOffset   = 12
	tcpFlags    = 13
	tcpWindow   = 14
	tcpChecksum = 16
	tcpUrgent   = 18

	tcpSYN = 1 << 1
	tcpRST = 1 << 2
	tcpPSH = 1 << 3
	tcpURG = 1 << 5
	// tcpRare are the flags of segments that travel as they are: SYN has options
	// that no other segment has, RST may be anything, and URG is not used.
	tcpRare = tcpSYN | tcpRST | tcpURG
)

// Offsets in a virtio header, whose integers are little-endian.
const (
	virtioType = 1 // gso_type
	virtioSize = 4 // gso_size
)

// headers are the headers of a unit that can be compressed. The slices alias it.
type headers struct {
	virtio []byte // nil where there is none
	packet []byte // all of the IP packet
	ip     int    // length of the IP header
	size   int    // … and of the TCP header
}

// packetAt is where the packet begins in a unit with these flags.
func packetAt(flags byte) int {
	if flags&flow.FlagVirtio != 0 {
		return 1 + flow.VirtioLen
	}
	return 1
}

// parse takes a unit apart; ok is false if it cannot be compressed. Whatever is
// not compared with the context or carried is checked here, for the other end
// makes it up: the length and the checksum of the IP header.
func parse(unit []byte) (h headers, ok bool) {
	if len(unit) < 1+ipv4Len+tcpLen || unit[0]&^flow.FlagVirtio != 0 {
		return headers{}, false
	}
	at := packetAt(unit[0])
	if at > 1 {
		h.virtio = unit[1:at]
	}
	h.packet = unit[at:]
	if len(h.packet) < ipv4Len+tcpLen || !h.parseIP() || len(h.packet) < h.ip+tcpLen {
		return headers{}, false
	}
	tcp := h.packet[h.ip:]
	length := int(tcp[tcpOffset]>>4) * 4
	h.size = h.ip + length
	if length < tcpLen || h.size > len(h.packet) || tcp[tcpFlags]&tcpRare != 0 {
		return headers{}, false
	}
	return h, true
}

// parseIP checks the IP header of a packet of at least ipv4Len bytes.
func (h *headers) parseIP() bool {
	b := h.packet
	switch {
	case b[0] == 0x45: // without options
		h.ip = ipv4Len
		whole := u16(b[ipv4Fragment:])&0x3fff == 0
		return whole && b[ipv4Protocol] == protoTCP &&
			int(u16(b[ipv4Total:])) == len(b) &&
			u16(b[ipv4Checksum:]) == checksumIPv4(b)
	case b[0]>>4 == 6:
		h.ip = ipv6Len
		return b[ipv6Next] == protoTCP && int(u16(b[ipv6Payload:])) == len(b)-ipv6Len
	}
	return false
}

// payload is the number of bytes behind the headers.
func (h *headers) payload() int { return len(h.packet) - h.size }

// length is what the IP header's length field holds, and lengthAt its offset.
func (h *headers) length() int {
	if h.ip == ipv6Len {
		return len(h.packet) - ipv6Len
	}
	return len(h.packet)
}

func (h *headers) lengthAt() int {
	if h.ip == ipv6Len {
		return ipv6Payload
	}
	return ipv4Total
}

// Kinds of units with a virtio header. They alternate within a connection, each
// with a virtio header of its own.
const (
	plain = iota
	super // a super-packet
)

func (h *headers) kind() int {
	if h.virtio[virtioType] != 0 {
		return super
	}
	return plain
}

// segments is how many packets the unit becomes on a wire.
func (h *headers) segments() int {
	if h.virtio == nil || h.kind() == plain {
		return 1
	}
	size, payload := int(binary.LittleEndian.Uint16(h.virtio[virtioSize:])), h.payload()
	if size == 0 || payload == 0 {
		return 1
	}
	return (payload + size - 1) / size
}

// addresses are source and destination, one after the other.
func (h *headers) addresses() []byte {
	if h.ip == ipv6Len {
		return h.packet[ipv6Addresses:ipv6Len]
	}
	return h.packet[ipv4Addresses:ipv4Len]
}

// partialChecksum is the sum of the pseudo header, which stands in the place of
// TCP's checksum until a device completes it (Linux, CHECKSUM_PARTIAL).
func (h *headers) partialChecksum() uint16 {
	sum := uint64(protoTCP) + uint64(len(h.packet)-h.ip)
	return wire.Fold(wire.Sum(sum, h.addresses()))
}

// checksumIPv4 is the right checksum for a header of ipv4Len bytes (RFC 1071).
func checksumIPv4(b []byte) uint16 {
	sum := uint64(u16(b[ipv4Checksum-2:]))
	return ^wire.Fold(wire.Sum(wire.Sum(sum, b[:ipv4Checksum-2]), b[ipv4Addresses:ipv4Len]))
}

func u16(b []byte) uint16 { return binary.BigEndian.Uint16(b) }

func u32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }

func put16(b []byte, v uint16) { binary.BigEndian.PutUint16(b, v) }

func put32(b []byte, v uint32) { binary.BigEndian.PutUint32(b, v) }
