package flow

import (
	"encoding/binary"
	"math/bits"
)

// Odd constants with as many ones as zeros, by which wyhash (Wang Yi, public
// domain) mixes.
const (
	mixA = 0xa0761d6478bd642f
	mixB = 0xe7037ed1a0b428db
	mixC = 0x8ebc6af09c88c6e3
)

// flowHash spreads flows, by addresses, protocol and ports, over 64 bits. The
// perturbation makes collisions unforeseeable to those who choose the packets
// (RFC 8290, section 4.1.1).
func flowHash(perturbation uint64, p *Packet) uint64 {
	src, dst := p.Src.As16(), p.Dst.As16()
	mix := func(h uint64, b [16]byte) uint64 {
		hi, lo := bits.Mul64(binary.BigEndian.Uint64(b[:])^h^mixA, binary.BigEndian.Uint64(b[8:])^mixB)
		return hi ^ lo
	}
	h := mix(perturbation, src)
	h = mix(h, dst)
	ports := uint64(p.Proto)<<32 | uint64(p.SrcPort)<<16 | uint64(p.DstPort)
	hi, lo := bits.Mul64(ports^h^mixC, mixA^perturbation)
	return hi ^ lo
}
