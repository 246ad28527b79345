package link

import "time"

const (
	// MaxPackets bounds the packets that one direction holds, queued and in
	// flight together: 10 Gbit/s of full packets over 150 ms. More are dropped
	// as if the queue were full.
	MaxPackets = 1 << 17

	// DefaultMTU is the largest packet where nothing else is said, in IP bytes.
	DefaultMTU = 1500

	// MaxMTU is the largest packet of all, in IP bytes.
	MaxMTU = 65535

	// MinQueue is the smallest queue that DefaultQueue gives, in bytes: ten full
	// packets. A path without delay has no bandwidth-delay product, and a queue of
	// one packet would drop every burst of two.
	MinQueue = 10 * DefaultMTU

	// MaxQueue is the largest queue, in bytes.
	MaxQueue = 1 << 30

	// MaxRate is the highest rate, in bit/s: 1 Tbit/s keeps the arithmetic of
	// serialisation times far from overflow.
	MaxRate = 1_000_000_000_000

	// MaxDelay is the longest propagation delay: ten light-minutes.
	MaxDelay = 10 * time.Minute

	// MaxBurst is the longest mean loss burst, in packets.
	MaxBurst = 1_000_000

	// MaxTokens is the largest token bucket of a policer, in bytes.
	MaxTokens = 1 << 28

	// MaxChanges bounds the changes of a schedule.
	MaxChanges = 64

	// MinEvery is the shortest period of a change, so that a link that was idle
	// catches up in little time.
	MinEvery = 10 * time.Millisecond

	// MaxAt is the latest time and the longest period of a change.
	MaxAt = 365 * 24 * time.Hour

	// DefaultReorderDelay is how long a reordered packet is held back at most:
	// some packets' worth at the rates of the profiles.
	DefaultReorderDelay = 5 * time.Millisecond

	// smallPacket is the size of the small buffers, in bytes: receipts and
	// acknowledgements need no full-size one.
	smallPacket = 256

	// wander is the time between two turning points of jitter that keeps order,
	// in units of the jitter. At 4 the delay falls by at most half a second per
	// second, so that no packet overtakes another.
	wander = 4
)

const nanobit = int64(time.Second) // token-bucket units of one bit

// The token bucket counts nanobits (bit/s times nanoseconds) in an int64.
const _ = uint64(1<<63-1) / uint64(nanobit) / 8 / MaxTokens
