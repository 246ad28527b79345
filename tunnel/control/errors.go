package control

import "errors"

// Errors that a caller may want to tell apart. Their texts are for the user.
var (
	// ErrAlreadyUp: another process serves the interface.
	ErrAlreadyUp = errors.New("already up")
	// ErrNotUp: no process serves the interface.
	ErrNotUp = errors.New("not up")
	// ErrDenied: the socket belongs to another user.
	ErrDenied = errors.New("permission denied; run it as the user that runs \"totg up\", normally root")
	// ErrProtocol: what answers is no totg, or one of another version.
	ErrProtocol = errors.New("not understood; \"totg up\" may run another version than this")
	// ErrStillUp: the tunnel accepted the order to stop and did not end in time.
	ErrStillUp = errors.New("told to stop, but still up")
)
