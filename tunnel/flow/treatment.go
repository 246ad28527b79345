package flow

import "time"

// Treatment is what the tunnel does for a unit (C-7).
type Treatment struct {
	Class Class
	// Mode is the channel mode in which it travels, as capability bits (C-4).
	Mode uint8
	// Deadline is how long after its arrival the unit is of use; 0 leaves it to
	// the mode.
	Deadline time.Duration
	// Lone marks a small segment of the Stream class that comes after a pause:
	// it keeps its place in the stream, and someone may wait for it.
	Lone bool
	// Tag is the caller's.
	Tag uint64
}

// Capability bits of a Mode (C-4).
const (
	Resend      = 1 << 0
	Ordered     = 1 << 1
	CloseOnLoss = 1 << 2
)

// Modes that are chosen by default.
const (
	ModeZ          = Resend
	ModeStreaming2 = Ordered | Resend
	ModeTCP        = CloseOnLoss | Ordered | Resend
)

// Treatment is the default for a packet by itself: TCP's data is a stream, all
// else travels in mode Z, small packets first (C-7).
func (p *Packet) Treatment() Treatment {
	t := Treatment{Class: p.Class, Mode: ModeZ}
	if p.Class == Stream {
		t.Mode = ModeTCP
	}
	return t
}
