package tun

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/totg/totg/internal/wire"
)

// Offsets and flags in IP, TCP and UDP headers (RFC 791, 8200, 9293, 768).
const (
	ipv4Length   = 2
	ipv4ID       = 4
	ipv4Fragment = 6
	ipv4Protocol = 9
	ipv4Checksum = 10
	ipv6Length   = 4
	ipv6Next     = 6

	tcpSequence = 4
	tcpOffset   = 12
	tcpFlags    = 13
	tcpChecksum = 16
	udpLength   = 4
	udpChecksum = 6

	tcpFIN = 1 << 0
	tcpPSH = 1 << 3
	tcpCWR = 1 << 7
)

// segments cuts a super-packet into the packets that a network card would have
// made of it.
type segments struct {
	packet    []byte
	transport int // offset of the TCP or UDP header
	headers   int // bytes before the payload
	size      int // payload bytes of every segment but the last
	offset    int // payload bytes already cut
	index     uint16
	protocol  byte
	v6        bool
}

// split checks a super-packet and prepares to cut it. Nothing is trusted: both
// the header and the packet come from a peer.
func split(h header, packet []byte) (segments, error) {
	s := segments{packet: packet, transport: h.checksumStart, size: h.size, protocol: unix.IPPROTO_TCP}
	minimum, checksum := tcpLen, tcpChecksum
	if h.gso == gsoUDP {
		s.protocol, minimum, checksum = unix.IPPROTO_UDP, udpLen, udpChecksum
	}
	if !s.parseIP(h.gso) || h.checksumOffset != checksum || len(packet) < s.transport+minimum {
		return segments{}, ErrUnit
	}
	length := udpLen
	if s.protocol == unix.IPPROTO_TCP {
		length = int(packet[s.transport+tcpOffset]>>4) * 4
	}
	s.headers = s.transport + length
	// Without payload there would be nothing to cut, and no segment at all.
	if length < minimum || s.headers >= len(packet) || s.size == 0 {
		return segments{}, ErrUnit
	}
	if payload := len(packet) - s.headers; (payload+s.size-1)/s.size > maxSegments {
		return segments{}, ErrUnit
	}
	return s, nil
}

// next writes the next packet into dst, which has room for maxPacket bytes, and
// returns its length; 0 when all are cut.
func (s *segments) next(dst []byte) int {
	payload := s.packet[s.headers+s.offset:]
	if len(payload) == 0 {
		return 0
	}
	last := len(payload) <= s.size
	if !last {
		payload = payload[:s.size]
	}
	n := copy(dst, s.packet[:s.headers])
	n += copy(dst[n:], payload)
	p := dst[:n]
	s.finishIP(p)
	s.finishTransport(p, last)
	s.offset += len(payload)
	s.index++
	return n
}

// parseIP checks that the transport header lies where the virtio header says and
// is of the protocol that it says.
func (s *segments) parseIP(gso byte) bool {
	if len(s.packet) < ipv4Len {
		return false
	}
	switch s.packet[0] >> 4 {
	case 4:
		// An IPv4 fragment is never a super-packet: more-fragments bit and offset
		// are zero.
		fragment := binary.BigEndian.Uint16(s.packet[ipv4Fragment:]) &^ 0xc000
		return gso != gsoTCPv6 && fragment == 0 &&
			int(s.packet[0]&15)*4 == s.transport && s.transport >= ipv4Len &&
			s.packet[ipv4Protocol] == s.protocol
	case 6:
		s.v6 = true
		return gso != gsoTCPv4 && s.findTransport()
	default:
		return false
	}
}

// findTransport walks the IPv6 extension headers that a super-packet may have:
// hop-by-hop and destination options. A routing header would change the pseudo
// header, a fragment header has no place here.
func (s *segments) findTransport() bool {
	if len(s.packet) < ipv6Len {
		return false
	}
	next, at := s.packet[ipv6Next], ipv6Len
	for at < s.transport {
		if next != unix.IPPROTO_HOPOPTS && next != unix.IPPROTO_DSTOPTS || at+2 > len(s.packet) {
			return false
		}
		next, at = s.packet[at], at+(int(s.packet[at+1])+1)*8
	}
	return at == s.transport && next == s.protocol
}

// finishIP sets the fields of the IP header that differ between segments.
func (s *segments) finishIP(p []byte) {
	if s.v6 {
		binary.BigEndian.PutUint16(p[ipv6Length:], uint16(len(p)-ipv6Len))
		return
	}
	binary.BigEndian.PutUint16(p[ipv4Length:], uint16(len(p)))
	id := binary.BigEndian.Uint16(p[ipv4ID:])
	binary.BigEndian.PutUint16(p[ipv4ID:], id+s.index)
	binary.BigEndian.PutUint16(p[ipv4Checksum:], 0)
	binary.BigEndian.PutUint16(p[ipv4Checksum:], ^wire.Fold(wire.Sum(0, p[:s.transport])))
}

// finishTransport sets the fields of the TCP or UDP header that differ between
// segments, and its checksum.
func (s *segments) finishTransport(p []byte, last bool) {
	t := p[s.transport:]
	at := tcpChecksum
	if s.protocol == unix.IPPROTO_UDP {
		at = udpChecksum
		binary.BigEndian.PutUint16(t[udpLength:], uint16(len(t)))
	} else {
		sequence := binary.BigEndian.Uint32(t[tcpSequence:])
		binary.BigEndian.PutUint32(t[tcpSequence:], sequence+uint32(s.offset))
		if !last { // the end of the data is in the last segment
			t[tcpFlags] &^= tcpFIN | tcpPSH
		}
		if s.offset > 0 { // RFC 3168: "congestion window reduced" is said once
			t[tcpFlags] &^= tcpCWR
		}
	}
	binary.BigEndian.PutUint16(t[at:], 0)
	binary.BigEndian.PutUint16(t[at:], finish(wire.Sum(pseudo(p, s.v6, s.protocol, len(t)), t)))
}
