// Package rlc is a systematic random linear block code over GF(2^8): any repair
// symbol replaces any missing symbol of its block (requirement R-2).
//
// The K source symbols of a block differ in length. The code works on their
// coded form: a 16-bit length, the bytes, and zeros as far as the block's
// longest symbol. A repair symbol is a linear combination of the coded forms of
// the block's first n symbols: a block may grow while repairs for it are under
// way. The coefficients follow from n and the repair's number: rows of a Cauchy
// matrix while numbers fit in the field, so that any K of the symbols and of the
// first 256-K repairs of a finished block suffice, then pseudo-random non-zero
// coefficients, of which K suffice but for a chance of about 1/255.
//
// The Decoder eliminates as symbols arrive, first in the coefficients alone, so
// that each is known to be innovative or useless at once and a useless one costs
// next to nothing, and solves what it has seen of a block as soon as its rank
// allows. To put the arithmetic on symbols off until then saves nothing: each of
// m missing symbols of K costs about K multiplications either way, and the
// completion of a block would wait for all of them.
//
// The package is pure, allocates nothing in steady state, and belongs to one
// goroutine. Sizes are in bytes. Sources: Reed and Solomon 1960; Blömer et al.,
// "An XOR-based erasure-resilient coding scheme", 1995 (Cauchy matrices); RFC
// 8681 (systematic random linear codes).
package rlc

import (
	"encoding/binary"

	"github.com/klauspost/reedsolomon"
)

const (
	// MaxK is the largest block: an index is one byte.
	MaxK = 256
	// LengthLen is the length before a symbol's bytes in its coded form.
	LengthLen = 2
	// BufferLen holds the coded form of the largest symbol; a multiple of 64,
	// for the multiplication works on whole vector registers.
	BufferLen = 1536
	// MaxSymbol is the largest source symbol.
	MaxSymbol = BufferLen - 64
)

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

// Coefficients fills row with the coefficients of a repair symbol that covers
// the first len(row) source symbols.
func Coefficients(row []byte, repair uint16) {
	k := len(row)
	if x := MaxK - 1 - int(repair); x >= k {
		for i := range row {
			row[i] = inverse[byte(x)^byte(i)]
		}
		return
	}
	// SplitMix64 (Steele, Lea and Flood 2014), eight coefficients a step.
	state := uint64(k)<<16 | uint64(repair)
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

// Start begins repair number repair over the first n symbols of a block.
func (r *Repair) Start(n int, repair uint16) {
	Coefficients(r.row[:n], repair)
	clear(r.sum[:])
}

// Add adds source symbol i in coded form, with zeros behind it as Pad writes them.
func (r *Repair) Add(i int, coded []byte) { mulAdd(r.row[i], coded[:whole(len(coded))], r.sum[:]) }

// Append appends the coded bytes of the repair symbol, as many as the longest symbol
// that was added has.
func (r *Repair) Append(dst []byte, longest int) []byte { return append(dst, r.sum[:longest]...) }

// Pad writes the zeros of a coded form that Add reads, as far as the next multiple of
// 64 bytes. coded has the capacity.
func Pad(coded []byte) { clear(coded[len(coded):whole(len(coded))]) }

// PutLength writes the length that precedes a symbol of n bytes.
func PutLength(coded []byte, n int) { binary.BigEndian.PutUint16(coded, uint16(n)) }
