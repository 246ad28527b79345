package tun

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"
)

// referenceSum is RFC 1071 word by word: nothing shared with the code under test.
func referenceSum(parts ...[]byte) uint16 {
	sum := uint32(0)
	for _, b := range parts {
		for i, v := range b {
			if i%2 == 0 {
				sum += uint32(v) << 8
			} else {
				sum += uint32(v)
			}
			sum = sum&0xffff + sum>>16
		}
	}
	return uint16(sum&0xffff + sum>>16)
}

// pseudoHeader is the pseudo header of an IP packet as bytes.
func pseudoHeader(p []byte, protocol byte, length int) []byte {
	if p[0]>>4 == 6 {
		b := append([]byte{}, p[8:40]...)
		b = binary.BigEndian.AppendUint32(b, uint32(length))
		return append(b, 0, 0, 0, protocol)
	}
	b := append([]byte{}, p[12:20]...)
	b = append(b, 0, protocol)
	return binary.BigEndian.AppendUint16(b, uint16(length))
}

// superPacket describes a packet with a virtio header for tests.
type superPacket struct {
	v6, udp  bool
	options  int // bytes of TCP options
	extended int // bytes of IPv6 extension header, a multiple of 8
	payload  int
	size     int
	flags    byte // TCP flags
}

func (c superPacket) protocol() byte {
	if c.udp {
		return unix.IPPROTO_UDP
	}
	return unix.IPPROTO_TCP
}

// network is the IP header with its extension header.
func (c superPacket) network(length int) []byte {
	if !c.v6 {
		p := make([]byte, 20)
		p[0], p[1], p[8], p[9] = 0x45, 0x02, 64, c.protocol()
		binary.BigEndian.PutUint16(p[2:], uint16(20+length))
		binary.BigEndian.PutUint16(p[4:], 0xfffe) // the identification wraps
		binary.BigEndian.PutUint16(p[6:], 0x4000)
		copy(p[12:], []byte{10, 77, 0, 1, 10, 77, 0, 2})
		return p
	}
	p := make([]byte, 40+c.extended)
	p[0], p[6], p[7] = 0x60, c.protocol(), 64
	binary.BigEndian.PutUint16(p[4:], uint16(c.extended+length))
	copy(p[8:], []byte{0xfd, 0x77, 15: 1})
	copy(p[24:], []byte{0xfd, 0x77, 15: 2})
	if c.extended > 0 {
		p[6], p[40], p[41] = unix.IPPROTO_DSTOPTS, c.protocol(), byte(c.extended/8-1)
		p[42], p[43] = 1, byte(c.extended-4) // PadN
	}
	return p
}

// build gives the packet as the kernel hands it out: the checksum field holds the
// pseudo header's sum.
func (c superPacket) build() (header, []byte) {
	var transport []byte
	h := header{flags: needsChecksum, gso: gsoTCPv4, size: c.size, checksumOffset: 16}
	if c.v6 {
		h.gso = gsoTCPv6
	}
	if c.udp {
		h.gso, h.checksumOffset = gsoUDP, 6
		transport = make([]byte, 8)
		binary.BigEndian.PutUint16(transport[4:], uint16(8+c.payload))
	} else {
		transport = make([]byte, 20+c.options)
		binary.BigEndian.PutUint32(transport[4:], 0xfffffff0) // the sequence wraps
		transport[12], transport[13] = byte((20+c.options)/4)<<4, c.flags
	}
	rng := rand.New(rand.NewPCG(uint64(c.payload), uint64(c.size)))
	for range c.payload {
		transport = append(transport, byte(rng.Uint32()))
	}
	p := c.network(len(transport))
	h.checksumStart = len(p)
	p = append(p, transport...)
	sum := referenceSum(pseudoHeader(p, c.protocol(), len(transport)))
	binary.BigEndian.PutUint16(p[h.checksumStart+h.checksumOffset:], sum)
	return h, p
}

// bytes is the header's encoding.
func (h header) bytes() []byte {
	b := []byte{h.flags, h.gso, 0, 0}
	b = binary.LittleEndian.AppendUint16(b, uint16(h.size))
	b = binary.LittleEndian.AppendUint16(b, uint16(h.checksumStart))
	return binary.LittleEndian.AppendUint16(b, uint16(h.checksumOffset))
}

// verifyPacket checks lengths and checksums of a packet with the reference code.
func verifyPacket(t *testing.T, p []byte, transport int, protocol byte) {
	t.Helper()
	if p[0]>>4 == 4 {
		if got := referenceSum(p[:transport]); got != 0xffff {
			t.Fatalf("IPv4 header sums up to %#x, want 0xffff", got)
		}
		if got := int(binary.BigEndian.Uint16(p[2:])); got != len(p) {
			t.Fatalf("IPv4 length %d, want %d", got, len(p))
		}
	} else if got := int(binary.BigEndian.Uint16(p[4:])); got != len(p)-40 {
		t.Fatalf("IPv6 length %d, want %d", got, len(p)-40)
	}
	body := p[transport:]
	if got := referenceSum(pseudoHeader(p, protocol, len(body)), body); got != 0xffff {
		t.Fatalf("transport checksum sums up to %#x, want 0xffff", got)
	}
	if protocol == unix.IPPROTO_UDP {
		if got := int(binary.BigEndian.Uint16(body[4:])); got != len(body) {
			t.Fatalf("UDP length %d, want %d", got, len(body))
		}
	}
}
