package channel

import "errors"

// Errors of Open and NewMux.
var (
	ErrConfig          = errors.New("channel: invalid configuration")
	ErrMode            = errors.New("channel: unknown capability bits in a mode")
	ErrTooManyChannels = errors.New("channel: too many channels")
	ErrTooManyOpening  = errors.New("channel: too many channels are being opened")
)

// Errors of HandleSegments and HandleSymbol: an authenticated peer sent what no
// correct peer sends. The session should end with a protocol error.
var (
	ErrTruncated      = errors.New("channel: truncated segment or message")
	ErrFlags          = errors.New("channel: unknown segment flags, or nothing that the segment continues")
	ErrSymbols        = errors.New("channel: too many symbols in blocks under way")
	ErrEmptySegment   = errors.New("channel: empty segment")
	ErrID             = errors.New("channel: channel id with a zero half")
	ErrControlSegment = errors.New("channel: segment of channel 0 is not a whole unit")
	ErrMessageType    = errors.New("channel: unknown message type")
	ErrMessage        = errors.New("channel: malformed message")
	ErrCapabilities   = errors.New("channel: unknown capability bits")
)
