package votes

import "errors"

// Errors of a Log.
var (
	// ErrLocked is a file that another process has open.
	ErrLocked = errors.New("another process has it open")
	// ErrCorrupt is a file that is damaged or no log of votes. Nothing mends
	// it: its votes are unknown, and to go on without them could break one.
	ErrCorrupt = errors.New("damaged, or no log of votes")
	// ErrMode is a file that other users have access to.
	ErrMode = errors.New("other users have access to it: want mode 0600")
	// ErrNoFile is a path to something that is no regular file.
	ErrNoFile = errors.New("not a regular file")
	// ErrSize is an empty record, or one above MaxRecord.
	ErrSize = errors.New("record empty or above the limit")
	// ErrFull is MaxOpen open entries, or a file at its bound.
	ErrFull = errors.New("too many open entries")
	// ErrResolved is a record for an entry that is resolved.
	ErrResolved = errors.New("the action is resolved")
	// ErrUnknown is an entry that is not open.
	ErrUnknown = errors.New("no such open entry")

	// errEmpty is a file without a bucket: a new one.
	errEmpty = errors.New("no bucket")
)
