package header

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/totg/totg/tunnel/flow"
)

// sender makes the units of one direction of a connection, as Linux makes them.
// Checksums are computed word by word, independently of the package.
type sender struct {
	v6      bool
	offload bool // partial checksums, and super-packets above mss
	port    uint16
	mss     int

	seq, ack    uint32
	window      uint16
	flags       byte
	id, step    uint16 // IPv4 ID, and its growth by segment
	ttl         byte
	stamp, echo uint32
	options     []byte // instead of the timestamps
	bare        bool   // no options at all
}

// newSender returns a sender in the middle of a connection.
func newSender(v6, offload bool) *sender {
	return &sender{
		v6: v6, offload: offload, port: 40000, mss: 1448,
		seq: 1000, ack: 5000, window: 502, flags: tcpACK, id: 7, step: 1, ttl: 64, stamp: 1 << 20, echo: 1 << 21,
	}
}

const tcpACK, tcpFIN = 1 << 4, 1 << 0

// unit is the next unit, with n bytes of payload.
func (s *sender) unit(n int) []byte {
	options := s.options
	if options == nil && !s.bare {
		options = []byte{1, 1, 8, 10}
		options = binary.BigEndian.AppendUint32(options, s.stamp)
		options = binary.BigEndian.AppendUint32(options, s.echo)
	}
	tcp := make([]byte, tcpLen, tcpLen+len(options)+n)
	put16(tcp, s.port)
	put16(tcp[2:], 443)
	put32(tcp[tcpSeq:], s.seq)
	put32(tcp[tcpAck:], s.ack)
	tcp[tcpOffset], tcp[tcpFlags] = byte(tcpLen+len(options))/4<<4, s.flags
	put16(tcp[tcpWindow:], s.window)
	tcp = append(tcp, options...)
	header := len(tcp)
	for i := range n {
		tcp = append(tcp, byte(i*7+i>>8))
	}
	segments := 1
	if s.offload && n > s.mss {
		segments = (n + s.mss - 1) / s.mss
	}
	ip := s.ip(len(tcp))
	sum := sum16(0, ip[len(ip)-8:]) // of the pseudo header
	if s.v6 {
		sum = sum16(0, ip[8:])
	}
	sum += protoTCP + uint32(len(tcp))
	if s.offload {
		put16(tcp[tcpChecksum:], uint16(sum16(sum, nil)))
	} else {
		put16(tcp[tcpChecksum:], ^uint16(sum16(sum, tcp)))
	}
	unit := []byte{0}
	if s.offload {
		unit = append([]byte{flow.FlagVirtio}, s.virtio(len(ip), header, segments)...)
	}
	s.seq += uint32(n)
	s.id += s.step * uint16(segments)
	return append(append(unit, ip...), tcp...)
}

func (s *sender) ip(n int) []byte {
	if s.v6 {
		b := make([]byte, ipv6Len)
		put32(b, 0x6003_1234) // traffic class and flow label
		put16(b[4:], uint16(n))
		b[6], b[7] = protoTCP, s.ttl
		b[8], b[23], b[24], b[39] = 0xfd, 1, 0xfd, 2
		return b
	}
	b := make([]byte, ipv4Len)
	b[0], b[8], b[9] = 0x45, s.ttl, protoTCP
	put16(b[2:], uint16(ipv4Len+n))
	put16(b[4:], s.id)
	b[6] = 0x40 // don't fragment
	copy(b[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2})
	put16(b[10:], ^uint16(sum16(0, b)))
	return b
}

// virtio is the header that Linux gives to packets of its own (virtio_net.h).
func (s *sender) virtio(ip, tcp, segments int) []byte {
	b := make([]byte, flow.VirtioLen)
	b[0] = 1 // needs a checksum
	if segments > 1 {
		b[1] = 1 // TCP over IPv4
		if s.v6 {
			b[1] = 4
		}
		binary.LittleEndian.PutUint16(b[2:], uint16(ip+tcp))
		binary.LittleEndian.PutUint16(b[4:], uint16(s.mss))
	}
	binary.LittleEndian.PutUint16(b[6:], uint16(ip))
	binary.LittleEndian.PutUint16(b[8:], tcpChecksum)
	return b
}

func sum16(sum uint32, b []byte) uint32 {
	for i, c := range b {
		sum += uint32(c) << (8 * (1 - i%2))
		sum = sum>>16 + sum&0xffff
	}
	return sum>>16 + sum&0xffff
}

// pair is a Compressor and the Decompressor at the other end of its channel.
type pair struct {
	c   *Compressor
	d   *Decompressor
	dst []byte
}

func newPair() *pair {
	return &pair{c: NewCompressor(), d: NewDecompressor(), dst: make([]byte, flow.MaxUnit)}
}

// pass sends a unit through both, checks what always holds, and returns what
// was on the wire.
func (p *pair) pass(t *testing.T, unit []byte) []byte {
	t.Helper()
	wire := p.roundTrip(t, unit)
	if p.c.contexts != p.d.contexts {
		t.Fatalf("the two ends differ after\n%x", head(unit))
	}
	return wire
}

// roundTrip is pass without the costly comparison.
func (p *pair) roundTrip(t *testing.T, unit []byte) []byte {
	t.Helper()
	in := bytes.Clone(unit)
	wire := compress(p.c, in)
	if len(wire) > len(unit) || len(unit) > 0 && (len(wire) == 0 || &wire[len(wire)-1] != &in[len(in)-1]) {
		t.Fatalf("%d bytes became %d, or moved:\n%x\n%x", len(unit), len(wire), head(unit), head(wire))
	}
	if behind := min(len(unit), MaxHeaders); !bytes.Equal(in[behind:], unit[behind:]) {
		t.Fatalf("the payload changed behind\n%x", head(unit))
	}
	n, err := p.d.Expand(p.dst, wire)
	if err != nil || !bytes.Equal(p.dst[:n], unit) {
		t.Fatalf("Expand: %v\nunit %x\nwire %x\nback %x", err, head(unit), head(wire), head(p.dst[:n]))
	}
	return wire
}

// head is the part of a unit that a message shows.
func head(unit []byte) []byte { return unit[:min(len(unit), MaxHeaders)] }

// how is what became of a unit.
func how(wire []byte) string {
	switch {
	case wire[0]&flagCompressed != 0:
		return "compressed"
	case wire[0]&flagContext != 0:
		return "whole"
	}
	return "unchanged"
}

// variants are all kinds of senders, by name.
func variants() map[string]*sender {
	return map[string]*sender{
		"IPv4":              newSender(false, false),
		"IPv4 with offload": newSender(false, true),
		"IPv6":              newSender(true, false),
		"IPv6 with offload": newSender(true, true),
	}
}

// slot chooses a context for a connection, as a hash of it.
func (h *headers) slot() byte {
	const odd = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio
	hash := uint64(u32(h.packet[h.ip:])) * odd
	for b := h.addresses(); len(b) >= 8; b = b[8:] {
		hash = (hash ^ hash>>32 ^ binary.BigEndian.Uint64(b)) * odd
	}
	return byte(hash >> 56)
}

// compress lets the connection choose the context.
func compress(c *Compressor, unit []byte) []byte {
	slot := uint8(0)
	if h, ok := parse(unit); ok {
		slot = h.slot()
	}
	return c.Compress(slot, unit)
}
