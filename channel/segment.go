package channel

import (
	"encoding/binary"

	"github.com/totg/totg/internal/wire"
)

// Flags of a segment.
const (
	flagFirst  = 1 << 0 // the unit's first segment
	flagLast   = 1 << 1 // the unit's last segment
	flagOpener = 1 << 2 // the sender of the segment opened the channel
	flagToEnd  = 1 << 3 // no length: the bytes reach to the symbol's end
	flagCookie = 1 << 4 // COOKIE instead of a piece of a unit (C-2)
	flagNext   = 1 << 5 // no id and no number: it continues the segment before it

	flagsWhole = flagFirst | flagLast
	flagsData  = flagsWhole | flagOpener | flagToEnd
	flagsKnown = flagsData | flagCookie | flagNext
)

// header of a segment (R-1, C-6: sequence numbers have 24 bits on the wire):
//
//	 0        1              5              8        10
//	+--------+--------------+--------------+--------+----------
//	| flags  | channel id   | sequence     | length | bytes …
//	| u8     | u32          | u24          | u16    |
//	+--------+--------------+--------------+--------+----------
//	no length with flagToEnd; neither id nor sequence with flagNext: id, opener and
//	sequence, plus one, are those of the data segment before it in the symbol, or at
//	its beginning in the symbol before it in the block
type header struct {
	id    ID
	seq   uint32 // the low SequenceBits of the number
	flags uint8
}

// appendHeader appends the header of a segment of n bytes; its flags must tell
// whether the length belongs into it.
func appendHeader(dst []byte, h header, n int) []byte {
	dst = append(dst, h.flags)
	if h.flags&flagNext == 0 {
		dst = binary.BigEndian.AppendUint32(dst, uint32(h.id))
		dst = append(dst, byte(h.seq>>16), byte(h.seq>>8), byte(h.seq))
	}
	if h.flags&flagToEnd != 0 {
		return dst
	}
	return binary.BigEndian.AppendUint16(dst, uint16(n))
}

// parseSegment splits the first segment off b. before is the header of the segment
// before it, zero if there is none. body and rest alias b.
func parseSegment(b []byte, before header) (h header, body, rest []byte, err error) {
	r := wire.NewReader(b)
	h.flags = r.U8()
	if h.flags&flagNext != 0 {
		h.id, h.seq = before.id, (before.seq+1)%(1<<SequenceBits)
	} else {
		h.id = ID(r.U32())
		h.seq = uint32(r.U8())<<16 | uint32(r.U16())
	}
	n := r.Len()
	if h.flags&flagToEnd == 0 {
		n = int(r.U16())
	}
	switch {
	case r.Err() != nil:
		return h, nil, nil, ErrTruncated
	case h.flags&^flagsKnown != 0, !h.continues(before):
		return h, nil, nil, ErrFlags
	case h.id == 0 && h.flags != flagsWhole:
		return h, nil, nil, ErrControlSegment
	case h.id != 0 && !h.id.negotiable():
		return h, nil, nil, ErrID
	case n == 0:
		return h, nil, nil, ErrEmptySegment
	case n > r.Len():
		return h, nil, nil, ErrTruncated
	}
	end := len(b) - r.Len() + n
	return h, b[end-n : end : end], b[end:], nil
}

// continues reports whether a segment may stand behind another as its flags say: one
// with flagNext goes on with data of the same direction.
func (h header) continues(before header) bool {
	return h.flags&flagNext == 0 ||
		before.id != 0 && before.flags&flagCookie == 0 && h.flags&flagCookie == 0 && (h.flags^before.flags)&flagOpener == 0
}

// check parses a whole symbol payload without effect, so that a malformed one
// changes nothing, and returns the header of its last segment. before is that of the
// segment before it, zero if there is none.
func check(b []byte, before header) (last header, err error) {
	for len(b) > 0 {
		h, body, rest, err := parseSegment(b, before)
		if err != nil {
			return header{}, err
		}
		switch {
		case h.id == 0:
			err = checkMessages(body)
		case h.flags&flagCookie != 0:
			_, err = parseCookie(h, body)
		}
		if err != nil {
			return header{}, err
		}
		b, before = rest, h
	}
	return before, nil
}
