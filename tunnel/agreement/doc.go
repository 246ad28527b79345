// Package agreement keeps the named actions that this host coordinates with one
// peer: acting together or not at all, by name. It runs a machine of
// package handshake/ladder for each and finds the machine that a message is for.
// It is pure: no clock, no socket, no disk.
//
// # What it gives
//
// Two hosts that Propose the same name, or one that does and one whose Accept
// patterns match it, end COMMITTED both or ABORTED both, whatever the network
// loses, delays or repeats, and whoever crashes, as long as what Store events
// ask for is kept on stable storage. Until one of the two is known an
// attempt is open or IN DOUBT; there is no bound on the time in doubt. A name may
// be used again once its last attempt is decided: that is another attempt.
//
// # Contract
//
// A Book is driven like the cores of docs/architecture.md:
//
//	Propose(now, name, deadline)  begin an attempt, or join the one under way
//	Withdraw(now, id)             abort, if this host has not voted
//	Handle(now, b)                a ladder message of the peer
//	HandleTimeout(now)            at NextDeadline; early calls do nothing
//	OnStable(now, id, stage)      what a Store event asked for is on stable storage
//	Forget(now, id)               … could not be stored, and nothing has left yet
//	Restore(now, record, done)    after a restart, for each record of the log
//	PollEvent()                   what happened; until it says no, after every input
//	Poll(now, buf)                the next message for the peer; until it says no
//	NextDeadline()                zero: never; else after now once drained
//
// One goroutine owns a Book. An older now counts as the newest seen. Byte slices
// are not retained. At most MaxEntries attempts are held; those that both hosts
// are known to have decided give way to new ones. Equal calls give equal results.
//
// A Store event comes before anything that it covers leaves. There is one at a
// time for each attempt: the next comes after OnStable. A Decided event comes
// after its record is stable, and once; after a restart it is told again for
// attempts that are not Resolved. Resolved says that the peer has decided too, or
// cannot have voted: nobody needs the record but a peer that asks late.
//
// Messages are to come in sealed datagrams of a session with the peer. A recorded
// commitment, without them, could begin an attempt after a restart that has
// forgotten one; it would end ABORTED, for its sender has gone on.
package agreement
