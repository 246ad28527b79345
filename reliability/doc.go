// Package reliability is flooding with receipts for one path of a session: the
// Sender gives symbols packet numbers, paces them and sends them again until a
// receipt shows that they are not needed; the Receiver removes duplicates,
// keeps the state that receipts report and says when the next one is due.
//
// A symbol is an opaque run of bytes that fills one datagram (requirement R-1).
// Symbols form blocks of 1 to MaxBlockSymbols and travel uncoded first; what is
// missing of a block is made up by repairs, any of which replaces any of its
// symbols (R-2, package rlc). One rule decides when a block gets one.
//
// Contract. Both types are pure: no goroutine, lock, clock or randomness; now
// is the first argument and never goes backwards. One goroutine owns a value.
// Steady state allocates nothing. Every queue and table is bounded by limits.go.
// Input from the peer is authenticated but not trusted: a malformed or
// contradictory frame is an error (errors.go) that ends the session, and leaves
// the state as it was. Misuse by the caller panics.
//
// Sources: docs/protocol.md section 4 (R-*) and 5 (G-5); RFC 6298 and RFC 8985
// for round-trip time and reordering.
package reliability

// Class is the traffic class of a block: lower values go first.
type Class uint8

// The classes, in order of priority.
const (
	Control     Class = iota // channel messages
	Interactive              // small units that someone waits for
	Deadline                 // worthless after Config.Deadline
	Bulk                     // everything else
	NumClasses  = 4
)

// String returns the lower-case name of the class.
func (c Class) String() string {
	switch c {
	case Control:
		return "control"
	case Interactive:
		return "interactive"
	case Deadline:
		return "deadline"
	case Bulk:
		return "bulk"
	}
	return "invalid"
}
