package reliability

import (
	"encoding/binary"

	"github.com/totg/totg/internal/wire"
	"github.com/totg/totg/reliability/rate"
)

// Epoch is what a receiver knows of one send interval (W-5).
type Epoch = rate.Epoch

const epochLen = 11

// timeUnit is the unit of Hold and of an epoch's times, in microseconds: 16 bits
// of it reach back one second.
const timeUnit = 16

// Receipt is a RECEIPT frame: the receiver's state, so that any one
// receipt makes up for the loss of all before it.
//
//	+------+------------+-------------+------------+----------+---------------+
//	| 0x04 | number u32 | largest u32 | arrival u32| hold u16 | overtaken u16 |
//	+------+-------+----+-----+-------+-+----------+--+-------+-+-------------+
//	| datagrams u32| gaps u32 | KiB u32 | useless u32 | CE u32  | window u32  |
//	+------+-------+----------+---------+-------------+---------+-------------+
//	| n u8 | n epochs: id u8, count u16, first and last packet number   |
//	|      | back u16 each, first and last arrival back u16 each        |
//	+------+-----------+------------------+------------+---------------+
//	| base block u32   | first listed u32 | flags u8 | length u16      |
//	+------------------+------------------+----------+-----------------+
//	| block states …                                                   |
//	+------------------------------------------------------------------+
//	flags: bit 0 the list reaches the newest block that anything arrived of,
//	       so that later blocks are wholly missing; rest 0
//	block state: 0, n = this block and the n after it are complete
//	             r+1, m, m bytes = rank r of what arrived (at most 254), bitmap
//	             of the source symbols delivered, bit 0 of byte 0 first
type Receipt struct {
	Number    uint32
	Largest   uint32 // low 32 bits of the largest packet number that arrived
	Arrival   uint32 // its arrival by the receiver's clock, µs modulo 2^32
	Hold      uint16 // time from then to this receipt, units of 16 µs, saturated
	Datagrams uint32 // totals, modulo 2^32
	Gaps      uint32 // runs of packet numbers that were missing when a later one arrived
	KiB       uint32
	Useless   uint32 // symbols that the receiver had already
	CE        uint32
	Overtaken uint16 // packet numbers by which arrivals were overtaken lately, at most
	Window    uint32 // bytes of symbol buffers that the receiver has in all
	Epochs    [MaxEpochs]Epoch
	NumEpochs int
	Base      uint32 // low 32 bits: every block below is complete or given up
	First     uint32 // low 32 bits of the first block of States
	ToEnd     bool   // States reaches the newest block that anything arrived of
	States    []byte // encoded block states, consecutive from First
}

const (
	receiptFixedLen = 1 + 4 + 4 + 4 + 2 + 2 + 6*4 + 1 + receiptTailLen
	receiptTailLen  = 4 + 4 + 1 + 2 // base, first, flags, length
)

// Append appends the frame, its type included.
func (c *Receipt) Append(dst []byte) []byte {
	dst = append(dst, FrameReceipt)
	for _, v := range [...]uint32{c.Number, c.Largest, c.Arrival} {
		dst = binary.BigEndian.AppendUint32(dst, v)
	}
	dst = binary.BigEndian.AppendUint16(dst, c.Hold)
	dst = binary.BigEndian.AppendUint16(dst, c.Overtaken)
	for _, v := range [...]uint32{c.Datagrams, c.Gaps, c.KiB, c.Useless, c.CE, c.Window} {
		dst = binary.BigEndian.AppendUint32(dst, v)
	}
	dst = append(dst, uint8(c.NumEpochs))
	for _, e := range c.Epochs[:c.NumEpochs] {
		dst = append(dst, e.ID)
		for _, v := range [...]uint16{e.Count, e.FirstPN, e.LastPN, e.FirstTime, e.LastTime} {
			dst = binary.BigEndian.AppendUint16(dst, v)
		}
	}
	dst = binary.BigEndian.AppendUint32(dst, c.Base)
	dst = binary.BigEndian.AppendUint32(dst, c.First)
	var flags uint8
	if c.ToEnd {
		flags = 1
	}
	dst = append(dst, flags)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(c.States)))
	return append(dst, c.States...)
}

// ParseReceipt reads a RECEIPT frame after its type. States is checked and
// aliases the reader's buffer.
func ParseReceipt(r *wire.Reader) (Receipt, error) {
	c := Receipt{
		Number: r.U32(), Largest: r.U32(), Arrival: r.U32(), Hold: r.U16(), Overtaken: r.U16(),
		Datagrams: r.U32(), Gaps: r.U32(), KiB: r.U32(), Useless: r.U32(), CE: r.U32(), Window: r.U32(),
		NumEpochs: int(r.U8()),
	}
	if c.NumEpochs > MaxEpochs {
		return Receipt{}, ErrMalformed
	}
	for i := range c.NumEpochs {
		c.Epochs[i] = Epoch{
			ID: r.U8(), Count: r.U16(), FirstPN: r.U16(), LastPN: r.U16(),
			FirstTime: r.U16(), LastTime: r.U16(),
		}
	}
	c.Base, c.First = r.U32(), r.U32()
	flags := r.U8()
	c.ToEnd = flags&1 != 0
	c.States = r.Bytes(int(r.U16()))
	if r.Err() != nil || flags&^1 != 0 {
		return Receipt{}, ErrMalformed
	}
	for it := c.iterate(); ; {
		if _, ok := it.next(); !ok {
			if it.bad {
				return Receipt{}, ErrMalformed
			}
			return c, nil
		}
	}
}

// blockState is one entry of Receipt.States.
type blockState struct {
	offset   uint32 // from Receipt.First
	run      uint32 // complete blocks, 0 for an open one
	rank     uint8
	received []byte // bitmap
}

type stateIterator struct {
	r      wire.Reader
	offset uint32
	bad    bool
}

func (c *Receipt) iterate() stateIterator { return stateIterator{r: wire.NewReader(c.States)} }

func (it *stateIterator) next() (blockState, bool) {
	if it.bad || it.r.Len() == 0 {
		return blockState{}, false
	}
	s := blockState{offset: it.offset}
	kind, n := it.r.U8(), it.r.U8()
	if kind == 0 {
		s.run = uint32(n) + 1
		it.offset += s.run
	} else {
		s.rank = kind - 1
		s.received = it.r.Bytes(int(n))
		it.offset++
	}
	if it.r.Err() != nil || it.offset > MaxLiveBlocks || (kind > 0 && n > maxBitmap) {
		it.bad = true
		return blockState{}, false
	}
	return s, true
}
