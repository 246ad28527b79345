package channel

import (
	"fmt"
	"time"
)

// Sizes on the wire, in bytes. They are part of the protocol (R-1, C-2).
const (
	// MaxUnit is the largest unit: flag byte, virtio header, and an IP packet
	// or Ethernet frame of 65,535 bytes.
	MaxUnit = 1 + 10 + 65535
	// SegmentHeaderLen is what a segment costs beside its bytes.
	SegmentHeaderLen = NextSegmentHeaderLen + 4 + SequenceBits/8
	// NextSegmentHeaderLen is what one costs that is appended as Next.
	NextSegmentHeaderLen = 1 + LengthLen
	// LengthLen is how much less a segment costs that is appended as ToEnd.
	LengthLen = 2
	// SequenceBits is how much of a segment's number travels (C-6). That names one
	// within 2^23 of the segment that is expected next, and the layer below holds
	// far fewer of a channel. Only where nothing arrives while so many are sent and
	// given up, 84 s of 100,000 packets a second in one flow, what follows counts
	// as late until as many more are sent.
	SequenceBits = 24
	// MaxSegment is the most bytes of a unit that one segment carries: its
	// length field has 16 bits.
	MaxSegment = 1<<16 - 1
)

// Defaults of Limits.
const (
	// DefaultChannels per side. Flows hash onto this many channels (C-6).
	DefaultChannels = 256
	// DefaultOpening is how many handshakes of ours run at once. All of the
	// messages of one kind fit in one 1200-byte datagram: three datagrams open
	// one channel, or as many as these (C-2).
	DefaultOpening = 50
	// DefaultBufferBytes bounds the memory that waits for missing segments or
	// for ReadUnit: 1 Gbit/s for half a second.
	DefaultBufferBytes = 64 << 20
	// DefaultHandshakeTimeout is the wait after the first try; it doubles after
	// each one. The layer below repairs losses, so a retry is the exception.
	DefaultHandshakeTimeout = 2 * time.Second
	// DefaultUnitTimeout is how long a piece of a unit of an unordered channel
	// that may lose waits for the rest. No inner protocol wants a packet that
	// late.
	DefaultUnitTimeout = 2 * time.Second
	// DefaultResendLimit is how long a gap of a channel that loses nothing may
	// last before the resend limit counts as reached (C-4): R2 of RFC 9293,
	// section 3.8.3, is at least so long.
	DefaultResendLimit = 100 * time.Second
)

// Fixed limits.
const (
	// handshakeTries is the number of times NEW and FINALIZE are sent (C-3).
	handshakeTries = 3
	// maxChannels bounds Limits.Channels well below the 65,535 values of a
	// half, so that a free half is found at once and is not reused soon.
	maxChannels = 4096
	// maxAhead is how far beyond the next expected one a segment of an ordered
	// channel may be, in segments: 150 MiB of 1200-byte segments, more than
	// any honest sender keeps unacknowledged.
	maxAhead = 1 << 17
	// unorderedWindow is how far behind the newest one a segment of an
	// unordered channel may be, in segments: 1.6 s at 100 Mbit/s.
	unorderedWindow = 1 << 14
	// reliableWindow is the same where nothing may be lost: as much as an
	// ordered channel may be ahead.
	reliableWindow = maxAhead
	// maxJumps bounds the gaps of an unordered channel whose age is known each
	// by itself; beyond it a gap counts as old as the one before it.
	maxJumps = 1 << 10
	// controlWindow is the same for channel 0, where a segment holds up to 50
	// messages.
	controlWindow = 1 << 10
	// maxReplies bounds the messages that wait to be sent on a peer's demand,
	// beyond it they are dropped: the peer asks again.
	maxReplies = 256
	// maxReady bounds the complete units that wait for ReadUnit. More than one
	// 1500-byte datagram can complete.
	maxReady = 1024
	// maxEvents bounds the events that wait for PollEvent; the oldest go.
	maxEvents = 1024
	// maxTombs is how many closed channels are remembered, so that a late
	// FINALIZE does not bring one back.
	maxTombs = 256
	// minRing is the smallest ring of out-of-order segments, in segments.
	minRing = 64
	// cookieStep is the time step inside cookie2. A cookie2 lives for one to
	// two steps, longer than any handshake.
	cookieStep = time.Minute
	// secretLifetime is after how long a new secret replaces the older of the
	// two live ones.
	secretLifetime = 2 * time.Minute
	// bytesPerSymbol is Limits.BufferBytes for each symbol in a block under way: so
	// few that a peer which leaves holes everywhere gains little memory, so many
	// that a correct one, which keeps to two windows of the layer below, has room.
	bytesPerSymbol = 128
	// freeTrails is how many trails of blocks that are complete are kept for new
	// ones: so many blocks are under way at a time, as a rule.
	freeTrails = 32
	// idleBytes of free buffers are kept for good; trimInterval later, what
	// has not been used in between is given back.
	idleBytes    = 1 << 20
	trimInterval = 10 * time.Second
	// initialRTT is the round-trip time before SetPath: what the layer below
	// assumes.
	initialRTT = 166 * time.Millisecond
	// minPatience is the least time that a gap may last: timers and schedulers
	// of hosts are late by so much.
	minPatience = 2 * time.Millisecond
	// maxDuration bounds the times in Limits, so that backoff cannot overflow.
	maxDuration = time.Hour
	// minBufferBytes is enough for one unit in assembly and one complete.
	minBufferBytes = 1 << 18
)

// Relations between limits: the build fails where one does not hold.
const (
	_ = uint(maxAhead - minRing)
	_ = uint(maxAhead - unorderedWindow)
	_ = uint(1<<(SequenceBits-1) - maxAhead - reliableWindow)
	_ = uint(maxReady - 1500/(NextSegmentHeaderLen+1))
	_ = uint(secretLifetime - cookieStep)
	_ = uint(cookieStep - 7*DefaultHandshakeTimeout)
	_ = uint(minBufferBytes - 2*(MaxUnit+bufferOverhead))
	_ = uint(1200 - SegmentHeaderLen - DefaultOpening*acknowledgeLen)
)

// Limits bound what a Mux holds. A zero field means its default.
type Limits struct {
	// Channels each side may have open, 1 to 4096.
	Channels int
	// Opening is how many of our own channels may be in their handshake, at
	// most Channels.
	Opening int
	// BufferBytes of memory for received data, at least 256 KiB. A peer that
	// exceeds it on an ordered channel loses the channel; on an unordered one
	// the segments are dropped.
	BufferBytes int
	// HandshakeTimeout is the wait before the second try, up to an hour.
	HandshakeTimeout time.Duration
	// UnitTimeout is how long an incomplete unit of an unordered channel that
	// may lose is kept, up to an hour.
	UnitTimeout time.Duration
	// ResendLimit is how long a channel that loses nothing may wait for a
	// segment, up to an hour. Then it closes (C-4).
	ResendLimit time.Duration
}

func (l Limits) withDefaults() Limits {
	if l.Channels == 0 {
		l.Channels = DefaultChannels
	}
	if l.Opening == 0 {
		l.Opening = min(DefaultOpening, l.Channels)
	}
	if l.BufferBytes == 0 {
		l.BufferBytes = DefaultBufferBytes
	}
	if l.HandshakeTimeout == 0 {
		l.HandshakeTimeout = DefaultHandshakeTimeout
	}
	if l.UnitTimeout == 0 {
		l.UnitTimeout = DefaultUnitTimeout
	}
	if l.ResendLimit == 0 {
		l.ResendLimit = DefaultResendLimit
	}
	return l
}

// validate checks limits that have their defaults filled in.
func (l Limits) validate() error {
	switch {
	case l.Channels < 1 || l.Channels > maxChannels:
		return fmt.Errorf("%w: Channels %d is not in 1…%d", ErrConfig, l.Channels, maxChannels)
	case l.Opening < 1 || l.Opening > l.Channels:
		return fmt.Errorf("%w: Opening %d is not in 1…%d", ErrConfig, l.Opening, l.Channels)
	case l.BufferBytes < minBufferBytes:
		return fmt.Errorf("%w: BufferBytes %d is below %d", ErrConfig, l.BufferBytes, minBufferBytes)
	case l.HandshakeTimeout < 0 || l.HandshakeTimeout > maxDuration:
		return fmt.Errorf("%w: HandshakeTimeout %v is not in 0…%v", ErrConfig, l.HandshakeTimeout, maxDuration)
	case l.UnitTimeout < 0 || l.UnitTimeout > maxDuration:
		return fmt.Errorf("%w: UnitTimeout %v is not in 0…%v", ErrConfig, l.UnitTimeout, maxDuration)
	case l.ResendLimit < 0 || l.ResendLimit > maxDuration:
		return fmt.Errorf("%w: ResendLimit %v is not in 0…%v", ErrConfig, l.ResendLimit, maxDuration)
	}
	return nil
}
