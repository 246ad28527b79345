package tun

import "golang.org/x/sys/unix"

// Bits of a unit's flag byte.
const (
	flagVirtio   = 1 << 0 // a virtio header follows
	flagEthernet = 1 << 1 // the packet is an Ethernet frame
)

// Sizes in bytes.
const (
	// MaxUnit is the largest unit, and the smallest buffer for Read.
	MaxUnit = 1 + virtioLen + maxPacket

	// MinMTU is the smallest MTU that IPv4 allows (RFC 791). IPv6 needs 1280.
	MinMTU = 68
	// MaxMTU is the largest MTU of a TUN interface.
	MaxMTU = maxPacket
	// MaxTAPMTU leaves room for the Ethernet header.
	MaxTAPMTU = maxPacket - ethernetLen

	virtioLen   = 10    // struct virtio_net_hdr, legacy layout
	maxPacket   = 65535 // largest IP packet; IPv6 jumbograms are not carried
	ethernetLen = 14

	ipv4Len = 20 // without options
	ipv6Len = 40
	tcpLen  = 20 // without options
	udpLen  = 8
)

// maxNameLen is the longest interface name in bytes; the kernel's IFNAMSIZ
// counts the closing zero.
const maxNameLen = unix.IFNAMSIZ - 1

// maxSegments bounds the packets that one unit may become. 64 KiB cut at 48
// bytes, below the smallest segment TCP uses in practice, make 1366; a peer that
// asks for more is out to make this host work.
const maxSegments = 2048

// clonePath is the device file that makes TUN and TAP interfaces.
const clonePath = "/dev/net/tun"
