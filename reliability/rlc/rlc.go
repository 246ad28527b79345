// Package rlc is a systematic random linear block code over GF(2^8): any repair
// symbol replaces any missing symbol of its block (requirement R-2).
//
// The K source symbols of a block differ in length. The code works on their
// coded form: the bytes, an end marker, and zeros as far as the block's longest
// symbol. A repair symbol is a linear combination of the coded forms of the
// block's first n symbols: a block may grow while repairs for it are under way.
// The coefficients follow from n and the packet number of the datagram that the
// repair travels in; they are pseudo-random and not zero. So a first repair over
// a missing symbol is never useless, and as many repairs as symbols are missing
// suffice but for a chance of about 1/255.
//
// The Decoder eliminates as symbols arrive, first in the coefficients alone, so
// that each is known to be innovative or useless at once and a useless one costs
// next to nothing, and solves what it has seen of a block as soon as its rank
// allows. To put the arithmetic on symbols off until then saves nothing: each of
// m missing symbols of K costs about K multiplications either way, and the
// completion of a block would wait for all of them.
//
// The package is pure, allocates nothing in steady state, and belongs to one
// goroutine. Sizes are in bytes. Sources: RFC 8681 (systematic random linear
// codes); Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators",
// 2014 (SplitMix64).
package rlc

import "github.com/klauspost/reedsolomon"

const (
	// MaxK is the largest block: an index is one byte.
	MaxK = 256
	// MarkerLen is what the coded form adds to a symbol's bytes: the end marker.
	MarkerLen = 1
	// BufferLen holds the coded form of the largest symbol; a multiple of 64,
	// for the multiplication works on whole vector registers.
	BufferLen = 1536
	// MaxSymbol is the largest source symbol.
	MaxSymbol = BufferLen - 64
	// marker ends a symbol in its coded form: only zeros stand behind it.
	marker = 0x01
)

// A coded form fits in a buffer.
const _ = uint(BufferLen - MaxSymbol - MarkerLen)

// mulAdd adds c times in to out.
func mulAdd(c byte, in, out []byte) {
	if c != 0 {
		reedsolomon.LowLevel{}.GalMulSliceXor(c, in, out[:len(in)])
	}
}

// scale multiplies b by c in place.
func scale(c byte, b []byte) {
	if c != 1 {
		reedsolomon.LowLevel{}.GalMulSlice(c, b, b)
	}
}

// Coefficients fills row, of 1 to MaxK bytes, with the coefficients of a repair
// symbol that covers the first len(row) source symbols and travels in the
// datagram with packet number pn, which is below 2^56.
func Coefficients(row []byte, pn uint64) {
	k := len(row)
	// SplitMix64, eight coefficients a step.
	state := pn<<8 | uint64(k-1)
	for i := 0; i < k; i += 8 {
		state += 0x9e3779b97f4a7c15
		z := state
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		z ^= z >> 31
		for j := i; j < min(i+8, k); j++ {
			row[j] = byte(1 + (z&0xff)*255>>8)
			z >>= 8
		}
	}
}

// Repair adds up a repair symbol. It holds the coefficients, so that the caller
// can feed symbols from wherever they lie, and the sum, which has room for whole
// vector registers: what is left of a symbol byte by byte takes as long as half of the
// rest.
type Repair struct {
	row [MaxK]byte
	sum [BufferLen]byte
}

// Start begins the repair over the first n symbols of a block that travels in the
// datagram with packet number pn.
func (r *Repair) Start(n int, pn uint64) {
	Coefficients(r.row[:n], pn)
	clear(r.sum[:])
}

// Add adds source symbol i in coded form, with zeros behind it as Mark writes them.
func (r *Repair) Add(i int, coded []byte) { mulAdd(r.row[i], coded[:whole(len(coded))], r.sum[:]) }

// Append appends the coded bytes of the repair symbol, as many as the longest symbol
// that was added has.
func (r *Repair) Append(dst []byte, longest int) []byte { return append(dst, r.sum[:longest]...) }

// Mark returns the coded form of a symbol, in place: it appends the end marker and
// writes behind it the zeros that Add reads, as far as the next multiple of 64
// bytes. symbol has the capacity.
func Mark(symbol []byte) []byte {
	coded := append(symbol, marker)
	clear(coded[len(coded):whole(len(coded))])
	return coded
}

// unmark returns the symbol of a coded form, nil if it is none: the last byte but
// zeros is not the marker, or the symbol before it is empty or too long.
func unmark(coded []byte) []byte {
	n := len(coded) - MarkerLen
	for n > 0 && coded[n] == 0 {
		n--
	}
	if n <= 0 || n > MaxSymbol || coded[n] != marker {
		return nil
	}
	return coded[:n]
}
