package channel

import "fmt"

// ID names a channel: the initiator's half c1 in the upper 16 bits, the
// responder's half c2 in the lower ones (C-1). ID 0 is the default channel. In
// every other channel both halves are non-zero; the id is unique only together
// with the side that opened it.
type ID uint32

// Initiator is c1, the half that the opener of the channel chose.
func (id ID) Initiator() uint16 { return uint16(id >> 16) }

// Responder is c2, the half that the other side chose.
func (id ID) Responder() uint16 { return uint16(id) }

// String prints both halves in hexadecimal, as c1:c2.
func (id ID) String() string { return fmt.Sprintf("%04x:%04x", id.Initiator(), id.Responder()) }

func makeID(c1, c2 uint16) ID { return ID(c1)<<16 | ID(c2) }

// negotiable reports whether id can be the outcome of a handshake.
func (id ID) negotiable() bool { return id.Initiator() != 0 && id.Responder() != 0 }

// Capabilities is the set of promises that a channel makes (C-4).
type Capabilities uint16

// The capability bits; all others must be 0.
const (
	Resend      Capabilities = 1 << 0 // lost segments are sent again
	Ordered     Capabilities = 1 << 1 // units keep their order
	CloseOnLoss Capabilities = 1 << 2 // a loss that stays closes the channel
)

// The eight modes (C-4).
const (
	ModeUDP        Capabilities = 0                              // as it comes
	ModeZ                       = Resend                         // resend, unordered, gives up quietly
	ModeStreaming1              = Ordered                        // in order, skips gaps
	ModeStreaming2              = Ordered | Resend               // in order, resends, still skips
	ModeX                       = CloseOnLoss                    // unordered, closes on the first loss
	ModeSCTP                    = CloseOnLoss | Resend           // reliable, unordered
	ModeY                       = CloseOnLoss | Ordered          // in order, closes on loss
	ModeTCP                     = CloseOnLoss | Ordered | Resend // reliable, in order
)

// Valid reports whether only defined bits are set.
func (c Capabilities) Valid() bool { return c&^ModeTCP == 0 }

// String is the mode's name.
func (c Capabilities) String() string {
	switch c {
	case ModeUDP:
		return "UDP"
	case ModeZ:
		return "Z"
	case ModeStreaming1:
		return "Streaming 1"
	case ModeStreaming2:
		return "Streaming 2"
	case ModeX:
		return "X"
	case ModeSCTP:
		return "SCTP"
	case ModeY:
		return "Y"
	case ModeTCP:
		return "TCP"
	}
	return fmt.Sprintf("capabilities(%#04x)", uint16(c))
}
