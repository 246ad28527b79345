package flow

// Sizes, in bytes.
const (
	// MaxUnit is the largest unit: flag, virtio header and a 64 KiB
	// super-packet.
	MaxUnit = 1 + VirtioLen + 65535
	// MinLimit is the least limit of a Queue: a super-packet must find room
	// behind another.
	MinLimit = 2 * MaxUnit
	// quantum is what a class, or a flow within it, may send in one turn: one
	// full packet.
	quantum = 1514
	// interactiveSize is the largest IP packet whose UDP datagram counts as
	// interactive: a voice frame of 20 ms is 60 to 200 bytes, a game's update
	// about 100, most questions and answers of DNS are below 300. What carries
	// bulk (video, QUIC) fills its packets.
	interactiveSize = 300
	// maxRun is the longest run of held bytes of a connection. No window of TCP
	// is larger (RFC 7323, section 2.3), and sequence numbers stay comparable.
	maxRun = 1 << 30
)

// Numbers.
const (
	// numFlows is the number of flow queues of a class (T-2; RFC 8290, section
	// 4.1.1), in sets of flowWays: a flow has a queue of its own as long as no more
	// of its set have something that waits.
	numFlows = FlowNumbers * flowWays
	flowWays = 4
	// FlowNumbers is how many values Unit.Flow has.
	FlowNumbers = 256
	// maxExtensions is how many IPv6 extension headers are followed.
	maxExtensions = 8
	// maxConnections bounds the connections that a Held follows at a time: they
	// have units in the tunnel right now, so hundreds are many.
	maxConnections = 1024
	// maxRuns is how many runs of held bytes a connection has: one that grows,
	// and those between holes that a full queue has torn.
	maxRuns = 4
)

// Relations between limits: the build fails where one does not hold.
const (
	_ = uint(quantum - interactiveSize) // one turn lets an interactive unit go
	_ = uint(1<<31 - maxRun - MaxUnit)
)
