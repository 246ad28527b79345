package wire

import (
	"encoding/binary"
	"math/bits"
)

// Sum adds b, as big-endian 16-bit words with a zero byte after an odd end, to a
// one's complement sum (RFC 1071). The sum is kept in 64 bits: 2^16-1 divides
// 2^64-1, so adding eight bytes at a time with the carry brought round gives the
// same sum after Fold.
func Sum(sum uint64, b []byte) uint64 {
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

// Fold reduces a sum to 16 bits.
func Fold(sum uint64) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}
