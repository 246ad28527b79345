package ladder

import "strconv"

// Outcome is what a party knows of the action. Only Committed and Aborted are
// final, and each stays what it is.
type Outcome uint8

// The outcomes. After a vote nothing is an abort but the peer's ABORT.
const (
	Open      Outcome = iota // has not voted, may abort
	InDoubt                  // has voted and does not know more; it will be resolved
	Committed                // both votes exist: act
	Aborted                  // will never be committed by either: do not act
)

// String is the outcome for people.
func (o Outcome) String() string {
	names := [...]string{"OPEN", "IN DOUBT", "COMMITTED", "ABORTED"}
	if int(o) < len(names) {
		return names[o]
	}
	return "outcome " + strconv.Itoa(int(o))
}

// Event is what PollEvent tells. Events of a kind that were not read yet count
// as one.
type Event uint8

// The events, in the order in which they are told.
const (
	EventProgress  Event = iota // the own level rose
	EventPersist                // store Record, then call OnStable
	EventInDoubt                // voted, and the deadline is over: the outcome comes later
	EventCommitted              // take the action
	EventAborted                // do not
	EventDone                   // the peer has decided too: the record is no longer needed
	numEvents
)

// String is the event's name.
func (e Event) String() string {
	names := [...]string{"progress", "persist", "in doubt", "committed", "aborted", "done"}
	if int(e) < len(names) {
		return names[e]
	}
	return "event " + strconv.Itoa(int(e))
}

// Drop is why a message had no effect. DropNone is one that was taken, or that
// told nothing new.
type Drop uint8

// The reasons.
const (
	DropNone         Drop = iota
	DropMalformed         // does not parse
	DropAction            // another action or other parameters
	DropAttempt           // of another attempt of the peer at the same action
	DropSignature         // not the pinned key's, or not over this party's own artifacts
	DropConflict          // other than what the peer signed before at the same level
	DropEquivocation      // V and ABORT of one party: the peer is not honest
	DropReceipt           // RECEIPT of something else
	NumDrops              // how many reasons there are
)

// String is the reason in snake case, for a counter's name.
func (d Drop) String() string {
	names := [...]string{
		"none", "malformed", "action", "attempt", "signature", "conflict", "equivocation", "receipt",
	}
	if int(d) < len(names) {
		return names[d]
	}
	return "drop_" + strconv.Itoa(int(d))
}

// Stage is what a party has bound itself to, the part of its state that must
// be stable before it shows.
type Stage uint8

// The stages and where they lead: Begun to Voted or Refused, Voted to Joined or
// Overruled.
const (
	StageNone      Stage = iota
	StageBegun           // has its nonce
	StageVoted           // signed V and will never sign ABORT
	StageRefused         // signs ABORT and will never sign V
	StageJoined          // has both votes
	StageOverruled       // signed V and has the peer's ABORT
)

// follows reports whether s can come after before, or is it.
func (s Stage) follows(before Stage) bool {
	switch before {
	case StageNone, s:
		return true
	case StageBegun:
		return s > StageBegun
	case StageVoted:
		return s == StageJoined || s == StageOverruled
	case StageRefused, StageJoined, StageOverruled:
	}
	return false
}

// decided reports whether nothing can follow s.
func (s Stage) decided() bool { return s >= StageRefused }
