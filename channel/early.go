package channel

import (
	"encoding/binary"
	"time"
)

// cookieMessageLen is the size of a COOKIE message, type included.
const cookieMessageLen = 1 + cookieLen + 2

// EarlySegmentLen is what a segment costs more, in bytes, while its channel is
// Finalizing: the segment with the COOKIE before it.
const EarlySegmentLen = SegmentHeaderLen + cookieMessageLen

// COOKIE is a message inside a segment of the channel that it opens (C-2), with
// flags cookie and opener, and sequence 0. It is the first thing on the channel,
// before each segment of early data:
//
//	0d | cookie2 8 | capabilities u16
//
// FINALIZE says the same and goes too: its receipt tells the opener when COOKIE
// may stop. So the responder needs no COOKIE of its own, and stays without state
// until a cookie2 comes back (C-3).

// appendCookie appends the segment that opens a channel on the spot.
func (m *Mux) appendCookie(dst []byte, c *channel) []byte {
	dst = appendHeader(dst, header{id: c.id, flags: flagCookie | flagOpener}, cookieMessageLen)
	dst = append(append(dst, typeCookie), c.cookie2[:]...)
	return binary.BigEndian.AppendUint16(dst, uint16(c.caps))
}

// parseCookie reads the body of a COOKIE segment.
func parseCookie(h header, body []byte) (message, error) {
	switch {
	case len(body) < cookieMessageLen:
		return message{}, ErrTruncated
	case len(body) > cookieMessageLen, h.flags != flagCookie|flagOpener, h.seq != 0:
		return message{}, ErrMessage
	case body[0] != typeCookie:
		return message{}, ErrMessageType
	}
	msg := message{kind: typeCookie, id: h.id, caps: Capabilities(binary.BigEndian.Uint16(body[1+cookieLen:]))}
	copy(msg.cookie2[:], body[1:])
	if !msg.caps.Valid() {
		return message{}, ErrCapabilities
	}
	return msg, nil
}

// Overhead is what the next segment of a channel costs at most beside its bytes:
// SegmentHeaderLen, or with EarlySegmentLen where it must open the channel.
func (m *Mux) Overhead(h Handle) int {
	if c := m.lookup(h); c != nil && c.state == Finalizing {
		return SegmentHeaderLen + EarlySegmentLen
	}
	return SegmentHeaderLen
}

// CanSend reports whether AppendSegment takes segments of the channel: once its
// id is known, early data opens it by itself (C-2).
func (m *Mux) CanSend(h Handle) bool {
	c := m.lookup(h)
	return c != nil && (c.state == Established || c.state == Finalizing)
}

// Info describes a channel at this end.
type Info struct {
	Handle        Handle
	ID            ID
	Capabilities  Capabilities
	State         State
	ByPeer        bool          // the peer opened it
	Age           time.Duration // since it was Established, or since Open
	UnitsSent     uint64
	UnitsReceived uint64
	Skipped       uint64 // segments given up by a Streaming channel
	Late          uint64 // segments that came after that, or too late for the window
	Waiting       int    // segments that wait for others
}

// Info describes a channel; ok is false where the handle names none.
func (m *Mux) Info(h Handle) (i Info, ok bool) {
	c := m.lookup(h)
	if c == nil || c.state == Closed {
		return Info{}, false
	}
	return c.info(m.at), true
}

// Channels describes all channels that are not closed, in no order.
func (m *Mux) Channels() (list []Info) {
	for _, c := range m.slots {
		if c != nil && c.state != Closed {
			list = append(list, c.info(m.at))
		}
	}
	return list
}

func (c *channel) info(at time.Duration) Info {
	i := Info{
		Handle: c.handle, ID: c.id, Capabilities: c.caps, State: c.state, ByPeer: c.remote, Age: at - c.since,
		UnitsSent: c.unitsSent, UnitsReceived: c.unitsReceived,
	}
	switch {
	case c.ordered != nil:
		i.Skipped, i.Late, i.Waiting = c.ordered.skipped, c.ordered.late, c.ordered.held
	case c.unordered != nil:
		i.Late, i.Waiting = c.unordered.late, c.unordered.held
	}
	return i
}
