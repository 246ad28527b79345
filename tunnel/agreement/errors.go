package agreement

import "errors"

// Errors of a Book.
var (
	// ErrName is a name that ValidName refuses.
	ErrName = errors.New("agreement: invalid name")
	// ErrFull is MaxEntries attempts that are not resolved.
	ErrFull = errors.New("agreement: too many attempts are not resolved")
	// ErrPeer is a record of an attempt with another peer, or of no named action.
	ErrPeer = errors.New("agreement: record of another peer")
	// ErrRand is a Config without a source of randomness.
	ErrRand = errors.New("agreement: no source of randomness")
)
