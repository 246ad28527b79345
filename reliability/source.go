package reliability

import (
	"encoding/binary"

	"github.com/totg/totg/internal/wire"
	"github.com/totg/totg/reliability/rlc"
)

// Frame types of this package (W-3).
const (
	FrameSource  = 0x02
	FrameRepair  = 0x03
	FrameReceipt = 0x04
	FrameEcho    = 0x09
)

// SourceHeaderLen is the size of a SOURCE frame before its symbol.
const SourceHeaderLen = 5

// The word of 24 bits behind the type of SOURCE and REPAIR: class, one flag, and
// the low bits of the block id, which are enough for the blocks that can be live
// at a time many times over.
const (
	blockBits   = 21
	blockMask   = 1<<blockBits - 1
	blockClosed = 1 << blockBits
	classShift  = blockBits + 1
)

// appendBlock appends the type of a frame and its block word.
func appendBlock(dst []byte, kind uint8, class Class, block uint32, closed bool) []byte {
	word := uint32(class)<<classShift | block&blockMask
	if closed {
		word |= blockClosed
	}
	return append(dst, kind, uint8(word>>16), uint8(word>>8), uint8(word))
}

// parseBlock reads a block word.
func parseBlock(r *wire.Reader) (class Class, block uint32, closed bool) {
	word := uint32(r.U8())<<16 | uint32(r.U16())
	return Class(word >> classShift), word & blockMask, word&blockClosed != 0
}

// Source is a SOURCE frame: one symbol, uncoded. It is the last frame of
// its datagram; the symbol reaches to the datagram's end.
//
//	 0       1                   4       5
//	+-------+-------------------+-------+----------
//	| 0x02  | block word u24    | index | symbol …
//	+-------+-------------------+-------+----------
//	block word: bits 22-23 class, bit 21 the symbol is the last of its block, so
//	that K is index+1, bits 0-20 block id
type Source struct {
	Class  Class
	Block  uint32 // low 21 bits of the block id
	Index  uint8
	Last   bool
	Symbol []byte
}

// Append appends the frame, its type included.
func (s *Source) Append(dst []byte) []byte {
	dst = append(appendBlock(dst, FrameSource, s.Class, s.Block, s.Last), s.Index)
	return append(dst, s.Symbol...)
}

// ParseSource reads a SOURCE frame, after its type, up to the datagram's end.
// Symbol aliases the reader's buffer.
func ParseSource(r *wire.Reader) (s Source, err error) {
	s.Class, s.Block, s.Last = parseBlock(r)
	s.Index = r.U8()
	s.Symbol = r.Rest()
	if r.Err() != nil || len(s.Symbol) == 0 || len(s.Symbol) > MaxSymbol {
		return Source{}, ErrMalformed
	}
	return s, nil
}

// RepairHeaderLen is the size of a REPAIR frame before its coded bytes.
const RepairHeaderLen = 7

// SymbolOverhead is the most that a frame adds to a symbol: as part of a REPAIR.
const SymbolOverhead = RepairHeaderLen + rlc.LengthLen

// Repair is a REPAIR frame: a linear combination of the first N symbols of a
// block (R-2, package rlc), which may grow further unless it is closed. It is the
// last frame of its datagram; the coded bytes, a length and the longest symbol's,
// reach to the datagram's end.
//
//	 0       1                   4       5           7
//	+-------+-------------------+-------+-----------+----------
//	| 0x03  | block word u24    | N-1   | number u16| coded …
//	+-------+-------------------+-------+-----------+----------
//	block word: as in SOURCE, but bit 21: the block is closed, K is N
type Repair struct {
	Class  Class
	Block  uint32 // low 21 bits of the block id
	N      int    // symbols covered
	Closed bool   // N is the block's size
	Number uint16
	Coded  []byte
}

// Append appends the frame, its type included.
func (f *Repair) Append(dst []byte) []byte {
	dst = append(appendBlock(dst, FrameRepair, f.Class, f.Block, f.Closed), uint8(f.N-1))
	dst = binary.BigEndian.AppendUint16(dst, f.Number)
	return append(dst, f.Coded...)
}

// ParseRepair reads a REPAIR frame, after its type, up to the datagram's end.
// Coded aliases the reader's buffer.
func ParseRepair(r *wire.Reader) (f Repair, err error) {
	f.Class, f.Block, f.Closed = parseBlock(r)
	f.N, f.Number = int(r.U8())+1, r.U16()
	f.Coded = r.Rest()
	if r.Err() != nil || len(f.Coded) <= rlc.LengthLen || len(f.Coded) > rlc.LengthLen+MaxSymbol {
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
