// Package ladder lets two parties take one action together or not at all: the
// proof ladder of the Two Generals Protocol (its Full Solve), made safe by
// voting once. It is pure: no clock, no socket, no disk, no randomness of its
// own.
//
// # What it gives
//
// Each party signs the levels C, D, T, Q, QC and V, each over what both signed
// one level below. V is its vote. Who has both votes has committed. Before its
// vote a party may abort; it signs ABORT then, and no vote any more. After its
// vote it never aborts by itself: it is in doubt until it hears the other side.
// No two honest parties ever decide differently, whatever is lost, delayed,
// repeated or reordered, and whoever crashes, as long as records are stable
// . There is no bound on the time in doubt; no protocol has one (Gray
// 1978). docs/tgp.md says more.
//
// # Contract
//
// One Machine is one party's side of one action, driven like the cores of
// docs/architecture.md:
//
//	Handle(now, b)        a message of the peer; a dropped one changes counters only
//	HandleTimeout(now)    at NextDeadline; early calls do nothing
//	Abort(now)            the user changed his mind
//	PollEvent()           what happened; until it says no, after every input
//	Poll(now, buf)        the next message to send; until it says no
//	NextDeadline()        zero: never; else after now once drained
//
// One goroutine owns a Machine. An older now counts as the newest seen. Byte
// slices are not retained. Memory is bounded: two chains of signatures. Equal
// calls give equal results.
//
// # Stable storage
//
// Nothing that binds the party leaves before it is on stable storage.
// EventPersist asks for that: the caller takes Record, stores the bytes, and
// after they are stable calls OnStable with the stage that Record named. Until
// then the Machine goes on as before and sends no vote, no ABORT, no RECEIPT,
// and at its beginning nothing at all. After a restart the caller gives the
// latest record to Restore. For an action that ends with the process (a key
// switch) it calls OnStable at once and stores nothing: then no one may restore
// it either.
//
// # Messages
//
// A message carries one side's commitment and signatures up to its level: at
// most MaxMessage bytes, so that it fits in the ladder field of INIT and RESP
// and in a LADDER frame. RECEIPT is no signature: who can alter messages can
// make a party believe that its peer has decided, so that it stops repeating
// itself. It still answers. Safety never rests on RECEIPT.
//
// Sources: docs/protocol.md, X-1 to X-6; "Two Generals Protocol: A
// Deterministically Failsafe Solution to the Coordinated Attack Problem"
// (anonymous, 2025), sections 3 and 5; Gray, "Notes on Data Base Operating
// Systems", 1978.
package ladder
