package control

import "time"

// Limits of the control socket.
const (
	maxRequest  = 4096     // bytes of a request with its line feed: a command is a word
	maxResponse = 16 << 20 // bytes of an answer: 1024 peers take about 2 MB, MaxChannels of each 13 MB more
	MaxChannels = 64       // that are listed of a peer, the oldest
	maxClients  = 16       // served at a time; more wait in the kernel's queue

	// MaxDeadline bounds the deadline of a proposal: a client waits for so long.
	MaxDeadline = 24 * time.Hour

	// MaxPathDeadline bounds that of a switch of the path: who tries it longer tries a path that is down.
	MaxPathDeadline = time.Minute

	requestTime = 2 * time.Second  // for a client to say what it wants
	answerTime  = 5 * time.Second  // for the tunnel to answer, and for the client to read that
	clientTime  = 10 * time.Second // for a whole query, more than a live tunnel takes
	stopTime    = 15 * time.Second // for a tunnel to take back what it made
	stopPoll    = 20 * time.Millisecond

	maxSocketPath = 107 // bytes: sun_path (108) less the terminating zero
)
