package channel

import "fmt"

// State of a channel at this end.
type State uint8

// The states. Only an Established channel can send.
const (
	Closed      State = iota // closed, refused, or never existed
	Opening                  // ours: NEW sent, ACKNOWLEDGE awaited
	Finalizing               // ours: FINALIZE sent, its delivery awaited
	Established              // both ends have it
)

// String is the state's name.
func (s State) String() string {
	switch s {
	case Closed:
		return "closed"
	case Opening:
		return "opening"
	case Finalizing:
		return "finalizing"
	case Established:
		return "established"
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// Reason says why a channel closed. It travels in CLOSE (C-2); a value that is
// not listed here is passed on as it is.
type Reason uint16

// The reasons.
const (
	ReasonNone        Reason = iota // an ordinary close
	ReasonIdle                      // not used any more
	ReasonTimeout                   // the handshake had no answer in three tries
	ReasonUnsupported               // the peer does not carry the mode
	ReasonLimit                     // no room for another channel
	ReasonFraming                   // segments do not make a unit
	ReasonOverflow                  // more data out of order than the limits allow
	ReasonUnknown                   // data came for a channel that does not exist
	ReasonConflict                  // the id was taken in the meantime
	ReasonLoss                      // a loss that the mode does not forgive
	ReasonResend                    // the resend limit is reached
)

// String is the reason in words.
func (r Reason) String() string {
	switch r {
	case ReasonNone:
		return "closed"
	case ReasonIdle:
		return "idle"
	case ReasonTimeout:
		return "handshake timeout"
	case ReasonUnsupported:
		return "mode not supported"
	case ReasonLimit:
		return "too many channels"
	case ReasonFraming:
		return "impossible framing"
	case ReasonOverflow:
		return "receive limit exceeded"
	case ReasonUnknown:
		return "unknown channel"
	case ReasonConflict:
		return "channel id taken"
	case ReasonLoss:
		return "data lost"
	case ReasonResend:
		return "resend limit reached"
	}
	return fmt.Sprintf("reason(%d)", uint16(r))
}

// EventKind says what happened to a channel.
type EventKind uint8

// The events of a channel's life.
const (
	EventOpened  EventKind = iota // it is Established, opened by either side
	EventRefused                  // ours ended before it was Established
	EventClosed                   // an Established channel closed
	EventLost                     // a Streaming channel gave segments up
)

// String is the kind's name.
func (k EventKind) String() string {
	switch k {
	case EventOpened:
		return "opened"
	case EventRefused:
		return "refused"
	case EventClosed:
		return "closed"
	case EventLost:
		return "lost"
	}
	return fmt.Sprintf("event(%d)", uint8(k))
}

// Event reports a step in a channel's life.
type Event struct {
	Kind         EventKind
	Handle       Handle
	ID           ID // its responder half is 0 where the peer never answered
	Capabilities Capabilities
	Reason       Reason // of EventRefused and EventClosed
	ByPeer       bool   // the peer opened it (EventOpened) or ended it
	Segments     uint64 // of EventLost: given up since the last one
}

// Stats counts since the Mux was made, except where marked as a gauge. Drops of
// segments are in segments, of handshakes in messages.
type Stats struct {
	SegmentsSent     uint64
	BytesSent        uint64 // of units, without headers
	SegmentsReceived uint64 // for channels that exist
	BytesReceived    uint64 // of units, without headers
	UnitsDelivered   uint64 // taken by ReadUnit
	Opened, Closed   uint64 // channels, by either side

	Duplicates      uint64 // segments that had arrived before
	Late            uint64 // segments behind the window of their channel
	Skipped         uint64 // segments that Streaming channels gave up
	UnknownChannel  uint64 // segments for channels that do not exist
	Incomplete      uint64 // segments whose unit was not complete in time
	NoRoom          uint64 // segments of unordered channels beyond the limits
	Violations      uint64 // channels closed for breaking the rules
	WrongCookies    uint64 // messages with a forged or expired cookie
	StaleMessages   uint64 // messages for channels that are gone or answered
	RepeatedMessage uint64 // repeats without effect
	CapsIgnored     uint64 // repeats of FINALIZE with other capabilities
	Refused         uint64 // channels of the peer answered with CLOSE
	RepliesDropped  uint64 // answers for which the queue had no room
	EventsDropped   uint64 // events that nobody polled

	Channels int // gauge: channels not closed
	Buffered int // gauge: bytes of memory that hold received data
}
