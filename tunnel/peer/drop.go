package peer

// DropReason says why a datagram had no effect but on a counter (clause 6).
type DropReason uint8

// The reasons.
const (
	DropNone      DropReason = iota // handled
	DropMalformed                   // too short or of an unknown type
	DropIndex                       // no session has this receiver index
	DropReplay                      // packet number seen before or too old
	DropAuth                        // does not open
	DropInit                        // INIT does not open, or not from this peer
	DropStale                       // INIT not newer than the last one
	DropCrossed                     // INIT while ours goes first
	DropResp                        // RESP to no INIT of ours, or it does not open
	DropCookie                      // COOKIE to no INIT of ours, or forged
	DropClosed                      // we are down
	NumDropReasons
)

// String returns a name in snake_case, as status prints it.
func (d DropReason) String() string {
	switch d {
	case DropNone:
		return "none"
	case DropMalformed:
		return "malformed"
	case DropIndex:
		return "unknown_index"
	case DropReplay:
		return "replay"
	case DropAuth:
		return "auth"
	case DropInit:
		return "bad_init"
	case DropStale:
		return "stale_init"
	case DropCrossed:
		return "crossed_init"
	case DropResp:
		return "bad_resp"
	case DropCookie:
		return "bad_cookie"
	case DropClosed:
		return "closed"
	}
	return "invalid"
}

// Event tells the caller of a change that it must follow or may report.
type Event struct {
	Kind  EventKind
	Index uint32      // IndexAdded, IndexRemoved
	Err   *CloseError // SessionDown
	Move  Move        // PathDecided
}

// EventKind is the kind of an Event.
type EventKind uint8

// The kinds.
const (
	IndexAdded      EventKind = iota + 1 // datagrams for Index are this peer's
	IndexRemoved                         // … no longer
	SessionUp                            // keys are confirmed by the peer
	SessionDown                          // the session ended, see Err
	PathChanged                          // the peer's address is another now
	TunnelCommitted                      // both are known to have the session
	PathDecided                          // a switch of the path is decided, or in doubt, see Move
)
