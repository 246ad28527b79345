package peer

import (
	"time"

	"github.com/totg/totg/channel"
	"github.com/totg/totg/handshake"
	"github.com/totg/totg/reliability"
	"github.com/totg/totg/tunnel/flow"
)

// Sizes, in bytes.
const (
	// baseDatagram is what every path carries: the largest UDP payload before
	// probing (W-4, RFC 8899 BASE_PLPMTU).
	baseDatagram = 1200
	// DefaultMaxDatagram is the largest UDP payload tried: a packet of 1,500
	// bytes with IPv4 and UDP headers.
	DefaultMaxDatagram = 1472
	headerLen          = 1 + 4 + 4 // type, receiver index, packet number (W-1)
	tagLen             = 16
	overheadIPv4       = 20 + 8
	overheadIPv6       = 40 + 8
	// maxSegments is the most that a symbol may hold.
	maxSegments = reliability.MaxSymbol / (channel.SegmentHeaderLen + 1)
	// minSymbol is the least room worth opening a new symbol for, in a
	// datagram that already carries a receipt.
	minSymbol = 256
	// minHelloSymbol is the same while the path is measured with small datagrams
	// (G-3): a message of a channel handshake fits, a piece of a unit beside the
	// COOKIE that opens its channel, and the packet that most conversations begin
	// with: a SYN, an echo request of 84 bytes, or as much UDP, as the device gives them.
	minHelloSymbol = reliability.SymbolOverhead + channel.SegmentHeaderLen + max(channel.EarlySegmentLen+minPiece, 1+flow.VirtioLen+84)
	// minDatagram is the least amplification credit worth a datagram: it must
	// hold a receipt. minProbe is the least for a challenge alone.
	minDatagram, minProbe = 320, 64
	// minPiece is the least piece of a unit worth a segment of its own at a
	// symbol's end.
	minPiece = 32
	// maxReason bounds the text of a CLOSE frame.
	maxReason = 64
)

// What is cut to fewer bits on the wire stays unambiguous: the segments of two
// windows of symbols, as far as a receiver is behind a sender (C-6), and the blocks
// between the oldest frame that passes the replay window and the newest that a
// receiver takes.
const (
	_ = uint(1<<(channel.SequenceBits-1) - 2*reliability.DefaultWindow/reliability.MaxSymbol*maxSegments)
	_ = uint(1<<(reliability.BlockBits-1) - handshake.ReplayWindowSize - 2*reliability.MaxLiveBlocks)
)

// minBuffers is the least Config.Buffers: room for a few large units.
const minBuffers = 1 << 20

// buffers shares a peer's memory: a quarter of it for segments that wait for
// others, the rest for symbols, of which two windows are held.
func (c *Config) buffers() (segments, window int) {
	segments, window = channel.DefaultBufferBytes, reliability.DefaultWindow
	if c.Buffers > 0 {
		segments, window = min(segments, c.Buffers/4), min(window, c.Buffers*3/8)
	}
	return segments, window
}

// Numbers.
const (
	maxEvents     = 64 // between two drains
	maxResponses  = 4  // PATH_RESPONSE frames that wait
	closeCopies   = 3  // CLOSE datagrams: one may arrive, none is answered
	amplification = 3  // bytes sent per byte received, address not validated (H-8)
	// maxPacketNumbers ends a session long before its nonces run out.
	maxPacketNumbers = 1 << 40
)

// MaxInFlight bounds the symbols that a peer holds until their receipts.
const MaxInFlight = reliability.MaxLiveBlocks * reliability.MaxBlockSymbols

// maxHeld bounds the inner TCP units whose ranges are remembered until their
// receipts: a full window of small ones goes unwatched beyond.
const maxHeld = 1 << 14

// The ingress queue holds what the path carries in two round trips, for an inner
// TCP needs that to ride out its own reaction to a full queue, and in stallShare of
// the time for which in-order data may wait to be complete, for no acknowledgement
// comes back meanwhile, within these bounds.
const (
	queueTimeMin, queueTimeMax = 100 * time.Millisecond, time.Second
	stallShare                 = 1.2
	// maxQueue bounds it in bytes, or queueTimeMin of the rate does
	// where that is more.
	maxQueue = 4 << 20
)

// queueTime is the queue's limit in time of the rate, for a round trip, the longest
// stall, and the share of datagrams that is lost.
func queueTime(rtt, stall time.Duration, loss float64) time.Duration {
	return max(2*rtt, time.Duration(stallShare*(1-loss)*float64(stall)))
}

// queueLimit is the queue's limit in bytes.
func queueLimit(rate int64, wait time.Duration) int {
	return int(float64(rate) / 8 * min(max(wait, queueTimeMin), queueTimeMax).Seconds())
}

// unknownRate stands for a ceiling that nobody has set where memory depends on it, and
// unknownFlood where the flooding of a handshake does: the whole schedule of H-4.
const (
	unknownRate  = 1_000_000_000
	unknownFlood = 2_000_000
)

// floodRate is the rate that INIT, RESP and the first receipts take a share of.
func floodRate(ceiling int64) int64 {
	if ceiling == 0 {
		return unknownFlood
	}
	return ceiling
}

// queueCapacity is the most that queueLimit may become; a ceiling of 0 is unknown.
func queueCapacity(rate int64) int {
	if rate == 0 {
		rate = unknownRate
	}
	return min(queueLimit(rate, queueTimeMax), max(queueLimit(rate, 0), maxQueue))
}

// MaxQueueBytes bounds the inner packets that wait for a path of the rate, in
// bytes.
func MaxQueueBytes(rate int64) int {
	return max(queueCapacity(rate), flow.MinLimit)
}

// Handshake (H-4).
const (
	// respFloodTime bounds the flood of RESP for one INIT.
	respFloodTime = 2 * time.Second
	// pendingTime is how long a responder waits for the first datagram.
	pendingTime = 10 * time.Second
	// floodShare is the share of the rate that the flood of INIT and RESP may
	// take: on a thin link the schedule of H-4 stretches.
	floodShare = 0.1
	// floodSaved is how many datagrams of it a host has saved up that sent none
	// for a while: enough for its call and the answer to the peer's.
	floodSaved = 2
	// crossedGrace is how long the side with the smaller key insists on its own
	// INIT when both call at once; then it answers the peer's, which may be the
	// only one that can get through.
	crossedGrace = time.Second
)

// Ladders and key epochs (X-3, H-7).
const (
	// DefaultRekey is how long keys are used before a switch is begun.
	DefaultRekey = 2 * time.Minute
	// MinRekey is the least: a switch takes some round trips.
	MinRekey = time.Second
	// rekeyLeast is the least age of keys at which the peer may begin another
	// switch: it may have a shorter time than this host, and be hostile.
	rekeyLeast = MinRekey / 2
	// maxEpochDatagrams is how many datagrams one key seals before a switch is
	// begun.
	maxEpochDatagrams = 1 << 32
	// overlapMin is the least time for which the old receiving key outlives the
	// peer's switch.
	overlapMin = time.Second
	// rekeyPause is the least wait before a switch that could not begin is tried
	// again.
	rekeyPause = 100 * time.Millisecond
	// A host that leaves waits so long for the peer's vote: a ladder takes three
	// round trips, and more where datagrams are lost.
	leaveRTTs          = 25
	leaveMin, leaveMax = 100 * time.Millisecond, time.Second
	// moveFor is how long a host takes part in a switch of the path that the peer
	// asked for, without a vote: longer than MaxMove, so that the end that asked
	// gives up first.
	moveFor = MaxMove + 10*time.Second
	// moveIdle is the silence after which the peer seems to have given up: 20
	// repetitions at least (H-4), which are all lost at 70 % with a probability
	// below 10^-3.
	moveIdle = 2 * time.Second
	// MaxMove is the longest that a switch of the path may be tried.
	MaxMove = time.Minute
	// ladderAfter is how long after the first datagram of a session the ladder of RESP
	// is looked at: any time lets that datagram go first.
	ladderAfter = time.Millisecond
	// ladderAgain is the wait for a datagram with room for a ladder message.
	ladderAgain = 5 * time.Millisecond
	// ladderRate and ladderBurst bound the ladder messages of the peer that are
	// looked at, per second and at once: one may cost a dozen signatures, about a
	// millisecond of a slow core. One attempt is repeated 50 times a second (H-4).
	ladderRate, ladderBurst = 200, 50
)

// Liveness: a peer that restarted has no key for us and cannot say so.
const (
	// quietAfter is how long after the peer's last symbol one PING asks why it
	// stopped: if our address changed, nothing of what it sends arrives, and a
	// host that only receives would not tell it (H-8).
	quietAfter = time.Second
	// probeAfter is how long something may stay unanswered before PINGs flood.
	probeAfter = time.Second
	// probeInterval spaces them.
	probeInterval = 20 * time.Millisecond
	// lostShare of the silence, up to lostInterval, is between two PINGs where it
	// lasts, and from the new handshake on nothing else leaves (H-4 backs off alike):
	// a path that comes back is noticed soon, and one that is gone is not flooded.
	lostShare    = 100
	lostInterval = 250 * time.Millisecond
	// deadAfterMin and deadAfterMax clamp the silence after which a new
	// handshake starts.
	deadAfterMin, deadAfterMax = 2500 * time.Millisecond, 20 * time.Second
	// deadDoubt is the probability that all probes of that time were lost
	// although the peer lives, if losses come in bursts of deadBurst probes.
	deadDoubt = 1e-6
	deadBurst = 4
	// expireAfter ends a session that stayed silent in spite of handshakes.
	expireAfter = 5 * time.Minute
)

// Path probing (W-4, H-8).
const (
	probeSpacing   = 20 * time.Millisecond
	probeTriesMin  = 10
	probeTriesMax  = 200
	probeDoubt     = 1e-4 // all probes of a size lost although it fits
	searchAgainMin = 5 * time.Second
	searchAgainMax = 10 * time.Minute
	// stallAfter is how long the oldest block may stay unfinished, while receipts
	// arrive, before the datagram size comes under suspicion.
	stallAfter = 5 * time.Second
)
