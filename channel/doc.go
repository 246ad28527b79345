// Package channel carries units in channels: ids, the three-message opening
// with cookies, capability bits, sequence numbers, reordering, assembly and
// closing. It is a pure state machine for one session with one peer
// (requirements C-1 to C-6 and the segment format of R-1).
//
// A unit is a byte string of 1 to MaxUnit bytes that is delivered whole or not
// at all. The sender cuts it into segments, AppendSegment numbers them; the
// receiver feeds whole symbols (segments back to back) to HandleSegments, or,
// where they stand in blocks, to HandleSymbol, and takes complete units from
// ReadUnit. Both ends may send on a channel, whoever opened it; each direction
// has sequence numbers of its own, one a segment, from 0.
//
// Channel 0 carries the messages that open and close channels. AppendControl
// packs what waits into one segment of it. The layer below must deliver these
// segments reliably; it may reorder them, and repeats do no harm. It reports a
// delivery with OnControlDelivered.
//
// All eight modes are there (Capabilities). What is sent again is the business of
// the layer below; a mode says what this end does about what is missing. The age
// of a gap counts from the first arrival that showed it, and SetPath and
// SetPatience say how old it may become (C-5): a Streaming channel then skips it,
// reports EventLost and drops what comes late; X and Y close with ReasonLoss, at
// both ends; SCTP and TCP wait until the resend limit, then close with
// ReasonResend. UDP and Z deliver what comes, and know of no gaps.
//
// Once ACKNOWLEDGE brought the id, the opener may send: COOKIE goes before each
// segment and opens the channel at the peer on the spot, until FINALIZE is known
// to have arrived or the peer sends (C-2).
//
// # Contract
//
// One goroutine owns a Mux. Byte slices are not retained. An older now counts
// as the newest seen. After HandleTimeout(now), Deadline is zero or after now.
// Everything is bounded (limits.go) and steady traffic allocates nothing. The
// same configuration and calls give the same results.
//
// HandleSegments and HandleSymbol return an error only for bytes that no correct
// peer sends; then the call changed nothing and the session should end. A peer
// that breaks the rules of one channel (impossible framing, more data than the
// limits allow) loses that channel: it closes with a Reason. Anything late,
// repeated or carrying a wrong cookie is dropped and counted in Stats. Misuse by
// the caller panics.
//
// A close is immediate: segments still on their way are dropped. Close a
// reliable channel when the last of its segments is known to have arrived.
package channel
