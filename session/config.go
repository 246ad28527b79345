package session

import (
	"errors"
	"net/netip"
	"time"

	"github.com/totg/totg/channel"
	"github.com/totg/totg/handshake"
	"github.com/totg/totg/reliability/rate"
	"github.com/totg/totg/tunnel/peer"
)

// Limits.
const (
	// MaxUnit is the largest unit in bytes.
	MaxUnit = channel.MaxUnit
	// maxInbox bounds the bytes of units that wait for Receive on a channel.
	// Beyond it a channel that loses nothing closes, others lose the oldest.
	maxInbox = 16 << 20
	// maxEvents bounds the events that wait for NextEvent; the oldest go.
	maxEvents = 1024
	// maxAccept bounds the channels that wait for Accept; more are closed.
	maxAccept = 256
	// retryAfter is how often a Send that waits looks whether there is room.
	retryAfter = 5 * time.Millisecond
)

// Errors.
var (
	// ErrClosed: the channel or the session is closed; Channel.Reason says why.
	ErrClosed = errors.New("session: closed")
	// ErrUnit: a unit is empty or larger than MaxUnit.
	ErrUnit = peer.ErrUnit
	// ErrDeadline: a channel that loses nothing knows no deadlines.
	ErrDeadline = peer.ErrDeadline
	// ErrMode: there is no such mode.
	ErrMode = channel.ErrMode
)

// Mode is what a channel promises (requirement C-4).
type Mode = channel.Capabilities

// The modes.
const (
	UDP        = channel.ModeUDP
	Z          = channel.ModeZ
	Streaming1 = channel.ModeStreaming1
	Streaming2 = channel.ModeStreaming2
	X          = channel.ModeX
	SCTP       = channel.ModeSCTP
	Y          = channel.ModeY
	TCP        = channel.ModeTCP
)

// Config of a Session.
type Config struct {
	// Private is this program's key, Peer the other's public key.
	Private handshake.PrivateKey
	Peer    handshake.PublicKey
	// PresharedKey is optional, and the same at both ends.
	PresharedKey handshake.PresharedKey
	// Listen is the address of the UDP socket; port 0 lets the kernel choose.
	Listen netip.AddrPort
	// Endpoint is where the peer listens; the zero value waits for its call.
	Endpoint netip.AddrPort
	// Rate is how the send rate is found (requirement G-4). The zero value
	// measures what the path carries and shares it fairly; a Ceiling bounds it,
	// and mode Fixed sends at the Ceiling without measuring.
	Rate rate.Config
}

// Options of a channel.
type Options struct {
	Mode Mode
	// Interactive units of modes Z and Streaming2 go before all others, as long
	// as they keep to their share.
	Interactive bool
	// Patience is how long a gap may last at this end before Streaming1 and
	// Streaming2 skip it, or X and Y take it for loss; 0 is the default, which
	// follows the path (requirement C-5).
	Patience time.Duration
}

// Event is what happened in a session.
type Event struct {
	Kind EventKind
	// Channel is nil for EventUp and EventDown.
	Channel *Channel
	// Reason why a channel closed, and whether the peer closed it.
	Reason channel.Reason
	ByPeer bool
	// Segments that were given up, of EventLost; a unit has one or more.
	Segments uint64
}

// EventKind says what happened.
type EventKind uint8

// The events.
const (
	EventUp     EventKind = iota // the session is up
	EventDown                    // it ended, and its channels with it
	EventClosed                  // a channel closed
	EventLost                    // a Streaming channel skipped a gap
)

// String is the kind's name.
func (k EventKind) String() string {
	switch k {
	case EventUp:
		return "up"
	case EventDown:
		return "down"
	case EventClosed:
		return "closed"
	case EventLost:
		return "lost"
	}
	return "invalid"
}
