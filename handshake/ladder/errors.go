package ladder

import "errors"

// Errors of New and Restore: the program's, but for ErrRecord and ErrRecordKey.
var (
	// ErrNoKey is a Config without a private key.
	ErrNoKey = errors.New("ladder: no private key")
	// ErrOwnKey is a peer with this host's own public key.
	ErrOwnKey = errors.New("ladder: the peer's public key is this host's own")
	// ErrNoRand is a Config without a generator for the jitter.
	ErrNoRand = errors.New("ladder: no generator of random numbers")
	// ErrNonce is the zero nonce, which nobody draws.
	ErrNonce = errors.New("ladder: zero nonce")
	// ErrParams is parameters of more than MaxParams bytes.
	ErrParams = errors.New("ladder: parameters above the limit")
	// ErrRule is a rule that is not one of the constants.
	ErrRule = errors.New("ladder: unknown rule")
	// ErrRecord is a record that is damaged, or does not hold what it says.
	ErrRecord = errors.New("ladder: damaged record")
	// ErrRecordKey is a record of another host's.
	ErrRecordKey = errors.New("ladder: record of another private key")
)

// ErrMessage is a message that does not parse.
var ErrMessage = errors.New("ladder: malformed message")
