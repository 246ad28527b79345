package header

import "github.com/totg/totg/tunnel/flow"

// context is what both ends remember of a connection, in one direction: the
// newest headers, and what follows from them for the next ones.
type context struct {
	header [maxHeader]byte // IP and TCP header
	size   uint8           // of these, 0: never set
	ip     uint8           // length of the IP header
	stamp  uint8           // offset of the timestamp's values in header, 0: none
	step   uint8           // by how much the IPv4 ID grows with each segment: 1 or 0
	id     uint16          // the next IPv4 ID
	seq    uint32          // the next sequence number
	virtio [2][flow.VirtioLen]byte
}

// matches reports whether a unit's headers differ from the context only in what
// a compressed header can say.
func (c *context) matches(h *headers) bool {
	if int(c.size) != h.size || int(c.ip) != h.ip {
		return false
	}
	a, b := c.header[:c.size], h.packet[:h.size]
	same := func(from, to int) bool { return string(a[from:to]) == string(b[from:to]) }
	if h.ip == ipv4Len {
		if !same(0, ipv4Total) || !same(ipv4Fragment, ipv4Checksum) || !same(ipv4Addresses, ipv4Len) {
			return false
		}
	} else if !same(0, ipv6Payload) || !same(ipv6Next, ipv6Len) {
		return false
	}
	tcp, options := h.ip, h.ip+tcpUrgent
	if !same(tcp, tcp+tcpSeq) || a[tcp+tcpOffset] != b[tcp+tcpOffset] {
		return false
	}
	if c.stamp == 0 {
		return same(options, h.size)
	}
	// The bytes before the values are equal, so the values are where they were.
	stamp := int(c.stamp)
	return same(options, stamp) && same(stamp+stampLen, h.size)
}

// set begins the context anew with the headers of a whole unit.
func (c *context) set(h *headers) {
	*c = context{size: uint8(h.size), ip: uint8(h.ip), stamp: uint8(findStamp(h)), step: 1}
	if h.ip == ipv4Len && u16(h.packet[ipv4ID:]) == 0 {
		c.step = 0 // hosts that do not count send zero (RFC 6864)
	}
	c.remember(h)
}

// advance takes the headers of a unit that matches into the context.
func (c *context) advance(h *headers) {
	if h.ip == ipv4Len {
		c.step = 1
		if string(h.packet[ipv4ID:ipv4Fragment]) == string(c.header[ipv4ID:ipv4Fragment]) {
			c.step = 0
		}
	}
	c.remember(h)
}

func (c *context) remember(h *headers) {
	copy(c.header[:], h.packet[:h.size])
	c.seq = u32(h.packet[h.ip+tcpSeq:]) + uint32(h.payload())
	if h.virtio != nil {
		c.virtio[h.kind()] = [flow.VirtioLen]byte(h.virtio)
	}
	if h.ip == ipv4Len {
		// Linux counts the segments of a super-packet as if it were cut already.
		c.id = u16(h.packet[ipv4ID:]) + uint16(c.step)*uint16(h.segments())
	}
}

// findStamp is the offset of the timestamp's values in a packet, 0 if TCP's
// options have none that can be found.
func findStamp(h *headers) int {
	const end, none, timestamp = 0, 1, 8 // kinds of options
	for at := h.ip + tcpLen; at < h.size; {
		kind := h.packet[at]
		if kind == none {
			at++
			continue
		}
		if kind == end || at+2 > h.size {
			return 0
		}
		length := int(h.packet[at+1])
		switch {
		case length < 2 || at+length > h.size:
			return 0
		case kind == timestamp && length == 2+stampLen:
			return at + 2
		}
		at += length
	}
	return 0
}
