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
const SourceHeaderLen = 8

// blockClosed marks a block whose size is fixed.
const blockClosed = 1 << 2

// Source is a SOURCE frame: one symbol, uncoded. It is the last frame of
// its datagram; the symbol reaches to the datagram's end.
//
//	 0       1       2                   6       7       8
//	+-------+-------+-------------------+-------+-------+----------
//	| 0x02  | flags | block, low 32     | index | K-1   | symbol …
//	+-------+-------+-------------------+-------+-------+----------
//	flags: bits 0-1 class, bit 2 block closed (else K-1 is 0), rest 0
type Source struct {
	Class  Class
	Block  uint32 // low 32 bits of the block id
	Index  uint8
	K      int // size of the block, 0 while it is open
	Symbol []byte
}

// Append appends the frame, its type included.
func (s *Source) Append(dst []byte) []byte {
	flags, k := uint8(s.Class), uint8(0)
	if s.K > 0 {
		flags |= blockClosed
		k = uint8(s.K - 1)
	}
	dst = append(dst, FrameSource, flags)
	dst = binary.BigEndian.AppendUint32(dst, s.Block)
	dst = append(dst, s.Index, k)
	return append(dst, s.Symbol...)
}

// ParseSource reads a SOURCE frame, after its type, up to the datagram's end.
// Symbol aliases the reader's buffer.
func ParseSource(r *wire.Reader) (Source, error) {
	flags := r.U8()
	s := Source{Class: Class(flags & 3), Block: r.U32(), Index: r.U8()}
	k := int(r.U8())
	s.Symbol = r.Rest()
	if r.Err() != nil || flags&^7 != 0 || len(s.Symbol) == 0 || len(s.Symbol) > MaxSymbol {
		return Source{}, ErrMalformed
	}
	if flags&blockClosed != 0 {
		s.K = k + 1
		if int(s.Index) >= s.K {
			return Source{}, ErrMalformed
		}
	} else if k != 0 {
		return Source{}, ErrMalformed
	}
	return s, nil
}

// RepairHeaderLen is the size of a REPAIR frame before its coded bytes.
const RepairHeaderLen = 9

// SymbolOverhead is the most that a frame adds to a symbol: as part of a REPAIR.
const SymbolOverhead = RepairHeaderLen + rlc.LengthLen

// Repair is a REPAIR frame: a linear combination of the first N symbols of a
// block (R-2, package rlc), which may grow further unless it is closed. It is the
// last frame of its datagram; the coded bytes, a length and the longest symbol's,
// reach to the datagram's end.
//
//	 0       1       2                   6       7           9
//	+-------+-------+-------------------+-------+-----------+----------
//	| 0x03  | flags | block, low 32     | N-1   | number u16| coded …
//	+-------+-------+-------------------+-------+-----------+----------
//	flags: bits 0-1 class, bit 2 block closed (K is N), rest 0
type Repair struct {
	Class  Class
	Block  uint32 // low 32 bits of the block id
	N      int    // symbols covered
	Closed bool   // N is the block's size
	Number uint16
	Coded  []byte
}

// Append appends the frame, its type included.
func (f *Repair) Append(dst []byte) []byte {
	flags := uint8(f.Class)
	if f.Closed {
		flags |= blockClosed
	}
	dst = append(dst, FrameRepair, flags)
	dst = binary.BigEndian.AppendUint32(dst, f.Block)
	dst = append(dst, uint8(f.N-1))
	dst = binary.BigEndian.AppendUint16(dst, f.Number)
	return append(dst, f.Coded...)
}

// ParseRepair reads a REPAIR frame, after its type, up to the datagram's end.
// Coded aliases the reader's buffer.
func ParseRepair(r *wire.Reader) (Repair, error) {
	flags := r.U8()
	f := Repair{
		Class: Class(flags & 3), Closed: flags&blockClosed != 0,
		Block: r.U32(), N: int(r.U8()) + 1, Number: r.U16(),
	}
	f.Coded = r.Rest()
	if r.Err() != nil || flags&^7 != 0 || len(f.Coded) <= rlc.LengthLen || len(f.Coded) > rlc.LengthLen+MaxSymbol {
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

// expand returns the 64-bit number closest to near whose low 32 bits are low:
// numbers of blocks and packets travel cut to 32 bits (W-1).
func expand(near uint64, low uint32) uint64 {
	v := near&^0xffffffff | uint64(low)
	switch {
	case v > near && v-near > 1<<31 && v >= 1<<32:
		return v - 1<<32
	case v < near && near-v > 1<<31:
		return v + 1<<32
	}
	return v
}
