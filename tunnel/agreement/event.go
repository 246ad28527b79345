package agreement

import "github.com/totg/totg/handshake/ladder"

// Event is what a Book tells. Which fields count depends on its kind.
type Event struct {
	Kind    EventKind
	ID      ID
	Name    string
	Stage   ladder.Stage   // Store: for OnStable
	Record  []byte         // Store: for the log
	Outcome ladder.Outcome // Decided: Committed or Aborted; Doubt: InDoubt
}

// EventKind is the kind of an Event.
type EventKind uint8

// The kinds, in the order in which they are told of an attempt.
const (
	Store    EventKind = iota + 1 // put Record on stable storage, then call OnStable
	Doubt                         // voted, and the deadline is over: the outcome comes later
	Decided                       // Outcome is final
	Resolved                      // the peer has decided too, or it cannot have voted: the log may keep a tombstone
)

// Drop is why a message had no effect.
type Drop uint8

// The reasons.
const (
	DropNone      Drop = iota // taken, or it told nothing new
	DropMalformed             // no ladder message: a peer that keeps to the protocol sends none
	DropName                  // of a name that nobody here proposed or accepts
	DropFull                  // no room for another attempt, or too soon after the last
	DropLadder                // the machine refused it: ladder.Drop says why
)
