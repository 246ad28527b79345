package tun

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Values of a virtio header (Linux, include/uapi/linux/virtio_net.h).
const (
	needsChecksum = unix.VIRTIO_NET_HDR_F_NEEDS_CSUM // the checksum field holds the pseudo header's sum
	dataValid     = unix.VIRTIO_NET_HDR_F_DATA_VALID // the checksum is known to be right

	gsoNone  = unix.VIRTIO_NET_HDR_GSO_NONE
	gsoTCPv4 = unix.VIRTIO_NET_HDR_GSO_TCPV4
	gsoTCPv6 = unix.VIRTIO_NET_HDR_GSO_TCPV6
	gsoUDP   = unix.VIRTIO_NET_HDR_GSO_UDP_L4
	gsoECN   = unix.VIRTIO_NET_HDR_GSO_ECN // a bit beside the TCP types: the CWR flag is set
)

// header is a virtio_net_hdr:
//
//	flags u8 | gso_type u8 | hdr_len u16 | gso_size u16 | csum_start u16 | csum_offset u16
//
// Integers are little-endian. hdr_len is a hint for buffer layout that no code
// here relies on.
type header struct {
	flags          byte
	gso            byte // gso_type without the ECN bit
	size           int  // payload bytes of a segment
	checksumStart  int  // offset of the transport header in the packet
	checksumOffset int  // offset of the checksum in the transport header
}

// parseHeader reads a header off b, which has at least virtioLen bytes.
func parseHeader(b []byte) header {
	return header{
		flags:          b[0],
		gso:            b[1] &^ gsoECN,
		size:           int(binary.LittleEndian.Uint16(b[4:])),
		checksumStart:  int(binary.LittleEndian.Uint16(b[6:])),
		checksumOffset: int(binary.LittleEndian.Uint16(b[8:])),
	}
}

// plain reports whether the packet is complete as it stands. The kernel may say
// dataValid of a packet that it forwards: nothing for the receiver to do.
func (h header) plain() bool {
	return h.gso == gsoNone && h.flags&needsChecksum == 0
}

// fits reports whether the fields refer to bytes of the packet and ask for
// something that this package can also do itself. A header from the network
// meets this check before the kernel sees it.
func (h header) fits(packet []byte) bool {
	if h.flags&^(needsChecksum|dataValid) != 0 {
		return false
	}
	switch h.gso {
	case gsoNone:
	case gsoTCPv4, gsoTCPv6, gsoUDP:
		if h.size == 0 || h.flags&needsChecksum == 0 {
			return false
		}
	default: // UDP fragmentation (3) left Linux; others are unknown
		return false
	}
	if h.flags&needsChecksum == 0 {
		return true
	}
	return h.checksumStart >= ipv4Len && h.checksumStart+h.checksumOffset+2 <= len(packet)
}

// unit is a parsed unit; packet aliases it.
type unit struct {
	header header
	packet []byte
}

// parseUnit takes a unit for a TAP or a TUN device apart.
func parseUnit(b []byte, tap bool) (unit, error) {
	if len(b) < 2 || b[0]&^(flagVirtio|flagEthernet) != 0 || (b[0]&flagEthernet != 0) != tap {
		return unit{}, ErrUnit
	}
	if b[0]&flagVirtio == 0 {
		u := unit{packet: b[1:]}
		return u, u.check()
	}
	// A TAP device has no offload on any host, so no frame comes with a header.
	if tap || len(b) <= 1+virtioLen {
		return unit{}, ErrUnit
	}
	u := unit{header: parseHeader(b[1:]), packet: b[1+virtioLen:]}
	if !u.header.fits(u.packet) {
		return unit{}, ErrUnit
	}
	return u, u.check()
}

func (u unit) check() error {
	if len(u.packet) > maxPacket {
		return ErrUnit
	}
	return nil
}
