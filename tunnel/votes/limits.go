package votes

import (
	"crypto/sha256"
	"time"

	"github.com/totg/totg/handshake/ladder"
)

const (
	// IDLen is the length of an ID in bytes.
	IDLen = sha256.Size
	// MaxRecord bounds a record, in bytes.
	MaxRecord = ladder.MaxRecord
	// MaxOpen bounds the actions that are not resolved: a peer that stays away
	// may leave one in doubt for each that it took part in.
	MaxOpen = 1024
	// MaxResolved bounds the tombstones. A peer asks for one only if it crashed
	// between its decision and the record of it.
	MaxResolved = 1024

	// maxFile bounds the file, in bytes: four times what all entries take, for
	// pages are split and rewritten before the old ones are free.
	maxFile = 16 << 20
	// leastPages is the size of an empty file, in pages of the machine.
	leastPages = 4
	// fileMode is for the owner alone.
	fileMode = 0o600
	// lockWait is how long Open waits for another process, such as a daemon
	// that is being restarted.
	lockWait = time.Second
)

// The file has room for all entries; a negative constant does not convert.
const _ = uint(maxFile - 4*(MaxOpen+MaxResolved)*(IDLen+MaxRecord+64))
