package agreement

import (
	"time"

	"github.com/totg/totg/handshake/ladder"
)

const (
	// MaxEntries bounds the attempts with one peer that are held in memory: two
	// chains of signatures each, 2 KB. A few are under way at a time; the rest
	// answers a peer that asks late.
	MaxEntries = 64
	// maxAccepted bounds the attempts that are not resolved, for the peer to begin
	// another: the rest of the table is for this host's own.
	maxAccepted = MaxEntries / 2
	// MaxName bounds a name, in bytes: the parameters of an action.
	MaxName = ladder.MaxParams
	// MaxPatterns bounds the patterns of names that a peer may propose.
	MaxPatterns = 64

	// acceptFor is how long this host takes part in what the peer proposed and
	// does not vote: a ladder takes seconds at a loss of 98 %, and a proposer
	// that gave up says so. Without an end a peer that went away would leave an
	// entry open for ever.
	acceptFor = time.Minute
	// acceptSpacing is the least time between two attempts that the peer begins:
	// each costs three synchronised writes.
	acceptSpacing = 200 * time.Millisecond
)
