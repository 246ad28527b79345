package header

import "github.com/totg/totg/tunnel/flow"

// Numbers.
const (
	// contexts is how many connections are remembered. The number of a context
	// is one byte on the wire.
	contexts = 256
)

// Sizes, in bytes.
const (
	ipv4Len = 20 // without options
	ipv6Len = 40
	tcpLen  = 20 // without options

	// MaxHeaders is the longest that a unit's headers are, flag byte and virtio
	// header among them, in a unit that can be compressed.
	MaxHeaders = 1 + flow.VirtioLen + maxHeader

	// maxHeader is the longest pair of IP and TCP header.
	maxHeader = ipv6Len + 60
	// maxPacket is the largest value of an IP header's length field.
	maxPacket = 1<<16 - 1
	// fixedLen is what every compressed unit has: flags, context, mask.
	fixedLen = 3
	// stampLen is a timestamp option's two values (RFC 7323).
	stampLen = 8
	// maxShort and maxLong are the longest encodings of a changed field of 16
	// and of 32 bits.
	maxShort, maxLong = 4, 8
	// maxCompressed is the longest compressed header: checksum, virtio header,
	// TCP flags, window and IPv4 ID, sequence number and acknowledgement, and
	// the two timestamps.
	maxCompressed = fixedLen + 2 + flow.VirtioLen + 1 + 2*maxShort + 2*maxLong + 2*maxLong
)

// Relations between limits: the build fails where one does not hold. A
// compressed header is written over its original, so it must not be longer, with
// timestamps (12 bytes, since TCP options fill words) or without.
const (
	_ = uint(1 + flow.VirtioLen + ipv4Len + tcpLen + 12 - maxCompressed)
	_ = uint(1 + flow.VirtioLen + ipv4Len + tcpLen - (maxCompressed - 2*maxLong))
	_ = uint(flow.MaxUnit - 1 - flow.VirtioLen - maxPacket)
	_ = uint(ipv4Len + tcpLen - ipv6Len)
)
