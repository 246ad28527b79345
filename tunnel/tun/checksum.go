package tun

import (
	"encoding/binary"
	"math/bits"
)

// add adds b, as big-endian 16-bit words with a zero byte after an odd end, to a
// one's complement sum (RFC 1071). The sum is kept in 64 bits: 2^16-1 divides
// 2^64-1, so adding eight bytes at a time with the carry brought round gives the
// same sum after fold.
func add(sum uint64, b []byte) uint64 {
	for len(b) >= 8 {
		s, carry := bits.Add64(sum, binary.BigEndian.Uint64(b), 0)
		sum = s + carry
		b = b[8:]
	}
	if len(b) == 0 {
		return sum
	}
	var tail [8]byte
	copy(tail[:], b)
	s, carry := bits.Add64(sum, binary.BigEndian.Uint64(tail[:]), 0)
	return s + carry
}

// fold reduces a sum to 16 bits.
func fold(sum uint64) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

// finish is the checksum to store for a transport header's sum. Zero means "no
// checksum" in UDP, so its other form is stored, as the kernel does for TCP too.
func finish(sum uint64) uint16 {
	if c := ^fold(sum); c != 0 {
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
	return add(uint64(protocol)+uint64(length), addresses)
}

// completeChecksum does what needsChecksum asks for: the field holds the pseudo
// header's sum, to which the transport part is added.
func completeChecksum(h header, packet []byte) error {
	at := h.checksumStart + h.checksumOffset
	if h.checksumStart < ipv4Len || at+2 > len(packet) {
		return ErrUnit
	}
	sum := add(0, packet[h.checksumStart:])
	binary.BigEndian.PutUint16(packet[at:], finish(sum))
	return nil
}
