package gro

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/totg/totg/internal/wire"
)

// A unit: its flag, virtio_net_hdr (Linux, include/uapi/linux/virtio_net.h), packet.
const (
	flagVirtio = 1
	packetAt   = 1 + 10

	needsChecksum  = 1 // the checksum field holds the pseudo header's sum
	gsoNone        = 0
	gsoTCPv4       = 1
	gsoTCPv6       = 4
	virtioGSO      = 1
	virtioSize     = 4
	virtioStart    = 6
	virtioChecksum = 8
)

// Fields of IP and TCP headers (RFC 791, 8200, 9293, 7323).
const (
	ipv4Len      = 20 // without options
	ipv4TOS      = 1
	ipv4Length   = 2
	ipv4Fragment = 6
	ipv4TTL      = 8
	ipv4Protocol = 9
	ipv4Checksum = 10
	dontFragment = 0x4000

	ipv6Len    = 40
	ipv6Length = 4
	ipv6Next   = 6
	ipv6Hops   = 7

	protocolTCP = 6
	tcpLen      = 20 // without options
	tcpSequence = 4
	tcpAck      = 8
	tcpOffset   = 12
	tcpFlags    = 13
	tcpWindow   = 14
	tcpChecksum = 16
	flagPSH     = 1 << 3
	flagACK     = 1 << 4
)

// segment is a unit that may be joined with others: TCP data with nothing out of the
// ordinary, whose checksum is left to whoever takes it.
type segment struct {
	unit      []byte
	packet    []byte // of it
	transport int    // offset of the TCP header
	headers   int    // bytes before the data
	size      int    // data bytes of each of its segments but the last
	sequence  uint32 // of the first byte of data
	last      bool   // nothing is worth waiting for behind it
}

// parse takes a unit apart; ok is false for one that may not be joined.
func parse(unit []byte) (s segment, ok bool) {
	if len(unit) < packetAt+ipv4Len+tcpLen || unit[0] != flagVirtio || unit[1] != needsChecksum {
		return s, false
	}
	h, gso := unit[1:packetAt], unit[1+virtioGSO]
	s.unit, s.packet = unit, unit[packetAt:]
	switch {
	case s.packet[0] == 0x45 && (gso == gsoNone || gso == gsoTCPv4):
		ok = s.parseIPv4()
	case s.packet[0]>>4 == 6 && (gso == gsoNone || gso == gsoTCPv6):
		ok = s.parseIPv6()
	}
	if !ok || int(binary.LittleEndian.Uint16(h[virtioStart:])) != s.transport || binary.LittleEndian.Uint16(h[virtioChecksum:]) != tcpChecksum || !s.parseTCP() {
		return s, false
	}
	data := len(s.packet) - s.headers
	s.size = data
	if gso != gsoNone {
		s.size = int(binary.LittleEndian.Uint16(h[virtioSize:]))
	}
	if s.size == 0 {
		return s, false
	}
	// Less than a full segment ends what an application wrote. PSH says nothing: Linux
	// sets it in every super-packet.
	s.last = gso == gsoNone || data%s.size != 0
	return s, true
}

func (s *segment) parseIPv4() bool {
	p := s.packet
	s.transport = ipv4Len
	return p[ipv4Protocol] == protocolTCP && int(binary.BigEndian.Uint16(p[ipv4Length:])) == len(p) &&
		binary.BigEndian.Uint16(p[ipv4Fragment:])&^dontFragment == 0 && wire.Fold(wire.Sum(0, p[:ipv4Len])) == 0xffff
}

func (s *segment) parseIPv6() bool {
	p := s.packet
	s.transport = ipv6Len
	return len(p) >= ipv6Len+tcpLen && p[ipv6Next] == protocolTCP && int(binary.BigEndian.Uint16(p[ipv6Length:])) == len(p)-ipv6Len
}

// parseTCP accepts data with ACK, and PSH. Any other flag, those of congestion (RFC 3168)
// among them, is for the host to see as it came.
func (s *segment) parseTCP() bool {
	tcp := s.packet[s.transport:]
	s.headers = s.transport + int(tcp[tcpOffset]>>4)*4
	s.sequence = binary.BigEndian.Uint32(tcp[tcpSequence:])
	return s.headers >= s.transport+tcpLen && s.headers < len(s.packet) && tcp[tcpOffset]&15 == 0 && tcp[tcpFlags]&^flagPSH == flagACK
}

// packet is a super-packet in the making.
type packet struct {
	flow Flow
	due  time.Time
	unit []byte // empty: the place is free
	next uint32 // sequence number of what may be joined

	transport, headers, size int // as of the first segment
}

func (p *packet) used() bool { return len(p.unit) > 0 }

// length is that of the IP packet.
func (p *packet) length() int { return len(p.unit) - packetAt }

// complete reports whether nothing more may be joined: the last segment is short, or
// there is no room for another one.
func (p *packet) complete() bool {
	return (p.length()-p.headers)%p.size != 0 || p.length()+p.size > maxJoined
}

// begin makes a segment the first of a packet.
func (p *packet) begin(f Flow, s *segment, due time.Time) {
	*p = packet{
		flow: f, due: due, unit: append(p.unit[:0], s.unit...), next: s.sequence + uint32(len(s.packet)-s.headers),
		transport: s.transport, headers: s.headers, size: s.size,
	}
}

// join appends a segment's data, if it continues what is there.
func (p *packet) join(s *segment) bool {
	data := s.packet[s.headers:]
	if s.sequence != p.next || s.transport != p.transport || s.headers != p.headers ||
		(s.size != p.size && len(data) > p.size) || p.length()+len(data) > maxJoined || !p.continues(s) {
		return false
	}
	// The newest acknowledgement, window and time stamps count.
	tcp, newest := p.unit[packetAt+p.transport:packetAt+p.headers], s.packet[s.transport:s.headers]
	copy(tcp[tcpAck:tcpAck+4], newest[tcpAck:])
	tcp[tcpFlags] |= newest[tcpFlags]
	copy(tcp[tcpWindow:tcpWindow+2], newest[tcpWindow:])
	copy(tcp[tcpLen:], newest[tcpLen:])
	p.unit = append(p.unit, data...)
	p.next += uint32(len(data))
	return true
}

// continues reports whether the headers differ in nothing but what two segments in a
// row may differ in. ECN's bits are not of that.
func (p *packet) continues(s *segment) bool {
	a, b := p.unit[packetAt:], s.packet
	if p.transport == ipv6Len {
		if !bytes.Equal(a[:ipv6Length], b[:ipv6Length]) || a[ipv6Hops] != b[ipv6Hops] {
			return false
		}
	} else if a[ipv4TOS] != b[ipv4TOS] || a[ipv4TTL] != b[ipv4TTL] || a[ipv4Fragment] != b[ipv4Fragment] {
		return false
	}
	x, y := a[p.transport+tcpLen:p.headers], b[s.transport+tcpLen:s.headers]
	return bytes.Equal(x, y) || (stamps(x) && stamps(y))
}

// stamps reports whether options are time stamps alone, as RFC 7323 recommends them.
func stamps(options []byte) bool {
	return len(options) == 12 && [4]byte(options) == [4]byte{1, 1, 8, 10}
}

// finish completes the lengths and checksums, and returns the unit; its place is free then.
func (p *packet) finish() []byte {
	b := p.unit[packetAt:]
	var was int // length of the first segment's packet
	if p.transport == ipv6Len {
		was = int(binary.BigEndian.Uint16(b[ipv6Length:])) + ipv6Len
		binary.BigEndian.PutUint16(b[ipv6Length:], uint16(len(b)-ipv6Len))
	} else {
		was = int(binary.BigEndian.Uint16(b[ipv4Length:]))
		binary.BigEndian.PutUint16(b[ipv4Length:], uint16(len(b)))
		binary.BigEndian.PutUint16(b[ipv4Checksum:], 0)
		binary.BigEndian.PutUint16(b[ipv4Checksum:], ^wire.Fold(wire.Sum(0, b[:ipv4Len])))
	}
	// What is there is the sum of the pseudo header, which has the length in it.
	at := b[p.transport+tcpChecksum:]
	binary.BigEndian.PutUint16(at, wire.Fold(uint64(binary.BigEndian.Uint16(at))+uint64(len(b)-was)))
	unit := p.unit
	p.unit = unit[:0]
	return unit
}
