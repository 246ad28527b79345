package header

import "errors"

// ErrMalformed is a unit that no Compressor makes: an authenticated peer sent
// what no correct peer sends. The session should end with a protocol error.
var ErrMalformed = errors.New("header: malformed unit")
