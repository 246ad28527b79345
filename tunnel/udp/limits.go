package udp

import "time"

// Sizes in bytes.
const (
	// MaxDatagram is the largest payload of a UDP datagram over IPv4 (65,535 less
	// 20 and 8 bytes of headers), and of all datagrams of one system call.
	MaxDatagram = 65507
	// MaxRun is the buffer that every run fits in which Receive can get.
	MaxRun = 65535

	// The kernel doubles these for its own bookkeeping. The receive buffer holds
	// 64 ms of 1 Gbit/s, longer than the loop is ever away. The send buffer is
	// small against it: waiting datagrams belong into the queue that the pacer
	// and FQ-CoDel see (T-2).
	receiveBuffer = 8 << 20
	sendBuffer    = 2 << 20

	// oobLen has room for the segment size (24), a TOS byte (24), a traffic class
	// (24), a time (32) and destinations (32 and 40), with some to spare.
	oobLen = 224

	// segmentLen is the control message of a segment size.
	segmentLen = 24
)

// maxAge is the oldest arrival that is believed: no run waits longer for a process
// that lives.
const maxAge = time.Second

// maxSegments is the kernel's limit of datagrams per call (UDP_MAX_SEGMENTS before
// Linux 6.9).
const maxSegments = 64

// maxNoGSO bounds the memory of paths without segmentation offload; when it is
// full, all are tried again.
const maxNoGSO = 64

// The ECN field of the TOS byte (RFC 3168).
const (
	ecnMask = 3
	ecnECT0 = 2
	ecnCE   = 3
)
