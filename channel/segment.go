package channel

import "encoding/binary"

// Flags of a segment.
const (
	flagFirst  = 1 << 0 // the unit's first segment
	flagLast   = 1 << 1 // the unit's last segment
	flagOpener = 1 << 2 // the sender of the segment opened the channel
	flagToEnd  = 1 << 3 // no length: the bytes reach to the symbol's end
	flagCookie = 1 << 4 // COOKIE instead of a piece of a unit (C-2)

	flagsWhole = flagFirst | flagLast
	flagsData  = flagsWhole | flagOpener | flagToEnd
	flagsKnown = flagsData | flagCookie
)

// header of a segment (R-1, C-6: sequence numbers have 24 bits on the wire):
//
//	 0        1              5              8        10
//	+--------+--------------+--------------+--------+----------
//	| flags  | channel id   | sequence     | length | bytes …
//	| u8     | u32          | u24          | u16    |
//	+--------+--------------+--------------+--------+----------
//	no length with flagToEnd
type header struct {
	id    ID
	seq   uint32 // the low SequenceBits of the number
	flags uint8
}

// appendHeader appends the header of a segment of n bytes; its flags must tell
// whether the length belongs into it.
func appendHeader(dst []byte, h header, n int) []byte {
	dst = append(dst, h.flags)
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.id))
	dst = append(dst, byte(h.seq>>16), byte(h.seq>>8), byte(h.seq))
	if h.flags&flagToEnd != 0 {
		return dst
	}
	return binary.BigEndian.AppendUint16(dst, uint16(n))
}

// parseSegment splits the first segment off b. body and rest alias b.
func parseSegment(b []byte) (h header, body, rest []byte, err error) {
	if len(b) < LastSegmentHeaderLen {
		return h, nil, nil, ErrTruncated
	}
	h.flags = b[0]
	h.id = ID(binary.BigEndian.Uint32(b[1:]))
	h.seq = uint32(b[5])<<16 | uint32(b[6])<<8 | uint32(b[7])
	start, n := LastSegmentHeaderLen, len(b)-LastSegmentHeaderLen
	if h.flags&flagToEnd == 0 {
		if len(b) < SegmentHeaderLen {
			return h, nil, nil, ErrTruncated
		}
		start, n = SegmentHeaderLen, int(binary.BigEndian.Uint16(b[8:]))
	}
	switch {
	case h.flags&^flagsKnown != 0:
		return h, nil, nil, ErrFlags
	case h.id == 0 && h.flags != flagsWhole:
		return h, nil, nil, ErrControlSegment
	case h.id != 0 && !h.id.negotiable():
		return h, nil, nil, ErrID
	case n == 0:
		return h, nil, nil, ErrEmptySegment
	case n > len(b)-start:
		return h, nil, nil, ErrTruncated
	}
	end := start + n
	return h, b[start:end:end], b[end:], nil
}

// check parses a whole symbol payload without effect, so that a malformed one
// changes nothing.
func check(b []byte) error {
	for len(b) > 0 {
		h, body, rest, err := parseSegment(b)
		if err != nil {
			return err
		}
		switch {
		case h.id == 0:
			err = checkMessages(body)
		case h.flags&flagCookie != 0:
			_, err = parseCookie(h, body)
		}
		if err != nil {
			return err
		}
		b = rest
	}
	return nil
}
