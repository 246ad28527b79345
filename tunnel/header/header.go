// Package header shortens the headers of inner TCP packets on a channel that is
// reliable and in order, as RFC 1144 does on a serial line.
//
// Both ends keep the same 256 contexts, each the headers of the newest packet of
// a connection; a packet carries what its context does not foretell. The channel
// loses and reorders nothing, so RFC 1144's recovery from errors has no part
// here: a Compressor sees every unit of its channel, once and in the channel's
// order, and a Decompressor sees all that the Compressor returned. Several
// channels may share a pair, if each context belongs to one of them at a time: a
// context that passes to another channel is forgotten in between, and a unit that
// was compressed for one channel is of no use on another.
//
// A unit (requirement R-1) is at most flow.MaxUnit bytes and has no other bits
// in its flag byte than flow's two. Any such unit comes out as it went in, bit
// for bit. Only these gain: TCP over IPv4 without options or over IPv6 without
// extension headers, not a fragment, with no SYN, RST or URG, a right header
// checksum and lengths that match the unit's. All others travel as they are.
//
// It is pure and allocates nothing. One goroutine owns a Compressor or a
// Decompressor. Misuse by the caller panics; what no Compressor makes is
// ErrMalformed. Sources: RFC 1144 for the method, RFC 9293 for TCP, RFC 7323 for
// its timestamps, RFC 1071 for the checksums.
package header

import "github.com/totg/totg/tunnel/flow"

// Bits of the first byte that exist only between a Compressor and a
// Decompressor, beside flow.FlagVirtio.
const (
	flagContext    = 1 << 2 // the unit is whole and sets a context
	flagCompressed = 1 << 3

	// In a compressed unit:
	flagPush     = 1 << 4 // TCP's PSH, which comes and goes too often for the mask
	flagChecksum = 1 << 5 // the TCP checksum is no partial one
	flagSuper    = 1 << 6 // the virtio header is that of a super-packet
)

// unitFlags are the bits of a unit's first byte.
const unitFlags = flow.FlagVirtio | flow.FlagEthernet

// Compressor shortens units. The zero value is ready to use.
type Compressor struct {
	contexts [contexts]context
	short    [maxCompressed]byte // the header that is being written
}

// NewCompressor returns a Compressor that has no context yet.
func NewCompressor() *Compressor { return &Compressor{} }

// Forget empties a context: the next unit that uses it travels whole.
func (c *Compressor) Forget(slot uint8) { c.contexts[slot] = context{} }

// Compress returns what to send for a unit of a connection that has this context:
// the unit itself, or a shorter header
// that stands right before the payload, which is not moved. The result is a part
// of unit, whose bytes before it are no longer of use, and not empty unless unit
// is. Nothing changes beyond the first MaxHeaders bytes of unit: who keeps a copy
// of them can bring it back.
func (c *Compressor) Compress(slot uint8, unit []byte) []byte {
	if len(unit) > flow.MaxUnit || len(unit) > 0 && unit[0]&^unitFlags != 0 {
		panic("header: not a unit")
	}
	h, ok := parse(unit)
	if !ok {
		return unit
	}
	context := &c.contexts[slot]
	if !context.matches(&h) {
		context.set(&h)
		// A whole unit has no room for the number of its context but where its
		// length is, which it shows anyway.
		unit[0] |= flagContext
		put16(h.packet[h.lengthAt():], uint16(slot))
		return unit
	}
	short := context.appendHeader(c.short[:0], slot, &h)
	context.advance(&h)
	at := len(unit) - h.payload() - len(short)
	copy(unit[at:], short)
	return unit[at:]
}

// Decompressor undoes what the Compressor at the other end did. The zero value
// is ready to use.
type Decompressor struct {
	contexts [contexts]context
}

// NewDecompressor returns a Decompressor that has no context yet.
func NewDecompressor() *Decompressor { return &Decompressor{} }

// Expand writes the original of a unit into dst, which has at least flow.MaxUnit
// bytes and does not overlap unit, and returns its length. The error is
// ErrMalformed; it leaves the contexts as they were, and dst undefined.
func (d *Decompressor) Expand(dst, unit []byte) (n int, err error) {
	if len(dst) < flow.MaxUnit {
		panic("header: Expand needs a buffer of flow.MaxUnit bytes")
	}
	dst = dst[:flow.MaxUnit]
	switch {
	case len(unit) > flow.MaxUnit:
		return 0, ErrMalformed
	case len(unit) == 0 || unit[0]&^unitFlags == 0:
		return copy(dst, unit), nil
	case unit[0]&^flow.FlagVirtio == flagContext:
		return d.expandWhole(dst, unit)
	case unit[0]&flagCompressed != 0 && len(unit) >= fixedLen:
		return d.contexts[unit[1]].expand(dst, unit)
	}
	return 0, ErrMalformed
}

// expandWhole restores a unit that sets a context.
func (d *Decompressor) expandWhole(dst, unit []byte) (int, error) {
	b := dst[:copy(dst, unit)]
	b[0] &^= flagContext
	at := packetAt(b[0])
	if len(b) < at+ipv6Len { // less than the shortest IPv4 and TCP headers
		return 0, ErrMalformed
	}
	h := headers{packet: b[at:], ip: ipv4Len}
	if h.packet[0]>>4 == 6 {
		h.ip = ipv6Len
	}
	field := h.packet[h.lengthAt():]
	slot := u16(field)
	put16(field, uint16(h.length()))
	h, ok := parse(b)
	if !ok || slot >= contexts {
		return 0, ErrMalformed
	}
	d.contexts[slot].set(&h)
	return len(b), nil
}
