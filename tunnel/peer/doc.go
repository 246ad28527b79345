// Package peer is one peer's session: it composes handshake, channel and
// reliability. Datagrams and inner packets go in, datagrams and inner packets
// come out; the tunnel around it only moves them.
//
// The driving contract (docs/architecture.md): inputs are HandleDatagram,
// HandleInit, WritePacket, HandleTimeout and Close; after every input the caller
// calls Poll, ReadPacket and PollEvent until each says no, and then HandleTimeout
// again at NextDeadline.
//
//  1. One goroutine owns a Peer; there are no callbacks.
//  2. An older now is treated as the newest seen.
//  3. Steady state allocates nothing.
//  4. No spin: once drained, NextDeadline is zero or after now.
//  5. Every queue, table and buffer has a limit in limits.go.
//  6. A dropped datagram changes nothing but counters.
//  7. The same configuration and calls give the same outputs.
//  8. Losing any output datagram is safe.
//
// Byte slices are not retained. Units (inner packets) have the form of package
// flow; sizes are bytes, rates bit/s of IP bytes.
package peer
