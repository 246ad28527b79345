package reliability

import "errors"

// Errors of the parsers and of the peer's conduct. The state is unchanged when
// one of them is returned.
var (
	ErrMalformed = errors.New("reliability: malformed frame")
	ErrBlock     = errors.New("reliability: block contradicts an earlier one")
	ErrWindow    = errors.New("reliability: block beyond the receive window")
	ErrReceipt   = errors.New("reliability: receipt of something never sent")
)
