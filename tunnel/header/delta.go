package header

import (
	"encoding/binary"
	"math"

	"github.com/totg/totg/internal/wire"
	"github.com/totg/totg/tunnel/flow"
)

// Bits of a compressed unit's mask, in the order of the fields: each says that
// the field is there, and not as the context foretells it.
//
//	 0         1         2        3
//	+---------+---------+--------+-----------------------+---------+
//	| flags   | context | mask   | fields that are there | payload |
//	| u8      | u8      | u8     |                       |         |
//	+---------+---------+--------+-----------------------+---------+
//	  checksum u16 (flagChecksum) | virtio_net_hdr 10 B | TCP flags u8 | sequence number |
//	  acknowledgement | window | IPv4 ID | timestamp value | timestamp echo
//
// From the sequence number on they are differences to what the context foretells,
// modulo the size of the field, as varints: 2d is an increase by d, 2d-1 a
// decrease by d.
const (
	maskVirtio = 1 << iota // not that of the newest unit of this kind
	maskFlags              // TCP flags but PSH
	maskSeq                // not where the payload before ended
	maskAck
	maskWindow
	maskID // of IPv4
	maskStamp
	maskEcho
)

// appendHeader appends the compressed header of a unit that matches.
func (c *context) appendHeader(dst []byte, slot byte, h *headers) []byte {
	start := len(dst)
	d := deltas{dst: append(dst, 0, slot, 0)} // flags and mask are known at the end
	first := byte(flagCompressed)
	tcp, old := h.packet[h.ip:h.size], c.header[h.ip:h.size]
	if sum := u16(tcp[tcpChecksum:]); sum != h.partialChecksum() {
		first |= flagChecksum
		d.dst = binary.BigEndian.AppendUint16(d.dst, sum)
	}
	if h.virtio != nil {
		first |= flow.FlagVirtio
		kind := h.kind()
		if kind == super {
			first |= flagSuper
		}
		if [flow.VirtioLen]byte(h.virtio) != c.virtio[kind] {
			d.mask |= maskVirtio
			d.dst = append(d.dst, h.virtio...)
		}
	}
	flags := tcp[tcpFlags]
	if flags&tcpPSH != 0 {
		first |= flagPush
	}
	if (flags^old[tcpFlags])&^tcpPSH != 0 {
		d.mask |= maskFlags
		d.dst = append(d.dst, flags&^tcpPSH)
	}
	d.append(maskSeq, int32(u32(tcp[tcpSeq:])-c.seq))
	d.append(maskAck, int32(u32(tcp[tcpAck:])-u32(old[tcpAck:])))
	d.append(maskWindow, int32(int16(u16(tcp[tcpWindow:])-u16(old[tcpWindow:]))))
	if h.ip == ipv4Len {
		d.append(maskID, int32(int16(u16(h.packet[ipv4ID:])-c.id)))
	}
	if c.stamp != 0 {
		stamp, before := h.packet[c.stamp:], c.header[c.stamp:]
		d.append(maskStamp, int32(u32(stamp)-u32(before)))
		d.append(maskEcho, int32(u32(stamp[4:])-u32(before[4:])))
	}
	d.dst[start], d.dst[start+2] = first, d.mask
	return d.dst
}

// expand restores a compressed unit of at least fixedLen bytes; dst has
// flow.MaxUnit bytes. The context changes only where it succeeds.
func (c *context) expand(dst, unit []byte) (int, error) {
	first, mask := unit[0], unit[2]
	if !c.allows(first, mask) {
		return 0, ErrMalformed
	}
	f := fields{r: wire.NewReader(unit[fixedLen:]), mask: mask}
	dst[0] = first & flow.FlagVirtio
	at := packetAt(dst[0])
	h := headers{packet: dst[at:], ip: int(c.ip), size: int(c.size)}
	copy(h.packet, c.header[:c.size])
	tcp := h.packet[h.ip:h.size]
	sum := uint16(0)
	if first&flagChecksum != 0 {
		sum = f.r.U16()
	}
	if dst[0] != 0 {
		h.virtio = dst[1:at]
		f.putVirtio(&h, c, first)
	}
	if mask&maskFlags != 0 {
		tcp[tcpFlags] = f.r.U8()
		f.bad = f.bad || tcp[tcpFlags]&(tcpRare|tcpPSH) != 0
	}
	tcp[tcpFlags] &^= tcpPSH
	if first&flagPush != 0 {
		tcp[tcpFlags] |= tcpPSH
	}
	f.put32(tcp[tcpSeq:], maskSeq, c.seq)
	f.put32(tcp[tcpAck:], maskAck, u32(tcp[tcpAck:]))
	f.put16(tcp[tcpWindow:], maskWindow, u16(tcp[tcpWindow:]))
	if h.ip == ipv4Len {
		f.put16(h.packet[ipv4ID:], maskID, c.id)
	}
	if c.stamp != 0 {
		stamp := h.packet[c.stamp:]
		f.put32(stamp, maskStamp, u32(stamp))
		f.put32(stamp[4:], maskEcho, u32(stamp[4:]))
	}
	payload := f.r.Rest()
	h.packet = h.packet[:min(h.size+len(payload), len(h.packet))]
	if f.bad || f.r.Err() != nil || h.payload() < len(payload) || h.length() > maxPacket {
		return 0, ErrMalformed
	}
	copy(h.packet[h.size:], payload)
	h.finish()
	if first&flagChecksum != 0 {
		put16(tcp[tcpChecksum:], sum)
	}
	c.advance(&h)
	return at + len(h.packet), nil
}

// allows reports whether a Compressor with this context can have written flags
// and mask.
func (c *context) allows(first, mask byte) bool {
	const known = flow.FlagVirtio | flagCompressed | flagPush | flagChecksum | flagSuper
	switch {
	case c.size == 0 || first&^known != 0:
		return false
	case first&flow.FlagVirtio == 0 && (first&flagSuper != 0 || mask&maskVirtio != 0):
		return false
	case c.ip != ipv4Len && mask&maskID != 0:
		return false
	}
	return c.stamp != 0 || mask&(maskStamp|maskEcho) == 0
}

// deltas writes the changed fields, and the mask that says which they are.
type deltas struct {
	dst  []byte
	mask byte
}

// append appends the difference of a field to what the context foretells. One of
// 16 bits has its sign extended.
func (d *deltas) append(bit byte, change int32) {
	if change != 0 {
		d.mask |= bit
		d.dst = wire.AppendVarint(d.dst, uint64(uint32(change<<1)^uint32(change>>31)))
	}
}

// fields reads the changed fields.
type fields struct {
	r    wire.Reader
	mask byte
	bad  bool // a value that no Compressor writes
}

// delta reads a difference, 0 if the mask says that there is none.
func (f *fields) delta(bit byte) uint32 {
	if f.mask&bit == 0 {
		return 0
	}
	v := f.r.Varint()
	f.bad = f.bad || v > math.MaxUint32
	return uint32(v>>1) ^ -uint32(v&1)
}

func (f *fields) put16(dst []byte, bit byte, foretold uint16) {
	put16(dst, foretold+uint16(f.delta(bit)))
}

func (f *fields) put32(dst []byte, bit byte, foretold uint32) {
	put32(dst, foretold+f.delta(bit))
}

// putVirtio writes the virtio header. It is of the kind that the first byte
// says, else the two ends would remember it in different places.
func (f *fields) putVirtio(h *headers, c *context, first byte) {
	kind := plain
	if first&flagSuper != 0 {
		kind = super
	}
	if f.mask&maskVirtio != 0 {
		copy(h.virtio, f.r.Bytes(flow.VirtioLen))
	} else {
		copy(h.virtio, c.virtio[kind][:])
	}
	f.bad = f.bad || h.kind() != kind
}

// finish sets what follows from the rest of the packet.
func (h *headers) finish() {
	put16(h.packet[h.lengthAt():], uint16(h.length()))
	if h.ip == ipv4Len {
		put16(h.packet[ipv4Checksum:], checksumIPv4(h.packet))
	}
	put16(h.packet[h.ip+tcpChecksum:], h.partialChecksum())
}
