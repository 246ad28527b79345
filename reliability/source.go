package reliability

import (
	"encoding/binary"

	"github.com/totg/totg/internal/wire"
	"github.com/totg/totg/reliability/rlc"
)

// Frame types of this package (W-3). The first byte of SOURCE and REPAIR tells more
// in its lower six bits: TypeOf takes them off.
const (
	FrameReceipt = 0x04
	FrameEcho    = 0x09
	FrameSource  = 0x80
	FrameRepair  = 0xc0
)

// TypeOf is the type of a frame by its first byte.
func TypeOf(first uint8) uint8 {
	if first&FrameSource == 0 {
		return first
	}
	return first & FrameRepair
}

// BlockBits is how many bits of its block's id a frame carries. They name a block
// within 2^18 of the newest that arrived, and that is enough: the blocks ahead of it
// that a receiver takes are fewer than MaxLiveBlocks; a frame behind it left at most
// a replay window of datagrams (W-2) before the newest, for one that is older is
// dropped, and was then of one of the newest maxOpenBlocks. That makes 22,464. Where
// the sender gives up more than MaxLiveBlocks that the receiver never heard of,
// the session ends in any case: the next ECHO has 32 bits.
const BlockBits = 19

// The first three bytes of SOURCE and REPAIR: type, class, one flag, and the low
// bits of the block id.
const (
	blockMask   = 1<<BlockBits - 1
	blockClosed = 1 << BlockBits
	classShift  = BlockBits + 1
	typeShift   = 16
)

// appendBlock appends the first bytes of a frame.
func appendBlock(dst []byte, kind uint8, class Class, block uint32, closed bool) []byte {
	word := uint32(kind)<<typeShift | uint32(class)<<classShift | block&blockMask
	if closed {
		word |= blockClosed
	}
	return append(dst, uint8(word>>16), uint8(word>>8), uint8(word))
}

// parseBlock reads what follows the first byte.
func parseBlock(first uint8, r *wire.Reader) (class Class, block uint32, closed bool) {
	word := uint32(first&^FrameRepair)<<typeShift | uint32(r.U16())
	return Class(word >> classShift), word & blockMask, word&blockClosed != 0
}

// SourceHeaderLen is the size of a SOURCE frame before its symbol.
const SourceHeaderLen = 4

// Source is a SOURCE frame: one symbol, uncoded. It is the last frame of
// its datagram; the symbol reaches to the datagram's end.
//
//	 0       1           3       4
//	+-------+-----------+-------+----------
//	| first | block u16 | index | symbol …
//	+-------+-----------+-------+----------
//	first: bits 7-6 are 10; bits 5-4 class; bit 3 the symbol is the last of its
//	block, so that K is index+1; bits 2-0 are bits 18-16 of the block id
type Source struct {
	Class  Class
	Block  uint32 // low 19 bits of the block id
	Index  uint8
	Last   bool
	Symbol []byte
}

// Append appends the frame, its type included.
func (s *Source) Append(dst []byte) []byte {
	dst = append(appendBlock(dst, FrameSource, s.Class, s.Block, s.Last), s.Index)
	return append(dst, s.Symbol...)
}

// ParseSource reads a SOURCE frame, after its first byte, up to the datagram's end.
// Symbol aliases the reader's buffer.
func ParseSource(first uint8, r *wire.Reader) (s Source, err error) {
	s.Class, s.Block, s.Last = parseBlock(first, r)
	s.Index = r.U8()
	s.Symbol = r.Rest()
	if r.Err() != nil || len(s.Symbol) == 0 || len(s.Symbol) > MaxSymbol {
		return Source{}, ErrMalformed
	}
	return s, nil
}

// RepairHeaderLen is the size of a REPAIR frame before its coded bytes.
const RepairHeaderLen = 4

// SymbolOverhead is the most that a frame adds to a symbol: as part of a REPAIR.
const SymbolOverhead = RepairHeaderLen + rlc.MarkerLen

// Repair is a REPAIR frame: a linear combination of the first N symbols of a
// block (R-2, package rlc), which may grow further unless it is closed. It is the
// last frame of its datagram; the coded bytes, the longest symbol's and a marker,
// reach to the datagram's end. Its coefficients follow from N and the packet number
// of its datagram.
//
//	 0       1           3       4
//	+-------+-----------+-------+----------
//	| first | block u16 | N-1   | coded …
//	+-------+-----------+-------+----------
//	first: bits 7-6 are 11; bit 3 the block is closed, K is N; else as in SOURCE
type Repair struct {
	Class  Class
	Block  uint32 // low 19 bits of the block id
	N      int    // symbols covered
	Closed bool   // N is the block's size
	Coded  []byte
}

// Append appends the frame, its type included.
func (f *Repair) Append(dst []byte) []byte {
	dst = append(appendBlock(dst, FrameRepair, f.Class, f.Block, f.Closed), uint8(f.N-1))
	return append(dst, f.Coded...)
}

// ParseRepair reads a REPAIR frame, after its first byte, up to the datagram's end.
// Coded aliases the reader's buffer.
func ParseRepair(first uint8, r *wire.Reader) (f Repair, err error) {
	f.Class, f.Block, f.Closed = parseBlock(first, r)
	f.N = int(r.U8()) + 1
	f.Coded = r.Rest()
	if r.Err() != nil || len(f.Coded) <= rlc.MarkerLen || len(f.Coded) > MaxSymbol+rlc.MarkerLen {
		return Repair{}, ErrMalformed
	}
	return f, nil
}

// EchoLen is the size of an ECHO frame.
const EchoLen = 13

// Echo is an ECHO frame: a receipt of receipts. It tells the receiver how
// many of its receipts arrive and which blocks nobody asks for any more.
//
//	+-------+---------------------+----------------+---------------------+
//	| 0x09  | largest receipt u32 | receipts u32   | oldest block u32    |
//	+-------+---------------------+----------------+---------------------+
type Echo struct {
	Largest  uint32 // largest receipt number that arrived
	Receipts uint32 // receipts that arrived, in all, modulo 2^32
	Oldest   uint32 // low 32 bits of the oldest block the sender still holds
}

// Append appends the frame, its type included.
func (e *Echo) Append(dst []byte) []byte {
	dst = append(dst, FrameEcho)
	dst = binary.BigEndian.AppendUint32(dst, e.Largest)
	dst = binary.BigEndian.AppendUint32(dst, e.Receipts)
	return binary.BigEndian.AppendUint32(dst, e.Oldest)
}

// ParseEcho reads an ECHO frame after its type.
func ParseEcho(r *wire.Reader) (Echo, error) {
	e := Echo{Largest: r.U32(), Receipts: r.U32(), Oldest: r.U32()}
	if r.Err() != nil {
		return Echo{}, ErrMalformed
	}
	return e, nil
}

// expand returns the 64-bit number closest to near whose low bits are low:
// numbers of blocks and packets travel cut to 32 bits or fewer (W-1).
func expand(near uint64, low uint32, bits int) uint64 {
	span := uint64(1) << bits
	v := near&^(span-1) | uint64(low)&(span-1)
	switch {
	case v > near && v-near > span/2 && v >= span:
		return v - span
	case v < near && near-v > span/2:
		return v + span
	}
	return v
}
