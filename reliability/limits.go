package reliability

import (
	"time"

	"github.com/totg/totg/reliability/rlc"
)

// Limits of the wire format. Changing one changes the protocol.
const (
	// MaxBlockSymbols bounds K, the number of symbols of a block: an
	// index is one byte.
	MaxBlockSymbols = 256
	// MaxEpochs bounds the epochs that one receipt reports.
	MaxEpochs = 8
	// maxRank is the greatest rank that a block state can tell.
	maxRank = 254
	// maxBitmap is the longest bitmap of received indices, in bytes.
	maxBitmap = MaxBlockSymbols / 8
)

// Limits of memory. Each bounds one structure (clause 5 of the contract).
const (
	// MaxSymbol is the largest symbol in bytes: what a datagram of 1,500 bytes
	// carries, rounded up to a multiple of 64 so that coding works on whole
	// vector registers.
	MaxSymbol = rlc.MaxSymbol
	// MaxLiveBlocks bounds the span of block ids that a receiver keeps; a
	// sender keeps to maxOpenBlocks, for the same reason as windowsHeld. A
	// power of two.
	MaxLiveBlocks = 4096
	maxOpenBlocks = MaxLiveBlocks / windowsHeld
	// firstFlight is how many symbols may be open before the first receipt.
	firstFlight = 32
	// MaxTransmissions bounds the sender's log of datagrams whose fate is
	// open: 131,072 is 1 Gbit/s over 1.5 s. A power of two.
	MaxTransmissions = 1 << 17
	// DefaultWindow is the receive window that a receiver announces, in bytes
	// of symbol buffers between the oldest open block and the newest: 50 Mbit/s
	// over 5 s. A short symbol takes a whole buffer.
	DefaultWindow = 32 << 20
	// windowsHeld is how many windows a receiver can hold: the sender ends a
	// block when it reads the receipt, the receiver of a block whose size it
	// never heard only when it reads the echo after that.
	windowsHeld = 2
	// initialWindow is what a sender assumes before the first receipt.
	initialWindow = 4 << 20
)

// Timing.
const (
	// receiptMin and receiptMax clamp the receipt period, RTT/8.
	receiptMin, receiptMax = 5 * time.Millisecond, 25 * time.Millisecond
	// echoMeasured is how many receipts must be known about for q̂ to count.
	echoMeasured = 64
	// receiptDoubt is the probability that a receipt and all of its repeats
	// are lost, maxRepeats the most repeats: 148 are needed at 98 % loss.
	receiptDoubt = 0.05
	maxRepeats   = 150
	// guardPackets is the least reordering guard, overtakePeriod how
	// long a receiver remembers what was overtaken, at least.
	guardPackets   = 3
	overtakePeriod = 5 * time.Second
	// initialRTT holds until the first sample (RFC 9002, 6.2.2, halved: the
	// links that this is made for resend early rather than wait).
	initialRTT = 166 * time.Millisecond
	// stallDecay is the share of the longest stall forgotten per round trip.
	stallDecay = 0.03
	// rtoMin keeps timers above scheduling noise; rtoMax bounds the back-off
	// while no receipt arrives.
	rtoMin, rtoMax = 20 * time.Millisecond, time.Second
	// maxBackoff bounds the doubling of the timeout.
	maxBackoff = 6
	// DefaultDeadline is the age at which a symbol of class Deadline is given
	// up (C-7); twice the RTT where that is more.
	DefaultDeadline = 250 * time.Millisecond
)

// fullDatagram is the size of a full datagram in IP bytes.
const fullDatagram = 1500

// Pacing (G-5).
const (
	// pacerBurst is the credit that an idle sender keeps.
	pacerBurst = 500 * time.Microsecond
	// pacerCatchUp is the credit of a sender that had data but was woken late:
	// timers of a busy machine are late by a few milliseconds, and without it
	// that time would be lost to the rate.
	pacerCatchUp = 5 * time.Millisecond
)

// What receipts may take of the return path: their share of it, and where data
// waits to go the same way the number of periods between two of them.
const (
	receiptShareLoaded = 0.02
	receiptShareIdle   = 0.50
	loadedPeriods      = 4
)

// Relations between limits, checked at compile time.
const (
	_ = uint(MaxLiveBlocks&-MaxLiveBlocks - MaxLiveBlocks)
	_ = uint(1<<(BlockBits-1) - 8*MaxLiveBlocks)
	_ = uint(MaxTransmissions&-MaxTransmissions - MaxTransmissions)
	_ = uint(DefaultWindow - initialWindow)
)
