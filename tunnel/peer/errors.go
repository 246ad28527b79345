package peer

import "errors"

// Errors of MovePath, beside ErrNoSession.
var (
	ErrMoving   = errors.New("peer: another switch of the path is under way")
	ErrSamePath = errors.New("peer: the path leads there already")
	ErrAddress  = errors.New("peer: no address that a peer can have")
)
