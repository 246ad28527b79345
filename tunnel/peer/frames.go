package peer

import (
	"encoding/binary"

	"github.com/totg/totg/handshake/ladder"
	"github.com/totg/totg/internal/wire"
)

// Frame types (W-3). SOURCE, REPAIR, RECEIPT and ECHO belong to package
// reliability.
const (
	framePadding       = 0x00
	framePing          = 0x01
	frameLadder        = 0x05
	framePathChallenge = 0x06
	framePathResponse  = 0x07
	frameClose         = 0x08
)

// CloseCode says why a session ended.
type CloseCode uint16

// The codes that this version sends.
const (
	CloseNormal   CloseCode = 0 // the peer goes down or reconfigures
	CloseProtocol CloseCode = 1 // an authenticated datagram broke the protocol
)

// String names the code.
func (c CloseCode) String() string {
	switch c {
	case CloseNormal:
		return "normal"
	case CloseProtocol:
		return "protocol error"
	}
	return "unknown"
}

// CloseError is how a session ended.
type CloseError struct {
	Code   CloseCode
	Reason string // at most 64 bytes
	Remote bool   // the peer closed
}

// Error describes the end in one line.
func (e *CloseError) Error() string {
	side := "closed"
	if e.Remote {
		side = "closed by the peer"
	}
	if e.Reason == "" {
		return side + ": " + e.Code.String()
	}
	return side + ": " + e.Code.String() + ": " + e.Reason
}

const (
	pathFrameLen = 1 + 8
	// A LADDER frame is its type, the length of the message as u16, and the message
	//
	ladderFrameLen = 1 + 2
	ladderFrameMax = ladderFrameLen + ladder.MaxMessage
)

// appendPath appends a PATH_CHALLENGE or PATH_RESPONSE frame: the type and 8
// bytes that only a host at the other end of the path can return (H-8, W-4).
func appendPath(dst []byte, frame byte, token uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, frame), token)
}

// appendClose appends a CLOSE frame: type, code u16, length u8, reason.
func appendClose(dst []byte, code CloseCode, reason string) []byte {
	reason = reason[:min(len(reason), maxReason)]
	dst = binary.BigEndian.AppendUint16(append(dst, frameClose), uint16(code))
	return append(append(dst, uint8(len(reason))), reason...)
}

// parseClose reads a CLOSE frame after its type.
func parseClose(r *wire.Reader) (CloseError, bool) {
	e := CloseError{Code: CloseCode(r.U16()), Remote: true}
	b := r.Bytes(int(r.U8()))
	if r.Err() != nil || len(b) > maxReason {
		return CloseError{}, false
	}
	for _, c := range b {
		if c < ' ' || c > '~' { // it ends up in a log
			return CloseError{}, false
		}
	}
	e.Reason = string(b)
	return e, true
}

// parsePadding reads the rest of the datagram, which must be zero.
func parsePadding(r *wire.Reader) bool {
	for _, c := range r.Rest() {
		if c != 0 {
			return false
		}
	}
	return true
}
