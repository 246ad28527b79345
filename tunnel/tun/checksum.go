package tun

import (
	"encoding/binary"

	"github.com/totg/totg/internal/wire"
)

// finish is the checksum to store for a transport header's sum. Zero means "no
// checksum" in UDP, so its other form is stored, as the kernel does for TCP too.
func finish(sum uint64) uint16 {
	if c := ^wire.Fold(sum); c != 0 {
		return c
	}
	return 0xffff
}

// pseudo is the sum of the pseudo header (RFC 9293, RFC 8200) of an IP packet
// whose transport part has length bytes.
func pseudo(packet []byte, v6 bool, protocol byte, length int) uint64 {
	addresses := packet[12:20]
	if v6 {
		addresses = packet[8:40]
	}
	return wire.Sum(uint64(protocol)+uint64(length), addresses)
}

// completeChecksum does what needsChecksum asks for: the field holds the pseudo
// header's sum, to which the transport part is added.
func completeChecksum(h header, packet []byte) error {
	at := h.checksumStart + h.checksumOffset
	if h.checksumStart < ipv4Len || at+2 > len(packet) {
		return ErrUnit
	}
	sum := wire.Sum(0, packet[h.checksumStart:])
	binary.BigEndian.PutUint16(packet[at:], finish(sum))
	return nil
}
